//! Notices: the bytes of a land function's event → the objects to land, or "seal". Also writes
//! notices, for senders.
//!
//! S3's notices arrive at least once and in any order. S3 sends them itself, with URL-encoded keys,
//! or EventBridge does, with unencoded keys. Either arrives alone, in an SQS message, in an SNS
//! notification, or in an SNS notification in an SQS message. Notices of other events are ignored
//! and counted. A notice that cannot be understood fails its own message and no other. Sources: the
//! S3 user guide's event message structure and EventBridge mapping, and `events/README.md`.

use aws_lambda_events::s3::S3Entity;
use aws_lambda_events::sqs::SqsMessage;
use chrono::SecondsFormat;
use chrono_tz::Tz;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::clock::rfc_3339;
use crate::foreign::{Foreign, Keys};
use crate::selftest::Asked;
use crate::store::ObjectId;

/// The task of one invocation.
#[derive(Debug)]
pub enum Notice {
    /// Land these objects.
    Objects(Vec<Message>),
    /// Seal the days that have ended: `{"hiwake":"seal"}`.
    Seal,
    /// Check everything that landing needs: `{"hiwake":"selftest"}`.
    SelfTest(Asked),
}

/// One SQS message, or a whole event without SQS.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The SQS message's id; `None` outside of SQS.
    pub message_id: Option<String>,
    /// The objects that were created, in the order of the notice.
    pub objects: Vec<Created>,
    /// The number of notices that need no action: test events, and events other than a creation.
    pub ignored: usize,
    /// How often SQS has delivered it, this time included, if it says so.
    pub(crate) receives: Option<u32>,
    /// The first part that could not be understood. The message is reported as failed, after its
    /// objects have landed.
    pub error: Option<NoticeError>,
}

/// An object that S3 says was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The object, with the version and ETag that the notice names.
    pub id: ObjectId,
    /// Its length in bytes, if the notice states it.
    pub size: Option<u64>,
    /// Set in a notice of `hiwake replay`: the object has already been delivered.
    pub replay: Option<Replay>,
}

/// How a replayed object is landed: the field `hiwake` of a record of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Replay {
    /// Whether plain text is landed, too.
    pub plain: bool,
}

/// Why an event or a message cannot be understood. Names top-level keys only, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// This part is not a JSON object.
    #[error("the {0} is not a JSON object")]
    NotObject(&'static str),
    /// This part is a JSON object, but of another service.
    #[error(
        "the {what} is not an S3 notice (alone, or by SQS, SNS or EventBridge), and not {{\"hiwake\":\"seal\"}}: {foreign}"
    )]
    Unknown {
        /// Which part.
        what: &'static str,
        /// Its keys, and the service that it belongs to.
        foreign: Foreign,
    },
    /// A value of an S3 notice has the wrong type. (The message of serde is left out: it may quote
    /// the value.)
    #[error("the S3 notice cannot be read: {category:?} error at {line}:{column}")]
    Value {
        /// The kind of error.
        category: Category,
        /// The line in the value, from 1.
        line: usize,
        /// The column in the line.
        column: usize,
    },
    /// An S3 notice names no object.
    #[error("the S3 notice cannot be read: its bucket name or its key is missing")]
    Nameless,
    /// The decoded key of an S3 notice is not UTF-8.
    #[error("the S3 notice's key is not UTF-8")]
    KeyNotUtf8,
}

impl Notice {
    /// Reads the bytes of an invocation's event. An error concerns the event as a whole.
    pub fn read(event: &[u8]) -> Result<Notice, NoticeError> {
        let keys = keys(event, "event")?;
        if is_text(&keys, "hiwake", "\"seal\"") {
            return Ok(Notice::Seal);
        }
        if is_text(&keys, "hiwake", "\"selftest\"") {
            let whole = serde_json::from_slice::<&RawValue>(event);
            let whole = whole.map_err(|_| NoticeError::NotObject("event"))?;
            return read(&whole).map(Notice::SelfTest);
        }
        let (mut messages, mut bare) = (Vec::new(), Message::default());
        match records(&keys) {
            Some(records) => records.iter().for_each(|record| match Message::of_sqs(record) {
                Some(message) => messages.push(message),
                None => bare.record(record),
            }),
            None => bare.read(&keys, "event")?,
        }
        if messages.is_empty() || bare != Message::default() {
            messages.push(bare);
        }
        Ok(Notice::Objects(messages))
    }
}

impl Message {
    /// Reads a record as a message of SQS, if it is one.
    fn of_sqs(record: &RawValue) -> Option<Message> {
        let SqsMessage { message_id, body, attributes, .. } =
            serde_json::from_str(record.get()).ok()?;
        let (message_id, body) = (Some(message_id?), body?);
        let receives = attributes.get("ApproximateReceiveCount");
        let receives = receives.and_then(|count| count.parse().ok());
        let mut message = Message { message_id, receives, ..Message::default() };
        let read = keys(body.as_bytes(), "message body")
            .and_then(|keys| message.read(&keys, "message body"));
        message.error = message.error.or(read.err());
        Some(message)
    }

    /// Reads a message's body, or an event without SQS.
    fn read(&mut self, keys: &Keys<'_>, what: &'static str) -> Result<(), NoticeError> {
        match keys.get("Message") {
            Some(message) if is_text(keys, "Type", "\"Notification\"") => self.by_sns(message),
            _ => self.notice(keys, what),
        }
    }

    /// Reads an SNS message, whose text is a notice.
    fn by_sns(&mut self, message: &&RawValue) -> Result<(), NoticeError> {
        let message: String = read(message)?;
        let what = "SNS message";
        self.notice(&keys(message.as_bytes(), what)?, what)
    }

    /// Reads a notice as S3 or EventBridge writes it.
    fn notice(&mut self, keys: &Keys<'_>, what: &'static str) -> Result<(), NoticeError> {
        match (records(keys), keys.get("detail")) {
            (Some(records), _) => records.iter().for_each(|record| self.add(created(record))),
            (None, _) if is_text(keys, "Event", "\"s3:TestEvent\"") => self.ignored += 1,
            (None, Some(detail)) if is_text(keys, "source", "\"aws.s3\"") => {
                match keys.get("detail-type").map(|kind| kind.get()) {
                    Some("\"Object Created\"") => self.add(created_by_event_bridge(detail)),
                    // `Object Deleted`, `Object Tags Added` and the like.
                    Some(other) if other.starts_with("\"Object ") => self.ignored += 1,
                    _ => return Err(unknown(keys, what)),
                }
            }
            _ => return Err(unknown(keys, what)),
        }
        Ok(())
    }

    /// Reads one record, of SNS or S3, of an event without SQS.
    fn record(&mut self, record: &RawValue) {
        let sns = serde_json::from_str::<SnsRecord<'_>>(record.get());
        match sns {
            Ok(SnsRecord { sns }) => {
                if let Err(error) = self.by_sns(&sns.message) {
                    self.add(Err(error));
                }
            }
            Err(_) => self.add(created(record)),
        }
    }

    fn add(&mut self, created: Result<Option<Created>, NoticeError>) {
        match created {
            Ok(Some(object)) => self.objects.push(object),
            Ok(None) => self.ignored += 1,
            Err(error) => self.error = self.error.take().or(Some(error)),
        }
    }
}

/// A record of the event with which SNS invokes a function.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnsRecord<'a> {
    #[serde(borrow)]
    sns: Sns<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sns<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

/// The `detail` of EventBridge's `Object Created`.
#[derive(Deserialize)]
struct Detail {
    bucket: DetailBucket,
    object: DetailObject,
}

#[derive(Deserialize)]
struct DetailBucket {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DetailObject {
    key: String,
    size: Option<u64>,
    etag: Option<String>,
    version_id: Option<String>,
}

/// EventBridge's keys are not URL-encoded.
fn created_by_event_bridge(detail: &&RawValue) -> Result<Option<Created>, NoticeError> {
    let Detail { bucket, object: DetailObject { key, size, etag, version_id } } = read(detail)?;
    let id = ObjectId { bucket: bucket.name, key, etag, version: version_id };
    Ok(not_a_folder(Created { id, size, replay: None }))
}

/// `None` for a folder that was created in the S3 console.
fn not_a_folder(created: Created) -> Option<Created> {
    let is_folder = created.id.key.ends_with('/') && created.size == Some(0);
    (!is_folder).then_some(created)
}

fn created(record: &RawValue) -> Result<Option<Created>, NoticeError> {
    let keys = keys(record.get().as_bytes(), "record")?;
    let (Some(name), Some(s3)) = (keys.get("eventName"), keys.get("s3")) else {
        return Err(unknown(&keys, "record"));
    };
    let name: String = read(name)?;
    if !name.strip_prefix("s3:").unwrap_or(&name).starts_with("ObjectCreated:") {
        return Ok(None);
    }
    let S3Entity { bucket, object, .. } = read(s3)?;
    let (Some(bucket), Some(key)) = (bucket.name, object.key) else {
        return Err(NoticeError::Nameless);
    };
    // S3 encodes a space as `+`, and a plus as `%2B`.
    let key = key.replace('+', " ");
    let key = percent_decode_str(&key).decode_utf8();
    let key = key.map_err(|_| NoticeError::KeyNotUtf8)?;
    let key = key.into_owned();
    let size = object.size.and_then(|size| u64::try_from(size).ok());
    let id = ObjectId { bucket, key, etag: object.e_tag, version: object.version_id };
    let replay = keys.get("hiwake").map_or(Ok(None), read)?;
    Ok(not_a_folder(Created { id, size, replay }))
}

/// The characters that S3 does not encode in a notice's key.
const KEY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');

/// The notice that S3 would send for an object that was created at `time` (milliseconds since the
/// epoch).
pub fn s3_event(created: &Created, time: i64) -> Value {
    let record = json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "",
        "eventTime": rfc_3339(time, Tz::UTC, SecondsFormat::Millis),
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
            "object": known(json!({
                "key": utf8_percent_encode(&created.id.key, KEY).to_string().replace(' ', "+"),
                "size": created.size,
                "eTag": created.id.etag,
                "versionId": created.id.version,
            })),
        },
        "hiwake": created.replay,
    });
    json!({ "Records": [known(record)] })
}

/// A JSON object without its null fields.
fn known(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}

fn keys<'a>(bytes: &'a [u8], what: &'static str) -> Result<Keys<'a>, NoticeError> {
    serde_json::from_slice(bytes).map_err(|_| NoticeError::NotObject(what))
}

fn records<'a>(keys: &Keys<'a>) -> Option<Vec<&'a RawValue>> {
    serde_json::from_str(keys.get("Records")?.get()).ok()
}

fn unknown(keys: &Keys<'_>, what: &'static str) -> NoticeError {
    NoticeError::Unknown { what, foreign: Foreign::to_land(keys) }
}

fn is_text(keys: &Keys<'_>, key: &str, text: &str) -> bool {
    keys.get(key).is_some_and(|value| value.get() == text)
}

fn read<T: DeserializeOwned>(value: &&RawValue) -> Result<T, NoticeError> {
    serde_json::from_str(value.get()).map_err(|error| NoticeError::Value {
        category: error.classify(),
        line: error.line(),
        column: error.column(),
    })
}
