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
        Output { pipe }
    }

    /// The length and SHA-256 of all that was written.
    pub fn finish(self) -> io::Result<(u64, [u8; 32])> {
        let mut hashed = match self.pipe {
            Pipe::Plain(hashed) => hashed,
            Pipe::Gzip(encoder) => encoder.finish()?,
        };
        hashed.flush()?;
        Ok((hashed.written, hashed.hash.finalize().into()))
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.pipe {
            Pipe::Plain(hashed) => hashed.write(bytes),
            Pipe::Gzip(encoder) => encoder.write(bytes),
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
