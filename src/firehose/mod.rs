//! The transform: one Firehose event in, one Firehose answer out.
//!
//! It is pure: no network, and no clock but the events' own. The same event gives the same answer,
//! byte for byte, because Firehose may retry it.

mod frame;
mod wire;

use std::collections::BTreeMap;

use base64_simd::STANDARD;

use self::frame::Frame;
pub(crate) use self::wire::EventError;
use self::wire::{Answer, Event};
use crate::json;
use crate::object::{Bad, NEWER, Options, Origin, ReadError, Reader, RowPlace, Sink, Skipped};
use crate::row::Row;

/// Answers one Firehose event: each recordId once, in order, never more than
/// `limits.answer_bytes`, never `Ok` without data.
///
/// A record is `ProcessingFailed` if a piece of it cannot be read or its rows do not fit the
/// answer. Firehose then puts the unchanged record into `failed/`, where land reads the rest of it.
/// A refused event is answered in place of its row, and land puts it into quarantine. An error
/// means that the event cannot be answered at all.
pub fn transform(reader: &mut Reader<'_>, event: &[u8]) -> Result<(Vec<u8>, Counts), EventError> {
    let event = Event::parse(event)?;
    let ids: Vec<String> = event.records.iter().map(|record| json::written(record.id())).collect();
    let config = reader.config;
    let mut answer = Answer::new(config.limits.answer_bytes, &ids)?;
    let mut counts = Counts::default();
    let options = Options::new(&config.limits);
    let mut record_rows = RecordRows::default();
    let mut data = Vec::new();
    let place = event.stream.as_deref().unwrap_or_default();
    for (record, id) in event.records.iter().zip(&ids) {
        data.clear();
        record_rows.start();
        let decode = |text: &str| STANDARD.decode_append(text, &mut data).is_ok();
        let read = if record.data.as_deref().is_some_and(decode) {
            let origin = Origin { place, id: Some(record.id()), arrival: record.arrival };
            match reader.record(&data, origin, &options, &mut record_rows) {
                Ok(()) => record_rows.failure.take(),
                // Nothing else can end the reading of input that is in memory.
                Err(_) => Some(NEWER.to_owned()),
            }
        } else {
            Some(BASE64.to_owned())
        };
        counts.records += 1;
        counts.events += record_rows.events();
        let failure = match read {
            None if record_rows.is_empty() => {
                answer.dropped(id);
                let reason = match record_rows {
                    RecordRows { filtered: 1.., .. } => "filtered",
                    RecordRows { is_plain: true, .. } => "plain",
                    _ => "empty",
                };
                *counts.dropped.entry(reason).or_default() += 1;
                counts.events_dropped += record_rows.dropped;
                counts.events_filtered += record_rows.filtered;
                continue;
            }
            None => {
                let frame = &mut record_rows.frame;
                if answer.ok(id, frame.finish()) || answer.ok(id, frame.finish_tight()) {
                    record_rows.count(&mut counts);
                    continue;
                }
                OVERFLOW.to_owned()
            }
            Some(code) => code,
        };
        answer.failed(id);
        *counts.failed.entry(failure).or_default() += 1;
        counts.events_failed += record_rows.events();
    }
    let answer = answer.finish();
    counts.answer_bytes = answer.len();
    Ok((answer, counts))
}

/// The result of one record.
#[derive(Default)]
struct RecordRows {
    frame: Frame,
    rows: usize,
    /// The number of events that give no row by design.
    dropped: usize,
    /// Of these, the events that their source excludes.
    filtered: usize,
    /// The codes of the events that were refused.
    refused: Vec<String>,
    /// The code of the first piece that could not be read, if any.
    failure: Option<String>,
    /// Whether there was plain text.
    is_plain: bool,
}

impl RecordRows {
    fn start(&mut self) {
        self.frame.start();
        self.refused.clear();
        self.failure = None;
        (self.rows, self.dropped, self.filtered, self.is_plain) = (0, 0, 0, false);
    }

    fn events(&self) -> usize {
        self.rows + self.dropped + self.refused.len()
    }

    /// Whether the record has no content to answer.
    fn is_empty(&self) -> bool {
        self.rows + self.refused.len() == 0
    }

    /// Counts a record that was answered `Ok`.
    fn count(&mut self, counts: &mut Counts) {
        counts.ok += 1;
        counts.plain += usize::from(self.is_plain);
        counts.rows += self.rows;
        counts.events_dropped += self.dropped;
        counts.events_filtered += self.filtered;
        for code in self.refused.drain(..) {
            *counts.refused.entry(code).or_default() += 1;
        }
    }
}

impl Sink for RecordRows {
    fn row(&mut self, row: &Row<'_>, _: RowPlace) -> Result<(), ReadError> {
        self.rows += 1;
        self.is_plain |= row.stream.log_group().is_none();
        self.frame.row(row);
        Ok(())
    }

    fn skipped(&mut self, skipped: Skipped, events: usize) -> Result<(), ReadError> {
        self.dropped += events;
        match skipped {
            Skipped::Empty => {}
            Skipped::Filtered => self.filtered += events,
            Skipped::PlainDropped | Skipped::PlainLeftOut => self.is_plain = true,
        }
        Ok(())
    }

    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError> {
        if bad.is_event {
            self.refused.push(bad.code.to_owned());
            self.frame.refused(bad.code, bad.reason, bad.bytes);
        } else {
            self.failure.get_or_insert_with(|| bad.code.to_owned());
        }
        Ok(())
    }
}

/// The code of a record whose data is missing or not valid base64.
const BASE64: &str = "base64";

/// The code of a record whose rows do not fit the answer.
pub const OVERFLOW: &str = "answer-overflow";

/// What happened to an event's records, for the metrics.
///
/// Always `records = ok + dropped + failed`. For the events that could be counted,
/// `events = rows + events_dropped + events_refused + events_failed`. A line of plain text counts
/// as an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that were received.
    pub records: usize,
    /// Records answered `Ok`.
    pub ok: usize,
    /// Of these, records of plain text.
    pub plain: usize,
    /// Records answered `Dropped`, by reason: `empty` (also control messages), `plain`, or
    /// `filtered` (their source excludes all events).
    pub dropped: BTreeMap<&'static str, usize>,
    /// Records answered `ProcessingFailed`, by code; [`OVERFLOW`] among them.
    pub failed: BTreeMap<String, usize>,
    /// Events that were received, except those that cannot be counted, e.g. in a truncated record.
    pub events: usize,
    /// Rows that were answered.
    pub rows: usize,
    /// Events that give no rows by design: those of control messages, and those that are excluded.
    pub events_dropped: usize,
    /// Of these, events that their source's `drop` and `keep` exclude.
    pub events_filtered: usize,
    /// Refused events, by code. Land puts them into quarantine.
    pub refused: BTreeMap<String, usize>,
    /// Events in failed records.
    pub events_failed: usize,
    /// Bytes of the answer as it is sent.
    pub answer_bytes: usize,
}

impl Counts {
    /// Records answered `ProcessingFailed`.
    pub fn records_failed(&self) -> usize {
        self.failed.values().sum()
    }

    /// Events that were refused.
    pub fn events_refused(&self) -> usize {
        self.refused.values().sum()
    }

    /// Records answered `Dropped`.
    pub fn records_dropped(&self) -> usize {
        self.dropped.values().sum()
    }
}
