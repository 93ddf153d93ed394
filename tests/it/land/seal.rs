//! A day that has ended is sealed: complete, in order, under its final name, read-only, with its
//! checksum.

use sha2::{Digest, Sha256};

use hiwake::land::upkeep::status::{DayState, DayStatus, MERGE_BYTES_MAX};
use hiwake::row::Kind;

use super::*;

const LATE_SEALED: &str = "messages/2022-04-18.late.csv";

/// A site with two overlapping commits, at a time when the day may be sealed.
fn over(toml: &str) -> Site {
    let mut site = Site::new(toml);
    site.commit(&[event("b", 2), event("d", 4)]);
    site.commit(&[event("a", 1), event("c", 3)]);
    site.now = MIDNIGHT + DAY + HOUR;
    site
}

fn check_sum(site: &Site, name: &str) {
    let bytes = std::fs::read(site.path(name)).unwrap();
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let base = name.rsplit('/').next().unwrap();
    assert_eq!(site.text(&format!("{name}.sha256")), format!("{hash}  {base}\n"));
}

#[test]
fn a_day_is_sealed_in_time_order_when_its_grace_is_over() {
    let mut site = over("");
    site.now -= 1;
    assert!(site.seal().sealed.is_empty());
    site.now += 1;
    let swept = site.seal();
    let (day_file, sealed) = &swept.sealed[0];
    assert_eq!((day_file, sealed.lines, sealed.bytes), (&super::day_file(), 4, 28));
    assert_eq!(site.text(SEALED), "HOGE,a\nHOGE,b\nHOGE,c\nHOGE,d\n");
    assert_eq!(site.names(), [SEALED, &format!("{SEALED}.sha256")]);
    check_sum(&site, SEALED);
    assert!(site.path(SEALED).metadata().unwrap().permissions().readonly());
}

#[test]
fn sealing_again_changes_nothing() {
    let site = over("");
    site.seal();
    let before = site.tree();
    assert!(site.seal().sealed.is_empty());
    assert_eq!(site.tree(), before);
}

#[test]
fn a_day_stays_open_while_commits_still_come_but_not_for_ever() {
    let mut site = over("");
    site.commit(&[event("e", 5)]);
    assert!(site.seal().sealed.is_empty(), "a commit came just now");
    let sealed_after = (1..).find(|hours| {
        site.now = MIDNIGHT + DAY + HOUR + hours * HOUR;
        site.commit(&[event(&format!("{hours}"), *hours)]);
        !site.seal().sealed.is_empty()
    });
    // 48 hours after the first commit, which came at one o'clock.
    assert_eq!(sealed_after, Some(24));
}

#[test]
fn arrival_keeps_the_order_of_the_commits() {
    let site = over("[seal]\norder = \"arrival\"");
    site.seal();
    assert_eq!(site.text(SEALED), "HOGE,b\nHOGE,d\nHOGE,a\nHOGE,c\n");
    check_sum(&site, SEALED);
}

/// A compressed open file has other bytes than the sealed one: that is always a new file.
#[test]
fn commits_in_order_are_sealed_in_place() {
    use std::os::unix::fs::MetadataExt;
    let mut site = Site::new("");
    site.commit(&[event("a", 1), event("b", 2)]);
    site.commit(&[event("c", 2)]);
    let inode = site.path(*OPEN).metadata().unwrap().ino();
    site.now = MIDNIGHT + DAY + HOUR;
    site.seal();
    let is_same = site.path(SEALED).metadata().unwrap().ino() == inode;
    assert_eq!(is_same, given::open_form() == Form::Plain);
    assert!(!site.path(*OPEN).exists());
    assert_eq!(site.text(SEALED), "HOGE,a\nHOGE,b\nHOGE,c\n");
    check_sum(&site, SEALED);
}

#[test]
fn gzip_is_published_compressed() {
    use std::io::Read;
    for order in ["time", "arrival"] {
        let site = over(&format!("[seal]\ncompress = \"gzip\"\norder = \"{order}\""));
        let lines = site.seal().sealed[0].1.lines;
        let file = std::fs::File::open(site.path("messages/2022-04-18.csv.gz")).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        let mut got: Vec<&str> = text.lines().collect();
        got.sort_unstable();
        assert_eq!((got, lines), (vec!["HOGE,a", "HOGE,b", "HOGE,c", "HOGE,d"], 4));
        check_sum(&site, "messages/2022-04-18.csv.gz");
    }
}

#[test]
fn lines_with_line_breaks_in_quotes_stay_whole_in_a_merge() {
    let mut site = Site::new("[format]\nnewline = \"keep\"");
    let quoted = |id: &str, at: i64| (id.to_owned(), at, format!("{id},\"x\ny \"\"z\"\"\n\""));
    site.commit(&[quoted("b", 2), event("d", 4)]);
    site.commit(&[event("a", 1), quoted("c", 3)]);
    site.now = MIDNIGHT + DAY + HOUR;
    site.seal();
    let wanted = "HOGE,a\nb,\"x\ny \"\"z\"\"\n\"\nc,\"x\ny \"\"z\"\"\n\"\nHOGE,d\n";
    assert_eq!(site.text(SEALED), wanted);
}

#[test]
fn late_rows_go_to_late_files_and_the_published_one_never_changes() {
    let mut site = over("");
    site.seal();
    let published = std::fs::read(site.path(SEALED)).unwrap();
    let committed = site.commit(&[event("a", 1), event("late", 9)]);
    assert_eq!((committed.lines, committed.late, committed.duplicates), (1, 1, 1));
    assert_eq!(site.text(*LATE), "HOGE,late\n");
    site.now += HOUR;
    site.seal();
    check_sum(&site, LATE_SEALED);
    site.commit(&[event("later", 9)]);
    site.now += HOUR;
    site.seal();
    assert_eq!(site.text("messages/2022-04-18.late2.csv"), "HOGE,later\n");
    assert_eq!(std::fs::read(site.path(SEALED)).unwrap(), published);
    assert_eq!(site.commit(&[event("later", 9), event("late", 9)]).duplicates, 2);
}

#[test]
fn a_foreign_file_under_the_final_name_is_not_replaced_and_nothing_is_lost() {
    let site = over("");
    std::fs::File::create(site.path(SEALED)).unwrap();
    let swept = site.lander().seal().unwrap();
    assert!(swept.failed[0].to_string().starts_with(SEALED), "{:?}", swept.failed);
    assert_eq!(site.text(SEALED), "");
    std::fs::remove_file(site.path(SEALED)).unwrap();
    assert_eq!(site.seal().sealed.len(), 1);
    assert_eq!(site.text(SEALED), "HOGE,a\nHOGE,b\nHOGE,c\nHOGE,d\n");
}

#[test]
fn a_changed_byte_is_found_before_it_is_published() {
    for toml in ["", "[seal]\norder = \"arrival\""] {
        let site = over(toml);
        let open = site.path(*OPEN);
        let mut bytes = std::fs::read(&open).unwrap();
        bytes[3] ^= 1;
        given::put(site.folder.path(), *OPEN, &bytes);
        let swept = site.lander().seal().unwrap();
        let wanted = match given::open_form() {
            Form::Plain => "other bytes",
            Form::Compressed => "a damaged zstd frame",
        };
        assert!(swept.failed[0].to_string().contains(wanted), "{:?}", swept.failed);
        assert!(!site.path(SEALED).exists());
    }
}

#[test]
fn everybody_may_seal_at_once() {
    let site = over("");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| site.lander().seal().unwrap());
        }
    });
    assert_eq!(site.text(SEALED), "HOGE,a\nHOGE,b\nHOGE,c\nHOGE,d\n");
    assert_eq!(site.names(), [SEALED, &format!("{SEALED}.sha256")]);
}

#[test]
fn a_clock_that_is_off_seals_nothing() {
    let site = over("");
    let lander =
        Lander { root: Root { clock: Clock::System, ..site.lander().root }, ..site.lander() };
    assert_eq!(lander.seal().unwrap().sealed.len(), 1, "this machine's clock is the file system's");
    let (ours, theirs) = (DAY, 0);
    let error = LandError::Clock { ours, theirs }.to_string();
    assert!(error.contains("86400 s ahead"), "{error}");
}

/// Of a compressed open file, which is a part of its text, nobody was told.
#[test]
fn a_day_that_one_invocation_cannot_merge_is_told_until_it_is_sealed() {
    let given = DayStatus {
        file: "messages".to_owned(),
        day: "2022-04-18".to_owned(),
        kind: Kind::Csv,
        state: DayState::Frozen,
        lines: 1,
        bytes: 1,
        unsealed_bytes: 0,
        duplicates: 0,
        late: 0,
        commits: 1,
        last_commit: None,
        due: None,
        overdue: false,
        missing: Vec::new(),
        paths: Vec::new(),
    };
    let day = |state, unsealed_bytes| DayStatus { state, unsealed_bytes, ..given.clone() };
    assert!(!day(DayState::Open, MERGE_BYTES_MAX).outgrows_an_invocation());
    assert!(day(DayState::Open, MERGE_BYTES_MAX + 1).outgrows_an_invocation());
    assert!(day(DayState::Frozen, MERGE_BYTES_MAX + 1).outgrows_an_invocation());
    assert!(!day(DayState::Sealed, MERGE_BYTES_MAX + 1).outgrows_an_invocation());
}
