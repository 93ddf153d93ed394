//! What time it is: the machine's clock, or the one moment that `--now` names.

use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{SecondsFormat, TimeZone};

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

/// Milliseconds since the epoch as RFC 3339 has them, in a time zone, to the second or to the
/// millisecond. A time that no calendar has stays a number.
pub fn rfc_3339<Z: TimeZone<Offset: Display>>(time: i64, zone: &Z, unit: SecondsFormat) -> String {
    let at = zone.timestamp_millis_opt(time).single();
    at.map_or_else(|| time.to_string(), |at| at.to_rfc3339_opts(unit, true))
}

/// Milliseconds since the epoch; negative before it.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}
