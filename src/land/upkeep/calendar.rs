//! The calendar of hints below [`DUE`], which says where to look: it is read, and corrected by the
//! journals, which decide.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::land::journal::Journal;
use crate::land::journal::lander::Lander;
use crate::land::journal::state::State;
use crate::land::root::error::{LandError, Result};
use crate::land::root::folders::{self, Below};
use crate::land::root::layout::{DUE, DayFile, Hint};

/// What the calendar names: a day file, or a segment of it, and what is to be done.
pub(super) type Due = (DayFile, Hint);

/// What the calendar has.
pub(super) struct Hints {
    /// The day files and segments that it names, by what is to be done and when.
    pub(super) due: Vec<Due>,
    /// The dates that it names for what is to be done, due or not: `<what>/<when>`.
    pub(super) names: Vec<String>,
    /// Folders of it that have nothing in them.
    pub(super) empty: Vec<String>,
    /// What of it could not be read.
    pub(super) unread: Vec<LandError>,
}

/// What the calendar has of one thing that is to be done, where that is due.
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

/// The dates that the calendar names, as a round of sealing that finds nothing due sees them.
pub(super) fn names(lander: &Lander<'_>) -> BTreeSet<String> {
    let what = ["seal", "close", "removed"].into_iter();
    let what = what.chain((lander.config.retention.days > 0).then_some("closed"));
    what.flat_map(|what| hints(lander, what, &|_| false).names).collect()
}

/// The journal of a day file that a hint names.
pub(super) fn read(lander: &Lander<'_>, day_file: &DayFile) -> Result<State> {
    Journal::read_or_damage(lander, day_file)?.ok_or_else(|| lander.hint_without_journal(day_file))
}

/// A hint that does not say what the journal says becomes the one that does.
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
