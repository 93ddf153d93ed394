//! Memory for lines, used again from one landing to the next: what the system gives, it clears
//! first, page by page: page faults were 18 % of a landing.

use std::sync::{Arc, Mutex, PoisonError};

/// How much memory for lines is asked for at once.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// Memory that batches have given back, for the next ones of this process.
#[derive(Debug, Clone, Default)]
pub struct ChunkPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl ChunkPool {
    /// A piece, if there is one.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// How many pieces it holds.
    pub fn pieces(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Gives pieces back.
    pub(crate) fn give(&self, pieces: impl Iterator<Item = Vec<u8>>) {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A day file's first piece may be small, and a long line's large.
        let pieces = pieces.filter(|piece| piece.capacity() == PIECE_BYTES);
        pool.extend(pieces.map(|mut piece| {
            piece.clear();
            piece
        }));
    }
}
