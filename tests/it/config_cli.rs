//! `hiwake config …` as it is typed, and the schema that it prints.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use hiwake::config::Config;
use serde_json::Value;

use crate::config::sample;
use crate::given::put;

fn hiwake(config: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hiwake"));
    command.arg("config").args(args).arg("--config").arg(config);
    command.output().expect("the binary runs")
}

fn stdout(config: &Path, args: &[&str]) -> String {
    let output = hiwake(config, args);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(&sample(), args)).expect("JSON")
}

#[test]
fn check_says_ok_and_how_many_sources() {
    assert!(stdout(&sample(), &["check"]).ends_with("hiwake.toml: ok, 2 sources\n"));
}

#[test]
fn check_says_all_that_is_wrong_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "bad.toml", b"timezone = \"JST\"\ncolour = 1\n");
    let output = hiwake(&path, &["check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let shown = String::from_utf8(output.stderr).unwrap();
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(shown.contains("bad.toml:1: timezone: ") && shown.contains("bad.toml:2: colour: "));
    let output = hiwake(&folder.path().join("none.toml"), &["check"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn explain_shows_each_source_and_the_file() {
    let args = ["explain", "--log-group", "/aws/lambda/api"];
    let shown = stdout(&sample(), &args);
    assert!(shown.contains("   source[1] (line "), "{shown}");
    assert!(shown.contains("-> source[2] (line "), "{shown}");
    assert!(shown.contains("file      lambda/%2Faws%2Flambda%2Fapi\n"), "{shown}");
    let json = json(&[&args[..], &["--json"]].concat());
    assert_eq!(json["routing"]["winner"], 2);
    assert_eq!(json["routing"]["tried"][1]["outcome"], "other-log-group");
    assert_eq!(json["event"]["line"], Value::Null, "no message, no line; the day is that of now");
    let day = json["event"]["day"].as_str().unwrap();
    assert_eq!(json["event"]["path"], format!("lambda/%2Faws%2Flambda%2Fapi/{day}.csv"));
    let shown = stdout(&sample(), &["explain", "--log-group", "/other"]);
    assert!(shown.contains("-> [unmatched]: no source matches\nfile      unmatched/%2Fother\n"));
    let output = hiwake(&sample(), &["explain", "--log-group", "/a", "--timestamp", "yesterday"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn explain_names_the_pattern_that_decides_first_and_the_empty_days() {
    let folder = tempfile::tempdir().unwrap();
    let toml = "[[source]]\nlog_groups = [\"/a\"]\nfile = \"a\"\nstrip_ansi = true\n\
                drop = ['^START', 'REPORT']\nkeep = ['ERROR', 'REPORT', 'WARN']\n\
                [seal]\nempty_days = true\n";
    let path = put(folder.path(), "hiwake.toml", toml.as_bytes());
    let explained = |message: &str, more: &[&str]| {
        let args = ["explain", "--log-group", "/a", "--message", message];
        stdout(&path, &[&args[..], more].concat())
    };
    let kept = explained("\u{1b}[1mWARN x", &[]);
    let patterns = "-> keep[3] WARN: matches, so the event is kept\n   \
                    drop[1] ^START: does not match\n   drop[2] REPORT: does not match\n   \
                    keep[1] ERROR: does not match\n   keep[2] REPORT: does not match\nline      ";
    assert!(kept.contains(patterns), "{kept}");
    assert!(kept.contains("empty     sealed empty on a day without an event"), "{kept}");
    let dropped = explained("REPORT x", &[]);
    assert!(
        dropped.contains("-> drop[2] REPORT: matches, so the event is left out\n"),
        "{dropped}"
    );
    assert!(dropped.contains("   keep[2] REPORT: matches too\n"), "{dropped}");
    let json: Value = serde_json::from_str(&explained("no", &["--json"])).unwrap();
    let patterns = json["event"]["patterns"].as_array().unwrap();
    assert_eq!(patterns.len(), 5);
    assert!(patterns.iter().all(|one| one["decides"] == false && one["matches"] == false));
}

#[test]
fn env_and_schema_are_what_the_library_says() {
    assert_eq!(
        json(&["env", "--json"]),
        serde_json::to_value(hiwake::config::ENVIRONMENT).unwrap()
    );
    assert!(stdout(&sample(), &["env"]).contains("HIWAKE_CONFIG"));
    assert_eq!(json(&["schema"]), hiwake::config::schema());
}

/// The properties of a schema's node, through its `$ref`.
fn properties<'s>(root: &'s Value, node: &'s Value) -> &'s serde_json::Map<String, Value> {
    let target = node.get("$ref").or_else(|| node.pointer("/allOf/0/$ref")).and_then(Value::as_str);
    let node = match target {
        Some(target) => root.pointer(&target[1..]).expect("a definition"),
        None => node,
    };
    assert_eq!(node["additionalProperties"], Value::Bool(false), "{node}");
    node["properties"].as_object().expect("properties")
}

#[test]
fn the_schema_has_the_keys_of_the_sample_each_with_a_description() {
    let schema = hiwake::config::schema();
    let defaults = serde_json::to_value(Config::load(&sample()).unwrap()).unwrap();
    let mut described = 0;
    for (section, node) in properties(&schema, &schema).iter().filter(|(key, _)| *key != "defaults")
    {
        assert!(node["description"].is_string(), "{section}");
        let value = &defaults[section];
        let (node, value) = match value {
            Value::Array(all) => (&node["items"], &all[0]),
            Value::Object(_) => (node, value),
            _ => continue,
        };
        let keys: BTreeSet<_> = properties(&schema, node).keys().collect();
        let written: BTreeSet<_> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys, written, "{section}");
        for (key, node) in properties(&schema, node) {
            assert!(node["description"].is_string(), "{section}.{key}");
            described += 1;
        }
    }
    assert_eq!(described, 44);
    let sections = properties(&schema, &schema).keys().filter(|key| *key != "defaults");
    let sections: BTreeSet<_> = sections.collect();
    let given = properties(&schema, &schema["properties"]["defaults"]);
    let keys = schema["$defs"]["Source"]["properties"].as_object().unwrap();
    assert!(keys.keys().filter(|key| *key != "log_groups").eq(given.keys()));
    assert_eq!(sections, defaults.as_object().unwrap().keys().collect());
    let source = schema.pointer("/$defs/Source").unwrap();
    assert_eq!(source["required"], serde_json::json!(["log_groups"]));
    assert_eq!(schema.pointer("/properties/timezone/type"), Some(&"string".into()));
    assert_eq!(schema.pointer("/$defs/Limits/properties/lock_wait/default"), Some(&"30s".into()));
}
