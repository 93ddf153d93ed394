//! A root, with the caches that this process keeps for it.

use std::ops::Deref;
use std::sync::Arc;

use crate::land::journal::cache::Journals;
use crate::land::pool::ChunkPool;
use crate::land::root::Root;

/// Everything that landing and sealing need.
pub struct Lander<'a> {
    /// The root.
    pub root: Root<'a>,
    /// The journals that this process has cached.
    pub journals: Arc<Journals>,
    /// Memory that this process reuses.
    pub pool: ChunkPool,
}

impl<'a> Deref for Lander<'a> {
    type Target = Root<'a>;

    fn deref(&self) -> &Root<'a> {
        &self.root
    }
}
