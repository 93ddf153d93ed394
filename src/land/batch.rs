//! The rows of one landing for one day file, held compactly until they are committed.

use std::collections::BTreeSet;

use crate::row::{Identity, Row};

/// Rows for one day file, in the order in which they were read.
#[derive(Debug, Default)]
pub struct Batch {
    text: Vec<u8>,
    rows: Vec<Entry>,
    objects: BTreeSet<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    identity: Identity,
    start: usize,
    end: usize,
}

impl Batch {
    /// Adds a row of the landing's object number `object`.
    pub fn push(&mut self, row: &Row<'_>, object: usize) {
        let start = self.text.len();
        self.text.extend_from_slice(row.line.as_bytes());
        self.text.push(b'\n');
        self.rows.push(Entry { identity: row.identity(), start, end: self.text.len() });
        self.objects.insert(object);
    }

    /// The memory that one row takes, about.
    pub fn cost(row: &Row<'_>) -> usize {
        row.line.len() + 1 + size_of::<Entry>()
    }

    /// The numbers of the objects that the rows came from.
    pub fn objects(&self) -> &BTreeSet<usize> {
        &self.objects
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The identity of a row.
    pub fn identity(&self, row: usize) -> Identity {
        self.rows[row].identity
    }

    /// The line of a row, with its line break.
    pub fn line(&self, row: usize) -> &[u8] {
        &self.text[self.rows[row].start..self.rows[row].end]
    }

    /// The rows in (timestamp, position) order.
    pub fn in_time_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_by_key(|row| self.identity(*row).timestamp);
        order
    }

    /// The identities, sorted, each once, none marked yet.
    pub fn offered(&self) -> Vec<(Identity, bool)> {
        let mut offered: Vec<_> = self.rows.iter().map(|row| (row.identity, false)).collect();
        offered.sort_unstable();
        offered.dedup();
        offered
    }
}
