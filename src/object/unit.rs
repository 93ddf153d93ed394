//! Units of text: rows, JSON values that hold records, and plain lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::{memchr, memchr2, memmem};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::Text;
use crate::label::Origin;
use crate::object::scan::{Braces, HEAD_BYTES, Scan, Shape, meant_for_us, shape};
use crate::object::window::Window;
use crate::object::{MAGIC, ReadError, Reader, RowPlace, Skipped};
use crate::record::Outcome;
use crate::row::Row;

/// How transform's rows begin.
const ROW: &[u8] = b"{\"file\":";

/// Bytes of plain lines that are handed on as one unit. Where units end must not depend on how the
/// object is read: the unit's number is in the rows' ids.
const PLAIN_BYTES: usize = 256 << 10;

/// How often a failed record may hold another one.
const NESTED_MAX: usize = 8;

/// Blanks that may stand in front of a JSON value.
const INDENT_MAX: usize = 64;

impl Reader<'_, '_> {
    /// Reads and consumes one unit, which begins at the window's beginning. No member begins there.
    pub(super) fn unit(&mut self, window: &mut Window<'_>, depth: usize) -> Result<(), ReadError> {
        if matches!(window.bytes()[0], b'\n' | b'\r') {
            window.consume(1);
            return Ok(());
        }
        window.fill(ROW.len())?;
        let done = window.bytes().starts_with(ROW) && self.row(window)?;
        if !done {
            match json_begins(window, 0)? {
                Some(indent) => self.json(window, indent, depth)?,
                None => self.plain(window)?,
            }
        }
        self.unit += 1;
        Ok(())
    }

    /// A line that is a row, as nearly all are. `false`: it is none, look closer.
    fn row(&mut self, window: &mut Window<'_>) -> Result<bool, ReadError> {
        let (end, stop) = line_end(window, 0, self.options.limits.unit_bytes)?;
        let Ok(row) = self.rows.decode(&window.bytes()[..end]) else {
            return Ok(false);
        };
        self.sink.row(&row, RowPlace { offset: self.offset, is_derived: false })?;
        window.consume(end + usize::from(stop == Stop::Break));
        Ok(true)
    }

    /// A JSON value, or a line that only begins like one.
    fn json(
        &mut self,
        window: &mut Window<'_>,
        indent: usize,
        depth: usize,
    ) -> Result<(), ReadError> {
        let limit = match depth {
            0 => self.options.limits.unit_bytes,
            _ => self.options.limits.unit_bytes.max(self.options.limits.inflated_bytes),
        };
        let scan = match value_end(window, indent, limit)? {
            // A member begins in it: its brace was closed by chance, by compressed bytes.
            Scan::Closed(length)
                if memmem::find(&window.bytes()[indent..indent + length], MAGIC).is_some() =>
            {
                Scan::Not
            }
            scan => scan,
        };
        let end = match scan {
            Scan::Closed(length) => indent + length,
            Scan::Open if window.broken.is_some() => {
                // The member is cut off here, and reported with all its bytes.
                window.consume(window.bytes().len());
                return Ok(());
            }
            Scan::Open if memchr(b'\n', up_to(window.bytes(), indent + limit)).is_none() => {
                return self.torn_json(window);
            }
            Scan::Open | Scan::Not => {
                // What is looked at must not depend on how much a read happened to bring.
                window.fill(indent + HEAD_BYTES)?;
                return match meant_for_us(up_to(&window.bytes()[indent..], HEAD_BYTES)) {
                    true => self.torn_json(window),
                    false => self.plain(window),
                };
            }
        };
        let value = &window.bytes()[indent..end];
        match shape(value) {
            Shape::Row => self.decoded(value, value)?,
            Shape::Failed => self.failed(value, 0)?,
            Shape::Envelope => self.record(value, self.modified, value)?,
            Shape::Other if !stands_alone(window, end)? => return self.plain(window),
            Shape::Other => self.text(&window.bytes()[..end])?,
        }
        window.consume(end);
        Ok(())
    }

    /// What has the keys of a row. `whole` is what is reported if it is none.
    fn decoded(&mut self, value: &[u8], whole: &[u8]) -> Result<(), ReadError> {
        match Row::decode(value) {
            Ok(row) => self.sink.row(&row, RowPlace { offset: self.offset, is_derived: false }),
            Err(error) => self.bad_unit("malformed-row", &error.to_string(), whole),
        }
    }

    /// A record that transform did not answer, as Firehose writes it. Only two keys matter; their
    /// types differ between documentation and service, other keys between kinds of errors.
    ///
    /// What it holds may be such a record again, or another piece that was put into quarantine: it
    /// is unwrapped, so that it is never taken for text, and quarantined as it was before.
    fn failed(&mut self, value: &[u8], depth: usize) -> Result<(), ReadError> {
        let failed = serde_json::from_slice::<Failed<'_>>(value).unwrap_or_default();
        let data = match (failed.data, failed.raw_data) {
            (Some(Text(text)), _) => Ok(text.into_owned().into_bytes()),
            (None, Some(Text(base64))) => STANDARD.decode(base64.as_bytes()),
            (None, None) => {
                let reason = "a failed record without data: `rawData`, `data` or `bytes`";
                return self.bad_unit("failed-record", reason, value);
            }
        };
        let Ok(data) = data else {
            let reason = "a failed record whose data is not valid base64";
            return self.bad_unit("base64", reason, value);
        };
        if data.is_empty() {
            return self.bad_unit("empty-raw-data", "a failed record without data", value);
        }
        match if data.starts_with(b"{") { shape(&data) } else { Shape::Envelope } {
            Shape::Failed if depth < NESTED_MAX => self.failed(&data, depth + 1),
            Shape::Failed => {
                let reason = "failed records in failed records";
                self.bad_unit("nested-failed-record", reason, value)
            }
            Shape::Row => self.decoded(&data, value),
            Shape::Other if is_torn(&data) => {
                self.bad_unit("torn-json", "a JSON value breaks off", value)
            }
            Shape::Envelope | Shape::Other => {
                let arrival = failed.arrival_timestamp;
                let arrival = arrival.and_then(|raw| raw.get().trim_matches('"').parse().ok());
                self.record(&data, arrival.unwrap_or(self.modified), value)
            }
        }
    }

    /// Plain lines, as many as belong together.
    fn plain(&mut self, window: &mut Window<'_>) -> Result<(), ReadError> {
        if let Some(end) = self.lines_end(window)? {
            self.text(&window.bytes()[..end])?;
            window.consume(end);
        }
        Ok(())
    }

    /// Text that may hold lines that are none.
    fn text(&mut self, text: &[u8]) -> Result<(), ReadError> {
        if std::str::from_utf8(text).is_ok() {
            return self.record(text, self.modified, text);
        }
        let is_text = |line: &[u8]| std::str::from_utf8(line).is_ok();
        let lines: Vec<_> = text.split_inclusive(|&byte| byte == b'\n').collect();
        let mut at = 0;
        for lines in lines.chunk_by(|a, b| is_text(a) == is_text(b)) {
            let length: usize = lines.iter().map(|line| line.len()).sum();
            let part = &text[at..at + length];
            if is_text(part) {
                self.record(part, self.modified, part)?;
            } else {
                self.bad_unit("not-text", "neither gzip nor UTF-8 text", part)?;
            }
            self.unit += 1;
            at += length;
        }
        Ok(())
    }

    /// A row, failed record or envelope that breaks off.
    fn torn_json(&mut self, window: &mut Window<'_>) -> Result<(), ReadError> {
        if let Some(end) = self.lines_end(window)? {
            self.bad_unit("torn-json", "a JSON value breaks off", &window.bytes()[..end])?;
            window.consume(end);
        }
        Ok(())
    }

    /// One record's rows, all or none. `whole` is what is reported if there are none.
    fn record(&mut self, data: &[u8], arrival: i64, whole: &[u8]) -> Result<(), ReadError> {
        self.staged.clear();
        let id = self.unit.to_string();
        let origin = Origin { stream: self.place, id: &id, arrival };
        let staged = &mut self.staged;
        match self.records.rows(data, origin, &mut |row| staged.push(row)) {
            Ok(Outcome::Plain(_)) if !self.options.plain => {
                self.skipped(Skipped::PlainLeftOut, whole)
            }
            Ok(Outcome::Empty | Outcome::PlainDropped) => self.skipped(Skipped::Dropped, whole),
            Ok(Outcome::Events(_) | Outcome::Plain(_)) => {
                let mut rows = self.staged.rows();
                let place = RowPlace { offset: self.offset, is_derived: true };
                rows.try_for_each(|row| self.sink.row(&row, place))
            }
            Err(error) => self.bad_unit(error.code(), &error.to_string(), whole),
        }
    }

    /// Where the plain lines end that begin here: before a JSON value, at a member, or when they
    /// are enough. `None`: all that there was is consumed and accounted for.
    fn lines_end(&mut self, window: &mut Window<'_>) -> Result<Option<usize>, ReadError> {
        let limit = self.options.limits.unit_bytes;
        let (mut end, mut stop) = line_end(window, 0, limit)?;
        if stop == Stop::Long {
            self.too_long(window)?;
            return Ok(None);
        }
        if stop == Stop::End && window.broken.is_some() {
            // The member is cut off here, and reported with all its bytes.
            window.consume(end);
            return Ok(None);
        }
        while stop == Stop::Break {
            let next = end + 1;
            if json_begins(window, next)?.is_some() {
                break;
            }
            let (line, how) = line_end(window, next, limit)?;
            let cut = how == Stop::End && window.broken.is_some();
            if line > PLAIN_BYTES
                || how == Stop::Long
                || cut
                || (line == next && how != Stop::Break)
            {
                break;
            }
            (end, stop) = (line, how);
        }
        Ok(Some(end + usize::from(stop == Stop::Break)))
    }

    /// A line of more than a unit's bytes: passed over, with its beginning reported.
    fn too_long(&mut self, window: &mut Window<'_>) -> Result<(), ReadError> {
        let limit = self.options.limits.unit_bytes;
        let (mut bytes, mut length) = (Vec::new(), 0);
        loop {
            let (end, stop) = line_end(window, 0, limit)?;
            let keep = end.min(limit - bytes.len());
            bytes.extend_from_slice(&window.bytes()[..keep]);
            length += end as u64;
            window.consume(end);
            if stop != Stop::Long {
                break;
            }
        }
        let reason = format!("a unit of more than limits.unit_bytes = {limit} bytes");
        self.bad("unit-too-long", &reason, length, &bytes)
    }

    fn bad_unit(&mut self, code: &str, reason: &str, bytes: &[u8]) -> Result<(), ReadError> {
        let kept = &bytes[..bytes.len().min(self.options.limits.unit_bytes)];
        self.bad(code, reason, bytes.len() as u64, kept)
    }
}

/// What of a failed record, or of a line of the quarantine, is needed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    #[serde(borrow, alias = "bytes")]
    raw_data: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    arrival_timestamp: Option<&'a RawValue>,
}

/// Whether a text was meant as one of ours, and breaks off.
fn is_torn(text: &[u8]) -> bool {
    let whole = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
    !whole && meant_for_us(up_to(text, HEAD_BYTES))
}

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// `\n`
    Break,
    /// A gzip member, or what is left of its header.
    Member,
    /// The source's end.
    End,
    /// Not yet, but it is long enough.
    Long,
}

fn up_to(bytes: &[u8], length: usize) -> &[u8] {
    &bytes[..bytes.len().min(length)]
}

/// Where the line ends that begins at a place; at most `limit` bytes from there are looked at.
fn line_end(
    window: &mut Window<'_>,
    from: usize,
    limit: usize,
) -> Result<(usize, Stop), ReadError> {
    let mut at = from;
    loop {
        while let Some(found) = memchr2(b'\n', MAGIC[0], &up_to(window.bytes(), from + limit)[at..])
        {
            at += found;
            if window.bytes()[at] == b'\n' {
                return Ok((at, Stop::Break));
            }
            let whole = window.fill(at + MAGIC.len())?;
            let rest = &window.bytes()[at..];
            if if whole { rest.starts_with(MAGIC) } else { MAGIC.starts_with(rest) } {
                return Ok((at, Stop::Member));
            }
            at += 1;
        }
        at = up_to(window.bytes(), from + limit).len();
        if at - from >= limit {
            return Ok((at, Stop::Long));
        }
        if !window.fill(at + 1)? {
            return Ok((at, Stop::End));
        }
    }
}

/// How many blanks stand before the `{` that begins at a place, if one does.
fn json_begins(window: &mut Window<'_>, at: usize) -> Result<Option<usize>, ReadError> {
    window.fill(at + 1)?;
    if !matches!(window.bytes().get(at), Some(b'{' | b' ' | b'\t')) {
        return Ok(None);
    }
    window.fill(at + INDENT_MAX)?;
    let line = &window.bytes()[at..];
    let indent = line.iter().take(INDENT_MAX).position(|&byte| !matches!(byte, b' ' | b'\t'));
    Ok(indent.filter(|&indent| line[indent] == b'{'))
}

/// Where the JSON object ends that begins at a place; `Open` also when it is longer than allowed.
fn value_end(window: &mut Window<'_>, at: usize, limit: usize) -> Result<Scan, ReadError> {
    let mut braces = Braces::default();
    loop {
        let value = &window.bytes()[at..];
        let scan = braces.scan(up_to(value, limit));
        if scan != Scan::Open || value.len() >= limit {
            return Ok(scan);
        }
        if !window.fill(window.bytes().len() + 1)? {
            return Ok(Scan::Open);
        }
    }
}

/// Whether a value is a unit by itself: what follows is another, a line's end, a member or nothing.
fn stands_alone(window: &mut Window<'_>, end: usize) -> Result<bool, ReadError> {
    window.fill(end + INDENT_MAX)?;
    let rest = &window.bytes()[end..];
    let next = rest.iter().position(|&byte| !matches!(byte, b' ' | b'\t' | b'\r'));
    Ok(next.is_none_or(|next| matches!(rest[next], b'\n' | b'{') || rest[next] == MAGIC[0]))
}
