//! Whole files: what is in one, read once (how many lines, how many bytes, their SHA-256), and new ones.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use sha2::{Digest, Sha256};

use super::error::{LandError, Named};
use super::frame::Sealed;
use super::{Lander, merge};
use crate::disk::{Handle, Open};
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

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.read(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
        let (mut bytes, mut hash, mut buffer) = (0, Sha256::new(), vec![0; 1 << 20]);
        let mut lines = GzDecoder::new(Lines::new(kind));
        loop {
            let length = file.read_at(&mut buffer, bytes).named("read", path)?;
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

/// Whether a file has this text, and nothing else.
pub fn says(file: &dyn Handle, path: &str, text: &str) -> Result<bool, LandError> {
    let mut bytes = vec![0; text.len() + 1];
    let filled = file.read_at(&mut bytes, 0).named("read", path)?;
    Ok(&bytes[..filled] == text.as_bytes())
}

/// Makes a new file, durably; read-only, if a mode is given.
pub fn write_new(
    lander: &Lander<'_>,
    path: &str,
    bytes: &[u8],
    mode: Option<u32>,
) -> Result<(), LandError> {
    let file = lander.disk.open(path, Open::CreateNew(lander.open_mode())).named("make", path)?;
    file.write_at(bytes, 0).named("write", path)?;
    if let Some(mode) = mode {
        file.set_mode(mode).named("make read-only", path)?;
    }
    file.sync().named("sync", path)
}
