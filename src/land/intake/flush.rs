//! Flush: commits the gathered batches, so that each event is in one day file only, even if other
//! configurations routed it elsewhere.

use crate::land::day_file::batch::Batch;
use crate::land::day_file::commit::{self, CommitOutcome};
use crate::land::intake::elsewhere::Elsewhere;
use crate::land::intake::register::{self, Dates, Held};
use crate::land::intake::tally::Cause;
use crate::land::intake::{Landing, plan};
use crate::land::root::error::{LandError, Result};
use crate::land::root::layout::DayFile;
use crate::row::EventKey;

/// The most dates whose registers are held at once.
const DATES_MAX: usize = 8;

/// A batch and the result of its commit.
type Done = (DayFile, Batch, Result<CommitOutcome>);

impl Landing<'_> {
    /// Commits all batches, those of a few dates at a time, while the registers of these dates are
    /// held.
    pub(crate) fn flush(&mut self) {
        let mut batches: Vec<_> = std::mem::take(&mut self.batches).into_iter().collect();
        batches.extend(self.present.take());
        batches.sort_unstable_by(|(one, _), (other, _)| (one.day, one).cmp(&(other.day, other)));
        self.bytes = 0;
        let (mut chunk, mut dates) = (Vec::new(), Dates::new());
        for (day_file, batch) in batches {
            let of_batch: Dates = register::dates(batch.span()).collect();
            let all: Dates = dates.union(&of_batch).copied().collect();
            if all.len() > DATES_MAX {
                self.commit_chunk(std::mem::take(&mut chunk), &dates);
                dates = of_batch;
            } else {
                dates = all;
            }
            chunk.push((day_file, batch));
        }
        self.commit_chunk(chunk, &dates);
        self.write_quarantine();
    }

    /// Commits the batches of some dates. A batch whose lease was lost before anything was written
    /// is retried.
    fn commit_chunk(&mut self, mut batches: Vec<(DayFile, Batch)>, dates: &Dates) {
        let lander = self.lander;
        if batches.is_empty() {
            return;
        }
        let result = lander.while_lease_is_lost(|| {
            let (done, mut lost) = (self.commit_held(&mut batches, dates)?, None);
            for (day_file, batch, result) in done {
                match result {
                    Err(error @ LandError::LeaseLost(_)) => {
                        batches.push((day_file, batch));
                        lost = Some(error);
                    }
                    result => self.done(&day_file, &batch, result),
                }
            }
            lost.map_or(Ok(()), Err)
        });
        if let Err(error) = result {
            batches.iter().for_each(|(_, batch)| self.defer(batch.len() as u64, batch, &error));
        }
    }

    /// Locks the registers of batches, and finds in which other day files their rows may be.
    fn hold(
        &mut self,
        batches: &[(DayFile, Batch)],
        dates: &Dates,
    ) -> Result<(Held, Vec<Elsewhere>)> {
        let (lander, rules, routes) = (self.lander, self.routes.rules.clone(), &mut self.routes);
        let look = |registers: &_, missing: &mut _| {
            let one =
                |(day_file, batch): &(_, _)| routes.elsewhere(registers, day_file, batch, missing);
            batches.iter().map(one).collect::<Result<Vec<Elsewhere>, _>>()
        };
        if self.plan.is_some() {
            return Held::peek(lander, dates, look);
        }
        let (mut held, elsewhere) = Held::take(lander, dates, &rules, look)?;
        let mixed = batches.iter().zip(&elsewhere).filter(|(_, elsewhere)| !elsewhere.is_empty());
        let dates = mixed.flat_map(|((_, batch), _)| register::dates(batch.span())).collect();
        held.exclude_others(lander, &dates)?;
        Ok((held, elsewhere))
    }

    /// Commits under the registers' locks. Batches that can be in no other day file are committed
    /// in parallel. The rest follow one by one, so that each finds what those before it have
    /// committed.
    fn commit_held(
        &mut self,
        batches: &mut Vec<(DayFile, Batch)>,
        dates: &Dates,
    ) -> Result<Vec<Done>> {
        let (lander, objects, planning) = (self.lander, self.objects, self.plan.is_some());
        let (held, elsewhere) = self.hold(batches, dates)?;
        for ((_, batch), elsewhere) in batches.iter_mut().zip(&elsewhere) {
            batch.routings.clone_from(&elsewhere.routings);
        }
        let commit = |(day_file, batch): (DayFile, Batch)| {
            let names: Vec<String> =
                batch.objects.iter().map(|number| objects[*number].to_string()).collect();
            let before = || held.prove();
            let result = lander
                .check_time(&day_file)
                .and_then(|()| commit::commit(lander, &day_file, &batch, &names, &before));
            (day_file, batch, result)
        };
        let (alone, mixed): (Vec<_>, Vec<_>) = std::mem::take(batches)
            .into_iter()
            .zip(elsewhere)
            .partition(|(_, elsewhere)| elsewhere.is_empty() && !planning);
        let alone = alone.into_iter().map(|(one, _)| one).collect();
        let mut done = lander.in_parallel(alone, commit);
        for ((day_file, mut batch), elsewhere) in mixed {
            let rows = batch.len() as u64;
            let sifted =
                elsewhere.sift(&day_file, &mut batch, &|candidate, offered| match planning {
                    true => plan::ask(lander, candidate, offered),
                    false => lander
                        .check_time(candidate)
                        .and_then(|()| commit::ask(lander, candidate, offered)),
                });
            let planned = self
                .plan
                .as_mut()
                .map(|plan| plan.commit(lander, &day_file, &batch, (rows, &sifted)));
            self.landed.tally.duplicates += sifted.duplicates;
            if let Some(error) = sifted.error {
                self.defer(sifted.deferred, &batch, &error);
            }
            for (closed, rows) in sifted.closed {
                self.closed(&day_file, closed, rows, &batch);
            }
            match planned {
                Some(result) => done.push((day_file, batch, result)),
                None if batch.is_empty() => {}
                None => done.push(commit((day_file, batch))),
            }
        }
        Ok(done)
    }

    /// Counts the result of a batch's commit.
    fn done(&mut self, day_file: &DayFile, batch: &Batch, result: Result<CommitOutcome>) {
        match result {
            Ok(CommitOutcome::Committed(tally)) => self.landed.tally.add(&tally),
            Ok(CommitOutcome::Closed) => {
                let rows = (0..batch.len() as u32).map(|row| batch.key(row)).collect();
                self.closed(day_file, day_file.clone(), rows, batch);
            }
            Err(error) => self.defer(batch.len() as u64, batch, &error),
        }
    }

    /// Notes rows that a closed day file may have. They go into quarantine when their objects are
    /// read again.
    fn closed(
        &mut self,
        day_file: &DayFile,
        closed: DayFile,
        mut rows: Vec<EventKey>,
        batch: &Batch,
    ) {
        self.closed_rows += rows.len() as u64;
        if self.plan.is_none() && !rows.is_empty() {
            rows.sort_unstable();
            self.closed.entry(day_file.clone()).or_default().push((closed, rows));
            self.closed_from.extend(&batch.objects);
        }
    }

    fn defer(&mut self, rows: u64, batch: &Batch, error: &LandError) {
        let is_time = matches!(error, LandError::Time(_));
        let cause = if is_time { Cause::Time } else { Cause::Other };
        self.landed.tally.deferred += rows;
        batch.objects.iter().for_each(|number| self.fail(*number, cause, &error.to_string()));
    }
}
