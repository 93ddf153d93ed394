//! An object's bytes → rows: rows, failed records, source records, raw envelopes or text, told
//! apart by their content, member by member, whatever the object is called.
//!
//! A **member** is a gzip member; its content is read like the object itself, two levels deep
//! (backup compression gzips twice). What is not gzip is **text**; a text's **units** are JSON
//! values and lines.
//!
//! | unit | becomes |
//! |---|---|
//! | JSON with `file`, `day`, `line`, or six of a row's fields | the row that it is, or a bad one |
//! | JSON with `rawData` | the rows of the source record that failed |
//! | JSON with `messageType` | the rows of the envelope |
//! | any other text | plain rows |
//!
//! Nothing is passed over in silence: what gives no rows goes to [`Sink::skipped`] or
//! [`Sink::bad`]. Memory is bounded by a few times [`Limits::unit_bytes`], and one envelope by
//! [`Limits::inflated_bytes`], whatever the object's size.

mod member;
mod rows;
mod scan;
mod staged;
mod unit;
mod window;

use std::io;
use std::time::Instant;

use crate::config::Limits;
use crate::record::Records;
use crate::row::Row;
use crate::store::{ObjectReader, StoreError};

use rows::RowReader;
use staged::Staged;
use window::{Whole, Window};

/// The first bytes of a gzip member. They never begin a UTF-8 text: 8b is no character's second
/// byte here.
const MAGIC: &[u8] = b"\x1f\x8b\x08";

/// Reads one object to its end.
///
/// `place` (`bucket/key`) and `modified` (milliseconds since the epoch) identify plain rows, which
/// have no identity of their own. A member whose checksum does not hold gives no rows unless it is
/// larger than [`Limits::unit_bytes`]; of one that is cut off, the whole units before the cut
/// count.
///
/// An error ends it: the input's (retry; landing twice is harmless) or the sink's.
pub fn read(
    input: impl ByteSource,
    place: &str,
    modified: i64,
    records: &mut Records<'_>,
    options: &Options<'_>,
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    let mut input = Whole(input);
    let mut window = Window::new(&mut input, Vec::new(), 0);
    let mut reader = Reader {
        place,
        modified,
        records,
        options,
        sink,
        staged: Staged::default(),
        rows: RowReader::default(),
        buffers: Vec::new(),
        offset: 0,
        unit: 0,
    };
    reader.level(&mut window, 0)
}

/// Limits and choices of a reader.
#[derive(Debug, Clone)]
pub struct Options<'l> {
    /// `unit_bytes`, also of what is kept of a member to look at it again; `inflated_bytes`.
    pub limits: &'l Limits,
    /// Whether plain text becomes rows. Read from a backup it has another identity than what
    /// transform gave it, so replay leaves it out.
    pub plain: bool,
    /// When reading ends with [`ReadError::Time`]: a small object can inflate for hours and hold no
    /// row.
    pub until: Option<Instant>,
}

impl<'l> Options<'l> {
    /// As the configuration says, with plain text.
    pub fn new(limits: &'l Limits) -> Options<'l> {
        Options { limits, plain: true, until: None }
    }
}

/// Takes what a reader finds, in the object's order. An error ends the reading.
pub trait Sink {
    /// One row.
    fn row(&mut self, row: &Row<'_>, place: RowPlace) -> Result<(), ReadError>;
    /// A unit that rightly gives no rows.
    fn skipped(&mut self, _skipped: Skipped, _bytes: &[u8]) -> Result<(), ReadError> {
        Ok(())
    }
    /// Something that should have given rows.
    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError>;
}

/// Where a row was found, and how.
#[derive(Debug, Clone, Copy)]
pub struct RowPlace {
    /// Its own offset in the object, or that of the outermost gzip member it is in.
    pub(crate) offset: u64,
    /// It was made just now of an event or a line of text, by the configuration in force; otherwise
    /// it was a row already.
    pub is_derived: bool,
}

/// Why a unit rightly gives no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skipped {
    /// A control message, an envelope without events, an empty record; plain text, and `[plain]
    /// drop = true`.
    Dropped,
    /// Plain text, and [`Options::plain`] is off.
    PlainLeftOut,
}

/// Something that could not be read. Its bytes are for the quarantine.
#[derive(Debug, Clone, Copy)]
pub struct Bad<'a> {
    /// Where in the object it is: its own offset, or that of the outermost gzip member it is in.
    pub offset: u64,
    /// A short stable name, e.g. `torn-gzip`.
    pub code: &'a str,
    /// What is wrong, for a person.
    pub reason: &'a str,
    /// Its length, in the form in which `bytes` holds it.
    pub length: u64,
    /// The bytes as they were found: at most [`Limits::unit_bytes`] of them (of a member that is
    /// larger, the last).
    pub bytes: &'a [u8],
}

/// Why reading ended before the object's end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store did not hand out the rest of the object.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bytes could not be read further.
    #[error(transparent)]
    Input(#[from] io::Error),
    /// The sink could not take what was read.
    #[error("{0}")]
    Sink(#[source] io::Error),
    /// The object could not be read to its end by [`Options::until`].
    #[error("no time was left to read all of it; it is retried")]
    Time,
}

/// Where an object's bytes come from.
pub trait ByteSource {
    /// Reads the next bytes; 0 at the end.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError>;
}

impl<R: io::Read> ByteSource for R {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        loop {
            match io::Read::read(self, buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return Ok(read?),
            }
        }
    }
}

impl ByteSource for ObjectReader {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        Ok(ObjectReader::read(self, buffer)?)
    }
}

/// One reading of one object.
struct Reader<'r, 'c> {
    place: &'r str,
    modified: i64,
    records: &'r mut Records<'c>,
    options: &'r Options<'r>,
    sink: &'r mut dyn Sink,
    staged: Staged,
    rows: RowReader,
    /// Buffers of inner windows, to use again.
    buffers: Vec<Vec<u8>>,
    /// Where in the object the present member or unit begins.
    offset: u64,
    unit: u64,
}

impl Reader<'_, '_> {
    /// Reads the object (depth 0), or the content of a member.
    fn level(&mut self, window: &mut Window<'_>, depth: usize) -> Result<(), ReadError> {
        while window.fill(1)? {
            if depth == 0 {
                self.offset = window.offset;
            }
            if at_member(window)? { self.member(window, depth)? } else { self.unit(window, depth)? }
        }
        Ok(())
    }

    fn skipped(&mut self, skipped: Skipped, bytes: &[u8]) -> Result<(), ReadError> {
        self.sink.skipped(skipped, bytes)
    }

    fn bad(
        &mut self,
        code: &str,
        reason: &str,
        length: u64,
        bytes: &[u8],
    ) -> Result<(), ReadError> {
        let bad = Bad { offset: self.offset, code, reason, length, bytes };
        self.sink.bad(&bad)
    }
}

/// Whether a member begins here; what is left of a header that is cut off counts.
fn at_member(window: &mut Window<'_>) -> Result<bool, ReadError> {
    let whole = window.fill(MAGIC.len())?;
    let bytes = window.bytes();
    Ok(if whole { bytes.starts_with(MAGIC) } else { MAGIC.starts_with(bytes) })
}
