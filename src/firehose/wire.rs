//! What Firehose sends and what it wants back, as JSON. Our own types: the ready-made ones decode
//! base64 while they are deserialised, so that one bad record fails the whole event.

use std::borrow::Cow;

use base64_simd::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Why an event as a whole cannot be answered: Firehose calls again, then fails the batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not UTF-8, not JSON, or without a list of records.
    #[error("no Firehose event: {what} at line {line}, column {column}")]
    Malformed {
        /// Which sort of mistake.
        what: &'static str,
        /// Where, from 1.
        line: usize,
        /// Where in the line, from 1.
        column: usize,
    },
    /// A record cannot be answered without its id.
    #[error("record {0} (from 0) of the Firehose event has no readable recordId")]
    RecordId(usize),
    /// Not even the answers without data fit: `limits.answer_bytes` is far too small.
    #[error("{needed} bytes are needed to answer without any data, limits.answer_bytes is {limit}")]
    Budget {
        /// Bytes of the smallest answer.
        needed: usize,
        /// What is configured.
        limit: usize,
    },
}

/// One transformation request.
#[derive(Debug)]
pub struct Event<'a> {
    /// The delivery stream's ARN; empty if there is none.
    pub stream: Cow<'a, str>,
    /// In order.
    pub records: Vec<Record<'a>>,
}

/// One record of a request. Whatever is wrong with it but its id is found when it is used.
#[derive(Debug)]
pub struct Record<'a> {
    /// What it is answered by.
    pub id: Cow<'a, str>,
    /// The base64 text; `None`: missing or no string.
    pub data: Option<Cow<'a, str>>,
    /// `approximateArrivalTimestamp` in milliseconds since the epoch; `None`: missing or no number.
    pub arrival: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEvent<'a> {
    #[serde(borrow)]
    delivery_stream_arn: Option<&'a RawValue>,
    #[serde(borrow)]
    records: Vec<WireRecord<'a>>,
}

/// Undecoded members: a mistake in one is that record's, not the event's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRecord<'a> {
    #[serde(borrow)]
    record_id: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    approximate_arrival_timestamp: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    /// Reads a request. Unknown members are ignored.
    pub fn parse(event: &'a [u8]) -> Result<Event<'a>, EventError> {
        let wire: WireEvent<'a> =
            serde_json::from_slice(event).map_err(|error| malformed(event, &error))?;
        let records = wire.records.iter().enumerate().map(|(index, record)| {
            let arrival = record.approximate_arrival_timestamp;
            Ok(Record {
                id: record.record_id.and_then(string).ok_or(EventError::RecordId(index))?,
                data: record.data.and_then(string),
                arrival: arrival.and_then(|raw| raw.get().trim_matches('"').parse().ok()),
            })
        });
        Ok(Event {
            stream: wire.delivery_stream_arn.and_then(string).unwrap_or_default(),
            records: records.collect::<Result<_, _>>()?,
        })
    }
}

/// The string that a JSON value is; borrowed unless it holds escapes.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw.get()).ok().map(Cow::Owned)
}

/// What is wrong with a request; a record that is no object is named.
fn malformed(event: &[u8], error: &serde_json::Error) -> EventError {
    #[derive(Deserialize)]
    struct Values<'a> {
        #[serde(borrow)]
        records: Vec<&'a RawValue>,
    }
    if let Ok(values) = serde_json::from_slice::<Values<'_>>(event)
        && let Some(index) = values.records.iter().position(|raw| !raw.get().starts_with('{'))
    {
        return EventError::RecordId(index);
    }
    let what = match error.classify() {
        serde_json::error::Category::Eof => "the end comes too early",
        serde_json::error::Category::Data => "a member is missing or of the wrong type",
        _ => "no JSON",
    };
    EventError::Malformed { what, line: error.line(), column: error.column() }
}

/// The answer in the making: what Firehose wants back, written as it is sent. Lambda refuses one over
/// 6 MB, and Firehose then fails the whole batch: what does not fit is answered without data instead,
/// and lands by way of `failed/`.
pub struct Answer {
    text: String,
    /// How large it may get.
    limit: usize,
    /// Bytes of its end, and of the entries without data of the records to come: no record's data can
    /// push out another's answer.
    reserved: usize,
}

const HEAD: &str = "{\"records\":";
const TAIL: &str = "]}";
const ID: &str = "{\"recordId\":";
const OK: &str = ",\"result\":\"Ok\",\"data\":\"";
const OK_END: &str = "\"}";
const DROPPED: &str = ",\"result\":\"Dropped\"}";
const FAILED: &str = ",\"result\":\"ProcessingFailed\"}";

/// Bytes of an entry that ends in `rest`, and of the bracket or comma before it.
fn bytes(id_json: &str, rest: &str) -> usize {
    1 + ID.len() + id_json.len() + rest.len()
}

impl Answer {
    /// Reserves the smallest answer to the records of these ids (as JSON).
    pub fn new(limit: usize, ids_json: &[String]) -> Result<Answer, EventError> {
        // No entry without data is longer.
        let entries = ids_json.iter().map(|id| bytes(id, FAILED));
        let reserved = TAIL.len() + entries.sum::<usize>();
        let needed = HEAD.len() + reserved;
        if needed > limit {
            return Err(EventError::Budget { needed, limit });
        }
        Ok(Answer { text: HEAD.to_owned(), limit, reserved })
    }

    /// `Ok` with data, which must not be empty: Firehose fails such a record. `false`: there is no room
    /// for it, and the record must be answered without.
    #[must_use]
    pub fn ok(&mut self, id_json: &str, data: &[u8]) -> bool {
        let entry = bytes(id_json, OK) + data.len().div_ceil(3) * 4 + OK_END.len();
        let others = self.reserved - bytes(id_json, FAILED);
        if self.text.len() + entry + others > self.limit {
            return false;
        }
        self.entry(id_json, OK);
        STANDARD.encode_append(data, &mut self.text);
        self.text.push_str(OK_END);
        true
    }

    /// `Dropped`: it leaves no trace.
    pub fn dropped(&mut self, id_json: &str) {
        self.entry(id_json, DROPPED);
    }

    /// `ProcessingFailed`: Firehose puts the record as it came into `failed/`.
    pub fn failed(&mut self, id_json: &str) {
        self.entry(id_json, FAILED);
    }

    /// The answer as it is sent.
    pub fn finish(mut self) -> Vec<u8> {
        if self.text == HEAD {
            self.text.push('[');
        }
        self.text.push_str(TAIL);
        self.text.into_bytes()
    }

    fn entry(&mut self, id_json: &str, rest: &str) {
        self.reserved -= bytes(id_json, FAILED);
        self.text.push(if self.text == HEAD { '[' } else { ',' });
        self.text.push_str(ID);
        self.text.push_str(id_json);
        self.text.push_str(rest);
    }
}
