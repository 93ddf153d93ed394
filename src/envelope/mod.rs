//! Bytes → envelopes, plain text or error; gzip inflated up to a cap. Knows nothing of Firehose or
//! labels.
//!
//! Decided by what the bytes are: gzip magic → inflate; text with `messageType` → envelopes;
//! other UTF-8 → plain; anything else → error. Errors never hold what was logged.

mod exact;

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::GzDecoder;
use flate2::{Crc, Decompress, FlushDecompress, Status};
use serde::Deserialize;
use serde::de::IgnoredAny;

pub use self::exact::exact;

/// What a record's text holds.
#[derive(Debug)]
pub enum Content<'a> {
    /// One or more subscription messages, in order.
    Messages(Vec<Message<'a>>),
    /// Text of any other sort.
    Plain(&'a str),
}

/// One subscription message.
#[derive(Debug)]
pub enum Message<'a> {
    /// `DATA_MESSAGE`
    Data(Envelope<'a>),
    /// `CONTROL_MESSAGE`: CloudWatch checks that the destination is there. It carries events too.
    Control {
        /// How many.
        events: usize,
    },
}

impl Message<'_> {
    /// How many events it carries.
    pub fn events(&self) -> usize {
        match self {
            Message::Data(envelope) => envelope.log_events.len(),
            Message::Control { events } => *events,
        }
    }
}

/// One CloudWatch Logs subscription message. Unknown keys are ignored.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<'a> {
    /// `DATA_MESSAGE`: what comes out as [`Message::Data`] is no other.
    #[serde(borrow)]
    pub message_type: Cow<'a, str>,
    /// The account that owns the log group.
    #[serde(borrow)]
    pub owner: Cow<'a, str>,
    /// The log group's name.
    #[serde(borrow)]
    pub log_group: Cow<'a, str>,
    /// The log stream's name.
    #[serde(borrow)]
    pub log_stream: Cow<'a, str>,
    /// The names of the subscription filters that let the events through.
    #[serde(default)]
    pub subscription_filters: Vec<String>,
    /// The events, oldest first as CloudWatch sends them.
    #[serde(borrow)]
    pub log_events: Vec<Event<'a>>,
}

/// One log event.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Event<'a> {
    /// 56 digits, from CloudWatch. (moto, which plays CloudWatch in tests, writes a small number.)
    #[serde(borrow, deserialize_with = "id")]
    pub id: Cow<'a, str>,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// The text as it was logged.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

fn id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id<'a> {
        Text(#[serde(borrow)] Cow<'a, str>),
        Number(u64),
    }
    Ok(match Id::deserialize(deserializer)? {
        Id::Text(text) => text,
        Id::Number(number) => number.to_string().into(),
    })
}

/// Why bytes are neither envelopes nor plain text. Never holds what was logged. Positions are bytes
/// of the inflated text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A gzip member ends before its end.
    #[error("the gzip data is torn: it ends inside a member")]
    TornGzip,
    /// A gzip member is damaged: its header, its codes or its checksum.
    #[error("the gzip data is damaged")]
    CorruptGzip,
    /// Something that is no gzip member follows one.
    #[error("{0} bytes after the last gzip member are no gzip")]
    TrailingBytes(usize),
    /// It would inflate to more than `limits.inflated_bytes`.
    #[error("inflates to more than {0} bytes: raise limits.inflated_bytes if this is no bomb")]
    Bomb(usize),
    /// Neither gzip nor UTF-8.
    #[error("neither gzip nor UTF-8 text: byte {0} is no text")]
    NotText(usize),
    /// It has a `messageType`, but is no subscription message.
    #[error("malformed envelope at byte {at}: {what}")]
    Malformed {
        /// Where the message begins.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A `messageType` that CloudWatch Logs is not known to send.
    #[error("unknown messageType: expected DATA_MESSAGE or CONTROL_MESSAGE")]
    UnknownMessageType,
}

impl EnvelopeError {
    /// A short stable name for metrics and the quarantine.
    pub fn code(&self) -> &'static str {
        match self {
            EnvelopeError::TornGzip => "torn-gzip",
            EnvelopeError::CorruptGzip => "corrupt-gzip",
            EnvelopeError::TrailingBytes(_) => "trailing-bytes",
            EnvelopeError::Bomb(_) => "bomb",
            EnvelopeError::NotText(_) => "not-text",
            EnvelopeError::Malformed { .. } => "malformed-envelope",
            EnvelopeError::UnknownMessageType => "unknown-message-type",
        }
    }
}

/// Inflates; keeps its buffers from one record to the next.
#[derive(Debug)]
pub(crate) struct Inflater {
    once: Vec<u8>,
    twice: Vec<u8>,
    raw: Decompress,
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater { once: Vec::new(), twice: Vec::new(), raw: Decompress::new(false) }
    }
}

impl Inflater {
    /// The text in `data`: itself, or what its gzip members inflate to. What is gzip once more
    /// (a producer and Firehose both compressed it) is inflated a second time, never a third.
    ///
    /// `bytes_max` caps the sum of all that is inflated; one byte over is [`EnvelopeError::Bomb`].
    pub(crate) fn text<'a>(
        &'a mut self,
        data: &'a [u8],
        bytes_max: usize,
    ) -> Result<&'a str, EnvelopeError> {
        let bytes = if !is_gzip(data) {
            data
        } else {
            inflate(&mut self.raw, data, &mut self.once, bytes_max, bytes_max)?;
            if is_gzip(&self.once) {
                let left = bytes_max - self.once.len();
                inflate(&mut self.raw, &self.once, &mut self.twice, left, bytes_max)?;
                &self.twice
            } else {
                &self.once
            }
        };
        std::str::from_utf8(bytes).map_err(|error| EnvelopeError::NotText(error.valid_up_to()))
    }
}

/// Whether a gzip member begins here.
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Inflates every member of `data` into `out`, which is cleared. At most `left` bytes.
fn inflate(
    raw: &mut Decompress,
    mut data: &[u8],
    out: &mut Vec<u8>,
    left: usize,
    bytes_max: usize,
) -> Result<(), EnvelopeError> {
    out.clear();
    while !data.is_empty() {
        if !is_gzip(data) {
            return Err(EnvelopeError::TrailingBytes(data.len()));
        }
        data = match data.strip_prefix(PLAIN_HEADER) {
            Some(deflated) if deflated.len() >= PLAIN_HEADER_REST => {
                member(raw, &deflated[PLAIN_HEADER_REST..], out, left)?
            }
            _ => any_member(data, out, left)?,
        };
        if out.len() > left {
            return Err(EnvelopeError::Bomb(bytes_max));
        }
    }
    Ok(())
}

/// Magic, deflate, no flags: what nearly every gzip member begins with.
const PLAIN_HEADER: &[u8] = &[0x1f, 0x8b, 8, 0];
/// Time, effort and system.
const PLAIN_HEADER_REST: usize = 6;
/// CRC-32 and length.
const TRAILER: usize = 8;
/// Deflate's text is no longer than so many times itself, and mostly far less.
const LIKELY_RATIO: usize = 8;

/// Inflates one member, whose header was read, up to one byte more than `left`; answers what
/// follows it. A decompressor that is used again saves a third of the work on a small record.
fn member<'a>(
    raw: &mut Decompress,
    data: &'a [u8],
    out: &mut Vec<u8>,
    left: usize,
) -> Result<&'a [u8], EnvelopeError> {
    raw.reset(false);
    let start = out.len();
    loop {
        if out.len() > left {
            return Ok(&[]);
        }
        let rest = &data[raw.total_in() as usize..];
        if out.len() == out.capacity() {
            out.reserve((rest.len() * LIKELY_RATIO).max(1 << 10).min(left + 1 - out.len()));
        }
        let before = (raw.total_in(), out.len());
        let status = raw.decompress_vec(rest, out, FlushDecompress::None);
        match status.map_err(|_| EnvelopeError::CorruptGzip)? {
            Status::StreamEnd => break,
            Status::Ok | Status::BufError if before == (raw.total_in(), out.len()) => {
                return Err(EnvelopeError::TornGzip);
            }
            Status::Ok | Status::BufError => {}
        }
    }
    let rest = &data[raw.total_in() as usize..];
    let (trailer, rest) = rest.split_at_checked(TRAILER).ok_or(EnvelopeError::TornGzip)?;
    let mut crc = Crc::new();
    crc.update(&out[start..]);
    let wanted = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
    if trailer == wanted { Ok(rest) } else { Err(EnvelopeError::CorruptGzip) }
}

/// The same for a member with any header, or a broken one.
fn any_member<'a>(
    data: &'a [u8],
    out: &mut Vec<u8>,
    left: usize,
) -> Result<&'a [u8], EnvelopeError> {
    let mut member = GzDecoder::new(data);
    let room = (left - out.len()) as u64 + 1;
    member.by_ref().take(room).read_to_end(out).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => EnvelopeError::TornGzip,
        _ => EnvelopeError::CorruptGzip,
    })?;
    Ok(member.into_inner())
}

/// Envelopes or plain text.
///
/// Text is envelopes if its JSON values have a `messageType` of their own. Several may follow each
/// other, with or without white space between them. Text that begins like such a value but breaks
/// off, or mixes values with and without one, is malformed rather than plain: nothing that
/// CloudWatch Logs sent may end up among the plain lines.
pub fn content(text: &str) -> Result<Content<'_>, EnvelopeError> {
    if !text.trim_start().starts_with('{') || !text.contains("\"messageType\"") {
        return Ok(Content::Plain(text));
    }
    let mut messages = Vec::new();
    let mut others = false;
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        let (message, length) = message(rest, at)?;
        match message {
            Some(message) => messages.push(message),
            None => others = true,
        }
        rest = rest[length..].trim_ascii_start();
        if others && !messages.is_empty() {
            let what = "values with and without messageType follow each other";
            return Err(EnvelopeError::Malformed { at, what });
        }
    }
    Ok(if others { Content::Plain(text) } else { Content::Messages(messages) })
}

/// The message that `text` begins with, and its length; `None` for a value without `messageType`.
fn message(text: &str, at: usize) -> Result<(Option<Message<'_>>, usize), EnvelopeError> {
    let Some((envelope, length)) = exact(text).or_else(|| parsed(text)) else {
        return incomplete(text, at);
    };
    let message = match &*envelope.message_type {
        DATA => Message::Data(envelope),
        CONTROL => Message::Control { events: envelope.log_events.len() },
        _ => return Err(EnvelopeError::UnknownMessageType),
    };
    Ok((Some(message), length))
}

/// The message that `text` begins with as a JSON parser reads it, and its length.
pub fn parsed(text: &str) -> Option<(Envelope<'_>, usize)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let envelope = values.next()?.ok()?;
    Some((envelope, values.byte_offset()))
}

const DATA: &str = "DATA_MESSAGE";
const CONTROL: &str = "CONTROL_MESSAGE";

/// Which members a value has, whatever they hold.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    message_type: Option<serde_json::Value>,
    owner: Option<IgnoredAny>,
    log_group: Option<IgnoredAny>,
    log_stream: Option<IgnoredAny>,
    log_events: Option<IgnoredAny>,
}

/// What a value is that is no whole message.
fn incomplete(text: &str, at: usize) -> Result<(Option<Message<'_>>, usize), EnvelopeError> {
    let malformed = |what| Err(EnvelopeError::Malformed { at, what });
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Members>();
    let members = match values.next() {
        Some(Ok(members)) => members,
        Some(Err(error)) if error.is_eof() => return malformed("it ends too early"),
        Some(Err(_)) | None => return malformed("it is broken JSON"),
    };
    let Some(message_type) = members.message_type else {
        return Ok((None, values.byte_offset()));
    };
    match message_type.as_str() {
        Some(CONTROL) => Ok((Some(Message::Control { events: 0 }), values.byte_offset())),
        Some(DATA) if members.owner.is_none() => malformed("`owner` is missing"),
        Some(DATA) if members.log_group.is_none() => malformed("`logGroup` is missing"),
        Some(DATA) if members.log_stream.is_none() => malformed("`logStream` is missing"),
        Some(DATA) if members.log_events.is_none() => malformed("`logEvents` is missing"),
        Some(DATA) => malformed("a member is missing or of the wrong type"),
        Some(_) => Err(EnvelopeError::UnknownMessageType),
        None => malformed("`messageType` is no string"),
    }
}
