//! What a replay would come to: read as landing reads, compared with what is there, nothing written.
//!
//! Each event takes 16 bytes of memory.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use crate::config::Config;
use crate::disk::Open;
use crate::label::plain_lines;
use crate::land::day_file::DayFile;
use crate::land::error::{LandError, Named};
use crate::land::guard::{Guard, Rerouted};
use crate::land::journal::Journal;
use crate::land::routing::History;
use crate::land::{Choice, Lander, Left, Tally, check, seen};
use crate::object::{self, Bad, Options, ReadError, Sink, Skipped};
use crate::record::Records;
use crate::row::{Identity, Kind, Row};
use crate::store::{Object, Store};

/// How many objects are looked into at once to find some that would be refused, and where they would land.
const LOOKED_INTO: usize = 100;

/// What would become of one day file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayPlan {
    /// The file's name without its day.
    pub file: String,
    /// The local date.
    pub day: String,
    /// The format.
    pub kind: Kind,
    /// Events that would land in it, those that come twice too.
    pub events: u64,
    /// Of these, those that are there, or come twice; 0 where the day is closed, because nobody can tell any more.
    pub there: u64,
    /// Of these, new lines.
    pub new: u64,
    /// The day is sealed: new lines go to its late file.
    pub late: bool,
    /// The day is closed: its events would be put into quarantine.
    pub closed: bool,
}

/// What would become of all objects.
#[derive(Debug, Default, Serialize)]
pub struct Plan {
    /// The day files that would take rows.
    pub days: Vec<DayPlan>,
    /// What would land in addition with `--reroute`: these events may have landed elsewhere.
    pub refused: Vec<DayPlan>,
    /// The objects that hold them.
    pub refused_objects: Vec<String>,
    /// Why they would be refused.
    #[serde(skip)]
    pub why: Option<Rerouted>,
    /// The counts, as a landing's.
    pub tally: Tally,
    /// What could not be looked at, with the reason.
    pub failed: Vec<String>,
}

impl Plan {
    /// The events that would be refused.
    pub fn refused_events(&self) -> u64 {
        self.refused.iter().map(|day| day.events).sum()
    }
}

/// What was looked into for records of another routing.
#[derive(Debug, Default)]
pub struct Looked {
    /// What it would come to.
    pub plan: Plan,
    /// So many of the objects were looked into.
    pub objects: usize,
}

/// Looks into objects until some are found that hold what would be refused, so many at a time.
pub fn look(
    lander: &Lander<'_>,
    store: &Store,
    objects: &[Object],
    choice: &Choice,
    history: &History,
) -> Looked {
    let mut looked = Looked::default();
    for part in objects.chunks(LOOKED_INTO) {
        let before = std::mem::take(&mut looked.plan);
        looked.plan = plan(Some(lander), lander.config, store, part, choice, history);
        looked.plan.tally.add(&before.tally);
        looked.plan.failed.splice(..0, before.failed);
        looked.objects += part.len();
        if !looked.plan.refused.is_empty() {
            break;
        }
    }
    looked
}

/// Plans the landing of objects into a root with this history. Without a lander nothing is there yet.
pub fn plan(
    lander: Option<&Lander<'_>>,
    config: &Config,
    store: &Store,
    objects: &[Object],
    choice: &Choice,
    history: &History,
) -> Plan {
    let guard = match choice.guarded {
        true => Guard::new(config, history),
        false => Guard::open(config),
    };
    let mut reading = Reading::new(choice, guard);
    let mut plan = Plan::default();
    let mut records = Records::new(config);
    let options = Options { plain: choice.plain, ..Options::new(&config.limits) };
    for object in objects {
        let place = object.id.place();
        reading.refused = false;
        let input = match store.open(&object.id.key) {
            Ok(input) => input,
            Err(error) => {
                plan.failed.push(error.to_string());
                continue;
            }
        };
        let modified = input.object().modified;
        reading.guard.begin(modified);
        match object::read(input, &place, modified, &mut records, &options, &mut reading) {
            Ok(_) => reading.tally.objects += 1,
            Err(ReadError::Input(error) | ReadError::Sink(error)) => {
                plan.failed.push(format!("{place}: {error}"));
            }
        }
        if reading.refused {
            plan.refused_objects.push(place);
        }
    }
    (plan.tally, plan.why) = (reading.tally, reading.why);
    let failed = &mut plan.failed;
    let mut compared = |days: BTreeMap<DayFile, Vec<Identity>>| {
        let mut planned = Vec::new();
        for (day_file, identities) in days {
            match compare(lander, &day_file, identities) {
                Ok(day) => planned.push(day),
                Err(error) => failed.push(error.to_string()),
            }
        }
        planned
    };
    plan.days = compared(reading.days);
    plan.refused = compared(reading.elsewhere);
    for day in &plan.days {
        let tally = &mut plan.tally;
        match day.closed {
            true => tally.quarantined += day.events,
            false => {
                tally.lines += day.new;
                tally.late += if day.late { day.new } else { 0 };
                tally.duplicates += day.there;
            }
        }
    }
    plan.tally.deferred = plan.refused_events();
    plan
}

/// Which of these events a day file has. Reads without locks.
fn compare(
    lander: Option<&Lander<'_>>,
    day_file: &DayFile,
    mut identities: Vec<Identity>,
) -> Result<DayPlan, LandError> {
    let events = identities.len() as u64;
    identities.sort_unstable();
    identities.dedup();
    let mut offered: Vec<(Identity, bool)> = identities.into_iter().map(|id| (id, false)).collect();
    let (mut late, mut closed) = (false, false);
    if let Some(lander) = lander
        && let Some(state) = Journal::peek(lander, day_file)?
    {
        closed = state.closed.is_some();
        late = state.next_segment() > 1;
        if state.commits().next().is_some() {
            let path = day_file.seen();
            let seen = lander.disk.open(&path, Open::Read).named("open", &path)?;
            seen::mark(seen.as_ref(), &path, &state.blocks, &mut offered)?;
        }
    }
    let new = offered.iter().filter(|(_, there)| !there).count() as u64;
    let (new, there) = if closed { (0, 0) } else { (new, events - new) };
    Ok(DayPlan {
        file: day_file.file.clone(),
        day: day_file.day.to_string(),
        kind: day_file.kind,
        events,
        there,
        new,
        late,
        closed,
    })
}

/// Gathers identities instead of lines.
struct Reading<'p> {
    choice: &'p Choice,
    guard: Guard<'p>,
    /// Whether something of the present object is refused; why the first one was.
    refused: bool,
    why: Option<Rerouted>,
    days: BTreeMap<DayFile, Vec<Identity>>,
    elsewhere: BTreeMap<DayFile, Vec<Identity>>,
    tally: Tally,
}

impl<'p> Reading<'p> {
    fn new(choice: &'p Choice, guard: Guard<'p>) -> Reading<'p> {
        let (days, elsewhere) = (BTreeMap::new(), BTreeMap::new());
        let tally = Tally::default();
        Reading { choice, guard, refused: false, why: None, days, elsewhere, tally }
    }

    fn add(&mut self, row: &Row<'_>, guarded: Result<(), Rerouted>) {
        match self.choice.leaves(row) {
            Some(Left::OtherDay) => self.tally.other_day += 1,
            Some(Left::OtherLogGroup) => self.tally.other_log_group += 1,
            None => {
                self.tally.rows += 1;
                if check(row).is_err() {
                    self.tally.quarantined += 1;
                    return;
                }
                let day_file = DayFile { file: row.file.to_string(), day: row.day, kind: row.kind };
                let days = match guarded {
                    Ok(()) => &mut self.days,
                    Err(why) => {
                        self.refused = true;
                        self.why = self.why.or(Some(why));
                        &mut self.elsewhere
                    }
                };
                days.entry(day_file).or_default().push(row.identity());
            }
        }
    }
}

impl Sink for Reading<'_> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let guarded = self.guard.row(row, || self.choice.lands(row));
        self.add(row, guarded);
        Ok(())
    }

    fn made(&mut self, row: &Row<'_>) -> io::Result<()> {
        let guarded = self.guard.made(|| self.choice.lands(row));
        self.add(row, guarded);
        Ok(())
    }

    fn skipped(&mut self, skipped: Skipped, bytes: &[u8]) -> io::Result<()> {
        match skipped {
            Skipped::PlainLeftOut => {
                let text = String::from_utf8_lossy(bytes);
                self.tally.plain_left_out += plain_lines(&text).count() as u64;
            }
            Skipped::Empty | Skipped::PlainDropped => self.tally.dropped += 1,
        }
        Ok(())
    }

    fn bad(&mut self, _: &Bad<'_>) -> io::Result<()> {
        self.tally.unreadable += 1;
        self.tally.quarantined += 1;
        Ok(())
    }
}
