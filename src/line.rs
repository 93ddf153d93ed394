//! One line of a day file: fields → text, in each of the four kinds. Pure.
//!
//! Never a line break in a line but with `newline = "keep"` (csv only): a day file's lines can be
//! counted, cut and merged.

use std::fmt::Write;

use memchr::{memchr2, memchr3};

use crate::config::Newline;
use crate::row::Kind;

/// How fields become a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// How fields are joined and quoted.
    pub kind: Kind,
    /// What a line break inside a field becomes. json escapes it in any case; for tsv and raw
    /// `keep` is `escape`, since they have no quotes to keep it in.
    pub newline: Newline,
}

/// A line in the making; keeps its buffers.
#[derive(Debug)]
pub struct Line {
    style: Style,
    text: String,
    /// A field without its line breaks.
    field: String,
    /// Whether the next field is the line's first.
    first: bool,
}

impl Default for Line {
    fn default() -> Line {
        let style = Style { kind: Kind::Csv, newline: Newline::Escape };
        Line { style, text: String::new(), field: String::new(), first: true }
    }
}

/// A message without its trailing line breaks, which loggers add and nobody means.
pub fn without_breaks(message: &str) -> &str {
    message.trim_end_matches(['\r', '\n'])
}

impl Style {
    /// Labels as they stand in a line: joined, or in json as an array.
    pub fn labels(self, labels: &[String]) -> String {
        if self.kind == Kind::Json {
            let mut text = String::from("[");
            for (index, label) in labels.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                json(&mut text, label);
            }
            text.push(']');
            return text;
        }
        let mut line = Line::default();
        line.start(self);
        for label in labels {
            line.field("labels", label);
        }
        line.text
    }

    /// Where the first line break of a field is, or what else its kind cannot hold.
    fn breaks(self, field: &str) -> Option<usize> {
        match self.kind {
            Kind::Tsv => memchr3(b'\n', b'\r', b'\t', field.as_bytes()),
            _ => memchr2(b'\n', b'\r', field.as_bytes()),
        }
    }

    /// Whether a field of this style may hold line breaks as they are.
    fn keeps(self) -> bool {
        self.kind == Kind::Json || (self.kind == Kind::Csv && self.newline == Newline::Keep)
    }
}

impl Line {
    /// Begins a new line.
    pub fn start(&mut self, style: Style) {
        self.style = style;
        self.text.clear();
        self.first = true;
    }

    /// Appends a field; `name` is its key in json.
    pub fn field(&mut self, name: &str, value: &str) {
        self.separate(name);
        if self.style.keeps() {
            return self.quoted(value);
        }
        let Some(cut) = self.style.breaks(value) else {
            return self.quoted(value);
        };
        let mut field = std::mem::take(&mut self.field);
        field.clear();
        replace_breaks(&mut field, value, cut, self.style);
        self.quoted(&field);
        self.field = field;
    }

    /// Appends a number.
    pub fn number(&mut self, name: &str, value: i64) {
        self.separate(name);
        write!(self.text, "{value}").expect("writing to a String cannot fail");
    }

    /// Appends all labels: each a field of its own, already joined in `text` by [`Style::labels`].
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
            // An empty line would be no record at all to a CSV reader.
            Kind::Csv if self.text.is_empty() => self.text.push_str("\"\""),
            Kind::Csv | Kind::Tsv | Kind::Raw => {}
        }
        &self.text
    }

    /// What stands before a field.
    fn separate(&mut self, name: &str) {
        match (self.style.kind, self.first) {
            (Kind::Csv | Kind::Tsv | Kind::Raw, true) => {}
            (Kind::Csv | Kind::Raw, false) => self.text.push(','),
            (Kind::Tsv, false) => self.text.push('\t'),
            (Kind::Json, first) => {
                self.text.push(if first { '{' } else { ',' });
                json(&mut self.text, name);
                self.text.push(':');
            }
        }
        self.first = false;
    }

    /// Appends a field whose line breaks are dealt with.
    fn quoted(&mut self, value: &str) {
        match self.style.kind {
            Kind::Csv => csv(&mut self.text, value),
            Kind::Json => json(&mut self.text, value),
            Kind::Tsv | Kind::Raw => self.text.push_str(value),
        }
    }
}

/// RFC 4180: quoted where it must be, quotes doubled. The same as the `csv` crate writes.
fn csv(out: &mut String, value: &str) {
    let bytes = value.as_bytes();
    if memchr3(b',', b'"', b'\n', bytes).is_none() && memchr::memchr(b'\r', bytes).is_none() {
        return out.push_str(value);
    }
    out.push('"');
    let mut rest = value;
    while let Some(at) = memchr::memchr(b'"', rest.as_bytes()) {
        out.push_str(&rest[..=at]);
        out.push('"');
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

/// A JSON string, escaped as serde_json does.
fn json(out: &mut String, value: &str) {
    out.push_str(&serde_json::to_string(value).expect("a string is always JSON"));
}

/// Appends `value`, whose first line break (or tab) is at `cut`, with CRLF, LF and CR (and in tsv
/// tabs) each replaced by one escape or space.
fn replace_breaks(out: &mut String, value: &str, mut cut: usize, style: Style) {
    let space = style.newline == Newline::Space;
    let mut rest = value;
    loop {
        out.push_str(&rest[..cut]);
        let (length, escape) = match rest.as_bytes()[cut..] {
            [b'\t', ..] => (1, "\\t"),
            [b'\r', b'\n', ..] => (2, "\\n"),
            _ => (1, "\\n"),
        };
        out.push_str(if space { " " } else { escape });
        rest = &rest[cut + length..];
        match style.breaks(rest) {
            Some(next) => cut = next,
            None => return out.push_str(rest),
        }
    }
}
