//! The transform function.

use serde_json::json;

use super::*;
use crate::given::{T, config, envelope, event, folder, gzipped, record, request, sample};
use crate::golden;

fn start() -> Lambda {
    let mut command = command(TRANSFORM);
    command.env("HIWAKE_CONFIG", folder().join("hiwake.toml")).env("AWS_LAMBDA_LOG_LEVEL", "TRACE");
    Lambda::start(command)
}

#[test]
fn every_event_is_answered_as_the_golden_files_say_and_the_same_again() {
    let mut lambda = start();
    let events = golden::events("firehose-");
    assert!(events.len() >= 10, "{}", events.len());
    for (name, event, expected) in events {
        let answer = lambda.invoke(&event).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(golden::readable(&answer), expected, "{name}");
        check_i7(&lambda.metrics());
        assert_eq!(lambda.invoke(&event).as_ref(), Ok(&answer), "{name}");
        check_i7(&lambda.metrics());
        let sample = sample();
        let mut reader = hiwake::object::Reader::new(&sample);
        let (ours, _) = hiwake::firehose::transform(&mut reader, &event).unwrap();
        assert!(answer == ours, "{name}: not the library's bytes");
    }
}

#[test]
fn i7_holds_in_the_metrics_and_each_failed_record_has_its_reason() {
    let mut lambda = start();
    let (_, event, _) = golden::events("firehose-mixed-batch").remove(0);
    lambda.invoke(&event).unwrap();
    let metrics = lambda.metrics();
    check_i7(&metrics);
    let reasons = metrics
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.starts_with("Failed") || *name == "AnswerOverflow");
    let reasons: u64 = reasons.map(|(_, value)| value.as_u64().unwrap()).sum();
    assert_eq!(reasons, value(&metrics, "RecordsFailed"));
    assert!(reasons >= 6 && value(&metrics, "FailedTornGzip") >= 1, "{metrics}");
    assert!(value(&metrics, "EventsFailed") + value(&metrics, "EventsDropped") > 0, "{metrics}");
}

#[test]
fn an_event_that_cannot_be_answered_fails_alone_and_tells_nothing_of_its_content() {
    let mut lambda = start();
    let no_id = event(&json!([{"data": "SECRET"}]));
    for bad in [&b"not JSON: SECRET"[..], b"\"SECRET\"", b"[]", b"{}", b"null", b"\xff\xfe", &no_id]
    {
        let error = lambda.invoke(bad).unwrap_err();
        assert_eq!(error["errorType"], "hiwake.UnknownEvent", "{error}");
        assert!(!error.to_string().contains("SECRET"), "{error}");
    }
    let good = request(&[gzipped(&envelope(&["SECRET"]))]);
    lambda.invoke(&good).unwrap();
    assert_eq!(value(&lambda.metrics(), "RowsOut"), 1);
    let log = lambda.end();
    assert!(log.contains("not a valid Firehose event"), "{log}");
    assert!(!log.contains("SECRET"), "{log}");
}

#[test]
fn an_event_of_six_megabytes_is_answered_within_lambdas_limit() {
    let mut lambda = start();
    // Lines that hardly compress: their rows do not fit, and are left to `failed/`.
    let data = |n: u64| -> Vec<u8> {
        let word = |i: u64| {
            format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&(n * 100_000 + i).to_le_bytes()))
        };
        let messages: Vec<String> = (0..6000).map(|i| word(i).repeat(4)).collect();
        gzipped(&envelope(&messages.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    let records: Vec<_> = (0..24).map(|n| record(n, &data(n as u64))).collect();
    let request = event(&json!(records));
    assert!((5_000_000..6_291_556).contains(&request.len()), "{}", request.len());
    let answer = lambda.invoke(&request).unwrap();
    assert!(answer.len() <= config("").limits.answer_bytes, "{}", answer.len());
    let metrics = lambda.metrics();
    check_i7(&metrics);
    assert_eq!(value(&metrics, "AnswerBytes"), answer.len() as u64);
    assert_eq!(value(&metrics, "EventsIn"), 24 * 6000);
    assert!(T > 0 && value(&metrics, "RowsOut") > 0, "{metrics}");
}
