//! transform(): one Firehose event in, one Firehose answer out.
//!
//! Pure: no network, no clock but the events' own. The same event gives the same answer, byte for
//! byte, since Firehose may ask again.

mod member;
mod wire;

use std::collections::BTreeMap;

use base64_simd::STANDARD;

use self::member::Member;
pub(crate) use self::wire::EventError;
use self::wire::{Answer, Event};
use crate::json;
use crate::label::Origin;
use crate::record::{Outcome, Records};

/// Answers one Firehose event: every recordId once, in order, never more than
/// `limits.answer_bytes`, never `Ok` without data.
///
/// A record that cannot be read, or whose rows do not fit the answer, is `ProcessingFailed`:
/// Firehose puts it as it came into `failed/`, where land finds it. An error is for an event that
/// cannot be answered at all.
pub fn transform(records: &mut Records<'_>, event: &[u8]) -> Result<(Vec<u8>, Counts), EventError> {
    let event = Event::parse(event)?;
    let ids: Vec<String> = event.records.iter().map(|record| json::written(record.id())).collect();
    let mut answer = Answer::new(records.config.limits.answer_bytes, &ids)?;
    let mut counts = Counts::default();
    let mut member = Member::default();
    let mut data = Vec::new();
    let stream = event.stream.as_deref().unwrap_or_default();
    for (record, id) in event.records.iter().zip(&ids) {
        data.clear();
        let decode = |text: &str| STANDARD.decode_append(text, &mut data).is_ok();
        let (read, events) = if record.data.as_deref().is_some_and(decode) {
            member.start();
            // A plain record without a readable arrival has no day: it fails for that.
            let arrival = record.arrival.unwrap_or(i64::MIN);
            let origin = Origin { stream, id: record.id(), arrival };
            let read = records.rows(&data, origin, &mut |row| member.row(row));
            (read.map_err(|error| error.code()), records.events())
        } else {
            (Err(BASE64), 0)
        };
        counts.records += 1;
        counts.events += events;
        let failure = match read {
            Ok(Outcome::Events(rows) | Outcome::Plain(rows)) => {
                if answer.ok(id, member.finish()) || answer.ok(id, member.finish_small()) {
                    counts.ok += 1;
                    counts.plain += usize::from(matches!(read, Ok(Outcome::Plain(_))));
                    counts.rows += rows;
                    counts.events_dropped += events - rows;
                    None
                } else {
                    Some(OVERFLOW)
                }
            }
            Ok(outcome @ (Outcome::Empty | Outcome::PlainDropped)) => {
                answer.dropped(id);
                let reason = if outcome == Outcome::Empty { "empty" } else { "plain" };
                *counts.dropped.entry(reason).or_default() += 1;
                counts.events_dropped += events;
                None
            }
            Err(code) => Some(code),
        };
        if let Some(code) = failure {
            answer.failed(id);
            *counts.failed.entry(code).or_default() += 1;
            counts.events_failed += events;
        }
    }
    let answer = answer.finish();
    counts.answer_bytes = answer.len();
    Ok((answer, counts))
}

/// The code of a record without data, or whose data is not base64.
const BASE64: &str = "base64";

/// The code of a record whose rows do not fit the answer.
pub const OVERFLOW: &str = "answer-overflow";

/// What became of an event's records, for the metrics.
///
/// Always `records = ok + dropped + failed`, and, of the events that could be counted,
/// `events = rows + events_dropped + events_failed`. A line of plain text counts as an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records in.
    pub records: usize,
    /// Records answered `Ok`.
    pub ok: usize,
    /// Of them, plain ones.
    pub plain: usize,
    /// Records answered `Dropped`, by reason: `empty` (control messages too) or `plain`.
    pub dropped: BTreeMap<&'static str, usize>,
    /// Records answered `ProcessingFailed`, by code; [`OVERFLOW`] among them.
    pub failed: BTreeMap<&'static str, usize>,
    /// Events in, as far as they could be counted: a torn record's are not.
    pub events: usize,
    /// Rows out.
    pub rows: usize,
    /// Events of dropped records, and control messages' beside data.
    pub events_dropped: usize,
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

    /// Records answered `Dropped`.
    pub fn records_dropped(&self) -> usize {
        self.dropped.values().sum()
    }
}
