//! Backfill: lands events that are still in CloudWatch Logs, with the same labels and the same
//! code.
//!
//! The events of a page become envelopes as the subscription sends them. If the event ids equal
//! those of the subscription's envelopes, nothing that has landed lands again.
//!
//! The time is read in windows, one after the other; notes below the root record the progress. A
//! window of one request is doubled; one of many requests is halved. Events that may not have
//! reached CloudWatch Logs yet are read but not noted, so that a run that resumes reads them again.

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

/// The length of the first window, and the shortest and longest lengths.
const WINDOW_MS: i64 = 3_600_000;
const WINDOW_MS_MIN: i64 = 60_000;
const WINDOW_MS_MAX: i64 = 24 * 3_600_000;
/// A window with more pages is halved, so that little is read again after a crash.
const PAGES_MAX: u64 = 50;
/// How far ahead of its arrival an event may be stamped: PutLogEvents accepts no more.
const AHEAD_MS: i64 = 2 * 3_600_000;
/// The age at which an event can be read if it was delivered on time. AWS promises nothing; usually
/// it takes seconds.
const SETTLED_MS: i64 = 15 * 60_000;
/// How many bytes of messages are landed at once.
const LAND_BYTES: usize = 16 << 20;

/// The result of a backfill.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filled {
    /// The total counts of its landings.
    pub tally: Tally,
    /// The number of requests for events.
    pub pages: u64,
}

/// Why a backfill stopped, in the cause's own words.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum BackfillError {
    /// CloudWatch Logs did not deliver the events.
    Aws(#[from] AwsError),
    /// The notes of the progress could not be written.
    Notes(#[from] LandError),
    /// The events could not be held in memory for landing.
    Store(#[from] StoreError),
    /// The events did not land.
    NotLanded(#[from] NotLanded),
}

/// A backfill that has begun, and holds the lock of its notes.
pub struct Backfill<'l> {
    lander: &'l Lander<'l>,
    group: LogGroup,
    time: Range<i64>,
    notes: Notes<'l>,
    /// Set if an earlier run of the same command was interrupted: this run resumes there.
    pub from: Option<i64>,
    /// Set if events from this time on may still arrive, because the requested time has not
    /// completely passed.
    pub unsettled_from: Option<i64>,
}

impl<'l> Backfill<'l> {
    /// Begins, or resumes where an earlier run of the same command was interrupted, unless
    /// `from_start` is set. `time` is the events' own, in milliseconds since the epoch.
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

    /// Lands all events, and calls `landed` after each landing. After an error, the same command
    /// resumes after what has landed.
    pub fn run(
        mut self,
        logs: &mut Logs,
        landed: &mut dyn FnMut(&Landed),
    ) -> Result<Filled, BackfillError> {
        let mut filled = Filled::default();
        let settled = self.unsettled_from.unwrap_or(self.time.end);
        let mut from = self.from.unwrap_or(self.time.start);
        let mut window = WINDOW_MS;
        // CloudWatch Logs accepts no events that are stamped later.
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

    /// Lands the events of one window and returns the number of its pages.
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

    /// The events as the subscription sends them: an envelope on a line for each log stream.
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
