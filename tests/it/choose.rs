//! What a source chooses, hides, cleans, splits and names.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hiwake::config::{self, Config, Glob, Pattern};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::config::{error, parse};
use crate::given::{Answered, T, answered, config, gzipped, request};

/// The lines that messages of a log group become, each as `FILE: LINE`.
fn lines(toml: &str, log_group: &str, messages: &[&str]) -> Vec<String> {
    let rows = answer(&config(toml), log_group, messages).rows;
    rows.iter().map(|row| format!("{}.{}: {}", row.file, row.kind.extension(), row.line)).collect()
}

fn answer(config: &Config, log_group: &str, messages: &[&str]) -> Answered {
    let event = |(n, message): (usize, &&str)| json!({"id": format!("{n:056}"), "timestamp": T + n as i64, "message": message});
    let events: Vec<Value> = messages.iter().enumerate().map(event).collect();
    let mut envelope = crate::given::envelope(&[]);
    envelope["logGroup"] = log_group.into();
    envelope["logEvents"] = events.into();
    let mut reader = hiwake::object::Reader::new(config);
    let (answer, counts) =
        hiwake::firehose::transform(&mut reader, &request(&[gzipped(&envelope)])).unwrap();
    let out = counts.rows + counts.events_dropped + counts.events_refused() + counts.events_failed;
    assert_eq!(counts.events, out, "{counts:?}");
    answered(&answer).remove(0)
}

fn source(keys: &str) -> String {
    format!("[[source]]\nlog_groups = [\"/ecs/*\"]\nfile = \"ecs\"\n{keys}\n")
}

#[test]
fn drop_and_keep_choose_by_the_message() {
    let messages = ["START RequestId: 1\n", "error: one", "debug: error", "END RequestId: 1\n"];
    let only = |keys| lines(&source(keys), "/ecs/a", &messages);
    assert_eq!(
        only("drop = ['^(START|END|REPORT) RequestId: ']"),
        ["ecs.csv: error: one", "ecs.csv: debug: error"]
    );
    assert_eq!(only("keep = ['error']\ndrop = ['^debug']"), ["ecs.csv: error: one"]);
    let toml = config(&source("keep = ['nothing']"));
    let answered = answer(&toml, "/ecs/a", &messages);
    assert_eq!((answered.result.as_str(), answered.rows.len()), ("Dropped", 0));
}

#[test]
fn what_is_left_out_is_counted_apart() {
    let toml = config(&source("drop = ['x']"));
    let mut reader = hiwake::object::Reader::new(&toml);
    let mut envelope = crate::given::envelope(&["x", "y", "x"]);
    envelope["logGroup"] = "/ecs/a".into();
    let request = request(&[gzipped(&envelope)]);
    let (_, counts) = hiwake::firehose::transform(&mut reader, &request).unwrap();
    assert_eq!((counts.events, counts.rows, counts.events_filtered), (3, 1, 2));
    envelope["logEvents"].as_array_mut().unwrap().remove(1);
    let request = crate::given::request(&[gzipped(&envelope)]);
    let (_, counts) = hiwake::firehose::transform(&mut reader, &request).unwrap();
    assert_eq!(counts.dropped, [("filtered", 1)].into());
    assert_eq!(counts.events_filtered, 2);
}

#[test]
fn a_mask_hides_in_lines_in_columns_and_in_the_quarantine() {
    let keys = r#"
        mask = [{ pattern = '"token":"[^"]*"', with = '"token":"***"' }, { pattern = '\d{4}-(\d{4})', with = "****-$1" }]
        columns = ["{message}", "{json.token}"]
    "#;
    let toml = source(keys);
    let message = r#"{"token":"secret","card":"1111-2222"}"#;
    assert_eq!(
        lines(&toml, "/ecs/a", &[message]),
        [r#"ecs.csv: "{""token"":""***"",""card"":""****-2222""}",***"#]
    );
    let json = format!("{toml}format = {{ kind = \"json\" }}");
    assert_eq!(
        lines(&json, "/ecs/a", &[message]),
        [r#"ecs.ndjson: {"message":{"token":"***","card":"****-2222"},"json.token":"***"}"#]
    );
    // An event that cannot be a row, and one that is not an event.
    let mut envelope = crate::given::envelope(&[message]);
    envelope["logGroup"] = "/ecs/a".into();
    envelope["logEvents"][0]["timestamp"] = 1.into();
    let no_event = json!({"id": "1", "timestamp": T, "message": {"card": "1111-2222"}});
    envelope["logEvents"].as_array_mut().unwrap().push(no_event);
    let config = config(&toml);
    let mut reader = hiwake::object::Reader::new(&config);
    let request = request(&[gzipped(&envelope)]);
    let (answer, counts) = hiwake::firehose::transform(&mut reader, &request).unwrap();
    assert_eq!(counts.events_refused(), 2, "{counts:?}");
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let frame = STANDARD.decode(answer["records"][0]["data"].as_str().unwrap()).unwrap();
    let shown = String::from_utf8(zstd::decode_all(&frame[..]).unwrap()).unwrap();
    assert!(
        shown.contains("****-2222") && !shown.contains("1111") && !shown.contains("secret"),
        "{shown}"
    );
}

#[test]
fn colours_are_stripped_before_patterns_look() {
    let keys = "strip_ansi = true\nkeep = ['^ERROR']";
    assert_eq!(
        lines(&source(keys), "/ecs/a", &["\u{1b}[1;31mERROR\u{1b}[0m\tüber", "\u{1b}[32mok"]),
        ["ecs.csv: ERROR\tüber"]
    );
    // Without it they are data.
    assert_eq!(lines(&source(""), "/ecs/a", &["\u{1b}[1mx"]), ["ecs.csv: \u{1b}[1mx"]);
}

#[test]
fn json_columns_are_what_the_message_has_there_and_empty_otherwise() {
    let keys =
        r#"columns = ["{json.level}", "{json.http.status}", "{json.list.1}", "{json.user}"]"#;
    let messages = [
        r#"{"level":"warn","http":{"status":404},"list":["a","b,c"],"user":{"id": 1}}"#,
        r#"{"level":null,"http":"x","list":{"1":true}}"#,
        "{\"level\":\"\\u0041\\n\",\n \"user\":[\n1]}",
        "no json",
        r#"{"level":"a","level":"b"}"#,
    ];
    assert_eq!(
        lines(&source(keys), "/ecs/a", &messages),
        [
            r#"ecs.csv: warn,404,"b,c","{""id"": 1}""#,
            "ecs.csv: ,,true,",
            r"ecs.csv: A\n,,,[ 1]",
            "ecs.csv: ,,,",
            "ecs.csv: b,,,",
        ]
    );
    let json = format!("{keys}\nformat = {{ kind = \"json\" }}");
    assert_eq!(
        lines(&source(&json), "/ecs/a", &messages[..1]),
        [
            r#"ecs.ndjson: {"json.level":"warn","json.http.status":404,"json.list.1":"b,c","json.user":{"id": 1}}"#
        ]
    );
}

#[test]
fn a_json_line_holds_a_json_message_as_the_object_that_it_is() {
    let keys = "format = { kind = \"json\" }\ncolumns = [\"{message}\"]";
    let messages = ["{\"a\":1e400,\n\"b\":[]}\n", "{\"a\":", "[1]", "3", "\"x\""];
    assert_eq!(
        lines(&source(keys), "/ecs/a", &messages),
        [
            r#"ecs.ndjson: {"message":{"a":1e400, "b":[]}}"#,
            r#"ecs.ndjson: {"message":"{\"a\":"}"#,
            r#"ecs.ndjson: {"message":"[1]"}"#,
            r#"ecs.ndjson: {"message":"3"}"#,
            r#"ecs.ndjson: {"message":"\"x\""}"#,
        ]
    );
}

#[test]
fn captures_take_as_little_as_they_can_and_name_files_labels_and_columns() {
    let toml = r#"
        [[source]]
        log_groups = ["/ecs/{team}-{service}", "/eks/{team}/*/{service}"]
        file = "{team}/{service}"
        labels = ["team={team}", "{x y}"]
        columns = ["{labels}", "{service}", "{message}"]
    "#;
    // The second group's captures stand on both sides of a `*`.
    let toml = toml.replace("/eks/{team}/*/{service}", "/eks/{team}/?/{service}");
    assert_eq!(lines(&toml, "/ecs/a-b-c", &["m"]), ["a/b-c.csv: team=a,{x y},b-c,m"]);
    assert_eq!(lines(&toml, "/eks/a-b/x/c", &["m"]), ["a-b/c.csv: team=a-b,{x y},c,m"]);
    assert_eq!(lines(&toml, "/ecs/a/b-c", &["m"]), ["unmatched/%2Fecs%2Fa%2Fb-c.csv: m"]);
    assert_eq!(lines(&toml, "/ecs/-b", &["m"]), ["unmatched/%2Fecs%2F-b.csv: m"]);
}

#[test]
fn an_ambiguous_capture_is_refused_with_a_name_that_shows_it() {
    let says = |glob: &str| glob.parse::<Glob>().unwrap_err().to_string();
    for (glob, example, one, other) in [
        ("/ecs/{a}{b}", "/ecs/yyy", "y", "yy"),
        ("/ecs/{a}*", "/ecs/yyy", "y", "yy"),
        ("/ecs/{a}?{b}", "/ecs/yyyy", "y", "yy"),
        ("*-{a}", "x-x-y", "x-y", "y"),
        ("*{a}x", "xxyx", "xy", "y"),
        ("*/{a}-*", "x/y-x/z-w", "y", "z"),
    ] {
        let says = says(glob);
        assert!(
            says.contains(&format!("in `{example}` it could be `{one}` or `{other}`")),
            "{says}"
        );
    }
    assert!(says("/{message}").contains("{message} is already a column"));
    assert!(says("/{a}/{a}").contains("{a} occurs twice"));
    for good in
        ["/ecs/{team}-{service}", "*/{a}", "*/{a}/{b}", "/x/{a}-*", "{a}/*", "{a,b}*", "{}*"]
    {
        good.parse::<Glob>().unwrap_or_else(|error| panic!("{good}: {error}"));
    }
}

#[test]
fn what_no_glob_captures_is_not_known() {
    let one = |keys: &str| error(&source(keys));
    assert!(
        one("columns = [\"{mesage}\"]")
            .ends_with("`{mesage}` is not known; did you mean {message}?")
    );
    assert!(
        one("columns = [\"{team}\"]")
            .contains("`{team}` is not a capture in all of its log_groups")
    );
    assert!(
        one("columns = [\"message\"]")
            .contains("`message` is not a column; did you mean {message}?")
    );
    assert!(one("labels = [\"{team}\"]").contains("is not a capture"));
    assert!(one("labels = [\"{owner}\"]").contains("write {owner} into columns"));
    assert!(
        error("[unmatched]\nfile = \"{team}\"")
            .contains("write {log_group}, {log_stream} or {owner}")
    );
    let two = "[[source]]\nlog_groups = [\"/a/{x}\", \"/b\"]\nfile = \"{x}\"";
    assert!(error(two).contains("`{x}` is not a capture in all"), "{}", error(two));
}

/// They landed as fixed text.
#[test]
fn a_misspelt_capture_of_a_label_is_refused_with_the_one_that_was_meant() {
    let keys = |label: &str| {
        format!("[[source]]\nlog_groups = [\"/ecs/{{team}}-*\"]\nlabels = [\"x\", \"{label}\"]")
    };
    for label in ["{Team}", "{team }", "{}", "{ }", "{taem}", "{team}/{Team}"] {
        let says = error(&keys(label));
        assert!(says.starts_with("hiwake.toml:3: source[1].labels[2]: `{"), "{label}: {says}");
        assert!(says.ends_with("}` is not known; did you mean {team}?"), "{label}: {says}");
    }
    for label in ["{team}", "{x y}", "{{team}}", "{team", "}"] {
        parse(&keys(label));
    }
    // Without a capture, a label is fixed text.
    parse(&source("labels = [\"{}\", \"{Team}\"]"));
}

#[test]
fn what_is_excluded_is_left_to_the_next_source() {
    let toml = "[[source]]\nlog_groups = [\"/a/*\"]\nexclude = [\"/a/test-*\"]\nfile = \"a\"\n\
                [[source]]\nlog_groups = [\"/a/test-1\"]\nfile = \"test\"";
    assert_eq!(lines(toml, "/a/x", &["m"]), ["a.csv: m"]);
    assert_eq!(lines(toml, "/a/test-1", &["m"]), ["test.csv: m"]);
    assert_eq!(lines(toml, "/a/test-2", &["m"]), ["unmatched/%2Fa%2Ftest-2.csv: m"]);
}

/// The message named the line of `[defaults]` and no source.
#[test]
fn a_source_that_the_defaults_exclude_is_named_with_its_line_and_a_remedy() {
    let toml = "[defaults]\nexclude = [\"/aws/lambda/*\"]\n\
                [[source]]\nlog_groups = [\"/a\"]\n[[source]]\nlog_groups = [\"/b\"]\n\
                [[source]]\nlog_groups = [\"/aws/lambda/api\"]\n";
    let says = "hiwake.toml:8: source[3].log_groups: can never match: exclude of [defaults] \
                covers it; write exclude = [] into this source";
    assert_eq!(error(toml), says);
    parse(&format!("{toml}exclude = []\n"));
}

#[test]
fn defaults_hold_for_every_source_that_does_not_say_otherwise() {
    let toml = "[defaults]\nlabels = [\"prod\"]\nformat = { kind = \"tsv\" }\n\
                [[source]]\nlog_groups = [\"/a\"]\nfile = \"a\"\n\
                [[source]]\nlog_groups = [\"/b\"]\nfile = \"b\"\nlabels = []\nformat = { kind = \"raw\" }";
    assert_eq!(lines(toml, "/a", &["m"]), ["a.tsv: prod\tm"]);
    assert_eq!(lines(toml, "/b", &["m"]), ["b.log: m"]);
    assert_eq!(lines(toml, "/c", &["m"]), ["unmatched/%2Fc.csv: m"]);
}

#[test]
fn a_fault_of_the_defaults_is_told_once_with_its_line() {
    let sources = "[[source]]\nlog_groups = [\"/a\"]\n[[source]]\nlog_groups = [\"/b\"]\n";
    for (fault, says) in [
        ("drop = [\"(\"]", "hiwake.toml:2: defaults.drop: `(` is not a valid regular expression"),
        ("labels = [\"a\\nb\"]", "hiwake.toml:2: defaults.labels[1]: contains a line break"),
        ("lables = []", "hiwake.toml:2: defaults.lables: unknown key; did you mean labels?"),
        ("log_groups = [\"/c\"]", "hiwake.toml:2: defaults.log_groups: each source names its own"),
    ] {
        let told = error(&format!("[defaults]\n{fault}\n{sources}"));
        assert!(told.starts_with(says), "{told}");
    }
    // What is known here is not refused here.
    let told = error(&format!("[defaults]\nempty = 1\n{sources}"));
    assert!(told.starts_with("hiwake.toml:2: defaults.empty: unknown key; known here: "), "{told}");
    assert!(told.contains(" exclude, ") && !told.contains("log_groups"), "{told}");
    // Also where no source takes it up.
    assert!(error("[defaults]\ndrop = \"x\"").contains("defaults.drop"));
}

#[test]
fn one_file_of_two_kinds_is_refused() {
    let toml = "[[source]]\nlog_groups = [\"/a\"]\nfile = \"x\"\n\
                [[source]]\nlog_groups = [\"/b\"]\nfile = \"x\"\nformat = { kind = \"json\" }";
    assert!(error(toml).contains("`x` is also the file of source[1] (line 1), with another kind"));
}

/// Only files without a placeholder were compared.
#[test]
fn one_file_of_two_kinds_by_placeholders_is_refused_with_an_example() {
    let two = |one: [&str; 2], other: [&str; 2], more: &str| {
        let source = |[group, file]: [&str; 2]| {
            format!("[[source]]\nlog_groups = [\"{group}\"]\nfile = \"{file}\"\n")
        };
        format!("{}{}format = {{ kind = \"json\" }}\n{more}", source(one), source(other))
    };
    let refused = error(&two(["/a/{team}-*", "{team}"], ["/b/{team}", "{team}"], ""));
    let says = "hiwake.toml:6: source[2].file: log group /b/x goes into the file `x`, as does \
                /a/x-x in source[1] (line 1), with another kind";
    assert!(refused.contains(says), "{refused}");
    let refused = error(&two(["/a", "logs/api"], ["/b/{name}", "logs/{name}"], ""));
    assert!(refused.contains("log group /b/api goes into the file `logs/api`"), "{refused}");
    let slashes = "slashes = \"underscore\"";
    let refused = error(&two(["/a", "b_x"], ["/b/*", "{log_group}"], slashes));
    assert!(refused.contains("`b_x`"), "{refused}");
    // Each log group has a file of its own, or only one source takes it.
    parse(&two(["/a/*", "{log_group}"], ["/b/*", "{log_group}"], ""));
    parse(&two(["/a/{name}", "{name}"], ["/b/{name}", "json/{name}"], ""));
}

#[test]
fn a_source_has_its_own_time_and_line_breaks() {
    let keys = "columns = [\"{time}\", \"{message}\"]\nformat = { time = \"%H\", newline = \"space\", escape_backslash = true }";
    assert_eq!(lines(&source(keys), "/ecs/a", &["a\nb\\n"]), [r"ecs.csv: 01,a b\\n"]);
}

#[test]
fn patterns_that_leave_nothing_are_warned_of() {
    let warned = |keys: &str| {
        let warnings = parse(&source(&format!("{keys}\nsubscribe = \"manual\""))).warnings();
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(
        warned("drop = ['.*']")[0].contains("`.*` and the patterns after it match every message")
    );
    assert_eq!(warned("drop = ['(?s)^.{0,60}$']"), [""; 0], "short ones only");
    assert_eq!(warned(r"drop = ['\S', '\s']").len(), 1);
    assert!(warned("drop = ['']")[0].contains("source[1].drop"));
    assert!(warned("keep = ['a']\ndrop = ['a']")[0].contains("no event of this source is left"));
    assert_eq!(warned("drop = ['^$', '\\d']\nkeep = ['a']"), [""; 0]);
}

/// Whatever `keep` matches begins with a text that `drop` matches wherever it stands.
#[test]
fn a_keep_that_drop_takes_all_of_is_warned_of() {
    let warned = |keep: &str, drop: &str| {
        let keys = format!("keep = [{keep}]\ndrop = [{drop}]\nsubscribe = \"manual\"");
        let warnings = parse(&source(&keys)).warnings();
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let left = |keep, drop| assert_eq!(warned(keep, drop), [""; 0], "{keep} {drop}");
    let all = "`ERR` in drop also matches everything that `ERROR db` matches: no event of this source is left";
    assert!(warned("'ERROR db'", "'x', 'ERR'")[0].contains(all));
    assert!(warned(r"'^ERROR: \d+'", "'^ERR[OX]R'")[0].contains("no event of this source is left"));
    assert!(
        warned("'ERROR', 'WARN'", "'ERROR'")[0]
            .contains("everything that `ERROR` matches: it keeps")
    );
    left("'ERROR'", "'ERROR db'");
    // More may stand before and after it.
    left("'ERROR'", "'^ERROR'");
    left("'ERROR'", "'ERROR$'");
    left("'ERROR'", r"'\bERROR\b'");
    left("'ERROR|WARN'", "'ERROR'");
}

#[test]
fn explain_shows_the_winner_first_with_all_that_it_does() {
    let toml = "[[source]]\nlog_groups = [\"/b\"]\n\
                [[source]]\nlog_groups = [\"/ecs/{team}-*\"]\nfile = \"{team}\"\ndrop = ['^x']\nformat = { kind = \"tsv\" }";
    let explanation = config::explain(&parse(toml), "1", "/ecs/a-b", "s");
    assert_eq!(explanation.tried[0].source, 2);
    assert!(!explanation.empty_days);
    assert_eq!(explanation.captures["team"], "a");
    let rules: Vec<_> =
        explanation.rules.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    assert_eq!(rules, ["drop = [\"^x\"]", "format.kind = \"tsv\""]);
}

/// Identity is of the raw event: whatever is hidden, cut or left out, the rows keep their keys.
#[test]
fn masks_columns_and_formats_change_no_identity() {
    let message = "\u{1b}[1m{\"a\":1}";
    let keys = |toml: &str| {
        let rows = answer(&config(&source(toml)), "/ecs/a", &[message, message]).rows;
        rows.iter().map(hiwake::row::Row::key).collect::<Vec<_>>()
    };
    let plain = keys("");
    for toml in [
        "strip_ansi = true",
        "mask = [{ pattern = '.', with = '' }]",
        "columns = ['{json.a}']",
        "format = { newline = 'space', time = '%H' }",
        "drop = ['never']",
    ] {
        assert_eq!(keys(toml), plain, "{toml}");
    }
}

/// Patterns were tried on the raw JSON of an event that is not valid: `"` and `^` matched nothing
/// in it, and ids were changed.
#[test]
fn a_mask_hides_the_message_of_an_event_that_is_not_valid_and_nothing_else_of_it() {
    let mask = r#"mask = [{ pattern = '"token":"[^"]*"', with = 'T' }, { pattern = '^password=\S+$' }, { pattern = '\d+', with = '#' }]"#;
    let mut envelope = crate::given::envelope(&[]);
    envelope["logGroup"] = "/ecs/a".into();
    envelope["logEvents"] = json!([
        {"id": "123", "timestamp": "x", "message": "{\"token\":\"secret\"}"},
        {"id": "124", "timestamp": "y", "message": "password=hunter\n"},
        {"id": "125", "message": {"card": 4711}},
    ]);
    let config = config(&source(mask));
    let mut reader = hiwake::object::Reader::new(&config);
    let request = request(&[gzipped(&envelope)]);
    let (answer, _) = hiwake::firehose::transform(&mut reader, &request).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let frame = STANDARD.decode(answer["records"][0]["data"].as_str().unwrap()).unwrap();
    let shown = String::from_utf8(zstd::decode_all(&frame[..]).unwrap()).unwrap();
    for hidden in ["secret", "hunter", "4711"] {
        assert!(!shown.contains(hidden), "{hidden}: {shown}");
    }
    for kept in ["123", "124", "125"] {
        assert!(shown.contains(kept), "{kept}: {shown}");
    }
}

/// What JSON escapes was not seen by the patterns, and stood in a column in clear.
#[test]
fn a_json_column_is_hidden_by_itself() {
    let keys = r#"
        strip_ansi = true
        mask = [{ pattern = '山田|https://\S+', with = '***' }, { pattern = '\d{4}', with = '****' }]
        columns = ["{json.n}", "{json.u}", "{json.pin}", "{json.c}"]
    "#;
    let message =
        r#"{"n":"\u5c71\u7530","u":"https:\/\/x\/?t=abc","pin":1234,"c":"\u001b[31mred"}"#;
    assert_eq!(lines(&source(keys), "/ecs/a", &[message]), ["ecs.csv: ***,***,****,red"]);
}

/// The pattern was tried on the value alone, which has no key in front of it.
#[test]
fn a_mask_that_names_a_key_hides_its_value_in_a_json_column() {
    let keys = r#"
        mask = [{ pattern = '"password":\s*"[^"]*"', with = '"password": "***"' }, { pattern = '\b\d{4}\b', with = '****' }]
        columns = ["{json.password}", "{json.pin}", "{message}"]
    "#;
    let hidden = [
        r#"ecs.csv: ***,,"{""password"": ""***""}""#,
        // Without its quotes, `****` is not JSON: each value of the original is masked alone.
        r#"ecs.csv: a ****,****,"{""password"":[""a ****""],""pin"":****}""#,
    ];
    let messages = [r#"{"password": "hunter2"}"#, r#"{"password":["a 1234"],"pin":1234}"#];
    assert_eq!(lines(&source(keys), "/ecs/a", &messages[..1]), hidden[..1]);
    let list = keys.replace("{json.password}", "{json.password.0}");
    assert_eq!(lines(&source(&list), "/ecs/a", &messages[1..]), hidden[1..]);
    let json = format!("{keys}\nformat = {{ kind = \"json\" }}");
    assert_eq!(
        lines(&source(&json), "/ecs/a", &messages[..1]),
        [r#"ecs.ndjson: {"json.password":"***","json.pin":null,"message":{"password": "***"}}"#]
    );
}

#[test]
fn patterns_see_a_message_without_the_line_breaks_at_its_end() {
    let keys = r"drop = ['^END \d+$']
        mask = [{ pattern = 'password=\S+$', with = '***' }]";
    assert_eq!(
        lines(&source(keys), "/ecs/a", &["END 1\n", "x password=abc\r\n"]),
        ["ecs.csv: x ***"]
    );
}

/// A terminal takes what follows an unfinished sequence with it; a log must not.
#[test]
fn stripping_takes_sequences_and_no_text() {
    let one = |message: &str| lines(&source("strip_ansi = true"), "/ecs/a", &[message]).remove(0);
    assert_eq!(one("a \u{1b}]0;title\nERROR kept"), r"ecs.csv: a ]0;title\nERROR kept");
    assert_eq!(one("a \u{1b}]0;title\u{7}b"), "ecs.csv: a b");
    assert_eq!(one("a \u{1b}]8;;https://x\u{1b}\\b\u{1b}]8;;\u{1b}\\"), "ecs.csv: a b");
    assert_eq!(one("\u{1b}[1;31mx\u{1b}[0m\u{1b}[K\u{1b}(B\u{7}"), "ecs.csv: x\u{7}");
    assert_eq!(one("a \u{1b}[ 31;;;ERROR"), "ecs.csv: a [ 31;;;ERROR");
    assert_eq!(one("\u{1b}"), "ecs.csv: \"\"");
}

#[test]
fn what_a_mask_writes_must_be_groups_of_its_pattern() {
    let one = |mask: &str| error(&source(&format!("mask = [{{ {mask} }}]")));
    assert!(one("pattern = '(a)b', with = '$1x'").contains("`$1x` is not a group of the pattern"));
    assert!(one("pattern = 'c', with = '$9'").contains("mask[1]: `$9` is not a group"));
    assert!(one("pattern = 'a*'").contains("matches the empty text"));
    // `error` wants one problem: that the wrong pattern is then missing is not another one.
    assert!(one("pattern = '('").contains("mask[1].pattern: `(` is not a valid regular"));
    parse(&source(
        "mask = [{ pattern = '(?<n>a)(b)', with = '${2}x$n $$9 $' }]\nsubscribe = 'manual'",
    ));
}

#[test]
fn labels_are_filled_once_and_their_captures_are_known() {
    let toml =
        "[[source]]\nlog_groups = [\"*/{a}/{b}\"]\nfile = \"x\"\nlabels = [\"{a}{\", \"{b}\"]";
    assert_eq!(lines(toml, "/ecs/c/d", &["m"]), ["x.csv: c{,d,m"]);
    let streams =
        "[[source]]\nlog_groups = [\"/g\"]\nlog_streams = [\"{a}/{b}\"]\nlabels = [\"{a}\"]";
    let config = parse(&format!("{streams}\nsubscribe = \"manual\""));
    assert_eq!(config::explain(&config, "1", "/g", "{b}/x").captures["a"], "{b}");
    let two = |toml: &str| error(&format!("[[source]]\n{toml}"));
    assert!(
        two("log_groups = [\"/a/{team1}\"]\nlabels = [\"{team2}\"]")
            .contains("`{team2}` is not known; did you mean {team1}?")
    );
    assert!(
        two("log_groups = [\"/a\"]\nlabels = [\"{json.a}\"]")
            .contains("write {json.a} into columns")
    );
    assert!(
        two("log_groups = [\"/a/{x}\"]\nlog_streams = [\"{x}\"]")
            .contains("{x} is also a capture of log_groups")
    );
}

#[test]
fn what_exclude_leaves_nothing_of_can_never_match() {
    let two = |first: &str, second: &str| {
        format!("[[source]]\n{first}\nfile = \"a\"\n[[source]]\n{second}\nfile = \"b\"")
    };
    let says =
        error(&two("log_groups = [\"/a/x\"]\nexclude = [\"/a/*\"]", "log_groups = [\"/c\"]"));
    assert!(says.contains("source[1].exclude: can never match"), "{says}");
    let says =
        error(&two("log_groups = [\"/a/*\"]\nexclude = [\"/zz\"]", "log_groups = [\"/a/b\"]"));
    assert!(says.contains("source[2].log_groups: can never match"), "{says}");
    parse(&two("log_groups = [\"/a/*\"]\nexclude = [\"/a/b\"]", "log_groups = [\"/a/b\"]"));
    parse(&two("log_groups = [\"/a/*\"]\nexclude = [\"*b\"]", "log_groups = [\"/a/*c\"]"));
}

#[test]
fn a_format_of_a_source_adds_to_that_of_the_defaults() {
    let toml = "[defaults]\nformat = { kind = \"tsv\" }\n[[source]]\nlog_groups = [\"/a\"]\nfile = \"a\"\n\
                columns = [\"{time}\", \"{message}\"]\nformat = { time = \"%H\" }";
    assert_eq!(lines(toml, "/a", &["m"]), ["a.tsv: 01\tm"]);
}

proptest! {
    /// A capture takes the shortest text from the left, as a dumb search finds it.
    #[test]
    fn captures_are_what_a_search_from_the_left_finds(name in "[-/ab]{0,9}") {
        let glob: Glob = "/{x}-{y}/b*".parse().unwrap();
        let found = (|| {
            let rest = name.strip_prefix('/')?;
            for (first, _) in rest.match_indices('-') {
                let (x, y) = (&rest[..first], &rest[first + 1..]);
                for (second, _) in y.match_indices("/b") {
                    let y = &y[..second];
                    if !x.is_empty() && !y.is_empty() && !x.contains('/') && !y.contains('/') {
                        return Some((x.to_owned(), y.to_owned()));
                    }
                }
            }
            None
        })();
        prop_assert_eq!(glob.matches(&name), found.is_some());
        let toml = "[[source]]\nlog_groups = [\"/{x}-{y}/b*\"]\nfile = \"{x}.{y}\"";
        let explained = config::explain(&parse(toml), "1", &name, "s").captures;
        let found = found.map(|(x, y)| [("x".to_owned(), x), ("y".to_owned(), y)].into());
        prop_assert_eq!(explained, found.unwrap_or_default());
    }

    /// A look at what a pattern begins with changes nothing of what it matches.
    #[test]
    fn a_pattern_matches_what_its_expression_matches(
        expression in "\\^?[ab]{0,3}([*?+]|\\{0,1\\})?(\\(\\?i\\))?[ab.]{0,2}(\\|b)?\\$?",
        message in "[abAB]{0,6}",
    ) {
        if let Ok(pattern) = Pattern::try_from(expression.clone()) {
            let regex = regex_lite::Regex::new(&expression).unwrap();
            prop_assert_eq!(pattern.matches(&message), regex.is_match(&message), "{}", expression);
        }
    }

    #[test]
    fn what_covers_a_glob_with_captures_matches_all_that_it_matches(
        one in "[a/*?]{0,2}(\\{x\\}-)?[a/*?]{0,2}", other in "[a/*?]{0,2}(\\{x\\}-)?[a/*?]{0,2}",
        name in "[a/-]{0,5}",
    ) {
        if let (Ok(one), Ok(other)) = (one.parse::<Glob>(), other.parse::<Glob>())
            && one.covers(&other) && other.matches(&name)
        {
            prop_assert!(one.matches(&name), "{:?} {:?}", one, other);
        }
    }
}
