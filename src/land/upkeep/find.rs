//! Find: searches a day file for lines by text, time or identity, and names the objects that they
//! came from. Reads without locks and writes nothing.
//!
//! `seen` has the identity of each line in the order of arrival. A sealed file is in the order of
//! time or of arrival; the commits' checksums prove which. Identities are read in step with the
//! text, one block of at most 4,096 entries per commit. Each commit takes 64 KB, however many lines
//! the day has.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::io::{self, Write};
use std::ops::Range;

use crate::config::Order;
use crate::disk::{Handle, Open};
use crate::land::day_file::merge;
use crate::land::journal::Journal;
use crate::land::journal::frame::{Block, Commit};
use crate::land::journal::lander::Lander;
use crate::land::journal::seen;
use crate::land::journal::state::{Segment, State};
use crate::land::root::error::{Context, LandError, Result};
use crate::land::root::layout::DayFile;
use crate::land::upkeep::show::ShowError;
use crate::line::Style;
use crate::row::{EventKey, Kind};

/// A search; a line must meet all the conditions that are given.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Text that is part of the line.
    pub text: Option<String>,
    /// Milliseconds since the epoch.
    pub times: Option<Range<i64>>,
    /// Identities.
    pub keys: Option<HashSet<EventKey>>,
}

/// A line that was found.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The file, relative to the root.
    pub path: String,
    /// The line number in that file's text, from 1.
    pub line: u64,
    /// The line, without its line break.
    pub text: String,
    /// The event's identity; unknown if the day is closed.
    pub key: Option<EventKey>,
    /// The objects that the same commit landed; unknown if the day is closed.
    pub objects: Vec<String>,
}

/// The result of a search in one day file.
#[derive(Debug, Default)]
pub struct Found {
    /// The lines, in the order of the day's files.
    pub hits: Vec<Hit>,
    /// Whether the day is closed, so that only its text is known.
    pub closed: bool,
}

impl Query {
    /// Whether the search needs identities, which a closed day does not have.
    pub fn needs_identities(&self) -> bool {
        self.times.is_some() || self.keys.is_some()
    }

    fn may_be_in(&self, commits: &[Commit]) -> bool {
        let meets = |at: &Range<i64>| {
            commits.iter().any(|commit| commit.min < at.end && commit.max >= at.start)
        };
        self.times.as_ref().is_none_or(meets)
    }

    fn meets(&self, line: &[u8], key: Option<EventKey>, kind: Kind) -> bool {
        let holds = |text: &str| memchr::memmem::find(line, text.as_bytes()).is_some();
        // Unchanged, or as a field encodes it: with doubled quotes, or escaped.
        let has = |text: &String| {
            let field = Style { kind, ..Style::default() }.field(text);
            let inner = field.strip_prefix('"').and_then(|inner| inner.strip_suffix('"'));
            holds(text) || holds(inner.unwrap_or(&field))
        };
        let is_at = |at: &Range<i64>| key.is_some_and(|key| at.contains(&key.timestamp));
        let is_of = |keys: &HashSet<EventKey>| key.is_some_and(|key| keys.contains(&key));
        self.text.as_ref().is_none_or(has)
            && self.times.as_ref().is_none_or(is_at)
            && self.keys.as_ref().is_none_or(is_of)
    }
}

impl Lander<'_> {
    /// Finds lines in a day file. Starts over if the day was sealed or rebuilt meanwhile.
    pub fn find(&self, day_file: &DayFile, query: &Query) -> Result<Found, ShowError> {
        loop {
            let Some(state) = Journal::read_or_damage(self, day_file)? else {
                return Ok(Found::default());
            };
            match self.find_in(day_file, &state, query) {
                Err(_) if Journal::peek(self, day_file)?.is_some_and(|now| now != state) => {}
                found => return found,
            }
        }
    }

    fn find_in(
        &self,
        day_file: &DayFile,
        state: &State,
        query: &Query,
    ) -> Result<Found, ShowError> {
        let closed = state.closed.is_some();
        let mut found = Found { hits: Vec::new(), closed };
        if closed && query.needs_identities() {
            return Ok(found);
        }
        for one in state.published(day_file).iter().filter(|one| closed && !one.removed) {
            let lines = Lines::new(day_file.kind, query, &[], None);
            let lines = self.read_segment(day_file, state, one.segment, lines)?;
            found.hits.extend(lines.hits(&one.path));
        }
        for (number, segment) in state.numbered().filter(|(_, one)| one.removed.is_none()) {
            if !query.may_be_in(&segment.commits) {
                continue;
            }
            let (path, orders) = match &segment.sealed {
                Some(sealed) => (sealed.target.clone(), &[Order::Time, Order::Arrival][..]),
                None => (day_file.open_segment(number, segment.form()), &[Order::Arrival][..]),
            };
            let mut hits = None;
            for order in orders {
                let identities = Identities::read(self, day_file, segment, *order)?;
                let lines = Lines::new(day_file.kind, query, &segment.commits, Some(identities));
                let mut lines = self.read_segment(day_file, state, number, lines)?;
                if lines.is_proven()? {
                    hits = Some(lines.hits(&path));
                    break;
                }
            }
            let what = "its lines differ from the committed ones: run `hiwake verify`";
            found.hits.extend(hits.ok_or_else(|| LandError::damage(&path, what))?);
        }
        Ok(found)
    }

    fn read_segment<'q>(
        &self,
        day_file: &DayFile,
        state: &State,
        number: u32,
        mut lines: Lines<'q>,
    ) -> Result<Lines<'q>, ShowError> {
        self.show_one(day_file, state, number, &mut lines)?;
        lines.finish();
        Ok(lines)
    }
}

/// The identities of a segment's lines in one order, each with the number of its commit.
struct Identities<'s> {
    seen: Box<dyn Handle>,
    path: String,
    order: Order,
    runs: Vec<Run<'s>>,
    /// The commits that have more: by the time of their next line, or in the order of arrival.
    next: BinaryHeap<Reverse<(i64, usize)>>,
}

/// The remaining identities of a commit, in the order of time.
struct Run<'s> {
    blocks: Box<dyn Iterator<Item = (u64, &'s Block)> + 's>,
    /// Those of the current block, the last one first.
    keys: Vec<EventKey>,
}

impl<'s> Identities<'s> {
    fn read(
        lander: &Lander<'_>,
        day_file: &DayFile,
        segment: &'s Segment,
        order: Order,
    ) -> Result<Identities<'s>> {
        let path = day_file.seen();
        let seen = lander.disk.open(&path, Open::Read).context("open", &path)?;
        let run = |commit: &'s Commit| Run { blocks: Box::new(commit.places()), keys: Vec::new() };
        let runs = segment.commits.iter().map(run).collect();
        // A commit's first line is its earliest.
        let first = |commit: &Commit| if order == Order::Time { commit.min } else { 0 };
        let next = segment.commits.iter().map(first).zip(0..).map(Reverse).collect();
        Ok(Identities { seen, path, order, runs, next })
    }

    /// The identity of the next line; `None`: there are no more.
    fn next(&mut self) -> Result<Option<(usize, EventKey)>> {
        while let Some(Reverse((_, number))) = self.next.pop() {
            let run = &mut self.runs[number];
            run.fill(self.seen.as_ref(), &self.path)?;
            let Some(key) = run.keys.pop() else { continue };
            run.fill(self.seen.as_ref(), &self.path)?;
            if let Some(next) = run.keys.last() {
                let time = if self.order == Order::Time { next.timestamp } else { 0 };
                self.next.push(Reverse((time, number)));
            }
            return Ok(Some((number, key)));
        }
        Ok(None)
    }
}

impl Run<'_> {
    /// Reads the next block if the current one is used up.
    fn fill(&mut self, seen: &dyn Handle, path: &str) -> Result<()> {
        if self.keys.is_empty()
            && let Some((first, block)) = self.blocks.next()
        {
            seen::read_block(seen, path, first, block, &mut self.keys)?;
            self.keys.reverse();
        }
        Ok(())
    }
}

/// A writer that keeps the lines that meet the query.
struct Lines<'q> {
    kind: Kind,
    query: &'q Query,
    commits: &'q [Commit],
    /// The identities of the lines, in the order of the text; `None`: unknown.
    identities: Option<Identities<'q>>,
    /// Why an identity could not be read.
    failed: Option<LandError>,
    /// The checksum of each commit's text so far.
    crcs: Vec<u32>,
    /// The beginning of a line.
    rest: Vec<u8>,
    count: u64,
    hits: Vec<Hit>,
}

impl<'q> Lines<'q> {
    fn new(
        kind: Kind,
        query: &'q Query,
        commits: &'q [Commit],
        identities: Option<Identities<'q>>,
    ) -> Lines<'q> {
        let (crcs, rest, hits) = (vec![0; commits.len()], Vec::new(), Vec::new());
        let (failed, count) = (None, 0);
        Lines { kind, query, commits, identities, failed, crcs, rest, count, hits }
    }

    fn line(&mut self, line: &[u8]) {
        let whose = self.identities.as_mut().map(Identities::next).transpose().map(Option::flatten);
        let whose = whose.unwrap_or_else(|error| {
            self.failed.get_or_insert(error);
            None
        });
        self.count += 1;
        if let Some((commit, _)) = whose {
            self.crcs[commit] = crc32c::crc32c_append(self.crcs[commit], line);
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let key = whose.map(|(_, key)| key);
        if self.query.meets(line, key, self.kind) {
            let objects = whose.map(|(commit, _)| self.commits[commit].objects.clone());
            self.hits.push(Hit {
                path: String::new(),
                line: self.count,
                text: String::from_utf8_lossy(line).into_owned(),
                key,
                objects: objects.unwrap_or_default(),
            });
        }
    }

    /// Takes the last line, which may lack its line break.
    fn finish(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.line(&rest);
        }
    }

    /// Whether each line was assigned to its own commit: then the commits' checksums match.
    fn is_proven(&mut self) -> Result<bool> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let is_whole = |(commit, crc): (&Commit, &u32)| commit.crc == *crc;
        let lines: u64 = self.commits.iter().map(|commit| commit.lines).sum();
        Ok(lines == self.count && self.commits.iter().zip(&self.crcs).all(is_whole))
    }

    fn hits(self, path: &str) -> Vec<Hit> {
        self.hits.into_iter().map(|hit| Hit { path: path.to_owned(), ..hit }).collect()
    }
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        let (text, mut from) = (std::mem::take(&mut self.rest), 0);
        while let Some(length) = merge::line_length(&text[from..], self.kind) {
            self.line(&text[from..from + length]);
            from += length;
        }
        self.rest.extend_from_slice(&text[from..]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
