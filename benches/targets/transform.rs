//! Transform: compared with the sum of its parts, its memory, and the size of its answers.

use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Crc, Decompress, FlushDecompress};
use hiwake::config::Config;
use hiwake::firehose;
use hiwake::object::{Bad, Options, Origin, ReadError, Reader, RowPlace, Sink};
use hiwake::row::Row;
use hiwake::rows::Writer;
use serde::Deserialize;
use zstd::zstd_safe::{CCtx, CParameter, compress_bound};

use crate::cpu::least;
use crate::given::{self, Shape};
use crate::memory;
use crate::target::{Target, line};

const ROUNDS: usize = 30;
/// The sizes of a gzip member's header, as CloudWatch and hiwake write it, and its trailer.
const FRAME: (usize, usize) = (10, 8);

pub fn measure() {
    let config = Config::parse("bench.toml", given::CONFIG).unwrap();
    let mut reader = Reader::new(&config);
    for (name, shape) in [("mixed", Shape::Mixed), ("small records", Shape::Small)] {
        let event = given::firehose_event(1 << 20, shape);
        parts(&config, name, &event);
        let (answer, _) = firehose::transform(&mut reader, &event).unwrap();
        let most = if shape == Shape::Mixed { 0.65 } else { 0.9 };
        line(
            &format!("1 MiB, {name}: answer / request"),
            answer.len() as f64 / event.len() as f64,
            "",
            Target::AtMost(most),
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("event.json");
    std::fs::write(&path, given::firehose_event(3 << 20, Shape::Mixed)).unwrap();
    let [peak] = memory::child(&["transform", path.to_str().unwrap()])[..] else { panic!() };
    line("3 MiB, mixed: memory above the start", peak, " MB", Target::AtMost(12.0));
}

/// The memory of one request, including the request itself.
pub fn child(path: &str) {
    let config = Config::parse("bench.toml", given::CONFIG).unwrap();
    let peak = memory::peak(|| {
        let event = std::fs::read(path).unwrap();
        black_box(firehose::transform(&mut Reader::new(&config), &event).unwrap());
    });
    println!("{peak}");
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
struct Record<'a> {
    data: &'a str,
}

/// Measures each part alone. All records of the event share one buffer, as in transform.
fn parts(config: &Config, name: &str, event: &[u8]) {
    let request: Request<'_> = serde_json::from_slice(event).unwrap();
    let data = given::data(event);
    let texts: Vec<Vec<u8>> = data.iter().map(|data| given::inflate(data)).collect();
    let (mut reader, mut whole) = (Reader::new(config), Reader::new(config));
    let mut rows = |text: &[u8], out: &mut Vec<u8>| {
        let origin = Origin { place: "", id: None, arrival: None };
        let mut written = Written { writer: Writer::default(), out };
        reader.record(text, origin, &Options::new(&config.limits), &mut written).unwrap();
    };
    let all_rows: Vec<Vec<u8>> = (texts.iter())
        .map(|text| {
            let mut out = Vec::new();
            rows(text, &mut out);
            out
        })
        .collect();
    let frames: Vec<Vec<u8>> = given::data(&firehose::transform(&mut whole, event).unwrap().0);
    let (mut decompress, mut compress) = (Decompress::new(false), CCtx::create());
    compress.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    compress.set_parameter(CParameter::HashLog(10)).unwrap();
    let [mut base64, mut text, mut out, mut frame] = [const { Vec::new() }; 4];
    let mut answer = String::new();
    let [all, request, decode, inflate, rows, compressed, encode] = least(
        ROUNDS,
        [
            &mut || drop(black_box(firehose::transform(&mut whole, event).unwrap())),
            &mut || drop(black_box(serde_json::from_slice::<Request<'_>>(event).unwrap())),
            &mut || {
                each(&request.records, &mut base64, |record, out| {
                    STANDARD.decode_vec(record.data, out).unwrap();
                });
            },
            &mut || each(&data, &mut text, |data, out| inflated(&mut decompress, data, out)),
            &mut || each(&texts, &mut out, |text, out| rows(text, out)),
            &mut || {
                each(&all_rows, &mut frame, |rows, out| compressed_into(&mut compress, rows, out));
            },
            &mut || {
                answer.clear();
                frames.iter().for_each(|frame| STANDARD.encode_string(frame, &mut answer));
            },
        ],
    );
    let sum = request + decode + inflate + rows + compressed + encode;
    println!(
        "1 MiB, {name}, ms: request {request:.2}, base64 {decode:.2}, inflate {inflate:.2}, events to rows {rows:.2}, zstd {compressed:.2}, base64 {encode:.2}, sum {sum:.2}; the whole {all:.2}"
    );
    let what = format!("1 MiB, {name}: transform / the sum of its parts");
    line(&what, all / sum, "", Target::AtMost(1.05));
}

fn each<T>(of: &[T], out: &mut Vec<u8>, mut work: impl FnMut(&T, &mut Vec<u8>)) {
    for one in of {
        out.clear();
        work(one, out);
        black_box(&*out);
    }
}

fn inflated(decompress: &mut Decompress, member: &[u8], out: &mut Vec<u8>) {
    let trailer = member.len() - FRAME.1;
    let length = u32::from_le_bytes(member[trailer + 4..].try_into().unwrap());
    out.reserve(length as usize);
    decompress.reset(false);
    let body = &member[FRAME.0..trailer];
    decompress.decompress_vec(body, out, FlushDecompress::Finish).unwrap();
    black_box(checked(out));
}

/// Compresses rows at transform's level.
fn compressed_into(compress: &mut CCtx<'_>, rows: &[u8], out: &mut Vec<u8>) {
    let level = if rows.len() <= 16 << 10 { -1 } else { 1 };
    compress.set_parameter(CParameter::CompressionLevel(level)).unwrap();
    out.reserve(compress_bound(rows.len()));
    compress.compress2(out, rows).unwrap();
}

fn checked(text: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(text);
    crc
}

/// Writes rows as transform does.
struct Written<'w> {
    writer: Writer,
    out: &'w mut Vec<u8>,
}

impl Sink for Written<'_> {
    fn row(&mut self, row: &Row<'_>, _: RowPlace) -> Result<(), ReadError> {
        self.writer.row(row, self.out);
        Ok(())
    }

    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError> {
        panic!("{}", bad.reason)
    }
}
