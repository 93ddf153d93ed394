//! Rows exactly as transform writes them, read several times faster than any JSON.
//!
//! Whatever is not to the letter so is left to [`Row::decode`]: another order of members, a space,
//! an id in digits, an escape but in the line. What is read here is what the decoder reads
//! (`exact_is_never_another_row`).

use std::borrow::Cow;

use crate::json;
use crate::row::{self, Day, Kind, Row, RowError};

/// Reads rows; keeps what the row before began with, since most begin alike.
#[derive(Default)]
pub(super) struct RowReader {
    head: Option<Head>,
    /// The present line without its escapes.
    line: Vec<u8>,
}

/// A row up to its timestamp.
struct Head {
    text: Vec<u8>,
    file: String,
    kind: Kind,
    day: Day,
}

impl RowReader {
    /// What [`Row::decode`] answers.
    pub(super) fn decode<'a>(&'a mut self, text: &'a [u8]) -> Result<Row<'a>, RowError> {
        let begins = self.head.as_ref().is_some_and(|head| text.starts_with(&head.text));
        if !begins {
            let row = Row::decode(text)?;
            let mut head = Vec::new();
            row::head(&row, &mut head);
            if text.starts_with(&head) {
                let (file, kind, day) = (row.file.to_string(), row.kind, row.day);
                self.head = Some(Head { text: head, file, kind, day });
            }
            return Ok(row);
        }
        match exact(self.head.as_ref(), text, &mut self.line) {
            Some(row) => Ok(row),
            None => Row::decode(text),
        }
    }
}

fn exact<'a>(head: Option<&'a Head>, text: &'a [u8], line: &'a mut Vec<u8>) -> Option<Row<'a>> {
    let head = head?;
    let rest = text.strip_prefix(&head.text[..])?;
    let (timestamp, rest) = json::number(rest)?;
    let (stream, rest) = plain_string(rest.strip_prefix(b",\"stream\":\"")?, line)?;
    let (id, rest) = plain_string(rest.strip_prefix(b",\"id\":\"")?, line)?;
    let body = rest.strip_prefix(b",\"line\":\"")?;
    let (end, escaped) = json::string(body, line)?;
    if id.starts_with(|first: char| first.is_ascii_digit()) || &body[end..] != b"\"}" {
        return None;
    }
    let line = if escaped { &**line } else { &body[..end] };
    Some(Row {
        file: Cow::Borrowed(&head.file),
        kind: head.kind,
        day: head.day,
        timestamp,
        stream: Cow::Borrowed(stream),
        id: Cow::Borrowed(id),
        line: Cow::Borrowed(str::from_utf8(line).ok()?),
    })
}

/// A string without escapes up to its quote, and what follows; `spare` is written over.
fn plain_string<'a>(text: &'a [u8], spare: &mut Vec<u8>) -> Option<(&'a str, &'a [u8])> {
    let (end, escaped) = json::string(text, spare)?;
    let string = str::from_utf8(&text[..end]).ok()?;
    (!escaped).then(|| (string, &text[end + 1..]))
}
