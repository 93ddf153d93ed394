//! What is due of a root: when each day may be sealed, and what a round of sealing would do now.
//! Writes nothing.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::config::Config;
use crate::day::utc_day;
use crate::land::day_file::seal;
use crate::land::journal::Journal;
use crate::land::journal::lander::Lander;
use crate::land::journal::state::State;
use crate::land::root::error::LandError;
use crate::land::root::layout::DayFile;
use crate::land::upkeep::calendar::{self, Hints};
use crate::land::upkeep::closing::published_before;
use crate::row::{Day, Kind};

/// When a day may be sealed at the earliest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Due {
    /// Milliseconds since the epoch.
    pub at: i64,
    /// What that follows from.
    pub because: Because,
}

/// Why a day is due at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// `seal.grace` has to pass after the day's end.
    DayEnd,
    /// `seal.grace` has to pass after the last commit; 48 hours after the first one suffice.
    LastCommit,
    /// A round of sealing was interrupted, and the next one finishes it.
    Interrupted,
}

impl Due {
    /// As the alarm has it: what waits for more than 6 hours is wrong.
    pub(super) fn is_overdue(self, now: i64) -> bool {
        self.at + 6 * 3600 * 1000 < now
    }

    /// The earliest of its segments; `None`: all are published, or the time zone is unknown.
    pub(super) fn of(lander: &Lander<'_>, day_file: &DayFile, state: &State) -> Option<Due> {
        let unpublished = state.numbered().filter(|(_, segment)| segment.done.is_none());
        let due = unpublished.filter_map(|(_, segment)| {
            if let Some(at) = segment.frozen {
                return Some(Due { at, because: Because::Interrupted });
            }
            let at = seal::due_at(lander, day_file, state, segment).ok()?;
            let is_late = at > seal::ended_at(lander, day_file, state).ok()?;
            let because = if is_late { Because::LastCommit } else { Because::DayEnd };
            Some(Due { at, because })
        });
        due.min()
    }
}

/// The day files that wait for their seal. One whose journal cannot be read is left out:
/// [`Lander::seal`] says what is wrong with it.
pub fn waiting(lander: &Lander<'_>) -> Vec<(Due, DayFile)> {
    let Hints { due, .. } = calendar::hints(lander, "seal", &|_| true);
    let day_files: BTreeSet<DayFile> = due.into_iter().map(|(day_file, _)| day_file).collect();
    let waits = day_files.into_iter().filter_map(|day_file| {
        let state = Journal::peek(lander, &day_file).ok()??;
        Some((Due::of(lander, &day_file, &state)?, day_file))
    });
    waits.collect()
}

/// What a round of sealing would do now.
#[derive(Debug, Default, Serialize)]
pub struct Planned {
    /// The day files that would be sealed.
    pub seal: Vec<PlannedDay>,
    /// The day files that would be closed.
    pub close: Vec<String>,
    /// The files that retention would remove.
    pub remove: Vec<String>,
    /// What could not be read.
    pub failed: Vec<String>,
}

/// A day file that would be sealed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PlannedDay {
    /// The day file.
    pub day_file: String,
    /// The lines that are to be sealed.
    pub lines: u64,
}

impl Lander<'_> {
    /// Says what [`Lander::seal`] would do. Takes no locks and writes nothing.
    pub fn plan_seal(&self) -> Planned {
        let (config, now) = (self.config, self.clock.now());
        let mut planned = Planned::default();
        let mut days = BTreeSet::new();
        for (day_file, state) in planned.read(self, "seal") {
            if Due::of(self, &day_file, &state).is_some_and(|due| due.at <= now) {
                let open = state.numbered().filter(|(_, segment)| segment.done.is_none());
                let is_first = !state.is_done(1);
                let lines = open.map(|(_, segment)| segment.lines()).sum();
                planned.seal.push(PlannedDay { day_file: day_file.to_string(), lines });
                days.extend(is_first.then_some(day_file.day));
            }
        }
        if config.seal.empty_days {
            for (day_file, looked) in quiet(self, &days) {
                planned.failed.extend(looked.err().map(|error| error.to_string()));
                planned.seal.push(PlannedDay { day_file: day_file.to_string(), lines: 0 });
            }
            planned.seal.sort();
        }
        for what in ["close", "closed"] {
            let days = config.retention.days;
            for (day_file, state) in planned.read(self, what) {
                if days > 0 && published_before(self, &state, days) {
                    let kept = state.published(&day_file).into_iter().filter(|one| !one.removed);
                    planned.remove.extend(kept.map(|one| one.path));
                }
            }
        }
        for what in ["close", "removed"] {
            for (day_file, state) in planned.read(self, what) {
                if published_before(self, &state, config.seal.journal_days) {
                    planned.close.push(day_file.to_string());
                }
            }
        }
        planned
    }
}

impl Planned {
    /// The day files that the calendar names, and what their journals say.
    fn read(&mut self, lander: &Lander<'_>, what: &str) -> Vec<(DayFile, State)> {
        let today = utc_day(lander.clock.now());
        let may = |day| if what == "seal" { lander.may_seal(day) } else { day <= today };
        let past = |when: &str| when.parse().is_ok_and(may);
        let Hints { due, unread, .. } = calendar::hints(lander, what, &past);
        self.failed.extend(unread.iter().map(LandError::to_string));
        let day_files: BTreeSet<DayFile> = due.into_iter().map(|(day_file, _)| day_file).collect();
        let read = day_files.into_iter().filter_map(|day_file| {
            let state = calendar::read(lander, &day_file);
            let state = state.inspect_err(|error| self.failed.push(error.to_string()));
            state.ok().map(|state| (day_file, state))
        });
        read.collect()
    }
}

/// The day files of literal names that were not begun, of whatever kind, on days whose first
/// segments are sealed; or why that cannot be told.
pub(super) fn quiet(
    lander: &Lander<'_>,
    days: &BTreeSet<Day>,
) -> Vec<(DayFile, Result<(), LandError>)> {
    let files = daily_files(lander.config);
    let day_files = days.iter().flat_map(|day| {
        files.iter().map(|(file, kind)| DayFile { file: file.clone(), day: *day, kind: *kind })
    });
    let looked = day_files.filter_map(|day_file| {
        // Its source may have had another kind then.
        let is_begun = |kind| {
            let state = Journal::peek(lander, &DayFile { kind, ..day_file.clone() })?;
            Ok(state.is_some_and(|one| one.closed.is_some() || !one.segments.is_empty()))
        };
        let mut kinds = Kind::ALL.into_iter().map(is_begun);
        match kinds.find(|begun| !matches!(begun, Ok(false))) {
            Some(Ok(_)) => None,
            Some(Err(error)) => Some((day_file, Err(error))),
            None => Some((day_file, Ok(()))),
        }
    });
    looked.collect()
}

/// The files that a configuration names without a placeholder: they are there every day.
fn daily_files(config: &Config) -> BTreeSet<(String, Kind)> {
    let literal = config
        .sources
        .iter()
        .filter_map(|source| Some((source.file.literal()?.to_owned(), source.format(config).kind)));
    literal.collect()
}
