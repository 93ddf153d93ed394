//! Measures a package: its size, exec → first `next`, the time of an invocation, peak memory.
//!
//! `cargo bench --features lambda --bench startup` measures the binaries that it builds;
//! `… --bench startup -- FOLDER…` those in folders, e.g. of `make lambda` or of other profiles. All
//! are started and called in turns, so that a disturbance affects all of them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed measurement must not print a figure"
)]

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/it/runtime/bucket.rs"]
mod bucket;
#[path = "../../tests/it/runtime/http.rs"]
mod http;
#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/it/runtime/lambda.rs"]
mod lambda;
#[path = "../target.rs"]
mod target;

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
use target::{Target, line};
use xxhash_rust::xxh3::xxh3_64;

const ROUNDS: usize = 30;
const MIB: usize = 1 << 20;

/// The measurements of one binary.
struct Measured {
    name: String,
    binary: PathBuf,
    starts: Vec<Duration>,
    answers: Vec<Duration>,
    /// At the start, and after the event of the last column, in KiB.
    peaks: (u64, u64),
}

#[expect(clippy::too_many_lines, reason = "one measurement after the other")]
fn main() {
    let folders = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let mut folders: Vec<PathBuf> = folders.map(PathBuf::from).collect();
    if folders.is_empty() {
        folders.push(Path::new(env!("CARGO_BIN_EXE_transform")).parent().unwrap().to_owned());
    }
    let work = tempfile::tempdir().unwrap();
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("hiwake.toml");
    let bucket = bucket::Bucket::start();
    let root = work.path().join("efs");
    let start = |binary: &Path| {
        let mut command = command(binary.to_str().unwrap());
        command.env("HIWAKE_CONFIG", &config).env("HIWAKE_ROOT", &root);
        Lambda::start(command_in(command, &bucket))
    };
    let mut all = vec![Measured::new("std only", floor(work.path()))];
    for (folder, name) in
        folders.iter().flat_map(|folder| [(folder, "transform"), (folder, "land")])
    {
        let binary = binary(folder, name);
        if binary.exists() {
            all.push(Measured::new(name, binary));
        }
    }
    let mut order: Vec<usize> = (0..all.len()).collect();
    for round in 0..ROUNDS {
        // The order is shuffled, so that none always follows the same one.
        order.sort_by_key(|number| xxh3_64(&[round as u8, *number as u8]));
        for number in &order {
            let one = &mut all[*number];
            let lambda = start(&one.binary);
            one.starts.push(lambda.startup());
            one.peaks.0 = one.peaks.0.max(lambda.peak_kib());
        }
    }
    let event_1 = event(MIB);
    let transform = all.iter().find(|one| one.name == "transform").expect("one transform at least");
    let (_, answer) = timed(&start(&transform.binary), &event_1);
    bucket.put("rows", rows(&answer));
    let notice = notice().to_string().into_bytes();
    let lambdas: Vec<Lambda> = all[1..].iter().map(|one| start(&one.binary)).collect();
    for _ in 0..ROUNDS {
        for (lambda, one) in lambdas.iter().zip(&mut all[1..]) {
            let event = if one.name == "land" { &notice } else { &event_1 };
            // An empty root makes all rows new.
            if root.exists() {
                std::fs::remove_dir_all(&root).unwrap();
            }
            one.answers.push(timed(lambda, event).0);
            one.peaks.1 = lambda.peak_kib();
        }
    }
    let event_3 = event(3 * MIB);
    for one in all[1..].iter_mut().filter(|one| one.name == "transform") {
        let lambda = start(&one.binary);
        timed(&lambda, &event_3);
        one.peaks.1 = lambda.peak_kib();
    }
    println!("Events of 1 MiB; land: their rows, all new. Memory of transform after one of 3 MiB.");
    println!();
    println!(
        "| binary | bytes | start min | start median | ratios | first answer | answer min | KiB at start | KiB after |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let (floor_min, floor_median) = (all[0].start(0), all[0].start(ROUNDS / 2));
    for one in &all {
        let (min, median) = (one.start(0), one.start(ROUNDS / 2));
        let ratios = (min.div_duration_f64(floor_min), median.div_duration_f64(floor_median));
        println!(
            "| {} {} | {} | {} | {} | {:.2}, {:.2} | {} | {} | {} | {} |",
            one.name,
            one.binary.parent().and_then(Path::file_name).unwrap_or_default().display(),
            std::fs::metadata(&one.binary).unwrap().len(),
            ms(Some(&min)),
            ms(Some(&median)),
            ratios.0,
            ratios.1,
            ms(one.answers.first()),
            ms(one.answers.iter().min()),
            one.peaks.0,
            one.peaks.1,
        );
    }
    for one in &all[1..] {
        let (name, package) = (&one.name, one.binary.parent().and_then(Path::file_name));
        let name = format!("{name} ({})", package.unwrap_or_default().display());
        let (start, mb) = if one.name == "land" { (1.6, 9.0) } else { (1.3, 3.2) };
        let ratio = one.start(0).div_duration_f64(floor_min);
        line(&format!("{name}: start / a std-only loop's"), ratio, "", Target::AtMost(start));
        let bytes = std::fs::metadata(&one.binary).unwrap().len();
        line(&format!("{name}: its size"), bytes as f64 / 1e6, " MB", Target::AtMost(mb));
        if one.name == "transform" {
            let above = (one.peaks.1 - one.peaks.0) as f64 * 1024.0 / 1e6;
            let what = format!("{name}: memory above its start, 3 MiB");
            line(&what, above, " MB", Target::AtMost(12.0));
        }
    }
}

impl Measured {
    fn new(name: &str, binary: PathBuf) -> Measured {
        let (starts, answers) = (Vec::new(), Vec::new());
        Measured { name: name.to_owned(), binary, starts, answers, peaks: (0, 0) }
    }

    /// The n-th shortest start.
    fn start(&self, n: usize) -> Duration {
        let mut starts = self.starts.clone();
        starts.sort();
        starts[n]
    }
}

/// A binary in the layout of `make lambda` or of cargo.
fn binary(folder: &Path, name: &str) -> PathBuf {
    let bootstrap = folder.join(name).join("bootstrap");
    if bootstrap.exists() { bootstrap } else { folder.join(name) }
}

fn command_in(mut command: Command, bucket: &bucket::Bucket) -> Command {
    command.envs(bucket.environment());
    command
}

/// Compiles the std-only program with the options of a release.
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

/// The object that Firehose puts into `landing/`: the concatenated data of all records.
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

/// A transform request of about this many bytes: envelopes of 256 events of mixed kinds.
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

fn ms(time: Option<&Duration>) -> String {
    time.map_or_else(String::new, |time| format!("{:.2} ms", time.as_secs_f64() * 1000.0))
}
