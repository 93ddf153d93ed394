//! What a hostile review made of `verify --rebuild`: each test is a story, its comment tells what happened before.

use super::*;

/// a has the rows 0 to 11, b 12 to 19; both are landed.
fn open() -> Yard {
    let yard = Yard::new();
    for (key, rows) in [("a", 0..12), ("b", 12..20)] {
        yard.put(key, rows);
        ok(yard.hiwake(&["land", "--now", IN_THE_DAY]).arg(yard.path("in").join(key)));
    }
    yard
}

fn rebuild(yard: &Yard) -> Command {
    let mut command = yard.hiwake(&["verify", "--now", OVER]);
    command.arg("--rebuild").arg(yard.path("in"));
    command
}

fn change(yard: &Yard, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(yard.at(name)).unwrap();
    change(&mut bytes);
    put(&yard.at(name), &bytes);
}

/// The first rename disowned the old journal, and the second rebuild, without it, took the rows of the objects for all
/// there was: 20 acknowledged lines became 8, exit 0.
#[test]
fn a_rebuild_that_was_killed_is_carried_on_and_needs_no_object() {
    for (when, name) in [(1, "seen"), (2, "data"), (1, "journal")] {
        let yard = open();
        change(&yard, OPEN, |bytes| *bytes.last_mut().unwrap() ^= 0x40);
        fs::remove_file(yard.path("in/a")).unwrap();
        let call = match name {
            "journal" => "ftruncate".to_owned(),
            _ => "renameat,renameat2,rename".to_owned(),
        };
        let mut killed = Command::new("strace");
        let command = rebuild(&yard);
        killed.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
        killed.args(["-e", &format!("inject={call}:signal=KILL:when={when}")]);
        killed.arg(command.get_program()).args(command.get_args());
        let status = quiet(&mut killed).output().unwrap().status;
        assert!(status.code().is_none_or(|code| code > 2), "{name}: it was not killed: {status}");
        let output = rebuild(&yard).output().unwrap();
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        assert_eq!(yard.text(OPEN), lines(20), "{name}");
        ok(&mut yard.land());
        assert_eq!(yard.text(OPEN), lines(20), "{name}: landed again");
    }
}

/// Without a journal, only the open file's whole lines were asked for: a cut one gave 12 lines of 20, exit 0.
#[test]
fn without_a_journal_every_identity_of_seen_is_asked_for() {
    for length in [0, lines(12).len()] {
        let yard = open();
        change(&yard, JOURNAL, Vec::clear);
        change(&yard, OPEN, |bytes| bytes.truncate(length));
        fs::remove_file(yard.path("in/b")).unwrap();
        let said = fails(&mut rebuild(&yard));
        assert!(said.contains("8 of its lines"), "{said}");
        assert_eq!(yard.text(OPEN).len(), length);
    }
}

/// A's commit was damaged in `seen` and in the data, and a was missing. As many rows of an object that had never landed
/// made up the number: 20 lines, a's gone.
#[test]
fn rows_that_never_landed_do_not_stand_for_lines_that_are_lost() {
    let yard = open();
    change(&yard, OPEN, |bytes| bytes[3] ^= 1);
    change(&yard, SEEN, |bytes| bytes[20] ^= 1);
    fs::remove_file(yard.path("in/a")).unwrap();
    yard.put("c", 100..112);
    let before = yard.text(OPEN);
    let said = fails(&mut rebuild(&yard));
    assert!(said.contains("12 of its lines") && said.contains("in/a"), "{said}");
    assert_eq!(yard.text(OPEN), before);
}

/// The error of a newer release's journal said "damaged" and recommended `--rebuild`, which wrote over it.
#[test]
fn a_journal_of_a_newer_release_is_not_rebuilt() {
    let yard = open();
    let frame = |bytes: &mut Vec<u8>| {
        // Kind 9 of version 2, without payload.
        let at = bytes.len();
        bytes.extend_from_slice(b"HWKF\x09\x02\0\0\0\0\0\0\0\0\0\0");
        let crc = crc32c::crc32c(&bytes[at..]);
        bytes.extend_from_slice(&crc.to_le_bytes());
    };
    let whole = fs::read(yard.at(JOURNAL)).unwrap();
    for newer in [&(|bytes: &mut Vec<u8>| bytes[6] = b'2') as &dyn Fn(&mut Vec<u8>), &frame] {
        put(&yard.at(JOURNAL), &whole);
        change(&yard, JOURNAL, newer);
        let before = yard.tree();
        let said = fails(&mut rebuild(&yard));
        assert!(said.contains("newer release") && !said.contains("damaged"), "{said}");
        assert_eq!(yard.tree(), before);
        let said = fails(&mut yard.land());
        assert!(said.contains("newer release") && !said.contains("rebuild"), "{said}");
    }
}

/// Journal and `seen` from the same older copy beside newer data: `verify` had only a note for lines that were
/// acknowledged and that the next commit cuts.
#[test]
fn whole_lines_behind_the_last_commit_are_wrong() {
    let yard = Yard::new();
    yard.put("a", 0..12);
    ok(&mut yard.land());
    let old = [JOURNAL, SEEN].map(|name| (name, fs::read(yard.at(name)).unwrap()));
    yard.put("b", 12..20);
    ok(&mut yard.land());
    old.iter().for_each(|(name, bytes)| put(&yard.at(name), bytes));
    let output = yard.hiwake(&["verify", "--now", OVER]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("WRONG {OPEN}: 64 bytes of whole lines")), "{said}");
    ok(&mut yard.land());
    assert_eq!(yard.text(OPEN), lines(20));
}

/// The first key that was a suffix was taken, and a name was cut at its first @.
#[test]
fn an_object_is_found_by_the_longest_key() {
    let yard = Yard::new();
    fs::create_dir_all(yard.path("in/x")).unwrap();
    yard.put("x/k@1", 0..12);
    ok(&mut yard.land());
    yard.put("k@1", 50..60);
    change(&yard, OPEN, |bytes| bytes[3] ^= 1);
    let output = rebuild(&yard).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("12 lines of 1 objects"), "{}", stderr(&output));
    assert_eq!(yard.text(OPEN), lines(12));
}

/// As many bytes as a journal seemed to have were allocated: the process was aborted.
#[test]
fn a_journal_that_was_stretched_is_damage() {
    let yard = open();
    fs::File::options().write(true).open(yard.at(JOURNAL)).unwrap().set_len(60 << 30).unwrap();
    let said = fails(&mut yard.land());
    assert!(said.contains("stretched"), "{said}");
    ok(&mut rebuild(&yard));
    assert_eq!(yard.text(OPEN), lines(20));
}
