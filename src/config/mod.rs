//! `hiwake.toml` → checked [`Config`]. Also the only code that reads the environment.
//!
//! The types below mirror the file: the JSON Schema, the defaults and the checked values come from
//! the same definitions. [`Config::load`] reports all problems at once (`read.rs`: syntax, keys and
//! values; `check.rs`: values that do not fit together).

mod check;
mod column;
mod default;
mod env;
mod explain;
mod glob;
mod pattern;
mod place;
mod problem;
mod read;
mod reader;
mod source;
mod value;

use std::time::Duration;

use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::row::Kind;

pub(crate) use crate::file_name::FileTemplate;
pub use column::Column;
pub use env::{
    ENVIRONMENT, EnvError, LOG_LEVEL, PIPELINE, Variable, root_from_env, state_folder_from_env,
};
pub(crate) use explain::To;
pub use explain::{Explanation, Fate, Tested, Tried, explain};
pub use glob::{Glob, GlobError};
pub use pattern::{Mask, Pattern};
pub use problem::{ConfigErrors, Problem};
pub use source::{Slashes, Source, SourceFormat, Subscribe};

/// The whole configuration. Every field except the sources' log groups has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "the keys of hiwake.toml")]
pub struct Config {
    /// The name of the file, for messages.
    #[serde(skip)]
    pub name: String,
    /// `{region}` of events that do not name their region; from the environment, not the file.
    #[serde(skip)]
    pub region: String,
    /// Time zone of days and of `{time}`, an IANA name.
    #[serde(serialize_with = "value::write_zone", deserialize_with = "value::read_zone")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub timezone: Tz,
    /// Keys of `[[source]]` for every source that does not set them.
    #[serde(skip_serializing)]
    #[cfg_attr(feature = "cli", schemars(schema_with = "source::defaults_schema"))]
    pub defaults: Source,
    /// The rules: the first that matches wins.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// How lines are formatted.
    pub format: Format,
    /// Events that no source matches.
    pub unmatched: Unmatched,
    /// Records that are not envelopes.
    pub plain: Plain,
    /// When and how days are sealed.
    pub seal: Seal,
    /// How long sealed files are kept.
    pub retention: Retention,
    /// The page of `hiwake report`.
    pub report: Report,
    /// File modes.
    pub files: Files,
    /// A limit on everything.
    pub limits: Limits,
}

/// `[format]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Format {
    /// The kind of all day files except `[plain]`.
    pub(crate) kind: Kind,
    /// What a line break inside a message becomes.
    pub newline: Newline,
    /// Doubles each `\`, as json always does.
    pub escape_backslash: bool,
    /// strftime pattern of `{time}`.
    #[serde(deserialize_with = "value::read_strftime")]
    pub(crate) time: String,
}

/// What a line break (CRLF, LF or CR) inside a message becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Newline {
    /// `\n`.
    #[default]
    Escape,
    /// One space.
    Space,
    /// Unchanged; csv only.
    Keep,
}

/// `[unmatched]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Unmatched {
    /// Their daily file.
    pub(crate) file: FileTemplate,
}

/// `[plain]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Plain {
    /// Their daily file, without placeholders.
    #[serde(deserialize_with = "value::read_literal_file")]
    pub(crate) file: String,
    /// Their kind; `raw` keeps the text unchanged.
    pub kind: Kind,
    /// Drops them.
    pub drop: bool,
}

/// `[seal]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Seal {
    /// Wait after midnight and the last commit; at most 7 days.
    #[serde(serialize_with = "value::write_duration", deserialize_with = "value::read_duration")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub grace: Duration,
    /// Order of the lines.
    pub order: Order,
    /// Compression of sealed files.
    pub compress: Compress,
    /// On a day with a delivery, seals an empty file for each `file` without placeholders that has
    /// no lines.
    pub empty_days: bool,
    /// Days for which replays into a sealed day make no duplicates.
    pub journal_days: u32,
}

/// Order of the lines of a sealed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// By timestamp.
    #[default]
    Time,
    /// By arrival.
    Arrival,
}

/// Compression of sealed files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Compress {
    /// Uncompressed.
    #[default]
    None,
    /// `.gz`
    Gzip,
    /// `.zst`, with a quarter of gzip's CPU.
    Zstd,
}

impl Compress {
    /// The suffix of a file name.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Compress::None => "",
            Compress::Gzip => ".gz",
            Compress::Zstd => ".zst",
        }
    }

    /// The compression that a file name's suffix shows, and the name without the suffix.
    pub(crate) fn of(name: &str) -> (Compress, &str) {
        let all = [Compress::Gzip, Compress::Zstd];
        let found = all.into_iter().find_map(|one| Some((one, name.strip_suffix(one.suffix())?)));
        found.unwrap_or((Compress::None, name))
    }
}

/// How the lines of a day that has not ended are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Uncompressed: `.open`.
    #[default]
    Plain,
    /// zstd frames: `.zst.open`.
    Compressed,
}

impl Form {
    /// All forms.
    pub(crate) const ALL: [Form; 2] = [Form::Plain, Form::Compressed];

    /// The compression of its bytes.
    pub(crate) fn compress(self) -> Compress {
        match self {
            Form::Plain => Compress::None,
            Form::Compressed => Compress::Zstd,
        }
    }
}

/// `[retention]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Retention {
    /// Removes sealed files of older days; 0: never.
    pub days: u32,
}

/// `[report]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Report {
    /// Writes `@report.html` beside the files once a day, and when sealing or a fault changes it.
    pub write: bool,
    /// The first language of the page.
    pub language: Language,
}

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema, clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Japanese.
    Ja,
}

/// `[files]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Files {
    /// Octal mode of sealed files.
    #[serde(serialize_with = "value::write_mode", deserialize_with = "value::read_mode")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub mode: u32,
    /// Octal mode of folders.
    #[serde(serialize_with = "value::write_mode", deserialize_with = "value::read_mode")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub dir_mode: u32,
    /// How open days are stored, from the next segment on.
    pub open: Form,
}

/// Bytes of the largest answer that a Lambda can give: one more fails the call, and so the batch.
pub(crate) const ANSWER_BYTES_MAX: usize = 6_291_556;

/// `[limits]`: every limit, its default, its reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Limits {
    /// Bytes of an answer to Firehose: Lambda refuses more than 6,291,556.
    pub answer_bytes: usize,
    /// Bytes of an inflated record: stops gzip bombs; logs inflate up to 257 times.
    pub inflated_bytes: usize,
    /// Bytes of a JSON value or line of an object: 1 MB can grow sixfold by escapes.
    pub unit_bytes: usize,
    /// Bytes of rows that land holds in memory.
    pub buffer_bytes: usize,
    /// Bytes of lines in one commit: a crash repeats at most these.
    pub commit_bytes: usize,
    /// Day files at once, with 3 of Lambda's 1,024 descriptors each.
    pub parallel: usize,
    /// Wait for a day file's lock, before a retry.
    #[serde(serialize_with = "value::write_duration", deserialize_with = "value::read_duration")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub lock_wait: Duration,
    /// Most that the clock may differ from the file system's: a wrong one seals too early.
    #[serde(serialize_with = "value::write_duration", deserialize_with = "value::read_duration")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub clock_skew: Duration,
    /// Bytes of memory to merge one day file.
    pub merge_bytes: usize,
    /// How old an arriving event may be: older timestamps are mostly in seconds.
    #[serde(serialize_with = "value::write_duration", deserialize_with = "value::read_duration")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub event_age: Duration,
    /// How far ahead an arriving event may be: CloudWatch Logs takes 2 hours.
    #[serde(serialize_with = "value::write_duration", deserialize_with = "value::read_duration")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub event_ahead: Duration,
}

/// The JSON Schema of `hiwake.toml`, for editors and for the CDK app.
#[cfg(feature = "cli")]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Config);
    schema.insert("title".to_owned(), "hiwake.toml".into());
    schema.to_value()
}
