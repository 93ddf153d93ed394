//! INPUT files of `hiwake run` → source records, as CloudWatch Logs and producers would put them.
//!
//! | file | becomes |
//! |---|---|
//! | with [`LogFile`]: any file, gzipped or not | envelopes of its lines |
//! | gzip | each member a record |
//! | JSON values with `records` | the records of a Firehose event |
//! | JSON values with `messageType`, pretty-printed or not | each a record, gzipped |
//!
//! What cannot be read is a [`Problem`] that names its place and a remedy; everything else is read.

mod files;
mod lines;
mod recognise;
mod time;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::local::{LocalError, SourceRecord};
use crate::object::is_gzip;
use crate::store::pipe;

pub use files::{InputFile, files};
pub use lines::LogFile;
pub use recognise::{Times, moment};
pub use time::{FormatError, TimestampFormat};

/// Bytes of one file that is read as a whole: a gzip member of source records.
const MEMBER_BYTES: u64 = 64 << 20;
/// How envelopes are compressed: quickly, since they are inflated at once.
const GZIP_LEVEL: u32 = 1;

/// Something in an input that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct Problem {
    /// File, and line or part of it.
    pub place: String,
    /// What is wrong, and what helps.
    pub reason: String,
}

/// Takes what an input holds.
pub trait LineTarget {
    /// The next record.
    fn record(&mut self, record: SourceRecord) -> Result<(), LocalError>;
    /// Something that could not be read. The rest follows.
    fn problem(&mut self, problem: Problem);
}

/// Reads one file. `now` is the arrival of records that do not say when they arrived, and no line
/// without a year is later; the bytes that are read are added to `done`, to show progress.
pub fn read(
    file: &InputFile,
    log_file: Option<&LogFile>,
    now: i64,
    done: &AtomicU64,
    target: &mut dyn LineTarget,
) -> Result<(), LocalError> {
    let mut reading = FileReader { file, now, target };
    let input = pipe::open(&file.path).map_err(|e| reading.failed(e))?;
    let input = Counted { input, done };
    let mut input = BufReader::with_capacity(1 << 18, input);
    let gzip = is_gzip(input.fill_buf().map_err(|e| reading.failed(e))?);
    match log_file {
        Some(log_file) if gzip => {
            reading.lines(log_file, BufReader::new(MultiGzDecoder::new(input)))
        }
        Some(log_file) => reading.lines(log_file, input),
        None if gzip => reading.members(input),
        None => reading.values(input),
    }
}

/// Adds the bytes that are read to a count.
struct Counted<'c, R> {
    input: R,
    done: &'c AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.done.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// One file on its way to a target.
struct FileReader<'r> {
    file: &'r InputFile,
    now: i64,
    target: &'r mut dyn LineTarget,
}

impl FileReader<'_> {
    /// Gzip members, each a record as it is.
    fn members(&mut self, mut input: impl BufRead) -> Result<(), LocalError> {
        let mut whole = Vec::new();
        let limit = MEMBER_BYTES;
        input.by_ref().take(limit + 1).read_to_end(&mut whole).map_err(|e| self.failed(e))?;
        if whole.len() as u64 > limit {
            let reason = format!("more than {limit} bytes of gzip: land it as an object instead");
            self.problem("", reason);
            return Ok(());
        }
        let mut rest = &whole[..];
        while !rest.is_empty() {
            let mut member = GzDecoder::new(rest);
            if let Err(error) = io::copy(&mut member, &mut io::sink()) {
                let at = whole.len() - rest.len();
                // It goes the way that such a record goes in the real stream: into failed/.
                self.problem("", format!("gzip member at byte {at}: {error}; it is put as it is"));
                return self.record(rest.to_vec(), self.now);
            }
            let after = member.into_inner();
            let length = rest.len() - after.len();
            self.record(rest[..length].to_vec(), self.now)?;
            rest = after;
        }
        Ok(())
    }

    /// JSON values: Firehose events and envelopes.
    fn values(&mut self, input: impl BufRead) -> Result<(), LocalError> {
        let values = serde_json::Deserializer::from_reader(input).into_iter::<Box<RawValue>>();
        for (n, value) in values.enumerate() {
            let value = match value {
                Ok(value) => value,
                Err(error) if error.is_io() => return Err(self.failed(error.into())),
                Err(error) => {
                    let place = format!(":{}", error.line());
                    let reason = "neither a Firehose event nor an envelope of CloudWatch Logs: \
                                  for a log file give --log-group";
                    self.problem(&place, reason.to_owned());
                    return Ok(());
                }
            };
            match serde_json::from_str::<Value<'_>>(value.get()) {
                Ok(Value { records: Some(records), .. }) => self.event(&records)?,
                Ok(Value { message_type: Some(_), .. }) => {
                    self.record(gzip(value.get().as_bytes()), self.now)?;
                }
                _ => {
                    let reason = "JSON with neither `records` (a Firehose event) nor `messageType` \
                                  (an envelope): for a log file give --log-group";
                    self.problem(&format!(": value {}", n + 1), reason.to_owned());
                }
            }
        }
        Ok(())
    }

    /// The records of a Firehose event.
    fn event(&mut self, records: &[&RawValue]) -> Result<(), LocalError> {
        for (n, record) in records.iter().enumerate() {
            let place = format!(": records[{n}]");
            let Ok(record) = serde_json::from_str::<Record>(record.get()) else {
                self.problem(&place, "no Firehose record: `data` must be text".to_owned());
                continue;
            };
            match STANDARD.decode(&record.data) {
                Ok(data) => {
                    self.record(data, record.approximate_arrival_timestamp.unwrap_or(self.now))?;
                }
                Err(error) => self.problem(&place, format!("`data` is not valid base64: {error}")),
            }
        }
        Ok(())
    }

    fn record(&mut self, data: Vec<u8>, arrival: i64) -> Result<(), LocalError> {
        match self.target.record(SourceRecord { data, arrival }) {
            Err(error @ LocalError::TooLarge(_)) => {
                self.problem("", error.to_string());
                Ok(())
            }
            other => other,
        }
    }

    fn problem(&mut self, place: &str, reason: String) {
        let place = format!("{}{place}", self.file.path.display());
        self.target.problem(Problem { place, reason });
    }

    fn failed(&self, source: io::Error) -> LocalError {
        LocalError::File { path: self.file.path.clone(), source }
    }
}

/// Which of the two a JSON value is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value<'a> {
    #[serde(borrow)]
    records: Option<Vec<&'a RawValue>>,
    message_type: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    data: String,
    approximate_arrival_timestamp: Option<i64>,
}

/// As CloudWatch Logs sends it.
fn gzip(envelope: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
    let written = encoder.write_all(envelope).and_then(|()| encoder.finish());
    written.expect("writing to a Vec cannot fail")
}
