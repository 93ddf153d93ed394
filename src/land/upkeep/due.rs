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
use crate::row::Kind;

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
        let mut sealed: BTreeSet<DayFile> = BTreeSet::new();
        for (day_file, state) in planned.read(self, "seal") {
            if Due::of(self, &day_file, &state).is_some_and(|due| due.at <= now) {
                let open = state.numbered().filter(|(_, segment)| segment.done.is_none());
                let lines = open.map(|(_, segment)| segment.lines()).sum();
                planned.seal.push(PlannedDay { day_file: day_file.to_string(), lines });
                sealed.insert(day_file);
            }
        }
        if config.seal.empty_days {
            planned.add_empty(self, &sealed);
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

    /// The days of literal files that have no lines, as [`Lander::seal`] would begin them.
    fn add_empty(&mut self, lander: &Lander<'_>, sealed: &BTreeSet<DayFile>) {
        let days: BTreeSet<_> = sealed.iter().map(|day_file| day_file.day).collect();
        let files = daily_files(lander.config);
        for (day, (file, kind)) in days.iter().flat_map(|day| files.iter().map(move |f| (*day, f)))
        {
            let day_file = DayFile { file: file.clone(), day, kind: *kind };
            if !matches!(Journal::peek(lander, &day_file), Ok(Some(_))) {
                let day_file = day_file.to_string();
                self.seal.push(PlannedDay { day_file, lines: 0 });
            }
        }
        self.seal.sort();
    }
}

/// The files that a configuration names without a placeholder: they are there every day.
pub(super) fn daily_files(config: &Config) -> BTreeSet<(String, Kind)> {
    let literal = config
        .sources
        .iter()
        .filter_map(|source| Some((source.file.literal()?.to_owned(), source.format(config).kind)));
    literal.collect()
}
