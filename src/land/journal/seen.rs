//! `seen`: the identities of the events in one day file, a run of blocks for each commit.
//!
//! It begins with a watermark of 16 bytes, then come the entries. The **watermark** says how many
//! frames the journal had when somebody last knew them durable, and the CRC of the last one. A
//! journal that lacks this frame has lost it, however torn it looks. It is written after the
//! journal's sync and not synced itself: an older or torn one proves less, never something wrong.
//!
//! An entry is 16 bytes, little-endian: timestamp i64, hash u64. A run's i-th entry is of the
//! commit's i-th line, so a run is in timestamp order. Blocks are up to 1,024 entries, and end
//! where the time jumps; their time bounds and CRCs stand in the commit frame, so that a block is
//! only read where an offered timestamp can be in it.

use std::cmp::Reverse;

use crate::disk::Handle;
use crate::land::journal::frame::{Block, Commit};
use crate::land::root::error::{Context, LandError, Result};
use crate::row::EventKey;

/// The bytes of one entry.
pub const ENTRY_BYTES: u64 = 16;
/// The bytes of the watermark, in front of the entries.
pub(crate) const WATERMARK_BYTES: u64 = 16;
const WATERMARK_MAGIC: &[u8; 4] = b"HWKS";
/// How many entries a block has at most: a late event reads one.
const BLOCK_ENTRIES: usize = 1024;
/// A block ends where the time jumps by more than this, so that a few late events make no block
/// that spans the day.
pub(crate) const JUMP_MS: u64 = 10_000;
/// Blocks that end so are not more than one in so many entries, and this many: the journal stays
/// small.
const ENTRIES_A_JUMP: usize = 64;
const JUMPS: usize = 16;

/// Where an entry begins.
pub fn place(entry: u64) -> u64 {
    WATERMARK_BYTES + entry * ENTRY_BYTES
}

/// A frame of the journal that was known to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// How many frames the journal had, this one included.
    pub(crate) frames: u32,
    /// Its CRC.
    pub(crate) crc: u32,
}

impl Watermark {
    /// `HWKS`, frames, CRC, CRC-32C of the 12 bytes before.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = WATERMARK_MAGIC.to_vec();
        bytes.extend_from_slice(&self.frames.to_le_bytes());
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// `None` if there is none, or a torn one.
    pub fn decode(bytes: &[u8]) -> Option<Watermark> {
        let words = bytes.strip_prefix(WATERMARK_MAGIC)?.as_chunks::<4>().0;
        let [frames, crc, own] = <[[u8; 4]; 3]>::try_from(words).ok()?.map(u32::from_le_bytes);
        (crc32c::crc32c(&bytes[..12]) == own).then_some(Watermark { frames, crc })
    }

    /// The watermark of a `seen` that is open.
    pub(crate) fn read(seen: &dyn Handle, path: &str) -> Result<Option<Watermark>> {
        let mut bytes = [0; WATERMARK_BYTES as usize];
        let filled = seen.read_at(&mut bytes, 0).context("read", path)?;
        Ok(Watermark::decode(&bytes[..filled]))
    }
}

/// A run's bytes and its blocks.
pub fn encode(run: impl ExactSizeIterator<Item = EventKey>) -> (Vec<u8>, Vec<Block>) {
    let mut bytes = Vec::with_capacity(run.len() * ENTRY_BYTES as usize);
    for entry in run {
        bytes.extend_from_slice(&entry.timestamp.to_le_bytes());
        bytes.extend_from_slice(&entry.hash.to_le_bytes());
    }
    let mut start = 0;
    let block = |end: usize| {
        let bytes = &bytes[start * ENTRY_BYTES as usize..end * ENTRY_BYTES as usize];
        let times = || entries(bytes).map(|entry| entry.timestamp);
        let (min, max) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
        let count = (end - start) as u32;
        start = end;
        Block { min, max, crc: crc32c::crc32c(bytes), count }
    };
    let blocks = ends(&bytes).into_iter().map(block).collect();
    (bytes, blocks)
}

/// Where the blocks of a run end: at the largest jumps of time, and after 1,024 entries.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let times = || entries(bytes).map(|entry| entry.timestamp);
    let jump = |((time, next), at): ((i64, i64), usize)| (Reverse(next.abs_diff(time)), at);
    let jumps = times().zip(times().skip(1)).zip(1..).map(jump);
    let mut jumps: Vec<_> = jumps.filter(|(Reverse(jump), _)| *jump > JUMP_MS).collect();
    let count = bytes.len() / ENTRY_BYTES as usize;
    let most = count / ENTRIES_A_JUMP + JUMPS;
    if jumps.len() > most {
        jumps.select_nth_unstable(most);
        jumps.truncate(most);
    }
    let mut parts: Vec<usize> = jumps.into_iter().map(|(_, at)| at).chain([count]).collect();
    parts.sort_unstable();
    let (mut ends, mut start) = (Vec::new(), 0);
    for end in parts {
        ends.extend((start..end).step_by(BLOCK_ENTRIES).skip(1));
        ends.extend((end > start).then_some(end));
        start = end;
    }
    ends
}

/// Reads the block that begins with entry number `first` and checks its CRC.
pub(crate) fn read_block(
    seen: &dyn Handle,
    path: &str,
    first: u64,
    block: &Block,
    entries: &mut Vec<EventKey>,
) -> Result<()> {
    let (count, offset) = (block.count, place(first));
    let mut bytes = vec![0; count as usize * ENTRY_BYTES as usize];
    let filled = seen.read_at(&mut bytes, offset).context("read", path)?;
    if filled < bytes.len() || block.crc != crc32c::crc32c(&bytes) {
        let what = format!("the {count} entries at {offset} are not those that were committed");
        return Err(LandError::damage(path, what));
    }
    entries.clear();
    entries.extend(self::entries(&bytes));
    Ok(())
}

/// The identities of a commit, from the bytes of `seen`; `None` if a block of them is not good.
pub(crate) fn read_run(seen: &[u8], commit: &Commit) -> Option<Vec<EventKey>> {
    let mut ids = Vec::new();
    for (first, block) in commit.places() {
        let from = place(first) as usize;
        let bytes = seen.get(from..place(first + u64::from(block.count)) as usize)?;
        ids.extend((block.crc == crc32c::crc32c(bytes)).then(|| entries(bytes))?);
    }
    Some(ids)
}

/// The whole entries of some bytes.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = EventKey> {
    bytes.as_chunks::<16>().0.iter().map(|entry| {
        let entry = u128::from_le_bytes(*entry);
        EventKey { timestamp: entry as i64, hash: (entry >> 64) as u64 }
    })
}
