//! A window on a stream: looks ahead as far as a unit needs, and forgets what is consumed.

use std::io::{self, BufRead, Read};
use std::time::Instant;

use flate2::bufread::GzDecoder;

use crate::object::{ByteSource, ReadError};

/// Bytes by which a window grows at first; then it doubles.
const STEP: usize = 64 << 10;

/// What an input answers.
pub(super) enum Got {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing more, and all was well.
    End,
    /// Nothing more, because what the bytes are made of is torn or corrupt.
    Broken(io::Error),
}

/// Where a window's bytes come from. An `Err` comes from outside and ends the reading.
pub(super) trait Input {
    fn read(&mut self, buffer: &mut [u8]) -> Result<Got, ReadError>;
}

/// The object itself.
pub(super) struct Whole<R>(pub R);

impl<S: ByteSource> Input for Whole<S> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<Got, ReadError> {
        Ok(match self.0.fill(buffer)? {
            0 => Got::End,
            length => Got::Bytes(length),
        })
    }
}

/// What is left of a member that turned out torn.
pub(super) struct Torn;

impl Input for Torn {
    fn read(&mut self, _: &mut [u8]) -> Result<Got, ReadError> {
        Ok(Got::Broken(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// The bytes of an input that are looked at but not consumed yet.
pub(super) struct Window<'s> {
    /// `None`: all is there.
    input: Option<&'s mut dyn Input>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where in the input [`Window::bytes`] begins.
    pub(super) offset: u64,
    ended: bool,
    /// Bytes that were looked through for the end of a value that has none.
    pub(super) in_vain: usize,
    /// Why the input ended, unless all was well.
    pub(super) broken: Option<io::Error>,
}

impl<'s> Window<'s> {
    /// With a buffer to use again; its first `filled` bytes are content already.
    pub(super) fn new(input: &'s mut dyn Input, buffer: Vec<u8>, filled: usize) -> Window<'s> {
        Window { input: Some(input), end: filled, ended: false, ..Window::held(buffer) }
    }

    /// On what is in memory as a whole.
    pub(super) fn held(buffer: Vec<u8>) -> Window<'s> {
        let (end, broken) = (buffer.len(), None);
        Window { input: None, buffer, start: 0, end, offset: 0, ended: true, in_vain: 0, broken }
    }

    /// What is there.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads until `wanted` bytes are there; `false`: the input ends before.
    pub(super) fn fill(&mut self, wanted: usize) -> Result<bool, ReadError> {
        while self.end - self.start < wanted && !self.ended {
            self.make_room();
            let Some(input) = &mut self.input else { break };
            match input.read(&mut self.buffer[self.end..])? {
                Got::Bytes(length) => self.end += length,
                Got::End => self.ended = true,
                Got::Broken(error) => (self.ended, self.broken) = (true, Some(error)),
            }
        }
        Ok(self.end - self.start >= wanted)
    }

    /// Forgets the first bytes.
    pub(super) fn consume(&mut self, length: usize) {
        debug_assert!(length <= self.end - self.start);
        self.start += length;
        self.offset += length as u64;
    }

    /// The buffer, how much of it is content, and why the input ended.
    pub(super) fn into_parts(mut self) -> (Vec<u8>, usize, Option<io::Error>) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.buffer, self.end - self.start, self.broken)
    }

    fn make_room(&mut self) {
        if self.end < self.buffer.len() {
            return;
        }
        if self.start > self.buffer.len() / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else {
            let length = self.buffer.len() + self.buffer.len().max(STEP);
            self.buffer.resize(length, 0);
        }
    }
}

/// The compressed bytes of one member, read through a window that keeps them for a second look.
pub(super) struct Compressed<'w, 's> {
    window: &'w mut Window<'s>,
    at: usize,
    keep: usize,
    forgotten: u64,
    /// The outside world's error, which the inflater cannot hand on.
    failed: Option<ReadError>,
}

impl<'w, 's> Compressed<'w, 's> {
    /// From a place in the window on; only when more than `keep` bytes were read are they
    /// forgotten.
    pub(super) fn new(window: &'w mut Window<'s>, at: usize, keep: usize) -> Compressed<'w, 's> {
        Compressed { window, at, keep, forgotten: 0, failed: None }
    }
}

impl Read for Compressed<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Compressed<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at > self.keep {
            self.window.consume(self.at);
            self.forgotten += self.at as u64;
            self.at = 0;
        }
        if let Err(error) = self.window.fill(self.at + 1) {
            self.failed = Some(error);
            return Err(io::ErrorKind::Other.into());
        }
        Ok(&self.window.bytes()[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
    }
}

/// The content of one gzip member, its checksum proven when it ends; until a moment, if there is
/// one.
pub(super) struct Member<'w, 's> {
    inflate: GzDecoder<Compressed<'w, 's>>,
    until: Option<Instant>,
}

impl<'w, 's> Member<'w, 's> {
    pub(super) fn new(compressed: Compressed<'w, 's>, until: Option<Instant>) -> Member<'w, 's> {
        Member { inflate: GzDecoder::new(compressed), until }
    }

    /// How far it has read: the place in the window, and the bytes forgotten before it.
    pub(super) fn place(&self) -> (usize, u64) {
        let compressed = self.inflate.get_ref();
        (compressed.at, compressed.forgotten)
    }
}

impl Input for Member<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<Got, ReadError> {
        if self.until.is_some_and(|until| until <= Instant::now()) {
            return Err(ReadError::Time);
        }
        match self.inflate.read(buffer) {
            Ok(0) => Ok(Got::End),
            Ok(length) => Ok(Got::Bytes(length)),
            Err(error) => match self.inflate.get_mut().failed.take() {
                Some(outside) => Err(outside),
                None => Ok(Got::Broken(error)),
            },
        }
    }
}
