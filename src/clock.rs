//! The clock: the machine's, or the fixed time of `--now`.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Offset, SecondsFormat};
use chrono_tz::Tz;

use crate::zone::Zone;

/// The source of "now".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A fixed time, milliseconds since the epoch.
    At(i64),
}

impl Clock {
    /// Milliseconds since the epoch.
    pub fn now(self) -> i64 {
        match self {
            Clock::At(now) => now,
            #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
            Clock::System => milliseconds(SystemTime::now()),
        }
    }
}

/// Formats milliseconds since the epoch as RFC 3339, in a time zone, to the second or millisecond.
/// A time outside the calendar is written as a number.
///
/// It reads hiwake's own table of zones: chrono-tz's adds 1.8 MB to a Lambda's package.
pub fn rfc_3339(time: i64, zone: Tz, unit: SecondsFormat) -> String {
    let Some(utc) = DateTime::from_timestamp_millis(time) else { return time.to_string() };
    let (offset, _) = Zone::new(zone).at(utc.timestamp());
    utc.with_timezone(&offset.fix()).to_rfc3339_opts(unit, true)
}

/// Milliseconds since the epoch; negative before it.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}
