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
    commits: usize,
    /// How many there are.
    pub count: usize,
}

impl Blocks {
    /// Adds those of the commits that are not there yet, of all of them.
    pub fn follow<'c>(&mut self, commits: impl Iterator<Item = &'c Commit>) {
        // Mostly the next block is in the same slot.
        let mut present: Option<((u32, i64), &mut Vec<_>)> = None;
        for commit in commits.skip(self.commits) {
            self.commits += 1;
            self.count += commit.blocks.len();
            for (first, block) in commit.places() {
                let shift = shift(block);
                let (begin, end) = (block.min >> shift, block.max >> shift);
                for slot in begin..=end {
                    let key = (shift, slot);
                    if present.as_ref().is_none_or(|(present, _)| *present != key) {
                        self.shifts.insert(shift);
                        present = Some((key, self.slots.entry(key).or_default()));
                    }
                    if let Some((_, blocks)) = &mut present {
                        blocks.push((first, block.clone()));
                    }
                }
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
