//! A finished file as it is written: large pieces at explicit offsets, hashed, perhaps compressed.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::disk::Handle;
use crate::land::journal::frame::Sealed;

/// How much is written at once: what an NFS client sends at once.
pub(crate) const CHUNK: usize = 1 << 20;
/// Sealed files are compressed once and read often.
pub(crate) const GZIP_LEVEL: u32 = 6;

/// Where the lines of a finished file go.
pub(crate) struct Output<'h> {
    file: &'h dyn Handle,
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// What is not written yet.
    buffer: Vec<u8>,
    written: u64,
    hash: Sha256,
    /// Of a compressed file's text.
    text_bytes: u64,
    text_hash: Sha256,
}

impl<'h> Output<'h> {
    /// Into a new, empty file.
    pub fn new(file: &'h dyn Handle, gzip: bool) -> Output<'h> {
        let gzip = gzip.then(|| GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL)));
        let (buffer, written, text_bytes) = (Vec::with_capacity(2 * CHUNK), 0, 0);
        let (hash, text_hash) = (Sha256::new(), Sha256::new());
        Output { file, gzip, buffer, written, hash, text_bytes, text_hash }
    }

    /// What all that was written came to: lengths and hashes.
    pub(crate) fn finish(mut self) -> io::Result<Sealed> {
        let gzip = self.gzip.take().map(GzEncoder::finish).transpose()?;
        self.buffer.extend(gzip.iter().flatten());
        self.flush()?;
        let (bytes, sha256) = (self.written, self.hash.finalize().into());
        let (text_bytes, text_sha256) = match gzip {
            None => (bytes, sha256),
            Some(_) => (self.text_bytes, self.text_hash.finalize().into()),
        };
        Ok(Sealed { bytes, text_bytes, sha256, text_sha256, ..Sealed::default() })
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.gzip {
            None => self.buffer.extend_from_slice(bytes),
            Some(encoder) => {
                encoder.write_all(bytes)?;
                self.buffer.append(encoder.get_mut());
                self.text_hash.update(bytes);
                self.text_bytes += bytes.len() as u64;
            }
        }
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

/// The same bytes as a compressed [`Output`] writes at [`GZIP_LEVEL`], in memory.
pub(crate) fn gzip(text: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    let written = encoder.write_all(text).and_then(|()| encoder.finish());
    written.expect("writing to a Vec cannot fail")
}
