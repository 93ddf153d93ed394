//! I3: every crash point of every workload, and pairs of them.

use hiwake::config::{Compress, Order};

use super::disk::{Server, SimDisk};
use super::loss::{Loss, Random};
use super::state::State;
use super::*;

/// One step of a workload.
#[derive(Debug, Clone)]
enum Step {
    Deliver(Vec<Event>),
    /// In commits of so many bytes.
    Pieces(usize, Vec<Event>),
    Seal,
    /// Hours pass.
    Wait(i64),
    /// All processes are gone; the next steps are done by another machine.
    Kill,
    /// The power fails, after a kill in the middle of the step before if there was one.
    Power(Loss),
}

use Step::{Deliver, Kill, Pieces, Power, Seal, Wait};

struct Workload {
    name: &'static str,
    order: Order,
    compress: Compress,
    journal_days: u32,
    steps: Vec<Step>,
}

#[expect(clippy::too_many_lines, reason = "a list")]
fn workloads() -> Vec<Workload> {
    use Compress::{Gzip, None};
    use Order::{Arrival, Time};
    let deliver = |events: std::ops::Range<Event>| Deliver(events.collect());
    let over = || Wait(26);
    let make =
        |name, order, compress, steps| Workload { name, order, compress, journal_days: 90, steps };
    vec![
        make(
            "first creation, commit, duplicates",
            Time,
            None,
            vec![deliver(0..4), deliver(2..9), deliver(0..9)],
        ),
        make(
            "pieces",
            Time,
            None,
            vec![Pieces(24, (0..9).collect()), Pieces(16, (5..14).collect())],
        ),
        make("seal by merge", Time, None, vec![deliver(0..9), deliver(9..20), over(), Seal]),
        make("seal in place", Arrival, None, vec![deliver(0..9), deliver(9..20), over(), Seal]),
        make("seal with gzip", Time, Gzip, vec![deliver(0..9), deliver(9..20), over(), Seal]),
        make(
            "seal with gzip, as it arrived",
            Arrival,
            Gzip,
            vec![deliver(0..9), deliver(9..20), over(), Seal],
        ),
        make(
            "late rows",
            Time,
            None,
            vec![
                deliver(0..5),
                over(),
                Seal,
                deliver(3..9),
                deliver(9..12),
                Wait(2),
                Seal,
                deliver(11..14),
                Wait(2),
                Seal,
            ],
        ),
        make(
            "a kill without loss, then a repeat",
            Time,
            None,
            vec![deliver(0..5), Kill, deliver(0..7), Kill, over(), Seal, Kill, Seal, deliver(0..9)],
        ),
        Workload {
            journal_days: 1,
            ..make(
                "close",
                Time,
                None,
                vec![
                    deliver(0..9),
                    over(),
                    Seal,
                    deliver(5..12),
                    Wait(2),
                    Seal,
                    Wait(26),
                    Seal,
                    Seal,
                ],
            )
        },
        make(
            "a torn frame is cut",
            Time,
            None,
            vec![deliver(0..5), Kill, Power(Loss::Mixed(7)), deliver(0..7), over(), Seal],
        ),
    ]
}

/// A state at which everything may stop, and what was promised by then.
struct Point {
    state: State,
    setup: Setup,
    acknowledged: BTreeSet<Event>,
}

/// Runs a workload, and answers every point of it.
fn points(workload: &Workload) -> (Vec<Point>, BTreeSet<Event>) {
    let server = Server::new(1);
    let mut setup = Setup::at(MIDNIGHT + HOUR, workload.order, workload.compress);
    setup.config.seal.journal_days = workload.journal_days;
    let mut disk = server.client();
    let mut acknowledged = BTreeSet::new();
    let mut points = Vec::new();
    for step in &workload.steps {
        server.start_record();
        let (now, before) = (setup.clone(), acknowledged.clone());
        run(&server, &mut disk, &mut setup, step, &mut acknowledged);
        let states = server.take_record();
        let last = states.len() - 1;
        points.extend(states.into_iter().enumerate().map(|(at, state)| {
            let acknowledged = if at == last { &acknowledged } else { &before };
            Point { state, setup: now.clone(), acknowledged: acknowledged.clone() }
        }));
    }
    (points, acknowledged)
}

fn run(
    server: &Arc<Server>,
    disk: &mut SimDisk,
    setup: &mut Setup,
    step: &Step,
    acknowledged: &mut BTreeSet<Event>,
) {
    match step {
        Deliver(events) => {
            assert!(setup.deliver(disk, events).unwrap());
            acknowledged.extend(events);
        }
        Pieces(bytes, events) => {
            setup.config.limits.commit_bytes = *bytes;
            assert!(setup.deliver(disk, events).unwrap());
            acknowledged.extend(events);
        }
        Seal => drop(setup.sealed(disk)),
        Wait(hours) => setup.now += hours * HOUR,
        Kill => {
            server.lock().kill_all();
            *disk = server.client();
        }
        Power(loss) => {
            server.lock().power_failure(*loss);
            *disk = server.client();
        }
    }
}

/// How a crash goes: a kill leaves everything unsynced in place, a power failure does not.
pub(super) fn crashes(seed: u64) -> Vec<Option<Loss>> {
    let mixed = (0..3).map(|n| Some(Loss::Mixed(seed.wrapping_mul(31).wrapping_add(n))));
    let fixed =
        [None, Some(Loss::All), Some(Loss::Nothing), Some(Loss::Content), Some(Loss::Names)];
    fixed.into_iter().chain(mixed).collect()
}

pub(super) fn crash(state: &mut State, how: Option<Loss>) {
    match how {
        None => state.kill_all(),
        Some(loss) => state.power_failure(loss),
    }
}

#[test]
fn i3_a_crash_at_any_point_loses_nothing_that_was_acknowledged() {
    let (mut tried, mut failures) = (0, Failures::default());
    for workload in workloads() {
        let (points, all) = points(&workload);
        for (at, point) in points.iter().enumerate() {
            for how in crashes(at as u64) {
                tried += 1;
                let what = format!("{} at {at} of {}, {how:?}", workload.name, points.len());
                failures.look(&what, || {
                    let server = resumed(&point.state);
                    crash(&mut server.lock(), how);
                    finish(&server, &point.setup, &point.acknowledged, &all);
                });
            }
        }
    }
    failures.none();
    print(&format!("crash points tried: {tried}"));
}

#[test]
fn i3_a_second_crash_in_the_middle_of_the_recovery_loses_nothing_either() {
    let (mut tried, mut failures) = (0, Failures::default());
    let mut random = Random(3);
    for workload in workloads() {
        let (points, all) = points(&workload);
        let events: Vec<Event> = all.iter().copied().collect();
        for (at, point) in points.iter().enumerate() {
            let all_ways = crashes(at as u64 + 1000);
            // Half of the first crashes are kills: what was not synced then is still at risk.
            let first =
                if random.below(2) == 0 { None } else { all_ways[random.below(all_ways.len())] };
            let server = resumed(&point.state);
            crash(&mut server.lock(), first);
            let disk = server.client();
            let mut setup = point.setup.clone();
            server.start_record();
            let delivered = setup.deliver(&disk, &events).unwrap();
            let redelivered = server.recorded();
            setup.now = setup.now.max(MIDNIGHT + DAY) + 3 * HOUR;
            setup.sealed(&disk);
            let states = server.take_record();
            for _ in 0..4 {
                let second_at = random.below(states.len());
                let how = all_ways[random.below(all_ways.len())];
                tried += 1;
                let what =
                    format!("{} at {at} {first:?}, then at {second_at} {how:?}", workload.name);
                failures.look(&what, || {
                    let server = resumed(&states[second_at]);
                    crash(&mut server.lock(), how);
                    let done = second_at >= redelivered && delivered;
                    let acknowledged = if done { &all } else { &point.acknowledged };
                    finish(&server, &setup, acknowledged, &all);
                });
            }
        }
    }
    failures.none();
    print(&format!("pairs of crashes tried: {tried}"));
}

#[test]
fn i3_a_crash_of_retention_leaves_nothing_half_removed() {
    let (mut tried, mut failures) = (0, Failures::default());
    for journal_days in [1, 90] {
        let server = Server::new(2);
        let mut setup = Setup::new();
        setup.config.seal.journal_days = journal_days;
        let events: Vec<Event> = (0..9).collect();
        setup.deliver(&server.client(), &events).unwrap();
        setup.now += 26 * HOUR;
        setup.sealed(&server.client());
        setup.deliver(&server.client(), &[20]).unwrap();
        setup.now += 2 * HOUR;
        setup.sealed(&server.client());
        setup.config.retention.days = 3;
        setup.now += 4 * DAY;
        server.start_record();
        let disk = server.client();
        assert_eq!(setup.sealed(&disk).removed.len(), 2);
        let states = server.take_record();
        for (at, state) in states.iter().enumerate() {
            for how in crashes(at as u64) {
                tried += 1;
                failures.look(&format!("journal_days {journal_days}, at {at} {how:?}"), || {
                    let server = resumed(state);
                    crash(&mut server.lock(), how);
                    let disk = server.client();
                    setup.sealed(&disk);
                    setup.sealed(&disk);
                    let left: Vec<String> = server.lock().tree().into_keys().collect();
                    let left: Vec<&String> =
                        left.iter().filter(|name| !name.starts_with(".hiwake/")).collect();
                    assert!(left.is_empty(), "{left:?}");
                    // Removed, not forgotten: the rows are duplicates, or the day is closed.
                    setup.deliver(&disk, &events).unwrap();
                    assert!(lines(&server.lock().tree()).is_empty());
                });
            }
        }
    }
    failures.none();
    print(&format!("crash points of retention tried: {tried}"));
}
