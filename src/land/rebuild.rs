//! Rebuild: a damaged day is repaired. What is good stays as it is; what is missing comes from objects;
//! where a line that was acknowledged is nowhere, nothing changes.
//!
//! All of it happens under the journal's lock, so landers wait and try again. The day's lines are held
//! in memory. How the result takes its place is in [`super::replace`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use sha2::{Digest, Sha256};

use super::Lander;
use super::contents::Contents;
use super::day_file::{DayFile, Hint};
use super::error::{LandError, Named};
use super::frame::{CLOSED_AT, Closed, ClosedSegment, Commit, Frame, Header, Sealed};
use super::frame::{FRAMES_AT, SegmentEvent};
use super::journal::{self, DamagedJournal};
use super::output::gzip;
use super::publish::checksum;
use super::replace::{Replacement, put};
use super::seen;
use super::state::State;
use super::survey::{Files, Rows, Survey, find, read_file};
use super::verify::{Verified, verify_day};
use crate::disk::Open;
use crate::row::Identity;
use crate::store::{Object, ObjectId, Store};

/// So many segments fit the slot of a closed day.
const CLOSED_SEGMENTS_MAX: u32 = 64;

/// Why a day was not repaired.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A file of the day, or the lock.
    #[error(transparent)]
    Land(#[from] LandError),
    /// An object could not be read.
    #[error("{object}: {reason}; nothing was changed")]
    Object {
        /// Which one.
        object: String,
        /// Why.
        reason: String,
    },
    /// Lines that were acknowledged are in no object.
    #[error(
        "{day_file}: at least {lines} of its lines are in no object of SOURCE. Objects that its journal names and that were not found: {}. {}",
        if objects.is_empty() { "none".to_owned() } else { objects.join(", ") },
        unchanged(aside.as_deref())
    )]
    Missing {
        /// The day file.
        day_file: DayFile,
        /// How many.
        lines: u64,
        /// Objects that the journal names and that were not found.
        objects: Vec<String>,
        /// Where an interrupted rebuild has put the day's files.
        aside: Option<String>,
    },
    /// It cannot be made as it was.
    #[error("{path}: {reason}. {}", unchanged(aside.as_deref()))]
    Refused {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
        /// Where an interrupted rebuild has put the day's files.
        aside: Option<String>,
    },
}

fn unchanged(aside: Option<&str>) -> String {
    match aside {
        None => "Nothing was changed".to_owned(),
        Some(folder) => format!("An interrupted rebuild has put the day's files into {folder}"),
    }
}

/// What became of a day that nothing is wrong with any more.
#[derive(Debug)]
pub enum Rebuilt {
    /// Nothing was wrong with it.
    Whole,
    /// Only a checksum or a hint was missing.
    Repaired,
    /// Its journal was written anew, and what else was damaged.
    Rebuilt {
        /// How many lines it has, in all segments.
        lines: u64,
        /// How many objects were read.
        objects: usize,
        /// Objects that the journal names, that were not found, and that were not needed.
        missing: Vec<String>,
        /// Published files that have the same text in other bytes, because it was compressed again.
        compressed: Vec<String>,
        /// Whether the day takes no rows any more, because the identities of its lines are lost.
        closed: bool,
        /// Where the damaged files are kept.
        kept: String,
    },
}

/// Repairs one day. `objects` are all that may be read; those that the journal names are, or all if one
/// of these is missing or it names none.
pub fn rebuild(
    lander: &Lander<'_>,
    store: &Store,
    objects: &[Object],
    day_file: &DayFile,
) -> Result<Rebuilt, RebuildError> {
    let journal = DamagedJournal::lock(lander, day_file)?;
    if let Err(newer @ LandError::Newer { .. }) = State::read(&day_file.journal(), journal.bytes())
    {
        return Err(newer.into());
    }
    let aside = journal.interrupted().map(str::to_owned);
    let files = Files { lander, day_file, aside: aside.clone() };
    if aside.is_none() {
        if lines_if_whole(lander, day_file).is_ok() {
            return Ok(Rebuilt::Whole);
        }
        journal.check_lease()?;
        repair_names(&files, journal.bytes())?;
        if lines_if_whole(lander, day_file).is_ok() {
            return Ok(Rebuilt::Repaired);
        }
    }
    let before = match &aside {
        Some(_) => files.read(&day_file.journal())?.unwrap_or_default(),
        None => journal.bytes().to_vec(),
    };
    let survey = Survey::read(&files, &before)?;
    let mut segments = published(&files, &survey)?;
    let count = segments.len() as u32;
    let Choice { chosen, named, missing } = Choice::of(&survey, objects);
    let mut rows = Rows::of_day(&survey, day_file.kind);
    if survey.has_gaps(count) || segments.iter().any(|one| !one.is_known(&survey)) {
        rows.read(&files, store, &chosen, named, &survey)?;
    }
    let mut unknown = 0;
    for one in &mut segments {
        unknown += one.find_ids(&files, &survey, &mut rows)?;
        rows.take(&one.ids);
    }
    let lines = segments.iter().map(|one| one.contents.lines).sum();
    let closed = unknown > 0 && count <= CLOSED_SEGMENTS_MAX && survey.is_published(count, lines);
    let lost = |lines| RebuildError::Missing {
        day_file: day_file.clone(),
        lines,
        objects: missing.clone(),
        aside: aside.clone(),
    };
    if unknown > 0 && !closed {
        return Err(lost(unknown));
    }
    let rest = match closed {
        true => Vec::new(),
        false => rows.unpublished(&survey, count, objects, day_file.kind).map_err(lost)?,
    };
    if segments.is_empty() && rest.is_empty() {
        return Err(lost(1));
    }
    let plan =
        Plan { files: &files, survey: &survey, segments: &segments, rest: &rest, rows: &rows };
    let kept = plan.replacement(closed).put(&files, &journal)?;
    let lines = lines_if_whole(lander, day_file)?;
    let compressed = segments.iter().filter(|one| one.is_other_bytes).map(|one| one.target.clone());
    let (compressed, objects) = (compressed.collect(), rows.objects.len());
    Ok(Rebuilt::Rebuilt { lines, objects, missing, compressed, closed, kept })
}

/// How many lines a day has that nothing is wrong with.
fn lines_if_whole(lander: &Lander<'_>, day_file: &DayFile) -> Result<u64, LandError> {
    let mut verified = Verified::default();
    verify_day(lander, day_file, &mut verified);
    match verified.findings.into_iter().find(|finding| finding.wrong) {
        Some(wrong) => Err(LandError::damage(wrong.path, wrong.what)),
        None => Ok(verified.lines),
    }
}

/// The small repair: checksums of published files that are good, and hints, as the journal has them.
fn repair_names(files: &Files<'_>, journal: &[u8]) -> Result<(), LandError> {
    let Files { lander, day_file, .. } = *files;
    let Ok(Some(state)) = State::read(&day_file.journal(), journal) else { return Ok(()) };
    for one in state.published(day_file).iter().filter(|one| !one.removed) {
        let Ok(file) = lander.disk.open(&one.path, Open::Read) else { continue };
        if Contents::read(file.as_ref(), &one.path, day_file.kind)? != one.contents {
            continue;
        }
        let (path, text) =
            (format!("{}.sha256", one.path), checksum(&one.path, &one.contents.sha256));
        if read_file(lander, &path)?.as_deref() != Some(text.as_bytes()) {
            put(lander, day_file, one.segment, &path, text.as_bytes())?;
        }
    }
    make_hints(lander, day_file, &state)
}

/// The hints that a journal wants.
pub fn make_hints(lander: &Lander<'_>, day_file: &DayFile, state: &State) -> Result<(), LandError> {
    let unsealed = state.numbered().filter(|(_, segment)| segment.done.is_none());
    let hints = unsealed.map(|(number, _)| Hint::Seal(number)).chain(state.calendar_hint());
    hints.map(|hint| day_file.hint(&hint)).try_for_each(|hint| lander.make_hint(&hint))
}

/// The objects that are read.
struct Choice {
    chosen: Vec<ObjectId>,
    /// Whether they are those that the journal names; otherwise they are all that there are.
    named: bool,
    /// The names that the journal has of objects that are not there.
    missing: Vec<String>,
}

impl Choice {
    fn of(survey: &Survey, objects: &[Object]) -> Choice {
        let names = survey.objects();
        let found: Vec<Option<&Object>> = names.iter().map(|name| find(name, objects)).collect();
        let gone = names.iter().zip(&found).filter(|(_, found)| found.is_none());
        let missing: Vec<String> = gone.map(|(name, _)| (*name).to_owned()).collect();
        let named = !names.is_empty() && missing.is_empty() && survey.complete;
        let chosen: Vec<&Object> =
            if named { found.into_iter().flatten().collect() } else { objects.iter().collect() };
        let chosen = chosen.into_iter().map(|object| object.id.clone()).collect();
        Choice { chosen, named, missing }
    }
}

/// A published segment, as it is on record and as it is.
struct Segment {
    number: u32,
    target: String,
    contents: Contents,
    text_sha256: Option<[u8; 32]>,
    /// When it was published, and when retention removed it.
    done: i64,
    removed: Option<i64>,
    /// Its identities, in the order of their times.
    ids: Vec<Identity>,
    /// Its text; nothing, where retention has removed it.
    text: Vec<u8>,
    /// Its bytes, where those that are there are not good.
    bytes: Option<Vec<u8>>,
    /// Whether they are other ones than those that were published, with the same text.
    is_other_bytes: bool,
}

/// The published segments: those that the journal knows, and those beside it that have a checksum.
fn published(files: &Files<'_>, survey: &Survey) -> Result<Vec<Segment>, RebuildError> {
    let Files { lander, day_file, aside } = files;
    let refused = |path: &str, reason: &str| RebuildError::Refused {
        path: path.to_owned(),
        reason: reason.to_owned(),
        aside: aside.clone(),
    };
    if survey.state.as_ref().is_some_and(|state| state.closed.is_some()) {
        let reason = "the day is closed: its journal has no identities any more, so take the damaged file from a backup of the root";
        return Err(refused(&day_file.to_string(), reason));
    }
    let mut segments: BTreeMap<u32, Segment> = BTreeMap::new();
    for (number, segment) in survey.state.iter().flat_map(State::numbered) {
        let Some(sealed) = &segment.sealed else { continue };
        let mut one = Segment::new(number, &sealed.target, Contents::of(sealed), sealed.at);
        one.text_sha256 = Some(sealed.text_sha256);
        (one.done, one.removed) = (segment.done.unwrap_or(sealed.at), segment.removed);
        if one.removed.is_none() {
            let temporary = read_file(lander, &sealed.temporary)?;
            one.read(files, temporary)?;
        }
        segments.insert(number, one);
    }
    for target in files.names()? {
        let parsed = DayFile::parse_published(day_file.folder(), super::day_file::name_of(&target));
        let Some((_, number)) = parsed else { continue };
        match segments.get(&number) {
            Some(known) if known.target == target => continue,
            Some(_) => return Err(refused(&target, "another file of this segment is published")),
            None if survey.complete => {
                return Err(refused(&target, "hiwake did not publish it; move it elsewhere"));
            }
            None => {}
        }
        let bytes = files.read(&target)?.unwrap_or_default();
        let sha256 = Sha256::digest(&bytes).into();
        let sum = files.read(&format!("{target}.sha256"))?;
        if sum.as_deref() != Some(checksum(&target, &sha256).as_bytes()) {
            let reason = "neither its journal nor a .sha256 beside it says what it was";
            return Err(refused(&target, reason));
        }
        let file = lander.disk.open(&target, Open::Read).named("open", &target)?;
        let modified = file.inode().named("look at", &target)?.modified;
        let at = if modified > 0 { modified } else { lander.clock.now() };
        let contents = Contents::read(file.as_ref(), &target, day_file.kind)?;
        let mut one = Segment::new(number, &target, contents, at);
        one.read(files, None)?;
        segments.insert(number, one);
    }
    for (wanted, (number, one)) in (1..).zip(&segments) {
        if *number != wanted {
            let reason = format!("segment {wanted} is not there, and no journal says what it was");
            return Err(refused(&one.target, &reason));
        }
    }
    Ok(segments.into_values().collect())
}

impl Segment {
    fn new(number: u32, target: &str, contents: Contents, done: i64) -> Segment {
        Segment {
            number,
            target: target.to_owned(),
            contents,
            text_sha256: None,
            done,
            removed: None,
            ids: Vec::new(),
            text: Vec::new(),
            bytes: None,
            is_other_bytes: false,
        }
    }

    fn is_gzip(&self) -> bool {
        self.target.ends_with(".gz")
    }

    /// Reads the file that is there, or the temporary one that was about to be published.
    fn read(&mut self, files: &Files<'_>, temporary: Option<Vec<u8>>) -> Result<(), LandError> {
        let there = read_file(files.lander, &self.target)?;
        let good =
            |bytes: &Vec<u8>| <[u8; 32]>::from(Sha256::digest(bytes)) == self.contents.sha256;
        let is_published = there.as_ref().is_some_and(good);
        let Some(bytes) = there.filter(good).or(temporary.filter(good)) else {
            self.bytes = Some(Vec::new());
            return Ok(());
        };
        self.bytes = (!is_published).then(|| bytes.clone());
        self.text = match self.is_gzip() {
            false => bytes,
            true => {
                let mut text = Vec::new();
                let inflated = flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text);
                inflated.named("inflate", &self.target)?;
                text
            }
        };
        Ok(())
    }

    /// Whether its identities are known, and its bytes good.
    fn is_known(&self, survey: &Survey) -> bool {
        let damaged = self.bytes.is_some() && self.text.is_empty();
        !damaged && survey.ids(self.number).is_some_and(|ids| self.is_count(&ids))
    }

    fn is_count(&self, ids: &[Identity]) -> bool {
        ids.len() as u64 == self.contents.lines
    }

    /// Its identities, and its bytes where they are damaged. Answers of how many lines they are unknown.
    fn find_ids(
        &mut self,
        files: &Files<'_>,
        survey: &Survey,
        rows: &mut Rows,
    ) -> Result<u64, RebuildError> {
        let known = survey.ids(self.number).filter(|ids| self.is_count(ids));
        let damaged = self.bytes.is_some() && self.text.is_empty();
        let unknown = match known {
            Some(ids) if damaged => {
                self.make_again(files, rows, &ids)?;
                self.ids = ids;
                0
            }
            Some(ids) => {
                self.ids = ids;
                0
            }
            None if damaged || self.removed.is_some() => return Err(self.refused(files)),
            None => {
                let (ids, unknown) = rows.match_lines(&self.text, files.day_file.kind);
                self.ids = ids;
                unknown
            }
        };
        self.ids.sort_by_key(|id| id.timestamp);
        Ok(unknown)
    }

    /// The text that was sealed, of the rows: in the order of the commits or of the times. Only the
    /// recorded hash tells whether it is.
    fn make_again(
        &mut self,
        files: &Files<'_>,
        rows: &Rows,
        committed: &[Identity],
    ) -> Result<(), RebuildError> {
        let mut by_time = committed.to_vec();
        by_time.sort_by_key(|id| id.timestamp);
        for order in [committed, &by_time] {
            let Some(order) = rows.find(order) else { break };
            let text = rows.text(&order);
            if Some(Sha256::digest(&text).into()) != self.text_sha256 {
                continue;
            }
            let bytes = match self.is_gzip() {
                true => gzip(&text).named("compress", &self.target)?,
                false => text.clone(),
            };
            let (length, sha256) = (bytes.len() as u64, Sha256::digest(&bytes).into());
            self.is_other_bytes = sha256 != self.contents.sha256;
            (self.contents.bytes, self.contents.sha256) = (length, sha256);
            (self.text, self.bytes) = (text, Some(bytes));
            return Ok(());
        }
        Err(self.refused(files))
    }

    fn refused(&self, files: &Files<'_>) -> RebuildError {
        RebuildError::Refused {
            path: self.target.clone(),
            reason: "it is damaged, and the objects do not give the text that was sealed"
                .to_owned(),
            aside: files.aside.clone(),
        }
    }
}

/// Everything that the day is made of.
struct Plan<'p> {
    files: &'p Files<'p>,
    survey: &'p Survey,
    segments: &'p [Segment],
    rest: &'p [usize],
    rows: &'p Rows,
}

impl Plan<'_> {
    fn replacement(&self, closed: bool) -> Replacement {
        let text = self.rows.text(self.rest);
        let (journal, seen) = if closed { self.closed() } else { self.journal(&text) };
        let mut published = Vec::new();
        for one in self.segments.iter().filter(|one| one.removed.is_none()) {
            published.extend(one.bytes.iter().map(|bytes| (one.target.clone(), bytes.clone())));
            let sum = checksum(&one.target, &one.contents.sha256).into_bytes();
            published.push((format!("{}.sha256", one.target), sum));
        }
        let number = self.segments.len() as u32 + 1;
        let open = (!self.rest.is_empty()).then_some((number, text));
        Replacement { journal, seen, published, open }
    }

    fn header(&self) -> Header {
        let state = self.survey.state.as_ref();
        let configured = self.files.lander.config.timezone.name();
        let timezone = state.map_or(configured, |state| &state.header.timezone);
        Header::of(self.files.day_file, timezone)
    }

    /// The journal of a day whose identities are lost: it takes no rows any more.
    fn closed(&self) -> (Vec<u8>, Vec<u8>) {
        let segment = |one: &Segment| {
            let Contents { bytes, lines, sha256 } = one.contents;
            let (gzip, done, removed) = (one.is_gzip(), one.done, one.removed);
            ClosedSegment { gzip, bytes, lines, sha256, done, removed }
        };
        let segments = self.segments.iter().map(segment).collect();
        let closed = Closed { at: self.files.lander.clock.now(), segments };
        let (mut journal, _) = self.header().encode();
        let slot = closed.encode().unwrap_or_default();
        journal[CLOSED_AT as usize..][..slot.len()].copy_from_slice(&slot);
        debug_assert_eq!(journal.len() as u64, FRAMES_AT);
        (journal, Vec::new())
    }

    /// The journal's and `seen`'s bytes.
    fn journal(&self, text: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let objects: Vec<String> = self.objects();
        let (mut frames, mut runs, mut entries) = (Vec::new(), Vec::new(), 0);
        let mut commit = |segment, at, ids: &[Identity], text: &[u8], frames: &mut Vec<Frame>| {
            let (run, blocks) = seen::encode(ids.iter().copied());
            let (bytes, crc) = (text.len() as u64, crc32c::crc32c(text));
            let commit = Commit::plain(segment, 0, bytes, crc, entries, blocks);
            frames.push(Frame::Commit(Commit { at, objects: objects.clone(), ..commit }));
            entries += ids.len() as u64;
            runs.extend_from_slice(&run);
        };
        for one in self.segments {
            let (segment, at, target) = (one.number, one.done, one.target.clone());
            commit(segment, at, &one.ids, &one.text, &mut frames);
            let Contents { bytes, lines, sha256 } = one.contents;
            let (temporary, text_bytes) = (target.clone(), one.text.len() as u64);
            let text_sha256 = one.text_sha256.unwrap_or_else(|| Sha256::digest(&one.text).into());
            let sealed = Sealed {
                segment,
                temporary,
                target,
                bytes,
                text_bytes,
                lines,
                sha256,
                text_sha256,
                at,
            };
            let event = SegmentEvent { segment, at };
            frames.extend([Frame::Freeze(event), Frame::Sealed(sealed), Frame::Done(event)]);
            let removed = one.removed.map(|at| Frame::Removed(SegmentEvent { segment, at }));
            frames.extend(removed);
        }
        if !self.rest.is_empty() {
            let (number, at) = (self.segments.len() as u32 + 1, self.files.lander.clock.now());
            commit(number, at, &self.rows.ids(self.rest), text, &mut frames);
        }
        let (journal, watermark) = journal::compose(&self.header(), &frames);
        let mut seen = watermark.encode();
        seen.extend_from_slice(&runs);
        (journal, seen)
    }

    /// The objects that the day's lines came from, as far as it is known.
    fn objects(&self) -> Vec<String> {
        let whole = self.survey.objects_of_whole(self.segments.len() as u32).cloned();
        let objects: BTreeSet<String> = whole.chain(self.rows.sources()).collect();
        objects.into_iter().collect()
    }
}
