//! The exactly-once cases, by the real command.

use std::fs;

use serde_json::Value;

use super::*;
use crate::processes::Seeded;

#[test]
fn all_of_backup_over_a_tree_that_has_everything_changes_no_byte() {
    let desk = delivered(120);
    desk.ok(LAND);
    let before = given::tree(&desk.path("root"));
    let said = desk.ok(REPLAY);
    assert!(said.starts_with("read 120 events of "), "{said}");
    assert!(
        said.ends_with(" objects: 0 new lines (0 late), 120 already landed, 0 skipped\n"),
        "{said}"
    );
    assert_eq!(given::tree(&desk.path("root")), before);
    desk.ok("seal --root @root --config @hiwake.toml --now 2022-04-20T00:00:00+09:00");
    let sealed = given::tree(&desk.path("root"));
    desk.ok(REPLAY);
    assert_eq!(given::tree(&desk.path("root")), sealed);
}

#[test]
fn over_a_tree_from_which_any_objects_are_missing_exactly_the_gap_is_filled() {
    let mut seeded = Seeded(7);
    for round in 0..4 {
        let desk = delivered(60);
        let landing = files(&desk, "s3/landing");
        assert!(landing.len() > 10);
        let missing = landing.iter().filter(|_| seeded.below(4) < round);
        missing.for_each(|path| fs::remove_file(path).unwrap());
        desk.ok(LAND);
        let before = sorted(&fs::read_to_string(desk.path(OPEN_BELOW_ROOT)).unwrap_or_default())
            .len() as u64;
        let answer = replay(&desk, "");
        assert_eq!(answer["new"], 60 - before, "{answer}");
        assert_eq!(answer["already_landed"], before, "{answer}");
        let expected: Vec<_> = (0..60).map(|n| format!("HOGE,1,event {n}")).collect();
        assert_eq!(sorted(&desk.text(OPEN_BELOW_ROOT)), sorted(&expected.join("\n")));
    }
}

#[test]
fn a_part_and_then_all_of_it_is_all_of_it_once() {
    let desk = delivered(40);
    let other = given::gzipped(&serde_json::json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/lambda/api",
        "logStream": "s", "subscriptionFilters": [],
        "logEvents": [{"id": "x", "timestamp": given::T - 86_400_000, "message": "m"}],
    }));
    desk.write("s3/backup/other", &other);
    desk.write("s3/backup/plain", b"demo data\nand more\n");
    let answer = replay(&desk, "--log-group /var/*");
    assert_eq!((&answer["new"], &answer["skipped"]), (&40.into(), &3.into()), "{answer}");
    let reasons = &answer["skipped_by_reason"];
    assert_eq!((&reasons["other_log_group"], &reasons["plain_text"]), (&1.into(), &2.into()));
    let answer = replay(&desk, "--day 2022-04-17");
    assert_eq!(
        (&answer["new"], &answer["skipped_by_reason"]["other_day"]),
        (&1.into(), &40.into())
    );
    let answer = replay(&desk, "");
    assert_eq!((&answer["new"], &answer["already_landed"]), (&0.into(), &41.into()), "{answer}");
    let answer = replay(&desk, "--include-plain");
    assert_eq!((&answer["new"], &answer["skipped"]), (&2.into(), &0.into()), "{answer}");
    assert_eq!(answer["read"], 43);
}

#[test]
fn into_a_sealed_day_what_is_missing_goes_to_the_late_file() {
    let desk = delivered(40);
    let landing = files(&desk, "s3/landing");
    landing[..3].iter().for_each(|path| fs::remove_file(path).unwrap());
    desk.ok(LAND);
    desk.ok("seal --root @root --config @hiwake.toml --now 2022-04-20T00:00:00+09:00");
    let sealed = desk.text("root/messages/2022-04-18.csv");
    let planned = desk.ok(&format!("{REPLAY} --dry-run"));
    let answer = replay(&desk, "");
    assert!(answer["new"].as_u64() > Some(0) && answer["new"] == answer["late"], "{answer}");
    let late = format!("{} new lines ({} late)", answer["new"], answer["late"]);
    assert!(planned.contains("the late file") && planned.contains(&late), "{planned}");
    assert_eq!(desk.text("root/messages/2022-04-18.csv"), sealed);
    let late = desk.text("root/messages/2022-04-18.late.csv.open");
    assert_eq!(sealed.lines().count() + late.lines().count(), 40);
}

#[test]
fn a_dry_run_writes_nothing_and_tells_what_a_replay_then_does() {
    let desk = delivered(50);
    desk.write("s3/backup/torn", &gzip(&envelope(&[("1", "a")]))[..40]);
    let dry = |json: &str| desk.hiwake(&format!("{REPLAY} --dry-run {json}"));
    let nothing = dry("");
    assert!(!desk.path("root").exists(), "{nothing:?}");
    let landing = files(&desk, "s3/landing");
    landing[..4].iter().for_each(|path| fs::remove_file(path).unwrap());
    desk.ok(LAND);
    let before = given::tree(&desk.path("root"));
    let planned = dry("--json");
    assert_eq!(planned.status.code(), Some(1), "something would be put into quarantine");
    assert_eq!(given::tree(&desk.path("root")), before);
    let planned: Value = serde_json::from_slice(&planned.stdout).unwrap();
    let replayed = desk.hiwake(&format!("{REPLAY} --json"));
    let replayed: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(planned["tally"]["lines"], replayed["new"], "{planned} {replayed}");
    assert_eq!(planned["tally"]["duplicates"], replayed["already_landed"]);
    assert_eq!(planned["tally"]["quarantined"], replayed["skipped_by_reason"]["quarantined"]);
    assert_eq!(planned["days"][0]["events"], 50);
}

#[test]
fn a_dry_run_needs_no_write_access() {
    let desk = delivered(10);
    desk.ok(LAND);
    let mut trace = std::process::Command::new("strace");
    trace.args([
        "-f",
        "-qq",
        "-e",
        "trace=openat,mkdirat,renameat,unlinkat,ftruncate,pwrite64",
        "-o",
    ]);
    trace.arg(desk.path("trace")).arg(env!("CARGO_BIN_EXE_hiwake"));
    let dry = desk.command(&format!("{REPLAY} --dry-run"));
    let output = trace.args(dry.get_args()).current_dir(given::folder()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let calls = desk.text("trace");
    let writes = |call: &&str| {
        ["O_WRONLY", "O_RDWR", "O_CREAT", "mkdirat(", "renameat(", "unlinkat(", "pwrite64("]
            .iter()
            .any(|sign| call.contains(sign))
    };
    assert!(calls.contains("journal"), "it was traced");
    assert_eq!(calls.lines().filter(writes).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn a_dry_run_does_not_say_what_is_there_of_a_closed_day() {
    let desk = delivered(5);
    desk.write("hiwake.toml", format!("{TOML}[seal]\njournal_days = 1\n").as_bytes());
    desk.ok(LAND);
    for now in ["2022-04-19T03:00:00+09:00", "2022-04-21T03:00:00+09:00"] {
        desk.ok(&format!("seal --root @root --config @hiwake.toml --now {now}"));
    }
    let dry = desk.hiwake(&format!("{REPLAY} --dry-run"));
    assert_eq!(dry.status.code(), Some(1), "{dry:?}");
    let said = String::from_utf8(dry.stdout).unwrap();
    let row = said.lines().find(|line| line.contains("2022-04-18")).unwrap();
    let row: Vec<_> = row.split_whitespace().take(6).collect();
    assert_eq!(row, ["messages", "2022-04-18", "5", "-", "-", "quarantine:"]);
    assert!(said.contains("0 new lines (0 late), 0 already landed, 5 skipped"), "{said}");
}

#[test]
fn mistakes_of_a_replay_are_named() {
    let desk = delivered(1);
    desk.write("a#1", b"text");
    let said = desk.fails(1, "replay @a#1 --root @root");
    assert!(said.contains("a#1") && said.contains("rename it"), "{said}");
    let said =
        desk.fails(2, "replay @s3/backup --queue https://sqs.ap-northeast-1.amazonaws.com/1/land");
    assert!(said.contains("s3://bucket/prefix"), "{said}");
    desk.fails(2, "replay s3://b --queue https://q/1/land --day 2022-04-18");
    desk.fails(2, "replay @s3/backup");
    desk.fails(2, "replay @s3/backup --root @root --day tomorrow");
    // Backwards, or no time at all: nothing would be read.
    for until in ["2022-04-18T00:00:00Z", "2022-04-17T23:59:59Z"] {
        let times = format!("--since 2022-04-18T00:00:00Z --until {until}");
        let backwards = [
            format!("replay @s3/backup --root @root {times}"),
            format!("replay @s3/backup --root @root --dry-run {times}"),
            format!("replay s3://b --queue https://q/1/land {times}"),
            format!("backfill --log-group g --root @root {times}"),
        ];
        for command in backwards {
            let said = desk.fails(2, &command);
            assert!(said.contains("--until is not after --since"), "{command}: {said}");
        }
    }
    assert!(desk.fails(1, "replay @nothing --root @root").contains("does not exist"));
}
