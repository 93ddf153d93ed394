//! land(): objects → rows → per day file → commit. Every row of every landed object is in exactly
//! one line.
//!
//! [`Lander::land`] reads objects as streams and gathers their rows by day file; when the buffer is
//! full, and at the end, each day file's rows are committed under one hold of its lock
//! ([`commit`](day_file::commit)), several day files at once. An object is acknowledged when all
//! its rows are durable lines, were lines before, or are in quarantine.
//!
//! The rooms, from the ground up; a room imports from those below it only. One exception:
//! `day_file::commit` fills the counts of `intake::tally`.
//!
//! | room | what is in it |
//! |---|---|
//! | [`root`] | a root on disk: paths and names, files and folders, locks, errors |
//! | [`pool`] | memory for lines |
//! | [`journal`] | the journal of a day file: its frames, what they come to, `seen` |
//! | [`day_file`] | one day file under its locks: commit, publish, seal |
//! | [`intake`] | objects → rows → commits: landing, registers, quarantine |
//! | [`upkeep`] | the sealer's round, status, verify |
//! | [`rebuild`] | a damaged day is repaired |

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
    /// Lands objects. One that fails does not hold up the others; landed again, it changes nothing.
    pub fn land(&self, store: &Store, objects: &[ObjectId]) -> Landed {
        self.land_selected(store, objects, &Selection::all())
    }

    /// Lands what is chosen of objects.
    pub fn land_selected(
        &self,
        store: &Store,
        objects: &[ObjectId],
        selection: &Selection,
    ) -> Landed {
        Landing::new(self, objects, selection, None).land(store).0
    }

    /// Says what the same would come to. Takes no locks, writes nothing, and needs no root to be
    /// there.
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
