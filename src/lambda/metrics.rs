//! The metrics: their names, and the line on standard output from which CloudWatch extracts them
//! (its embedded metric format).
//!
//! They share one namespace and one dimension, `Pipeline`, never a file, log group or stream:
//! CloudWatch bills each value of a dimension as a separate metric. `docs/runbook.md` explains each
//! metric.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::firehose::{Counts, OVERFLOW};
use crate::land::intake::tally::Tally;

/// The namespace of all metrics.
pub(crate) const NAMESPACE: &str = "hiwake";
/// Their only dimension.
pub(crate) const DIMENSION: &str = "Pipeline";

/// A metric's unit, as CloudWatch names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// A metric. Its name in CloudWatch is that of the variant, whose comment is also in
/// `docs/runbook.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metric {
    /// Records that Firehose gave to transform.
    Records,
    /// Log events in them that could be counted.
    EventsIn,
    /// Rows in transform's answers.
    RowsOut,
    /// Events that give no row by design.
    EventsDropped,
    /// Of these, left out by `drop` and `keep`.
    EventsFiltered,
    /// Events of failed records; they land from `failed/`.
    EventsFailed,
    /// Records of plain text.
    RecordsPlain,
    /// Control messages and empty envelopes.
    RecordsDropped,
    /// Records answered ProcessingFailed.
    RecordsFailed,
    /// Of these, harmless: the answer was full.
    AnswerOverflow,
    /// Invalid base64.
    FailedBase64,
    /// Gzip or zstd that ends too early.
    FailedTornGzip,
    /// Corrupt gzip or zstd.
    FailedCorruptGzip,
    /// More than `limits.inflated_bytes`.
    FailedBomb,
    /// Neither gzip nor UTF-8.
    FailedNotText,
    /// Unreadable envelope.
    FailedMalformedEnvelope,
    /// Unknown messageType.
    FailedUnknownMessageType,
    /// UTF-16, gzip decoded as text, aggregated records.
    FailedDisguised,
    /// Another reason, in `failed/`.
    FailedOther,
    /// Events that cannot be a row.
    EventsRefused,
    /// A field is missing or of the wrong type.
    RefusedMalformedEvent,
    /// A timestamp too far from the arrival.
    RefusedImpossibleTimestamp,
    /// Size of transform's answers.
    AnswerBytes,
    /// Rows given to land, and what could not become a row.
    RowsIn,
    /// Rows that became lines.
    RowsLanded,
    /// Of these, lines in late segments.
    RowsLate,
    /// Rows that had already landed.
    RowsDuplicate,
    /// Rows, events and pieces in quarantine.
    RowsQuarantined,
    /// `file` is not a valid daily file name.
    RefusedRowFile,
    /// The timestamp does not fall on the day.
    RefusedRowDay,
    /// The line has a line break or open quote.
    RefusedRowLine,
    /// The day is closed.
    RefusedClosedDay,
    /// Rows that are retried with their objects.
    RowsDeferred,
    /// Objects landed whole.
    ObjectsLanded,
    /// Objects that will be retried.
    ObjectsFailed,
    /// Objects that can never be read.
    ObjectsQuarantined,
    /// Test events and removals.
    NoticesIgnored,
    /// Invalid notices; they become dead letters.
    NoticesUnreadable,
    /// Commits to day files.
    Commits,
    /// How often a day file's lock was busy.
    BusyRetries,
    /// Segments published.
    Sealed,
    /// Days not sealed, closed or removed.
    SealFailed,
    /// Age of the oldest unsealed segment, or 0.
    OldestUnsealedAge,
}

impl Metric {
    /// The unit of the metric's values.
    pub fn unit(self) -> Unit {
        match self {
            Metric::AnswerBytes => Unit::Bytes,
            Metric::OldestUnsealedAge => Unit::Seconds,
            _ => Unit::Count,
        }
    }

    /// The metric for the code of a failed record, or of a refused row or event.
    pub fn of_code(code: &str) -> Metric {
        match code {
            "row-file" => Metric::RefusedRowFile,
            "row-day" => Metric::RefusedRowDay,
            "row-line" => Metric::RefusedRowLine,
            "closed-day" => Metric::RefusedClosedDay,
            "malformed-event" => Metric::RefusedMalformedEvent,
            "impossible-timestamp" => Metric::RefusedImpossibleTimestamp,
            OVERFLOW => Metric::AnswerOverflow,
            "base64" => Metric::FailedBase64,
            "torn-gzip" | "torn-zstd" => Metric::FailedTornGzip,
            "corrupt-gzip" | "corrupt-zstd" => Metric::FailedCorruptGzip,
            "bomb" => Metric::FailedBomb,
            "not-text" => Metric::FailedNotText,
            "malformed-envelope" | "torn-json" => Metric::FailedMalformedEnvelope,
            "unknown-message-type" => Metric::FailedUnknownMessageType,
            "utf-16" | "mangled-gzip" | "kpl-aggregate" => Metric::FailedDisguised,
            _ => Metric::FailedOther,
        }
    }
}

/// The values of one invocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    values: BTreeMap<Metric, u64>,
    /// The message for a person who reads the function's log.
    message: Option<String>,
}

impl Metrics {
    /// Adds to a value. A metric without values is not sent.
    pub fn add(&mut self, metric: Metric, value: impl TryInto<u64>) {
        *self.values.entry(metric).or_default() += value.try_into().unwrap_or(u64::MAX);
    }

    /// The metrics of one answer to Firehose. Rare ones are sent only when they occur: each metric
    /// is billed.
    pub fn of_transform(counts: &Counts) -> Metrics {
        let mut metrics = Metrics::default();
        let (dropped, failed) = (counts.records_dropped(), counts.records_failed());
        metrics.add(Metric::Records, counts.records);
        metrics.add(Metric::EventsIn, counts.events);
        metrics.add(Metric::RowsOut, counts.rows);
        metrics.add(Metric::EventsDropped, counts.events_dropped);
        let seldom = [
            (Metric::EventsFiltered, counts.events_filtered),
            (Metric::RecordsPlain, counts.plain),
        ];
        for (metric, value) in seldom.into_iter().filter(|(_, value)| *value > 0) {
            metrics.add(metric, value);
        }
        metrics.add(Metric::EventsFailed, counts.events_failed);
        metrics.add(Metric::RecordsDropped, dropped);
        metrics.add(Metric::RecordsFailed, failed);
        metrics.codes(&counts.failed);
        metrics.add(Metric::EventsRefused, counts.events_refused());
        metrics.codes(&counts.refused);
        metrics.add(Metric::AnswerBytes, counts.answer_bytes);
        let Counts { records, ok, rows, .. } = counts;
        metrics.message = Some(format!(
            "answered {records} records: {ok} Ok ({rows} rows), {dropped} Dropped, {failed} ProcessingFailed"
        ));
        metrics
    }

    /// Adds the result of one landing.
    pub(crate) fn landed(&mut self, tally: &Tally) {
        self.add(Metric::RowsIn, tally.rows + tally.unreadable);
        self.add(Metric::RowsLanded, tally.lines);
        self.add(Metric::RowsLate, tally.late);
        self.add(Metric::RowsDuplicate, tally.duplicates);
        self.add(Metric::RowsQuarantined, tally.quarantined);
        self.add(Metric::RowsDeferred, tally.deferred);
        self.add(Metric::ObjectsLanded, tally.objects);
        self.add(Metric::Commits, tally.commits);
        self.add(Metric::BusyRetries, tally.busy_retries);
    }

    /// Adds what was refused or failed, by code. Absent codes are not sent: each metric is billed.
    pub(crate) fn codes(&mut self, counts: &BTreeMap<String, impl TryInto<u64> + Copy>) {
        for (code, count) in counts {
            self.add(Metric::of_code(code), *count);
        }
    }

    /// The line in CloudWatch's embedded metric format, without a line break. `now` is in
    /// milliseconds since the epoch.
    pub fn line(&self, pipeline: &str, now: i64) -> String {
        let named = |metric: &Metric| json!({"Name": metric, "Unit": metric.unit()});
        let directive = json!({
            "Namespace": NAMESPACE,
            "Dimensions": [[DIMENSION]],
            "Metrics": self.values.keys().map(named).collect::<Vec<_>>(),
        });
        let mut line = json!(self.values);
        line["_aws"] = json!({"Timestamp": now, "CloudWatchMetrics": [directive]});
        line[DIMENSION] = pipeline.into();
        if let Some(message) = &self.message {
            line["message"] = message.as_str().into();
        }
        line.to_string()
    }
}
