//! A journal, `seen` or data file that is flipped, cut, emptied or older than the others: a clear
//! error, or no harm at all; never an acknowledged line that is cut, lost or doubled.

use std::io::Write;

use super::*;

const FRAMES_AT: usize = 8192;
const PROOF_AT: usize = 4095;

type Tree = BTreeMap<String, Vec<u8>>;

fn put(site: &Site, name: &str, bytes: &[u8]) {
    let path = site.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    if path.exists() {
        std::fs::remove_file(&path).unwrap();
    }
    std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Brings the root back to what it was, with one file changed.
fn restore(site: &Site, tree: &Tree, name: &str, bytes: &[u8]) {
    std::fs::remove_dir_all(site.path("messages")).unwrap();
    std::fs::remove_dir_all(site.path(".hiwake")).unwrap();
    for (name, bytes) in tree {
        put(site, name, bytes);
    }
    put(site, name, bytes);
}

/// The tree without the spare byte, which has no meaning.
fn without_proof(mut tree: Tree) -> Tree {
    if let Some(byte) = tree.get_mut(JOURNAL).and_then(|bytes| bytes.get_mut(PROOF_AT)) {
        *byte = 0;
    }
    tree
}

/// Every byte that means something, and some that do not.
fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let last = bytes.len();
    (0..last).filter(move |at| {
        last < FRAMES_AT
            || *at < 128
            || *at >= FRAMES_AT
            || (4090..4140).contains(at)
            || at % 127 == 0
    })
}

/// Two commits, then each byte of a file flipped in turn; `then` judges. Answers how many flips
/// were errors.
fn every_flip(
    site: &Site,
    name: &str,
    mut then: impl FnMut(&Site, &Tree, usize) -> bool,
) -> (usize, usize) {
    let tree = site.tree();
    let (mut flips, mut errors) = (0, 0);
    for at in places(&tree[name]) {
        for flip in [1 << (at % 8), 0xff] {
            let mut bytes = tree[name].clone();
            bytes[at] ^= flip;
            restore(site, &tree, name, &bytes);
            let before = without_proof(site.tree());
            flips += 1;
            errors += usize::from(then(site, &before, at));
        }
    }
    (flips, errors)
}

fn two_commits() -> Site {
    let site = Site::new("");
    site.commit(&[event("a", 1), event("b", 2)]);
    site.commit(&[event("c", 3)]);
    site
}

/// Whether a day file stops for a person to look: damage, or a header whose flipped digit is a
/// newer release's.
fn stops(error: &str) -> bool {
    error.contains("damaged") && error.contains("verify") || error.contains("newer release")
}

/// Lands what is there already and one more; every line is there once, or it was refused and
/// nothing has changed.
fn lands_or_refuses(site: &Site, before: &Tree, at: usize) -> bool {
    let again = [event("a", 1), event("b", 2), event("c", 3), event("d", 4)];
    match site.try_commit(&again) {
        Ok(CommitOutcome::Committed(committed)) => {
            assert_eq!((committed.lines, committed.duplicates), (1, 3), "flipped at {at}");
            assert_eq!(site.text(*OPEN), "HOGE,a\nHOGE,b\nHOGE,c\nHOGE,d\n", "flipped at {at}");
            false
        }
        Ok(CommitOutcome::Closed) => panic!("flipped at {at}: closed"),
        Err(error) => {
            let text = error.to_string();
            assert!(stops(&text), "flipped at {at}: {text}");
            assert!(text.starts_with(JOURNAL) || text.starts_with(SEEN), "flipped at {at}: {text}");
            assert_eq!(without_proof(site.tree()), *before, "flipped at {at}: {text}");
            true
        }
    }
}

#[test]
fn a_flip_in_any_byte_of_a_journal_cuts_no_acknowledged_line() {
    let site = two_commits();
    let (flips, errors) = every_flip(&site, JOURNAL, lands_or_refuses);
    let frames = site.tree()[JOURNAL].len();
    println!(
        "journal: {flips} flips, {errors} refused, the others without meaning; {frames} bytes"
    );
    // Every byte of the frames, and of the identity, counts.
    assert!(errors > 400, "{errors} of {flips}");
}

#[test]
fn a_flip_in_the_last_frame_is_damage_though_it_looks_torn() {
    let site = two_commits();
    let journal = site.tree()[JOURNAL].clone();
    let last = memchr::memmem::rfind(&journal, b"HWKF").unwrap();
    let (mut flips, tree) = (0, site.tree());
    for at in last..journal.len() {
        let mut bytes = journal.clone();
        bytes[at] ^= 0x10;
        restore(&site, &tree, JOURNAL, &bytes);
        let before = without_proof(site.tree());
        assert!(lands_or_refuses(&site, &before, at), "a flip at {at} was passed over");
        flips += 1;
    }
    assert!(flips > 60);
}

#[test]
fn a_flip_in_any_byte_of_seen_doubles_nothing() {
    let site = two_commits();
    let (flips, errors) = every_flip(&site, SEEN, lands_or_refuses);
    // The mark (16 bytes) is made again; every entry counts.
    assert_eq!((flips, errors), (2 * (16 + 48), 2 * 48));
}

/// Of a frame some bits mean nothing for the text, as the window's size: what is published then has
/// every line as it was.
#[test]
fn a_flip_in_any_byte_of_the_data_is_found_before_it_is_published() {
    for (toml, name, wanted) in [
        ("", SEALED, "HOGE,a\nHOGE,b\nHOGE,c\n"),
        ("[seal]\norder = \"arrival\"", SEALED, "HOGE,a\nHOGE,c\nHOGE,b\n"),
        ("[seal]\ncompress = \"gzip\"", "messages/2022-04-18.csv.gz", "HOGE,a\nHOGE,b\nHOGE,c\n"),
    ] {
        let mut site = Site::new(toml);
        site.commit(&[event("a", 1), event("c", 3)]);
        site.commit(&[event("b", 2)]);
        site.now = MIDNIGHT + DAY + HOUR;
        let length = site.tree()[*OPEN].len();
        let (flips, errors) = every_flip(&site, *OPEN, |site, _, at| {
            let swept = site.lander().seal().unwrap();
            if given::open_form() == Form::Compressed && swept.failed.is_empty() {
                assert_eq!(site.text(name), wanted, "flipped at {at}");
                return false;
            }
            let text = swept.failed.first().map(ToString::to_string).unwrap_or_default();
            assert!(text.starts_with(*OPEN) && text.contains("verify"), "flipped at {at}: {text}");
            assert!(swept.sealed.is_empty() && !site.path(name).exists());
            true
        });
        assert_eq!(flips, 2 * length);
        match given::open_form() {
            Form::Plain => assert_eq!((flips, errors), (42, 42)),
            Form::Compressed => assert!(flips - errors <= 4, "{errors} of {flips}"),
        }
    }
}

#[test]
fn a_flip_in_the_journal_of_a_sealed_day_changes_no_published_file_and_doubles_nothing() {
    let mut site = two_commits();
    site.now = MIDNIGHT + DAY + HOUR;
    site.seal();
    let published = site.tree()[SEALED].clone();
    let (flips, errors) = every_flip(&site, JOURNAL, |site, before, at| {
        let again = [event("a", 1), event("b", 2), event("c", 3), event("late", 4)];
        let result = site.try_commit(&again);
        let swept = site.lander().seal().unwrap();
        assert_eq!(site.tree()[SEALED], published, "flipped at {at}");
        match result {
            Ok(CommitOutcome::Committed(committed)) => {
                assert_eq!((committed.lines, committed.late), (1, 1), "flipped at {at}");
                assert_eq!(site.text(*LATE), "HOGE,late\n", "flipped at {at}");
                assert!(swept.failed.is_empty(), "flipped at {at}: {:?}", swept.failed);
                false
            }
            Ok(CommitOutcome::Closed) => panic!("flipped at {at}: closed"),
            Err(error) => {
                assert!(stops(&error.to_string()), "flipped at {at}: {error}");
                assert_eq!(without_proof(site.tree()), *before, "flipped at {at}");
                true
            }
        }
    });
    println!("journal of a sealed day: {flips} flips, {errors} refused");
    assert!(errors > 500, "{errors} of {flips}");
}

#[test]
fn a_flip_in_the_journal_of_a_closed_day_opens_it_to_nothing() {
    let mut site = two_commits();
    site.now = MIDNIGHT + DAY + HOUR;
    site.seal();
    site.now += 90 * DAY;
    assert_eq!(site.seal().closed.len(), 1);
    let (flips, errors) = every_flip(&site, JOURNAL, |site, before, at| {
        let result = site.try_commit(&[event("a", 1), event("new", 4)]);
        // What follows the slot without being a frame of a closed day is cut.
        let slot = |tree: &Tree| tree[JOURNAL][..FRAMES_AT].to_vec();
        let after = without_proof(site.tree());
        assert_eq!(slot(&after), slot(before), "flipped at {at}");
        assert_eq!(after.get(SEALED), before.get(SEALED), "flipped at {at}");
        match result {
            Ok(CommitOutcome::Closed) => false,
            Ok(CommitOutcome::Committed(_)) => panic!("flipped at {at}: it took rows"),
            Err(error) => {
                assert!(stops(&error.to_string()), "flipped at {at}: {error}");
                true
            }
        }
    });
    println!("journal of a closed day: {flips} flips, {errors} refused");
    assert!(errors > 150, "{errors} of {flips}");
}

#[test]
fn a_journal_cut_anywhere_is_damage_and_the_lines_stay() {
    let site = two_commits();
    let tree = site.tree();
    let journal = &tree[JOURNAL];
    for length in (0..FRAMES_AT).step_by(61).chain(FRAMES_AT..journal.len()) {
        restore(&site, &tree, JOURNAL, &journal[..length]);
        let before = without_proof(site.tree());
        assert!(lands_or_refuses(&site, &before, length), "cut to {length}");
    }
}

#[test]
fn seen_or_data_cut_anywhere_is_damage() {
    let site = two_commits();
    let tree = site.tree();
    for length in 0..tree[SEEN].len() {
        restore(&site, &tree, SEEN, &tree[SEEN][..length]);
        let before = site.tree();
        assert!(lands_or_refuses(&site, &without_proof(before), length), "cut to {length}");
    }
    let whole = &tree[*OPEN];
    let said = format!("but {} were committed", whole.len());
    for length in 0..whole.len() {
        restore(&site, &tree, *OPEN, &whole[..length]);
        let error = site.try_commit(&[event("d", 4)]).unwrap_err().to_string();
        assert!(error.starts_with(*OPEN) && error.contains(&said), "cut to {length}: {error}");
        assert_eq!(site.tree()[*OPEN], whole[..length]);
    }
}

#[test]
fn a_file_that_is_gone_is_damage_and_is_not_made_anew() {
    let site = two_commits();
    let tree = site.tree();
    for name in [*OPEN, SEEN, JOURNAL] {
        restore(&site, &tree, name, &tree[name]);
        std::fs::remove_file(site.path(name)).unwrap();
        let error = site.try_commit(&[event("d", 4)]).unwrap_err().to_string();
        assert!(error.starts_with(name) && error.contains("damaged"), "{name}: {error}");
        let after = site.tree();
        // An empty journal is nobody's state: the next one finds the same damage.
        assert!(after.get(name).is_none_or(|bytes| name == JOURNAL && bytes.is_empty()), "{name}");
    }
    restore(&site, &tree, *OPEN, &tree[*OPEN]);
    std::fs::remove_file(site.path(*OPEN)).unwrap();
    let late = Site { now: MIDNIGHT + DAY + HOUR, ..site };
    let failed = late.lander().seal().unwrap().failed;
    assert!(failed[0].to_string().contains("damaged"), "{failed:?}");
}

#[test]
fn a_file_from_an_older_copy_is_damage_whichever_it_is() {
    let site = Site::new("");
    site.commit(&[event("a", 1), event("b", 2)]);
    let old = site.tree();
    site.commit(&[event("c", 3)]);
    let new = site.tree();
    for name in [JOURNAL, SEEN, *OPEN] {
        restore(&site, &new, name, &old[name]);
        let before = without_proof(site.tree());
        let error = site.try_commit(&[event("c", 3), event("d", 4)]).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{name}: {error}");
        assert_eq!(without_proof(site.tree()), before, "{name}");
    }
    // All of them older alike is a day of that time, and nothing can tell; landing again makes it
    // whole.
    restore(&site, &old, *OPEN, &old[*OPEN]);
    assert_eq!(site.commit(&[event("a", 1), event("c", 3)]).lines, 1);
    assert_eq!(site.text(*OPEN), "HOGE,a\nHOGE,b\nHOGE,c\n");
}

#[test]
fn a_journal_from_before_the_seal_seals_nothing_twice() {
    let mut site = two_commits();
    let mut old = vec![site.tree()[JOURNAL].clone()];
    site.now = MIDNIGHT + DAY + HOUR;
    site.seal();
    let tree = site.tree();
    // Freeze, Sealed and Done: the journal as it was before each.
    let journal = &tree[JOURNAL];
    let frames: Vec<usize> = memchr::memmem::find_iter(journal, b"HWKF").collect();
    old.extend(frames[3..].iter().map(|at| journal[..*at].to_vec()));
    for (number, journal) in old.iter().enumerate() {
        restore(&site, &tree, JOURNAL, journal);
        let hint = site.path(".hiwake/due/seal/2022-04-18/messages/2022-04-18.csv.1");
        std::fs::create_dir_all(hint.parent().unwrap()).unwrap();
        std::fs::File::create(hint).unwrap();
        let swept = site.lander().seal().unwrap();
        assert_eq!(site.tree()[SEALED], tree[SEALED]);
        // `seen` knows of the last frame: whatever is missing, it is damage.
        let error = swept.failed.first().unwrap().to_string();
        assert!(error.contains("damaged"), "{number}: {error}");
        let committed = site.try_commit(&[event("a", 1), event("c", 3)]);
        assert!(matches!(
            &committed,
            Err(_) | Ok(CommitOutcome::Committed(Tally { lines: 0, .. }))
        ));
    }
}

#[test]
fn a_journal_of_a_newer_release_is_left_alone() {
    let site = two_commits();
    let tree = site.tree();
    let mut journal = tree[JOURNAL].clone();
    journal[6] = b'3';
    restore(&site, &tree, JOURNAL, &journal);
    let error = site.try_commit(&[event("d", 4)]).unwrap_err().to_string();
    assert!(error.starts_with(JOURNAL) && error.contains("newer"), "{error}");
    assert_eq!(site.tree()[JOURNAL], journal);
}

#[test]
fn a_frame_whose_writer_was_killed_before_its_sync_is_written_again_before_it_is_acknowledged() {
    let site = two_commits();
    // As a process leaves it that was killed between steps 7 and 8: the mark is of the frame
    // before.
    let mut seen = site.tree()[SEEN].clone();
    let before = Site::new("");
    before.commit(&[event("a", 1), event("b", 2)]);
    seen[..16].copy_from_slice(&before.tree()[SEEN][..16]);
    put(&site, SEEN, &seen);
    let committed = site.commit(&[event("c", 3)]);
    assert_eq!((committed.lines, committed.duplicates), (0, 1));
    assert_eq!(site.tree()[SEEN][..16], before.tree()[SEEN][..16], "nothing new, no new mark");
    site.commit(&[event("d", 4)]);
    assert_ne!(site.tree()[SEEN][..16], before.tree()[SEEN][..16]);
}
