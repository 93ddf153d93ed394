//! How large an answer may get. Lambda refuses one over 6 MB, and Firehose then fails the whole
//! batch: what does not fit is answered without data instead, and lands by way of `failed/`.

use super::wire::{DROPPED_LESS, EventError, FRAME, bare_bytes, ok_bytes};

/// The bytes of one answer. Every record has its entry without data reserved from the start, so
/// that no record's data can push out another's answer.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    /// Bytes of what is written, and of what is reserved for the records to come.
    taken: usize,
}

impl Budget {
    /// Reserves the smallest answer to the records of these ids (as JSON).
    pub fn new<'a>(
        limit: usize,
        ids_json: impl IntoIterator<Item = &'a str>,
    ) -> Result<Budget, EventError> {
        let (entries, bytes) = ids_json
            .into_iter()
            .fold((0, FRAME), |(count, sum), id| (count + 1, sum + bare_bytes(id) + COMMA));
        let needed = if entries > 0 { bytes - COMMA } else { bytes };
        if needed > limit {
            return Err(EventError::Budget { needed, limit });
        }
        Ok(Budget { limit, taken: needed })
    }

    /// Takes the room for a record's data, so many bytes before base64; `false` if there is none:
    /// the record must then be answered without.
    #[must_use]
    pub fn take(&mut self, id_json: &str, data: usize) -> bool {
        let taken = self.taken - bare_bytes(id_json) + ok_bytes(id_json, data);
        let fits = taken <= self.limit;
        if fits {
            self.taken = taken;
        }
        fits
    }

    /// Gives back what `Dropped` takes less than was reserved.
    pub fn dropped(&mut self) {
        self.taken -= DROPPED_LESS;
    }

    /// Bytes of the whole answer once every record has its entry.
    pub fn taken(&self) -> usize {
        self.taken
    }
}

/// Between two entries.
const COMMA: usize = 1;
