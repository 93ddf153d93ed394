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
    /// Records of Firehose that transform was given.
    Records,
    /// Log events (lines of plain text) in them, as far as they could be counted.
    EventsIn,
    /// Rows that transform answered.
    RowsOut,
    /// Events that rightly gave no row: those of control messages, and those that a source leaves
    /// out.
    EventsDropped,
    /// Of them, events that a source's `drop` and `keep` leave out.
    EventsFiltered,
    /// Events of records that were answered ProcessingFailed: they come through `failed/`.
    EventsFailed,
    /// Records of plain text.
    RecordsPlain,
    /// Records answered Dropped: control messages, envelopes without events.
    RecordsDropped,
    /// Records answered ProcessingFailed, for whatever reason.
    RecordsFailed,
    /// Failed: the rows did not fit the answer. Harmless, they land from `failed/`.
    AnswerOverflow,
    /// Failed: the record is not valid base64.
    FailedBase64,
    /// Failed: the gzip or zstd ends too early.
    FailedTornGzip,
    /// Failed: the content or the checksum of the gzip or zstd is wrong.
    FailedCorruptGzip,
    /// Failed: it inflates to more than `limits.inflated_bytes`.
    FailedBomb,
    /// Failed: neither gzip nor UTF-8 text.
    FailedNotText,
    /// Failed: an envelope that cannot be read.
    FailedMalformedEnvelope,
    /// Failed: an envelope of an unknown messageType.
    FailedUnknownMessageType,
    /// Failed: text in disguise: UTF-16, gzip that was decoded as text, records that a producer
    /// aggregated.
    FailedDisguised,
    /// Failed: for another reason, which `failed/` has.
    FailedOther,
    /// Events that cannot be a row, alone among their neighbours: land puts them into quarantine.
    EventsRefused,
    /// Refused: a field is missing or of the wrong type.
    RefusedMalformedEvent,
    /// Refused: a timestamp that is too far from the arrival, before 1970 or after the year 9999.
    RefusedImpossibleTimestamp,
    /// Bytes of transform's answer; Lambda takes 6,291,556.
    AnswerBytes,
    /// Rows that land was given, and events and pieces of records that no row could be made of.
    RowsIn,
    /// Rows that became lines.
    RowsLanded,
    /// Of these, lines in late segments.
    RowsLate,
    /// Rows that had already landed.
    RowsDuplicate,
    /// Rows, events and pieces of records that were put into quarantine.
    RowsQuarantined,
    /// Quarantined: a row whose `file` is not a valid daily file name.
    RefusedRowFile,
    /// Quarantined: a row whose timestamp does not fall on its day.
    RefusedRowDay,
    /// Quarantined: a row whose line has a line break or an open quote.
    RefusedRowLine,
    /// Quarantined: a row of a day that is closed.
    RefusedClosedDay,
    /// Rows that could not be landed this time: they are retried with their objects.
    RowsDeferred,
    /// Objects that were landed whole.
    ObjectsLanded,
    /// Objects that will be retried.
    ObjectsFailed,
    /// Objects that can never be read and were put into quarantine by name.
    ObjectsQuarantined,
    /// Notices that call for nothing: S3's test event, removals.
    NoticesIgnored,
    /// Messages that are not valid notices: they end in the dead-letter queue.
    NoticesUnreadable,
    /// Commits to day files.
    Commits,
    /// How often a day file's lock was busy.
    BusyRetries,
    /// Segments that were published.
    Sealed,
    /// Days that failed to be sealed, closed or removed.
    SealFailed,
    /// Seconds for which the oldest unsealed segment could have been sealed: since its day's end,
    /// or its first commit if later; 0 if none.
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
