//! Which blocks of `seen` hold times that are offered: found without looking at all of them, however long the day is.

use std::collections::BTreeMap;

use super::frame::{Block, Commit};

/// The blocks of a day file's commits, by how long a time they span: those that span less than 2ⁿ ms and no less than
/// half of that are one map, by their first time and their place in `seen`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocks {
    by_span: BTreeMap<u32, BTreeMap<(i64, u64), Block>>,
    count: usize,
}

impl Blocks {
    /// Adds a commit's.
    pub fn add(&mut self, commit: &Commit) {
        for (first, block) in commit.places() {
            let span = u64::BITS - block.max.abs_diff(block.min).leading_zeros();
            self.by_span.entry(span).or_default().insert((block.min, first), block.clone());
            self.count += 1;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The blocks that can hold a time from `from` to `to`, each with the number of its first entry.
    pub fn between(&self, from: i64, to: i64) -> impl Iterator<Item = (u64, &Block)> {
        self.by_span.iter().flat_map(move |(span, blocks)| {
            // One that begins earlier has ended.
            let longest = 1_u64.checked_shl(*span).map_or(u64::MAX, |end| end - 1);
            let range = (from.saturating_sub_unsigned(longest), 0)..=(to, u64::MAX);
            let blocks = blocks.range(range).map(|((_, first), block)| (*first, block));
            blocks.filter(move |(_, block)| block.max >= from)
        })
    }
}
