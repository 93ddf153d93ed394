//! Checks whether an event's time is plausible. Pure.
//!
//! CloudWatch Logs accepts no event that is more than 14 days old or 2 hours ahead. A timestamp
//! that is decades off is mostly in another unit.

use std::time::Duration;

use crate::config::Limits;

/// Milliseconds of a day, and of a year.
const DAY: u64 = 86_400_000;
const YEAR: u64 = 31_557_600_000;

/// Why an event's time cannot be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("timestamp {timestamp} is {} {side} its arrival{}", span(*.apart), why(*.unit, limit))]
pub struct TimeFault {
    timestamp: i64,
    /// The distance in milliseconds.
    apart: u64,
    /// `before` or `after`.
    side: &'static str,
    /// The setting that it exceeds.
    limit: &'static str,
    /// The unit that it may have instead of milliseconds.
    unit: Option<&'static str>,
}

/// Arrivals before 2006-01-01 are wrong: AWS did not exist.
pub(crate) const ARRIVAL_MIN: i64 = 1_136_073_600_000;

/// Compares an event's time with its arrival, both in milliseconds since the epoch. Nothing is
/// checked if the arrival cannot be right.
pub(crate) fn check(timestamp: i64, arrival: i64, limits: &Limits) -> Result<(), TimeFault> {
    if arrival < ARRIVAL_MIN {
        return Ok(());
    }
    let is_near = |timestamp: i64| {
        let (limit, apart) = match timestamp < arrival {
            true => (limits.event_age, arrival.abs_diff(timestamp)),
            false => (limits.event_ahead, arrival.abs_diff(timestamp)),
        };
        Duration::from_millis(apart) <= limit
    };
    if is_near(timestamp) {
        return Ok(());
    }
    let units = [
        ("seconds", timestamp.saturating_mul(1_000)),
        ("microseconds", timestamp / 1_000),
        ("nanoseconds", timestamp / 1_000_000),
    ];
    let unit = units.into_iter().find(|(_, meant)| is_near(*meant)).map(|(unit, _)| unit);
    let (side, limit) = match timestamp < arrival {
        true => ("before", "event_age"),
        false => ("after", "event_ahead"),
    };
    Err(TimeFault { timestamp, apart: arrival.abs_diff(timestamp), side, limit, unit })
}

fn span(milliseconds: u64) -> String {
    match milliseconds {
        years if years >= 2 * YEAR => format!("{} years", years / YEAR),
        days if days >= 2 * DAY => format!("{} days", days / DAY),
        short if short < 2_000 => format!("{short} ms"),
        short => humantime::format_duration(Duration::from_secs(short / 1_000)).to_string(),
    }
}

fn why(unit: Option<&str>, limit: &str) -> String {
    match unit {
        Some(unit) => format!(": {unit} instead of milliseconds?"),
        None => format!(", more than limits.{limit}"),
    }
}
