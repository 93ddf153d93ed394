//! A plain log file → envelopes, as the CloudWatch agent and a subscription would have made them.

use std::io::{self, BufRead, Read};

use chrono::TimeZone as _;
use chrono_tz::Tz;
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use crate::input::recognise::{Stamps, Times};
use crate::input::time::StampError;
use crate::input::{FileReader, gzip};
use crate::local::LocalError;

/// Events of one envelope, and bytes of their messages: CloudWatch Logs batches alike.
const EVENTS: usize = 1_000;
const BYTES: usize = 256 << 10;

/// CloudWatch Logs takes no larger event.
const LINE_BYTES: usize = 1_000_000;

/// Lines, and bytes of them, that may stand in front of a file's first timestamp: they are held in
/// memory until then.
const HELD_LINES: usize = 1_000;
const HELD_BYTES: usize = 8 << 20;

/// The UTF-8 byte order mark.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// What a plain log file's lines are.
#[derive(Debug, Clone)]
pub struct LogFile {
    /// The log group that they stand for.
    pub log_group: String,
    /// The log stream; that of the file's name if `None`.
    pub log_stream: Option<String>,
    /// How lines tell their times.
    pub times: Times,
    /// That of times without an offset, and of days.
    pub timezone: Tz,
}

impl LogFile {
    /// Within a day the file's own order wins: a line that is stamped earlier than the one above it
    /// takes that one's time.
    fn in_file_order(&self, above: Option<i64>, time: i64) -> i64 {
        let day = |time| self.timezone.timestamp_millis_opt(time).single();
        let day = |time| day(time).map(|time| time.date_naive());
        match above {
            Some(above) if above > time && day(above) == day(time) => above,
            _ => time,
        }
    }
}

/// Why a line is not a valid event, and what helps.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("more than {LINE_BYTES} bytes: CloudWatch Logs takes no such event")]
    Bytes,
    #[error("not UTF-8: convert the file, e.g. with `iconv -f LATIN1 -t UTF-8`")]
    Utf8,
    #[error(transparent)]
    Stamp(#[from] StampError),
}

/// Why nothing of a file is read, and what helps.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("its gzip is torn or damaged after line {0}: copy the file again, then run this again")]
    Damaged(u64),
    #[error("UTF-16 text: convert it with `iconv -f {0} -t UTF-8`")]
    Utf16(&'static str),
    #[error("compressed by {0}: decompress it with `{0} -d`")]
    Compressed(&'static str),
    #[error(
        "its first {0} lines have no timestamp that is recognised: give --timestamp-format FORMAT (and --timestamp-pattern REGEX if lines do not begin with it), or --at TIME for all lines"
    )]
    Unrecognised(usize),
    #[error(
        "its first {0} lines have no timestamp of this format: correct --timestamp-format or --timestamp-pattern, or give --at TIME for all lines"
    )]
    NoTimestamp(usize),
}

impl FileError {
    /// What a file's first line shows.
    fn of_first(line: &[u8]) -> Option<FileError> {
        let utf_16 = match line {
            // `iconv` reads the mark, and leaves it out.
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
            [1..=255, 0, 1..=255, 0, ..] => Some("UTF-16LE"),
            [0, 1..=255, 0, 1..=255, ..] => Some("UTF-16BE"),
            _ => None,
        };
        let compressed: [(&[u8], _); 3] =
            [(b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2")];
        let by = compressed.iter().find(|(magic, _)| line.starts_with(magic));
        utf_16.map(FileError::Utf16).or(by.map(|(_, by)| FileError::Compressed(by)))
    }

    fn no_timestamp(times: &Times, lines: usize) -> FileError {
        match times {
            Times::Written { format: None, pattern: None, .. } => FileError::Unrecognised(lines),
            _ => FileError::NoTimestamp(lines),
        }
    }
}

/// Whether what is compressed is damaged, and not the file unreadable.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

impl FileReader<'_> {
    /// A log file's lines, each an event.
    ///
    /// `\n` or `\r\n` is removed, and a byte order mark; everything else is kept. An empty line is
    /// an event too, and so is a last line without a line break, as it stands. A line without a
    /// timestamp has that of the line before; one that steps back within its day, too. Lines in
    /// front of the first timestamp have that one.
    pub(super) fn lines(
        &mut self,
        log_file: &LogFile,
        input: impl BufRead,
    ) -> Result<(), LocalError> {
        let stream = log_file.log_stream.as_deref().unwrap_or(&self.file.log_stream).to_owned();
        let mut lines = Lines { input, offset: 0, buffer: Vec::new() };
        lines.fill().map_err(|e| self.failed(e))?;
        if let Some(error) = FileError::of_first(&lines.buffer) {
            self.problem("", error.to_string());
            return Ok(());
        }
        let mut batch = Batch::new(&log_file.log_group, &stream, &lines.buffer);
        let mut stamps = Stamps::new(&log_file.times, log_file.timezone, self.now);
        // The time of the line before, and the lines that wait for a first one.
        let (mut last, mut held) = (None, Held::default());
        let mut number = 0_u64;
        loop {
            let line = match lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) if is_damage(&error) => {
                    self.problem("", FileError::Damaged(number).to_string());
                    break;
                }
                Err(error) => return Err(self.failed(error)),
            };
            number += 1;
            let (offset, text) = line;
            let stamped = text.and_then(|text| Ok((stamps.of(&text)?, text)));
            match stamped {
                Err(error) => self.problem(&format!(":{number}"), error.to_string()),
                Ok((stamp, text)) => {
                    last = stamp.map(|time| log_file.in_file_order(last, time)).or(last);
                    held.push(offset, text);
                    match last {
                        Some(time) => {
                            for (offset, text) in held.take() {
                                self.line(&mut batch, offset, time, &text)?;
                            }
                        }
                        None if held.is_full() => break,
                        None => {}
                    }
                }
            }
        }
        if !held.lines.is_empty() {
            let error = FileError::no_timestamp(&log_file.times, held.lines.len());
            self.problem("", error.to_string());
        }
        match batch.events.is_empty() {
            true => Ok(()),
            false => self.record(batch.take(), self.now),
        }
    }

    fn line(
        &mut self,
        batch: &mut Batch<'_>,
        offset: u64,
        timestamp: i64,
        text: &str,
    ) -> Result<(), LocalError> {
        if batch.is_full(text.len()) {
            self.record(batch.take(), self.now)?;
        }
        batch.push(offset, timestamp, text);
        Ok(())
    }
}

/// Lines in front of a file's first timestamp.
#[derive(Default)]
struct Held {
    lines: Vec<(u64, String)>,
    bytes: usize,
}

impl Held {
    fn push(&mut self, offset: u64, text: String) {
        self.bytes += text.len();
        self.lines.push((offset, text));
    }

    fn take(&mut self) -> impl Iterator<Item = (u64, String)> {
        self.bytes = 0;
        self.lines.drain(..)
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= HELD_LINES || self.bytes >= HELD_BYTES
    }
}

/// Lines with their offsets; never more than a line in memory.
struct Lines<R> {
    input: R,
    /// Where the next line begins.
    offset: u64,
    /// It, with its line break; or so much of it that it is too long.
    buffer: Vec<u8>,
}

/// A line's offset, and its text without a line break; or why it is not a valid event.
type Line = (u64, Result<String, LineError>);

impl<R: BufRead> Lines<R> {
    /// The next line. The one after it is read already.
    fn next(&mut self) -> io::Result<Option<Line>> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let (offset, text) = (self.offset, self.text());
        self.offset += self.buffer.len() as u64;
        let mut is_whole = self.is_whole();
        self.fill()?;
        while !is_whole && !self.buffer.is_empty() {
            is_whole = self.buffer.ends_with(b"\n");
            self.offset += self.buffer.len() as u64;
            self.fill()?;
        }
        Ok(Some((offset, text)))
    }

    fn is_whole(&self) -> bool {
        self.buffer.len() <= LINE_BYTES + 1 || self.buffer.ends_with(b"\n")
    }

    fn text(&self) -> Result<String, LineError> {
        if !self.is_whole() {
            return Err(LineError::Bytes);
        }
        let text = match self.buffer.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            None => &self.buffer,
        };
        let text = if self.offset == 0 { text.strip_prefix(BOM).unwrap_or(text) } else { text };
        let text = std::str::from_utf8(text).map(str::to_owned);
        text.map_err(|_| LineError::Utf8)
    }

    /// Reads up to the line's end, or so far that it is too long.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.clear();
        let limit = LINE_BYTES as u64 + 2;
        self.input.by_ref().take(limit).read_until(b'\n', &mut self.buffer)?;
        Ok(())
    }
}

/// The events of the next envelope.
struct Batch<'l> {
    group: &'l str,
    stream: &'l str,
    /// What is the same in the ids of all lines of the file.
    identity: Xxh3,
    events: Vec<Value>,
    bytes: usize,
}

impl<'l> Batch<'l> {
    /// An event's id is the decimal XXH3-128 of group, stream, the file's first line, byte offset
    /// and content, each after its length. So a file that is read again gives the same events, also
    /// after it grew, was touched, copied or rotated; equal lines at one offset of two files do
    /// not.
    fn new(group: &'l str, stream: &'l str, first: &[u8]) -> Batch<'l> {
        let first = first.strip_suffix(b"\n").unwrap_or(first);
        let mut identity = Xxh3::new();
        [group.as_bytes(), stream.as_bytes(), first]
            .iter()
            .for_each(|part| add(&mut identity, part));
        Batch { group, stream, identity, events: Vec::new(), bytes: 0 }
    }

    fn is_full(&self, more: usize) -> bool {
        self.events.len() >= EVENTS || !self.events.is_empty() && self.bytes + more > BYTES
    }

    fn push(&mut self, offset: u64, timestamp: i64, message: &str) {
        let mut identity = self.identity.clone();
        add(&mut identity, &offset.to_le_bytes());
        add(&mut identity, message.as_bytes());
        let id = identity.digest128().to_string();
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
        gzip(envelope.as_bytes())
    }
}

fn add(identity: &mut Xxh3, part: &[u8]) {
    identity.update(&(part.len() as u64).to_le_bytes());
    identity.update(part);
}
