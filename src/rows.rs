//! Compact rows: what transform answers for a record, as text. `docs/format.md` says it to the
//! byte. Pure.
//!
//! ```text
//! {"hiwake":2,"file":"messages","kind":"csv","day":"2022-04-18","owner":"123456789012","log_group":"/var/log/messages","log_stream":"i-0abc"}
//! 1650214747000 ~AAFN… HOGE,HOGE,1,HOGEHOGE,Apr 17 16:59:07 host …
//! ```
//!
//! A header holds for the rows below it. A row that does not fit in one line, and an event that
//! cannot be a row, are JSON too.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::event_id;
use crate::json::Text;
use crate::row::{Day, Kind, Row, RowError, Stream, Wire, text};

/// What a line of JSON begins with that is ours.
pub(crate) const MARK: &[u8] = b"{\"hiwake\":";
/// The version of what is written here.
const VERSION: u64 = 2;
/// Digits of a timestamp up to the year 9999, and the first number that has more.
const TIMESTAMP_DIGITS_MAX: usize = 15;
const TIMESTAMPS_END: i64 = 10_i64.pow(TIMESTAMP_DIGITS_MAX as u32);

/// What the rows below a header share.
#[derive(Debug)]
pub(crate) struct Header {
    file: String,
    kind: Kind,
    day: Day,
    stream: Stream<'static>,
}

impl Header {
    fn of(row: &Row<'_>) -> Header {
        let (file, stream) = (row.file.to_string(), row.stream.clone().into_owned());
        Header { file, kind: row.kind, day: row.day, stream }
    }

    fn is_of(&self, row: &Row<'_>) -> bool {
        self.day == row.day
            && self.kind == row.kind
            && self.stream == row.stream
            && self.file == row.file
    }

    /// A row below it.
    pub(crate) fn row<'a>(&'a self, row: BareRow<'a>) -> Row<'a> {
        Row {
            file: Cow::Borrowed(&self.file),
            kind: self.kind,
            day: self.day,
            timestamp: row.timestamp,
            stream: self.stream.borrowed(),
            id: row.id,
            line: row.line,
        }
    }
}

/// Writes rows, and a header wherever it changes.
#[derive(Default)]
pub struct Writer {
    header: Option<Header>,
    /// The header's line.
    text: Vec<u8>,
    is_written: bool,
}

impl Writer {
    /// Begins a frame: it stands alone, so its first row has a header above it.
    pub fn start(&mut self) {
        self.is_written = false;
    }

    /// Appends a row. The same rows give the same bytes.
    pub fn row(&mut self, row: &Row<'_>, out: &mut Vec<u8>) {
        if !self.header.as_ref().is_some_and(|header| header.is_of(row)) {
            self.header = Some(Header::of(row));
            self.is_written = false;
            self.text.clear();
            let borrowed = |text| Some(Text(Cow::Borrowed(text)));
            let day = row.day.to_string();
            let header = Wire {
                hiwake: Some(VERSION),
                file: borrowed(&row.file),
                kind: borrowed(row.kind.name()),
                day: borrowed(&day),
                ..Wire::of(&row.stream)
            };
            line(&header, &mut self.text);
        }
        if !self.is_written {
            out.extend_from_slice(&self.text);
            self.is_written = true;
        }
        let is_bare = (0..TIMESTAMPS_END).contains(&row.timestamp)
            && is_id(&row.id)
            && memchr::memchr(b'\n', row.line.as_bytes()).is_none();
        if is_bare {
            out.reserve(TIMESTAMP_DIGITS_MAX + row.id.len() + row.line.len() + 3);
            out.extend_from_slice(itoa::Buffer::new().format(row.timestamp).as_bytes());
            out.push(b' ');
            out.extend_from_slice(row.id.as_bytes());
            out.push(b' ');
            out.extend_from_slice(row.line.as_bytes());
            out.push(b'\n');
        } else {
            let (id, timestamp) = (Some(Text(Cow::Borrowed(&*row.id))), Some(row.timestamp));
            let text = Some(Text(Cow::Borrowed(&*row.line)));
            line(
                &Wire { hiwake: Some(VERSION), id, timestamp, line: text, ..Wire::default() },
                out,
            );
        }
    }

    /// Appends what could not be a row, for the quarantine.
    pub fn refused(&mut self, code: &str, reason: &str, bytes: &[u8], out: &mut Vec<u8>) {
        let borrowed = |text| Some(Text(Cow::Borrowed(text)));
        let data = str::from_utf8(bytes).ok();
        let bytes = data.is_none().then(|| Text(STANDARD.encode(bytes).into()));
        let (refused, reason) = (borrowed(code), borrowed(reason));
        let data = data.and_then(borrowed);
        let wire = Wire { hiwake: Some(VERSION), refused, reason, data, bytes, ..Wire::default() };
        line(&wire, out);
    }
}

/// Whether a compact row can hold an id.
fn is_id(id: &str) -> bool {
    // In one pass without a branch, which the compiler makes of whole registers.
    id.bytes().fold(u8::MAX, u8::min) > b' '
}

fn line(wire: &Wire<'_>, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, wire).expect("writing to a Vec cannot fail");
    out.push(b'\n');
}

#[derive(Deserialize)]
struct Version {
    hiwake: u64,
}

/// A row without what its header says.
pub(crate) struct BareRow<'a> {
    timestamp: i64,
    id: Cow<'a, str>,
    line: Cow<'a, str>,
}

impl<'a> BareRow<'a> {
    /// Reads `TIMESTAMP ID LINE`, without its line break.
    pub(crate) fn read(text: &'a [u8]) -> Result<BareRow<'a>, RowError> {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = text.split_at(digits);
        if !(1..=TIMESTAMP_DIGITS_MAX).contains(&digits) || rest.first() != Some(&b' ') {
            return Err(RowError::Bare);
        }
        let timestamp = number.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        let rest = simdutf8::basic::from_utf8(&rest[1..]).map_err(|_| RowError::NotText)?;
        let end = memchr::memchr(b' ', rest.as_bytes()).ok_or(RowError::Bare)?;
        let (id, line) = (&rest[..end], &rest[end + 1..]);
        if !is_id(id) {
            return Err(RowError::Bare);
        }
        let mut short = String::new();
        // As CloudWatch gave it, in a row that somebody else made: the same event all the same.
        let is_long = id.starts_with(|first: char| first.is_ascii_digit())
            && event_id::short(id, timestamp, &mut short) != id;
        let id = if is_long { Cow::Owned(short) } else { Cow::Borrowed(id) };
        Ok(BareRow { timestamp, id, line: Cow::Borrowed(line) })
    }
}

/// A line of JSON that begins with [`MARK`].
pub(crate) enum Line<'a> {
    /// Holds for the rows below it.
    Header(Header),
    /// A row that does not fit in one line.
    Row(BareRow<'a>),
    /// An event that could not be a row.
    Refused {
        /// Why, in short and stable.
        code: Cow<'a, str>,
        /// Why, for a person.
        reason: Cow<'a, str>,
        /// The event.
        bytes: Vec<u8>,
    },
    /// Of a newer version.
    Newer(u64),
}

impl<'a> Line<'a> {
    /// Reads it, without its line break.
    pub(crate) fn read(json: &'a [u8]) -> Result<Line<'a>, RowError> {
        // A newer version may have other fields.
        if let Ok(Version { hiwake }) = serde_json::from_slice(json)
            && hiwake > VERSION
        {
            return Ok(Line::Newer(hiwake));
        }
        let mut wire = Wire::read(json)?;
        if wire.hiwake != Some(VERSION) {
            return Err(RowError::Version);
        }
        if let Some(Text(code)) = wire.refused.take() {
            let reason = text(&mut wire.reason, "reason")?;
            let bytes = match (wire.data, wire.bytes) {
                (Some(Text(data)), _) => data.into_owned().into_bytes(),
                (None, Some(Text(base64))) => {
                    STANDARD.decode(base64.as_bytes()).map_err(|_| RowError::Base64)?
                }
                (None, None) => return Err(RowError::Missing("data")),
            };
            return Ok(Line::Refused { code, reason, bytes });
        }
        if wire.file.is_some() {
            let (file, kind, day) = wire.day_file()?;
            let (file, stream) = (file.into_owned(), wire.stream()?.into_owned());
            return Ok(Line::Header(Header { file, kind, day, stream }));
        }
        let timestamp = wire.timestamp.ok_or(RowError::Missing("timestamp"))?;
        let id = wire.id(timestamp)?;
        Ok(Line::Row(BareRow { timestamp, id, line: text(&mut wire.line, "line")? }))
    }
}
