//! Bytes → rows: the one reader of everything that may hold events. A record of the stream, a
//! record that failed, an object, a backup and the quarantine are read by it, unit by unit.
//!
//! What something is, is decided by its shape, whatever the object is called. A **member** is a
//! gzip member or a zstd frame; its content is read like the object itself, two levels deep (backup
//! compression gzips twice). Anything else is **text**; its **units** are JSON values and lines.
//!
//! | unit | becomes |
//! |---|---|
//! | compact rows, below their header | the rows, and what transform refused |
//! | JSON with the fields of a row | the row that it is, or a bad one |
//! | JSON with `rawData`, or a line of the quarantine | what it holds, read in the same way |
//! | JSON with `messageType`, a list of such, the same in base64 | the rows of the envelope |
//! | any other text | plain rows |
//!
//! Nothing is passed over in silence: what gives no rows goes to [`Sink::skipped`] or
//! [`Sink::bad`]. Memory is bounded by a few times [`Limits::unit_bytes`], and one envelope by
//! [`Limits::inflated_bytes`], whatever the object's size.

mod begin;
mod events;
mod frame;
mod member;
mod rows;
mod scan;
mod unit;
mod window;
mod wrapped;

use std::io;
use std::time::Instant;

use flate2::Decompress;
use zstd::zstd_safe::DCtx;

use crate::config::{Config, Limits};
use crate::label::Labeler;
use crate::row::Row;
use crate::rows::Header;
use crate::store::{ObjectReader, StoreError};

use begin::{Form, form};
use window::{Whole, Window};

/// Reads objects and records; keeps its buffers from one to the next.
pub struct Reader<'c> {
    /// How lines are made.
    pub(crate) config: &'c Config,
    labeler: Labeler<'c>,
    /// Of members' contents.
    buffers: Vec<Vec<u8>>,
    gunzip: Decompress,
    /// What strings with escapes mean.
    spare: Vec<u8>,
    /// Made when it is first needed.
    unzstd: Option<DCtx<'static>>,
}

/// Where what is read comes from: what plain text is identified by, and how old its events may be.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The delivery stream's ARN, or the object as `bucket/key`.
    pub place: &'a str,
    /// A record's id. The number of the line follows it.
    pub id: Option<&'a str>,
    /// When it arrived, or was delivered, in milliseconds since the epoch.
    pub arrival: Option<i64>,
}

impl<'c> Reader<'c> {
    /// For one configuration.
    pub fn new(config: &'c Config) -> Reader<'c> {
        let labeler = Labeler::new(config);
        let gunzip = Decompress::new(false);
        Reader { config, labeler, buffers: Vec::new(), gunzip, spare: Vec::new(), unzstd: None }
    }

    /// Reads one object to its end.
    ///
    /// A zstd frame that is torn or corrupt gives no rows. A gzip member whose checksum does not
    /// hold gives none unless it is larger than [`Limits::unit_bytes`]; of one that is torn, the
    /// whole units before its end count.
    ///
    /// An error ends it: the input's (retry; landing twice is harmless) or the sink's.
    pub fn object(
        &mut self,
        input: impl ByteSource,
        origin: Origin<'_>,
        options: &Options<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), ReadError> {
        let mut input = Whole(input);
        let mut window = Window::new(&mut input, vec![0; OBJECT_BYTES], 0);
        Reading::new(self, origin, options, sink).level(&mut window, Depth::default())
    }

    /// Reads one record, which is held in memory: all that it inflates to is no more than
    /// [`Limits::inflated_bytes`].
    pub fn record(
        &mut self,
        data: &[u8],
        origin: Origin<'_>,
        options: &Options<'_>,
        sink: &mut dyn Sink,
    ) -> Result<(), ReadError> {
        let mut buffer = self.buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(data);
        Reading::new(self, origin, options, sink).record(buffer, 0)
    }
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
    /// With plain text, whatever time it takes.
    pub fn new(limits: &'l Limits) -> Options<'l> {
        Options { limits, plain: true, until: None }
    }
}

/// Takes what a reader finds, in the object's order. An error ends the reading.
pub trait Sink {
    /// One row.
    fn row(&mut self, row: &Row<'_>, place: RowPlace) -> Result<(), ReadError>;
    /// So many events, or lines of plain text, that rightly give no rows.
    fn skipped(&mut self, _skipped: Skipped, _events: usize) -> Result<(), ReadError> {
        Ok(())
    }
    /// Something that should have given rows: a unit, or one event.
    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError>;
}

/// Where a row was found, and how.
#[derive(Debug, Clone, Copy)]
pub struct RowPlace {
    /// Its own offset in the object, or that of the outermost member it is in.
    pub(crate) offset: u64,
    /// It was made just now of an event or a line of text, by the configuration in force; otherwise
    /// it was a row already.
    pub is_derived: bool,
}

/// Why a unit rightly gives no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skipped {
    /// A control message, an envelope without events, an empty record.
    Empty,
    /// Events that their source's `drop` and `keep` leave out.
    Filtered,
    /// Plain text, and `[plain] drop = true`.
    PlainDropped,
    /// Plain text, and [`Options::plain`] is off.
    PlainLeftOut,
}

/// Something that could not be read. Its bytes are for the quarantine.
#[derive(Debug, Clone, Copy)]
pub struct Bad<'a> {
    /// Where in the object it is: its own offset, or that of the outermost member it is in.
    pub offset: u64,
    /// Whether it is one event; its neighbours gave rows.
    pub is_event: bool,
    /// A short stable name, e.g. `torn-gzip`.
    pub code: &'a str,
    /// What is wrong, for a person.
    pub reason: &'a str,
    /// Its length, in the form in which `bytes` holds it.
    pub length: u64,
    /// The bytes as they were found: at most [`Limits::unit_bytes`] of them (of a member that is
    /// larger, the last). Of an event, an envelope that holds it alone.
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
    /// It has rows of a newer version.
    #[error(
        "has rows of version {0}, which this release cannot read: deploy a newer land; it is retried"
    )]
    Newer(u64),
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

/// Bytes of an object that are looked at: a frame that is there as a whole is not copied.
const OBJECT_BYTES: usize = 1 << 20;

/// The code of a record with rows of a newer version.
pub(crate) const NEWER: &str = "newer-rows";

/// Whether a gzip member begins here.
#[cfg(feature = "cli")]
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&begin::GZIP[..2])
}

/// How deep what is read is in what was given.
#[derive(Debug, Clone, Copy, Default)]
struct Depth {
    /// Members around it.
    members: usize,
    /// Records around it; those of the stream are in one, too.
    records: usize,
}

/// Whether compact rows are being read.
#[derive(Default)]
enum Below {
    /// No header was read.
    #[default]
    None,
    /// Below this one.
    Header(Header),
    /// Below one that could not be read.
    Unreadable,
}

/// One reading of one object or record.
struct Reading<'r, 'c> {
    reader: &'r mut Reader<'c>,
    origin: Origin<'r>,
    options: &'r Options<'r>,
    sink: &'r mut dyn Sink,
    below: Below,
    /// Where in the object the present member or unit begins.
    offset: u64,
    /// Lines of plain text so far.
    lines: u64,
    /// What the present record inflated to so far.
    inflated: usize,
    /// How often the sink was called.
    taken: u64,
}

impl<'r, 'c> Reading<'r, 'c> {
    fn new(
        reader: &'r mut Reader<'c>,
        origin: Origin<'r>,
        options: &'r Options<'r>,
        sink: &'r mut dyn Sink,
    ) -> Reading<'r, 'c> {
        let below = Below::None;
        Reading { reader, origin, options, sink, below, offset: 0, lines: 0, inflated: 0, taken: 0 }
    }

    /// Reads the object, a record, or the content of a member.
    fn level(&mut self, window: &mut Window<'_>, depth: Depth) -> Result<(), ReadError> {
        let outer = std::mem::take(&mut self.below);
        while window.fill(1)? {
            if depth.members + depth.records == 0 {
                self.offset = window.offset;
            }
            let form = form(window, 0)?;
            // Whole members are held in memory, and may hold others by the thousand.
            if form.is_some() && self.options.until.is_some_and(|until| until <= Instant::now()) {
                return Err(ReadError::Time);
            }
            match form {
                Some(Form::Gzip) => self.member(window, depth)?,
                Some(Form::Zstd) => self.frame(window, depth)?,
                None => self.unit(window, depth)?,
            }
        }
        self.below = outer;
        Ok(())
    }

    /// Reads a record, which is in so many others.
    fn record(&mut self, data: Vec<u8>, records: usize) -> Result<(), ReadError> {
        // A record in a record is a part of it.
        if records == 0 {
            self.inflated = 0;
        }
        self.held(data, Depth { members: 0, records: records + 1 })
    }

    /// Reads what is held in memory as a whole, and keeps its buffer.
    fn held(&mut self, content: Vec<u8>, depth: Depth) -> Result<(), ReadError> {
        let mut window = Window::held(content);
        self.level(&mut window, depth)?;
        self.reader.buffers.push(window.into_parts().0);
        Ok(())
    }

    fn row_place(&self, is_derived: bool) -> RowPlace {
        RowPlace { offset: self.offset, is_derived }
    }

    fn skipped(&mut self, skipped: Skipped, events: usize) -> Result<(), ReadError> {
        self.taken += 1;
        self.sink.skipped(skipped, events)
    }

    fn bad(
        &mut self,
        code: &str,
        reason: &str,
        length: u64,
        bytes: &[u8],
    ) -> Result<(), ReadError> {
        self.taken += 1;
        let offset = self.offset;
        self.sink.bad(&Bad { offset, is_event: false, code, reason, length, bytes })
    }
}
