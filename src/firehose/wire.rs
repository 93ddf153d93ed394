//! The JSON that Firehose sends and expects. The ready-made types are not used: they decode base64
//! while deserialising, so that one bad record fails the whole event.

use std::borrow::Cow;

use base64_simd::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::foreign::{Foreign, Keys};

/// Why a whole event cannot be answered. Firehose calls again, then fails the batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// A record's answer needs its id, which cannot be read. Records are numbered from 0.
    #[error("record {0} (from 0) of the Firehose event has no readable recordId")]
    RecordId(usize),
    /// It is an event of another kind.
    #[error("not a valid Firehose event: `records` is {fault}; {foreign}")]
    Foreign {
        /// What is wrong with `records`.
        fault: &'static str,
        /// The event's keys, and the service that sends such events.
        foreign: Foreign,
    },
    /// It is not a valid JSON object.
    #[error("not a valid Firehose event: {} at line {line}, column {column}", in_words(*.category))]
    Malformed {
        /// What kind of fault.
        category: Category,
        /// The line, from 1.
        line: usize,
        /// The column in the line.
        column: usize,
    },
    /// Even the smallest answer exceeds the limit.
    #[error("an answer without any data needs {needed} bytes, but limits.answer_bytes is {limit}")]
    Answer {
        /// The size of the smallest answer in bytes.
        needed: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

fn in_words(category: Category) -> &'static str {
    match category {
        Category::Eof => "unexpected end of input",
        Category::Data => "not a JSON object",
        Category::Io | Category::Syntax => "not valid JSON",
    }
}

/// One transformation request. Unknown fields are ignored.
#[derive(Deserialize)]
pub(crate) struct Event<'a> {
    /// The delivery stream's ARN.
    #[serde(borrow, default, rename = "deliveryStreamArn", deserialize_with = "string")]
    pub(crate) stream: Option<Cow<'a, str>>,
    /// The records, in order.
    #[serde(borrow)]
    pub(crate) records: Vec<Record<'a>>,
}

/// One record of a request. A fault in a field affects only that record: it is detected when the
/// field is used.
#[derive(Deserialize)]
pub(crate) struct Record<'a> {
    #[serde(borrow, default, rename = "recordId", deserialize_with = "string")]
    id: Option<Cow<'a, str>>,
    /// The base64 text; `None` if it is missing or not a string.
    #[serde(borrow, default, deserialize_with = "string")]
    pub(crate) data: Option<Cow<'a, str>>,
    /// Milliseconds since the epoch; `None` if missing or not a number.
    #[serde(default, rename = "approximateArrivalTimestamp", deserialize_with = "number")]
    pub(crate) arrival: Option<i64>,
}

impl<'a> Event<'a> {
    /// Reads a request in which each record has a readable id.
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
    /// The id under which the record is answered.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }
}

/// A JSON value's string, if it is a string; borrowed unless it has escapes.
fn string<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    let text = <&RawValue>::deserialize(value)?.get();
    Ok(match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) if memchr::memchr(b'\\', inner.as_bytes()).is_none() => Some(inner.into()),
        Some(_) => serde_json::from_str(text).ok().map(Cow::Owned),
        None => None,
    })
}

/// A JSON value's whole number, quoted or not, if it is one.
fn number<'de, D: Deserializer<'de>>(value: D) -> Result<Option<i64>, D::Error> {
    Ok(<&RawValue>::deserialize(value)?.get().trim_matches('"').parse().ok())
}

/// The error for a malformed request, with the number of the record that is not an object, if any.
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

/// An answer that is being built in the form in which it is sent. Lambda rejects an answer over
/// 6 MB, and Firehose would then fail the whole batch. So a record that does not fit is answered
/// without data, and lands from `failed/`.
pub(crate) struct Answer {
    text: String,
    /// The most bytes it may have.
    limit: usize,
    /// Bytes reserved for its end and for the entries without data of the remaining records, so
    /// that one record's data never displaces another's answer.
    reserved: usize,
}

const HEAD: &str = "{\"records\":";
const TAIL: &str = "]}";
const ID: &str = "{\"recordId\":";
const OK: &str = ",\"result\":\"Ok\",\"data\":\"";
const OK_END: &str = "\"}";
const DROPPED: &str = ",\"result\":\"Dropped\"}";
const FAILED: &str = ",\"result\":\"ProcessingFailed\"}";

/// The bytes of an entry that ends in `rest`, including the bracket or comma before it.
fn bytes(id_json: &str, rest: &str) -> usize {
    1 + ID.len() + id_json.len() + rest.len()
}

impl Answer {
    /// Reserves room for the smallest answer to the records with these ids (as JSON).
    pub fn new(limit: usize, ids_json: &[String]) -> Result<Answer, EventError> {
        // No other entry without data is longer.
        let entries = ids_json.iter().map(|id| bytes(id, FAILED));
        let reserved = TAIL.len() + entries.sum::<usize>();
        let needed = HEAD.len() + reserved;
        if needed > limit {
            return Err(EventError::Answer { needed, limit });
        }
        Ok(Answer { text: HEAD.to_owned(), limit, reserved })
    }

    /// Answers `Ok` with data. It must not be empty: Firehose fails such a record. `false`: it
    /// does not fit, and the record must be answered without data.
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

    /// Answers `Dropped`: Firehose deletes the record.
    pub(crate) fn dropped(&mut self, id_json: &str) {
        self.entry(id_json, DROPPED);
    }

    /// Answers `ProcessingFailed`: Firehose puts the unchanged record into `failed/`.
    pub fn failed(&mut self, id_json: &str) {
        self.entry(id_json, FAILED);
    }

    /// The finished answer.
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
