//! `hiwake.toml`: what it says, and everything that is wrong with it in one go.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hiwake::config::{Column, Config, ConfigErrors, Newline, Subscribe};
use hiwake::row::Kind;
use proptest::prelude::*;

pub fn parse(text: &str) -> Config {
    Config::parse("hiwake.toml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(text: &str) -> ConfigErrors {
    match Config::parse("hiwake.toml", text) {
        Ok(_) => panic!("nothing is wrong with: {text}"),
        Err(errors) => errors,
    }
}

/// One problem exactly, as it is printed.
pub fn error(text: &str) -> String {
    let errors = errors(text);
    assert_eq!(errors.problems.len(), 1, "{errors}");
    errors.to_string()
}

pub fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hiwake.toml")
}

#[test]
fn the_sample_says_what_the_design_says() {
    let config = Config::load(&sample()).unwrap();
    assert_eq!(config.timezone.name(), "Asia/Tokyo");
    let source = &config.sources[0];
    assert_eq!(source.labels, ["HOGE", "HOGE", "1", "HOGEHOGE"]);
    assert_eq!(source.columns, [Column::Labels, Column::Message]);
    assert_eq!(hiwake::config::explain(&config, "1", "/var/log/messages", "s").file, "messages");
    assert_eq!(config.sources[1].subscribe, Subscribe::Manual);
    assert_eq!(config.warnings(), []);
    assert_eq!(config.sources.len(), 2);
}

#[test]
fn what_is_commented_out_in_the_sample_is_the_default() {
    let text = std::fs::read_to_string(sample()).unwrap();
    let shown: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            // A commented key, not a sentence.
            Some(rest)
                if rest.split_once(" =").is_some_and(|(key, _)| !key.trim().contains(' ')) =>
            {
                rest
            }
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(shown.contains("\nmerge_bytes"), "{shown}");
    let (shown, written) = (parse(&shown), parse(&text));
    assert_eq!(shown, written);
    assert_eq!(shown.limits, Config::default().limits);
}

#[test]
fn an_empty_configuration_is_all_defaults() {
    let config = parse("");
    assert_eq!(config, Config::default());
    assert_eq!(config.seal.grace, Duration::from_secs(3600));
    assert_eq!((config.files.mode, config.files.dir_mode), (0o440, 0o750));
    assert_eq!(config.plain.kind, Kind::Raw);
    assert_eq!(config.limits.answer_bytes, 5_800_000);
    assert_eq!(config.limits.lock_wait, Duration::from_secs(30));
}

#[test]
fn a_configuration_survives_being_written_and_read_again() {
    let config = Config::load(&sample()).unwrap();
    let mut again = parse(&toml::to_string(&config).unwrap());
    again.name.clone_from(&config.name);
    for (again, source) in again.sources.iter_mut().zip(&config.sources) {
        again.line = source.line;
    }
    assert_eq!(again, config);
}

const TEN_FAULTS: &str = r#"timezone = "JST"
colour = "red"

[[source]]
log_groups = ["/var/log/messages"]
log_grops = ["/var/log/secure"]
labels = ["HOGE", 1]
columns = ["{labels}", "{mesage}"]
file = "../messages"

[[source]]
log_groups = []

[[source]]
log_groups = ["/var/log/*"]
subscribe = "acount"

[format]
kind = "csw"
time = "%Q"

[seal]
grace = "1 fortnight"
journal_days = 0

[files]
mode = "0999"

[limits]
parallel = 0
"#;

#[test]
fn every_fault_is_reported_in_one_go_with_its_line() {
    let errors = errors(TEN_FAULTS);
    let shown = errors.to_string();
    let expected = [
        (1, "timezone", "write Asia/Tokyo"),
        (2, "colour", "unknown key; known here: timezone, defaults, source"),
        (6, "source[1].log_grops", "did you mean log_groups?"),
        (7, "source[1].labels[2]", "write a string in quotes: \"1\""),
        (8, "source[1].columns[2]", "did you mean {message}?"),
        (9, "source[1].file", "begins with a dot"),
        (12, "source[2].log_groups", "names no log group"),
        (16, "source[3].subscribe", "did you mean account?"),
        (19, "format.kind", "did you mean csv?"),
        (20, "format.time", "%Y-%m-%d"),
        (23, "seal.grace", "30s, 5m or 1h"),
        (24, "seal.journal_days", "at least 1"),
        (27, "files.mode", "\"0440\""),
        (30, "limits.parallel", "write 1 to 300"),
    ];
    for (problem, (line, key, says)) in errors.problems.iter().zip(expected) {
        assert_eq!((problem.line, problem.key.as_str()), (Some(line), key), "{shown}");
        assert!(problem.message.contains(says), "{says}: {problem}");
    }
    assert_eq!(errors.problems.len(), expected.len(), "{shown}");
    assert!(
        shown.contains(
            "hiwake.toml:6: source[1].log_grops: unknown key; did you mean log_groups?\n"
        )
    );
}

#[test]
fn torn_lines_do_not_hide_the_other_faults() {
    let errors = errors(
        "timezone = Asia/Tokyo\n[format\nkind = \"csv\"\n[seal]\ngrase = \"1h\"\n[limits]\nparallel = 0\n",
    );
    let lines: BTreeSet<_> = errors.problems.iter().filter_map(|problem| problem.line).collect();
    assert!(lines.is_superset(&[1, 2, 5, 7].into()), "{errors}");
}

#[test]
fn sections_and_lists_of_sections_are_told_apart() {
    let says = error("[source]\nlog_groups = [\"a\"]\n");
    assert_eq!(
        says,
        "hiwake.toml:1: source: sources are a list; write [[source]], with double brackets"
    );
    let says = error("[[format]]\nkind = \"csv\"\n");
    assert_eq!(says, "hiwake.toml:1: format: is not a list; write [format], with single brackets");
    assert!(error("format = 5\n").contains("format: is integer `5`; write a table"));
    assert!(error("source = [5]\n").contains("source[1]: is integer `5`; write a table"));
}

/// Characters too few, too many or others, or neighbours swapped, without regard to case.
#[test]
fn a_slip_of_the_finger_is_near_and_another_word_is_not() {
    let slips = [
        ("log_grops", "log_groups"),
        ("log_group", "log_groups"),
        ("fil", "file"),
        ("fiel", "file"),
        ("FILE", "file"),
    ];
    for (key, near) in slips {
        let says = error(&format!("[[source]]\nlog_groups = [\"/a\"]\n{key} = \"x\"\n"));
        assert!(says.ends_with(&format!("unknown key; did you mean {near}?")), "{says}");
    }
    assert!(error("colour = \"x\"\n").contains("unknown key; known here: timezone"));
}

#[test]
fn each_value_says_what_to_write_instead() {
    let source = "[[source]]\nlog_groups = [\"/a\"]\n";
    for (text, says) in [
        ("timezone = \"Asia/Tokio\"", "did you mean Asia/Tokyo?"),
        ("timezone = \"PST\"", "write America/Los_Angeles"),
        ("timezone = 9", "write a string in quotes: \"9\""),
        ("[seal]\ngrace = 5", "write a string in quotes: \"5\""),
        ("[seal]\ngrace = \"8days\"", "at most \"7days\""),
        ("[seal]\njournal_days = -1", "a whole number"),
        ("[seal]\njournal_days = \"90\"", "without quotes"),
        ("[seal]\ncompress = \"brotli\"", "write one of none, gzip"),
        ("[seal]\ncompress = true", "a string in quotes"),
        ("[plain]\ndrop = \"no\"", "true or false"),
        ("[plain]\nfile = \"{log_group}\"", "without {…}"),
        ("[plain]\nfile = \"a/2022-04-18.log\"", "looks like a day file"),
        ("[unmatched]\nfile = \".x\"", "begins with a dot"),
        ("[format]\nkind = \"tsv\"\nnewline = \"keep\"", "write escape or space"),
        ("[format]\ntime = \"\"", "empty pattern"),
        ("[format]\ntime = \"%#z\"", "`%#z` can parse times but not write them"),
        ("[format]\ntime = \"%H%n%M\"", "line break"),
        ("[files]\nmode = \"0640\"", "never written again"),
        ("[files]\nmode = \"0040\"", "could not read"),
        ("[files]\ndir_mode = \"0550\"", "enter a folder"),
        ("[limits]\nanswer_bytes = 7_000_000", "write 65536 to 6291556"),
        ("[limits]\nlock_wait = \"1h\"", "write 10ms to 10m"),
        ("[limits]\nbuffer_bytes = 2_000_000", "commit_bytes: is more than buffer_bytes"),
    ] {
        let shown = error(text);
        assert!(shown.contains(says), "{text}: {shown}");
    }
    for (text, says) in [
        ("labels = \"HOGE\"", "write an array"),
        ("labels = [\"a\\nb\"]", "labels[1]: contains a line break"),
        ("log_streams = []", "write [\"*\"] for all"),
        ("log_streams = [\"a:b\"]", "log stream names cannot contain ':'"),
        ("log_streams = [\"\"]", "write a name, or *"),
        ("columns = []", "gives empty lines"),
        ("columns = [\"at {time}\"]", "did you mean {time}?"),
        ("file = \"x-{group}\"", "`{group}` is not a capture"),
        ("file = \"{log_groups}\"", "did you mean {log_group}?"),
    ] {
        let shown = error(&format!("{source}{text}\n"));
        assert!(shown.starts_with("hiwake.toml:3: source[1]."), "{shown}");
        assert!(shown.contains(says), "{text}: {shown}");
    }
    assert!(
        error("[[source]]\nlog_groups = [\"a b\"]")
            .contains("log_groups[1]: log group names cannot contain ' '")
    );
    assert!(
        error("[[source]]\nfile = \"x\"")
            .starts_with("hiwake.toml:1: source[1].log_groups: names no")
    );
}

#[test]
fn a_file_that_is_not_there_or_not_text_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let error = Config::load(&path).unwrap_err();
    assert!(error.to_string().contains("none.toml: cannot be read"), "{error}");
    let path = crate::given::put(folder.path(), "bytes.toml", b"# a\n# \xff\n");
    let error = Config::load(&path).unwrap_err();
    assert!(error.to_string().contains("bytes.toml:2: is not UTF-8"), "{error}");
}

#[test]
fn two_kinds_below_one_name_are_refused() {
    let source = "[[source]]\nlog_groups = [\"/a\"]\nfile = \"x\"\n";
    let says = error(&format!("{source}[plain]\nfile = \"x\"\n"));
    assert!(
        says.starts_with("hiwake.toml:5: plain.file: `x` is also the file of source[1] (line 1)"),
        "{says}"
    );
    let says = error("[unmatched]\nfile = \"plain\"\n");
    assert!(says.contains("plain.file: `plain` is also the file of [unmatched]"), "{says}");
    parse(&format!("{source}[plain]\nfile = \"x\"\nkind = \"csv\"\n"));
}

#[test]
fn what_is_allowed_but_perhaps_not_meant_is_a_warning() {
    let config = parse(
        "[[source]]\nlog_groups = [\"/a/*\"]\nfile = \"{log_group}/{log_stream}\"\n[seal]\ngrace = \"1m\"\n",
    );
    let warnings: Vec<_> = config.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(
        warnings[0].starts_with("hiwake.toml:1: source[1].file: {log_stream} creates a day file")
    );
    assert!(warnings[1].starts_with("hiwake.toml:1: source[1].subscribe: filter subscribes only"));
    assert!(warnings[2].contains("seal.grace"));
    assert!(Config::default().warnings()[0].message.contains("[unmatched]"));
}

#[test]
fn the_environment_lists_what_is_read() {
    let names: Vec<_> = hiwake::config::ENVIRONMENT.iter().map(|variable| variable.name).collect();
    assert_eq!(
        names,
        [
            "HIWAKE_CONFIG",
            "HIWAKE_ROOT",
            "HIWAKE_PIPELINE",
            "AWS_LAMBDA_LOG_LEVEL",
            "AWS_REGION",
            "HOME"
        ]
    );
    let path = Config::path_from_env().unwrap();
    assert_eq!(path.file_name().unwrap(), "hiwake.toml");
    assert_eq!(parse("[format]\nnewline = \"space\"\n").format.newline, Newline::Space);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(\\[\\[?source\\]\\]?\n|[a-z_]{1,6} = |\\[|\\]|\"|'|\\{|[a-z0-9.*\\n]{1,4}){0,12}") {
        if let Err(errors) = Config::parse("x", &text) {
            prop_assert!(!errors.problems.is_empty());
        }
    }
}
