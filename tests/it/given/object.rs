//! What tests of objects are given: a configuration, envelopes, and a sink that remembers.

use std::io::{self, Read};

use hiwake::config::{Config, Limits};
use hiwake::object::{
    Bad, ByteSource, Options, Origin, ReadError, Reader, RowPlace, Sink, Skipped,
};
use hiwake::row::Row;
use hiwake::rows::Writer;
use hiwake::store::{ObjectReader, StoreError};
use serde_json::json;

use super::{T, gzip, owned};

/// The sample rule, without looking at the sample file.
pub fn config() -> Config {
    let text = r#"
        timezone = "Asia/Tokyo"
        [[source]]
        log_groups = ["/var/log/messages"]
        file = "messages"
        labels = ["HOGE", "1"]
    "#;
    super::config(text)
}

/// A data message of these (id, message) events, a second apart.
pub fn envelope(events: &[(&str, &str)]) -> Vec<u8> {
    let events: Vec<_> = events
        .iter()
        .zip(T..)
        .map(|((id, message), at)| json!({"id": id, "timestamp": at, "message": message}))
        .collect();
    let envelope = json!({
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": "/var/log/messages",
        "logStream": "i-0abc",
        "subscriptionFilters": ["f"],
        "logEvents": events,
    });
    // As CloudWatch Logs writes it: messageType first.
    let text = envelope.to_string().replacen(r#""messageType":"DATA_MESSAGE","#, "", 1);
    text.replacen('{', r#"{"messageType":"DATA_MESSAGE","#, 1).into_bytes()
}

pub fn control() -> Vec<u8> {
    br#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1741312971934,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}"#.to_vec()
}

/// What a record becomes in `landing/`: one zstd frame of compact rows.
pub fn rows_frame(config: &Config, record: &[u8]) -> Vec<u8> {
    frame(&compact_text(config, record))
}

/// A zstd frame as transform writes it.
pub fn frame(text: &[u8]) -> Vec<u8> {
    let mut context = zstd::zstd_safe::CCtx::create();
    context.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
    let mut frame = Vec::with_capacity(zstd::zstd_safe::compress_bound(text.len()));
    context.compress2(&mut frame, text).unwrap();
    frame
}

/// The rows of a record as compact text.
pub fn compact_text(config: &Config, record: &[u8]) -> Vec<u8> {
    let (mut writer, mut text) = (Writer::default(), Vec::new());
    rows(config, record).iter().for_each(|row| writer.row(row, &mut text));
    text
}

/// The same as version 0.1 wrote it, but for the stream: one gzip member of rows in JSON.
pub fn rows_member(config: &Config, record: &[u8]) -> Vec<u8> {
    gzip(&rows_text(config, record))
}

/// The rows of a record in JSON.
pub fn rows_text(config: &Config, record: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    rows(config, record).iter().for_each(|row| row.encode(&mut text));
    text
}

/// The rows of a record.
pub fn rows(config: &Config, record: &[u8]) -> Vec<Row<'static>> {
    let origin = Origin { place: "s", id: Some("r"), arrival: Some(T) };
    let mut seen = Seen::default();
    let options = Options::new(&config.limits);
    Reader::new(config).record(record, origin, &options, &mut seen).unwrap();
    assert!(seen.bad.is_empty() && !seen.rows.is_empty(), "{seen:?}");
    seen.rows
}

/// Remembers everything.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub ids: Vec<String>,
    pub lines: Vec<String>,
    pub rows: Vec<Row<'static>>,
    pub skipped: Vec<(Skipped, usize)>,
    pub bad: Vec<(String, Vec<u8>)>,
    pub offsets: Vec<u64>,
    pub reasons: Vec<String>,
    counts: Counts,
}

/// How many of each sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were rows already.
    pub rows: usize,
    /// Rows that were made of events, and of plain text, whose stream is the object.
    pub events: usize,
    pub plain: usize,
}

/// The object that all is read from.
const PLACE: &str = "bucket/key";

impl Sink for Seen {
    fn row(&mut self, row: &Row<'_>, place: RowPlace) -> Result<(), ReadError> {
        match place.is_derived {
            false => self.counts.rows += 1,
            true if row.stream.log_group().is_none() => self.counts.plain += 1,
            true => self.counts.events += 1,
        }
        self.take(row);
        Ok(())
    }

    fn skipped(&mut self, skipped: Skipped, events: usize) -> Result<(), ReadError> {
        self.skipped.push((skipped, events));
        Ok(())
    }

    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError> {
        self.bad.push((bad.code.to_owned(), bad.bytes.to_vec()));
        self.offsets.push(bad.offset);
        self.reasons.push(bad.reason.to_owned());
        Ok(())
    }
}

impl Seen {
    fn take(&mut self, row: &Row<'_>) {
        self.ids.push(row.id.to_string());
        self.lines.push(row.line.to_string());
        self.rows.push(owned(row));
    }

    pub fn bad_codes(&self) -> Vec<&str> {
        self.bad.iter().map(|(code, _)| code.as_str()).collect()
    }
}

/// Reads an object with ample limits.
pub fn read(input: impl ByteSource) -> (Counts, Seen) {
    let config = config();
    read_with(
        input,
        &Options { limits: &limits(1 << 20, 8 << 20), plain: true, until: None },
        &config,
    )
}

/// Those of a unit, and of what is inflated at once.
pub fn limits(unit_bytes: usize, inflated_bytes: usize) -> Limits {
    let event_ahead = std::time::Duration::MAX;
    Limits { unit_bytes, inflated_bytes, event_ahead, ..Limits::default() }
}

pub fn read_with(input: impl ByteSource, options: &Options<'_>, config: &Config) -> (Counts, Seen) {
    let mut seen = Seen::default();
    let origin = Origin { place: PLACE, id: None, arrival: Some(1_650_214_800_000) };
    Reader::new(config).object(input, origin, options, &mut seen).unwrap();
    (seen.counts, seen)
}

/// Hands out so many bytes at a time, going through the sizes again and again.
pub struct Chunked<'a> {
    pub bytes: &'a [u8],
    pub sizes: Vec<usize>,
    pub turn: usize,
}

impl Read for Chunked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.turn += 1;
        let size = self.sizes[self.turn % self.sizes.len()].max(1);
        let length = size.min(buffer.len()).min(self.bytes.len());
        buffer[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes = &self.bytes[length..];
        Ok(length)
    }
}

/// All bytes of an object.
pub fn whole(mut reader: ObjectReader) -> Result<Vec<u8>, StoreError> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(bytes),
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}
