//! The report: one page for the daily look of an auditor and an operator.
//!
//! It is generated from the journals, and from a check that each published file exists. It is not a
//! day file: each report replaces the previous one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::SecondsFormat;

use crate::clock::rfc_3339;
use crate::config::Language;
use crate::disk::Open;
use crate::land::journal::frame::Contents;
use crate::land::journal::lander::Lander;
use crate::land::root::error::{Context, Result, is_absent};
use crate::land::root::layout::{DayFile, HIWAKE};
use crate::land::root::{folders, unique};
use crate::land::upkeep::fault::Fault;
use crate::land::upkeep::status::{DayState, DayStatus, Folders, day_status, of_empty};
use crate::land::upkeep::{calendar, due, page};
use crate::row::Day;

/// The page that sealing writes. No day file's name contains an `@`.
pub const REPORT: &str = "@report.html";
/// The beginning of its name until it is complete.
const TEMPORARY: &str = "report.";

/// What a report shows.
#[derive(Debug, Default)]
pub struct Report {
    /// When it was generated, in milliseconds since the epoch.
    pub at: i64,
    /// The days of each file.
    pub(super) files: BTreeMap<String, BTreeMap<Day, ReportedDay>>,
    /// The dates in the calendar at that time.
    pub(super) names: BTreeSet<String>,
    /// The faults.
    pub wrong: Vec<Fault>,
}

/// One day of a file, in all its kinds.
#[derive(Debug, Default)]
pub(super) struct ReportedDay {
    pub(super) days: Vec<DayStatus>,
    /// Path, lines, bytes and SHA-256 of each published segment that was not removed.
    pub(super) published: Vec<(String, u64, u64, String)>,
    /// Whether a part of it is unreadable or missing.
    pub(super) missing: bool,
}

/// How the report's calendar marks a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Complete,
    Open,
    Late,
    Quiet,
    Removed,
    Missing,
}

impl ReportedDay {
    pub(super) fn mark(&self) -> Mark {
        let any = |states: &[DayState]| self.days.iter().any(|day| states.contains(&day.state));
        match () {
            () if self.missing => Mark::Missing,
            () if any(&[DayState::Open, DayState::Frozen]) => Mark::Open,
            () if self.days.iter().any(|day| day.late > 0) || any(&[DayState::SealedLate]) => {
                Mark::Late
            }
            () if self.days.iter().all(|day| day.state == DayState::Removed) => Mark::Removed,
            () => Mark::Complete,
        }
    }

    pub(super) fn sum(&self, of: impl Fn(&DayStatus) -> u64) -> u64 {
        self.days.iter().map(of).sum()
    }
}

impl Lander<'_> {
    /// Generates the report, without locks. `wrong` has the faults that are already known.
    pub fn report(&self, wrong: Vec<Fault>) -> Report {
        // Before the journals are read: if a day begins meanwhile, the next round finds the page
        // outdated.
        let names = calendar::names(self);
        let mut report = Report { at: self.clock.now(), names, wrong, ..Report::default() };
        let (day_files, unread) = folders::day_files(self, &|_| true);
        report.wrong.extend(unread.iter().map(Fault::from));
        let mut listed = Folders::new();
        for day_file in day_files {
            let mut wrong = Vec::new();
            let day = self.reported(&day_file, &mut listed, &mut wrong).unwrap_or_else(|error| {
                wrong.push(Fault::from(&error));
                Some(ReportedDay::default())
            });
            let Some(day) = day else { continue };
            let into = report.files.entry(day_file.file).or_default();
            let into = into.entry(day_file.day).or_default();
            into.missing |= !wrong.is_empty();
            into.days.extend(day.days);
            into.published.extend(day.published);
            report.wrong.extend(wrong);
        }
        let (empty, unread) = due::empty(self);
        for (day_file, due) in empty {
            let status = of_empty(self, &day_file, due);
            let overdue = self.overdue(&day_file, &status);
            let into = report.files.entry(day_file.file).or_default();
            let into = into.entry(day_file.day).or_default();
            into.missing |= overdue.is_some();
            into.days.push(status);
            report.wrong.extend(overdue);
        }
        for fault in unread.iter().map(Fault::from) {
            // A journal that cannot be read was told above.
            if !report.wrong.contains(&fault) {
                report.wrong.push(fault);
            }
        }
        report
    }

    fn reported(
        &self,
        day_file: &DayFile,
        listed: &mut Folders,
        wrong: &mut Vec<Fault>,
    ) -> Result<Option<ReportedDay>> {
        let Some((status, state)) = day_status(self, day_file, listed)? else { return Ok(None) };
        let mut day = ReportedDay::default();
        wrong.extend(status.missing.iter().map(|path| Fault::missing(path)));
        for one in state.published(day_file).into_iter().filter(|one| !one.removed) {
            let Contents { bytes, lines, sha256 } = one.contents;
            day.published.push((one.path, lines, bytes, hex::encode(sha256)));
        }
        wrong.extend(self.overdue(day_file, &status));
        day.days.push(status);
        Ok(Some(day))
    }

    /// The fault of a day that has waited for too long. Any other waiting day is open in the
    /// calendar, not missing.
    fn overdue(&self, day_file: &DayFile, status: &DayStatus) -> Option<Fault> {
        let due = status.due.filter(|due| due.is_overdue(self.clock.now()))?;
        let since = rfc_3339(due.at, self.config.timezone, SecondsFormat::Secs);
        Some(Fault::overdue(&day_file.to_string(), &since))
    }

    /// Whether the page beside the files is from today and still current: it has no faults, and no
    /// day has begun or ended since. `None`: it does not exist.
    pub(super) fn page_is_current(&self, names: &BTreeSet<String>) -> Result<Option<bool>> {
        let Some(page) = self.open_if_there(REPORT)? else { return Ok(None) };
        let report = Report { at: self.clock.now(), names: names.clone(), ..Report::default() };
        let wanted = page::head(&report, self.config.timezone, self.config.report.language);
        let mut head = vec![0; wanted.len()];
        let filled = page.read_at(&mut head, 0).context("read", REPORT)?;
        Ok(Some(head[..filled] == *wanted.as_bytes()))
    }

    /// Writes the page beside the files: first a temporary file, then a rename. A reader sees the
    /// old page or the new one.
    pub(super) fn write_report(&self, wrong: Vec<Fault>) -> Result<()> {
        let page = self.report(wrong).page(self, self.config.report.language);
        let temporary = format!("{HIWAKE}/{TEMPORARY}{}.tmp", unique());
        let file = self.open(&temporary, Open::CreateNew(self.config.files.mode | 0o200))?;
        let written = file.write_at(page.as_bytes(), 0).and_then(|()| file.sync());
        written.context("write", &temporary)?;
        file.set_mode(self.config.files.mode).context("set the mode of", &temporary)?;
        match self.disk.rename(&temporary, REPORT) {
            // Another round has removed this file, and has written its own page.
            Err(error) if is_absent(&error) => {}
            renamed => renamed.context("rename", &temporary)?,
        }
        self.disk.sync_dir("").context("sync", "")?;
        // Remove what killed processes left.
        let is_ours = |name: &&String| name.starts_with(TEMPORARY) && name.ends_with(".tmp");
        let names = folders::names(self, HIWAKE)?;
        names
            .iter()
            .filter(is_ours)
            .try_for_each(|name| folders::remove(self, &format!("{HIWAKE}/{name}")))
    }
}

impl Report {
    /// The HTML page, which loads nothing.
    pub fn page(&self, lander: &Lander<'_>, language: Language) -> String {
        page::page(self, lander.config.timezone, language)
    }

    /// The days from a file's first day to the last day of all files, also those without lines.
    pub(super) fn span(&self, days: &BTreeMap<Day, ReportedDay>) -> BTreeSet<Day> {
        let last = self.files.values().filter_map(|days| days.last_key_value()).map(|one| *one.0);
        let (Some((first, _)), Some(last)) = (days.first_key_value(), last.max()) else {
            return BTreeSet::new();
        };
        let dates = first.date().iter_days().take_while(|date| *date <= last.date());
        dates.filter_map(Day::new).collect()
    }
}
