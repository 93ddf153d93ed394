//! Turns subscription messages of CloudWatch Logs from JSON into envelopes. Knows nothing of gzip,
//! Firehose or labels.
//!
//! Parsing is lenient, so that a fault affects a single event. A number may be quoted, optional
//! fields may have any type, half a surrogate pair becomes U+FFFD. Errors never contain log text.

mod exact;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_128;

pub use self::exact::exact;
use crate::json;

/// One CloudWatch Logs subscription message. Unknown keys are ignored.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Whether it is a `CONTROL_MESSAGE`, with which CloudWatch checks that the destination exists.
    /// It contains events, too. Otherwise it is a `DATA_MESSAGE`.
    pub is_control: bool,
    /// The account that owns the log group.
    pub owner: Cow<'a, str>,
    /// The log group's name.
    pub log_group: Cow<'a, str>,
    /// The log stream's name.
    pub log_stream: Cow<'a, str>,
    /// The names of the subscription filters that the events matched.
    pub subscription_filters: Vec<Cow<'a, str>>,
    /// The events, oldest first as CloudWatch sends them.
    pub log_events: Vec<Event<'a>>,
    /// The events that are not valid, each with its reason and its text.
    pub malformed: Vec<(EventFault, &'a str)>,
}

impl Envelope<'_> {
    /// The number of events.
    pub fn events(&self) -> usize {
        self.log_events.len() + self.malformed.len()
    }

    /// Gives events with the same id and time but different texts different ids: the smallest text
    /// keeps the id; the others get their text's hash appended. CloudWatch's ids are unique and
    /// ascending; those of emulators and test harnesses are not.
    pub(crate) fn tell_apart(&mut self) {
        let events = &mut self.log_events;
        if events.windows(2).all(|pair| pair[0].id < pair[1].id) {
            return;
        }
        let mut order: Vec<&mut Event<'_>> = events.iter_mut().collect();
        order.sort_by(|a, b| a.key().cmp(&b.key()).then(a.message.cmp(&b.message)));
        for same in order.chunk_by_mut(|a, b| a.key() == b.key()) {
            let Some((smallest, others)) = same.split_first_mut() else { continue };
            for event in others.iter_mut().filter(|event| event.message != smallest.message) {
                let hash = xxh3_128(event.message.as_bytes());
                event.id = format!("{}#{hash:032x}", event.id).into();
            }
        }
    }
}

/// One log event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// 56 digits from CloudWatch. (moto, which emulates CloudWatch in tests, uses small numbers.)
    pub id: Cow<'a, str>,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// The text as it was logged.
    pub message: Cow<'a, str>,
    /// The system fields, if the subscription has `emitSystemFields`.
    pub system: Option<Box<System<'a>>>,
}

/// Where an event was logged before it was centralised. The owner is then the central account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct System<'a> {
    /// `@aws.account`
    pub account: Option<Cow<'a, str>>,
    /// `@aws.region`
    pub region: Option<Cow<'a, str>>,
}

impl Event<'_> {
    /// The account where it was logged, if it says so.
    pub(crate) fn account(&self) -> Option<&str> {
        self.system.as_ref()?.account.as_deref()
    }

    /// The region where it was logged, if it says so.
    pub(crate) fn region(&self) -> Option<&str> {
        self.system.as_ref()?.region.as_deref()
    }

    fn key(&self) -> (i64, &str) {
        (self.timestamp, &self.id)
    }
}

/// Why an event cannot be read. The number is its position in the envelope, from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    /// The event is not an object.
    #[error("event {0} is not an object")]
    NotObject(usize),
    /// A field occurs more than once.
    #[error("event {0}: `{1}` appears twice")]
    Twice(usize, &'static str),
    /// A field is missing or null.
    #[error("event {0}: `{1}` is missing")]
    Missing(usize, &'static str),
    /// A field has the wrong type.
    #[error("event {0}: `{1}` is not {2}")]
    Type(usize, &'static str, &'static str),
}

/// Why JSON with a `messageType` is not a subscription message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The text is not valid JSON, even when it is parsed leniently.
    #[error("malformed envelope: not valid JSON at line {0}, column {1}")]
    Json(usize, usize),
    /// A field is missing, repeated or of the wrong type.
    #[error("malformed envelope: `{0}` is {1}")]
    Field(&'static str, &'static str),
    /// CloudWatch Logs is not known to send this `messageType`.
    #[error("unknown messageType: expected DATA_MESSAGE or CONTROL_MESSAGE")]
    UnknownMessageType,
}

impl EnvelopeError {
    /// A short stable name for metrics and the quarantine.
    pub fn code(&self) -> &'static str {
        match self {
            EnvelopeError::Json(..) | EnvelopeError::Field(..) => "malformed-envelope",
            EnvelopeError::UnknownMessageType => "unknown-message-type",
        }
    }
}

const FIELDS: &[&str] = &[
    "messageType",
    "owner",
    "logGroup",
    "logStream",
    "subscriptionFilters",
    "logEvents",
    "@aws.account",
    "@aws.region",
];
const EVENT_FIELDS: &[&str] =
    &["id", "timestamp", "message", "extractedFields", "@aws.account", "@aws.region"];

/// The first of these fields that an object has more than once.
fn twice(object: &str, fields: &[&'static str]) -> Option<&'static str> {
    let keys = json::top_level_keys(object.as_bytes());
    let count = |name: &str| keys.iter().filter(|key| **key == name.as_bytes()).count();
    fields.iter().copied().find(|name| count(name) > 1)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    message_type: Option<&'a RawValue>,
    #[serde(borrow)]
    owner: Option<&'a RawValue>,
    #[serde(borrow)]
    log_group: Option<&'a RawValue>,
    #[serde(borrow)]
    log_stream: Option<&'a RawValue>,
    #[serde(borrow)]
    subscription_filters: Option<&'a RawValue>,
    #[serde(borrow)]
    log_events: Option<&'a RawValue>,
    #[serde(borrow, rename = "@aws.account")]
    account: Option<&'a RawValue>,
    #[serde(borrow, rename = "@aws.region")]
    region: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventWire<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    extracted_fields: Option<&'a RawValue>,
    #[serde(borrow, rename = "@aws.account")]
    account: Option<&'a RawValue>,
    #[serde(borrow, rename = "@aws.region")]
    region: Option<&'a RawValue>,
}

/// The system fields of an envelope, an event, or its extracted fields.
#[derive(Default, Deserialize)]
struct SystemWire<'a> {
    #[serde(borrow, rename = "@aws.account")]
    account: Option<&'a RawValue>,
    #[serde(borrow, rename = "@aws.region")]
    region: Option<&'a RawValue>,
}

impl<'a> SystemWire<'a> {
    /// These fields; a missing one is taken from `around`.
    fn or(&self, around: Option<&System<'a>>) -> Option<Box<System<'a>>> {
        let text = |field: Option<&'a RawValue>| field.and_then(scalar);
        let text = |field| text(field).filter(|text| !text.is_empty());
        let account = text(self.account).or_else(|| around?.account.clone());
        let region = text(self.region).or_else(|| around?.region.clone());
        (account.is_some() || region.is_some()).then(|| Box::new(System { account, region }))
    }
}

/// Reads one message with a JSON parser.
pub fn parsed(text: &str) -> Result<Envelope<'_>, EnvelopeError> {
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| match twice(text, FIELDS) {
        Some(name) => EnvelopeError::Field(name, "given twice"),
        None => EnvelopeError::Json(error.line(), error.column()),
    })?;
    let is_control = match wire.message_type.and_then(string).as_deref() {
        Some("DATA_MESSAGE") => false,
        Some("CONTROL_MESSAGE") => true,
        Some(_) => return Err(EnvelopeError::UnknownMessageType),
        None => return Err(EnvelopeError::Field("messageType", "not a string")),
    };
    let events: Vec<&RawValue> =
        match wire.log_events.map(|events| serde_json::from_str(events.get())) {
            Some(Ok(events)) => events,
            _ if is_control => Vec::new(),
            Some(Err(_)) => return Err(EnvelopeError::Field("logEvents", "not a list")),
            None => return Err(EnvelopeError::Field("logEvents", "missing")),
        };
    let filters = wire.subscription_filters.map(RawValue::get);
    let filters: Vec<&RawValue> =
        filters.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut envelope = Envelope {
        is_control,
        owner: part(wire.owner, "owner", is_control)?,
        log_group: part(wire.log_group, "logGroup", is_control)?,
        log_stream: part(wire.log_stream, "logStream", is_control)?,
        subscription_filters: filters.into_iter().filter_map(string).collect(),
        log_events: Vec::with_capacity(events.len()),
        malformed: Vec::new(),
    };
    let system = SystemWire { account: wire.account, region: wire.region }.or(None);
    for (index, raw) in events.into_iter().enumerate() {
        match event(raw, index + 1, system.as_deref()) {
            Ok(event) => envelope.log_events.push(event),
            Err(fault) => envelope.malformed.push((fault, raw.get())),
        }
    }
    Ok(envelope)
}

/// The owner, log group or log stream.
fn part<'a>(
    field: Option<&'a RawValue>,
    name: &'static str,
    is_control: bool,
) -> Result<Cow<'a, str>, EnvelopeError> {
    match field.map(|field| (field.get(), scalar(field))) {
        Some((_, Some(text))) => Ok(text),
        _ if is_control => Ok(Cow::default()),
        Some(("null", _)) | None => Err(EnvelopeError::Field(name, "missing")),
        Some(_) => Err(EnvelopeError::Field(name, "not a string")),
    }
}

fn event<'a>(
    raw: &'a RawValue,
    number: usize,
    around: Option<&System<'a>>,
) -> Result<Event<'a>, EventFault> {
    if !raw.get().starts_with('{') {
        return Err(EventFault::NotObject(number));
    }
    let wire: EventWire<'_> = serde_json::from_str(raw.get()).map_err(|_| {
        let name = twice(raw.get(), EVENT_FIELDS);
        name.map_or(EventFault::NotObject(number), |name| EventFault::Twice(number, name))
    })?;
    let missing = |name| EventFault::Missing(number, name);
    let wrong = |name, wanted| EventFault::Type(number, name, wanted);
    let is_there = |raw: &&RawValue| raw.get() != "null";
    let id = wire.id.filter(is_there).ok_or(missing("id"))?;
    let id = scalar(id).ok_or(wrong("id", "a string"))?;
    let timestamp = wire.timestamp.filter(is_there).ok_or(missing("timestamp"))?;
    let timestamp =
        whole_number(timestamp).ok_or(wrong("timestamp", "a whole number of milliseconds"))?;
    let message = wire.message.filter(is_there).ok_or(missing("message"))?;
    let message = string(message).ok_or(wrong("message", "a string"))?;
    let extracted = wire.extracted_fields.map(RawValue::get);
    let extracted: SystemWire<'_> =
        extracted.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let around = extracted.or(around);
    let system = SystemWire { account: wire.account, region: wire.region }.or(around.as_deref());
    Ok(Event { id, timestamp, message, system })
}

/// A JSON value's string, if it is a string; borrowed unless it has escapes.
pub(crate) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Some(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str(raw.get()).ok().map(Cow::Owned),
    }
}

/// A string, or a number as it is written.
fn scalar(raw: &RawValue) -> Option<Cow<'_, str>> {
    let is_number = raw.get().starts_with(|first: char| first.is_ascii_digit() || first == '-');
    if is_number { Some(Cow::Borrowed(raw.get())) } else { string(raw) }
}

/// A JSON value's whole number, if it is one; it may be quoted and may have an exponent or a zero
/// fraction.
pub(crate) fn whole_number(raw: &RawValue) -> Option<i64> {
    let text = scalar(raw)?;
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let float: f64 = text.parse().ok()?;
        // Up to this limit, every whole number has an exact floating-point value.
        let fits = float.fract() == 0.0 && float.abs() <= (1_i64 << f64::MANTISSA_DIGITS) as f64;
        fits.then_some(float as i64)
    })
}
