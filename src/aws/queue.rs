//! An SQS queue: sends messages in batches of ten, and retries those that it did not accept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use serde::Deserialize;
use tokio::runtime::Runtime;

use crate::aws::AwsError;

/// Most messages that SendMessageBatch takes.
pub const BATCH: usize = 10;
/// How often a message is sent if SQS refuses it without a fault of the sender.
const ATTEMPTS: u32 = 6;
/// The pause before the first retry; it then doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// Age at which notices are too old, as in the alarm.
const AGE_MAX_S: u64 = 1800;

/// A queue.
#[derive(Debug, Clone)]
pub struct Queue {
    pub(super) runtime: Arc<Runtime>,
    pub(super) client: aws_sdk_sqs::Client,
    pub(super) url: String,
}

type Attributes = HashMap<QueueAttributeName, String>;

fn count(all: &Attributes, name: &QueueAttributeName) -> u64 {
    all.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Redrive {
    dead_letter_target_arn: String,
}

/// The approximate contents of a queue of notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    waiting: u64,
    /// Received, and neither deleted nor visible again.
    in_work: u64,
    /// The dead-letter queue: its name, and how many messages it has.
    dead: Option<(String, u64)>,
}

impl Backlog {
    /// Checks that notices are landed in time; `age_s` is how long the oldest has waited.
    pub fn waits(&self, age_s: Option<u64>) -> Result<String, String> {
        let age = age_s.map(|seconds| humantime::format_duration(Duration::from_secs(seconds)));
        let age = match age {
            _ if self.waiting == 0 => String::new(),
            Some(age) => format!(", the oldest for {age}"),
            None => ", for how long is unknown: CloudWatch has no recent value".to_owned(),
        };
        let says = format!("{} notices wait{age}; {} are in progress", self.waiting, self.in_work);
        match age_s.is_some_and(|age| age > AGE_MAX_S) && self.waiting > 0 {
            true => Err(format!(
                "{says}: the log of land says why (\"will be retried: …\"), and docs/runbook.md, \
                 \"notices too old\", what to do"
            )),
            false => Ok(says),
        }
    }

    /// Checks that the dead-letter queue is empty.
    pub fn dead(&self) -> Result<String, String> {
        match &self.dead {
            None => {
                Err("the queue has no dead-letter queue; use the stack's NoticesQueue".to_owned())
            }
            Some((name, 0)) => Ok(format!("none in {name}")),
            Some((name, dead)) => Err(format!(
                "{dead} in {name}, and SQS deletes each 14 days after S3 sent it. Repair what the \
                 log of land names, then send them back: docs/runbook.md, \"dead letters\""
            )),
        }
    }
}

/// Why a message is not in the queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// SQS reported nothing about it.
    #[error("SQS reported no result for it")]
    Unanswered,
    /// SQS refused it.
    #[error("{queue}: {code}: {message}")]
    Refused {
        /// The queue's URL.
        queue: String,
        /// SQS's code.
        code: String,
        /// Its reason.
        message: String,
    },
}

impl Queue {
    /// Its name, as in metrics.
    pub fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// Counts its messages and its dead letters. Only CloudWatch knows the age of the messages.
    pub fn backlog(&self) -> Result<Backlog, AwsError> {
        let all = self.attributes(&self.url)?;
        let waiting = count(&all, &QueueAttributeName::ApproximateNumberOfMessages);
        let in_work = count(&all, &QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
        let policy = all.get(&QueueAttributeName::RedrivePolicy).map(String::as_str);
        let policy: Option<Redrive> = policy.and_then(|text| serde_json::from_str(text).ok());
        // The dead letters are in the same account and region.
        let folder = self.url.rsplit_once('/').map_or("", |(folder, _)| folder);
        let dead = policy.as_ref().and_then(|one| one.dead_letter_target_arn.rsplit(':').next());
        let dead = dead.map(|name| (name.to_owned(), format!("{folder}/{name}")));
        let dead = dead.map(|(name, url)| {
            let all = self.attributes(&url)?;
            Ok((name, count(&all, &QueueAttributeName::ApproximateNumberOfMessages)))
        });
        Ok(Backlog { waiting, in_work, dead: dead.transpose()? })
    }

    fn attributes(&self, url: &str) -> Result<Attributes, AwsError> {
        let request = self.client.get_queue_attributes().queue_url(url);
        let answer = self.runtime.block_on(request.attribute_names(QueueAttributeName::All).send());
        let answer = answer.map_err(|error| AwsError::new(url, &error))?;
        Ok(answer.attributes.unwrap_or_default())
    }

    /// Sends up to [`BATCH`] messages and returns the result of each, in order. An error means that
    /// none can be sent.
    pub fn send(&self, bodies: &[String]) -> Result<Vec<Result<(), SendError>>, AwsError> {
        let mut sent = vec![Err(SendError::Unanswered); bodies.len()];
        let mut left: Vec<usize> = (0..bodies.len()).collect();
        let mut pause = PAUSE;
        self.runtime.block_on(async {
            for attempt in 1..=ATTEMPTS {
                let entries = left.iter().map(|&at| {
                    let entry = SendMessageBatchRequestEntry::builder();
                    entry.id(at.to_string()).message_body(&bodies[at]).build()
                });
                let entries: Result<Vec<_>, _> = entries.collect();
                let entries = entries.map_err(|error| AwsError::new(&self.url, &error))?;
                let request = self.client.send_message_batch().queue_url(&self.url);
                let answer = request.set_entries(Some(entries)).send().await;
                let answer = answer.map_err(|error| AwsError::new(&self.url, &error))?;
                let number = |id: &str| id.parse().ok().filter(|at: &usize| *at < bodies.len());
                for at in answer.successful().iter().filter_map(|entry| number(entry.id())) {
                    sent[at] = Ok(());
                }
                let mut hopeless = Vec::new();
                for entry in answer.failed() {
                    let Some(at) = number(entry.id()) else { continue };
                    let message = entry.message().unwrap_or("no reason was given").to_owned();
                    let (queue, code) = (self.url.clone(), entry.code().to_owned());
                    sent[at] = Err(SendError::Refused { queue, code, message });
                    hopeless.extend(entry.sender_fault().then_some(at));
                }
                left.retain(|at| sent[*at].is_err() && !hopeless.contains(at));
                if left.is_empty() {
                    break;
                }
                if attempt < ATTEMPTS {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
            Ok(sent)
        })
    }
}
