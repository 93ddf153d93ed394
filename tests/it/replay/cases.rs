//! The exactly-once cases, by the real command.

use std::fs;

use serde_json::Value;

use super::*;
use crate::processes::Seeded;

const REPLAY: &str =
    "replay @s3/backup --root @root --config @hiwake.toml --now 2022-04-18T02:59:07+09:00";
const LAND: &str =
    "land @s3/landing --root @root --config @hiwake.toml --now 2022-04-18T02:59:07+09:00";
const OPEN: &str = "root/messages/2022-04-18.csv.open";

fn replay(desk: &Desk, more: &str) -> Value {
    serde_json::from_str(&desk.ok(&format!("{REPLAY} --json {more}"))).unwrap()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn all_of_backup_over_a_tree_that_has_everything_changes_no_byte() {
    let desk = delivered(120);
    desk.ok(LAND);
    let before = given::tree(&desk.path("root"));
    let said = desk.ok(REPLAY);
    assert!(said.starts_with("read 120 events of "), "{said}");
    assert!(
        said.ends_with(" objects: 0 new lines (0 late), 120 there before, 0 skipped\n"),
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
        let before = sorted(&fs::read_to_string(desk.path(OPEN)).unwrap_or_default()).len() as u64;
        let answer = replay(&desk, "");
        assert_eq!(answer["new"], 60 - before, "{answer}");
        assert_eq!(answer["there_before"], before, "{answer}");
        let expected: Vec<_> = (0..60).map(|n| format!("HOGE,1,event {n}")).collect();
        assert_eq!(sorted(&desk.text(OPEN)), sorted(&expected.join("\n")));
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
    assert_eq!((&answer["new"], &answer["there_before"]), (&0.into(), &41.into()), "{answer}");
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
fn killed_at_any_moment_and_started_again_it_ends_the_same() {
    let desk = delivered(300);
    let once = desk.command(&REPLAY.replace("@root", "@whole")).output().unwrap();
    assert!(once.status.success(), "{once:?}");
    let took = std::time::Instant::now();
    desk.ok(&REPLAY.replace("@root", "@timed"));
    let took = took.elapsed();
    let mut went_on = 0;
    for part in 1..=6 {
        fs::remove_dir_all(desk.path("root")).ok();
        let mut child = desk.command(REPLAY).spawn().unwrap();
        std::thread::sleep(took.mul_f64(f64::from(part) / 7.0));
        child.kill().unwrap();
        child.wait().unwrap();
        let answer = replay(&desk, "");
        went_on += u32::from(answer["objects_landed_before"].as_u64() > Some(0));
        let (whole, root) = (desk.published("whole"), desk.published("root"));
        let lines = |files: &std::collections::BTreeMap<String, Vec<u8>>| {
            let text = String::from_utf8(files["messages/2022-04-18.csv.open"].clone()).unwrap();
            sorted(&text).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&root), lines(&whole), "part {part}");
        let notes = fs::read_dir(desk.path("root/.hiwake/replays")).unwrap().count();
        assert_eq!(notes, 0, "done: nothing is left to go on with");
    }
    println!("{went_on} of 6 went on where they were killed");
}

#[test]
fn what_was_landed_before_it_was_cut_off_is_not_read_again() {
    let desk = delivered(100);
    let backup = files(&desk, "s3/backup");
    // An object that cannot be read keeps the replay from its end.
    let last = backup.last().unwrap();
    let bytes = fs::read(last).unwrap();
    fs::remove_file(last).unwrap();
    fs::create_dir_all(desk.path("root")).unwrap();
    std::os::unix::fs::symlink(desk.path("nowhere"), last).unwrap();
    let first = desk.hiwake(&format!("{REPLAY} --json"));
    fs::remove_file(last).unwrap();
    if first.status.success() {
        // This store does not list what it cannot open.
        return;
    }
    given::put(last.parent().unwrap(), last.file_name().unwrap().to_str().unwrap(), &bytes);
    modified(last, given::T);
    let answer = replay(&desk, "");
    assert_eq!(answer["objects_landed_before"], backup.len() - 1, "{answer}");
}

#[test]
fn after_a_change_of_routing_it_is_refused_and_rerouted_into_a_fresh_root_it_is_the_new_tree() {
    let desk = delivered(30);
    desk.ok(LAND);
    let before = given::tree(&desk.path("root"));
    let changed = TOML.replace("file = \"messages\"", "file = \"syslog\"");
    desk.write("changed.toml", changed.as_bytes());
    let command = REPLAY.replace("@hiwake.toml", "@changed.toml");
    let said = desk.fails(1, &command);
    assert!(said.contains("nothing was landed") && said.contains("--reroute"), "{said}");
    let row = said.lines().find(|line| line.contains("syslog")).unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["syslog", "2022-04-18", "30", "0", "30", "syslog/2022-04-18.csv"]
    );
    assert_eq!(given::tree(&desk.path("root")), before, "nothing was written");
    // By hand it is refused as well, and so are failed records; rows carry their routing.
    let land = LAND.replace("@hiwake.toml", "@changed.toml");
    let said = desk.fails(1, &land.replace("landing", "backup"));
    assert!(said.contains("under another routing") && said.contains("--reroute"), "{said}");
    desk.ok(&land);
    assert_eq!(desk.published("root").len(), 1);

    desk.ok(&format!("{} --reroute", command.replace("@root", "@fresh")));
    let fresh = desk.published("fresh");
    assert_eq!(fresh.keys().collect::<Vec<_>>(), ["syslog/2022-04-18.csv.open"]);
    assert_eq!(sorted(&desk.text("fresh/syslog/2022-04-18.csv.open")), sorted(&desk.text(OPEN)));
    // Other labels are no other routing.
    desk.write("labels.toml", TOML.replace("HOGE", "FUGA").as_bytes());
    desk.ok(&REPLAY.replace("@hiwake.toml", "@labels.toml"));
    // Rerouted into the same root, each event is in a line of both files: that is what is asked for.
    desk.ok(&format!("{command} --reroute"));
    assert_eq!(desk.published("root").len(), 2);
    // Now the new routing is in use, and what was delivered long after its first use lands.
    desk.fails(1, &command);
    files(&desk, "s3/backup").iter().for_each(|path| modified(path, given::T + 3 * 3_600_000));
    desk.ok(&command);
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
    assert_eq!(planned["tally"]["duplicates"], replayed["there_before"]);
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
fn mistakes_of_a_replay_are_named() {
    let desk = delivered(1);
    let said =
        desk.fails(2, "replay @s3/backup --queue https://sqs.ap-northeast-1.amazonaws.com/1/land");
    assert!(said.contains("s3://bucket/prefix"), "{said}");
    desk.fails(2, "replay s3://b --queue https://q/1/land --day 2022-04-18");
    desk.fails(2, "replay @s3/backup");
    desk.fails(2, "replay @s3/backup --root @root --day tomorrow");
    desk.fails(2, "replay @s3/backup --root @root --after key");
    assert!(desk.fails(1, "replay @nothing --root @root").contains("does not exist"));
    let said = desk.fails(
        2,
        "backfill --log-group g --root @root --since 2022-04-18T00:00:00Z --until 2022-04-18T00:00:00Z",
    );
    assert!(said.contains("nothing would be read"), "{said}");
}
