//! What a power failure leaves of what was not synced.

use std::collections::BTreeMap;

/// A small generator: all that happens follows from its seed.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// How much a power failure takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Everything that was not synced.
    All,
    /// Nothing at all.
    Nothing,
    /// All content that was not synced; names stay.
    Content,
    /// All names that were not synced; content stays.
    Names,
    /// Any prefix, any blocks, any names, each by itself; the seed decides.
    Mixed(u64),
}

/// A change of a file's content that is not synced yet.
#[derive(Debug, Clone)]
pub enum FileOp {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl FileOp {
    pub fn apply(&self, content: &mut Vec<u8>) {
        match self {
            FileOp::Truncate(length) => content.resize(*length, 0),
            FileOp::Write(offset, bytes) => {
                content.resize(content.len().max(offset + bytes.len()), 0);
                content[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

/// A change of a folder that is not synced yet.
#[derive(Debug, Clone)]
pub enum NameOp {
    Add(String, usize),
    Remove(String),
    Move(String, String, usize),
}

impl NameOp {
    pub fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameOp::Add(name, node) => drop(names.insert(name.clone(), *node)),
            NameOp::Remove(name) => drop(names.remove(name)),
            NameOp::Move(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

const BLOCK: usize = 4096;

pub fn resolve_file(
    content: &mut Vec<u8>,
    operations: impl Iterator<Item = FileOp>,
    loss: Loss,
    random: &mut Random,
) {
    let seed = match loss {
        Loss::All | Loss::Content => return,
        Loss::Nothing | Loss::Names => {
            operations.for_each(|operation| operation.apply(content));
            return;
        }
        Loss::Mixed(seed) => seed,
    };
    random.0 ^= seed;
    let durable = content.len();
    for operation in operations {
        match (operation, random.below(4)) {
            (_, 0) => {}
            (operation, 1) | (operation @ FileOp::Truncate(_), _) => operation.apply(content),
            (FileOp::Write(offset, bytes), 2) => {
                let kept = random.below(bytes.len() + 1);
                FileOp::Write(offset, bytes[..kept].to_vec()).apply(content);
            }
            (FileOp::Write(offset, bytes), _) => blocks(content, durable, offset, &bytes, random),
        }
    }
}

/// Each block of a write is there, is not there, or (beyond what was durable) is zeros.
fn blocks(content: &mut Vec<u8>, durable: usize, offset: usize, bytes: &[u8], random: &mut Random) {
    let mut at = offset;
    while at < offset + bytes.len() {
        let end = ((at / BLOCK + 1) * BLOCK).min(offset + bytes.len());
        let block = &bytes[at - offset..end - offset];
        match random.below(3) {
            0 => FileOp::Write(at, block.to_vec()).apply(content),
            1 if at >= durable => FileOp::Write(at, vec![0; block.len()]).apply(content),
            _ => {}
        }
        at = end;
    }
}

pub fn resolve_names(
    names: &mut BTreeMap<String, usize>,
    operations: Vec<NameOp>,
    loss: Loss,
    random: &mut Random,
) {
    for operation in operations {
        let kept = match loss {
            Loss::All | Loss::Names => false,
            Loss::Nothing | Loss::Content => true,
            Loss::Mixed(seed) => {
                random.0 ^= seed;
                random.below(2) == 0
            }
        };
        if kept {
            operation.apply(names);
        }
    }
}
