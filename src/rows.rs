//! Compact rows: the text that transform answers for a record. `docs/format.md` defines it to the
//! byte. Pure.
//!
//! ```text
//! {"hiwake":2,"file":"messages","kind":"csv","day":"2022-04-18","owner":"123456789012","log_group":"/var/log/messages","log_stream":"i-0abc"}
//! 1650214747000 ~AAFN… HOGE,HOGE,1,HOGEHOGE,Apr 17 16:59:07 host …
//! ```
//!
//! A header applies to the rows below it. A row that does not fit on one line is JSON, and so is
//! an event that cannot be a row.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::event_id;
use crate::json::Text;
use crate::row::{Day, Kind, Row, RowError, Stream, Wire, text};

/// The beginning of the lines of JSON in this format.
pub(crate) const MARK: &[u8] = b"{\"hiwake\":";
/// The version that is written.
const VERSION: u64 = 2;
/// The digits of a timestamp up to the year 9999, and the first number with more.
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

    /// The row of a line below this header.
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

/// Writes rows, and a header whenever it changes.
#[derive(Default)]
pub struct Writer {
    header: Option<Header>,
    /// The header's line.
    text: Vec<u8>,
    is_written: bool,
}

impl Writer {
    /// Begins a frame, which is self-contained: its first row follows a header.
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

    /// Appends an event that cannot be a row, for the quarantine.
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

/// Whether a compact row can contain an id.
fn is_id(id: &str) -> bool {
    // A single pass without branches lets the compiler use SIMD.
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

/// A row without the fields of its header.
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
        // Another program may have written the id in CloudWatch's form; it means the same event.
        let is_long = id.starts_with(|first: char| first.is_ascii_digit())
            && event_id::short(id, timestamp, &mut short) != id;
        let id = if is_long { Cow::Owned(short) } else { Cow::Borrowed(id) };
        Ok(BareRow { timestamp, id, line: Cow::Borrowed(line) })
    }
}

/// A line of JSON that begins with [`MARK`].
pub(crate) enum Line<'a> {
    /// A header, which applies to the rows below it.
    Header(Header),
    /// A row that does not fit on one line.
    Row(BareRow<'a>),
    /// An event that cannot be a row.
    Refused {
        /// The reason's stable code.
        code: Cow<'a, str>,
        /// The reason in words.
        reason: Cow<'a, str>,
        /// The event.
        bytes: Vec<u8>,
    },
    /// A line of a newer version.
    Newer(u64),
}

impl<'a> Line<'a> {
    /// Reads a line without its line break.
    pub(crate) fn read(json: &'a [u8]) -> Result<Line<'a>, RowError> {
        // A newer version may have other fields, so the version is read first.
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
