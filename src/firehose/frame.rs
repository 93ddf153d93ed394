//! Rows → one zstd frame, always the same bytes for the same rows.

use zstd::zstd_safe::{CCtx, CParameter, compress_bound};

use crate::row::Row;
use crate::rows::Writer;

/// A frame in the making. One context serves all records of an event: making one costs more than a
/// small record's rows.
pub(crate) struct Frame {
    writer: Writer,
    rows: Vec<u8>,
    frame: Vec<u8>,
    context: CCtx<'static>,
}

/// Up to so many bytes of rows, what building code tables takes counts more than size.
const SMALL_BYTES: usize = 16 << 10;
/// The levels of small frames, of others, and of what does not fit otherwise.
const SMALL: i32 = -1;
const LARGE: i32 = 1;
const TIGHT: i32 = 12;
/// Matches are looked up in a table of 2 to the power of this: rows repeat what is near, and a
/// small table stays in the nearest cache. (0.153 of the text; with zstd's own choice 0.158, and
/// slower.)
const HASH_LOG: u32 = 10;

impl Default for Frame {
    fn default() -> Frame {
        let mut context = CCtx::create();
        // The content's size is written by itself. Cannot fail: nothing is compressed yet.
        for parameter in [CParameter::ChecksumFlag(true), CParameter::HashLog(HASH_LOG)] {
            context.set_parameter(parameter).expect("a new context takes parameters");
        }
        Frame { writer: Writer::default(), rows: Vec::new(), frame: Vec::new(), context }
    }
}

impl Frame {
    /// Begins a new one.
    pub(crate) fn start(&mut self) {
        self.writer.start();
        self.rows.clear();
    }

    /// Appends a row.
    pub(crate) fn row(&mut self, row: &Row<'_>) {
        self.writer.row(row, &mut self.rows);
    }

    /// Appends what could not be a row.
    pub(crate) fn refused(&mut self, code: &str, reason: &str, bytes: &[u8]) {
        self.writer.refused(code, reason, bytes, &mut self.rows);
    }

    /// The frame of all since `start`.
    pub(crate) fn finish(&mut self) -> &[u8] {
        self.compress(if self.rows.len() <= SMALL_BYTES { SMALL } else { LARGE })
    }

    /// The same in fewer bytes, for several times the work.
    pub(crate) fn finish_tight(&mut self) -> &[u8] {
        self.compress(TIGHT)
    }

    fn compress(&mut self, level: i32) -> &[u8] {
        self.frame.clear();
        self.frame.reserve(compress_bound(self.rows.len()));
        let level = self.context.set_parameter(CParameter::CompressionLevel(level));
        // Cannot fail: the level is one that zstd has, and there is room for the worst case.
        level
            .and_then(|_| self.context.compress2(&mut self.frame, &self.rows))
            .expect("zstd takes every input");
        &self.frame
    }
}
