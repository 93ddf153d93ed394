//! Memory for lines, reused from one landing to the next: the system clears new memory page by
//! page, and page faults were 18 % of a landing.

use std::sync::{Arc, Mutex, PoisonError};

/// The size of one piece of memory for lines.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// Pieces of memory that dropped batches returned, for later batches of this process.
#[derive(Debug, Clone, Default)]
pub struct ChunkPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl ChunkPool {
    /// Takes a piece, if the pool has one.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// The number of pieces in the pool.
    pub fn pieces(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns pieces to the pool.
    pub(crate) fn give(&self, pieces: impl Iterator<Item = Vec<u8>>) {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Only standard sizes: a day file's first piece may be smaller, and that of a long line
        // larger.
        let pieces = pieces.filter(|piece| piece.capacity() == PIECE_BYTES);
        pool.extend(pieces.map(|mut piece| {
            piece.clear();
            piece
        }));
    }
}
