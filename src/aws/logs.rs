//! What is still in CloudWatch Logs: a log group's events, a page at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::AwsError;

/// FilterLogEvents is throttled at 5 to 10 requests a second for all of an account: the client waits longer each time.
pub(super) const ATTEMPTS: u32 = 10;
/// No more than 5 requests a second, so that others have their share.
const PACE: Duration = Duration::from_millis(200);

/// CloudWatch Logs of one account and region.
#[derive(Debug)]
pub struct Logs {
    runtime: Arc<Runtime>,
    client: aws_sdk_cloudwatchlogs::Client,
    last: Option<Instant>,
}

/// A log group that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    /// Its name.
    pub name: String,
    /// The account that owns it: what envelopes call `owner`.
    pub owner: String,
    /// Its ARN: region and account too.
    pub arn: String,
}

/// An event as FilterLogEvents has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// What envelopes call `id`.
    pub id: String,
    /// The log stream's name.
    pub log_stream: String,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// As it was logged.
    pub message: String,
}

/// One answer.
#[derive(Debug)]
pub struct Page {
    /// Perhaps none, also where there is a next page.
    pub events: Vec<LogEvent>,
    /// Asks for the next one.
    pub next: Option<String>,
}

impl Logs {
    pub(super) fn new(runtime: Arc<Runtime>, client: aws_sdk_cloudwatchlogs::Client) -> Logs {
        Logs { runtime, client, last: None }
    }

    /// A log group by its exact name. Who owns it is in its ARN.
    pub fn log_group(&mut self, name: &str) -> Result<LogGroup, AwsError> {
        let what = format!("log group {name}");
        let pages = self.client.describe_log_groups().log_group_name_prefix(name).into_paginator();
        let found = self.runtime.block_on(async {
            let mut pages = pages.items().send();
            while let Some(group) = pages.next().await {
                let group = group.map_err(|error| AwsError::new(&what, &error))?;
                if group.log_group_name() == Some(name) {
                    return Ok(group.arn().map(str::to_owned));
                }
            }
            Err(AwsError {
                what: what.clone(),
                reason: "does not exist in this account and region".to_owned(),
            })
        })?;
        // arn:aws:logs:<region>:<account>:log-group:<name>:*
        let arn = found.unwrap_or_default();
        match arn.split(':').nth(4).filter(|owner| !owner.is_empty()) {
            Some(owner) => Ok(LogGroup { name: name.to_owned(), owner: owner.to_owned(), arn }),
            None => Err(AwsError { what, reason: "its ARN names no account".to_owned() }),
        }
    }

    /// The events with `since <= timestamp < until` in milliseconds, in the order of the service.
    pub fn events(
        &mut self,
        group: &LogGroup,
        since: i64,
        until: i64,
        next: Option<String>,
    ) -> Result<Page, AwsError> {
        if let Some(last) = self.last {
            std::thread::sleep(PACE.saturating_sub(last.elapsed()));
        }
        self.last = Some(Instant::now());
        let request = self.client.filter_log_events().log_group_name(&group.name);
        // The end of the API is inclusive.
        let request = request.start_time(since).end_time(until - 1).set_next_token(next);
        let answer = self.runtime.block_on(request.send());
        let answer =
            answer.map_err(|error| AwsError::new(&format!("log group {}", group.name), &error))?;
        let next = answer.next_token().map(str::to_owned);
        let events = answer.events.unwrap_or_default().into_iter().map(|event| {
            let missing = |what: &str| AwsError {
                what: format!("log group {}", group.name),
                reason: format!("an event without {what}"),
            };
            Ok(LogEvent {
                id: event.event_id.ok_or_else(|| missing("eventId"))?,
                log_stream: event.log_stream_name.ok_or_else(|| missing("logStreamName"))?,
                timestamp: event.timestamp.ok_or_else(|| missing("timestamp"))?,
                message: event.message.unwrap_or_default(),
            })
        });
        Ok(Page { events: events.collect::<Result<_, _>>()?, next })
    }
}
