//! Progress notes of a long command, kept below the root: an interrupted command resumes from them.
//!
//! The notes are the lines of one file, `.hiwake/<what>/<hash of the command>`. Each is written
//! after the work that it records is durable. It is not synced itself: a lost note only repeats
//! work. The file is removed when the command ends. Notes are trusted, so landed lines that were
//! removed in between stay a gap: the next run skips them.

use std::time::Instant;

use xxhash_rust::xxh3::xxh3_128;

use crate::disk::{Handle, Open};
use crate::land::root::error::{Context, LandError, Result};
use crate::land::root::files::read_whole;
use crate::land::root::layout::{self, folder_of};
use crate::land::root::{Root, folders};

/// The notes of one command, under their lock: no other process writes them.
pub(crate) struct Notes<'l> {
    root: &'l Root<'l>,
    path: String,
    handle: Box<dyn Handle>,
    end: u64,
}

impl<'l> Notes<'l> {
    /// Opens the notes of a command and returns their lines. `command` holds everything that
    /// decides what the command does. `from_start` discards the existing lines.
    pub(crate) fn open(
        root: &'l Root<'l>,
        what: &str,
        command: &str,
        from_start: bool,
    ) -> Result<(Notes<'l>, Vec<String>)> {
        let path = layout::notes(what, xxh3_128(command.as_bytes()));
        let how = Open::Create(root.open_mode());
        // Do not wait: the command that holds the lock may run for hours.
        let handle = match root.open_locked(&path, how, Instant::now()) {
            Err(LandError::Busy(path)) => return Err(LandError::Running(path)),
            locked => locked?.0,
        };
        if from_start {
            handle.truncate(0).context("truncate", &path)?;
        }
        let bytes = read_whole(handle.as_ref(), &path, 0, u64::MAX)?;
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |last| last + 1);
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let lines = text.lines().map(str::to_owned).collect();
        Ok((Notes { root, path, handle, end: whole as u64 }, lines))
    }

    /// Appends lines.
    pub(crate) fn add(&mut self, lines: &[String]) -> Result<()> {
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        self.handle.write_at(text.as_bytes(), self.end).context("write", &self.path)?;
        self.end += text.len() as u64;
        Ok(())
    }

    /// Removes the notes of a finished command: its next run starts from the beginning.
    pub(crate) fn finish(self) -> Result<()> {
        folders::remove(self.root, &self.path)?;
        folders::sync_up(self.root, folder_of(&self.path))
    }
}
