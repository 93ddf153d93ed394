//! Survey: what of a damaged day is still good, and the rows of the objects that may fill the gaps.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::io;

use super::batch::Batch;
use super::contents;
use super::day_file::{DayFile, JOURNAL, SEEN, name_of};
use super::error::{LandError, Named, is_absent};
use super::rebuild::RebuildError;
use super::seen::{self, Watermark};
use super::state::State;
use super::{Lander, folders, landing, verify};
use crate::disk::Open;
use crate::object::{self, Bad, Options, Sink, Skipped};
use crate::record::Records;
use crate::row::{Identity, Kind, Row};
use crate::store::{Object, ObjectId, Store};

/// A file of a day that is rebuilt is read into memory; a longer one was stretched.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// Where the day's files are: in their places, or where an interrupted rebuild has put them aside.
pub struct Files<'l> {
    pub lander: &'l Lander<'l>,
    pub day_file: &'l DayFile,
    pub aside: Option<String>,
}

impl Files<'_> {
    /// A whole file, by the path of its place; `None` if it is not there.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, LandError> {
        match &self.aside {
            Some(folder) => read_file(self.lander, &format!("{folder}/{}", name_of(path))),
            None => read_file(self.lander, path),
        }
    }

    /// The names that readers see, by the paths of their places.
    pub fn names(&self) -> Result<BTreeSet<String>, LandError> {
        let Some(folder) = &self.aside else { return verify::names_of(self.lander, self.day_file) };
        let names = folders::names(self.lander, folder)?.into_iter();
        let names = names.filter(|name| !matches!(name.as_str(), JOURNAL | SEEN));
        Ok(names.map(|name| format!("{}/{name}", self.day_file.folder())).collect())
    }
}

/// A whole file; `None` if it is not there.
pub fn read_file(lander: &Lander<'_>, path: &str) -> Result<Option<Vec<u8>>, LandError> {
    let file = match lander.disk.open(path, Open::Read) {
        Err(error) if is_absent(&error) => return Ok(None),
        opened => opened.named("open", path)?,
    };
    let length = file.length().named("look at", path)?;
    if length > FILE_BYTES_MAX {
        let what = format!("it has {length} bytes: more than a rebuild holds in memory");
        return Err(LandError::damage(path, what));
    }
    let mut bytes = vec![0; length as usize];
    let filled = file.read_at(&mut bytes, 0).named("read", path)?;
    bytes.truncate(filled);
    Ok(Some(bytes))
}

/// One commit that the journal has, and what of it is still good.
pub struct Old {
    segment: u32,
    lines: u64,
    /// The objects that it names, without their entity tags.
    objects: Vec<String>,
    /// Its identities, if all their blocks are good.
    ids: Option<Vec<Identity>>,
    /// Its lines, if they are.
    text: Option<Vec<u8>>,
}

impl Old {
    fn is_whole(&self, segments: u32) -> bool {
        self.segment <= segments || self.ids.is_some() && self.text.is_some()
    }
}

/// What of the day is still good.
pub struct Survey {
    /// The journal, as far as it is good.
    pub state: Option<State>,
    /// Whether it is good to its end, and lacks no frame that `seen` knows of.
    pub complete: bool,
    commits: Vec<Old>,
    /// Where it is not: the identities that no commit of it has.
    loose: Vec<Identity>,
    /// Where it is not: the text of open files that no commit of it has.
    loose_text: Vec<u8>,
}

impl Survey {
    /// Reads what there is.
    pub fn read(files: &Files<'_>, journal: &[u8]) -> Result<Survey, LandError> {
        let day_file = files.day_file;
        let path = day_file.journal();
        let (state, error) = State::read_prefix(&path, journal);
        let state = state.filter(|state| state.header.is_of(day_file));
        let seen = files.read(&day_file.seen())?.unwrap_or_default();
        let mark = seen.get(..seen::WATERMARK_BYTES as usize).and_then(Watermark::decode);
        let complete = error.is_none()
            && state.as_ref().is_some_and(|one| one.closed.is_some() || one.after(mark).is_some());
        let mut survey = Survey {
            state,
            complete,
            commits: Vec::new(),
            loose: Vec::new(),
            loose_text: Vec::new(),
        };
        let Survey { state, commits, loose, loose_text, .. } = &mut survey;
        let mut known = HashMap::new();
        for (number, segment) in state.iter().flat_map(State::numbered) {
            let open = day_file.open_segment(number);
            let data = files.read(&open)?.unwrap_or_default();
            for commit in &segment.commits {
                let range = commit.offset as usize..(commit.offset + commit.bytes) as usize;
                let text = data.get(range).filter(|text| crc32c::crc32c(text) == commit.crc);
                let ids = seen::read_run(&seen, commit);
                let place = |name: &String| {
                    name.rsplit_once('@').map_or(name.as_str(), |(place, _)| place).to_owned()
                };
                commits.push(Old {
                    segment: number,
                    lines: commit.lines,
                    objects: commit.objects.iter().map(place).collect(),
                    ids,
                    text: text.map(<[u8]>::to_vec),
                });
            }
            known.insert(open, segment.bytes() as usize);
        }
        if !complete {
            let from = seen::place(state.as_ref().map_or(0, State::seen)) as usize;
            // Zeros are what a crash leaves, and nobody's identity.
            let zeros = Identity { timestamp: 0, hash: 0 };
            let rest = seen.get(from..).unwrap_or_default();
            loose.extend(seen::entries(rest).filter(|id| *id != zeros));
            for name in files.names()?.iter().filter(|name| name.ends_with(".open")) {
                let bytes = files.read(name)?.unwrap_or_default();
                let from = known.get(name).copied().unwrap_or_default();
                loose_text.extend_from_slice(bytes.get(from..).unwrap_or_default());
            }
        }
        Ok(survey)
    }

    /// The identities of a segment in the order of its commits, if all are known.
    pub fn ids(&self, number: u32) -> Option<Vec<Identity>> {
        let runs = self.commits.iter().filter(|old| old.segment == number);
        let runs: Option<Vec<&Vec<Identity>>> = runs.map(|old| old.ids.as_ref()).collect();
        let ids: Vec<Identity> = runs?.into_iter().flatten().copied().collect();
        (!ids.is_empty()).then_some(ids)
    }

    /// Whether no line but those of the first so many segments was acknowledged.
    pub fn is_published(&self, segments: u32, lines: u64) -> bool {
        self.commits.iter().all(|old| old.segment <= segments)
            && self.loose_text.is_empty()
            && self.loose.len() as u64 <= lines
    }

    /// The places of the objects that it names.
    pub fn objects(&self) -> BTreeSet<&str> {
        self.commits.iter().flat_map(|old| &old.objects).map(String::as_str).collect()
    }

    /// The places of the objects of commits that need none of them: they are in the first so many
    /// segments, which are published, or nothing of them is damaged.
    pub fn objects_of_whole(&self, segments: u32) -> impl Iterator<Item = &String> {
        let whole = self.commits.iter().filter(move |old| old.is_whole(segments));
        whole.flat_map(|old| &old.objects)
    }

    /// Whether rows are needed of objects for what is not published in the first so many segments.
    pub fn has_gaps(&self, segments: u32) -> bool {
        let whole = self.commits.iter().all(|old| old.is_whole(segments));
        !whole || !self.loose.is_empty() || !self.loose_text.is_empty()
    }
}

/// The object of this name: a folder holds a bucket's keys, or a part of them, so that a key is the end
/// of the object's place.
pub fn find<'o>(name: &str, objects: &'o [Object]) -> Option<&'o Object> {
    let ends = objects.iter().filter(|object| {
        let front = name.strip_suffix(object.id.key.as_str());
        front.is_some_and(|front| front.is_empty() || front.ends_with('/'))
    });
    ends.max_by_key(|object| object.id.key.len())
}

struct Found {
    id: Identity,
    line: (usize, usize),
    /// The number of its object; none if it is a line of the day.
    object: Option<usize>,
    taken: bool,
}

/// Lines with their identities, each once: those of the day that are good first, then the objects'.
#[derive(Default)]
pub struct Rows {
    text: Vec<u8>,
    rows: Vec<Found>,
    places: HashMap<Identity, usize>,
    /// The objects that were read.
    pub objects: Vec<ObjectId>,
}

impl Rows {
    /// The lines of commits whose bytes and identities are good: they stay as they are.
    pub fn of_day(survey: &Survey, kind: Kind) -> Rows {
        let mut rows = Rows::default();
        for old in &survey.commits {
            let (Some(ids), Some(text)) = (&old.ids, &old.text) else { continue };
            for (id, line) in ids.iter().zip(contents::split(text, kind)) {
                rows.add(*id, line, None);
            }
        }
        rows
    }

    /// Reads objects. A row counts if it is of the day file, or if its event is known to be. What a
    /// record becomes now may have landed elsewhere, or as another event where it is plain text: so it
    /// counts only if its event is known, or if the journal names the objects (`named`).
    pub fn read(
        &mut self,
        files: &Files<'_>,
        store: &Store,
        objects: &[ObjectId],
        named: bool,
        survey: &Survey,
    ) -> Result<(), RebuildError> {
        let Files { lander, day_file, .. } = files;
        let known = survey.commits.iter().filter_map(|old| old.ids.as_ref()).flatten();
        let known: HashSet<Identity> = known.chain(&survey.loose).copied().collect();
        let mut records = Records::new(lander.config);
        for id in objects {
            let failed = |reason: String| RebuildError::Object { object: id.to_string(), reason };
            let input = store.open(&id.key).map_err(|error| failed(error.to_string()))?;
            let modified = input.object().modified;
            let options = Options::new(&lander.config.limits);
            let mut sink = OfOneDay { day_file, known: &known, named, rows: self };
            let read =
                object::read(input, &id.place(), modified, &mut records, &options, &mut sink);
            // What is unreadable in an object was not landed either.
            read.map_err(|error| failed(error.to_string())).map(drop)?;
            self.objects.push(id.clone());
        }
        Ok(())
    }

    fn add(&mut self, id: Identity, line: &[u8], object: Option<usize>) {
        let std::collections::hash_map::Entry::Vacant(place) = self.places.entry(id) else {
            return;
        };
        place.insert(self.rows.len());
        let start = self.text.len();
        self.text.extend_from_slice(line);
        self.rows.push(Found { id, line: (start, self.text.len()), object, taken: false });
    }

    /// The rows of these identities, if all are there.
    pub fn find(&self, ids: &[Identity]) -> Option<Vec<usize>> {
        ids.iter().map(|id| self.places.get(id).copied()).collect()
    }

    /// These belong somewhere.
    pub fn take(&mut self, ids: &[Identity]) {
        for id in ids {
            if let Some(row) = self.places.get(id) {
                self.rows[*row].taken = true;
            }
        }
    }

    /// Finds a row that nobody has taken for each line of a text; answers how many lines have none.
    pub fn match_lines(&mut self, text: &[u8], kind: Kind) -> (Vec<Identity>, u64) {
        let mut by_text: HashMap<&[u8], VecDeque<usize>> = HashMap::new();
        for (row, found) in self.rows.iter().enumerate().filter(|(_, found)| !found.taken) {
            by_text.entry(self.line(row)).or_default().push_back(row);
            debug_assert!(found.line.0 <= found.line.1);
        }
        let (mut ids, mut without) = (Vec::new(), 0);
        for line in contents::split(text, kind).filter(|line| line.ends_with(b"\n")) {
            match by_text.get_mut(line).and_then(VecDeque::pop_front) {
                Some(row) => ids.push(self.rows[row].id),
                None => without += 1,
            }
        }
        self.take(&ids);
        (ids, without)
    }

    /// The acknowledged lines that are not in the first so many segments, in the order of their times;
    /// or how many of them are nowhere.
    pub fn unpublished(
        &mut self,
        survey: &Survey,
        segments: u32,
        objects: &[Object],
        kind: Kind,
    ) -> Result<Vec<usize>, u64> {
        let (mut ids, mut lost): (Vec<Identity>, u64) = (Vec::new(), 0);
        let commits = || survey.commits.iter().filter(|old| old.segment > segments);
        // What is known goes before what is guessed by its text.
        for known in commits().filter_map(|old| old.ids.as_ref()) {
            self.take(known);
            ids.extend(known);
        }
        let free = |rows: &Rows, id: &Identity| {
            rows.places.get(id).is_none_or(|row| !rows.rows[*row].taken)
        };
        let loose: Vec<Identity> =
            survey.loose.iter().filter(|id| free(self, id)).copied().collect();
        self.take(&loose);
        ids.extend(&loose);
        for text in commits().filter(|old| old.ids.is_none()).filter_map(|old| old.text.as_ref()) {
            let (matched, without) = self.match_lines(text, kind);
            ids.extend(matched);
            lost += without;
        }
        if survey.loose.is_empty() {
            let (matched, without) = self.match_lines(&survey.loose_text, kind);
            ids.extend(matched);
            lost += without;
        }
        // Of a commit that nothing is left of, all rows of its objects that have no other place.
        let gone = || commits().filter(|old| old.ids.is_none() && old.text.is_none());
        let wanted: u64 = gone().map(|old| old.lines).sum();
        let named: BTreeSet<&String> = gone().flat_map(|old| &old.objects).collect();
        let here = |name: &&String| find(name, objects).map(|object| &object.id);
        let there: Option<Vec<&ObjectId>> = named.iter().map(here).collect();
        let numbers: Vec<usize> = (self.objects.iter().enumerate())
            .filter(|(_, id)| there.as_ref().is_some_and(|there| there.contains(id)))
            .map(|(number, _)| number)
            .collect();
        let pool = self.rows.iter().filter(|row| !row.taken);
        let pool = pool.filter(|row| row.object.is_some_and(|number| numbers.contains(&number)));
        let pool: Vec<Identity> = pool.map(|row| row.id).collect();
        match wanted {
            0 => {}
            wanted if pool.len() as u64 == wanted => ids.extend(pool),
            wanted => lost += wanted,
        }
        lost += ids.iter().filter(|id| !self.places.contains_key(id)).count() as u64;
        if lost > 0 {
            return Err(lost);
        }
        let mut rows: Vec<usize> =
            ids.iter().filter_map(|id| self.places.get(id).copied()).collect();
        rows.sort_by_key(|row| self.rows[*row].id.timestamp);
        Ok(rows)
    }

    /// The objects that gave some.
    pub fn sources(&self) -> BTreeSet<String> {
        let numbers: BTreeSet<usize> = self.rows.iter().filter_map(|row| row.object).collect();
        numbers
            .iter()
            .filter_map(|number| self.objects.get(*number))
            .map(ToString::to_string)
            .collect()
    }

    /// The identities of rows.
    pub fn ids(&self, rows: &[usize]) -> Vec<Identity> {
        rows.iter().map(|row| self.rows[*row].id).collect()
    }

    /// The lines of rows.
    pub fn text(&self, rows: &[usize]) -> Vec<u8> {
        rows.iter().flat_map(|row| self.line(*row)).copied().collect()
    }

    fn line(&self, row: usize) -> &[u8] {
        let (start, end) = self.rows[row].line;
        &self.text[start..end]
    }
}

struct OfOneDay<'r> {
    day_file: &'r DayFile,
    known: &'r HashSet<Identity>,
    named: bool,
    rows: &'r mut Rows,
}

impl Sink for OfOneDay<'_> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let DayFile { file, day, kind } = self.day_file;
        let ours = *row.file == **file && row.day == *day && row.kind == *kind;
        let known = row.kind == *kind && self.known.contains(&row.identity());
        if (ours || known) && landing::check(row).is_ok() {
            let mut one = Batch::default();
            one.push(row, 0);
            let object = Some(self.rows.objects.len());
            self.rows.add(one.identity(0), one.line(0), object);
        }
        Ok(())
    }

    fn made(&mut self, row: &Row<'_>) -> io::Result<()> {
        match self.named || self.known.contains(&row.identity()) {
            true => self.row(row),
            false => Ok(()),
        }
    }

    fn skipped(&mut self, _: Skipped, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn bad(&mut self, _: &Bad<'_>) -> io::Result<()> {
        Ok(())
    }
}
