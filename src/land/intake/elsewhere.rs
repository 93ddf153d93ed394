//! Elsewhere: finds rows that have already landed in other day files, because another configuration
//! sent them there.
//!
//! Each row is routed by all rules in its date's register. Every resulting day file other than its
//! own is a candidate. Concurrent landings have the same registers, so each has the day files of
//! the others as candidates.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::config::Config;
use crate::day::DAY_MS;
use crate::land::day_file::batch::Batch;
use crate::land::day_file::dedup::Offered;
use crate::land::intake::register::{Missing, Register, date};
use crate::land::intake::routing::{self, Route};
use crate::land::journal::frame::Routing;
use crate::land::root::error::{LandError, Result};
use crate::land::root::layout::{DayFile, ROUTINGS};
use crate::row::EventKey;

/// Parsed rules.
pub(crate) struct Routes {
    /// The configuration's own rules.
    pub(crate) rules: String,
    routes: Vec<(String, u32, Route)>,
}

/// The rows of one batch that may be lines of another day file.
#[derive(Debug, Default)]
struct Candidate {
    rows: Vec<u32>,
    /// All rows of these dates may be lines of it.
    dates: BTreeSet<NaiveDate>,
}

/// The other day files in which the rows of one batch may be.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    candidates: BTreeMap<DayFile, Candidate>,
    /// The routings by which the rows came to their own day file.
    pub(crate) routings: BTreeSet<Routing>,
}

/// The rows of a batch that are not committed to its own day file.
#[derive(Debug, Default)]
pub(crate) struct Sifted {
    /// The number of rows that are lines of other day files.
    pub(crate) duplicates: u64,
    /// The number of rows about which a candidate could not be asked.
    pub(crate) deferred: u64,
    /// The first error of such a candidate.
    pub(crate) error: Option<LandError>,
    /// The rows that a closed candidate may have.
    pub(crate) closed: Vec<(DayFile, Vec<EventKey>)>,
}

impl Routes {
    /// The routes of a configuration.
    pub fn new(config: &Config) -> Routes {
        Routes { rules: routing::rules(config), routes: Vec::new() }
    }

    fn number(&mut self, rules: &str) -> Result<usize> {
        if let Some(number) = self.routes.iter().position(|(known, ..)| known == rules) {
            return Ok(number);
        }
        let route = Route::new(rules).map_err(|error| LandError::Newer {
            path: ROUTINGS.to_owned(),
            what: format!("rules that this release cannot follow: {error}"),
        })?;
        self.routes.push((rules.to_owned(), crc32c::crc32c(rules.as_bytes()), route));
        Ok(self.routes.len() - 1)
    }

    /// The candidates of a batch. Day files that the registers must list, because none of their
    /// rules sends a row here, are added to `missing`.
    pub(crate) fn elsewhere(
        &mut self,
        registers: &BTreeMap<NaiveDate, Register>,
        day_file: &DayFile,
        batch: &Batch,
        missing: &mut Missing,
    ) -> Result<Elsewhere> {
        let mut elsewhere = Elsewhere::default();
        // For each date: whether the day file is listed, and its routes. `last` is the date of the
        // last row.
        let (mut dates, mut last) = (Vec::<(i64, bool, Vec<usize>)>::new(), 0);
        // A stream's number, and the time span in which its rows need no further check.
        let mut settled = (0, 0..0);
        for row in 0..batch.len() as u32 {
            let (timestamp, (of, stream)) = (batch.key(row).timestamp, batch.stream(row));
            if of == settled.0 && settled.1.contains(&timestamp) {
                continue;
            }
            let number = timestamp.div_euclid(DAY_MS);
            if dates.get(last).is_none_or(|(known, ..)| *known != number) {
                let known = dates.iter().position(|(known, ..)| *known == number);
                last = known.unwrap_or(dates.len());
            }
            if last == dates.len() {
                let register = registers.get(&date(timestamp));
                let mut routes = vec![self.number(&self.rules.clone())?];
                for rules in register.into_iter().flat_map(|register| &register.rules) {
                    routes.push(self.number(rules)?);
                }
                routes.sort_unstable();
                routes.dedup();
                let listed = register.into_iter().flat_map(|register| &register.day_files);
                for other in listed.filter(|other| *other != day_file) {
                    let candidate = elsewhere.candidates.entry(other.clone()).or_default();
                    candidate.dates.insert(date(timestamp));
                }
                let is_listed = register.is_some_and(|one| one.day_files.contains(day_file));
                let listed = is_listed.then_some(Routing { date: number as i32, rules: None });
                elsewhere.routings.extend(listed);
                dates.push((number, is_listed, routes));
            }
            let (_, is_listed, ref routes) = dates[last];
            let mut is_known = is_listed || stream.is_none();
            let mut span = number * DAY_MS..(number + 1) * DAY_MS;
            for route in routes {
                let Some(stream) = stream else { break };
                let (_, crc, route) = &mut self.routes[*route];
                match route.to(stream, timestamp) {
                    Some(to) if to == (&*day_file.file, day_file.kind, day_file.day) => {
                        is_known = true;
                        let rules = Some(*crc);
                        elsewhere.routings.insert(Routing { date: number as i32, rules });
                        let of_route = route.span();
                        span = span.start.max(of_route.start)..span.end.min(of_route.end);
                    }
                    Some((file, kind, day)) => {
                        let other = DayFile { file: file.to_owned(), day, kind };
                        elsewhere.candidates.entry(other).or_default().rows.push(row);
                        span = 0..0;
                    }
                    None => span = 0..0,
                }
            }
            settled = (of, span);
            if !is_known {
                missing.entry(date(timestamp)).or_default().insert(day_file.clone());
            }
        }
        Ok(elsewhere)
    }
}

/// The result for a row. Each candidate gives one, and the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The row is committed to its own day file.
    New,
    /// The closed candidate with this number may have it.
    Closed(usize),
    /// A candidate could not be asked.
    Deferred,
    /// The row has already landed.
    Landed,
}

/// Sets the flags of the offered events that a day file has; `false` if it is closed.
pub(crate) type Ask<'a> = dyn Fn(&DayFile, &mut Offered) -> Result<bool> + 'a;

impl Elsewhere {
    /// Whether no row can be a line of another day file.
    pub(crate) fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Asks the candidates one by one, and removes the rows from the batch that must not become
    /// lines.
    pub(crate) fn sift(&self, day_file: &DayFile, batch: &mut Batch, ask: &Ask<'_>) -> Sifted {
        let mut sifted = Sifted::default();
        let mut fates = vec![Fate::New; batch.len()];
        let all = 0..batch.len() as u32;
        // Its own day file comes last: rows that it has are not in a closed candidate.
        let candidates = self.candidates.iter().map(|(candidate, rows)| (candidate, Some(rows)));
        for (candidate, rows) in candidates.chain([(day_file, None)]) {
            let is_of_dates = |row: &u32| match rows {
                Some(Candidate { dates, .. }) => {
                    !dates.is_empty() && dates.contains(&date(batch.key(*row).timestamp))
                }
                None => matches!(fates[*row as usize], Fate::Closed(_)),
            };
            let by_rules = rows.into_iter().flat_map(|rows| &rows.rows).copied();
            let mut rows: Vec<u32> = by_rules.chain(all.clone().filter(is_of_dates)).collect();
            rows.retain(|row| fates[*row as usize] != Fate::Landed);
            let fate = match find(candidate, batch, &mut rows, ask) {
                Ok(true) => Fate::Landed,
                Ok(false) => {
                    sifted.closed.push((candidate.clone(), Vec::new()));
                    Fate::Closed(sifted.closed.len() - 1)
                }
                Err(error) => {
                    sifted.error.get_or_insert(error);
                    Fate::Deferred
                }
            };
            rows.iter().for_each(|row| fates[*row as usize] = fates[*row as usize].max(fate));
        }
        for (row, fate) in all.zip(&fates) {
            match fate {
                Fate::New => {}
                Fate::Closed(number) => sifted.closed[*number].1.push(batch.key(row)),
                Fate::Deferred => sifted.deferred += 1,
                Fate::Landed => sifted.duplicates += 1,
            }
        }
        batch.retain(|row| fates[row as usize] == Fate::New);
        sifted
    }
}

/// Keeps of `rows` those that a day file has. `false` if it is closed; then all rows are kept.
fn find(day_file: &DayFile, batch: &Batch, rows: &mut Vec<u32>, ask: &Ask<'_>) -> Result<bool> {
    if rows.is_empty() {
        return Ok(true);
    }
    let mut offered: Vec<_> = rows.iter().map(|row| (batch.key(*row), false)).collect();
    offered.sort_unstable();
    offered.dedup();
    let open = ask(day_file, &mut offered)?;
    if open {
        offered.retain(|(_, found)| *found);
        rows.retain(|row| offered.binary_search(&(batch.key(*row), true)).is_ok());
    }
    Ok(open)
}
