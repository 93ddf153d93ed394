//! Firehose's stand-in: records in, objects out, through a transform, by the real service's rules.
//!
//! It imitates the contract of Firehose's transform. Buffers are counted, not timed: an object is
//! closed when it is full or at the end.

mod answer;
mod objects;

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono_tz::Tz;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_128;

use crate::config::ANSWER_BYTES_MAX;
use crate::notice::Created;
pub use answer::{Answered, FunctionError, Reply};
use answer::{Fate, fates};
use objects::Pending;

/// Attempts after the first: Firehose's NumberOfRetries.
const RETRIES: u32 = 3;

/// What Firehose refuses to take: more than 1,000 KiB.
const RECORD_BYTES: usize = 1_000 << 10;

/// The account and region are nobody's.
const STREAM: &str = "arn:aws:firehose:ap-northeast-1:000000000000:deliverystream/hiwake";

/// One call of the transform function: request → answer, or the function error's text.
pub type Transform<'t> = dyn FnMut(&[u8]) -> Result<Vec<u8>, FunctionError> + 't;

/// What a producer puts into the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRecord {
    /// Its bytes.
    pub data: Vec<u8>,
    /// When it arrived, milliseconds since the epoch.
    pub arrival: i64,
}

/// When buffers are full. The defaults are the deployed stream's.
#[derive(Debug, Clone, Copy)]
pub struct Buffers {
    /// Bytes of one transform request's data, in base64.
    pub request_bytes: usize,
    /// Records of one transform request.
    pub request_records: usize,
    /// Bytes of one object.
    pub object_bytes: usize,
}

impl Default for Buffers {
    fn default() -> Buffers {
        Buffers { request_bytes: 1 << 20, request_records: 500, object_bytes: 64 << 20 }
    }
}

/// What the stand-in did. `records = ok + dropped + failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct Delivered {
    /// Records put.
    pub records: usize,
    /// Records whose data is in `landing/`.
    pub ok: usize,
    /// Records that transform wanted dropped.
    pub dropped: usize,
    /// Records in `failed/`.
    pub failed: usize,
    /// Calls of transform.
    pub calls: usize,
    /// Of them, again after a function error.
    pub retries: usize,
}

/// Why a record could not be read, taken or delivered.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Firehose would refuse it.
    #[error("a record of {0} bytes: Firehose takes at most 1,024,000")]
    TooLarge(usize),
    /// An input cannot be read further, or an object not be written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A delivery stream on this machine. Put records, then [`Firehose::finish`].
pub struct Firehose<'t> {
    transform: &'t mut Transform<'t>,
    buffers: Buffers,
    batch: Vec<Held>,
    batch_bytes: usize,
    landing: Pending,
    failed: Pending,
    backup: Pending,
    bucket: String,
    created: Vec<Created>,
    delivered: Delivered,
}

/// A record that waits for transform.
struct Held {
    id: String,
    base64: String,
    arrival: i64,
}

impl<'t> Firehose<'t> {
    /// Delivers into `landing/`, `failed/` and `backup/` of a folder, which is made when needed.
    pub fn new(
        folder: &Path,
        timezone: Tz,
        buffers: Buffers,
        transform: &'t mut Transform<'t>,
    ) -> Firehose<'t> {
        Firehose {
            transform,
            buffers,
            batch: Vec::new(),
            batch_bytes: 0,
            landing: Pending::new(folder, ("landing", ".rows.zst"), timezone),
            failed: Pending::new(folder, ("failed/processing-failed", ""), timezone),
            // The backup's keys know no time zone.
            backup: Pending::new(folder, ("backup", ""), Tz::UTC),
            bucket: folder.display().to_string(),
            created: Vec::new(),
            delivered: Delivered::default(),
        }
    }

    /// Takes one record: it is backed up at once and transformed with its batch.
    pub fn put(&mut self, record: &SourceRecord) -> Result<(), LocalError> {
        if record.data.len() > RECORD_BYTES {
            return Err(LocalError::TooLarge(record.data.len()));
        }
        let id = record_id(record, self.delivered.records);
        self.delivered.records += 1;
        self.backup.push(&record.data, record.arrival);
        let base64 = STANDARD.encode(&record.data);
        let full = self.batch_bytes + base64.len() > self.buffers.request_bytes;
        if full || self.batch.len() >= self.buffers.request_records {
            self.transform_batch()?;
        }
        self.batch_bytes += base64.len();
        self.batch.push(Held { id, base64, arrival: record.arrival });
        self.close_objects(self.buffers.object_bytes)
    }

    /// Delivers what is left. Answers the objects of which S3 tells the land function: those of
    /// `landing/` and `failed/`.
    pub fn finish(mut self) -> Result<(Delivered, Vec<Created>), LocalError> {
        self.transform_batch()?;
        self.close_objects(1)?;
        Ok((self.delivered, self.created))
    }

    fn transform_batch(&mut self) -> Result<(), LocalError> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if batch.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = batch.iter().map(|held| held.id.as_str()).collect();
        let (answer, attempts) = self.call(&request(&batch));
        for (held, fate) in batch.iter().zip(fates(answer, &ids)) {
            match fate {
                Fate::Ok(data) => {
                    self.landing.push(&data, held.arrival);
                    self.delivered.ok += 1;
                }
                Fate::Dropped => self.delivered.dropped += 1,
                Fate::Failed(code, message) => {
                    let line = failed_line(held, attempts, code, &message);
                    self.failed.push(line.as_bytes(), held.arrival);
                    self.delivered.failed += 1;
                }
            }
        }
        self.close_objects(self.buffers.object_bytes)
    }

    /// Calls transform until it does not fail; an answer that is too large is a failure.
    fn call(&mut self, request: &[u8]) -> (Result<Vec<u8>, FunctionError>, u32) {
        let mut attempt = 1;
        loop {
            self.delivered.calls += 1;
            let answer = (self.transform)(request).and_then(|answer| match answer.len() {
                0..=ANSWER_BYTES_MAX => Ok(answer),
                length => Err(FunctionError(format!(
                    "the answer has {length} bytes, more than {ANSWER_BYTES_MAX}"
                ))),
            });
            if answer.is_ok() || attempt > RETRIES {
                return (answer, attempt);
            }
            attempt += 1;
            self.delivered.retries += 1;
        }
    }

    fn close_objects(&mut self, bytes: usize) -> Result<(), LocalError> {
        for pending in [&mut self.landing, &mut self.failed] {
            if pending.bytes.len() >= bytes {
                self.created.push(pending.close(&self.bucket)?);
            }
        }
        // S3 sends no notice of it.
        if self.backup.bytes.len() >= bytes {
            self.backup.close(&self.bucket)?;
        }
        Ok(())
    }
}

/// 56 digits as Firehose's; the same for the same records in the same order.
fn record_id(record: &SourceRecord, ordinal: usize) -> String {
    let arrival = record.arrival.unsigned_abs() % 10_u64.pow(15);
    let hash = xxh3_128(&[&ordinal.to_le_bytes(), &record.data[..]].concat());
    format!("49{arrival:015}{hash:039}")
}

fn request(batch: &[Held]) -> Vec<u8> {
    let record = |Held { id, base64, arrival }: &Held| json!({ "recordId": id, "approximateArrivalTimestamp": arrival, "data": base64 });
    let request = json!({
        "invocationId": batch[0].id,
        "deliveryStreamArn": STREAM,
        "region": "ap-northeast-1",
        "records": batch.iter().map(record).collect::<Vec<_>>(),
    });
    request.to_string().into_bytes()
}

/// A line of `failed/` as the real service writes it. Its clock is the record's: nothing here takes
/// time.
fn failed_line(held: &Held, attempts: u32, code: &str, message: &str) -> String {
    let line = json!({
        "rawData": held.base64,
        "errorCode": code,
        "errorMessage": message,
        "attemptsMade": attempts,
        "arrivalTimestamp": held.arrival,
        "attemptEndingTimestamp": held.arrival,
        "lambdaARN": "arn:aws:lambda:ap-northeast-1:000000000000:function:hiwake-transform:$LATEST",
    });
    format!("{line}\n")
}
