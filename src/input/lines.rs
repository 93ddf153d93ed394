//! A plain log file → envelopes, as the CloudWatch agent and a subscription would have made them.

use std::io::{self, BufRead, Read};

use chrono::TimeZone as _;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::clock;
use crate::input::time::{StampError, Times, TimestampFormat};
use crate::input::{FileReader, GZIP_LEVEL};
use crate::land::day_file::writer::gzip;
use crate::local::LocalError;

/// Events of one envelope, and bytes of their messages: CloudWatch Logs batches alike.
const EVENTS: usize = 1_000;
const BYTES: usize = 256 << 10;

/// CloudWatch Logs takes no larger event.
const LINE_BYTES: usize = 1_000_000;

/// What a plain log file's lines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// The log group that they stand for.
    pub log_group: String,
    /// The log stream; the file's name if `None`. Files that share a stream must not share a line
    /// at the same offset: it would be the same event.
    pub log_stream: Option<String>,
    /// How each line's time is written. `None`: all lines have the file's modification time, which
    /// stays the same when the file is read again; those of a pipe the time when it is read.
    pub timestamps: Option<TimestampFormat>,
}

impl LogFile {
    /// Within a day the file's own order wins: a line that is stamped earlier than the one above it
    /// takes that one's time.
    fn in_file_order(&self, above: Option<i64>, time: i64) -> i64 {
        let timezone = self.timestamps.as_ref().map(|format| format.timezone);
        let day = |time| timezone.and_then(|zone| zone.timestamp_millis_opt(time).single());
        let day = |time| day(time).map(|time| time.date_naive());
        match above {
            Some(above) if above > time && day(above) == day(time) => above,
            _ => time,
        }
    }
}

/// Why a line is no event, and what helps.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("more than {LINE_BYTES} bytes: CloudWatch Logs takes no such event")]
    Bytes,
    #[error("not UTF-8: convert the file, e.g. with `iconv -f LATIN1 -t UTF-8`")]
    Utf8,
    #[error(transparent)]
    Stamp(#[from] StampError),
}

/// The times of one file's lines, in order.
struct Stamps<'l> {
    log_file: &'l LogFile,
    times: Option<Times<'l>>,
    /// That of the line before.
    last: Option<i64>,
}

impl<'l> Stamps<'l> {
    /// `modified` is the time of all lines where none is written in them.
    fn new(log_file: &'l LogFile, modified: i64) -> Stamps<'l> {
        let times = log_file.timestamps.as_ref().map(TimestampFormat::times);
        let last = times.is_none().then_some(modified);
        Stamps { log_file, times, last }
    }

    /// The time of the next line, or why it has none.
    fn of(&mut self, text: &str) -> Result<i64, StampError> {
        if let Some(times) = &mut self.times
            && let Some(time) = times.of(text)?
        {
            self.last = Some(self.log_file.in_file_order(self.last, time));
        }
        self.last.ok_or(StampError::Missing)
    }
}

impl FileReader<'_> {
    /// A log file's lines, each an event.
    ///
    /// `\n` or `\r\n` is removed, everything else kept; an empty line is an event too. The id is
    /// the decimal XXH3-128 of group, stream, byte offset and content: reading a file again, or
    /// after it grew, gives the same events. A line without a timestamp has that of the line
    /// before; one that steps back within its day, too.
    pub(super) fn lines(
        &mut self,
        log_file: &LogFile,
        input: impl BufRead,
    ) -> Result<(), LocalError> {
        let modified = match std::fs::metadata(&self.file.path) {
            Ok(found) if found.is_file() => {
                clock::milliseconds(found.modified().map_err(|e| self.failed(e))?)
            }
            // Of a pipe.
            Ok(_) | Err(_) => self.now,
        };
        let stream = log_file.log_stream.as_deref().unwrap_or(&self.file.name).to_owned();
        let group = &log_file.log_group;
        let mut batch = Batch { group, stream: &stream, events: Vec::new(), bytes: 0 };
        let mut stamps = Stamps::new(log_file, modified);
        let mut lines = Lines { input, offset: 0, buffer: Vec::new() };
        let mut number = 0_u64;
        loop {
            let offset = lines.offset;
            let Some(text) = lines.next().map_err(|e| self.failed(e))? else { break };
            number += 1;
            let event = text.and_then(|text| Ok((stamps.of(&text)?, text)));
            let (timestamp, text) = match event {
                Ok(event) => event,
                Err(error) => {
                    self.problem(&format!(":{number}"), error.to_string());
                    continue;
                }
            };
            if batch.is_full(text.len()) {
                self.record(batch.take(), self.now)?;
            }
            batch.push(offset, timestamp, &text);
        }
        if !batch.events.is_empty() {
            self.record(batch.take(), self.now)?;
        }
        Ok(())
    }
}

/// Lines with their offsets; never more than a line in memory.
struct Lines<R> {
    input: R,
    offset: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line without its line break; or why it is no event.
    fn next(&mut self) -> io::Result<Option<Result<String, LineError>>> {
        self.fill()?;
        if self.buffer.is_empty() {
            return Ok(None);
        }
        if self.buffer.len() > LINE_BYTES + 1 && !self.buffer.ends_with(b"\n") {
            while !self.buffer.is_empty() && !self.buffer.ends_with(b"\n") {
                self.fill()?;
            }
            return Ok(Some(Err(LineError::Bytes)));
        }
        let text = match self.buffer.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            None => &self.buffer,
        };
        let text = std::str::from_utf8(text).map(str::to_owned);
        Ok(Some(text.map_err(|_| LineError::Utf8)))
    }

    /// Reads up to the line's end, or so far that it is too long.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.clear();
        let limit = LINE_BYTES as u64 + 2;
        let length = self.input.by_ref().take(limit).read_until(b'\n', &mut self.buffer)?;
        self.offset += length as u64;
        Ok(())
    }
}

/// The events of the next envelope.
struct Batch<'l> {
    group: &'l str,
    stream: &'l str,
    events: Vec<Value>,
    bytes: usize,
}

impl Batch<'_> {
    fn is_full(&self, more: usize) -> bool {
        self.events.len() >= EVENTS || !self.events.is_empty() && self.bytes + more > BYTES
    }

    fn push(&mut self, offset: u64, timestamp: i64, message: &str) {
        let (group, stream) = (self.group.as_bytes(), self.stream.as_bytes());
        let identity = [group, b"\0", stream, b"\0", &offset.to_le_bytes(), message.as_bytes()];
        let id = xxh3_128(&identity.concat()).to_string();
        self.bytes += message.len();
        self.events.push(json!({ "id": id, "timestamp": timestamp, "message": message }));
    }

    /// The envelope, as CloudWatch Logs sends it.
    fn take(&mut self) -> Vec<u8> {
        self.bytes = 0;
        let rest = json!({
            "owner": "000000000000",
            "logGroup": self.group,
            "logStream": self.stream,
            "subscriptionFilters": ["hiwake-run"],
            "logEvents": std::mem::take(&mut self.events),
        });
        let envelope = rest.to_string().replacen('{', r#"{"messageType":"DATA_MESSAGE","#, 1);
        gzip(envelope.as_bytes(), GZIP_LEVEL)
    }
}
