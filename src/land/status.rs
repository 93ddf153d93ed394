//! What the journals say of every day file, read without locks: for the eye.

use serde::Serialize;

use super::day_file::DayFile;
use super::error::LandError;
use super::journal::Journal;
use super::state::State;
use super::{Lander, folders};
use crate::row::Kind;

/// So many bytes can be merged within one invocation of 15 minutes where the file system reads and writes 100 MB/s:
/// a merge moves 2.03 times the day's bytes (`docs/design.md` has the measurement).
pub const MERGE_BYTES_MAX: u64 = 40_000_000_000;

/// How far a day file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum DayState {
    /// A segment takes commits.
    #[serde(rename = "open")]
    Open,
    /// A segment takes no more commits, and is not sealed yet.
    #[serde(rename = "frozen")]
    Frozen,
    /// All segments are published.
    #[serde(rename = "sealed")]
    Sealed,
    /// Published, and a late segment takes commits.
    #[serde(rename = "sealed+late")]
    SealedLate,
    /// Sealed, and its journal is cut: no row can be added any more.
    #[serde(rename = "closed")]
    Closed,
    /// Retention has removed the published files.
    #[serde(rename = "removed")]
    Removed,
}

impl DayState {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            DayState::Open => "open",
            DayState::Frozen => "frozen",
            DayState::Sealed => "sealed",
            DayState::SealedLate => "sealed+late",
            DayState::Closed => "closed",
            DayState::Removed => "removed",
        }
    }

    fn of(state: &State) -> DayState {
        let published = state.last_done().is_some();
        let done = state.segments.iter().any(|segment| segment.done.is_some());
        let unsealed = state.segments.iter().rfind(|segment| segment.done.is_none());
        match unsealed {
            Some(segment) if segment.frozen.is_some() => DayState::Frozen,
            Some(_) if done => DayState::SealedLate,
            Some(_) => DayState::Open,
            None if published && state.is_removed() => DayState::Removed,
            None if state.closed.is_some() => DayState::Closed,
            None => DayState::Sealed,
        }
    }
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
pub fn status(lander: &Lander<'_>) -> (Vec<DayStatus>, Vec<LandError>) {
    let (day_files, mut failed) = folders::day_files(lander, &|_| true);
    let mut days = Vec::new();
    for day_file in day_files {
        match Journal::look(lander, &day_file) {
            // What an interrupted landing has begun is no day yet.
            Ok(Some(state)) if state.closed.is_none() && state.segments.is_empty() => {}
            Ok(Some(state)) => days.push(day_status(&day_file, &state)),
            Ok(None) => {}
            Err(error) => failed.push(error),
        }
    }
    days.sort_by(|a, b| (&a.file, &a.day, a.kind).cmp(&(&b.file, &b.day, b.kind)));
    (days, failed)
}

fn day_status(day_file: &DayFile, state: &State) -> DayStatus {
    let (file, day) = (day_file.file.clone(), day_file.day.to_string());
    let mut status = DayStatus {
        file,
        day,
        kind: day_file.kind,
        state: DayState::of(state),
        lines: 0,
        bytes: 0,
        duplicates: 0,
        late: 0,
        commits: 0,
        last_commit: None,
        paths: Vec::new(),
    };
    for (number, segment) in (1..).zip(state.closed.iter().flat_map(|closed| &closed.segments)) {
        status.add(number, segment.lines, segment.bytes);
    }
    for (number, segment) in state.numbered() {
        let sealed = segment.sealed.as_ref().filter(|_| segment.done.is_some());
        status.add(number, segment.lines(), sealed.map_or(segment.bytes(), |sealed| sealed.bytes));
        status.commits += segment.commits.len() as u64;
        status.duplicates += segment.commits.iter().map(|commit| commit.duplicates).sum::<u64>();
        let last = segment.commits.iter().map(|commit| commit.at).max();
        status.last_commit = last.max(status.last_commit);
    }
    let published = state.published(day_file).into_iter().filter(|one| !one.removed);
    status.paths.extend(published.map(|one| one.path));
    let open = state.numbered().filter(|(_, segment)| segment.done.is_none());
    status.paths.extend(open.map(|(number, _)| day_file.open_segment(number)));
    status
}

impl DayStatus {
    /// Whether it is larger than what the seal function can merge within its 15 minutes, and will not be sealed by it.
    pub fn outgrows_an_invocation(&self) -> bool {
        let unsealed = [DayState::Open, DayState::Frozen, DayState::SealedLate];
        unsealed.contains(&self.state) && self.bytes > MERGE_BYTES_MAX
    }

    fn add(&mut self, number: u32, lines: u64, bytes: u64) {
        self.lines += lines;
        self.bytes += bytes;
        if number > 1 {
            self.late += lines;
        }
    }
}
