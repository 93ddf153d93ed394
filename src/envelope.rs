//! Bytes → envelope, plain text or error; gzip inflated up to a cap. Knows nothing of Firehose or labels.

use std::borrow::Cow;

use serde::Deserialize;

/// One CloudWatch Logs subscription message. Unknown keys are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<'a> {
    /// The account that owns the log group.
    #[serde(borrow)]
    pub owner: Cow<'a, str>,
    /// The log group's name.
    #[serde(borrow)]
    pub log_group: Cow<'a, str>,
    /// The log stream's name.
    #[serde(borrow)]
    pub log_stream: Cow<'a, str>,
    /// The names of the subscription filters that let the events through.
    #[serde(default)]
    pub subscription_filters: Vec<String>,
    /// The events, oldest first as CloudWatch sends them.
    #[serde(borrow)]
    pub log_events: Vec<Event<'a>>,
}

/// One log event.
#[derive(Debug, Deserialize)]
pub struct Event<'a> {
    /// 56 digits, from CloudWatch.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// The text as it was logged.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}
