//! The short run of `fuzz/`: its properties, on the fixtures and thousands of seeded mutations of
//! them.

use std::fs;

use crate::given::{self, object as made};
use crate::land;

#[path = "../../fuzz/properties.rs"]
mod properties;

/// Mutations of each fixture, and of two fixtures joined.
const ROUNDS: u64 = 5000;

struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// Some bytes changed, removed, repeated, or put in from another fixture; words that matter are put
/// in, too.
fn mutate(random: &mut Seeded, input: &[u8], other: &[u8]) -> Vec<u8> {
    const WORDS: [&[u8]; 12] = [
        b"\x1f\x8b\x08",
        b"{",
        b"\"",
        b"\\u0000",
        b"\n",
        b"9223372036854775808",
        b"HWKF",
        b"\xff\xff\xff\xff",
        b"\xf5",
        b"[[source]]",
        b"{log_group}",
        b"DATA_MESSAGE",
    ];
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(24)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
            4 => {
                let from = random.below(other.len());
                let to = (from + random.below(200)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

fn fixtures(property: &str) -> Vec<Vec<u8>> {
    let config = made::config();
    let envelope =
        made::envelope(&[("1", "one"), ("2", "two, \"quoted\"\nlines"), ("3", "日分け")]);
    let rows = made::rows_text(&config, &envelope);
    let failed = serde_json::json!({"rawData": base64(&given::gzip(&envelope)), "errorCode": "x"});
    let events = || {
        let events = fs::read_dir(given::folder().join("events")).unwrap();
        events.map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    };
    match property {
        "record" => {
            vec![given::gzip(&envelope), envelope, made::control(), b"plain\ntext".to_vec()]
        }
        "row" => rows.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect(),
        "object" => {
            let member = made::rows_member(&config, &envelope);
            let backup = given::gzip(&[given::gzip(&envelope), b"text\n".to_vec()].concat());
            vec![
                [member.clone(), member].concat(),
                backup,
                rows,
                format!("{failed}\n").into_bytes(),
            ]
        }
        "journal" => land::journals(),
        "config" => vec![fs::read(given::folder().join("hiwake.toml")).unwrap()],
        _ => events(),
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn no_mutation_of_a_fixture_breaks_a_property() {
    let mut said = Vec::new();
    for (name, property) in properties::PROPERTIES {
        let fixtures = fixtures(name);
        let mut random = Seeded(0x9e37_79b9_7f4a_7c15);
        let (mut executions, mut readable) = (0, 0);
        for fixture in &fixtures {
            // An event may be a README; all others are what they should be.
            assert!(property(fixture) || name == "firehose", "{name}: a fixture is unreadable");
            let rounds = ROUNDS * 4 / fixtures.len().max(4) as u64;
            for _ in 0..rounds {
                let other = &fixtures[random.below(fixtures.len())];
                let input = mutate(&mut random, fixture, other);
                let done = std::panic::catch_unwind(|| property(&input));
                let done = done.unwrap_or_else(|_| panic!("{name}: {}", input.escape_ascii()));
                executions += 1;
                readable += usize::from(done);
            }
        }
        assert!(readable > executions / 50, "{name}: only {readable} of {executions} were read");
        said.push(format!("{name} {executions} ({readable} readable)"));
    }
    println!("fuzz, the short run: {}", said.join(", "));
}
