//! After a change of routing: what is refused, what it is told by, and what lands all the same.

use super::*;

const HOUR: i64 = 3_600_000;

/// A desk whose root was landed under `hiwake.toml`, with `changed.toml` of another routing.
fn moved(count: usize) -> Desk {
    let desk = delivered(count);
    desk.ok(LAND);
    let changed = TOML.replace("file = \"messages\"", "file = \"syslog\"");
    desk.write("changed.toml", changed.as_bytes());
    desk
}

fn changed() -> String {
    REPLAY.replace("@hiwake.toml", "@changed.toml")
}

/// read = new + there before + skipped, and skipped is the sum of its reasons.
fn balanced(answer: &Value) {
    let number = |name: &str| answer[name].as_u64().unwrap();
    assert_eq!(number("read"), number("new") + number("there_before") + number("skipped"));
    let reasons = answer["skipped_by_reason"].as_object().unwrap().values();
    let sum: u64 = reasons.map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(number("skipped"), sum, "{answer}");
}

#[test]
fn after_a_change_of_routing_it_is_refused_and_rerouted_into_a_fresh_root_it_is_the_new_tree() {
    let desk = moved(30);
    let before = given::tree(&desk.path("root"));
    let command = changed();
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
fn what_is_refused_is_counted_here_as_in_the_dry_run() {
    let desk = moved(30);
    desk.write("s3/backup/plain", b"demo data\n");
    modified(&desk.path("s3/backup/plain"), given::T);
    let output = desk.hiwake(&format!("{} --json", changed()));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    balanced(&answer);
    assert_eq!((&answer["read"], &answer["new"]), (&31.into(), &0.into()), "{answer}");
    let reasons = &answer["skipped_by_reason"];
    assert_eq!((&reasons["refused"], &reasons["plain_text"]), (&30.into(), &1.into()), "{answer}");
    let dry = desk.hiwake(&format!("{} --dry-run", changed()));
    let said = String::from_utf8(dry.stdout).unwrap();
    assert!(said.contains("skipped 30: of another routing"), "{said}");
}

#[test]
fn refused_events_are_looked_for_beyond_the_first_hundred_objects() {
    let desk = moved(3);
    for n in 0..130 {
        let key = format!("s3/old/{n:03}");
        desk.write(&key, b"demo data\n");
        modified(&desk.path(&key), given::T);
    }
    put_event(&desk, "s3/old/zz", "/var/log/messages");
    let before = given::tree(&desk.path("root"));
    let command = changed().replace("s3/backup", "s3/old");
    let output = desk.hiwake(&format!("{command} --json"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("nothing was landed: 1 of the 131 objects"), "{said}");
    assert!(said.contains("hold 1 event"), "{said}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    balanced(&answer);
    assert_eq!((&answer["objects"], &answer["read"]), (&131.into(), &131.into()), "{answer}");
    assert_eq!(given::tree(&desk.path("root")), before, "nothing was written");
}

#[test]
fn what_a_filter_leaves_out_is_not_refused_so_a_dry_run_and_the_replay_agree() {
    let desk = moved(5);
    for filter in ["--log-group /aws/*", "--day 2022-04-17"] {
        let dry = desk.ok(&format!("{} --dry-run {filter}", changed()));
        assert!(dry.contains("skipped 5: of another"), "{dry}");
        let answer = desk.ok(&format!("{} --json {filter}", changed()));
        let answer: Value = serde_json::from_str(&answer).unwrap();
        balanced(&answer);
        assert_eq!((&answer["read"], &answer["skipped"]), (&5.into(), &5.into()), "{answer}");
    }
    // The new routing is in use, and an object that was delivered long after holds events of both kinds.
    put_event(&desk, "s3/raw/first", "/aws/lambda/first");
    desk.ok("land @s3/raw --root @root --reroute --config @changed.toml --now 2022-04-18T02:59:07+09:00");
    put_event(&desk, "s3/backup/zz", "/aws/lambda/api");
    modified(&desk.path("s3/backup/zz"), given::T + 4 * HOUR);
    let command = format!("{} --json --log-group /aws/*", changed());
    let answer: Value = serde_json::from_str(&desk.ok(&command)).unwrap();
    assert_eq!((&answer["new"], &answer["skipped"]), (&1.into(), &5.into()), "{answer}");
    desk.fails(1, &changed());
}

/// The lines of all day files below a root, hiwake's own files left out.
fn lines(desk: &Desk, root: &str) -> usize {
    desk.published(root)
        .keys()
        .map(|name| desk.text(&format!("{root}/{name}")).lines().count())
        .sum()
}

/// A replay of a part of the bucket under the changed routing, into another root.
fn into(root: &str, source: &str) -> String {
    changed().replace("@root", &format!("@{root}")).replace("@s3/backup", &format!("@{source}"))
}

#[test]
fn rows_of_another_routing_are_refused_where_records_became_lines_of_the_present_one() {
    let desk = moved(22);
    desk.ok(&into("rebuilt", "s3/backup"));
    let rebuilt = desk.published("rebuilt");
    assert_eq!(lines(&desk, "rebuilt"), 22);
    // By a replay and by hand; the dry run says so, and where they would land.
    let rows = into("rebuilt", "s3/landing");
    let dry = desk.fails(1, &format!("{rows} --dry-run"));
    assert!(dry.contains("22 events that are rows of another routing"), "{dry}");
    let row = dry.lines().find(|line| line.trim_start().starts_with("messages")).unwrap();
    assert!(row.ends_with("messages/2022-04-18.csv"), "{dry}");
    let land = rows.replace("replay", "land");
    for command in [&rows, &land] {
        let said = desk.fails(1, command);
        assert!(
            said.contains("has rows of another routing") && said.contains("--reroute"),
            "{said}"
        );
        assert_eq!(desk.published("rebuilt"), rebuilt);
    }
    desk.ok(&format!("{rows} --reroute"));
    assert_eq!(lines(&desk, "rebuilt"), 44, "that is what is asked for");
}

#[test]
fn rows_and_records_of_the_same_events_in_one_replay_land_once_whichever_come_first() {
    let desk = moved(22);
    for (root, first, second) in [("one", "backup", "landing"), ("other", "landing", "backup")] {
        for (folder, part) in [("a", first), ("b", second)] {
            for (name, bytes) in given::tree(&desk.path(&format!("s3/{part}"))) {
                let name = format!("{root}.s3/{folder}/{name}");
                desk.write(&name, &bytes);
                modified(&desk.path(&name), given::T);
            }
        }
        let command = into(root, &format!("{root}.s3"));
        let dry = desk.hiwake(&format!("{command} --dry-run"));
        assert_eq!(dry.status.code(), Some(1), "{dry:?}");
        let dry = String::from_utf8(dry.stdout).unwrap();
        assert!(dry.contains(": 22 new lines") && dry.contains("skipped 22: of another"), "{dry}");
        let said = desk.fails(1, &command);
        assert!(said.contains("another routing"), "{said}");
        assert_eq!(lines(&desk, root), 22, "{first} first");
    }
}

#[test]
fn a_fresh_root_takes_rows_of_every_routing_in_any_order() {
    let desk = moved(1);
    // More objects than land at once, each with an event of its own; the present routing's come first.
    for n in 0..24 {
        let file = if n % 2 == 0 { "syslog" } else { "messages" };
        let row = serde_json::json!({
            "file": file, "kind": "csv", "day": "2022-04-18", "timestamp": given::T,
            "stream": "123456789012:/var/log/messages:i-1", "id": n.to_string(), "line": "x",
        });
        desk.write(&format!("rows/{n:02}"), format!("{row}\n").as_bytes());
    }
    desk.ok(&into("fresh", "rows"));
    assert_eq!(lines(&desk, "fresh"), 24);
    // What is in the backup may be the same events.
    let said = desk.fails(1, &into("fresh", "s3/backup"));
    assert!(said.contains("nothing was landed"), "{said}");
}

const REBUILD: &str =
    "verify --root @root --config @changed.toml --rebuild @s3 --now 2022-04-18T02:59:07+09:00";

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 0x40;
    given::put(path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap(), &bytes);
}

#[test]
fn a_rebuild_takes_nothing_that_landed_under_another_routing() {
    let desk = moved(30);
    put_event(&desk, "here/x", "/var/log/messages");
    put_event(&desk, "s3/backup/x", "/var/log/messages");
    let land = LAND.replace("@s3/landing", "@here/x").replace("@hiwake.toml", "@changed.toml");
    desk.ok(&format!("{land} --reroute"));
    let whole = desk.published("root");
    assert_eq!(desk.text("root/syslog/2022-04-18.csv.open").lines().count(), 1);
    // What the journal names is not there, so that all of the backup is read.
    flip(&desk.path("root/syslog/2022-04-18.csv.open"));
    desk.ok(REBUILD);
    assert_eq!(desk.published("root"), whole);
    // Now the journal names the object that it was made of.
    let day = "root/.hiwake/days/2022-04-18/syslog.csv";
    std::fs::remove_file(desk.path(&format!("{day}/.seen"))).unwrap();
    flip(&desk.path("root/syslog/2022-04-18.csv.open"));
    desk.ok(REBUILD);
    assert_eq!(desk.published("root"), whole);
    // Without both nothing says which of the backup's events were the file's: better none than twice.
    std::fs::remove_file(desk.path(&format!("{day}/.seen"))).unwrap();
    std::fs::remove_file(desk.path(&format!("{day}/.journal"))).unwrap();
    let damaged = desk.published("root");
    let said = desk.fails(1, REBUILD);
    assert!(said.contains("another routing was in use") && said.contains("landing/"), "{said}");
    assert_eq!(desk.published("root"), damaged);
    // Routings have nothing to do with it where no event was left out.
    let said = desk.fails(1, &REBUILD.replace("@s3", "@s3/landing"));
    assert!(said.contains("in no object") && !said.contains("another routing"), "{said}");
    assert_eq!(desk.published("root"), damaged);
}

#[test]
fn a_rebuild_from_landing_and_backup_has_plain_text_once() {
    let desk = Desk::new();
    desk.write("changed.toml", TOML.as_bytes());
    let records = [b"demo data\nmore of it\n".to_vec()];
    let config = given::object::config();
    let (told, _) = deliver(&desk.path("s3"), &records, Buffers::default(), &mut real(&config));
    assert_eq!(told.ok, 1);
    desk.ok(&LAND.replace("@hiwake.toml", "@changed.toml"));
    let whole = desk.published("root");

    for lost in [".journal", ".seen"] {
        std::fs::remove_file(desk.path(&format!("root/.hiwake/days/2022-04-18/plain.log/{lost}")))
            .unwrap();
        desk.ok(REBUILD);
        assert_eq!(desk.published("root"), whole, "{lost}");
    }
}
