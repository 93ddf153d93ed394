//! What `verify`, `--rebuild`, `seal` and `status` said that was not so, or did that did harm: each
//! test is a case that somebody met, its comment tells what happened before.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;

use super::*;

const SUM: &str = "messages/2022-04-18.csv.sha256";

fn landed(rows: std::ops::Range<i64>) -> Yard {
    let yard = Yard::new();
    yard.put("a", rows);
    ok(&mut yard.land());
    yard
}

fn sealed(rows: std::ops::Range<i64>) -> Yard {
    let yard = landed(rows);
    ok(&mut yard.seal());
    yard
}

fn configured(yard: &Yard, command: &str, now: &str, toml: &str) -> Command {
    let toml = format!("[[source]]\nlog_groups = [\"g\"]\nfile = \"messages\"\n{toml}");
    let config = yard.configuration("config.toml", &toml);
    let mut command = yard.hiwake(&[command, "--now", now]);
    command.arg("--config").arg(config);
    command
}

fn verify(yard: &Yard) -> Output {
    yard.hiwake(&["verify", "--now", OVER]).output().unwrap()
}

fn rebuild(yard: &Yard) -> Command {
    let mut command = yard.hiwake(&["verify", "--now", OVER]);
    command.arg("--rebuild").arg(yard.path("in"));
    command
}

fn ok_stderr(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    stderr(&output)
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The watermark was written at Freeze only: a journal without its last two frames was taken for
/// one that a crash tore. `--rebuild` then wrote every line of the published day into a new open
/// file, and said that nothing was changed.
#[test]
fn a_sealed_day_whose_journal_lost_its_last_frames_is_repaired_and_its_file_not_touched() {
    for lost in [1, 30, 60, 100, 150] {
        let yard = sealed(0..3);
        let before = (yard.text(SEALED), fs::metadata(yard.at(SEALED)).unwrap().ino());
        let journal = fs::read(yard.at(JOURNAL)).unwrap();
        put(&yard.at(JOURNAL), &journal[..journal.len() - lost]);
        yard.put("b", 5..6);
        assert!(fails(&mut yard.land()).contains("damaged"), "{lost}: landing notices");
        assert_eq!(verify(&yard).status.code(), Some(1), "{lost}");
        let said = ok_stderr(&mut rebuild(&yard));
        assert!(
            said.contains("rebuilt messages") && !said.contains("othing was changed"),
            "{said}"
        );
        let after = (yard.text(SEALED), fs::metadata(yard.at(SEALED)).unwrap().ino());
        assert_eq!(after, before, "{lost}");
        assert!(!yard.at(*OPEN).exists(), "{lost}");
        ok(&mut yard.land());
        let late = yard.text(*LATE);
        assert_eq!(late, "line 5\n", "{lost}: only what is new");
    }
}

/// One damaged commit, and labels changed since: the lines of the other commit were written again
/// with the new labels.
#[test]
fn lines_whose_checksums_hold_keep_their_bytes_whatever_labels_say_today() {
    let yard = Yard::new();
    let label = |label: &str| format!("labels = [\"{label}\"]\n");
    let mut envelopes = Vec::new();
    for n in 0..3 {
        let envelope = serde_json::json!({
            "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "s",
            "subscriptionFilters": ["f"],
            "logEvents": [{"id": format!("e{n}"), "timestamp": MIDNIGHT + n, "message": format!("m{n}")}],
        });
        let path = yard.path("in").join(format!("e{n}"));
        put(&path, envelope.to_string().as_bytes());
        ok(configured(&yard, "land", IN_THE_DAY, &label("OLD")).arg(&path));
        envelopes.push(path);
    }
    let mut bytes = fs::read(yard.at(*OPEN)).unwrap();
    bytes[0] = b'X';
    put(&yard.at(*OPEN), &bytes);
    ok(configured(&yard, "verify", OVER, &label("NEW")).arg("--rebuild").arg(yard.path("in")));
    assert_eq!(yard.text(*OPEN), "NEW,m0\nOLD,m1\nOLD,m2\n");
    // Nothing is wrong with it any more, so another one does nothing.
    let before = yard.tree();
    ok(configured(&yard, "verify", OVER, &label("NEWER")).arg("--rebuild").arg(yard.path("in")));
    assert_eq!(yard.tree(), before);
}

/// Lines are written before their frame, and a long look holds an older journal against newer data:
/// verify cried, and `--rebuild` rebuilt healthy days, 12 times in 25 s.
#[test]
fn a_landing_at_work_is_no_damage_and_no_reason_to_rebuild() {
    let yard = Yard::new();
    yard.configuration(
        "config.toml",
        "[[source]]\nlog_groups = [\"g\"]\n[limits]\ncommit_bytes = 65536\n",
    );
    let long = |n: i64| row(n).replace("\"line\":\"", &format!("\"line\":\"{}", "z".repeat(300)));
    let objects: Vec<PathBuf> = (0..12)
        .map(|object| {
            let path = yard.path("in").join(format!("o{object}"));
            let rows: String = (object * 1500..(object + 1) * 1500).map(long).collect();
            put(&path, rows.as_bytes());
            path
        })
        .collect();
    let land = |object: &PathBuf| {
        let mut command = yard.hiwake(&["land", "--now", IN_THE_DAY]);
        command.arg("--config").arg(yard.path("config.toml")).arg(object);
        command
    };
    ok(&mut land(&objects[0]));
    let mut looks = 0;
    for object in &objects[1..] {
        let mut landing = land(object).spawn().unwrap();
        while landing.try_wait().unwrap().is_none() {
            let mut look = if looks % 2 == 0 { rebuild(&yard) } else { yard.hiwake(&["verify"]) };
            let output = look.output().unwrap();
            assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
            assert!(!stderr(&output).contains("rebuilt"), "{}", stderr(&output));
            looks += 1;
        }
        assert!(landing.wait().unwrap().success());
    }
    assert!(!yard.at(".hiwake/damaged").exists());
    let text = yard.text(*OPEN);
    assert_eq!(text.lines().collect::<HashSet<_>>().len(), 12 * 1500);
    println!("looks at a landing at work: {looks}");
    assert!(looks > 10);
}

/// Published files, or whole days, that are gone were "0 wrong".
#[test]
fn what_was_published_and_is_gone_is_wrong_unless_retention_removed_it() {
    for (closed, gone) in [(true, vec![SEALED, SUM]), (true, vec![SUM]), (false, vec![SEALED])] {
        let yard = sealed(0..3);
        if closed {
            let keep = "[seal]\njournal_days = 1\n[retention]\ndays = 3650\n";
            ok(&mut configured(&yard, "seal", "2022-04-22T03:00:00+09:00", keep));
        }
        gone.iter().for_each(|name| fs::remove_file(yard.at(name)).unwrap());
        let output =
            configured(&yard, "verify", OVER, "[retention]\ndays = 3650\n").output().unwrap();
        let said = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(gone.iter().all(|name| said.contains(&format!("WRONG {name}"))), "{said}");
    }
}

/// Files that retention had removed after their day was closed were WRONG for ever once it was
/// switched off.
#[test]
fn what_retention_removed_is_not_missed_whatever_is_configured_since() {
    for journal_days in [1, 90] {
        let yard = sealed(0..3);
        let toml = format!("[seal]\njournal_days = {journal_days}\n");
        ok(&mut configured(&yard, "seal", "2022-04-22T03:00:00+09:00", &toml));
        let toml = format!("{toml}[retention]\ndays = 2\n");
        let said = ok(&mut configured(&yard, "seal", "2022-04-23T03:00:00+09:00", &toml));
        assert!(said.contains("removed messages/2022-04-18.csv"), "{said}");
        assert!(!yard.at(SEALED).exists() && !yard.at(SUM).exists());
        let output = configured(&yard, "verify", OVER, "").output().unwrap();
        assert!(output.status.success(), "{}", stdout(&output));
        let status = ok(&mut yard.hiwake(&["status"]));
        assert!(status.contains("removed"), "{status}");
        let said = ok(&mut configured(&yard, "seal", "2022-04-24T03:00:00+09:00", &toml));
        assert!(said.contains("nothing is due") || said.contains("closed"), "{said}");
    }
}

#[test]
fn a_hint_of_a_day_without_a_journal_is_wrong_and_fails_to_seal() {
    for seal_first in [false, true] {
        let yard = landed(0..3);
        if seal_first {
            ok(&mut yard.seal());
        }
        for folder in ["messages", ".hiwake/days"] {
            fs::remove_dir_all(yard.at(folder)).unwrap();
        }
        let said = stdout(&verify(&yard));
        assert!(said.contains(&format!("WRONG {JOURNAL}")), "{said}");
        if !seal_first {
            let output = yard.seal().output().unwrap();
            assert_eq!(output.status.code(), Some(1));
            assert!(!stdout(&output).contains("nothing is due"), "{output:?}");
        }
    }
}

/// Retention counted from the day's end: what came late was published and removed in one call, and
/// could not land again.
#[test]
fn retention_counts_from_publication() {
    let toml = "[retention]\ndays = 10\n";
    let yard = Yard::new();
    let object = yard.put("a", 0..3);
    ok(configured(&yard, "land", "2022-05-01T08:00:00+09:00", toml).arg(object));
    let said = ok(&mut configured(&yard, "seal", "2022-05-01T10:00:00+09:00", toml));
    assert!(said.contains("sealed") && !said.contains("removed"), "{said}");
    assert_eq!(yard.text(SEALED), lines(3));
    ok(&mut configured(&yard, "seal", "2022-05-11T09:59:59+09:00", toml));
    assert_eq!(yard.text(SEALED), lines(3));
    // A late segment: the day's files go together, ten days after the last publication.
    yard.put("b", 5..6);
    ok(configured(&yard, "land", "2022-05-11T09:59:59+09:00", toml).arg(yard.path("in/b")));
    assert!(ok(&mut yard.hiwake(&["status"])).contains("sealed+late"));
    ok(&mut configured(&yard, "seal", "2022-05-11T12:00:00+09:00", toml));
    assert_eq!(yard.text(SEALED), lines(3));
    ok(&mut configured(&yard, "seal", "2022-05-21T11:59:59+09:00", toml));
    assert_eq!(yard.text("messages/2022-04-18.late.csv"), "line 5\n");
    let said = ok(&mut configured(&yard, "seal", "2022-05-21T12:00:00+09:00", toml));
    assert_eq!(said.matches("removed").count(), 2, "{said}");
    assert!(ok(&mut yard.hiwake(&["status"])).contains("removed"));
    assert_eq!(yard.published().len(), 0);
}

/// A folder that is somebody else's, or that cannot be read, was the end of `verify` and took the
/// answer of every round.
#[test]
fn one_bad_folder_is_one_failure_and_everything_else_is_done() {
    let yard = Yard::new();
    for file in ["a", "b", "c"] {
        let path = yard.path("in").join(file);
        put(&path, row(0).replace("messages", file).replace("1:g:s", file).as_bytes());
    }
    ok(&mut yard.land());
    fs::create_dir(yard.path("elsewhere")).unwrap();
    fs::remove_dir_all(yard.at("b")).unwrap();
    std::os::unix::fs::symlink(yard.path("elsewhere"), yard.at("b")).unwrap();
    let output = yard.seal().arg("--json").output().unwrap();
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let sealed =
        answer["sealed"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap());
    assert_eq!(sealed.collect::<Vec<_>>(), ["a/2022-04-18.csv", "c/2022-04-18.csv"]);
    assert_eq!((answer["failed"].as_array().unwrap().len(), output.status.code()), (1, Some(1)));
    let output = yard.seal().output().unwrap();
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
}

/// The first frame of the journal and an entry of `seen` were damaged: the day was closed though
/// SOURCE had every row, and a SOURCE that was another one's closed it for good.
#[test]
fn a_published_day_is_repaired_from_its_rows_and_closed_only_where_they_do_not_tell() {
    let damaged = || {
        let yard = sealed(0..6);
        for (name, at) in [(JOURNAL, 8192 + 30), (SEEN, 40)] {
            let mut bytes = fs::read(yard.at(name)).unwrap();
            bytes[at] ^= 1;
            put(&yard.at(name), &bytes);
        }
        yard
    };
    let yard = damaged();
    let before = fs::read(yard.at(SEALED)).unwrap();
    let said = ok_stderr(&mut rebuild(&yard));
    assert!(said.contains("6 lines, 1 object read") && !said.contains("no more rows"), "{said}");
    ok(&mut yard.land());
    assert_eq!(fs::read(yard.at(SEALED)).unwrap(), before);
    let yard = damaged();
    fs::remove_file(yard.path("in/a")).unwrap();
    let said = fails(&mut rebuild(&yard));
    assert!(
        said.contains("match no event of SOURCE") && said.contains("No line was changed"),
        "{said}"
    );
    yard.put("a", 0..5);
    let said = ok_stderr(&mut rebuild(&yard));
    assert!(said.contains("takes no more rows"), "{said}");
    assert!(fails(&mut yard.land()).contains("is closed"));
    assert_eq!(fs::read(yard.at(SEALED)).unwrap(), before);
}

fn flip(yard: &Yard, name: &str, at: usize, to: impl FnOnce(u8) -> u8) {
    let mut bytes = fs::read(yard.at(name)).unwrap();
    bytes[at] = to(bytes[at]);
    put(&yard.at(name), &bytes);
}

/// `seen` was lost, and sources had changed since: the rows of the journal's objects were as many
/// as the lines, but others.
#[test]
fn a_line_never_gets_the_identity_of_another_event() {
    let toml = |one: &str, other: &str| {
        let source = |stream: &str, file: &str| {
            format!(
                "[[source]]\nlog_groups = [\"g\"]\nlog_streams = [\"{stream}\"]\nfile = \"{file}\"\n"
            )
        };
        source(one, "messages") + &source(other, "other")
    };
    let yard = Yard::new();
    let config = yard.path("sources.toml");
    let hiwake = |arguments: &[&str]| {
        let mut command = yard.hiwake(arguments);
        command.arg("--config").arg(&config);
        command
    };
    let envelope = |stream: &str, id: &str| {
        let event = serde_json::json!({"id": id, "timestamp": MIDNIGHT, "message": id});
        serde_json::json!({
            "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": stream,
            "subscriptionFilters": ["f"], "logEvents": [event],
        })
        .to_string()
    };
    put(&yard.path("in/a"), (envelope("s1", "e1") + &envelope("s2", "e2")).as_bytes());
    yard.configuration("sources.toml", &toml("s1", "s2"));
    ok(hiwake(&["land", "--now", IN_THE_DAY]).arg(yard.path("in")));
    fs::remove_file(yard.at(SEEN)).unwrap();
    yard.configuration("sources.toml", &toml("s2", "s1"));
    fails(hiwake(&["verify", "--now", OVER]).arg("--rebuild").arg(yard.path("in")));
    yard.configuration("sources.toml", &toml("s1", "s2"));
    ok(hiwake(&["verify", "--now", OVER]).arg("--rebuild").arg(yard.path("in")));
    yard.configuration("sources.toml", &toml("s2", "s1"));
    ok(hiwake(&["land", "--now", OVER]).arg(yard.path("in")));
    let other = yard.text(&given::open_of("other/2022-04-18.csv"));
    assert_eq!((yard.text(*OPEN).as_str(), other.as_str()), ("e1\n", "e2\n"));
}

/// The note of a rebuild that had ended stayed: one changed byte led the next one back to the old
/// files, and what had landed since was gone.
#[test]
fn a_rebuild_that_has_ended_leaves_nothing_that_leads_back() {
    for to in [b'!', 0] {
        let yard = landed(0..1);
        flip(&yard, *OPEN, 0, |byte| byte ^ 1);
        ok(&mut rebuild(&yard));
        yard.put("b", 1..2);
        ok(&mut yard.land());
        flip(&yard, JOURNAL, 6, |_| to);
        assert_eq!(verify(&yard).status.code(), Some(1));
        ok(&mut rebuild(&yard));
        assert_eq!(yard.text(*OPEN), lines(2));
    }
}

/// `--rebuild` made an empty journal, and with it a day that was gone was "0 wrong" for ever.
#[test]
fn a_day_of_which_only_a_hint_is_left_stays_wrong_until_it_has_landed_again() {
    let yard = sealed(0..3);
    for folder in ["messages", ".hiwake/days"] {
        fs::remove_dir_all(yard.at(folder)).unwrap();
    }
    let said = fails(&mut rebuild(&yard));
    assert!(said.contains("land its objects again"), "{said}");
    assert_eq!(verify(&yard).status.code(), Some(1));
    ok(&mut yard.land());
    ok(&mut yard.seal());
    assert_eq!(yard.text(SEALED), lines(3));
}

/// A compressed segment between its Sealed frame and its name was read as if it were not
/// compressed: WRONG.
#[test]
fn a_compressed_segment_that_is_sealed_and_not_published_is_whole() {
    let yard = landed(0..3);
    let seal = configured(&yard, "seal", OVER, "[seal]\ncompress = \"gzip\"\n");
    let mut killed = Command::new("strace");
    killed.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=linkat"]);
    killed.args(["-e", "inject=linkat:signal=KILL:when=1"]);
    killed.arg(seal.get_program()).args(seal.get_args());
    assert!(!quiet(&mut killed).output().unwrap().status.success());
    let output = verify(&yard);
    assert!(output.status.success(), "{}", stdout(&output));
    ok(&mut rebuild(&yard));
    assert!(!yard.at(".hiwake/damaged").exists());
    ok(&mut yard.seal());
    assert!(yard.at("messages/2022-04-18.csv.gz").exists());
}

/// Journal and `seen` were of an older copy: a rebuild left out the lines that had landed since,
/// said "rebuilt", and with that the warning was gone, too.
#[test]
fn lines_that_no_commit_has_are_told_of_when_a_rebuild_sets_them_aside() {
    let yard = landed(0..12);
    let old = [JOURNAL, SEEN].map(|name| (name, fs::read(yard.at(name)).unwrap()));
    yard.put("b", 12..20);
    ok(&mut yard.land());
    old.iter().for_each(|(name, bytes)| put(&yard.at(name), bytes));
    let said = fails(&mut rebuild(&yard));
    assert!(said.contains("8 lines of no commit") && said.contains("again"), "{said}");
    ok(&mut yard.land());
    assert_eq!(yard.text(*OPEN), lines(20));
}

/// The slot of a closed day was zeroed, after retention had removed its file: it took rows again.
#[test]
fn a_closed_day_whose_slot_is_gone_is_damage() {
    for retention in ["", "[retention]\ndays = 1\n"] {
        let yard = sealed(0..3);
        let toml = format!("[seal]\njournal_days = 1\n{retention}");
        ok(&mut configured(&yard, "seal", "2022-04-23T03:00:00+09:00", &toml));
        let said = stdout(&verify(&yard));
        assert!(!said.contains("note"), "{said}");
        let mut bytes = fs::read(yard.at(JOURNAL)).unwrap();
        bytes[4096..8192].fill(0);
        put(&yard.at(JOURNAL), &bytes);
        assert_eq!(verify(&yard).status.code(), Some(1), "{retention}");
        assert!(fails(&mut yard.land()).contains("damaged"), "{retention}");
    }
}

/// Events as a backup has them, one object each.
fn envelopes(yard: &Yard, events: &[(&str, i64)]) {
    for (id, millis) in events {
        let envelope = serde_json::json!({
            "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "s",
            "subscriptionFilters": ["f"],
            "logEvents": [{"id": id, "timestamp": MIDNIGHT + millis, "message": id}],
        });
        put(&yard.path("in").join(id), envelope.to_string().as_bytes());
    }
}

fn land_in(yard: &Yard, now: &str) -> Command {
    let mut command = configured(yard, "land", now, "");
    command.arg(yard.path("in"));
    command
}

/// Of envelopes, which is all that there is once `landing/` has expired, a rebuild took nothing
/// that the journal did not name: it refused days whose every event was in SOURCE, and said that it
/// was not.
#[test]
fn a_day_whose_journal_is_lost_is_rebuilt_from_envelopes_that_can_be_nowhere_else() {
    for is_sealed in [true, false] {
        let yard = Yard::new();
        envelopes(&yard, &[("x", 0), ("y", 1)]);
        ok(&mut land_in(&yard, IN_THE_DAY));
        if is_sealed {
            ok(&mut configured(&yard, "seal", OVER, ""));
        }
        let name = if is_sealed { SEALED } else { *OPEN };
        let before = yard.text(name);
        fs::remove_dir_all(yard.at(".hiwake/days/2022-04-18/messages.csv")).unwrap();
        ok(configured(&yard, "verify", OVER, "").arg("--rebuild").arg(yard.path("in")));
        assert_eq!(yard.text(name), before);
        let said = ok(&mut land_in(&yard, OVER));
        assert!(said.contains("0 new lines (0 late), 2 already landed"), "{said}");
    }
}

#[test]
fn an_event_that_may_be_a_line_elsewhere_lends_its_identity_to_no_line() {
    let yard = Yard::new();
    envelopes(&yard, &[("x", 0)]);
    ok(&mut land_in(&yard, IN_THE_DAY));
    ok(&mut configured(&yard, "seal", OVER, ""));
    // The same text, at the same time, went to another file by other rules.
    let other = serde_json::json!({
        "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "t",
        "subscriptionFilters": ["f"],
        "logEvents": [{"id": "other", "timestamp": MIDNIGHT, "message": "x"}],
    });
    put(&yard.path("in").join("x"), other.to_string().as_bytes());
    let toml = "[[source]]\nlog_groups = [\"g\"]\nfile = \"elsewhere\"\n";
    yard.configuration("other.toml", toml);
    let mut land = yard.hiwake(&["land", "--now", OVER]);
    ok(land.arg("--config").arg(yard.path("other.toml")).arg(yard.path("in")));
    fs::remove_dir_all(yard.at(".hiwake/days/2022-04-18/messages.csv")).unwrap();
    let said =
        ok_stderr(configured(&yard, "verify", OVER, "").arg("--rebuild").arg(yard.path("in")));
    assert!(said.contains("identities of its lines are lost"), "{said}");
}

fn lose_last_frames_and_seen(yard: &Yard) {
    let journal = fs::read(yard.at(JOURNAL)).unwrap();
    put(&yard.at(JOURNAL), &journal[..journal.len() - 100]);
    fs::remove_file(yard.at(SEEN)).unwrap();
    assert_eq!(verify(yard).status.code(), Some(1));
}

/// The journal's last frames and `seen` were lost together: the published file counted as somebody
/// else's.
#[test]
fn a_sealed_day_that_lost_its_last_frames_and_seen_is_repaired_and_its_file_not_touched() {
    let yard = sealed(0..3);
    let before = yard.text(SEALED);
    lose_last_frames_and_seen(&yard);
    ok(&mut rebuild(&yard));
    assert_eq!(yard.text(SEALED), before);
    let said = ok(&mut yard.land());
    assert!(said.contains("0 new lines (0 late), 3 already landed"), "{said}");
}

/// Two lost pieces together looked like a crash in a first commit: the next landing truncated
/// acknowledged lines.
#[test]
fn lines_beside_a_missing_seen_are_damage_however_often_landing_tries() {
    let yard = landed(0..3);
    let before = yard.text(*OPEN);
    lose_last_frames_and_seen(&yard);
    yard.put("b", 5..6);
    for _ in 0..2 {
        assert!(fails(&mut yard.land()).contains("it is missing, but messages"));
        assert_eq!(yard.text(*OPEN), before);
    }
    ok(&mut rebuild(&yard));
    ok(&mut yard.land());
    assert_eq!(yard.text(*OPEN), format!("{before}line 5\n"));
}

/// Every row of three days, and beside them the envelopes that they were made of.
fn three_days() -> Yard {
    let yard = Yard::new();
    let events = [("a", -2), ("b", -1), ("x", 0), ("y", 1), ("z", 2), ("later", DAY)];
    envelopes(&yard, &events);
    ok(&mut land_in(&yard, IN_THE_DAY));
    ok(&mut configured(&yard, "seal", OVER, ""));
    yard
}

fn all_lines(yard: &Yard) -> usize {
    let files = yard.published();
    files.iter().map(|(name, bytes)| given::text_of(name, bytes).matches('\n').count()).sum()
}

/// Entries of another day's `seen` counted as lost identities: its lines were moved in, and the
/// day's own were gone.
#[test]
fn seen_of_another_day_moves_no_line() {
    let days = ["2022-04-17", "2022-04-18", "2022-04-19"];
    let seen = |day: &str| format!(".hiwake/days/{day}/messages.csv/.seen");
    for from in days {
        for to in days.iter().filter(|to| **to != from) {
            let yard = three_days();
            fs::copy(yard.at(&seen(from)), yard.at(&seen(to))).unwrap();
            let before = yard.published();
            ok(configured(&yard, "verify", OVER, "").arg("--rebuild").arg(yard.path("in")));
            let said = ok(&mut land_in(&yard, OVER));
            assert!(said.contains("6 rows, 0 new lines (0 late), 6 already landed"), "{said}");
            for (name, bytes) in before.iter().filter(|(name, _)| !name.contains(".sha256")) {
                assert_eq!(&yard.published()[name], bytes, "{from} to {to}");
            }
        }
    }
}

/// Events of other days in SOURCE took the envelopes of the day away from its rebuild.
#[test]
fn a_source_of_many_days_rebuilds_each_whose_journal_is_lost() {
    for day in ["2022-04-17", "2022-04-18", "2022-04-19"] {
        let yard = three_days();
        fs::remove_dir_all(yard.at(&format!(".hiwake/days/{day}"))).unwrap();
        let said =
            ok_stderr(configured(&yard, "verify", OVER, "").arg("--rebuild").arg(yard.path("in")));
        assert!(!said.contains("no more rows"), "{said}");
        ok(&mut land_in(&yard, OVER));
        assert_eq!(all_lines(&yard), 6 + yard.published().len() - 3);
    }
}

/// The journal's objects had other keys in SOURCE: the day was refused or closed though its blocks
/// prove the identities.
#[test]
fn identities_are_proven_by_a_commits_blocks_whatever_the_objects_keys_are() {
    for day in ["2022-04-17", "2022-04-18", "2022-04-19"] {
        let yard = three_days();
        flip(&yard, &format!(".hiwake/days/{day}/messages.csv/.seen"), 20, |byte| byte ^ 1);
        for entry in fs::read_dir(yard.path("in")).unwrap() {
            let entry = entry.unwrap();
            let name = format!("backup-{}", entry.file_name().to_str().unwrap());
            given::put(&yard.path("copy"), &name, &fs::read(entry.path()).unwrap());
        }
        let mut rebuild = configured(&yard, "verify", OVER, "");
        let said = ok_stderr(rebuild.arg("--rebuild").arg(yard.path("copy")));
        assert!(said.contains("rebuilt") && !said.contains("no more rows"), "{said}");
        ok(&mut land_in(&yard, OVER));
        assert_eq!(all_lines(&yard), 6 + yard.published().len() - 3);
    }
}

/// The journal of a late segment's first commit was of an older copy: `verify` saw nothing, and the
/// next landing truncated the acknowledged lines.
#[test]
fn a_first_commit_that_the_journal_lost_is_wrong_to_verify() {
    let yard = sealed(0..3);
    let folder = ".hiwake/days/2022-04-18/messages.csv";
    let [journal, seen] = [JOURNAL, SEEN].map(|name| fs::read(yard.at(name)).unwrap());
    yard.put("b", 5..6);
    ok(&mut yard.land());
    assert_eq!(verify(&yard).status.code(), Some(0), "{folder}");
    put(&yard.at(JOURNAL), &journal);
    put(&yard.at(SEEN), &seen);
    let output = verify(&yard);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("uncommitted bytes of whole lines"), "{output:?}");
}

/// What an earlier round had removed was announced again with each late file.
#[test]
fn a_file_is_listed_as_removed_once() {
    let yard = landed(0..3);
    let toml = "[retention]\ndays = 1\n";
    let seal = |now: &str| ok(&mut configured(&yard, "seal", now, toml));
    seal(OVER);
    assert!(seal("2022-04-21T00:00:00+09:00").contains("removed messages/2022-04-18.csv:"));
    yard.put("b", 5..6);
    let late = "2022-04-21T01:00:00+09:00";
    ok(configured(&yard, "land", late, toml).arg(yard.path("in/b")));
    seal("2022-04-21T03:00:00+09:00");
    let said = seal("2022-04-23T00:00:00+09:00");
    assert!(said.contains("removed messages/2022-04-18.late.csv:"), "{said}");
    assert_eq!(said.matches("removed").count(), 1, "{said}");
}
