//! Checks whether a log group's events reach the pipeline's delivery stream: its class, its
//! filters, and the account policy.

use aws_sdk_cloudwatchlogs::types::LogGroupClass;
use serde::Deserialize;

use crate::config::Subscribe;

/// A delivery stream, named like its pipeline.
#[derive(Debug, Clone, Copy)]
pub struct Stream<'a>(pub &'a str);

impl Stream<'_> {
    /// Compares with `arn:aws:firehose:<region>:<account>:deliverystream/<name>`.
    fn is_at(self, arn: &str) -> bool {
        arn.split_once(":deliverystream/").is_some_and(|(_, name)| name == self.0)
    }
}

/// The properties of a log group that matter for its subscription.
#[derive(Debug)]
pub struct Subscribed {
    pub(super) class: Option<LogGroupClass>,
    /// The names and destinations of its filters.
    pub(super) filters: Vec<(String, String)>,
}

/// The region's only account policy for subscriptions.
#[derive(Debug, Clone)]
pub struct AccountPolicy {
    pub(super) name: String,
    pub(super) destination: String,
    /// E.g. `LogGroupName NOT IN ["a"]`.
    pub(super) criteria: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    destination_arn: String,
}

impl AccountPolicy {
    pub(super) fn read(name: &str, document: &str, criteria: &str) -> AccountPolicy {
        let document = serde_json::from_str::<Document>(document);
        let destination = document.map(|one| one.destination_arn).unwrap_or_default();
        AccountPolicy { name: name.to_owned(), destination, criteria: criteria.to_owned() }
    }

    /// Checks that it sends the account's logs to the stream, as sources with
    /// `subscribe = "account"` need.
    pub fn verdict(policy: Option<&Self>, stream: Stream<'_>) -> Result<String, String> {
        let Some(AccountPolicy { name, destination, .. }) = policy else {
            return Err(
                "does not exist, but sources have subscribe = \"account\"; deploy".to_owned()
            );
        };
        match stream.is_at(destination) {
            true => Ok(format!("{name} to {destination}")),
            false => Err(format!(
                "{name} sends to {destination}, not to the stream {}. A region has only one such \
                 policy: check --pipeline, or write subscribe = \"filter\" and name the log groups",
                stream.0
            )),
        }
    }

    fn leaves_out(&self, log_group: &str) -> bool {
        // Each name is in JSON quotes.
        self.criteria.contains(&serde_json::Value::from(log_group).to_string())
    }
}

impl Subscribed {
    /// How it is subscribed; or what is wrong, and what to do.
    pub fn verdict(
        &self,
        name: &str,
        how: Subscribe,
        stream: Stream<'_>,
        policy: Option<&AccountPolicy>,
    ) -> Result<String, String> {
        if let Some(class) = self.class.as_ref().filter(|one| **one != LogGroupClass::Standard) {
            let class = class.as_str();
            return Err(format!(
                "is of class {class}, but only STANDARD can be subscribed; create another"
            ));
        }
        let ours = self.filters.iter().filter(|(_, to)| stream.is_at(to));
        let ours: Vec<_> = ours.map(|(name, to)| format!("filter {name} to {to}")).collect();
        let policy = policy.filter(|one| stream.is_at(&one.destination));
        match policy {
            _ if !ours.is_empty() => Ok(ours.join(", ")),
            Some(policy) if !policy.leaves_out(name) => {
                Ok(format!("account policy {} to {}", policy.name, policy.destination))
            }
            _ => Err(self.advice(how, stream, policy.is_some())),
        }
    }

    fn advice(&self, how: Subscribe, stream: Stream<'_>, is_left_out: bool) -> String {
        let others: Vec<_> =
            self.filters.iter().map(|(name, to)| format!("{name} to {to}")).collect();
        let full = match others.len() {
            0 => String::new(),
            1 => format!(" (its filter: {})", others.join(", ")),
            _ => format!(" and already has the maximum of two filters, {}", others.join(" and ")),
        };
        let what = match how {
            Subscribe::Account if is_left_out => "the account policy excludes it; deploy again",
            Subscribe::Account => "see the account policy",
            Subscribe::Manual => "subscribe it (docs/deploy.md)",
            Subscribe::Filter if others.len() > 1 => "remove one of them, then deploy",
            Subscribe::Filter => "deploy",
        };
        format!("has no filter to the stream {}{full}; {what}", stream.0)
    }
}
