//! What a process remembers of the journals that it appended to: under the next lock it reads only what came since.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::day_file::DayFile;
use super::state::State;

/// The memory that is spent on it, about: the state of 100,000 commits.
const BYTES_MAX: usize = 64 << 20;

/// The states of day files, as they were when this process last held their locks.
///
/// A state is taken out to be used, and put back when all went well, so what an error left in doubt is forgotten.
#[derive(Debug, Default)]
pub struct Journals(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    states: HashMap<DayFile, (u64, State)>,
    bytes: usize,
    /// How often one was put back: the oldest is forgotten first.
    puts: u64,
}

impl Journals {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of a day file, which is nobody else's then.
    pub(super) fn take(&self, day_file: &DayFile) -> Option<State> {
        let mut kept = self.kept();
        let (_, state) = kept.states.remove(day_file)?;
        kept.bytes -= state.cost();
        Some(state)
    }

    /// Remembers a state.
    pub(super) fn put(&self, day_file: &DayFile, state: State) {
        let cost = state.cost();
        if cost > BYTES_MAX {
            return;
        }
        self.take(day_file);
        let mut kept = self.kept();
        while kept.bytes + cost > BYTES_MAX {
            let oldest = kept.states.iter().min_by_key(|(_, (put, _))| *put);
            let Some(oldest) = oldest.map(|(day_file, _)| day_file.clone()) else { break };
            if let Some((_, state)) = kept.states.remove(&oldest) {
                kept.bytes -= state.cost();
            }
        }
        kept.puts += 1;
        kept.bytes += cost;
        let put = kept.puts;
        kept.states.insert(day_file.clone(), (put, state));
    }
}
