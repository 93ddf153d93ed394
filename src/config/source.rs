//! `[[source]]`: which events go into which file, and how they are changed on the way.

use serde::{Deserialize, Serialize};

use crate::config::{Column, Config, Format, Glob, Mask, Newline, Pattern, value};
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
    /// Names or globs: `*` is any text, `?` one character, `{team}` a capture without `/`.
    #[cfg_attr(feature = "cli", schemars(length(min = 1)))]
    pub(crate) log_groups: Vec<Glob>,
    /// Names or globs of log groups that it leaves to other sources.
    pub(crate) exclude: Vec<Glob>,
    /// Names or globs.
    pub(crate) log_streams: Vec<Glob>,
    /// Path of the daily file, with `{log_group}`, `{log_stream}`, `{owner}` and captures.
    pub file: FileTemplate,
    /// What a `/` in `{log_group}` or `{log_stream}` becomes.
    pub(crate) slashes: Slashes,
    /// Fixed fields in front of every line, with captures.
    pub labels: Vec<String>,
    /// The parts of a line.
    pub columns: Vec<Column>,
    /// Differences from `[format]`.
    pub(crate) format: SourceFormat,
    /// Removes colours and other escape sequences of terminals.
    pub(crate) strip_ansi: bool,
    /// Leaves out messages that match one of these regular expressions.
    pub(crate) drop: Vec<Pattern>,
    /// Keeps only messages that match one of these.
    pub(crate) keep: Vec<Pattern>,
    /// Replaces what matches a `pattern` by `with`.
    pub(crate) mask: Vec<Mask>,
    /// The pattern of the subscription filter, at most 1,024 characters.
    pub(crate) filter_pattern: String,
    /// Who subscribes the log groups.
    pub subscribe: Subscribe,
}

impl Source {
    /// The log groups that are plain names, not globs.
    pub fn named_log_groups(&self) -> impl Iterator<Item = &str> {
        self.log_groups.iter().filter(|group| group.is_name()).map(Glob::as_str)
    }

    /// The first glob that matches the log group, and the first that matches the stream.
    pub(crate) fn matching(&self, log_group: &str, log_stream: &str) -> Option<[&Glob; 2]> {
        let first = |globs: &'_ [Glob], name: &str| globs.iter().position(|one| one.matches(name));
        let group = first(&self.log_groups, log_group)?;
        let stream = first(&self.log_streams, log_stream)?;
        let is_excluded = first(&self.exclude, log_group).is_some();
        (!is_excluded).then(|| [&self.log_groups[group], &self.log_streams[stream]])
    }

    /// The values of its captures for a log group and stream that it matches.
    pub(crate) fn captures(&self, log_group: &str, log_stream: &str) -> Vec<(String, String)> {
        let Some([group, stream]) = self.matching(log_group, log_stream) else { return Vec::new() };
        let mut captures = group.captures(log_group);
        captures.extend(stream.captures(log_stream));
        captures
    }

    /// Whether a capture has a value for every log group and stream that the source matches.
    pub(crate) fn has_capture(&self, name: &str) -> bool {
        let all = |globs: &[Glob]| {
            !globs.is_empty()
                && globs.iter().all(|glob| glob.capture_names().any(|one| one == name))
        };
        all(&self.log_groups) || all(&self.log_streams)
    }

    /// The format of its lines, with `[format]` as the default.
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
    /// The differences that set every key of a format.
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
    /// `%2F`, unique for each name.
    #[default]
    Encode,
    /// A folder.
    Folders,
    /// `_`.
    Underscore,
}

/// Who subscribes a source's log groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Subscribe {
    /// CDK, by a filter for each named log group.
    #[default]
    Filter,
    /// CDK, by one account policy.
    Account,
    /// You.
    Manual,
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
