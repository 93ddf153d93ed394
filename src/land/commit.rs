//! Commit: the rows of one batch are appended to one day file, all that are new, each once.
//!
//! The steps are numbered as in docs/design.md.

use super::Lander;
use super::batch::Batch;
use super::day_file::{DayFile, folder_of};
use super::error::{LandError, Named, is_absent};
use super::frame::{Commit, Frame};
use super::journal::Journal;
use super::output::CHUNK;
use super::state::Segment;
use super::{folders, seal, seen};
use crate::disk::{Handle, Open};
use crate::row::Identity;

/// What a batch came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Rows that are lines now.
    pub lines: u64,
    /// Of these, lines in a late segment.
    pub late: u64,
    /// Rows that had landed before, or stood twice in the batch.
    pub duplicates: u64,
    /// Commit frames written.
    pub commits: u64,
    /// How often a lock was busy.
    pub busy_retries: u64,
}

/// Whether the day still takes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// All rows of the batch are durable lines, now or before.
    Committed(Committed),
    /// The day is closed: its journal is cut, and nobody can tell what has landed. Nothing was done.
    Closed,
}

/// Lands a batch into its day file. `objects` are the names of the objects that it came from.
pub fn commit(
    lander: &Lander<'_>,
    day_file: &DayFile,
    batch: &Batch,
    objects: &[String],
) -> Result<Outcome, LandError> {
    commit_after(lander, day_file, batch, objects, &|| Ok(()))
}

/// The same; `before` has to succeed before the first line is written, and is not called if there is none to write.
pub fn commit_after(
    lander: &Lander<'_>,
    day_file: &DayFile,
    batch: &Batch,
    objects: &[String],
    before: &dyn Fn() -> Result<(), LandError>,
) -> Result<Outcome, LandError> {
    // Steps 1 and 2: lock and read the journal; finish a seal that was cut short.
    let mut journal = lock(lander, day_file)?;
    if journal.state.closed.is_some() {
        return Ok(Outcome::Closed);
    }
    // Step 3: drop what was seen.
    let mut hold = Hold::take(lander, day_file, &mut journal)?;
    let new = hold.new_rows(batch).map_err(|error| hold.journal.doubt(error))?;
    let mut done = Committed {
        lines: new.len() as u64,
        duplicates: (batch.len() - new.len()) as u64,
        ..Committed::default()
    };
    // Where none is new, all is acknowledged because of frames that `take` knows to be durable.
    if !new.is_empty() {
        before()?;
        // Step 4: open the data file and prove the lock.
        let segment = hold.journal.state.next_segment();
        done.late = if segment > 1 { done.lines } else { 0 };
        hold.open_segment(segment)?;
        // Steps 5 to 7, a piece at a time.
        let mut duplicates = done.duplicates;
        for piece in pieces(batch, &new, lander.config.limits.commit_bytes) {
            hold.append(segment, batch, piece, std::mem::take(&mut duplicates), objects)?;
            done.commits += 1;
        }
        hold.mark()?;
    }
    // Step 9: the handles are closed in reverse order, and with them the locks are gone.
    drop(hold);
    done.busy_retries = journal.busy_retries;
    journal.remember(day_file);
    Ok(Outcome::Committed(done))
}

/// Tells which of some events a day file has: `offered` is sorted, and each one's flag is set.
/// `false`: the day is closed, so that nobody can tell. What is told depends on durable frames.
/// Nothing is made for it.
pub fn ask(
    lander: &Lander<'_>,
    day_file: &DayFile,
    offered: &mut [(Identity, bool)],
) -> Result<bool, LandError> {
    let Some(mut journal) = Journal::lock_existing(lander, day_file)? else { return Ok(true) };
    if journal.state.closed.is_some() {
        return Ok(false);
    }
    let segment = journal.state.next_segment();
    let committed = journal.state.segment(segment).map_or(0, Segment::bytes);
    let path = day_file.open_segment(segment);
    let length = match lander.disk.open(&path, Open::Read) {
        Err(error) if is_absent(&error) => 0,
        opened => opened.and_then(|data| data.length()).named("open", &path)?,
    };
    if journal.state.seen() > 0 || length > committed {
        let mut hold = Hold::take(lander, day_file, &mut journal)?;
        let blocks = &hold.journal.state.blocks;
        let marked = seen::mark(hold.seen.as_ref(), &day_file.seen(), blocks, offered);
        marked.map_err(|error| hold.journal.doubt(error))?;
        if length > committed {
            // Of a landing that was interrupted: its rows may become lines of another day file now.
            hold.open_segment(segment)?;
            hold.settle(segment)?;
        }
    }
    journal.remember(day_file);
    Ok(true)
}

/// Locks a day file's journal; segments that are sealed but not published are published first.
pub fn lock<'l>(lander: &'l Lander<'l>, day_file: &DayFile) -> Result<Journal<'l>, LandError> {
    let mut journal = Journal::lock(lander, day_file)?;
    let unfinished: Vec<u32> = (journal.state.numbered())
        .filter(|(_, segment)| segment.sealed.is_some() && segment.done.is_none())
        .map(|(number, _)| number)
        .collect();
    if !unfinished.is_empty() {
        // The Sealed frame may be of a process that was killed before its sync, or whose sync failed.
        journal.repeat()?;
    }
    for segment in unfinished {
        seal::publish(lander, day_file, &mut journal, segment)?;
    }
    Ok(journal)
}

/// The three locked handles of a day file. Closed in the order data, seen; the journal is its owner's.
pub struct Hold<'h, 'l> {
    data: Option<Box<dyn Handle>>,
    seen: Box<dyn Handle>,
    /// Of `seen`, when it was locked.
    seen_length: u64,
    lander: &'l Lander<'l>,
    day_file: &'h DayFile,
    /// The journal.
    pub journal: &'h mut Journal<'l>,
}

impl<'h, 'l> Hold<'h, 'l> {
    /// Step 3, first half: `seen`, afresh and locked.
    pub fn take(
        lander: &'l Lander<'l>,
        day_file: &'h DayFile,
        journal: &'h mut Journal<'l>,
    ) -> Result<Hold<'h, 'l>, LandError> {
        folders::refresh(lander, &day_file.journal_folder())?;
        folders::refresh(lander, day_file.folder())?;
        let entries = journal.state.seen();
        let path = day_file.seen();
        let how = if entries == 0 { Open::Create(lander.open_mode()) } else { Open::ReadWrite };
        let committed = entries * seen::ENTRY_BYTES;
        let (seen, busy_retries) = lander
            .open_locked(&path, how, lander.lock_deadline())
            .map_err(|error| journal.doubt(lost(lander, error, committed)))?;
        journal.busy_retries += busy_retries;
        let whole = if entries > 0 { seen::place(entries) } else { 0 };
        let seen_length = not_shorter(seen.as_ref(), &path, whole);
        let seen_length = seen_length.map_err(|error| journal.doubt(error))?;
        match journal.state.after(seen::Mark::read(seen.as_ref(), &path)?) {
            None => return Err(journal.doubt(journal.misses_frames(&path))),
            Some(0) => {}
            // Nobody has marked the last frame: perhaps it is not durable.
            Some(_) => journal.repeat()?,
        }
        Ok(Hold { data: None, seen, seen_length, lander, day_file, journal })
    }

    /// Step 3, second half: the batch's rows that no commit has, each once, in (timestamp, position) order.
    fn new_rows(&self, batch: &Batch) -> Result<Vec<u32>, LandError> {
        let blocks = &self.journal.state.blocks;
        seen::new_rows(self.seen.as_ref(), &self.day_file.seen(), blocks, batch)
    }

    /// Step 4: the segment's data file, afresh and locked; proof that the journal's lock still stands; then
    /// what lies beyond the last commit is cut, and a new segment gets its hint and durable names.
    pub fn open_segment(&mut self, segment: u32) -> Result<(), LandError> {
        let lander = self.lander;
        let path = self.day_file.open_segment(segment);
        let committed = self.journal.state.segment(segment).map_or(0, Segment::bytes);
        if committed == 0 && segment > 1 {
            // The Freeze frame before it may not be durable yet, and without it this file has no place.
            self.journal.repeat()?;
        }
        let how = if committed == 0 { Open::Create(lander.open_mode()) } else { Open::Write };
        let (data, busy_retries) = lander
            .open_locked(&path, how, lander.lock_deadline())
            .map_err(|error| self.journal.doubt(lost(lander, error, committed)))?;
        self.journal.busy_retries += busy_retries;
        self.journal.prove()?;
        if not_shorter(data.as_ref(), &path, committed)? > committed {
            data.truncate(committed).named("cut", &path)?;
        }
        let seen = seen::place(self.journal.state.seen());
        if self.seen_length > seen {
            self.seen.truncate(seen).named("cut", &self.day_file.seen())?;
        }
        if committed == 0 {
            lander.make_hint(&self.day_file.open_hint(segment))?;
            folders::sync_up(lander, folder_of(&path))?;
            folders::sync_up(lander, &self.day_file.journal_folder())?;
        }
        self.data = Some(data);
        Ok(())
    }

    /// Step 8: `seen` says which frames are durable. Not synced: it is for whoever finds the journal without them.
    pub fn mark(&self) -> Result<(), LandError> {
        let mark = self.journal.state.mark().encode();
        self.seen.write_at(&mark, 0).named("write", &self.day_file.seen())
    }

    /// Before a segment ends: what lies beyond its last commit is gone for good. Cut even where nothing seems to be
    /// there, because whoever cut it before may have died before the cut was durable.
    pub fn settle(&self, segment: u32) -> Result<(), LandError> {
        let path = self.day_file.open_segment(segment);
        let committed = self.journal.state.segment(segment).map_or(0, Segment::bytes);
        match &self.data {
            Some(data) => data.truncate(committed).and_then(|()| data.sync()).named("cut", &path),
            None => Err(LandError::damage(path, "it was not opened before it was ended")),
        }
    }

    /// Steps 5 to 7 for one piece.
    fn append(
        &mut self,
        segment: u32,
        batch: &Batch,
        piece: &[u32],
        duplicates: u64,
        objects: &[String],
    ) -> Result<(), LandError> {
        let state = &self.journal.state;
        let offset = state.segment(segment).map_or(0, Segment::bytes);
        let run_at = state.seen();
        let (data_path, seen_path) = (self.day_file.open_segment(segment), self.day_file.seen());
        let Some(data) = &self.data else {
            return Err(LandError::damage(data_path, "it was not opened before it was written"));
        };
        // Step 5: the lines.
        let (mut bytes, mut crc) = (0, 0);
        let mut write = |text: &mut Vec<u8>| {
            crc = crc32c::crc32c_append(crc, text);
            data.write_at(text, offset + bytes).named("write", &data_path)?;
            bytes += text.len() as u64;
            text.clear();
            Ok(())
        };
        let mut text = Vec::with_capacity(2 * CHUNK);
        for row in piece {
            text.extend_from_slice(batch.line(*row));
            if text.len() >= CHUNK {
                write(&mut text)?;
            }
        }
        if !text.is_empty() {
            write(&mut text)?;
        }
        data.sync().named("sync", &data_path)?;
        // Step 6: the seen-run.
        let (run, blocks) = seen::encode(piece.iter().map(|row| batch.identity(*row)));
        self.seen.write_at(&run, seen::place(run_at)).named("write", &seen_path)?;
        self.seen.sync().named("sync", &seen_path)?;
        // Step 7: the commit point.
        self.journal.append(Frame::Commit(Commit {
            segment,
            lines: piece.len() as u64,
            offset,
            bytes,
            crc,
            seen: run_at,
            blocks,
            at: self.lander.clock.now(),
            duplicates,
            objects: objects.to_vec(),
        }))
    }
}

/// Rows in pieces of up to `bytes` of text each; a longer line is a piece of its own.
fn pieces<'r>(batch: &Batch, rows: &'r [u32], bytes: usize) -> Vec<&'r [u32]> {
    let mut pieces = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (at, row) in rows.iter().enumerate() {
        let length = batch.line(*row).len();
        if at > start && size + length > bytes {
            pieces.push(&rows[start..at]);
            (start, size) = (at, 0);
        }
        size += length;
    }
    pieces.push(&rows[start..]);
    pieces
}

/// The error of opening a file that has so many committed bytes: damage if it is not there, looked for twice.
pub fn lost(lander: &Lander<'_>, error: LandError, committed: u64) -> LandError {
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
fn not_shorter(handle: &dyn Handle, path: &str, committed: u64) -> Result<u64, LandError> {
    let length = handle.length().named("look at", path)?;
    if length < committed {
        let what = format!("it has {length} bytes, of {committed} that were committed");
        return Err(LandError::damage(path, what));
    }
    Ok(length)
}
