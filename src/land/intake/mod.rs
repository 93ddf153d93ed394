//! One landing: reads objects as streams, gathers their rows by day file, and commits them when the
//! buffer is full.

pub mod check;
pub(crate) mod delivered;
pub(crate) mod elsewhere;
pub(crate) mod flush;
pub mod plan;
pub mod quarantine;
pub mod register;
pub mod routing;
pub(crate) mod selection;
pub mod tally;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::time::Instant;

use crate::land::day_file::batch::Batch;
use crate::land::intake::check::{Refusal, check, check_line};
use crate::land::intake::elsewhere::Routes;
use crate::land::intake::plan::Plan;
use crate::land::intake::quarantine::Quarantine;
use crate::land::intake::selection::{Exclusion, Selection};
use crate::land::intake::tally::{Cause, Landed, NotLanded};
use crate::land::journal::lander::Lander;
use crate::land::root::layout::DayFile;
use crate::object::{Bad, Options, Origin, ReadError, Reader, RowPlace, Sink, Skipped};
use crate::row::{EventKey, Row};
use crate::store::{ObjectId, Store, StoreError};

/// The approximate memory of a day file besides its rows: its key, its map entry, the smallest
/// vectors.
const DAY_FILE_BYTES: usize = 768;
/// The most distinct reasons for quarantine in an answer.
const REASONS_MAX: usize = 20;
/// How often reading starts over because the object was replaced meanwhile. Firehose rarely
/// replaces an object.
const RESTARTS_MAX: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Lands everything or puts it into quarantine, except for rows of closed days.
    Land,
    /// Puts rows of closed days into quarantine.
    Closed,
}

/// Lands objects. All their rows for one day file are committed under one hold of its lock, unless
/// the buffer fills up earlier.
///
/// Objects are read for three quarters of the time until the deadline. The last quarter is for
/// committing what was read. An object that was not read to its end is retried; its landed rows are
/// then duplicates.
pub(crate) struct Landing<'l> {
    lander: &'l Lander<'l>,
    objects: &'l [ObjectId],
    selection: &'l Selection,
    routes: Routes,
    /// Set for a dry run, which writes nothing.
    plan: Option<Plan>,
    /// When reading stops, so that time remains for the commit.
    read_until: Instant,
    landed: Landed,
    /// The entity tag of each object that was read.
    states: Vec<Option<String>>,
    batches: HashMap<DayFile, Batch>,
    /// The batch of the last row, which is most likely the next row's, too. It is not in `batches`,
    /// and its file name has been checked.
    present: Option<(DayFile, Batch)>,
    bytes: usize,
    quarantine: Quarantine,
    /// The objects that have something in `quarantine`.
    quarantined_from: BTreeSet<usize>,
    /// For each day file, the rows that a closed day file (usually itself) may have: that day file
    /// and the sorted identities.
    closed: HashMap<DayFile, Vec<(DayFile, Vec<EventKey>)>>,
    /// The objects with such rows, and the number of these rows that are not in quarantine yet.
    closed_from: BTreeSet<usize>,
    closed_rows: u64,
}

impl<'l> Landing<'l> {
    /// A landing of these objects. With a plan, nothing is written.
    pub fn new(
        lander: &'l Lander<'l>,
        objects: &'l [ObjectId],
        selection: &'l Selection,
        plan: Option<Plan>,
    ) -> Landing<'l> {
        let now = Instant::now();
        Landing {
            lander,
            objects,
            selection,
            routes: Routes::new(lander.config),
            plan,
            read_until: now + lander.deadline.saturating_duration_since(now).mul_f64(0.75),
            landed: Landed { objects: vec![Ok(()); objects.len()], ..Landed::default() },
            states: vec![None; objects.len()],
            batches: HashMap::new(),
            present: None,
            bytes: 0,
            quarantine: Quarantine::default(),
            quarantined_from: BTreeSet::new(),
            closed: HashMap::new(),
            closed_from: BTreeSet::new(),
            closed_rows: 0,
        }
    }

    /// Lands the objects. With a plan, it only predicts the result, takes no locks and writes
    /// nothing.
    pub(crate) fn land(mut self, store: &Store) -> (Landed, Option<Plan>) {
        let mut reader = Reader::new(self.lander.config);
        for number in 0..self.objects.len() {
            self.read(store, &mut reader, number, Pass::Land);
        }
        self.flush();
        if self.plan.is_some() {
            self.landed.tally.quarantined += std::mem::take(&mut self.closed_rows);
        }
        // Only now is it known which days are closed. Read their rows again, for the quarantine.
        self.read_until = self.lander.deadline;
        for number in std::mem::take(&mut self.closed_from) {
            self.read(store, &mut reader, number, Pass::Closed);
        }
        self.write_quarantine();
        self.landed.tally.deferred += self.closed_rows;
        let landed = self.landed.objects.iter().filter(|result| result.is_ok()).count();
        self.landed.tally.objects = landed as u64;
        (self.landed, self.plan)
    }

    /// Reads one object. If that fails, the rows read so far may still land, and the object is
    /// retried.
    fn read(&mut self, store: &Store, reader: &mut Reader<'_>, number: usize, pass: Pass) {
        for _ in 0..=RESTARTS_MAX {
            let Err(error) = self.read_once(store, reader, number, pass) else { return };
            // The object was replaced while it was read. The new one contains all that was read of
            // the old one.
            let cause = match &error {
                ReadError::Store(StoreError::Changed(_)) => continue,
                ReadError::Store(error) => Cause::from(error),
                ReadError::Time => Cause::Time,
                ReadError::Input(_) | ReadError::Sink(_) | ReadError::Newer(_) => Cause::Other,
            };
            return self.fail(number, cause, &error.to_string());
        }
        let reason = "changed during every attempt to read it; it is retried";
        self.fail(number, Cause::Other, reason);
    }

    fn read_once(
        &mut self,
        store: &Store,
        reader: &mut Reader<'_>,
        number: usize,
        pass: Pass,
    ) -> Result<(), ReadError> {
        let id = &self.objects[number];
        let until = self.share(number);
        let input = store.until(until).open(&id.key)?;
        let state = input.object().id.etag.clone();
        if pass == Pass::Closed && self.states[number] != state {
            return Err(io::Error::other("changed between two readings; it is retried").into());
        }
        self.states[number] = state;
        if self.plan.is_none()
            && pass == Pass::Land
            && let Err(error) = self.lander.mark_delivered(input.object().modified)
        {
            // Its rows land all the same.
            self.fail(number, Cause::Other, &error.to_string());
        }
        let (place, modified) = (id.place(), input.object().modified);
        let origin = Origin { place: &place, id: None, arrival: Some(modified) };
        let mut options = Options::new(&self.lander.config.limits);
        options.plain = self.selection.plain;
        options.until = Some(until);
        let mut sink = ObjectSink { landing: self, number, pass };
        reader.object(input, origin, &options, &mut sink)
    }

    /// Until when an object may be read: half of the remaining time, so that an endless object
    /// leaves time for those after it. The last object gets all of it.
    fn share(&self, number: usize) -> Instant {
        let now = Instant::now();
        let left = self.read_until.saturating_duration_since(now);
        now + if number + 1 == self.objects.len() { left } else { left / 2 }
    }

    fn fail(&mut self, number: usize, cause: Cause, reason: &str) {
        let place = self.objects[number].place();
        let reason = match reason.starts_with(&place) {
            true => reason.to_owned(),
            false => format!("{place}: {reason}"),
        };
        let result = &mut self.landed.objects[number];
        if result.is_ok() {
            *result = Err(NotLanded { cause, reason });
        }
    }

    fn write_quarantine(&mut self) {
        let gathered = self.quarantine.count;
        let written = match &self.plan {
            None => self.quarantine.write(self.lander),
            Some(_) => Ok(std::mem::take(&mut self.quarantine).count),
        };
        match written {
            Ok(count) => self.landed.tally.quarantined += count,
            Err(error) => {
                self.landed.tally.deferred += gathered;
                for number in std::mem::take(&mut self.quarantined_from) {
                    self.fail(number, Cause::Other, &error.to_string());
                }
            }
        }
        self.quarantined_from.clear();
    }

    fn quarantined(&mut self, number: usize, bad: &Bad<'_>, reason: &str) {
        self.quarantine.add(bad, &self.objects[number].to_string());
        self.quarantined_from.insert(number);
        self.landed.quarantined.insert(number);
        let reason = format!("{}: {reason}", self.objects[number]);
        if self.landed.reasons.len() < REASONS_MAX && !self.landed.reasons.contains(&reason) {
            self.landed.reasons.push(reason);
        }
    }

    /// Flushes when the buffer is full. The commit takes time, so the reading time may be over
    /// then.
    fn flush_when_full(&mut self) -> Result<(), ReadError> {
        if self.bytes + self.quarantine.text.len() <= self.lander.config.limits.buffer_bytes {
            return Ok(());
        }
        self.flush();
        if Instant::now() < self.read_until {
            return Ok(());
        }
        Err(ReadError::Time)
    }
}

/// Receives the rows of one object.
struct ObjectSink<'r, 'l> {
    landing: &'r mut Landing<'l>,
    number: usize,
    pass: Pass,
}

impl Sink for ObjectSink<'_, '_> {
    fn row(&mut self, row: &Row<'_>, place: RowPlace) -> Result<(), ReadError> {
        let (landing, number, is_routed) = (&mut *self.landing, self.number, place.is_derived);
        if let Some(left) = landing.selection.exclusion(row) {
            if self.pass == Pass::Land {
                match left {
                    Exclusion::OtherDay => landing.landed.tally.other_day += 1,
                    Exclusion::OtherLogGroup => landing.landed.tally.other_log_group += 1,
                }
            }
            return Ok(());
        }
        if self.pass == Pass::Land {
            landing.landed.tally.rows += 1;
        }
        if self.pass == Pass::Land
            && let Some((day_file, batch)) = &mut landing.present
            && (day_file.file == row.file && day_file.day == row.day && day_file.kind == row.kind)
            && check_line(row).is_ok()
        {
            landing.bytes += batch.push(row, number, is_routed);
            return landing.flush_when_full();
        }
        let day_file = DayFile { file: row.file.to_string(), day: row.day, kind: row.kind };
        let refusal = match (self.pass, check(row)) {
            (Pass::Land, Err(refusal)) => refusal,
            (Pass::Land, Ok(())) => {
                landing.batches.extend(landing.present.take());
                let mut batch = landing.batches.remove(&day_file).unwrap_or_else(|| {
                    landing.bytes += DAY_FILE_BYTES + day_file.file.len();
                    Batch::with(&landing.lander.pool)
                });
                landing.bytes += batch.push(row, number, is_routed);
                landing.present = Some((day_file, batch));
                return landing.flush_when_full();
            }
            (Pass::Closed, Ok(())) => {
                let identity = row.key();
                let mut closed = landing.closed.get(&day_file).into_iter().flatten();
                let closed = closed.find(|(_, rows)| rows.binary_search(&identity).is_ok());
                let Some((closed, _)) = closed else { return Ok(()) };
                landing.closed_rows = landing.closed_rows.saturating_sub(1);
                match *closed == day_file {
                    true => Refusal::Closed(day_file),
                    false => Refusal::ClosedElsewhere(closed.clone()),
                }
            }
            (Pass::Closed, Err(_)) => return Ok(()),
        };
        let (code, reason, mut bytes) = (refusal.code(), &refusal.to_string(), Vec::new());
        row.encode(&mut bytes);
        let length = bytes.len() as u64;
        let (offset, is_event) = (place.offset, true);
        let bad = Bad { offset, is_event, code, reason, length, bytes: &bytes };
        landing.landed.refuse(code);
        landing.quarantined(number, &bad, reason);
        landing.flush_when_full()
    }

    fn skipped(&mut self, skipped: Skipped, events: usize) -> Result<(), ReadError> {
        let tally = &mut self.landing.landed.tally;
        match skipped {
            _ if self.pass == Pass::Closed => {}
            Skipped::Filtered => tally.filtered += events as u64,
            Skipped::PlainLeftOut => tally.plain_left_out += events as u64,
            Skipped::Empty | Skipped::PlainDropped => tally.dropped += 1,
        }
        Ok(())
    }

    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError> {
        if self.pass == Pass::Closed {
            return Ok(());
        }
        self.landing.landed.tally.unreadable += 1;
        self.landing.quarantined(self.number, bad, &format!("at {}: {}", bad.offset, bad.reason));
        self.landing.flush_when_full()
    }
}
