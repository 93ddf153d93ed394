//! Survey: finds what is still good in a damaged day, and the rows of objects that can fill the
//! gaps.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::config::Compress;
use crate::land::day_file::batch::Batch;
use crate::land::day_file::commit::NO_OBJECT;
use crate::land::day_file::contents::split;
use crate::land::day_file::text::{frames_of, text_of};
use crate::land::intake::check::check;
use crate::land::intake::elsewhere::Routes;
use crate::land::intake::register::{self, Held};
use crate::land::journal::DamagedJournal;
use crate::land::journal::frame::Block;
use crate::land::journal::lander::Lander;
use crate::land::journal::seen::{self, Watermark};
use crate::land::journal::state::State;
use crate::land::root::error::{LandError, Result};
use crate::land::root::files::read_whole;
use crate::land::root::folders;
use crate::land::root::layout::{DayFile, JOURNAL, OPEN, SEEN, name_of};
use crate::object::{Bad, Options, Origin, ReadError, Reader, RowPlace, Sink};
use crate::row::{EventKey, Kind, Row};
use crate::store::{Object, ObjectId, Store};

/// The longest file of a day that is read into memory. A longer one is damaged.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// Why a day was not repaired.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// An error that also prevents landing.
    #[error(transparent)]
    Land(#[from] LandError),
    /// The good parts and the objects do not cover everything that the day had.
    #[error("{path}: {reason}. {}", left(aside.as_deref()))]
    Refused {
        /// The day file, or the file or object that caused the refusal.
        path: String,
        /// The reason, as a message.
        reason: String,
        /// The folder to which an interrupted rebuild moved the day's files.
        aside: Option<String>,
    },
}

/// The state in which a refused rebuild leaves the day.
fn left(aside: Option<&str>) -> String {
    match aside {
        None => "No line was changed".to_owned(),
        Some(folder) => format!("An interrupted rebuild put the day's files into {folder}"),
    }
}

/// The day's files: in their places, or in the folder where an interrupted rebuild put them aside.
pub(crate) struct Files<'l> {
    pub(crate) lander: &'l Lander<'l>,
    pub(crate) day_file: &'l DayFile,
    /// The journal, under its lock.
    pub(crate) journal: DamagedJournal<'l>,
    pub(crate) aside: Option<String>,
}

impl Files<'_> {
    /// The error of a rebuild that changes nothing.
    pub(crate) fn refused(&self, path: &str, reason: &str) -> RebuildError {
        let aside = self.aside.clone();
        RebuildError::Refused { path: path.to_owned(), reason: reason.to_owned(), aside }
    }

    /// Reads a whole file, by its original path; `None` if it is missing.
    fn find(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match &self.aside {
            Some(folder) => read_file(self.lander, &format!("{folder}/{}", name_of(path))),
            None => read_file(self.lander, path),
        }
    }

    /// As [`Files::find`]; empty if the file is missing.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.find(path).map(Option::unwrap_or_default)
    }

    /// The original paths of the files that readers see.
    pub(crate) fn names(&self) -> Result<BTreeSet<String>> {
        let Some(folder) = &self.aside else {
            return folders::names_of(self.lander, self.day_file);
        };
        let names = folders::names(self.lander, folder)?.into_iter();
        let names = names.filter(|name| !matches!(name.as_str(), JOURNAL | SEEN));
        Ok(names.map(|name| format!("{}/{name}", self.day_file.folder())).collect())
    }
}

/// Reads a whole file; `None` if it is missing.
pub(crate) fn read_file(lander: &Lander<'_>, path: &str) -> Result<Option<Vec<u8>>> {
    let file = lander.open_if_there(path)?;
    file.map(|file| read_whole(file.as_ref(), path, 0, FILE_BYTES_MAX)).transpose()
}

/// Lines that were acknowledged together, with the parts that are still good.
#[derive(Default)]
pub(crate) struct Piece {
    pub(crate) segment: u32,
    pub(crate) count: u64,
    /// The objects that they came from, without entity tags, if a commit names them.
    pub(crate) objects: Option<BTreeSet<String>>,
    /// Their identities, if all their blocks are good.
    pub(crate) ids: Option<Vec<EventKey>>,
    /// The blocks from the commit. They prove identities that were found elsewhere.
    pub(crate) blocks: Vec<Block>,
    /// Their text, if it is good.
    pub(crate) text: Option<Vec<u8>>,
}

impl Piece {
    /// Whether it can be rebuilt without objects, if the first `published` segments are published.
    pub(crate) fn is_whole(&self, published: u32) -> bool {
        let known = self.ids.is_some() && self.objects.is_some();
        known && (self.segment <= published || self.text.is_some())
    }
}

/// What is still good in the day.
pub(crate) struct Survey {
    /// The good beginning of the journal.
    pub(crate) state: Option<State>,
    /// Whether the journal is good to its end and has the frame of `seen`'s watermark.
    pub(crate) complete: bool,
    /// Whether `seen` exists and belongs to this day.
    pub(crate) has_seen: bool,
    /// The commits of the journal, then lines without a commit.
    pub(crate) pieces: Vec<Piece>,
    /// If the journal is incomplete: the identities that no commit has, in the order of their
    /// commits.
    loose: Vec<EventKey>,
    /// The text of open files that no commit has.
    pub(crate) loose_text: Vec<u8>,
    /// Whether `seen` proves that commits were made and that none had a line.
    pub(crate) is_empty: bool,
}

impl Survey {
    /// Reads the day's files.
    pub(crate) fn read(files: &Files<'_>, journal: &[u8]) -> Result<Survey> {
        let day_file = files.day_file;
        let (state, error) = State::read_prefix(&day_file.journal(), journal);
        let state = state.filter(|state| state.header.is_of(day_file));
        let seen = files.find(&day_file.seen())?;
        // `seen` is created before the first line is written.
        let mut has_seen = seen.is_some();
        let seen = seen.unwrap_or_default();
        let (mut pieces, mut committed) = (Vec::new(), HashMap::new());
        for (number, segment) in state.iter().flat_map(State::numbered) {
            let open = day_file.open_segment(number, segment.form());
            let data = files.read(&open)?;
            for commit in &segment.commits {
                let place = |name: &String| {
                    name.rsplit_once('@').map_or(name.as_str(), |(place, _)| place).to_owned()
                };
                let named = commit.objects.iter().filter(|name| *name != NO_OBJECT);
                pieces.push(Piece {
                    segment: number,
                    count: commit.lines,
                    objects: Some(named.map(place).collect()),
                    ids: seen::read_run(&seen, commit),
                    blocks: commit.blocks.clone(),
                    text: text_of(&data, commit),
                });
            }
            committed.insert(open, segment.bytes() as usize);
        }
        // If it has no block of any commit, it is the `seen` of another day.
        let is_foreign = error.is_none() && pieces.iter().all(|piece: &Piece| piece.ids.is_none());
        let seen = if is_foreign && !pieces.is_empty() { Vec::new() } else { seen };
        has_seen &= !seen.is_empty() || pieces.is_empty();
        let mark = seen.get(..seen::WATERMARK_BYTES as usize).and_then(Watermark::decode);
        let is_all = |one: &State| {
            one.closed.is_some() || (one.after(mark).is_some() && (has_seen || one.seen() > 0))
        };
        let complete = error.is_none() && state.as_ref().is_some_and(is_all);
        let is_empty = mark.is_some_and(|mark| mark.frames > 0)
            && seen.len() as u64 == seen::WATERMARK_BYTES
            && pieces.iter().all(|piece| piece.count == 0);
        let (loose, loose_text) = (Vec::new(), Vec::new());
        let mut survey = Survey { state, complete, has_seen, pieces, loose, loose_text, is_empty };
        let from = seen::place(survey.state.as_ref().map_or(0, State::seen)) as usize;
        // A crash leaves zeros, which are not an identity.
        let entries = seen::entries(seen.get(from..).unwrap_or_default());
        let entries = entries.filter(|id| !complete && *id != EventKey { timestamp: 0, hash: 0 });
        survey.loose.extend(entries);
        for name in files.names()?.iter().filter(|name| name.ends_with(OPEN)) {
            let from = committed.get(name).copied().unwrap_or_default();
            let bytes = files.read(name)?;
            let bytes = bytes.get(from..).unwrap_or_default();
            let stored = name.strip_suffix(OPEN).map(|name| Compress::of(name).0);
            match stored {
                Some(Compress::Zstd) => survey.loose_text.extend(frames_of(bytes)),
                _ => survey.loose_text.extend_from_slice(bytes),
            }
        }
        survey.is_empty &= survey.loose_text.is_empty();
        Ok(survey)
    }

    /// Adds the lines that no commit has. First come those missing from published segments, in the
    /// order of the segments in `seen`, then those in open files.
    pub(crate) fn add_loose(&mut self, published: impl Iterator<Item = (u32, u64)>, kind: Kind) {
        let (mut loose, mut last) = (std::mem::take(&mut self.loose).into_iter(), 0);
        let piece = |segment, count: u64, ids: Vec<EventKey>| {
            let ids = (ids.len() as u64 == count).then_some(ids);
            (count > 0).then(|| Piece { segment, count, ids, ..Piece::default() })
        };
        for (segment, lines) in published {
            let known = self.pieces.iter().filter(|piece| piece.segment == segment);
            let count = lines.saturating_sub(known.map(|piece| piece.count).sum());
            let ids = loose.by_ref().take(count as usize).collect();
            self.pieces.extend(piece(segment, count, ids));
            last = segment;
        }
        let rest: Vec<EventKey> = loose.collect();
        let lost = if self.complete { 0 } else { self.loose_lines(kind) };
        let count = if rest.is_empty() { lost } else { rest.len() as u64 };
        self.pieces.extend(piece(last + 1, count, rest));
    }

    /// The number of complete lines in open files that no commit has.
    pub(crate) fn loose_lines(&self, kind: Kind) -> u64 {
        split(&self.loose_text, kind).filter(|line| line.ends_with(b"\n")).count() as u64
    }

    /// The places of the wanted pieces' objects.
    pub fn objects(&self, wanted: impl Fn(&Piece) -> bool) -> BTreeSet<&String> {
        let wanted = self.pieces.iter().filter(|piece| wanted(piece));
        wanted.flat_map(|piece| &piece.objects).flatten().collect()
    }
}

/// Finds an object by its place. A folder may hold only a part of a bucket's keys, so an object
/// matches if its key is the end of the place.
pub(crate) fn find<'o>(name: &str, objects: &'o [Object]) -> Option<&'o Object> {
    let ends = objects.iter().filter(|object| {
        let front = name.strip_suffix(object.id.key.as_str());
        front.is_some_and(|front| front.is_empty() || front.ends_with('/'))
    });
    ends.max_by_key(|object| object.id.key.len())
}

/// The distinct rows of objects that may belong to the day.
#[derive(Default)]
pub(crate) struct FoundRows {
    lines: BTreeMap<EventKey, Vec<u8>>,
    /// The objects that were read, with the identities of their rows.
    pub(crate) objects: Vec<(ObjectId, HashSet<EventKey>)>,
    /// Whether any row would land into this day.
    pub(crate) is_source: bool,
    /// Rows that were just derived from records and whose events are not known.
    derived: Batch,
}

impl FoundRows {
    /// Reads objects. A row counts if its day file is this one, or if its event is known to belong
    /// to it. A row that is derived from a record now may have landed elsewhere, or, as plain text,
    /// as another event. It counts only if its event is known, if the journal names the objects
    /// (`named`), or if the registers rule out every other day file.
    pub(crate) fn read(
        files: &Files<'_>,
        store: &Store,
        objects: &[&Object],
        named: bool,
        survey: &Survey,
    ) -> Result<FoundRows, RebuildError> {
        let Files { lander, day_file, .. } = files;
        // Identities without a commit are not known events: `seen` may belong to another day.
        let vouched = survey.pieces.iter().filter(|piece| piece.objects.is_some());
        let known = vouched.flat_map(|piece| &piece.ids).flatten();
        let known: HashSet<EventKey> = known.copied().collect();
        let mut reader = Reader::new(lander.config);
        let mut rows = FoundRows::default();
        for Object { id, .. } in objects {
            let failed = |reason: String| files.refused(&id.to_string(), &reason);
            let input = store.open(&id.key).map_err(|error| failed(error.to_string()))?;
            let (place, modified) = (id.place(), input.object().modified);
            let origin = Origin { place: &place, id: None, arrival: Some(modified) };
            let options = Options::new(&lander.config.limits);
            rows.objects.push((id.clone(), HashSet::new()));
            let mut sink = OfOneDay { day_file, known: &known, named, rows: &mut rows };
            // The unreadable parts of an object did not land either.
            reader
                .object(input, origin, &options, &mut sink)
                .map_err(|error| failed(error.to_string()))?;
        }
        let derived = std::mem::take(&mut rows.derived);
        let dates = register::dates(derived.span()).collect();
        let mut routes = Routes::new(lander.config);
        let (_, elsewhere) = Held::peek(lander, &dates, |registers, missing| {
            routes.elsewhere(registers, day_file, &derived, missing)
        })?;
        if !elsewhere.is_empty() {
            let derived: HashSet<EventKey> =
                (0..derived.len() as u32).map(|row| derived.key(row)).collect();
            rows.lines.retain(|id, _| !derived.contains(id));
            rows.objects.iter_mut().for_each(|(_, ids)| ids.retain(|id| !derived.contains(id)));
        }
        Ok(rows)
    }

    /// The line of an event.
    pub fn line(&self, id: &EventKey) -> Option<&[u8]> {
        self.lines.get(id).map(Vec::as_slice)
    }

    /// The lines of events; `None` unless all were found.
    pub(crate) fn text(&self, ids: &[EventKey]) -> Option<Vec<u8>> {
        let lines: Option<Vec<&[u8]>> = ids.iter().map(|id| self.line(id)).collect();
        lines.map(|lines| lines.concat())
    }

    /// The identities of a piece with this text: its own, if a commit or the objects confirm them.
    /// If they are lost, those of the untaken rows with the same lines, provided that the counts
    /// match. If the piece names objects, only their rows count. The order is that of a commit, by
    /// time.
    pub(crate) fn ids(
        &self,
        piece: &Piece,
        text: &[u8],
        kind: Kind,
        objects: &[Object],
        taken: &HashSet<EventKey>,
    ) -> Option<Vec<EventKey>> {
        let vouched = |ids: &&Vec<EventKey>| {
            piece.objects.is_some() || ids.iter().all(|id| self.line(id).is_some())
        };
        if let Some(ids) = piece.ids.as_ref().filter(vouched) {
            return Some(ids.clone());
        }
        let named = piece.objects.iter().flatten();
        let named = named.map(|name| find(name, objects).map(|object| &object.id));
        let named: Option<BTreeSet<&ObjectId>> = named.collect();
        let is_read = |id: &ObjectId| match &named {
            Some(named) => piece.objects.is_none() || named.contains(id),
            None => true,
        };
        let lines: HashMap<&[u8], usize> = split(text, kind).zip(0..).collect();
        let place = |id: &EventKey| lines.get(self.line(id)?);
        let rows = self.objects.iter().filter(|(id, _)| is_read(id)).flat_map(|(_, ids)| ids);
        let free = rows.filter(|id| !taken.contains(id) && place(id).is_some()).copied();
        let mut ids: Vec<EventKey> = free.collect::<BTreeSet<_>>().into_iter().collect();
        ids.sort_by_key(|id| (id.timestamp, place(id)));
        // If not all of its objects were found, the blocks' checksums must prove the identities.
        let is_proven = named.is_some() || seen::encode(ids.iter().copied()).1 == piece.blocks;
        (ids.len() as u64 == piece.count && is_proven).then_some(ids)
    }
}

struct OfOneDay<'r> {
    day_file: &'r DayFile,
    known: &'r HashSet<EventKey>,
    named: bool,
    rows: &'r mut FoundRows,
}

impl Sink for OfOneDay<'_> {
    fn row(&mut self, row: &Row<'_>, place: RowPlace) -> Result<(), ReadError> {
        let is_ours = *row.file == *self.day_file.file && row.day == self.day_file.day;
        let is_known = self.known.contains(&row.key());
        if place.is_derived && !self.named && !is_known {
            if !is_ours || row.stream.log_group().is_none() {
                return Ok(());
            }
            self.rows.derived.push(row, 0, false);
        }
        let wanted = row.kind == self.day_file.kind && (is_ours || is_known);
        self.rows.is_source |= wanted;
        if wanted && check(row).is_ok() {
            let id = row.key();
            self.rows.lines.entry(id).or_insert_with(|| format!("{}\n", row.line).into_bytes());
            if let Some((_, ids)) = self.rows.objects.last_mut() {
                ids.insert(id);
            }
        }
        Ok(())
    }

    fn bad(&mut self, _: &Bad<'_>) -> Result<(), ReadError> {
        Ok(())
    }
}
