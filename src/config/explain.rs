//! Explains which source takes a log group and stream, and why the others do not.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::config::{Config, Glob, Slashes, Source, SourceFormat};
use crate::file_name::Names;
use crate::row::Kind;

/// What happens to the events of one log group and stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Every source: the winner, then the others in the order in which they are tried.
    pub tried: Vec<Tried>,
    /// The winning source, counted from 1; `None`: `[unmatched]`.
    pub winner: Option<usize>,
    /// The file that the events go into.
    pub file: String,
    /// The kind of its day files.
    pub(crate) kind: Kind,
    /// Whether a day without an event gets an empty file.
    pub empty_days: bool,
    /// The values of its captures.
    pub captures: BTreeMap<String, String>,
    /// The keys of the source that differ from their defaults.
    pub rules: BTreeMap<String, String>,
}

/// One source and its result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tried {
    /// Counted from 1.
    pub source: usize,
    /// Its line in `hiwake.toml`.
    pub line: Option<usize>,
    /// The outcome.
    pub outcome: Fate,
    /// The reason in words.
    pub reason: String,
}

/// The outcome of trying a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is the first match.
    Wins,
    /// It also matches, but an earlier one won.
    TooLate,
    /// None of its log groups matches.
    OtherLogGroup,
    /// A log group matches, but none of its log streams.
    OtherLogStream,
}

impl Config {
    /// The first source that matches, by its index in [`Config::sources`].
    ///
    /// The only place that chooses a source: transform, the command line and the tests call it.
    pub fn source_of(&self, log_group: &str, log_stream: &str) -> Option<usize> {
        self.sources.iter().position(|source| source.matching(log_group, log_stream).is_some())
    }

    /// Where the events of a log group and stream go.
    pub(crate) fn destination(&self, owner: &str, log_group: &str, log_stream: &str) -> To {
        let source = self.source_of(log_group, log_stream);
        let (template, slashes, kind, captures) = match source.map(|index| &self.sources[index]) {
            Some(source) => {
                let captures = source.captures(log_group, log_stream);
                (&source.file, source.slashes, source.format(self).kind, captures)
            }
            None => (&self.unmatched.file, Slashes::Encode, self.format.kind, Vec::new()),
        };
        let names = Names { owner, log_group, log_stream, captures: &captures };
        To { source, file: template.file(&names, slashes), kind, captures }
    }
}

/// Where events go.
pub(crate) struct To {
    /// The index of their source; `None`: `[unmatched]`.
    pub(crate) source: Option<usize>,
    /// The file.
    pub(crate) file: String,
    /// Its kind.
    pub(crate) kind: Kind,
    /// The values of its globs' captures.
    pub(crate) captures: Vec<(String, String)>,
}

/// Tries every source on a log group and stream.
pub fn explain(config: &Config, owner: &str, log_group: &str, log_stream: &str) -> Explanation {
    let To { source: winner, file, kind, captures } =
        config.destination(owner, log_group, log_stream);
    // `earlier` is the source that won before.
    let outcome = |source: &Source, earlier: Option<usize>| {
        let Some(group) = first(&source.log_groups, log_group).map(Glob::as_str) else {
            let globs = list(&source.log_groups);
            return (Fate::OtherLogGroup, format!("none of its log groups matches: {globs}"));
        };
        if let Some(glob) = first(&source.exclude, log_group).map(Glob::as_str) {
            let why = format!("{group} matches the log group, but exclude has {glob}");
            return (Fate::OtherLogGroup, why);
        }
        let Some(stream) = first(&source.log_streams, log_stream).map(Glob::as_str) else {
            let globs = list(&source.log_streams);
            let why = format!("but none of its log streams matches: {globs}");
            return (Fate::OtherLogStream, format!("{group} matches the log group, {why}"));
        };
        let by = format!("{group} matches the log group, {stream} the log stream");
        match earlier.map(|earlier| earlier + 1) {
            Some(earlier) => (Fate::TooLate, format!("{by}; but source[{earlier}] comes first")),
            None => (Fate::Wins, by),
        }
    };
    let tried = config.sources.iter().enumerate().map(|(index, source)| {
        let earlier = winner.filter(|winner| *winner < index);
        let (outcome, reason) = outcome(source, earlier);
        Tried { source: index + 1, line: source.line, outcome, reason }
    });
    // The winner first, the others in the order in which they are tried.
    let mut tried: Vec<Tried> = tried.collect();
    tried.sort_by_key(|tried| tried.outcome != Fate::Wins);
    let rules = winner.map(|winner| rules(config, &config.sources[winner])).unwrap_or_default();
    let captures = captures.into_iter().collect();
    let template = winner.map_or(&config.unmatched.file, |winner| &config.sources[winner].file);
    let empty_days = config.seal.empty_days && template.literal().is_some();
    let winner = winner.map(|index| index + 1);
    Explanation { tried, winner, file, kind, empty_days, captures, rules }
}

/// A pattern of `drop` or `keep`, tried on a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tested {
    /// `drop` or `keep`.
    pub key: &'static str,
    /// Counted from 1.
    pub number: usize,
    /// The pattern as it is written.
    pub pattern: String,
    /// Whether the message has a match.
    pub matches: bool,
    /// Whether it decides what happens to the event.
    pub decides: bool,
}

impl Explanation {
    /// Tests the patterns on a message: first the one that decides, then the others in the order in
    /// which they are tried.
    pub fn patterns(&self, config: &Config, message: &str) -> Vec<Tested> {
        let Some(source) = self.winner.map(|winner| &config.sources[winner - 1]) else {
            return Vec::new();
        };
        let message = source.searched(message);
        let both = [("drop", &source.drop), ("keep", &source.keep)];
        let mut all: Vec<Tested> = both
            .into_iter()
            .flat_map(|(key, patterns)| patterns.iter().zip(1..).map(move |one| (key, one)))
            .map(|(key, (pattern, number))| {
                let (matches, pattern) = (pattern.matches(&message), pattern.as_str().to_owned());
                Tested { key, number, pattern, matches, decides: false }
            })
            .collect();
        // `drop` wins over `keep`.
        if let Some(at) = all.iter().position(|one| one.matches) {
            all[at].decides = true;
            all[..=at].rotate_right(1);
        }
        all
    }
}

/// The keys of a source that differ from their defaults, as they would be written.
fn rules(config: &Config, source: &Source) -> BTreeMap<String, String> {
    let all = |source: &Source| {
        let format = source.format(config);
        let own = Source { line: None, format: SourceFormat::default(), ..source.clone() };
        let mut all: BTreeMap<String, serde_json::Value> = [
            ("format.kind", json!(format.kind)),
            ("format.newline", json!(format.newline)),
            ("format.escape_backslash", json!(format.escape_backslash)),
            ("format.time", json!(format.time)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if let Ok(serde_json::Value::Object(own)) = serde_json::to_value(own) {
            all.extend(own);
        }
        all
    };
    let (own, default) = (all(source), Config::default());
    let default = Source { format: SourceFormat::of(&default.format), ..Source::default() };
    let default = all(&default);
    let shown = own.into_iter().filter(|(key, value)| {
        !matches!(key.as_str(), "log_groups" | "log_streams" | "file" | "format")
            && default.get(key) != Some(value)
    });
    shown.map(|(key, value)| (key, value.to_string())).collect()
}

fn first<'g>(globs: &'g [Glob], name: &str) -> Option<&'g Glob> {
    globs.iter().find(|glob| glob.matches(name))
}

fn list(globs: &[Glob]) -> String {
    let globs: Vec<_> = globs.iter().map(Glob::as_str).collect();
    globs.join(", ")
}
