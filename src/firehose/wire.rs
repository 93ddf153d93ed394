//! What Firehose sends and what it wants back, as JSON. Our own types: the ready-made ones decode
//! base64 while they are deserialised, so that one bad record fails the whole event.

use std::borrow::Cow;

use base64_simd::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::foreign::{Foreign, Keys};

/// Why an event as a whole cannot be answered: Firehose calls again, then fails the batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// This record, from 0, cannot be answered: that takes its id.
    #[error("record {0} (from 0) of the Firehose event has no readable recordId")]
    RecordId(usize),
    /// It is another kind of event.
    #[error("no Firehose event: `records` is {fault}; {foreign}")]
    Foreign {
        /// What is wrong with its records.
        fault: &'static str,
        /// Its keys, and whose it is.
        foreign: Foreign,
    },
    /// It cannot be read.
    #[error("no Firehose event: {} at line {line}, column {column}", in_words(*.category))]
    Malformed {
        /// What kind of fault.
        category: Category,
        /// Where, from 1.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// `limits.answer_bytes` is too small for an answer.
    #[error("{needed} bytes are needed to answer without any data, limits.answer_bytes is {limit}")]
    Answer {
        /// Bytes of the smallest.
        needed: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
}

fn in_words(category: Category) -> &'static str {
    match category {
        Category::Eof => "the end comes too early",
        Category::Data => "not a JSON object",
        Category::Io | Category::Syntax => "no JSON",
    }
}

/// One transformation request. Unknown fields are ignored.
#[derive(Deserialize)]
pub(crate) struct Event<'a> {
    /// The delivery stream's ARN.
    #[serde(borrow, default, rename = "deliveryStreamArn", deserialize_with = "string")]
    pub(crate) stream: Option<Cow<'a, str>>,
    /// In order.
    #[serde(borrow)]
    pub(crate) records: Vec<Record<'a>>,
}

/// One record of a request. A mistake in a field is that record's, not the event's: it is found
/// when it is used.
#[derive(Deserialize)]
pub(crate) struct Record<'a> {
    #[serde(borrow, default, rename = "recordId", deserialize_with = "string")]
    id: Option<Cow<'a, str>>,
    /// The base64 text; `None`: missing or no string.
    #[serde(borrow, default, deserialize_with = "string")]
    pub(crate) data: Option<Cow<'a, str>>,
    /// Milliseconds since the epoch; `None`: missing or no number.
    #[serde(default, rename = "approximateArrivalTimestamp", deserialize_with = "number")]
    pub(crate) arrival: Option<i64>,
}

impl<'a> Event<'a> {
    /// Reads a request. Each record has an id that can be read.
    pub(crate) fn parse(event: &'a [u8]) -> Result<Event<'a>, EventError> {
        let read: Event<'a> =
            serde_json::from_slice(event).map_err(|error| malformed(event, &error))?;
        match read.records.iter().position(|record| record.id.is_none()) {
            Some(index) => Err(EventError::RecordId(index)),
            None => Ok(read),
        }
    }
}

impl Record<'_> {
    /// What it is answered by.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }
}

/// The string that a JSON value is, if it is one; borrowed unless it holds escapes.
fn string<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    let text = <&RawValue>::deserialize(value)?.get();
    Ok(match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) if memchr::memchr(b'\\', inner.as_bytes()).is_none() => Some(inner.into()),
        Some(_) => serde_json::from_str(text).ok().map(Cow::Owned),
        None => None,
    })
}

/// The whole number that a JSON value is, in quotes or not.
fn number<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    Ok(<&RawValue>::deserialize(value)?.get().trim_matches('"').parse().ok())
}

/// What is wrong with a request; a record that is not a valid object is named.
fn malformed(event: &[u8], error: &serde_json::Error) -> EventError {
    #[derive(Deserialize)]
    struct Values<'a> {
        #[serde(borrow)]
        records: Vec<&'a RawValue>,
    }
    let is_unreadable = |raw: &&RawValue| {
        !raw.get().starts_with('{') || serde_json::from_str::<Record<'_>>(raw.get()).is_err()
    };
    if let Ok(values) = serde_json::from_slice::<Values<'_>>(event)
        && let Some(index) = values.records.iter().position(is_unreadable)
    {
        return EventError::RecordId(index);
    }
    if let Ok(keys) = serde_json::from_slice::<Keys<'_>>(event) {
        let fault = if keys.contains_key("records") { "not a list" } else { "missing" };
        return EventError::Foreign { fault, foreign: Foreign::to_transform(&keys) };
    }
    let (line, column) = (error.line(), error.column());
    EventError::Malformed { category: error.classify(), line, column }
}

/// The answer in the making: what Firehose wants back, written as it is sent. Lambda refuses one
/// over 6 MB, and Firehose then fails the whole batch: what does not fit is answered without data
/// instead, and lands through `failed/`.
pub(crate) struct Answer {
    text: String,
    /// How large it may get.
    limit: usize,
    /// Bytes of its end, and of the entries without data of the records to come: no record's data
    /// can push out another's answer.
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
            return Err(EventError::Answer { needed, limit });
        }
        Ok(Answer { text: HEAD.to_owned(), limit, reserved })
    }

    /// `Ok` with data, which must not be empty: Firehose fails such a record. `false`: it does
    /// not fit, and the record must be answered without.
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
    pub(crate) fn dropped(&mut self, id_json: &str) {
        self.entry(id_json, DROPPED);
    }

    /// `ProcessingFailed`: Firehose puts the record as it came into `failed/`.
    pub fn failed(&mut self, id_json: &str) {
        self.entry(id_json, FAILED);
    }

    /// The answer as it is sent.
    pub(crate) fn finish(mut self) -> Vec<u8> {
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
