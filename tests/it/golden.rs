//! Every file of `events/` gives its expected answer, and none is there for nothing.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::given::{answered, folder, sample};
use crate::notice::told;

/// What stands for an event's answer, by its file's prefix.
const KINDS: &[(&str, Run)] = &[("firehose-", firehose), ("s3-", told), ("sqs-", told)];

/// Files that are not events: this page, and the log that `make run` and the tests of the command
/// line read.
const OTHERS: &[&str] = &["README.md", "messages.log"];

type Run = fn(&[u8]) -> Value;

fn firehose(event: &[u8]) -> Value {
    let config = sample();
    let mut reader = hiwake::object::Reader::new(&config);
    let (answer, _) = hiwake::firehose::transform(&mut reader, event).unwrap();
    readable(&answer)
}

/// An answer to Firehose as the expected files write it.
pub fn readable(answer: &[u8]) -> Value {
    let records = answered(answer).into_iter().map(|entry| {
        let mut value = json!({"recordId": entry.id, "result": entry.result});
        if !entry.rows.is_empty() {
            value["rows"] = entry
                .rows
                .iter()
                .map(|row| {
                    let mut line = Vec::new();
                    row.encode(&mut line);
                    serde_json::from_slice::<Value>(&line).unwrap()
                })
                .collect();
        }
        value
    });
    json!({"records": records.collect::<Vec<_>>()})
}

/// The events whose files' names begin so: name, event, expected answer.
#[cfg(feature = "lambda")]
pub fn events(prefix: &str) -> Vec<(String, Vec<u8>, Value)> {
    let read = |name: &str| fs::read(folder().join("events").join(name)).unwrap();
    let stems = names().into_iter().filter(|name| name.starts_with(prefix));
    let stems = stems.filter_map(|name| Some(name.strip_suffix(".expected.json")?.to_owned()));
    let event = |stem: String| {
        let expected = serde_json::from_slice(&read(&format!("{stem}.expected.json"))).unwrap();
        let event = read(&format!("{stem}.json"));
        (stem, event, expected)
    };
    stems.map(event).collect()
}

/// With `HIWAKE_BLESS=1` it writes the expected answers.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test's own switch, and it may write fixtures")]
fn golden_every_event_gives_its_expected_answer() {
    let bless = std::env::var("HIWAKE_BLESS").is_ok();
    let events = folder().join("events");
    let mut seen = 0;
    for name in names() {
        let Some((_, answer)) = KINDS.iter().find(|(prefix, _)| name.starts_with(prefix)) else {
            continue;
        };
        let Some(stem) = name.strip_suffix(".json").filter(|stem| !stem.ends_with(".expected"))
        else {
            continue;
        };
        let answer = answer(&fs::read(events.join(&name)).unwrap());
        let expected = events.join(format!("{stem}.expected.json"));
        if bless {
            let text = serde_json::to_string_pretty(&answer).unwrap() + "\n";
            fs::write(&expected, text).unwrap();
        }
        let text = fs::read(&expected).unwrap_or_else(|_| panic!("{name} has no expected answer"));
        assert_eq!(answer, serde_json::from_slice::<Value>(&text).unwrap(), "{name}");
        seen += 1;
    }
    assert!(seen >= 20, "only {seen} events were found");
}

#[test]
fn golden_no_event_is_unused_or_unnamed() {
    let names = names();
    let readme = fs::read_to_string(folder().join("events/README.md")).unwrap();
    for name in &names {
        if OTHERS.contains(&name.as_str()) {
            continue;
        }
        assert!(KINDS.iter().any(|(prefix, _)| name.starts_with(prefix)), "{name}: of which kind?");
        match name.strip_suffix(".expected.json") {
            Some(stem) => assert!(names.contains(&format!("{stem}.json")), "{name}: of what?"),
            None => assert!(readme.contains(&format!("`{name}`")), "{name} is not in README.md"),
        }
    }
    for word in readme.split('`').filter(|word| word.ends_with(".json") && !word.contains("NAME")) {
        assert!(names.contains(word), "README.md names {word}, which is not there");
    }
}

fn names() -> BTreeSet<String> {
    let entries = fs::read_dir(folder().join("events")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
