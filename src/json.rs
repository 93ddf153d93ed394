//! JSON's strings, read several times faster than by a parser; what is unusual is left to one. Pure.

use memchr::memchr2;

/// Reads a string that begins after its quote: where it ends, and whether it has escapes. Then `plain` is what it means,
/// otherwise the bytes up to its end are.
///
/// `None` is the parser's: escapes of four hexadecimal digits, and what is no JSON.
pub fn string(body: &str, plain: &mut String) -> Option<(usize, bool)> {
    let first = memchr2(b'"', b'\\', body.as_bytes())?;
    let escaped = body.as_bytes()[first] == b'\\';
    let end = if escaped { unescape(body, first, plain)? } else { first };
    (!has_control(&body.as_bytes()[..end])).then_some((end, escaped))
}

/// Replaces `plain` by what a string means; its first escape is `at`. Answers where its quote is.
fn unescape(body: &str, mut at: usize, plain: &mut String) -> Option<usize> {
    let bytes = body.as_bytes();
    plain.clear();
    plain.reserve(2 * at + 128);
    let mut from = 0;
    while bytes[at] == b'\\' {
        plain.push_str(&body[from..at]);
        plain.push(match bytes.get(at + 1)? {
            b'n' => '\n',
            b't' => '\t',
            b'"' => '"',
            b'\\' => '\\',
            b'r' => '\r',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            _ => return None,
        });
        from = at + 2;
        at = match bytes.get(from)? {
            // Another one, as in `\n\t`: no need to look far.
            b'\\' => from,
            _ => from + memchr2(b'"', b'\\', &bytes[from..])?,
        };
    }
    plain.push_str(&body[from..at]);
    Some(at)
}

/// In one pass without a branch, which the compiler makes of whole registers.
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < 0x20
}
