//! The journal: the history of one day file. It is read and appended to only under its lock.
//!
//! It is never renamed or removed. [`State`] is its decoded content.

pub mod blocks;
pub mod cache;
pub mod frame;
pub(crate) mod lander;
pub mod seen;
pub mod state;

use std::io;

use rustix::io::Errno;

use crate::config::{Compress, Form};
use crate::land::journal::lander::Lander;
use crate::land::root::error::{Context, LandError, Result, is_absent};
use crate::land::root::files::read_whole;
use crate::land::root::folders;
use crate::land::root::layout::DayFile;

use crate::disk::{Handle, Open};
use crate::land::journal::frame::{
    CLOSED_AT, Closed, FORM_AT, FORM_REBUILD, FRAMES_AT, Frame, HEADER_MAGIC, Header, PROOF_AT,
    REBUILD_AT, RESERVE,
};
use crate::land::journal::seen::Watermark;
use crate::land::journal::state::State;

/// A journal's file under its lock, not yet read.
struct Locked<'l> {
    lander: &'l Lander<'l>,
    path: String,
    handle: Box<dyn Handle>,
}

/// A journal under its lock, with its decoded state.
pub struct Journal<'l> {
    file: Locked<'l>,
    /// The bytes of its last frame.
    last: Vec<u8>,
    /// The decoded journal.
    pub(crate) state: State,
    /// Whether it was empty when it was locked: nothing else of the day existed then.
    pub(crate) is_new: bool,
    /// How often the lock was busy before it was taken.
    pub(crate) busy_retries: u64,
}

impl<'l> Journal<'l> {
    /// Commit steps 1 and 2: takes the lock and reads the journal. A new journal gets its header.
    pub(crate) fn lock(
        lander: &'l Lander<'l>,
        day_file: &DayFile,
        how: Open,
    ) -> Result<Journal<'l>> {
        // Step 1: lock.
        let (file, busy_retries) = Locked::open(lander, day_file, how)?;
        // Step 2: read through the locked handle.
        let known = lander.journals.take(day_file).map(|state| file.read_on(state)).transpose()?;
        let (state, last, is_new) = match known.flatten() {
            Some((state, last)) => (state, last, false),
            None => file.read_all(day_file)?,
        };
        let mut journal = Journal { file, last, state, is_new, busy_retries };
        if journal.state.closed.is_some() && journal.state.torn {
            // A close was interrupted after its slot was complete, perhaps before it was durable.
            journal.rewrite_last_frame()?;
            journal.truncate_torn()?;
        }
        Ok(journal)
    }

    /// As [`Journal::lock`], but never creates the journal. `None` if nothing of the day exists.
    pub(crate) fn lock_existing(
        lander: &'l Lander<'l>,
        day_file: &DayFile,
    ) -> Result<Option<Journal<'l>>> {
        let lock = || match Journal::lock(lander, day_file, Open::ReadWrite) {
            Err(LandError::Io { source, .. }) if is_absent(&source) => Ok(None),
            locked => locked.map(Some),
        };
        unless_orphaned(lander, day_file, lock)
    }

    /// Reads a journal without its lock, for display and for hints. `None` if it is missing or new.
    ///
    /// While another process of this machine has it open for writing, an NFS client may return
    /// stale pages. They look like damage, or like a journal without the last commits.
    pub fn peek(lander: &Lander<'_>, day_file: &DayFile) -> Result<Option<State>> {
        let path = day_file.journal();
        let Some(handle) = lander.open_if_there(&path)? else { return Ok(None) };
        handle.drop_cache().context("read", &path)?;
        State::read(&path, &read_whole(handle.as_ref(), &path, 0, BYTES_MAX)?)
    }

    /// As [`Journal::peek`], for a day that has other files or a hint. A missing journal is then
    /// damage, unless a landing was interrupted before it wrote anything else.
    pub(crate) fn read_or_damage(lander: &Lander<'_>, day_file: &DayFile) -> Result<Option<State>> {
        unless_orphaned(lander, day_file, || Journal::peek(lander, day_file))
    }

    /// Caches the state for the next lock, and releases the lock. Only for a state that is certain.
    pub(crate) fn remember(self, day_file: &DayFile) {
        self.file.lander.journals.put(day_file, self.state);
    }

    /// Proves that the lock is still held, and makes what was read durable: writes the spare byte
    /// through the handle and syncs. A process that was killed before its own sync may have written
    /// what was read. The file system's time of this write is compared with the clock.
    pub(crate) fn check_lease(&self) -> Result<()> {
        let Locked { lander, path, handle } = &self.file;
        // The header is complete, so the file is long enough.
        let value = lander.clock.now().to_le_bytes()[0];
        let proof = handle.write_at(&[value], PROOF_AT).and_then(|()| handle.sync());
        proof.map_err(|error| lease_lost(path, error))?;
        lander.compare_clocks(handle.inode().context("inspect", path)?.modified)
    }

    /// Confirms damage that was found under the lock: it counts only while the lock is held. A
    /// process that was suspended past its lease sees what others wrote since.
    pub(crate) fn confirm_damage(&self, error: LandError) -> LandError {
        self.file.confirm_damage(error)
    }

    /// Makes the last frame (of a closed day: the slot) durable: writes it again unchanged, and
    /// syncs. The process that wrote it may have been killed before its sync, or its sync failed.
    /// Until then nothing may depend on it.
    pub(crate) fn rewrite_last_frame(&self) -> Result<()> {
        let closed = self.state.closed.as_ref().filter(|_| self.last.is_empty());
        let Locked { path, handle, .. } = &self.file;
        let written = match closed.and_then(Closed::encode) {
            Some(slot) => handle.write_at(&slot, CLOSED_AT),
            None => handle.write_at(&self.last, self.state.last),
        };
        written.and_then(|()| handle.sync()).map_err(|error| lease_lost(path, error))
    }

    /// Truncates the journal to its last frame. This is synced separately: the missing part of a
    /// torn frame is then always zeros, never bytes of an older frame.
    fn truncate_torn(&mut self) -> Result<()> {
        let Locked { path, handle, .. } = &self.file;
        handle.truncate(self.state.end).context("truncate", path)?;
        handle.sync().context("sync", path)?;
        self.state.torn = false;
        Ok(())
    }

    /// Appends a frame and syncs it: once this returns, the frame is durable.
    pub(crate) fn append(&mut self, frame: Frame) -> Result<()> {
        if self.state.torn {
            self.truncate_torn()?;
        }
        let (bytes, crc) = frame.encode(self.state.crc);
        let at = self.state.end;
        self.last.clone_from(&bytes);
        // The same check as after reading. If the write then fails, the state is ahead of the file:
        // the journal is abandoned and read again.
        self.state
            .apply(frame)
            .map_err(|what| LandError::damage(&self.file.path, what.to_string()))?;
        self.state.follow(crc, bytes.len() as u64);
        self.file.write(&bytes, at)
    }

    /// Writes the Closed slot, then truncates the frames. Once the slot is synced, the day is
    /// closed. `false` if the day has too many segments for the slot; it is then unchanged.
    pub(crate) fn close(&mut self, closed: Closed) -> Result<bool> {
        let Some(slot) = closed.encode() else { return Ok(false) };
        self.file.write(&slot, CLOSED_AT)?;
        self.file.handle.truncate(FRAMES_AT).context("truncate", &self.file.path)?;
        // Reserve room for the Removed frames: retention matters most when the file system is full.
        self.file.write(&[RESERVE; REMOVED_BYTES], FRAMES_AT)?;
        let crc = u32::from_le_bytes([slot[4], slot[5], slot[6], slot[7]]);
        self.state.close(closed, crc);
        self.last.clear();
        Ok(true)
    }
}

/// The most that the Removed frames of a closed day take.
const REMOVED_BYTES: usize = 4096;

impl<'l> Locked<'l> {
    /// Takes the lock and returns how often it was busy.
    fn open(lander: &'l Lander<'l>, day_file: &DayFile, how: Open) -> Result<(Locked<'l>, u64)> {
        let path = day_file.journal();
        let (handle, busy_retries) = lander.open_locked(&path, how, lander.lock_deadline())?;
        Ok((Locked { lander, path, handle }, busy_retries))
    }

    /// Writes bytes and syncs them.
    fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.handle.write_at(bytes, at).context("write", &self.path)?;
        self.handle.sync().context("sync", &self.path)
    }

    fn check_lease(&self) -> Result<()> {
        let (handle, value) = (&self.handle, self.lander.clock.now().to_le_bytes()[0]);
        let proof = match handle.length() {
            Ok(length) if length > PROOF_AT => {
                handle.write_at(&[value], PROOF_AT).and_then(|()| handle.sync())
            }
            // Writing a byte would change a journal that may be damaged; truncating it to its own
            // length does not.
            Ok(length) => handle.truncate(length),
            Err(error) => Err(error),
        };
        proof.map_err(|error| lease_lost(&self.path, error))
    }

    fn confirm_damage(&self, error: LandError) -> LandError {
        match error {
            LandError::Damage { .. } => self.check_lease().err().unwrap_or(error),
            error => error,
        }
    }

    /// Reads what was added to a journal since `state`. Returns the new state and the bytes of the
    /// last frame.
    fn read_on(&self, state: State) -> Result<Option<(State, Vec<u8>)>> {
        let mut header = vec![0; FRAMES_AT as usize];
        let filled = self.handle.read_at(&mut header, 0).context("read", &self.path)?;
        let known = state.last;
        let tail = read_whole(self.handle.as_ref(), &self.path, known, BYTES_MAX)?;
        let state = state.read_on(&self.path, &header[..filled], &tail);
        Ok(state.map(|state| {
            let last = tail[(state.last - known) as usize..(state.end - known) as usize].to_vec();
            (state, last)
        }))
    }

    /// Reads a whole journal. Returns its state, the bytes of its last frame, and whether it was
    /// empty.
    fn read_all(&self, day_file: &DayFile) -> Result<(State, Vec<u8>, bool)> {
        let path = &self.path;
        let bytes = read_whole(self.handle.as_ref(), path, 0, BYTES_MAX)?;
        let state = State::read(path, &bytes).map_err(|damage| self.confirm_damage(damage))?;
        let state = match state {
            Some(state) if state.closed.is_some() || !state.segments.is_empty() => state,
            state => self.begin(day_file, &bytes, state)?,
        };
        if !state.header.is_of(day_file) {
            let Header { file, day, .. } = &state.header;
            return Err(LandError::damage(path, format!("it is the journal of {file} {day}")));
        }
        let last = bytes.get(state.last as usize..state.end as usize).unwrap_or_default().to_vec();
        Ok((state, last, bytes.is_empty()))
    }

    /// Begins a new journal. If `seen` or a data file exists, the journal is not new: its header
    /// was lost. A header without a frame (`found`) is written again: the process that wrote it may
    /// have been killed before its sync.
    fn begin(&self, day_file: &DayFile, bytes: &[u8], found: Option<State>) -> Result<State> {
        let Locked { lander, path, handle } = self;
        if let Some(name) = orphan(lander, day_file, found.is_none())? {
            return Err(self.confirm_damage(headless(path, &name)));
        }
        if found.is_none() && !Header::may_be_torn(bytes) {
            return Err(LandError::Foreign(path.clone()));
        }
        if found.is_none() && bytes.len() as u64 > FRAMES_AT {
            handle.truncate(0).context("truncate", path)?;
        }
        let state = found.unwrap_or_else(|| {
            let header = Header::of(day_file, lander.config.timezone.name());
            let (_, crc) = header.encode();
            State::new(header, crc)
        });
        let (header, _) = state.header.encode();
        self.write(&header, 0)?;
        folders::sync_up(lander, &day_file.journal_folder())?;
        Ok(state)
    }
}

/// Runs `look`. If it finds nothing although something of the day exists, that is damage.
fn unless_orphaned<T>(
    lander: &Lander<'_>,
    day_file: &DayFile,
    look: impl Fn() -> Result<Option<T>>,
) -> Result<Option<T>> {
    if let Some(found) = look()? {
        return Ok(Some(found));
    }
    // An NFS client may remember it as missing although another machine has created it.
    folders::refresh(lander, &day_file.journal_folder())?;
    if let Some(found) = look()? {
        return Ok(Some(found));
    }
    let Some(name) = orphan(lander, day_file, true)? else { return Ok(None) };
    // Another process may have begun the day in the meantime.
    folders::refresh(lander, &day_file.journal_folder())?;
    look()?.ok_or_else(|| headless(&day_file.journal(), &name)).map(Some)
}

pub(crate) fn lease_lost(path: &str, error: io::Error) -> LandError {
    match Errno::from_io_error(&error) {
        // Linux returns these on a handle whose lock was lost.
        Some(Errno::IO | Errno::BADF) => LandError::LeaseLost(path.to_owned()),
        _ => LandError::Io { verb: "write", path: path.to_owned(), source: error },
    }
}

/// Returns a file that cannot exist before its day's journal does. With `header`: that cannot exist
/// before the journal's header does.
fn orphan(lander: &Lander<'_>, day_file: &DayFile, header: bool) -> Result<Option<String>> {
    for folder in [day_file.journal_folder(), day_file.folder().to_owned()] {
        folders::refresh(lander, &folder)?;
    }
    let all = [Compress::None, Compress::Gzip, Compress::Zstd];
    let mut names = all.map(|compress| day_file.target(1, compress)).to_vec();
    if header {
        names.push(day_file.seen());
        names.extend(Form::ALL.map(|form| day_file.open_segment(1, form)));
    }
    for name in names {
        if lander.open_if_there(&name)?.is_some() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn headless(path: &str, name: &str) -> LandError {
    LandError::damage(path, format!("its header is missing or unreadable, but {name} exists"))
}

/// No journal gets this long: a commit takes a few hundred bytes. A longer file is not read into
/// memory.
const BYTES_MAX: u64 = 1 << 30;

/// Encodes a journal with these frames, and the watermark of the last one.
pub fn compose(header: &Header, frames: &[Frame]) -> (Vec<u8>, Watermark) {
    let (mut bytes, mut crc) = header.encode();
    for frame in frames {
        let (frame, own) = frame.encode(crc);
        bytes.extend_from_slice(&frame);
        crc = own;
    }
    (bytes, Watermark { frames: frames.len() as u32, crc })
}

/// A journal under its lock that may be damaged, for a rebuild.
pub(crate) struct DamagedJournal<'l> {
    file: Locked<'l>,
    /// The journal's bytes; empty if the file is too long for a journal.
    pub(crate) bytes: Vec<u8>,
}

impl<'l> DamagedJournal<'l> {
    /// Takes the lock and reads the file.
    pub(crate) fn lock(lander: &'l Lander<'l>, day_file: &DayFile) -> Result<DamagedJournal<'l>> {
        let (file, _) = Locked::open(lander, day_file, Open::Create(lander.open_mode()))?;
        let bytes = match read_whole(file.handle.as_ref(), &file.path, 0, BYTES_MAX) {
            Err(LandError::Damage { .. }) => Vec::new(),
            read => read?,
        };
        Ok(DamagedJournal { file, bytes })
    }

    /// Proves that the lock is still held.
    pub(crate) fn check_lease(&self) -> Result<()> {
        self.file.check_lease()
    }

    /// Marks the day as damaged until [`DamagedJournal::replace`], and notes that its files are in
    /// `folder`. The byte that makes the mark count changes last.
    pub(crate) fn begin_rebuild(&self, folder: &str) -> Result<()> {
        self.file.write(&frame::checked(folder.as_bytes()), REBUILD_AT)?;
        self.file.write(&HEADER_MAGIC[..FORM_AT as usize], 0)?;
        self.file.write(&[FORM_REBUILD], FORM_AT)
    }

    /// Replaces the whole journal within the same file. The byte that makes the new journal count
    /// changes last: that is the commit point of a rebuild. Until then the note of the folder
    /// stays.
    pub(crate) fn replace(&self, bytes: &[u8]) -> Result<()> {
        let (Locked { path, handle, .. }, form) = (&self.file, FORM_AT as usize);
        self.file.write(&bytes[form + 1..REBUILD_AT as usize], FORM_AT + 1)?;
        self.file.write(&bytes[PROOF_AT as usize..], PROOF_AT)?;
        handle
            .truncate(bytes.len() as u64)
            .and_then(|()| handle.sync())
            .context("truncate", path)?;
        self.file.write(&bytes[form..=form], FORM_AT)?;
        // Erase the note: a later damaged byte must not lead back to the old files.
        self.file.write(&bytes[REBUILD_AT as usize..PROOF_AT as usize], REBUILD_AT)
    }
}
