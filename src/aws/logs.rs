//! CloudWatch Logs: log groups, their subscriptions, and their events, page by page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsOutput;
use aws_sdk_cloudwatchlogs::types::{LogGroupClass, PolicyType};
use tokio::runtime::Runtime;

use crate::aws::{AccountPolicy, AwsError, Subscribed};

/// FilterLogEvents is throttled at 5 to 10 requests a second per account: the client waits longer
/// before each retry.
pub(super) const ATTEMPTS: u32 = 10;
/// At most 5 requests a second, to leave some to others.
const PACE: Duration = Duration::from_millis(200);

/// CloudWatch Logs of one account and region.
#[derive(Debug)]
pub struct Logs {
    pub(super) runtime: Arc<Runtime>,
    pub(super) client: aws_sdk_cloudwatchlogs::Client,
    pub(super) last: Option<Instant>,
}

/// A log group that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    /// Its name.
    pub(crate) name: String,
    /// The account that owns it, `owner` in envelopes.
    pub(crate) owner: String,
    /// Its ARN, which has its region and account.
    pub(crate) arn: String,
}

impl Logs {
    /// A log group's class and filters.
    pub fn subscribed(&mut self, name: &str) -> Result<Subscribed, AwsError> {
        let what = format!("log group {name}");
        let fault = |error: &dyn std::error::Error| AwsError::new(&what, error);
        let groups = self.client.describe_log_groups().log_group_name_prefix(name).send();
        let groups = self.runtime.block_on(groups).map_err(|error| fault(&error))?;
        let group = groups.log_groups().iter().find(|one| one.log_group_name() == Some(name));
        let missing = || {
            let reason = "does not exist in this account and region".to_owned();
            AwsError { what: what.clone(), reason }
        };
        let class = group.ok_or_else(missing)?.log_group_class().cloned();
        let filters = self.client.describe_subscription_filters().log_group_name(name).send();
        let filters = self.runtime.block_on(filters).map_err(|error| fault(&error))?;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let filters = filters.subscription_filters().iter();
        let filters = filters.map(|one| (text(one.filter_name()), text(one.destination_arn())));
        Ok(Subscribed { class, filters: filters.collect() })
    }

    /// The account policy for subscriptions, of which a region has at most one.
    pub fn account_policy(&mut self) -> Result<Option<AccountPolicy>, AwsError> {
        let request = self.client.describe_account_policies();
        let request = request.policy_type(PolicyType::SubscriptionFilterPolicy);
        let answer = self.runtime.block_on(request.send());
        let answer = answer.map_err(|error| AwsError::new("the account policy", &error))?;
        let text = |text: Option<&'_ str>| text.unwrap_or_default().to_owned();
        Ok(answer.account_policies().first().map(|one| {
            let [name, document, criteria] =
                [one.policy_name(), one.policy_document(), one.selection_criteria()].map(text);
            AccountPolicy::read(&name, &document, &criteria)
        }))
    }

    /// The names of all log groups that can be subscribed, or of those with a prefix.
    pub fn log_group_names(&mut self, prefix: Option<&str>) -> Result<Vec<String>, AwsError> {
        let request = self.client.describe_log_groups().set_log_group_name_prefix(
            prefix.filter(|prefix| !prefix.is_empty()).map(str::to_owned),
        );
        let mut pages =
            request.log_group_class(LogGroupClass::Standard).into_paginator().items().send();
        let mut names = Vec::new();
        self.runtime.block_on(async {
            while let Some(group) = pages.next().await {
                let group = group.map_err(|error| AwsError::new("the log groups", &error))?;
                names.extend(group.log_group_name().map(str::to_owned));
            }
            Ok(names)
        })
    }

    /// Finds a log group by its exact name, and its owner in its ARN.
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
                _ => "its ARN does not name an account",
            },
        };
        Err(AwsError { what, reason: reason.to_owned() })
    }

    /// Reads a page of the events with `since <= timestamp < until` in milliseconds, in the order
    /// of the service. A page may be empty even if another follows.
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
        // The API's end time is inclusive.
        let request = request.start_time(since).end_time(until - 1).set_next_token(next);
        let answer = self.runtime.block_on(request.send());
        answer.map_err(|error| AwsError::new(&format!("log group {}", group.name), &error))
    }
}
