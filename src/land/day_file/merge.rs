//! Merge: the commits of a segment, each in timestamp order, become one file in timestamp order.
//!
//! Streaming: only the runs that overlap in time are read at once, and memory does not depend on
//! the day's size. Every commit's and every run's CRC is checked on the way.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::disk::Handle;
use crate::land::journal::frame::Commit;
use crate::land::journal::seen;
use crate::land::root::error::{Context, LandError, Result};
use crate::row::{EventKey, Kind};

const CHUNK_MIN: usize = 4 << 10;
const CHUNK_MAX: usize = 1 << 20;

/// A segment's files, as they are read.
pub struct Source<'a> {
    /// The open file.
    pub data: &'a dyn Handle,
    /// Its path, for errors.
    pub data_path: &'a str,
    /// The identities: each line's timestamp.
    pub seen: &'a dyn Handle,
    /// Its path, for errors.
    pub seen_path: &'a str,
    /// Whether a line break inside quotes belongs to the line.
    pub kind: Kind,
}

/// Whether the commits' lines are in timestamp order as they stand.
pub(crate) fn in_order(commits: &[Commit]) -> bool {
    commits.is_sorted_by(|earlier, later| earlier.max <= later.min)
}

/// Calls `emit` with every line (its line break included) in (timestamp, commit, position) order.
pub fn merge(
    source: &Source<'_>,
    commits: &[Commit],
    memory: usize,
    emit: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let chunk = (memory / overlap(commits).max(1)).clamp(CHUNK_MIN, CHUNK_MAX);
    let mut waiting: Vec<(i64, usize)> =
        commits.iter().enumerate().map(|(number, commit)| (commit.min, number)).collect();
    waiting.sort_unstable_by_key(|key| Reverse(*key));
    // The runs that are read, and their present lines' keys: only those move in the heap.
    let mut runs: Vec<Option<Run<'_>>> = commits.iter().map(|_| None).collect();
    let mut first: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    loop {
        while let Some((min, number)) = waiting.last().copied() {
            if first.peek().is_some_and(|Reverse((timestamp, _))| *timestamp < min) {
                break;
            }
            waiting.pop();
            let mut run = Run::new(source, &commits[number], chunk);
            if run.advance()? {
                first.push(Reverse((run.timestamp, number)));
                runs[number] = Some(run);
            }
        }
        let Some(mut top) = first.peek_mut() else { return Ok(()) };
        let Reverse((_, number)) = *top;
        let Some(run) = &mut runs[number] else { return Ok(()) };
        emit(run.line())?;
        if run.advance()? {
            *top = Reverse((run.timestamp, number));
        } else {
            PeekMut::pop(top);
            runs[number] = None;
        }
    }
}

/// How many commits overlap in time at most.
fn overlap(commits: &[Commit]) -> usize {
    let starts = commits.iter().map(|commit| (commit.min, 0));
    let ends = commits.iter().map(|commit| (commit.max, 1));
    let mut edges: Vec<(i64, i32)> = starts.chain(ends).collect();
    edges.sort_unstable();
    let (mut open, mut most) = (0_usize, 0);
    for (_, edge) in edges {
        open = if edge == 0 { open + 1 } else { open - 1 };
        most = most.max(open);
    }
    most
}

/// One commit, line by line.
struct Run<'a> {
    source: &'a Source<'a>,
    commit: &'a Commit,
    chunk: usize,
    /// What was read is `text[..filled]`, of which `at` bytes are passed on; the present line is
    /// `text[at..end]`.
    text: Vec<u8>,
    filled: usize,
    at: usize,
    end: usize,
    /// How many of the commit's bytes were read, and their CRC.
    read: u64,
    crc: u32,
    /// The present block of the run, the number of the next one, and how many entries and lines
    /// were passed on.
    block: Vec<EventKey>,
    next: usize,
    entry: usize,
    lines: u64,
    timestamp: i64,
}

impl<'a> Run<'a> {
    fn new(source: &'a Source<'a>, commit: &'a Commit, chunk: usize) -> Run<'a> {
        Run {
            source,
            commit,
            chunk,
            text: Vec::new(),
            filled: 0,
            at: 0,
            end: 0,
            read: 0,
            crc: 0,
            block: Vec::new(),
            next: 0,
            entry: 0,
            lines: 0,
            timestamp: commit.min,
        }
    }

    fn line(&self) -> &[u8] {
        &self.text[self.at..self.end]
    }

    /// Goes to the next line; `false` after the last, when all that was read is checked.
    fn advance(&mut self) -> Result<bool> {
        self.at = self.end;
        let mut searched = 0;
        let mut quoted = false;
        let length = loop {
            let rest = &self.text[self.at..self.filled];
            if let Some(length) = line_end(rest, self.source.kind, &mut searched, &mut quoted) {
                break length;
            }
            if self.read == self.commit.bytes {
                return self.finish(rest.is_empty()).map(|()| false);
            }
            self.fill()?;
        };
        self.end = self.at + length;
        if self.entry == self.block.len() {
            let Some(block) = self.commit.blocks.get(self.next) else {
                return Err(self.wrong("more lines than were committed"));
            };
            let (seen, path) = (self.source.seen, self.source.seen_path);
            seen::read_block(seen, path, self.commit.seen + self.lines, block, &mut self.block)?;
            (self.next, self.entry) = (self.next + 1, 0);
        }
        self.timestamp = self.block[self.entry].timestamp;
        self.entry += 1;
        self.lines += 1;
        Ok(true)
    }

    fn fill(&mut self) -> Result<()> {
        self.text.copy_within(self.at..self.filled, 0);
        (self.filled, self.end, self.at) = (self.filled - self.at, self.end - self.at, 0);
        let wanted = (self.commit.bytes - self.read).min(self.chunk as u64) as usize;
        if self.text.len() < self.filled + wanted {
            self.text.resize(self.filled + wanted, 0);
        }
        let text = &mut self.text[self.filled..self.filled + wanted];
        let offset = self.commit.offset + self.read;
        let path = self.source.data_path;
        if self.source.data.read_at(text, offset).context("read", path)? < wanted {
            return Err(self.wrong("fewer bytes than were committed"));
        }
        self.crc = crc32c::crc32c_append(self.crc, text);
        self.filled += wanted;
        self.read += wanted as u64;
        Ok(())
    }

    fn finish(&self, whole: bool) -> Result<()> {
        Err(self.wrong(match () {
            () if self.crc != self.commit.crc => "other bytes than were committed",
            () if !whole => "no line break at its end",
            () if self.lines < self.commit.lines => "fewer lines than were committed",
            () => return Ok(()),
        }))
    }

    fn wrong(&self, what: &str) -> LandError {
        let Commit { offset, bytes, .. } = self.commit;
        let what = format!("the commit of {bytes} bytes at {offset} has {what}");
        LandError::damage(self.source.data_path, what)
    }
}

/// Whether a text without its final line break is one line: all quotes closed, every line break
/// inside them.
pub(crate) fn is_one_csv_line(text: &[u8]) -> bool {
    // Mostly it has no line break. In one pass without a branch, which the compiler makes of whole
    // registers.
    let (odd_quotes, breaks) = text.iter().fold((0_u8, 0_u8), |(quotes, breaks), byte| {
        (quotes ^ u8::from(*byte == b'"'), breaks | u8::from(*byte == b'\n'))
    });
    if breaks == 0 {
        return odd_quotes == 0;
    }
    let (mut searched, mut quoted) = (0, false);
    line_end(text, Kind::Csv, &mut searched, &mut quoted).is_none() && !quoted
}

/// The length of the first line, its line break included; `None` if it does not end in `text`.
pub(crate) fn line_length(text: &[u8], kind: Kind) -> Option<usize> {
    line_end(text, kind, &mut 0, &mut false)
}

/// The length of the first line, its line break included; `None` if it does not end in `text`.
/// `searched` and `quoted` keep what was learned, for more text behind the same line.
fn line_end(text: &[u8], kind: Kind, searched: &mut usize, quoted: &mut bool) -> Option<usize> {
    if kind != Kind::Csv {
        let found = memchr::memchr(b'\n', &text[*searched..]).map(|at| *searched + at + 1);
        *searched = text.len();
        return found;
    }
    let mut from = *searched;
    loop {
        let found = memchr::memchr(b'\n', &text[from..]).map(|at| from + at);
        let quotes = memchr::memchr_iter(b'"', &text[from..found.unwrap_or(text.len())]).count();
        *quoted ^= quotes % 2 == 1;
        match found {
            Some(end) if !*quoted => return Some(end + 1),
            Some(end) => from = end + 1,
            None => {
                *searched = text.len();
                return None;
            }
        }
    }
}
