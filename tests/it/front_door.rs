//! What a new user trips over: each message says what is wrong and what to write instead.

use std::process::Command;

use crate::cli::{Desk, SYSLOG};
use crate::given;

const NOON: &str = "2022-04-18T12:00:00+09:00";

fn landed() -> Desk {
    let desk = Desk::new();
    desk.ok(&format!("run events/messages.log {} --root @root", SYSLOG.replace("2005", "2022")));
    desk
}

#[test]
fn demo_runs_the_pipeline_in_a_new_folder_and_replaces_only_its_own() {
    let desk = Desk::new();
    let said = desk.ok("demo @demo");
    assert!(said.contains("sealed messages/2022-04-17.csv: 13 lines"), "{said}");
    assert!(said.ends_with("ec2-user: 2022-04-16 05:54:17 hogehoge connect\n"), "{said}");
    assert!(said.contains(": 0 wrong"), "{said}");
    assert_eq!(desk.ok("demo @demo"), said);
    desk.write("mine/file", b"");
    let said = desk.fails(1, "demo @mine");
    assert!(said.contains("contains files that are not a demo's"), "{said}");
    assert!(desk.path("mine/file").exists());
}

#[test]
fn every_command_of_the_demo_works_in_its_folder_as_it_is_shown() {
    let desk = Desk::new();
    let said = desk.ok("demo @demo");
    let commands = said.lines().filter_map(|line| line.strip_prefix("$ hiwake "));
    let mut run = 0;
    for command in commands {
        let shell = format!("{} {command}", env!("CARGO_BIN_EXE_hiwake"));
        let mut sh = Command::new("sh");
        let output = sh.args(["-c", &shell]).current_dir(desk.path("demo")).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        run += 1;
    }
    assert_eq!(run, 5);
}

#[test]
fn nothing_is_due_says_what_is_open_and_when_the_next_is_due() {
    let desk = landed();
    desk.ok(&format!("seal --root @root --now {NOON}"));
    let said = desk.ok(&format!("seal --root @root --now {NOON}"));
    let wanted = "nothing is due: 1 open, the next is messages/2022-04-18.csv from ";
    assert!(said.starts_with(wanted), "{said}");
    let at = said.strip_prefix(wanted).unwrap().split_once(" on").unwrap().0;
    let at = chrono::DateTime::parse_from_rfc3339(at).unwrap();
    let before = (at - chrono::Duration::seconds(1)).to_rfc3339();
    let said = desk.ok(&format!("seal --root @root --now {before}"));
    assert!(said.starts_with("nothing is due"), "{said}");
    let said = desk.ok(&format!("seal --root @root --now {}", at.to_rfc3339()));
    assert!(said.starts_with("sealed messages/2022-04-18.csv"), "{said}");
    let said = desk.ok(&format!("seal --root @root --now {}", at.to_rfc3339()));
    assert_eq!(said, "nothing is due: no day is open\n");
}

#[test]
fn since_takes_a_day_and_how_long_ago() {
    let desk = landed();
    let replay = |since: &str| {
        desk.ok(&format!("replay @root.s3/backup --root @root --dry-run --since {since}"))
    };
    assert!(replay("1h").contains("22 already landed"));
    assert!(replay("2022-04-18").contains("22 already landed"));
    let tomorrow = (chrono::Utc::now() + chrono::Duration::days(2)).format("%Y-%m-%d").to_string();
    assert!(replay(&tomorrow).starts_with("would read 0 events"));
    let said = desk.fails(2, "replay @root.s3/backup --root @root --since yesterday");
    assert!(said.contains("2022-04-19") && said.contains("1h"), "{said}");
}

#[test]
fn a_folder_that_is_no_root_is_named_and_stays_as_it_is() {
    let desk = Desk::new();
    desk.write("folder/file", b"");
    for command in ["seal", "status", "verify"] {
        let said = desk.fails(2, &format!("{command} --root @folder"));
        assert!(said.contains("is not a root of hiwake: it has no .hiwake folder"), "{said}");
        assert_eq!(given::tree(&desk.path("folder")).len(), 1, "{command}");
    }
    let output = desk.hiwake(&format!("run events/messages.log {SYSLOG} --root @folder"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("has no .hiwake folder: it becomes a root now"), "{said}");
    let output = desk.hiwake(&format!("run events/messages.log {SYSLOG} --root @folder"));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_fraction_of_a_second_is_written_so_that_it_means_one_thing() {
    let desk = Desk::new();
    let log = desk.write("app.log", b"2022-04-18 01:02:03.25 one\n2022-04-18 01:02:03.5 two\n");
    let run = |format: &str| {
        format!("run {log} --log-group g --timestamp-format %Y-%m-%d~%H:%M:%S{format} --root @root")
    };
    let said = desk.fails(2, &run(".%f"));
    assert!(said.contains("%f") && said.contains("write %.f"), "{said}");
    desk.ok(&run("%.f"));
    let rows = desk.ok("cat --rows @root.s3/landing");
    let times: Vec<&str> = rows
        .lines()
        .map(|row| row.split_once("\"timestamp\":").unwrap().1)
        .map(|rest| rest.split_once(',').unwrap().0)
        .collect();
    assert_eq!(times, ["1650211323250", "1650211323500"]);
}

#[test]
fn a_label_that_looks_like_a_column_is_refused() {
    let desk = Desk::new();
    let toml = "[[source]]\nlog_groups = [\"g\"]\nlabels = [\"{log_group}\", \"a{b}c\", \"{}\", \"{A}\"]\n";
    let config = desk.write("hiwake.toml", toml.as_bytes());
    let said = desk.fails(2, &format!("--config {config} config check"));
    let wrong: Vec<&str> = said.lines().collect();
    assert_eq!(wrong.len(), 2, "{said}");
    assert!(wrong[0].ends_with("labels are fixed text; write {log_group} into columns"), "{said}");
    assert!(wrong[1].contains("`{b}` is not a capture in all of its log_groups"), "{said}");
}

#[test]
fn missing_credentials_are_one_plain_sentence() {
    let desk = Desk::new();
    for command in
        ["cat s3://bucket/key", "backfill --log-group g --root @root --since 1d --until 0s"]
    {
        let output = desk
            .command(command)
            .env_clear()
            .env("HOME", "/nonexistent")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_REGION", "ap-northeast-1")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("AWS credentials: none were found: set AWS_PROFILE"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn cat_says_when_it_is_given_a_root_or_an_id_that_is_nowhere() {
    let desk = landed();
    let said = desk.fails(2, "cat @root");
    assert!(said.contains("is a root of daily files"), "{said}");
    let said = desk.fails(1, "cat @root.s3/landing --id 1");
    assert_eq!(said, "the objects contain no event with the id 1\n");
}

#[test]
fn status_fits_80_columns() {
    let desk = landed();
    desk.ok(&format!("seal --root @root --now {NOON}"));
    let said = desk.ok("status --root @root");
    assert_eq!(said.lines().count(), 6, "{said}");
    desk.ok("run events/messages.log --log-group /var/log/a-long-name/of-a-service --root @root");
    let said = format!("{said}{}", desk.ok("status --root @root"));
    assert!(said.contains("unmatched"), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
}

#[test]
fn transform_lines_has_a_line_an_event_and_one_for_each_record_without_any() {
    let desk = Desk::new();
    let said = desk.ok("transform --lines events/firehose-mixed-batch.json");
    let count = |result: &str| said.lines().filter(|line| line.starts_with(result)).count();
    assert_eq!(
        ["Ok\t", "Dropped\t", "ProcessingFailed\t", "Refused\t"].map(count),
        [6, 2, 6, 1],
        "{said}"
    );
    let said = desk.ok("transform --lines events/firehose-hogehoge.json");
    let line =
        "HOGE,HOGE,1,HOGEHOGE,Apr 17 16:59:07 host ec2-user: 2022-04-16 05:54:17 hogehoge connect";
    assert_eq!(said, format!("Ok\tmessages/2022-04-18.csv\t{line}\n"));
}
