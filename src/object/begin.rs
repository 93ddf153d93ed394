//! What begins at an offset: a compressed member, JSON, an unreadable format, or text.

use crate::object::ReadError;
use crate::object::scan::{Shape, shape};
use crate::object::window::Window;
use crate::rows::MARK;

/// The first bytes of a gzip member. Valid UTF-8 text never begins with them: 8b cannot be the
/// second byte of a character here.
pub(super) const GZIP: &[u8] = b"\x1f\x8b\x08";
/// The first bytes of a zstd frame. b5 cannot be the second byte of a character here either.
pub(super) const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// The byte of [`ZSTD`] that valid UTF-8 never contains: searching for it finds few false starts.
pub(super) const ZSTD_RARE: u8 = 0xfd;
/// The bytes of a skippable zstd frame that follow its first byte, which is 50 to 5f.
const SKIPPABLE: &[u8] = b"\x2a\x4d\x18";
/// A UTF-8 byte order mark.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The most blanks that are accepted in front of a JSON value.
pub(super) const INDENT_MAX: usize = 64;
/// How much of a text is examined to decide whether its format is one that hiwake reads.
pub(super) const HEAD_BYTES: usize = 4096;

/// A compression format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Gzip,
    Zstd,
}

/// The format of the member that begins at an offset. A header that the input's end truncates
/// counts as one.
pub(super) fn form(window: &mut Window<'_>, at: usize) -> Result<Option<Form>, ReadError> {
    if !matches!(window.bytes().get(at), Some(0x1f | 0x28 | 0x50..=0x5f)) {
        return Ok(None);
    }
    let whole = window.fill(at + ZSTD.len())?;
    let bytes = &window.bytes()[at..];
    let begins = |magic: &[u8]| bytes.starts_with(magic) || !whole && magic.starts_with(bytes);
    let is_skippable = bytes.get(1..).is_some_and(|rest| rest.starts_with(SKIPPABLE));
    Ok(match bytes {
        _ if begins(GZIP) => Some(Form::Gzip),
        // A text may end with a single parenthesis, which is the first byte of a zstd frame.
        _ if is_skippable || bytes.len() > 1 && begins(ZSTD) => Some(Form::Zstd),
        _ => None,
    })
}

/// The code of records that a producer aggregated.
pub(super) const AGGREGATE: &str = "kpl-aggregate";

/// Recognises formats that cannot be read by their first bytes: the code, and the remedy.
pub(super) fn disguise(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let begins = |start: &[u8]| bytes.starts_with(start);
    let is_utf_16 = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [a, 0, c, 0, ..] | [0, a, 0, c, ..] => *a != 0 && *c != 0,
        _ => false,
    };
    if is_utf_16 {
        let reason = "UTF-16 text: write UTF-8, e.g. with `iconv -f UTF-16 -t UTF-8`";
        return Some(("utf-16", reason));
    }
    if begins(b"\x1f\xef\xbf\xbd\x08") || begins(b"\x1f\xc2\x8b\x08") {
        let reason = "gzip that was decoded as text on its way, so its bytes are lost: have the producer put bytes, not a string";
        return Some(("mangled-gzip", reason));
    }
    if begins(b"\xf3\x89\x9a\xc2") {
        let reason = "records that the Kinesis Producer Library aggregated: set AggregationEnabled = false in the producer, or deaggregate them before Firehose";
        return Some((AGGREGATE, reason));
    }
    None
}

/// Whether a line that begins with these bytes may be something other than text.
pub(super) fn is_special(bytes: &[u8]) -> bool {
    match bytes.first() {
        Some(b'{' | 0x1f | 0xf3 | 0xfe | 0xff | 0xef) => true,
        Some(b' ' | b'\t') => indent(bytes).is_some(),
        Some(b'[') => list(bytes).is_some(),
        Some(b'H' | b'e' | b'K') => is_base64(bytes),
        _ => false,
    }
}

/// The number of blanks before the `{`, if blanks and a `{` begin here.
pub(super) fn indent(bytes: &[u8]) -> Option<usize> {
    let blanks = bytes.iter().take(INDENT_MAX).position(|byte| !matches!(byte, b' ' | b'\t'))?;
    (bytes[blanks] == b'{').then_some(blanks)
}

/// The offset of a list's first object, if a list of objects begins here.
pub(super) fn list(bytes: &[u8]) -> Option<usize> {
    let rest = bytes.strip_prefix(b"[")?;
    let blanks = rest.iter().take(INDENT_MAX).position(|byte| !byte.is_ascii_whitespace())?;
    (rest[blanks] == b'{').then_some(1 + blanks)
}

/// Whether the base64 of gzip, of a zstd frame or of a JSON object may begin here.
pub(super) fn is_base64(bytes: &[u8]) -> bool {
    [&b"H4sI"[..], b"KLUv/", b"eyJ"].iter().any(|start| bytes.starts_with(start))
}

/// Whether a text begins with a format that hiwake reads.
pub(super) fn is_ours(head: &[u8]) -> bool {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start();
    let value = match list(head) {
        Some(at) => &head[at..],
        None => head,
    };
    value.starts_with(MARK) || value.starts_with(b"{") && shape(value) != Shape::Other
}
