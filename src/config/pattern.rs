//! Patterns that search messages, and masks that hide parts of them.

use std::borrow::Cow;

use memchr::memmem;
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

/// A regular expression, searched for anywhere in a message without its final line breaks; `\d`,
/// `\w`, `\s` and `(?i)` know ASCII only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    #[cfg_attr(feature = "cli", schemars(skip))]
    regex: Regex,
    /// The text that each match begins with. Most messages lack it, and this search is ten times
    /// faster.
    #[cfg_attr(feature = "cli", schemars(skip))]
    beginning: String,
}

impl Pattern {
    /// The expression as it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a message has a match.
    pub fn matches(&self, message: &str) -> bool {
        self.has_beginning(message) && self.regex.is_match(message)
    }

    /// Whether every message that matches `other` also matches this pattern, by a simple test: the
    /// beginning of `other` matches it, and would in any surrounding text.
    ///
    /// The test misses what depends on more than the beginning of `other`, or on several patterns.
    /// It also misses an `other` with `|` or `(?`, and patterns that match no text at all.
    pub(crate) fn covers(&self, other: &Pattern) -> bool {
        if self == other {
            return true;
        }
        let bounds = ["$", "(?", "\\b", "\\B", "\\A", "\\z", "\\<", "\\>"];
        let is_free = !bounds.iter().any(|bound| self.text.contains(bound))
            && (!self.text.contains('^') || other.text.starts_with('^'));
        is_free && !other.beginning.is_empty() && self.regex.is_match(&other.beginning)
    }

    fn has_beginning(&self, message: &str) -> bool {
        memmem::find(message.as_bytes(), self.beginning.as_bytes()).is_some()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

/// Why a text is not a valid [`Pattern`].
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a valid regular expression: {why}; write a \\ as \\\\, or use '…'")]
pub struct PatternError {
    text: String,
    why: String,
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Pattern, PatternError> {
        match Regex::new(&text) {
            Ok(regex) => Ok(Pattern { beginning: beginning(&text), text, regex }),
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
                Err(PatternError { text, why })
            }
        }
    }
}

/// The text that every match of an expression begins with; empty if it is not obvious.
fn beginning(expression: &str) -> String {
    if expression.contains('|') || expression.contains("(?") {
        return String::new();
    }
    let rest = expression.strip_prefix('^').unwrap_or(expression);
    let is_itself = |c: char| c.is_alphanumeric() || " !\"%&',/:;<=>@_`~".contains(c);
    let end = rest.find(|c| !is_itself(c)).unwrap_or(rest.len());
    let (text, after) = rest.split_at(end);
    match after.chars().next() {
        // The last character may occur zero times.
        Some('*' | '?' | '{') => {
            let last = text.char_indices().next_back().map_or(0, |(at, _)| at);
            text[..last].to_owned()
        }
        _ => text.to_owned(),
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.text
    }
}

/// A mask: each match of `pattern` becomes `with`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table: { pattern = \"…\", with = \"…\" }")]
pub struct Mask {
    /// A regular expression.
    pub(crate) pattern: Pattern,
    /// The replacement; `$1` or `${name}` is what a group matched, `$$` a `$`.
    #[serde(default)]
    pub(crate) with: String,
}

impl Mask {
    /// What is wrong with `with` or `pattern`, and what to write instead.
    pub(crate) fn fault(&self) -> Option<String> {
        let regex = &self.pattern.regex;
        if regex.is_match("") {
            let message = "matches the empty text, so the mask would appear between all characters";
            return Some(format!("{message}; write + instead of *, or a text"));
        }
        let mut rest = self.with.as_str();
        while let Some((_, after)) = rest.split_once('$') {
            if let Some(after) = after.strip_prefix('$') {
                rest = after;
                continue;
            }
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let name = match after.strip_prefix('{').and_then(|after| after.split_once('}')) {
                Some((name, _)) => name,
                None => &after[..after.find(|c| !is_name(c)).unwrap_or(after.len())],
            };
            let is_group = match name.parse::<usize>() {
                Ok(number) => number < regex.captures_len(),
                Err(_) => regex.capture_names().flatten().any(|group| group == name),
            };
            if !name.is_empty() && !is_group {
                let remedy = "write ${1} for the first group, $$ for a $";
                return Some(format!("`${name}` is not a group of the pattern; {remedy}"));
            }
            rest = after;
        }
        None
    }

    /// Replaces each match in a message by `with`.
    pub(crate) fn hide<'m>(&self, message: &'m str) -> Cow<'m, str> {
        match self.pattern.has_beginning(message) {
            true => self.pattern.regex.replace_all(message, &self.with),
            false => Cow::Borrowed(message),
        }
    }
}
