//! The promises of docs/protocol.md, on a disk that fails in every way it can.
//!
//! `Setup` is a root on a simulated server. The reference is deliberately simple: every event has a
//! line of its own, and each line has to be there once.

mod contract;
mod crash;
mod disk;
mod empty;
mod fault;
mod history;
mod loss;
mod pages;
mod pause;
mod probe;
mod promise;
mod rebuild;
mod regressions;
mod routings;
mod slow;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hiwake::clock::Clock;
use hiwake::config::{Compress, Config, Order};
use hiwake::land::day_file::batch::Batch;
use hiwake::land::day_file::commit::{CommitOutcome, commit};
use hiwake::land::root::error::LandError;
use hiwake::land::upkeep::sweep::Swept;
use hiwake::land::{Lander, Root};
use hiwake::row::{Kind, Row};
use sha2::{Digest, Sha256};

use crate::given::{self, DAY, HOUR, JOURNAL, LATE, MIDNIGHT, OPEN, SEALED, SEEN, day_file};
use disk::{Server, SimDisk};
use state::State;

/// An event of the test's day is a number: its time follows from it, and so does its line.
type Event = u32;

/// What is configured and what time it is: what may change between two steps.
#[derive(Debug, Clone)]
struct Setup {
    config: Config,
    now: i64,
}

impl Setup {
    fn new() -> Setup {
        let mut config = given::config("");
        // Busy is an answer, at once; and one thing after the other.
        config.limits.lock_wait = Duration::ZERO;
        config.limits.parallel = 1;
        Setup { config, now: MIDNIGHT + HOUR }
    }

    fn at(now: i64, order: Order, compress: Compress) -> Setup {
        let mut setup = Setup::new();
        setup.now = now;
        setup.config.seal.order = order;
        setup.config.seal.compress = compress;
        setup
    }

    fn lander<'a>(&'a self, disk: &'a SimDisk) -> Lander<'a> {
        let deadline = Instant::now() + Duration::from_secs(600);
        let (config, clock) = (&self.config, Clock::At(self.now));
        Lander {
            root: Root { disk, config, clock, deadline, synced: Default::default() },
            journals: disk.journals.clone(),
            pool: Default::default(),
        }
    }

    /// Lands events. `Ok(true)`: acknowledged; `Ok(false)`: the day is closed.
    fn deliver(&self, disk: &SimDisk, events: &[Event]) -> Result<bool, LandError> {
        let objects = ["bucket/key@1".to_owned()];
        match commit(&self.lander(disk), &day_file(), &batch(events), &objects, &|| Ok(()))? {
            CommitOutcome::Committed(done) => {
                assert_eq!(
                    done.lines + done.duplicates,
                    events.len() as u64,
                    "rows in = lines + duplicates"
                );
                Ok(true)
            }
            CommitOutcome::Closed => Ok(false),
        }
    }

    fn seal(&self, disk: &SimDisk) -> Result<Swept, LandError> {
        self.lander(disk).seal_and_announce()
    }

    /// A round on a disk that does not fail: nothing may be left undone.
    fn sealed(&self, disk: &SimDisk) -> Swept {
        let swept = self.seal(disk).unwrap();
        assert!(swept.failed.is_empty(), "{:?}", swept.failed);
        swept
    }
}

fn time(event: Event) -> i64 {
    // Seven events a millisecond, in no order that the numbers show.
    i64::from(event % 7)
}

fn line(event: Event) -> String {
    match event % 5 {
        0 => format!("HOGE,\"{event}\nin two\""),
        _ => format!("HOGE,{event}"),
    }
}

fn batch(events: &[Event]) -> Batch {
    let mut batch = Batch::default();
    for event in events {
        let row = Row {
            file: "messages".into(),
            kind: Kind::Csv,
            day: day_file().day,
            timestamp: MIDNIGHT + time(*event),
            stream: "1:/var/log/messages:i-1".into(),
            id: event.to_string().into(),
            line: line(*event).into(),
        };
        batch.push(&row, 0, true);
    }
    batch
}

/// What readers find: the events of all day files, in the order of the lines, by name.
fn lines(tree: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<Event>> {
    let mut files = BTreeMap::new();
    for (name, bytes) in tree {
        let hidden = name.rsplit('/').next().unwrap().starts_with('.');
        if name.starts_with(".hiwake/") || name.ends_with(".sha256") || hidden {
            continue;
        }
        let text = given::text_of(name, bytes);
        files.insert(name.clone(), parse(name, &text));
    }
    files
}

fn parse(name: &str, text: &str) -> Vec<Event> {
    let number = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let mut events = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let event: Event = number(rest.split('\n').next().unwrap())
            .parse()
            .unwrap_or_else(|_| panic!("{name}: {text}"));
        let whole = format!("{}\n", line(event));
        rest = rest.strip_prefix(&whole).unwrap_or_else(|| panic!("{name}: torn at {rest:?}"));
        events.push(event);
    }
    events
}

fn is_published(name: &str) -> bool {
    name.starts_with("messages/2022-04-18")
        && !name.ends_with(".open")
        && !name.ends_with(".sha256")
}

/// The published files with their bytes.
fn published(tree: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    tree.iter()
        .filter(|(name, _)| is_published(name))
        .map(|(n, b)| (n.clone(), b.clone()))
        .collect()
}

/// I1: every wanted event is in exactly one line, and no other is there.
#[track_caller]
fn check_each_once(tree: &BTreeMap<String, Vec<u8>>, wanted: &BTreeSet<Event>) {
    let found = lines(tree);
    let mut all: Vec<Event> = found.values().flatten().copied().collect();
    all.sort_unstable();
    let wanted: Vec<Event> = wanted.iter().copied().collect();
    assert_eq!(all, wanted, "each event in one line: {found:?}");
}

/// What was acknowledged is there, and nothing is there twice.
#[track_caller]
fn check_nothing_lost(tree: &BTreeMap<String, Vec<u8>>, acknowledged: &BTreeSet<Event>) {
    let found = lines(tree);
    let all: Vec<Event> = found.values().flatten().copied().collect();
    let once: BTreeSet<Event> = all.iter().copied().collect();
    assert_eq!(all.len(), once.len(), "something is there twice: {found:?}");
    let lost: Vec<&Event> = acknowledged.difference(&once).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?} of {found:?}");
}

/// I4: what was published before is there, byte for byte.
#[track_caller]
fn check_unchanged(before: &BTreeMap<String, Vec<u8>>, tree: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in before {
        assert_eq!(tree.get(name), Some(bytes), "{name} was published and changed");
    }
}

/// I5, and that nothing is left over: published files with their sums, read-only; journals, `seen`,
/// hints of days.
#[track_caller]
fn check_sealed(server: &Server, order: Option<Order>) {
    let tree = server.lock().tree();
    let (journal, seen) = (day_file().journal(), day_file().seen());
    for (name, bytes) in &tree {
        if is_published(name) {
            let hash: String =
                Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let sums = format!("{hash}  {}\n", name.rsplit('/').next().unwrap());
            let found =
                tree.get(&format!("{name}.sha256")).unwrap_or_else(|| panic!("{name} has no sum"));
            assert_eq!(String::from_utf8_lossy(found), sums);
            assert!(server.lock().is_read_only(name), "{name} can be written to");
            continue;
        }
        let sum_of = name.strip_suffix(".sha256").is_some_and(|of| tree.contains_key(of));
        // A probe is of a first landing that died while another one succeeded: two empty files.
        let probes = [".hiwake.probe", ".hiwake.probe.link", ".hiwake/clock"];
        let kept = name == &journal || name == &seen || probes.contains(&name.as_str());
        let hint = name.starts_with(".hiwake/due/") && !name.starts_with(".hiwake/due/seal/");
        assert!(sum_of || hint || kept, "{name} is left over");
    }
    if order == Some(Order::Time) {
        for (name, events) in lines(&tree) {
            assert!(events.is_sorted_by_key(|event| time(*event)), "{name} is not in time order");
        }
    }
    assert_eq!(server.lock().silly, 0, "a file was removed while it was open");
}

/// Redelivers, seals, and compares everything. The day's end is in the past afterwards.
#[track_caller]
fn finish(
    server: &Arc<Server>,
    setup: &Setup,
    acknowledged: &BTreeSet<Event>,
    all: &BTreeSet<Event>,
) {
    const PROBE: Event = 1_000_001;
    let before = published(&server.lock().tree());
    let disk = server.client();
    let mut all = all.clone();
    let mut acknowledged = acknowledged.clone();
    // The next commit cuts what is half-written; nothing that was acknowledged may be missing then.
    if setup.deliver(&disk, &[PROBE]).unwrap() {
        all.insert(PROBE);
        acknowledged.insert(PROBE);
    } else {
        all = lines(&server.lock().tree()).into_values().flatten().collect();
    }
    check_nothing_lost(&server.lock().tree(), &acknowledged);
    let events: Vec<Event> = all.iter().copied().collect();
    setup.deliver(&disk, &events).unwrap();
    check_each_once(&server.lock().tree(), &all);
    let mut setup = setup.clone();
    setup.now = setup.now.max(MIDNIGHT + DAY) + 3 * HOUR;
    setup.sealed(&disk);
    setup.sealed(&disk);
    let tree = server.lock().tree();
    check_each_once(&tree, &all);
    check_unchanged(&before, &tree);
    check_sealed(server, None);
    setup.deliver(&disk, &events).unwrap();
    assert_eq!(server.lock().tree(), tree, "everything again changes nothing");
}

/// A state with a machine that has seen nothing.
fn resumed(state: &State) -> Arc<Server> {
    Server::from(state.clone())
}

/// What went wrong at which point: all points are tried before the test fails.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn look(&mut self, what: &str, act: impl FnOnce()) {
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            self.0.push(format!("{what}: {}", text.unwrap_or_default()));
        }
    }

    #[track_caller]
    fn none(&self) {
        let first: Vec<&str> = self.0.iter().map(String::as_str).take(10).collect();
        assert!(first.is_empty(), "{} failed, the first:\n{}", self.0.len(), first.join("\n"));
    }
}

#[allow(clippy::print_stdout, reason = "the numbers are shown by `make check`")]
fn print(text: &str) {
    println!("{text}");
}
