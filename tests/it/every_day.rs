//! What an operator asks every day: what is due, what would happen, where an event is.

use serde_json::Value;

use crate::cli::{Desk, SYSLOG};
use crate::given;

/// Three days of one file, of which two have ended.
pub fn three_days() -> Desk {
    let desk = Desk::new();
    desk.ok(&format!(
        "run events/messages.log {SYSLOG} --root @root --now 2005-04-18T08:00:00+09:00"
    ));
    desk
}

#[test]
fn status_says_which_day_is_sealed_next_when_and_why_then() {
    let desk = three_days();
    let next = |now: &str| {
        let status = desk.ok(&format!("status --root @root --now {now}"));
        let at = status.find("next seal").unwrap();
        status[at..].trim_end().to_owned()
    };
    assert_eq!(
        next("2005-04-18T08:00:00+09:00"),
        "next seal: messages/2005-04-16.csv\n    from 2005-04-18T09:00:00+09:00, 1h (`seal.grace`) after its last commit"
    );
    desk.ok("seal --root @root --now 2005-04-18T12:00:00+09:00");
    assert_eq!(
        next("2005-04-18T12:00:00+09:00"),
        "next seal: messages/2005-04-18.csv\n    from 2005-04-19T01:00:00+09:00, 1h (`seal.grace`) after its day's end"
    );
    desk.ok("seal --root @root --now 2005-04-20T12:00:00+09:00");
    assert!(!desk.ok("status --root @root").contains("next seal"));
    assert_eq!(desk.ok("status --root @root --due").lines().count(), 1);
}

/// What would be sealed empty was not listed, and no day was open.
#[test]
fn status_and_seal_say_when_an_empty_file_is_due() {
    let desk = Desk::new();
    let toml =
        "[[source]]\nlog_groups = [\"/quiet\"]\nfile = \"quiet\"\n[seal]\nempty_days = true\n";
    let config = desk.write("hiwake.toml", toml.as_bytes());
    desk.write("root/.hiwake/due/delivered/2005-04-18", b"");
    let at = |command: &str, now: &str| {
        desk.ok(&format!("{command} --root @root --config {config} --now {now}+09:00"))
    };
    let seal = at("seal", "2005-04-18T12:00:00");
    let next = "1 open, the next is quiet/2005-04-18.csv from 2005-04-19T01:00:00+09:00 on";
    assert_eq!(seal, format!("nothing is due: {next}\n"));
    let due = at("status --due", "2005-04-18T12:00:00");
    let why = "open   quiet  2005-04-19T01:00:00+09:00  1h (`seal.grace`) after its day's end";
    assert!(due.contains(why), "{due}");
    let late = at("status", "2005-04-19T01:00:00");
    assert!(late.contains("overdue: quiet/2005-04-18.csv"), "{late}");
    assert!(at("seal", "2005-04-19T01:00:00").starts_with("sealed quiet/2005-04-18.csv: 0 lines"));
    assert!(!at("status", "2005-04-19T01:00:00").contains("overdue"));
}

/// A day that was due for hours stood there as one that is sealed next, and a file that was gone as
/// one that is sealed.
#[test]
fn status_says_what_is_overdue_since_when_and_what_is_missing() {
    let desk = three_days();
    let at =
        |more: &str| desk.ok(&format!("status --root @root --now 2005-04-18T09:00:00+09:00{more}"));
    let said = at("");
    let rest = &said[said.find("overdue").unwrap()..];
    let why = "1h (`seal.grace`) after its last commit";
    let expected = format!(
        "overdue: messages/2005-04-16.csv\n    since 2005-04-18T09:00:00+09:00, {why}\noverdue: messages/2005-04-17.csv\n    since 2005-04-18T09:00:00+09:00, {why}\nnext seal: messages/2005-04-18.csv\n    from 2005-04-19T01:00:00+09:00, 1h (`seal.grace`) after its day's end\n"
    );
    assert_eq!(rest, expected);
    assert_eq!(at(" --due").matches("overdue: ").count(), 2);
    let days: Vec<Value> = serde_json::from_str(&at(" --json")).unwrap();
    assert_eq!(days.iter().filter(|day| day["overdue"] == true).count(), 2);
    desk.ok("seal --root @root --now 2005-04-18T12:00:00+09:00");
    let after = "status --root @root --now 2005-04-18T12:00:00+09:00";
    assert!(!desk.ok(after).contains("overdue"));
    // A published file and the checksum of another are gone.
    for gone in ["messages/2005-04-16.csv", "messages/2005-04-17.csv.sha256"] {
        std::fs::remove_file(desk.path("root").join(gone)).unwrap();
    }
    let output = desk.hiwake(after);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("messages/2005-04-16.csv is missing: it was published"), "{said}");
    assert!(said.contains("messages/2005-04-17.csv.sha256 is missing"), "{said}");
    let days = desk.hiwake(&format!("{after} --json")).stdout;
    let days: Vec<Value> = serde_json::from_slice(&days).unwrap();
    assert_eq!(days[0]["missing"], serde_json::json!(["messages/2005-04-16.csv"]));
}

/// `--day` of `status` took any text and then found nothing; that of `cat` took one day only.
#[test]
fn days_are_one_a_month_a_pattern_or_from_one_to_another_and_all_else_is_refused() {
    let desk = three_days();
    let days = |wanted: &str| {
        let days = desk.ok(&format!("status --root @root --json --day {wanted}"));
        let days: Vec<Value> = serde_json::from_str(&days).unwrap();
        let found = |command: &[&str]| {
            let output = desk.command("cat --root @root --json --text :").args(command).output();
            let hits = String::from_utf8(output.unwrap().stdout).unwrap();
            let days = hits.lines().map(|hit| {
                let hit: Value = serde_json::from_str(hit).unwrap();
                hit["path"].as_str().unwrap()["messages/".len()..][..10].to_owned()
            });
            days.collect::<std::collections::BTreeSet<_>>()
        };
        let days: std::collections::BTreeSet<_> =
            days.iter().map(|day| day["day"].as_str().unwrap().to_owned()).collect();
        assert_eq!(found(&["--day", wanted]), days, "{wanted}");
        days.iter().map(|day| day[8..].to_owned()).collect::<Vec<_>>().join(" ")
    };
    for (wanted, found) in [
        ("2005-04-17", "17"),
        ("2005-04", "16 17 18"),
        ("2005", "16 17 18"),
        ("2005-0?-*", "16 17 18"),
        ("*-17", "17"),
        ("2005-04-17..2005-04-18", "17 18"),
        ("2005-03..2005-04-16", "16"),
        ("2005-04-17..today", "17 18"),
        ("2004..2004-12", ""),
        ("today", ""),
    ] {
        assert_eq!(days(wanted), found, "{wanted}");
    }
    for wrong in ["yesterday", "2005-02-30", "04-18", "2005-4", "2005-04-18..", "20*x", ""] {
        for command in ["status", "cat --text a", "cat --file messages"] {
            let output = desk.command(&format!("{command} --root @root"));
            let output = { output }.args(["--day", wrong]).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{command} {wrong}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("not a valid day: write 2022-04-18"), "{said}");
        }
    }
    let said = desk.fails(2, "status --root @root --day 2005-04-18..2005-04-17");
    assert!(said.contains("the last day is before the first one"), "{said}");
    let said = desk.fails(2, "cat --root @root --file messages --day 2005-04");
    assert!(said.contains("only one day can be shown at a time"), "{said}");
}

/// A time without an offset was refused, with a message that named options of other commands.
#[test]
fn a_time_without_an_offset_is_one_of_the_configured_zone() {
    let desk = Desk::new();
    desk.ok(&format!("{MESSAGES} --now 2022-04-18T08:00:00+09:00"));
    let lines = |time: &str| {
        let output = desk.command("cat --root @root --json --time").arg(time).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    let with_offset = lines("2022-04-18T01:59:07+09:00");
    assert!(with_offset > 0);
    for time in [
        "2022-04-18T01:59:07",
        "2022-04-18 01:59:07",
        "2022-04-18T01:59",
        "2022-04-18 01:59..2022-04-18 02:00",
        "2022-04-18 01:59..2022-04-17T17:00:00Z",
    ] {
        assert_eq!(lines(time), with_offset, "{time}");
    }
    assert_eq!(lines("2022-04-17T16:59:07"), 0);
    let said = desk.fails(2, "cat --root @root --time noon");
    assert!(said.contains("not a valid time: write 2022-04-19T02:00:00"), "{said}");
    assert!(!said.contains("--since"), "{said}");
    let said = desk.fails(2, "seal --root @root --now 2022-04-18T01:59:07");
    assert!(said.contains("with its offset") && !said.contains("--since"), "{said}");

    // A time that clocks show twice is both; one that they skip is the one they would have shown.
    let config =
        "timezone = \"America/New_York\"\n[[source]]\nlog_groups = [\"/g\"]\nfile = \"f\"\n";
    let config = desk.write("york.toml", config.as_bytes());
    let log =
        "2021-11-07T01:30:00-04:00 a\n2021-11-07T01:30:00-05:00 b\n2021-03-14T03:30:00-04:00 c\n";
    let log = desk.write("york.log", log.as_bytes());
    desk.ok(&format!(
        "run {log} --config {config} --log-group /g --root @york --now 2021-11-08T00:00:00Z"
    ));
    let found = |time: &str| {
        let configured = format!("--config={config}");
        let output =
            desk.command("cat --root @york --json --time").args([time, &configured]).output();
        String::from_utf8(output.unwrap().stdout).unwrap().lines().count()
    };
    assert_eq!(["2021-11-07 01:30", "2021-03-14 02:30"].map(found), [2, 1]);
}

#[test]
fn status_shows_only_the_days_files_and_states_that_are_asked_for() {
    let desk = three_days();
    desk.ok("run events/firehose-stack-trace.json --root @root");
    desk.ok("seal --root @root --now 2005-04-18T12:00:00+09:00");
    let days = |filter: &str| {
        let days = desk.ok(&format!("status --root @root --json {filter}"));
        let days: Vec<Value> = serde_json::from_str(&days).unwrap();
        let name = |day: &Value| format!("{} {}", day["file"], day["day"]).replace('"', "");
        days.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(days("--day 2005-04-17"), ["messages 2005-04-17"]);
    assert_eq!(days("--day 2005-04-* --state open"), ["messages 2005-04-18"]);
    assert_eq!(days("--state sealed").len(), 2);
    assert_eq!(days("--state sealed,open --file mess*").len(), 3);
    assert_eq!(days("--day today"), [""; 0]);
    let others = days("--file app/*");
    assert!(others.iter().all(|name| name.starts_with("app/")), "{others:?}");
    // The next one first: not by file and day.
    let due = days("--due");
    assert_eq!(due.first().unwrap(), "messages 2005-04-18", "{due:?}");
    let none = desk.hiwake("status --root @root --file other");
    let said = String::from_utf8(none.stderr).unwrap();
    assert!(said.contains("day files matches: leave out a filter"), "{said}");
    assert!(desk.fails(2, "status --root @root --state shut").contains("[possible values: open"));
}

#[test]
fn a_state_is_coloured_where_colours_are_shown_and_nothing_else_changes() {
    let desk = three_days();
    let plain = desk.ok("status --root @root");
    assert!(!plain.contains('\u{1b}'), "not a terminal: {plain:?}");
    let painted = desk.ok("status --root @root --color always");
    assert!(painted.contains("\u{1b}[33mopen\u{1b}[0m"), "{painted:?}");
    assert_eq!(painted.replace("\u{1b}[33m", "").replace("\u{1b}[0m", ""), plain);
}

#[test]
fn a_dry_run_of_land_and_seal_says_what_the_real_one_does_and_writes_nothing() {
    let desk = three_days();
    // Into a root that is not there: it is not made.
    let said = desk.ok("land @root.s3/landing --root @other --dry-run");
    assert!(said.contains("would land 22 rows: 22 new lines (0 late), 0 already landed"), "{said}");
    assert!(!desk.path("other").exists());

    let before = given::tree(&desk.path("root"));
    let said = desk.ok("land @root.s3/landing --root @root --dry-run --json");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["tally"]["lines"], &said["tally"]["duplicates"]), (&0.into(), &22.into()));

    let at = |time: &str| format!("seal --root @root --now 2005-04-18T{time}:00+09:00");
    let early = desk.ok(&(at("08:30") + " --dry-run"));
    assert!(early.starts_with("nothing is due: 3 open"), "{early}");
    let would = desk.ok(&(at("12:00") + " --dry-run"));
    let expected = "would seal messages/2005-04-16.csv: 5 lines\nwould seal messages/2005-04-17.csv: 13 lines\n";
    assert_eq!(would, expected);
    assert_eq!(given::tree(&desk.path("root")), before);

    let did = desk.ok(&at("12:00"));
    let lines = did.lines().map(|line| line.split(" lines").next().unwrap().to_owned() + " lines");
    let did: Vec<String> = lines.collect();
    let said: Vec<String> =
        would.lines().map(|line| line.replace("would seal", "sealed")).collect();
    assert_eq!(did, said);

    // Long after: the days are closed, and removed where retention says so.
    let text = std::fs::read_to_string(given::folder().join("hiwake.toml")).unwrap();
    let text = text.replace("\n[retention]\n", "\n[retention]\ndays = 30\n");
    let config = desk.write("hiwake.toml", text.as_bytes());
    let later = format!("--config {config} --root @root --now 2005-06-30T12:00:00+09:00");
    let would = desk.ok(&format!("seal {later} --dry-run"));
    let did = desk.ok(&format!("seal {later}"));
    assert!(would.contains("would remove messages/2005-04-16.csv\n"), "{would}");
    assert_eq!(would.matches("would remove").count(), did.matches("removed ").count(), "{did}");
    assert_eq!(would.matches("would seal").count(), did.matches("sealed ").count(), "{did}");
}

const MESSAGES: &str = "run events/firehose-hogehoge.json --root @root --bucket @s3";

/// Finds lines and answers them as JSON.
fn found(desk: &Desk, arguments: &[&str]) -> Vec<Value> {
    let output = desk.command("cat --root @root --json").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a hit says is so: the line with that number in that file, however it is stored.
fn is_there(desk: &Desk, hit: &Value) {
    let path = desk.path("root").join(hit["path"].as_str().unwrap());
    let bytes = std::fs::read(&path).unwrap();
    let text = given::text_of(path.to_str().unwrap(), &bytes);
    let number = hit["line"].as_u64().unwrap() as usize;
    assert_eq!(text.lines().nth(number - 1), hit["text"].as_str(), "{hit}");
}

#[test]
fn a_line_is_found_in_open_compressed_and_sealed_days_and_the_objects_of_its_commit_are_named() {
    for (open, seal, order) in [
        ("plain", "none", "time"),
        ("plain", "gzip", "time"),
        ("compressed", "zstd", "time"),
        ("plain", "zstd", "arrival"),
    ] {
        let desk = Desk::new();
        let text = std::fs::read_to_string(given::folder().join("hiwake.toml")).unwrap();
        let text = text.replace(
            "\n[seal]\n",
            &format!("\n[seal]\ncompress = \"{seal}\"\norder = \"{order}\"\n"),
        );
        let text = text.replace("\n[files]\n", &format!("\n[files]\nopen = \"{open}\"\n"));
        assert!(text.contains(&format!("\nopen = \"{open}\"")), "{text}");
        let config = desk.write("hiwake.toml", text.as_bytes());
        // The later event arrives first: its line number changes where the day is sealed by time.
        for (name, at, text) in [("second", "10:00", "two"), ("first", "09:00", "one")] {
            let log = desk.write(
                &format!("{name}.log"),
                format!("Apr 18 {at}:00 host app: {text}\n").as_bytes(),
            );
            desk.ok(&format!(
                "run {log} --config {config} --log-group /var/log/messages --year 2022 --root @root --bucket @s3/{name} --now 2022-04-18T11:00:00+09:00"
            ));
        }
        let configured = format!("--config={config}");
        let find = |more: &[&str]| found(&desk, &[&[configured.as_str()], more].concat());
        for sealed in [false, true] {
            if sealed {
                desk.ok(&format!(
                    "seal --config {config} --root @root --now 2022-04-20T00:00:00+09:00"
                ));
            }
            let hits = find(&["--text", "app: one"]);
            assert_eq!(hits.len(), 1, "{hits:?}");
            is_there(&desk, &hits[0]);
            let in_order = sealed && order == "time";
            assert_eq!(hits[0]["line"], if in_order { 1 } else { 2 }, "{open} {seal} {order}");
            assert_eq!(hits[0]["path"].as_str().unwrap().ends_with(".open"), !sealed);
            let object = hits[0]["objects"][0].as_str().unwrap();
            assert!(object.contains("s3/first/landing/"), "{object}");
            let hits = find(&[
                "--time",
                "2022-04-18T10:00:00+09:00",
                "--file",
                "mess*",
                "--day",
                "2022-04-18",
            ]);
            assert_eq!(hits[0]["time"], "2022-04-18T10:00:00.000+09:00");
            assert!(hits.len() == 1 && hits[0]["text"].as_str().unwrap().ends_with("two"));
            assert_eq!(find(&["--time", "2022-04-18..2022-04-19"]).len(), 2);
        }
        let none = desk.command("cat --root @root --text app: --day 2022-04-17").output().unwrap();
        assert_eq!(none.status.code(), Some(1));
    }
}

#[test]
fn an_event_is_found_by_its_id_and_its_source_is_known_from_the_objects() {
    const ID: &str = "33341240891540858630849050807283117207149885780503101441";
    let desk = Desk::new();
    desk.ok("run events/firehose-cloudwatch-logs.json --root @root --bucket @s3 --now 2017-05-18T12:00:00+09:00");
    let landing = desk.path("s3/landing");
    let landing = landing.to_str().unwrap();
    let exact = found(&desk, &["--id", ID, "--objects", landing]);
    assert_eq!(exact.len(), 1, "{exact:?}");
    is_there(&desk, &exact[0]);
    assert_eq!(exact[0]["id"], ID);
    let source = exact[0]["source"].as_str().unwrap();
    assert_eq!(source.split(':').count(), 3, "owner, group, stream: {source}");
    // Without the objects, the millisecond of the id is known.
    let near = found(&desk, &["--id", ID]);
    assert!(near.iter().any(|hit| hit["text"] == exact[0]["text"]), "{near:?}");
    assert!(near.iter().all(|hit| hit["time"] == exact[0]["time"]), "{near:?}");
    // A source is named of what is found by text, too.
    let text = exact[0]["text"].as_str().unwrap();
    let named = found(&desk, &["--text", text, "--objects", landing]);
    assert!(named.iter().all(|hit| hit["source"] == source), "{named:?}");
    let refused = desk.fails(2, "cat --root @root --id 17");
    assert!(refused.contains("contains no time: add --objects"), "{refused}");
    assert!(desk.fails(2, "cat --root @root").contains("--root needs --file"));
}

#[test]
fn of_a_closed_day_only_the_text_is_found_and_that_is_said() {
    let desk = Desk::new();
    desk.ok(&format!("{MESSAGES} --now 2022-04-18T08:00:00+09:00"));
    desk.ok("seal --root @root --now 2022-04-20T00:00:00+09:00");
    desk.ok("seal --root @root --now 2024-04-20T00:00:00+09:00");
    assert!(desk.ok("status --root @root").contains("closed"));
    let by_text = desk.hiwake("cat --root @root --text hogehoge --json");
    let hit: Value = serde_json::from_slice(&by_text.stdout).unwrap();
    is_there(&desk, &hit);
    assert_eq!((&hit["time"], &hit["objects"]), (&Value::Null, &serde_json::json!([])));
    let said = String::from_utf8(by_text.stderr).unwrap();
    assert!(said.contains("a closed day no longer has identities"), "{said}");
    let said = desk.fails(1, "cat --root @root --time 2022-04-18");
    assert!(said.contains("only --text searches them"), "{said}");
}

#[test]
fn a_dry_run_of_seal_names_the_days_without_lines_that_sealing_would_begin() {
    let desk = Desk::new();
    desk.ok("init --config @new.toml --log-group /var/log/messages --log-group /var/log/secure");
    let text = desk.text("new.toml").replace("\n[seal]", "\n[seal]\nempty_days = true");
    let config = desk.write("new.toml", text.as_bytes());
    desk.ok(&format!("{MESSAGES} --config {config} --now 2022-04-18T08:00:00+09:00"));
    let seal = format!("seal --config {config} --root @root --now 2022-04-20T00:00:00+09:00");
    let would = desk.ok(&format!("{seal} --dry-run"));
    let expected =
        "would seal messages/2022-04-18.csv: 1 line\nwould seal secure/2022-04-18.csv: 0 lines\n";
    assert_eq!(would, expected);
    let did = desk.ok(&seal);
    assert!(did.contains("sealed secure/2022-04-18.csv: 0 lines"), "{did}");
}

/// All identities of a day were held in memory, twice. They are read beside the text, a block at a
/// time: of commits that overlap, of many blocks each.
#[test]
fn lines_of_commits_of_many_blocks_that_overlap_are_found_with_their_objects() {
    const LINES: usize = 2_500;
    for order in ["time", "arrival"] {
        let desk = Desk::new();
        let toml = format!(
            "[[source]]\nlog_groups = [\"/g\"]\nfile = \"f\"\n[seal]\norder = \"{order}\"\n"
        );
        let config = desk.write("hiwake.toml", toml.as_bytes());
        for log in ["a", "b", "c"] {
            let line =
                |at: usize| format!("2022-04-18T09:{:02}:{:02} {log}{at}.\n", at / 60, at % 60);
            let text: String = (0..LINES).map(line).collect();
            let path = desk.write(log, text.as_bytes());
            desk.ok(&format!(
                "run {path} --config {config} --log-group /g --root @root --bucket @s3/{log} --now 2022-04-18T11:00:00+09:00"
            ));
        }
        let configured = format!("--config={config}");
        for sealed in [false, true] {
            if sealed {
                desk.ok(&format!(
                    "seal --config {config} --root @root --now 2022-04-20T00:00:00+09:00"
                ));
            }
            for (log, at) in [("a", 0), ("b", 1_023), ("b", 1_024), ("c", LINES - 1)] {
                let text = format!(" {log}{at}.");
                let hits = found(&desk, &[configured.as_str(), "--text", &text]);
                assert_eq!(hits.len(), 1, "{text} {hits:?}");
                is_there(&desk, &hits[0]);
                let time = format!("2022-04-18T09:{:02}:{:02}.000+09:00", at / 60, at % 60);
                assert_eq!(hits[0]["time"], time, "{order} {sealed}");
                let object = hits[0]["objects"][0].as_str().unwrap();
                assert!(object.contains(&format!("s3/{log}/")), "{object}");
            }
        }
    }
}

/// Only metrics and `--json` counted them.
#[test]
fn what_drop_and_keep_leave_out_is_said_by_run_land_and_replay() {
    let desk = Desk::new();
    let toml = "[[source]]\nlog_groups = [\"/g\"]\nfile = \"f\"\ndrop = ['x']\n";
    let config = desk.write("hiwake.toml", toml.as_bytes());
    let log = desk.write("log", b"Apr 18 09:00:00 a: x\nApr 18 09:00:01 a: y\n");
    let run = format!(
        "run {log} --config {config} --log-group /g --year 2022 --root @root --bucket @s3 --now 2022-04-18T11:00:00+09:00"
    );
    let left_out = "; 1 event left out by `drop` or `keep`\n";
    let says =
        |said: String, what: &str| assert!(said.contains(&format!("{what}{left_out}")), "{said}");
    says(desk.ok(&format!("{run} --dry-run")), "0 quarantined; 0 problems");
    says(desk.ok(&run), "1 new line (0 late), 0 already landed, 0 quarantined");
    // Of the backup, the landing leaves it out.
    let land = format!("land @s3/backup --config {config} --root @root");
    says(desk.ok(&format!("{land} --dry-run")), "1 already landed, 0 quarantined; 0 problems");
    says(desk.ok(&land), "1 already landed, 0 quarantined");
    let replay = format!("replay @s3/backup --config {config} --root @root");
    let said = desk.ok(&replay);
    assert!(said.contains("skipped 1: left out by `drop` or `keep`\n"), "{said}");
}

/// A message was not found by its own words where the line doubles its quotes or escapes them.
#[test]
fn a_text_is_found_as_it_was_logged_in_each_kind_of_line() {
    for kind in ["csv", "tsv", "json", "raw"] {
        let desk = Desk::new();
        let toml = format!(
            "[[source]]\nlog_groups = [\"/g\"]\nfile = \"f\"\n[format]\nkind = \"{kind}\"\n"
        );
        let config = desk.write("hiwake.toml", toml.as_bytes());
        let log = desk.write("log", b"Apr 18 09:00:00 host app: say \"hi, you\" C:\\x\n");
        desk.ok(&format!(
            "run {log} --config {config} --log-group /g --year 2022 --root @root --bucket @s3 --now 2022-04-18T11:00:00+09:00"
        ));
        let configured = format!("--config={config}");
        let hits = found(&desk, &[configured.as_str(), "--text", "say \"hi, you\" C:\\x"]);
        assert_eq!(hits.len(), 1, "{kind}");
    }
}
