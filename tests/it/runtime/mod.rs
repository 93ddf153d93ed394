//! Both real binaries, as Lambda runs them: our own Runtime API and a bucket, on loopback.

mod again;
mod backfill;
mod bucket;
mod doctor;
mod http;
mod lambda;
mod land;
mod pasted;
mod seal;
mod selftest;
mod start;
mod transform;

use std::path::Path;

use serde_json::{Value, json};

use bucket::Bucket;
use lambda::{Lambda, command};

const TRANSFORM: &str = env!("CARGO_BIN_EXE_transform");
const LAND: &str = env!("CARGO_BIN_EXE_land");

/// The land function, with a root and a bucket.
struct LandFunction {
    root: tempfile::TempDir,
    bucket: Bucket,
    lambda: Lambda,
}

impl LandFunction {
    fn new(toml: &str) -> LandFunction {
        let root = tempfile::tempdir().unwrap();
        let bucket = Bucket::start();
        let config = crate::given::put(root.path(), "hiwake.toml", toml.as_bytes());
        let mut command = command(LAND);
        command
            .env("HIWAKE_CONFIG", &config)
            .env("HIWAKE_ROOT", root.path().join("efs"))
            .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
            .envs(bucket.environment());
        let lambda = Lambda::start(command);
        LandFunction { root, bucket, lambda }
    }

    fn text(&self, name: &str) -> String {
        let path = self.root.path().join("efs").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn quarantine(&self) -> String {
        let folder = self.root.path().join("efs/.hiwake/quarantine");
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        match std::fs::read_dir(folder) {
            Ok(entries) => entries.map(|entry| read(&entry.unwrap().path())).collect(),
            Err(_) => String::new(),
        }
    }

    /// Lands messages, each with the keys of its objects, at their n-th delivery; the failed ones'
    /// ids.
    fn land(&mut self, receives: u32, messages: &[(&str, &[&str])]) -> Vec<String> {
        let answer = self.lambda.json(&sqs(receives, messages));
        let failures = answer["batchItemFailures"].as_array().unwrap();
        failures.iter().map(|item| item["itemIdentifier"].as_str().unwrap().to_owned()).collect()
    }
}

fn s3(keys: &[&str]) -> Value {
    let record = |key: &&str| {
        json!({"eventName": "ObjectCreated:Put", "s3": {
            "bucket": {"name": "logs"},
            "object": {"key": key, "eTag": "of the notice", "size": key.len()},
        }})
    };
    json!({"Records": keys.iter().map(record).collect::<Vec<_>>()})
}

fn sqs(receives: u32, messages: &[(&str, &[&str])]) -> Value {
    let record = |(id, keys): &(&str, &[&str])| {
        json!({
            "messageId": id, "body": s3(keys).to_string(), "eventSource": "aws:sqs",
            "attributes": {"ApproximateReceiveCount": receives.to_string()},
        })
    };
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()})
}

/// Rows of 2022-04-18, a second apart.
fn rows(numbers: std::ops::Range<i64>) -> String {
    let row = |n: i64| {
        let row = json!({
            "file": "messages", "kind": "csv", "day": "2022-04-18",
            "timestamp": crate::given::T + n * 1000, "stream": "1:g:s", "id": n.to_string(),
            "line": format!("line {n}"),
        });
        format!("{row}\n")
    };
    numbers.map(row).collect()
}

fn lines(numbers: std::ops::Range<i64>) -> String {
    numbers.map(|n| format!("line {n}\n")).collect()
}

/// A metric's value, which must have been sent with its unit.
fn value(metrics: &Value, name: &str) -> u64 {
    let directive = &metrics["_aws"]["CloudWatchMetrics"][0];
    let named = directive["Metrics"].as_array().unwrap();
    assert!(
        named.iter().any(|metric| metric["Name"] == name && metric["Unit"].is_string()),
        "{name}"
    );
    metrics[name].as_u64().unwrap_or_else(|| panic!("{name} in {metrics}"))
}

/// I7 of transform and of land, from the metrics alone; and what CloudWatch wants of such a line.
fn check_i7(metrics: &Value) {
    let directive = &metrics["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "hiwake");
    assert_eq!(directive["Dimensions"], json!([["Pipeline"]]));
    assert_eq!(metrics["Pipeline"], "test");
    assert!(metrics["_aws"]["Timestamp"].as_i64().unwrap() > crate::given::T);
    let sum = |names: &[&str]| names.iter().map(|name| value(metrics, name)).sum::<u64>();
    if metrics.get("EventsIn").is_some() {
        let out = sum(&["RowsOut", "EventsDropped", "EventsRefused", "EventsFailed"]);
        assert_eq!(sum(&["EventsIn"]), out, "{metrics}");
    } else {
        let out = sum(&["RowsLanded", "RowsDuplicate", "RowsQuarantined", "RowsDeferred"]);
        assert_eq!(sum(&["RowsIn"]), out, "{metrics}");
    }
}
