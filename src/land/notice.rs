//! What the land λ is told: an event's bytes → the objects to land, or "seal". And back, for whoever tells it.
//!
//! S3's notices come at least once and in any order, alone or as bodies of SQS messages, with
//! URL-encoded keys. What is not ours is ignored and counted; what is not understood fails its own
//! message and no other. Sources: the S3 user guide's event message structure, and `events/README.md`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Choice;
use crate::store::ObjectId;

/// How many keys of an unknown event are named, and how much of each.
const KEYS_MAX: usize = 20;
const KEY_CHARS_MAX: usize = 64;

/// What one invocation is to do.
#[derive(Debug)]
pub enum Notice {
    /// Land these objects; see [`batch_answer`] for the answer.
    Objects(Vec<Message>),
    /// Finish the days that are over: `{"hiwake":"seal"}`.
    Seal,
}

/// One SQS message, or a whole S3 event that came without SQS.
#[derive(Debug, Default)]
pub struct Message {
    /// The SQS message's id; `None` outside of SQS.
    pub message_id: Option<String>,
    /// The objects that were created, in the order of the notice.
    pub objects: Vec<Created>,
    /// Notices that call for nothing: test events, and events other than a creation.
    pub ignored: usize,
    /// How often SQS has handed it out, this time included, if it says so.
    pub receives: Option<u32>,
    /// What could not be understood. The message is to be reported as failed, after its objects are landed.
    pub error: Option<NoticeError>,
}

/// An object that S3 says was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Which one, with the state that the notice names.
    pub id: ObjectId,
    /// Its length in bytes, if the notice has it.
    pub size: Option<u64>,
    /// Orders the events of one key: hexadecimal, compared from the left after padding with zeros.
    pub sequencer: Option<String>,
    /// Set in a notice of `hiwake replay`: the object was delivered before, and comes again.
    pub replay: Option<Replay>,
}

/// How an object is landed that comes again: the member `hiwake` of a record of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Replay {
    /// With plain text.
    pub plain: bool,
}

impl Replay {
    /// What of the object is landed.
    pub fn choice(self) -> Choice {
        Choice { plain: self.plain, ..Choice::default() }
    }
}

/// Why an event or a message says nothing. Names top-level keys only, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// No JSON object.
    #[error("the {what} is no JSON object")]
    NotJson {
        /// `event`, `message body` or `record`.
        what: &'static str,
    },
    /// JSON of another kind.
    #[error(
        "the {what} is no notice of S3 or SQS, and not {{\"hiwake\":\"seal\"}}: its keys are {keys}"
    )]
    Unknown {
        /// `event`, `message body` or `record`.
        what: &'static str,
        /// The top-level keys that came, joined by commas: the first 20, each cut to 64 characters.
        keys: String,
    },
    /// A notice of S3 without what it must have.
    #[error("the S3 notice cannot be read: {0}")]
    Malformed(String),
    /// The key is not UTF-8 once it is decoded.
    #[error("the S3 notice's key is not UTF-8")]
    Key,
}

impl Notice {
    /// Reads the bytes of an invocation's event. An error is about the event as a whole.
    pub fn read(event: &[u8]) -> Result<Notice, NoticeError> {
        let keys = keys(event, "event")?;
        if keys.get("hiwake").is_some_and(|value| value.get() == "\"seal\"") {
            return Ok(Notice::Seal);
        }
        let Some(records) = records(&keys) else {
            let mut message = Message::default();
            message.single(&keys, "event")?;
            return Ok(Notice::Objects(vec![message]));
        };
        let mut messages = Vec::new();
        let mut bare = Message::default();
        for record in records {
            match serde_json::from_str::<SqsRecord>(record.get()) {
                Ok(sqs) => messages.push(Message::of_sqs(&sqs)),
                Err(_) => bare.note(record),
            }
        }
        if messages.is_empty() || bare.objects.len() + bare.ignored > 0 || bare.error.is_some() {
            messages.push(bare);
        }
        Ok(Notice::Objects(messages))
    }
}

/// The answer to an SQS event: these messages come again, the others are done.
///
/// A message without an id (an event that did not come from SQS) cannot be answered so: fail the invocation.
pub fn batch_answer<I>(failed_ids: I) -> Value
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let failures: Vec<_> =
        failed_ids.into_iter().map(|id| json!({ "itemIdentifier": id.as_ref() })).collect();
    json!({ "batchItemFailures": failures })
}

impl Message {
    fn of_sqs(sqs: &SqsRecord<'_>) -> Message {
        let mut message =
            Message { message_id: Some(sqs.message_id.to_string()), ..Message::default() };
        message.receives = sqs.attributes.and_then(receives);
        match keys(sqs.body.as_bytes(), "message body") {
            Err(error) => message.error = Some(error),
            Ok(keys) => match records(&keys) {
                Some(records) => records.iter().for_each(|record| message.note(record)),
                None => message.error = message.single(&keys, "message body").err(),
            },
        }
        message
    }

    /// Something without records: S3's test event, or nothing that we know.
    fn single(&mut self, keys: &Keys<'_>, what: &'static str) -> Result<(), NoticeError> {
        let named = |key| keys.get(key).map(|value| value.get());
        if named("Event") == Some("\"s3:TestEvent\"") {
            self.ignored += 1;
            return Ok(());
        }
        Err(unknown(keys, what))
    }

    /// One record of an S3 notice.
    fn note(&mut self, record: &RawValue) {
        match created(record) {
            Ok(Some(object)) => self.objects.push(object),
            Ok(None) => self.ignored += 1,
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
    }
}

/// `ApproximateReceiveCount`; a number in a string.
fn receives(attributes: &RawValue) -> Option<u32> {
    let attributes: BTreeMap<Cow<'_, str>, Cow<'_, str>> =
        serde_json::from_str(attributes.get()).ok()?;
    attributes.get("ApproximateReceiveCount")?.parse().ok()
}

fn created(record: &RawValue) -> Result<Option<Created>, NoticeError> {
    let keys = keys(record.get().as_bytes(), "record")?;
    if !keys.contains_key("eventName") || !keys.contains_key("s3") {
        return Err(unknown(&keys, "record"));
    }
    let name: Name<'_> = serde_json::from_str(record.get()).map_err(malformed)?;
    let name = name.event_name.strip_prefix("s3:").unwrap_or(&name.event_name);
    if !name.starts_with("ObjectCreated:") {
        return Ok(None);
    }
    let record: S3Record<'_> = serde_json::from_str(record.get()).map_err(malformed)?;
    let object = record.s3.object;
    let key = decode_key(&object.key)?;
    if key.ends_with('/') && object.size == Some(0) {
        // A folder that somebody made in the S3 console.
        return Ok(None);
    }
    Ok(Some(Created {
        id: ObjectId {
            bucket: record.s3.bucket.name.into_owned(),
            key,
            etag: object.e_tag,
            version: object.version_id,
        },
        size: object.size,
        sequencer: object.sequencer,
        replay: record.hiwake,
    }))
}

/// The key as S3 means it: `+` is a space, then `%2B` a plus.
fn decode_key(encoded: &str) -> Result<String, NoticeError> {
    let spaced = encoded.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| NoticeError::Key)?;
    Ok(decoded.into_owned())
}

/// What S3 leaves as it is in a notice's key.
const KEY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');

/// The notice that S3 would send for these objects, created at `time` (milliseconds since the epoch).
pub fn s3_event(objects: &[Created], time: i64) -> Value {
    let time = chrono::DateTime::from_timestamp_millis(time).unwrap_or_default();
    let time = time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let record = |created: &Created| {
        let mut object = json!({
            "key": utf8_percent_encode(&created.id.key, KEY).to_string().replace(' ', "+"),
        });
        let optional = [
            ("size", created.size.map(Value::from)),
            ("eTag", created.id.etag.clone().map(Value::from)),
            ("versionId", created.id.version.clone().map(Value::from)),
            ("sequencer", created.sequencer.clone().map(Value::from)),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                object[name] = value;
            }
        }
        let mut record = json!({
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "",
            "eventTime": time,
            "eventName": "ObjectCreated:Put",
            "userIdentity": { "principalId": "hiwake" },
            "requestParameters": { "sourceIPAddress": "127.0.0.1" },
            "responseElements": {},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "hiwake",
                "bucket": {
                    "name": created.id.bucket,
                    "ownerIdentity": { "principalId": "hiwake" },
                    "arn": format!("arn:aws:s3:::{}", created.id.bucket),
                },
                "object": object,
            },
        });
        if let Some(replay) = created.replay {
            record["hiwake"] = json!(replay);
        }
        record
    };
    json!({ "Records": objects.iter().map(record).collect::<Vec<_>>() })
}

/// The SQS event whose messages have these ids and bodies.
pub fn sqs_event<'a>(messages: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Value {
    let record = |(id, body): (&str, &Value)| {
        json!({
            "messageId": id,
            "receiptHandle": id,
            "body": body.to_string(),
            "attributes": {},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
        })
    };
    json!({ "Records": messages.into_iter().map(record).collect::<Vec<_>>() })
}

type Keys<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

fn keys<'a>(bytes: &'a [u8], what: &'static str) -> Result<Keys<'a>, NoticeError> {
    serde_json::from_slice(bytes).map_err(|_| NoticeError::NotJson { what })
}

fn records<'a>(keys: &Keys<'a>) -> Option<Vec<&'a RawValue>> {
    serde_json::from_str(keys.get("Records")?.get()).ok()
}

fn unknown(keys: &Keys<'_>, what: &'static str) -> NoticeError {
    let clipped = |key: &Cow<'_, str>| key.chars().take(KEY_CHARS_MAX).collect::<String>();
    let mut named: Vec<_> =
        keys.keys().take(KEYS_MAX).map(|key| format!("`{}`", clipped(key))).collect();
    match keys.len() {
        0 => named.push("none".to_owned()),
        count if count > KEYS_MAX => named.push(format!("and {} more", count - KEYS_MAX)),
        _ => {}
    }
    NoticeError::Unknown { what, keys: named.join(", ") }
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err calls")]
fn malformed(error: serde_json::Error) -> NoticeError {
    // Such an error may quote a value; its place and category never do.
    let (line, column) = (error.line(), error.column());
    NoticeError::Malformed(format!("{:?} error at {line}:{column}", error.classify()))
}

#[derive(Deserialize)]
struct SqsRecord<'a> {
    #[serde(rename = "messageId", borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow)]
    body: Cow<'a, str>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Name<'a> {
    #[serde(rename = "eventName", borrow)]
    event_name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct S3Record<'a> {
    #[serde(borrow)]
    s3: S3<'a>,
    hiwake: Option<Replay>,
}

#[derive(Deserialize)]
struct S3<'a> {
    #[serde(borrow)]
    bucket: S3Bucket<'a>,
    #[serde(borrow)]
    object: S3Object<'a>,
}

#[derive(Deserialize)]
struct S3Bucket<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct S3Object<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    e_tag: Option<String>,
    version_id: Option<String>,
    size: Option<u64>,
    sequencer: Option<String>,
}
