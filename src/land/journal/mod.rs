//! The journal: what happened to one day file. Read and appended to under its lock only.
//!
//! It is never renamed or removed. What its bytes say is [`State`].

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

/// A journal's file under its lock.
struct Locked<'l> {
    lander: &'l Lander<'l>,
    path: String,
    handle: Box<dyn Handle>,
}

/// A journal under its lock.
pub struct Journal<'l> {
    file: Locked<'l>,
    /// The bytes of its last frame.
    last: Vec<u8>,
    /// What it says.
    pub(crate) state: State,
    /// Whether it was empty when it was locked: nothing else of the day was there then.
    pub(crate) is_new: bool,
    /// How often the lock was busy before it was had.
    pub(crate) busy_retries: u64,
}

impl<'l> Journal<'l> {
    /// Commit steps 1 and 2: takes the lock and reads; a new journal gets its header.
    pub(crate) fn lock(
        lander: &'l Lander<'l>,
        day_file: &DayFile,
        how: Open,
    ) -> Result<Journal<'l>> {
        // Step 1: lock.
        let (file, busy_retries) = Locked::open(lander, day_file, how)?;
        // Step 2: read through that handle.
        let known = lander.journals.take(day_file).map(|state| file.read_on(state)).transpose()?;
        let (state, last, is_new) = match known.flatten() {
            Some((state, last)) => (state, last, false),
            None => file.read_all(day_file)?,
        };
        let mut journal = Journal { file, last, state, is_new, busy_retries };
        if journal.state.closed.is_some() && journal.state.torn {
            // A close that was interrupted after its slot was whole, and perhaps before it was
            // durable.
            journal.rewrite_last_frame()?;
            journal.truncate_torn()?;
        }
        Ok(journal)
    }

    /// The same without making it. `None`: there is none, nor anything else of the day.
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

    /// Reads a journal without its lock: for the eye, and for hints. `None`: there is none, or it
    /// is new.
    ///
    /// Where another process of this machine has it open for writing, an NFS client would answer
    /// from old pages: they look like damage, or like a journal that lacks the last commits.
    pub fn peek(lander: &Lander<'_>, day_file: &DayFile) -> Result<Option<State>> {
        let path = day_file.journal();
        let Some(handle) = lander.open_if_there(&path)? else { return Ok(None) };
        handle.drop_cache().context("read", &path)?;
        State::read(&path, &read_whole(handle.as_ref(), &path, 0, BYTES_MAX)?)
    }

    /// The same where something of the day is there, or a hint of it: a missing journal is damage
    /// then, unless a landing was cut short before it had written anything else.
    pub(crate) fn read_or_damage(lander: &Lander<'_>, day_file: &DayFile) -> Result<Option<State>> {
        unless_orphaned(lander, day_file, || Journal::peek(lander, day_file))
    }

    /// Remembers what it says, when nothing of it is in doubt. The lock is given back.
    pub(crate) fn remember(self, day_file: &DayFile) {
        self.file.lander.journals.put(day_file, self.state);
    }

    /// Proves that the lock still stands, and makes what was read durable: writes the spare byte
    /// through its handle and syncs. What was read may be of a process that was killed before its
    /// own sync. The file system's time of that write is compared with the clock.
    pub(crate) fn check_lease(&self) -> Result<()> {
        let Locked { lander, path, handle } = &self.file;
        // Its header is whole, so the length need not be asked for.
        let value = lander.clock.now().to_le_bytes()[0];
        let proof = handle.write_at(&[value], PROOF_AT).and_then(|()| handle.sync());
        proof.map_err(|error| lease_lost(path, error))?;
        lander.compare_clocks(handle.inode().context("look at", path)?.modified)
    }

    /// Damage that was found under the lock counts only while the lock stands: a process that stood
    /// still past its lease sees what others did since.
    pub(crate) fn confirm_damage(&self, error: LandError) -> LandError {
        self.file.confirm_damage(error)
    }

    /// Makes the last frame durable (of a closed day: the slot) that a process left behind which
    /// was killed before its sync, or whose sync failed: writes it again, as it stands, and syncs.
    /// Only then may anything depend on it.
    pub(crate) fn rewrite_last_frame(&self) -> Result<()> {
        let closed = self.state.closed.as_ref().filter(|_| self.last.is_empty());
        let Locked { path, handle, .. } = &self.file;
        let written = match closed.and_then(Closed::encode) {
            Some(slot) => handle.write_at(&slot, CLOSED_AT),
            None => handle.write_at(&self.last, self.state.last),
        };
        written.and_then(|()| handle.sync()).map_err(|error| lease_lost(path, error))
    }

    /// Cuts what follows the last frame. Synced by itself: in a torn frame, what is missing is
    /// zeros and never an older frame's bytes.
    fn truncate_torn(&mut self) -> Result<()> {
        let Locked { path, handle, .. } = &self.file;
        handle.truncate(self.state.end).context("cut", path)?;
        handle.sync().context("sync", path)?;
        self.state.torn = false;
        Ok(())
    }

    /// Appends a frame and syncs it: when this returns, it happened.
    pub(crate) fn append(&mut self, frame: Frame) -> Result<()> {
        if self.state.torn {
            self.truncate_torn()?;
        }
        let (bytes, crc) = frame.encode(self.state.crc);
        let at = self.state.end;
        self.last.clone_from(&bytes);
        // Checked just before writing, as it is right after reading. After an error of the write
        // the state is ahead of the file: the journal is abandoned and read again.
        self.state
            .apply(frame)
            .map_err(|what| LandError::damage(&self.file.path, what.to_string()))?;
        self.state.follow(crc, bytes.len() as u64);
        self.file.write(&bytes, at)
    }

    /// Writes the Closed slot, then cuts the frames: when the slot is synced, the day is closed.
    /// `false`: it has too many segments for the slot, and stays as it is.
    pub(crate) fn close(&mut self, closed: Closed) -> Result<bool> {
        let Some(slot) = closed.encode() else { return Ok(false) };
        self.file.write(&slot, CLOSED_AT)?;
        self.file.handle.truncate(FRAMES_AT).context("cut", &self.file.path)?;
        // Room for the Removed frames: retention needs it most when the file system is full.
        self.file.write(&[RESERVE; REMOVED_BYTES], FRAMES_AT)?;
        let crc = u32::from_le_bytes([slot[4], slot[5], slot[6], slot[7]]);
        self.state.close(closed, crc);
        self.last.clear();
        Ok(true)
    }
}

/// What the Removed frames of a closed day take at most.
const REMOVED_BYTES: usize = 4096;

impl<'l> Locked<'l> {
    /// Takes the lock; answers how often it was busy.
    fn open(lander: &'l Lander<'l>, day_file: &DayFile, how: Open) -> Result<(Locked<'l>, u64)> {
        let path = day_file.journal();
        let (handle, busy_retries) = lander.open_locked(&path, how, lander.lock_deadline())?;
        Ok((Locked { lander, path, handle }, busy_retries))
    }

    /// Writes, and makes it durable.
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
            // A byte written here would change a journal that may be damaged; its own length does
            // not.
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

    /// What was added to a journal that this process knows, and the bytes of its last frame.
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

    /// What a journal says that this process does not know, the bytes of its last frame, and
    /// whether it was empty.
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

    /// A journal is new where neither `seen` nor a data file is there; otherwise its header was
    /// lost. Where there is a header and no frame (`found`), its maker may have been killed before
    /// it was durable: it is written again.
    fn begin(&self, day_file: &DayFile, bytes: &[u8], found: Option<State>) -> Result<State> {
        let Locked { lander, path, handle } = self;
        if let Some(name) = orphan(lander, day_file, found.is_none())? {
            return Err(self.confirm_damage(headless(path, &name)));
        }
        if found.is_none() && !Header::may_be_torn(bytes) {
            return Err(LandError::Foreign(path.clone()));
        }
        if found.is_none() && bytes.len() as u64 > FRAMES_AT {
            handle.truncate(0).context("cut", path)?;
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

/// What is looked for; damage, if it is not there and something of the day is.
fn unless_orphaned<T>(
    lander: &Lander<'_>,
    day_file: &DayFile,
    look: impl Fn() -> Result<Option<T>>,
) -> Result<Option<T>> {
    if let Some(found) = look()? {
        return Ok(Some(found));
    }
    // That it is not there may be remembered from before another machine made it.
    folders::refresh(lander, &day_file.journal_folder())?;
    if let Some(found) = look()? {
        return Ok(Some(found));
    }
    let Some(name) = orphan(lander, day_file, true)? else { return Ok(None) };
    // Somebody may have begun meanwhile.
    folders::refresh(lander, &day_file.journal_folder())?;
    look()?.ok_or_else(|| headless(&day_file.journal(), &name)).map(Some)
}

pub(crate) fn lease_lost(path: &str, error: io::Error) -> LandError {
    match Errno::from_io_error(&error) {
        // What Linux answers on a handle whose lock was lost.
        Some(Errno::IO | Errno::BADF) => LandError::LeaseLost(path.to_owned()),
        _ => LandError::Io { verb: "write", path: path.to_owned(), source: error },
    }
}

/// Something of a day that is never older than its journal; `header`: never older than its
/// journal's header.
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
    LandError::damage(path, format!("its beginning is missing or unreadable, but {name} is there"))
}

/// No journal gets so long: a commit takes some hundred bytes. What pretends to be is not read into
/// memory.
const BYTES_MAX: u64 = 1 << 30;

/// The bytes of a journal with these frames, and the watermark of its last one.
pub fn compose(header: &Header, frames: &[Frame]) -> (Vec<u8>, Watermark) {
    let (mut bytes, mut crc) = header.encode();
    for frame in frames {
        let (frame, own) = frame.encode(crc);
        bytes.extend_from_slice(&frame);
        crc = own;
    }
    (bytes, Watermark { frames: frames.len() as u32, crc })
}

/// A journal under its lock, whatever it says: for a rebuild.
pub(crate) struct DamagedJournal<'l> {
    file: Locked<'l>,
    /// The journal as it stands; nothing, if it is too long to be one.
    pub(crate) bytes: Vec<u8>,
}

impl<'l> DamagedJournal<'l> {
    /// Takes the lock and reads what there is.
    pub(crate) fn lock(lander: &'l Lander<'l>, day_file: &DayFile) -> Result<DamagedJournal<'l>> {
        let (file, _) = Locked::open(lander, day_file, Open::Create(lander.open_mode()))?;
        let bytes = match read_whole(file.handle.as_ref(), &file.path, 0, BYTES_MAX) {
            Err(LandError::Damage { .. }) => Vec::new(),
            read => read?,
        };
        Ok(DamagedJournal { file, bytes })
    }

    /// Proves that the lock still stands.
    pub(crate) fn check_lease(&self) -> Result<()> {
        self.file.check_lease()
    }

    /// From now on the day counts as damaged, until [`DamagedJournal::replace`]: its files are in
    /// `folder`. The byte that says so changes last.
    pub(crate) fn begin_rebuild(&self, folder: &str) -> Result<()> {
        self.file.write(&frame::checked(folder.as_bytes()), REBUILD_AT)?;
        self.file.write(&HEADER_MAGIC[..FORM_AT as usize], 0)?;
        self.file.write(&[FORM_REBUILD], FORM_AT)
    }

    /// Puts a whole journal in place of this one, in the same file. The byte that makes it count
    /// changes last: this is the commit point of a rebuild. Until then the note of its folder
    /// stays.
    pub(crate) fn replace(&self, bytes: &[u8]) -> Result<()> {
        let (Locked { path, handle, .. }, form) = (&self.file, FORM_AT as usize);
        self.file.write(&bytes[form + 1..REBUILD_AT as usize], FORM_AT + 1)?;
        self.file.write(&bytes[PROOF_AT as usize..], PROOF_AT)?;
        handle.truncate(bytes.len() as u64).and_then(|()| handle.sync()).context("cut", path)?;
        self.file.write(&bytes[form..=form], FORM_AT)?;
        // The note has done its work: no changed byte is to lead back to the old files.
        self.file.write(&bytes[REBUILD_AT as usize..PROOF_AT as usize], REBUILD_AT)
    }
}
