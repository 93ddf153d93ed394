//! JSON's strings, read several times faster than by a parser; what is unusual is left to one. An
//! object's keys. Pure.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// Strings as JSON.
pub(crate) fn written(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("strings are always JSON")
}

/// The keys of a JSON object, in its order, with those that appear twice; not those of objects in
/// it.
///
/// `None`: the text is not one JSON object.
pub(crate) fn keys(text: &[u8]) -> Option<Vec<Cow<'_, str>>> {
    serde_json::from_slice::<Keys<'_>>(text).ok().map(|keys| keys.0)
}

struct Keys<'a>(Vec<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Keys<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Keys<'de>, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Keys<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys<'de>, A::Error> {
                let mut keys = Vec::new();
                while let Some((Text(key), IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A string that is borrowed where it has no escapes. (serde always copies an `Option<Cow>`, or one
/// in a list.)
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Reads a string that begins after its quote: where it ends, and whether it has escapes. Then
/// `plain` is what it means, otherwise the bytes up to its end are. What it means is UTF-8 if it
/// is.
///
/// `None` is the parser's: escapes of four hexadecimal digits, and what is not a valid JSON.
pub(crate) fn string(body: &[u8], plain: &mut Vec<u8>) -> Option<(usize, bool)> {
    let first = memchr2(b'"', b'\\', body)?;
    if has_control(&body[..first]) {
        return None;
    }
    match body[first] {
        b'"' => Some((first, false)),
        _ => Some((unescape(body, first, plain)?, true)),
    }
}

/// Replaces `plain` by what a string means; its first escape is `at`. Answers where its quote is.
fn unescape(body: &[u8], mut at: usize, plain: &mut Vec<u8>) -> Option<usize> {
    plain.clear();
    plain.reserve(2 * at + 128);
    plain.extend_from_slice(&body[..at]);
    loop {
        match *body.get(at)? {
            b'"' => return Some(at),
            b'\\' => {
                plain.push(match body.get(at + 1)? {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'"' => b'"',
                    b'\\' => b'\\',
                    b'r' => b'\r',
                    b'/' => b'/',
                    b'b' => 0x8,
                    b'f' => 0xc,
                    _ => return None,
                });
                at += 2;
                // Another one, as in `\n\t`: no need to look far.
                if body.get(at) == Some(&b'\\') {
                    continue;
                }
            }
            ..0x20 => return None,
            byte => {
                plain.push(byte);
                at += 1;
            }
        }
        while let Some(word) = body[at..].first_chunk::<8>() {
            let usual = usual(u64::from_le_bytes(*word));
            plain.extend_from_slice(word);
            at += usual;
            if usual < word.len() {
                plain.truncate(plain.len() - word.len() + usual);
                break;
            }
        }
    }
}

/// How many of eight bytes, from the lowest on, come before a quote, a backslash or a control
/// character.
fn usual(word: u64) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    // The high bit of each byte below `limit`, and perhaps of some behind one that is.
    let below = |word: u64, limit: u64| word.wrapping_sub(limit * ONES) & !word;
    let is = |byte: u8| below(word ^ (u64::from(byte) * ONES), 1);
    let unusual = (is(b'"') | is(b'\\') | below(word, 0x20)) & (ONES << 7);
    unusual.trailing_zeros() as usize / 8
}

/// A whole number without a sign or a leading zero, and what follows it. As many digits as may be
/// too many are the parser's.
pub(crate) fn number(text: &[u8]) -> Option<(i64, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    let plain = (1..=18).contains(&length) && (length == 1 || digits[0] != b'0');
    plain.then(|| (digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')), rest))
}

/// In one pass without a branch, which the compiler makes of whole registers.
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < 0x20
}
