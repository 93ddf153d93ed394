//! The status of every day file, from its journal, without locks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::land::journal::Journal;
use crate::land::journal::lander::Lander;
use crate::land::journal::state::State;
use crate::land::root::error::{LandError, Result};
use crate::land::root::folders;
use crate::land::root::layout::{DayFile, checksum_of, name_of};
use crate::land::upkeep::due::{self, Due};
use crate::row::Kind;

/// From so many bytes on, a day counts as too large for one invocation of 15 minutes. A merge moves
/// 2.03 times the day's bytes, so 100 MB/s merge 44 GB; a tenth is kept in reserve.
pub const MERGE_BYTES_MAX: u64 = 40_000_000_000;

/// The state of a day file.
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
    /// Sealed, and its journal is closed: no more rows can be added.
    Closed,
    /// Retention has removed the published files.
    Removed,
}

/// The same text as in JSON.
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
    /// Its state.
    pub state: DayState,
    /// Lines in all segments.
    pub lines: u64,
    /// Their bytes; of published segments, the bytes of the published files.
    pub bytes: u64,
    /// Bytes of text to be sealed, whatever the size of the open files.
    #[serde(skip)]
    pub unsealed_bytes: u64,
    /// Rows that were dropped because they had already landed. Landings that added nothing leave no
    /// trace and are not counted; 0 once the day is closed.
    pub duplicates: u64,
    /// Lines in late segments.
    pub late: u64,
    /// Commits; 0 once the day is closed.
    pub commits: u64,
    /// Time of the last commit, in milliseconds since the epoch; none once the day is closed.
    pub last_commit: Option<i64>,
    /// The paths for readers, in the order of the segments.
    pub paths: Vec<String>,
    /// When and why it may be sealed at the earliest; none once all segments are published.
    pub due: Option<Due>,
    /// Whether it is due but not sealed.
    pub overdue: bool,
    /// The missing files and checksums: published, not removed, and not found.
    pub missing: Vec<String>,
}

impl Lander<'_> {
    /// Every day file below the root, and those that would be sealed empty, by file and day; and
    /// the errors of those that cannot be read.
    pub fn status(&self) -> (Vec<DayStatus>, Vec<LandError>) {
        let (day_files, mut failed) = folders::day_files(self, &|_| true);
        let (mut days, mut folders) = (Vec::new(), Folders::new());
        for day_file in day_files {
            match day_status(self, &day_file, &mut folders) {
                Ok(day) => days.extend(day.map(|(day, _)| day)),
                Err(error) => failed.push(error),
            }
        }
        let (empty, unread) = due::empty(self);
        days.extend(empty.iter().map(|(day_file, due)| of_empty(self, day_file, *due)));
        // A journal that cannot be read was told above.
        let told: BTreeSet<String> = failed.iter().map(LandError::to_string).collect();
        failed.extend(unread.into_iter().filter(|error| !told.contains(&error.to_string())));
        days.sort_by(|a, b| (&a.file, &a.day, a.kind).cmp(&(&b.file, &b.day, b.kind)));
        (days, failed)
    }
}

/// The state in the journal, and which published files are missing. `None`: an interrupted landing
/// began the day, and nothing is committed yet.
pub(super) fn day_status(
    lander: &Lander<'_>,
    day_file: &DayFile,
    folders: &mut Folders,
) -> Result<Option<(DayStatus, State)>> {
    loop {
        let Some(state) = Journal::read_or_damage(lander, day_file)? else { return Ok(None) };
        if state.closed.is_none() && state.segments.is_empty() {
            return Ok(None);
        }
        let missing = missing(lander, day_file, &state, folders)?;
        // Retention may have removed files since the journal was read.
        let is_so = missing.is_empty()
            || Journal::peek(lander, day_file)?.is_none_or(|later| later == state);
        if is_so {
            let status = DayStatus { missing, ..of_state(lander, day_file, &state) };
            return Ok(Some((status, state)));
        }
    }
}

/// The names in each folder: one listing costs less than opening each file.
pub(super) type Folders = BTreeMap<String, BTreeSet<String>>;

/// The files that were published, are not removed, and do not exist.
fn missing(
    lander: &Lander<'_>,
    day_file: &DayFile,
    state: &State,
    folders: &mut Folders,
) -> Result<Vec<String>> {
    let folder = day_file.folder();
    if !folders.contains_key(folder) {
        let names = folders::names(lander, folder)?.into_iter().collect();
        folders.insert(folder.to_owned(), names);
    }
    let kept = state.published(day_file).into_iter().filter(|one| !one.removed);
    let mut paths: Vec<String> = kept.flat_map(|one| [checksum_of(&one.path), one.path]).collect();
    paths.sort();
    paths.retain(|path| !folders.get(folder).is_some_and(|names| names.contains(name_of(path))));
    // They may have been published since the folder was listed.
    let mut missing = Vec::new();
    for path in paths {
        if lander.open_if_there(&path)?.is_none() {
            missing.push(path);
        }
    }
    Ok(missing)
}

fn of_state(lander: &Lander<'_>, day_file: &DayFile, state: &State) -> DayStatus {
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
    let due = Due::of(lander, day_file, state);
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
        overdue: due.is_some_and(|due| due.at <= lander.clock.now()),
        due,
        missing: Vec::new(),
    }
}

/// A day file that would be sealed empty: nothing of it is there yet.
pub(super) fn of_empty(lander: &Lander<'_>, day_file: &DayFile, due: Due) -> DayStatus {
    DayStatus {
        state: DayState::Open,
        due: Some(due),
        overdue: due.at <= lander.clock.now(),
        ..of_state(lander, day_file, &State::default())
    }
}

impl DayStatus {
    /// Whether it is too large for the seal function to merge within its 15 minutes.
    pub fn outgrows_an_invocation(&self) -> bool {
        let unsealed = [DayState::Open, DayState::Frozen, DayState::SealedLate];
        unsealed.contains(&self.state) && self.unsealed_bytes > MERGE_BYTES_MAX
    }
}
