//! Dedup: finds which offered events a day file already has. A block of `seen` is read only if an
//! offered timestamp may be in it.

use crate::disk::Handle;
use crate::land::day_file::batch::Batch;
use crate::land::journal::blocks::Blocks;
use crate::land::journal::seen::{JUMP_MS, read_block};
use crate::land::root::error::Result;
use crate::land::root::layout::DayFile;
use crate::row::EventKey;

/// Events sorted by identity, each with a flag: whether the day file has it.
pub(crate) type Offered = [(EventKey, bool)];

/// The identities of a day file's commits. They are read only where an offered one may be among
/// them.
pub struct Committed<'k> {
    /// The open `seen`.
    pub seen: &'k dyn Handle,
    /// The day file that it belongs to.
    pub day_file: &'k DayFile,
    /// The blocks in it.
    pub blocks: &'k Blocks,
}

impl Committed<'_> {
    /// Sets the flag of each offered event that a commit already has. `offered` is sorted by
    /// identity.
    pub(crate) fn mark(&self, offered: &mut Offered) -> Result<()> {
        self.mark_each(offered, &|(identity, _)| *identity, &|(_, there)| *there = true)
    }

    /// The batch's rows that no commit has, without duplicates, in (timestamp, position) order.
    pub fn new_rows(&self, batch: &Batch) -> Result<Vec<u32>> {
        /// Marks a row that has landed; no batch has this many rows.
        const THERE: u32 = 1 << 31;
        let mut rows = batch.by_identity();
        // Keeps the first of equal rows.
        rows.dedup_by_key(|row| batch.key(*row));
        let identity = |row: &u32| batch.key(*row & !THERE);
        self.mark_each(&mut rows, &identity, &|row| *row |= THERE)?;
        rows.retain(|row| row & THERE == 0);
        let at_once = |one: &u32, next: &u32| identity(one).timestamp == identity(next).timestamp;
        rows.chunk_by_mut(at_once).for_each(<[u32]>::sort_unstable);
        Ok(rows)
    }

    fn mark_each<T>(
        &self,
        offered: &mut [T],
        identity: &impl Fn(&T) -> EventKey,
        set: &impl Fn(&mut T),
    ) -> Result<()> {
        let mut spans = Vec::new();
        add_spans(&mut spans, offered, identity);
        let found = spans.iter().flat_map(|(from, to)| self.blocks.between(*from, *to));
        let mut found: Vec<_> = found.collect();
        found.sort_unstable_by_key(|(first, _)| *first);
        found.dedup_by_key(|(first, _)| *first);
        let (path, mut entries) = (self.day_file.seen(), Vec::new());
        for (first, block) in found {
            let from = offered.partition_point(|offer| identity(offer).timestamp < block.min);
            let rest = &mut offered[from..];
            let to = rest.partition_point(|offer| identity(offer).timestamp <= block.max);
            if to > 0 {
                read_block(self.seen, &path, first, block, &mut entries)?;
                mark_block(&entries, &mut rest[..to], identity, set);
            }
        }
        Ok(())
    }
}

/// Adds the time spans of the offered events, split where the time jumps. Otherwise a few late
/// events would make one span of the whole day.
fn add_spans<T>(spans: &mut Vec<(i64, i64)>, offered: &[T], identity: &impl Fn(&T) -> EventKey) {
    let (Some(first), Some(last)) = (offered.first(), offered.last()) else { return };
    let (from, to) = (identity(first).timestamp, identity(last).timestamp);
    if to.abs_diff(from) > JUMP_MS {
        let (before, after) = offered.split_at(offered.len() / 2);
        add_spans(spans, before, identity);
        return add_spans(spans, after, identity);
    }
    match spans.last_mut() {
        Some((_, end)) if from.abs_diff(*end) <= JUMP_MS => *end = to,
        _ => spans.push((from, to)),
    }
}

/// Both sides are in timestamp order; within one timestamp only the offered side is sorted.
fn mark_block<T>(
    entries: &[EventKey],
    mut offered: &mut [T],
    identity: &impl Fn(&T) -> EventKey,
    set: &impl Fn(&mut T),
) {
    let (Some(first), Some(last)) = (offered.first(), offered.last()) else { return };
    let (from, to) = (identity(first).timestamp, identity(last).timestamp);
    // Narrow the entries first: often a single late event is offered.
    let entries = &entries[entries.partition_point(|entry| entry.timestamp < from)..];
    let entries = &entries[..entries.partition_point(|entry| entry.timestamp <= to)];
    for entries in entries.chunk_by(|one, next| one.timestamp == next.timestamp) {
        let timestamp = entries[0].timestamp;
        let time = |offer: &T| identity(offer).timestamp;
        let before = offered.iter().take_while(|offer| time(offer) < timestamp).count();
        let rest = &mut offered[before..];
        let count = rest.iter().take_while(|offer| time(offer) == timestamp).count();
        let (group, after) = rest.split_at_mut(count);
        for entry in entries {
            if let Ok(found) = group.binary_search_by_key(&entry.hash, |offer| identity(offer).hash)
            {
                set(&mut group[found]);
            }
        }
        offered = after;
    }
}
