//! `seen`: the identities of the events in one day file, a run of blocks for each commit.
//!
//! It begins with a mark of 16 bytes, then come the entries. The **mark** says how many frames the journal had when a
//! lander last knew them durable, and the CRC of the last one: a journal that does not have this frame has lost it, however
//! torn it looks. It is written after the journal's sync and not synced itself: an older or torn one proves less, not wrong.
//!
//! An entry is 16 bytes, little-endian: timestamp i64, hash u64. A run's i-th entry is of the commit's
//! i-th line, so a run is in timestamp order. Blocks are up to 4,096 entries; their time bounds and CRCs
//! stand in the commit frame, so that a block is only read where an offered timestamp can be in it.

use super::batch::Batch;
use super::error::{LandError, Named};
use super::frame::{BLOCK_ENTRIES, Block, Commit};
use crate::disk::Handle;
use crate::row::Identity;

/// The bytes of one entry.
pub const ENTRY_BYTES: u64 = 16;
/// The bytes of the mark, in front of the entries.
pub const MARK_BYTES: u64 = 16;
const MARK_MAGIC: &[u8; 4] = b"HWKS";

/// Where an entry begins.
pub fn place(entry: u64) -> u64 {
    MARK_BYTES + entry * ENTRY_BYTES
}

/// A frame of the journal that was known to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// How many frames the journal had, this one included.
    pub frames: u32,
    /// Its CRC.
    pub crc: u32,
}

impl Mark {
    /// `HWKS`, frames, CRC, CRC-32C of the 12 bytes before.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = MARK_MAGIC.to_vec();
        bytes.extend_from_slice(&self.frames.to_le_bytes());
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// `None` if there is none, or a torn one.
    pub fn decode(bytes: &[u8]) -> Option<Mark> {
        let words = bytes.strip_prefix(MARK_MAGIC)?.as_chunks::<4>().0;
        let [frames, crc, own] = <[[u8; 4]; 3]>::try_from(words).ok()?.map(u32::from_le_bytes);
        (crc32c::crc32c(&bytes[..12]) == own).then_some(Mark { frames, crc })
    }

    /// The mark of a `seen` that is open.
    pub fn read(seen: &dyn Handle, path: &str) -> Result<Option<Mark>, LandError> {
        let mut bytes = [0; MARK_BYTES as usize];
        let filled = seen.read_at(&mut bytes, 0).named("read", path)?;
        Ok(Mark::decode(&bytes[..filled]))
    }
}

/// A run's bytes and its blocks.
pub fn encode(run: impl ExactSizeIterator<Item = Identity>) -> (Vec<u8>, Vec<Block>) {
    let mut bytes = Vec::with_capacity(run.len() * ENTRY_BYTES as usize);
    let mut bounds = Vec::with_capacity(run.len().div_ceil(BLOCK_ENTRIES));
    for (index, entry) in run.enumerate() {
        if index % BLOCK_ENTRIES == 0 {
            bounds.push((entry.timestamp, entry.timestamp));
        }
        if let Some((min, max)) = bounds.last_mut() {
            *min = entry.timestamp.min(*min);
            *max = entry.timestamp.max(*max);
        }
        bytes.extend_from_slice(&entry.timestamp.to_le_bytes());
        bytes.extend_from_slice(&entry.hash.to_le_bytes());
    }
    let blocks = bytes.chunks(BLOCK_ENTRIES * ENTRY_BYTES as usize).zip(bounds);
    let blocks = blocks.map(|(bytes, (min, max))| Block { min, max, crc: crc32c::crc32c(bytes) });
    let blocks = blocks.collect();
    (bytes, blocks)
}

/// Reads one block of a commit's run and checks its CRC.
pub fn read_block(
    seen: &dyn Handle,
    path: &str,
    commit: &Commit,
    number: usize,
    entries: &mut Vec<Identity>,
) -> Result<(), LandError> {
    let first = (number * BLOCK_ENTRIES) as u64;
    let count = (commit.lines - first).min(BLOCK_ENTRIES as u64);
    let offset = place(commit.seen + first);
    let mut bytes = vec![0; (count * ENTRY_BYTES) as usize];
    let filled = seen.read_at(&mut bytes, offset).named("read", path)?;
    let crc = commit.blocks.get(number).map(|block| block.crc);
    if filled < bytes.len() || crc != Some(crc32c::crc32c(&bytes)) {
        let what = format!("the {count} entries at {offset} are not those that were committed");
        return Err(LandError::damage(path, what));
    }
    entries.clear();
    entries.extend(self::entries(&bytes));
    Ok(())
}

/// The whole entries of some bytes.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = Identity> {
    bytes.as_chunks::<16>().0.iter().map(|entry| {
        let entry = u128::from_le_bytes(*entry);
        Identity { timestamp: entry as i64, hash: (entry >> 64) as u64 }
    })
}

/// Marks what was seen: `offered` is sorted by identity, the flag of each that a commit already has is set.
pub fn mark<'c>(
    seen: &dyn Handle,
    path: &str,
    commits: impl Iterator<Item = &'c Commit>,
    offered: &mut [(Identity, bool)],
) -> Result<(), LandError> {
    let known = Known { seen, path };
    known.mark(commits, offered, &|(identity, _)| *identity, &|(_, there)| *there = true)
}

/// The batch's rows that no commit has, each once, in (timestamp, position) order.
pub fn new_rows<'c>(
    seen: &dyn Handle,
    path: &str,
    commits: impl Iterator<Item = &'c Commit>,
    batch: &Batch,
) -> Result<Vec<u32>, LandError> {
    /// A row that was seen; no batch has so many rows.
    const THERE: u32 = 1 << 31;
    let mut rows = batch.by_identity();
    // The first of equal ones stays.
    rows.dedup_by_key(|row| batch.identity(*row));
    let known = Known { seen, path };
    let identity = |row: &u32| batch.identity(*row & !THERE);
    known.mark(commits, &mut rows, &identity, &|row| *row |= THERE)?;
    rows.retain(|row| row & THERE == 0);
    let at_once = |one: &u32, next: &u32| identity(one).timestamp == identity(next).timestamp;
    rows.chunk_by_mut(at_once).for_each(<[u32]>::sort_unstable);
    Ok(rows)
}

/// The identities that commits have, read where an offered one can be among them.
struct Known<'k> {
    seen: &'k dyn Handle,
    path: &'k str,
}

impl Known<'_> {
    fn mark<'c, T>(
        &self,
        commits: impl Iterator<Item = &'c Commit>,
        offered: &mut [T],
        identity: &impl Fn(&T) -> Identity,
        set: &impl Fn(&mut T),
    ) -> Result<(), LandError> {
        let (Some(first), Some(last)) = (offered.first(), offered.last()) else { return Ok(()) };
        let times = identity(first).timestamp..=identity(last).timestamp;
        let mut entries = Vec::new();
        for commit in commits {
            for (number, block) in commit.blocks.iter().enumerate() {
                // A day has tens of thousands of blocks: most end before what is offered.
                if block.max < *times.start() || block.min > *times.end() {
                    continue;
                }
                let from = offered.partition_point(|offer| identity(offer).timestamp < block.min);
                let rest = &mut offered[from..];
                let to = rest.partition_point(|offer| identity(offer).timestamp <= block.max);
                if to > 0 {
                    read_block(self.seen, self.path, commit, number, &mut entries)?;
                    mark_block(&entries, &mut rest[..to], identity, set);
                }
            }
        }
        Ok(())
    }
}

/// Both sides are in timestamp order; within one timestamp only the offered side is sorted.
fn mark_block<T>(
    entries: &[Identity],
    mut offered: &mut [T],
    identity: &impl Fn(&T) -> Identity,
    set: &impl Fn(&mut T),
) {
    for entries in entries.chunk_by(|one, next| one.timestamp == next.timestamp) {
        let timestamp = entries[0].timestamp;
        let until = |offered: &[T], end: &dyn Fn(i64) -> bool| {
            offered.iter().take_while(|offer| !end(identity(offer).timestamp)).count()
        };
        let before = until(offered, &|offer| offer >= timestamp);
        let count = until(&offered[before..], &|offer| offer > timestamp);
        let (group, after) = offered[before..].split_at_mut(count);
        for entry in entries {
            if let Ok(found) = group.binary_search_by_key(&entry.hash, |offer| identity(offer).hash)
            {
                set(&mut group[found]);
            }
        }
        offered = after;
    }
}
