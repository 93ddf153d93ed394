//! I1, I2, I4, I5: random histories, shrunk to the shortest that fails, and compared after each
//! step.

use std::cell::Cell;

use hiwake::config::{Compress, Order};
use proptest::prelude::*;

use super::disk::{Server, SimDisk};
use super::loss::Loss;
use super::state::Fault;
use super::*;

const HISTORIES: u32 = 3_000;

/// What one process does.
#[derive(Debug, Clone)]
enum Work {
    /// An object that nobody has seen.
    New(Vec<u8>),
    /// An object again: as it is, its end first, or only its beginning.
    Again(usize, Shape),
    /// An object rewritten under its key, with more rows.
    Rewritten(usize, Vec<u8>),
    /// Everything that there ever was.
    Replay,
    Seal,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Same,
    Backwards,
    Part(usize),
}

#[derive(Debug, Clone)]
enum Step {
    One(Work),
    /// With a fault at that operation.
    Fails(Work, u64, Fault),
    /// Interleaved at every operation; the first one stands still past its lease at one of them.
    Two(Work, Work, Option<(u64, u64)>),
    /// The process dies at that operation; then the power may fail.
    Crash(Work, u64, Option<Loss>),
    Wait(i64),
    Change(Order, Compress, usize),
    /// 30 seconds in which names become what they are everywhere.
    Names,
}

fn events() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..60_u8, 1..12)
}

fn work() -> impl Strategy<Value = Work> {
    let shape =
        prop_oneof![Just(Shape::Same), Just(Shape::Backwards), (1..6_usize).prop_map(Shape::Part),];
    prop_oneof![
        4 => events().prop_map(Work::New),
        2 => (any::<usize>(), shape).prop_map(|(which, shape)| Work::Again(which, shape)),
        1 => (any::<usize>(), events()).prop_map(|(which, more)| Work::Rewritten(which, more)),
        1 => Just(Work::Replay),
        3 => Just(Work::Seal),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let errno = prop_oneof![Just(5), Just(28), Just(116)];
    let fault = prop_oneof![
        errno.clone().prop_map(Fault::Fail),
        errno.prop_map(Fault::Lie),
        Just(Fault::LeaseLost)
    ];
    let loss = prop_oneof![
        Just(None),
        Just(Some(Loss::All)),
        Just(Some(Loss::Content)),
        Just(Some(Loss::Names)),
        any::<u64>().prop_map(|seed| Some(Loss::Mixed(seed))),
    ];
    let pause = proptest::option::of((1..90_u64, 1..200_u64));
    let order = prop_oneof![Just(Order::Time), Just(Order::Arrival)];
    let compress = prop_oneof![2 => Just(Compress::None), 1 => Just(Compress::Gzip)];
    prop_oneof![
        3 => work().prop_map(Step::One),
        2 => (work(), 1..90_u64, fault).prop_map(|(work, at, fault)| Step::Fails(work, at, fault)),
        4 => (work(), work(), pause).prop_map(|(one, other, pause)| Step::Two(one, other, pause)),
        3 => (work(), 1..90_u64, loss).prop_map(|(work, at, loss)| Step::Crash(work, at, loss)),
        3 => prop_oneof![Just(1), Just(2), Just(13), Just(26)].prop_map(Step::Wait),
        1 => (order, compress, prop_oneof![Just(16), Just(40), Just(1 << 20)])
            .prop_map(|(order, compress, bytes)| Step::Change(order, compress, bytes)),
        1 => Just(Step::Names),
    ]
}

/// One history: the server, what was offered, and what was acknowledged.
struct Story {
    server: Arc<Server>,
    setup: Setup,
    clients: [SimDisk; 2],
    objects: Vec<Vec<Event>>,
    offered: BTreeSet<Event>,
    acknowledged: BTreeSet<Event>,
    published: BTreeMap<String, Vec<u8>>,
}

impl Story {
    fn new(seed: u64) -> Story {
        let server = Server::new(seed);
        let clients = [server.client(), server.client()];
        let mut setup = Setup::new();
        setup.config.seal.journal_days = 4;
        let (objects, offered, acknowledged) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        Story { server, setup, clients, objects, offered, acknowledged, published: BTreeMap::new() }
    }

    /// The rows that a work lands; none if it seals.
    fn rows(&mut self, work: &Work) -> Option<Vec<Event>> {
        let numbers = |events: &[u8]| events.iter().copied().map(Event::from).collect::<Vec<_>>();
        let count = self.objects.len();
        let rows = match work {
            Work::Seal => return None,
            Work::New(events) => {
                self.objects.push(numbers(events));
                numbers(events)
            }
            Work::Again(..) | Work::Rewritten(..) if count == 0 => Vec::new(),
            Work::Again(which, shape) => {
                let mut rows = self.objects[which % count].clone();
                match shape {
                    Shape::Same => {}
                    Shape::Backwards => rows.reverse(),
                    Shape::Part(length) => rows.truncate(*length),
                }
                rows
            }
            Work::Rewritten(which, more) => {
                let object = &mut self.objects[which % count];
                object.extend(numbers(more));
                object.clone()
            }
            Work::Replay => self.objects.concat(),
        };
        self.offered.extend(&rows);
        Some(rows)
    }

    fn step(&mut self, step: &Step) {
        self.revive();
        match step {
            Step::One(work) => self.one(work, true),
            Step::Fails(work, after, fault) => {
                let at = self.server.lock().operations(&self.clients[0]) + after;
                self.server.lock().plan(&self.clients[0], at, *fault);
                self.one(work, false);
            }
            Step::Crash(work, after, loss) => {
                let at = self.server.lock().operations(&self.clients[0]) + after;
                self.server.lock().plan(&self.clients[0], at, Fault::Kill);
                self.one(work, false);
                if let Some(loss) = loss {
                    self.server.lock().power_failure(*loss);
                }
            }
            Step::Two(one, other, pause) => self.two(one, other, *pause),
            Step::Wait(hours) => self.setup.now += hours * HOUR,
            Step::Change(order, compress, bytes) => {
                self.setup.config.seal.order = *order;
                self.setup.config.seal.compress = *compress;
                self.setup.config.limits.commit_bytes = *bytes;
            }
            Step::Names => self.server.lock().forget_names(),
        }
    }

    fn revive(&mut self) {
        for client in &mut self.clients {
            if self.server.lock().is_dead(client) {
                *client = self.server.client();
            }
        }
    }

    fn one(&mut self, work: &Work, succeeds: bool) {
        let rows = self.rows(work);
        let planned = self.server.lock().has_faults();
        let done = act(&self.setup, &self.clients[0], rows.as_deref());
        if succeeds && !planned {
            assert!(done.is_ok(), "nothing was in the way: {done:?}");
        }
        if let Some(rows) = rows.filter(|_| done == Ok(true)) {
            self.acknowledged.extend(rows);
        }
    }

    fn two(&mut self, one: &Work, other: &Work, pause: Option<(u64, u64)>) {
        let rows = [self.rows(one), self.rows(other)];
        if let Some((after, operations)) = pause {
            let at = self.server.lock().operations(&self.clients[0]) + after;
            self.server.lock().plan(&self.clients[0], at, Fault::Pause(operations));
        }
        let done = [Mutex::new(Ok(false)), Mutex::new(Ok(false))];
        let (setup, wanted, answers) = (&self.setup, &rows, &done);
        let work = |number: usize| -> Box<dyn FnOnce(&SimDisk) + Send + '_> {
            Box::new(move |disk| {
                *answers[number].lock().unwrap() = act(setup, disk, wanted[number].as_deref());
            })
        };
        self.server.interleave(vec![(&self.clients[0], work(0)), (&self.clients[1], work(1))]);
        for (rows, done) in rows.iter().zip(&done) {
            if let (Some(rows), Ok(true)) = (rows, &*done.lock().unwrap()) {
                self.acknowledged.extend(rows);
            }
        }
    }

    /// On a copy: the next commit leaves everything that was acknowledged, once, and what was
    /// published as it was.
    fn check(&mut self) {
        let copy = resumed(&self.server.lock().clone());
        copy.lock().kill_all();
        copy.lock().forget_faults();
        let disk = copy.client();
        assert!(self.setup.deliver(&disk, &[99]).is_ok(), "the next commit goes through");
        let tree = copy.lock().tree();
        check_nothing_lost(&tree, &self.acknowledged);
        check_unchanged(&self.published, &tree);
        self.published = published(&tree);
        // What is published on the copy only may come otherwise here.
        let here = published(&self.server.lock().tree());
        self.published.retain(|name, _| here.contains_key(name));
    }

    fn finish(&self) {
        self.server.lock().kill_all();
        self.server.lock().forget_faults();
        finish(&self.server, &self.setup, &self.acknowledged, &self.offered);
    }
}

/// `Ok(true)`: all rows are acknowledged. Damage is nothing that a history may lead to.
fn act(setup: &Setup, disk: &SimDisk, rows: Option<&[Event]>) -> Result<bool, String> {
    let done = match rows {
        Some(rows) => setup.deliver(disk, rows),
        None => {
            setup.seal(disk).and_then(|swept| swept.failed.into_iter().next().map_or(Ok(true), Err))
        }
    };
    done.map_err(|error| {
        assert!(!matches!(error, LandError::Damage { .. } | LandError::Foreign(_)), "{error}");
        error.to_string()
    })
}

#[test]
fn i1_every_row_is_in_exactly_one_line_whatever_happens() {
    let (histories, steps_taken) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig {
        cases: HISTORIES,
        failure_persistence: None,
        max_shrink_iters: 4096,
        ..ProptestConfig::default()
    };
    let strategy = (any::<u64>(), proptest::collection::vec(step(), 1..16));
    let result = proptest::test_runner::TestRunner::new(config).run(&strategy, |(seed, steps)| {
        let mut story = Story::new(seed);
        for step in &steps {
            story.step(step);
            story.check();
            steps_taken.set(steps_taken.get() + 1);
        }
        story.finish();
        histories.set(histories.get() + 1);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    print(&format!("histories tried: {} with {} steps", histories.get(), steps_taken.get()));
}

/// A landing finds the open file made read-only by a seal's draft. It stood still before it made
/// the file writable again, and the seal was published meanwhile.
#[test]
fn a_landing_that_stood_still_does_not_make_a_published_file_writable() {
    for seed in 0..150 {
        for pause in [(9, 26), (10, 26), (11, 26), (12, 26), (11, 40)] {
            let mut story = Story::new(seed);
            story.step(&Step::Two(Work::New(vec![0]), Work::New(vec![0]), None));
            story.step(&Step::Wait(26));
            story.step(&Step::Fails(Work::New(vec![1]), 3, Fault::Fail(5)));
            story.step(&Step::Two(Work::Rewritten(0, vec![1]), Work::Seal, Some(pause)));
            story.finish();
        }
    }
}
