//! CloudWatch's event ids in rows: 56 digits in 23 bytes, without loss. Pure.
//!
//! The ids in CloudWatch's documentation are numbers with the event's timestamp above 144 bits.
//! AWS does not promise this. An id with this form is written as `~` and the base64 of its low 128
//! bits, any other unchanged: 23 bytes that hardly compress instead of 56. A row's identity depends
//! on the short form, so the form of an id must never change.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Begins a shortened id; an id that begins with it gets a second one.
const MARK: char = '~';
const DIGITS: usize = 56;
/// The length of 16 bytes in base64.
const SHORT: usize = 22;
/// The number of decimal digits that are converted at once.
const CHUNK: usize = 8;
const CHUNK_VALUE: u128 = 100_000_000;

/// The form of an event's id in a row; `short` is its buffer. Equal ids with equal timestamps have
/// the same form; different ids with the same timestamp have different forms.
pub fn short<'a>(id: &'a str, timestamp: i64, short: &'a mut String) -> &'a str {
    short.clear();
    if let Some(low) = low_bits(id, timestamp) {
        short.push(MARK);
        base64_simd::URL_SAFE_NO_PAD.encode_append(low.to_be_bytes(), short);
    } else if id.starts_with(MARK) {
        short.push(MARK);
        short.push_str(id);
    } else {
        return id;
    }
    short
}

/// The id as CloudWatch Logs wrote it.
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

/// The timestamp that begins an id from CloudWatch; `None` if the id has another form.
pub fn timestamp(id: &str) -> Option<i64> {
    let [.., top] = limbs(id)?;
    (top & 0xffff == 0).then_some((top >> 16) as i64)
}

/// The low 128 bits of an id that consists of its timestamp, 16 zero bits and these.
fn low_bits(id: &str, timestamp: i64) -> Option<u128> {
    let [low, high, top] = limbs(id)?;
    let fits = (0..1 << 48).contains(&timestamp) && top == (timestamp as u64) << 16;
    fits.then_some(u128::from(high) << 64 | u128::from(low))
}

/// An id of 56 digits as a number of three limbs, the lowest first. It has at most 187 bits.
fn limbs(id: &str) -> Option<[u64; 3]> {
    if id.len() != DIGITS {
        return None;
    }
    let mut limbs = [0_u64; 3];
    let (chunks, _) = id.as_bytes().as_chunks();
    for chunk in chunks {
        let mut carry = u128::from(value(*chunk)?);
        for limb in &mut limbs {
            let sum = u128::from(*limb) * CHUNK_VALUE + carry;
            (*limb, carry) = (sum as u64, sum >> 64);
        }
    }
    Some(limbs)
}

/// The value of eight digits, computed in parallel: first pairs, then fours, then all.
fn value(digits: [u8; CHUNK]) -> Option<u64> {
    let bytes = u64::from_le_bytes(digits);
    let above = bytes.wrapping_add(0x4646_4646_4646_4646);
    let values = bytes.wrapping_sub(0x3030_3030_3030_3030);
    if (above | values) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = (values * 10 + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
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
