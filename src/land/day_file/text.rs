//! Reads the text of a commit from an open file: decompresses it and checks its CRC.

use std::io::{self, Read, Write};

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::config::Form;
use crate::disk::Handle;
use crate::land::journal::frame::Commit;
use crate::land::root::error::{Context, Result};

/// How much of a frame is read at once.
const INPUT_BYTES: u64 = 128 << 10;
/// The largest window of a frame: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;
/// The approximate memory for reading a frame: the window of its level, and the input.
pub(crate) const FRAME_BYTES: usize = 1 << 20;

/// A reader of a commit's text.
pub(crate) struct Text<'a> {
    data: &'a dyn Handle,
    path: &'a str,
    commit: &'a Commit,
    /// The number of the commit's bytes read so far.
    read: u64,
    frame: Option<Frame>,
    /// The CRC of the text so far.
    crc: u32,
    bytes: u64,
}

/// A zstd frame during decompression.
struct Frame {
    context: DCtx<'static>,
    input: Vec<u8>,
    used: usize,
    is_whole: bool,
}

impl Default for Frame {
    fn default() -> Frame {
        let mut context = DCtx::create();
        // Limits the memory that a damaged head can ask for. Cannot fail: nothing is read yet.
        let limit = DParameter::WindowLogMax(WINDOW_LOG_MAX);
        context.set_parameter(limit).expect("a new context takes parameters");
        Frame { context, input: Vec::new(), used: 0, is_whole: false }
    }
}

impl<'a> Text<'a> {
    pub(crate) fn new(data: &'a dyn Handle, path: &'a str, commit: &'a Commit) -> Text<'a> {
        let is_frame = commit.form == Form::Compressed && commit.bytes > 0;
        let frame = is_frame.then(Frame::default);
        Text { data, path, commit, read: 0, frame, crc: 0, bytes: 0 }
    }

    /// Reads the next bytes; 0 at the end, once the whole text matched what was committed.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let filled = match self.frame.take() {
            None => self.read_bytes(buffer)?,
            Some(mut frame) => {
                let filled = self.inflate(&mut frame, buffer)?;
                self.frame = Some(frame);
                filled
            }
        };
        self.crc = crc32c::crc32c_append(self.crc, &buffer[..filled]);
        self.bytes += filled as u64;
        let is_whole = self.bytes == self.commit.text_bytes && self.crc == self.commit.crc;
        if self.bytes > self.commit.text_bytes || (filled == 0 && !is_whole) {
            return Err(self.commit.wrong(self.path, "other bytes than were committed"));
        }
        Ok(filled)
    }

    fn read_bytes(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let wanted = (self.commit.bytes - self.read).min(buffer.len() as u64) as usize;
        let offset = self.commit.offset + self.read;
        let filled = self.data.read_at(&mut buffer[..wanted], offset).context("read", self.path)?;
        if filled < wanted {
            return Err(self.commit.wrong(self.path, "fewer bytes than were committed"));
        }
        self.read += filled as u64;
        Ok(filled)
    }

    fn inflate(&mut self, frame: &mut Frame, buffer: &mut [u8]) -> Result<usize> {
        while !frame.is_whole {
            if frame.used == frame.input.len() {
                let left = self.commit.bytes - self.read;
                frame.input.resize(left.min(INPUT_BYTES) as usize, 0);
                frame.used = 0;
                self.read_bytes(&mut frame.input)?;
            }
            let mut input = InBuffer::around(&frame.input[frame.used..]);
            let mut output = OutBuffer::around(&mut *buffer);
            let hint = frame.context.decompress_stream(&mut output, &mut input);
            let (used, filled) = (input.pos(), output.pos());
            frame.used += used;
            let hint = hint.map_err(|_| self.commit.wrong(self.path, "a damaged zstd frame"))?;
            frame.is_whole = hint == 0;
            if filled > 0 {
                return Ok(filled);
            }
            if used == 0 && !frame.is_whole && self.read == self.commit.bytes {
                return Err(self.commit.wrong(self.path, "an incomplete zstd frame"));
            }
        }
        match self.read < self.commit.bytes || frame.used < frame.input.len() {
            true => Err(self.commit.wrong(self.path, "more bytes than its frame")),
            false => Ok(0),
        }
    }
}

/// The text of a whole commit, from the bytes of its open file; `None` if it differs from what was
/// committed.
pub(crate) fn text_of(data: &[u8], commit: &Commit) -> Option<Vec<u8>> {
    let stored = data.get(commit.offset as usize..)?.get(..commit.bytes as usize)?;
    let text = match commit.form {
        Form::Plain => stored.to_vec(),
        Form::Compressed => frames_of(stored),
    };
    let is_whole = text.len() as u64 == commit.text_bytes && crc32c::crc32c(&text) == commit.crc;
    is_whole.then_some(text)
}

/// The text of frames, up to the first damage.
pub(crate) fn frames_of(frames: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    if let Ok(mut decoder) = zstd::Decoder::with_buffer(frames) {
        decoder.read_to_end(&mut text).ok();
    }
    text
}

/// Whether bytes begin with a complete frame. An interrupted write leaves a part of one.
pub(crate) fn begins_whole(bytes: &[u8]) -> bool {
    let Ok(length) = zstd::zstd_safe::find_frame_compressed_size(bytes) else { return false };
    let mut last = Last(None);
    let copied = zstd::Decoder::with_buffer(&bytes[..length]).and_then(|mut decoder| {
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        io::copy(&mut decoder, &mut last)
    });
    copied.is_ok() && last.0 == Some(b'\n')
}

/// Keeps only the last byte of what is written to it: a frame may be a decompression bomb.
struct Last(Option<u8>);

impl Write for Last {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = bytes.last().copied().or(self.0);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
