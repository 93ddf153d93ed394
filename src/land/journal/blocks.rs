//! An index of the blocks of `seen` by time: finds the blocks that may hold offered times without
//! scanning all of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::land::journal::frame::{Block, Commit};

/// The shortest slot is 2¹⁶ ms, about a minute. Blocks that span more time use slots of 2²² ms (an
/// hour), 2²⁸ ms (three days), and so on.
const SHIFT: u32 = 16;
const SHIFT_STEP: u32 = 6;

/// The blocks of a day file's commits, by time slot. A block spans no more than the length of its
/// slots, so it is in one or two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocks {
    /// By shift and slot number; each block with the number of its first entry.
    slots: BTreeMap<(u32, i64), Vec<(u64, Block)>>,
    shifts: BTreeSet<u32>,
    /// The number of blocks.
    pub count: usize,
}

impl Blocks {
    /// Adds the blocks of a commit.
    pub fn add(&mut self, commit: &Commit) {
        self.count += commit.blocks.len();
        for (first, block) in commit.places() {
            let shift = shift(block);
            self.shifts.insert(shift);
            for slot in block.min >> shift..=block.max >> shift {
                self.slots.entry((shift, slot)).or_default().push((first, block.clone()));
            }
        }
    }

    /// The blocks that may hold a time from `from` to `to`, each with the number of its first
    /// entry. A block may be returned twice.
    pub fn between(&self, from: i64, to: i64) -> impl Iterator<Item = (u64, &Block)> {
        let slots = self.shifts.iter().flat_map(move |shift| {
            self.slots.range((*shift, from >> shift)..=(*shift, to >> shift))
        });
        let blocks = slots.flat_map(|(_, blocks)| blocks).map(|(first, block)| (*first, block));
        blocks.filter(move |(_, block)| block.min <= to && block.max >= from)
    }
}

/// The shift of the shortest slots that are as long as a block.
fn shift(block: &Block) -> u32 {
    let bits = u64::BITS - block.max.abs_diff(block.min).leading_zeros();
    let shift = SHIFT + bits.saturating_sub(SHIFT).div_ceil(SHIFT_STEP) * SHIFT_STEP;
    shift.min(i64::BITS - 1)
}
