//! CloudWatch of one account and region: the alarms of a pipeline, and the age of a queue's
//! notices.

use std::sync::Arc;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    AlarmType, Datapoint, Dimension, MetricAlarm, StateValue, Statistic,
};
use tokio::runtime::Runtime;

use crate::aws::AwsError;
use crate::clock::Clock;

/// The alarms that every deployment has, in any configuration: `<pipeline>: <heading>`. A test of
/// the CDK app compares the list (`infra/contract/alarms.json`).
pub const ALARMS: [&str; 23] = [
    "backup failing",
    "backup too old",
    "days too old",
    "dead letters",
    "dead letters expiring",
    "delivery failing",
    "delivery too old",
    "events refused",
    "file system busy",
    "land failing",
    "land not running",
    "logs not delivered",
    "logs throttled",
    "notices too old",
    "objects failing",
    "quarantine growing",
    "records failing",
    "seal failing",
    "seal not running",
    "seal runs lost",
    "stream throttled",
    "transform failing",
    "transform not running",
];

/// How far back to look for the age of the oldest message. SQS reports it at most every 5 minutes.
const AGE_MS: i64 = 15 * 60 * 1000;
const PERIOD_S: i32 = 300;

/// CloudWatch of one account and region.
#[derive(Debug)]
pub struct CloudWatch {
    pub(super) runtime: Arc<Runtime>,
    pub(super) client: aws_sdk_cloudwatch::Client,
}

/// The alarms of a pipeline.
#[derive(Debug)]
pub struct Alarms {
    pipeline: String,
    found: Vec<MetricAlarm>,
}

impl Alarms {
    /// Checks that every alarm of a deployment exists.
    pub fn exist(&self) -> Result<String, String> {
        let pipeline = &self.pipeline;
        let name = |heading: &&str| format!("{pipeline}: {heading}");
        let is_found = |name: &String| self.found.iter().any(|one| one.alarm_name() == Some(name));
        let missing: Vec<_> = ALARMS.iter().map(name).filter(|name| !is_found(name)).collect();
        match missing.len() {
            0 => Ok(format!("{} exist", self.found.len())),
            ALARMS_ALL => Err(format!(
                "no alarm name begins with `{pipeline}: `; check --pipeline and the region, then deploy"
            )),
            _ => Err(format!("missing: {}; deploy again", missing.join(", "))),
        }
    }

    /// Checks that alarms notify someone.
    pub fn tell(&self) -> Result<String, String> {
        let off = self.names(|one| one.actions_enabled() == Some(false));
        if !off.is_empty() {
            let off = off.join("' '");
            return Err(format!(
                "switched off: aws cloudwatch enable-alarm-actions --alarm-names '{off}'"
            ));
        }
        let silent = self.names(|one| one.alarm_actions().is_empty());
        match silent.len() {
            0 => Ok("every alarm has an action".to_owned()),
            all if all == self.found.len() => Ok(
                "no alarm has an action, so only the dashboard shows them: write tell.alarms in \
                 infra/deployment.toml to be notified"
                    .to_owned(),
            ),
            _ => Err(format!("without an action: {}; deploy again", silent.join(", "))),
        }
    }

    /// Checks that no alarm is ringing.
    pub fn ring(&self) -> Result<String, String> {
        let ringing = self.names(|one| one.state_value() == Some(&StateValue::Alarm));
        match ringing.is_empty() {
            true => Ok("none is ringing".to_owned()),
            false => {
                Err(format!("{}: docs/runbook.md says what to do for each", ringing.join(", ")))
            }
        }
    }

    fn names(&self, is: impl Fn(&MetricAlarm) -> bool) -> Vec<&str> {
        self.found.iter().filter(|one| is(one)).filter_map(MetricAlarm::alarm_name).collect()
    }
}

const ALARMS_ALL: usize = ALARMS.len();

impl CloudWatch {
    /// Finds the alarms whose names begin with the pipeline's name.
    pub fn alarms(&self, pipeline: &str) -> Result<Alarms, AwsError> {
        let request = self.client.describe_alarms().alarm_name_prefix(format!("{pipeline}: "));
        let mut pages = request.alarm_types(AlarmType::MetricAlarm).into_paginator().send();
        let mut found = Vec::new();
        self.runtime.block_on(async {
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| AwsError::new("the alarms", &error))?;
                found.extend(page.metric_alarms.unwrap_or_default());
            }
            Ok(Alarms { pipeline: pipeline.to_owned(), found })
        })
    }

    /// How many seconds a queue's oldest message has waited; `None` if CloudWatch has no recent
    /// value.
    pub fn oldest_message(&self, queue: &str) -> Result<Option<u64>, AwsError> {
        let now = Clock::System.now();
        let since = DateTime::from_millis(now - AGE_MS);
        let request = self.client.get_metric_statistics().namespace("AWS/SQS");
        let request = request.metric_name("ApproximateAgeOfOldestMessage").period(PERIOD_S);
        let request =
            request.dimensions(Dimension::builder().name("QueueName").value(queue).build());
        let request = request.start_time(since).end_time(DateTime::from_millis(now));
        let answer = self.runtime.block_on(request.statistics(Statistic::Maximum).send());
        let answer = answer.map_err(|error| AwsError::new(&format!("queue {queue}"), &error))?;
        let latest = answer.datapoints().iter().max_by_key(|one| one.timestamp().copied());
        Ok(latest.and_then(Datapoint::maximum).map(|seconds| seconds as u64))
    }
}
