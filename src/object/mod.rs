//! The one reader of everything that may hold events: it turns bytes into rows. It reads records
//! of the stream, failed records, objects, backups and the quarantine, unit by unit.
//!
//! The format is detected from the content, whatever the object is called. A **member** is a gzip
//! member or a zstd frame; its content is read like the object itself, two levels deep (backup
//! compression gzips twice). Anything else is **text**; its **units** are JSON values and lines.
//! | unit | becomes |
//! |---|---|
//! | compact rows, below their header | the rows, and what transform refused |
//! | JSON with the fields of a row | that row, or a bad one |
//! | JSON with `rawData`, or a line of the quarantine | its data, read in the same way |
//! | JSON with `messageType`, a list of such, the same in base64 | the rows of the envelope |
//! | any other text | plain rows |
//!
//! Nothing is skipped silently: what gives no rows goes to [`Sink::skipped`] or [`Sink::bad`].
//! Memory use is a few times [`Limits::unit_bytes`], plus one envelope of at most
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

/// Reads objects and records, and keeps its buffers from one to the next.
pub struct Reader<'c> {
    /// How events become lines.
    pub(crate) config: &'c Config,
    labeler: Labeler<'c>,
    /// Buffers for the contents of members.
    buffers: Vec<Vec<u8>>,
    gunzip: Decompress,
    /// A buffer for strings whose escapes are decoded.
    spare: Vec<u8>,
    /// Created when it is first needed.
    unzstd: Option<DCtx<'static>>,
}

/// Where the input comes from. It identifies plain text and limits how old its events may be.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The delivery stream's ARN, or the object as `bucket/key`.
    pub place: &'a str,
    /// A record's id. The line number follows it.
    pub id: Option<&'a str>,
    /// When the input arrived or was delivered, in milliseconds since the epoch.
    pub arrival: Option<i64>,
}

impl<'c> Reader<'c> {
    /// A reader for one configuration.
    pub fn new(config: &'c Config) -> Reader<'c> {
        let labeler = Labeler::new(config);
        let gunzip = Decompress::new(false);
        Reader { config, labeler, buffers: Vec::new(), gunzip, spare: Vec::new(), unzstd: None }
    }

    /// Reads one object to its end.
    ///
    /// A truncated or corrupt zstd frame gives no rows. A gzip member with a wrong checksum gives
    /// none unless it is larger than [`Limits::unit_bytes`]. A truncated gzip member gives the
    /// units that are whole.
    ///
    /// An error ends the reading. It is the input's (retry: landing twice is harmless) or the
    /// sink's.
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

    /// Reads one record, which is held in memory: in total it may inflate to at most
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

/// A reader's limits and choices.
#[derive(Debug, Clone)]
pub struct Options<'l> {
    /// The limits. `unit_bytes` also bounds how much of a member is kept for a second reading.
    pub limits: &'l Limits,
    /// Whether plain text becomes rows. Plain text from a backup has another identity than the one
    /// transform gave it, so a replay leaves it out.
    pub plain: bool,
    /// When reading ends with [`ReadError::Time`]: a small object can inflate for hours without
    /// giving a row.
    pub until: Option<Instant>,
}

impl<'l> Options<'l> {
    /// Options that read plain text and have no time limit.
    pub fn new(limits: &'l Limits) -> Options<'l> {
        Options { limits, plain: true, until: None }
    }
}

/// Receives what a reader finds, in the object's order. An error ends the reading.
pub trait Sink {
    /// One row.
    fn row(&mut self, row: &Row<'_>, place: RowPlace) -> Result<(), ReadError>;
    /// This many events or lines of plain text give no rows by design.
    fn skipped(&mut self, _skipped: Skipped, _events: usize) -> Result<(), ReadError> {
        Ok(())
    }
    /// Something that should have given rows did not: a unit, or one event.
    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError>;
}

/// Where and how a row was found.
#[derive(Debug, Clone, Copy)]
pub struct RowPlace {
    /// The row's offset in the object, or that of the outermost member that contains it.
    pub(crate) offset: u64,
    /// Whether the row was just derived from an event or a line of text by the current
    /// configuration. Otherwise it already was a row.
    pub is_derived: bool,
}

/// Why a unit gives no rows by design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skipped {
    /// A control message, an envelope without events, or an empty record.
    Empty,
    /// Events that their source's `drop` and `keep` exclude.
    Filtered,
    /// Plain text, which `[plain] drop = true` excludes.
    PlainDropped,
    /// Plain text, which [`Options::plain`] excludes.
    PlainLeftOut,
}

/// Something that could not be read. The quarantine keeps its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Bad<'a> {
    /// Its offset in the object, or that of the outermost member that contains it.
    pub offset: u64,
    /// Whether it is a single event whose neighbours gave rows.
    pub is_event: bool,
    /// A short stable name, e.g. `torn-gzip`.
    pub code: &'a str,
    /// What is wrong, in words.
    pub reason: &'a str,
    /// Its length, in the encoding of `bytes`.
    pub length: u64,
    /// The bytes as they were found: at most [`Limits::unit_bytes`] (the last ones of a larger
    /// member). For an event, an envelope that holds only this event.
    pub bytes: &'a [u8],
}

/// Why reading ended before the object's end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store could not deliver the rest of the object.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The input could not be read further.
    #[error(transparent)]
    Input(#[from] io::Error),
    /// The sink could not accept what was read.
    #[error("{0}")]
    Sink(#[source] io::Error),
    /// The object has rows of a newer version.
    #[error(
        "has rows of version {0}, which this release cannot read: deploy a newer land; it is retried"
    )]
    Newer(u64),
    /// The object could not be read to its end before [`Options::until`].
    #[error("no time was left to read all of it; it is retried")]
    Time,
}

/// A source of an object's bytes.
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

/// The size of an object's buffer. A frame that fits into it is not copied.
const OBJECT_BYTES: usize = 1 << 20;

/// The code of a record that has rows of a newer version.
pub(crate) const NEWER: &str = "newer-rows";

/// Whether a gzip member begins here.
#[cfg(feature = "cli")]
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&begin::GZIP[..2])
}

/// How deeply nested the current input is.
#[derive(Debug, Clone, Copy, Default)]
struct Depth {
    /// The number of members around it.
    members: usize,
    /// The number of records around it; a record of the stream counts, too.
    records: usize,
}

/// Which header, if any, applies to the compact rows that follow.
#[derive(Default)]
enum Below {
    /// No header was read: text is not compact rows.
    #[default]
    None,
    /// Rows follow this header.
    Header(Header),
    /// The header could not be read.
    Unreadable,
}

/// The reading of one object or record.
struct Reading<'r, 'c> {
    reader: &'r mut Reader<'c>,
    origin: Origin<'r>,
    options: &'r Options<'r>,
    sink: &'r mut dyn Sink,
    below: Below,
    /// The offset in the object at which the current member or unit begins.
    offset: u64,
    /// The number of lines of plain text so far.
    lines: u64,
    /// How many bytes the current record has inflated to so far.
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

    /// Reads the object, a record, or a member's content.
    fn level(&mut self, window: &mut Window<'_>, depth: Depth) -> Result<(), ReadError> {
        let outer = std::mem::take(&mut self.below);
        while window.fill(1)? {
            if depth.members + depth.records == 0 {
                self.offset = window.offset;
            }
            let form = form(window, 0)?;
            // Whole members are held in memory, and may contain thousands of others.
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

    /// Reads a record that is nested in this many others.
    fn record(&mut self, data: Vec<u8>, records: usize) -> Result<(), ReadError> {
        // A nested record counts towards the limit of the outer one.
        if records == 0 {
            self.inflated = 0;
        }
        self.held(data, Depth { members: 0, records: records + 1 })
    }

    /// Reads a buffer that holds all of its input, and keeps the buffer for later.
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
