//! Finds where a JSON object ends without parsing it, and what kind of unit it is.

use memchr::memchr3;

use crate::json;

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// The object ends just before this index.
    Closed(usize),
    /// More bytes are needed.
    Open,
    /// A string contains a line break, so this is not valid JSON.
    Not,
}

/// Follows braces and strings from a `{`. With more bytes it resumes where it stopped.
#[derive(Debug, Default)]
pub(super) struct Braces {
    at: usize,
    depth: usize,
    string: bool,
    /// Whether strings may contain line breaks. Then what follows a quote decides whether the quote
    /// ended the string.
    line_breaks: bool,
    /// Whether what follows the last quote still has to be checked.
    behind: bool,
}

impl Braces {
    /// For an object whose strings may contain unescaped line breaks.
    pub(super) fn with_line_breaks() -> Braces {
        Braces { line_breaks: true, ..Braces::default() }
    }

    /// How many bytes were scanned.
    pub(super) fn scanned(&self) -> usize {
        self.at
    }

    /// Continues the scan. The bytes must begin with those of the previous call.
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
                // A backslash does not escape a line break: examine the line break by itself.
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

/// The fields of a line of the quarantine, besides `data` or `bytes`.
const QUARANTINED: [&str; 4] = ["code", "reason", "object", "offset"];

/// The fields of a row, besides those that say where it came from.
const FIELDS: [&str; 6] = ["file", "kind", "day", "timestamp", "id", "line"];

/// The beginning of every message from CloudWatch Logs; the envelope's reader checks the rest.
pub(super) const ENVELOPE: &[u8] = b"{\"messageType\":";

/// The kinds of JSON objects that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Row,
    Failed,
    Envelope,
    /// Any other object: plain text.
    Other,
}

/// The kind of an object by its top-level keys, in any order, even if it is truncated or not valid.
/// An object with a row's keys is a row, whatever else is wrong with it.
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
