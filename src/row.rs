//! The row: one labelled event between transform and land, with its origin and its identity.
//!
//! Between the functions, rows are compact text ([`rows`](crate::rows)). A single row is a JSON
//! object: in the quarantine, in `hiwake cat --rows`, and in the output of version 0.1.
//!
//! ```json
//! {"file":"messages","kind":"csv","day":"2022-04-18","timestamp":1650214747000,"owner":"123456789012","log_group":"/var/log/messages","log_stream":"i-0abc","id":"~AAFN…","line":"HOGE,…"}
//! ```
//!
//! Fields may come in any order and unknown ones are ignored.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::event_id;
use crate::json::{self, Text};

/// How the lines of a day file are formatted, and with it the file's extension.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// RFC 4180, `.csv`.
    #[default]
    Csv,
    /// Joined by tabs, `.tsv`.
    Tsv,
    /// One JSON object a line, `.ndjson`.
    Json,
    /// Joined by commas, never quoted, `.log`.
    Raw,
}

impl Kind {
    /// All kinds.
    pub(crate) const ALL: [Kind; 4] = [Kind::Csv, Kind::Tsv, Kind::Json, Kind::Raw];

    /// The extension of a day file of this kind, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Kind::Csv => "csv",
            Kind::Tsv => "tsv",
            Kind::Json => "ndjson",
            Kind::Raw => "log",
        }
    }

    /// The kind's name in rows and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Csv => "csv",
            Kind::Tsv => "tsv",
            Kind::Json => "json",
            Kind::Raw => "raw",
        }
    }

    /// The kind with this name.
    pub(crate) fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind of a day file with this extension.
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
    /// The day of a date; `None` outside the years 0001 to 9999.
    pub fn new(date: NaiveDate) -> Option<Day> {
        use chrono::Datelike;
        (1..=9999).contains(&date.year()).then_some(Day(date))
    }

    /// The day as a calendar date.
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

/// One labelled event. Strings are borrowed from the input unless they have escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// The daily file's name without its day: one or more path components joined by `/`.
    pub file: Cow<'a, str>,
    /// The kind of `line`.
    pub kind: Kind,
    /// The day of `timestamp` in the configured time zone.
    pub day: Day,
    /// The event's own time, in milliseconds since the epoch.
    pub timestamp: i64,
    /// The origin of the event.
    pub stream: Stream<'a>,
    /// The event's id in CloudWatch Logs, in the form of [`event_id::short`].
    pub id: Cow<'a, str>,
    /// The labelled line, without its final line break.
    pub line: Cow<'a, str>,
}

/// The origin of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream<'a> {
    /// A log stream of CloudWatch Logs.
    Logs {
        /// The account that owns the log group.
        owner: Cow<'a, str>,
        /// The log group's name.
        log_group: Cow<'a, str>,
        /// The log stream's name.
        log_stream: Cow<'a, str>,
    },
    /// Plain text: the delivery stream's ARN, or the object as `bucket/key`.
    Origin(Cow<'a, str>),
}

impl Stream<'_> {
    /// The log group's name; `None` for plain text.
    pub fn log_group(&self) -> Option<&str> {
        match self {
            Stream::Logs { log_group, .. } => Some(log_group),
            Stream::Origin(_) => None,
        }
    }

    /// The same stream, borrowed.
    pub fn borrowed(&self) -> Stream<'_> {
        match self {
            Stream::Logs { owner, log_group, log_stream } => Stream::Logs {
                owner: Cow::Borrowed(owner),
                log_group: Cow::Borrowed(log_group),
                log_stream: Cow::Borrowed(log_stream),
            },
            Stream::Origin(origin) => Stream::Origin(Cow::Borrowed(origin)),
        }
    }

    /// The same stream, owned.
    pub fn into_owned(self) -> Stream<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Stream::Logs { owner, log_group, log_stream } => Stream::Logs {
                owner: owned(owner),
                log_group: owned(log_group),
                log_stream: owned(log_stream),
            },
            Stream::Origin(origin) => Stream::Origin(owned(origin)),
        }
    }
}

/// Parses the form of version 0.1: the parts joined by colons. An account is a number; the origin
/// of plain text is an ARN, or a bucket with a key.
impl<'a> From<&'a str> for Stream<'a> {
    fn from(joined: &'a str) -> Stream<'a> {
        let mut parts = joined.splitn(3, ':').map(Cow::Borrowed);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(owner), Some(log_group), Some(log_stream))
                if !owner.is_empty() && owner.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                Stream::Logs { owner, log_group, log_stream }
            }
            _ => Stream::Origin(Cow::Borrowed(joined)),
        }
    }
}

/// `owner:logGroup:logStream`, for people only: the parts may contain colons.
impl fmt::Display for Stream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stream::Logs { owner, log_group, log_stream } => {
                write!(f, "{owner}:{log_group}:{log_stream}")
            }
            Stream::Origin(origin) => f.write_str(origin),
        }
    }
}

/// The identity of an event: its timestamp, and the XXH3-64 hash of its stream and id.
///
/// Two different events of one millisecond collide with a probability of 2⁻⁶⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKey {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// The XXH3-64 of owner, log group, log stream and id, or of origin and id. Each is preceded by
    /// its length (4 bytes, little-endian), since it may contain any byte.
    pub hash: u64,
}

/// Computes the keys of a stream's rows.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The input of the hash: the stream's parts, and the last row's id.
    hashed: Vec<u8>,
    /// The length of the stream's parts in bytes.
    stream: usize,
}

impl Keys {
    /// The keys of a stream.
    pub(crate) fn of(stream: &Stream<'_>) -> Keys {
        let parts: &[&str] = match stream {
            Stream::Logs { owner, log_group, log_stream } => &[owner, log_group, log_stream],
            Stream::Origin(origin) => &[origin],
        };
        let mut keys = Keys { hashed: Vec::new(), stream: 0 };
        parts.iter().for_each(|part| keys.add(part));
        keys.stream = keys.hashed.len();
        keys
    }

    /// The key of one of the stream's rows.
    pub(crate) fn key(&mut self, row: &Row<'_>) -> EventKey {
        self.hashed.truncate(self.stream);
        self.add(&row.id);
        EventKey { timestamp: row.timestamp, hash: xxh3_64(&self.hashed) }
    }

    fn add(&mut self, part: &str) {
        self.hashed.extend_from_slice(&(part.len() as u32).to_le_bytes());
        self.hashed.extend_from_slice(part.as_bytes());
    }
}

/// Why a line is not a valid row: quarantined as `malformed-row`. Never contains log text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The input ends inside the object.
    #[error("not a valid row: unexpected end at column {0}")]
    Torn(usize),
    /// The JSON is not valid from this column on.
    #[error("not a valid row: not valid JSON at column {0}")]
    Json(usize),
    /// The field that ends at this column has the wrong type.
    #[error("not a valid row: a field of the wrong type at column {0}")]
    Type(usize),
    /// A field occurs twice.
    #[error("not a valid row: field `{0}` appears twice")]
    Repeated(&'static str),
    /// A field is missing.
    #[error("not a valid row: field `{0}` is missing")]
    Missing(&'static str),
    /// The kind is unknown.
    #[error("not a valid row: `kind` must be csv, tsv, json or raw")]
    Kind,
    /// The day is not valid.
    #[error("not a valid row: `day` must be written YYYY-MM-DD")]
    Day,
    /// A line below a header is not a compact row.
    #[error("not a valid row: a line must be `TIMESTAMP ID LINE`, with one space between them")]
    Bare,
    /// A compact row's header is missing or could not be read.
    #[error("a row without a header above it")]
    NoHeader,
    /// A compact row has no line break.
    #[error("not a valid row: its line is truncated")]
    CutOff,
    /// The text is not UTF-8.
    #[error("not a valid row: not UTF-8")]
    NotText,
    /// No such version has existed.
    #[error("not a valid row: `hiwake` must be 2")]
    Version,
    /// The bytes of a refused event cannot be decoded.
    #[error("not a valid row: `bytes` is not valid base64")]
    Base64,
}

impl Row<'_> {
    /// Appends the row as one line of JSON with its line break. The same row gives the same bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let text = |text| Some(Text(Cow::Borrowed(text)));
        let day = self.day.to_string();
        let wire = Wire {
            file: text(&self.file),
            kind: text(self.kind.name()),
            day: text(&day),
            timestamp: Some(self.timestamp),
            id: text(&self.id),
            line: text(&self.line),
            ..Wire::of(&self.stream)
        };
        serde_json::to_writer(&mut *out, &wire).expect("writing to a Vec cannot fail");
        out.push(b'\n');
    }

    /// The identity of the row's event: the same however often the event arrives.
    pub fn key(&self) -> EventKey {
        Keys::of(&self.stream).key(self)
    }
}

/// The fields of a row in JSON. Each is optional, so that an error can name a missing one. Those
/// that only compact rows have are included ([`rows`](crate::rows)).
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Wire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hiwake: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) day: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timestamp: Option<i64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) log_group: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) log_stream: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Text<'a>>,
    /// In version 0.1: the three parts of a log stream joined by colons, or an origin.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<Text<'a>>,
    /// The code of a refused event; the next fields describe it.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Text<'a>>,
    /// The event in base64 if it is not text.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<Text<'a>>,
}

impl<'a> Wire<'a> {
    /// The fields of a stream.
    pub(crate) fn of(stream: &'a Stream<'_>) -> Wire<'a> {
        let text = |text| Some(Text(Cow::Borrowed(text)));
        match stream {
            Stream::Logs { owner, log_group, log_stream } => Wire {
                owner: text(owner),
                log_group: text(log_group),
                log_stream: text(log_stream),
                ..Wire::default()
            },
            Stream::Origin(origin) => Wire { origin: text(origin), ..Wire::default() },
        }
    }

    /// Reads one line of JSON, with or without its line break.
    pub(crate) fn read(line: &'a [u8]) -> Result<Wire<'a>, RowError> {
        serde_json::from_slice(line).map_err(|error| {
            if let Some(name) = repeated(line) {
                return RowError::Repeated(name);
            }
            match error.classify() {
                serde_json::error::Category::Eof => RowError::Torn(error.column()),
                serde_json::error::Category::Data => RowError::Type(error.column()),
                _ => RowError::Json(error.column()),
            }
        })
    }

    /// The row's file, kind and day.
    pub(crate) fn day_file(&mut self) -> Result<(Cow<'a, str>, Kind, Day), RowError> {
        let kind = Kind::from_name(&text(&mut self.kind, "kind")?).ok_or(RowError::Kind)?;
        let day = text(&mut self.day, "day")?;
        let day = day.parse().map_err(|_: DayError| RowError::Day)?;
        Ok((text(&mut self.file, "file")?, kind, day))
    }

    /// The row's origin, in one of three forms.
    pub(crate) fn stream(&mut self) -> Result<Stream<'a>, RowError> {
        match (self.stream.take(), self.origin.take()) {
            (Some(Text(joined)), _) => Ok(Stream::from(&*joined).into_owned()),
            (None, Some(Text(origin))) => Ok(Stream::Origin(origin)),
            (None, None) => Ok(Stream::Logs {
                owner: text(&mut self.owner, "owner")?,
                log_group: text(&mut self.log_group, "log_group")?,
                log_stream: text(&mut self.log_stream, "log_stream")?,
            }),
        }
    }

    /// The event's id in its short form.
    pub(crate) fn id(&mut self, timestamp: i64) -> Result<Cow<'a, str>, RowError> {
        let id = text(&mut self.id, "id")?;
        let mut short = String::new();
        // Another program may have written the id in CloudWatch's form; it means the same event.
        let is_long = id.starts_with(|first: char| first.is_ascii_digit())
            && event_id::short(&id, timestamp, &mut short) != id;
        Ok(if is_long { Cow::Owned(short) } else { id })
    }
}

/// A field that is required.
pub(crate) fn text<'a>(
    field: &mut Option<Text<'a>>,
    name: &'static str,
) -> Result<Cow<'a, str>, RowError> {
    field.take().map(|Text(text)| text).ok_or(RowError::Missing(name))
}

/// The first field of a row that occurs twice.
fn repeated(line: &[u8]) -> Option<&'static str> {
    const FIELDS: [&str; 7] = ["file", "kind", "day", "timestamp", "stream", "id", "line"];
    let keys = json::top_level_keys(line);
    let count = |name: &str| keys.iter().filter(|key| **key == name.as_bytes()).count();
    FIELDS.into_iter().find(|name| count(name) > 1)
}

impl<'a> Row<'a> {
    /// Reads one line of JSON, with or without its line break. Fields may come in any order;
    /// unknown ones are ignored. Text without escapes is borrowed from `line`.
    pub fn decode(line: &'a [u8]) -> Result<Row<'a>, RowError> {
        let mut wire = Wire::read(line)?;
        let (file, kind, day) = wire.day_file()?;
        let timestamp = wire.timestamp.ok_or(RowError::Missing("timestamp"))?;
        let (stream, id) = (wire.stream()?, wire.id(timestamp)?);
        Ok(Row { file, kind, day, timestamp, stream, id, line: text(&mut wire.line, "line")? })
    }
}
