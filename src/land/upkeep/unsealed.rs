//! How long ended days have waited to be sealed. Writes nothing.

use crate::day::day_end;
use crate::land::journal::Journal;
use crate::land::journal::lander::Lander;
use crate::land::root::error::Result;
use crate::land::root::layout::DayFile;
use crate::land::upkeep::calendar::{self, Hints};
use crate::row::Day;

/// How long the oldest unsealed segment has waited, in milliseconds: since its day's end, or since
/// its first commit if that was later. 0 if all ended days are sealed.
///
/// A day with an unreadable journal counts from its end: [`Lander::seal`] reports what is wrong
/// with it. So does a commit whose timestamp is from a clock that was ahead.
pub fn oldest_unsealed(lander: &Lander<'_>) -> Result<i64> {
    let now = lander.clock.now();
    let end_of = |day: Day| day_end(lander.config.timezone, day);
    let ended = |when: &str| when.parse().is_ok_and(|day| end_of(day) <= now);
    let Hints { due, mut unread, .. } = calendar::hints(lander, "seal", &ended);
    let ages = due.iter().filter_map(|(day_file, _)| {
        let since = unsealed_since(lander, day_file);
        since.unwrap_or_else(|_| Some(end_of(day_file.day)))
    });
    let oldest = ages.map(|since| now - since).max().unwrap_or_default().max(0);
    unread.pop().map_or(Ok(oldest), Err)
}

/// Since when the oldest unsealed segment of a day has waited.
fn unsealed_since(lander: &Lander<'_>, day_file: &DayFile) -> Result<Option<i64>> {
    let Some(state) = Journal::read_or_damage(lander, day_file)? else { return Ok(None) };
    let end = day_end(state.timezone(&day_file.journal())?, day_file.day);
    let unsealed = state.numbered().filter(|(_, segment)| segment.sealed.is_none());
    let first =
        unsealed.map(|(_, segment)| segment.commits.first().map_or(end, |commit| commit.at));
    Ok(first.map(|at| if lander.is_ahead(at) { end } else { at.max(end) }).min())
}
