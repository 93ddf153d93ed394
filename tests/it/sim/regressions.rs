//! What was found by the tests beside this file, each as the shortest story that shows it. The
//! tests' names are the stories' ends; the comments tell what happened before it was repaired.

use hiwake::config::{Compress, Order};
use hiwake::disk::{Disk, Open};
use hiwake::land::intake::register;
use hiwake::land::journal::Journal;
use hiwake::land::rebuild::{Rebuilt, rebuild};
use hiwake::store::Store;

use super::disk::{Server, SimDisk};
use super::loss::Loss;
use super::state::{EIO, ENOSPC, ESTALE, Fault, State};
use super::*;

const LATE_HINT: &str = ".hiwake/due/seal/2022-04-18/messages/2022-04-18.csv.2";

fn over(setup: &mut Setup) {
    setup.now = MIDNIGHT + 26 * HOUR;
}

/// The states before each operation of a work on a copy.
fn moments(state: &State, work: impl FnOnce(&SimDisk)) -> Vec<State> {
    let server = resumed(state);
    let disk = server.client();
    server.start_record();
    work(&disk);
    server.take_record()
}

/// A process is killed at every operation of `first`; another does `second` and is interrupted by a
/// power failure at every fourth operation of it, each time other ones. Then all is well.
fn killed_then_dark(
    begin: &Server,
    setup: &Setup,
    first: impl Fn(&SimDisk),
    second: impl Fn(&SimDisk),
    all: &BTreeSet<Event>,
) {
    let mut failures = Failures::default();
    let acknowledged: BTreeSet<Event> =
        lines(&begin.lock().tree()).into_values().flatten().collect();
    for (at, state) in moments(&begin.lock(), first).iter_mut().enumerate() {
        state.kill_all();
        for (then, later) in moments(state, &second).into_iter().enumerate().skip(at % 4).step_by(4)
        {
            for loss in [
                Loss::All,
                Loss::Content,
                Loss::Names,
                Loss::Mixed(at as u64),
                Loss::Mixed(then as u64 + 77),
            ] {
                failures.look(&format!("killed at {at}, dark at {then}, {loss:?}"), || {
                    let server = resumed(&later);
                    server.lock().power_failure(loss);
                    finish(&server, setup, &acknowledged, all);
                });
            }
        }
    }
    failures.none();
}

/// A lands a row and is killed between the write of its commit frame and the sync. B is told to
/// land the same row, finds it in `seen`, and acknowledges it without a sync of its own. The power
/// fails, and the frame is gone: the row was acknowledged, and is nowhere. B now proves its lock
/// first, and the proof's sync makes the frame durable.
#[test]
fn a_duplicate_is_acknowledged_only_when_the_frame_it_goes_by_is_durable() {
    let server = Server::new(0);
    let setup = Setup::new();
    let begun = server.lock().clone();
    for mut state in moments(&begun, |disk| drop(setup.deliver(disk, &[1]))) {
        state.kill_all();
        let server = resumed(&state);
        setup.deliver(&server.client(), &[1]).unwrap();
        server.lock().power_failure(Loss::All);
        finish(&server, &setup, &[1].into(), &[1].into());
    }
}

/// The same with a header: A is killed before its header is durable, B finds it whole and makes
/// `seen` beside it. After the power failure `seen` was there and the header was not: damage, for
/// ever, of a day file without a row.
#[test]
fn a_header_that_was_never_synced_is_written_again_before_anything_is_made_beside_it() {
    let (server, setup) = (Server::new(0), Setup::new());
    let deliver = |disk: &SimDisk| drop(setup.deliver(disk, &[1, 2]));
    killed_then_dark(&server, &setup, deliver, deliver, &[1, 2].into());
}

/// The same with Sealed: B published, removed the open file, and lost the frame that said so: never
/// sealed again. And with Freeze: B made the open file read-only, or began `.late.csv.open`, for a
/// segment that was not frozen after all.
#[test]
fn a_seal_that_others_go_on_with_is_durable_before_they_remove_anything() {
    for order in [Order::Time, Order::Arrival] {
        let server = Server::new(0);
        let mut setup = Setup::at(MIDNIGHT + HOUR, order, Compress::None);
        setup.deliver(&server.client(), &[8, 9]).unwrap();
        setup.deliver(&server.client(), &[1]).unwrap();
        over(&mut setup);
        let seal = |disk: &SimDisk| drop(setup.seal(disk));
        killed_then_dark(&server, &setup, seal, seal, &[1, 8, 9].into());
        let late = |disk: &SimDisk| drop(setup.deliver(disk, &[2]));
        killed_then_dark(&server, &setup, seal, late, &[1, 2, 8, 9].into());
    }
}

/// The same with Closed: B cut the frames of a journal whose Closed slot was not durable. What was
/// left was a journal without frames and without the slot: every row would have landed again.
#[test]
fn the_frames_of_a_closed_day_are_cut_only_when_its_slot_is_durable() {
    let server = Server::new(0);
    let mut setup = Setup::new();
    setup.config.seal.journal_days = 1;
    setup.deliver(&server.client(), &[1, 2]).unwrap();
    over(&mut setup);
    setup.sealed(&server.client());
    setup.now += 2 * DAY;
    let seal = |disk: &SimDisk| drop(setup.seal(disk));
    killed_then_dark(&server, &setup, seal, seal, &[1, 2].into());
    let late = |disk: &SimDisk| drop(setup.deliver(disk, &[1]));
    killed_then_dark(&server, &setup, seal, late, &[1, 2].into());
}

/// Publishing removed the open file and wrote Done, but did not sync the folder in between: after a
/// power failure the open file was back, beside the published one, and every line was there twice.
#[test]
fn an_open_file_does_not_come_back_after_done() {
    let server = Server::new(0);
    let mut setup = Setup::new();
    setup.deliver(&server.client(), &[8, 9]).unwrap();
    setup.deliver(&server.client(), &[1]).unwrap();
    over(&mut setup);
    setup.sealed(&server.client());
    server.lock().power_failure(Loss::Names);
    check_each_once(&server.lock().tree(), &[1, 8, 9].into());
    setup.sealed(&server.client());
    check_sealed(&server, Some(Order::Time));
}

/// A commit that failed half-way left its lines behind. Freeze cut them, and its frame was durable
/// before the cut was: after a power failure they were back in a segment that nobody cuts any more,
/// and sealed in place they would have been published, beyond the length that the sum is of. The
/// cut is synced first, and repeated where it seems done.
#[test]
fn what_freeze_cuts_does_not_come_back() {
    for cut_before in [false, true] {
        let server = Server::new(0);
        let mut setup = Setup::at(MIDNIGHT + HOUR, Order::Arrival, Compress::None);
        setup.deliver(&server.client(), &[1]).unwrap();
        let disk = server.client();
        let data = disk.open(*OPEN, Open::ReadWrite).unwrap();
        let committed = data.length().unwrap();
        data.write_at(b"HOGE,3\n", committed).unwrap();
        data.sync().unwrap();
        if cut_before {
            data.truncate(committed).unwrap();
        }
        drop(data);
        over(&mut setup);
        for mut state in moments(&server.lock(), |disk| drop(setup.seal(disk))) {
            state.power_failure(Loss::All);
            finish(&resumed(&state), &setup, &[1].into(), &[1, 3].into());
        }
    }
}

/// ESTALE of an unlink was taken for "it is gone". The open file stayed beside the published one.
#[test]
fn estale_of_an_unlink_does_not_say_that_the_name_is_gone() {
    let mut setup = Setup::new();
    over(&mut setup);
    for at in 1..90 {
        let server = Server::new(0);
        setup.deliver(&server.client(), &[8, 9]).unwrap();
        setup.deliver(&server.client(), &[1]).unwrap();
        let mut setup = setup.clone();
        setup.now += 2 * HOUR;
        let disk = server.client();
        server.lock().plan(&disk, at, Fault::Fail(ESTALE));
        server.start_record();
        drop(setup.seal(&disk));
        // Once its Done frame is there, the open file and the temporaries are not, at no moment.
        for state in server.take_record() {
            let copy = resumed(&state);
            let disk = copy.client();
            copy.lock().forget_faults();
            let journal = Journal::peek(&setup.lander(&disk), &day_file()).unwrap().unwrap();
            let mut names = state.tree().into_keys();
            let unfinished = names.any(|name| name == *OPEN || name.ends_with(".tmp"));
            assert!(!journal.is_done(1) || !unfinished, "at {at}");
        }
        server.lock().forget_faults();
        setup.sealed(&disk);
        check_sealed(&server, None);
    }
}

/// A look for older files of a new day failed with EIO, and was reported as "its header is missing,
/// but seen is there".
#[test]
fn an_error_while_looking_is_an_error_and_no_damage() {
    for at in 1..60 {
        let server = Server::new(0);
        let (setup, disk) = (Setup::new(), server.client());
        server.lock().plan(&disk, at, Fault::Fail(EIO));
        if let Err(error) = setup.deliver(&disk, &[1]) {
            assert!(!matches!(error, LandError::Damage { .. }), "at {at}: {error}");
        }
        setup.deliver(&disk, &[1]).unwrap();
    }
}

/// A process that stood still past its lease saw what others had made since, and took its old
/// journal for damaged.
#[test]
fn a_process_without_its_lease_reports_no_damage() {
    for at in 1..60 {
        let server = Server::new(0);
        let (setup, disk, other) = (Setup::new(), server.client(), server.client());
        server.lock().plan(&disk, at, Fault::LeaseLost);
        let (behind, late) = (setup.clone(), server.clone());
        let id = disk.id();
        server.before(&disk, at, move || {
            late.lock().lose_lease(id);
            behind.deliver(&other, &[1, 2]).unwrap();
        });
        if let Err(error) = setup.deliver(&disk, &[1]) {
            assert!(!matches!(error, LandError::Damage { .. }), "at {at}: {error}");
        }
    }
}

/// A writer stood still just before it made a segment's open file; others made, sealed and
/// published the segment. It continued, made the open file again, found that its lease was gone and
/// stopped: an empty open file beside the published one.
#[test]
fn an_open_file_made_by_a_stale_process_is_cleared_away() {
    let server = Server::new(0);
    let mut setup = Setup::new();
    setup.deliver(&server.client(), &[1]).unwrap();
    over(&mut setup);
    setup.sealed(&server.client());
    let disk = server.client();
    drop(disk.open(*OPEN, Open::Create(0o600)).unwrap());
    drop(disk.open("messages/.2022-04-18.csv.dead.tmp", Open::Create(0o600)).unwrap());
    drop(disk.open("messages/notes.open", Open::Create(0o600)).unwrap());
    setup.sealed(&server.client());
    let names: Vec<String> =
        server.lock().tree().into_keys().filter(|name| name.starts_with("messages/")).collect();
    assert_eq!(names, [SEALED, &format!("{SEALED}.sha256"), "messages/notes.open"]);
}

/// The open file of a segment that is not done is never taken for a leftover, whatever became of
/// its hint.
#[test]
fn an_open_file_without_its_hint_is_no_leftover() {
    let server = Server::new(0);
    let mut setup = Setup::new();
    setup.deliver(&server.client(), &[1]).unwrap();
    over(&mut setup);
    setup.sealed(&server.client());
    setup.deliver(&server.client(), &[2]).unwrap();
    let disk = server.client();
    disk.unlink(LATE_HINT).unwrap();
    setup.sealed(&disk);
    check_each_once(&server.lock().tree(), &[1, 2].into());
    // It would never be sealed: that is damage, which the small repair takes away.
    let verified = setup.lander(&disk).verify();
    assert!(verified.findings.iter().any(|found| found.wrong && found.path == LATE_HINT));
    let (empty, lander) = (tempfile::tempdir().unwrap(), setup.lander(&disk));
    let store = Store::folder(empty.path()).unwrap();
    let repaired = rebuild(&lander, &store, &[], &day_file()).unwrap();
    assert!(matches!(repaired, Rebuilt::Repaired));
    setup.now += 2 * HOUR;
    assert_eq!(setup.sealed(&server.client()).sealed.len(), 1);
    check_sealed(&server, None);
}

/// That a folder is not there was remembered from before another machine made it: ENOENT for 30
/// seconds, for files that were there; and a sealer that had looked at an empty root found no
/// hints.
#[test]
fn a_folder_that_another_machine_made_is_seen_at_once() {
    let server = Server::new(0);
    let (one, other) = (server.client(), server.client());
    let setup = Setup::new();
    assert!(one.open(*OPEN, Open::Read).is_err());
    setup.deliver(&other, &[1]).unwrap();
    setup.deliver(&one, &[2]).unwrap();
    check_each_once(&server.lock().tree(), &[1, 2].into());
}

/// A whole last frame with a wrong checksum was taken for one that a crash tore, and cut: with it
/// went rows that had been acknowledged. A crash leaves a frame's beginning, or zeros; other bytes
/// than were written are damage.
#[test]
fn a_last_frame_that_was_changed_is_damage_and_a_torn_one_is_not() {
    let server = Server::new(0);
    let setup = Setup::new();
    setup.deliver(&server.client(), &[1]).unwrap();
    let before = server.lock().tree()[JOURNAL].len();
    let mark = server.lock().tree()[SEEN][..16].to_vec();
    setup.deliver(&server.client(), &[2, 3]).unwrap();
    let journal = server.lock().tree()[JOURNAL].clone();
    // Torn frames are of a writer that came no further than the journal: the mark in `seen` is of
    // the frame before.
    let changed = |bytes: &[u8]| {
        let copy = resumed(&server.lock());
        let disk = copy.client();
        let seen = disk.open(SEEN, Open::ReadWrite).unwrap();
        seen.write_at(&mark, 0).unwrap();
        drop(seen);
        let handle = disk.open(JOURNAL, Open::ReadWrite).unwrap();
        handle.truncate(bytes.len() as u64).unwrap();
        handle.write_at(bytes, 0).unwrap();
        drop(handle);
        let tree = copy.lock().tree();
        let result = setup.deliver(&disk, &[4]);
        (result, copy.lock().tree() == tree)
    };
    for at in before..journal.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = journal.clone();
            bytes[at] ^= flip;
            let (result, same) = changed(&bytes);
            assert!(
                matches!(result, Err(LandError::Damage { .. })),
                "byte {at} ^ {flip}: {result:?}"
            );
            assert!(same, "nothing is changed");
        }
        let (result, _) = changed(&journal[..at]);
        assert!(matches!(result, Ok(true)), "torn at {at}: {result:?}");
        let mut zeros = journal.clone();
        zeros[at..].fill(0);
        let (result, _) = changed(&zeros);
        assert!(matches!(result, Ok(true)), "zeros from {at}: {result:?}");
    }
}

/// Retention removed any file that was named like a segment of a closed day, also one that hiwake
/// had never published.
#[test]
fn retention_of_a_closed_day_removes_what_was_published_and_nothing_else() {
    let server = Server::new(0);
    let mut setup = Setup::new();
    setup.config.seal.journal_days = 1;
    setup.deliver(&server.client(), &[1]).unwrap();
    over(&mut setup);
    setup.sealed(&server.client());
    setup.now += 2 * DAY;
    setup.sealed(&server.client());
    let foreign = format!("{SEALED}.gz");
    drop(server.client().open(&foreign, Open::Create(0o600)).unwrap());
    setup.config.retention.days = 1;
    assert_eq!(setup.sealed(&server.client()).removed, [SEALED]);
    let names: Vec<String> =
        server.lock().tree().into_keys().filter(|name| name.starts_with("messages/")).collect();
    assert_eq!(names, [foreign]);
}

/// A sealer killed while it compared the clocks left a hidden file behind, each time another one.
#[test]
fn comparing_the_clocks_leaves_one_file_however_often_it_dies() {
    let server = Server::new(0);
    let setup = Setup::new();
    setup.deliver(&server.client(), &[1]).unwrap();
    for at in 1..24 {
        let disk = server.client();
        server.lock().plan(&disk, at, Fault::Kill);
        let lander = Lander {
            root: Root { clock: Clock::System, ..setup.lander(&disk).root },
            ..setup.lander(&disk)
        };
        drop(lander.seal());
    }
    let tree = server.lock().tree();
    let clocks: Vec<&String> = tree.keys().filter(|name| name.contains("clock")).collect();
    assert_eq!(clocks, [".hiwake/clock"]);
}

/// A merge that ran out of space, or that could not have the lock at its end, left its temporary
/// behind, and the next try another one, each as large as the day.
#[test]
fn a_seal_that_fails_again_and_again_leaves_nothing_behind() {
    let mut server = Server::new(0);
    let mut setup = Setup::new();
    setup.deliver(&server.client(), &[8, 9]).unwrap();
    setup.deliver(&server.client(), &[1]).unwrap();
    over(&mut setup);
    let temporaries = |server: &Server| {
        let tree = server.lock().tree();
        tree.into_keys().filter(|name| name.ends_with(".tmp")).count()
    };
    let segment = |server: &Arc<Server>| {
        let disk = server.client();
        let journal = Journal::peek(&setup.lander(&disk), &day_file()).unwrap().unwrap();
        journal.segments[0].clone()
    };
    let fails_at = |server: &Arc<Server>, at: u64| {
        let disk = server.client();
        server.lock().plan(&disk, at, Fault::Fail(ENOSPC));
        drop(setup.seal(&disk));
    };
    let frozen = |at: u64| {
        let copy = resumed(&server.lock());
        fails_at(&copy, at);
        let segment = segment(&copy);
        (segment.frozen.is_some() && segment.sealed.is_none()).then_some(copy)
    };
    server = (1..200).find_map(frozen).unwrap();
    let (mut failed, mut merged) = (0, false);
    for at in 1..200 {
        let copy = resumed(&server.lock());
        copy.start_record();
        for next in 0..4 {
            fails_at(&copy, at + next);
            failed += u64::from(segment(&copy).sealed.is_none());
            // One is left where nobody knows whether the frame that names it is there: its write
            // failed, or its sync.
            let sealed = segment(&copy).sealed.is_some();
            assert!(temporaries(&copy) <= 2 || sealed, "at {at}");
        }
        let made = |state: &State| state.tree().keys().any(|name| name.ends_with(".tmp"));
        merged |= copy.take_record().iter().any(made);
        setup.sealed(&copy.client());
        check_sealed(&copy, Some(Order::Time));
    }
    assert!(merged && failed > 20, "{failed}");
}

/// Whatever put bytes behind the last commit of a frozen segment: its open file is copied then, not
/// published itself.
#[test]
fn an_open_file_that_is_longer_than_committed_is_not_published_itself() {
    let server = Server::new(0);
    let mut setup = Setup::at(MIDNIGHT + HOUR, Order::Arrival, Compress::None);
    setup.deliver(&server.client(), &[1]).unwrap();
    over(&mut setup);
    let frozen = moments(&server.lock(), |disk| drop(setup.seal(disk))).into_iter().find(|state| {
        let copy = resumed(state);
        let disk = copy.client();
        let journal = Journal::peek(&setup.lander(&disk), &day_file()).unwrap().unwrap();
        journal.segments[0].frozen.is_some()
    });
    let server = resumed(&frozen.unwrap());
    server.lock().kill_all();
    let disk = server.client();
    let open = disk.open(*OPEN, Open::ReadWrite).unwrap();
    open.write_at(b"torn", open.length().unwrap()).unwrap();
    drop(open);
    setup.sealed(&disk);
    check_each_once(&server.lock().tree(), &[1].into());
    check_sealed(&server, None);
}

/// The cut of a torn frame and the next frame were synced together: after a power failure the new
/// frame's beginning could stand before the old one's end, which no crash leaves otherwise: damage.
#[test]
fn a_torn_frame_is_gone_before_the_next_one_is_written() {
    let setup = Setup::new();
    let (server, larger) = (Server::new(0), Server::new(0));
    setup.deliver(&server.client(), &[1]).unwrap();
    setup.deliver(&larger.client(), &[1]).unwrap();
    setup.deliver(&larger.client(), &(2..9000).collect::<Vec<_>>()).unwrap();
    let torn = larger.lock().tree()[JOURNAL].clone();
    let journal = server.client().open(JOURNAL, Open::ReadWrite).unwrap();
    journal.write_at(&torn[..torn.len() - 1], 0).unwrap();
    journal.sync().unwrap();
    drop(journal);
    let mut failures = Failures::default();
    for (at, state) in
        moments(&server.lock(), |disk| drop(setup.deliver(disk, &[2]))).iter().enumerate()
    {
        for seed in 0..40 {
            failures.look(&format!("at {at} {seed}"), || {
                let server = resumed(state);
                server.lock().power_failure(Loss::Mixed(seed));
                setup.deliver(&server.client(), &[2]).unwrap();
                check_each_once(&server.lock().tree(), &[1, 2].into());
            });
        }
    }
    failures.none();
}

/// And the same with Removed: B removed a file by a frame of A's that was not durable. After the
/// power failure the file was gone, and the journal said for ever that it was there.
#[test]
fn a_file_is_removed_only_when_the_journal_says_so_durably() {
    let server = Server::new(0);
    let mut setup = Setup::new();
    setup.deliver(&server.client(), &[1]).unwrap();
    over(&mut setup);
    setup.sealed(&server.client());
    setup.config.retention.days = 3;
    setup.now += 5 * DAY;
    let seal = |disk: &SimDisk| drop(setup.seal(disk));
    for mut state in moments(&server.lock(), seal) {
        state.kill_all();
        for mut later in moments(&state, seal) {
            later.power_failure(Loss::Content);
            let server = resumed(&later);
            let disk = server.client();
            let journal = Journal::peek(&setup.lander(&disk), &day_file()).unwrap().unwrap();
            let there = server.lock().tree().contains_key(SEALED);
            assert!(there || journal.segments[0].removed.is_some(), "gone, and nothing says why");
        }
    }
}

/// Two events of two UTC dates, each as a row of each of two files.
fn two_rows() -> (tempfile::TempDir, hiwake::store::Store) {
    let folder = tempfile::tempdir().unwrap();
    let rows = |file: &str| {
        let mut text = Vec::new();
        for (event, hours) in [(1, 0), (2, 9)] {
            let row = Row {
                file: file.into(),
                kind: Kind::Csv,
                day: day_file().day,
                timestamp: MIDNIGHT + hours * HOUR,
                stream: "1:g:s".into(),
                id: event.to_string().into(),
                line: line(event).into(),
            };
            row.encode(&mut text);
        }
        text
    };
    crate::given::put(folder.path(), "one", &rows("messages"));
    crate::given::put(folder.path(), "other", &rows("other"));
    crate::given::put(folder.path(), "both", &[rows("messages"), rows("other")].concat());
    let store = hiwake::store::Store::folder(folder.path()).unwrap();
    (folder, store)
}

fn setup_to(file: &str) -> Setup {
    let rules = format!("[[source]]\nlog_groups = [\"g\"]\nfile = \"{file}\"");
    let limits = Setup::new().config.limits;
    Setup { config: Config { limits, ..crate::given::config(&rules) }, now: MIDNIGHT + HOUR }
}

/// The registers of the events' dates have the rules that send them to this file.
fn register(server: &Arc<Server>, file: &str) {
    register_by(server, &setup_to(file));
}

fn register_by(server: &Arc<Server>, setup: &Setup) {
    let disk = server.client();
    let dates = [MIDNIGHT, MIDNIGHT + 9 * HOUR].map(register::date).into();
    let rules = hiwake::land::intake::routing::rules(&setup.config);
    assert!(register::Held::take(&setup.lander(&disk), &dates, &rules, |_, _| Ok(())).is_ok());
}

/// The lease that a landing's registers depend on is lost at any operation: before anything was
/// written, it starts again.
#[test]
fn a_landing_that_loses_its_lease_takes_its_registers_again() {
    let (_folder, store) = two_rows();
    let id = store.look("both").unwrap().id;
    let mut again = 0;
    for at in (1..).step_by(3) {
        let (server, mut setup) = (Server::new(at), Setup::new());
        setup.config.limits.lock_wait = Duration::from_secs(2);
        let disk = server.client();
        server.lock().plan(&disk, at, Fault::LeaseLost);
        let start = Instant::now();
        let landed = setup.lander(&disk).land(&store, std::slice::from_ref(&id));
        match &landed.objects[0] {
            Ok(()) => {
                assert_eq!((landed.tally.lines, landed.tally.duplicates), (2, 2), "at {at}");
            }
            Err(error) => assert!(error.reason.contains("cannot "), "at {at}: {error}"),
        }
        assert!(setup.lander(&disk).land(&store, std::slice::from_ref(&id)).objects[0].is_ok());
        check_each_once(&server.lock().tree(), &[1, 2].into());
        again += u64::from(start.elapsed() > Duration::from_millis(90));
        if server.lock().operations(&disk) < at {
            break;
        }
    }
    assert!(again > 5, "{again}");
}

/// A landing stands still at any operation, past its lease or not, while one with another
/// configuration lands the same events in another file. Past its lease, a journal's lock may be a
/// fresh one that stands; only the register's does not.
#[test]
fn a_landing_that_stands_still_doubles_nothing_of_another_configuration() {
    let (_folder, store) = two_rows();
    let store = Arc::new(store);
    for (known, lost) in [(false, false), (false, true), (true, false), (true, true)] {
        for at in 1.. {
            let server = Server::new(at);
            let (first, second) = (server.client(), server.client());
            let [one, other] = ["one", "other"].map(|key| store.look(key).unwrap().id);
            if known {
                ["messages", "other"].iter().for_each(|file| register(&server, file));
            }
            let (behind, sleeper, objects) = (server.clone(), first.id(), store.clone());
            server.before(&first, at, move || {
                if lost {
                    behind.lock().lose_lease(sleeper);
                }
                let landed = setup_to("other").lander(&second).land(&objects, &[other]);
                assert!(!lost || landed.objects[0].is_ok(), "{landed:?}");
            });
            let setup = setup_to("messages");
            drop(setup.lander(&first).land(&store, std::slice::from_ref(&one)));
            if server.is_waiting() {
                assert!(at > 20);
                break;
            }
            let landed = setup.lander(&server.client()).land(&store, &[one]);
            assert!(landed.objects[0].is_ok(), "{landed:?}");
            check_each_once(&server.lock().tree(), &[1, 2].into());
        }
    }
}

/// A landing is killed at any operation, also before its register's entry was durable. The next one
/// relies on the entry; then the power fails.
#[test]
fn an_entry_that_its_maker_did_not_sync_is_durable_before_anybody_relies_on_it() {
    let (_folder, store) = two_rows();
    let land = |disk: &SimDisk, file: &str| {
        let key = if file == "messages" { "one" } else { "other" };
        setup_to(file).lander(disk).land(&store, &[store.look(key).unwrap().id])
    };
    for at in 1.. {
        let begin = Server::new(at);
        register(&begin, "third");
        let first = begin.client();
        begin.lock().plan(&first, at, Fault::Kill);
        drop(land(&first, "messages"));
        if begin.lock().operations(&first) < at {
            assert!(at > 20);
            break;
        }
        for loss in [Loss::All, Loss::Content, Loss::Names, Loss::Mixed(at), Loss::Mixed(at + 99)] {
            let server = resumed(&begin.lock().clone());
            let landed = land(&server.client(), "messages");
            assert!(landed.objects[0].is_ok(), "{landed:?}");
            server.lock().power_failure(loss);
            let landed = land(&server.client(), "other");
            assert!(landed.objects[0].is_ok(), "{landed:?}");
            check_each_once(&server.lock().tree(), &[1, 2].into());
        }
    }
}

/// While a landing asks whether a day file has its event, another one makes that day file: it has
/// `seen` when the first looks for what is left of a journal, which it did not find. That was
/// damage.
#[test]
fn a_day_file_that_is_made_while_it_is_asked_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    for (group, file) in [("g", "other"), ("h", "messages")] {
        let (id, stream) = (group.into(), format!("1:{group}:s"));
        let stream = hiwake::row::Stream::from(&*stream).into_owned();
        let (line, day) = (line(if group == "g" { 1 } else { 2 }).into(), day_file().day);
        let kind = Kind::Csv;
        let mut text = Vec::new();
        Row { file: file.into(), kind, day, timestamp: MIDNIGHT, stream, id, line }
            .encode(&mut text);
        crate::given::put(folder.path(), group, &text);
    }
    let store = Arc::new(hiwake::store::Store::folder(folder.path()).unwrap());
    let setup_to = |file: &str| {
        let mut setup = setup_to(file);
        let rest = crate::given::config("[unmatched]\nfile = \"messages\"").unmatched;
        setup.config.unmatched = rest;
        setup
    };
    for at in 1.. {
        let server = Server::new(at);
        ["messages", "other"].iter().for_each(|file| register_by(&server, &setup_to(file)));
        let (first, second, objects) = (server.client(), server.client(), store.clone());
        server.before(&first, at, move || {
            let id = objects.look("h").unwrap().id;
            let landed = setup_to("messages").lander(&second).land(&objects, &[id]);
            assert!(landed.objects[0].is_ok() || at > 1, "{landed:?}");
        });
        let landed = setup_to("other").lander(&first).land(&store, &[store.look("g").unwrap().id]);
        if server.is_waiting() {
            assert!(at > 20);
            break;
        }
        if let Err(error) = &landed.objects[0] {
            assert!(!error.reason.contains("damaged"), "at {at}: {error}");
        }
    }
}
