//! Firehose's stand-in: batches, bad answers, objects.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono_tz::Tz;
use hiwake::firehose;
use hiwake::local::{Buffers, Delivered, Firehose, FunctionError, LocalError, SourceRecord};
use hiwake::notice::Created;
use hiwake::object::Reader;
use hiwake::store::Store;
use serde_json::{Value, json};

use crate::given::gzip;
use crate::given::object::whole;
use crate::given::object::{config, control, envelope, read};

const ARRIVAL: i64 = 1_650_214_747_000;

fn source(data: Vec<u8>, n: usize) -> SourceRecord {
    SourceRecord { data, arrival: ARRIVAL + n as i64 }
}

fn sources(count: usize) -> Vec<SourceRecord> {
    (0..count).map(|n| source(gzip(&envelope(&[(&n.to_string(), "m")])), n)).collect()
}

fn deliver(
    folder: &Path,
    records: &[SourceRecord],
    buffers: Buffers,
    mut transform: impl FnMut(&[u8]) -> Result<Vec<u8>, FunctionError>,
) -> (Delivered, Vec<Created>) {
    let mut firehose = Firehose::new(folder, Tz::Asia__Tokyo, buffers, &mut transform);
    records.iter().for_each(|record| firehose.put(record).unwrap());
    firehose.finish().unwrap()
}

fn real(request: &[u8]) -> Result<Vec<u8>, FunctionError> {
    let config = config();
    let answer = firehose::transform(&mut Reader::new(&config), request);
    answer.map(|(answer, _)| answer).map_err(|error| FunctionError(error.to_string()))
}

/// All bytes below a prefix, in key order.
fn bytes(folder: &Path, prefix: &str) -> Vec<u8> {
    let store = Store::folder(folder).unwrap();
    let mut bytes = Vec::new();
    for object in store.list(prefix).unwrap() {
        bytes.extend(whole(store.open(&object.id.key).unwrap()).unwrap());
    }
    bytes
}

fn failed_lines(folder: &Path) -> Vec<Value> {
    let bytes = bytes(folder, "failed/");
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[test]
fn what_goes_in_is_in_landing_and_in_backup() {
    let folder = tempfile::tempdir().unwrap();
    let mut records = sources(20);
    records.push(source(gzip(&control()), 20));
    let torn = &gzip(&envelope(&[("torn", "m")]))[..40];
    records.push(source(torn.to_vec(), 21));
    let (delivered, created) = deliver(folder.path(), &records, Buffers::default(), real);
    let expected = Delivered { records: 22, ok: 20, dropped: 1, failed: 1, calls: 1, retries: 0 };
    assert_eq!(delivered, expected);
    let ids: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(read(&bytes(folder.path(), "landing/")[..]).1.ids, ids);
    let backup = bytes(folder.path(), "backup/");
    let concatenated: Vec<u8> = records.iter().flat_map(|record| record.data.clone()).collect();
    assert_eq!(backup, concatenated);
    assert_eq!(read(&backup[..]).1.ids, ids);
    // S3 tells of landing and failed, not of backup.
    let keys: Vec<_> = created.iter().map(|one| one.id.key.as_str()).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys[0].starts_with("landing/2022/04/18/01/hiwake-1-2022-04-18-01-59-07-"), "{keys:?}");
    assert!(keys[0].ends_with(".rows.zst"));
    assert!(keys[1].starts_with("failed/processing-failed/2022/04/18/01/hiwake-1-"), "{keys:?}");
    let store = Store::folder(folder.path()).unwrap();
    for one in &created {
        assert_eq!(one.id.bucket, folder.path().display().to_string());
        assert_eq!(one.size, Some(store.look(&one.id.key).unwrap().size));
    }
    assert!(store.list("backup/2022/04/17/16/").unwrap().len() == 1, "the backup's keys are UTC");
}

#[test]
fn failed_records_have_the_measured_shape() {
    let folder = tempfile::tempdir().unwrap();
    let (_, _) = deliver(folder.path(), &[source(b"\xff".to_vec(), 0)], Buffers::default(), real);
    let line = failed_lines(folder.path()).remove(0);
    let keys: BTreeSet<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "arrivalTimestamp",
        "attemptEndingTimestamp",
        "attemptsMade",
        "errorCode",
        "errorMessage",
        "lambdaARN",
        "rawData",
    ];
    assert_eq!(keys, BTreeSet::from(expected));
    assert_eq!(line["rawData"], STANDARD.encode(b"\xff"));
    assert_eq!(line["errorCode"], "Lambda.ProcessingFailedStatus");
    assert_eq!(line["errorMessage"], "ProcessingFailed status set for record");
    assert_eq!((&line["attemptsMade"], &line["arrivalTimestamp"]), (&json!(1), &json!(ARRIVAL)));
}

#[test]
fn requests_keep_to_the_buffers() {
    let folder = tempfile::tempdir().unwrap();
    let mut sizes = Vec::new();
    let mut ids = BTreeSet::new();
    let records: Vec<_> = (0..1203).map(|n| source(vec![b'x'; 10 + n % 7], n)).collect();
    let buffers = Buffers { request_bytes: 6000, ..Buffers::default() };
    let (delivered, _) = deliver(folder.path(), &records, buffers, |request| {
        let request: Value = serde_json::from_slice(request).unwrap();
        let records = request["records"].as_array().unwrap();
        let data = |record: &Value| record["data"].as_str().unwrap().len();
        sizes.push((records.len(), records.iter().map(data).sum::<usize>()));
        for record in records {
            let id = record["recordId"].as_str().unwrap();
            assert!(id.len() == 56 && id.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
            assert!(ids.insert(id.to_owned()), "{id} twice");
        }
        real(&serde_json::to_vec(&request).unwrap())
    });
    assert!(sizes.iter().all(|&(count, bytes)| count <= 500 && bytes <= 6000), "{sizes:?}");
    assert!(sizes.len() < 8, "{sizes:?}");
    assert_eq!((delivered.records, delivered.calls, ids.len()), (1203, sizes.len(), 1203));
    let (delivered, _) = deliver(folder.path(), &records, Buffers::default(), real);
    assert_eq!(delivered.calls, 3, "500 records are enough");
}

#[test]
fn objects_are_closed_when_they_are_full() {
    let folder = tempfile::tempdir().unwrap();
    let buffers = Buffers { request_records: 5, object_bytes: 1000, ..Buffers::default() };
    let (_, created) = deliver(folder.path(), &sources(50), buffers, real);
    let objects = created.len();
    assert!((3..=10).contains(&objects), "{objects}");
    assert_eq!(read(&bytes(folder.path(), "landing/")[..]).0.rows, 50);
}

#[test]
fn delivering_again_makes_other_objects_and_replaces_none() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = deliver(folder.path(), &sources(3), Buffers::default(), real);
    let before = Store::folder(folder.path()).unwrap().list("").unwrap();
    let (second, _) = deliver(folder.path(), &sources(3), Buffers::default(), real);
    assert_eq!(first, second);
    let after = Store::folder(folder.path()).unwrap().list("").unwrap();
    assert_eq!((before.len(), after.len()), (2, 4));
    assert!(before.iter().all(|object| after.contains(object)));
}

/// Changes the real answer's records.
fn bent(bend: impl Fn(&mut Vec<Value>)) -> impl Fn(&[u8]) -> Result<Vec<u8>, FunctionError> {
    move |request| {
        let mut answer: Value = serde_json::from_slice(&real(request)?).unwrap();
        bend(answer["records"].as_array_mut().unwrap());
        Ok(answer.to_string().into_bytes())
    }
}

#[test]
fn a_bad_part_of_an_answer_fails_alone() {
    let missing = |records: &mut Vec<Value>| drop(records.remove(1));
    let twice = |records: &mut Vec<Value>| records.push(records[1].clone());
    let empty = |records: &mut Vec<Value>| records[1]["data"] = json!("");
    let none = |records: &mut Vec<Value>| {
        records[1].as_object_mut().unwrap().remove("data");
    };
    let no_base64 = |records: &mut Vec<Value>| records[1]["data"] = json!("%");
    let unknown = |records: &mut Vec<Value>| records[1]["result"] = json!("TransformedStateOk");
    let failed = |records: &mut Vec<Value>| records[1]["result"] = json!("ProcessingFailed");
    type Bend = fn(&mut Vec<Value>);
    let cases: [(Bend, &str); 7] = [
        (missing, "Lambda.MissingRecordId"),
        (twice, "Lambda.DuplicatedRecordId"),
        (empty, "Lambda.JsonProcessingException"),
        (none, "Lambda.JsonProcessingException"),
        (no_base64, "Lambda.JsonProcessingException"),
        (unknown, "Lambda.JsonProcessingException"),
        (failed, "Lambda.ProcessingFailedStatus"),
    ];
    for (n, (bend, code)) in cases.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let (delivered, _) = deliver(folder.path(), &sources(3), Buffers::default(), bent(bend));
        assert_eq!((delivered.ok, delivered.failed, delivered.calls), (2, 1, 1), "case {n}");
        assert_eq!(read(&bytes(folder.path(), "landing/")[..]).1.ids, ["0", "2"], "case {n}");
        let failed = failed_lines(folder.path());
        assert_eq!((failed.len(), &failed[0]["errorCode"]), (1, &json!(code)), "case {n}");
        // What failed is read like any other object.
        assert_eq!(read(&bytes(folder.path(), "failed/")[..]).1.ids, ["1"], "case {n}");
    }
}

#[test]
fn an_answer_that_is_no_json_is_final_and_an_error_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (delivered, _) =
        deliver(folder.path(), &sources(2), Buffers::default(), |_| Ok(b"oops".to_vec()));
    assert_eq!((delivered.failed, delivered.calls, delivered.retries), (2, 1, 0));

    let folder = tempfile::tempdir().unwrap();
    let (delivered, _) = deliver(folder.path(), &sources(2), Buffers::default(), |_| {
        Err(FunctionError("it broke".to_owned()))
    });
    assert_eq!((delivered.failed, delivered.calls, delivered.retries), (2, 4, 3));
    let line = failed_lines(folder.path()).remove(0);
    assert_eq!(
        (&line["errorCode"], &line["attemptsMade"]),
        (&json!("Lambda.FunctionError"), &json!(4))
    );

    let folder = tempfile::tempdir().unwrap();
    let (delivered, _) =
        deliver(folder.path(), &sources(2), Buffers::default(), |_| Ok(vec![b' '; 6_291_557]));
    assert_eq!((delivered.failed, delivered.calls), (2, 4), "too large is a function error");

    let folder = tempfile::tempdir().unwrap();
    let mut failures = 3;
    let (delivered, _) = deliver(folder.path(), &sources(2), Buffers::default(), |request| {
        failures -= 1;
        if failures >= 0 { Err(FunctionError("throttled".to_owned())) } else { real(request) }
    });
    assert_eq!((delivered.ok, delivered.calls, delivered.retries), (2, 4, 3));
}

#[test]
fn a_record_that_firehose_would_refuse_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut transform = real;
    let mut firehose = Firehose::new(folder.path(), Tz::UTC, Buffers::default(), &mut transform);
    let error = firehose.put(&source(vec![b'x'; 1_024_001], 0)).unwrap_err();
    assert!(matches!(error, LocalError::TooLarge(1_024_001)));
    firehose.put(&source(vec![b'x'; 1_024_000], 0)).unwrap();
    assert_eq!(firehose.finish().unwrap().0.records, 1);
}
