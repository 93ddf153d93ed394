//! Reads records in a list or in base64: an extra wrapping by a producer.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::read::GzDecoder;
use memchr::memchr;
use serde_json::value::RawValue;

use crate::object::begin::{GZIP, HEAD_BYTES, ZSTD, is_ours};
use crate::object::events::NESTED_MAX;
use crate::object::scan::{Scan, Shape, shape};
use crate::object::unit::{Stop, line_end, object_end, up_to};
use crate::object::window::Window;
use crate::object::{Depth, ReadError, Reading};

/// The most bytes of a line of wrapped base64: 76 in MIME, 64 in PEM, and a carriage return. Every
/// envelope is longer.
const WRAPPED_MAX: usize = 77;

/// The beginning of gzip in base64, which no word has.
const GZIP_IN_BASE64: &[u8] = b"H4sI";

/// What base64 contains.
enum Held {
    Ours(Vec<u8>),
    /// One of our formats, but truncated or corrupt.
    Torn(Vec<u8>),
    /// Foreign text.
    Other,
    /// Base64 or gzip that is not valid.
    Broken,
}

impl Reading<'_, '_> {
    /// Reads a list of records, each as a unit. `false`: it is text.
    pub(super) fn list(
        &mut self,
        window: &mut Window<'_>,
        depth: Depth,
    ) -> Result<bool, ReadError> {
        window.fill(HEAD_BYTES)?;
        if !is_ours(up_to(window.bytes(), HEAD_BYTES)) {
            return Ok(false);
        }
        // The first item follows the bracket; each is consumed with the delimiter after it.
        let mut from = 1;
        loop {
            let start = blanks_end(window, from)?;
            let Some(end) = self.item_end(window, start, depth)? else {
                self.torn_json(window)?;
                return Ok(true);
            };
            let item = &window.bytes()[start..end];
            match shape(item) {
                Shape::Other => self.text(item)?,
                shape => self.value(shape, item, depth)?,
            }
            let after = blanks_end(window, end)?;
            match window.bytes().get(after) {
                Some(b',') => window.consume(after + 1),
                Some(b']') => {
                    window.consume(after + 1);
                    return Ok(true);
                }
                // The list is truncated after a complete item.
                _ => {
                    window.consume(end);
                    return Ok(true);
                }
            }
            from = 0;
        }
    }

    /// Where a list's item ends, if it does.
    fn item_end(
        &mut self,
        window: &mut Window<'_>,
        at: usize,
        depth: Depth,
    ) -> Result<Option<usize>, ReadError> {
        let limit = self.unit_limit(depth);
        if window.bytes().get(at) == Some(&b'{') {
            return Ok(match object_end(window, at, limit)? {
                Scan::Closed(length) => Some(at + length),
                Scan::Open | Scan::Not => None,
            });
        }
        window.fill(at + limit)?;
        let rest = up_to(&window.bytes()[at.min(window.bytes().len())..], limit);
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<&RawValue>();
        Ok(match values.next() {
            Some(Ok(_)) => Some(at + values.byte_offset()),
            _ => None,
        })
    }

    /// Reads base64 on one line or wrapped over several. `false`: it contains none of our formats,
    /// so it is text.
    pub(super) fn base64(
        &mut self,
        window: &mut Window<'_>,
        depth: Depth,
    ) -> Result<bool, ReadError> {
        if window.broken.is_some() || depth.records > NESTED_MAX {
            return Ok(false);
        }
        let (line, mut stop) = line_end(window, 0, self.options.limits.unit_bytes)?;
        if !matches!(stop, Stop::Break | Stop::End) || window.broken.is_some() {
            return Ok(false);
        }
        let (mut end, mut content) = (line, held(&window.bytes()[..line]));
        if matches!(content, Held::Torn(_) | Held::Broken) {
            (end, stop) = self.base64_end(window, line, stop)?;
            if end > line {
                content = held(&window.bytes()[..end]);
            }
        }
        let text = &window.bytes()[..end];
        match content {
            // If the data is truncated, reading it reports that.
            Held::Ours(data) | Held::Torn(data) => self.record(data, depth.records)?,
            Held::Broken if text.starts_with(GZIP_IN_BASE64) && is_alphabet(text) => {
                let reason =
                    "gzip in broken or truncated base64: have the producer put bytes, not text";
                self.bad_unit("base64", reason, text)?;
            }
            Held::Broken | Held::Other if end == line => return Ok(false),
            // All lines at once: each might begin base64 that is as long.
            Held::Broken | Held::Other => self.text(text)?,
        }
        window.consume(end + usize::from(stop == Stop::Break));
        Ok(true)
    }

    /// Where base64 ends whose first line ends here. It has more lines only if all are short and,
    /// except the last, equally long.
    fn base64_end(
        &mut self,
        window: &mut Window<'_>,
        line: usize,
        stop: Stop,
    ) -> Result<(usize, Stop), ReadError> {
        let limit = self.options.limits.unit_bytes;
        let (mut end, mut stop, mut length) = (line, stop, line);
        while line <= WRAPPED_MAX && length == line && stop == Stop::Break {
            let start = end + 1;
            let (next, how) = line_end(window, start, limit.saturating_sub(start))?;
            length = next - start;
            let is_part = (1..=line).contains(&length)
                && matches!(how, Stop::Break | Stop::End)
                && is_alphabet(&window.bytes()[start..next]);
            if !is_part {
                break;
            }
            (end, stop) = (next, how);
        }
        Ok((end, stop))
    }
}

/// Whether a text consists of base64 (of either alphabet) and line breaks.
fn is_alphabet(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || memchr(*byte, b"+/-_=\r\n").is_some())
}

fn held(text: &[u8]) -> Held {
    let padding = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'=';
    let length = text.iter().rposition(|byte| !padding(byte)).map_or(0, |last| last + 1);
    let digits = text[..length].iter().filter(|byte| !byte.is_ascii_whitespace());
    let digits = digits.map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        digit => *digit,
    });
    let Ok(data) = STANDARD_NO_PAD.decode(digits.collect::<Vec<_>>()) else {
        return Held::Broken;
    };
    if !data.starts_with(GZIP) {
        let is_ours = data.starts_with(ZSTD) || is_ours(up_to(&data, HEAD_BYTES));
        return if is_ours { Held::Ours(data) } else { Held::Other };
    }
    let mut head = Vec::new();
    let read = GzDecoder::new(&data[..]).take(HEAD_BYTES as u64).read_to_end(&mut head);
    match (is_ours(&head), read) {
        (true, Ok(_)) => Held::Ours(data),
        (true, Err(_)) => Held::Torn(data),
        (false, Ok(_)) => Held::Other,
        (false, Err(_)) => Held::Broken,
    }
}

/// The offset after blanks and line breaks.
fn blanks_end(window: &mut Window<'_>, from: usize) -> Result<usize, ReadError> {
    let mut at = from;
    while window.fill(at + 1)? {
        match window.bytes()[at..].iter().position(|byte| !byte.is_ascii_whitespace()) {
            Some(blanks) => return Ok(at + blanks),
            None => at = window.bytes().len(),
        }
    }
    Ok(at)
}
