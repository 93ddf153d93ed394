//! Delivered: the day on which an object was delivered is marked, so that files without an event of
//! it are sealed empty.
//!
//! The mark is durable before the object is acknowledged. The first round of sealing after the
//! day's end takes it away, when it has begun all files.

use crate::day::Calendar;
use crate::land::journal::lander::Lander;
use crate::land::root::error::Result;
use crate::land::root::layout::Delivered;

impl Lander<'_> {
    /// Marks the day on which an object was delivered, once per process, with `seal.empty_days`.
    ///
    /// An object that is older than a day marks nothing: a replay, or a folder that is landed again
    /// and again, says nothing of what arrives now.
    pub(crate) fn mark_delivered(&self, modified: i64) -> Result<()> {
        if !self.config.seal.empty_days {
            return Ok(());
        }
        let (now, mut calendar) = (self.clock.now(), Calendar::new(self.config.timezone, ""));
        // Either fails only for a time that no clock shows.
        let days = (calendar.day(modified.min(now)), calendar.day(now));
        let (Ok(day), Ok(today)) = days else { return Ok(()) };
        let had_ended = day != today;
        if had_ended && today.date().pred_opt() != Some(day.date()) {
            return Ok(());
        }
        let path = Delivered { day, had_ended }.path();
        if !self.journals.is_marked(&path) {
            self.make_hint(&path)?;
            self.journals.mark(path);
        }
        Ok(())
    }
}
