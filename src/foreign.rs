//! Describes an event that was meant for another function: its keys, and who sends such events.
//! Pure.
//!
//! Only the names of keys are shown, limited in number and length; never log text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// How many keys are shown, and how many characters of each.
const KEYS_MAX: usize = 20;
const KEY_CHARS_MAX: usize = 64;

/// A JSON object by its keys.
pub(crate) type Keys<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// A kind of event that may reach a Lambda.
struct Kind {
    /// A key that the event, or its records, have.
    key: &'static str,
    /// The key's value in JSON, if other kinds have the key, too.
    value: Option<&'static str>,
    /// What the event is.
    is: &'static str,
    /// What to do if transform receives it; `None` if transform accepts it.
    to_transform: Option<&'static str>,
    /// What to do if land receives it; `None` if land accepts it.
    to_land: Option<&'static str>,
}

const fn kind(key: &'static str, is: &'static str, to_do: &'static str) -> Kind {
    Kind { key, value: None, is, to_transform: Some(to_do), to_land: Some(to_do) }
}

/// A kind that land accepts if it is a valid notice.
const fn notice(key: &'static str, value: Option<&'static str>, is: &'static str) -> Kind {
    let to_do = "only Firehose calls transform: send S3 notices to the land function's queue";
    Kind { key, value, is, to_transform: Some(to_do), to_land: None }
}

const FIREHOSE: Kind = Kind {
    to_transform: None,
    ..kind(
        "deliveryStreamArn",
        "what Firehose sends to transform",
        "have the Firehose stream call transform, not land",
    )
};

const PUT: &str = "put the text into the Firehose stream";

/// The kinds of events. The first that matches is taken.
const KINDS: [Kind; 9] = [
    kind(
        "awslogs",
        "what a subscription filter sends to a Lambda",
        "point the filter at the Firehose stream",
    ),
    FIREHOSE,
    kind(
        "kinesis",
        "what a Kinesis data stream sends to a Lambda",
        "make the data stream the source of the Firehose stream",
    ),
    notice("eventSource", Some("\"aws:sqs\""), "what an SQS queue sends to a Lambda"),
    notice("eventSource", Some("\"aws:s3\""), "what S3 sends to a Lambda"),
    notice("EventSource", Some("\"aws:sns\""), "what an SNS topic sends to a Lambda"),
    kind("dynamodb", "what a DynamoDB stream sends to a Lambda", PUT),
    kind("requestContext", "an HTTP request, by API Gateway or a function URL", PUT),
    notice("detail-type", None, "what EventBridge sends to a Lambda"),
];

/// A foreign event, for an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    keys: String,
    /// What the event is, and what to do.
    kind: Option<(&'static str, &'static str)>,
}

impl Foreign {
    /// Describes an event that transform received. Its first record says more than the event.
    pub(crate) fn to_transform(keys: &Keys<'_>) -> Foreign {
        let records: Vec<&RawValue> = keys
            .get("Records")
            .and_then(|records| serde_json::from_str(records.get()).ok())
            .unwrap_or_default();
        let first: Keys<'_> = records
            .first()
            .and_then(|record| serde_json::from_str(record.get()).ok())
            .unwrap_or_default();
        let kind = kind_of(&first).or_else(|| kind_of(keys));
        let kind = kind.and_then(|kind| Some((kind.is, kind.to_transform?)));
        Foreign { keys: named(keys), kind }
    }

    /// Describes an event that land received, or a record of one.
    pub(crate) fn to_land(keys: &Keys<'_>) -> Foreign {
        let kind = kind_of(keys).and_then(|kind| Some((kind.is, kind.to_land?)));
        Foreign { keys: named(keys), kind }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its keys are {}", self.keys)?;
        match self.kind {
            Some((is, to_do)) => write!(f, ": this is {is}; {to_do}"),
            None => Ok(()),
        }
    }
}

fn kind_of(keys: &Keys<'_>) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| {
        let value = keys.get(kind.key);
        value.is_some_and(|raw| kind.value.is_none_or(|value| value == raw.get()))
    })
}

/// The first keys, shortened.
fn named(keys: &Keys<'_>) -> String {
    let clipped = |key: &str| key.chars().take(KEY_CHARS_MAX).collect::<String>();
    let mut named: Vec<_> = keys
        .keys()
        .take(KEYS_MAX)
        .map(|key| format!("`{}`", clipped(key).escape_debug()))
        .collect();
    match keys.len() {
        0 => named.push("none".to_owned()),
        count if count > KEYS_MAX => named.push(format!("and {} more", count - KEYS_MAX)),
        _ => {}
    }
    named.join(", ")
}
