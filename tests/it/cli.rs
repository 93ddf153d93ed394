//! The command line as it is typed: the real binary, real files, exit codes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::given;

/// A folder to work in; commands run at the top of the repository, with its `hiwake.toml`.
pub struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Desk {
        Desk { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        given::put(self.folder.path(), name, bytes).to_str().unwrap().to_owned()
    }

    /// Runs `hiwake` with `@name` in its arguments standing for a path in the folder.
    pub fn hiwake(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hiwake"));
        command.current_dir(given::folder()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for argument in arguments.split_whitespace() {
            match argument.strip_prefix('@') {
                Some(name) => command.arg(self.path(name)),
                None => command.arg(argument.replace('~', " ")),
            };
        }
        command
    }

    pub fn ok(&self, arguments: &str) -> String {
        let output = self.hiwake(arguments);
        assert!(output.status.success(), "{arguments}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn fails(&self, code: i32, arguments: &str) -> String {
        let output = self.hiwake(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What readers see below a folder.
    pub fn published(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let files = given::tree(&self.path(name)).into_iter();
        files.filter(|(name, _)| !name.starts_with(".hiwake/")).collect()
    }
}

pub const SYSLOG: &str =
    "--log-group /var/log/messages --timestamp-format %b~%d~%H:%M:%S --year 2005";

#[test]
fn the_line_of_the_readme_lands_in_its_day() {
    let desk = Desk::new();
    desk.ok("run events/firehose-hogehoge.json --root @root");
    let line = "HOGE,HOGE,1,HOGEHOGE,Apr 17 16:59:07 host ec2-user: 2022-04-16 05:54:17 hogehoge connect\n";
    assert_eq!(desk.text("root/messages/2022-04-18.csv.open"), line);
    let explained = desk.ok(
        "config explain --log-group /var/log/messages --timestamp 1650214747000 --message Apr~17~16:59:07~host~ec2-user:~2022-04-16~05:54:17~hogehoge~connect",
    );
    assert!(
        explained.contains("messages/2022-04-18.csv") && explained.contains(line),
        "{explained}"
    );
}

#[test]
fn the_lines_of_a_log_file_keep_their_order_and_find_their_days() {
    let desk = Desk::new();
    let mut log = String::new();
    for day in 14..=17 {
        for n in 0..200 {
            // Logs step back now and then, and have lines of one second and of none.
            let second = if n % 50 == 7 { n / 4 - 1 } else { n / 4 };
            log += &format!("Jun {day} 23:59:{second:02} combo app[{n}]: \"ok\", {n}\n");
            if n % 60 == 3 {
                log += "\tat continued(line)\n\n";
            }
        }
    }
    let log_file = desk.write("messages", log.as_bytes());
    let run = format!("run {log_file} {SYSLOG} --root @root --now 2006-01-02T00:00:00Z");
    desk.ok(&run);
    desk.ok("seal --root @root --now 2006-01-03T00:00:00Z");
    let published = desk.published("root");
    let mut messages = Vec::new();
    for (name, bytes) in &published {
        let Some(stem) = name.strip_suffix(".csv") else { continue };
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader.has_headers(false).flexible(true).from_reader(&bytes[..]);
        for record in reader.records() {
            let message = record.unwrap()[4].to_owned();
            let day = stem.rsplit('-').next().unwrap();
            assert!(!message.starts_with("Jun") || message[4..6] == *day, "{message} in {day}");
            messages.push(message);
        }
    }
    assert_eq!(messages, log.lines().collect::<Vec<_>>());
    let mut sums = Command::new("sha256sum");
    sums.args(["--quiet", "-c"]).current_dir(desk.path("root/messages"));
    let names = published.keys().filter(|name| name.ends_with(".sha256"));
    sums.args(names.map(|name| name.strip_prefix("messages/").unwrap()));
    assert!(sums.status().unwrap().success());

    let again = desk.ok(&run);
    assert!(again.contains(" 0 new lines (0 late), 832 already landed, 0 quarantined"), "{again}");
    desk.ok("seal --root @root --now 2006-01-03T00:00:00Z");
    assert_eq!(desk.published("root"), published);
}

#[test]
fn landing_twice_and_at_the_same_time_is_landing_once() {
    let desk = Desk::new();
    desk.ok(&format!("run events/messages.log {SYSLOG} --root @other --bucket @s3"));
    desk.ok("land @s3/landing --root @once");
    let once = desk.published("once");
    assert_eq!(once.len(), 3);
    let racers: Vec<_> =
        (0..4).map(|_| desk.command("land @s3/landing --root @raced").spawn().unwrap()).collect();
    for racer in racers {
        let output = racer.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    desk.ok("land @s3/landing --root @once");
    assert_eq!(desk.published("once"), once);
    assert_eq!(desk.published("raced"), once);
}

#[test]
fn all_shapes_of_objects_land_as_the_same_lines() {
    let desk = Desk::new();
    desk.ok("run events/firehose-japanese.json events/firehose-midnight.json events/firehose-several-members.json --root @root --bucket @s3");
    let rows = desk.ok("cat @s3/landing --rows");
    assert!(rows.lines().count() > 6, "{rows}");
    assert_eq!(desk.ok("cat @s3/backup --rows"), rows);
    let lines = desk.ok("cat @s3/backup");
    assert_eq!(desk.ok("cat @s3/landing"), lines);
    let events = desk.ok("cat @s3/backup --events");
    let last = |event: &str| event.rsplit('\t').next().unwrap().to_owned();
    assert_eq!(events.lines().map(last).collect::<Vec<_>>(), lines.lines().collect::<Vec<_>>());
    assert!(events.starts_with("2022-04-"), "{events}");
    desk.ok("land @s3/backup --root @again");
    assert_eq!(desk.published("again"), desk.published("root"));
}

#[test]
fn cat_finds_an_event_by_the_id_that_cloudwatch_gave_it() {
    const ID: &str = "33341240891540858630849050807283117207149885780503101441";
    let desk = Desk::new();
    desk.ok("run events/firehose-cloudwatch-logs.json --root @root --bucket @s3 --now 2017-05-18T12:00:00+09:00");
    let event = desk.ok(&format!("cat --events --id {ID} @s3/backup"));
    assert!(event.lines().count() == 1 && event.contains(&format!("\t{ID}\t")), "{event}");
    let row = desk.ok(&format!("cat --rows --id {ID} @s3/landing"));
    let row: Value = serde_json::from_str(&row).unwrap();
    assert!(row["id"].as_str().unwrap().starts_with('~'), "{row}");
    let short =
        desk.command("cat @s3/landing").args(["--id", row["id"].as_str().unwrap()]).output();
    assert_eq!(short.unwrap().stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
}

#[test]
fn status_shows_every_day_file_as_json_and_as_a_table() {
    let desk = Desk::new();
    desk.ok(&format!(
        "run events/messages.log {SYSLOG} --root @root --now 2005-04-18T08:00:00+09:00"
    ));
    desk.ok("seal --root @root --now 2005-04-18T12:00:00+09:00");
    let status: Value = serde_json::from_str(&desk.ok("status --root @root --json")).unwrap();
    let states: Vec<_> = status.as_array().unwrap().iter().map(|day| &day["state"]).collect();
    assert_eq!(states, ["sealed", "sealed", "open"]);
    assert_eq!(
        (&status[0]["lines"], &status[0]["paths"][0]),
        (&5.into(), &"messages/2005-04-16.csv".into())
    );
    let table = desk.ok("status --root @root");
    assert_eq!(table.lines().count(), 6, "{table}");
}

#[test]
fn seal_announces_what_it_sealed() {
    let desk = Desk::new();
    desk.ok(&format!(
        "run events/messages.log {SYSLOG} --root @root --now 2005-04-18T08:00:00+09:00"
    ));
    let answer = desk.ok("seal --root @root --now 2005-04-18T12:00:00+09:00 --json");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["sealed"].as_array().unwrap().len(), 2);
    let first = &answer["sealed"][0];
    assert_eq!((&first["path"], &first["lines"]), (&"messages/2005-04-16.csv".into(), &5.into()));
    let sum = desk.text("root/messages/2005-04-16.csv.sha256");
    assert!(sum.starts_with(first["sha256"].as_str().unwrap()));
}

#[test]
fn transform_answers_from_a_file_and_from_standard_input() {
    let desk = Desk::new();
    let from_file = desk.ok("transform events/firehose-mixed-batch.json");
    let mut command = desk.command("transform -");
    command
        .stdin(fs::File::open(given::folder().join("events/firehose-mixed-batch.json")).unwrap());
    let from_stdin = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert_eq!(from_file, from_stdin);
    let answer: Value = serde_json::from_str(&from_file).unwrap();
    assert!(
        answer["records"].as_array().unwrap().iter().any(|r| r["result"] == "ProcessingFailed")
    );
}

#[test]
fn a_damaged_object_is_named_and_kept_and_the_others_land() {
    let desk = Desk::new();
    let good = given::gzipped(&given::envelope(&["good"]));
    desk.write("in/good.gz", &good);
    desk.write("in/torn.gz", &good[..good.len() - 9]);
    let errors = desk.fails(1, "land @in --root @root");
    assert!(errors.contains("in/torn.gz") && errors.contains("quarantined"), "{errors}");
    assert_eq!(desk.text("root/messages/2022-04-18.csv.open").lines().count(), 1);
    let quarantine = fs::read_dir(desk.path("root/.hiwake/quarantine")).unwrap();
    let kept = fs::read_to_string(quarantine.last().unwrap().unwrap().path()).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert!(kept["object"].as_str().unwrap().contains("torn.gz") && kept["bytes"].is_string());
}

#[test]
fn mistakes_say_what_to_do() {
    let desk = Desk::new();
    let bad =
        desk.write("bad.toml", b"[[source]]\nlog_grops = [\"x\"]\n[seal]\ngrace = \"soon\"\n");
    let errors = desk.fails(2, &format!("status --root @root --config {bad}"));
    assert!(errors.contains("log_grops") && errors.contains("log_groups"), "{errors}");
    assert!(errors.contains("bad.toml:4"), "{errors}");
    assert!(desk.fails(2, "status --root @root --config @none.toml").contains("none.toml"));
    assert!(desk.fails(1, "status --root @nowhere").contains("nowhere"));
    assert!(desk.fails(1, "land @nothing --root @root").contains("does not exist"));
    assert!(
        desk.fails(2, "seal --root @root --now yesterday").contains("2022-04-19T02:00:00+09:00")
    );
    assert!(desk.fails(2, "run x --log-group g --timestamp-format %b~%d").contains("hour"));
    let event = desk.write("event.json", b"{\"records\":1}");
    assert!(desk.fails(1, &format!("transform {event}")).contains("event.json"));
}
