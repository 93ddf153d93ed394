//! Objects that can be read only once: standard input, pipes, terminals, `<(…)`, files of `/proc`.
//!
//! Each is copied to its end into an unnamed temporary file, which then is the object. That has a
//! length, and can be read again from any offset.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Chain, Cursor, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use object_store::ObjectMeta;
use object_store::path::Path as Key;
use rustix::fs::OFlags;

use crate::store::RANGE_BYTES;

/// The argument that names standard input.
pub(super) const STDIN: &str = "-";

/// How long a FIFO may have no writer: one that is started at the same time may open it a moment
/// later.
const PATIENCE: Duration = Duration::from_secs(1);

/// The magic number of the file system of unnamed pipes.
const PIPEFS: i64 = 0x5049_5045;

/// Opens an argument to be read once, to its end; `-` is standard input.
///
/// A FIFO without a writer is an error, so that it neither blocks forever nor passes for an empty
/// object.
pub fn open(path: &Path) -> io::Result<Chain<Cursor<Vec<u8>>, File>> {
    let begins = |first: Vec<u8>, file: File| Cursor::new(first).chain(file);
    if path.as_os_str() == STDIN {
        return Ok(begins(Vec::new(), io::stdin().as_fd().try_clone_to_owned()?.into()));
    }
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_socket() || kind.is_block_device() {
        let reason = "a socket or block device cannot be read to its end: pipe its data, with `-`";
        return Err(io::Error::new(ErrorKind::InvalidInput, reason));
    }
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let named = rustix::fs::fstatfs(&file)?.f_type != PIPEFS;
    let first = if kind.is_fifo() && named { first_of_fifo(&file)? } else { Vec::new() };
    rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(begins(first, file))
}

/// What a FIFO's writer has written so far, as soon as there is a writer.
fn first_of_fifo(mut file: &File) -> io::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let mut first = vec![0; 1 << 16];
    loop {
        match file.read(&mut first) {
            Ok(0) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            Ok(0) => {
                let reason = "a FIFO without a writer: start its writer first";
                return Err(io::Error::new(ErrorKind::NotConnected, reason));
            }
            Ok(length) => {
                first.truncate(length);
                return Ok(first);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // There is a writer that has not written anything yet.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
}

/// The content that was read, in a file that is deleted with the process.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    /// Its name is unique, so that different inputs piped at the same time are not confused.
    pub(super) meta: ObjectMeta,
}

impl Spool {
    /// Reads the input to its end.
    pub(super) fn new(path: &Path) -> io::Result<Spool> {
        let mut input = open(path)?;
        let kept = |error: io::Error| {
            let folder = std::env::temp_dir();
            let folder = folder.display();
            let reason = format!("cannot be copied to {folder} (TMPDIR selects another): {error}");
            io::Error::new(error.kind(), reason)
        };
        let mut file = tempfile::tempfile().map_err(kept)?;
        let size = io::copy(&mut input, &mut file).map_err(kept)?;
        let last_modified = file.metadata()?.modified()?.into();
        let unique = RandomState::new().hash_one(std::process::id());
        let location = Key::from(format!("{unique:016x}"));
        let meta = ObjectMeta { location, last_modified, size, e_tag: None, version: None };
        Ok(Spool { file, meta })
    }

    /// The bytes of one range.
    pub(super) fn range(&self, offset: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; RANGE_BYTES.min(self.meta.size.saturating_sub(offset)) as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}
