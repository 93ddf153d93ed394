//! Due dates: when each day may be sealed, and what a round of sealing would do now. Writes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::config::{Config, Plain};
use crate::day::{day_end, utc_day};
use crate::land::day_file::seal;
use crate::land::journal::Journal;
use crate::land::journal::lander::Lander;
use crate::land::journal::state::State;
use crate::land::root::error::LandError;
use crate::land::root::folders;
use crate::land::root::layout::{DELIVERED, DUE, DayFile, Delivered};
use crate::land::upkeep::calendar::{self, Hints};
use crate::land::upkeep::closing::published_before;
use crate::row::{Day, Kind};

/// When a day may be sealed at the earliest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Due {
    /// Milliseconds since the epoch.
    pub at: i64,
    /// The reason for that time.
    pub because: Because,
}

/// Why a day is due at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// `seal.grace` after the day's end.
    DayEnd,
    /// `seal.grace` after the last commit, but at most 48 hours after the first one.
    LastCommit,
    /// An interrupted round of sealing; the next round finishes it.
    Interrupted,
}

impl Due {
    /// Whether it has waited for more than 6 hours, the limit of the alarm.
    pub(super) fn is_overdue(self, now: i64) -> bool {
        self.at + 6 * 3600 * 1000 < now
    }

    /// When the empty files of a day with a delivery are due. If that day had ended, the next round
    /// begins them as a commit would, and they wait for the objects that follow.
    fn of_mark(lander: &Lander<'_>, mark: Delivered) -> Due {
        let grace = lander.config.seal.grace.as_millis() as i64;
        let end = day_end(lander.config.timezone, mark.day);
        match mark.had_ended {
            false => Due { at: end + grace, because: Because::DayEnd },
            true => {
                let begun = lander.clock.now().max(end + grace);
                Due { at: begun + grace, because: Because::LastCommit }
            }
        }
    }

    /// When the earliest segment is due; `None`: all are published, or the time zone is unknown.
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

/// The day files that are not sealed yet, including those that would be sealed empty. A day file
/// with an unreadable journal is left out: [`Lander::seal`] reports what is wrong with it.
pub fn waiting(lander: &Lander<'_>) -> Vec<(Due, DayFile)> {
    let Hints { due, .. } = calendar::hints(lander, "seal", &|_| true);
    let day_files: BTreeSet<DayFile> = due.into_iter().map(|(day_file, _)| day_file).collect();
    let waits = day_files.into_iter().filter_map(|day_file| {
        let state = Journal::peek(lander, &day_file).ok()??;
        Some((Due::of(lander, &day_file, &state)?, day_file))
    });
    let (empty, _) = empty(lander);
    waits.chain(empty.into_iter().map(|(day_file, due)| (due, day_file))).collect()
}

/// The day files that would be sealed empty if no event of them followed, and what cannot be read.
pub(super) fn empty(lander: &Lander<'_>) -> (BTreeMap<DayFile, Due>, Vec<LandError>) {
    let (mut empty, mut unread) = (BTreeMap::new(), Vec::new());
    let marks = delivered(lander).unwrap_or_else(|error| {
        unread.push(error);
        Vec::new()
    });
    for mark in marks {
        let due = Due::of_mark(lander, mark);
        for day_file in daily_files(lander.config, mark.day) {
            match is_begun(lander, &day_file) {
                Ok(true) => {}
                Ok(false) => {
                    let known = empty.entry(day_file).or_insert(due);
                    *known = due.min(*known);
                }
                Err(error) => unread.push(error),
            }
        }
    }
    (empty, unread)
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
    /// The lines to be sealed.
    pub lines: u64,
}

impl Lander<'_> {
    /// Plans what [`Lander::seal`] would do. Takes no locks and writes nothing.
    pub fn plan_seal(&self) -> Planned {
        let (config, now) = (self.config, self.clock.now());
        let mut planned = Planned::default();
        for (day_file, state) in planned.read(self, "seal") {
            if Due::of(self, &day_file, &state).is_some_and(|due| due.at <= now) {
                let open = state.numbered().filter(|(_, segment)| segment.done.is_none());
                let lines = open.map(|(_, segment)| segment.lines()).sum();
                planned.seal.push(PlannedDay { day_file: day_file.to_string(), lines });
            }
        }
        let (empty, unread) = empty(self);
        planned.failed.extend(unread.iter().map(LandError::to_string));
        for (day_file, _) in empty.into_iter().filter(|(_, due)| due.at <= now) {
            planned.seal.push(PlannedDay { day_file: day_file.to_string(), lines: 0 });
        }
        planned.seal.sort();
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
    /// The day files in the calendar, and the states in their journals.
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

/// The days on which an object was delivered.
pub(super) fn delivered(lander: &Lander<'_>) -> Result<Vec<Delivered>, LandError> {
    let folder = format!("{DUE}/{DELIVERED}");
    let names = folders::names(lander, &folder)?.into_iter();
    let marks = names.filter_map(|name| Delivered::of_path(&format!("{folder}/{name}")));
    let mut marks: Vec<_> = marks.collect();
    marks.sort_unstable();
    Ok(marks)
}

/// The day files that are sealed empty on a day with a delivery: those whose configured names have
/// no placeholder.
pub(super) fn daily_files(config: &Config, day: Day) -> BTreeSet<DayFile> {
    if !config.seal.empty_days {
        return BTreeSet::new();
    }
    let of_sources = config.sources.iter().map(|source| (&source.file, source.format(config).kind));
    let templates = of_sources.chain([(&config.unmatched.file, config.format.kind)]);
    let literal = templates.filter_map(|(file, kind)| Some((file.literal()?, kind)));
    // The default `[plain]` was not requested.
    let plain = Some(&config.plain).filter(|plain| !plain.drop && **plain != Plain::default());
    let plain = plain.map(|plain| (plain.file.as_str(), plain.kind));
    let day_file = |(file, kind): (&str, _)| DayFile { file: file.to_owned(), day, kind };
    literal.chain(plain).map(day_file).collect()
}

/// Whether a day file was begun in any kind: its source may have had another kind then.
pub(super) fn is_begun(lander: &Lander<'_>, day_file: &DayFile) -> Result<bool, LandError> {
    let others = Kind::ALL.into_iter().filter(|kind| *kind != day_file.kind);
    for kind in [day_file.kind].into_iter().chain(others) {
        let state = Journal::peek(lander, &DayFile { kind, ..day_file.clone() })?;
        if state.is_some_and(|one| one.closed.is_some() || !one.segments.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}
