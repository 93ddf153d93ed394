//! What is still in CloudWatch Logs: a log group's events, a page at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsOutput;
use tokio::runtime::Runtime;

use crate::aws::AwsError;

/// FilterLogEvents is throttled at 5 to 10 requests a second for all of an account: the client
/// waits longer each time.
pub(super) const ATTEMPTS: u32 = 10;
/// No more than 5 requests a second, so that others have their share.
const PACE: Duration = Duration::from_millis(200);

/// CloudWatch Logs of one account and region.
#[derive(Debug)]
pub struct Logs {
    pub(super) runtime: Arc<Runtime>,
    pub(super) client: aws_sdk_cloudwatchlogs::Client,
    pub(super) last: Option<Instant>,
}

/// A log group that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    /// Its name.
    pub(crate) name: String,
    /// The account that owns it: what envelopes call `owner`.
    pub(crate) owner: String,
    /// Its ARN: region and account too.
    pub(crate) arn: String,
}

impl Logs {
    /// A log group by its exact name. Who owns it is in its ARN.
    pub fn log_group(&mut self, name: &str) -> Result<LogGroup, AwsError> {
        let what = format!("log group {name}");
        let pages = self.client.describe_log_groups().log_group_name_prefix(name).into_paginator();
        let found = self.runtime.block_on(async {
            let mut pages = pages.items().send();
            while let Some(group) = pages.next().await {
                let group = group.map_err(|error| AwsError::new(&what, &error))?;
                if group.log_group_name() == Some(name) {
                    return Ok(Some(group.arn().unwrap_or_default().to_owned()));
                }
            }
            Ok(None)
        })?;
        let reason = match found {
            None => "does not exist in this account and region",
            // arn:aws:logs:<region>:<account>:log-group:<name>:*
            Some(arn) => match arn.split(':').nth(4).map(str::to_owned) {
                Some(owner) if !owner.is_empty() => {
                    return Ok(LogGroup { name: name.to_owned(), owner, arn });
                }
                _ => "its ARN names no account",
            },
        };
        Err(AwsError { what, reason: reason.to_owned() })
    }

    /// A page of the events with `since <= timestamp < until` in milliseconds, in the order of the
    /// service. Perhaps it has none, also where there is a next one.
    pub fn events(
        &mut self,
        group: &LogGroup,
        since: i64,
        until: i64,
        next: Option<String>,
    ) -> Result<FilterLogEventsOutput, AwsError> {
        if let Some(last) = self.last {
            std::thread::sleep(PACE.saturating_sub(last.elapsed()));
        }
        self.last = Some(Instant::now());
        let request = self.client.filter_log_events().log_group_name(&group.name);
        // The end of the API is inclusive.
        let request = request.start_time(since).end_time(until - 1).set_next_token(next);
        let answer = self.runtime.block_on(request.send());
        answer.map_err(|error| AwsError::new(&format!("log group {}", group.name), &error))
    }
}
