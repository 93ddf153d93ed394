//! The pipeline heals itself: what transform did not answer lands through `failed/`; what nobody
//! can read is kept; a record never goes round.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono_tz::Tz;
use hiwake::clock::Clock;
use hiwake::config::Config;
use hiwake::disk::RealDisk;
use hiwake::firehose;
use hiwake::lambda::land::{Invocation, invoke};
use hiwake::land::{Landed, Lander, Root};
use hiwake::local::{Buffers, Delivered, Firehose, FunctionError, SourceRecord, Transform};
use hiwake::notice::s3_event;
use hiwake::object::Reader;
use hiwake::store::Store;
use proptest::prelude::*;
use serde_json::Value;

use crate::given::object::{config, control, envelope, read};
use crate::given::{T, gzip, sqs_event, text, tree};

/// Puts records into a stand-in Firehose; answers what it did, and what S3 tells the land
/// function's queue: a message an object.
pub fn deliver(
    folder: &Path,
    records: &[Vec<u8>],
    buffers: Buffers,
    transform: &mut Transform<'_>,
) -> (Delivered, Value) {
    let mut transform = |event: &[u8]| transform(event);
    let mut firehose = Firehose::new(folder, Tz::Asia__Tokyo, buffers, &mut transform);
    for (data, arrival) in records.iter().zip(T..) {
        firehose.put(&SourceRecord { data: data.clone(), arrival }).unwrap();
    }
    let (delivered, created) = firehose.finish().unwrap();
    let notices: Vec<_> = created.iter().map(|created| s3_event(created, 0)).collect();
    (delivered, sqs_event(&notices))
}

pub fn real<'c>(config: &'c Config) -> impl FnMut(&[u8]) -> Result<Vec<u8>, FunctionError> + 'c {
    let mut reader = Reader::new(config);
    move |event| {
        let answer = firehose::transform(&mut reader, event);
        answer.map(|(answer, _)| answer).map_err(|error| FunctionError(error.to_string()))
    }
}

/// Tells the land function's code of these notices.
fn land(root: &Path, bucket: &Path, config: &Config, notices: &Value) -> Invocation {
    let disk = RealDisk::create(root).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let lander = Lander {
        root: Root {
            disk: &disk,
            config,
            clock: Clock::At(T + 600_000),
            deadline,
            synced: Default::default(),
        },
        journals: Arc::default(),
        pool: Default::default(),
    };
    invoke(&lander, &|_| Store::folder(bucket), notices.to_string().as_bytes())
}

fn land_folder(root: &Path, folder: &Path, config: &Config) -> Landed {
    let disk = RealDisk::create(root).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let lander = Lander {
        root: Root {
            disk: &disk,
            config,
            clock: Clock::At(T + 700_000),
            deadline,
            synced: Default::default(),
        },
        journals: Arc::default(),
        pool: Default::default(),
    };
    let store = Store::folder(folder).unwrap();
    let ids: Vec<_> = store.list("").unwrap().into_iter().map(|object| object.id).collect();
    lander.land(&store, &ids)
}

/// The lines that readers see, sorted.
fn lines(root: &Path) -> Vec<String> {
    let files = tree(root).into_iter().filter(|(name, _)| !name.starts_with(".hiwake/"));
    let text = files.map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect::<String>();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

fn quarantine(root: &Path) -> Vec<Value> {
    let files = tree(root).into_iter().filter(|(name, _)| name.contains("/quarantine/"));
    let text: Vec<u8> = files.flat_map(|(_, bytes)| bytes).collect();
    let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[test]
fn what_is_too_big_times_out_or_is_throttled_is_in_its_day_file_without_anybodys_help() {
    let mut config = config();
    config.limits.answer_bytes = 20_000;
    let big: Vec<String> = (0..40).map(|n| text(n, 2_000)).collect();
    let events: Vec<(&str, &str)> = big.iter().map(|text| ("big", text.as_str())).collect();
    let events: Vec<_> = (0..40).map(|n| (n.to_string(), events[n].1)).collect();
    let events: Vec<_> = events.iter().map(|(id, text)| (id.as_str(), *text)).collect();
    let mut records = vec![gzip(&envelope(&events))];
    let mut expected: Vec<String> = big.iter().map(|text| format!("HOGE,1,{text}")).collect();
    for n in 0..30 {
        records.push(gzip(&envelope(&[(&format!("small {n}"), &format!("m {n}"))])));
        expected.push(format!("HOGE,1,m {n}"));
    }
    let (root, bucket) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut calls = 0;
    let mut transform = real(&config);
    let mut flaky = |event: &[u8]| {
        calls += 1;
        match calls {
            // All four attempts of the second batch time out, of the third are throttled.
            5..=8 => Err(FunctionError("Task timed out after 60.00 seconds".to_owned())),
            9..=12 => Err(FunctionError("Rate Exceeded.".to_owned())),
            _ => transform(event),
        }
    };
    let buffers = Buffers { request_records: 5, object_bytes: 2_000, ..Buffers::default() };
    let (delivered, notices) = deliver(bucket.path(), &records, buffers, &mut flaky);
    assert!(delivered.failed > 10 && delivered.ok > 10, "{delivered:?}");
    let landed = land(root.path(), bucket.path(), &config, &notices);
    assert_eq!(landed.answer.unwrap()["batchItemFailures"], serde_json::json!([]));
    expected.sort_unstable();
    assert_eq!(lines(root.path()).len(), expected.len());
    let quoted = |line: &String| line.replace('"', "");
    assert!(lines(root.path()).iter().map(quoted).eq(expected.iter().map(quoted)));
    assert_eq!(quarantine(root.path()), Vec::<Value>::new());
    // At least once: all of it again, in the other order, and nothing changes.
    let before = tree(root.path());
    let landed = land(root.path(), bucket.path(), &config, &notices);
    let metrics = landed.metrics.line("", 0);
    assert!(metrics.contains("\"RowsLanded\":0,"), "{metrics}");
    assert_eq!(tree(root.path()), before);
}

#[test]
fn what_can_never_be_read_is_in_quarantine_with_its_reason_and_its_bytes() {
    let config = config();
    let whole = gzip(&envelope(&[("1", "a")]));
    let torn = whole[..whole.len() - 12].to_vec();
    let records = [whole, torn.clone(), b"\xff\xfe\xfd".to_vec()];
    let (root, bucket) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (delivered, notices) =
        deliver(bucket.path(), &records, Buffers::default(), &mut real(&config));
    assert_eq!((delivered.ok, delivered.failed), (1, 2));
    let landed = land(root.path(), bucket.path(), &config, &notices);
    // The message is done: it would never be any better.
    assert_eq!(landed.answer.unwrap()["batchItemFailures"], serde_json::json!([]));
    assert_eq!(lines(root.path()), ["HOGE,1,a"]);
    let kept = quarantine(root.path());
    let codes: Vec<_> = kept.iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["torn-gzip", "utf-16"]);
    for (kept, record) in kept.iter().zip([torn, b"\xff\xfe\xfd".to_vec()]) {
        let bytes = STANDARD.decode(kept["bytes"].as_str().unwrap()).unwrap();
        assert_eq!(bytes, record, "the record's own bytes");
        assert!(kept["object"].as_str().unwrap().contains("failed/processing-failed"), "{kept}");
    }
}

#[test]
fn a_record_never_goes_round() {
    let config = config();
    let whole = gzip(&envelope(&[("1", "a")]));
    let row = r#"{"file":"m","kind":"csv","day":"2022-13-01","timestamp":1,"stream":"s","id":"1","line":"x"}"#;
    let failed = crate::object::failed_line(&whole[..whole.len() - 12]);
    let bad: [&[u8]; 6] = [
        &failed,
        br#"{"errorCode":"X","rawData":"%%%"}"#,
        br#"{"errorCode":"X","rawData":null}"#,
        &failed[..failed.len() / 2],
        row.as_bytes(),
        b"\xff\xfe",
    ];
    let (root, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    crate::given::put(folder.path(), "failed", &bad.join(&b'\n'));
    let first = land_folder(root.path(), folder.path(), &config);
    assert_eq!((first.tally.quarantined, first.tally.lines), (6, 0), "{first:?}");
    // Landing the quarantine makes no line and no text of it, however often; the bytes stay what
    // they are.
    let mut held = BTreeSet::new();
    for round in 0..4 {
        let copy = tempfile::tempdir().unwrap();
        let text: Vec<_> = quarantine(root.path()).iter().map(Value::to_string).collect();
        crate::given::put(copy.path(), "quarantine", text.join("\n").as_bytes());
        std::fs::remove_dir_all(root.path().join(".hiwake/quarantine")).unwrap();
        let again = land_folder(root.path(), copy.path(), &config);
        assert_eq!((again.tally.quarantined, again.tally.lines), (6, 0), "{round} {again:?}");
        let codes = |one: &Value| one["code"].as_str().unwrap().to_owned();
        held.insert(quarantine(root.path()).iter().map(codes).collect::<Vec<_>>());
        let longest = text.iter().map(String::len).max().unwrap();
        assert!(longest < 4_000, "{longest}");
    }
    assert_eq!(held.len(), 1, "{held:?}");
}

/// What a producer puts into the stream.
#[derive(Debug, Clone)]
enum Put {
    Envelope(Vec<String>),
    Members(Vec<String>),
    Plain(String),
    Control,
    Torn(Vec<String>),
    NotText,
}

fn puts() -> impl Strategy<Value = Vec<Put>> {
    let texts = || prop::collection::vec("[a-zé日\"{}\n:', ]{0,60}[a-z日]", 1..6);
    let put = prop_oneof![
        6 => texts().prop_map(Put::Envelope),
        2 => texts().prop_map(Put::Members),
        2 => "[ -~]{1,40}\n?".prop_map(Put::Plain),
        1 => Just(Put::Control),
        1 => texts().prop_map(Put::Torn),
        1 => Just(Put::NotText),
    ];
    prop::collection::vec(put, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_firehose_writes_reading_backup_gives_exactly_the_events_that_went_in(
        puts in puts(), request_records in 1usize..8, object_bytes in 1usize..3_000, deaf: bool,
    ) {
        let (mut events, mut torn) = (BTreeSet::new(), BTreeSet::new());
        let mut made = |texts: &[String], is_torn: bool| -> Vec<u8> {
            let first = events.len() + torn.len();
            let ids: Vec<String> = (first..first + texts.len()).map(|n| n.to_string()).collect();
            let texts = texts.iter().map(String::as_str);
            let pairs: Vec<_> = ids.iter().map(String::as_str).zip(texts).collect();
            if is_torn { torn.extend(ids.clone()) } else { events.extend(ids.clone()) }
            envelope(&pairs)
        };
        let records: Vec<Vec<u8>> = puts.iter().map(|put| match put {
            Put::Envelope(texts) => gzip(&made(texts, false)),
            Put::Members(texts) => {
                let member = |text| gzip(&made(std::slice::from_ref(text), false));
                texts.iter().flat_map(member).collect()
            }
            Put::Plain(text) => text.clone().into_bytes(),
            Put::Control => gzip(&control()),
            Put::Torn(texts) => {
                let member = gzip(&made(texts, true));
                member[..member.len() - 10].to_vec()
            }
            Put::NotText => b"\xff\xfe\xfd".to_vec(),
        }).collect();
        let config = config();
        let mut transform = real(&config);
        let mut transform = |event: &[u8]| if deaf { Err(FunctionError("deaf".to_owned())) } else { transform(event) };
        let folder = tempfile::tempdir().unwrap();
        let buffers = Buffers { request_records, object_bytes, ..Buffers::default() };
        let (delivered, _) = deliver(folder.path(), &records, buffers, &mut transform);
        prop_assert_eq!(delivered.records, records.len());
        let mut found = Vec::new();
        if !records.is_empty() {
            let store = Store::folder(folder.path()).unwrap();
            for object in store.list("backup").unwrap() {
                let (_, seen) = read(store.open(&object.id.key).unwrap());
                let events = seen.rows.iter().filter(|row| row.file == "messages");
                found.extend(events.map(|row| row.id.to_string()));
            }
        }
        let read: BTreeSet<String> = found.iter().cloned().collect();
        prop_assert_eq!(read.len(), found.len(), "none twice: {:?}", found);
        prop_assert!(read.is_superset(&events), "{:?}", events.difference(&read));
        // Of a record that is torn where the object ends, what is whole counts: it went in.
        prop_assert!(read.difference(&events).all(|id| torn.contains(id)), "{:?}", read);
    }
}
