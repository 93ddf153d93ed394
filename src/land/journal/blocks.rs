//! Which blocks of `seen` hold times that are offered: found without looking at all of them,
//! however long the day is.

use std::collections::{BTreeMap, BTreeSet};

use crate::land::journal::frame::{Block, Commit};

/// A slot is 2¹⁶ ms long, about a minute, or 2²² (an hour) or 2²⁸ (three days) for blocks of longer
/// times, and so on.
const SHIFT: u32 = 16;
const SHIFT_STEP: u32 = 6;

/// The blocks of a day file's commits, by slots of time. A block is no longer than its slots, so it
/// is in one or two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocks {
    /// By shift and number of the slot; each block with the number of its first entry.
    slots: BTreeMap<(u32, i64), Vec<(u64, Block)>>,
    shifts: BTreeSet<u32>,
    /// How many there are.
    pub count: usize,
}

impl Blocks {
    /// Adds those of a commit.
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

    /// The blocks that can hold a time from `from` to `to`, each with the number of its first
    /// entry; one may come twice.
    pub fn between(&self, from: i64, to: i64) -> impl Iterator<Item = (u64, &Block)> {
        let slots = self.shifts.iter().flat_map(move |shift| {
            self.slots.range((*shift, from >> shift)..=(*shift, to >> shift))
        });
        let blocks = slots.flat_map(|(_, blocks)| blocks).map(|(first, block)| (*first, block));
        blocks.filter(move |(_, block)| block.min <= to && block.max >= from)
    }
}

/// Of the shortest slots that a block fits in.
fn shift(block: &Block) -> u32 {
    let bits = u64::BITS - block.max.abs_diff(block.min).leading_zeros();
    let shift = SHIFT + bits.saturating_sub(SHIFT).div_ceil(SHIFT_STEP) * SHIFT_STEP;
    shift.min(i64::BITS - 1)
}
