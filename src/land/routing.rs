//! Routing: what decides to which (file, kind, day) an event goes, and since when: `.hiwake/routing`.
//!
//! Each line is an entry: a routing's fingerprint, its first use, its rules. A landing that is about to make lines
//! under another routing than the last entry's adds one before it writes them; so does one that is given rows which the
//! configuration in force would have sent elsewhere (`another`: a transform that was not replaced yet).
//!
//! Of an event that may have landed under an earlier routing nobody can tell where. So records that were delivered before
//! the present routing's first use are refused when they come again, unless the operator says `--reroute`.
//!
//! Labels, columns and formats of a line are no part of it, nor is `[plain]`: plain text has no identity anyway.

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

use super::error::{LandError, Named, is_absent};
use super::{Lander, folders};
use crate::config::Config;
use crate::day::Calendar;
use crate::disk::{Handle, Open};
use crate::row::Row;

/// Where it is recorded.
pub const ROUTING: &str = ".hiwake/routing";
/// An object may hold records from before its delivery: Firehose buffers for up to 15 minutes.
const BUFFERED_MS: i64 = 15 * 60 * 1000;
/// The fingerprint of a routing that nothing is known of but that it was another one.
const ANOTHER: &str = "another";

/// What decides (file, kind, day).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    timezone: String,
    kind: String,
    sources: Vec<Rule>,
    unmatched: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rule {
    log_groups: Vec<String>,
    log_streams: Vec<String>,
    file: String,
}

impl Rules {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Rules {
        let names = |globs: &[crate::config::Glob]| {
            globs.iter().map(|glob| glob.as_str().to_owned()).collect()
        };
        Rules {
            timezone: config.timezone.to_string(),
            kind: config.format.kind.name().to_owned(),
            sources: (config.sources.iter())
                .map(|source| Rule {
                    log_groups: names(&source.log_groups),
                    log_streams: names(&source.log_streams),
                    file: source.file.as_str().to_owned(),
                })
                .collect(),
            unmatched: config.unmatched.file.as_str().to_owned(),
        }
    }

    /// The same for the same rules, whatever else the configuration says. `v1`: how a file's name is made of them.
    pub fn fingerprint(&self) -> String {
        let text = serde_json::to_string(self).expect("texts and lists are JSON");
        format!("v1-{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
    }
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The fingerprint.
    pub routing: String,
    /// Its first use: RFC 3339.
    pub since: String,
    /// Whether records became lines under it, not only rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made: bool,
    /// For the eye.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Rules>,
}

impl Entry {
    fn another(since: String) -> Entry {
        Entry { routing: ANOTHER.to_owned(), since, made: false, rules: None }
    }

    /// Milliseconds since the epoch; a time that cannot be read is later than any.
    fn since(&self) -> i64 {
        let since = DateTime::parse_from_rfc3339(&self.since);
        since.map_or(i64::MAX, |since| since.timestamp_millis())
    }
}

/// All entries, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    entries: Vec<Entry>,
    /// The bytes of whole lines; what lies beyond is of a write that was cut short.
    whole: u64,
    torn: bool,
}

impl History {
    /// Reads it, without a lock. A line that cannot be read is an entry of another routing: it never stops a landing.
    pub fn read(lander: &Lander<'_>) -> Result<History, LandError> {
        match lander.disk.open(ROUTING, Open::Read) {
            Ok(handle) => History::of(handle.as_ref()),
            Err(error) if is_absent(&error) => Ok(History::default()),
            Err(error) => Err(error).named("open", ROUTING),
        }
    }

    fn of(handle: &dyn Handle) -> Result<History, LandError> {
        let length = handle.length().named("look at", ROUTING)?;
        let mut bytes = vec![0; length as usize];
        let filled = handle.read_at(&mut bytes, 0).named("read", ROUTING)?;
        bytes.truncate(filled);
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |last| last + 1);
        let lines = bytes[..whole].split_inclusive(|&byte| byte == b'\n');
        let entry = |line: &[u8]| {
            serde_json::from_slice(line).unwrap_or_else(|_| Entry::another(String::new()))
        };
        let (entries, torn) = (lines.map(entry).collect(), whole < bytes.len());
        Ok(History { entries, whole: whole as u64, torn })
    }

    /// Whether there is a line that cannot be read, or that is not whole.
    pub fn is_torn(&self) -> bool {
        self.torn || self.entries.iter().any(|entry| entry.since.is_empty())
    }

    /// The entry that is in force, if it is of this routing.
    fn present(&self, fingerprint: &str) -> Option<&Entry> {
        self.entries.last().filter(|last| last.routing == fingerprint)
    }

    /// Whether records became lines under any.
    pub fn has_made(&self) -> bool {
        self.entries.iter().any(|entry| entry.made)
    }

    /// Until when objects were delivered whose records may have landed under another routing than this one;
    /// `None`: there was no other. A routing that was not used yet has only others before it.
    pub fn others_until(&self, fingerprint: &str) -> Option<i64> {
        let others = self.entries.iter().any(|entry| entry.routing != fingerprint);
        let until = |entry: &Entry| entry.since().saturating_add(BUFFERED_MS);
        others.then(|| self.present(fingerprint).map_or(i64::MAX, until))
    }
}

/// What a landing uses beside the configuration's routing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// When the newest object was delivered that has rows of another routing.
    pub foreign: Option<i64>,
    /// Whether records become lines.
    pub made: bool,
}

/// Records that this landing uses the configuration's routing, unless the last entry says so.
///
/// An entry that is lost with the power is made again by the next landing, with a later time: more is refused, nothing
/// doubled.
pub fn note(lander: &Lander<'_>, used: Used) -> Result<(), LandError> {
    let Used { foreign, made } = used;
    let rules = Rules::of(lander.config);
    let fingerprint = rules.fingerprint();
    // The entry that stands, but for what it says of records.
    let present = |history: &History| {
        let present = history.present(&fingerprint).cloned();
        present.filter(|entry| foreign.is_none_or(|foreign| foreign < entry.since()))
    };
    let is_noted =
        |history: &History| present(history).is_some_and(|_| !made || history.has_made());
    if is_noted(&History::read(lander)?) {
        return Ok(());
    }
    let how = Open::Create(lander.open_mode());
    let (handle, _) = lander.open_locked(ROUTING, how, lander.lock_deadline())?;
    let history = History::of(handle.as_ref())?;
    if is_noted(&history) {
        return Ok(());
    }
    let now = lander.clock.now();
    let mut lines = Vec::new();
    let since = match present(&history) {
        // It is in use as long as it was.
        Some(entry) => entry.since,
        None => {
            // Later than the foreign rows, whatever this machine's clock says: they are noted once.
            let since = rfc_3339(foreign.map_or(now, |foreign| now.max(foreign.saturating_add(1))));
            if foreign.is_some() {
                line(&mut lines, &Entry::another(since.clone()));
            }
            since
        }
    };
    line(&mut lines, &Entry { routing: fingerprint, since, made, rules: Some(rules) });
    if handle.length().named("look at", ROUTING)? > history.whole {
        handle.truncate(history.whole).and_then(|()| handle.sync()).named("cut", ROUTING)?;
    }
    handle.write_at(&lines, history.whole).named("write", ROUTING)?;
    handle.sync().named("sync", ROUTING)?;
    match history.whole {
        0 => folders::sync_up(lander, super::day_file::folder_of(ROUTING)),
        _ => Ok(()),
    }
}

fn line(lines: &mut Vec<u8>, entry: &Entry) {
    serde_json::to_writer(&mut *lines, entry).expect("writing to a Vec cannot fail");
    lines.push(b'\n');
}

/// Where the configuration in force would send a row.
pub struct Route<'c> {
    config: &'c Config,
    calendar: Calendar,
    /// The last stream, and its file.
    stream: String,
    file: Option<String>,
}

impl<'c> Route<'c> {
    /// For one configuration.
    pub fn new(config: &'c Config) -> Route<'c> {
        let calendar = Calendar::new(config.timezone, "");
        Route { config, calendar, stream: String::new(), file: None }
    }

    /// Whether a row was made under another routing. Plain text belongs to none.
    pub fn is_foreign(&mut self, row: &Row<'_>) -> bool {
        if self.stream != *row.stream {
            row.stream.as_ref().clone_into(&mut self.stream);
            self.file = log_group(&row.stream).map(|(owner, group, stream)| {
                let source = self.config.source_of(group, stream);
                let file =
                    source.map_or(&self.config.unmatched.file, |n| &self.config.sources[n].file);
                file.file(owner, group, stream)
            });
        }
        self.file.as_ref().is_some_and(|file| {
            *file != row.file
                || row.kind != self.config.format.kind
                || self.calendar.day(row.timestamp) != Ok(row.day)
        })
    }
}

/// Owner, log group and log stream of a row's `stream`; `None`: it is that of plain text.
pub fn log_group(stream: &str) -> Option<(&str, &str, &str)> {
    let (owner, rest) = stream.split_once(':')?;
    let (group, stream) = rest.split_once(':')?;
    // An account is a number; plain text's stream is an ARN or a bucket with a key.
    let account = !owner.is_empty() && owner.bytes().all(|byte| byte.is_ascii_digit());
    account.then_some((owner, group, stream))
}

/// Since when the present routing is in use for certain, in words.
pub fn in_use(until: i64) -> String {
    match until {
        i64::MAX => "the present one was not used yet".to_owned(),
        until => format!("all before {} was", rfc_3339(until)),
    }
}

fn rfc_3339(time: i64) -> String {
    let time = DateTime::from_timestamp_millis(time).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
