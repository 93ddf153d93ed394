//! What the land function is told: an event's bytes → the objects to land, or "seal". And back, for
//! the sender.
//!
//! S3's notices come at least once and in any order. S3 sends them itself, with URL-encoded keys,
//! or EventBridge does, with keys as they are. Either comes alone, in an SQS message, in an SNS
//! notification, or in an SNS notification in an SQS message. What is not ours is ignored and
//! counted; what is not understood fails its own message and no other. Sources: the S3 user guide's
//! event message structure and EventBridge mapping, and `events/README.md`.

use aws_lambda_events::s3::S3Entity;
use aws_lambda_events::sqs::SqsMessage;
use chrono::SecondsFormat;
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

/// What one invocation is to do.
#[derive(Debug)]
pub enum Notice {
    /// Land these objects.
    Objects(Vec<Message>),
    /// Finish the days that have ended: `{"hiwake":"seal"}`.
    Seal,
    /// Say whether all is there that landing needs: `{"hiwake":"selftest"}`.
    SelfTest(Asked),
}

/// One SQS message, or a whole event that came without SQS.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The SQS message's id; `None` outside of SQS.
    pub message_id: Option<String>,
    /// The objects that were created, in the order of the notice.
    pub objects: Vec<Created>,
    /// Notices that call for nothing: test events, and events other than a creation.
    pub ignored: usize,
    /// How often SQS has handed it out, this time included, if it says so.
    pub(crate) receives: Option<u32>,
    /// What could not be understood. The message is to be reported as failed, after its objects are
    /// landed.
    pub error: Option<NoticeError>,
}

/// An object that S3 says was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Which one, with the state that the notice names.
    pub id: ObjectId,
    /// Its length in bytes, if the notice has it.
    pub size: Option<u64>,
    /// Set in a notice of `hiwake replay`: the object was delivered before.
    pub replay: Option<Replay>,
}

/// How a replayed object is landed: the field `hiwake` of a record of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Replay {
    /// With plain text.
    pub plain: bool,
}

/// Why an event or a message says nothing. Names top-level keys only, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// This part of it is something else than an object of JSON.
    #[error("the {0} is not a JSON object")]
    NotObject(&'static str),
    /// This part of it is an object, of somebody else's.
    #[error(
        "the {what} is not an S3 notice (alone, or by SQS, SNS or EventBridge), and not {{\"hiwake\":\"seal\"}}: {foreign}"
    )]
    Unknown {
        /// Which part.
        what: &'static str,
        /// Its keys, and whose it is.
        foreign: Foreign,
    },
    /// A value of an S3 notice is of the wrong form. (serde's own text may quote it.)
    #[error("the S3 notice cannot be read: {category:?} error at {line}:{column}")]
    Value {
        /// What kind of fault.
        category: Category,
        /// Where in the value, from 1.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// An S3 notice names no object.
    #[error("the S3 notice cannot be read: its bucket name or its key is missing")]
    Nameless,
    /// An S3 notice's key, decoded, is not text.
    #[error("the S3 notice's key is not UTF-8")]
    KeyNotUtf8,
}

impl Notice {
    /// Reads the bytes of an invocation's event. An error is about the event as a whole.
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
    /// A message of SQS, if a record is one.
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

    /// What a message's body says, or an event that came without SQS.
    fn read(&mut self, keys: &Keys<'_>, what: &'static str) -> Result<(), NoticeError> {
        match keys.get("Message") {
            Some(message) if is_text(keys, "Type", "\"Notification\"") => self.by_sns(message),
            _ => self.notice(keys, what),
        }
    }

    /// What SNS carries: the text of a notice.
    fn by_sns(&mut self, message: &&RawValue) -> Result<(), NoticeError> {
        let message: String = read(message)?;
        let what = "SNS message";
        self.notice(&keys(message.as_bytes(), what)?, what)
    }

    /// A notice as S3 or EventBridge writes it.
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

    /// One record of an event that came without SQS: SNS's or S3's.
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

/// A record of an event by which SNS calls a function.
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

/// `None`: a folder that somebody made in the S3 console.
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
    // The key as S3 means it: `+` is a space, then `%2B` a plus.
    let key = key.replace('+', " ");
    let key = percent_decode_str(&key).decode_utf8();
    let key = key.map_err(|_| NoticeError::KeyNotUtf8)?;
    let key = key.into_owned();
    let size = object.size.and_then(|size| u64::try_from(size).ok());
    let id = ObjectId { bucket, key, etag: object.e_tag, version: object.version_id };
    let replay = keys.get("hiwake").map_or(Ok(None), read)?;
    Ok(not_a_folder(Created { id, size, replay }))
}

/// What S3 leaves as it is in a notice's key.
const KEY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b' ');

/// The notice that S3 would send for an object, created at `time` (milliseconds since the epoch).
pub fn s3_event(created: &Created, time: i64) -> Value {
    let record = json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "",
        "eventTime": rfc_3339(time, &chrono::Utc, SecondsFormat::Millis),
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

/// An object's fields but for those that are null.
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
