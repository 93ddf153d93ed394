//! transform(): one Firehose event in, one Firehose answer out.
//!
//! Pure: no network, no clock but the events' own. The same event gives the same answer, byte for
//! byte, since Firehose may ask again.

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

/// Answers one Firehose event: every recordId once, in order, never more than
/// `limits.answer_bytes`, never `Ok` without data.
///
/// A record in which a piece cannot be read, or whose rows do not fit the answer, is
/// `ProcessingFailed`: Firehose puts it as it came into `failed/`, where land reads the rest of it.
/// An event that cannot be a row takes a row's place, and land puts it into quarantine. An error is
/// for an event that cannot be answered at all.
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
                // Nothing else can end the reading of what is in memory.
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

/// What one record becomes.
#[derive(Default)]
struct RecordRows {
    frame: Frame,
    rows: usize,
    /// Events that rightly give no row.
    dropped: usize,
    /// Of them, those that their source leaves out.
    filtered: usize,
    /// The codes of the events that were refused.
    refused: Vec<String>,
    /// The code of the first piece that could not be read.
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

    /// Whether there is nothing to answer.
    fn is_empty(&self) -> bool {
        self.rows + self.refused.len() == 0
    }

    /// Counts a record that is answered `Ok`.
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

/// The code of a record without data, or whose data is not base64.
const BASE64: &str = "base64";

/// The code of a record whose rows do not fit the answer.
pub const OVERFLOW: &str = "answer-overflow";

/// What became of an event's records, for the metrics.
///
/// Always `records = ok + dropped + failed`, and, of the events that could be counted,
/// `events = rows + events_dropped + events_refused + events_failed`. A line of plain text counts
/// as an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records in.
    pub records: usize,
    /// Records answered `Ok`.
    pub ok: usize,
    /// Of them, plain ones.
    pub plain: usize,
    /// Records answered `Dropped`, by reason: `empty` (control messages too), `plain`, or
    /// `filtered` (its source leaves all of it out).
    pub dropped: BTreeMap<&'static str, usize>,
    /// Records answered `ProcessingFailed`, by code; [`OVERFLOW`] among them.
    pub failed: BTreeMap<String, usize>,
    /// Events in, as far as they could be counted: a torn record's are not.
    pub events: usize,
    /// Rows out.
    pub rows: usize,
    /// Events that rightly gave no rows: those of control messages, and those that are left out.
    pub events_dropped: usize,
    /// Of them, events that their source's `drop` and `keep` leave out.
    pub events_filtered: usize,
    /// Events that were refused, by code: land puts them into quarantine.
    pub refused: BTreeMap<String, usize>,
    /// Events of failed records.
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
