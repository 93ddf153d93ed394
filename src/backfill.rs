//! Backfill: what is still in CloudWatch Logs, through the same labels and the same landing.
//!
//! The events of a page become envelopes, as the subscription would have sent them. Where the event ids are those of
//! the subscription's envelopes, nothing that has landed lands again.
//!
//! The time is read in windows, each to its end before the next: how far it came is noted below the root. A window that
//! takes a single request is doubled, one that takes many is halved. What may not have reached CloudWatch Logs yet is
//! read, and not noted: a run that goes on reads it again.

use std::collections::BTreeMap;

use serde_json::json;

use crate::aws::{AwsError, LogEvent, LogGroup, Logs};
use crate::land::error::LandError;
use crate::land::notes::Notes;
use crate::land::routing;
use crate::land::{Choice, Landed, Lander, Tally};
use crate::store::{Store, StoreError};

/// The first window, the shortest and the longest.
const WINDOW_MS: i64 = 3_600_000;
const WINDOW_MS_MIN: i64 = 60_000;
const WINDOW_MS_MAX: i64 = 24 * 3_600_000;
/// A window of more pages is too long to be read again after a crash.
const PAGES_MAX: usize = 50;
/// An event may be stamped so much ahead of its arrival: PutLogEvents takes no more.
const AHEAD_MS: i64 = 2 * 3_600_000;
/// Events that are so old can be read, if they come in time at all. AWS promises nothing; mostly it takes seconds.
const SETTLED_MS: i64 = 15 * 60_000;
/// So many bytes of messages are landed at once.
const LAND_BYTES: usize = 16 << 20;

/// What there is to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// The log group.
    pub group: LogGroup,
    /// Events at this moment or later, milliseconds since the epoch.
    pub since: i64,
    /// Events before this moment.
    pub until: i64,
}

/// Why it stopped. What was landed until then is noted: the same command goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// CloudWatch Logs refused, or could not be reached.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The root.
    #[error(transparent)]
    Land(#[from] LandError),
    /// Events could not be handed on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Events could not be landed.
    #[error("{0}")]
    NotLanded(String),
}

/// What a backfill came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filled {
    /// The counts of its landings.
    pub tally: Tally,
    /// Requests for events.
    pub pages: u64,
}

/// A backfill that has begun: its notes are locked.
pub struct Begun<'l> {
    backfill: &'l Backfill,
    lander: &'l Lander<'l>,
    notes: Notes<'l>,
    /// Set if an earlier run of the same command was cut off: this one goes on from there.
    pub from: Option<i64>,
    /// Set if events of this moment and later may still come: what is asked for is not all over.
    pub unsettled_from: Option<i64>,
}

impl Begun<'_> {
    /// Lands all events; `landed` is told of each landing, and how far in time it came.
    pub fn run(
        mut self,
        logs: &mut Logs,
        landed: &mut dyn FnMut(&Landed, i64),
    ) -> Result<Filled, BackfillError> {
        let backfill = self.backfill;
        let filled = backfill.run(&mut self, logs, landed)?;
        self.notes.finish()?;
        Ok(filled)
    }
}

impl Backfill {
    /// Begins, or goes on where an earlier run of the same command was cut off; `from_start`: begins anew.
    pub fn begin<'l>(
        &'l self,
        lander: &'l Lander<'l>,
        from_start: bool,
    ) -> Result<Begun<'l>, LandError> {
        let Backfill { group, since, until } = self;
        let routing = routing::fingerprint(lander.config);
        let command = format!("{}\n{since}\n{until}\n{routing}", group.arn);
        let (notes, noted) = Notes::open(lander, "backfills", &command, from_start)?;
        let settled = lander.clock.now().saturating_sub(SETTLED_MS).max(*since);
        Ok(Begun {
            backfill: self,
            lander,
            notes,
            from: noted.last().and_then(|line| line.parse().ok()),
            unsettled_from: (settled < *until).then_some(settled),
        })
    }

    /// Lands all events from a moment on; `landed` is told of each landing, and how far in time it came.
    fn run(
        &self,
        begun: &mut Begun<'_>,
        logs: &mut Logs,
        landed: &mut dyn FnMut(&Landed, i64),
    ) -> Result<Filled, BackfillError> {
        let mut filled = Filled::default();
        let settled = begun.unsettled_from.unwrap_or(self.until);
        let mut from = begun.from.unwrap_or(self.since);
        let mut window = WINDOW_MS;
        // CloudWatch Logs takes no event that is stamped later.
        let until = self.until.min(begun.lander.clock.now().saturating_add(AHEAD_MS));
        while from < until {
            let end = if from < settled { settled } else { until };
            let to = from.saturating_add(window).min(end);
            let pages = self.window(begun.lander, logs, from..to, &mut filled, landed)?;
            filled.pages += pages as u64;
            if to <= settled {
                begun.notes.add(&[to.to_string()])?;
            }
            from = to;
            window = match pages {
                0 | 1 => (window * 2).min(WINDOW_MS_MAX),
                PAGES_MAX.. => (window / 2).max(WINDOW_MS_MIN),
                _ => window,
            };
        }
        Ok(filled)
    }

    /// Lands the events of one window; how many pages it had.
    fn window(
        &self,
        lander: &Lander<'_>,
        logs: &mut Logs,
        time: std::ops::Range<i64>,
        filled: &mut Filled,
        landed: &mut dyn FnMut(&Landed, i64),
    ) -> Result<usize, BackfillError> {
        let (mut pages, mut next, mut text) = (0, None, Vec::new());
        loop {
            let page = logs.events(&self.group, time.start, time.end, next)?;
            pages += 1;
            self.envelopes(&page.events, &mut text);
            next = page.next;
            if text.len() > LAND_BYTES || next.is_none() && !text.is_empty() {
                let key = format!("{}-{}-{pages}", time.start, time.end);
                let one = self.land(lander, &key, std::mem::take(&mut text))?;
                filled.tally.add(&one.tally);
                landed(&one, time.end);
                if let Some(error) = one.objects.iter().find_map(|result| result.as_ref().err()) {
                    return Err(BackfillError::NotLanded(error.to_string()));
                }
            }
            if next.is_none() {
                return Ok(pages);
            }
        }
    }

    /// The events as the subscription would have sent them: an envelope for each log stream, a line each.
    fn envelopes(&self, events: &[LogEvent], text: &mut Vec<u8>) {
        let mut streams: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
        for LogEvent { id, log_stream, timestamp, message } in events {
            let event = json!({ "id": id, "timestamp": timestamp, "message": message });
            streams.entry(log_stream).or_default().push(event);
        }
        for (log_stream, events) in streams {
            let envelope = json!({
                "messageType": "DATA_MESSAGE",
                "owner": self.group.owner,
                "logGroup": self.group.name,
                "logStream": log_stream,
                "subscriptionFilters": [],
                "logEvents": events,
            });
            text.extend_from_slice(envelope.to_string().as_bytes());
            text.push(b'\n');
        }
    }

    fn land(&self, lander: &Lander<'_>, key: &str, text: Vec<u8>) -> Result<Landed, StoreError> {
        let store = Store::memory(&format!("cloudwatch-logs:{}", self.group.name))?;
        let object = store.put(key, text)?;
        Ok(lander.land_chosen(&store, &[object], &Choice::all()))
    }
}
