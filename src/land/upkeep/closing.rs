//! The end of a day file: closing its journal, and removing its published files when retention
//! requires it.

use crate::day::DAY_MS;
use crate::land::day_file::hold::Hold;
use crate::land::day_file::publish::{ANNOUNCED, lock};
use crate::land::journal::Journal;
use crate::land::journal::frame::{Closed, Frame, SegmentEvent};
use crate::land::journal::lander::Lander;
use crate::land::journal::state::State;
use crate::land::root::error::{Context, Result};
use crate::land::root::folders;
use crate::land::root::layout::{DayFile, Hint, checksum_of};
use crate::land::upkeep::calendar::{self, Due, move_hint};

/// Closes a day's journal when `journal_days` have passed since its last segment was published.
pub(super) fn close(lander: &Lander<'_>, due: &Due, days: u32) -> Result<Option<DayFile>> {
    let (day_file, _) = due;
    let mut closed_now = false;
    // An interrupted close is also due.
    let is_due = |state: &State| state.closed.is_some() || published_before(lander, state, days);
    let state = calendar::read(lander, day_file)?;
    if !is_due(&state) {
        return move_hint(lander, due, &state).map(|()| None);
    }
    let (mut journal, _) = lock(lander, day_file)?;
    if journal.state.closed.is_some() {
        // The slot may come from a process that was killed before its sync, or whose sync failed.
        journal.rewrite_last_frame()?;
        Hold::take(lander, day_file, &mut journal)?.clear_seen()?;
    } else if is_due(&journal.state) {
        let closed = closed(&journal.state, lander.clock.now());
        // Under all locks, and with the lease checked: no other process may be about to append.
        let hold = Hold::take(lander, day_file, &mut journal)?;
        hold.journal.check_lease()?;
        closed_now = hold.journal.close(closed)?;
        if closed_now {
            hold.clear_seen()?;
        }
    }
    move_hint(lander, due, &journal.state)?;
    // Without the seal function, no round has announced the segments: remove their hints.
    let segments = journal.state.closed.as_ref().map_or(0, |closed| closed.segments.len());
    for segment in 1..=segments as u32 {
        for rounds in 1..=ANNOUNCED {
            folders::remove(lander, &day_file.hint(&Hint::Announce(rounds, segment)))?;
        }
    }
    Ok(closed_now.then(|| day_file.clone()))
}

/// Whether all segments are published, the last one at least `days` days ago.
pub(super) fn published_before(lander: &Lander<'_>, state: &State, days: u32) -> bool {
    let age = i64::from(days) * DAY_MS;
    state.last_done().is_some_and(|at| at + age <= lander.clock.now())
}

fn closed(state: &State, at: i64) -> Closed {
    let segments = state.segments.iter().filter_map(|segment| {
        let sealed = segment.sealed.as_ref()?;
        Some(sealed.closed(segment.done.unwrap_or(sealed.at), segment.removed))
    });
    Closed { at, segments: segments.collect() }
}

/// Removes the published files of a day when `retention.days` have passed since its last segment
/// was published. The frames come first, then each checksum, then its file: after a crash in
/// between, the next round removes what is left.
pub(super) fn retain(lander: &Lander<'_>, due: &Due, days: u32) -> Result<Vec<String>> {
    let (day_file, _) = due;
    let state = calendar::read(lander, day_file)?;
    if !published_before(lander, &state, days) {
        return move_hint(lander, due, &state).map(|()| Vec::new());
    }
    let (mut journal, _) = lock(lander, day_file)?;
    if !published_before(lander, &journal.state, days) {
        return Ok(Vec::new());
    }
    let published = journal.state.published(day_file);
    let at = lander.clock.now();
    let append = |journal: &mut Journal<'_>| {
        // The frames read here may come from a process that was killed before its sync.
        journal.rewrite_last_frame()?;
        for one in published.iter().filter(|one| !one.removed) {
            journal.append(Frame::Removed(SegmentEvent { segment: one.segment, at }))?;
        }
        Ok(())
    };
    journal.check_lease()?;
    match journal.state.closed {
        Some(_) => append(&mut journal)?,
        None => {
            let hold = Hold::take(lander, day_file, &mut journal)?;
            append(hold.journal)?;
            hold.write_watermark()?;
        }
    }
    for one in &published {
        for path in [&checksum_of(&one.path), &one.path] {
            folders::remove(lander, path)?;
            lander.disk.sync_dir(day_file.folder()).context("sync", day_file.folder())?;
        }
    }
    move_hint(lander, due, &journal.state)?;
    Ok(published.into_iter().filter(|one| !one.removed).map(|one| one.path).collect())
}
