//! Commit, seal, close: on a real folder, against a model that is a map from event to line.

mod batch;
mod blocks;
mod close;
mod commit;
mod damage;
mod empty;
mod folders;
mod forms;
mod journals;
mod landing;
mod model;
mod names;
mod register;
mod routing;
mod seal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hiwake::clock::Clock;
use hiwake::config::{Config, Form};
use hiwake::disk::RealDisk;
use hiwake::land::day_file::batch::Batch;
use hiwake::land::day_file::commit::CommitOutcome;
use hiwake::land::journal::cache::Journals;
use hiwake::land::root::error::LandError;
use hiwake::land::{Lander, Root, Tally};
use hiwake::row::{Kind, Row};

use crate::given::{self, DAY, HOUR, JOURNAL, LATE, MIDNIGHT, OPEN, SEALED, SEEN, day_file};

/// A root with a disk and a configuration, at a time that the test sets.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub disk: RealDisk,
    pub config: Config,
    pub now: i64,
    /// What the process remembers; without, each landing is a process of its own.
    pub journals: Option<Arc<Journals>>,
}

impl Site {
    pub fn new(toml: &str) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(folder.path()).unwrap();
        let config = given::config(toml);
        Site { folder, disk, config, now: MIDNIGHT + HOUR, journals: None }
    }

    pub fn lander(&self) -> Lander<'_> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let (disk, config, clock) = (&self.disk, &self.config, Clock::At(self.now));
        Lander {
            root: Root { disk, config, clock, deadline, synced: Default::default() },
            journals: self.journals.clone().unwrap_or_default(),
            pool: Default::default(),
        }
    }

    pub fn commit(&self, events: &[Event]) -> Tally {
        match self.try_commit(events).unwrap() {
            CommitOutcome::Committed(committed) => committed,
            CommitOutcome::Closed => panic!("the day is closed"),
        }
    }

    pub fn try_commit(&self, events: &[Event]) -> Result<CommitOutcome, LandError> {
        let objects = ["bucket/key@1".to_owned()];
        hiwake::land::day_file::commit::commit(
            &self.lander(),
            &day_file(),
            &batch(events),
            &objects,
            &|| Ok(()),
        )
    }

    pub fn seal(&self) -> hiwake::land::upkeep::sweep::Swept {
        let swept = self.lander().seal().unwrap();
        assert!(swept.failed.is_empty(), "{:?}", swept.failed);
        swept
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        given::text_of(name, &bytes)
    }

    /// Every file below the root with its content; the hidden ones too.
    pub fn tree(&self) -> BTreeMap<String, Vec<u8>> {
        given::tree(self.folder.path())
    }

    /// The names below the root that readers see.
    pub fn names(&self) -> Vec<String> {
        self.tree().into_keys().filter(|name| !name.starts_with(".hiwake/")).collect()
    }
}

/// An event of the test's day: its id, its time after midnight, its line.
pub type Event = (String, i64, String);

pub fn event(id: &str, after_midnight: i64) -> Event {
    (id.to_owned(), after_midnight, format!("HOGE,{id}"))
}

pub fn batch(events: &[Event]) -> Batch {
    let mut batch = Batch::default();
    for (id, after_midnight, line) in events {
        let row = Row {
            file: "messages".into(),
            kind: Kind::Csv,
            day: day_file().day,
            timestamp: MIDNIGHT + after_midnight,
            stream: "1:/var/log/messages:i-1".into(),
            id: id.into(),
            line: line.into(),
        };
        batch.push(&row, 0, true);
    }
    batch
}

/// Journals of every state, for the fuzz properties.
pub fn journals() -> Vec<Vec<u8>> {
    let mut site = Site::new("[seal]\njournal_days = 1");
    let mut journals = Vec::new();
    let mut keep = |site: &Site| {
        journals.push(site.tree()[JOURNAL].clone());
    };
    site.commit(&[event("b", 2), event("c", 3)]);
    site.commit(&[event("a", 1)]);
    keep(&site);
    site.now = MIDNIGHT + DAY + HOUR;
    site.seal();
    keep(&site);
    site.commit(&[event("late", 9)]);
    keep(&site);
    site.now += DAY;
    site.seal();
    site.now += 2 * DAY;
    site.seal();
    keep(&site);
    journals
}
