//! Transform: against the sum of its own parts, its memory, the size of its answers.

use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress};
use hiwake::config::Config;
use hiwake::firehose;
use hiwake::label::Origin;
use hiwake::object::Reader;
use hiwake::row::Encoder;
use serde::Deserialize;

use crate::cpu::least;
use crate::given::{self, Shape};
use crate::memory;
use crate::target::{Target, line};

const ROUNDS: usize = 30;
/// A gzip member's header, as CloudWatch and hiwake write it, and its trailer.
const FRAME: (usize, usize) = (10, 8);

pub fn measure() {
    let config = Config::parse("bench.toml", given::CONFIG).unwrap();
    let mut reader = Reader::new(&config);
    for (name, shape) in [("mixed", Shape::Mixed), ("small records", Shape::Small)] {
        let event = given::firehose_event(1 << 20, shape);
        parts(&config, name, &event);
        let (answer, _) = firehose::transform(&mut reader, &event).unwrap();
        let rows: Vec<Vec<u8>> =
            given::data(&answer).iter().map(|data| given::inflate(data)).collect();
        let around = answer.len() - base64_bytes(&rows, 1);
        for (level, note, most) in [(1, ", as it is", 0.9), (2, ", were it so", 0.65)] {
            let bytes = around + base64_bytes(&rows, level);
            line(
                &format!("1 MiB, {name}: answer / request, level {level}{note}"),
                bytes as f64 / event.len() as f64,
                "",
                Target::AtMost(most),
            );
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("event.json");
    std::fs::write(&path, given::firehose_event(3 << 20, Shape::Mixed)).unwrap();
    let [peak] = memory::child(&["transform", path.to_str().unwrap()])[..] else { panic!() };
    line("3 MiB, mixed: memory above the start", peak, " MB", Target::AtMost(12.0));
}

/// The memory of one request, the request itself included.
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

/// Each part by itself, all records of the event through one buffer, as the whole does it.
fn parts(config: &Config, name: &str, event: &[u8]) {
    let request: Request<'_> = serde_json::from_slice(event).unwrap();
    let data = given::data(event);
    let texts: Vec<Vec<u8>> = data.iter().map(|data| given::inflate(data)).collect();
    let (mut records, mut whole) = (Records::new(config), Records::new(config));
    let mut rows = |text: &[u8], out: &mut Vec<u8>| {
        let (origin, mut encoder) = (Origin { stream: "", id: "", arrival: 0 }, Encoder::default());
        let made = records.rows(text, origin, &mut |row| encoder.row(row, out));
        assert!(made.is_ok());
    };
    let all_rows: Vec<Vec<u8>> = (texts.iter())
        .map(|text| {
            let mut out = Vec::new();
            rows(text, &mut out);
            out
        })
        .collect();
    let members: Vec<Vec<u8>> = all_rows.iter().map(|rows| given::gzip(rows, 1)).collect();
    let (mut decompress, mut compress) =
        (Decompress::new(false), Compress::new(Compression::fast(), false));
    let [mut base64, mut text, mut out, mut gzip] = [const { Vec::new() }; 4];
    let mut answer = String::new();
    let [all, request, decode, inflate, rows, deflate, encode] = least(
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
            &mut || each(&all_rows, &mut gzip, |rows, out| deflated(&mut compress, rows, out)),
            &mut || {
                answer.clear();
                members.iter().for_each(|member| STANDARD.encode_string(member, &mut answer));
            },
        ],
    );
    let sum = request + decode + inflate + rows + deflate + encode;
    println!(
        "1 MiB, {name}, ms: request {request:.2}, base64 {decode:.2}, inflate {inflate:.2}, events to rows {rows:.2}, deflate {deflate:.2}, base64 {encode:.2}, sum {sum:.2}; the whole {all:.2}"
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

fn deflated(compress: &mut Compress, rows: &[u8], out: &mut Vec<u8>) {
    compress.reset();
    out.reserve(rows.len());
    compress.compress_vec(rows, out, FlushCompress::Finish).unwrap();
    black_box(checked(rows));
}

fn checked(text: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(text);
    crc
}

fn base64_bytes(rows: &[Vec<u8>], level: u32) -> usize {
    rows.iter().map(|rows| given::gzip(rows, level).len().div_ceil(3) * 4).sum()
}
