//! A finished file as it is written: large pieces at explicit offsets, hashed, perhaps compressed.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use crate::disk::Handle;

/// How much is written at once: what an NFS client sends at once.
pub const CHUNK: usize = 1 << 20;
/// Sealed files are compressed once and read often.
const GZIP_LEVEL: u32 = 6;

/// Where the lines of a finished file go.
pub struct Output<'h> {
    pipe: Pipe<'h>,
    /// Of a compressed file's text.
    text_bytes: u64,
    text_hash: Sha256,
}

enum Pipe<'h> {
    Plain(Hashed<'h>),
    Gzip(Box<flate2::write::GzEncoder<Hashed<'h>>>),
}

struct Hashed<'h> {
    file: &'h dyn Handle,
    buffer: Vec<u8>,
    written: u64,
    hash: Sha256,
}

/// What a finished file is.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// Its length.
    pub bytes: u64,
    /// The length of its text.
    pub text_bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// SHA-256 of its text.
    pub text_sha256: [u8; 32],
}

impl<'h> Output<'h> {
    /// Into a new, empty file.
    pub fn new(file: &'h dyn Handle, gzip: bool) -> Output<'h> {
        let (buffer, written, hash) = (Vec::with_capacity(2 * CHUNK), 0, Sha256::new());
        let hashed = Hashed { file, buffer, written, hash };
        let level = flate2::Compression::new(GZIP_LEVEL);
        let pipe = match gzip {
            false => Pipe::Plain(hashed),
            true => Pipe::Gzip(Box::new(flate2::write::GzEncoder::new(hashed, level))),
        };
        Output { pipe, text_bytes: 0, text_hash: Sha256::new() }
    }

    /// What all that was written came to.
    pub fn finish(self) -> io::Result<Finished> {
        let (mut hashed, text) = match self.pipe {
            Pipe::Plain(hashed) => (hashed, None),
            Pipe::Gzip(encoder) => (encoder.finish()?, Some(self.text_hash.finalize().into())),
        };
        hashed.flush()?;
        let (bytes, sha256) = (hashed.written, hashed.hash.finalize().into());
        let (text_bytes, text_sha256) =
            text.map_or((bytes, sha256), |text_sha256| (self.text_bytes, text_sha256));
        Ok(Finished { bytes, text_bytes, sha256, text_sha256 })
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.pipe {
            Pipe::Plain(hashed) => hashed.write(bytes),
            Pipe::Gzip(encoder) => {
                let written = encoder.write(bytes)?;
                self.text_hash.update(&bytes[..written]);
                self.text_bytes += written as u64;
                Ok(written)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hash.update(&self.buffer);
        self.file.write_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// The same bytes as a compressed [`Output`] writes, in memory.
pub fn gzip(text: &[u8]) -> io::Result<Vec<u8>> {
    let level = flate2::Compression::new(GZIP_LEVEL);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(text)?;
    encoder.finish()
}

/// Hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
