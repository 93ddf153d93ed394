//! Rebuild: repairs a damaged day. Good parts are kept; missing parts are read from objects. If an
//! acknowledged line cannot be found anywhere, nothing is changed.
//!
//! A rebuild holds the journal's lock throughout, so landers wait and retry. It keeps the day's
//! lines in memory. `replace.rs` puts the result in place.

mod plan;
mod replace;
mod segment;
mod survey;

use std::collections::{BTreeMap, HashSet};

use crate::disk::Open;
use crate::land::day_file::contents::split;
use crate::land::journal::DamagedJournal;
use crate::land::journal::frame::{self, Contents};
use crate::land::journal::lander::Lander;
use crate::land::journal::state::State;
use crate::land::rebuild::plan::Plan;
use crate::land::rebuild::replace::{install_file, make_hints};
use crate::land::rebuild::segment::published;
pub use crate::land::rebuild::survey::RebuildError;
use crate::land::rebuild::survey::{Files, FoundRows, Piece, Survey, find};
use crate::land::root::error::{LandError, Result};
use crate::land::root::layout::{DayFile, checksum};
use crate::land::upkeep::verify::{Verified, verify_day};
use crate::row::EventKey;
use crate::store::{Object, Store};

/// The most segments that fit into the slot of a closed day.
const CLOSED_SEGMENTS_MAX: u32 = 64;

/// The result for a day that is now undamaged.
#[derive(Debug)]
pub enum Rebuilt {
    /// The day was not damaged.
    Whole,
    /// Only a checksum or a hint was missing; it was restored.
    Repaired,
    /// Its journal was rewritten, and with it every damaged file.
    Rebuilt {
        /// The number of its lines, in all segments.
        lines: u64,
        /// The number of objects that were read.
        objects: usize,
        /// Published files that were compressed again: the same text in other bytes.
        compressed: Vec<String>,
        /// Whether the day is now closed, because the identities of its lines are lost.
        closed: bool,
        /// The number of lines that were dropped because they belong to no commit.
        uncommitted: u64,
        /// The folder where the damaged files are kept.
        kept: String,
    },
}

/// Repairs one day. `objects` are those that may be read. Only the objects that the journal names
/// are read; if it names none, or one of them is missing, all are.
pub fn rebuild(
    lander: &Lander<'_>,
    store: &Store,
    objects: &[Object],
    day_file: &DayFile,
) -> Result<Rebuilt, RebuildError> {
    let journal = DamagedJournal::lock(lander, day_file)?;
    if let Err(newer @ LandError::Newer { .. }) = State::read(&day_file.journal(), &journal.bytes) {
        return Err(newer.into());
    }
    let aside = frame::interrupted_rebuild(&journal.bytes).map(str::to_owned);
    let mut before = journal.bytes.clone();
    let files = Files { lander, day_file, journal, aside };
    if files.aside.is_some() {
        before = files.read(&day_file.journal())?;
    } else if lines_if_whole(lander, day_file).is_ok() {
        return Ok(Rebuilt::Whole);
    } else {
        files.journal.check_lease()?;
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
    let is_whole = survey.pieces.iter().all(|piece| piece.is_whole(count));
    let rows = match is_whole && segments.iter().all(|one| !one.is_damaged()) {
        true => FoundRows::default(),
        false => FoundRows::read(&files, store, &chosen, is_named, &survey)?,
    };
    let plan = Plan { files: &files, survey: &survey, segments: &segments, rows: &rows };
    let mut lines = Lines::find(&plan, objects);
    for one in &mut segments {
        one.ids = lines.published.remove(&one.sealed.segment).unwrap_or_default();
        if one.is_damaged() {
            one.make_again(&files, &rows)?;
        }
        one.ids.sort_by_key(|id| id.timestamp);
    }
    let closed = lines.unknown > 0 && lines.lost == 0 && lines.open.is_empty();
    // A SOURCE without any row of the day is the wrong SOURCE.
    let closed = closed && rows.is_source && count <= CLOSED_SEGMENTS_MAX;
    let plan = Plan { files: &files, survey: &survey, segments: &segments, rows: &rows };
    if let Some(reason) = lines.refusal(&plan, closed, &missing) {
        return Err(files.refused(&day_file.to_string(), &reason));
    }
    lines.open.sort_by_key(|(id, _)| id.timestamp);
    let kept = plan.replacement(&lines.open, closed).install(&files)?;
    let lines = lines_if_whole(lander, day_file)?;
    let compressed =
        segments.iter().filter(|one| one.is_other_bytes).map(|one| one.sealed.target.clone());
    let (compressed, objects) = (compressed.collect(), rows.objects.len());
    let uncommitted = if survey.complete { survey.loose_lines(day_file.kind) } else { 0 };
    Ok(Rebuilt::Rebuilt { lines, objects, compressed, closed, uncommitted, kept })
}

/// The acknowledged lines that were found.
#[derive(Default)]
struct Lines {
    taken: HashSet<EventKey>,
    /// The identities of published segments, in the order of their commits.
    published: BTreeMap<u32, Vec<EventKey>>,
    open: Vec<(EventKey, Vec<u8>)>,
    /// The lines of published segments without a known identity, and the other lines that were not
    /// found.
    unknown: u64,
    lost: u64,
}

impl Lines {
    /// Finds the lines of all pieces.
    fn find(plan: &Plan<'_>, objects: &[Object]) -> Lines {
        let Plan { files, survey, segments, rows } = *plan;
        let (mut lines, kind) = (Lines::default(), files.day_file.kind);
        for piece in &survey.pieces {
            let published = segments.iter().find(|one| one.sealed.segment == piece.segment);
            let text = match (published, &piece.text, &piece.objects) {
                (Some(one), ..) => &one.text,
                (None, Some(text), _) => text,
                // Without a known commit, the lines are among those of the open file.
                (None, None, None) => &survey.loose_text,
                (None, None, Some(_)) => &Vec::new(),
            };
            let ids = rows.ids(piece, text, kind, objects, &lines.taken);
            lines.add(plan, piece, ids);
        }
        lines
    }

    /// Why the rebuild must be refused, if it must.
    fn refusal(&self, plan: &Plan<'_>, closed: bool, missing: &[String]) -> Option<String> {
        let (lost, folder) = (self.lost + self.unknown, plan.files.day_file.journal_folder());
        if self.lost > 0 || (self.unknown > 0 && !closed) {
            let names = if missing.is_empty() { "none".to_owned() } else { missing.join(", ") };
            return Some(format!(
                "at least {lost} of its lines match no event of SOURCE: it lacks them, or their labels or their file have changed since. Objects that its journal names and that were not found: {names}"
            ));
        }
        (plan.segments.is_empty() && self.open.is_empty() && !plan.survey.is_empty)
            .then(|| format!("nothing is left of it: remove {folder}, then land its objects again"))
    }

    fn add(&mut self, plan: &Plan<'_>, piece: &Piece, ids: Option<Vec<EventKey>>) {
        let published = plan.segments.len() as u32;
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
        let mut good = split(text, plan.files.day_file.kind);
        for id in ids {
            match good.next().or_else(|| plan.rows.line(&id)) {
                Some(line) => self.open.push((id, line.to_vec())),
                None => self.lost += 1,
            }
        }
    }
}

/// The number of lines of an undamaged day; an error if it is damaged.
fn lines_if_whole(lander: &Lander<'_>, day_file: &DayFile) -> Result<u64> {
    let mut verified = Verified::default();
    verify_day(lander, day_file, &mut verified);
    match verified.findings.into_iter().find(|finding| finding.wrong) {
        Some(wrong) => Err(LandError::damage(wrong.path, wrong.what)),
        None => Ok(verified.lines),
    }
}

/// The small repair: restores hints, and the checksums of good published files, from the journal.
fn repair_names(files: &Files<'_>, journal: &[u8]) -> Result<()> {
    let Files { lander, day_file, .. } = *files;
    let Ok(Some(state)) = State::read(&day_file.journal(), journal) else { return Ok(()) };
    for one in state.published(day_file).iter().filter(|one| !one.removed) {
        let Ok(file) = lander.disk.open(&one.path, Open::Read) else { continue };
        if Contents::read(file.as_ref(), &one.path, day_file.kind)? != one.contents {
            continue;
        }
        let (path, sum) = checksum(&one.path, &one.contents.sha256);
        if files.read(&path)? != sum.as_bytes() {
            install_file(files, one.segment, &path, sum.as_bytes())?;
        }
    }
    make_hints(files, &state)
}
