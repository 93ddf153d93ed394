//! How the Lambdas are called: start, one event's bytes in, one answer's bytes out, logs and
//! metrics.
//!
//! `lambda_runtime` wants to deserialise every event and to serialise every answer. Both are JSON
//! here already, and large: [`serve`] takes the event's bytes before they are looked at, and hands
//! the answer on as a raw value. Two copies are left: hyper collects the request into one buffer,
//! and the answer, checked to be JSON, is copied into the response.

use std::future::Future;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use bytes::Bytes;
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::tower::util::MapRequestLayer;
use lambda_runtime::{Context, Diagnostic, Error, LambdaEvent, LambdaInvocation, Runtime};
use serde_json::value::RawValue;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::lambda::metrics::Metrics;
use crate::lambda::{Failure, check};

/// Of the time that is left when an invocation begins, what is kept for its answer: a tenth, at
/// most this.
const MARGIN_MAX: Duration = Duration::from_secs(5);
/// The time of an invocation whose deadline says nothing.
const UNTOLD: Duration = Duration::from_secs(60);

/// Runs a function. Why it cannot start or continue is logged, one line a fault.
pub fn run(function: impl FnOnce() -> Result<(), Vec<anyhow::Error>>) -> ExitCode {
    if let Some(path) = check::asked(std::env::args_os().skip(1)) {
        let written = writeln!(std::io::stdout().lock(), "{}", check::report(&path));
        return if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    log();
    let Err(errors) = function() else { return ExitCode::SUCCESS };
    for error in errors {
        for fault in format!("{error:#}").lines() {
            tracing::error!("{fault}");
        }
    }
    ExitCode::FAILURE
}

/// Logs as JSON lines on standard output, which Lambda sends to CloudWatch.
///
/// Other crates' chatter stays out whatever the level: below a warning, some would tell what they
/// send.
fn log() {
    let level = config::LOG_LEVEL.text().to_ascii_lowercase();
    let level = match level.as_str() {
        "fatal" => LevelFilter::ERROR,
        level => level.parse().unwrap_or(LevelFilter::INFO),
    };
    let targets =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("hiwake", level);
    let json = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        // A line that cannot be written is no reason to end: this would be a panic where stderr is
        // gone too.
        .log_internal_errors(false);
    tracing_subscriber::registry().with(json.with_filter(targets)).init();
}

/// The configuration, read once and kept for the life of the process.
pub fn config() -> anyhow::Result<&'static Config> {
    let path = Config::path_from_env()?;
    Ok(Box::leak(Box::new(Config::load(&path)?)))
}

/// Sends an invocation's metrics: one line on standard output.
pub fn send(metrics: &Metrics, pipeline: &str) {
    let line = metrics.line(pipeline, Clock::System.now());
    if let Err(error) = writeln!(std::io::stdout().lock(), "{line}") {
        tracing::error!("the metrics could not be written: {error}");
    }
}

/// When an invocation's answer has to be ready: its deadline less a margin.
///
/// A deadline that has passed before the event is here comes from an emulator (`cargo lambda watch`
/// writes one of 1970): such an invocation has a minute.
pub fn deadline(context: &Context) -> Instant {
    let left = i128::from(context.deadline) - i128::from(Clock::System.now());
    let left = u64::try_from(left).ok().filter(|left| *left > 0);
    let left = left.map_or(UNTOLD, Duration::from_millis);
    Instant::now() + left - (left / 10).min(MARGIN_MAX)
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Diagnostic {
        Diagnostic { error_type: failure.kind.to_owned(), error_message: failure.message }
    }
}

/// Answers events, one after the other, for as long as Lambda sends any. The handler gets an
/// event's bytes and gives an answer's: one JSON value.
pub fn serve<F, Answer>(mut handler: F) -> Result<(), Vec<anyhow::Error>>
where
    F: FnMut(Bytes, Context) -> Answer,
    Answer: Future<Output = Result<String, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let slot = Arc::new(Mutex::new(Bytes::new()));
    let body = slot.clone();
    let service = lambda_runtime::service_fn(move |event: LambdaEvent<()>| {
        let answer = handler(swap(&body, Bytes::new()), event.context);
        async move { raw(answer.await?) }
    });
    // Takes an event's body aside before the runtime deserialises it; what is left is `null`.
    let aside = MapRequestLayer::new(move |mut invocation: LambdaInvocation| {
        let body = std::mem::replace(&mut invocation.body, Bytes::from_static(b"null"));
        swap(&slot, body);
        invocation
    });
    let served = runtime.map_err(Error::from).and_then(|runtime| {
        runtime.block_on(async {
            Runtime::new(service).layer(aside).layer(TracingLayer::new()).run().await
        })
    });
    served.map_err(|error| vec![anyhow!("the Runtime API cannot be reached: {error}")])
}

/// A text that is JSON, as it is. It is checked once more, but not copied.
fn raw(answer: String) -> Result<Box<RawValue>, Failure> {
    RawValue::from_string(answer).map_err(|error| {
        let message = format!("the answer is not valid JSON, which is a bug: {error}");
        Failure { kind: "hiwake.Bug", message }
    })
}

/// Puts another body in place of the one event's that is worked on.
fn swap(slot: &Mutex<Bytes>, body: Bytes) -> Bytes {
    std::mem::replace(&mut slot.lock().unwrap_or_else(PoisonError::into_inner), body)
}
