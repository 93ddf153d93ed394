//! Replay by the land λ: each object's key goes to its queue as a notice of S3.

use std::collections::BTreeSet;

use super::Resumed;
use crate::aws::{AwsError, Queue, Sent};
use crate::land::Lander;
use crate::land::error::LandError;
use crate::land::notice::{Created, Replay, s3_event};
use crate::store::Object;

/// How many notices go with one request.
pub use crate::aws::MESSAGES as BATCH;

/// Why no more notices are sent.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// The queue.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// What is sent cannot be noted.
    #[error(transparent)]
    Notes(#[from] LandError),
}

/// One replay by a queue. What was sent is noted on this machine; a replay that was cut off goes on after it.
pub struct Sending<'l> {
    queue: &'l Queue,
    replay: Replay,
    resumed: Resumed<'l>,
}

impl<'l> Sending<'l> {
    /// `notes` has the folder where it is noted what was sent, `source` is what the objects are selected by.
    pub fn begin(
        notes: &'l Lander<'l>,
        queue: &'l Queue,
        source: &str,
        replay: Replay,
        from_start: bool,
    ) -> Result<Sending<'l>, LandError> {
        let command = format!("{source}\n{}\n{replay:?}", queue.url());
        let resumed = Resumed::begin(notes, "queued", &command, from_start)?;
        Ok(Sending { queue, replay, resumed })
    }

    /// The objects whose notices were not sent yet.
    pub fn left(&self, objects: Vec<Object>) -> Vec<Object> {
        self.resumed.left(objects)
    }

    /// Sends a batch of notices, one a message; what became of each.
    pub fn send(&mut self, batch: &[Object], now: i64) -> Result<Vec<Sent>, NotSent> {
        let notice = |object: &Object| {
            let created = Created {
                id: object.id.clone(),
                size: Some(object.size),
                sequencer: None,
                replay: Some(self.replay),
            };
            s3_event(&created, now).to_string()
        };
        let sent = self.queue.send(&batch.iter().map(notice).collect::<Vec<_>>())?;
        self.resumed.add(batch, &sent, &BTreeSet::new())?;
        Ok(sent)
    }

    /// All was sent, or what was not goes next time.
    pub fn finish(self) -> Result<(), LandError> {
        self.resumed.finish()
    }
}
