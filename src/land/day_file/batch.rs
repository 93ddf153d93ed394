//! The rows of one landing for one day file, held compactly until they are committed.

use std::collections::{BTreeSet, HashMap};

use crate::land::journal::frame::Routing;
use crate::land::pool::{ChunkPool, PIECE_BYTES};
use crate::row::{EventKey, Keys, Row, Stream};

/// Rows for one day file, in the order in which they were read.
#[derive(Debug, Default)]
pub struct Batch {
    /// The lines. None is in two pieces.
    pieces: Vec<Vec<u8>>,
    rows: Vec<Entry>,
    /// The streams by which rules send rows, each once, and the number of each; none: no rules do.
    streams: Vec<Option<Stream<'static>>>,
    numbers: HashMap<Option<Stream<'static>>, u32>,
    /// The stream of the last row.
    last: Option<Last>,
    /// The numbers of the objects that the rows came from.
    pub(crate) objects: BTreeSet<usize>,
    /// By which routings its rows came here, as its commits name them.
    pub(crate) routings: BTreeSet<Routing>,
    pool: ChunkPool,
}

/// In how many parts of time rows are sorted: a sort of whole identities took 210 ms
/// for a million rows, this 47 ms.
const PARTS: usize = 1 << PARTS_LOG2;
const PARTS_LOG2: u32 = 12;
/// Of about how many rows it is looked up which times most have.
const SAMPLE: usize = 64;
/// A part with more rows is sorted in parts itself.
const PART_ROWS_MAX: usize = 1 << 12;

#[derive(Debug, Clone, Copy)]
struct Entry {
    identity: EventKey,
    piece: u32,
    start: u32,
    end: u32,
    stream: u32,
}

/// What need not be looked up again as long as rows are of one stream.
#[derive(Debug)]
struct Last {
    stream: Stream<'static>,
    is_routed: bool,
    number: u32,
    keys: Keys,
}

impl Batch {
    /// With memory of batches that are done with; gives it back when it is dropped.
    pub fn with(pool: &ChunkPool) -> Batch {
        let mut batch = Batch::default();
        batch.pool = pool.clone();
        batch
    }

    /// Adds a row of the landing's object number `object`. `is_routed` is false for a row that
    /// transform made: of plain text, it alone says where it belongs. Answers the memory that it
    /// takes, about.
    pub fn push(&mut self, row: &Row<'_>, object: usize, is_routed: bool) -> usize {
        // Mostly it is the stream of the row before.
        let last =
            self.last.take_if(|last| last.is_routed == is_routed && last.stream == row.stream);
        let (mut last, new) = match last {
            Some(last) => (last, 0),
            None => self.look_up(&row.stream, is_routed),
        };
        let line = row.line.as_bytes();
        let piece = self.room(line.len() + 1);
        let start = piece.len() as u32;
        piece.extend_from_slice(line);
        piece.push(b'\n');
        let end = piece.len() as u32;
        let piece = (self.pieces.len() - 1) as u32;
        let (identity, stream) = (last.keys.key(row), last.number);
        self.rows.push(Entry { identity, piece, start, end, stream });
        self.last = Some(last);
        self.objects.insert(object);
        line.len() + 1 + size_of::<Entry>() + new
    }

    /// What there is to know of a stream, and what it takes in memory if it is new.
    fn look_up(&mut self, stream: &Stream<'_>, is_routed: bool) -> (Last, usize) {
        // What a stream costs in both tables, about, with its names.
        const STREAM_BYTES: usize = 512;
        let (keys, stream) = (Keys::of(stream), stream.clone().into_owned());
        let routed = Some(stream.clone()).filter(|_| is_routed || stream.log_group().is_some());
        let new = self.streams.len() as u32;
        let number = *self.numbers.entry(routed).or_insert_with_key(|stream| {
            self.streams.push(stream.clone());
            new
        });
        let bytes = if number == new { STREAM_BYTES } else { 0 };
        (Last { stream, is_routed, number, keys }, bytes)
    }

    /// The piece for a line of so many bytes.
    fn room(&mut self, length: usize) -> &mut Vec<u8> {
        match self.pieces.last() {
            // Most day files are small, so the first one grows: in place of a pooled one, not
            // beside it.
            None => {
                drop(self.pool.take());
                self.pieces.push(Vec::new());
            }
            Some(piece) if piece.len() + length > PIECE_BYTES => {
                let pool = self.pool.take();
                self.pieces.push(pool.unwrap_or_else(|| Vec::with_capacity(PIECE_BYTES)));
            }
            Some(_) => {}
        }
        let last = self.pieces.len() - 1;
        &mut self.pieces[last]
    }

    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The identity of a row.
    pub fn key(&self, row: u32) -> EventKey {
        self.rows[row as usize].identity
    }

    /// The stream of a row by which rules send it, if they do, and its number.
    pub fn stream(&self, row: u32) -> (u32, Option<&Stream<'static>>) {
        let number = self.rows[row as usize].stream;
        (number, self.streams[number as usize].as_ref())
    }

    /// Forgets the rows that are not to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        let mut row = 0..;
        self.rows.retain(|_| row.next().is_some_and(&keep));
    }

    /// The first and the last timestamp; `None` without rows.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        let timestamps = || self.rows.iter().map(|row| row.identity.timestamp);
        timestamps().min().zip(timestamps().max())
    }

    /// The line of a row, with its line break.
    pub fn line(&self, row: u32) -> &[u8] {
        let Entry { piece, start, end, .. } = self.rows[row as usize];
        &self.pieces[piece as usize][start as usize..end as usize]
    }

    /// The rows in (timestamp, hash, position) order.
    pub fn by_identity(&self) -> Vec<u32> {
        let mut order = vec![0; self.rows.len()];
        self.sort(&(0..self.rows.len() as u32), &mut order);
        order
    }

    /// Sorts some rows into as many places.
    fn sort(&self, rows: &(impl ExactSizeIterator<Item = u32> + Clone), order: &mut [u32]) {
        let timestamps = || rows.clone().map(|row| self.key(row).timestamp);
        // By time roughly first, so that what is sorted is small and stays in the processor's
        // cache. A few late events do not count: they would make all others one part.
        let sample = rows.clone().step_by(rows.len() / SAMPLE + 1);
        let mut sample: Vec<i64> = sample.map(|row| self.key(row).timestamp).collect();
        sample.sort_unstable();
        let few = sample.len() / 16;
        let Some([low, .., high] | [low @ high]) = sample.get(few..sample.len() - few) else {
            return;
        };
        let (span, margin) = (high.abs_diff(*low), high.abs_diff(*low) / 8);
        let start = low.saturating_sub_unsigned(margin);
        let bits = u64::BITS - span.saturating_add(2 * margin).leading_zeros();
        let part = |timestamp: i64| {
            let after = timestamp.saturating_sub(start).max(0) >> bits.saturating_sub(PARTS_LOG2);
            (after as usize).min(PARTS - 1)
        };
        let mut ends = vec![0_u32; PARTS];
        timestamps().for_each(|timestamp| ends[part(timestamp)] += 1);
        let mut sum = 0;
        for end in &mut ends {
            (*end, sum) = (sum, sum + *end);
        }
        for (row, timestamp) in rows.clone().zip(timestamps()) {
            let end = &mut ends[part(timestamp)];
            order[*end as usize] = row;
            *end += 1;
        }
        let (mut start, mut sorted) = (0, Vec::new());
        for end in ends {
            let part = &mut order[start..end as usize];
            start = end as usize;
            // A part that has nearly all of them, as when most are of one time, may be one part
            // again, and so on.
            if part.len() > PART_ROWS_MAX && part.len() < rows.len() / 8 * 7 {
                let rows = part.to_vec();
                self.sort(&rows.iter().copied(), part);
                continue;
            }
            sorted.clear();
            sorted.extend(part.iter().map(|row| (self.key(*row), *row)));
            sorted.sort_unstable();
            part.iter_mut().zip(&sorted).for_each(|(row, (_, sorted))| *row = *sorted);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.pool.give(self.pieces.drain(..));
    }
}
