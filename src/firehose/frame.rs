//! Turns rows into one zstd frame. The same rows always give the same bytes.

use zstd::zstd_safe::{CCtx, CParameter, compress_bound};

use crate::row::Row;
use crate::rows::Writer;

/// A frame that is being built. One context serves all records of an event: creating a context
/// costs more than compressing a small record's rows.
pub(crate) struct Frame {
    writer: Writer,
    rows: Vec<u8>,
    frame: Vec<u8>,
    context: CCtx<'static>,
}

/// Up to this many bytes of rows, building code tables costs more than a smaller frame saves.
const SMALL_BYTES: usize = 16 << 10;
/// The compression levels of small frames, of larger ones, and of those that would not fit.
const SMALL: i32 = -1;
const LARGE: i32 = 1;
const TIGHT: i32 = 12;
/// Matches are looked up in a table of this power of 2. Rows repeat what is near, and a small table
/// stays in the nearest cache. (Frames are 0.153 of the text; 0.158 and slower with zstd's own
/// choice.)
const HASH_LOG: u32 = 10;

impl Default for Frame {
    fn default() -> Frame {
        let mut context = CCtx::create();
        // zstd adds the content's size by itself. Cannot fail: nothing is compressed yet.
        for parameter in [CParameter::ChecksumFlag(true), CParameter::HashLog(HASH_LOG)] {
            context.set_parameter(parameter).expect("a new context takes parameters");
        }
        Frame { writer: Writer::default(), rows: Vec::new(), frame: Vec::new(), context }
    }
}

impl Frame {
    /// Begins a new frame.
    pub(crate) fn start(&mut self) {
        self.writer.start();
        self.rows.clear();
    }

    /// Appends a row.
    pub(crate) fn row(&mut self, row: &Row<'_>) {
        self.writer.row(row, &mut self.rows);
    }

    /// Appends an event that could not be a row.
    pub(crate) fn refused(&mut self, code: &str, reason: &str, bytes: &[u8]) {
        self.writer.refused(code, reason, bytes, &mut self.rows);
    }

    /// The frame of everything since `start`.
    pub(crate) fn finish(&mut self) -> &[u8] {
        self.compress(if self.rows.len() <= SMALL_BYTES { SMALL } else { LARGE })
    }

    /// The same frame in fewer bytes, for several times the work.
    pub(crate) fn finish_tight(&mut self) -> &[u8] {
        self.compress(TIGHT)
    }

    fn compress(&mut self, level: i32) -> &[u8] {
        self.frame.clear();
        self.frame.reserve(compress_bound(self.rows.len()));
        let level = self.context.set_parameter(CParameter::CompressionLevel(level));
        // Cannot fail: the level exists in zstd, and there is room for the worst case.
        level
            .and_then(|_| self.context.compress2(&mut self.frame, &self.rows))
            .expect("zstd takes every input");
        &self.frame
    }
}
