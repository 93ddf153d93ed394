//! Turns fields into one line of a day file, in each of the four kinds. Pure.
//!
//! A line never contains a line break, except with `newline = "keep"` (csv only): a day file's
//! lines can be counted, cut and merged.

use std::borrow::Cow;
use std::fmt::Write;

use memchr::{memchr, memchr2, memchr3};
use serde_json::value::RawValue;

use crate::config::Newline;
use crate::envelope::string;
use crate::json::written as json;
use crate::row::Kind;

/// How fields are formatted as a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// How fields are joined and quoted.
    pub kind: Kind,
    /// How a line break inside a field is written. json always escapes it. tsv and raw treat `keep`
    /// as `escape`, since they have no quotes.
    pub newline: Newline,
    /// Whether a `\` is doubled; json always does so.
    pub escape_backslash: bool,
}

/// A line that is being built, from [`Line::start`] on. It keeps its buffers.
#[derive(Debug, Default)]
pub struct Line {
    style: Style,
    text: String,
    /// Whether the next field is the line's first.
    first: bool,
}

/// JSON on one line: line breaks between its values become blanks; its strings contain none.
fn one_line(json: &str) -> Cow<'_, str> {
    match memchr2(b'\n', b'\r', json.as_bytes()) {
        None => Cow::Borrowed(json),
        Some(_) => Cow::Owned(json.replace(['\n', '\r'], " ")),
    }
}

/// A message without its trailing line breaks, which loggers add without meaning.
pub(crate) fn without_breaks(message: &str) -> &str {
    message.trim_end_matches(['\r', '\n'])
}

impl Style {
    /// Labels in the form in which a line has them: joined, or in json as an array.
    pub fn labels(self, labels: &[String]) -> String {
        if self.kind == Kind::Json {
            return json(labels);
        }
        let mut line = Line::default();
        line.start(self);
        for label in labels {
            line.field("labels", label);
        }
        line.text
    }

    /// A value in the form in which a line has it.
    pub(crate) fn field(self, value: &str) -> String {
        let mut field = String::new();
        self.append(value, &mut field);
        field
    }

    fn append(self, value: &str, text: &mut String) {
        match (self.kind, self.escape_backslash) {
            (Kind::Json, _) => text.push_str(&json(value)),
            (_, false) => self.append_escaped::<false>(value, text),
            (_, true) => self.append_escaped::<true>(value, text),
        }
    }

    /// Appends an escaped value. `BACKSLASH`: whether a backslash is doubled.
    #[inline(always)]
    fn append_escaped<const BACKSLASH: bool>(self, value: &str, text: &mut String) {
        let quoted = self.quotes(value.as_bytes());
        let space = self.newline == Newline::Space;
        text.push_str(if quoted { "\"" } else { "" });
        let mut rest = value;
        while let Some(at) = self.special::<BACKSLASH>(rest.as_bytes(), quoted) {
            let (length, escape) = match rest.as_bytes()[at..] {
                [b'"', ..] => (1, "\"\""),
                [b'\\', ..] => (1, "\\\\"),
                [b'\r', b'\n', ..] => (2, if space { " " } else { "\\n" }),
                [b'\t', ..] => (1, if space { " " } else { "\\t" }),
                _ => (1, if space { " " } else { "\\n" }),
            };
            text.push_str(&rest[..at]);
            text.push_str(escape);
            rest = &rest[at + length..];
        }
        text.push_str(rest);
        text.push_str(if quoted { "\"" } else { "" });
    }

    /// The index of a field's first byte that must be escaped.
    fn special<const BACKSLASH: bool>(self, field: &[u8], quoted: bool) -> Option<usize> {
        let backslash = if BACKSLASH { memchr(b'\\', field) } else { None };
        let before = &field[..backslash.unwrap_or(field.len())];
        let special = match (self.kind, quoted) {
            (Kind::Csv, true) if self.newline == Newline::Keep => memchr(b'"', before),
            (Kind::Csv, true) => memchr3(b'"', b'\n', b'\r', before),
            (Kind::Tsv, _) => memchr3(b'\n', b'\r', b'\t', before),
            _ => memchr2(b'\n', b'\r', before),
        };
        special.or(backslash)
    }

    /// Whether RFC 4180 requires quotes. Line breaks matter only with `newline = "keep"`; otherwise
    /// none are left.
    fn quotes(self, field: &[u8]) -> bool {
        self.kind == Kind::Csv
            && (memchr2(b',', b'"', field).is_some()
                || self.newline == Newline::Keep && memchr2(b'\n', b'\r', field).is_some())
    }
}

impl Line {
    /// Begins a new line.
    pub fn start(&mut self, style: Style) {
        self.style = style;
        self.text.clear();
        self.first = true;
    }

    /// Appends a field; `name` is its key in json. Each CRLF, LF and CR (and tab in tsv) becomes an
    /// escape or a space, unless it is kept. Quotes are doubled if the field is quoted.
    pub fn field(&mut self, name: &str, value: &str) {
        self.separate(name);
        self.style.append(value, &mut self.text);
    }

    /// Appends a field that [`Style::field`] has formatted.
    pub(crate) fn ready(&mut self, name: &str, field: &str) {
        self.separate(name);
        self.text.push_str(field);
    }

    /// Appends a text: as an object if it is one in JSON. A line break in JSON becomes a blank.
    pub(crate) fn object(&mut self, name: &str, text: &str) {
        let is_object = text.trim_ascii_start().starts_with('{');
        match serde_json::from_str::<&RawValue>(text).ok().filter(|_| is_object) {
            Some(object) => self.ready(name, &one_line(object.get())),
            None => self.field(name, text),
        }
    }

    /// Appends a value of a JSON message, or an empty field: json keeps its form, other kinds drop
    /// a string's quotes.
    pub(crate) fn json(&mut self, name: &str, value: Option<&RawValue>) {
        let text = value.map_or("null", RawValue::get);
        if self.style.kind == Kind::Json {
            return self.ready(name, &one_line(text));
        }
        match value.and_then(string) {
            Some(text) => self.field(name, &text),
            None if text == "null" => self.field(name, ""),
            None => self.field(name, &one_line(text)),
        }
    }

    /// Appends a number.
    pub(crate) fn number(&mut self, name: &str, value: i64) {
        self.separate(name);
        write!(self.text, "{value}").expect("writing to a String cannot fail");
    }

    /// Appends all labels, each as a field; [`Style::labels`] has joined them in `text`.
    pub fn labels(&mut self, labels: &[String], text: &str) {
        if self.style.kind == Kind::Json || !labels.is_empty() {
            self.separate("labels");
            self.text.push_str(text);
        }
    }

    /// The finished line.
    pub fn end(&mut self) -> &str {
        match self.style.kind {
            Kind::Json if self.first => self.text.push_str("{}"),
            Kind::Json => self.text.push('}'),
            // A CSV reader would not see an empty line as a record.
            Kind::Csv if self.text.is_empty() => self.text.push_str("\"\""),
            Kind::Csv | Kind::Tsv | Kind::Raw => {}
        }
        &self.text
    }

    /// Appends what precedes a field.
    fn separate(&mut self, name: &str) {
        match (self.style.kind, self.first) {
            (Kind::Csv | Kind::Tsv | Kind::Raw, true) => {}
            (Kind::Csv | Kind::Raw, false) => self.text.push(','),
            (Kind::Tsv, false) => self.text.push('\t'),
            (Kind::Json, first) => {
                self.text.push(if first { '{' } else { ',' });
                self.text.push_str(&json(name));
                self.text.push(':');
            }
        }
        self.first = false;
    }
}
