//! What tests are given: configurations, files, Firehose requests, decoded answers.

pub mod disk;
pub mod object;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use hiwake::config::{Config, Form};
use hiwake::firehose::{self, Counts};
use hiwake::land::root::layout::DayFile;
use hiwake::object::{Bad, Options, Origin, ReadError, Reader, RowPlace, Sink};
use hiwake::row::{Kind, Row};
use serde_json::{Value, json};

/// A configuration from its text; days are compressed from the first byte where `make check` asks
/// for that.
pub fn config(toml: &str) -> Config {
    let mut config = Config::parse("test.toml", toml).unwrap();
    config.files.open = open_form();
    config
}

/// `make check` runs the tests of landing twice.
#[expect(clippy::disallowed_methods, reason = "it is for tests only")]
pub fn open_form() -> Form {
    match std::env::var("HIWAKE_TEST_OPEN").as_deref() {
        Ok("compressed") => Form::Compressed,
        _ => Form::Plain,
    }
}

/// A folder to run commands in: its `hiwake.toml` is the sample, with days of that form.
#[expect(clippy::disallowed_methods, reason = "no file of a root")]
pub fn working_folder() -> PathBuf {
    if open_form() == Form::Plain {
        return folder();
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compressed");
    let sample = std::fs::read_to_string(folder().join("hiwake.toml")).unwrap();
    let (plain, compressed) = ("# open     = \"plain\"", "open = \"compressed\"");
    assert!(sample.contains(plain));
    std::fs::create_dir_all(&path).unwrap();
    // A reader never sees a part of it.
    let own = path.join(format!("{}", std::process::id()));
    std::fs::write(&own, sample.replace(plain, compressed)).unwrap();
    std::fs::rename(own, path.join("hiwake.toml")).unwrap();
    path
}

/// The open file of what is published under a name.
pub fn open_of(published: &str) -> String {
    match open_form() {
        Form::Plain => format!("{published}.open"),
        Form::Compressed => format!("{published}.zst.open"),
    }
}

/// A configuration for a command: days have the form that `make check` asks for.
pub fn with_open(toml: &str) -> String {
    match open_form() {
        Form::Plain => toml.to_owned(),
        Form::Compressed => format!("{toml}\n[files]\nopen = \"compressed\"\n"),
    }
}

/// The bytes of a commit of this text, as an open file of that form has them.
pub fn stored(text: &str) -> Vec<u8> {
    match open_form() {
        Form::Plain => text.as_bytes().to_vec(),
        Form::Compressed => frame(text),
    }
}

/// A zstd frame as a commit writes it.
pub fn frame(text: &str) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.set_pledged_src_size(Some(text.len() as u64)).unwrap();
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The text of a file, whatever its name says that it is compressed by; of an open one, as far as
/// its frames are good.
pub fn text_of(name: &str, bytes: &[u8]) -> String {
    let mut text = Vec::new();
    if name.ends_with(".gz") {
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    } else if name.ends_with(".zst") {
        zstd::Decoder::new(bytes).unwrap().read_to_end(&mut text).unwrap();
    } else if name.ends_with(".zst.open") {
        zstd::Decoder::new(bytes).unwrap().read_to_end(&mut text).ok();
    } else {
        text.extend_from_slice(bytes);
    }
    String::from_utf8(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The configuration that README, CDK and the golden test use.
pub fn sample() -> Config {
    Config::load(&folder().join("hiwake.toml")).unwrap()
}

/// The repository.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The SQS event whose messages have these bodies.
pub fn sqs_event(bodies: &[Value]) -> Value {
    let record = |(number, body): (usize, &Value)| {
        json!({
            "messageId": format!("message-{number}"),
            "receiptHandle": format!("message-{number}"),
            "body": body.to_string(),
            "attributes": {},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
        })
    };
    json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() })
}

/// Writes a file, its folders too.
#[allow(clippy::disallowed_methods, reason = "a test's own file needs no sync")]
pub fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Every file below a folder, the hidden ones too, with its content.
pub fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// 2022-04-18 00:00 in Tokyo: where the day of most tests begins.
pub const MIDNIGHT: i64 = 1_650_207_600_000;
pub const HOUR: i64 = 3_600_000;
pub const DAY: i64 = 24 * HOUR;

/// The files of that day: open, sealed, late and open.
pub static OPEN: LazyLock<&str> = LazyLock::new(|| open_of(SEALED).leak());
pub const SEALED: &str = "messages/2022-04-18.csv";
pub static LATE: LazyLock<&str> = LazyLock::new(|| open_of("messages/2022-04-18.late.csv").leak());
pub const JOURNAL: &str = ".hiwake/days/2022-04-18/messages.csv/.journal";
pub const SEEN: &str = ".hiwake/days/2022-04-18/messages.csv/.seen";

/// The day file of these names.
pub fn day_file() -> DayFile {
    DayFile { file: "messages".to_owned(), day: "2022-04-18".parse().unwrap(), kind: Kind::Csv }
}

/// 2022-04-17T16:59:07Z, 01:59:07 of the next day in Tokyo.
pub const T: i64 = 1_650_214_747_000;

/// The delivery stream of all requests made here.
pub const STREAM: &str = "arn:aws:firehose:ap-northeast-1:123456789012:deliverystream/hiwake";

pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// An envelope of log group `/var/log/messages` with a message for each text, a millisecond apart.
pub fn envelope(messages: &[&str]) -> Value {
    let events: Vec<_> = messages
        .iter()
        .enumerate()
        .map(|(n, message)| json!({"id": format!("{n:056}"), "timestamp": T + n as i64, "message": message}))
        .collect();
    json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012",
        "logGroup": "/var/log/messages", "logStream": "i-0abc",
        "subscriptionFilters": ["all"], "logEvents": events,
    })
}

/// Gzipped, as CloudWatch Logs sends it.
pub fn gzipped(value: &Value) -> Vec<u8> {
    gzip(value.to_string().as_bytes())
}

/// A Firehose request with a record for each data; ids are r0, r1, …
pub fn request(datas: &[Vec<u8>]) -> Vec<u8> {
    let records: Vec<_> = datas.iter().enumerate().map(|(n, data)| record(n, data)).collect();
    event(&json!(records))
}

pub fn record(n: usize, data: &[u8]) -> Value {
    json!({
        "recordId": format!("r{n}"), "approximateArrivalTimestamp": T + 60_000,
        "data": STANDARD.encode(data),
    })
}

pub fn event(records: &Value) -> Vec<u8> {
    json!({
        "invocationId": "i", "region": "ap-northeast-1",
        "deliveryStreamArn": STREAM,
        "records": records,
    })
    .to_string()
    .into_bytes()
}

/// The answer to a request, checked for what holds of every answer.
pub fn answer(config: &Config, event: &[u8]) -> (Vec<Answered>, Counts) {
    let (answer, counts) = firehose::transform(&mut Reader::new(config), event).unwrap();
    let again = firehose::transform(&mut Reader::new(config), event).unwrap();
    assert_eq!((&answer, &counts), (&again.0, &again.1), "the same event, the same bytes");
    assert!(answer.len() <= config.limits.answer_bytes);
    assert_eq!(counts.answer_bytes, answer.len());
    let answered = answered(&answer);
    let result = |name| answered.iter().filter(|one| one.result == name).count();
    assert_eq!(counts.ok, result("Ok"));
    assert_eq!(counts.records_dropped(), result("Dropped"));
    assert_eq!(counts.records_failed(), result("ProcessingFailed"));
    assert_eq!(counts.records, answered.len());
    assert_eq!(counts.rows, answered.iter().map(|one| one.rows.len()).sum::<usize>());
    let refused = answered.iter().map(|one| one.refused.len()).sum::<usize>();
    assert_eq!(counts.events_refused(), refused);
    let sum = counts.rows + counts.events_dropped + counts.events_refused() + counts.events_failed;
    assert_eq!(counts.events, sum);
    (answered, counts)
}

/// One decoded entry of an answer.
#[derive(Debug, PartialEq)]
pub struct Answered {
    pub id: String,
    pub result: String,
    pub rows: Vec<Row<'static>>,
    /// The codes of what was refused.
    pub refused: Vec<String>,
}

/// Remembers what a frame holds.
#[derive(Default)]
struct Held {
    rows: Vec<Row<'static>>,
    refused: Vec<String>,
}

impl Sink for Held {
    fn row(&mut self, row: &Row<'_>, place: RowPlace) -> Result<(), ReadError> {
        assert!(!place.is_derived, "an answer holds rows");
        self.rows.push(owned(row));
        Ok(())
    }

    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError> {
        self.refused.push(bad.code.to_owned());
        Ok(())
    }
}

impl Answered {
    pub fn lines(&self) -> Vec<&str> {
        self.rows.iter().map(|row| &*row.line).collect()
    }
}

/// Decodes an answer; only `Ok` has data, and it is never empty.
pub fn answered(answer: &[u8]) -> Vec<Answered> {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    let entries = answer["records"].as_array().unwrap().iter().map(|entry| {
        let result = entry["result"].as_str().unwrap().to_owned();
        assert_eq!(result == "Ok", entry.get("data").is_some());
        let mut held = Held::default();
        if let Some(data) = entry.get("data") {
            let data = STANDARD.decode(data.as_str().unwrap()).unwrap();
            assert_eq!(data[..4], [0x28, 0xb5, 0x2f, 0xfd], "a zstd frame");
            assert_ne!(data[4] & 1 << 2, 0, "with a checksum");
            let config = Config::default();
            let origin = Origin { place: "answer", id: None, arrival: None };
            let options = Options::new(&config.limits);
            Reader::new(&config).record(&data, origin, &options, &mut held).unwrap();
        }
        let Held { rows, refused } = held;
        assert_eq!(
            result == "Ok",
            rows.len() + refused.len() > 0,
            "Ok without data fails at Firehose"
        );
        Answered { id: entry["recordId"].as_str().unwrap().to_owned(), result, rows, refused }
    });
    entries.collect()
}

pub fn owned(row: &Row<'_>) -> Row<'static> {
    Row {
        file: row.file.to_string().into(),
        kind: row.kind,
        day: row.day,
        timestamp: row.timestamp,
        stream: row.stream.clone().into_owned(),
        id: row.id.to_string().into(),
        line: row.line.to_string().into(),
    }
}

pub fn results(answered: &[Answered]) -> Vec<&str> {
    answered.iter().map(|one| &*one.result).collect()
}

/// The one record's answer and, if it failed, its code.
pub fn one(toml: &str, data: &[u8]) -> (Answered, Option<String>) {
    let (mut answered, counts) = answer(&config(toml), &request(&[data.to_vec()]));
    assert_eq!(answered.len(), 1);
    (answered.remove(0), counts.failed.keys().next().cloned())
}

pub fn failed(data: &[u8]) -> String {
    let (answered, code) = one("", data);
    assert_eq!(answered.result, "ProcessingFailed");
    code.unwrap()
}

/// Text that gzip cannot do much about.
pub fn text(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + (state % 75) as u8)
    };
    (0..length).map(|_| next()).collect()
}
