//! The row: one labelled event on its way from transform to land, as one line of JSON.
//!
//! ```json
//! {"file":"messages","kind":"csv","day":"2022-04-18","timestamp":1650214747000,"stream":"123456789012:/var/log/messages:i-0abc","id":"3679…","line":"HOGE,…"}
//! ```
//!
//! Transform writes it, S3 keeps it (zcat, Athena and Glue read it), land decodes it. Members may
//! come in any order and unknown ones are ignored, so that rows of every release stay readable.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// How the lines of a day file are formatted, and with it the file's extension.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// RFC 4180: fields joined by commas, quoted where they must be. `.csv`
    #[default]
    Csv,
    /// Fields joined by tabs. `.tsv`
    Tsv,
    /// One JSON object a line. `.ndjson`
    Json,
    /// Fields joined by commas, never quoted: what the old shell script wrote. `.log`
    Raw,
}

impl Kind {
    /// The extension of a day file of this kind, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Kind::Csv => "csv",
            Kind::Tsv => "tsv",
            Kind::Json => "ndjson",
            Kind::Raw => "log",
        }
    }

    /// The kind of the day file that has this extension.
    pub fn from_extension(extension: &str) -> Option<Kind> {
        [Kind::Csv, Kind::Tsv, Kind::Json, Kind::Raw]
            .into_iter()
            .find(|kind| kind.extension() == extension)
    }
}

/// A local calendar date in the configured time zone, `YYYY-MM-DD` with years 0001 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(NaiveDate);

/// A text that is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no day: write YYYY-MM-DD, e.g. 2022-04-18")]
pub struct DayError(String);

impl Day {
    /// The day of a date; `None` outside of the years 0001 to 9999.
    pub fn new(date: NaiveDate) -> Option<Day> {
        use chrono::Datelike;
        (1..=9999).contains(&date.year()).then_some(Day(date))
    }

    /// The date in the calendar.
    pub fn date(self) -> NaiveDate {
        self.0
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Day, DayError> {
        let shaped = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        shaped
            .then(|| NaiveDate::from_str(text).ok().and_then(Day::new))
            .flatten()
            .ok_or_else(|| DayError(text.to_owned()))
    }
}

/// One labelled event. Strings are borrowed from the wire wherever it holds them unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// The daily file's name without its day: one or more path components joined by `/`.
    pub file: Cow<'a, str>,
    /// The format of `line`.
    pub kind: Kind,
    /// The day of `timestamp` in the configured time zone.
    pub day: Day,
    /// Milliseconds since the epoch: the event's own time.
    pub timestamp: i64,
    /// `owner:logGroup:logStream`.
    pub stream: Cow<'a, str>,
    /// The event's id in CloudWatch Logs.
    pub id: Cow<'a, str>,
    /// The labelled line, without its final line break.
    pub line: Cow<'a, str>,
}

/// What makes an event that event: its timestamp, and the XXH3-64 hash of stream and id.
///
/// Two different events of one millisecond collide with a probability of 2⁻⁶⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// XXH3-64 of `stream`, a NUL byte, `id`.
    pub hash: u64,
}
