//! One landing: objects read as streams, their rows gathered by day file, committed when the buffer is full.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;

use serde::Serialize;

use super::batch::Batch;
use super::commit::{self, Outcome};
use super::day_file::DayFile;
use super::quarantine::Quarantine;
use super::{Lander, in_parallel, merge};
use crate::file_name;
use crate::object::{self, Bad, Options, Sink, Skipped};
use crate::record::Records;
use crate::row::{Kind, Row};
use crate::store::{ObjectId, Store};

/// How many different reasons for quarantine an answer names.
const REASONS_MAX: usize = 20;

/// What a landing came to. Where all objects were landed:
/// rows + unreadable = lines + duplicates + quarantined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Objects that were landed whole.
    pub objects: u64,
    /// Rows that were read or made of what was read.
    pub rows: u64,
    /// Records and pieces of objects that no row could be made of.
    pub unreadable: u64,
    /// Records that rightly gave no rows.
    pub dropped: u64,
    /// Rows that are new lines.
    pub lines: u64,
    /// Of these, lines in late segments.
    pub late: u64,
    /// Rows that had landed before.
    pub duplicates: u64,
    /// Rows and unreadable things that were put into quarantine.
    pub quarantined: u64,
    /// Commit frames written.
    pub commits: u64,
    /// How often a lock was busy.
    pub busy_retries: u64,
}

impl Tally {
    /// Adds the counts of another landing.
    pub fn add(&mut self, other: &Tally) {
        self.objects += other.objects;
        self.rows += other.rows;
        self.unreadable += other.unreadable;
        self.dropped += other.dropped;
        self.lines += other.lines;
        self.late += other.late;
        self.duplicates += other.duplicates;
        self.quarantined += other.quarantined;
        self.commits += other.commits;
        self.busy_retries += other.busy_retries;
    }
}

/// What a landing answers.
#[derive(Debug)]
#[must_use]
pub struct Landed {
    /// For each object, in order: landed, or why it has to come again.
    pub objects: Vec<Result<(), String>>,
    /// The counts.
    pub tally: Tally,
    /// Why things were put into quarantine: the first different reasons, each with its object.
    pub reasons: Vec<String>,
}

/// Lands objects. The rows of all of them for one day file go under one lock hold, unless the buffer is full before.
pub fn land(lander: &Lander<'_>, store: &Store, objects: &[ObjectId]) -> Landed {
    let mut landing = Landing {
        lander,
        objects,
        results: vec![Ok(()); objects.len()],
        batches: HashMap::new(),
        bytes: 0,
        quarantine: Quarantine::default(),
        quarantined_from: BTreeSet::new(),
        closed: HashSet::new(),
        closed_from: BTreeSet::new(),
        tally: Tally::default(),
        reasons: Vec::new(),
    };
    let mut records = Records::new(lander.config);
    for number in 0..objects.len() {
        landing.read(store, &mut records, number, Pass::Land);
    }
    landing.flush();
    // Only now it is known which days are closed: their rows are read again, for quarantine.
    for number in std::mem::take(&mut landing.closed_from) {
        landing.read(store, &mut records, number, Pass::Closed);
    }
    landing.write_quarantine();
    landing.tally.objects = landing.results.iter().filter(|result| result.is_ok()).count() as u64;
    Landed { objects: landing.results, tally: landing.tally, reasons: landing.reasons }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Everything is landed or put into quarantine, but for rows of closed days.
    Land,
    /// Rows of closed days are put into quarantine.
    Closed,
}

struct Landing<'l> {
    lander: &'l Lander<'l>,
    objects: &'l [ObjectId],
    results: Vec<Result<(), String>>,
    batches: HashMap<DayFile, Batch>,
    bytes: usize,
    quarantine: Quarantine,
    /// The objects that have something in `quarantine`.
    quarantined_from: BTreeSet<usize>,
    /// The days that are known to be closed, and the objects that have rows for them.
    closed: HashSet<DayFile>,
    closed_from: BTreeSet<usize>,
    tally: Tally,
    reasons: Vec<String>,
}

impl Landing<'_> {
    /// Reads one object. When that fails, what was read of it may land; the object comes again.
    fn read(&mut self, store: &Store, records: &mut Records<'_>, number: usize, pass: Pass) {
        let id = &self.objects[number];
        let result = store.open(&id.key).map_err(|error| error.to_string()).and_then(|input| {
            let modified = input.object().modified;
            let options = Options::new(&self.lander.config.limits);
            let mut sink = Reading { landing: self, number, pass };
            object::read(input, &id.place(), modified, records, &options, &mut sink)
                .map_err(|error| format!("{id}: {error}"))
        });
        match result {
            Ok(read) if pass == Pass::Land => self.tally.dropped += read.dropped,
            Ok(_) => {}
            Err(reason) => self.fail(number, &reason),
        }
    }

    fn fail(&mut self, number: usize, reason: &str) {
        let result = &mut self.results[number];
        if result.is_ok() {
            *result = Err(reason.to_owned());
        }
    }

    /// Commits all batches, several day files at once.
    fn flush(&mut self) {
        let mut batches: Vec<_> = std::mem::take(&mut self.batches).into_iter().collect();
        batches.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        self.bytes = 0;
        let (lander, objects) = (self.lander, self.objects);
        let results = in_parallel(lander.config.limits.parallel, batches, |(day_file, batch)| {
            let names: Vec<String> =
                batch.objects().iter().map(|number| objects[*number].to_string()).collect();
            let result = commit::commit(lander, &day_file, &batch, &names);
            (day_file, batch, result)
        });
        for (day_file, batch, result) in results {
            match result {
                Ok(Outcome::Committed(committed)) => {
                    self.tally.lines += committed.lines;
                    self.tally.late += committed.late;
                    self.tally.duplicates += committed.duplicates;
                    self.tally.commits += committed.commits;
                    self.tally.busy_retries += committed.busy_retries;
                }
                Ok(Outcome::Closed) => {
                    self.closed.insert(day_file);
                    self.closed_from.extend(batch.objects());
                }
                Err(error) => {
                    for number in batch.objects() {
                        self.fail(*number, &error.to_string());
                    }
                }
            }
        }
        self.write_quarantine();
    }

    fn write_quarantine(&mut self) {
        match self.quarantine.write(self.lander) {
            Ok(count) => self.tally.quarantined += count,
            Err(error) => {
                for number in std::mem::take(&mut self.quarantined_from) {
                    self.fail(number, &error.to_string());
                }
            }
        }
        self.quarantined_from.clear();
    }

    fn quarantined(&mut self, number: usize, reason: &str) {
        self.quarantined_from.insert(number);
        let reason = format!("{}: {reason}", self.objects[number]);
        if self.reasons.len() < REASONS_MAX && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    fn flush_when_full(&mut self) {
        if self.bytes + self.quarantine.bytes() > self.lander.config.limits.buffer_bytes {
            self.flush();
        }
    }
}

/// One object as it is read.
struct Reading<'r, 'l> {
    landing: &'r mut Landing<'l>,
    number: usize,
    pass: Pass,
}

impl Sink for Reading<'_, '_> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let (landing, number) = (&mut *self.landing, self.number);
        if self.pass == Pass::Land {
            landing.tally.rows += 1;
        }
        let day_file = DayFile { file: row.file.to_string(), day: row.day, kind: row.kind };
        let closed = landing.closed.contains(&day_file);
        match (self.pass, check(row)) {
            (Pass::Land, Err(reason)) => {
                landing.quarantine.row(row, &reason, &landing.objects[number].to_string());
                landing.quarantined(number, &reason);
            }
            (Pass::Land, Ok(())) if closed => {
                landing.closed_from.insert(number);
            }
            (Pass::Land, Ok(())) => {
                landing.bytes += Batch::cost(row);
                landing.batches.entry(day_file).or_default().push(row, number);
            }
            (Pass::Closed, Ok(())) if closed => {
                let reason = format!("{day_file} is closed: `[seal] journal_days` have passed");
                landing.quarantine.row(row, &reason, &landing.objects[number].to_string());
                landing.quarantined(number, &reason);
            }
            (Pass::Closed, _) => {}
        }
        landing.flush_when_full();
        Ok(())
    }

    fn skipped(&mut self, _: Skipped, _: &[u8]) -> io::Result<()> {
        // Counted by the reader.
        Ok(())
    }

    fn bad(&mut self, bad: &Bad<'_>) -> io::Result<()> {
        if self.pass == Pass::Closed {
            return Ok(());
        }
        let object = self.landing.objects[self.number].to_string();
        self.landing.tally.unreadable += 1;
        self.landing.quarantine.record(bad, &object);
        self.landing.quarantined(self.number, &format!("at {}: {}", bad.offset, bad.reason));
        self.landing.flush_when_full();
        Ok(())
    }
}

/// Rows come from outside: one that would leave the root or tear a line does not land.
fn check(row: &Row<'_>) -> Result<(), String> {
    file_name::check(&row.file).map_err(|error| error.to_string())?;
    let midnight = row.day.date().and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
    let hours = (i128::from(row.timestamp) - i128::from(midnight)) / 3_600_000;
    // Local time is at most 14 hours ahead of UTC and 12 behind; history knew a little more.
    if !(-16..=40).contains(&hours) {
        return Err(format!("its timestamp {} is not of its day {}", row.timestamp, row.day));
    }
    let line = row.line.as_bytes();
    let whole = match row.kind {
        Kind::Csv => merge::is_one_csv_line(line),
        _ => memchr::memchr(b'\n', line).is_none(),
    };
    if whole { Ok(()) } else { Err("its line has a line break or an open quote".to_owned()) }
}
