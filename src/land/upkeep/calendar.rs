//! The calendar of hints below [`DUE`]: it only says where to look. The journals decide, and wrong
//! hints are corrected from them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::land::journal::Journal;
use crate::land::journal::lander::Lander;
use crate::land::journal::state::State;
use crate::land::root::error::{LandError, Result};
use crate::land::root::folders::{self, Below};
use crate::land::root::layout::{DUE, DayFile, Hint};

/// A hint: a day file, or a segment of it, and what to do with it.
pub(super) type Due = (DayFile, Hint);

/// The hints that were read from the calendar.
pub(super) struct Hints {
    /// The day files and segments that are due.
    pub(super) due: Vec<Due>,
    /// All dates in the calendar, due or not: `<what>/<when>`.
    pub(super) names: Vec<String>,
    /// Its empty folders.
    pub(super) empty: Vec<String>,
    /// The parts that could not be read.
    pub(super) unread: Vec<LandError>,
}

/// Reads the hints for one kind of work, `what`, and keeps those that are due.
pub(super) fn hints(lander: &Lander<'_>, what: &str, due: &dyn Fn(&str) -> bool) -> Hints {
    let folder = format!("{DUE}/{what}");
    let names = RefCell::new(Vec::new());
    let enter = |path: &str| {
        let below = path.strip_prefix(&folder).and_then(|path| path.strip_prefix('/'));
        below.is_some_and(|path| {
            path.contains('/') || {
                names.borrow_mut().push(format!("{what}/{path}"));
                due(path)
            }
        })
    };
    let Below { files, mut empty, unread } = folders::walk(lander, &folder, &enter);
    empty.retain(|empty| *empty != folder);
    let due = files.iter().filter_map(|path| DayFile::of_hint(path)).collect();
    Hints { due, names: names.into_inner(), empty, unread }
}

/// The dates in the calendar, as an idle round sees them.
pub(super) fn names(lander: &Lander<'_>) -> BTreeSet<String> {
    let what = ["seal", "close", "removed"].into_iter();
    let what = what.chain((lander.config.retention.days > 0).then_some("closed"));
    what.flat_map(|what| hints(lander, what, &|_| false).names).collect()
}

/// Reads the journal of a day file that a hint names.
pub(super) fn read(lander: &Lander<'_>, day_file: &DayFile) -> Result<State> {
    Journal::read_or_damage(lander, day_file)?.ok_or_else(|| lander.hint_without_journal(day_file))
}

/// Replaces a hint that disagrees with the journal.
pub(super) fn move_hint(lander: &Lander<'_>, (day_file, found): &Due, state: &State) -> Result<()> {
    let right = state.calendar_hint();
    if right.as_ref() == Some(found) || state.last_done().is_none() {
        return Ok(());
    }
    if let Some(right) = right {
        lander.make_hint(&day_file.hint(&right))?;
    }
    folders::remove(lander, &day_file.hint(found))
}
