//! What is in a whole file, read once: how many lines, how many bytes, their SHA-256.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use sha2::{Digest, Sha256};

use crate::disk::Handle;
use crate::land::day_file::merge;
use crate::land::journal::frame::Contents;
use crate::land::root::error::{Context, Result};
use crate::row::Kind;

/// Counts lines as they go by.
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
        let (mut bytes, mut hash, mut buffer) = (0, Sha256::new(), vec![0; 1 << 20]);
        let mut lines = GzDecoder::new(Lines::new(kind));
        loop {
            let length = file.read_at(&mut buffer, bytes).context("read", path)?;
            bytes += length as u64;
            let read = &buffer[..length];
            hash.update(read);
            // What cannot be inflated is found by its hash.
            match path.ends_with(".gz") {
                _ if length == 0 => break,
                true => drop(lines.write_all(read)),
                false => lines.get_mut().read(read),
            }
        }
        lines.try_finish().ok();
        Ok(Contents { bytes, lines: lines.get_ref().count, sha256: hash.finalize().into() })
    }
}

/// The lines of a text, each with its line break; what has none at the end comes last.
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
