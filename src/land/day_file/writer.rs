//! Text as it is written: compressed or not, hashed, in large pieces at explicit offsets.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::Xxh3;

use crate::config::Compress;
use crate::disk::Handle;
use crate::land::journal::frame::Sealed;

/// How much is written at once: what an NFS client sends at once.
pub(crate) const CHUNK: usize = 1 << 20;
/// Files are compressed once and read often.
const GZIP_LEVEL: u32 = 6;
/// A tenth of gzip's work for the same size (`docs/performance.md`: a third of a whole seal).
const ZSTD_LEVEL: i32 = 1;

/// Bytes of a file from an offset on.
pub(crate) struct Pieces<'h> {
    file: &'h dyn Handle,
    /// Where the next piece goes.
    at: u64,
    /// What is not written yet.
    buffer: Vec<u8>,
}

impl<'h> Pieces<'h> {
    pub(crate) fn new(file: &'h dyn Handle, at: u64) -> Pieces<'h> {
        Pieces { file, at, buffer: Vec::with_capacity(2 * CHUNK) }
    }

    /// Writes what is left; answers where that ends.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        Ok(self.at)
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_at(&self.buffer, self.at)?;
        }
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Text that is compressed as it goes by.
pub(crate) enum Coder<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Coder<W> {
    /// For so many bytes of text: always one member or frame.
    pub(crate) fn new(inner: W, compress: Compress, text_bytes: u64) -> io::Result<Coder<W>> {
        Ok(match compress {
            Compress::None => Coder::Plain(inner),
            Compress::Gzip => Coder::Gzip(GzEncoder::new(inner, Compression::new(GZIP_LEVEL))),
            Compress::Zstd => {
                let mut encoder = zstd::Encoder::new(inner, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                encoder.set_pledged_src_size(Some(text_bytes))?;
                Coder::Zstd(encoder)
            }
        })
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Coder::Plain(inner) => Ok(inner),
            Coder::Gzip(encoder) => encoder.finish(),
            Coder::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Coder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Coder::Plain(inner) => inner.write(bytes),
            Coder::Gzip(encoder) => encoder.write(bytes),
            Coder::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Coder::Plain(inner) => inner.flush(),
            Coder::Gzip(encoder) => encoder.flush(),
            Coder::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// Hashes and counts what goes by.
struct Hashed<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A hash that is fast with much text at once, and gets a line at a time.
#[derive(Default)]
struct TextHash {
    hash: Xxh3,
    text: Vec<u8>,
}

impl TextHash {
    const TEXT: usize = 64 << 10;

    fn add(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
        if self.text.len() >= TextHash::TEXT {
            self.hash.update(&self.text);
            self.text.clear();
        }
    }

    fn finish(mut self) -> u128 {
        self.hash.update(&self.text);
        self.hash.digest128()
    }
}

/// Where the lines of a finished file go.
pub(crate) struct Output<'h> {
    coder: Coder<Hashed<Pieces<'h>>>,
    text_bytes: u64,
    /// Of a compressed file's text.
    text_hash: Option<TextHash>,
}

impl<'h> Output<'h> {
    /// Into a new, empty file: so many bytes of text.
    pub fn new(
        file: &'h dyn Handle,
        compress: Compress,
        text_bytes: u64,
    ) -> io::Result<Output<'h>> {
        let hashed = Hashed { inner: Pieces::new(file, 0), hash: Sha256::new(), bytes: 0 };
        let coder = Coder::new(hashed, compress, text_bytes)?;
        let text_hash = (compress != Compress::None).then(TextHash::default);
        Ok(Output { coder, text_bytes: 0, text_hash })
    }

    /// What all that was written came to: lengths and hashes.
    pub(crate) fn finish(self) -> io::Result<Sealed> {
        let Hashed { inner, hash, bytes } = self.coder.finish()?;
        inner.finish()?;
        let sha256 = hash.finalize().into();
        let text_hash = self.text_hash.map(TextHash::finish);
        let text_bytes = self.text_bytes;
        Ok(Sealed { bytes, text_bytes, sha256, text_hash, ..Sealed::default() })
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.coder.write(bytes)?;
        if let Some(hash) = &mut self.text_hash {
            hash.add(&bytes[..written]);
        }
        self.text_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.coder.flush()
    }
}

/// The same bytes as a [`Coder`] writes, in memory.
pub(crate) fn compressed(text: &[u8], compress: Compress) -> Vec<u8> {
    let coder = Coder::new(Vec::new(), compress, text.len() as u64);
    let written = coder.and_then(|mut coder| {
        coder.write_all(text)?;
        coder.finish()
    });
    written.expect("writing to a Vec cannot fail")
}
