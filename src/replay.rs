//! Replay: lands objects again that were delivered before. Events are identified and land exactly
//! once, so this is harmless.
//!
//! [`Replay`] notes which objects have landed, or whose notices were sent to the land function, so
//! that an interrupted command resumes after them.

use std::collections::{BTreeSet, HashSet};

use xxhash_rust::xxh3::xxh3_128;

use crate::land::journal::lander::Lander;
use crate::land::root::checkpoint::Notes;
use crate::land::root::error::LandError;
use crate::store::Object;

/// How many objects are landed under one hold of the locks: as many as SQS passes to the land
/// function at once.
pub const BATCH: usize = 10;
/// Ends the note of an object that put something into quarantine.
const QUARANTINED: char = '!';

/// The objects that a command has finished, noted in a file of its own.
///
/// The notes are trusted: if lines were removed since, that is not detected here.
pub struct Replay<'l> {
    notes: Notes<'l>,
    done: HashSet<String>,
    /// How many finished objects put something into quarantine.
    pub quarantined: usize,
    failed: bool,
}

impl<'l> Replay<'l> {
    /// Begins `command`, which names everything that determines it, or resumes it; `what` is its
    /// kind. With `from_start`, previous notes are discarded.
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

    /// The objects that an interrupted run of the same command has not finished.
    pub fn left(&self, objects: Vec<Object>) -> Vec<Object> {
        objects.into_iter().filter(|object| !self.done.contains(&state(object))).collect()
    }

    /// Notes the finished objects of a batch; `quarantined` has the indexes of those that put
    /// something into quarantine.
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

    /// Ends the command. If everything succeeded, its next run starts over. Otherwise the next run
    /// resumes with the rest.
    pub fn finish(self) -> Result<(), LandError> {
        if self.failed { Ok(()) } else { self.notes.finish() }
    }
}

/// Names one state of an object. An object that was replaced since is landed again.
fn state(object: &Object) -> String {
    let Object { id, size, modified } = object;
    format!("{:032x}", xxh3_128(format!("{id}\n{size}\n{modified}").as_bytes()))
}
