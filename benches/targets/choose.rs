//! What a source's keys cost transform: 1 MiB of mixed records with and without each key.

use std::hint::black_box;

use hiwake::config::Config;
use hiwake::firehose;
use hiwake::object::Reader;

use crate::cpu::least;
use crate::given::{self, Shape};
use crate::target::{Target, line};

const ROUNDS: usize = 21;

/// The keys; each applies to all sources.
const KEYS: [(&str, &str); 6] = [
    ("drop, one pattern that matches nothing", "drop = ['^(START|END|REPORT) RequestId: ']"),
    ("keep, two words", "keep = ['error', 'o']"),
    ("mask, two patterns", "mask = [{ pattern = '\\d{16}' }, { pattern = 'password=\\S+' }]"),
    ("strip_ansi, without colours", "strip_ansi = true"),
    ("escape_backslash", "format = { escape_backslash = true }"),
    ("kind = json", "format = { kind = \"json\" }"),
];

pub fn measure() {
    let event = given::firehose_event(1 << 20, Shape::Mixed);
    let config = |keys: &str| {
        let text = format!("[defaults]\n{keys}\n{}", given::CONFIG);
        Config::parse("bench.toml", &text).unwrap()
    };
    let plain = config("");
    for (name, keys) in KEYS {
        let with = config(keys);
        let (mut plain, mut with) = (Reader::new(&plain), Reader::new(&with));
        let [without, with] = least(
            ROUNDS,
            [
                &mut || drop(black_box(firehose::transform(&mut plain, &event).unwrap())),
                &mut || drop(black_box(firehose::transform(&mut with, &event).unwrap())),
            ],
        );
        println!("1 MiB, mixed: {without:.2} ms of CPU without {name}, {with:.2} with");
        line(&format!("1 MiB, mixed: {name} / without"), with / without, "", Target::None);
    }
}
