//! The journal's bytes: its header and its frames, encoded and decoded. Pure.
//!
//! ```text
//! 0      magic "HIWAKE2\n", length of the header u32, its CRC-32C u32, the header as JSON
//! 2048   while the day is rebuilt (then byte 6 of the magic is `!`): length u32, CRC-32C u32, the
//!        folder that holds the damaged files
//! 4095   the spare byte that proves a lock: any value
//! 4096   the Closed slot: length u32 (0: not closed), CRC-32C u32, Closed in postcard
//! 8192   frames, one after the other:
//!        magic "HWKF", kind u8, version u8, 0 u16, payload length u32, CRC-32C of the frame before
//!        u32, own CRC-32C u32 over the 16 bytes before it and the payload; payload in postcard
//! ```
//! Numbers are little-endian. The frame before the first one is the header; in a closed day, the
//! Closed slot. Their CRC stands for it.

use serde::{Deserialize, Serialize};

use crate::config::{Compress, Form};
use crate::land::root::error::LandError;
use crate::land::root::layout::DayFile;
use crate::row::Kind;

/// Where the frames begin.
pub const FRAMES_AT: u64 = 8192;
/// The byte that is written to prove that a lock still stands.
pub(crate) const PROOF_AT: u64 = 4095;
/// What follows the slot of a closed day, where no Removed frame does.
pub(crate) const RESERVE: u8 = b'R';
/// Where the Closed slot begins; it ends where the frames begin.
pub(crate) const CLOSED_AT: u64 = 4096;
/// How many entries of `seen` a block has at most.
pub(crate) const BLOCK_ENTRIES_MAX: u64 = 4096;
/// Where the folder of an interrupted rebuild stands.
pub(crate) const REBUILD_AT: u64 = 2048;
/// The byte of the magic that says whether the day is rebuilt at the moment.
pub(crate) const FORM_AT: u64 = 6;
/// A rebuild was begun and has not ended.
pub(crate) const FORM_REBUILD: u8 = b'!';

/// What a journal begins with.
pub(crate) const HEADER_MAGIC: &[u8; 8] = b"HIWAKE2\n";
const FRAME_MAGIC: &[u8; 4] = b"HWKF";
const FRAME_HEAD: usize = 20;
const VERSION: u8 = 1;

/// What the journal is of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Header {
    /// The file's name without its day.
    pub(crate) file: String,
    /// `YYYY-MM-DD`
    pub(crate) day: String,
    /// The format of the lines.
    pub(crate) kind: Kind,
    /// The IANA time zone that the day is a day of.
    pub(crate) timezone: String,
    /// The hash of stream and id in `seen`.
    pub(crate) hash: String,
}

impl Header {
    /// The header of a day file's journal.
    pub fn of(day_file: &DayFile, timezone: &str) -> Header {
        Header {
            file: day_file.file.clone(),
            day: day_file.day.to_string(),
            kind: day_file.kind,
            timezone: timezone.to_owned(),
            hash: "xxh3-64".to_owned(),
        }
    }

    /// Whether the journal is this day file's.
    pub(crate) fn is_of(&self, day_file: &DayFile) -> bool {
        *self == Header::of(day_file, &self.timezone)
    }

    /// The header's bytes, up to where the frames begin, and the CRC that the first frame names.
    pub fn encode(&self) -> (Vec<u8>, u32) {
        let json = serde_json::to_vec(self).expect("a struct of strings has a JSON text");
        let mut bytes = [&HEADER_MAGIC[..], &checked(&json)].concat();
        debug_assert!(bytes.len() < REBUILD_AT as usize, "names are limited to 1,000 bytes");
        bytes.resize(FRAMES_AT as usize, 0);
        (bytes, crc32c::crc32c(&json))
    }

    /// Whether bytes that are not a header may be what a crash left of one: its beginning, or
    /// zeros.
    pub(crate) fn may_be_torn(bytes: &[u8]) -> bool {
        let found = &bytes[..bytes.len().min(HEADER_MAGIC.len())];
        HEADER_MAGIC.starts_with(found) || found.iter().all(|byte| *byte == 0)
    }

    /// Reads a header; `None` if it is empty, partial or not a header.
    pub fn decode(bytes: &[u8]) -> Option<(Header, u32)> {
        let header = bytes.get(..FRAMES_AT as usize)?;
        let (json, crc) = read_checked(header.strip_prefix(HEADER_MAGIC)?)?;
        Some((serde_json::from_slice(json).ok()?, crc))
    }
}

/// How header, note and slot stand in a journal: length, CRC and the bytes themselves.
pub(crate) fn checked(bytes: &[u8]) -> Vec<u8> {
    let (length, crc) = (bytes.len() as u32, crc32c::crc32c(bytes));
    [&length.to_le_bytes(), &crc.to_le_bytes(), bytes].concat()
}

/// What stands so at the beginning of `bytes`, and its CRC; `None`: that is not what was written.
fn read_checked(bytes: &[u8]) -> Option<(&[u8], u32)> {
    let (length, rest) = take_u32(bytes)?;
    let (crc, rest) = take_u32(rest)?;
    let own = rest.get(..length as usize)?;
    (crc32c::crc32c(own) == crc).then_some((own, crc))
}

/// The folder with the damaged files of a day whose rebuild was begun and has not ended.
pub(crate) fn interrupted_rebuild(bytes: &[u8]) -> Option<&str> {
    let form = bytes.strip_prefix(&HEADER_MAGIC[..FORM_AT as usize])?.first()?;
    let (folder, _) = read_checked(bytes.get(REBUILD_AT as usize..)?)?;
    // A zero is what a power failure can leave of the byte.
    let is_note = matches!(*form, FORM_REBUILD | 0) && !folder.is_empty();
    std::str::from_utf8(folder).ok().filter(|_| is_note)
}

/// Identities in the order of their lines, as they stand in `seen`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The smallest timestamp in it.
    pub min: i64,
    /// The largest timestamp in it.
    pub max: i64,
    /// CRC-32C of its bytes.
    pub crc: u32,
    /// How many, from 1 to `BLOCK_ENTRIES_MAX`.
    pub count: u32,
}

/// Why rows of a date came to a day file, as the register of that date has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Routing {
    /// The UTC date, in days since the epoch.
    pub(crate) date: i32,
    /// CRC-32C of the rules that send them there; `None`: the register lists the day file.
    pub(crate) rules: Option<u32>,
}

/// Rows appended to a segment, all or none. What a reader needs to pass it over comes first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Commit {
    /// The smallest timestamp of its lines.
    pub min: i64,
    /// The largest timestamp of its lines.
    pub max: i64,
    /// Which segment, from 1.
    pub segment: u32,
    /// How many lines (entries in `seen`).
    pub lines: u64,
    /// Where its run begins in `seen`, in entries.
    pub seen: u64,
    /// How the segment's open file holds the text.
    pub form: Form,
    /// Where its bytes begin in the segment's open file.
    pub offset: u64,
    /// How many bytes it has there.
    pub bytes: u64,
    /// How many bytes of text, line breaks included.
    pub text_bytes: u64,
    /// CRC-32C of the text.
    pub crc: u32,
    /// When it was landed, milliseconds since the epoch.
    pub at: i64,
    /// How many rows of the same batch were dropped because they had already landed.
    pub duplicates: u64,
    /// The run's blocks, one after the other.
    pub blocks: Vec<Block>,
    /// What registers have to say, so that its events are found.
    pub routings: Vec<Routing>,
    /// The objects that the rows came from: bucket, key and ETag or version. They come last, since
    /// a frame that ends with a zero cannot be told from a torn one.
    pub objects: Vec<String>,
}

impl Commit {
    /// Of plain lines in one place of the open file, whose identities have these blocks.
    pub fn plain(
        segment: u32,
        offset: u64,
        bytes: u64,
        crc: u32,
        seen: u64,
        blocks: Vec<Block>,
    ) -> Commit {
        Commit {
            min: blocks.iter().map(|block| block.min).min().unwrap_or_default(),
            max: blocks.iter().map(|block| block.max).max().unwrap_or_default(),
            segment,
            lines: blocks.iter().map(|block| u64::from(block.count)).sum(),
            seen,
            offset,
            bytes,
            text_bytes: bytes,
            crc,
            blocks,
            ..Commit::default()
        }
    }

    /// Its blocks, each with the number of its first entry in `seen`.
    pub fn places(&self) -> impl Iterator<Item = (u64, &Block)> {
        self.blocks.iter().scan(self.seen, |next, block| {
            let first = *next;
            *next += u64::from(block.count);
            Some((first, block))
        })
    }

    /// Its bytes are not what was committed.
    pub(crate) fn wrong(&self, path: &str, what: &str) -> LandError {
        let Commit { offset, bytes, .. } = self;
        LandError::damage(path, format!("the commit of {bytes} bytes at {offset} has {what}"))
    }

    /// Whether its blocks have an entry for each line, and none too many, within its time bounds.
    pub fn is_whole(&self) -> bool {
        if self.lines == 0 {
            // An empty day has one.
            return self.blocks.is_empty() && self.seen + self.text_bytes == 0;
        }
        let counts = || self.blocks.iter().map(|block| u64::from(block.count));
        counts().sum::<u64>() == self.lines
            && counts().all(|count| (1..=BLOCK_ENTRIES_MAX).contains(&count))
            && Some(self.min) == self.blocks.iter().map(|block| block.min).min()
            && Some(self.max) == self.blocks.iter().map(|block| block.max).max()
    }
}

/// A finished segment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sealed {
    /// Which segment.
    pub(crate) segment: u32,
    /// The file that is published, relative to the root: a temporary, or the open file itself.
    pub(crate) temporary: String,
    /// The name that it is published under.
    pub target: String,
    /// Its length, as published.
    pub bytes: u64,
    /// The length of its text.
    pub(crate) text_bytes: u64,
    /// How many lines it has.
    pub lines: u64,
    /// SHA-256 of the published bytes.
    pub sha256: [u8; 32],
    /// XXH3-128 of a compressed file's text: a rebuild compares it with text whose CRCs hold.
    pub(crate) text_hash: Option<u128>,
    /// When, milliseconds since the epoch.
    pub(crate) at: i64,
}

impl Sealed {
    /// What is in the published file.
    pub(crate) fn contents(&self) -> Contents {
        let Sealed { bytes, lines, sha256, .. } = *self;
        Contents { bytes, lines, sha256 }
    }

    /// What stays of it in a closed day.
    pub(crate) fn closed(&self, done: i64, removed: Option<i64>) -> ClosedSegment {
        let (compress, _) = Compress::of(&self.target);
        ClosedSegment { compress, contents: self.contents(), done, removed }
    }
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Rows were appended: the commit point.
    Commit(Commit),
    /// The segment takes no more rows.
    Freeze(SegmentEvent),
    /// The segment is finished: the seal point.
    Sealed(Sealed),
    /// The sealed segment is published and cleaned up after.
    Done(SegmentEvent),
    /// The sealed file is removed by retention.
    Removed(SegmentEvent),
}

/// That something happened to a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEvent {
    /// Which segment.
    pub(crate) segment: u32,
    /// When, milliseconds since the epoch.
    pub(crate) at: i64,
}

/// What stays of a day when its frames and `seen` are cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// When, milliseconds since the epoch.
    pub(crate) at: i64,
    /// Every segment, first to last.
    pub(crate) segments: Vec<ClosedSegment>,
}

/// A published file, as it is or as it has to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contents {
    /// Its length.
    pub(crate) bytes: u64,
    /// How many lines it has.
    pub(crate) lines: u64,
    /// SHA-256 of its bytes.
    pub(crate) sha256: [u8; 32],
}

/// One published segment of a closed day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClosedSegment {
    /// How it is compressed; its name follows from that and its number.
    pub(crate) compress: Compress,
    /// What is in it.
    pub(crate) contents: Contents,
    /// When it was published, milliseconds since the epoch.
    pub(crate) done: i64,
    /// When retention removed it, in the slot or by a frame after it.
    pub(crate) removed: Option<i64>,
}

impl Closed {
    /// The slot's bytes; `None` if there are more segments than it can hold (the day then stays
    /// open to replay).
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut slot = checked(&postcard::to_stdvec(self).ok()?);
        if slot.len() > (FRAMES_AT - CLOSED_AT) as usize {
            return None;
        }
        slot.resize((FRAMES_AT - CLOSED_AT) as usize, 0);
        Some(slot)
    }

    /// Reads the slot of a whole header, and its CRC: not closed, closed, or unreadable (a close
    /// that was torn).
    pub fn decode(header: &[u8]) -> Result<Option<(Closed, u32)>, TornSlot> {
        let slot = header.get(CLOSED_AT as usize..FRAMES_AT as usize).ok_or(TornSlot)?;
        if slot.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let (payload, crc) = read_checked(slot).ok_or(TornSlot)?;
        postcard::from_bytes(payload).map(|closed| Some((closed, crc))).map_err(|_| TornSlot)
    }
}

/// The Closed slot holds something, but not a whole Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornSlot;

impl Frame {
    /// The frame's bytes after a frame with the CRC `previous`, and its own CRC.
    pub fn encode(&self, previous: u32) -> (Vec<u8>, u32) {
        let (kind, payload) = match self {
            Frame::Commit(commit) => (1, postcard::to_stdvec(commit)),
            Frame::Freeze(event) => (2, postcard::to_stdvec(event)),
            Frame::Sealed(sealed) => (3, postcard::to_stdvec(sealed)),
            Frame::Done(event) => (4, postcard::to_stdvec(event)),
            Frame::Removed(event) => (5, postcard::to_stdvec(event)),
        };
        let payload = payload.expect("plain structs can be written to a vector");
        let mut bytes = Vec::with_capacity(FRAME_HEAD + payload.len());
        bytes.extend_from_slice(FRAME_MAGIC);
        bytes.extend_from_slice(&[kind, VERSION, 0, 0]);
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&previous.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes), &payload);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&payload);
        (bytes, crc)
    }
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A whole frame.
    Frame {
        /// What it says.
        frame: Frame,
        /// The CRC that it gives for the frame before it.
        previous: u32,
        /// Its own CRC.
        crc: u32,
        /// How many bytes it has.
        length: usize,
    },
    /// A whole frame with a good CRC whose kind or version this release does not know, or whose
    /// payload it cannot read.
    Unknown {
        /// Its kind.
        kind: u8,
        /// Its version.
        version: u8,
    },
    /// No whole frame.
    Nothing,
}

/// Looks at the beginning of `bytes`.
pub fn decode(bytes: &[u8]) -> Found {
    let Some(([_, [kind, version, ..], _, previous, own], length)) = head(bytes) else {
        return Found::Nothing;
    };
    let payload = &bytes[FRAME_HEAD..length];
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..FRAME_HEAD - 4]), payload);
    if crc != u32::from_le_bytes(own) {
        return Found::Nothing;
    }
    let frame = match (version, kind) {
        (VERSION, 1) => whole(payload).map(Frame::Commit),
        (VERSION, 2) => whole(payload).map(Frame::Freeze),
        (VERSION, 3) => whole(payload).map(Frame::Sealed),
        (VERSION, 4) => whole(payload).map(Frame::Done),
        (VERSION, 5) => whole(payload).map(Frame::Removed),
        _ => None,
    };
    match frame {
        Some(frame) => Found::Frame { frame, previous: u32::from_le_bytes(previous), crc, length },
        None => Found::Unknown { kind, version },
    }
}

/// Whether a frame with a good CRC stands anywhere in `bytes`.
pub(crate) fn any_frame(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, FRAME_MAGIC).any(|at| decode(&bytes[at..]) != Found::Nothing)
}

/// Whether `bytes`, which do not begin with a whole frame and have none in them, are a last frame
/// that was changed after it was written. A crash leaves a frame's first bytes, or zeros in place
/// of some; it never leaves other ones.
pub(crate) fn was_changed(bytes: &[u8]) -> bool {
    let gap = bytes.starts_with(&[0]) || bytes.ends_with(&[0]);
    if bytes.is_empty() || gap || memchr::memmem::find(bytes, &[0; 8]).is_some() {
        return false;
    }
    let magic = bytes.len().min(FRAME_MAGIC.len());
    if bytes[..magic] != FRAME_MAGIC[..magic] {
        return true;
    }
    // Whole by its own length; or by the file's, if the length is what was changed.
    head(bytes).is_some() || crc_of_all(bytes).is_some_and(|(own, wanted)| own == wanted)
}

/// The CRC that a frame names, and the one that it has if it reaches to the end of `bytes`.
fn crc_of_all(bytes: &[u8]) -> Option<(u32, u32)> {
    let (head, payload) = bytes.split_at_checked(FRAME_HEAD)?;
    let (own, _) = take_u32(&head[FRAME_HEAD - 4..])?;
    let length = (payload.len() as u32).to_le_bytes();
    let parts = [&head[..8], &length, &head[12..FRAME_HEAD - 4], payload];
    Some((own, parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part))))
}

/// The words of a frame's head, and its length, where the frame is whole.
fn head(bytes: &[u8]) -> Option<([[u8; 4]; 5], usize)> {
    let (head, payload) = bytes.split_at_checked(FRAME_HEAD)?;
    let words: [[u8; 4]; 5] = head.as_chunks().0.try_into().ok()?;
    let length = u32::from_le_bytes(words[2]) as usize;
    (words[0] == *FRAME_MAGIC && payload.len() >= length).then_some((words, FRAME_HEAD + length))
}

fn whole<'b, T: Deserialize<'b>>(payload: &'b [u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(payload).ok()?;
    rest.is_empty().then_some(value)
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), rest))
}
