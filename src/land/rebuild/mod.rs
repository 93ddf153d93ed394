//! Rebuild: a damaged day is repaired. What is good stays as it is; what is missing comes from
//! objects; where a line that was acknowledged is nowhere, nothing changes.
//!
//! All of it happens under the journal's lock, so landers wait and try again. The day's lines are
//! held in memory. How the result takes its place is in `replace.rs`.

mod replace;
mod survey;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Read;

use sha2::{Digest, Sha256};

use crate::disk::Open;
use crate::land::day_file::contents::split;
use crate::land::day_file::publish::checksum;
use crate::land::day_file::writer::{GZIP_LEVEL, gzip};
use crate::land::journal::frame::{
    CLOSED_AT, Closed, ClosedSegment, Commit, Frame, Header, Routing, Sealed, SegmentEvent,
};
use crate::land::journal::lander::Lander;
use crate::land::journal::state::{Contents, State};
use crate::land::journal::{self, DamagedJournal, seen};
use crate::land::rebuild::replace::{Replacement, install_file, make_hints};
pub use crate::land::rebuild::survey::RebuildError;
use crate::land::rebuild::survey::{Files, FoundRows, Piece, Survey, find, read_file};
use crate::land::root::error::{Context, LandError};
use crate::land::root::layout::{DayFile, name_of};
use crate::land::upkeep::verify::{self, Verified, verify_day};
use crate::row::{EventKey, Kind};
use crate::store::{Object, ObjectId, Store};

/// So many segments fit the slot of a closed day.
const CLOSED_SEGMENTS_MAX: u32 = 64;

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
        /// Published files that have the same text in other bytes, because it was compressed again.
        compressed: Vec<String>,
        /// Whether the day takes no rows any more, because the identities of its lines are lost.
        closed: bool,
        /// How many lines no commit had: they are no lines of it any more.
        uncommitted: u64,
        /// Where the damaged files are kept.
        kept: String,
    },
}

/// Repairs one day. `objects` are all that may be read; those that the journal names are, or all if
/// one of these is missing or it names none.
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
    let files = Files { lander, day_file, aside: journal.interrupted().map(str::to_owned) };
    let mut before = journal.bytes().to_vec();
    if files.aside.is_some() {
        before = files.read(&day_file.journal())?;
    } else if lines_if_whole(lander, day_file).is_ok() {
        return Ok(Rebuilt::Whole);
    } else {
        journal.check_lease()?;
        repair_names(&files, &before)?;
        if lines_if_whole(lander, day_file).is_ok() {
            return Ok(Rebuilt::Repaired);
        }
    }
    let mut survey = Survey::read(&files, &before)?;
    let mut segments = published(&files, &survey)?;
    let count = segments.len() as u32;
    let numbers = segments.iter().map(|one| (one.sealed.segment, one.sealed.lines));
    survey.add_loose(numbers, day_file.kind);
    let named = survey.objects(|_| true);
    let found: Vec<Option<&Object>> = named.iter().map(|name| find(name, objects)).collect();
    let gone = named.iter().zip(&found).filter(|(_, found)| found.is_none());
    let missing: Vec<String> = gone.map(|(name, _)| (*name).clone()).collect();
    let is_named = !named.is_empty() && missing.is_empty() && survey.complete;
    let chosen: Vec<&Object> =
        if is_named { found.into_iter().flatten().collect() } else { objects.iter().collect() };
    let chosen: Vec<ObjectId> = chosen.into_iter().map(|object| object.id.clone()).collect();
    let is_whole = survey.pieces.iter().all(|piece| piece.is_whole(count));
    let rows = match is_whole && segments.iter().all(|one| !one.is_damaged()) {
        true => FoundRows::default(),
        false => FoundRows::read(&files, store, &chosen, is_named, &survey)?,
    };
    let mut lines = Lines::find(&files, &survey, &segments, &rows, objects);
    for one in &mut segments {
        one.ids = lines.published.remove(&one.sealed.segment).unwrap_or_default();
        if one.is_damaged() {
            one.make_again(&files, &rows)?;
        }
        one.ids.sort_by_key(|id| id.timestamp);
    }
    let closed = lines.unknown > 0 && lines.lost == 0 && lines.open.is_empty();
    // A SOURCE without a row of the day is another one's.
    let closed = closed && rows.is_source && count <= CLOSED_SEGMENTS_MAX;
    if let Some(reason) = lines.refusal(&files, closed, segments.is_empty(), &missing) {
        return Err(files.refused(&day_file.to_string(), &reason));
    }
    lines.open.sort_by_key(|(id, _)| id.timestamp);
    let plan = Plan { files: &files, survey: &survey, segments: &segments, rows: &rows };
    let kept = plan.replacement(&lines.open, closed).install(&files, &journal)?;
    let lines = lines_if_whole(lander, day_file)?;
    let compressed =
        segments.iter().filter(|one| one.is_other_bytes).map(|one| one.sealed.target.clone());
    let (compressed, objects) = (compressed.collect(), rows.objects.len());
    let uncommitted = if survey.complete { survey.loose_lines(day_file.kind) } else { 0 };
    Ok(Rebuilt::Rebuilt { lines, objects, compressed, closed, uncommitted, kept })
}

/// The acknowledged lines, as far as they were found.
#[derive(Default)]
struct Lines {
    taken: HashSet<EventKey>,
    /// The identities of published segments, in the order of their commits.
    published: BTreeMap<u32, Vec<EventKey>>,
    open: Vec<(EventKey, Vec<u8>)>,
    /// How many of published segments have no identity that is known; how many others are nowhere.
    unknown: u64,
    lost: u64,
}

impl Lines {
    /// The lines of all pieces.
    fn find(
        files: &Files<'_>,
        survey: &Survey,
        segments: &[Segment],
        rows: &FoundRows,
        objects: &[Object],
    ) -> Lines {
        let (mut lines, kind) = (Lines::default(), files.day_file.kind);
        for piece in &survey.pieces {
            let published = segments.iter().find(|one| one.sealed.segment == piece.segment);
            let text = match (published, &piece.text, &piece.objects) {
                (Some(one), ..) => &one.text,
                (None, Some(text), _) => text,
                // No commit is known: the lines are among those of the open file.
                (None, None, None) => &survey.loose_text,
                (None, None, Some(_)) => &Vec::new(),
            };
            let ids = rows.ids(piece, text, kind, objects, &lines.taken);
            lines.add(piece, ids, segments.len() as u32, rows, kind);
        }
        lines
    }

    /// Why the day has to stay as it is, if it does.
    fn refusal(
        &self,
        files: &Files<'_>,
        closed: bool,
        none_is_published: bool,
        missing: &[String],
    ) -> Option<String> {
        let (lost, folder) = (self.lost + self.unknown, files.day_file.journal_folder());
        if self.lost > 0 || (self.unknown > 0 && !closed) {
            let names = if missing.is_empty() { "none".to_owned() } else { missing.join(", ") };
            return Some(format!(
                "at least {lost} of its lines match no event of SOURCE: it lacks them, or their labels or their file have changed since. Objects that its journal names and that were not found: {names}"
            ));
        }
        (none_is_published && self.open.is_empty())
            .then(|| format!("nothing of it is left: remove {folder}, then land its objects again"))
    }

    fn add(
        &mut self,
        piece: &Piece,
        ids: Option<Vec<EventKey>>,
        published: u32,
        rows: &FoundRows,
        kind: Kind,
    ) {
        let ids = match ids {
            Some(ids) => ids,
            None if piece.segment <= published => return self.unknown += piece.count,
            None => return self.lost += piece.count,
        };
        self.taken.extend(&ids);
        if piece.segment <= published {
            return self.published.entry(piece.segment).or_default().extend(ids);
        }
        let text = piece.text.as_deref().unwrap_or_default();
        let mut good = split(text, kind);
        for id in ids {
            match good.next().or_else(|| rows.line(&id)) {
                Some(line) => self.open.push((id, line.to_vec())),
                None => self.lost += 1,
            }
        }
    }
}

/// How many lines a day has that nothing is wrong with.
fn lines_if_whole(lander: &Lander<'_>, day_file: &DayFile) -> Result<u64, LandError> {
    let mut verified = Verified::default();
    verify_day(lander, day_file, verify::is_hinted(lander, day_file), &mut verified);
    match verified.findings.into_iter().find(|finding| finding.wrong) {
        Some(wrong) => Err(LandError::damage(wrong.path, wrong.what)),
        None => Ok(verified.lines),
    }
}

/// The small repair: checksums of published files that are good, and hints, as the journal has
/// them.
fn repair_names(files: &Files<'_>, journal: &[u8]) -> Result<(), LandError> {
    let Files { lander, day_file, .. } = *files;
    let Ok(Some(state)) = State::read(&day_file.journal(), journal) else { return Ok(()) };
    for one in state.published(day_file).iter().filter(|one| !one.removed) {
        let Ok(file) = lander.disk.open(&one.path, Open::Read) else { continue };
        if Contents::read(file.as_ref(), &one.path, day_file.kind)? != one.contents {
            continue;
        }
        let (path, sum) = checksum(&one.path, &one.contents.sha256);
        if files.read(&path)? != sum.as_bytes() {
            install_file(lander, day_file, one.segment, &path, sum.as_bytes())?;
        }
    }
    make_hints(lander, day_file, &state)
}

/// A published segment, as it is on record and as it is.
struct Segment {
    /// What it was sealed as; of one that no journal knows, what its file is.
    sealed: Sealed,
    /// When it was published, and when retention removed it.
    done: i64,
    removed: Option<i64>,
    /// Its identities.
    ids: Vec<EventKey>,
    /// Its text, if that is good.
    text: Vec<u8>,
    /// Its bytes, where those that are there are not good; nothing, if they are nowhere.
    bytes: Option<Vec<u8>>,
    /// Whether they are other ones than those that were published, with the same text.
    is_other_bytes: bool,
}

/// The published segments: those that the journal knows, and those beside it that have a checksum.
fn published(files: &Files<'_>, survey: &Survey) -> Result<Vec<Segment>, RebuildError> {
    let Files { lander, day_file, .. } = *files;
    if survey.state.as_ref().is_some_and(|state| state.closed.is_some()) {
        let reason = "the day is closed: its journal has no identities any more, so take the damaged file from a backup of the root";
        return Err(files.refused(&day_file.to_string(), reason));
    }
    let mut segments: BTreeMap<u32, Segment> = BTreeMap::new();
    for segment in survey.state.iter().flat_map(|state| &state.segments) {
        let Some(sealed) = &segment.sealed else { continue };
        let mut one = Segment::new(sealed.clone(), segment.done.unwrap_or(sealed.at));
        one.removed = segment.removed;
        if one.removed.is_none() {
            one.read(lander, &[&sealed.target, &sealed.temporary])?;
        }
        segments.insert(sealed.segment, one);
    }
    for target in files.names()? {
        let parsed = DayFile::parse_published(day_file.folder(), name_of(&target));
        let Some((_, segment)) = parsed else { continue };
        match segments.get(&segment) {
            Some(known) if known.sealed.target == target => continue,
            None if !survey.complete || !survey.has_seen => {}
            _ => {
                return Err(
                    files.refused(&target, "its journal does not know it; move it elsewhere")
                );
            }
        }
        let sha256 = Sha256::digest(files.read(&target)?).into();
        let (path, sum) = checksum(&target, &sha256);
        if files.read(&path)? != sum.as_bytes() {
            let reason = "neither its journal nor a .sha256 beside it says what it was";
            return Err(files.refused(&target, reason));
        }
        let file = lander.disk.open(&target, Open::Read).context("open", &target)?;
        let modified = file.inode().context("look at", &target)?.modified;
        let Contents { bytes, lines, sha256 } =
            Contents::read(file.as_ref(), &target, day_file.kind)?;
        let at = if modified > 0 { modified } else { lander.clock.now() };
        let sealed = Sealed {
            segment,
            target: target.clone(),
            bytes,
            lines,
            sha256,
            at,
            ..Sealed::default()
        };
        let mut one = Segment::new(sealed, at);
        one.read(lander, &[&target])?;
        // What it has in clear is known only now.
        if !one.is_damaged() {
            one.sealed.text_sha256 = Sha256::digest(&one.text).into();
        }
        segments.insert(segment, one);
    }
    let mut numbered = (1..).zip(segments.values());
    if let Some((wanted, one)) = numbered.find(|(number, one)| *number != one.sealed.segment) {
        let reason = format!("segment {wanted} is not there, and no journal says what it was");
        return Err(files.refused(&one.sealed.target, &reason));
    }
    Ok(segments.into_values().collect())
}

impl Segment {
    fn new(sealed: Sealed, done: i64) -> Segment {
        let (ids, text, bytes) = (Vec::new(), Vec::new(), None);
        Segment { sealed, done, removed: None, ids, text, bytes, is_other_bytes: false }
    }

    fn is_gzip(&self) -> bool {
        self.sealed.target.ends_with(".gz")
    }

    /// Whether its bytes are nowhere.
    fn is_damaged(&self) -> bool {
        self.bytes.as_ref().is_some_and(Vec::is_empty)
    }

    /// Reads the file that is there, or the temporary one that was about to be published.
    fn read(&mut self, lander: &Lander<'_>, paths: &[&String]) -> Result<(), LandError> {
        self.bytes = Some(Vec::new());
        for path in paths {
            let Some(bytes) = read_file(lander, path)? else { continue };
            if <[u8; 32]>::from(Sha256::digest(&bytes)) != self.sealed.sha256 {
                continue;
            }
            self.bytes = (**path != self.sealed.target).then(|| bytes.clone());
            if !self.is_gzip() {
                self.text = bytes;
                return Ok(());
            }
            let inflated =
                flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut self.text);
            return inflated.context("inflate", &self.sealed.target).map(drop);
        }
        Ok(())
    }

    /// The text that was sealed, of the rows: in the order of the commits or of the times. Only the
    /// recorded hash tells whether it is.
    fn make_again(&mut self, files: &Files<'_>, rows: &FoundRows) -> Result<(), RebuildError> {
        let mut by_time = self.ids.clone();
        by_time.sort_by_key(|id| id.timestamp);
        for text in [&self.ids, &by_time].into_iter().filter_map(|ids| rows.text(ids)) {
            if <[u8; 32]>::from(Sha256::digest(&text)) != self.sealed.text_sha256 {
                continue;
            }
            let bytes = match self.is_gzip() {
                true => gzip(&text, GZIP_LEVEL),
                false => text.clone(),
            };
            let (length, sha256) = (bytes.len() as u64, Sha256::digest(&bytes).into());
            self.is_other_bytes = sha256 != self.sealed.sha256;
            (self.sealed.bytes, self.sealed.sha256) = (length, sha256);
            (self.text, self.bytes) = (text, Some(bytes));
            return Ok(());
        }
        let reason = "it is damaged, and the objects do not give the text that was sealed";
        Err(files.refused(&self.sealed.target, reason))
    }
}

/// Everything that the day is made of.
struct Plan<'p> {
    files: &'p Files<'p>,
    survey: &'p Survey,
    segments: &'p [Segment],
    rows: &'p FoundRows,
}

impl Plan<'_> {
    fn replacement(&self, open: &[(EventKey, Vec<u8>)], closed: bool) -> Replacement {
        let (ids, lines): (Vec<EventKey>, Vec<&[u8]>) =
            open.iter().map(|(id, line)| (*id, line.as_slice())).unzip();
        let text = lines.concat();
        let (journal, seen) = if closed { self.closed() } else { self.journal(&ids, &text) };
        let mut published = Vec::new();
        for one in self.segments.iter().filter(|one| one.removed.is_none()) {
            let Sealed { segment, target, sha256, .. } = &one.sealed;
            let bytes = one.bytes.clone();
            published.extend(bytes.map(|bytes| (*segment, target.clone(), bytes)));
            let (path, sum) = checksum(target, sha256);
            published.push((*segment, path, sum.into_bytes()));
        }
        let number = self.segments.len() as u32 + 1;
        let open = self.files.day_file.open_segment(number);
        let open = (!text.is_empty()).then_some((open, text));
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
            let Sealed { bytes, lines, sha256, .. } = one.sealed;
            let (gzip, done, removed) = (one.is_gzip(), one.done, one.removed);
            ClosedSegment { gzip, bytes, lines, sha256, done, removed }
        };
        let segments = self.segments.iter().map(segment).collect();
        let closed = Closed { at: self.files.lander.clock.now(), segments };
        let (mut journal, _) = self.header().encode();
        let slot = closed.encode().unwrap_or_default();
        journal[CLOSED_AT as usize..][..slot.len()].copy_from_slice(&slot);
        (journal, Vec::new())
    }

    /// The journal's and `seen`'s bytes.
    fn journal(&self, open: &[EventKey], text: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let count = self.segments.len() as u32;
        let (mut frames, mut runs, mut entries) = (Vec::new(), Vec::new(), 0);
        let mut commit = |segment, at, ids: &[EventKey], text: &[u8], frames: &mut Vec<Frame>| {
            let (run, blocks) = seen::encode(ids.iter().copied());
            let (bytes, crc) = (text.len() as u64, crc32c::crc32c(text));
            let commit = Commit::plain(segment, 0, bytes, crc, entries, blocks);
            frames.push(Frame::Commit(Commit {
                at,
                objects: self.objects(segment, ids),
                routings: self.routings(segment),
                ..commit
            }));
            entries += ids.len() as u64;
            runs.extend_from_slice(&run);
        };
        for one in self.segments {
            let (segment, at, text) = (one.sealed.segment, one.done, &one.text);
            commit(segment, at, &one.ids, text, &mut frames);
            let event = SegmentEvent { segment, at };
            let (temporary, text_bytes) = (one.sealed.target.clone(), text.len() as u64);
            frames.push(Frame::Freeze(event));
            frames.push(Frame::Sealed(Sealed { temporary, text_bytes, at, ..one.sealed.clone() }));
            frames.push(Frame::Done(event));
            frames.extend(one.removed.map(|at| Frame::Removed(SegmentEvent { segment, at })));
        }
        if !open.is_empty() {
            commit(count + 1, self.files.lander.clock.now(), open, text, &mut frames);
        }
        let (journal, watermark) = journal::compose(&self.header(), &frames);
        let mut seen = watermark.encode();
        seen.extend_from_slice(&runs);
        (journal, seen)
    }

    /// The routings of a segment's commits, as far as the journal is good.
    fn routings(&self, segment: u32) -> Vec<Routing> {
        let state = self.survey.state.as_ref();
        let commits = state.into_iter().flat_map(State::commits);
        let count = self.segments.len() as u32;
        let ours = commits.filter(|commit| commit.segment.min(count + 1) == segment);
        let routings: BTreeSet<Routing> =
            ours.flat_map(|commit| &commit.routings).copied().collect();
        routings.into_iter().collect()
    }

    /// The objects that the lines of a segment came from, as far as it is known: those that its
    /// commits name, and those that had to be read for it.
    fn objects(&self, segment: u32, ids: &[EventKey]) -> Vec<String> {
        let count = self.segments.len() as u32;
        let ours = |piece: &Piece| piece.segment.min(count + 1) == segment;
        let named = self.survey.objects(|piece| ours(piece) && piece.is_whole(count));
        let gap = self.survey.pieces.iter().any(|piece| ours(piece) && !piece.is_whole(count));
        let has_one = |has: &HashSet<EventKey>| gap && ids.iter().any(|id| has.contains(id));
        let read = self.rows.objects.iter().filter(|(_, has)| has_one(has));
        let objects: BTreeSet<String> =
            named.into_iter().cloned().chain(read.map(|(id, _)| id.to_string())).collect();
        objects.into_iter().collect()
    }
}
