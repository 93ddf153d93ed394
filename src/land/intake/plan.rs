//! Plan: predicts the result of a landing from the root's present state. Takes no locks and writes
//! nothing.
//!
//! Each event that would land takes about 32 bytes of memory.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::disk::Open;
use crate::land::day_file::batch::Batch;
use crate::land::day_file::commit::CommitOutcome;
use crate::land::day_file::dedup::{Committed, Offered};
use crate::land::intake::elsewhere::Sifted;
use crate::land::intake::tally::Tally;
use crate::land::journal::Journal;
use crate::land::journal::lander::Lander;
use crate::land::journal::state::State;
use crate::land::root::error::{Context, Result};
use crate::land::root::layout::DayFile;
use crate::row::{EventKey, Kind};

/// The predicted result for the rows of one day file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DayPlan {
    /// The file's name without its day.
    pub file: String,
    /// The local date.
    pub day: String,
    /// The format.
    pub kind: Kind,
    /// The number of its events.
    pub events: u64,
    /// Of these, those that have already landed, here or in another day file, and duplicates.
    pub there: u64,
    /// Of these, new lines.
    pub new: u64,
    /// Of these, those that would go into quarantine because a closed day file may have them.
    pub quarantined: u64,
    /// Whether the day is sealed, so that new lines go to a late file.
    pub late: bool,
    /// Whether the day itself is closed.
    pub closed: bool,
}

/// The predicted result for all rows.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    days: BTreeMap<DayFile, DayPlan>,
    /// The events that would become lines.
    planned: HashSet<EventKey>,
}

impl Plan {
    /// The predicted result for each day file.
    pub fn days(self) -> Vec<DayPlan> {
        self.days.into_values().collect()
    }

    /// Predicts the commit of a batch. `rows` counts the batch before `sifted` was taken out of it.
    pub(crate) fn commit(
        &mut self,
        lander: &Lander<'_>,
        day_file: &DayFile,
        batch: &Batch,
        (rows, sifted): (u64, &Sifted),
    ) -> Result<CommitOutcome> {
        let (left, state) = (batch.len() as u64, Journal::peek(lander, day_file)?);
        let mut offered: Vec<_> = (0..left as u32).map(|row| (batch.key(row), false)).collect();
        offered.sort_unstable();
        offered.dedup();
        let closed = !mark(lander, day_file, state.as_ref(), &mut offered)?;
        let is_late = state.is_some_and(|state| state.next_segment() > 1);
        offered.retain(|(identity, found)| !closed && !found && self.planned.insert(*identity));
        let lines = offered.len() as u64;
        let DayFile { file, day, kind } = day_file;
        let plan = self.days.entry(day_file.clone()).or_insert_with(|| DayPlan {
            file: file.clone(),
            day: day.to_string(),
            kind: *kind,
            late: is_late,
            closed,
            ..DayPlan::default()
        });
        plan.events += rows;
        plan.there += sifted.duplicates;
        plan.new += lines;
        plan.quarantined += sifted.closed.iter().map(|(_, rows)| rows.len() as u64).sum::<u64>();
        if closed {
            plan.quarantined += left;
            return Ok(CommitOutcome::Closed);
        }
        let duplicates = left - lines;
        plan.there += duplicates;
        let late = if is_late { lines } else { 0 };
        Ok(CommitOutcome::Committed(Tally { lines, late, duplicates, ..Tally::default() }))
    }
}

/// Sets the flags of the offered events that a day file has, as
/// [`commit::ask`](crate::land::day_file::commit::ask) does.
pub(crate) fn ask(lander: &Lander<'_>, day_file: &DayFile, offered: &mut Offered) -> Result<bool> {
    mark(lander, day_file, Journal::read_or_damage(lander, day_file)?.as_ref(), offered)
}

fn mark(
    lander: &Lander<'_>,
    day_file: &DayFile,
    state: Option<&State>,
    offered: &mut Offered,
) -> Result<bool> {
    let Some(state) = state else { return Ok(true) };
    if state.seen() > 0 {
        let path = day_file.seen();
        let seen = lander.disk.open(&path, Open::Read).context("open", &path)?;
        Committed { seen: seen.as_ref(), day_file, blocks: &state.blocks }.mark(offered)?;
    }
    Ok(state.closed.is_none())
}
