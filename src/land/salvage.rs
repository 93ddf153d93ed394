//! What a rebuild has to work with: what of the old day is still good, and the rows of the objects.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;

use super::batch::Batch;
use super::day_file::DayFile;
use super::error::LandError;
use super::frame::Commit;
use super::rebuild::{RebuildError, read_file};
use super::state::State;
use super::{Lander, contents, landing, seen, verify};
use crate::disk::Open;
use crate::object::{self, Bad, Options, Sink, Skipped};
use crate::record::Records;
use crate::row::{Identity, Kind, Row};
use crate::store::{ObjectId, Store};

/// One commit of the old journal, and what of it is still good.
struct Old<'s> {
    segment: u32,
    sealed: bool,
    commit: &'s Commit,
    /// Its identities, if all their blocks are.
    ids: Option<Vec<Identity>>,
    /// Its lines, if they are (only of segments that are not sealed).
    text: Option<Vec<u8>>,
}

/// What of the old day is still good.
pub struct Known<'s> {
    /// The old journal, if it can be relied on.
    pub state: Option<&'s State>,
    kind: Kind,
    commits: Vec<Old<'s>>,
    /// The open files, where there is no journal that says how much of them counts.
    open: Vec<Vec<u8>>,
    /// Every identity of `seen`, where there is no journal that says how many of them count.
    loose: Vec<Identity>,
}

impl<'s> Known<'s> {
    /// Reads what is there. A journal that misses a frame that `seen` knows of is not relied on.
    pub fn read(
        lander: &Lander<'_>,
        day_file: &DayFile,
        state: Option<&'s State>,
    ) -> Result<Known<'s>, LandError> {
        let path = day_file.seen();
        let seen = lander.disk.open(&path, Open::Read).ok();
        let mark = match &seen {
            Some(seen) => seen::Mark::read(seen.as_ref(), &path).unwrap_or_default(),
            None => None,
        };
        let state = state.filter(|state| state.closed.is_some() || state.after(mark).is_some());
        let (mut commits, mut open, mut loose) = (Vec::new(), Vec::new(), Vec::new());
        for (number, segment) in state.iter().flat_map(|state| state.numbered()) {
            let sealed = segment.sealed.is_some();
            let data = if sealed {
                Vec::new()
            } else {
                read_file(lander, &day_file.open_segment(number))?
            };
            for commit in &segment.commits {
                let ids = seen.as_ref().and_then(|seen| {
                    let (mut ids, mut block) = (Vec::new(), Vec::new());
                    for (first, one) in commit.places() {
                        seen::read_block(seen.as_ref(), &path, first, one, &mut block).ok()?;
                        ids.append(&mut block);
                    }
                    Some(ids)
                });
                let range = commit.offset as usize..(commit.offset + commit.bytes) as usize;
                let text = data.get(range).filter(|text| crc32c::crc32c(text) == commit.crc);
                let text = text.map(<[u8]>::to_vec);
                commits.push(Old { segment: number, sealed, commit, ids, text });
            }
        }
        if state.is_none() {
            let bytes = read_file(lander, &path)?;
            let entries = bytes.get(seen::MARK_BYTES as usize..).unwrap_or_default();
            // Zeros are what a crash leaves, and nobody's identity.
            let zeros = Identity { timestamp: 0, hash: 0 };
            loose.extend(seen::entries(entries).filter(|id| *id != zeros));
            for name in verify::names_of(lander, day_file)? {
                if name.ends_with(".open") {
                    open.push(read_file(lander, &name)?);
                }
            }
        }
        Ok(Known { state, kind: day_file.kind, commits, open, loose })
    }

    /// The identities of all lines, if the journal and all of `seen` are good.
    pub fn identities(&self) -> Option<HashSet<Identity>> {
        self.state?;
        let ids: Option<Vec<&Vec<Identity>>> =
            self.commits.iter().map(|old| old.ids.as_ref()).collect();
        Some(ids?.into_iter().flatten().copied().collect())
    }

    fn of(&self, segment: u32) -> impl Iterator<Item = &Old<'s>> {
        self.commits.iter().filter(move |old| old.segment == segment)
    }

    /// The identities of a segment in the order of their times, if all are known.
    pub fn segment(&self, number: u32) -> Option<Vec<Identity>> {
        let mut orders = self.orders(number)?;
        orders.pop()
    }

    /// The orders in which a segment's lines may have been sealed: as committed, and by (time, commit, position).
    pub fn orders(&self, number: u32) -> Option<Vec<Vec<Identity>>> {
        let runs: Option<Vec<&Vec<Identity>>> =
            self.of(number).map(|old| old.ids.as_ref()).collect();
        let committed: Vec<Identity> = runs?.into_iter().flatten().copied().collect();
        let mut by_time = committed.clone();
        by_time.sort_by_key(|id| id.timestamp);
        (!committed.is_empty()).then(|| vec![committed, by_time])
    }

    /// How many lines the journal answers for.
    pub fn lines(&self) -> u64 {
        self.commits.iter().map(|old| old.commit.lines).sum()
    }

    /// Lines of which neither the identities nor the bytes are known, and not all objects are there.
    pub fn unknown(&self, missing: &[String]) -> u64 {
        let gone = |object: &String| {
            missing.iter().any(|name| {
                object.rsplit_once('@').map_or(object.as_str(), |(place, _)| place) == name
            })
        };
        let lost = self
            .commits
            .iter()
            .filter(|old| !old.sealed && old.ids.is_none() && old.text.is_none());
        lost.filter(|old| old.commit.objects.iter().any(gone)).map(|old| old.commit.lines).sum()
    }

    /// Whether it is certain that all rows that are left belong to published segments.
    pub fn has_no_open_lines(&self) -> bool {
        self.state.is_some() && self.commits.iter().all(|old| old.sealed)
            || (self.state.is_none() && self.open.iter().all(Vec::is_empty))
    }
}

/// Which rows of the objects may be the day's.
pub struct Wanted {
    /// These and no others, if all that landed are known.
    pub identities: Option<HashSet<Identity>>,
    /// Plain text too: that of other objects may have landed under another identity.
    pub plain: bool,
    /// Rows that are made of records now: by another routing they may have landed elsewhere.
    pub made: bool,
}

/// Every row of the day, each once, in the order in which it was found.
#[derive(Default)]
pub struct Rows {
    text: Vec<u8>,
    rows: Vec<(Identity, usize, usize)>,
    places: HashMap<Identity, usize>,
    taken: Vec<bool>,
    /// The objects that have some of them.
    pub objects: Vec<ObjectId>,
    /// Whether records had events of the day that may have landed under another routing, and are not counted.
    pub rerouted: bool,
}

impl Rows {
    /// Reads the objects' rows of one day file.
    pub fn read(
        lander: &Lander<'_>,
        store: &Store,
        objects: &[ObjectId],
        day_file: &DayFile,
        wanted: &Wanted,
    ) -> Result<Rows, RebuildError> {
        let mut rows = Rows::default();
        let mut records = Records::new(lander.config);
        for id in objects {
            let failed = |reason: String| RebuildError::Object { object: id.to_string(), reason };
            let input = store.open(&id.key).map_err(|error| failed(error.to_string()))?;
            let (modified, before) = (input.object().modified, rows.rows.len());
            let mut options = Options::new(&lander.config.limits);
            options.plain = wanted.plain;
            let mut sink = OfOneDay { day_file, rows: &mut rows, wanted };
            let read =
                object::read(input, &id.place(), modified, &mut records, &options, &mut sink);
            // What is unreadable in an object was not landed either.
            read.map_err(|error| failed(error.to_string())).map(drop)?;
            if rows.rows.len() > before {
                rows.objects.push(id.clone());
            }
        }
        Ok(rows)
    }

    fn add(&mut self, id: Identity, line: &[u8]) {
        if self.places.contains_key(&id) {
            return;
        }
        let start = self.text.len();
        self.text.extend_from_slice(line);
        self.places.insert(id, self.rows.len());
        self.rows.push((id, start, self.text.len()));
        self.taken.push(false);
    }

    /// Lines whose bytes and identities are still good need no object.
    pub fn salvage(&mut self, known: &Known<'_>) {
        for old in &known.commits {
            let (Some(ids), Some(text)) = (&old.ids, &old.text) else { continue };
            for (id, line) in ids.iter().zip(contents::split(text, known.kind)) {
                self.add(*id, line);
            }
        }
    }

    /// Finds a row for each line of a text and takes it; answers how many lines have none.
    pub fn match_lines(&mut self, text: &[u8], kind: Kind, ids: &mut Vec<Identity>) -> u64 {
        let mut by_text: HashMap<&[u8], VecDeque<usize>> = HashMap::new();
        for row in self.rest() {
            by_text.entry(self.line(row)).or_default().push_back(row);
        }
        let (mut found, mut without) = (Vec::new(), 0);
        for line in contents::split(text, kind).filter(|line| line.ends_with(b"\n")) {
            match by_text.get_mut(line).and_then(VecDeque::pop_front) {
                Some(row) => found.push(row),
                None => without += 1,
            }
        }
        ids.extend(self.ids(&found));
        ids.sort_by_key(|id| id.timestamp);
        for row in found {
            self.taken[row] = true;
        }
        without
    }

    /// How many acknowledged lines that are not published have no row.
    pub fn lacking(&mut self, known: &Known<'_>, kind: Kind) -> u64 {
        let taken = self.taken.clone();
        let mut lacking = 0;
        for old in known.commits.iter().filter(|old| !old.sealed) {
            match (&old.ids, &old.text) {
                (Some(ids), _) => {
                    lacking += ids.iter().filter(|id| !self.places.contains_key(id)).count() as u64;
                    self.take(ids);
                }
                (None, Some(text)) => lacking += self.match_lines(text, kind, &mut Vec::new()),
                (None, None) => {}
            }
        }
        for text in &known.open {
            lacking += self.match_lines(text, kind, &mut Vec::new());
        }
        lacking += known.loose.iter().filter(|id| !self.places.contains_key(id)).count() as u64;
        self.taken = taken;
        lacking
    }

    /// These are in a published file.
    pub fn take(&mut self, ids: &[Identity]) {
        for id in ids {
            if let Some(row) = self.places.get(id) {
                self.taken[*row] = true;
            }
        }
    }

    /// The rows that nobody has taken, in the order of their times.
    pub fn rest(&self) -> Vec<usize> {
        let mut rest: Vec<usize> = (0..self.rows.len()).filter(|row| !self.taken[*row]).collect();
        rest.sort_by_key(|row| self.rows[*row].0.timestamp);
        rest
    }

    /// The rows of these identities, if all are there.
    pub fn find(&self, ids: &[Identity]) -> Option<Vec<usize>> {
        ids.iter().map(|id| self.places.get(id).copied()).collect()
    }

    /// The identities of rows.
    pub fn ids(&self, rows: &[usize]) -> Vec<Identity> {
        rows.iter().map(|row| self.rows[*row].0).collect()
    }

    /// The lines of rows.
    pub fn text(&self, rows: &[usize]) -> Vec<u8> {
        rows.iter().flat_map(|row| self.line(*row)).copied().collect()
    }

    fn line(&self, row: usize) -> &[u8] {
        let (_, start, end) = self.rows[row];
        &self.text[start..end]
    }
}

struct OfOneDay<'r> {
    day_file: &'r DayFile,
    rows: &'r mut Rows,
    wanted: &'r Wanted,
}

impl Sink for OfOneDay<'_> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let DayFile { file, day, kind } = self.day_file;
        let ours = *row.file == **file && row.day == *day && row.kind == *kind;
        let landed =
            self.wanted.identities.as_ref().is_none_or(|all| all.contains(&row.identity()));
        if ours && landed && landing::check(row).is_ok() {
            let mut one = Batch::default();
            one.push(row, 0);
            self.rows.add(one.identity(0), one.line(0));
        }
        Ok(())
    }

    fn made(&mut self, row: &Row<'_>) -> io::Result<()> {
        if self.wanted.made {
            return self.row(row);
        }
        self.rows.rerouted |= row.day == self.day_file.day && row.kind == self.day_file.kind;
        Ok(())
    }

    fn skipped(&mut self, _: Skipped, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn bad(&mut self, _: &Bad<'_>) -> io::Result<()> {
        Ok(())
    }
}
