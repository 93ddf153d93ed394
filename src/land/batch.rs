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

/// In how many parts of time rows are sorted, as a power of two.
const PARTS_LOG2: u32 = 12;
/// A part with more rows is sorted in parts itself.
const PART_ROWS_MAX: usize = 1 << 12;

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
    pub fn identity(&self, row: u32) -> Identity {
        self.rows[row as usize].identity
    }

    /// The line of a row, with its line break.
    pub fn line(&self, row: u32) -> &[u8] {
        let Entry { start, end, .. } = self.rows[row as usize];
        &self.text[start..end]
    }

    /// The rows in (timestamp, hash, position) order.
    pub fn by_identity(&self) -> Vec<u32> {
        let mut order = vec![0; self.rows.len()];
        self.sort(&(0..self.rows.len() as u32), &mut order);
        order
    }

    /// Sorts some rows into as many places.
    fn sort(&self, rows: &(impl Iterator<Item = u32> + Clone), order: &mut [u32]) {
        let timestamps = || rows.clone().map(|row| self.identity(row).timestamp);
        let (Some(min), Some(max)) = (timestamps().min(), timestamps().max()) else { return };
        // By time roughly first, so that what is sorted is small and stays in the processor's cache.
        let bits = u64::BITS - max.abs_diff(min).leading_zeros();
        let part =
            |timestamp: i64| (timestamp.abs_diff(min) >> bits.saturating_sub(PARTS_LOG2)) as usize;
        let mut ends = vec![0_u32; 1 << PARTS_LOG2];
        timestamps().for_each(|timestamp| ends[part(timestamp)] += 1);
        let mut sum = 0;
        for end in &mut ends {
            (*end, sum) = (sum, sum + *end);
        }
        for (row, timestamp) in rows.clone().zip(timestamps()) {
            let end = &mut ends[part(timestamp)];
            order[*end as usize] = row;
            *end += 1;
        }
        let (mut start, mut sorted) = (0, Vec::new());
        for end in ends {
            let part = &mut order[start..end as usize];
            start = end as usize;
            // A few late events make most rows one part.
            if part.len() > PART_ROWS_MAX && min < max {
                let rows = part.to_vec();
                self.sort(&rows.iter().copied(), part);
                continue;
            }
            sorted.clear();
            sorted.extend(part.iter().map(|row| (self.identity(*row), *row)));
            sorted.sort_unstable();
            part.iter_mut().zip(&sorted).for_each(|(row, (_, sorted))| *row = *sorted);
        }
    }
}
