//! I2: a process that stands still at any operation, past its lease or not, while others continue,
//! and then continues itself.

use hiwake::config::{Compress, Form, Order};

use super::disk::{Server, SimDisk};
use super::state::Fault;
use super::*;

type Work = fn(&Setup, &SimDisk) -> Result<Vec<Event>, LandError>;

fn deliver(
    setup: &Setup,
    disk: &SimDisk,
    events: std::ops::Range<Event>,
) -> Result<Vec<Event>, LandError> {
    let events: Vec<Event> = events.collect();
    Ok(if setup.deliver(disk, &events)? { events } else { Vec::new() })
}

fn seal(setup: &Setup, disk: &SimDisk) -> Result<Vec<Event>, LandError> {
    let swept = setup.seal(disk)?;
    swept.failed.into_iter().next().map_or(Ok(Vec::new()), Err)
}

/// What the one that stands still is doing.
const PAUSED: [(&str, Work); 5] = [
    ("lands new rows", |setup, disk| deliver(setup, disk, 8..16)),
    ("lands what is there", |setup, disk| deliver(setup, disk, 0..6)),
    ("lands in pieces", |setup, disk| {
        let mut setup = setup.clone();
        setup.config.limits.commit_bytes = 20;
        deliver(&setup, disk, 3..14)
    }),
    ("seals", seal),
    ("lands, then seals", |setup, disk| {
        let events = deliver(setup, disk, 8..16)?;
        seal(setup, disk).map(|_| events)
    }),
];

/// What the other one does meanwhile.
const MEANWHILE: [(&str, Work); 7] = [
    ("the same rows and more", |setup, disk| deliver(setup, disk, 4..20)),
    ("other rows", |setup, disk| deliver(setup, disk, 20..26)),
    ("a seal", seal),
    ("a seal and late rows", |setup, disk| {
        seal(setup, disk)?;
        deliver(setup, disk, 6..22)
    }),
    ("a seal, late rows, their seal", |setup, disk| {
        seal(setup, disk)?;
        let events = deliver(setup, disk, 6..22)?;
        let mut setup = setup.clone();
        setup.now += 2 * HOUR;
        seal(&setup, disk).map(|_| events)
    }),
    ("a rewrite that is sealed in another order", |setup, disk| {
        let mut setup = setup.clone();
        setup.config.seal.order =
            if setup.config.seal.order == Order::Time { Order::Arrival } else { Order::Time };
        let events = deliver(&setup, disk, 0..20)?;
        setup.now += 2 * HOUR;
        seal(&setup, disk).map(|_| events)
    }),
    // A landing that stood still before the first commit removed the open file of the other form,
    // and with it acknowledged lines.
    ("other rows in the other form", |setup, disk| {
        let mut setup = setup.clone();
        setup.config.files.open = match setup.config.files.open {
            Form::Plain => Form::Compressed,
            Form::Compressed => Form::Plain,
        };
        deliver(&setup, disk, 20..26)
    }),
];

/// The roots that they find: nothing at all, an open day, a day with a late segment.
fn begin(kind: usize, order: Order) -> (Arc<Server>, Setup, BTreeSet<Event>) {
    let server = Server::new(kind as u64);
    let disk = server.client();
    let mut setup = Setup::at(MIDNIGHT + HOUR, order, Compress::None);
    let mut acknowledged = BTreeSet::new();
    if kind > 0 {
        acknowledged.extend(deliver(&setup, &disk, 0..8).unwrap());
    }
    if kind > 1 {
        setup.now = MIDNIGHT + 26 * HOUR;
        setup.sealed(&disk);
        acknowledged.extend(deliver(&setup, &disk, 7..10).unwrap());
    }
    setup.now = MIDNIGHT + 28 * HOUR;
    (server, setup, acknowledged)
}

/// One pair of works on one root, for each operation of the first one. Answers how many there were.
fn try_all(
    kind: usize,
    order: Order,
    lost: bool,
    what: &str,
    paused: Work,
    meanwhile: Work,
    failures: &mut Failures,
) -> u64 {
    for at in 1.. {
        let (server, setup, mut acknowledged) = begin(kind, order);
        let (first, second) = (server.client(), Arc::new(server.client()));
        if lost {
            server.lock().plan(&first, at, Fault::LeaseLost);
        }
        let (shared, answer) = (Arc::new(Mutex::new(Ok(Vec::new()))), setup.clone());
        let (into, other) = (shared.clone(), second.clone());
        // The lease is gone before the other one begins.
        let (behind, sleeper) = (server.clone(), first.id());
        server.before(&first, at, move || {
            if lost {
                behind.lock().lose_lease(sleeper);
            }
            *into.lock().unwrap() = meanwhile(&answer, &other);
        });
        let mut ended = false;
        failures.look(
            &format!("{what}, root {kind}, {order:?}, lease lost: {lost}, at {at}"),
            || {
                let result = paused(&setup, &first);
                if server.is_waiting() {
                    ended = true;
                    return;
                }
                let before = published(&server.lock().tree());
                for done in
                    [result, std::mem::replace(&mut *shared.lock().unwrap(), Ok(Vec::new()))]
                {
                    match done {
                        Ok(events) => acknowledged.extend(events),
                        Err(LandError::Damage { path, what }) => panic!("damage: {path}: {what}"),
                        // It is retried.
                        Err(_) => {}
                    }
                }
                let all = acknowledged.iter().copied().chain(0..26).collect();
                drop((setup.deliver(&first, &[]), setup.deliver(&second, &[])));
                finish(&server, &setup, &acknowledged, &all);
                check_unchanged(&before, &server.lock().tree());
            },
        );
        if ended {
            return at - 1;
        }
    }
    0
}

#[test]
fn i2_a_process_that_stands_still_at_any_operation_changes_nothing_of_what_others_do() {
    let (mut tried, mut failures) = (0, Failures::default());
    for kind in 0..3 {
        for order in [Order::Time, Order::Arrival] {
            for (one, paused) in PAUSED {
                for (other, meanwhile) in MEANWHILE {
                    let what = format!("one {one}, meanwhile {other}");
                    // If the lease is kept, the other one finds the locks taken, and retries.
                    let ways: &[bool] = if kind == 1 { &[true, false] } else { &[true] };
                    for &lost in ways {
                        tried +=
                            try_all(kind, order, lost, &what, paused, meanwhile, &mut failures);
                    }
                }
            }
        }
    }
    failures.none();
    print(&format!("pauses tried: {tried}"));
}
