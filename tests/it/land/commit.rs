//! One day file takes commits: each event once, whatever is landed again, at the same time, or
//! torn.

use std::fs::OpenOptions;
use std::io::Write;

use super::*;

fn append(site: &Site, name: &str, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(site.path(name)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn rows_become_lines_in_time_order() {
    let site = Site::new("");
    let committed = site.commit(&[event("b", 2), event("a", 1), event("c", 2)]);
    assert_eq!((committed.lines, committed.duplicates, committed.commits), (3, 0, 1));
    assert_eq!(site.text(*OPEN), "HOGE,a\nHOGE,b\nHOGE,c\n");
}

#[test]
fn the_same_batch_again_changes_no_byte_of_the_tree() {
    let site = Site::new("");
    let events = [event("b", 2), event("a", 1)];
    site.commit(&events);
    let before = site.tree();
    let committed = site.commit(&events);
    assert_eq!((committed.lines, committed.duplicates, committed.commits), (0, 2, 0));
    assert_eq!(site.tree(), before);
}

#[test]
fn a_row_that_stands_twice_in_a_batch_lands_once() {
    let site = Site::new("");
    let committed = site.commit(&[event("a", 1), event("b", 1), event("a", 1)]);
    assert_eq!((committed.lines, committed.duplicates), (2, 1));
    assert_eq!(site.text(*OPEN), "HOGE,a\nHOGE,b\n");
}

#[test]
fn the_same_id_at_another_time_is_another_event() {
    let site = Site::new("");
    site.commit(&[event("a", 1)]);
    assert_eq!(site.commit(&[event("a", 2)]).lines, 1);
}

#[test]
fn a_large_batch_lands_in_pieces_and_again_as_nothing() {
    let site = Site::new("[limits]\ncommit_bytes = 4096");
    let events: Vec<Event> = (0..5000).map(|n| event(&format!("{n:05}"), n / 3)).collect();
    let committed = site.commit(&events);
    assert_eq!(committed.lines, 5000);
    assert!(committed.commits > 10, "{committed:?}");
    let again = site.commit(&events);
    assert_eq!((again.lines, again.duplicates, again.commits), (0, 5000, 0));
    let wanted: String = events.iter().map(|event| format!("{}\n", event.2)).collect();
    assert_eq!(site.text(*OPEN), wanted);
}

#[test]
fn many_at_the_same_time_land_each_event_once() {
    let site = Site::new("");
    let events: Vec<Event> = (0..400).map(|n| event(&format!("{n:03}"), n)).collect();
    std::thread::scope(|scope| {
        for offset in 0..4 {
            let (site, events) = (&site, &events);
            scope.spawn(move || {
                let disk = RealDisk::open(site.folder.path()).unwrap();
                let lander =
                    Lander { root: Root { disk: &disk, ..site.lander().root }, ..site.lander() };
                for chunk in 0..10 {
                    let start = (chunk * 40 + offset * 100) % 400;
                    let batch = batch(&events[start..(start + 60).min(400)]);
                    let outcome = hiwake::land::day_file::commit::commit(
                        &lander,
                        &day_file(),
                        &batch,
                        &[],
                        &|| Ok(()),
                    )
                    .unwrap();
                    assert!(matches!(outcome, CommitOutcome::Committed(_)));
                }
            });
        }
    });
    let mut lines: Vec<String> = site.text(*OPEN).lines().map(str::to_owned).collect();
    lines.sort();
    let wanted: Vec<String> = events.iter().map(|event| event.2.clone()).collect();
    assert_eq!(lines, wanted);
}

#[test]
fn what_a_crash_left_beyond_the_last_commit_is_cut() {
    let site = Site::new("");
    site.commit(&[event("a", 1)]);
    let torn = given::stored("HOGE,torn\n");
    append(&site, *OPEN, &torn[..torn.len() - 1]);
    append(&site, SEEN, &[7; 21]);
    append(&site, JOURNAL, b"HWKF\x01\x01\0\0\xff");
    site.commit(&[event("b", 2)]);
    assert_eq!(site.text(*OPEN), "HOGE,a\nHOGE,b\n");
    assert_eq!(site.commit(&[event("a", 1), event("b", 2)]).duplicates, 2);
}

#[test]
fn a_journal_cut_to_its_header_with_data_there_is_damage() {
    let site = Site::new("");
    site.commit(&[event("a", 1)]);
    let file = OpenOptions::new().write(true).open(site.path(JOURNAL)).unwrap();
    file.set_len(0).unwrap();
    let before = site.tree();
    let error = site.try_commit(&[event("b", 2)]).unwrap_err().to_string();
    assert!(error.starts_with(JOURNAL) && error.contains("damaged"), "{error}");
    assert_eq!(site.tree(), before);
}

#[test]
fn a_data_file_shorter_than_committed_is_damage_and_is_left_alone() {
    let site = Site::new("");
    site.commit(&[event("a", 1)]);
    let whole = site.tree()[*OPEN].clone();
    let file = OpenOptions::new().write(true).open(site.path(*OPEN)).unwrap();
    file.set_len(3).unwrap();
    let error = site.try_commit(&[event("b", 2)]).unwrap_err().to_string();
    let said = format!("3 bytes, but {} were committed", whole.len());
    assert!(error.starts_with(*OPEN) && error.contains(&said), "{error}");
    assert_eq!(site.tree()[*OPEN], whole[..3]);
}

#[test]
fn a_seen_file_that_lost_its_entries_is_damage_and_nothing_is_doubled() {
    let site = Site::new("");
    site.commit(&[event("a", 1)]);
    std::fs::remove_file(site.path(SEEN)).unwrap();
    assert!(site.try_commit(&[event("a", 1)]).is_err());
    std::fs::File::create(site.path(SEEN)).unwrap();
    let error = site.try_commit(&[event("a", 1)]).unwrap_err().to_string();
    assert!(error.starts_with(SEEN), "{error}");
    assert_eq!(site.text(*OPEN), "HOGE,a\n");
}

#[test]
fn a_frame_of_a_newer_release_stops_the_day_file() {
    let site = Site::new("");
    site.commit(&[event("a", 1)]);
    let mut frame = b"HWKF\x09\x01\0\0\0\0\0\0\0\0\0\0".to_vec();
    let crc = crc32c::crc32c(&frame);
    frame.extend_from_slice(&crc.to_le_bytes());
    append(&site, JOURNAL, &frame);
    let before = site.tree();
    let error = site.try_commit(&[event("b", 2)]).unwrap_err().to_string();
    assert!(error.contains("kind 9") && error.contains("newer"), "{error}");
    assert_eq!(site.tree(), before);
}

#[test]
fn a_bad_frame_with_a_valid_one_after_it_is_damage() {
    let site = Site::new("");
    site.commit(&[event("a", 1)]);
    site.commit(&[event("b", 2)]);
    let mut bytes = std::fs::read(site.path(JOURNAL)).unwrap();
    bytes[8192 + 25] ^= 1;
    std::fs::remove_file(site.path(JOURNAL)).unwrap();
    std::fs::File::create(site.path(JOURNAL)).unwrap().write_all(&bytes).unwrap();
    let error = site.try_commit(&[event("c", 3)]).unwrap_err().to_string();
    assert!(error.contains("at 8192") && error.contains("valid ones follow"), "{error}");
}

#[test]
fn a_busy_day_file_is_a_retry_and_never_a_hang() {
    let site = Site::new("[limits]\nlock_wait = \"100ms\"");
    site.commit(&[event("a", 1)]);
    let holder = std::fs::File::options().write(true).open(site.path(JOURNAL)).unwrap();
    holder.lock().unwrap();
    let error = site.try_commit(&[event("b", 2)]).unwrap_err();
    assert!(matches!(error, LandError::Busy(_)), "{error}");
    drop(holder);
    assert_eq!(site.commit(&[event("b", 2)]).lines, 1);
}

#[test]
fn a_link_planted_in_the_tree_is_not_followed() {
    let site = Site::new("");
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), site.path("messages")).unwrap();
    assert!(site.try_commit(&[event("a", 1)]).is_err());
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn folders_and_files_have_the_configured_modes() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new("[files]\nmode = \"0444\"\ndir_mode = \"0777\"");
    site.commit(&[event("a", 1)]);
    let mode = |name| site.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("messages"), mode(*OPEN)), (0o777, 0o644));
}
