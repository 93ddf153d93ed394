//! Counts the instructions of the hot path with callgrind: the count is the same on every machine,
//! however busy.
//!
//! `cargo bench --profile guard --no-default-features --bench instructions` fails if a limit is
//! exceeded. `make check` runs it, so that the hot path cannot become slower unnoticed. The limits
//! are a tenth above the measured counts. With `--naive`, those of naive Rust are counted, too.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a failed measurement must not print a figure"
)]

mod given;
#[allow(dead_code, reason = "the peers' bench uses all of it")]
#[path = "peers/naive.rs"]
mod naive;
mod target;

use std::hint::black_box;
use std::process::{Command, ExitCode};

use given::Shape;
use hiwake::config::Config;
use hiwake::firehose;
use hiwake::object::Reader;
use target::{Target, line};

/// A case, its shape, and the most instructions per byte of the envelopes' text.
const CASES: [(&str, Shape, f64); 2] =
    [("mixed, 1 MiB", Shape::Mixed, 45.0), ("small records, 1 MiB", Shape::Small, 111.0)];
/// The target for mixed records. Small records have no target: most of their cost does not
/// depend on their text.
const TARGET: f64 = 40.0;

fn main() -> ExitCode {
    // `--case N [PART [ROUNDS]]` runs only that case, for callgrind or perf.
    let mut case = std::env::args().skip_while(|argument| argument != "--case").skip(1);
    if let Some(number) = case.next() {
        let (_, shape, _) = CASES[number.parse::<usize>().unwrap()];
        let part = case.next().unwrap_or_else(|| "whole".to_owned());
        let rounds = case.next().map_or(1, |rounds| rounds.parse::<u32>().unwrap());
        run(&given::firehose_event(1 << 20, shape), &part, rounds);
        return ExitCode::SUCCESS;
    }
    let mut status = ExitCode::SUCCESS;
    for (number, (name, shape, limit)) in CASES.into_iter().enumerate() {
        let text = given::text_bytes(&given::firehose_event(1 << 20, shape));
        let each = |part: &str| count(number, part) as f64 / text as f64;
        let whole = each("whole");
        println!("transform, {name}: {whole:.1} instructions for a byte of text (at most {limit})");
        if whole > limit {
            eprintln!("transform, {name}: more instructions than before: see docs/performance.md");
            status = ExitCode::FAILURE;
        }
        let target = match shape {
            Shape::Mixed => Target::AtMost(TARGET),
            Shape::Small => Target::None,
        };
        line(&format!("{name}: instructions for a byte of text"), whole, "", target);
        if !std::env::args().any(|argument| argument == "--naive") {
            continue;
        }
        let naive = each("naive");
        let what =
            format!("{name}: naive Rust's instructions (miniz_oxide), {naive:.1} for a byte");
        line(&what, naive / whole, " ×", Target::None);
    }
    status
}

fn run(event: &[u8], part: &str, rounds: u32) {
    let config = Config::parse("bench.toml", given::CONFIG).unwrap();
    let mut reader = Reader::new(&config);
    if part == "naive" {
        return measured(&mut || naive::transform(event, naive::MINIZ).len());
    }
    for _ in 0..rounds {
        measured(&mut || firehose::transform(&mut reader, event).unwrap().0.len());
    }
}

/// The function that callgrind measures.
#[inline(never)]
fn measured(work: &mut dyn FnMut() -> usize) {
    black_box(work());
}

/// Runs this program again, under callgrind.
fn count(case: usize, part: &str) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=instructions::measured*")
        .arg(std::env::current_exe().unwrap())
        .args(["--case", &case.to_string(), part])
        .output()
        .expect("valgrind is needed: apt-get install valgrind");
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    let (_, collected) = collected.unwrap_or_else(|| panic!("no count of valgrind's: {report}"));
    collected.trim().parse().unwrap()
}
