//! Instructions of the hot path, counted by callgrind: the same on every machine, however busy.
//!
//! `cargo bench --profile guard --no-default-features --bench instructions` fails where the limit
//! is passed: `make check` runs it, so that nobody slows the hot path unnoticed. The limits are
//! wide: a tenth above what was measured. With `--naive` it counts those of naive Rust too.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that fails is no figure"
)]

mod given;
#[allow(dead_code, reason = "the peers' bench uses all of it")]
#[path = "peers/naive.rs"]
mod naive;
mod target;

use std::hint::black_box;
use std::process::{Command, ExitCode};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compress, Compression, FlushCompress};
use given::Shape;
use hiwake::config::Config;
use hiwake::object::Reader;
use hiwake::row::{Encoder, Row};
use hiwake::{event_id, firehose};
use target::{Target, line};

/// A case, its shape, and the most instructions for a byte of the envelopes' text.
const CASES: [(&str, Shape, f64); 2] =
    [("mixed, 1 MiB", Shape::Mixed, 50.0), ("small records, 1 MiB", Shape::Small, 287.0)];
/// The target of lines alone: what their rows cost more is added.
const LINES: f64 = 44.0;

fn main() -> ExitCode {
    // `--case N [PART [ROUNDS]]`: that case and nothing else, for callgrind or perf.
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
        let (whole, rows, lines) = (each("whole"), each("rows"), each("lines"));
        println!("transform, {name}: {whole:.1} instructions for a byte of text (at most {limit})");
        if whole > limit {
            eprintln!("transform, {name}: more instructions than before: see docs/performance.md");
            status = ExitCode::FAILURE;
        }
        println!("{name}: ids, rows and their gzip {rows:.1}, lines and their gzip {lines:.1}");
        let what =
            format!("{name}: instructions for a byte of text, 44 for lines and their rows' cost");
        // What is most of a small record is the same whatever it holds, so a byte of its text has
        // no target.
        if shape == Shape::Small {
            line(&what, whole, "", Target::None);
            continue;
        }
        let most = ((LINES + rows - lines) * 10.0).round() / 10.0;
        line(&what, whole, "", Target::AtMost(most));
        if !std::env::args().any(|argument| argument == "--naive") {
            continue;
        }
        let naive = each("naive");
        let what =
            format!("{name}: naive Rust's instructions (miniz_oxide), {naive:.1} for a byte");
        line(&format!("{what}, against all"), naive / whole, " ×", Target::None);
        let ours = whole - (rows - lines);
        line(&format!("{what}, against all but the rows' cost"), naive / ours, " ×", Target::None);
    }
    status
}

fn run(event: &[u8], part: &str, rounds: u32) {
    let config = Config::parse("bench.toml", given::CONFIG).unwrap();
    let mut reader = Reader::new(&config);
    if part == "naive" {
        return measured(&mut || naive::transform(event, naive::MINIZ).len());
    }
    if part == "whole" {
        for _ in 0..rounds {
            measured(&mut || firehose::transform(&mut reader, event).unwrap().0.len());
        }
        return;
    }
    let (answer, _) = firehose::transform(&mut reader, event).unwrap();
    let texts: Vec<Vec<u8>> =
        given::data(&answer).iter().map(|data| given::inflate(data)).collect();
    let all: Vec<Vec<(Row<'_>, String)>> = (texts.iter())
        .map(|text| text.split_inclusive(|byte| *byte == b'\n').map(with_long_id).collect())
        .collect();
    let mut packed = Packed::default();
    for _ in 0..rounds {
        measured(&mut || all.iter().map(|rows| packed.pack(rows, part == "rows")).sum());
    }
}

fn with_long_id(text: &[u8]) -> (Row<'_>, String) {
    let row = Row::decode(text).unwrap();
    let id = event_id::long(&row.id, row.timestamp).into_owned();
    (row, id)
}

/// The last steps of a record, as transform takes them: rows, or their lines alone.
struct Packed {
    encoder: Encoder,
    compress: Compress,
    id: String,
    text: Vec<u8>,
    gzip: Vec<u8>,
}

impl Default for Packed {
    fn default() -> Packed {
        let (encoder, compress) = (Encoder::default(), Compress::new(Compression::fast(), false));
        let (id, text, gzip) = (String::new(), Vec::new(), Vec::new());
        Packed { encoder, compress, id, text, gzip }
    }
}

impl Packed {
    fn pack(&mut self, rows: &[(Row<'_>, String)], whole: bool) -> usize {
        self.text.clear();
        self.gzip.clear();
        for (row, id) in rows {
            if whole {
                black_box(event_id::short(id, row.timestamp, &mut self.id));
                self.encoder.row(row, &mut self.text);
            } else {
                self.text.extend_from_slice(row.line.as_bytes());
                self.text.push(b'\n');
            }
        }
        self.compress.reset();
        self.gzip.reserve(self.text.len() + 64);
        self.compress.compress_vec(&self.text, &mut self.gzip, FlushCompress::Finish).unwrap();
        STANDARD.encode(&self.gzip).len()
    }
}

/// What callgrind counts.
#[inline(never)]
fn measured(work: &mut dyn FnMut() -> usize) {
    black_box(work());
}

/// Runs this program once more, under callgrind.
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
