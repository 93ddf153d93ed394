//! Reads one document and collects all its problems, each with its line.

use std::ops::Range;

use serde::Deserialize;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::config::place::{KeyPath, Located};
use crate::config::problem::nearest;
use crate::config::{Config, ConfigErrors, Problem, Source};

/// Reading stops after this many problems.
const PROBLEMS_MAX: usize = 200;

/// Collects the problems of one document. It removes wrong parts so that the rest can be read.
pub(super) struct Reader<'t> {
    name: &'t str,
    /// Whether there are syntax errors: then parts of the text may be missing in `document`.
    torn: bool,
    document: Located<'t>,
    removed: Vec<KeyPath>,
    problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    /// Parses the text, and notes its syntax errors.
    pub(super) fn new(name: &'t str, text: &'t str) -> Reader<'t> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let (torn, document) = (!errors.is_empty(), Located::new(text, table));
        let mut reader = Reader { name, torn, document, removed: Vec::new(), problems: Vec::new() };
        errors.iter().for_each(|error| reader.syntax(text, error));
        reader.shapes();
        reader
    }

    /// Notes a problem with a key or value.
    pub(super) fn note(&mut self, path: &KeyPath, message: impl Into<String>) {
        let line = self.document.line(path);
        let shown = self.document.origin(path);
        self.push(line, shown.to_string(), message.into());
    }

    /// Whether everything that the text has below this key was read.
    pub(super) fn is_whole(&self, path: &KeyPath) -> bool {
        !self.torn && !self.removed.iter().any(|removed| removed.0.starts_with(&path.0))
    }

    /// Whether the text has a key.
    pub(super) fn is_said(&self, path: &KeyPath) -> bool {
        self.document.get(path).is_some()
    }

    /// Whether a source has a key from `[defaults]`.
    pub(super) fn is_inherited(&self, path: &KeyPath) -> bool {
        self.document.origin(path) != *path
    }

    fn push(&mut self, line: Option<usize>, key: String, message: String) {
        self.problems.push(Problem { file: self.name.to_owned(), line, key, message });
    }

    fn syntax(&mut self, text: &'t str, error: &toml::de::Error) {
        let span = error.span().unwrap_or(0..0);
        let found = text.get(span.clone()).and_then(|found| found.lines().next()).unwrap_or("");
        let found: String = found.trim().chars().take(40).collect();
        let near = if found.is_empty() { String::new() } else { format!(" at `{found}`") };
        let line = self.document.line_of_offset(span.start);
        self.push(Some(line), String::new(), format!("not TOML{near}: {}", error.message()));
    }

    /// Notes `[source]` and `[[format]]`, which would otherwise cause incomprehensible errors.
    fn shapes(&mut self) {
        let DeValue::Table(root) = self.document.root.get_ref() else { return };
        let wrong = root.iter().filter_map(|(key, value)| {
            let key = key.get_ref().as_ref();
            let message = match value.get_ref() {
                DeValue::Table(_) if key == "source" => {
                    "sources are a list; write [[source]], with double brackets".to_owned()
                }
                DeValue::Array(_) if SECTIONS.contains(&key) => {
                    format!("is not a list; write [{key}], with single brackets")
                }
                _ => return None,
            };
            Some((KeyPath::at(key), message))
        });
        for (path, message) in wrong.collect::<Vec<_>>() {
            self.note(&path, message);
            self.take_out(path);
        }
    }

    /// Deserialises the document. It notes and removes each refused part, and retries the rest.
    pub(super) fn values(&mut self) -> Option<Config> {
        self.defaults();
        while self.problems.len() < PROBLEMS_MAX {
            let document = ValueDeserializer::from(self.document.root.clone());
            let error = match Config::deserialize(document) {
                Ok(config) => return Some(self.named(config)),
                Err(error) => error,
            };
            let find = |span: Range<usize>| Some((span.start, self.document.find(&span)?));
            let Some((start, path)) = error.span().and_then(find) else {
                self.push(None, String::new(), error.message().to_owned());
                return None;
            };
            // A field that is missing because it was wrong is already noted.
            if !error.message().starts_with("missing field") || self.is_whole(&path) {
                let line = self.document.line_of_offset(start);
                self.push(Some(line), path.to_string(), in_words(error.message(), path.last_key()));
            }
            self.take_out(path);
        }
        None
    }

    /// Gives each source the valid keys of `[defaults]` that it lacks.
    fn defaults(&mut self) {
        let section = KeyPath::at("defaults");
        let groups = section.clone().key("log_groups");
        if self.document.get(&groups).is_some() {
            self.note(&groups, "each source names its own log groups; write it into [[source]]");
            self.take_out(groups);
        }
        while let Some(defaults) = self.document.get(&section) {
            let Err(error) = Source::deserialize(ValueDeserializer::from(defaults.clone())) else {
                break;
            };
            let find = |span: Range<usize>| Some((span.start, self.document.find(&span)?));
            let Some((start, path)) = error.span().and_then(find) else { break };
            let line = self.document.line_of_offset(start);
            // It is refused here.
            let message = error.message().replacen("`log_groups`, ", "", 1);
            self.push(Some(line), path.to_string(), in_words(&message, path.last_key()));
            self.take_out(path);
        }
        self.document.inherit("defaults", "source");
    }

    /// Adds the name, and the lines of the sources.
    fn named(&self, mut config: Config) -> Config {
        self.name.clone_into(&mut config.name);
        for (index, source) in config.sources.iter_mut().enumerate() {
            source.line = self.document.line(&KeyPath::at("source").index(index));
        }
        config
    }

    fn take_out(&mut self, path: KeyPath) {
        self.document.remove(&path);
        self.removed.push(path);
    }

    /// The configuration, if nothing is wrong. A line with a syntax error is named once, not
    /// again for the keys that it lost.
    pub(super) fn finish(mut self, config: Option<Config>) -> Result<Config, ConfigErrors> {
        // Syntax errors have no key.
        let syntax = self.problems.iter().filter(|problem| problem.key.is_empty());
        let torn: Vec<_> = syntax.map(|problem| problem.line).collect();
        self.problems.retain(|problem| problem.key.is_empty() || !torn.contains(&problem.line));
        self.problems.sort();
        self.problems.dedup();
        config.filter(|_| self.problems.is_empty()).ok_or(ConfigErrors { problems: self.problems })
    }
}

const SECTIONS: [&str; 9] =
    ["defaults", "format", "unmatched", "plain", "seal", "retention", "report", "files", "limits"];

/// Translates serde's message, and adds what to write instead.
fn in_words(message: &str, key: Option<&str>) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let known: Vec<_> = quoted.skip(1).collect();
        return format!("unknown key; {}", suggestion(key.unwrap_or(""), &known, "known here:"));
    }
    if message.starts_with("unknown variant") {
        let unknown = quoted.next().unwrap_or("");
        let suggestion = suggestion(unknown, &quoted.collect::<Vec<_>>(), "write one of");
        return format!("`{unknown}` is not known; {suggestion}");
    }
    if message == "wanted string or table" {
        return "is not a string; write a string in quotes".to_owned();
    }
    let invalid =
        message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match invalid.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, wanted)) => {
            format!("is {found}; write {}", wanted_in_words(wanted, quoted.next()))
        }
        None => message.to_owned(),
    }
}

/// The likely intended name or, if none is similar, all known names.
fn suggestion(unknown: &str, known: &[&str], all: &str) -> String {
    match nearest(unknown, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("{all} {}", known.join(", ")),
    }
}

fn wanted_in_words(wanted: &str, found: Option<&str>) -> String {
    match (wanted, found) {
        ("a string", Some(found)) => format!("a string in quotes: \"{found}\""),
        ("a string", None) => "a string in quotes".to_owned(),
        ("a sequence", _) => "an array: [\"…\"]".to_owned(),
        ("a boolean", _) => "true or false".to_owned(),
        ("u32" | "usize", _) => "a whole number, 0 or more, without quotes".to_owned(),
        _ => wanted.to_owned(),
    }
}
