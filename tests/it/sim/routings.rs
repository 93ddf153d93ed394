//! Exactly one line in one file, whatever the configurations were: random sequences against a map
//! of event to file.
//!
//! A sequence changes sources, files, kinds and time zones between landings, and lets several
//! machines land at once with different ones; objects hold rows of any configuration, records, or
//! both. Machines are killed, lose their lease and stand still; the power fails; registers are
//! lost, emptied and flipped; days are sealed and closed; roots are lost. `HIWAKE_SEED=7` runs one
//! sequence.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use hiwake::config::{Config, Form};
use hiwake::land::Landed;
use hiwake::land::intake::register::{Held, date};
use hiwake::land::intake::routing::rules;
use hiwake::land::journal::frame::Closed;
use hiwake::land::root::layout::DayFile;
use hiwake::store::{ObjectId, Store};

use super::disk::{Server, SimDisk};
use super::loss::{Loss, Random};
use super::state::Fault;
use super::*;
use crate::given;

/// How many sequences each of the tests tries.
const SEQUENCES: u64 = 2_500;
/// Events with an envelope; the last one is plain text.
const EVENTS: usize = 9;
const OBJECTS: usize = 96;

/// What a configuration's rules are made of.
fn configs() -> Vec<Config> {
    let sources = [
        "[[source]]\nlog_groups = [\"g*\"]\nfile = \"a\"",
        "[[source]]\nlog_groups = [\"g1\"]\nfile = \"a\"\n[[source]]\nlog_groups = [\"g2\"]\nfile = \"b\"",
        "[unmatched]\nfile = \"b\"",
        "[[source]]\nlog_groups = [\"g*\"]\nfile = \"{log_stream}\"",
        "[[source]]\nlog_groups = [\"g1\"]\nlog_streams = [\"s1\"]\nfile = \"b\"\n[[source]]\nlog_groups = [\"*\"]\nfile = \"a\"",
    ];
    let mut configs = Vec::new();
    for zone in ["UTC", "Asia/Tokyo", "America/Los_Angeles"] {
        for (kind, plain) in [("csv", "p"), ("tsv", "q")] {
            for sources in sources {
                let mut config = given::config(&format!(
                    "timezone = \"{zone}\"\n{sources}\n[format]\nkind = \"{kind}\"\n[plain]\nfile = \"{plain}\"\n[seal]\njournal_days = 1\n[limits]\nlock_wait = \"1s\""
                ));
                // Busy is an answer, at once.
                config.limits.lock_wait = Duration::ZERO;
                config.limits.parallel = 1;
                // Open files of both forms meet.
                if configs.len() % 2 == 1 {
                    config.files.open = Form::Plain;
                }
                configs.push(config);
            }
        }
    }
    configs
}

/// The objects of all sequences, in a folder.
struct Objects {
    _folder: tempfile::TempDir,
    store: Store,
    configs: Vec<Config>,
    /// Each with its events.
    objects: Vec<(ObjectId, BTreeSet<usize>)>,
}

/// An event's record. The events are of three UTC dates, about the midnights of three zones.
fn record(event: usize) -> Vec<u8> {
    if event == EVENTS - 1 {
        return format!("e{event}").into_bytes();
    }
    let time = MIDNIGHT + [-9, 3, 9, 14][event % 4] * HOUR + [-HOUR / 2, HOUR / 2][event / 4];
    serde_json::json!({
        "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": format!("g{}", 1 + event % 2),
        "logStream": format!("s{}", 1 + event / 3 % 2), "subscriptionFilters": [],
        "logEvents": [{"id": format!("e{event}"), "timestamp": time, "message": format!("e{event}")}],
    })
    .to_string()
    .into_bytes()
}

impl Objects {
    fn new() -> Objects {
        let (folder, configs, mut random) = (tempfile::tempdir().unwrap(), configs(), Random(9));
        let mut objects = Vec::new();
        for number in 0..OBJECTS {
            let (mut bytes, mut events) = (Vec::new(), BTreeSet::new());
            for _ in 0..1 + random.below(4) {
                let event = random.below(EVENTS);
                events.insert(event);
                // Text that is read from a backup is another event.
                if number % 3 == 0 && event < EVENTS - 1 {
                    bytes.extend_from_slice(&record(event));
                    bytes.push(b'\n');
                }
                if number % 3 != 0 || event == EVENTS - 1 || random.below(3) == 0 {
                    // Rows of plain text are made once: they say themselves where they belong.
                    let any = random.below(configs.len());
                    let config = &configs[if event == EVENTS - 1 { 0 } else { any }];
                    bytes.extend(given::object::rows_text(config, &record(event)));
                }
            }
            let key = format!("{number:03}");
            given::put(folder.path(), &key, &bytes);
            let bucket = "b".to_owned();
            objects.push((ObjectId { bucket, key, etag: None, version: None }, events));
        }
        let store = Store::folder(folder.path()).unwrap();
        Objects { _folder: folder, store, configs, objects }
    }
}

/// Which configuration lands which objects.
#[derive(Debug, Clone)]
struct Landing {
    config: usize,
    objects: Vec<usize>,
}

struct Sequence<'o> {
    all: &'o Objects,
    random: Random,
    server: Arc<Server>,
    now: i64,
    offered: BTreeSet<usize>,
    /// The events whose objects were landed.
    acknowledged: BTreeSet<usize>,
    /// Few configurations, so that they meet.
    configs: Vec<usize>,
    told: &'o Mutex<Vec<String>>,
}

/// How many times each event is a line, and which are in quarantine.
fn found(tree: &BTreeMap<String, Vec<u8>>) -> (BTreeMap<usize, Vec<String>>, BTreeSet<usize>) {
    let (mut lines, mut quarantined) = (BTreeMap::<usize, Vec<String>>::new(), BTreeSet::new());
    let event = |line: &str| -> usize {
        let mut numbers = line.split('e').filter_map(|part| part.get(..1)?.parse().ok());
        numbers.next().unwrap_or_else(|| panic!("no event: {line}"))
    };
    for (name, bytes) in tree {
        let hidden = name.rsplit('/').next().unwrap().starts_with('.');
        if name.starts_with(".hiwake/quarantine/") {
            let text = String::from_utf8_lossy(bytes);
            let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
            let rows = text.lines().map(|line| read(read(line)["data"].as_str().unwrap()));
            quarantined.extend(rows.map(|row| event(row["line"].as_str().unwrap())));
        } else if !name.starts_with(".hiwake/") && !name.ends_with(".sha256") && !hidden {
            given::text_of(name, bytes)
                .lines()
                .for_each(|line| lines.entry(event(line)).or_default().push(name.clone()));
        }
    }
    (lines, quarantined)
}

impl<'o> Sequence<'o> {
    fn new(all: &'o Objects, told: &'o Mutex<Vec<String>>, seed: u64) -> Sequence<'o> {
        let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let configs = (0..2 + random.below(2)).map(|_| random.below(all.configs.len())).collect();
        Sequence {
            all,
            server: Server::new(random.next()),
            random,
            now: MIDNIGHT + HOUR,
            offered: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            configs,
            told,
        }
    }

    fn tell(&self, step: String) {
        self.told.lock().unwrap().push(step);
    }

    fn lander<'a>(&'a self, disk: &'a SimDisk, config: usize) -> Lander<'a> {
        let deadline = Instant::now() + Duration::from_secs(600);
        let (config, clock) = (&self.all.configs[config], Clock::At(self.now));
        Lander {
            root: Root { disk, config, clock, deadline, synced: Default::default() },
            journals: disk.journals.clone(),
            pool: Default::default(),
        }
    }

    fn land(&self, disk: &SimDisk, landing: &Landing) -> Landed {
        let ids: Vec<ObjectId> =
            landing.objects.iter().map(|number| self.all.objects[*number].0.clone()).collect();
        self.lander(disk, landing.config).land(&self.all.store, &ids)
    }

    fn acknowledge(&mut self, landing: &Landing, landed: &Landed) {
        for (number, result) in landing.objects.iter().zip(&landed.objects) {
            match result {
                Ok(()) => self.acknowledged.extend(&self.all.objects[*number].1),
                Err(error) => {
                    let said = error.to_string();
                    assert!(!said.contains("damaged") && !said.contains("not ours"), "{said}");
                }
            }
        }
    }

    fn landing(&mut self) -> Landing {
        let config = self.configs[self.random.below(self.configs.len())];
        let objects: Vec<usize> =
            (0..1 + self.random.below(2)).map(|_| self.random.below(OBJECTS)).collect();
        self.offered.extend(&objects);
        Landing { config, objects }
    }

    fn step(&mut self) {
        let landing = self.landing();
        let kind = self.random.below(16);
        self.tell(format!("{kind} {landing:?}"));
        match kind {
            0..=3 => {
                let disk = self.server.client();
                if self.random.below(4) == 0 {
                    self.planned(&disk, &landing);
                }
                let landed = self.land(&disk, &landing);
                assert!(landed.objects.iter().all(Result::is_ok), "{landed:?}");
                self.acknowledge(&landing, &landed);
            }
            4..=8 => self.together(&landing),
            9..=11 => self.fails(&landing),
            12 => self.seals(&landing),
            13 | 14 => self.damages_a_register(),
            _ => {
                self.check_acknowledged();
                self.server = Server::new(self.random.next());
                self.acknowledged.clear();
                self.offered.clear();
            }
        }
    }

    /// What a dry run says is what then happens.
    fn planned(&self, disk: &SimDisk, landing: &Landing) {
        let before = self.server.lock().tree();
        let ids: Vec<ObjectId> =
            landing.objects.iter().map(|number| self.all.objects[*number].0.clone()).collect();
        let selection = hiwake::land::Selection::all();
        let (planned, _) =
            self.lander(disk, landing.config).plan(&self.all.store, &ids, &selection);
        assert_eq!(self.server.lock().tree(), before, "a dry run writes nothing");
        let copy = resumed(&self.server.lock().clone());
        let landed = self.land(&copy.client(), landing);
        let counts = |landed: &Landed| {
            let tally = landed.tally;
            (tally.rows, tally.lines, tally.late, tally.duplicates, tally.quarantined)
        };
        assert_eq!(counts(&planned), counts(&landed), "{planned:?} {landed:?}");
    }

    /// Two or three machines, one operation at a time in any order; one may stand still past its
    /// lease, or be killed.
    fn together(&mut self, first: &Landing) {
        let mut landings = vec![first.clone(), self.landing()];
        if self.random.below(4) == 0 {
            landings.push(self.landing());
        }
        // Often the same events, so that they meet.
        if self.random.below(2) == 0 {
            landings[1].objects = landings[0].objects.clone();
        }
        // Often the registers have the rules of all, so that no landing has to be alone.
        if self.random.below(3) > 0 {
            landings.iter().for_each(|landing| self.register(landing.config));
        }
        let disks: Vec<SimDisk> = landings.iter().map(|_| self.server.client()).collect();
        let at = 1 + self.random.below(90) as u64;
        let fault = match self.random.below(6) {
            0 => Some(Fault::Kill),
            1 | 2 => Some(Fault::Pause(1 + self.random.below(150) as u64)),
            3 => Some(Fault::LeaseLost),
            _ => None,
        };
        self.tell(format!("  with {:?}, {fault:?} at {at}", &landings[1..]));
        if let Some(fault) = fault {
            self.server.lock().plan(&disks[0], at, fault);
        }
        let answers: Vec<Mutex<Option<Landed>>> =
            landings.iter().map(|_| Mutex::default()).collect();
        let (this, wanted, landed) = (&*self, &landings, &answers);
        let work = |number: usize| -> Box<dyn FnOnce(&SimDisk) + Send + '_> {
            Box::new(move |disk| {
                *landed[number].lock().unwrap() = Some(this.land(disk, &wanted[number]));
            })
        };
        this.server.interleave(disks.iter().enumerate().map(|(n, disk)| (disk, work(n))).collect());
        for (landing, landed) in landings.iter().zip(&answers) {
            self.acknowledge(landing, &landed.lock().unwrap().take().unwrap());
        }
    }

    /// The registers of all dates have the rules of a configuration: other events were landed by
    /// it.
    fn register(&self, config: usize) {
        let disk = self.server.client();
        let times = [-10, 0, 10].map(|hours| MIDNIGHT + hours * HOUR);
        let (dates, rules) = (times.map(date).into(), rules(&self.all.configs[config]));
        assert!(Held::take(&self.lander(&disk, config), &dates, &rules, |_, _| Ok(())).is_ok());
    }

    /// An operation fails, the lease is lost, or the process dies, and perhaps the power with it.
    fn fails(&mut self, landing: &Landing) {
        let disk = self.server.client();
        let at = 1 + self.random.below(110) as u64;
        let fault = [
            Fault::Kill,
            Fault::Kill,
            Fault::LeaseLost,
            Fault::Fail(5),
            Fault::Lie(5),
            Fault::Lie(116),
        ][self.random.below(6)];
        self.server.lock().plan(&disk, at, fault);
        let landed = self.land(&disk, landing);
        self.acknowledge(landing, &landed);
        let loss = match self.random.below(4) {
            0 => Some(Loss::All),
            1 => Some(Loss::Mixed(self.random.next())),
            _ => None,
        };
        self.tell(format!("  {fault:?} at {at}, then {loss:?}"));
        self.server.lock().forget_faults();
        match loss {
            Some(loss) => self.server.lock().power_failure(loss),
            None => self.server.lock().kill_all(),
        }
    }

    fn seals(&mut self, landing: &Landing) {
        self.now += 30 * HOUR;
        let disk = self.server.client();
        let swept = self.lander(&disk, landing.config).seal().unwrap();
        assert!(swept.failed.is_empty(), "{:?}", swept.failed);
        self.tell(format!("  closed {:?}", swept.closed));
    }

    fn damages_a_register(&mut self) {
        let names = self.server.lock().tree().into_keys();
        let mut names: Vec<String> =
            names.filter(|name| name.starts_with(".hiwake/routings/")).collect();
        names.retain(|name| !name.ends_with(".mixed"));
        if names.is_empty() {
            return;
        }
        let name = names.swap_remove(self.random.below(names.len()));
        let (how, at, bit) =
            (self.random.below(4), self.random.next() as usize, self.random.below(8));
        self.tell(format!("  {name}: {how} {at} {bit}"));
        let mut state = self.server.lock();
        match how {
            0 => state.remove(&name),
            1 => state.edit(&name, Vec::clear),
            _ => state.edit(&name, |bytes| {
                if !bytes.is_empty() {
                    let at = at % bytes.len();
                    bytes[at] ^= 1 << bit;
                }
            }),
        }
    }

    fn check_acknowledged(&self) {
        let (lines, quarantined) = found(&self.server.lock().tree());
        for event in &self.acknowledged {
            assert!(lines.contains_key(event) || quarantined.contains(event), "e{event} is lost");
        }
    }

    fn finish(mut self) -> (usize, usize) {
        self.server.lock().kill_all();
        self.server.lock().forget_faults();
        self.check_acknowledged();
        // Everything is retried, in any order, under any configuration.
        let mut objects: Vec<usize> = self.offered.iter().copied().collect();
        while !objects.is_empty() {
            let some = 1 + self.random.below(objects.len().min(4));
            let some = (0..some).map(|_| objects.swap_remove(self.random.below(objects.len())));
            let some: Vec<usize> = some.collect();
            let config = self.configs[self.random.below(self.configs.len())];
            let landing = Landing { config, objects: some };
            self.tell(format!("finally {landing:?}"));
            let landed = self.land(&self.server.client(), &landing);
            assert!(landed.objects.iter().all(Result::is_ok), "{landed:?}");
            self.acknowledge(&landing, &landed);
        }
        self.now += 100 * HOUR;
        let disk = self.server.client();
        let swept = self.lander(&disk, self.configs[0]).seal().unwrap();
        assert!(swept.failed.is_empty(), "{:?}", swept.failed);
        let (lines, quarantined) = found(&self.server.lock().tree());
        let offered: BTreeSet<usize> =
            self.offered.iter().flat_map(|object| &self.all.objects[*object].1).copied().collect();
        for event in &offered {
            let lines = lines.get(event).map_or(&[][..], Vec::as_slice);
            match (lines, quarantined.contains(event)) {
                ([_], false) => {}
                // What is retried into a closed day is put into quarantine, because nobody can
                // tell.
                ([name], true) => assert!(self.is_closed(name), "e{event}: {name} could tell"),
                ([], true) => assert!(self.is_closed(""), "e{event} is in quarantine, all is open"),
                _ => panic!("e{event} is in {lines:?}"),
            }
        }
        assert_eq!(lines.keys().filter(|event| !offered.contains(event)).count(), 0);
        (offered.len(), quarantined.len())
    }

    /// Whether the day file of a published file is closed; any, without a name.
    fn is_closed(&self, name: &str) -> bool {
        let (file, published) = name.rsplit_once('/').unwrap_or_default();
        let day_file = DayFile::parse_published(file, published.trim_end_matches(".open"));
        let journal = day_file.map(|(day_file, _)| day_file.journal());
        let tree = self.server.lock().tree().into_iter();
        let mut journals = tree.filter(|(name, _)| match &journal {
            Some(journal) => name == journal,
            None => name.ends_with("/.journal"),
        });
        journals.any(|(_, bytes)| matches!(Closed::decode(&bytes), Ok(Some(_))))
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a test has no configuration that could name its seed"
)]
fn run(part: u64) {
    let all = Objects::new();
    let (events, quarantined) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let only: Option<u64> = std::env::var("HIWAKE_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds = only.map_or(part * SEQUENCES..(part + 1) * SEQUENCES, |seed| seed..seed + 1);
    for seed in seeds.clone() {
        let told = Mutex::new(Vec::new());
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut sequence = Sequence::new(&all, &told, seed);
            for _ in 0..2 + sequence.random.below(4) {
                sequence.step();
            }
            let (some, of_them) = sequence.finish();
            events.fetch_add(some, Ordering::Relaxed);
            quarantined.fetch_add(of_them, Ordering::Relaxed);
        }));
        if let Err(panic) = tried {
            let steps = told.lock().unwrap().join("\n");
            print(&format!("HIWAKE_SEED={seed} fails:\n{steps}"));
            std::panic::resume_unwind(panic);
        }
    }
    let (events, quarantined) = (events.into_inner(), quarantined.into_inner());
    print(&format!("seeds {seeds:?}: {events} events, {quarantined} in quarantine"));
}

#[test]
fn i1_each_event_is_in_one_line_whatever_the_configurations_were_1() {
    run(0);
}

#[test]
fn i1_each_event_is_in_one_line_whatever_the_configurations_were_2() {
    run(1);
}

#[test]
fn i1_each_event_is_in_one_line_whatever_the_configurations_were_3() {
    run(2);
}

#[test]
fn i1_each_event_is_in_one_line_whatever_the_configurations_were_4() {
    run(3);
}
