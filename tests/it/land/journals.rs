//! What a process remembers of a journal: it lands as one that has just begun, and reads only what
//! came since.

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::given::disk::Watched;

const FRAMES_AT: usize = 8192;

/// A site whose landings are all of one process.
fn one_process() -> Site {
    Site { journals: Some(Arc::default()), ..Site::new("") }
}

fn put(site: &Site, name: &str, bytes: &[u8]) {
    let path = site.path(name);
    let mut file = std::fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// The bytes that each of many commits reads: 300 events of 30 s, `late` of them from anywhere in
/// the day before.
fn bytes_read(commits: i64, late: i64) -> Vec<u64> {
    let site = one_process();
    let disk = Watched::new(&site.disk);
    let mut commit = |number: i64| {
        let at = |n: i64| number * 30_000 + n * 100;
        let mut events: Vec<Event> = (late..300).map(|n| event("x", at(n))).collect();
        // Spread so that no two commits have the same late times.
        events.extend((0..late).map(|n| {
            event(&format!("late-{number}"), (number * 7_919_003 + n * 1_000_003) % at(1).max(1))
        }));
        let before = disk.bytes_read();
        let lander = Lander { root: Root { disk: &disk, ..site.lander().root }, ..site.lander() };
        let done = hiwake::land::day_file::commit::commit(
            &lander,
            &day_file(),
            &batch(&events),
            &[],
            &|| Ok(()),
        );
        assert!(matches!(done, Ok(CommitOutcome::Committed(_))));
        disk.bytes_read() - before
    };
    (0..commits).map(&mut commit).collect()
}

#[test]
fn a_commit_reads_no_more_however_many_were_before() {
    let read = bytes_read(400, 0);
    // The header, the last frame, the mark of `seen`.
    assert!(read[1..].iter().all(|read| *read < 8192 + 300), "{read:?}");
}

#[test]
fn a_commit_with_late_events_reads_a_block_for_each_however_many_were_before() {
    let late = 3;
    let read = bytes_read(400, late);
    let most = |part: &[u64]| *part.iter().max().unwrap();
    // A block of a commit in order has 300 entries of 16 bytes; late events of other commits are
    // seldom as close.
    assert!(most(&read[1..]) < 8192 + 600 + 2 * 300 * 16 * late as u64, "{read:?}");
    assert!(most(&read[300..]) < 2 * most(&read[50..150]), "{read:?}");
}

#[test]
fn what_another_process_did_since_is_read() {
    let mut site = one_process();
    let other = |site: &Site, events: &[Event]| {
        let lander = Lander { journals: Arc::default(), ..site.lander() };
        let done = hiwake::land::day_file::commit::commit(
            &lander,
            &day_file(),
            &batch(events),
            &[],
            &|| Ok(()),
        );
        assert!(matches!(done, Ok(CommitOutcome::Committed(_))));
    };
    site.commit(&[event("a", 1)]);
    other(&site, &[event("b", 2)]);
    assert_eq!(site.commit(&[event("a", 1), event("b", 2), event("c", 3)]).duplicates, 2);
    // Sealed by another process, late, closed.
    site.now = MIDNIGHT + DAY + HOUR;
    let lander = Lander { journals: Arc::default(), ..site.lander() };
    assert_eq!(lander.seal().unwrap().sealed.len(), 1);
    let committed = site.commit(&[event("c", 3), event("d", 4)]);
    assert_eq!((committed.late, committed.duplicates), (1, 1));
    site.now += DAY;
    Lander { journals: Arc::default(), ..site.lander() }.seal().unwrap();
    site.now += 91 * DAY;
    let swept = Lander { journals: Arc::default(), ..site.lander() }.seal().unwrap();
    assert_eq!(swept.closed, [day_file()]);
    assert_eq!(site.try_commit(&[event("e", 5)]).unwrap(), CommitOutcome::Closed);
    assert_eq!(site.text(SEALED), "HOGE,a\nHOGE,b\nHOGE,c\n");
    assert_eq!(site.text("messages/2022-04-18.late.csv"), "HOGE,d\n");
}

#[test]
fn what_a_crash_left_after_the_frames_that_are_known_is_cut() {
    let site = one_process();
    site.commit(&[event("a", 1)]);
    let mut journal = site.tree()[JOURNAL].clone();
    journal.extend_from_slice(b"HWKF\x01\x02\0\0\xff");
    put(&site, JOURNAL, &journal);
    site.commit(&[event("b", 2)]);
    assert_eq!(site.text(*OPEN), "HOGE,a\nHOGE,b\n");
    assert_eq!(Site { journals: None, ..site }.commit(&[event("b", 2)]).duplicates, 1);
}

#[test]
fn another_journal_in_the_place_of_the_one_that_is_known_is_read() {
    // An older copy, another day's, none: as a process finds them that knows nothing.
    let site = one_process();
    site.commit(&[event("a", 1)]);
    let older = site.tree()[JOURNAL].clone();
    site.commit(&[event("b", 2)]);
    let frames_changed = {
        let mut bytes = site.tree()[JOURNAL].clone();
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let whole = site.tree()[JOURNAL].clone();
    for (what, bytes) in [("older", older), ("changed", frames_changed), ("none", Vec::new())] {
        site.commit(&[event("a", 1)]);
        put(&site, JOURNAL, &bytes);
        let error = site.try_commit(&[event("c", 3)]).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{what}: {error}");
        put(&site, JOURNAL, &whole);
    }
    assert_eq!(site.commit(&[event("b", 2), event("c", 3)]).lines, 1);
}

#[test]
fn a_flip_in_any_byte_of_a_journal_that_is_known_cuts_no_acknowledged_line() {
    let mut site = Site::new("");
    site.commit(&[event("a", 1), event("b", 2)]);
    site.commit(&[event("c", 3)]);
    let (journal, tree) = (site.tree()[JOURNAL].clone(), site.tree());
    let mut refused = 0;
    for at in (0..128).chain((128..FRAMES_AT).step_by(61)).chain(FRAMES_AT..journal.len()) {
        for (name, bytes) in &tree {
            put(&site, name, bytes);
        }
        site.journals = Some(Arc::default());
        site.commit(&[event("a", 1)]);
        let mut flipped = journal.clone();
        flipped[at] ^= 1 << (at % 8);
        put(&site, JOURNAL, &flipped);
        let again = [event("a", 1), event("b", 2), event("c", 3), event("d", 4)];
        match site.try_commit(&again) {
            Ok(CommitOutcome::Committed(committed)) => {
                assert_eq!((committed.lines, committed.duplicates), (1, 3), "flipped at {at}");
                assert_eq!(site.text(*OPEN), "HOGE,a\nHOGE,b\nHOGE,c\nHOGE,d\n", "flipped at {at}");
            }
            Ok(CommitOutcome::Closed) => panic!("flipped at {at}: closed"),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("damaged") || error.contains("newer"), "{at}: {error}");
                assert_eq!(site.text(*OPEN), "HOGE,a\nHOGE,b\nHOGE,c\n", "flipped at {at}");
                refused += 1;
            }
        }
    }
    // Each byte of the last frame, and of the identity.
    assert!(refused > 150, "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, failure_persistence: None, ..Default::default()
    })]

    /// Three processes take turns; one of them forgets all each time.
    #[test]
    fn processes_that_remember_and_one_that_does_not_land_each_event_once(
        steps in proptest::collection::vec(
            (0..3_usize, proptest::collection::vec((0..40_u8, 0..1_500_u32), 1..30)),
            1..25,
        ),
    ) {
        let mut site = Site::new("[limits]\ncommit_bytes = 4096");
        let processes = [Some(Arc::default()), Some(Arc::default()), None];
        let mut model: BTreeMap<(i64, String), String> = BTreeMap::new();
        for (process, ids) in steps {
            site.journals = processes[process].clone();
            let events: Vec<Event> = (ids.iter())
                .map(|(id, minute)| event(&format!("{id}-{minute}"), i64::from(*minute) * 60_000))
                .collect();
            let before = model.len();
            for (id, at, line) in &events {
                model.insert((*at, id.clone()), line.clone());
            }
            let committed = site.commit(&events);
            let new = (model.len() - before) as u64;
            prop_assert_eq!(committed.lines, new);
            prop_assert_eq!(committed.duplicates, events.len() as u64 - new);
        }
        let text = site.text(*OPEN);
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        let mut wanted: Vec<&str> = model.values().map(String::as_str).collect();
        wanted.sort_unstable();
        prop_assert_eq!(lines, wanted);
    }
}
