//! Objects are landed: by content, in any pieces, checked, and with their bytes kept where they
//! cannot land.

use std::fs;

use hiwake::land::{Landed, Tally};
use hiwake::row::EventKey;
use hiwake::store::{ObjectId, Store};
use serde_json::Value;

use super::*;

/// A site and the folder with its objects.
struct Intake {
    site: Site,
    objects: tempfile::TempDir,
}

impl Intake {
    fn new(toml: &str) -> Intake {
        // The rules send each row where it says.
        let toml = format!("[unmatched]\nfile = \"{{log_group}}\"\n{toml}");
        Intake { site: Site::new(&toml), objects: tempfile::tempdir().unwrap() }
    }

    fn put(&self, key: &str, text: &[u8]) -> ObjectId {
        given::put(self.objects.path(), key, text);
        let bucket = self.objects.path().display().to_string();
        ObjectId { bucket, key: key.to_owned(), etag: None, version: None }
    }

    fn land(&self, objects: &[ObjectId]) -> Landed {
        let landed = self.site.lander().land(&Store::folder(self.objects.path()).unwrap(), objects);
        let Tally { rows, unreadable, lines, duplicates, quarantined, deferred, .. } = landed.tally;
        let came_to = lines + duplicates + quarantined + deferred;
        assert_eq!(rows + unreadable, came_to, "{:?}", landed.tally);
        if landed.objects.iter().all(Result::is_ok) {
            assert_eq!(deferred, 0, "{:?}", landed.tally);
        }
        landed
    }

    fn quarantine(&self) -> String {
        let tree = self.site.tree().into_iter();
        let kept = tree.filter(|(name, _)| name.starts_with(".hiwake/quarantine/"));
        kept.map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect()
    }
}

fn row(file: &str, kind: &str, day: &str, at: i64, id: &str, line: &str) -> String {
    let row = serde_json::json!({
        "file": file, "kind": kind, "day": day, "timestamp": MIDNIGHT + at,
        "stream": format!("1:{file}:s"), "id": id, "line": line,
    });
    format!("{row}\n")
}

fn rows(numbers: std::ops::Range<i64>) -> String {
    let text =
        |n: i64| row("messages", "csv", "2022-04-18", n, &n.to_string(), &format!("line {n}"));
    numbers.map(text).collect()
}

#[test]
fn i1_every_row_of_every_object_is_in_exactly_one_line() {
    let intake = Intake::new("");
    let objects =
        [intake.put("a", rows(0..50).as_bytes()), intake.put("b", rows(25..80).as_bytes())];
    let landed = intake.land(&objects);
    assert_eq!((landed.tally.objects, landed.tally.lines, landed.tally.duplicates), (2, 80, 25));
    assert_eq!(landed.tally.commits, 1, "the rows of all objects go under one hold");
    let wanted: String = (0..80).map(|n| format!("line {n}\n")).collect();
    assert_eq!(intake.site.text(*OPEN), wanted);
}

#[test]
fn memory_is_bounded_by_the_buffer_whatever_the_size_of_an_object() {
    let mut intake = Intake::new("");
    intake.site.config.limits.buffer_bytes = 4 << 10;
    let object = intake.put("a", rows(0..3000).as_bytes());
    let landed = intake.land(&[object]);
    assert!(landed.tally.commits > 20, "{:?}", landed.tally);
    assert_eq!(landed.tally.lines, 3000);
    let wanted: String = (0..3000).map(|n| format!("line {n}\n")).collect();
    assert_eq!(intake.site.text(*OPEN), wanted);
}

#[test]
fn an_object_that_is_rewritten_with_more_rows_lands_the_rest() {
    let intake = Intake::new("");
    intake.land(&[intake.put("a", rows(0..10).as_bytes())]).objects[0].as_ref().unwrap();
    let landed = intake.land(&[intake.put("a", rows(0..15).as_bytes())]);
    assert_eq!((landed.tally.lines, landed.tally.duplicates), (5, 10));
}

#[test]
fn several_day_files_land_at_once_and_one_that_is_busy_fails_its_objects_only() {
    let mut intake = Intake::new("[limits]\nlock_wait = \"50ms\"");
    let day = |file: &str, id: &str| row(file, "csv", "2022-04-18", 1, id, id);
    let both = intake.put("both", (day("one", "a") + &day("two", "b")).as_bytes());
    let first = intake.put("first", day("one", "c").as_bytes());
    intake.land(std::slice::from_ref(&both)).objects[0].as_ref().unwrap();
    let journal = intake.site.path(".hiwake/days/2022-04-18/two.csv/.journal");
    let holder = fs::File::options().write(true).open(journal).unwrap();
    holder.lock().unwrap();
    let both = intake.put("both", (day("one", "d") + &day("two", "e")).as_bytes());
    let landed = intake.land(&[both.clone(), first]);
    assert!(landed.objects[0].as_ref().unwrap_err().reason.contains("busy"), "{landed:?}");
    assert!(landed.objects[1].is_ok());
    drop(holder);
    intake.site.now += 1;
    let landed = intake.land(&[both]);
    assert_eq!((landed.tally.lines, landed.tally.duplicates), (1, 1));
}

#[test]
fn i6_no_name_in_a_row_leaves_the_root() {
    let intake = Intake::new("");
    let names = [
        "../up",
        "/etc/cron.d/x",
        "a/../../b",
        ".hiwake/days/x",
        "a//b",
        "",
        "2022-04-18.csv",
        "x\\0y",
        "a/./b",
        "a\nb",
    ];
    let text: String =
        names.iter().map(|name| row(name, "csv", "2022-04-18", 1, "a", "line")).collect();
    let landed = intake.land(&[intake.put("evil", text.as_bytes())]);
    assert_eq!((landed.tally.lines, landed.tally.quarantined), (0, names.len() as u64));
    assert!(intake.site.names().is_empty(), "{:?}", intake.site.names());
    let kept = intake.quarantine();
    assert!(kept.contains(r#"{\"file\":\"../up\""#) && kept.contains("evil"), "{kept}");
}

#[test]
fn a_row_that_would_tear_a_line_or_has_the_wrong_day_is_put_into_quarantine() {
    let intake = Intake::new("");
    let bad = [
        row("m", "csv", "2022-04-18", 1, "a", "an \"open quote"),
        row("m", "csv", "2022-04-18", 1, "b", "two\nlines"),
        row("m", "raw", "2022-04-18", 1, "c", "two\nlines"),
        row("m", "csv", "2022-04-18", 3 * DAY, "d", "another day"),
        row("m", "csv", "2022-04-18", i64::MIN / 2, "e", "no day at all"),
    ];
    let good = [
        row("m", "csv", "2022-04-18", 1, "f", "\"kept\nbreak\""),
        row("m", "raw", "2022-04-18", 1, "g", "an \"open quote"),
    ];
    let text = bad.concat() + &good.concat();
    let landed = intake.land(&[intake.put("o", text.as_bytes())]);
    assert_eq!((landed.tally.lines, landed.tally.quarantined), (2, bad.len() as u64));
    assert_eq!(intake.quarantine().lines().count(), bad.len());
    assert!(
        landed.reasons.iter().any(|reason| reason.contains("does not fall on day")),
        "{landed:?}"
    );
}

#[test]
fn what_is_in_quarantine_lands_when_its_cause_is_mended() {
    let intake = Intake::new("");
    let text = row("m", "csv", "2022-04-18", 3 * DAY, "a", "line");
    intake.land(&[intake.put("o", text.as_bytes())]).objects[0].as_ref().unwrap();
    let corrected = intake.quarantine().replace("2022-04-18", "2022-04-21");
    let landed = intake.land(&[intake.put("corrected", corrected.as_bytes())]);
    assert_eq!((landed.tally.lines, landed.tally.quarantined), (1, 0), "{landed:?}");
    let identity = |text: &str| hiwake::row::Row::decode(text.as_bytes()).unwrap().key();
    let corrected: Value = serde_json::from_str(&corrected).unwrap();
    let corrected = corrected["data"].as_str().unwrap();
    let same: (EventKey, EventKey) = (identity(&text), identity(corrected));
    assert_eq!(same.0, same.1);
}

#[test]
fn rows_of_a_closed_day_are_put_into_quarantine_and_the_others_of_the_object_land() {
    let mut intake = Intake::new("[seal]\njournal_days = 1");
    intake.land(&[intake.put("o", rows(0..3).as_bytes())]).objects[0].as_ref().unwrap();
    intake.site.now = MIDNIGHT + DAY + HOUR;
    intake.site.seal();
    intake.site.now += DAY;
    assert_eq!(intake.site.seal().closed.len(), 1);
    let before = intake.site.text(SEALED);
    let text = rows(0..5) + &row("other", "csv", "2022-04-18", 1, "x", "other");
    let object = intake.put("p", text.as_bytes());
    for lines in [1, 0] {
        let landed = intake.land(std::slice::from_ref(&object));
        assert_eq!((landed.tally.lines, landed.tally.quarantined), (lines, 5));
        assert!(landed.reasons[0].contains("closed"), "{landed:?}");
        assert_eq!(intake.quarantine().lines().count(), 5, "the same landing, the same file");
    }
    assert_eq!(intake.site.text(SEALED), before);
}

#[test]
fn many_day_files_with_a_row_each_fill_the_buffer_too() {
    let mut intake = Intake::new("");
    intake.site.config.limits.buffer_bytes = 64 << 10;
    let text = |n: i64| row(&format!("f/{n}"), "csv", "2022-04-18", n, "id", "line");
    let object = intake.put("o", (0..300).map(text).collect::<String>().as_bytes());
    // The rows alone would fit four times.
    let landed = intake.land(&[object]);
    assert_eq!((landed.tally.lines, landed.tally.commits), (300, 300));
    let journals =
        intake.site.tree().into_keys().filter(|name| name.ends_with("/.journal")).count();
    assert_eq!(journals, 300);
}

#[test]
fn what_keeps_an_object_from_landing_is_named_with_the_object() {
    let intake = Intake::new("");
    intake.land(&[intake.put("o", rows(0..3).as_bytes())]).objects[0].as_ref().unwrap();
    let open = intake.site.path(*OPEN);
    fs::File::options().write(true).open(open).unwrap().set_len(3).unwrap();
    let landed = intake.land(&[intake.put("p", rows(3..4).as_bytes())]);
    let reason = landed.objects[0].as_ref().unwrap_err().to_string();
    assert!(reason.contains(&format!("/p: {}: damaged", *OPEN)), "{reason}");
}

#[test]
fn an_object_that_is_not_there_fails_and_the_others_land() {
    let intake = Intake::new("");
    let there = intake.put("there", rows(0..1).as_bytes());
    let gone = ObjectId { key: "gone".to_owned(), ..there.clone() };
    let landed = intake.land(&[gone, there]);
    assert!(landed.objects[0].as_ref().unwrap_err().reason.contains("gone"));
    assert!(landed.objects[1].is_ok());
    assert_eq!(landed.tally.lines, 1);
}
