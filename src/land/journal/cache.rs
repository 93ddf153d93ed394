//! The states of journals that this process appended to. Under the next lock only newer frames are
//! read.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::land::journal::state::State;
use crate::land::root::layout::DayFile;

/// The approximate memory for cached states: that of 100,000 commits. A single day file may take
/// more, as its landing does.
const BYTES_MAX: usize = 64 << 20;

/// The states of day files, as they were when this process last held their locks.
///
/// A state is taken out for use and put back on success. After an error it is uncertain, and
/// therefore dropped.
#[derive(Debug, Default)]
pub struct Journals(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    states: HashMap<DayFile, State>,
    bytes: usize,
    /// The marks of days that this process has made.
    marked: HashSet<String>,
}

impl Journals {
    fn known(&self) -> MutexGuard<'_, Cached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the state of a day file out of the cache.
    pub(crate) fn take(&self, day_file: &DayFile) -> Option<State> {
        let mut known = self.known();
        let state = known.states.remove(day_file)?;
        known.bytes -= state.cost();
        Some(state)
    }

    /// Whether this process has already made a mark.
    pub(crate) fn is_marked(&self, path: &str) -> bool {
        self.known().marked.contains(path)
    }

    /// Remembers a mark that is durable.
    pub(crate) fn mark(&self, path: String) {
        self.known().marked.insert(path);
    }

    /// Caches a state. If the limit is exceeded, all other states are dropped.
    pub(crate) fn put(&self, day_file: &DayFile, state: State) {
        let mut known = self.known();
        known.bytes += state.cost();
        if known.bytes > BYTES_MAX {
            *known = Cached { bytes: state.cost(), ..Cached::default() };
        }
        if let Some(before) = known.states.insert(day_file.clone(), state) {
            known.bytes -= before.cost();
        }
    }
}
