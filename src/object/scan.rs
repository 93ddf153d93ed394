//! Where a JSON object ends, found without parsing it, and what kind of unit it is.

use memchr::memchr3;

use crate::json;

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// The object ends before this place.
    Closed(usize),
    /// More bytes are needed.
    Open,
    /// A string holds a line break: this is not JSON.
    Not,
}

/// Walks braces and strings from a `{` on; resumes where it stopped when there are more bytes.
#[derive(Debug, Default)]
pub(super) struct Braces {
    at: usize,
    depth: usize,
    string: bool,
    /// Whether strings may hold line breaks. Then what follows a string tells whether it was one.
    line_breaks: bool,
    /// Whether that has still to be looked at.
    behind: bool,
}

impl Braces {
    /// Of an object whose strings may hold line breaks as they are.
    pub(super) fn with_line_breaks() -> Braces {
        Braces { line_breaks: true, ..Braces::default() }
    }

    /// How many bytes were looked at.
    pub(super) fn scanned(&self) -> usize {
        self.at
    }

    /// The bytes begin where they began before, and are as many or more.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Scan {
        while self.at < bytes.len() {
            let rest = &bytes[self.at..];
            if self.behind {
                let next = rest.iter().position(|byte| !byte.is_ascii_whitespace());
                let Some(next) = next else { return Scan::Open };
                if !matches!(rest[next], b':' | b',' | b'}' | b']') {
                    return Scan::Not;
                }
                self.behind = false;
            }
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
                b'\n' if self.line_breaks => {}
                b'\n' => return Scan::Not,
                b'\\' if found + 1 == rest.len() => {
                    self.at += found;
                    return Scan::Open;
                }
                // A line break after a backslash does not form an escape: look at it by itself.
                b'\\' => self.at += usize::from(rest[found + 1] != b'\n'),
                b'"' => {
                    self.string = !self.string;
                    self.behind = self.line_breaks && !self.string;
                }
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

/// The fields of a row, beside those that say where it came from.
const FIELDS: [&str; 6] = ["file", "kind", "day", "timestamp", "id", "line"];

/// What CloudWatch Logs begins a message with; the envelope's reader looks closer.
pub(super) const ENVELOPE: &[u8] = b"{\"messageType\":";

/// What a JSON object is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Row,
    Failed,
    Envelope,
    /// Any other: plain text.
    Other,
}

/// By the keys at its top level, in any order; also of an object that breaks off or is not valid.
/// What has a row's keys is a row, whatever else is wrong with it.
pub(super) fn shape(value: &[u8]) -> Shape {
    if value.starts_with(ENVELOPE) {
        return Shape::Envelope;
    }
    let keys = json::top_level_keys(value);
    let has = |name: &str| keys.contains(&name.as_bytes());
    match FIELDS.into_iter().filter(|name| has(name)).count() {
        _ if has("messageType") => Shape::Envelope,
        _ if has("rawData") => Shape::Failed,
        _ if QUARANTINED.into_iter().all(has) && (has("data") || has("bytes")) => Shape::Failed,
        count if count + 1 >= FIELDS.len() => Shape::Row,
        _ if has("file") && has("day") && (has("line") || has("kind")) => Shape::Row,
        _ => Shape::Other,
    }
}
