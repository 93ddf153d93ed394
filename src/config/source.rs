//! `[[source]]`: which events go into which file, what their lines are made of, and what is left
//! out or hidden.

use memchr::memmem;
use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use crate::config::problem::nearest;
use crate::config::{Config, Format, Glob, Newline, value};
use crate::file_name::FileTemplate;
use crate::row::Kind;

/// Which log groups and streams go into which file, with which labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(extend("required" = ["log_groups"])))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Source {
    /// Its line in the file, for messages.
    #[serde(skip)]
    pub line: Option<usize>,
    /// Names or globs; at least one. Required. `*` is any text, also `/`; `?` one character;
    /// `{team}` a capture: as little as possible without `/`, for `file`, `labels` and `columns`.
    #[cfg_attr(feature = "cli", schemars(length(min = 1)))]
    pub(crate) log_groups: Vec<Glob>,
    /// Names or globs of log groups that are not this source's, although `log_groups` match them.
    pub(crate) exclude: Vec<Glob>,
    /// Names or globs; all of them by default.
    pub(crate) log_streams: Vec<Glob>,
    /// Which daily file: a relative path, in which `{log_group}`, `{log_stream}`, `{owner}` and
    /// captures may stand.
    pub file: FileTemplate,
    /// What `/` in a name becomes where `file` has `{log_group}` or `{log_stream}`.
    pub(crate) slashes: Slashes,
    /// Fixed values for `{labels}`: each is a field of its own in front of every line. Captures may
    /// stand in them.
    pub labels: Vec<String>,
    /// What a line is made of, in this order.
    pub columns: Vec<Column>,
    /// Where its day files differ from `[format]`.
    pub(crate) format: SourceFormat,
    /// Whether colours and other ANSI escape sequences are taken out of messages.
    pub(crate) strip_ansi: bool,
    /// Events whose message matches one of these regular expressions are left out.
    pub(crate) drop: Vec<Pattern>,
    /// Of the others only events whose message matches one of these; all of them where there is
    /// none.
    pub(crate) keep: Vec<Pattern>,
    /// What is hidden in messages.
    pub(crate) mask: Vec<Mask>,
    /// The subscription filter's pattern, at most 1,024 characters; empty: every event.
    pub(crate) filter_pattern: String,
    /// Who makes the subscription.
    pub subscribe: Subscribe,
}

impl Source {
    /// The log groups that are named, without globs.
    pub fn named_log_groups(&self) -> impl Iterator<Item = &str> {
        self.log_groups.iter().filter(|group| group.is_name()).map(Glob::as_str)
    }

    /// The globs that match a log group and stream: the first of each.
    pub(crate) fn matching(&self, log_group: &str, log_stream: &str) -> Option<[&Glob; 2]> {
        let first = |globs: &'_ [Glob], name: &str| globs.iter().position(|one| one.matches(name));
        let group = first(&self.log_groups, log_group)?;
        let stream = first(&self.log_streams, log_stream)?;
        let is_excluded = first(&self.exclude, log_group).is_some();
        (!is_excluded).then(|| [&self.log_groups[group], &self.log_streams[stream]])
    }

    /// What its captures take of a log group and stream that it matches.
    pub(crate) fn captures(&self, log_group: &str, log_stream: &str) -> Vec<(String, String)> {
        let Some([group, stream]) = self.matching(log_group, log_stream) else { return Vec::new() };
        let mut captures = group.captures(log_group);
        captures.extend(stream.captures(log_stream));
        captures
    }

    /// Whether every log group and stream that it matches gives a value to a capture.
    pub(crate) fn has_capture(&self, name: &str) -> bool {
        let all = |globs: &[Glob]| {
            !globs.is_empty()
                && globs.iter().all(|glob| glob.capture_names().any(|one| one == name))
        };
        all(&self.log_groups) || all(&self.log_streams)
    }

    /// How its lines are made, `[format]` included.
    pub(crate) fn format(&self, config: &Config) -> Format {
        let (own, all) = (&self.format, &config.format);
        Format {
            kind: own.kind.unwrap_or(all.kind),
            newline: own.newline.unwrap_or(all.newline),
            escape_backslash: own.escape_backslash.unwrap_or(all.escape_backslash),
            time: own.time.as_ref().unwrap_or(&all.time).clone(),
        }
    }
}

/// Where the day files of a source differ from `[format]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct SourceFormat {
    /// The kind of its day files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Kind>,
    /// What a line break inside a message becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) newline: Option<Newline>,
    /// Whether a `\` becomes two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) escape_backslash: Option<bool>,
    /// strftime pattern of `{time}`, local time.
    #[serde(
        deserialize_with = "value::read_optional_strftime",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) time: Option<String>,
}

impl SourceFormat {
    /// That which says all of it.
    pub(crate) fn of(format: &Format) -> SourceFormat {
        let Format { kind, newline, escape_backslash, time } = format;
        SourceFormat {
            kind: Some(*kind),
            newline: Some(*newline),
            escape_backslash: Some(*escape_backslash),
            time: Some(time.clone()),
        }
    }
}

/// What `/` in a name becomes in the path of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Slashes {
    /// `%2F`: two names never give the same file.
    #[default]
    Encode,
    /// Folders: `/aws/lambda/api` becomes `aws/lambda/api`.
    Folders,
    /// `_`: `/aws/lambda/api` becomes `aws_lambda_api`.
    Underscore,
}

/// One placeholder of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Column {
    /// `{labels}`: all labels, each a field of its own.
    Labels,
    /// `{message}`; of a day file of kind json an object, if it is one.
    Message,
    /// `{time}`: local time in `format.time`.
    Time,
    /// `{timestamp}`: milliseconds since the epoch.
    Timestamp,
    /// `{id}`
    Id,
    /// `{log_group}`
    LogGroup,
    /// `{log_stream}`
    LogStream,
    /// `{owner}`
    Owner,
    /// `{account}`: where the event was logged, if it says so (`@aws.account`), else the owner.
    Account,
    /// `{region}`: where the event was logged, if it says so (`@aws.region`), else `AWS_REGION`.
    Region,
    /// `{filter}`: the subscription filters' names, joined by a comma.
    Filter,
    /// `{json.a.b}`: what a JSON message has there; empty where it has nothing, or is not JSON.
    Json(Vec<String>),
    /// `{team}`: what a capture of this name takes.
    Capture(String),
}

/// The columns of every source.
const COLUMNS: [(&str, Column); 11] = [
    ("{labels}", Column::Labels),
    ("{message}", Column::Message),
    ("{time}", Column::Time),
    ("{timestamp}", Column::Timestamp),
    ("{id}", Column::Id),
    ("{log_group}", Column::LogGroup),
    ("{log_stream}", Column::LogStream),
    ("{owner}", Column::Owner),
    ("{account}", Column::Account),
    ("{region}", Column::Region),
    ("{filter}", Column::Filter),
];

impl Column {
    /// As it is written.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        COLUMNS.iter().map(|(name, _)| *name)
    }

    /// Whether no capture may have a name.
    pub(crate) fn is_reserved(name: &str) -> bool {
        let inner = |(column, _): &(&str, Column)| column[1..column.len() - 1] == *name;
        name == "json" || COLUMNS.iter().any(inner)
    }
}

/// A text that is not a column.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a column; {remedy}")]
pub struct ColumnError {
    text: String,
    remedy: String,
}

impl TryFrom<String> for Column {
    type Error = ColumnError;

    fn try_from(text: String) -> Result<Column, ColumnError> {
        if let Some((_, column)) = COLUMNS.iter().find(|(name, _)| *name == text) {
            return Ok(column.clone());
        }
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let column = inner.and_then(|inner| match inner.strip_prefix("json.") {
            Some(path) => {
                let keys: Vec<String> = path.split('.').map(str::to_owned).collect();
                let is_path = !path.contains(['{', '}']) && keys.iter().all(|key| !key.is_empty());
                is_path.then_some(Column::Json(keys))
            }
            None => {
                let is_name = !inner.is_empty() && !inner.contains(['{', '}', '.']);
                is_name.then(|| Column::Capture(inner.to_owned()))
            }
        });
        column.ok_or_else(|| {
            let held = Column::names().find(|column| text.contains(column));
            let remedy = match held.or_else(|| nearest(&text, Column::names())) {
                Some(meant) => format!("did you mean {meant}?"),
                None => {
                    let all: Vec<_> = Column::names().collect();
                    let all = all.join(", ");
                    format!("write one of {all}, {{json.KEY}}, or a capture of log_groups")
                }
            };
            ColumnError { text, remedy }
        })
    }
}

impl From<Column> for String {
    fn from(column: Column) -> String {
        match &column {
            Column::Json(keys) => format!("{{json.{}}}", keys.join(".")),
            Column::Capture(name) => format!("{{{name}}}"),
            column => {
                let found = COLUMNS.iter().find(|(_, one)| one == column);
                found.map_or_else(String::new, |(name, _)| (*name).to_owned())
            }
        }
    }
}

#[cfg(feature = "cli")]
impl schemars::JsonSchema for Column {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Column".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "One placeholder of a line: one of these, `{json.KEY.KEY}` of a JSON message, or a capture of `log_groups` or `log_streams`.",
            "type": "string",
            "anyOf": [
                { "enum": Column::names().collect::<Vec<_>>() },
                { "pattern": "^\\{json(\\.[^.{}]+)+\\}$" },
                { "pattern": "^\\{[a-z][a-z0-9_]*\\}$" },
            ],
        })
    }
}

/// Who makes the subscription of a source's log groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Subscribe {
    /// CDK makes a subscription filter for each named log group.
    #[default]
    Filter,
    /// CDK makes one account policy.
    Account,
    /// Nothing is made.
    Manual,
}

/// A regular expression that is looked for anywhere in a message, without the line breaks at its
/// end; `\d`, `\w`, `\s` and `(?i)` know ASCII only.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    #[cfg_attr(feature = "cli", schemars(skip))]
    regex: Regex,
    /// What it begins with: most messages lack it, and that is found ten times faster.
    #[cfg_attr(feature = "cli", schemars(skip))]
    beginning: String,
}

impl Pattern {
    /// As it is written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a message has a match.
    pub fn matches(&self, message: &str) -> bool {
        self.has_beginning(message) && self.regex.is_match(message)
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
#[error("`{text}` is not a valid regular expression: {why}; a \\ is written \\\\, or use '…'")]
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

/// The text that every match of an expression begins with; empty where that takes more than a look.
fn beginning(expression: &str) -> String {
    if expression.contains('|') || expression.contains("(?") {
        return String::new();
    }
    let rest = expression.strip_prefix('^').unwrap_or(expression);
    let is_itself = |c: char| c.is_alphanumeric() || " !\"%&',/:;<=>@_`~".contains(c);
    let end = rest.find(|c| !is_itself(c)).unwrap_or(rest.len());
    let (text, after) = rest.split_at(end);
    match after.chars().next() {
        // The last character may be there never.
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

/// What is hidden: each match of `pattern` becomes `with`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table: { pattern = \"…\", with = \"…\" }")]
pub struct Mask {
    /// A regular expression.
    pub(crate) pattern: Pattern,
    /// What takes its place; `$1` or `${name}` is what a group matched, `$$` a `$`.
    #[serde(default)]
    pub(crate) with: String,
}

impl Mask {
    /// What is wrong with `with` or `pattern`, and what to write instead.
    pub(crate) fn fault(&self) -> Option<String> {
        let regex = &self.pattern.regex;
        if regex.is_match("") {
            let message = "matches the empty text, so it would stand between all characters";
            return Some(format!("{message}; write + in place of *, or a text"));
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

    /// Puts `with` into a message's place of each match.
    pub(crate) fn hide<'m>(&self, message: &'m str) -> std::borrow::Cow<'m, str> {
        match self.pattern.has_beginning(message) {
            true => self.pattern.regex.replace_all(message, &self.with),
            false => std::borrow::Cow::Borrowed(message),
        }
    }
}

/// The schema of a source without `log_groups`.
#[cfg(feature = "cli")]
pub(super) fn defaults_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = <Source as schemars::JsonSchema>::json_schema(generator);
    schema.remove("required");
    if let Some(properties) = schema.get_mut("properties").and_then(|node| node.as_object_mut()) {
        properties.remove("log_groups");
    }
    schema
}
