//! Reads units of text: JSON values that hold records, plain lines, and compact rows.

use memchr::{memchr, memchr3, memmem};

use crate::object::begin::{
    AGGREGATE, BYTE_ORDER_MARK, GZIP, HEAD_BYTES, INDENT_MAX, ZSTD, ZSTD_RARE, disguise, form,
    indent, is_base64, is_special, list,
};
use crate::object::scan::{Braces, ENVELOPE, Scan, Shape, shape};
use crate::object::window::Window;
use crate::object::{Below, Depth, ReadError, Reading};
use crate::rows::MARK;

/// How many times its limit is scanned in vain for the end of a JSON value; after that, only the
/// line of each value is scanned.
const TRIES: usize = 4;
/// Vain scans of up to this many bytes are not counted: truncated lines are common.
const CHEAP_BYTES: usize = 256;

/// How many bytes of plain lines are passed on as one unit.
const PLAIN_BYTES: usize = 256 << 10;

impl Reading<'_, '_> {
    /// Reads and consumes the unit at the window's beginning, where no member begins.
    pub(super) fn unit(&mut self, window: &mut Window<'_>, depth: Depth) -> Result<(), ReadError> {
        window.fill(INDENT_MAX)?;
        let bytes = window.bytes();
        match bytes[0] {
            b'\n' | b'\r' => window.consume(1),
            _ if bytes.starts_with(MARK) => self.marked(window, depth)?,
            first if first != b'{' && !matches!(self.below, Below::None) => self.bare(window)?,
            _ if bytes.starts_with(BYTE_ORDER_MARK) => window.consume(BYTE_ORDER_MARK.len()),
            _ => self.foreign(window, depth)?,
        }
        Ok(())
    }

    /// Reads a unit that is not a compact row.
    fn foreign(&mut self, window: &mut Window<'_>, depth: Depth) -> Result<(), ReadError> {
        if let Some(length) = self.exact(window.bytes())? {
            window.consume(length);
            return Ok(());
        }
        if let Some((code, reason)) = disguise(window.bytes()) {
            // Text ends where an envelope begins, but an aggregate may contain envelopes.
            let stop = (code != AGGREGATE).then_some(ENVELOPE);
            let passed = self.resynchronise(window, 1, stop)?;
            return self.bad(code, reason, passed.length, &passed.bytes);
        }
        if let Some(indent) = indent(window.bytes()) {
            return self.json(window, indent, depth);
        }
        if list(window.bytes()).is_some() && self.list(window, depth)? {
            return Ok(());
        }
        if is_base64(window.bytes()) && self.base64(window, depth)? {
            return Ok(());
        }
        self.plain(window)
    }

    /// Reads a JSON value, or a line that only begins like one.
    fn json(
        &mut self,
        window: &mut Window<'_>,
        indent: usize,
        depth: Depth,
    ) -> Result<(), ReadError> {
        let limit = self.unit_limit(depth);
        let end = match object_end(window, indent, limit)? {
            Scan::Closed(length) => indent + length,
            Scan::Open if window.broken.is_some() => {
                // The member is truncated here, and is reported with all its bytes.
                window.consume(window.bytes().len());
                return Ok(());
            }
            Scan::Open if memchr(b'\n', up_to(window.bytes(), indent + limit)).is_none() => {
                return self.torn_json(window);
            }
            Scan::Open | Scan::Not => {
                // The result must not depend on how many bytes a read happened to return.
                window.fill(indent + HEAD_BYTES)?;
                return match shape(up_to(&window.bytes()[indent..], HEAD_BYTES)) {
                    Shape::Other => self.plain(window),
                    _ => self.torn_json(window),
                };
            }
        };
        match shape(&window.bytes()[indent..end]) {
            Shape::Other if !stands_alone(window, end)? => return self.plain(window),
            Shape::Other => self.text(&window.bytes()[..end])?,
            shape => self.value(shape, &window.bytes()[indent..end], depth)?,
        }
        window.consume(end);
        Ok(())
    }

    /// The most bytes a JSON value may have: inside a member, it is in memory anyway.
    pub(super) fn unit_limit(&self, depth: Depth) -> usize {
        match depth.members {
            0 => self.options.limits.unit_bytes,
            _ => self.options.limits.unit_bytes.max(self.options.limits.inflated_bytes),
        }
    }

    /// Reads a JSON object of a kind that gives rows.
    pub(super) fn value(
        &mut self,
        shape: Shape,
        value: &[u8],
        depth: Depth,
    ) -> Result<(), ReadError> {
        match shape {
            Shape::Row => self.row(value),
            Shape::Failed => self.failed(value, depth.records),
            Shape::Envelope => self.envelope(value),
            Shape::Other => self.text(value),
        }
    }

    /// Reads plain lines, as many as belong together.
    fn plain(&mut self, window: &mut Window<'_>) -> Result<(), ReadError> {
        if let Some(end) = self.lines_end(window)? {
            self.text(&window.bytes()[..end])?;
            window.consume(end);
        }
        Ok(())
    }

    /// Reports a row, failed record or envelope that is truncated.
    pub(super) fn torn_json(&mut self, window: &mut Window<'_>) -> Result<(), ReadError> {
        if let Some(end) = self.lines_end(window)? {
            self.bad_unit("torn-json", "a JSON value is truncated", &window.bytes()[..end])?;
            window.consume(end);
        }
        Ok(())
    }

    /// Where the plain lines end that begin here: before a JSON value, at a member, or when enough
    /// are read. `None`: all that was left is consumed and reported.
    fn lines_end(&mut self, window: &mut Window<'_>) -> Result<Option<usize>, ReadError> {
        let limit = self.options.limits.unit_bytes;
        let (mut end, mut stop) = line_end(window, 0, limit)?;
        if stop == Stop::Long {
            self.too_long(window)?;
            return Ok(None);
        }
        if stop == Stop::End && window.broken.is_some() {
            // The member is truncated here, and is reported with all its bytes.
            window.consume(end);
            return Ok(None);
        }
        while stop == Stop::Break {
            let next = end + 1;
            window.fill(next + INDENT_MAX)?;
            if is_special(&window.bytes()[next.min(window.bytes().len())..]) {
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

    /// Skips a line that is longer than a unit may be, and reports its beginning.
    pub(super) fn too_long(&mut self, window: &mut Window<'_>) -> Result<(), ReadError> {
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
}

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// `\n`
    Break,
    /// A member, or a truncated header of one.
    Member,
    /// The end of the source.
    End,
    /// The line does not end before the limit.
    Long,
}

pub(super) fn up_to(bytes: &[u8], length: usize) -> &[u8] {
    &bytes[..bytes.len().min(length)]
}

/// Where the line ends that begins at an offset. At most `limit` bytes are examined.
pub(super) fn line_end(
    window: &mut Window<'_>,
    from: usize,
    limit: usize,
) -> Result<(usize, Stop), ReadError> {
    let mut at = from;
    loop {
        while let Some(found) =
            memchr3(b'\n', GZIP[0], ZSTD_RARE, &up_to(window.bytes(), from + limit)[at..])
        {
            at += found;
            let start = match window.bytes()[at] {
                b'\n' => return Ok((at, Stop::Break)),
                ZSTD_RARE => at.saturating_sub(ZSTD.len() - 1),
                _ => at,
            };
            if start >= from && form(window, start)?.is_some() {
                return Ok((start, Stop::Member));
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

/// Where the JSON object ends that begins at an offset; also `Open` when it is too long.
///
/// An envelope's strings may contain unescaped line breaks if the envelope is complete.
pub(super) fn object_end(
    window: &mut Window<'_>,
    at: usize,
    limit: usize,
) -> Result<Scan, ReadError> {
    let mut scan = value_end(window, at, limit, Braces::default())?;
    if scan == Scan::Not {
        window.fill(at + HEAD_BYTES)?;
        if shape(up_to(&window.bytes()[at..], HEAD_BYTES)) == Shape::Envelope {
            scan = match value_end(window, at, limit, Braces::with_line_breaks())? {
                Scan::Open => Scan::Not,
                scan => scan,
            };
        }
    }
    Ok(match scan {
        // A member begins in the object: compressed bytes closed its brace by chance.
        Scan::Closed(length) if memmem::find(&window.bytes()[at..at + length], GZIP).is_some() => {
            Scan::Not
        }
        scan => scan,
    })
}

fn value_end(
    window: &mut Window<'_>,
    at: usize,
    limit: usize,
    mut braces: Braces,
) -> Result<Scan, ReadError> {
    // Otherwise, each of many unclosed braces could cause all that follows to be read.
    let limit = match window.in_vain > TRIES * limit {
        true => line_end(window, at, limit)?.0 - at,
        false => limit,
    };
    let scan = loop {
        let value = &window.bytes()[at..];
        let scan = braces.scan(up_to(value, limit));
        if scan != Scan::Open || value.len() >= limit {
            break scan;
        }
        if !window.fill(window.bytes().len() + 1)? {
            break Scan::Open;
        }
    };
    if matches!(scan, Scan::Open | Scan::Not) {
        window.in_vain += braces.scanned().saturating_sub(CHEAP_BYTES);
    }
    Ok(scan)
}

/// Whether a value is a unit by itself: another value, a line break, a member or nothing follows.
fn stands_alone(window: &mut Window<'_>, end: usize) -> Result<bool, ReadError> {
    window.fill(end + INDENT_MAX)?;
    let rest = &window.bytes()[end..];
    let next = rest.iter().position(|&byte| !matches!(byte, b' ' | b'\t' | b'\r'));
    Ok(next.is_none_or(|next| {
        matches!(rest[next], b'\n' | b'{' | b'[') || rest[next..].starts_with(GZIP)
    }))
}
