//! Rows → one gzip member of NDJSON, always the same bytes for the same rows.

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use crate::row::{Encoder, Row};

/// A gzip member in the making. One compressor serves all records of an event: making one costs
/// more than a small record's rows.
pub(crate) struct Member {
    encoder: Encoder,
    rows: Vec<u8>,
    gzip: Vec<u8>,
    fast: Compress,
    /// Made when it is first needed, which is seldom.
    small: Option<Compress>,
}

/// The level of what does not fit otherwise: a third smaller than the fastest, and five times as
/// slow.
const SMALL: u32 = 6;
/// Magic, deflate, no flags, no time, fastest, no system: nothing that differs from run to run.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

impl Default for Member {
    fn default() -> Member {
        // Level 1: 444 MB/s at 6.2 : 1, which is what keeps answers under 6 MB.
        let fast = Compress::new(Compression::fast(), false);
        let encoder = Encoder::default();
        Member { encoder, rows: Vec::new(), gzip: Vec::new(), fast, small: None }
    }
}

impl Member {
    /// Begins a new one.
    pub(crate) fn start(&mut self) {
        self.rows.clear();
    }

    /// Appends a row.
    pub(crate) fn row(&mut self, row: &Row<'_>) {
        self.encoder.row(row, &mut self.rows);
    }

    /// The member with all rows since `start`.
    pub(crate) fn finish(&mut self) -> &[u8] {
        gzip(&mut self.fast, &self.rows, &mut self.gzip);
        &self.gzip
    }

    /// The same rows in fewer bytes, for several times the work.
    pub(crate) fn finish_small(&mut self) -> &[u8] {
        let new = || Compress::new(Compression::new(SMALL), false);
        gzip(self.small.get_or_insert_with(new), &self.rows, &mut self.gzip);
        &self.gzip
    }
}

fn gzip(compress: &mut Compress, rows: &[u8], gzip: &mut Vec<u8>) {
    gzip.clear();
    gzip.extend_from_slice(&HEADER);
    compress.reset();
    loop {
        gzip.reserve(rows.len() / 4 + 64);
        let done = compress.total_in() as usize;
        let status = compress.compress_vec(&rows[done..], gzip, FlushCompress::Finish);
        // Cannot fail: the stream's state is our own, and there is always room to write.
        if status.expect("deflate takes every input") == Status::StreamEnd {
            break;
        }
    }
    let mut crc = Crc::new();
    crc.update(rows);
    gzip.extend_from_slice(&crc.sum().to_le_bytes());
    gzip.extend_from_slice(&crc.amount().to_le_bytes());
}
