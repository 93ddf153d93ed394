//! What a process remembers of the journals that it appended to: under the next lock it reads only
//! what came since.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::land::journal::state::State;
use crate::land::root::layout::DayFile;

/// The memory that is spent on it, about: that of 100,000 commits. One day file may take more, as
/// its landing does.
const BYTES_MAX: usize = 64 << 20;

/// The states of day files, as they were when this process last held their locks.
///
/// A state is taken out to be used, and put back when all went well: what an error left in doubt is
/// forgotten.
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

    /// The state of a day file, which is nobody else's then.
    pub(crate) fn take(&self, day_file: &DayFile) -> Option<State> {
        let mut known = self.known();
        let state = known.states.remove(day_file)?;
        known.bytes -= state.cost();
        Some(state)
    }

    /// Whether this process has made a mark already.
    pub(crate) fn is_marked(&self, path: &str) -> bool {
        self.known().marked.contains(path)
    }

    /// Remembers a mark that is durable.
    pub(crate) fn mark(&self, path: String) {
        self.known().marked.insert(path);
    }

    /// Remembers a state; if that is too much, it forgets all others.
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
