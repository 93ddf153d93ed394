//! Rows exactly as transform writes them, read several times faster than any JSON.
//!
//! Whatever is not to the letter so is left to [`Row::decode`]: another order of members, a space, an id in digits, an escape
//! but in the line. What is read here is what the decoder reads (`exact_is_never_another_row`).

use std::borrow::Cow;

use memchr::{memchr, memchr2};

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
    let (stream, rest) = string(rest.strip_prefix("\"stream\":\"")?)?;
    let (id, rest) = string(rest.strip_prefix(",\"id\":\"")?)?;
    let rest = rest.strip_prefix(",\"line\":\"")?.strip_suffix("\"}")?;
    if id.starts_with(|first: char| first.is_ascii_digit()) || has_control(text) {
        return None;
    }
    let line = match memchr2(b'"', b'\\', rest.as_bytes()) {
        None => rest,
        Some(at) => {
            unescape(rest, at, line)?;
            line
        }
    };
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

/// A string without escapes up to its quote, and what follows.
fn string(text: &str) -> Option<(&str, &str)> {
    let end = memchr(b'"', text.as_bytes())?;
    let (string, rest) = (&text[..end], &text[end + 1..]);
    memchr(b'\\', string.as_bytes()).is_none().then_some((string, rest))
}

/// Escapes but those of four hexadecimal digits, which are the decoder's. `at` is where the first one is.
fn unescape(mut text: &str, mut at: usize, plain: &mut String) -> Option<()> {
    plain.clear();
    loop {
        let (before, escape) = (&text[..at], text.as_bytes().get(at..at + 2)?);
        plain.push_str(before);
        plain.push(match escape {
            b"\\\"" => '"',
            b"\\\\" => '\\',
            b"\\n" => '\n',
            b"\\t" => '\t',
            b"\\r" => '\r',
            b"\\/" => '/',
            b"\\b" => '\u{8}',
            b"\\f" => '\u{c}',
            _ => return None,
        });
        text = &text[at + 2..];
        match memchr2(b'"', b'\\', text.as_bytes()) {
            Some(next) => at = next,
            None => {
                plain.push_str(text);
                return Some(());
            }
        }
    }
}

/// In one pass without a branch, which the compiler makes of whole registers.
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |control, byte| control | (*byte < 0x20))
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
