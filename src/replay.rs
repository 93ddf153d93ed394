//! Replay: objects that were delivered before land once more; exactly-once by event identity makes
//! it harmless.
//!
//! [`Replay`] notes which of them have landed, or which notices were
//! sent to the land function, so that an interrupted command resumes after them.

use std::collections::{BTreeSet, HashSet};

use xxhash_rust::xxh3::xxh3_128;

use crate::land::journal::lander::Lander;
use crate::land::root::checkpoint::Notes;
use crate::land::root::error::LandError;
use crate::store::Object;

/// How many objects go under one hold of the locks: as many as SQS hands to the land function at
/// once.
pub const BATCH: usize = 10;
/// At the end of a note: something of the object is in quarantine.
const QUARANTINED: char = '!';

/// The objects of one command that are done with, noted in a file of their own.
///
/// What is noted is believed: that lines were removed since, nobody sees here.
pub struct Replay<'l> {
    notes: Notes<'l>,
    done: HashSet<String>,
    /// How many of them put something into quarantine.
    pub quarantined: usize,
    failed: bool,
}

impl<'l> Replay<'l> {
    /// `what` is done by `command`, which names all that decides it. `from_start`: what was noted
    /// is forgotten.
    pub fn begin(
        lander: &'l Lander<'l>,
        what: &str,
        command: &str,
        from_start: bool,
    ) -> Result<Replay<'l>, LandError> {
        let (notes, lines) = Notes::open(lander, what, command, from_start)?;
        let quarantined = lines.iter().filter(|line| line.ends_with(QUARANTINED)).count();
        let state = |line: &String| line.trim_end_matches(QUARANTINED).to_owned();
        let done = lines.iter().map(state).collect();
        Ok(Replay { notes, done, quarantined, failed: false })
    }

    /// The objects that an interrupted run of the same command has not done.
    pub fn left(&self, objects: Vec<Object>) -> Vec<Object> {
        objects.into_iter().filter(|object| !self.done.contains(&state(object))).collect()
    }

    /// Notes those of a batch that are done; `quarantined`: the numbers of those that put something
    /// into quarantine.
    pub fn add<E>(
        &mut self,
        batch: &[Object],
        results: &[Result<(), E>],
        quarantined: &BTreeSet<usize>,
    ) -> Result<(), LandError> {
        let done = batch.iter().zip(results).enumerate().filter(|(_, (_, result))| result.is_ok());
        let note = |(number, (object, _))| match quarantined.contains(&number) {
            true => format!("{}{QUARANTINED}", state(object)),
            false => state(object),
        };
        let done: Vec<String> = done.map(note).collect();
        self.failed |= done.len() < batch.len();
        self.notes.add(&done)
    }

    /// The end: where all was done, the same command begins afresh. Otherwise it resumes with what
    /// was not.
    pub fn finish(self) -> Result<(), LandError> {
        if self.failed { Ok(()) } else { self.notes.finish() }
    }
}

/// Names one state of an object: one that was replaced since is done again.
fn state(object: &Object) -> String {
    let Object { id, size, modified } = object;
    format!("{:032x}", xxh3_128(format!("{id}\n{size}\n{modified}").as_bytes()))
}
