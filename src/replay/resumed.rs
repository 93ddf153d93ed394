//! Which objects of a replay are done, so that the same command goes on after them when it was cut off.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_128;

use crate::land::Lander;
use crate::land::error::LandError;
use crate::land::notes::Notes;
use crate::store::Object;

/// The objects that are done with, noted in a file of their own.
///
/// What is noted is believed: that lines were removed since, nobody sees here.
pub struct Resumed<'l> {
    notes: Notes<'l>,
    done: HashSet<String>,
    failed: bool,
}

impl<'l> Resumed<'l> {
    /// `what` is done by `command`: its notes go on, or begin anew.
    pub fn begin(
        lander: &'l Lander<'l>,
        what: &str,
        command: &str,
        from_start: bool,
    ) -> Result<Resumed<'l>, LandError> {
        let (notes, done) = Notes::open(lander, what, command, from_start)?;
        Ok(Resumed { notes, done: done.into_iter().collect(), failed: false })
    }

    /// The objects that are not done yet.
    pub fn left(&self, objects: Vec<Object>) -> Vec<Object> {
        objects.into_iter().filter(|object| !self.done.contains(&state(object))).collect()
    }

    /// Notes those of a batch that are done.
    pub fn add<E>(&mut self, batch: &[Object], results: &[Result<(), E>]) -> Result<(), LandError> {
        let done = batch.iter().zip(results).filter(|(_, result)| result.is_ok());
        let done: Vec<String> = done.map(|(object, _)| state(object)).collect();
        self.failed |= done.len() < batch.len();
        self.notes.add(&done)
    }

    /// All was done: the same command begins afresh. Otherwise it goes on with what was not.
    pub fn finish(self) -> Result<(), LandError> {
        if self.failed { Ok(()) } else { self.notes.finish() }
    }
}

/// Names one state of an object: one that was replaced since is done again.
fn state(object: &Object) -> String {
    let Object { id, size, modified } = object;
    format!("{:032x}", xxh3_128(format!("{id}\n{size}\n{modified}").as_bytes()))
}
