//! The journal: what happened to one day file. Read and appended to under its lock only.
//!
//! It is never renamed or removed. What its bytes say is [`State`].

use std::io;

use rustix::io::Errno;

use super::Lander;
use super::day_file::DayFile;
use super::error::{LandError, Named, is_absent};
use super::frame::{CLOSED_AT, Closed, FRAMES_AT, Frame, Identity, PROOF_AT, Sealed};
use super::state::State;
use super::{folders, seen};
use crate::disk::{Handle, Open};

/// A journal under its lock.
pub struct Journal<'l> {
    lander: &'l Lander<'l>,
    path: String,
    handle: Box<dyn Handle>,
    /// The bytes of its last frame.
    last: Vec<u8>,
    /// What it says.
    pub state: State,
    /// How often the lock was busy before it was had.
    pub busy_retries: u64,
    /// What was published under this lock.
    pub published: Vec<Sealed>,
}

impl<'l> Journal<'l> {
    /// Commit steps 1 and 2: takes the lock and reads; a new journal gets its header.
    pub fn lock(lander: &'l Lander<'l>, day_file: &DayFile) -> Result<Journal<'l>, LandError> {
        Journal::lock_as(lander, day_file, Open::Create(lander.open_mode()))
    }

    /// The same without making it. `None`: there is none, nor anything else of the day.
    pub fn lock_existing(
        lander: &'l Lander<'l>,
        day_file: &DayFile,
    ) -> Result<Option<Journal<'l>>, LandError> {
        let lock = || {
            folders::refresh(lander, &day_file.journal_folder())?;
            match Journal::lock_as(lander, day_file, Open::ReadWrite) {
                Err(LandError::Io { source, .. }) if is_absent(&source) => Ok(None),
                locked => locked.map(Some),
            }
        };
        if let Some(journal) = lock()? {
            return Ok(Some(journal));
        }
        match orphan(lander, day_file, true)? {
            None => Ok(None),
            // Somebody may have begun meanwhile.
            Some(name) => lock()?.ok_or_else(|| headless(&day_file.journal(), &name)).map(Some),
        }
    }

    fn lock_as(
        lander: &'l Lander<'l>,
        day_file: &DayFile,
        how: Open,
    ) -> Result<Journal<'l>, LandError> {
        let path = day_file.journal();
        // Step 1: lock.
        let (handle, busy_retries) = lander.open_locked(&path, how, lander.lock_deadline())?;
        // Step 2: read through that handle.
        if let Some(state) = lander.journals.take(day_file)
            && let Some((state, last)) = read_on(state, handle.as_ref(), &path)?
        {
            let published = Vec::new();
            return Ok(Journal { lander, path, handle, last, state, busy_retries, published });
        }
        let bytes = read_all(handle.as_ref(), &path)?;
        let state = match State::read(&path, &bytes) {
            Ok(state) => state,
            Err(damage) => return Err(doubt(lander, handle.as_ref(), &path, damage)),
        };
        let state = match state {
            Some(state) if state.closed.is_some() || !state.segments.is_empty() => state,
            state => new_journal(lander, day_file, &path, handle.as_ref(), &bytes, state)?,
        };
        if !state.identity.is_of(day_file) {
            let Identity { file, day, .. } = &state.identity;
            return Err(LandError::damage(path, format!("it is the journal of {file} {day}")));
        }
        let last = bytes.get(state.last as usize..state.end as usize).unwrap_or_default().to_vec();
        let published = Vec::new();
        let journal = Journal { lander, path, handle, last, state, busy_retries, published };
        if journal.state.closed.is_some() && bytes.len() as u64 > FRAMES_AT {
            // A close that was cut short after its slot was whole, and perhaps before it was durable.
            journal.repeat()?;
            journal.handle.truncate(FRAMES_AT).named("cut", &journal.path)?;
            journal.handle.sync().named("sync", &journal.path)?;
        }
        Ok(journal)
    }

    /// Reads a journal without its lock: for the eye, and for hints. `None`: there is none, or it is new.
    pub fn peek(lander: &Lander<'_>, day_file: &DayFile) -> Result<Option<State>, LandError> {
        let path = day_file.journal();
        match lander.disk.open(&path, Open::Read) {
            Ok(handle) => State::read(&path, &read_all(handle.as_ref(), &path)?),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error).named("open", &path),
        }
    }

    /// The same where something of the day is there, or a hint of it: that there is no journal is damage then, unless a
    /// landing was cut short before it had written anything else.
    pub fn look(lander: &Lander<'_>, day_file: &DayFile) -> Result<Option<State>, LandError> {
        if let Some(state) = Journal::peek(lander, day_file)? {
            return Ok(Some(state));
        }
        match orphan(lander, day_file, true)? {
            None => Ok(None),
            // Somebody may have begun meanwhile.
            Some(name) => {
                folders::refresh(lander, &day_file.journal_folder())?;
                match Journal::peek(lander, day_file)? {
                    None => Err(headless(&day_file.journal(), &name)),
                    state => Ok(state),
                }
            }
        }
    }

    /// Remembers what it says, when nothing of it is in doubt. The lock is given back.
    pub fn remember(self, day_file: &DayFile) {
        self.lander.journals.put(day_file, self.state);
    }

    /// Its path, for errors.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Proves that the lock still stands, and makes what was read durable: writes the spare byte through its
    /// handle and syncs. What was read may be of a process that was killed before its own sync.
    pub fn prove(&self) -> Result<(), LandError> {
        prove(self.lander, self.handle.as_ref(), &self.path)
    }

    /// Damage that was found under the lock counts only while the lock stands: a process that stood still past
    /// its lease sees what others did since.
    pub fn doubt(&self, error: LandError) -> LandError {
        doubt(self.lander, self.handle.as_ref(), &self.path, error)
    }

    /// Makes the last frame (of a closed day: the Closed slot) durable that a process left behind which was killed before
    /// its sync, or whose sync failed: writes it once more, as it stands, and syncs. Only then may anything depend on it.
    pub fn repeat(&self) -> Result<(), LandError> {
        let slot = self.state.closed.as_ref().and_then(Closed::encode);
        let written = match &slot {
            Some(slot) => self.handle.write_at(slot, CLOSED_AT),
            None => self.handle.write_at(&self.last, self.state.last),
        };
        written.and_then(|()| self.handle.sync()).map_err(|error| lease_lost(&self.path, error))
    }

    /// The error of a journal that has not got the frame that `seen` knows of.
    pub fn misses_frames(&self, seen: &str) -> LandError {
        let frames = self.state.crcs.len();
        let what = format!(
            "it has {frames} whole frames, and {seen} knows of another one: it was cut, changed or restored from an older copy"
        );
        LandError::damage(&self.path, what)
    }

    /// Appends a frame and syncs it: when this returns, it happened.
    pub fn append(&mut self, frame: Frame) -> Result<(), LandError> {
        if self.state.torn {
            // Synced by itself: in a torn frame, what is missing is zeros and never an older frame's bytes.
            self.handle.truncate(self.state.end).named("cut", &self.path)?;
            self.handle.sync().named("sync", &self.path)?;
            self.state.torn = false;
        }
        let (bytes, crc) = frame.encode(self.state.crc);
        let at = self.state.end;
        self.last.clone_from(&bytes);
        // Checked just before writing, as it is right after reading. After an error of the write the
        // state is ahead of the file: the journal is abandoned and read again.
        self.state.apply(frame).map_err(|what| LandError::damage(&self.path, what))?;
        self.state.follow(crc, bytes.len() as u64);
        self.state.find_blocks();
        self.handle.write_at(&bytes, at).named("write", &self.path)?;
        self.handle.sync().named("sync", &self.path)
    }

    /// Writes the Closed slot, then cuts the frames: when the slot is synced, the day is closed.
    /// `false`: it has too many segments for the slot, and stays as it is.
    pub fn close(&mut self, closed: Closed) -> Result<bool, LandError> {
        let Some(slot) = closed.encode() else { return Ok(false) };
        self.handle.write_at(&slot, CLOSED_AT).named("write", &self.path)?;
        self.handle.sync().named("sync", &self.path)?;
        self.handle.truncate(FRAMES_AT).named("cut", &self.path)?;
        self.handle.sync().named("sync", &self.path)?;
        self.state.segments.clear();
        self.state.closed = Some(closed);
        Ok(true)
    }
}

fn prove(lander: &Lander<'_>, handle: &dyn Handle, path: &str) -> Result<(), LandError> {
    let value = lander.clock.now().to_le_bytes()[0];
    let proof = handle.write_at(&[value], PROOF_AT).and_then(|()| handle.sync());
    proof.map_err(|error| lease_lost(path, error))
}

pub(super) fn lease_lost(path: &str, error: io::Error) -> LandError {
    match Errno::from_io_error(&error) {
        // What Linux answers on a handle whose lock was lost.
        Some(Errno::IO | Errno::BADF) => LandError::LeaseLost { path: path.to_owned() },
        _ => LandError::Io { verb: "write", path: path.to_owned(), source: error },
    }
}

fn doubt(lander: &Lander<'_>, handle: &dyn Handle, path: &str, error: LandError) -> LandError {
    if !matches!(error, LandError::Damage { .. }) {
        return error;
    }
    let proof = match handle.length() {
        Ok(length) if length > PROOF_AT => prove(lander, handle, path),
        // A byte written here would change a journal that may be damaged; its own length does not.
        Ok(length) => handle.truncate(length).map_err(|error| lease_lost(path, error)),
        Err(error) => Err(lease_lost(path, error)),
    };
    proof.err().unwrap_or(error)
}

/// A journal is new where neither `seen` nor a data file is there; otherwise its header was lost. Where there is a
/// header and no frame (`found`), its maker may have been killed before it was durable: it is written again.
fn new_journal(
    lander: &Lander<'_>,
    day_file: &DayFile,
    path: &str,
    handle: &dyn Handle,
    bytes: &[u8],
    found: Option<State>,
) -> Result<State, LandError> {
    if let Some(name) = orphan(lander, day_file, found.is_none())? {
        return Err(doubt(lander, handle, path, headless(path, &name)));
    }
    if found.is_none() && !Identity::may_be_torn(bytes) {
        return Err(LandError::Foreign { path: path.to_owned() });
    }
    if found.is_none() && bytes.len() as u64 > FRAMES_AT {
        handle.truncate(0).named("cut", path)?;
    }
    let state = found.unwrap_or_else(|| {
        let identity = Identity::of(day_file, lander.config.timezone.name());
        let (_, crc) = identity.encode();
        State::new(identity, crc)
    });
    let (header, _) = state.identity.encode();
    handle.write_at(&header, 0).named("write", path)?;
    handle.sync().named("sync", path)?;
    folders::sync_up(lander, &day_file.journal_folder())?;
    Ok(state)
}

/// Something of a day that cannot be there before its journal is; `header`: before its journal's header is.
fn orphan(
    lander: &Lander<'_>,
    day_file: &DayFile,
    header: bool,
) -> Result<Option<String>, LandError> {
    for folder in [day_file.journal_folder(), day_file.folder().to_owned()] {
        folders::refresh(lander, &folder)?;
    }
    let mut names = vec![day_file.target(1, false), day_file.target(1, true)];
    if header {
        names.extend([day_file.seen(), day_file.open_segment(1)]);
    }
    for name in names {
        match lander.disk.open(&name, Open::Read) {
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error).named("open", &name),
            Ok(_) => return Ok(Some(name)),
        }
    }
    Ok(None)
}

fn headless(path: &str, name: &str) -> LandError {
    LandError::damage(path, format!("its beginning is missing or unreadable, but {name} is there"))
}

/// No journal gets so long: a commit takes some hundred bytes. What pretends to be is not read into memory.
const BYTES_MAX: u64 = 1 << 30;

fn read_all(handle: &dyn Handle, path: &str) -> Result<Vec<u8>, LandError> {
    read_from(handle, path, 0)
}

/// What was added to a journal that this process knows, and the bytes of its last frame.
fn read_on(
    state: State,
    handle: &dyn Handle,
    path: &str,
) -> Result<Option<(State, Vec<u8>)>, LandError> {
    let mut header = vec![0; FRAMES_AT as usize];
    let filled = handle.read_at(&mut header, 0).named("read", path)?;
    let known = state.last;
    let tail = read_from(handle, path, known)?;
    let Some(state) = state.read_on(path, &header[..filled], &tail) else { return Ok(None) };
    let last = tail[(state.last - known) as usize..(state.end - known) as usize].to_vec();
    Ok(Some((state, last)))
}

fn read_from(handle: &dyn Handle, path: &str, at: u64) -> Result<Vec<u8>, LandError> {
    let length = handle.length().named("look at", path)?;
    if length > BYTES_MAX {
        return Err(LandError::damage(
            path,
            format!("it has {length} bytes, which no journal has"),
        ));
    }
    let mut bytes = vec![0; length.saturating_sub(at) as usize];
    let count = handle.read_at(&mut bytes, at).named("read", path)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// The bytes of a journal with these frames, and the mark of its last one.
pub fn compose(identity: &Identity, frames: &[Frame]) -> (Vec<u8>, seen::Mark) {
    let (mut bytes, mut crc) = identity.encode();
    for frame in frames {
        let (frame, own) = frame.encode(crc);
        bytes.extend_from_slice(&frame);
        crc = own;
    }
    (bytes, seen::Mark { frames: frames.len() as u32, crc })
}

/// A journal under its lock, whatever it says: for a rebuild.
pub struct Ruin<'l> {
    lander: &'l Lander<'l>,
    path: String,
    handle: Box<dyn Handle>,
    bytes: Vec<u8>,
    state: Option<State>,
}

impl<'l> Ruin<'l> {
    /// Takes the lock and reads what there is.
    pub fn lock(lander: &'l Lander<'l>, day_file: &DayFile) -> Result<Ruin<'l>, LandError> {
        let path = day_file.journal();
        let how = Open::Create(lander.open_mode());
        let (handle, _) = lander.open_locked(&path, how, lander.lock_deadline())?;
        let bytes = read_all(handle.as_ref(), &path)?;
        let state = match State::read(&path, &bytes) {
            Err(newer @ LandError::Newer { .. }) => return Err(newer),
            read => read.ok().flatten(),
        };
        let state = state.filter(|state| state.identity.is_of(day_file));
        Ok(Ruin { lander, path, handle, bytes, state })
    }

    /// The journal as it stands.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says, if it is readable and this day file's.
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    /// Proves that the lock still stands.
    pub fn prove(&self) -> Result<(), LandError> {
        match self.bytes.len() as u64 > PROOF_AT {
            true => prove(self.lander, self.handle.as_ref(), &self.path),
            false => {
                let length = self.bytes.len() as u64;
                self.handle.truncate(length).map_err(|error| lease_lost(&self.path, error))
            }
        }
    }

    /// Puts a whole journal in the place of this one, in the same file. Emptied and synced first, so that a crash leaves
    /// nothing, or a part of the new one: damage as long as `seen` is there.
    pub fn replace(&self, bytes: &[u8]) -> Result<(), LandError> {
        self.handle.truncate(0).and_then(|()| self.handle.sync()).named("cut", &self.path)?;
        self.handle.write_at(bytes, 0).named("write", &self.path)?;
        self.handle.sync().named("sync", &self.path)
    }
}
