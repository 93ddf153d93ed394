//! What a hostile review made of `verify --rebuild`: each test is a story, its comment tells what
//! happened before.

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

/// The first rebuild had put the new `seen` in place and was killed. For the second one no journal
/// counted, and it made a day of what the objects had: 20 acknowledged lines became 8, exit 0.
#[test]
fn a_rebuild_that_is_killed_at_any_write_is_repeated_and_exact() {
    let mut killed = 0;
    for call in ["pwrite64", "fsync", "linkat", "ftruncate"] {
        for when in 1.. {
            let yard = open();
            change(&yard, *OPEN, |bytes| *bytes.last_mut().unwrap() ^= 0x40);
            fs::remove_file(yard.path("in/a")).unwrap();
            let mut strace = Command::new("strace");
            let command = rebuild(&yard);
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            strace.args(["-e", &format!("inject={call}:signal=KILL:when={when}")]);
            strace.arg(command.get_program()).args(command.get_args());
            if quiet(&mut strace).output().unwrap().status.success() {
                break;
            }
            killed += 1;
            let output = rebuild(&yard).output().unwrap();
            assert!(output.status.success(), "{call} {when}: {}", stderr(&output));
            assert_eq!(yard.text(*OPEN), lines(20), "{call} {when}");
            ok(&mut yard.land());
            assert_eq!(yard.text(*OPEN), lines(20), "{call} {when}: landed again");
        }
    }
    println!("rebuilds killed: {killed}");
    assert!(killed > 20, "{killed}");
}

/// acknowledged and that the next commit cuts.
#[test]
fn whole_lines_behind_the_last_commit_are_wrong() {
    let yard = Yard::new();
    yard.put("a", 0..12);
    ok(&mut yard.land());
    let old = [JOURNAL, SEEN].map(|name| (name, fs::read(yard.at(name)).unwrap()));
    let length = || fs::metadata(yard.at(*OPEN)).unwrap().len();
    let before = length();
    yard.put("b", 12..20);
    ok(&mut yard.land());
    let more = length() - before;
    old.iter().for_each(|(name, bytes)| put(&yard.at(name), bytes));
    let output = yard.hiwake(&["verify", "--now", OVER]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("WRONG {}: {more} uncommitted bytes of whole lines", *OPEN)),
        "{said}"
    );
    ok(&mut yard.land());
    assert_eq!(yard.text(*OPEN), lines(20));
}
