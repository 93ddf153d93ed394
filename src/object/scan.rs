//! Where a JSON object ends, found without parsing it, and what kind of unit it is.

use memchr::{memchr3, memchr3_iter};
use serde::Deserialize;
use serde::de::IgnoredAny;

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

/// What a JSON object is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Row,
    Failed,
    Envelope,
    /// Any other, or no JSON at all: plain text.
    Other,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Keys {
    file: Present,
    day: Present,
    line: Present,
    raw_data: Present,
    message_type: Present,
}

/// Whether a key is there, `null` too.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Present, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Present(true))
    }
}

/// By its top-level keys, in any order.
pub(super) fn shape(value: &[u8]) -> Shape {
    // What CloudWatch Logs writes; the envelope's reader looks closer.
    if value.starts_with(b"{\"messageType\":") {
        return Shape::Envelope;
    }
    match serde_json::from_slice::<Keys>(value) {
        Ok(Keys { message_type: Present(true), .. }) => Shape::Envelope,
        Ok(Keys { raw_data: Present(true), .. }) => Shape::Failed,
        Ok(Keys { file: Present(true), day: Present(true), line: Present(true), .. }) => Shape::Row,
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
