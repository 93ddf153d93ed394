//! What time it is: the machine's clock, or the one moment that `--now` names.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where "now" comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Always this moment, milliseconds since the epoch.
    At(i64),
}

impl Clock {
    /// Milliseconds since the epoch.
    pub fn now(self) -> i64 {
        match self {
            Clock::At(now) => now,
            #[allow(clippy::disallowed_methods, reason = "the one place that reads it")]
            Clock::System => milliseconds(SystemTime::now()),
        }
    }
}

/// Milliseconds since the epoch; negative before it.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}
