//! Merge: combines the commits of a segment, each in timestamp order, into one file in timestamp
//! order.
//!
//! It streams: only runs that overlap in time are read at once, so memory does not depend on the
//! day's size. The CRC of every commit and every run is checked on the way.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::config::Form;
use crate::disk::Handle;
use crate::land::day_file::text::{FRAME_BYTES, Text};
use crate::land::journal::frame::{Block, Commit};
use crate::land::journal::seen::{self, JUMP_MS};
use crate::land::root::error::{LandError, Result};
use crate::row::{EventKey, Kind};

const CHUNK_MIN: usize = 4 << 10;
const CHUNK_MAX: usize = 1 << 20;

/// The files of a segment that is merged.
pub struct Source<'a> {
    /// The open file.
    pub data: &'a dyn Handle,
    /// Its path, for errors.
    pub data_path: &'a str,
    /// The identities, which hold each line's timestamp.
    pub seen: &'a dyn Handle,
    /// Its path, for errors.
    pub seen_path: &'a str,
    /// Whether a line break inside quotes belongs to the line.
    pub kind: Kind,
}

/// Whether the commits' lines are already in timestamp order.
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
    let overlap = overlap(commits.iter().map(|commit| (commit.min, commit.max)));
    let chunk = (memory / overlap.max(1)).clamp(CHUNK_MIN, CHUNK_MAX);
    let mut open = Open { most: most_open(commits, memory), runs: Vec::new() };
    // The commit of an empty day has no lines.
    let numbered = commits.iter().enumerate().filter(|(_, commit)| commit.lines > 0);
    let mut waiting: Vec<(i64, usize)> =
        numbered.map(|(number, commit)| (commit.min, number)).collect();
    waiting.sort_unstable_by_key(|key| Reverse(*key));
    // The runs that are being read. Only the keys of their current lines move in the heap.
    let mut runs: Vec<Option<Run<'_>>> = commits.iter().map(|_| None).collect();
    let mut first: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    loop {
        while let Some((min, number)) = waiting.last().copied() {
            if first.peek().is_some_and(|Reverse((timestamp, _))| *timestamp < min) {
                break;
            }
            waiting.pop();
            runs[number] = Some(Run::new(source, &commits[number], chunk));
            first.push(Reverse((min, number)));
        }
        let Some(mut top) = first.peek_mut() else { return Ok(()) };
        let Reverse((_, number)) = *top;
        if runs[number].as_ref().is_some_and(|run| run.text.is_none()) {
            open.add(&mut runs, number);
        }
        let Some(run) = &mut runs[number] else { unreachable!("what is in the heap has lines") };
        if run.text.is_none() {
            run.resume()?;
        }
        emit(run.line())?;
        if run.advance()? {
            *top = Reverse((run.timestamp, number));
        } else {
            PeekMut::pop(top);
            runs[number] = None;
        }
    }
}

/// The most runs that can have text in memory.
fn most_open(commits: &[Commit], memory: usize) -> usize {
    match commits.first().map(|commit| commit.form) {
        Some(Form::Compressed) => (memory / FRAME_BYTES).max(1),
        // A run takes only its buffer, whose size is chosen so that all fit.
        _ => usize::MAX,
    }
}

/// Whether commits can be merged from their stored form. If not, so many frames overlap that
/// reading them repeatedly would take longer than everything else.
pub(crate) fn fits(commits: &[Commit], memory: usize) -> bool {
    let most = most_open(commits, memory);
    if overlap(commits.iter().map(|commit| (commit.min, commit.max))) <= most {
        return true;
    }
    // A run is paused where its time jumps; the text before the jump is then read again.
    let again = |commit: &Commit| -> u64 {
        let jumps = commit.blocks.windows(2).scan(0, |lines, two| {
            *lines += u64::from(two[0].count);
            Some(if jumps(&two[0], &two[1]) { *lines } else { 0 })
        });
        jumps.sum::<u64>() * (commit.text_bytes / commit.lines.max(1))
    };
    let spans = commits.iter().flat_map(|commit| {
        let spans = commit.blocks.chunk_by(|one, next| !jumps(one, next));
        spans.filter_map(|blocks| Some((blocks.first()?.min, blocks.last()?.max)))
    });
    let text: u64 = commits.iter().map(|commit| commit.text_bytes).sum();
    overlap(spans) <= most && commits.iter().map(again).sum::<u64>() <= text
}

fn jumps(one: &Block, next: &Block) -> bool {
    next.min.abs_diff(one.max) > JUMP_MS
}

/// The most time spans that overlap at any time.
fn overlap(spans: impl Iterator<Item = (i64, i64)>) -> usize {
    let mut edges: Vec<(i64, i32)> = spans.flat_map(|(from, to)| [(from, 0), (to, 1)]).collect();
    edges.sort_unstable();
    let (mut open, mut most) = (0_usize, 0);
    for (_, edge) in edges {
        open = if edge == 0 { open + 1 } else { open - 1 };
        most = most.max(open);
    }
    most
}

/// The runs that have text in memory, by number. A zstd frame takes much memory, and late events
/// make all commits of a day overlap, so only some runs are open. A paused run later reads its
/// frame again up to its current line.
struct Open {
    most: usize,
    runs: Vec<usize>,
}

impl Open {
    /// Opens one more run. If memory is full, the run whose next line comes last is paused.
    fn add(&mut self, runs: &mut [Option<Run<'_>>], number: usize) {
        self.runs.retain(|open| runs[*open].is_some());
        if self.runs.len() >= self.most {
            let timestamp = |at: &usize| runs[self.runs[*at]].as_ref().map(|run| run.timestamp);
            let last = (0..self.runs.len()).max_by_key(timestamp);
            let last = last.map(|at| self.runs.swap_remove(at));
            if let Some(run) = last.and_then(|last| runs[last].as_mut()) {
                run.pause();
            }
        }
        self.runs.push(number);
    }
}

/// A reader of one commit, line by line.
struct Run<'a> {
    source: &'a Source<'a>,
    commit: &'a Commit,
    chunk: usize,
    /// `None` before it begins and while it is paused.
    text: Option<Text<'a>>,
    /// `buffer[..filled]` was read, `buffer[..at]` was emitted, and `buffer[at..end]` is the
    /// current line.
    buffer: Vec<u8>,
    filled: usize,
    at: usize,
    end: usize,
    /// The bytes of text and the lines before the current line.
    passed: u64,
    lines: u64,
    /// The current block of identities, the number of its first line, and the index of the next
    /// block.
    block: Vec<EventKey>,
    first: u64,
    next: usize,
    timestamp: i64,
}

impl<'a> Run<'a> {
    fn new(source: &'a Source<'a>, commit: &'a Commit, chunk: usize) -> Run<'a> {
        Run {
            source,
            commit,
            chunk,
            text: None,
            buffer: Vec::new(),
            filled: 0,
            at: 0,
            end: 0,
            passed: 0,
            lines: 0,
            block: Vec::new(),
            first: 0,
            next: 0,
            timestamp: commit.min,
        }
    }

    fn line(&self) -> &[u8] {
        &self.buffer[self.at..self.end]
    }

    /// Frees its memory, but keeps its position.
    fn pause(&mut self) {
        let (passed, lines, timestamp) = (self.passed, self.lines, self.timestamp);
        *self = Run { passed, lines, timestamp, ..Run::new(self.source, self.commit, self.chunk) };
    }

    /// Reads its text again, up to the current line.
    fn resume(&mut self) -> Result<()> {
        self.text = Some(Text::new(self.source.data, self.source.data_path, self.commit));
        let mut left = self.passed;
        while left > 0 && self.fill()? {
            let here = left.min(self.filled as u64);
            self.at = here as usize;
            left -= here;
        }
        if self.find_line()? { Ok(()) } else { Err(self.wrong("fewer lines than were committed")) }
    }

    /// Moves to the next line; `false` after the last one, once all text is checked.
    fn advance(&mut self) -> Result<bool> {
        self.passed += (self.end - self.at) as u64;
        self.lines += 1;
        self.at = self.end;
        if !self.find_line()? {
            return match self.lines < self.commit.lines {
                true => Err(self.wrong("fewer lines than were committed")),
                false => Ok(false),
            };
        }
        while self.lines >= self.first + self.block.len() as u64 {
            self.read_block()?;
        }
        self.timestamp = self.block[(self.lines - self.first) as usize].timestamp;
        Ok(true)
    }

    /// Finds the end of the line that begins at `at`; `false` at the end of the text.
    fn find_line(&mut self) -> Result<bool> {
        let (mut searched, mut quoted) = (0, false);
        loop {
            let rest = &self.buffer[self.at..self.filled];
            if let Some(length) = line_end(rest, self.source.kind, &mut searched, &mut quoted) {
                self.end = self.at + length;
                return Ok(true);
            }
            let is_empty = rest.is_empty();
            if !self.fill()? {
                return match is_empty {
                    true => Ok(false),
                    false => Err(self.wrong("no line break at its end")),
                };
            }
        }
    }

    /// Reads more text; `false` at its end.
    fn fill(&mut self) -> Result<bool> {
        let Some(text) = &mut self.text else { return Ok(false) };
        self.buffer.copy_within(self.at..self.filled, 0);
        (self.filled, self.at) = (self.filled - self.at, 0);
        if self.buffer.len() < self.filled + self.chunk {
            self.buffer.resize(self.filled + self.chunk, 0);
        }
        let filled = text.read(&mut self.buffer[self.filled..])?;
        self.filled += filled;
        Ok(filled > 0)
    }

    /// Moves to the next block, and reads it if the current line is in it.
    fn read_block(&mut self) -> Result<()> {
        self.first += self.block.len() as u64;
        self.block.clear();
        let Some(block) = self.commit.blocks.get(self.next) else {
            return Err(self.wrong("more lines than were committed"));
        };
        self.next += 1;
        if self.lines >= self.first + u64::from(block.count) {
            self.first += u64::from(block.count);
            return Ok(());
        }
        let (seen, path) = (self.source.seen, self.source.seen_path);
        seen::read_block(seen, path, self.commit.seen + self.first, block, &mut self.block)
    }

    fn wrong(&self, what: &str) -> LandError {
        self.commit.wrong(self.source.data_path, what)
    }
}

/// Whether a text without its final line break is one CSV line: all quotes are closed, and every
/// line break is inside quotes.
pub(crate) fn is_one_csv_line(text: &[u8]) -> bool {
    // Usually it has no line break. One pass without branches lets the compiler vectorize it.
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
/// `searched` and `quoted` keep the state for when more text of the same line arrives.
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
