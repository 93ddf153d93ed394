//! Interrupted and started again, it resumes, says so, and starts over when it is told to.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use super::*;

/// The journal of the events of log group `api`.
const API_JOURNAL: &str = "root/.hiwake/days/2022-04-18/unmatched/api.csv/.journal";

/// Objects of `count` events, and after them one whose day file is [`API_JOURNAL`]'s; how many
/// objects there are before it.
fn with_a_last_one(count: usize) -> (Desk, usize) {
    let desk = delivered(count);
    let before = files(&desk, "s3/backup").len();
    put_event(&desk, "s3/backup/zz", "api");
    (desk, before)
}

/// How many objects are noted.
fn noted(desk: &Desk) -> usize {
    let Ok(notes) = fs::read_dir(desk.path("root/.hiwake/replays")) else { return 0 };
    let text = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    notes.map(|note| text(note.unwrap().path()).lines().count()).sum()
}

#[test]
fn killed_at_any_moment_and_started_again_it_goes_on_and_ends_the_same() {
    let (desk, count) = with_a_last_one(300);
    assert!(count > 60, "{count}");
    desk.ok(&REPLAY.replace("@root", "@whole"));
    let lines = |tree: &str| {
        let files = desk.published(tree).into_iter();
        files
            .map(|(name, bytes)| {
                let text = String::from_utf8(bytes).unwrap();
                (name, sorted(&text).into_iter().map(str::to_owned).collect::<Vec<_>>())
            })
            .collect::<Vec<_>>()
    };
    for part in 1..=6 {
        fs::remove_dir_all(desk.path("root")).ok();
        // Somebody has the last day file's lock: it cannot end before it is killed.
        let journal = given::put(desk.path("root").parent().unwrap(), API_JOURNAL, b"");
        let journal = File::options().write(true).open(journal).unwrap();
        journal.lock().unwrap();
        let mut child = desk.command(REPLAY).spawn().unwrap();
        let start = Instant::now();
        while noted(&desk) < part * 10 {
            assert!(start.elapsed() < Duration::from_secs(25), "part {part}: too slow");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), None, "part {part}: it was killed");
        drop(journal);
        let answer = replay(&desk, "");
        let before = answer["objects_landed_before"].as_u64().unwrap() as usize;
        assert!((part * 10..=count).contains(&before), "part {part}: {answer}");
        assert_eq!(before + answer["objects"].as_u64().unwrap() as usize, count + 1);
        assert_eq!(lines("root"), lines("whole"), "part {part}");
        let notes = fs::read_dir(desk.path("root/.hiwake/replays")).unwrap().count();
        assert_eq!(notes, 0, "done: nothing is left to resume");
    }
}

#[test]
fn what_was_landed_before_it_was_cut_off_is_not_read_again() {
    let (desk, count) = with_a_last_one(100);
    // What is in the way of one day file keeps the replay from its end.
    fs::create_dir_all(desk.path(API_JOURNAL)).unwrap();
    let said = desk.fails(1, REPLAY);
    assert!(said.contains("unmatched/api"), "{said}");
    assert_eq!(noted(&desk), count);
    fs::remove_dir(desk.path(API_JOURNAL)).unwrap();
    let answer = replay(&desk, "");
    assert_eq!(answer["objects_landed_before"], count, "{answer}");
    assert_eq!((&answer["objects"], &answer["new"]), (&1.into(), &1.into()), "{answer}");
}

#[test]
fn that_it_goes_on_is_said_and_from_the_start_it_fills_a_gap_that_was_made_since() {
    let (desk, count) = with_a_last_one(40);
    fs::create_dir_all(desk.path(API_JOURNAL)).unwrap();
    let said = desk.fails(1, REPLAY);
    assert!(!said.contains("--from-start"), "{said}");
    // Somebody removes what was landed.
    fs::remove_dir_all(desk.path("root/messages")).unwrap();
    fs::remove_dir_all(desk.path("root/.hiwake/days/2022-04-18/messages.csv")).unwrap();
    let said = desk.fails(1, REPLAY);
    assert!(said.contains(&format!("skipping {count} objects")), "{said}");
    assert!(said.contains("--from-start"), "{said}");
    assert!(!desk.path(OPEN_BELOW_ROOT).exists());
    fs::remove_dir(desk.path(API_JOURNAL)).unwrap();
    let answer = replay(&desk, "--from-start");
    assert_eq!(answer["objects_landed_before"], 0, "{answer}");
    assert_eq!((&answer["new"], &answer["already_landed"]), (&41.into(), &0.into()), "{answer}");
}

#[test]
fn what_the_part_before_the_cut_put_into_quarantine_is_told_at_the_end() {
    let (desk, count) = with_a_last_one(20);
    desk.write("s3/backup/00", b"\x1f\x8b\x08torn");
    modified(&desk.path("s3/backup/00"), given::T);
    fs::create_dir_all(desk.path(API_JOURNAL)).unwrap();
    desk.fails(1, REPLAY);
    assert_eq!(noted(&desk), count + 1);
    fs::remove_dir(desk.path(API_JOURNAL)).unwrap();
    let said = desk.fails(1, REPLAY);
    assert!(said.contains("1 of these objects put something into .hiwake/quarantine"), "{said}");
    assert_eq!(noted(&desk), 0, "it is done all the same");
}

#[test]
fn a_second_run_of_the_same_replay_says_that_one_is_running() {
    let (desk, _) = with_a_last_one(100);
    // Somebody has the last day file's lock: the first one cannot end.
    let journal = given::put(desk.path("root").parent().unwrap(), API_JOURNAL, b"");
    let journal = File::options().write(true).open(journal).unwrap();
    journal.lock().unwrap();
    let mut first = desk.command(REPLAY).spawn().unwrap();
    let start = Instant::now();
    while noted(&desk) == 0 {
        assert!(start.elapsed() < Duration::from_secs(25), "too slow");
        std::thread::sleep(Duration::from_millis(1));
    }
    let said = desk.fails(1, REPLAY);
    assert!(said.contains("the same command is running already"), "{said}");
    assert!(said.contains(".hiwake/replays/") && !said.contains("again"), "{said}");
    drop(journal);
    assert!(first.wait().unwrap().success());
}
