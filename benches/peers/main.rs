//! `make peers`: compares hiwake's transform with other ways, on the same events and in one run.
//!
//! CPU time is the least of interleaved rounds. All answers are decoded and compared line by line.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a failed measurement must not print a figure"
)]

#[path = "../cpu.rs"]
mod cpu;
#[path = "../given/mod.rs"]
mod given;
mod naive;
#[path = "../target.rs"]
mod target;

use std::path::{Path, PathBuf};
use std::process::Command;

use cpu::least;
use given::Shape;
use hiwake::config::Config;
use hiwake::firehose;
use hiwake::object::Reader;
use target::{Target, line};

const ROUNDS: usize = 30;

/// The events, and how many times faster than naive Rust, Node and Python hiwake should be.
const CASES: [(&str, usize, Shape, [f64; 3]); 3] = [
    ("1 MiB, mixed", 1 << 20, Shape::Mixed, [2.4, 3.6, 5.0]),
    ("3 MiB, mixed", 3 << 20, Shape::Mixed, [2.4, 3.6, 5.0]),
    ("1 MiB, small records", 1 << 20, Shape::Small, [2.4, 4.0, 4.2]),
];

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::parse("bench.toml", given::CONFIG).unwrap();
    println!("CPU ms of hiwake, and how many times faster it is than others:");
    for (name, bytes, shape, targets) in CASES {
        let event = given::firehose_event(bytes, shape);
        let path = folder.path().join("event.json");
        std::fs::write(&path, &event).unwrap();
        let mut reader = Reader::new(&config);
        let mut answers: [Vec<u8>; 2] = Default::default();
        let [naive, miniz] = &mut answers;
        let [ours, naive, miniz] = least(
            ROUNDS,
            [
                &mut || drop(firehose::transform(&mut reader, &event).unwrap()),
                &mut || *naive = naive::transform(&event, naive::ZLIB_RS),
                &mut || *miniz = naive::transform(&event, naive::MINIZ),
            ],
        );
        let wanted = lines_of_rows(&firehose::transform(&mut reader, &event).unwrap().0);
        assert!(answers.iter().all(|answer| lines(answer) == wanted), "naive: other lines");
        line(&format!("{name}: transform"), ours, " ms", Target::None);
        let row = |way: &str, ms: f64, target: Target| {
            line(&format!("{name}: against {way}, {ms:.1} ms"), ms / ours, " ×", target);
        };
        row("naive Rust (miniz_oxide)", miniz, Target::AtLeast(targets[0]));
        row("naive Rust (zlib-rs, as hiwake)", naive, Target::None);
        for (way, command, script, target) in [
            ("Node", "node", "blueprint.mjs", Target::AtLeast(targets[1])),
            ("Python", "python3", "blueprint.py", Target::AtLeast(targets[2])),
            ("Python (a line appended at a time)", "python3", "append.py", Target::None),
        ] {
            // A disturbance may last for all of a process.
            let ms = (0..3).filter_map(|_| other(command, script, &path)).min_by(f64::total_cmp);
            let Some(ms) = ms else {
                println!("| {name}: against {way} | {command} is not on this machine | | MISSED |");
                continue;
            };
            let lines = std::fs::read(path.with_extension("json.lines")).unwrap();
            assert!(lines == wanted, "{way} answers other lines");
            row(way, ms, target);
        }
    }
}

/// Runs a peer's script and returns the ms that it prints.
fn other(command: &str, script: &str, event: &Path) -> Option<f64> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(script);
    let output = Command::new(command).arg(script).arg(event).arg("10").output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
}

/// The concatenated content of an answer's records.
fn lines(answer: &[u8]) -> Vec<u8> {
    given::data(answer).iter().flat_map(|data| given::inflate(data)).collect()
}

fn lines_of_rows(answer: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for row in given::data(answer).iter().flat_map(|data| given::rows(data)) {
        lines.extend_from_slice(row.line.as_bytes());
        lines.push(b'\n');
    }
    lines
}
