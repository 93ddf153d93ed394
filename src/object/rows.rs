//! Rows exactly as transform writes them, read several times faster than any JSON.
//!
//! Whatever is not to the letter so is left to [`Row::decode`]: another order of members, a space, an id in digits, an escape
//! but in the line. What is read here is what the decoder reads (`exact_is_never_another_row`).

use std::borrow::Cow;

use crate::json;
use crate::row::{Day, Kind, Row, RowError};

/// Reads rows; keeps what the row before began with, since most begin alike.
#[derive(Default)]
pub(super) struct Rows {
    head: Option<Head>,
    /// The present line without its escapes.
    line: String,
}

/// A row up to its timestamp.
struct Head {
    text: Vec<u8>,
    file: String,
    kind: Kind,
    day: Day,
}

impl Rows {
    /// What [`Row::decode`] answers.
    pub(super) fn decode<'a>(&'a mut self, text: &'a [u8]) -> Result<Row<'a>, RowError> {
        let begins = self.head.as_ref().is_some_and(|head| text.starts_with(&head.text));
        if !begins {
            let row = Row::decode(text)?;
            let Row { file, kind, day, .. } = &row;
            let name = serde_json::to_string(file).unwrap_or_default();
            let head = format!(
                "{{\"file\":{name},\"kind\":\"{}\",\"day\":\"{day}\",\"timestamp\":",
                kind.name()
            );
            if text.starts_with(head.as_bytes()) {
                let (text, file) = (head.into_bytes(), file.to_string());
                self.head = Some(Head { text, file, kind: *kind, day: *day });
            }
            return Ok(row);
        }
        match exact(self.head.as_ref(), text, &mut self.line) {
            Some(row) => Ok(row),
            None => Row::decode(text),
        }
    }
}

fn exact<'a>(head: Option<&'a Head>, text: &'a [u8], line: &'a mut String) -> Option<Row<'a>> {
    let head = head?;
    let rest = std::str::from_utf8(text.strip_prefix(&head.text[..])?).ok()?;
    let (timestamp, rest) = rest.split_once(',')?;
    // Digits alone: a sign, a blank or a leading zero is the decoder's.
    if timestamp.starts_with('0') || !timestamp.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let timestamp = timestamp.parse().ok()?;
    let (stream, rest) = plain_string(rest.strip_prefix("\"stream\":\"")?, line)?;
    let (id, rest) = plain_string(rest.strip_prefix(",\"id\":\"")?, line)?;
    let body = rest.strip_prefix(",\"line\":\"")?;
    let (end, escaped) = json::string(body, line)?;
    if id.starts_with(|first: char| first.is_ascii_digit()) || &body[end..] != "\"}" {
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
        line: Cow::Borrowed(line),
    })
}

/// A string without escapes up to its quote, and what follows; `spare` is written over.
fn plain_string<'a>(text: &'a str, spare: &mut String) -> Option<(&'a str, &'a str)> {
    let (end, escaped) = json::string(text, spare)?;
    (!escaped).then(|| (&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exact_is_never_another_row(
            file in "[a-z\"é]{1,3}",
            timestamp in prop_oneof![-9_i64..9, any::<i64>()],
            stream in "[a\"\\\\\u{1}é:]{0,4}",
            id in "[~0-9a]{0,4}",
            line in "[a\"\\\\\u{1}\n\t/é,]{0,12}",
            at in any::<prop::sample::Index>(),
            byte in prop_oneof![Just(b'"'), Just(b'\\'), Just(b' '), Just(b','), Just(0), Just(0xff)],
            change in 0..4,
        ) {
            let day = "2022-04-18".parse().unwrap();
            let row = Row {
                file: file.into(), kind: Kind::Csv, day, timestamp,
                stream: stream.into(), id: id.into(), line: line.into(),
            };
            let mut text = Vec::new();
            row.encode(&mut text);
            text.pop();
            let mut rows = Rows::default();
            // The second time its beginning is known.
            prop_assert_eq!(rows.decode(&text), Row::decode(&text));
            prop_assert_eq!(rows.decode(&text), Row::decode(&text));
            let at = at.index(text.len());
            match change {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                2 => text.truncate(at),
                _ => {}
            }
            prop_assert_eq!(rows.decode(&text), Row::decode(&text));
        }
    }
}
