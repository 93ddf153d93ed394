//! What a source does to messages before they become rows: it strips colours, excludes events, and
//! hides secrets. Pure.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::config::Source;
use crate::envelope::string;
use crate::json;
use crate::line::without_breaks;

/// A terminal's escape sequence. If it is incomplete, only its ESC is stripped: no text is lost.
static SEQUENCE: LazyLock<Regex> = LazyLock::new(|| {
    let control = r"\[[0-?]*[ -/]*[@-~]";
    let command = r"\][^\x07\x1b\r\n]*(?:\x07|\x1b\\)";
    let text = r"[PX^_][^\x1b\r\n]*\x1b\\";
    let other = r"[ -/]+[0-~]|[0-OQ-WYZ\\`-~]";
    let all = format!(r"\x1b(?:{control}|{command}|{text}|{other})?");
    Regex::new(&all).expect("a constant of this file")
});

impl Source {
    /// Whether the source changes or excludes messages.
    pub(crate) fn cleans(&self) -> bool {
        self.strip_ansi || !(self.drop.is_empty() && self.keep.is_empty() && self.mask.is_empty())
    }

    /// Whether an event's message is kept. Patterns are matched against the original message
    /// without colours and trailing line breaks.
    pub(crate) fn chooses(&self, message: &str) -> bool {
        let message = self.searched(message);
        let is_kept = self.keep.is_empty() || self.keep.iter().any(|one| one.matches(&message));
        is_kept && !self.drop.iter().any(|one| one.matches(&message))
    }

    /// The part of a message that patterns are matched against.
    pub(crate) fn searched<'t>(&self, message: &'t str) -> Cow<'t, str> {
        self.stripped(without_breaks(message))
    }

    /// A message, or a part of it, without colours and with its secrets hidden.
    pub(crate) fn hidden<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let text = self.searched(text);
        self.mask.iter().fold(text, |text, mask| match text {
            Cow::Borrowed(text) => mask.hide(text),
            Cow::Owned(text) => Cow::Owned(mask.hide(&text).into_owned()),
        })
    }

    fn stripped<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.strip_ansi && text.contains('\x1b') {
            true => SEQUENCE.replace_all(text, ""),
            false => Cow::Borrowed(text),
        }
    }

    /// A value of a JSON message, as JSON, with its secrets hidden.
    pub(crate) fn hidden_json(&self, value: &RawValue) -> String {
        let (text, is_string) = match string(value) {
            Some(text) => (text, true),
            None => (Cow::Borrowed(value.get()), false),
        };
        let hidden = self.hidden(&text);
        match !is_string && json::is_valid(&hidden) {
            true => hidden.into_owned(),
            false => json::written(&*hidden),
        }
    }

    /// The JSON of a malformed event. Its id and timestamp are kept, since they identify it.
    pub(crate) fn hidden_event(&self, event: &str) -> String {
        let hidden = |value: Value| match value {
            Value::String(text) => Value::String(self.hidden(&text).into_owned()),
            other => {
                let text = other.to_string();
                match self.hidden(&text) {
                    hidden if *hidden == *text => other,
                    hidden => Value::String(hidden.into_owned()),
                }
            }
        };
        match serde_json::from_str(event) {
            Ok(Value::Object(event)) => {
                let kept = |key: &str| matches!(key, "id" | "timestamp");
                let one = |(key, value): (String, Value)| {
                    let value = if kept(&key) { value } else { hidden(value) };
                    (key, value)
                };
                Value::Object(event.into_iter().map(one).collect::<Map<_, _>>()).to_string()
            }
            Ok(other) => hidden(other).to_string(),
            Err(_) => json::written(&*self.hidden(event)),
        }
    }
}
