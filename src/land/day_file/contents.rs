//! Reads a whole file once, for its number of lines and bytes and its SHA-256.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use sha2::{Digest, Sha256};

use crate::config::Compress;
use crate::disk::Handle;
use crate::land::day_file::merge;
use crate::land::day_file::writer::CHUNK;
use crate::land::journal::frame::Contents;
use crate::land::root::error::{Context, Result};
use crate::row::Kind;

/// Counts the lines of the text that is written to it.
pub(crate) struct Lines {
    kind: Kind,
    quoted: bool,
    pub(crate) count: u64,
}

impl Lines {
    pub fn new(kind: Kind) -> Lines {
        Lines { kind, quoted: false, count: 0 }
    }

    pub(crate) fn read(&mut self, bytes: &[u8]) {
        if self.kind != Kind::Csv {
            self.count += memchr::memchr_iter(b'\n', bytes).count() as u64;
            return;
        }
        for at in memchr::memchr2_iter(b'\n', b'"', bytes) {
            match bytes[at] {
                b'"' => self.quoted = !self.quoted,
                _ => self.count += u64::from(!self.quoted),
            }
        }
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.read(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Contents {
    pub(crate) fn read(file: &dyn Handle, path: &str, kind: Kind) -> Result<Contents> {
        let (mut bytes, mut hash, mut buffer) = (0, Sha256::new(), vec![0; CHUNK]);
        let mut lines = Decoder::new(Lines::new(kind), path).context("read", path)?;
        loop {
            let length = file.read_at(&mut buffer, bytes).context("read", path)?;
            if length == 0 {
                break;
            }
            bytes += length as u64;
            hash.update(&buffer[..length]);
            // If it cannot be decompressed, its hash shows the damage.
            lines.write_all(&buffer[..length]).ok();
        }
        lines.flush().ok();
        Ok(Contents { bytes, lines: lines.get().count, sha256: hash.finalize().into() })
    }
}

/// Decompresses what is written to it, in the format that a path's suffix names.
pub(crate) enum Decoder<W: Write> {
    Plain(W),
    Gzip(Box<GzDecoder<W>>),
    Zstd(zstd::stream::write::Decoder<'static, W>),
}

impl<W: Write> Decoder<W> {
    pub(crate) fn new(inner: W, path: &str) -> io::Result<Decoder<W>> {
        Ok(match Compress::of(path).0 {
            Compress::None => Decoder::Plain(inner),
            Compress::Gzip => Decoder::Gzip(Box::new(GzDecoder::new(inner))),
            Compress::Zstd => Decoder::Zstd(zstd::stream::write::Decoder::new(inner)?),
        })
    }

    pub(crate) fn get(&self) -> &W {
        match self {
            Decoder::Plain(inner) => inner,
            Decoder::Gzip(decoder) => decoder.get_ref(),
            Decoder::Zstd(decoder) => decoder.get_ref(),
        }
    }
}

impl<W: Write> Write for Decoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Decoder::Plain(inner) => inner.write(bytes),
            Decoder::Gzip(decoder) => decoder.write(bytes),
            Decoder::Zstd(decoder) => decoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Decoder::Plain(inner) => inner.flush(),
            Decoder::Gzip(decoder) => decoder.try_finish(),
            Decoder::Zstd(decoder) => decoder.flush(),
        }
    }
}

/// The lines of a text, each with its line break; the last one may lack it.
pub(crate) fn split(text: &[u8], kind: Kind) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = merge::line_length(rest, kind).unwrap_or(rest.len());
        let (line, after) = rest.split_at(length);
        rest = after;
        Some(line)
    })
}
