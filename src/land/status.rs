//! What the journals say of every day file, read without locks: for the eye.

use serde::Serialize;

use super::day_file::{DAYS, DayFile, folder_of, name_of};
use super::error::LandError;
use super::journal::Journal;
use super::state::{Segment, State};
use super::{Lander, folders};
use crate::disk::Open;
use crate::row::Kind;

/// So many bytes can be merged within one invocation of 15 minutes where the file system reads and writes 100 MB/s:
/// a merge moves 2.03 times the day's bytes (`docs/design.md` has the measurement).
pub const MERGE_BYTES_MAX: u64 = 40_000_000_000;

/// How far a day file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DayState {
    /// A segment takes commits.
    Open,
    /// A segment takes no more commits, and is not sealed yet.
    Frozen,
    /// All segments are published.
    Sealed,
    /// Sealed, and its journal is cut: no row can be added any more.
    Closed,
}

/// One day file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayStatus {
    /// The file's name without its day.
    pub file: String,
    /// The local date.
    pub day: String,
    /// The format.
    pub kind: Kind,
    /// How far it is.
    pub state: DayState,
    /// Lines in all segments.
    pub lines: u64,
    /// Their bytes, as published where they are.
    pub bytes: u64,
    /// Rows that were dropped because they had landed before. Landings that added nothing leave no trace
    /// and are not in it; nor are any once the day is closed.
    pub duplicates: u64,
    /// Lines in late segments.
    pub late: u64,
    /// Commits; 0 once the day is closed.
    pub commits: u64,
    /// When the last commit came, milliseconds since the epoch; none once the day is closed.
    pub last_commit: Option<i64>,
    /// The names that readers find, first segment first.
    pub paths: Vec<String>,
}

/// Every day file below the root, by file and day; and what could not be read.
pub fn status(lander: &Lander<'_>) -> Result<(Vec<DayStatus>, Vec<LandError>), LandError> {
    let (mut days, mut failed) = (Vec::new(), Vec::new());
    for path in folders::walk(lander, DAYS)?.iter().filter(|path| name_of(path) == "journal") {
        let folder = folder_of(path);
        let file = folder_of(folder).strip_prefix(DAYS).and_then(|file| file.strip_prefix('/'));
        let day_file = file.and_then(|file| DayFile::parse(file, name_of(folder)));
        let Some(day_file) = day_file else {
            failed.push(LandError::Foreign { path: path.clone() });
            continue;
        };
        match Journal::peek(lander, &day_file) {
            Ok(Some(state)) => days.push(day_status(lander, &day_file, &state)),
            Ok(None) => {}
            Err(error) => failed.push(error),
        }
    }
    days.sort_by(|a, b| (&a.file, &a.day, a.kind).cmp(&(&b.file, &b.day, b.kind)));
    Ok((days, failed))
}

fn day_status(lander: &Lander<'_>, day_file: &DayFile, state: &State) -> DayStatus {
    let (file, day) = (day_file.file.clone(), day_file.day.to_string());
    let mut status = DayStatus {
        file,
        day,
        kind: day_file.kind,
        state: DayState::Closed,
        lines: 0,
        bytes: 0,
        duplicates: 0,
        late: 0,
        commits: 0,
        last_commit: None,
        paths: Vec::new(),
    };
    if let Some(closed) = &state.closed {
        for (number, segment) in (1..).zip(&closed.segments) {
            status.add(number, segment.lines, segment.bytes);
            let path = day_file.target(number, segment.gzip);
            // Retention may remove a file after its day was closed, when nothing can be noted any more.
            if !segment.removed && lander.disk.open(&path, Open::Read).is_ok() {
                status.paths.push(path);
            }
        }
        return status;
    }
    let unsealed = |segment: &&Segment| segment.done.is_none();
    status.state = match state.segments.iter().rfind(unsealed) {
        None => DayState::Sealed,
        Some(segment) if segment.frozen.is_some() => DayState::Frozen,
        Some(_) => DayState::Open,
    };
    for (number, segment) in state.numbered() {
        let sealed = segment.sealed.as_ref().filter(|_| segment.done.is_some());
        status.add(number, segment.lines(), sealed.map_or(segment.bytes(), |sealed| sealed.bytes));
        status.commits += segment.commits.len() as u64;
        status.duplicates += segment.commits.iter().map(|commit| commit.duplicates).sum::<u64>();
        status.last_commit =
            segment.commits.iter().map(|commit| commit.at).max().max(status.last_commit);
        if segment.removed.is_none() {
            let path = sealed.map(|sealed| sealed.target.clone());
            status.paths.push(path.unwrap_or_else(|| day_file.open_segment(number)));
        }
    }
    status
}

impl DayStatus {
    /// Whether it is larger than what the seal function can merge within its 15 minutes, and will not be sealed by it.
    pub fn outgrows_an_invocation(&self) -> bool {
        matches!(self.state, DayState::Open | DayState::Frozen) && self.bytes > MERGE_BYTES_MAX
    }

    fn add(&mut self, number: u32, lines: u64, bytes: u64) {
        self.lines += lines;
        self.bytes += bytes;
        if number > 1 {
            self.late += lines;
        }
    }
}
