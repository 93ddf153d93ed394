//! docs/configuration.md: every key of hiwake.toml from its schema, with examples that are run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use hiwake::clock::Clock;
use hiwake::disk::RealDisk;
use hiwake::land::{Lander, Root};
use hiwake::store::Store;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::given::{DAY, HOUR, MIDNIGHT, T, answered, config, gzipped, request};

#[derive(Deserialize)]
struct Examples {
    example: Vec<Example>,
}

#[derive(Deserialize)]
struct Example {
    keys: Vec<String>,
    text: String,
    config: String,
    events: Vec<[String; 2]>,
    lines: Vec<String>,
    #[serde(default)]
    sealed: Vec<String>,
}

fn examples() -> Vec<Example> {
    toml::from_str::<Examples>(include_str!("given/examples.toml")).unwrap().example
}

/// What becomes of an example's events.
fn lines(example: &Example) -> Vec<String> {
    let config = config(&example.config);
    let mut reader = hiwake::object::Reader::new(&config);
    let records = example.events.iter().enumerate().map(|(n, [log_group, message])| {
        let mut envelope = crate::given::envelope(&[message]);
        envelope["logGroup"] = json!(log_group);
        envelope["logEvents"][0]["timestamp"] = json!(T + n as i64);
        gzipped(&envelope)
    });
    let request = request(&records.collect::<Vec<_>>());
    let (answer, _) = hiwake::firehose::transform(&mut reader, &request).unwrap();
    let rows = answered(&answer).into_iter().flat_map(|record| record.rows);
    let line = |row: hiwake::row::Row<'_>| {
        format!("{}/{}.{}: {}", row.file, row.day, row.kind.extension(), row.line)
    };
    rows.map(line).collect()
}

#[test]
fn every_example_gives_the_lines_that_it_shows() {
    for example in examples() {
        assert_eq!(lines(&example), example.lines, "{:?}", example.keys);
        assert!(example.config.parse::<toml::Table>().is_ok());
        for key in example.keys.iter().filter(|key| *key != "defaults") {
            assert!(example.config.contains(&format!("{key} = ")), "{key} is not in its example");
        }
    }
}

#[test]
fn an_example_of_seal_shows_the_files_of_a_sealed_root() {
    let example = examples().into_iter().find(|example| !example.sealed.is_empty()).unwrap();
    let (folder, config) = (tempfile::tempdir().unwrap(), config(&example.config));
    let disk = RealDisk::open(folder.path()).unwrap();
    let lander = |now| {
        let deadline = Instant::now() + Duration::from_secs(60);
        let (disk, config, clock) = (&disk, &config, Clock::At(now));
        Lander {
            root: Root { disk, config, clock, deadline, synced: Default::default() },
            journals: Default::default(),
            pool: Default::default(),
        }
    };
    let objects = tempfile::tempdir().unwrap();
    let [[log_group, message]] = example.events.as_slice() else { panic!("one event") };
    let mut envelope = crate::given::envelope(&[message]);
    envelope["logGroup"] = json!(log_group);
    envelope["logEvents"][0]["timestamp"] = json!(T);
    crate::given::put(objects.path(), "key", envelope.to_string().as_bytes());
    let store = Store::folder(objects.path()).unwrap();
    let ids: Vec<_> = store.list("").unwrap().into_iter().map(|object| object.id).collect();
    assert_eq!(lander(T).land(&store, &ids).tally.lines, 1);
    assert!(lander(MIDNIGHT + DAY + HOUR).seal().unwrap().failed.is_empty());
    let names = crate::given::tree(folder.path()).into_keys();
    let names: Vec<_> = names.filter(|name| !name.starts_with(".hiwake/")).collect();
    assert_eq!(names, example.sealed);
}

/// The keys that choose, hide, split and name.
#[test]
fn each_of_these_keys_has_an_example() {
    let shown: BTreeSet<String> = examples().into_iter().flat_map(|example| example.keys).collect();
    let wanted = "columns defaults drop empty_days escape_backslash exclude file format keep labels \
                  log_groups mask slashes strip_ansi";
    assert_eq!(shown, wanted.split(' ').map(str::to_owned).collect());
}

#[test]
fn the_example_of_columns_names_each_column() {
    let schema = hiwake::config::schema();
    let columns = schema["$defs"]["Column"]["anyOf"][0]["enum"].as_array().unwrap();
    let columns: Vec<_> =
        columns.iter().map(|name| format!("`{}`", name.as_str().unwrap())).collect();
    let (last, others) = columns.split_last().unwrap();
    let listed = format!("captures and {} and {last}.", others.join(", "));
    let example = examples().into_iter().find(|example| example.keys == ["columns"]).unwrap();
    assert!(example.text.contains(&listed), "tests/it/given/examples.toml lacks: {listed}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is for tests only")]
fn the_page_is_what_schema_and_examples_say() {
    let page = page(&hiwake::config::schema());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if std::env::var("HIWAKE_BLESS").is_ok() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/configuration.md is not current: HIWAKE_BLESS=1 writes it");
}

const HEAD: &str = "# Configuration

The functions, the command line and the CDK app read the same `hiwake.toml`.
`hiwake config check` names every error, `hiwake config explain` what becomes of a log group.

Where no default is named, it is false or empty.
Durations are like `30s`, `1h` or `7days`.
In the examples, `>` is a log group and a message; the resulting lines follow.
";

/// Sections whose names and keys say what they are for.
const PLAIN_SECTIONS: &[&str] = &["files", "format", "limits", "report", "retention", "seal"];
/// Defaults that are not worth a word.
const EMPTY: &[&str] = &["false", "[]", "{}", "\"\""];

fn page(schema: &Value) -> String {
    let mut page = HEAD.to_owned();
    let mut examples = examples();
    let sections = schema["properties"].as_object().unwrap();
    let (tables, plain): (Vec<_>, Vec<_>) =
        sections.iter().partition(|(_, node)| table(schema, node).is_some());
    page += "\n## At the top\n";
    let mut known = BTreeSet::new();
    keys(&mut page, schema, &mut known, plain.into_iter());
    for (name, node) in tables {
        let heading = if name == "source" { "[[source]]".to_owned() } else { format!("[{name}]") };
        let described = node["description"].as_str().unwrap_or_default();
        write!(page, "\n## {heading}\n").unwrap();
        if !PLAIN_SECTIONS.contains(&&**name) {
            write!(page, "\n{}\n", sentences(described)).unwrap();
        }
        let own = if name == "defaults" { None } else { table(schema, node) };
        if let Some(own) = own {
            keys(&mut page, schema, &mut known, own.iter());
        }
        // `drop` and `file` are keys of [plain] as well.
        let of_source = table(schema, &sections["source"]).unwrap();
        let is_of = |key: &String| match own {
            None => key == name,
            Some(own) => {
                own.contains_key(key) && (name == "source" || !of_source.contains_key(key))
            }
        };
        let (shown, rest) = examples.into_iter().partition(|example| is_of(&example.keys[0]));
        examples = rest;
        shown.iter().for_each(|example: &Example| show(&mut page, example));
    }
    assert!(examples.is_empty(), "an example of no key");
    page
}

/// The keys of a table, or of the tables of a list.
fn table<'s>(schema: &'s Value, node: &'s Value) -> Option<&'s serde_json::Map<String, Value>> {
    let node = node.get("items").unwrap_or(node);
    let node = target(schema, node);
    node.get("properties").and_then(Value::as_object)
}

fn target<'s>(schema: &'s Value, node: &'s Value) -> &'s Value {
    let to = node.get("$ref").or_else(|| node.pointer("/allOf/0/$ref")).and_then(Value::as_str);
    to.map_or(node, |to| schema.pointer(&to[1..]).unwrap())
}

fn sentences(text: &str) -> String {
    text.replace('\n', " ")
}

/// A line for each key. The choices of a type are `known` once they have been listed.
fn keys<'s>(
    page: &mut String,
    schema: &'s Value,
    known: &mut BTreeSet<String>,
    keys: impl Iterator<Item = (&'s String, &'s Value)>,
) {
    page.push('\n');
    for (key, node) in keys {
        let default = node.get("default").map(Value::to_string).unwrap_or_default();
        let default = if EMPTY.contains(&&*default) { String::new() } else { default };
        let default = if default.is_empty() { default } else { format!(" = `{default}`") };
        let mut meaning = sentences(node["description"].as_str().unwrap_or_default());
        let choices = choices(target(schema, node));
        let listed: Vec<String> = choices
            .iter()
            .map(|(value, means)| format!("`{value}`: {}", means.trim_end_matches('.')))
            .collect();
        if !listed.is_empty() && known.insert(listed.join("; ")) {
            write!(meaning, "\n  {}.", listed.join("; ")).unwrap();
        }
        writeln!(page, "* `{key}`{default}: {meaning}").unwrap();
    }
}

/// The values of which a key has one, each with what it means.
fn choices(node: &Value) -> Vec<(&str, &str)> {
    let all = node["oneOf"].as_array().into_iter().flatten();
    all.filter_map(|choice| Some((choice["const"].as_str()?, choice["description"].as_str()?)))
        .collect()
}

fn show(page: &mut String, example: &Example) {
    let keys: Vec<String> = example.keys.iter().map(|key| format!("`{key}`")).collect();
    write!(page, "\n### {}\n", keys.join(", ")).unwrap();
    if !example.text.trim().is_empty() {
        write!(page, "\n{}\n", example.text.trim()).unwrap();
    }
    write!(page, "\n```toml\n{}\n```\n\n", example.config.trim()).unwrap();
    page.push_str("```text\n");
    for [log_group, message] in &example.events {
        let message = message.escape_debug().to_string().replace("\\\"", "\"");
        writeln!(page, "> {log_group}: {message}").unwrap();
    }
    write!(page, "{}\n```\n", example.lines.join("\n")).unwrap();
    if !example.sealed.is_empty() {
        write!(page, "\n```text\n{}\n```\n", example.sealed.join("\n")).unwrap();
    }
}
