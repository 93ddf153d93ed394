//! CloudWatch's event ids in rows: 56 digits in 23 bytes, without loss. Pure.
//!
//! The ids that CloudWatch Logs documents are numbers with the event's timestamp above 144 bits. That is nobody's
//! promise: an id of which it is true is written as `~` and the base64 of its low 128 bits, any other as it is. In gzip
//! a row's id then costs a twelfth (`docs/performance.md`). A row's identity is made of the short form, so the form of
//! an id must never change.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Begins a shortened id, and stands twice where an id begins with it.
const MARK: char = '~';
const DIGITS: usize = 56;
/// Base64 of 16 bytes.
const SHORT: usize = 22;
/// Decimal digits that a limb of 64 bits takes at once.
const CHUNK: usize = 14;
const CHUNK_VALUE: u128 = 100_000_000_000_000;

/// The form that a row has of an event's id; `short` is its buffer. The same for the same id and timestamp, different
/// for different ids of one timestamp.
pub fn short<'a>(id: &'a str, timestamp: i64, short: &'a mut String) -> &'a str {
    short.clear();
    if let Some(low) = low_bits(id, timestamp) {
        short.push(MARK);
        URL_SAFE_NO_PAD.encode_string(low.to_be_bytes(), short);
    } else if id.starts_with(MARK) {
        short.push(MARK);
        short.push_str(id);
    } else {
        return id;
    }
    short
}

/// The id as CloudWatch Logs gave it.
pub fn long(short: &str, timestamp: i64) -> Cow<'_, str> {
    let Some(rest) = short.strip_prefix(MARK) else {
        return Cow::Borrowed(short);
    };
    let mut low = [0; 16];
    if rest.len() == SHORT
        && let Ok(16) = URL_SAFE_NO_PAD.decode_slice_unchecked(rest, &mut low)
        && let Ok(timestamp) = u64::try_from(timestamp)
    {
        return Cow::Owned(digits(timestamp, u128::from_be_bytes(low)));
    }
    Cow::Borrowed(rest)
}

/// The low 128 bits of an id that is its timestamp, 16 zeros and they.
fn low_bits(id: &str, timestamp: i64) -> Option<u128> {
    if id.len() != DIGITS {
        return None;
    }
    // Three limbs, the lowest first. 56 digits have at most 187 bits.
    let mut limbs = [0_u64; 3];
    for chunk in id.as_bytes().chunks(CHUNK) {
        let mut carry = 0_u128;
        for digit in chunk {
            carry = carry * 10 + u128::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        }
        for limb in &mut limbs {
            let sum = u128::from(*limb) * CHUNK_VALUE + carry;
            (*limb, carry) = (sum as u64, sum >> 64);
        }
    }
    let [low, high, top] = limbs;
    let fits = (0..1 << 48).contains(&timestamp) && top == (timestamp as u64) << 16;
    fits.then_some(u128::from(high) << 64 | u128::from(low))
}

fn digits(timestamp: u64, low: u128) -> String {
    let mut limbs = [low as u64, (low >> 64) as u64, timestamp << 16];
    let mut chunks = [0_u64; DIGITS / CHUNK];
    for chunk in chunks.iter_mut().rev() {
        let mut rest = 0;
        for limb in limbs.iter_mut().rev() {
            let value = rest << 64 | u128::from(*limb);
            *limb = (value / CHUNK_VALUE) as u64;
            rest = value % CHUNK_VALUE;
        }
        *chunk = rest as u64;
    }
    chunks.iter().map(|chunk| format!("{chunk:0CHUNK$}")).collect()
}
