//! Which source takes a log group and stream, and why the others do not.

use serde::Serialize;

use crate::config::{Config, Glob, Source};
use crate::row::Kind;

/// What becomes of the events of one log group and stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Every source, in the order in which they are tried.
    pub tried: Vec<Tried>,
    /// The source that wins, counted from 1; `None`: `[unmatched]`.
    pub winner: Option<usize>,
    /// The file that its events go to.
    pub file: String,
    /// The kind of its day files.
    pub(crate) kind: Kind,
}

/// One source and its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tried {
    /// Counted from 1.
    pub source: usize,
    /// Its line in `hiwake.toml`.
    pub line: Option<usize>,
    /// What came of it.
    pub outcome: Fate,
    /// The same in words.
    pub reason: String,
}

/// What came of trying a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is the first that matches.
    Wins,
    /// It matches too, but an earlier one won.
    TooLate,
    /// None of its log groups matches.
    OtherLogGroup,
    /// A log group matches, but none of its log streams.
    OtherLogStream,
}

impl Config {
    /// The first source that matches, by its index in [`Config::sources`].
    ///
    /// The one place where a source is chosen: transform, the command line and tests all ask here.
    pub fn source_of(&self, log_group: &str, log_stream: &str) -> Option<usize> {
        self.sources.iter().position(|source| {
            first(&source.log_groups, log_group).is_some()
                && first(&source.log_streams, log_stream).is_some()
        })
    }
}

/// Tries every source on a log group and stream.
pub fn explain(config: &Config, owner: &str, log_group: &str, log_stream: &str) -> Explanation {
    let winner = config.source_of(log_group, log_stream);
    // `earlier` is the source that won before.
    let outcome = |source: &Source, earlier: Option<usize>| {
        let Some(group) = first(&source.log_groups, log_group).map(Glob::as_str) else {
            let globs = list(&source.log_groups);
            return (Fate::OtherLogGroup, format!("none of its log groups matches: {globs}"));
        };
        let Some(stream) = first(&source.log_streams, log_stream).map(Glob::as_str) else {
            let globs = list(&source.log_streams);
            let why = format!("but none of its log streams the log stream: {globs}");
            return (Fate::OtherLogStream, format!("{group} matches the log group, {why}"));
        };
        let by = format!("{group} matches the log group, {stream} the log stream");
        match earlier.map(|earlier| earlier + 1) {
            Some(earlier) => (Fate::TooLate, format!("{by}; but source[{earlier}] came first")),
            None => (Fate::Wins, by),
        }
    };
    let tried = config.sources.iter().enumerate().map(|(index, source)| {
        let earlier = winner.filter(|winner| *winner < index);
        let (outcome, reason) = outcome(source, earlier);
        Tried { source: index + 1, line: source.line, outcome, reason }
    });
    let template = match winner {
        Some(index) => &config.sources[index].file,
        None => &config.unmatched.file,
    };
    Explanation {
        tried: tried.collect(),
        winner: winner.map(|index| index + 1),
        file: template.file(owner, log_group, log_stream),
        kind: config.format.kind,
    }
}

fn first<'g>(globs: &'g [Glob], name: &str) -> Option<&'g Glob> {
    globs.iter().find(|glob| glob.matches(name))
}

fn list(globs: &[Glob]) -> String {
    let globs: Vec<_> = globs.iter().map(Glob::as_str).collect();
    globs.join(", ")
}
