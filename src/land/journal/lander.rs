//! A root, and what this process keeps for it.

use std::ops::Deref;
use std::sync::Arc;

use crate::land::journal::cache::Journals;
use crate::land::pool::ChunkPool;
use crate::land::root::Root;

/// Everything that landing and sealing need.
pub struct Lander<'a> {
    /// Where.
    pub root: Root<'a>,
    /// What this process knows of journals already.
    pub journals: Arc<Journals>,
    /// Memory that this process has asked for already.
    pub pool: ChunkPool,
}

impl<'a> Deref for Lander<'a> {
    type Target = Root<'a>;

    fn deref(&self) -> &Root<'a> {
        &self.root
    }
}
