//! Replay by the land λ: each object's key goes to its queue as a notice of S3.

use crate::aws::{AwsError, Queue, Sent};
use crate::land::notice::{Created, Replay, s3_event};
use crate::store::Object;

/// How many notices go with one request.
pub use crate::aws::MESSAGES as BATCH;

/// Sends a batch of notices, one a message; what became of each.
pub fn send(
    queue: &Queue,
    batch: &[Object],
    replay: Replay,
    now: i64,
) -> Result<Vec<Sent>, AwsError> {
    let notice = |object: &Object| {
        let created = Created {
            id: object.id.clone(),
            size: Some(object.size),
            sequencer: None,
            replay: Some(replay),
        };
        s3_event(&[created], now).to_string()
    };
    queue.send(&batch.iter().map(notice).collect::<Vec<_>>())
}
