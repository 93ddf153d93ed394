//! What a package costs: its size, exec → first `next`, the time of an invocation, peak memory.
//!
//! `cargo bench --features lambda --bench startup` measures the binaries that it builds;
//! `… --bench startup -- FOLDER` those of a folder, e.g. of another profile or of `cargo lambda build`.
//! Start-ups are interleaved: what disturbs the machine disturbs all of them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that fails is no figure"
)]

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/it/runtime/bucket.rs"]
mod bucket;
#[path = "../../tests/it/runtime/http.rs"]
mod http;
#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/it/runtime/lambda.rs"]
mod lambda;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use lambda::{Lambda, command};
use serde_json::{Value, json};

const ROUNDS: usize = 30;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let binary = |built: &str, name: &str| match &folder {
        Some(folder) => Path::new(folder).join(name),
        None => PathBuf::from(built),
    };
    let work = tempfile::tempdir().unwrap();
    let transform = binary(env!("CARGO_BIN_EXE_transform"), "transform");
    let land = binary(env!("CARGO_BIN_EXE_land"), "land");
    let floor = floor(work.path());
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("hiwake.toml");
    let bucket = bucket::Bucket::start();
    let start = |binary: &Path| {
        let mut command = command(binary.to_str().unwrap());
        command.env("HIWAKE_CONFIG", &config).env("HIWAKE_ROOT", work.path().join("efs"));
        Lambda::start(command_in(command, &bucket))
    };
    let binaries = [&floor, &transform, &land];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (binary, times) in binaries.iter().zip(&mut times) {
            times.push(start(binary).startup());
        }
    }
    println!(
        "| binary | bytes | start min | start median | first answer | answer min | peak memory at start | peak after |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let event = event(1 << 20);
    for ((binary, times), name) in binaries.iter().zip(&mut times).zip([
        "std only",
        "transform, 1 MiB event",
        "land, the same rows",
    ]) {
        times.sort();
        let bytes = std::fs::metadata(binary).unwrap().len();
        let (min, median) = (ms(times[0]), ms(times[ROUNDS / 2]));
        let lambda = start(binary);
        lambda.startup();
        let at_start = lambda.peak_kib();
        let answers: Vec<Duration> = match name.split(',').next().unwrap() {
            "transform" => (0..ROUNDS).map(|_| timed(&lambda, &event).0).collect(),
            "land" => {
                let (_, answer) = timed(&start(&transform), &event);
                bucket.put("rows", rows(&answer));
                (0..ROUNDS).map(|_| timed(&lambda, notice().to_string().as_bytes()).0).collect()
            }
            _ => Vec::new(),
        };
        let first = answers.first().map_or_else(String::new, |time| ms(*time));
        let best = answers.iter().min().map_or_else(String::new, |time| ms(*time));
        let after = lambda.peak_kib();
        println!(
            "| {name} | {bytes} | {min} | {median} | {first} | {best} | {at_start} KiB | {after} KiB |"
        );
    }
}

fn command_in(mut command: Command, bucket: &bucket::Bucket) -> Command {
    command.envs(bucket.environment());
    command
}

/// Compiles the floor with what a release has.
fn floor(work: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/startup/std_only.rs");
    let output = work.join("std_only");
    let options =
        ["--edition=2024", "-Copt-level=3", "-Cpanic=abort", "-Clto=fat", "-Cstrip=symbols"];
    let status = Command::new("rustc").args(options).arg(&source).arg("-o").arg(&output).status();
    assert!(status.unwrap().success());
    output
}

fn timed(lambda: &Lambda, event: &[u8]) -> (Duration, Vec<u8>) {
    let start = Instant::now();
    let answer = lambda.invoke(event).unwrap();
    (start.elapsed(), answer)
}

/// What Firehose puts into `landing/`: the data of all records, one after the other.
fn rows(answer: &[u8]) -> Vec<u8> {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    let data =
        answer["records"].as_array().unwrap().iter().filter_map(|record| record["data"].as_str());
    data.flat_map(|data| STANDARD.decode(data).unwrap()).collect()
}

fn notice() -> Value {
    json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": {
        "bucket": {"name": "logs"}, "object": {"key": "rows"},
    }}]})
}

/// A transform request of about so many bytes: envelopes of 256 events of mixed kinds.
fn event(bytes: usize) -> Vec<u8> {
    let (mut records, mut size, mut seed) = (Vec::new(), 0, 1_u64);
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    while size < bytes {
        let n = records.len();
        let log_events: Vec<Value> = (0..256)
            .map(|i| {
                let timestamp = 1_650_214_747_000_i64 + (n * 256 + i) as i64;
                let (a, b) = (random(), random());
                let message = match a % 4 {
                    0 => format!("Apr 18 01:59:07 web{} sshd[{}]: Accepted publickey for ops from 192.0.2.{} port {b}", a % 9, b % 30000, b % 255),
                    1 => format!("192.0.2.{} - - [18/Apr/2022:01:59:07 +0900] \"GET /items/{b:x} HTTP/1.1\" 200 {} \"-\" \"curl/7.{}\"", a % 255, b % 90000, a % 80),
                    2 => format!("{{\"level\":\"info\",\"request\":\"{a:x}-{b:x}\",\"ms\":{},\"user\":\"山田 {}\"}}", b % 900, a % 77),
                    _ => format!("java.lang.IllegalStateException: {b:x}\n\tat jp.example.Shop.pay(Shop.java:{})\n\tat jp.example.Main.run(Main.java:{})\n", a % 400, b % 400),
                };
                json!({"id": format!("{:056}", u128::from(a) << 64 | u128::from(b)), "timestamp": timestamp, "message": message})
            })
            .collect();
        let envelope = json!({
            "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/var/log/messages",
            "logStream": format!("i-{n}"), "subscriptionFilters": ["all"], "logEvents": log_events,
        });
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(envelope.to_string().as_bytes()).unwrap();
        let data = STANDARD.encode(gzip.finish().unwrap());
        size += data.len();
        records.push(json!({
            "recordId": format!("{n:056}"), "approximateArrivalTimestamp": 1_650_214_800_000_i64, "data": data,
        }));
    }
    json!({"invocationId": "i", "deliveryStreamArn": "arn", "region": "ap-northeast-1", "records": records})
        .to_string()
        .into_bytes()
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
