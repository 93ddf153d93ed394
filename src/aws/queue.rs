//! A queue of SQS: messages in batches of ten, and again those that it did not take.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use tokio::runtime::Runtime;

use crate::aws::AwsError;

/// SendMessageBatch takes so many.
pub const BATCH: usize = 10;
/// How often a message is sent that SQS does not take, and does not blame us for.
const ATTEMPTS: u32 = 6;
/// The first pause before it is sent again; then it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// A queue.
#[derive(Debug, Clone)]
pub struct Queue {
    pub(super) runtime: Arc<Runtime>,
    pub(super) client: aws_sdk_sqs::Client,
    pub(super) url: String,
}

/// Why a message is not in the queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// SQS does not say.
    #[error("it was not answered for")]
    Unanswered,
    /// SQS did not take it.
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
    /// How many messages wait in it, about.
    pub fn waiting(&self) -> Result<String, AwsError> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let request = request.attribute_names(name.clone());
        let answer = self.runtime.block_on(request.send());
        let answer = answer.map_err(|error| AwsError::new(&self.url, &error))?;
        Ok(answer.attributes().and_then(|all| all.get(&name)).cloned().unwrap_or_default())
    }

    /// Sends up to [`BATCH`] messages; what became of each, in their order. An error: none can be
    /// sent.
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
