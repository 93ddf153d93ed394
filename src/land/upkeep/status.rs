//! What the journals say of every day file, read without locks: for the eye.

use std::fmt;

use serde::Serialize;

use crate::land::journal::Journal;
use crate::land::journal::lander::Lander;
use crate::land::journal::state::State;
use crate::land::root::error::LandError;
use crate::land::root::folders;
use crate::land::root::layout::DayFile;
use crate::land::upkeep::due::Due;
use crate::row::Kind;

/// So many bytes can be merged within one invocation of 15 minutes where the file system reads and
/// writes 100 MB/s: a merge moves 2.03 times the day's bytes (`docs/performance.md`, "Limits").
pub const MERGE_BYTES_MAX: u64 = 40_000_000_000;

/// How far a day file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[cfg_attr(feature = "cli", value(rename_all = "lowercase"))]
#[serde(rename_all = "lowercase")]
pub enum DayState {
    /// A segment takes commits.
    Open,
    /// A segment takes no more commits, and is not sealed yet.
    Frozen,
    /// All segments are published.
    Sealed,
    /// Published, and a late segment takes commits.
    #[serde(rename = "sealed+late")]
    #[cfg_attr(feature = "cli", value(name = "sealed+late"))]
    SealedLate,
    /// Sealed, and its journal is cut: no row can be added any more.
    Closed,
    /// Retention has removed the published files.
    Removed,
}

/// As in JSON.
impl fmt::Display for DayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl DayState {
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
    /// Bytes of text that are to be sealed, whatever their open files come to.
    #[serde(skip)]
    pub unsealed_bytes: u64,
    /// Rows that were dropped because they had landed before. Landings that added nothing leave no
    /// trace and are not in it; nor are any once the day is closed.
    pub duplicates: u64,
    /// Lines in late segments.
    pub late: u64,
    /// Commits; 0 once the day is closed.
    pub commits: u64,
    /// When the last commit came, milliseconds since the epoch; none once the day is closed.
    pub last_commit: Option<i64>,
    /// The names that readers find, first segment first.
    pub paths: Vec<String>,
    /// When it may be sealed at the earliest, and why then; none once all of it is published.
    pub due: Option<Due>,
}

impl Lander<'_> {
    /// Every day file below the root, by file and day; and what could not be read.
    pub fn status(&self) -> (Vec<DayStatus>, Vec<LandError>) {
        let (day_files, mut failed) = folders::day_files(self, &|_| true);
        let mut days = Vec::new();
        for day_file in day_files {
            match Journal::read_or_damage(self, &day_file) {
                // What an interrupted landing has begun is not a valid day yet.
                Ok(Some(state)) if state.closed.is_none() && state.segments.is_empty() => {}
                Ok(Some(state)) => days.push(day_status(self, &day_file, &state)),
                Ok(None) => {}
                Err(error) => failed.push(error),
            }
        }
        days.sort_by(|a, b| (&a.file, &a.day, a.kind).cmp(&(&b.file, &b.day, b.kind)));
        (days, failed)
    }
}

pub(super) fn day_status(lander: &Lander<'_>, day_file: &DayFile, state: &State) -> DayStatus {
    let closed = state.closed.iter().flat_map(|closed| &closed.segments);
    let mut sizes: Vec<_> = closed.map(|one| (one.contents.lines, one.contents.bytes)).collect();
    sizes.extend(state.segments.iter().map(|segment| {
        let sealed = segment.sealed.as_ref().filter(|_| segment.done.is_some());
        (segment.lines(), sealed.map_or(segment.bytes(), |sealed| sealed.bytes))
    }));
    let published = state.published(day_file).into_iter().filter(|one| !one.removed);
    let open = || state.numbered().filter(|(_, segment)| segment.done.is_none());
    let unsealed_bytes = open().map(|(_, segment)| segment.text_bytes()).sum();
    let open = open().map(|(number, one)| day_file.open_segment(number, one.form()));
    DayStatus {
        file: day_file.file.clone(),
        day: day_file.day.to_string(),
        kind: day_file.kind,
        state: DayState::of(state),
        lines: sizes.iter().map(|(lines, _)| lines).sum(),
        bytes: sizes.iter().map(|(_, bytes)| bytes).sum(),
        unsealed_bytes,
        duplicates: state.commits().map(|commit| commit.duplicates).sum(),
        late: sizes.iter().skip(1).map(|(lines, _)| lines).sum(),
        commits: state.commits().count() as u64,
        last_commit: state.commits().map(|commit| commit.at).max(),
        paths: published.map(|one| one.path).chain(open).collect(),
        due: Due::of(lander, day_file, state),
    }
}

impl DayStatus {
    /// Whether it is larger than what the seal function can merge within its 15 minutes, and will
    /// not be sealed by it.
    pub fn outgrows_an_invocation(&self) -> bool {
        let unsealed = [DayState::Open, DayState::Frozen, DayState::SealedLate];
        unsealed.contains(&self.state) && self.unsealed_bytes > MERGE_BYTES_MAX
    }
}
