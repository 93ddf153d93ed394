//! The row: one labelled event on its way from transform to land, as one line of JSON.
//!
//! ```json
//! {"file":"messages","kind":"csv","day":"2022-04-18","timestamp":1650214747000,"stream":"123456789012:/var/log/messages:i-0abc","id":"~AAFN…","line":"HOGE,…"}
//! ```
//!
//! Transform writes it, S3 keeps it (zcat, Athena and Glue read it), land decodes it. Members may
//! come in any order and unknown ones are ignored, so that rows of every release stay readable.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::event_id;
use crate::json::{self, Text};

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
    const ALL: [Kind; 4] = [Kind::Csv, Kind::Tsv, Kind::Json, Kind::Raw];

    /// The extension of a day file of this kind, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Kind::Csv => "csv",
            Kind::Tsv => "tsv",
            Kind::Json => "ndjson",
            Kind::Raw => "log",
        }
    }

    /// Its name in rows and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Csv => "csv",
            Kind::Tsv => "tsv",
            Kind::Json => "json",
            Kind::Raw => "raw",
        }
    }

    /// The kind of this name.
    pub(crate) fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind of the day file that has this extension.
    pub(crate) fn from_extension(extension: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.extension() == extension)
    }
}

/// A local calendar date in the configured time zone, `YYYY-MM-DD` with years 0001 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Day(NaiveDate);

/// A text that is not a valid day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid day: write YYYY-MM-DD, e.g. 2022-04-18")]
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
    /// The event's id in CloudWatch Logs, in the form of [`event_id::short`].
    pub id: Cow<'a, str>,
    /// The labelled line, without its final line break.
    pub line: Cow<'a, str>,
}

/// What makes an event that event: its timestamp, and the XXH3-64 hash of stream and id.
///
/// Two different events of one millisecond collide with a probability of 2⁻⁶⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKey {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// XXH3-64 of `stream`, a NUL byte, `id`.
    pub hash: u64,
}

/// Why a line is not a valid row: quarantined as `malformed-row`. Never holds what was logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It ends inside the object.
    #[error("not a valid row: it ends too early, at column {0}")]
    Torn(usize),
    /// It is not a valid JSON from this column on.
    #[error("not a valid row: not valid JSON at column {0}")]
    Json(usize),
    /// The field that ends at this column is of another type.
    #[error("not a valid row: a field of the wrong type at column {0}")]
    Type(usize),
    /// A field stands there twice.
    #[error("not a valid row: field `{0}` appears twice")]
    Repeated(&'static str),
    /// A field is missing.
    #[error("not a valid row: field `{0}` is missing")]
    Missing(&'static str),
    /// An unknown kind.
    #[error("not a valid row: `kind` must be csv, tsv, json or raw")]
    Kind,
    /// No day.
    #[error("not a valid row: `day` must be written YYYY-MM-DD")]
    Day,
}

impl Row<'_> {
    /// Appends the row as one line of JSON with its line break. The same row gives the same bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        Encoder::default().row(self, out);
    }

    /// What makes its event that event: the same for the event wherever it comes by again.
    pub fn key(&self) -> EventKey {
        EventKey { timestamp: self.timestamp, hash: hash(&self.stream, &self.id) }
    }
}

/// Writes rows; keeps the text of what is the same in the next row of a log stream.
#[derive(Default)]
pub struct Encoder {
    file: String,
    kind: Kind,
    day: Option<Day>,
    /// Up to the timestamp.
    head: Vec<u8>,
    stream: String,
    /// From the timestamp to the id.
    middle: Vec<u8>,
}

impl Encoder {
    /// Appends a row as one line of JSON with its line break. The same row gives the same bytes.
    pub fn row(&mut self, row: &Row<'_>, out: &mut Vec<u8>) {
        if self.day != Some(row.day) || self.kind != row.kind || self.file != row.file {
            (self.day, self.kind) = (Some(row.day), row.kind);
            row.file.as_ref().clone_into(&mut self.file);
            self.head.clear();
            head(row, &mut self.head);
        }
        if self.stream != row.stream || self.middle.is_empty() {
            row.stream.as_ref().clone_into(&mut self.stream);
            self.middle.clear();
            member(&mut self.middle, b",\"stream\":", &row.stream);
            self.middle.extend_from_slice(b",\"id\":");
        }
        out.extend_from_slice(&self.head);
        out.extend_from_slice(itoa::Buffer::new().format(row.timestamp).as_bytes());
        out.extend_from_slice(&self.middle);
        json_escape_simd::escape_into(&*row.id, out);
        member(out, b",\"line\":", &row.line);
        out.extend_from_slice(b"}\n");
    }
}

/// Appends what a row begins with, up to its timestamp.
pub(crate) fn head(row: &Row<'_>, out: &mut Vec<u8>) {
    member(out, b"{\"file\":", &row.file);
    let (kind, day) = (row.kind.name(), row.day);
    write!(out, ",\"kind\":\"{kind}\",\"day\":\"{day}\",\"timestamp\":")
        .expect("writing to a Vec cannot fail");
}

fn member(out: &mut Vec<u8>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    json_escape_simd::escape_into(value, out);
}

/// XXH3-64 of `stream`, NUL, `id`.
fn hash(stream: &str, id: &str) -> u64 {
    let mut buffer = [0; 256];
    let length = stream.len() + 1 + id.len();
    match buffer.get_mut(..length) {
        // In one go: several times faster than by the hasher's state.
        Some(bytes) => {
            bytes[..stream.len()].copy_from_slice(stream.as_bytes());
            bytes[stream.len() + 1..].copy_from_slice(id.as_bytes());
            xxh3_64(bytes)
        }
        None => {
            let mut hasher = Xxh3::new();
            hasher.update(stream.as_bytes());
            hasher.update(&[0]);
            hasher.update(id.as_bytes());
            hasher.digest()
        }
    }
}

/// The fields of a row.
pub(crate) const FIELDS: [&str; 7] = ["file", "kind", "day", "timestamp", "stream", "id", "line"];

/// A row on the wire: every member optional, so that what is missing can be named.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    file: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    day: Option<Text<'a>>,
    timestamp: Option<i64>,
    #[serde(borrow)]
    stream: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    line: Option<Text<'a>>,
}

/// The first field of a row that an object has twice.
fn repeated(line: &[u8]) -> Option<&'static str> {
    let keys = json::keys(line)?;
    let count = |name: &str| keys.iter().filter(|key| **key == name).count();
    FIELDS.into_iter().find(|name| count(name) > 1)
}

impl<'a> Row<'a> {
    /// Reads one line, with or without its line break. Members may come in any order; unknown ones
    /// are ignored. What is not escaped is borrowed from `line`.
    pub fn decode(line: &'a [u8]) -> Result<Row<'a>, RowError> {
        let wire: Wire<'a> = serde_json::from_slice(line).map_err(|error| {
            if let Some(name) = repeated(line) {
                return RowError::Repeated(name);
            }
            match error.classify() {
                serde_json::error::Category::Eof => RowError::Torn(error.column()),
                serde_json::error::Category::Data => RowError::Type(error.column()),
                _ => RowError::Json(error.column()),
            }
        })?;
        let text = |field: Option<Text<'a>>, name| match field {
            Some(Text(text)) => Ok(text),
            None => Err(RowError::Missing(name)),
        };
        let kind = text(wire.kind, "kind")?;
        let day = text(wire.day, "day")?;
        let timestamp = wire.timestamp.ok_or(RowError::Missing("timestamp"))?;
        let mut id = text(wire.id, "id")?;
        if id.starts_with(|first: char| first.is_ascii_digit()) {
            // As CloudWatch gave it, in a row that somebody else made: the same event all the same.
            let mut short = String::new();
            if event_id::short(&id, timestamp, &mut short) != id {
                id = Cow::Owned(short);
            }
        }
        Ok(Row {
            file: text(wire.file, "file")?,
            kind: Kind::from_name(&kind).ok_or(RowError::Kind)?,
            day: day.parse().map_err(|_: DayError| RowError::Day)?,
            timestamp,
            stream: text(wire.stream, "stream")?,
            id,
            line: text(wire.line, "line")?,
        })
    }
}

/// Owner, log group and log stream of a row's `stream`; `None`: it is that of plain text.
pub fn log_group(stream: &str) -> Option<(&str, &str, &str)> {
    let (owner, rest) = stream.split_once(':')?;
    let (group, stream) = rest.split_once(':')?;
    // An account is a number; plain text's stream is an ARN or a bucket with a key.
    let account = !owner.is_empty() && owner.bytes().all(|byte| byte.is_ascii_digit());
    account.then_some((owner, group, stream))
}
