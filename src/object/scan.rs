//! Where a JSON object ends, found without parsing it, and what kind of unit it is.

use memchr::{memchr3, memchr3_iter, memmem};

use crate::json;
use crate::row::FIELDS;

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// The object ends before this place.
    Closed(usize),
    /// More bytes are needed.
    Open,
    /// A string holds a line break: no JSON.
    Not,
}

/// Walks braces and strings from a `{` on; goes on where it stopped when there are more bytes.
#[derive(Debug, Default)]
pub(super) struct Braces {
    at: usize,
    depth: usize,
    string: bool,
}

impl Braces {
    /// The bytes begin where they began before, and are as many or more.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scan {
        while self.at < bytes.len() {
            let rest = &bytes[self.at..];
            let found = if self.string {
                memchr3(b'"', b'\\', b'\n', rest)
            } else {
                memchr3(b'"', b'{', b'}', rest)
            };
            let Some(found) = found else {
                self.at = bytes.len();
                return Scan::Open;
            };
            match rest[found] {
                b'\n' => return Scan::Not,
                b'\\' if found + 1 == rest.len() => {
                    self.at += found;
                    return Scan::Open;
                }
                // A line break after a backslash is no escape: look at it by itself.
                b'\\' => self.at += usize::from(rest[found + 1] != b'\n'),
                b'"' => self.string = !self.string,
                b'{' => self.depth += 1,
                _ => self.depth -= 1,
            }
            self.at += found + 1;
            if self.depth == 0 {
                return Scan::Closed(self.at);
            }
        }
        Scan::Open
    }
}

/// The fields of a line of the quarantine, beside `data` or `bytes`.
const QUARANTINED: [&str; 4] = ["code", "reason", "object", "offset"];

/// What a JSON object is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Row,
    Failed,
    Envelope,
    /// Any other, or no JSON at all: plain text.
    Other,
}

/// By its top-level keys, in any order. What has a row's keys is a row, whatever else is wrong with
/// it: twice the same key, one of seven missing, no valid JSON.
pub(super) fn shape(value: &[u8]) -> Shape {
    // What CloudWatch Logs writes; the envelope's reader looks closer.
    if value.starts_with(b"{\"messageType\":") {
        return Shape::Envelope;
    }
    let keys = json::keys(value);
    let has = |name: &str| match &keys {
        Some(keys) => keys.iter().any(|key| key == name),
        None => {
            FIELDS.contains(&name)
                && memmem::find(value, format!("\"{name}\":").as_bytes()).is_some()
        }
    };
    match FIELDS.iter().filter(|name| has(name)).count() {
        _ if has("messageType") => Shape::Envelope,
        _ if has("rawData") => Shape::Failed,
        _ if QUARANTINED.into_iter().all(has) && (has("data") || has("bytes")) => Shape::Failed,
        count if count + 1 >= FIELDS.len() => Shape::Row,
        _ if has("file") && has("day") && has("line") => Shape::Row,
        _ => Shape::Other,
    }
}

/// How much of a text tells whether it was meant for us.
pub(super) const HEAD_BYTES: usize = 4096;

/// Whether a text (its first [`HEAD_BYTES`]) that is no whole JSON object was meant as one of ours.
pub(super) fn meant_for_us(head: &[u8]) -> bool {
    let keys: [&[u8]; 3] = [b"messageType\"", b"rawData\"", b"file\""];
    memchr3_iter(b'm', b'r', b'f', head)
        .filter(|&at| at > 0 && head[at - 1] == b'"')
        .any(|at| keys.iter().any(|key| head[at..].starts_with(key)))
}
