//! What holds of every input: no panic, memory within the limits, and what was decoded encodes to
//! what decodes to it. Shared by cargo-fuzz (`make fuzz`) and by `tests/it/fuzz.rs`, which runs
//! each with mutated fixtures.

use std::io::{self, Read};

use hiwake::config::{Config, Limits};
use hiwake::land::journal::frame::{Closed, FRAMES_AT, Found, Header, decode};
use hiwake::land::journal::seen::Watermark;
use hiwake::land::journal::state::State;
use hiwake::notice::Notice;
use hiwake::object::{Bad, Options, Origin, ReadError, Reader, RowPlace, Sink, Skipped};
use hiwake::row::Row;
use hiwake::{envelope, firehose};

/// Whether the bytes were taken for what the property is about; it panics where the property does
/// not hold.
pub type Property = fn(&[u8]) -> bool;

/// A property, its name, and whether an input gave something that could be decoded.
pub const PROPERTIES: [(&str, Property); 6] = [
    ("record", record),
    ("row", row),
    ("object", object),
    ("journal", journal),
    ("config", config),
    ("firehose", firehose),
];

const CONFIG: &str = r#"
    timezone = "Asia/Tokyo"
    [[source]]
    log_groups = ["/var/log/*", "/aws/*"]
    file = "{log_group}/{log_stream}"
    labels = ["HOGE", "1"]
    columns = ["{labels}", "{time}", "{id}", "{message}"]
    [limits]
    inflated_bytes = 1_048_576
    unit_bytes = 1_048_576
"#;

fn settings() -> Config {
    Config::parse("fuzz.toml", CONFIG).expect("a configuration of this file")
}

/// A row that was read or made: written and read again it is the same, and is written the same.
fn stable(row: &Row<'_>) {
    let mut once = Vec::new();
    row.encode(&mut once);
    let again = Row::decode(&once).expect("what is encoded can be decoded");
    assert_eq!(&again, row);
    let mut twice = Vec::new();
    again.encode(&mut twice);
    assert_eq!(once, twice);
    assert_eq!(once.iter().filter(|byte| **byte == b'\n').count(), 1, "a row is one line");
}

/// A Firehose record: envelope, text, gzip of either.
pub fn record(data: &[u8]) -> bool {
    let config = settings();
    if let Some((read, length)) = envelope::exact(data, &mut Vec::new()) {
        let text = std::str::from_utf8(&data[..length]).expect("what is read to the letter");
        assert_eq!(Ok(read), envelope::parsed(text));
    }
    let origin = Origin { place: "s", id: Some("r"), arrival: Some(1_650_214_747_000) };
    let (options, mut seen) = (Options::new(&config.limits), Seen::default());
    let read = Reader::new(&config).record(data, origin, &options, &mut seen);
    read.is_ok() && seen.bad == 0
}

/// One line of NDJSON.
pub fn row(data: &[u8]) -> bool {
    Row::decode(data).map(|row| stable(&row)).is_ok()
}

/// An object of any shape: read in one piece or in many, it gives the same.
pub fn object(data: &[u8]) -> bool {
    let config = settings();
    let limits = Limits { unit_bytes: 1 << 16, inflated_bytes: 1 << 20, ..Limits::default() };
    let read = |piece: usize| {
        let options = Options::new(&limits);
        let mut seen = Seen::default();
        let input = Pieces { bytes: data, piece };
        let origin = Origin { place: "bucket/key", id: None, arrival: Some(1) };
        match Reader::new(&config).object(input, origin, &options, &mut seen) {
            Ok(()) | Err(ReadError::Newer(_)) => seen,
            Err(error) => panic!("a slice can be read: {error}"),
        }
    };
    let whole = read(usize::MAX);
    assert_eq!(whole, read(7), "in pieces of 7 bytes");
    whole.rows > 0
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    rows: u64,
    bad: u64,
    skipped: u64,
    text: Vec<u8>,
}

impl Sink for Seen {
    fn row(&mut self, row: &Row<'_>, _: RowPlace) -> Result<(), ReadError> {
        stable(row);
        self.rows += 1;
        row.encode(&mut self.text);
        Ok(())
    }

    fn skipped(&mut self, _: Skipped, _: usize) -> Result<(), ReadError> {
        self.skipped += 1;
        Ok(())
    }

    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError> {
        assert!(!bad.code.is_empty() && !bad.reason.is_empty());
        self.bad += 1;
        Ok(())
    }
}

struct Pieces<'a> {
    bytes: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.piece.min(buffer.len()).min(self.bytes.len());
        buffer[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes = &self.bytes[length..];
        Ok(length)
    }
}

/// A journal: as it stands; its frames with their checksums made right, so that their payloads are
/// read; a `seen`'s mark.
pub fn journal(data: &[u8]) -> bool {
    let mut readable = matches!(State::read("journal", data), Ok(Some(_)));
    if let Some((identity, _)) = Header::decode(data) {
        let (bytes, _) = identity.encode();
        assert_eq!(Header::decode(&bytes).map(|(again, _)| again), Some(identity));
    }
    if let Some(mark) = Watermark::decode(data.get(..16).unwrap_or_default()) {
        assert_eq!(Watermark::decode(&mark.encode()), Some(mark));
    }
    if let Ok(Some((closed, _))) = Closed::decode(data) {
        let slot = closed.encode().expect("what was in a slot fits a slot");
        let mut header = vec![0; FRAMES_AT as usize];
        header[FRAMES_AT as usize - slot.len()..].copy_from_slice(&slot);
        assert_eq!(
            Closed::decode(&header).map(|read| read.map(|(read, _)| read)),
            Ok(Some(closed))
        );
    }
    let frames = data.get(FRAMES_AT as usize..).unwrap_or(data);
    let mut header = data.get(..FRAMES_AT as usize).unwrap_or_default().to_vec();
    let mut crc = Header::decode(&header).map_or(0, |(_, crc)| crc);
    for payload in frames.split(|byte| *byte == 0xf5) {
        let Some((kind, payload)) = payload.split_first() else { continue };
        let frame = frame(kind % 7, payload, crc);
        if let Found::Frame { frame: read, previous, crc: own, length } = decode(&frame) {
            assert_eq!((previous, length), (crc, frame.len()));
            let (again, _) = read.encode(previous);
            assert!(matches!(decode(&again), Found::Frame { frame, .. } if frame == read));
            crc = own;
            readable = true;
        }
        header.extend_from_slice(&frame);
    }
    readable | matches!(State::read("journal", &header), Ok(Some(_)))
}

fn frame(kind: u8, payload: &[u8], previous: u32) -> Vec<u8> {
    let mut bytes = b"HWKF".to_vec();
    bytes.extend_from_slice(&[kind, 1, 0, 0]);
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&previous.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes), payload);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A configuration: it is read, or every mistake says something.
pub fn config(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    match Config::parse("fuzz.toml", text) {
        Ok(config) => {
            assert!(config.warnings().iter().all(|warning| !warning.message.is_empty()));
            true
        }
        Err(errors) => {
            assert!(!errors.to_string().is_empty());
            false
        }
    }
}

/// A Firehose event, and an SQS event of the land function: both are JSON from outside.
pub fn firehose(data: &[u8]) -> bool {
    let config = settings();
    let noticed = Notice::read(data).is_ok();
    match firehose::transform(&mut Reader::new(&config), data) {
        Ok((answer, counts)) => {
            assert!(answer.len() <= config.limits.answer_bytes);
            assert_eq!(
                counts.records,
                counts.ok + counts.records_dropped() + counts.records_failed()
            );
            true
        }
        Err(_) => noticed,
    }
}
