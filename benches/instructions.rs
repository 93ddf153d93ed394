//! Instructions of the hot path, counted by callgrind: the same on every machine, however busy.
//!
//! `cargo bench --profile guard --no-default-features --bench instructions` fails where the limit is passed:
//! `make check` runs it, so that nobody slows the hot path unnoticed. The limits are wide: a tenth above what was measured.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that fails is no figure"
)]

mod given;

use std::hint::black_box;
use std::process::{Command, ExitCode};

use given::Shape;
use hiwake::config::Config;
use hiwake::firehose;
use hiwake::record::Records;

/// A case, its shape, and the most instructions for a byte of the envelopes' text.
const CASES: [(&str, Shape, f64); 2] =
    [("mixed, 1 MiB", Shape::Mixed, 50.0), ("small records, 1 MiB", Shape::Small, 287.0)];

fn main() -> ExitCode {
    // `--case N [ROUNDS]`: that case and nothing else, for callgrind or perf.
    let mut case = std::env::args().skip_while(|argument| argument != "--case").skip(1);
    if let Some(number) = case.next() {
        let rounds = case.next().map_or(1, |rounds| rounds.parse::<u32>().unwrap());
        let (_, shape, _) = CASES[number.parse::<usize>().unwrap()];
        run(&given::firehose_event(1 << 20, shape), rounds);
        return ExitCode::SUCCESS;
    }
    let mut status = ExitCode::SUCCESS;
    for (number, (name, shape, limit)) in CASES.into_iter().enumerate() {
        let text = given::text_bytes(&given::firehose_event(1 << 20, shape));
        let instructions = count(number);
        let each = instructions as f64 / text as f64;
        println!(
            "transform, {name}: {instructions} instructions, {each:.1} for a byte of text (at most {limit})"
        );
        if each > limit {
            eprintln!("transform, {name}: more instructions than before: see docs/performance.md");
            status = ExitCode::FAILURE;
        }
    }
    status
}

fn run(event: &[u8], rounds: u32) {
    let config = Config::parse("bench.toml", given::CONFIG).unwrap();
    let mut records = Records::new(&config);
    for _ in 0..rounds {
        black_box(measured(&mut records, event));
    }
}

/// What callgrind counts.
#[inline(never)]
fn measured(records: &mut Records<'_>, event: &[u8]) -> usize {
    firehose::transform(records, event).unwrap().0.len()
}

/// Runs this program once more, under callgrind.
fn count(case: usize) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=instructions::measured*")
        .arg(std::env::current_exe().unwrap())
        .args(["--case", &case.to_string()])
        .output()
        .expect("valgrind is needed: apt-get install valgrind");
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    let (_, collected) = collected.unwrap_or_else(|| panic!("no count of valgrind's: {report}"));
    collected.trim().parse().unwrap()
}
