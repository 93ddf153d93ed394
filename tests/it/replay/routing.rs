//! After a change of routing: what has landed is found, in whatever file it is, and lands nowhere
//! else.

use super::*;

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

/// A replay of a part of the bucket under the changed routing, into another root.
fn into(root: &str, source: &str) -> String {
    changed().replace("@root", &format!("@{root}")).replace("@s3/backup", &format!("@{source}"))
}

/// The lines of all day files below a root, hiwake's own files left out.
fn lines(desk: &Desk, root: &str) -> usize {
    desk.published(root)
        .keys()
        .filter(|name| !name.ends_with(".sha256"))
        .map(|name| desk.text(&format!("{root}/{name}")).lines().count())
        .sum()
}

fn counts(desk: &Desk, command: &str) -> (Value, Value) {
    let answer: Value = serde_json::from_str(&desk.ok(&format!("{command} --json"))).unwrap();
    (answer["new"].clone(), answer["already_landed"].clone())
}

#[test]
fn after_a_change_of_routing_a_replay_changes_nothing_and_into_a_fresh_root_it_is_the_new_tree() {
    let desk = moved(30);
    let before = desk.published("root");
    // By a dry run, a replay, by hand; records and rows.
    let dry = desk.ok(&format!("{} --dry-run", changed()));
    assert!(dry.contains(": 0 new lines (0 late), 30 already landed, 0 skipped"), "{dry}");
    for source in ["s3/backup", "s3/landing"] {
        assert_eq!(counts(&desk, &into("root", source)), (0.into(), 30.into()));
        let land = desk.ok(&into("root", source).replace("replay", "land"));
        assert!(land.contains("0 new lines (0 late), 30 already landed"), "{land}");
    }
    assert_eq!(desk.published("root"), before);

    desk.ok(&into("fresh", "s3/backup"));
    let fresh = desk.published("fresh");
    assert_eq!(fresh.keys().collect::<Vec<_>>(), ["syslog/2022-04-18.csv.open"]);
    assert_eq!(
        sorted(&desk.text("fresh/syslog/2022-04-18.csv.open")),
        sorted(&desk.text(OPEN_BELOW_ROOT))
    );
    let verified = desk.ok("verify --root @root --config @changed.toml");
    assert!(verified.ends_with(": 0 wrong\n"), "{verified}");
}

#[test]
fn new_events_go_where_the_present_routing_sends_them() {
    let desk = moved(20);
    put_event(&desk, "s3/backup/new", "/var/log/messages");
    assert_eq!(counts(&desk, &changed()), (1.into(), 20.into()));
    assert_eq!(desk.text("root/syslog/2022-04-18.csv.open"), "HOGE,1,another\n");
    // And back again: both files are looked into.
    assert_eq!(counts(&desk, REPLAY), (0.into(), 21.into()));
    assert_eq!(lines(&desk, "root"), 21);
}

/// Case 01: rows of the old routing doubled every line of a root that was rebuilt from the backup,
/// once an unrelated source was added.
#[test]
fn rows_of_a_routing_that_the_root_has_never_seen_are_found_in_the_rebuilt_files() {
    let desk = moved(22);
    desk.ok(&into("rebuilt", "s3/backup"));
    let rebuilt = desk.published("rebuilt");
    let unrelated = "[[source]]\nlog_groups = [\"/unrelated\"]\nfile = \"unrelated\"\n";
    let changed = desk.text("changed.toml");
    desk.write("more.toml", format!("{changed}{unrelated}").as_bytes());
    for toml in ["@changed.toml", "@more.toml"] {
        let rows = into("rebuilt", "s3/landing").replace("@changed.toml", toml);
        assert_eq!(counts(&desk, &rows), (0.into(), 22.into()));
        desk.ok(&rows.replace("replay", "land"));
        assert_eq!(desk.published("rebuilt"), rebuilt);
    }
    desk.ok("verify --root @rebuilt --config @more.toml");
}

#[test]
fn rows_and_records_of_the_same_events_in_one_landing_land_once_whichever_come_first() {
    let desk = moved(22);
    for (root, first, second) in [("one", "backup", "landing"), ("other", "landing", "backup")] {
        for (folder, part) in [("a", first), ("b", second)] {
            for (name, bytes) in given::tree(&desk.path(&format!("s3/{part}"))) {
                desk.write(&format!("{root}.s3/{folder}/{name}"), &bytes);
            }
        }
        let command = into(root, &format!("{root}.s3"));
        let dry = desk.ok(&format!("{command} --dry-run"));
        assert!(dry.contains(": 22 new lines (0 late), 22 already landed, 0 skipped"), "{dry}");
        assert_eq!(counts(&desk, &command), (22.into(), 22.into()));
        assert_eq!(lines(&desk, root), 22, "{first} first");
        assert_eq!(counts(&desk, &command.replace("changed", "hiwake")), (0.into(), 44.into()));
    }
}

/// Case 05, first half: without `.hiwake/routing` the next replay after a change doubled, and
/// `verify` did not miss it.
#[test]
fn a_register_that_is_lost_or_damaged_is_wrong_to_verify_and_the_next_replay_doubles_nothing() {
    let verify = "verify --root @root --config @changed.toml";
    for damage in [
        |_: &Path| None,
        |_: &Path| Some(Vec::new()),
        |path: &Path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes[60] ^= 4;
            Some(bytes)
        },
    ] {
        for how in ["replay", "rebuild"] {
            let desk = moved(30);
            let register = desk.path("root/.hiwake/routings/2022-04-17");
            match damage(&register) {
                None => std::fs::remove_file(&register).unwrap(),
                Some(bytes) => drop(desk.write("root/.hiwake/routings/2022-04-17", &bytes)),
            }
            let before = desk.published("root");
            let wrong = desk.hiwake(verify);
            assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
            let said = String::from_utf8(wrong.stdout).unwrap();
            assert!(said.contains("WRONG .hiwake/routings/2022-04-17: "), "{said}");
            if how == "rebuild" {
                desk.ok(&format!("{verify} --rebuild @s3/landing"));
            }
            let dry = desk.ok(&format!("{} --dry-run", changed()));
            assert!(dry.contains(": 0 new lines (0 late), 30 already landed"), "{dry}");
            assert_eq!(counts(&desk, &changed()), (0.into(), 30.into()));
            assert_eq!(desk.published("root"), before);
            desk.ok(verify);
        }
    }
}

/// Case 05, second half: an object with a time in the far future made 0.1 refuse all records until
/// then.
#[test]
fn when_an_object_was_delivered_plays_no_part() {
    let desk = delivered(10);
    let row = serde_json::json!({
        "file": "other", "kind": "csv", "day": "2022-04-18", "timestamp": given::T,
        "stream": "123456789012:/var/log/messages:i-1", "id": "y", "line": "a",
    });
    desk.write("rows/row", format!("{row}\n").as_bytes());
    modified(&desk.path("rows/row"), 4_102_444_800_000);
    desk.ok(&LAND.replace("@s3/landing", "@rows"));
    for _ in 0..2 {
        desk.ok(&LAND.replace("landing", "backup"));
        assert_eq!(lines(&desk, "root"), 11);
    }
}

#[test]
fn a_row_that_a_closed_day_file_may_have_goes_to_quarantine_and_no_other_does() {
    let desk = moved(8);
    let closing = format!("{}[seal]\njournal_days = 1\n", desk.text("hiwake.toml"));
    desk.write("closing.toml", closing.as_bytes());
    for now in ["2022-04-19T03:00:00+09:00", "2022-04-21T03:00:00+09:00"] {
        desk.ok(&format!("seal --root @root --config @closing.toml --now {now}"));
    }
    put_event(&desk, "s3/backup/zz", "/aws/lambda/api");
    let dry = desk.hiwake(&format!("{} --dry-run", changed()));
    let said = String::from_utf8(dry.stdout).unwrap();
    assert!(said.contains("8 to quarantine: a closed day may have them"), "{said}");
    let output = desk.hiwake(&format!("{} --json", changed()));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["new"], 1, "{answer}");
    assert_eq!(answer["skipped_by_reason"]["quarantined"], 8, "{answer}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("messages/2022-04-18.csv is closed and may have it"), "{said}");
    assert_eq!(lines(&desk, "root"), 9);
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
    let rebuild =
        "verify --root @root --config @changed.toml --rebuild @s3 --now 2022-04-18T02:59:07+09:00";
    for lost in [".journal", ".seen"] {
        std::fs::remove_file(desk.path(&format!("root/.hiwake/days/2022-04-18/plain.log/{lost}")))
            .unwrap();
        desk.ok(rebuild);
        assert_eq!(desk.published("root"), whole, "{lost}");
    }
}
