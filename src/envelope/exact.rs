//! Subscription messages exactly as CloudWatch Logs writes them, read several times faster than any
//! JSON.
//!
//! Whatever is not to the letter so is left to the parser: another order of fields, a space, a
//! control character, an unknown field. What is read here is what the parser reads
//! (`exact_is_never_another_answer` and a fuzz target).

use std::borrow::Cow;

use crate::envelope::{Envelope, Event};
use crate::json;

/// The message that `text` begins with, and its length.
pub fn exact(text: &[u8]) -> Option<(Envelope<'_>, usize)> {
    let mut text = Text { rest: text, whole: text.len(), plain: Vec::new() };
    text.literal("{\"messageType\":\"")?;
    let is_control = text.literal("DATA_MESSAGE\",\"owner\":").is_none();
    if is_control {
        text.literal("CONTROL_MESSAGE\",\"owner\":")?;
    }
    let owner = text.string()?;
    text.literal(",\"logGroup\":")?;
    let log_group = text.string()?;
    text.literal(",\"logStream\":")?;
    let log_stream = text.string()?;
    text.literal(",\"subscriptionFilters\":[")?;
    let mut subscription_filters = Vec::new();
    text.list(|text| {
        subscription_filters.push(text.string()?);
        Some(())
    })?;
    text.literal(",\"logEvents\":[")?;
    let mut log_events = Vec::new();
    text.list(|text| {
        text.literal("{\"id\":")?;
        let id = text.string()?;
        text.literal(",\"timestamp\":")?;
        let timestamp = text.number()?;
        text.literal(",\"message\":")?;
        let message = text.string()?;
        text.literal("}")?;
        log_events.push(Event { id, timestamp, message });
        Some(())
    })?;
    text.literal("}")?;
    let length = text.whole - text.rest.len();
    let malformed = Vec::new();
    let envelope = Envelope {
        is_control,
        owner,
        log_group,
        log_stream,
        subscription_filters,
        log_events,
        malformed,
    };
    Some((envelope, length))
}

struct Text<'a> {
    rest: &'a [u8],
    whole: usize,
    /// The present string without its escapes.
    plain: Vec<u8>,
}

impl<'a> Text<'a> {
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(literal.as_bytes())?;
        Some(())
    }

    /// A list after its bracket.
    fn list(&mut self, mut item: impl FnMut(&mut Text<'a>) -> Option<()>) -> Option<()> {
        if self.literal("]").is_some() {
            return Some(());
        }
        loop {
            item(self)?;
            if self.literal(",").is_none() {
                return self.literal("]");
            }
        }
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let body = self.rest.strip_prefix(b"\"")?;
        let (end, escaped) = json::string(body, &mut self.plain)?;
        self.rest = &body[end + 1..];
        Some(match escaped {
            true => Cow::Owned(String::from_utf8(std::mem::take(&mut self.plain)).ok()?),
            false => Cow::Borrowed(str::from_utf8(&body[..end]).ok()?),
        })
    }

    fn number(&mut self) -> Option<i64> {
        // What follows is compared next: a fraction or an exponent does not fit there.
        let (number, rest) = json::number(self.rest)?;
        self.rest = rest;
        Some(number)
    }
}
