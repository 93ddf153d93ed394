//! The three locked handles of a day file: journal, `seen`, and the open file of a segment.
//!
//! The steps are numbered as those of a commit in `docs/protocol.md`.

use std::io::Write;

use crate::config::Form;
use crate::disk::{Handle, Open};
use crate::land::day_file::batch::Batch;
use crate::land::day_file::dedup::Committed;
use crate::land::day_file::writer::{Coder, Pieces};
use crate::land::journal::Journal;
use crate::land::journal::frame::{Commit, Frame};
use crate::land::journal::lander::Lander;
use crate::land::journal::seen::{self, Watermark};
use crate::land::root::error::{Context, LandError, Result, is_absent};
use crate::land::root::folders;
use crate::land::root::layout::{DayFile, Hint, folder_of};

/// The locked handles of a day file: `seen`; the journal is its owner's. The data file is opened
/// after them and closed before them.
pub(crate) struct Hold<'h, 'l> {
    seen: Box<dyn Handle>,
    /// The length of `seen` when it was locked.
    seen_length: u64,
    /// Where.
    pub(crate) lander: &'l Lander<'l>,
    /// What of.
    pub(crate) day_file: &'h DayFile,
    /// The journal.
    pub(crate) journal: &'h mut Journal<'l>,
}

/// The files of a frozen segment, without their locks: to be read, and not written to.
pub(crate) struct Files {
    pub(crate) data: Box<dyn Handle>,
    pub(crate) seen: Box<dyn Handle>,
}

impl<'h, 'l> Hold<'h, 'l> {
    /// Step 3, first half: `seen`, afresh and locked.
    pub(crate) fn take(
        lander: &'l Lander<'l>,
        day_file: &'h DayFile,
        journal: &'h mut Journal<'l>,
    ) -> Result<Hold<'h, 'l>> {
        let entries = journal.state.seen();
        let path = day_file.seen();
        // The lock of a journal that is new has looked already.
        let may_be_missing = entries == 0 && !journal.is_new;
        if may_be_missing {
            // What is not there may be remembered from before another machine made it.
            folders::refresh(lander, &day_file.journal_folder())?;
            folders::refresh(lander, day_file.folder())?;
        }
        if may_be_missing && lander.open_if_there(&path)?.is_none() {
            // It exists before the first line does.
            for open in Form::ALL.map(|form| day_file.open_segment(1, form)) {
                let data = lander.open_if_there(&open)?;
                let length = data.map_or(Ok(0), |data| data.length()).context("look at", &open)?;
                if length > 0 {
                    let what = format!("it is missing, but {open} has lines");
                    return Err(journal.confirm_damage(LandError::damage(&path, what)));
                }
            }
        }
        let how = if entries == 0 { Open::Create(lander.open_mode()) } else { Open::ReadWrite };
        let committed = entries * seen::ENTRY_BYTES;
        let (seen, busy_retries) = open_again(lander, &path, how)
            .map_err(|error| journal.confirm_damage(lost(lander, error, committed)))?;
        journal.busy_retries += busy_retries;
        let whole = if entries > 0 { seen::place(entries) } else { 0 };
        let seen_length = not_shorter(seen.as_ref(), &path, whole);
        let seen_length = seen_length.map_err(|error| journal.confirm_damage(error))?;
        match journal.state.after(Watermark::read(seen.as_ref(), &path)?) {
            // What `seen` says is of before the close.
            _ if journal.state.closed.is_some() => {}
            None => {
                let frames = journal.state.crcs.len();
                let what = format!(
                    "it has {frames} whole frames, and {path} knows of another one: it was cut, changed or restored from an older copy"
                );
                return Err(journal.confirm_damage(LandError::damage(day_file.journal(), what)));
            }
            Some(0) => {}
            // The last frame may not be durable.
            Some(_) => journal.rewrite_last_frame()?,
        }
        Ok(Hold { seen, seen_length, lander, day_file, journal })
    }

    /// Step 3, second half: what commits have.
    pub(crate) fn known(&self) -> Committed<'_> {
        let (seen, blocks) = (self.seen.as_ref(), &self.journal.state.blocks);
        Committed { seen, day_file: self.day_file, blocks }
    }

    /// Step 4: the segment's data file, afresh and locked; proof that the journal's lock still
    /// stands; then what lies beyond the last commit is cut, and a new segment gets its hint and
    /// durable names.
    /// `how`: an existing one's.
    pub(crate) fn open_segment(&mut self, segment: u32, how: Open) -> Result<Box<dyn Handle>> {
        let lander = self.lander;
        let (form, committed) = self.open_form(segment);
        let path = self.day_file.open_segment(segment, form);
        if committed == 0 && segment > 1 {
            // The Freeze frame before it may not be durable yet, and without it this file has no
            // place.
            self.journal.rewrite_last_frame()?;
        }
        let how = if committed == 0 { Open::Create(lander.open_mode()) } else { how };
        let (data, busy_retries) = open_again(lander, &path, how)
            .map_err(|error| self.journal.confirm_damage(lost(lander, error, committed)))?;
        self.journal.busy_retries += busy_retries;
        let others = match committed == 0 && !self.journal.is_new {
            true => self.lock_others(segment, form)?,
            false => Vec::new(),
        };
        self.journal.check_lease()?;
        if not_shorter(data.as_ref(), &path, committed)? > committed {
            data.truncate(committed).context("cut", &path)?;
        }
        let seen = seen::place(self.journal.state.seen());
        if self.seen_length > seen {
            self.seen.truncate(seen).context("cut", &self.day_file.seen())?;
        }
        if committed == 0 {
            for (other, path) in others {
                other.truncate(0).and_then(|()| other.sync()).context("cut", &path)?;
            }
            lander.make_hint(&self.day_file.hint(&Hint::Seal(segment)))?;
            folders::sync_up(lander, folder_of(&path))?;
            folders::sync_up(lander, &self.day_file.journal_folder())?;
        }
        Ok(data)
    }

    /// The open files of the other forms, locked: a landing was interrupted before the
    /// configuration changed. They are cut, not removed: a process that stood still would remove
    /// lines that others have committed since, but a lost lock keeps it from cutting them.
    /// Publication removes the names.
    fn lock_others(&mut self, segment: u32, form: Form) -> Result<Vec<(Box<dyn Handle>, String)>> {
        let (lander, mut others) = (self.lander, Vec::new());
        for other in Form::ALL.into_iter().filter(|other| *other != form) {
            let path = self.day_file.open_segment(segment, other);
            if lander.open_if_there(&path)?.is_some() {
                let (file, busy_retries) =
                    lander.open_locked(&path, Open::Write, lander.lock_deadline())?;
                self.journal.busy_retries += busy_retries;
                others.push((file, path));
            }
        }
        Ok(others)
    }

    /// How a segment's open file holds its text, and how many bytes of it are committed. Its first
    /// commit decides; before it, the configuration does.
    fn open_form(&self, segment: u32) -> (Form, u64) {
        let known = self.journal.state.segment(segment);
        known.map_or((self.lander.config.files.open, 0), |known| (known.form(), known.bytes()))
    }

    /// Step 8: `seen` says which frames are durable. Not synced: it is for a process that finds the
    /// journal without them. Only after the lease was checked, which covers the lock on `seen`: a
    /// process that stood still must not name a frame that a rebuilt journal lacks.
    pub(crate) fn write_watermark(&self) -> Result<()> {
        let watermark = self.journal.state.watermark().encode();
        self.seen.write_at(&watermark, 0).context("write", &self.day_file.seen())
    }

    /// The day is closed: nothing in `seen` counts any more.
    pub(crate) fn clear_seen(&self) -> Result<()> {
        let cleared = self.seen.truncate(0).and_then(|()| self.seen.sync());
        cleared.context("cut", &self.day_file.seen())
    }

    /// Before a segment ends: what lies beyond its last commit is gone for good. Cut even where
    /// nothing seems to be there: an earlier process may have died before its cut was durable.
    pub(crate) fn truncate_to_committed(&mut self, segment: u32) -> Result<Box<dyn Handle>> {
        let data = self.open_segment(segment, Open::ReadWrite)?;
        let (form, committed) = self.open_form(segment);
        let cut = data.truncate(committed).and_then(|()| data.sync());
        cut.context("cut", &self.day_file.open_segment(segment, form)).map(|()| data)
    }

    /// Gives the locks of data and `seen` back, in this order; answers both, to be read.
    pub(crate) fn unlock(self, data: Box<dyn Handle>) -> Result<Files> {
        data.unlock().context("unlock", self.day_file.folder())?;
        self.seen.unlock().context("unlock", &self.day_file.seen())?;
        Ok(Files { data, seen: self.seen })
    }

    /// Steps 5 to 7 for one piece.
    pub(crate) fn append(
        &mut self,
        segment: u32,
        data: &dyn Handle,
        batch: &Batch,
        piece: &[u32],
        duplicates: u64,
        objects: &[String],
    ) -> Result<()> {
        let (form, offset) = self.open_form(segment);
        let run_at = self.journal.state.seen();
        let (data_path, seen_path) =
            (self.day_file.open_segment(segment, form), self.day_file.seen());
        // Step 5: the lines.
        let lines = || piece.iter().map(|row| batch.line(*row));
        let text_bytes = lines().map(|line| line.len() as u64).sum();
        let (mut crc, pieces) = (0, Pieces::new(data, offset));
        let written = Coder::new(pieces, form.compress(), text_bytes).and_then(|mut coder| {
            for line in lines() {
                crc = crc32c::crc32c_append(crc, line);
                coder.write_all(line)?;
            }
            coder.finish()?.finish()
        });
        let bytes = written.context("write", &data_path)? - offset;
        data.sync().context("sync", &data_path)?;
        // Step 6: the seen-run.
        let (run, blocks) = seen::encode(piece.iter().map(|row| batch.key(*row)));
        self.seen.write_at(&run, seen::place(run_at)).context("write", &seen_path)?;
        self.seen.sync().context("sync", &seen_path)?;
        // Step 7: the commit point.
        self.journal.append(Frame::Commit(Commit {
            at: self.lander.clock.now(),
            duplicates,
            objects: objects.to_vec(),
            routings: batch.routings.iter().copied().collect(),
            form,
            text_bytes,
            ..Commit::plain(segment, offset, bytes, crc, run_at, blocks)
        }))
    }
}

/// Opens and locks a file; if it is not there, once more with its folder's names as they are now.
fn open_again(lander: &Lander<'_>, path: &str, how: Open) -> Result<(Box<dyn Handle>, u64)> {
    let open = || lander.open_locked(path, how, lander.lock_deadline());
    match open() {
        Err(LandError::Io { source, .. }) if is_absent(&source) => {
            folders::refresh(lander, folder_of(path))?;
            open()
        }
        opened => opened,
    }
}

/// The error of opening a file that has so many committed bytes: damage if it is not there, looked
/// for twice.
pub(crate) fn lost(lander: &Lander<'_>, error: LandError, committed: u64) -> LandError {
    match error {
        LandError::Io { path, source, .. } if is_absent(&source) && committed > 0 => {
            let refreshed = folders::refresh(lander, folder_of(&path));
            let again = lander.disk.open(&path, Open::Read).map(drop);
            if refreshed.is_err() || again.is_ok() {
                return LandError::Io { verb: "open", path, source };
            }
            LandError::damage(path, format!("it is not there, and had {committed} bytes"))
        }
        error => error,
    }
}

/// The length; damage if it is less than what was committed.
fn not_shorter(handle: &dyn Handle, path: &str, committed: u64) -> Result<u64> {
    let length = handle.length().context("look at", path)?;
    if length < committed {
        let what = format!("it has {length} bytes, of {committed} that were committed");
        return Err(LandError::damage(path, what));
    }
    Ok(length)
}
