//! `hiwake run` of log files: each line once, whatever became of the file meanwhile, and in the day
//! that its line says. The cases are those of the audit.

use std::fs::{self, File};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use crate::cli::Desk;
use crate::given::gzip;

const RUN: &str =
    "--log-group /var/log/messages --root @root --bucket @s3 --now 2022-04-19T08:00:00+09:00";
const LINES: &str =
    "Apr 17 16:59:07 host one\nApr 17 16:59:07 host one\nApr 17 16:59:08 host two\n";

/// New lines, and lines that had landed.
fn counts(desk: &Desk, inputs: &str) -> (u64, u64) {
    let said: Value =
        serde_json::from_str(&desk.ok(&format!("run {inputs} {RUN} --json"))).unwrap();
    (said["lines"].as_u64().unwrap(), said["duplicates"].as_u64().unwrap())
}

fn touch(desk: &Desk, name: &str) {
    let file = File::options().write(true).open(desk.path(name)).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_650_300_000)).unwrap();
}

/// Case 07: without timestamps the file's own time was taken, so that a touch doubled every line.
#[test]
fn case_07_a_grown_log_file_is_not_doubled() {
    let desk = Desk::new();
    desk.write("app.log", b"one\ntwo\n");
    let said = desk.fails(1, &format!("run @app.log {RUN}"));
    assert!(said.contains("app.log: its first 2 lines have no timestamp"), "{said}");
    assert!(said.contains("--timestamp-format FORMAT") && said.contains("--at TIME"), "{said}");
    let at = "@app.log --at 2022-04-18T01:59:07";
    assert_eq!(counts(&desk, at), (2, 0));
    desk.write("app.log", b"one\ntwo\nthree\n");
    touch(&desk, "app.log");
    assert_eq!(counts(&desk, at), (1, 2));
    assert_eq!(desk.text("root/messages/2022-04-18.csv.open").lines().count(), 3);
}

#[test]
fn a_log_file_lands_once_when_it_is_touched_copied_and_rotated() {
    let desk = Desk::new();
    desk.write("log/messages", LINES.as_bytes());
    assert_eq!(counts(&desk, "@log/messages"), (3, 0));
    touch(&desk, "log/messages");
    assert_eq!(counts(&desk, "@log"), (0, 3), "touched, and by its folder");
    desk.write("elsewhere/deep/messages", LINES.as_bytes());
    assert_eq!(counts(&desk, "@elsewhere/deep/messages"), (0, 3), "copied");
    assert_eq!(counts(&desk, "@elsewhere"), (0, 3), "copied, by a folder");
    // Without its last line break it is the same, too.
    desk.write("cut/messages", LINES.trim_end().as_bytes());
    assert_eq!(counts(&desk, "@cut/messages"), (0, 3));

    // It grows, is renamed, and another begins with the same lines a second later.
    let grown = format!("{LINES}Apr 17 17:00:00 host three\n");
    let next = "Apr 17 17:00:01 host one\nApr 17 17:00:01 host one\nApr 17 17:00:01 host two\n";
    fs::remove_file(desk.path("log/messages")).unwrap();
    desk.write("log/messages-20220418", grown.as_bytes());
    desk.write("log/messages", next.as_bytes());
    assert_eq!(counts(&desk, "@log"), (4, 3), "rotated by date");
    for name in ["messages-20220418.gz", "messages.2.gz"] {
        desk.write(&format!("log/{name}"), &gzip(grown.as_bytes()));
    }
    desk.write("log/messages.1", next.as_bytes());
    assert_eq!(counts(&desk, "@log"), (0, 4 + 4 + 4 + 3 + 3), "copies of a log among the rotated");
    assert_eq!(counts(&desk, "@log/messages.2.gz"), (0, 4), "rotated, by name");
    assert_eq!(desk.text("root/messages/2022-04-17.csv.open").lines().count(), 7);
}

#[test]
fn two_hosts_messages_are_two_logs_and_each_can_be_read_alone() {
    let desk = Desk::new();
    for host in ["host1", "host2"] {
        desk.write(&format!("logs/{host}/messages"), LINES.as_bytes());
    }
    let output = desk.hiwake(&format!("run @logs {RUN}"));
    let said = String::from_utf8(output.stderr).unwrap();
    let hint = "distinguished by their folders, e.g. host1/messages: to read one alone, give \
                --log-stream host1/messages";
    assert_eq!(said.matches(hint).count(), 1, "{said}");
    assert_eq!(desk.text("root/messages/2022-04-17.csv.open").lines().count(), 6);
    assert_eq!(counts(&desk, "@logs"), (0, 6));
    desk.write("logs/host1/messages.1", LINES.as_bytes());
    assert_eq!(counts(&desk, "@logs/host1 --log-stream host1/messages"), (0, 6));
    assert!(desk.fails(2, &format!("run @logs {RUN} --log-stream s")).contains("omit it"));
}

/// Case 09: the first line of a file with a byte order mark was lost.
#[test]
fn case_09_a_byte_order_mark_is_skipped() {
    let desk = Desk::new();
    let text = "\u{feff}2022-04-18 01:00:00 first\n2022-04-18 01:00:01 second\n";
    desk.write("app.log", text.as_bytes());
    let format = "@app.log --timestamp-format %Y-%m-%d~%H:%M:%S";
    assert_eq!(counts(&desk, format), (2, 0));
    assert_eq!(counts(&desk, "@app.log"), (0, 2), "recognised");
    let landed = desk.text("root/messages/2022-04-18.csv.open");
    assert!(landed.starts_with("HOGE,HOGE,1,HOGEHOGE,2022-04-18 01:00:00 first\n"), "{landed}");
}

/// Case 10: a leap second landed in the next day.
#[test]
fn case_10_a_leap_second_lands_in_the_day_that_it_ends() {
    let desk = Desk::new();
    let toml = "timezone = \"UTC\"\n[[source]]\nlog_groups = [\"*\"]\nfile = \"f\"\n";
    let config = desk.write("utc.toml", toml.as_bytes());
    desk.write("app.log", b"2016-12-31 23:59:60 leap\n2016-12-31T23:59:60Z another\n");
    for format in ["--timestamp-format %Y-%m-%d~%H:%M:%S", ""] {
        desk.ok(&format!("run @app.log --config {config} {format} {RUN}"));
        assert_eq!(desk.text("root/f/2016-12-31.csv.open").lines().count(), 2);
    }
    assert!(!desk.path("root/f/2017-01-01.csv.open").exists());
    let row: Value =
        serde_json::from_str(desk.ok("cat --rows @s3/landing").lines().next().unwrap()).unwrap();
    assert_eq!(row["timestamp"], 1_483_228_799_999_i64);
}

/// Case 17: lines above a file's first timestamp could not be landed.
#[test]
fn case_17_lines_above_the_first_timestamp_land_with_it() {
    let desk = Desk::new();
    desk.write("u_ex.log", b"#Fields: date time s-ip\n2022-04-18 01:00:00 192.0.2.1\n");
    let format = "@u_ex.log --timestamp-format %Y-%m-%d~%H:%M:%S";
    assert_eq!(counts(&desk, format), (2, 0));
    let landed = desk.text("root/messages/2022-04-18.csv.open");
    let lines: Vec<_> = landed.lines().map(|line| line.rsplit(',').next().unwrap()).collect();
    assert_eq!(lines, ["#Fields: date time s-ip", "2022-04-18 01:00:00 192.0.2.1"]);
}

#[test]
fn a_dry_run_says_what_would_land_and_writes_nothing() {
    let desk = Desk::new();
    let text = b"Apr 17 23:59:59 a\nApr 18 00:00:00 b\nb\xff\nApr 18 00:00:01 c\n";
    desk.write("app.log", text);
    let run = format!("run @app.log {RUN} --dry-run");
    let output = desk.hiwake(&run);
    assert_eq!(output.status.code(), Some(1), "a problem");
    let said = String::from_utf8(output.stdout).unwrap();
    let table = " FILE      DAY         EVENTS  LANDED  NEW  GO TO
 messages  2022-04-17       1       0    1  messages/2022-04-17.csv
 messages  2022-04-18       2       0    2  messages/2022-04-18.csv
would land 3 rows: 3 new lines (0 late), 0 already landed, 0 quarantined; 1 problem
";
    assert_eq!(said, table);
    assert!(String::from_utf8(output.stderr).unwrap().contains("app.log:3: not UTF-8"));
    assert!(!desk.path("root").exists() && !desk.path("s3").exists());

    desk.write("app.log", b"Apr 17 23:59:59 a\n");
    desk.ok(&format!("run @app.log {RUN}"));
    let before = (desk.published("root"), desk.published("s3"));
    desk.write("app.log", b"Apr 17 23:59:59 a\nApr 18 00:00:00 b\n");
    let said: Value = serde_json::from_str(&desk.ok(&format!("{run} --json"))).unwrap();
    assert_eq!((&said["problems"], &said["records_failed"]), (&0.into(), &0.into()));
    let days: Vec<_> = said["days"].as_array().unwrap().iter().collect();
    assert_eq!((&days[0]["there"], &days[0]["new"]), (&1.into(), &0.into()));
    assert_eq!((&days[1]["there"], &days[1]["new"]), (&0.into(), &1.into()));
    assert_eq!((desk.published("root"), desk.published("s3")), before);
    assert!(desk.ok(&format!("run @app.log {RUN}")).contains("1 new line "));
}

/// A Firehose event whose record the transform refuses.
#[test]
fn a_dry_run_counts_what_would_be_refused() {
    let desk = Desk::new();
    let root = "--root @root --bucket @s3 --now 2022-04-19T08:00:00+09:00";
    let run = format!("run events/firehose-mixed-batch.json {root} --dry-run --json");
    let output = desk.hiwake(&run);
    assert_eq!(output.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(said["records_failed"].as_u64().unwrap() > 0, "{said}");
    assert!(said["tally"]["quarantined"].as_u64().unwrap() > 0, "{said}");
    assert!(!desk.path("root").exists() && !desk.path("s3").exists());
}

/// A gzip that was cut stopped all files behind it.
#[test]
fn a_damaged_gzip_is_named_with_a_remedy_and_the_other_files_land() {
    let desk = Desk::new();
    let whole = gzip(LINES.repeat(2_000).as_bytes());
    desk.write("log/a.log.gz", &whole[..whole.len() - 20]);
    desk.write("log/b.log", LINES.as_bytes());
    let said = desk.fails(1, &format!("run @log {RUN}"));
    assert!(said.contains("a.log.gz: its gzip is truncated or damaged after line "), "{said}");
    let text = desk.text("root/messages/2022-04-17.csv.open");
    assert!(text.lines().count() >= 3, "{said}");
}
