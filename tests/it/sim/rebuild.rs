//! I3, of a rebuild: cut short before every operation, with all of SOURCE or a part of it, and
//! begun again.

use hiwake::config::{Compress, Order};
use hiwake::disk::{Disk, Open};
use hiwake::land::rebuild::{RebuildError, Rebuilt, rebuild};
use hiwake::store::Store;

use super::disk::{Server, SimDisk};
use super::loss::Loss;
use super::*;

/// The objects of a day, without some.
fn source(without: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (key, events) in OBJECTS.iter().filter(|(key, _)| !without.contains(key)) {
        let text: String = events.clone().map(row).collect();
        std::io::Write::write_all(
            &mut std::fs::File::create(folder.path().join(key)).unwrap(),
            text.as_bytes(),
        )
        .unwrap();
    }
    folder
}

const OBJECTS: [(&str, std::ops::Range<Event>); 3] = [("a", 0..6), ("b", 4..10), ("c", 9..14)];

fn row(event: Event) -> String {
    let row = serde_json::json!({
        "file": "messages", "kind": "csv", "day": "2022-04-18", "timestamp": MIDNIGHT + time(event),
        "stream": "1:/var/log/messages:i-1", "id": event.to_string(), "line": line(event),
    });
    format!("{row}\n")
}

fn rebuilt(
    setup: &Setup,
    disk: &SimDisk,
    source: &std::path::Path,
) -> Result<Rebuilt, RebuildError> {
    let store = Store::folder(source).unwrap();
    let objects = store.list("").unwrap();
    rebuild(&setup.lander(disk), &store, &objects, &day_file())
}

fn land(setup: &Setup, disk: &SimDisk, number: usize) {
    let (key, events) = OBJECTS[number].clone();
    let events: Vec<Event> = events.collect();
    let objects = [format!("in/{key}@1")];
    let landed =
        commit(&setup.lander(disk), &day_file(), &batch(&events), &objects, &|| Ok(())).unwrap();
    assert!(matches!(landed, CommitOutcome::Committed(_)));
}

/// Changes, cuts or empties a file.
fn damage(disk: &SimDisk, name: &str, at: Option<u64>) {
    let Some(at) = at else {
        let file = disk.open(name, Open::ReadWrite).unwrap();
        file.truncate(0).and_then(|()| file.sync()).unwrap();
        return;
    };
    let mut bytes = vec![0; 1 << 16];
    let file = disk.open(name, Open::Read).unwrap();
    let filled = file.read_at(&mut bytes, 0).unwrap();
    bytes.truncate(filled);
    let at = if at == u64::MAX { filled - 1 } else { at as usize };
    bytes[at] ^= 0x20;
    let file = match name == SEALED {
        true => {
            disk.unlink(name).unwrap();
            disk.open(name, Open::CreateNew(0o640)).unwrap()
        }
        false => disk.open(name, Open::ReadWrite).unwrap(),
    };
    file.write_at(&bytes, 0).and_then(|()| file.sync()).unwrap();
    disk.sync_dir("messages").unwrap();
}

fn is_whole(setup: &Setup, disk: &SimDisk) -> bool {
    setup.lander(disk).verify().damaged.is_empty()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn i3_a_rebuild_interrupted_anywhere_is_resumed() {
    let (mut points, mut refused, mut failures) = (0, 0, Failures::default());
    let open = [(*OPEN, Some(3)), (SEEN, Some(20)), (JOURNAL, Some(u64::MAX)), (JOURNAL, None)];
    let late = [(SEALED, Some(3)), (*LATE, Some(3)), (SEEN, Some(20)), (JOURNAL, None)];
    let cases = open.map(|case| (false, case)).into_iter().chain(late.map(|case| (true, case)));
    for (sealed, (name, at)) in cases {
        for without in ["", "a", "b"] {
            let what = format!("{name} {at:?}, sealed {sealed}, without {without:?}");
            let source = source(&[without, if sealed { "" } else { "c" }]);
            let mut setup = Setup::at(MIDNIGHT + HOUR, Order::Time, Compress::None);
            let (server, mut all) = (Server::new(1), (0..10).collect::<BTreeSet<Event>>());
            let disk = server.client();
            land(&setup, &disk, 0);
            land(&setup, &disk, 1);
            if sealed {
                setup.now = MIDNIGHT + 26 * HOUR;
                setup.sealed(&disk);
                land(&setup, &disk, 2);
                all = (0..14).collect();
            }
            damage(&disk, name, at);
            assert!(!is_whole(&setup, &disk), "{what}");
            let before = server.lock().tree();
            server.start_record();
            let result = rebuilt(&setup, &disk, source.path());
            let states = server.take_record();
            if let Err(error) = result {
                let after = server.lock().tree();
                assert_eq!(lines_of(&before), lines_of(&after), "{what}: {error}");
                assert!(!without.is_empty(), "{what}: {error}");
                refused += 1;
                continue;
            }
            failures.look(&what, || check_model(&server.lock().tree(), &all, sealed));
            for (number, state) in states.iter().enumerate() {
                let mixed = Loss::Mixed(number as u64);
                for (loss, meanwhile) in [
                    (Loss::Nothing, false),
                    (Loss::Nothing, true),
                    (Loss::All, number % 2 == 0),
                    (mixed, false),
                ] {
                    points += 1;
                    failures.look(
                        &format!("{what}, cut at {number}, {loss:?} {meanwhile}"),
                        || {
                            let server = resumed(state);
                            match loss {
                                Loss::Nothing => server.lock().kill_all(),
                                loss => server.lock().power_failure(loss),
                            }
                            let (disk, mut all) = (server.client(), all.clone());
                            // Somebody lands what is in no object.
                            if meanwhile && setup.deliver(&disk, &[100]).is_ok_and(|landed| landed)
                            {
                                all.insert(100);
                            }
                            if !is_whole(&setup, &disk) {
                                rebuilt(&setup, &disk, source.path()).unwrap();
                            }
                            assert!(is_whole(&setup, &disk));
                            check_model(&server.lock().tree(), &all, sealed);
                            let events: Vec<Event> = all.iter().copied().collect();
                            setup.deliver(&disk, &events).unwrap();
                            check_model(&server.lock().tree(), &all, sealed);
                        },
                    );
                }
            }
        }
    }
    failures.none();
    print(&format!("rebuilds cut short: {points}; parts of SOURCE that were refused: {refused}"));
    assert!(points > 1000 && refused > 2);
}

fn lines_of(tree: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let names = tree.iter().filter(|(name, _)| !name.starts_with(".hiwake/damaged/"));
    names.map(|(name, bytes)| (name.clone(), without_proof(name, bytes))).collect()
}

fn without_proof(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if name == JOURNAL && bytes.len() > 4095 {
        bytes[4095] = 0;
    }
    bytes
}

/// Every event once; those that were published are.
fn check_model(tree: &BTreeMap<String, Vec<u8>>, all: &BTreeSet<Event>, sealed: bool) {
    check_each_once(tree, all);
    let published: BTreeSet<Event> =
        lines(tree).get(SEALED).into_iter().flatten().copied().collect();
    assert_eq!(published, if sealed { (0..10).collect() } else { BTreeSet::new() });
}

/// A sealer that stood still between draft and seal, while the day was rebuilt with rows more,
/// published its old draft, and `verify` did not see it.
#[test]
fn a_draft_from_before_a_rebuild_is_not_published() {
    let source = source(&[]);
    let (mut tried, mut failures) = (0, Failures::default());
    for at in 1.. {
        let mut setup = Setup::at(MIDNIGHT + HOUR, Order::Arrival, Compress::None);
        let server = Server::new(at);
        let disk = server.client();
        land(&setup, &disk, 0);
        land(&setup, &disk, 1);
        setup.now = MIDNIGHT + 26 * HOUR;
        let sealer = server.client();
        let (other, there, path) = (server.clone(), setup.clone(), source.path().to_owned());
        server.before(&sealer, at, move || {
            let disk = other.client();
            damage(&disk, SEEN, Some(20));
            // Busy, where the sealer has the lock.
            drop(rebuilt(&there, &disk, &path));
        });
        drop(setup.seal(&sealer));
        if server.is_waiting() {
            break;
        }
        tried += 1;
        failures.look(&format!("stood still at {at}"), || {
            let disk = server.client();
            if !is_whole(&setup, &disk) {
                rebuilt(&setup, &disk, source.path()).unwrap();
            }
            assert!(is_whole(&setup, &disk));
            let events: Vec<Event> = (0..14).collect();
            setup.deliver(&disk, &events).unwrap();
            check_each_once(&server.lock().tree(), &(0..14).collect());
            setup.now += 30 * HOUR;
            setup.sealed(&disk);
            check_each_once(&server.lock().tree(), &(0..14).collect());
        });
    }
    failures.none();
    print(&format!("sealers that stood still across a rebuild: {tried}"));
    assert!(tried > 20);
}
