//! land(): objects → rows → per day file → commit. Every row of every landed object is in exactly
//! one line.
//!
//! [`Lander::land`] reads objects as streams and gathers their rows by day file. When the buffer is
//! full, and at the end, it commits ([`commit`](day_file::commit)) each day file's rows under one
//! hold of its lock. Several day files are committed in parallel. An object is acknowledged once
//! all its rows are durable lines, had already landed, or are in quarantine.
//!
//! The rooms, from the bottom up. A room imports only from rooms earlier in this list, with one
//! exception: `day_file::commit` fills the counts of `intake::tally`.
//!
//! | room | contents |
//! |---|---|
//! | [`root`] | a root on disk: paths and names, files and folders, locks, errors |
//! | [`pool`] | memory for lines |
//! | [`journal`] | the journal of a day file: its frames, the state that they give, `seen` |
//! | [`day_file`] | one day file under its locks: commit, publish, seal |
//! | [`intake`] | objects → rows → commits: landing, registers, quarantine |
//! | [`upkeep`] | the sealer's round, status, verify |
//! | [`rebuild`] | repair of a damaged day |

pub mod day_file;
pub mod intake;
pub mod journal;
pub mod pool;
pub mod rebuild;
pub mod root;
pub mod upkeep;

use self::intake::Landing;
use self::intake::plan::{DayPlan, Plan};
use crate::store::{ObjectId, Store};

pub use self::intake::selection::Selection;
pub use self::intake::tally::{Landed, Tally};
pub use self::journal::lander::Lander;
pub use self::pool::ChunkPool;
pub use self::root::Root;

impl Lander<'_> {
    /// Lands objects. One that fails does not hold up the others. Landing an object again changes
    /// nothing.
    pub fn land(&self, store: &Store, objects: &[ObjectId]) -> Landed {
        self.land_selected(store, objects, &Selection::all())
    }

    /// Lands the selected rows of objects.
    pub fn land_selected(
        &self,
        store: &Store,
        objects: &[ObjectId],
        selection: &Selection,
    ) -> Landed {
        Landing::new(self, objects, selection, None).land(store).0
    }

    /// Predicts what [`Lander::land_selected`] would do. Takes no locks, writes nothing, and works
    /// without an existing root.
    pub fn plan(
        &self,
        store: &Store,
        objects: &[ObjectId],
        selection: &Selection,
    ) -> (Landed, Vec<DayPlan>) {
        let landing = Landing::new(self, objects, selection, Some(Plan::default()));
        let (landed, plan) = landing.land(store);
        (landed, plan.map_or_else(Vec::new, Plan::days))
    }
}
