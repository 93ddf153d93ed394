//! Problems of a configuration: what is wrong, where, and what to write instead.

use std::fmt;

use strsim::osa_distance;

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The configuration's name as given, e.g. `hiwake.toml`.
    pub(crate) file: String,
    /// Its line, from 1; `None` if there is none, e.g. because the file is missing.
    pub line: Option<usize>,
    /// The key's path, e.g. `source[2].log_groups`; sources are counted from 1. May be empty.
    pub key: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Everything that is wrong with a configuration, in the order of its lines; at least one problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct ConfigErrors {
    /// The problems.
    pub problems: Vec<Problem>,
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The candidate that `text` most likely misspells, ignoring case, if any is similar enough.
pub(super) fn nearest<'a>(text: &str, all: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = (text.chars().count() / 3).clamp(1, 3);
    let distance = |one: &str| osa_distance(&text.to_lowercase(), &one.to_lowercase());
    let found = all.map(|one| (distance(one), one)).filter(|(distance, _)| *distance <= near);
    found.min_by_key(|(distance, _)| *distance).map(|(_, one)| one)
}
