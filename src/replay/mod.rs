//! Replay: objects that were delivered before land once more; exactly-once by event identity makes it harmless.
//!
//! [`select`] finds the objects, [`Replay`] lands them into a root, [`plan::plan`] says what it would come to, and
//! [`queue::send`] has the land λ do it.

pub mod plan;
#[cfg(feature = "aws")]
pub mod queue;

use std::collections::HashSet;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_128;

use crate::land::error::LandError;
use crate::land::notes::Notes;
use crate::land::routing::Rules;
use crate::land::{Choice, Landed, Lander};
use crate::store::{Buckets, Location, Object, ObjectId, Store, StoreError};

/// How many objects go under one hold of the locks: as many as SQS hands to the land λ at once.
pub const BATCH: usize = 10;

/// Which objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Delivered at this moment or later, milliseconds since the epoch.
    pub since: Option<i64>,
    /// Delivered before this moment.
    pub until: Option<i64>,
}

impl Delivered {
    fn time(&self) -> Option<Range<i64>> {
        let bounded = self.since.is_some() || self.until.is_some();
        bounded.then(|| self.since.unwrap_or(i64::MIN)..self.until.unwrap_or(i64::MAX))
    }
}

/// The objects of a location that were delivered then, in key order. When an object was delivered is its LastModified;
/// its key only spares the listing of other days.
pub fn select(
    source: &Location,
    delivered: &Delivered,
    buckets: &Buckets<'_>,
) -> Result<(Store, Vec<Object>), StoreError> {
    let time = delivered.time();
    let (store, mut objects) = source.objects_delivered(buckets, time.clone())?;
    if let Some(time) = time {
        objects.retain(|object| time.contains(&object.modified));
    }
    Ok((store, objects))
}

/// One replay into a root. What was landed is noted there; a replay that was cut off goes on after it.
pub struct Replay<'l> {
    lander: &'l Lander<'l>,
    choice: &'l Choice,
    notes: Notes<'l>,
    done: HashSet<String>,
    failed: bool,
}

impl<'l> Replay<'l> {
    /// `source` is what the objects are selected by, as the operator wrote it.
    pub fn begin(
        lander: &'l Lander<'l>,
        source: &str,
        choice: &'l Choice,
    ) -> Result<Replay<'l>, LandError> {
        let routing = Rules::of(lander.config).fingerprint();
        let command = format!("{source}\n{choice:?}\n{routing}");
        let (notes, done) = Notes::open(lander, "replays", &command)?;
        Ok(Replay { lander, choice, notes, done: done.into_iter().collect(), failed: false })
    }

    /// The objects that are left to land: all but those that the same replay landed before it was cut off.
    pub fn left(&self, objects: Vec<Object>) -> Vec<Object> {
        objects.into_iter().filter(|object| !self.done.contains(&state(object))).collect()
    }

    /// Lands a batch of objects.
    pub fn land(&mut self, store: &Store, batch: &[Object]) -> Result<Landed, LandError> {
        let ids: Vec<ObjectId> = batch.iter().map(|object| object.id.clone()).collect();
        let landed = self.lander.land_chosen(store, &ids, self.choice);
        let done = batch.iter().zip(&landed.objects).filter(|(_, result)| result.is_ok());
        let done: Vec<String> = done.map(|(object, _)| state(object)).collect();
        self.failed |= done.len() < batch.len();
        self.notes.add(&done)?;
        Ok(landed)
    }

    /// All was landed: the same command begins afresh. Otherwise it goes on with what was not.
    pub fn finish(self) -> Result<(), LandError> {
        if self.failed { Ok(()) } else { self.notes.finish() }
    }
}

/// Names one state of an object: one that was replaced since is landed again.
fn state(object: &Object) -> String {
    let Object { id, size, modified } = object;
    format!("{:032x}", xxh3_128(format!("{id}\n{size}\n{modified}").as_bytes()))
}
