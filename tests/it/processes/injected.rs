//! strace makes each system call of the real binary fail, one at a time.

use std::collections::BTreeSet;

use super::*;

/// The calls by which land and seal change the disk, or look at it.
const CALLS: [&str; 10] = [
    "openat",
    "mkdirat",
    "flock",
    "write",
    "pwrite64",
    "fsync",
    "ftruncate",
    "linkat",
    "renameat",
    "unlinkat",
];
const ERRORS: [&str; 4] = ["EIO", "ENOSPC", "ESTALE", "EINTR"];
const ROWS: i64 = 20;

fn strace(arguments: &[&str], command: &Command) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-qq"]).args(arguments);
    strace.arg(command.get_program()).args(command.get_args());
    quiet(&mut strace);
    strace
}

/// How often the main thread makes each call once it has read its configuration: (not counted,
/// all).
fn count(yard: &Yard, command: &Command) -> BTreeMap<&'static str, (usize, usize)> {
    let log = yard.path("strace");
    let calls = format!("trace={}", CALLS.join(","));
    let output = strace(&["-o", log.to_str().unwrap(), "-e", &calls], command).output();
    let output = output.expect("strace is needed: install it (apt-get install strace)");
    assert!(output.status.success(), "{output:?}");
    let log = fs::read_to_string(log).unwrap();
    let main = log.split(' ').next().unwrap().to_owned();
    let (mut counts, mut started) = (BTreeMap::new(), false);
    for line in log.lines().filter(|line| line.starts_with(&main)) {
        let text = line.split_once(' ').unwrap().1.trim_start();
        let Some(call) = CALLS.iter().find(|call| text.starts_with(&format!("{call}("))) else {
            continue;
        };
        let count: &mut (usize, usize) = counts.entry(*call).or_default();
        count.1 += 1;
        if !started {
            count.0 += 1;
        }
        started |= text.contains("hiwake.toml");
    }
    counts
}

/// What a fault may have to do with: the answer names one of these.
fn names_a_path(yard: &Yard, text: &str) -> bool {
    let folder = yard.folder.path().to_str().unwrap();
    ["messages", ".hiwake", "the root", folder].iter().any(|path| text.contains(path))
}

struct Tried {
    faults: usize,
    survived: usize,
    messages: BTreeSet<String>,
}

/// Makes every call fail in turn; `before` brings a fresh yard to where `command` starts.
fn every_call_fails(
    before: impl Fn(&Yard),
    command: impl Fn(&Yard) -> Command,
    heal: impl Fn(&Yard),
) -> Tried {
    let yard = Yard::new();
    before(&yard);
    let counts = count(&yard, &command(&yard));
    let mut tried = Tried { faults: 0, survived: 0, messages: BTreeSet::new() };
    for (call, (before_it_starts, all)) in counts {
        for n in before_it_starts + 1..=all {
            // Opening and syncing are by far the most frequent calls and fail alike: errors in
            // turn.
            let errors = match call {
                "openat" | "fsync" => &ERRORS[n % 4..=n % 4],
                _ => &ERRORS[..],
            };
            for error in errors {
                let yard = Yard::new();
                before(&yard);
                let inject = format!("inject={call}:error={error}:when={n}");
                let trace = format!("trace={call}");
                let null = ["-o", "/dev/null", "-e", trace.as_str(), "-e", inject.as_str()];
                let output = strace(&null, &command(&yard)).output().unwrap();
                let said = stderr(&output);
                match output.status.code() {
                    Some(0) => tried.survived += 1,
                    Some(1) => {
                        // The answer on stdout has no path to name.
                        let answer = call == "write" && said.contains("os error");
                        assert!(answer || names_a_path(&yard, &said), "{inject}: {said}");
                        assert!(!said.contains("damaged"), "{inject}: {said}");
                        tried.messages.insert(said.lines().next().unwrap_or_default().to_owned());
                    }
                    code => panic!("{inject}: {code:?}: {said}"),
                }
                if output.status.success() {
                    let text = yard.published();
                    assert!(!text.is_empty(), "{inject}: acknowledged, and nothing is there");
                }
                heal(&yard);
                tried.faults += 1;
            }
        }
    }
    tried
}

/// Nothing acknowledged is lost: what the root had before, and what a landing answered 0 to, is
/// there once.
fn landed_once(yard: &Yard, count: i64) {
    ok(&mut yard.land());
    assert_eq!(yard.published().keys().collect::<Vec<_>>(), [*OPEN]);
    assert_eq!(yard.text(*OPEN), lines(count));
}

fn report(what: &str, tried: &Tried) {
    let Tried { faults, survived, messages } = tried;
    println!(
        "{what}: {faults} injected faults, {survived} overcome at once, all others healed by the next run; {} different messages",
        messages.len()
    );
}

#[test]
fn every_call_of_a_first_landing_may_fail() {
    let tried = every_call_fails(
        |yard| drop(yard.put("a", 0..ROWS)),
        Yard::land,
        |yard| landed_once(yard, ROWS),
    );
    report("first landing", &tried);
    assert!(tried.faults > 120, "{}", tried.faults);
}

#[test]
fn every_call_of_a_landing_that_cuts_a_torn_tail_may_fail() {
    let tried = every_call_fails(
        |yard| {
            yard.put("a", 0..ROWS);
            ok(&mut yard.land());
            for (name, torn) in [(*OPEN, &b"line to"[..]), (SEEN, &[7; 21]), (JOURNAL, b"HWKF\x01")]
            {
                let mut bytes = fs::read(yard.at(name)).unwrap();
                bytes.extend_from_slice(torn);
                put(&yard.at(name), &bytes);
            }
            yard.put("b", ROWS..2 * ROWS);
        },
        Yard::land,
        |yard| landed_once(yard, 2 * ROWS),
    );
    report("second landing", &tried);
    assert!(tried.faults > 40, "{}", tried.faults);
}

#[test]
fn every_call_of_a_seal_may_fail() {
    for (what, objects) in [("merge", [1, 0]), ("in place", [0, 1])] {
        let tried = every_call_fails(
            |yard| {
                for half in objects {
                    yard.put("a", half * ROWS / 2..(half + 1) * ROWS / 2);
                    ok(&mut yard.land());
                }
            },
            Yard::seal,
            |yard| {
                // Rows that are retried between the fault and the next round.
                yard.put("a", 0..ROWS);
                ok(&mut yard.land());
                ok(&mut yard.seal());
                let names = [SEALED, &format!("{SEALED}.sha256")];
                assert_eq!(yard.published().keys().collect::<Vec<_>>(), names);
                assert_eq!(yard.text(SEALED), lines(ROWS));
            },
        );
        report(&format!("seal, {what}"), &tried);
        assert!(tried.faults > 80, "{}", tried.faults);
    }
}
