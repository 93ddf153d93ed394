//! A root, and what this process remembers of its journals.

use std::ops::Deref;
use std::sync::Arc;

use crate::land::journal::cache::Journals;
use crate::land::root::Root;

/// Everything that landing and sealing need.
pub struct Lander<'a> {
    /// Where.
    pub root: Root<'a>,
    /// What this process knows of journals already.
    pub journals: Arc<Journals>,
}

impl<'a> Deref for Lander<'a> {
    type Target = Root<'a>;

    fn deref(&self) -> &Root<'a> {
        &self.root
    }
}
