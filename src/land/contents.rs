//! What is in a file, read once: how many lines, how many bytes, their SHA-256.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::error::{LandError, Named};
use super::frame::Sealed;
use super::merge;
use crate::disk::Handle;
use crate::row::Kind;

/// Counts lines as they go by.
pub(super) struct Lines {
    kind: Kind,
    quoted: bool,
    pub(super) count: u64,
}

impl Lines {
    pub(super) fn new(kind: Kind) -> Lines {
        Lines { kind, quoted: false, count: 0 }
    }

    pub(super) fn read(&mut self, bytes: &[u8]) {
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

/// A published file, as it is or as it has to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its length.
    pub bytes: u64,
    /// How many lines it has.
    pub lines: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

impl Contents {
    pub(super) fn of(sealed: &Sealed) -> Contents {
        let Sealed { bytes, lines, sha256, .. } = *sealed;
        Contents { bytes, lines, sha256 }
    }

    pub(super) fn read(file: &dyn Handle, path: &str, kind: Kind) -> Result<Contents, LandError> {
        let mut lines = Lines::new(kind);
        let mut hashed = Hashed { file, at: 0, hash: Sha256::new() };
        let mut buffer = vec![0; 1 << 20];
        if path.ends_with(".gz") {
            let mut inflated = flate2::read::GzDecoder::new(&mut hashed);
            // What cannot be inflated is found by its hash.
            while let Ok(length @ 1..) = inflated.read(&mut buffer) {
                lines.read(&buffer[..length]);
            }
        }
        loop {
            match hashed.read(&mut buffer).named("read", path)? {
                0 => break,
                length if !path.ends_with(".gz") => lines.read(&buffer[..length]),
                _ => {}
            }
        }
        let (bytes, sha256) = (hashed.at, hashed.hash.finalize().into());
        Ok(Contents { bytes, lines: lines.count, sha256 })
    }
}

/// A file from some place on. One that is longer than any of its sort was stretched: it is damage, and
/// not read into memory.
pub fn read_whole(
    file: &dyn Handle,
    path: &str,
    from: u64,
    bytes_max: u64,
) -> Result<Vec<u8>, LandError> {
    let length = file.length().named("look at", path)?;
    if length > bytes_max {
        let what = format!("it has {length} bytes, and may have {bytes_max}");
        return Err(LandError::damage(path, what));
    }
    let mut bytes = vec![0; length.saturating_sub(from) as usize];
    let filled = file.read_at(&mut bytes, from).named("read", path)?;
    bytes.truncate(filled);
    Ok(bytes)
}

struct Hashed<'h> {
    file: &'h dyn Handle,
    at: u64,
    hash: Sha256,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.at)?;
        self.hash.update(&buffer[..length]);
        self.at += length as u64;
        Ok(length)
    }
}

/// The lines of a text, each with its line break; what has none at the end comes last.
pub(super) fn split(text: &[u8], kind: Kind) -> impl Iterator<Item = &[u8]> {
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
