//! Checks whether a row may land. Rows come from outside: a row that would leave the root or break
//! a line is refused; other rows still land.

use chrono::NaiveTime;

use crate::file_name;
use crate::land::day_file::merge;
use crate::land::root::layout::DayFile;
use crate::row::{Day, Kind, Row};

/// Why a row is refused. Its `code` is stable: metrics and the quarantine use it. It never contains
/// logged text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its file would be outside the root, or look like a day of another file.
    #[error("`file` is not a valid daily file name")]
    File,
    /// Its timestamp does not fall on its day in any time zone.
    #[error("timestamp {0} does not fall on day {1}")]
    Day(i64, Day),
    /// Its line is several lines, or not a complete line to a CSV reader.
    #[error("`line` has a line break or an open quote")]
    Line,
    /// Its day file accepts no more rows.
    #[error("{0} is closed: the days of `[seal] journal_days` have passed")]
    Closed(DayFile),
    /// A closed day file may already have it, by the rules of another configuration.
    #[error("{0} is closed and may have it already, because another configuration sent it there")]
    ClosedElsewhere(DayFile),
}

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::File => "row-file",
            Refusal::Day(..) => "row-day",
            Refusal::Line => "row-line",
            Refusal::Closed(_) | Refusal::ClosedElsewhere(_) => "closed-day",
        }
    }
}

/// Checks a row, except for the state of its day file.
pub(crate) fn check(row: &Row<'_>) -> Result<(), Refusal> {
    file_name::check(&row.file).map_err(|_| Refusal::File)?;
    check_line(row)
}

/// Checks a row's time and line.
pub(super) fn check_line(row: &Row<'_>) -> Result<(), Refusal> {
    let midnight = row.day.date().and_time(NaiveTime::MIN).and_utc().timestamp_millis();
    let hours = row.timestamp.saturating_sub(midnight) / 3_600_000;
    // Today, local time is at most 14 hours ahead of UTC and 12 behind; historically a little more.
    if !(-16..=40).contains(&hours) {
        return Err(Refusal::Day(row.timestamp, row.day));
    }
    let line = row.line.as_bytes();
    let whole = match row.kind {
        Kind::Csv => merge::is_one_csv_line(line),
        _ => memchr::memchr(b'\n', line).is_none(),
    };
    if whole { Ok(()) } else { Err(Refusal::Line) }
}
