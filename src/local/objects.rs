//! The objects that the stand-in for Firehose writes, with Firehose's names.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use chrono::DateTime;
use chrono_tz::Tz;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::local::LocalError;
use crate::notice::Created;
use crate::store::ObjectId;

/// An object that is still being filled.
pub(super) struct Pending {
    folder: PathBuf,
    /// The beginning and the end of its key.
    prefix: &'static str,
    extension: &'static str,
    /// The time zone of the times in its key.
    timezone: Tz,
    pub(super) bytes: Vec<u8>,
    oldest: i64,
    newest: i64,
}

impl Pending {
    /// An empty object in a folder, with the beginning and the end of its key.
    pub(super) fn new(
        folder: &Path,
        (prefix, extension): (&'static str, &'static str),
        timezone: Tz,
    ) -> Pending {
        let (folder, bytes) = (folder.to_owned(), Vec::new());
        Pending { folder, prefix, extension, timezone, bytes, oldest: i64::MAX, newest: 0 }
    }

    /// Appends without a delimiter, as Firehose does.
    pub(super) fn push(&mut self, bytes: &[u8], arrival: i64) {
        self.bytes.extend_from_slice(bytes);
        self.oldest = self.oldest.min(arrival);
        self.newest = self.newest.max(arrival);
    }

    /// Writes the object under an unused name, and begins the next one.
    pub(super) fn close(&mut self, bucket: &str) -> Result<Created, LocalError> {
        let mut seed = 0;
        let key = loop {
            let key = self.key(seed);
            match self.write(&self.folder.join(&key)) {
                Ok(()) => break key,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => seed += 1,
                Err(source) => {
                    return Err(LocalError::File { path: self.folder.join(key), source });
                }
            }
        };
        let etag = Some(format!("{:016x}", xxh3_64(&self.bytes)));
        let size = Some(self.bytes.len() as u64);
        self.bytes.clear();
        (self.oldest, self.newest) = (i64::MAX, 0);
        let id = ObjectId { bucket: bucket.to_owned(), key, etag, version: None };
        Ok(Created { id, size, replay: None })
    }

    /// `landing/2022/04/18/01/hiwake-1-2022-04-18-01-59-07-<uuid>.rows.zst`, with the local time of
    /// the oldest arrival.
    fn key(&self, seed: u64) -> String {
        let Pending { prefix, extension, .. } = self;
        let time = DateTime::from_timestamp_millis(self.oldest).unwrap_or_default();
        let time = time.with_timezone(&self.timezone);
        let path = time.format("%Y/%m/%d/%H/hiwake-1-%Y-%m-%d-%H-%M-%S");
        let hash = format!("{:032x}", xxh3_128_with_seed(&self.bytes, seed));
        let parts = [&hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..]];
        format!("{prefix}/{path}-{}{extension}", parts.join("-"))
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(&self.bytes)?;
        // It counts as delivered when its last record arrived: the only clock is the records'.
        file.set_modified(UNIX_EPOCH + Duration::from_millis(self.newest.unsigned_abs()))
    }
}
