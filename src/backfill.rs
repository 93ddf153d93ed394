//! Backfill: what is still in CloudWatch Logs, through the same labels and the same landing.
//!
//! The events of a page become envelopes, as the subscription would have sent them. Where the event
//! ids are those of the subscription's envelopes, nothing that has landed lands again.
//!
//! The time is read in windows, each to its end before the next: how far it came is noted below the
//! root. A window that takes a single request is doubled, one that takes many is halved. What may
//! not have reached CloudWatch Logs yet is read, and not noted: a run that resumes reads it again.

use std::collections::BTreeMap;
use std::ops::Range;

use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use serde_json::json;

use crate::aws::{AwsError, LogGroup, Logs};
use crate::land::intake::routing;
use crate::land::intake::tally::{Landed, NotLanded, Tally};
use crate::land::journal::lander::Lander;
use crate::land::root::checkpoint::Notes;
use crate::land::root::error::LandError;
use crate::store::{Store, StoreError};

/// The first window, the shortest and the longest.
const WINDOW_MS: i64 = 3_600_000;
const WINDOW_MS_MIN: i64 = 60_000;
const WINDOW_MS_MAX: i64 = 24 * 3_600_000;
/// A window of more pages is too long to be read again after a crash.
const PAGES_MAX: u64 = 50;
/// An event may be stamped so much ahead of its arrival: PutLogEvents takes no more.
const AHEAD_MS: i64 = 2 * 3_600_000;
/// Events that are so old can be read, if they come in time at all. AWS promises nothing; mostly it
/// takes seconds.
const SETTLED_MS: i64 = 15 * 60_000;
/// So many bytes of messages are landed at once.
const LAND_BYTES: usize = 16 << 20;

/// What a backfill came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filled {
    /// The counts of its landings.
    pub tally: Tally,
    /// Requests for events.
    pub pages: u64,
}

/// What stopped a backfill, in its own words.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum BackfillError {
    /// CloudWatch Logs did not hand out the events.
    Aws(#[from] AwsError),
    /// The notes of how far it came could not be kept.
    Notes(#[from] LandError),
    /// What is landed could not be held in memory.
    Store(#[from] StoreError),
    /// The events did not land.
    NotLanded(#[from] NotLanded),
}

/// A backfill that has begun: its notes are locked.
pub struct Backfill<'l> {
    lander: &'l Lander<'l>,
    group: LogGroup,
    time: Range<i64>,
    notes: Notes<'l>,
    /// Set if an earlier run of the same command was interrupted: this one resumes from there.
    pub from: Option<i64>,
    /// Set if events of this moment and later may still arrive: what is asked for has not all
    /// ended.
    pub unsettled_from: Option<i64>,
}

impl<'l> Backfill<'l> {
    /// Begins, or resumes where an earlier run of the same command was interrupted; `from_start`:
    /// begins afresh. `time` is the events' own, in milliseconds since the epoch.
    pub fn begin(
        lander: &'l Lander<'l>,
        group: LogGroup,
        time: Range<i64>,
        from_start: bool,
    ) -> Result<Backfill<'l>, LandError> {
        let routing = routing::fingerprint(lander.config);
        let command = format!("{}\n{}\n{}\n{routing}", group.arn, time.start, time.end);
        let (notes, noted) = Notes::open(lander, "backfills", &command, from_start)?;
        let from = noted.last().and_then(|line| line.parse().ok());
        let settled = lander.clock.now().saturating_sub(SETTLED_MS).max(time.start);
        let unsettled_from = (settled < time.end).then_some(settled);
        Ok(Backfill { lander, group, time, notes, from, unsettled_from })
    }

    /// Lands all events; `landed` is told of each landing. An error says why it stopped: what was
    /// landed until then is noted, and the same command resumes there.
    pub fn run(
        mut self,
        logs: &mut Logs,
        landed: &mut dyn FnMut(&Landed),
    ) -> Result<Filled, BackfillError> {
        let mut filled = Filled::default();
        let settled = self.unsettled_from.unwrap_or(self.time.end);
        let mut from = self.from.unwrap_or(self.time.start);
        let mut window = WINDOW_MS;
        // CloudWatch Logs takes no event that is stamped later.
        let until = self.time.end.min(self.lander.clock.now().saturating_add(AHEAD_MS));
        while from < until {
            let end = if from < settled { settled } else { until };
            let to = from.saturating_add(window).min(end);
            let pages = self.window(logs, from..to, &mut filled.tally, landed)?;
            filled.pages += pages;
            if to <= settled {
                self.notes.add(&[to.to_string()])?;
            }
            from = to;
            window = match pages {
                0 | 1 => (window * 2).min(WINDOW_MS_MAX),
                PAGES_MAX.. => (window / 2).max(WINDOW_MS_MIN),
                _ => window,
            };
        }
        self.notes.finish()?;
        Ok(filled)
    }

    /// Lands the events of one window; how many pages it had.
    fn window(
        &self,
        logs: &mut Logs,
        time: Range<i64>,
        tally: &mut Tally,
        landed: &mut dyn FnMut(&Landed),
    ) -> Result<u64, BackfillError> {
        let (mut pages, mut next, mut text) = (0, None, Vec::new());
        loop {
            let page = logs.events(&self.group, time.start, time.end, next)?;
            pages += 1;
            self.envelopes(page.events(), &mut text)?;
            next = page.next_token;
            if text.len() > LAND_BYTES || next.is_none() && !text.is_empty() {
                let store = Store::memory(&format!("cloudwatch-logs:{}", self.group.name))?;
                let key = format!("{}-{}-{pages}", time.start, time.end);
                let object = store.put(&key, std::mem::take(&mut text))?;
                let one = self.lander.land(&store, &[object]);
                tally.add(&one.tally);
                landed(&one);
                if let Some(error) = one.objects.iter().find_map(|result| result.as_ref().err()) {
                    return Err(error.clone().into());
                }
            }
            if next.is_none() {
                return Ok(pages);
            }
        }
    }

    /// The events as the subscription would have sent them: an envelope for each log stream, a line
    /// each.
    fn envelopes(&self, events: &[FilteredLogEvent], text: &mut Vec<u8>) -> Result<(), AwsError> {
        let missing = |what: &str| AwsError {
            what: format!("log group {}", self.group.name),
            reason: format!("an event without {what}"),
        };
        let mut streams: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
        for event in events {
            let id = event.event_id().ok_or_else(|| missing("eventId"))?;
            let log_stream = event.log_stream_name().ok_or_else(|| missing("logStreamName"))?;
            let timestamp = event.timestamp().ok_or_else(|| missing("timestamp"))?;
            let message = event.message().unwrap_or_default();
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
        Ok(())
    }
}
