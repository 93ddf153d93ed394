//! `seen`: the identities of the events in one day file, one run of blocks per commit.
//!
//! It begins with a watermark of 16 bytes, followed by the entries. The **watermark** holds the
//! number of the journal's frames that were last known to be durable, and the CRC of the last one.
//! A journal without this frame has lost it, even if its end looks merely torn. The watermark is
//! written after the journal's sync and is not synced itself: an older or torn one proves less, but
//! nothing false.
//!
//! An entry is 16 bytes, little-endian: timestamp i64, hash u64. A run's i-th entry belongs to the
//! commit's i-th line, so a run is in timestamp order. A block has up to 1,024 entries and ends
//! where the time jumps. The commit frame holds the blocks' time bounds and CRCs, so a block is
//! read only if an offered timestamp may be in it.

use std::cmp::Reverse;

use crate::disk::Handle;
use crate::land::journal::frame::{Block, Commit};
use crate::land::root::error::{Context, LandError, Result};
use crate::row::EventKey;

/// The length of one entry in bytes.
pub const ENTRY_BYTES: u64 = 16;
/// The length of the watermark in bytes, before the entries.
pub(crate) const WATERMARK_BYTES: u64 = 16;
const WATERMARK_MAGIC: &[u8; 4] = b"HWKS";
/// The most entries in a block. A late event reads one block.
const BLOCK_ENTRIES: usize = 1024;
/// A block ends where the time jumps by more than this. Otherwise a few late events would make a
/// block that spans the day.
pub(crate) const JUMP_MS: u64 = 10_000;
/// Jumps end at most one block per this many entries, plus `JUMPS`, to keep the journal small.
const ENTRIES_A_JUMP: usize = 64;
const JUMPS: usize = 16;

/// The offset of an entry.
pub fn place(entry: u64) -> u64 {
    WATERMARK_BYTES + entry * ENTRY_BYTES
}

/// The last frame of the journal that was known to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// The number of the journal's frames, this one included.
    pub(crate) frames: u32,
    /// Its CRC.
    pub(crate) crc: u32,
}

impl Watermark {
    /// Encodes it: `HWKS`, frames, CRC, CRC-32C of these 12 bytes.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = WATERMARK_MAGIC.to_vec();
        bytes.extend_from_slice(&self.frames.to_le_bytes());
        bytes.extend_from_slice(&self.crc.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Decodes it; `None` if it is missing or torn.
    pub fn decode(bytes: &[u8]) -> Option<Watermark> {
        let words = bytes.strip_prefix(WATERMARK_MAGIC)?.as_chunks::<4>().0;
        let [frames, crc, own] = <[[u8; 4]; 3]>::try_from(words).ok()?.map(u32::from_le_bytes);
        (crc32c::crc32c(&bytes[..12]) == own).then_some(Watermark { frames, crc })
    }

    /// Reads the watermark of an open `seen`.
    pub(crate) fn read(seen: &dyn Handle, path: &str) -> Result<Option<Watermark>> {
        let mut bytes = [0; WATERMARK_BYTES as usize];
        let filled = seen.read_at(&mut bytes, 0).context("read", path)?;
        Ok(Watermark::decode(&bytes[..filled]))
    }
}

/// Encodes a run: its bytes and its blocks.
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
        let what = format!("the {count} entries at {offset} differ from what was committed");
        return Err(LandError::damage(path, what));
    }
    entries.clear();
    entries.extend(self::entries(&bytes));
    Ok(())
}

/// The identities of a commit, from the bytes of `seen`; `None` if one of its blocks is damaged.
pub(crate) fn read_run(seen: &[u8], commit: &Commit) -> Option<Vec<EventKey>> {
    let mut ids = Vec::new();
    for (first, block) in commit.places() {
        let from = place(first) as usize;
        let bytes = seen.get(from..place(first + u64::from(block.count)) as usize)?;
        ids.extend((block.crc == crc32c::crc32c(bytes)).then(|| entries(bytes))?);
    }
    Some(ids)
}

/// The complete entries in `bytes`.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = EventKey> {
    bytes.as_chunks::<16>().0.iter().map(|entry| {
        let entry = u128::from_le_bytes(*entry);
        EventKey { timestamp: entry as i64, hash: (entry >> 64) as u64 }
    })
}
