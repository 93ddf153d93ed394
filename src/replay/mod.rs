//! Replay: objects that were delivered before land once more; exactly-once by event identity makes it harmless.
//!
//! [`select`] finds the objects, [`Replay`] lands them into a root, [`Lander::plan`] says what it
//! would come to, and [`queue::Sending`] has the land λ do it.

#[cfg(feature = "aws")]
pub mod queue;
mod resumed;

use std::ops::Range;

use crate::land::error::LandError;
use crate::land::routing;
use crate::land::{Choice, Landed, Lander};
use crate::store::{Buckets, Location, Object, ObjectId, Store, StoreError};

pub use resumed::Resumed;

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
    resumed: Resumed<'l>,
}

impl<'l> Replay<'l> {
    /// `source` is what the objects are selected by, as the operator wrote it. `from_start`: what was noted is forgotten.
    pub fn begin(
        lander: &'l Lander<'l>,
        source: &str,
        choice: &'l Choice,
        from_start: bool,
    ) -> Result<Replay<'l>, LandError> {
        let routing = routing::fingerprint(lander.config);
        let command = format!("{source}\n{choice:?}\n{routing}");
        let resumed = Resumed::begin(lander, "replays", &command, from_start)?;
        Ok(Replay { lander, choice, resumed })
    }

    /// The objects that are left to land: all but those that the same replay landed before it was cut off.
    pub fn left(&self, objects: Vec<Object>) -> Vec<Object> {
        self.resumed.left(objects)
    }

    /// How many of the objects that were landed before put something into quarantine.
    pub fn quarantined_before(&self) -> usize {
        self.resumed.quarantined
    }

    /// Lands a batch of objects.
    pub fn land(&mut self, store: &Store, batch: &[Object]) -> Result<Landed, LandError> {
        let ids: Vec<ObjectId> = batch.iter().map(|object| object.id.clone()).collect();
        let landed = self.lander.land_chosen(store, &ids, self.choice);
        self.resumed.add(batch, &landed.objects, &landed.quarantined)?;
        Ok(landed)
    }

    /// All was landed: the same command begins afresh. Otherwise it goes on with what was not.
    pub fn finish(self) -> Result<(), LandError> {
        self.resumed.finish()
    }
}
