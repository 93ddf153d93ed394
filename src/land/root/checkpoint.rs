//! What a long command has done already, noted below the root, so that it resumes there when it was
//! interrupted.
//!
//! The notes are lines of a file of their own, `.hiwake/<what>/<hash of the command>`. They are
//! written after what they say is durable, are not synced themselves, and are removed at the end:
//! one that is lost repeats work, nothing else. They are believed: lines that are removed while a
//! command is interrupted are a gap that its next run passes over.

use std::time::Instant;

use xxhash_rust::xxh3::xxh3_128;

use crate::disk::{Handle, Open};
use crate::land::root::error::{Context, LandError, Result};
use crate::land::root::files::read_whole;
use crate::land::root::layout::{self, folder_of};
use crate::land::root::{Root, folders};

/// The notes of one command. Their lock is held: no other process writes them.
pub(crate) struct Notes<'l> {
    root: &'l Root<'l>,
    path: String,
    handle: Box<dyn Handle>,
    end: u64,
}

impl<'l> Notes<'l> {
    /// Opens the notes of a command, and tells what they say. `command` names all that decides what
    /// is done. `from_start`: what they said is forgotten.
    pub(crate) fn open(
        root: &'l Root<'l>,
        what: &str,
        command: &str,
        from_start: bool,
    ) -> Result<(Notes<'l>, Vec<String>)> {
        let path = layout::notes(what, xxh3_128(command.as_bytes()));
        let how = Open::Create(root.open_mode());
        // Nobody waits for a command that may run for hours.
        let handle = match root.open_locked(&path, how, Instant::now()) {
            Err(LandError::Busy(path)) => return Err(LandError::Running(path)),
            locked => locked?.0,
        };
        if from_start {
            handle.truncate(0).context("cut", &path)?;
        }
        let bytes = read_whole(handle.as_ref(), &path, 0, u64::MAX)?;
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |last| last + 1);
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let lines = text.lines().map(str::to_owned).collect();
        Ok((Notes { root, path, handle, end: whole as u64 }, lines))
    }

    /// Adds lines.
    pub(crate) fn add(&mut self, lines: &[String]) -> Result<()> {
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        self.handle.write_at(text.as_bytes(), self.end).context("write", &self.path)?;
        self.end += text.len() as u64;
        Ok(())
    }

    /// All is done: the command's next run begins afresh.
    pub(crate) fn finish(self) -> Result<()> {
        folders::remove(self.root, &self.path)?;
        folders::sync_up(self.root, folder_of(&self.path))
    }
}
