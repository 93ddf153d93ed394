//! The sealer's round over the whole root: what is due is sealed, old journals are closed, old files removed.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use serde::Serialize;

use super::commit::{self, Hold};
use super::day_file::{DayFile, OPEN_HINTS, SEALED_HINTS, folder_of, name_of};
use super::error::{LandError, Named};
use super::frame::{Closed, ClosedSegment, Frame, Mark, Sealed};
use super::journal::Journal;
use super::output::hex;
use super::state::State;
use super::{Lander, folders, in_parallel, seal};
use crate::clock::Clock;
use crate::day;
use crate::disk::Open;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// What a round did.
#[derive(Debug, Default)]
pub struct Swept {
    /// The segments that are published now and were not before.
    pub sealed: Vec<(DayFile, Sealed)>,
    /// The days whose journals were closed.
    pub closed: Vec<DayFile>,
    /// The files that retention removed.
    pub removed: Vec<String>,
    /// What failed; everything else was done all the same.
    pub failed: Vec<LandError>,
}

/// A sealed segment as an announcement names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Announced {
    /// The file's name without its day.
    pub file: String,
    /// The local date.
    pub day: String,
    /// 1 is the first, the others are late ones.
    pub segment: u32,
    /// The published name, relative to the root.
    pub path: String,
    /// How many lines.
    pub lines: u64,
    /// How many bytes, as published.
    pub bytes: u64,
    /// Of the published bytes, hexadecimal.
    pub sha256: String,
}

/// What the sealer answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The segments that are published now.
    pub sealed: Vec<Announced>,
    /// The days that take no rows any more.
    pub closed: Vec<String>,
    /// The files that retention removed.
    pub removed: Vec<String>,
    /// What failed, in words.
    pub failed: Vec<String>,
}

impl Swept {
    /// The round as the sealer answers it.
    pub fn answer(&self) -> Answer {
        let announced = |(day_file, sealed): &(DayFile, Sealed)| Announced {
            file: day_file.file.clone(),
            day: day_file.day.to_string(),
            segment: sealed.segment,
            path: sealed.target.clone(),
            lines: sealed.lines,
            bytes: sealed.bytes,
            sha256: hex(&sealed.sha256),
        };
        Answer {
            sealed: self.sealed.iter().map(announced).collect(),
            closed: self.closed.iter().map(ToString::to_string).collect(),
            removed: self.removed.clone(),
            failed: self.failed.iter().map(ToString::to_string).collect(),
        }
    }
}

/// One round. With the system's clock, it first compares it with the file system's.
pub fn sweep(lander: &Lander<'_>) -> Result<Swept, LandError> {
    check_clock(lander)?;
    let mut swept = Swept::default();
    let mut days: BTreeMap<DayFile, Vec<u32>> = BTreeMap::new();
    for (day_file, segment) in hints(lander, OPEN_HINTS)? {
        days.entry(day_file).or_default().extend(segment);
    }
    let mut files: BTreeSet<String> = days.keys().map(|day_file| day_file.file.clone()).collect();
    let threads = lander.config.limits.parallel;
    let results = in_parallel(threads, days.into_iter().collect(), |(day_file, segments)| {
        let time = lander.check_time(&day_file);
        (time.and_then(|()| seal::seal(lander, &day_file, &segments)), day_file)
    });
    for (result, day_file) in results {
        match result {
            Ok(sealed) => swept.sealed.extend(sealed.into_iter().map(|s| (day_file.clone(), s))),
            Err(error) => swept.failed.push(error),
        }
    }
    let sealed: Vec<DayFile> =
        hints(lander, SEALED_HINTS)?.into_iter().map(|(day_file, _)| day_file).collect();
    files.extend(sealed.iter().map(|day_file| day_file.file.clone()));
    for (day_file, result) in in_parallel(threads, sealed, |day_file| {
        let result = lander.check_time(&day_file).and_then(|()| close(lander, &day_file));
        (day_file, result)
    }) {
        match result {
            Ok(Close::Now) => swept.closed.push(day_file),
            Ok(Close::NotYet) => {}
            Ok(Close::Unsealed(sealed)) => {
                swept.sealed.extend(sealed.into_iter().map(|s| (day_file.clone(), s)));
            }
            Err(error) => swept.failed.push(error),
        }
    }
    clear(lander, &files, &mut swept)?;
    retain(lander, &mut swept)?;
    Ok(swept)
}

/// For how long the oldest unsealed segment could have been sealed, in milliseconds: since its day's end,
/// or since its first commit if that came later. 0 if no day that is over is unsealed.
///
/// A day whose journal cannot be read counts since its end: [`sweep`] says what is wrong with it.
pub fn oldest_unsealed(lander: &Lander<'_>) -> Result<i64, LandError> {
    let now = lander.clock.now();
    let ages = hints(lander, OPEN_HINTS)?.into_iter().map(|(day_file, _)| {
        let since = unsealed_since(lander, &day_file);
        since.unwrap_or_else(|_| Some(day::day_end(lander.config.timezone, day_file.day)))
    });
    Ok(ages.flatten().map(|since| now - since).max().unwrap_or_default().max(0))
}

/// Since when the oldest unsealed segment of a day could have been sealed.
fn unsealed_since(lander: &Lander<'_>, day_file: &DayFile) -> Result<Option<i64>, LandError> {
    let Some(state) = Journal::look(lander, day_file)? else { return Ok(None) };
    let end = day::day_end(state.timezone(&day_file.journal())?, day_file.day);
    let unsealed = state.numbered().filter(|(_, segment)| segment.sealed.is_none());
    Ok(unsealed
        .map(|(_, segment)| segment.commits.first().map_or(end, |commit| commit.at.max(end)))
        .min())
}

/// The hints below a folder: the day file, and the segment where the hint is of one.
fn hints(lander: &Lander<'_>, folder: &str) -> Result<Vec<(DayFile, Option<u32>)>, LandError> {
    let paths = folders::walk(lander, folder)?;
    Ok(paths
        .iter()
        .filter_map(|path| {
            let name = name_of(path);
            let file = folder_of(path).strip_prefix(folder)?.strip_prefix('/')?;
            let segment = name.rsplit_once('.').and_then(|(_, segment)| segment.parse().ok());
            Some((DayFile::parse(file, name)?, segment))
        })
        .collect())
}

/// A clock that is wrong would seal days that are not over. An explicit `--now` is taken as it is.
fn check_clock(lander: &Lander<'_>) -> Result<(), LandError> {
    if lander.clock != Clock::System {
        return Ok(());
    }
    folders::make(lander, ".hiwake")?;
    // Always the same file: nothing is left behind, whenever a process dies.
    let path = ".hiwake/clock";
    let file = lander.disk.open(path, Open::Create(lander.open_mode())).named("make", path)?;
    let written = file.write_at(b"?", 0).and_then(|()| file.sync()).and_then(|()| file.inode());
    let theirs = written.named("write", path)?.modified;
    let ours = lander.clock.now();
    if ours.abs_diff(theirs) > lander.config.limits.clock_skew.as_millis() as u64 {
        return Err(LandError::Clock { ours, theirs });
    }
    Ok(())
}

/// What became of a sealed day.
enum Close {
    /// It is closed now.
    Now,
    /// It stays as it is.
    NotYet,
    /// Something of it was not published, perhaps because a hint was lost; these segments are now.
    Unsealed(Vec<Sealed>),
}

/// Closes a day's journal `journal_days` after its last segment was sealed.
fn close(lander: &Lander<'_>, day_file: &DayFile) -> Result<Close, LandError> {
    let Some(state) = Journal::look(lander, day_file)? else { return Ok(Close::NotYet) };
    if state.segments.iter().any(|segment| segment.done.is_none()) {
        return seal::seal(lander, day_file, &[]).map(Close::Unsealed);
    }
    let age = i64::from(lander.config.seal.journal_days) * DAY_MS;
    let old = |at: i64| at + age <= lander.clock.now();
    let is_due = |state: &State| match &state.closed {
        // A close that was cut short.
        Some(_) => true,
        None if state.segments.is_empty() => false,
        None => state.segments.iter().all(|segment| segment.done.is_some_and(old)),
    };
    if !is_due(&state) {
        return Ok(Close::NotYet);
    }
    let mut journal = commit::lock(lander, day_file)?;
    if !is_due(&journal.state) {
        return Ok(Close::NotYet);
    }
    let was_open = journal.state.closed.is_none();
    if was_open {
        let closed = closed(&journal.state, lander.clock.now());
        // Under all locks, proven: nobody may be about to append.
        let hold = Hold::take(lander, day_file, &mut journal)?;
        hold.journal.prove()?;
        if !hold.journal.close(closed)? {
            return Ok(Close::NotYet);
        }
    } else {
        // The slot may be of a process that was killed before its sync, or whose sync failed.
        journal.repeat()?;
    }
    let path = day_file.seen();
    let deadline = lander.lock_deadline();
    let (seen, _) = lander.open_locked(&path, Open::ReadWrite, deadline)?;
    seen.truncate(0).and_then(|()| seen.sync()).named("cut", &path)?;
    drop(seen);
    folders::remove(lander, &day_file.sealed_hint())?;
    Ok(if was_open { Close::Now } else { Close::NotYet })
}

/// Removes what processes that died, or stood still past their lease, left beside published files: open files and
/// temporaries of segments that are done. Once done is done for ever, so this needs no lock.
fn clear(
    lander: &Lander<'_>,
    files: &BTreeSet<String>,
    swept: &mut Swept,
) -> Result<(), LandError> {
    let hinted = hints(lander, OPEN_HINTS)?;
    for file in files {
        for name in folders::names(lander, file)? {
            let Some((day_file, segment)) = DayFile::parse_unfinished(file, &name) else {
                continue;
            };
            if hinted.contains(&(day_file.clone(), Some(segment))) {
                continue;
            }
            let removed = Journal::peek(lander, &day_file).and_then(|state| {
                let done = state.is_some_and(|state| state.is_done(segment));
                if done { folders::remove(lander, &format!("{file}/{name}")) } else { Ok(()) }
            });
            swept.failed.extend(removed.err());
        }
    }
    Ok(())
}

fn closed(state: &State, at: i64) -> Closed {
    let segments = state.segments.iter().filter_map(|segment| {
        let sealed = segment.sealed.as_ref()?;
        let removed = segment.removed.is_some();
        let Sealed { bytes, lines, sha256, .. } = *sealed;
        let gzip = name_of(&sealed.target).ends_with(".gz");
        Some(ClosedSegment { gzip, bytes, lines, sha256, removed })
    });
    Closed { at, segments: segments.collect() }
}

/// Removes the published files of days that ended longer than `retention.days` ago.
fn retain(lander: &Lander<'_>, swept: &mut Swept) -> Result<(), LandError> {
    let days = lander.config.retention.days;
    if days == 0 {
        return Ok(());
    }
    let zone: Tz = lander.config.timezone;
    for path in folders::walk(lander, "")? {
        let found = DayFile::parse_published(folder_of(&path), name_of(&path));
        let Some((day_file, segment)) = found else { continue };
        if day::day_end(zone, day_file.day) + i64::from(days) * DAY_MS > lander.clock.now() {
            continue;
        }
        match remove_published(lander, &day_file, segment, &path) {
            Ok(true) => swept.removed.push(path),
            Ok(false) => {}
            Err(error) => swept.failed.push(error),
        }
    }
    Ok(())
}

/// The frame first, then the checksum, then the file: a crash between them leaves a file that the next round removes.
fn remove_published(
    lander: &Lander<'_>,
    day_file: &DayFile,
    number: u32,
    path: &str,
) -> Result<bool, LandError> {
    if Journal::peek(lander, day_file)?.is_none() {
        // Not a file of ours.
        return Ok(false);
    }
    let mut journal = commit::lock(lander, day_file)?;
    // The frames that this goes by may be of a process that was killed before its sync, or whose sync failed.
    journal.repeat()?;
    if let Some(closed) = &journal.state.closed {
        let segment = closed.segments.get((number as usize).wrapping_sub(1));
        if segment.is_none_or(|segment| day_file.target(number, segment.gzip) != path) {
            return Ok(false);
        }
    } else {
        let Some(segment) = journal.state.segment(number) else { return Ok(false) };
        let sealed = segment.sealed.as_ref().is_some_and(|sealed| sealed.target == path);
        if !sealed || segment.done.is_none() {
            return Ok(false);
        }
        if segment.removed.is_none() {
            let mark = Mark { segment: number, at: lander.clock.now() };
            journal.append(Frame::Removed(mark))?;
        }
    }
    // The checksum first: the next round finds what is left by the file's own name.
    for path in [&format!("{path}.sha256"), path] {
        folders::remove(lander, path)?;
        lander.disk.sync_dir(day_file.folder()).named("sync", day_file.folder())?;
    }
    Ok(true)
}
