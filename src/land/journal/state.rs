//! What a journal says, frame by frame: the state of one day file. Pure.
//!
//! A frame that is incomplete or has a bad CRC, with nothing valid after it, is torn: it does not
//! exist. Anything else that does not fit is damage.

use chrono_tz::Tz;

use crate::config::Form;
use crate::day::utc_day;
use crate::land::journal::blocks::Blocks;
use crate::land::journal::frame::{
    self, Block, Closed, ClosedSegment, Commit, Contents, FRAMES_AT, Found, Frame, Header, RESERVE,
    Sealed,
};
use crate::land::journal::seen::Watermark;
use crate::land::root::error::{LandError, Result};
use crate::land::root::layout::{DayFile, Hint};

/// What the journal says of one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segment {
    /// Its commits, in order; at least one.
    pub(crate) commits: Vec<Commit>,
    /// When it stopped taking commits.
    pub frozen: Option<i64>,
    /// What it was sealed as.
    pub sealed: Option<Sealed>,
    /// When it was published and cleaned up after.
    pub(crate) done: Option<i64>,
    /// When retention removed it.
    pub removed: Option<i64>,
}

impl Segment {
    /// The committed length of its open file.
    pub fn bytes(&self) -> u64 {
        self.commits.last().map_or(0, |commit| commit.offset + commit.bytes)
    }

    /// The bytes of its text.
    pub(crate) fn text_bytes(&self) -> u64 {
        self.commits.iter().map(|commit| commit.text_bytes).sum()
    }

    /// How its open file holds the text.
    pub(crate) fn form(&self) -> Form {
        self.commits.first().map_or_else(Form::default, |commit| commit.form)
    }

    /// How many lines it has.
    pub fn lines(&self) -> u64 {
        self.commits.iter().map(|commit| commit.lines).sum()
    }
}

/// A published segment, or one that retention has removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    /// Its number, from 1.
    pub(crate) segment: u32,
    /// Its file, relative to the root.
    pub(crate) path: String,
    /// Whether retention has removed it.
    pub(crate) removed: bool,
    /// What is in it.
    pub(crate) contents: Contents,
}

/// Why a frame cannot follow what the journal says before it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutOfPlace {
    #[error("{0}")]
    Frame(&'static str),
    #[error("a frame of segment {0}, which {1}")]
    OfSegment(u32, &'static str),
    #[error("a commit to segment {0}")]
    CommitTo(u32),
}

/// All that the journal's bytes say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// What it is of.
    pub(crate) header: Header,
    /// The segments; the first is number 1.
    pub segments: Vec<Segment>,
    /// Where the identities of all commits are in `seen`.
    pub(crate) blocks: Blocks,
    /// Set when the day takes no more rows at all.
    pub(crate) closed: Option<Closed>,
    /// Where the next frame goes.
    pub(crate) end: u64,
    /// The CRC that it has to name.
    pub(crate) crc: u32,
    /// The CRC of every frame.
    pub(crate) crcs: Vec<u32>,
    /// Where the last frame begins.
    pub(crate) last: u64,
    /// Whether bytes of a torn frame lie beyond `end`.
    pub(crate) torn: bool,
}

impl State {
    /// A journal without frames. `crc` is its header's.
    pub fn new(header: Header, crc: u32) -> State {
        State { header, end: FRAMES_AT, crc, last: FRAMES_AT, ..State::default() }
    }

    /// Reads a journal's bytes. `Ok(None)`: its header is empty or partial and no frame follows.
    pub fn read(path: &str, bytes: &[u8]) -> Result<Option<State>> {
        match State::read_prefix(path, bytes) {
            (state, None) => Ok(state),
            (_, Some(error)) => Err(error),
        }
    }

    /// Reads a journal as far as it is good, and says what is wrong with the rest.
    pub(crate) fn read_prefix(path: &str, bytes: &[u8]) -> (Option<State>, Option<LandError>) {
        let damage = |what: String| (None, Some(LandError::damage(path, what)));
        if let Some(folder) = frame::interrupted_rebuild(bytes) {
            let what = "a rebuild of this day was interrupted; its files before that are in";
            return damage(format!("{what} {folder}"));
        }
        let Some((header, crc)) = Header::decode(bytes) else {
            if matches!(bytes, [b'H', b'I', b'W', b'A', b'K', b'E', b'3'..=b'9', b'\n', ..]) {
                let what = "its header is not one that this release knows".to_owned();
                return (None, Some(LandError::Newer { path: path.to_owned(), what }));
            }
            if frame::any_frame(bytes) {
                return damage("its header is unreadable, but frames follow".to_owned());
            }
            return (None, None);
        };
        let mut state = State::new(header, crc);
        let frames = &bytes[FRAMES_AT as usize..];
        let slot = Closed::decode(bytes);
        let is_torn = slot.is_err();
        if let Ok(Some((closed, crc))) = slot {
            state = State { closed: Some(closed), crc, ..state };
            // Frames that do not follow the slot are those of before the close.
            let found = frame::decode(frames);
            if !matches!(found, Found::Frame { previous, .. } if previous == crc) {
                state.torn = frames.iter().any(|byte| *byte != RESERVE);
                return (Some(state), None);
            }
        }
        let mut error = state.read_frames(path, FRAMES_AT, frames).err();
        if is_torn && state.segments.is_empty() && error.is_none() {
            let what = "its Closed slot is unreadable and it has no frames";
            error = Some(LandError::damage(path, what));
        }
        (Some(state), error)
    }

    /// Reads on where this state ends: `header` is the journal's beginning, `tail` what it has from
    /// the last frame on that this state knows. `None`: the tail does not continue this state, so
    /// all of it has to be read.
    ///
    /// Each frame names the CRC of the one before, so all frames before the last one are those that
    /// were read.
    pub(crate) fn read_on(mut self, path: &str, header: &[u8], tail: &[u8]) -> Option<State> {
        let Found::Frame { crc, .. } = frame::decode(tail) else { return None };
        let (own, _) = Header::decode(header)?;
        let open = Closed::decode(header) == Ok(None);
        if !open || own != self.header || crc != self.crc {
            return None;
        }
        self.torn = false;
        let known = self.last;
        self.read_frames(path, known, tail).ok()?;
        Some(self)
    }

    /// `bytes` are those of the journal from `at` on. After an error it is what stands before.
    fn read_frames(&mut self, path: &str, at: u64, bytes: &[u8]) -> Result<()> {
        let damage = |what: String| Err(LandError::damage(path, what));
        loop {
            let end = self.end;
            let rest = &bytes[(end - at) as usize..];
            match frame::decode(rest) {
                Found::Frame { frame, previous, crc, length } => {
                    if previous != self.crc {
                        return damage(format!("the frame at {end} follows another one"));
                    }
                    if let Err(what) = self.apply(frame) {
                        return damage(format!("{what}, at {end}"));
                    }
                    self.follow(crc, length as u64);
                }
                Found::Unknown { kind, version } => {
                    let what = format!(
                        "the frame at {end} has kind {kind} version {version}, which this release does not know"
                    );
                    return Err(LandError::Newer { path: path.to_owned(), what });
                }
                Found::Nothing if rest.is_empty() => return Ok(()),
                Found::Nothing
                    if self.closed.is_some() && rest.iter().all(|byte| *byte == RESERVE) =>
                {
                    return Ok(());
                }
                Found::Nothing if rest[0] == RESERVE && self.segments.is_empty() => {
                    return damage("its Closed slot is missing".to_owned());
                }
                Found::Nothing if frame::any_frame(&rest[1..]) => {
                    return damage(format!(
                        "the frame at {end} is unreadable, but valid ones follow"
                    ));
                }
                Found::Nothing if frame::was_changed(rest) => {
                    return damage(format!(
                        "the last frame, at {end}, was changed since it was written: rows of it may have been acknowledged"
                    ));
                }
                Found::Nothing => {
                    self.torn = true;
                    return Ok(());
                }
            }
        }
    }

    /// The next frame comes after this one.
    pub(crate) fn follow(&mut self, crc: u32, length: u64) {
        self.crc = crc;
        self.crcs.push(crc);
        self.last = self.end;
        self.end += length;
    }

    /// What `seen` is to say of the journal as it is.
    pub(crate) fn watermark(&self) -> Watermark {
        Watermark { frames: self.crcs.len() as u32, crc: self.crc }
    }

    /// How many frames follow the one that `seen` knows of; `None` if the journal lacks that one.
    pub(crate) fn after(&self, mark: Option<Watermark>) -> Option<usize> {
        let frames = mark.map_or(0, |mark| mark.frames as usize);
        let known = self.crcs.get(..frames)?.last();
        (known.copied() == mark.map(|mark| mark.crc).filter(|_| frames > 0))
            .then(|| self.crcs.len() - frames)
    }

    /// The day is closed: this is all that is known of it from now on.
    pub(crate) fn close(&mut self, closed: Closed, slot_crc: u32) {
        let header = self.header.clone();
        *self = State { closed: Some(closed), ..State::new(header, slot_crc) };
    }

    pub(crate) fn apply(&mut self, frame: Frame) -> Result<(), OutOfPlace> {
        if let Some(closed) = &mut self.closed {
            let Frame::Removed(event) = frame else {
                return Err(OutOfPlace::Frame("a frame of a closed day that is not Removed"));
            };
            numbered_mut(&mut closed.segments, event.segment, "is unknown")?.removed =
                Some(event.at);
            return Ok(());
        }
        match frame {
            Frame::Commit(commit) => {
                if commit.segment != self.next_segment() {
                    return Err(OutOfPlace::CommitTo(commit.segment));
                }
                if commit.segment as usize > self.segments.len() {
                    self.segments.push(Segment::default());
                }
                let seen = self.seen();
                let segment = self.last_mut(commit.segment)?;
                if commit.offset != segment.bytes() || commit.seen != seen {
                    return Err(OutOfPlace::Frame("a commit that does not follow the one before"));
                }
                if !commit.is_whole() {
                    return Err(OutOfPlace::Frame("a commit whose blocks are not of its lines"));
                }
                if segment.commits.first().is_some_and(|first| first.form != commit.form) {
                    return Err(OutOfPlace::Frame("a commit of another form than its segment"));
                }
                self.blocks.add(&commit);
                self.last_mut(commit.segment)?.commits.push(commit);
            }
            Frame::Freeze(event) => self.last_mut(event.segment)?.frozen = Some(event.at),
            Frame::Sealed(sealed) => {
                let segment = self.any_mut(sealed.segment)?;
                if segment.frozen.is_none() || segment.sealed.is_some() {
                    let what = "a seal of a segment that is not frozen, or sealed already";
                    return Err(OutOfPlace::Frame(what));
                }
                segment.sealed = Some(sealed);
            }
            Frame::Done(event) => {
                let segment = self.any_mut(event.segment)?;
                if segment.sealed.is_none() {
                    return Err(OutOfPlace::Frame("Done of a segment that is not sealed"));
                }
                segment.done = Some(event.at);
            }
            Frame::Removed(event) => self.any_mut(event.segment)?.removed = Some(event.at),
        }
        Ok(())
    }

    fn any_mut(&mut self, segment: u32) -> Result<&mut Segment, OutOfPlace> {
        numbered_mut(&mut self.segments, segment, "has no commits")
    }

    fn last_mut(&mut self, segment: u32) -> Result<&mut Segment, OutOfPlace> {
        let last = self.segments.len() as u32;
        match self.any_mut(segment)? {
            found if segment == last && found.frozen.is_none() => Ok(found),
            _ => Err(OutOfPlace::OfSegment(segment, "is frozen")),
        }
    }

    /// The segment that the next commit goes to.
    pub(crate) fn next_segment(&self) -> u32 {
        let count = self.segments.len() as u32;
        match self.segments.last() {
            Some(last) if last.frozen.is_none() => count,
            _ => count + 1,
        }
    }

    /// One segment, from 1.
    pub(crate) fn segment(&self, number: u32) -> Option<&Segment> {
        self.segments.get((number as usize).checked_sub(1)?)
    }

    /// The segments that are sealed, and that a crash kept from being published.
    pub(crate) fn unpublished(&self) -> Vec<u32> {
        let sealed = |segment: &Segment| segment.sealed.is_some() && segment.done.is_none();
        self.numbered().filter(|(_, segment)| sealed(segment)).map(|(number, _)| number).collect()
    }

    /// When the last segment was published, where all are.
    pub(crate) fn last_done(&self) -> Option<i64> {
        let done: Option<Vec<i64>> = self.ends().into_iter().map(|(done, _)| done).collect();
        done?.into_iter().max()
    }

    /// The segments that are published, or were until retention removed them.
    pub(crate) fn published(&self, day_file: &DayFile) -> Vec<Published> {
        let closed = |(segment, one): (u32, &ClosedSegment)| {
            let (path, removed) = (day_file.target(segment, one.compress), one.removed.is_some());
            Published { segment, path, removed, contents: one.contents }
        };
        let done = |(segment, one): (u32, &Segment)| {
            let sealed = one.sealed.as_ref().filter(|_| one.done.is_some())?;
            let (path, removed) = (sealed.target.clone(), one.removed.is_some());
            Some(Published { segment, path, removed, contents: sealed.contents() })
        };
        match &self.closed {
            Some(slot) => (1..).zip(&slot.segments).map(closed).collect(),
            None => self.numbered().filter_map(done).collect(),
        }
    }

    /// Whether retention has removed all that was published.
    pub(crate) fn is_removed(&self) -> bool {
        self.ends().iter().all(|(_, removed)| removed.is_some())
    }

    /// When each segment was published, and when retention removed it.
    fn ends(&self) -> Vec<(Option<i64>, Option<i64>)> {
        match &self.closed {
            Some(closed) => {
                closed.segments.iter().map(|one| (Some(one.done), one.removed)).collect()
            }
            None => self.segments.iter().map(|one| (one.done, one.removed)).collect(),
        }
    }

    /// Where the calendar has the day, if it does: all segments are published, and something of
    /// them is left to be done.
    pub(crate) fn calendar_hint(&self) -> Option<Hint> {
        let date = utc_day(self.last_done()?);
        match (self.closed.is_some(), self.is_removed()) {
            (false, false) => Some(Hint::Close(date)),
            (false, true) => Some(Hint::Removed(date)),
            (true, false) => Some(Hint::Closed(date)),
            (true, true) => None,
        }
    }

    /// Whether a segment is published and cleaned up after; once it is, it is for ever.
    pub fn is_done(&self, number: u32) -> bool {
        self.closed.is_some() || self.segment(number).is_some_and(|segment| segment.done.is_some())
    }

    /// The segments with their numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u32, &Segment)> {
        (1..).zip(&self.segments)
    }

    /// Every commit, first to last.
    pub fn commits(&self) -> impl Iterator<Item = &Commit> {
        self.segments.iter().flat_map(|segment| &segment.commits)
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn cost(&self) -> usize {
        /// A frame's names of objects, and a block's place in a map.
        const FRAME_BYTES: usize = size_of::<Commit>() + 256;
        const BLOCK_BYTES: usize = 4 * size_of::<Block>();
        self.crcs.len() * FRAME_BYTES + self.blocks.count * BLOCK_BYTES
    }

    /// How many entries `seen` has.
    pub(crate) fn seen(&self) -> u64 {
        let last = self.segments.iter().rev().find_map(|segment| segment.commits.last());
        last.map_or(0, |commit| commit.seen + commit.lines)
    }

    /// The time zone that the day is a day of.
    pub fn timezone(&self, path: &str) -> Result<Tz> {
        let name = &self.header.timezone;
        name.parse().map_err(|_| {
            LandError::damage(path, format!("its time zone `{name}` is unknown to this release"))
        })
    }
}

/// The segment of a number, from 1, that a frame names.
fn numbered_mut<'s, T>(
    segments: &'s mut [T],
    number: u32,
    missing: &'static str,
) -> Result<&'s mut T, OutOfPlace> {
    let found = (number as usize).checked_sub(1).and_then(|index| segments.get_mut(index));
    found.ok_or(OutOfPlace::OfSegment(number, missing))
}
