//! The rows of one record, held back until it is known that all of it can be read.

use std::borrow::Cow;
use std::ops::Range;

use crate::row::{Day, Kind, Row};

/// Rows in one piece of text; keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct Staged {
    text: String,
    rows: Vec<Place>,
}

/// A row, its texts as places. File and stream of a record's rows are mostly the same: they are
/// held once.
#[derive(Debug, Clone)]
struct Place {
    kind: Kind,
    day: Day,
    timestamp: i64,
    file: Range<usize>,
    stream: Range<usize>,
    id: Range<usize>,
    line: Range<usize>,
}

impl Staged {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.rows.clear();
    }

    pub(super) fn push(&mut self, row: &Row<'_>) {
        let last = self.rows.last().map(|last| (last.file.clone(), last.stream.clone()));
        let (file, stream) = last.unwrap_or_default();
        let place = Place {
            kind: row.kind,
            day: row.day,
            timestamp: row.timestamp,
            file: self.hold(&row.file, file),
            stream: self.hold(&row.stream, stream),
            id: self.hold(&row.id, 0..0),
            line: self.hold(&row.line, 0..0),
        };
        self.rows.push(place);
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let text = |place: &Range<usize>| Cow::Borrowed(&self.text[place.clone()]);
        self.rows.iter().map(move |place| Row {
            file: text(&place.file),
            kind: place.kind,
            day: place.day,
            timestamp: place.timestamp,
            stream: text(&place.stream),
            id: text(&place.id),
            line: text(&place.line),
        })
    }

    fn hold(&mut self, text: &str, before: Range<usize>) -> Range<usize> {
        if self.text[before.clone()] == *text {
            return before;
        }
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }
}
