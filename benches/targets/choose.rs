//! What a source's keys cost transform: 1 MiB of mixed records with and without each key.

use std::hint::black_box;

use hiwake::config::Config;
use hiwake::firehose;
use hiwake::object::Reader;

use crate::cpu::least;
use crate::given::{self, Shape};
use crate::target::{Target, line};

const ROUNDS: usize = 21;

/// Keys of `[defaults]`.
const KEYS: [(&str, &str); 7] = [
    ("drop, one pattern that matches nothing", "drop = ['^(START|END|REPORT) RequestId: ']"),
    ("keep, two words", "keep = ['error', 'o']"),
    ("mask, two patterns", "mask = [{ pattern = '\\d{16}' }, { pattern = 'password=\\S+' }]"),
    ("strip_ansi, without colours", "strip_ansi = true"),
    ("escape_backslash", "format = { escape_backslash = true }"),
    ("kind = json", "format = { kind = \"json\" }"),
    ("format.time, another pattern", "format = { time = \"%d.%m.%Y %H:%M\" }"),
];

/// Sources without and with a key that `[defaults]` does not have. A fifth of the messages is JSON.
const SOURCES: [(&str, &str, &str); 4] = [
    (
        "a column of JSON",
        "log_groups = ['*']\ncolumns = ['{labels}', '{message}']",
        "log_groups = ['*']\ncolumns = ['{labels}', '{json.level}', '{message}']",
    ),
    (
        "two columns of JSON",
        "log_groups = ['*']\ncolumns = ['{labels}', '{message}']",
        "log_groups = ['*']\ncolumns = ['{labels}', '{json.level}', '{json.took_ms}', '{message}']",
    ),
    (
        "a capture in file",
        "log_groups = ['/var/log/*', '/aws/lambda/*', '*']\nfile = '{log_group}'",
        "log_groups = ['/var/log/{name}', '/aws/lambda/{name}', '{name}']\nfile = '{name}'",
    ),
    (
        "exclude, two globs",
        "log_groups = ['*']",
        "log_groups = ['*']\nexclude = ['/aws/lambda/test-*', '*-debug']",
    ),
];

pub fn measure() {
    let event = given::firehose_event(1 << 20, Shape::Mixed);
    let defaults = |keys: &str| format!("[defaults]\n{keys}\n{}", given::CONFIG);
    let source = |keys: &str| format!("[[source]]\n{keys}\n");
    let keys = KEYS.map(|(name, keys)| (name, defaults(""), defaults(keys)));
    let sources = SOURCES.map(|(name, without, with)| (name, source(without), source(with)));
    for (name, without, with) in keys.into_iter().chain(sources) {
        let [without, with] =
            [without, with].map(|text| Config::parse("bench.toml", &text).unwrap());
        let (mut plain, mut keyed) = (Reader::new(&without), Reader::new(&with));
        let [without, with] = least(
            ROUNDS,
            [
                &mut || drop(black_box(firehose::transform(&mut plain, &event).unwrap())),
                &mut || drop(black_box(firehose::transform(&mut keyed, &event).unwrap())),
            ],
        );
        println!("1 MiB, mixed: {without:.2} ms of CPU without {name}, {with:.2} with");
        line(&format!("1 MiB, mixed: {name} / without"), with / without, "", Target::None);
    }
}
