//! `hiwake.toml` → checked [`Config`]; also the only reader of the environment.
//!
//! The types below are what the file says, word for word: the JSON Schema, the defaults and the
//! checked values come from the same definitions. [`Config::load`] reports everything that is wrong
//! at once (`read.rs`: syntax, keys and values; `check.rs`: what they mean together).

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

/// The whole configuration. Every field has a default but the sources' log groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "the keys of hiwake.toml")]
pub struct Config {
    /// The name it was read under, for messages.
    #[serde(skip)]
    pub name: String,
    /// `{region}` of events that do not say theirs: not of the file, of the environment.
    #[serde(skip)]
    pub region: String,
    /// Where a day begins and ends, and `{time}`: an IANA name such as `Asia/Tokyo` or `UTC`.
    #[serde(serialize_with = "value::write_zone", deserialize_with = "value::read_zone")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub timezone: Tz,
    /// What holds for every source that does not say otherwise: the keys of a source, but
    /// `log_groups`.
    #[serde(skip_serializing)]
    #[cfg_attr(feature = "cli", schemars(schema_with = "source::defaults_schema"))]
    pub defaults: Source,
    /// The rules; the first that matches wins. `[[source]]` in the file.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// How lines are made.
    pub format: Format,
    /// Events that no source matches.
    pub unmatched: Unmatched,
    /// Records that are not an envelope.
    pub plain: Plain,
    /// When and how days are sealed.
    pub seal: Seal,
    /// How long sealed files are kept.
    pub retention: Retention,
    /// A page that shows the day files.
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
    /// The kind of all day files but the plain ones.
    pub(crate) kind: Kind,
    /// What a line break inside a message becomes.
    pub newline: Newline,
    /// Whether a `\` becomes two, so that the text `\n` and an escaped line break can be told
    /// apart. Not for json, which does so in any case.
    pub escape_backslash: bool,
    /// strftime pattern of `{time}`, local time.
    #[serde(deserialize_with = "value::read_strftime")]
    pub(crate) time: String,
}

/// What a line break (CRLF, LF or CR) inside a message becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Newline {
    /// The two characters `\n`.
    #[default]
    Escape,
    /// One space.
    Space,
    /// Kept as it is; csv only.
    Keep,
}

/// `[unmatched]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Unmatched {
    /// Where the events go that no source matches.
    pub(crate) file: FileTemplate,
}

/// `[plain]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Plain {
    /// The daily file that they go to: no placeholders, since plain text has no log group.
    #[serde(deserialize_with = "value::read_literal_file")]
    pub(crate) file: String,
    /// Its own format: `raw` is the text as it came.
    pub kind: Kind,
    /// Drop plain records instead.
    pub drop: bool,
}

/// `[seal]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Seal {
    /// How long after midnight, and after its last commit, a day stays open; at most 7 days.
    #[serde(serialize_with = "value::write_duration", deserialize_with = "value::read_duration")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub grace: Duration,
    /// Order of the lines.
    pub order: Order,
    /// Compression of sealed files.
    pub compress: Compress,
    /// Whether each `file` without a placeholder gets an empty file with its checksum for a day
    /// without an event, if any object was delivered that day: for jobs that wait for yesterday's
    /// `.sha256`.
    pub empty_days: bool,
    /// How many days a sealed day can still be replayed into without doubling. The CDK app keeps
    /// the backup longer than that.
    pub journal_days: u32,
}

/// Order of the lines of a sealed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Merged by timestamp.
    #[default]
    Time,
    /// As appended.
    Arrival,
}

/// Compression of sealed files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Compress {
    /// As it is.
    #[default]
    None,
    /// `.gz`
    Gzip,
    /// `.zst`: a quarter of gzip's work for the same size.
    Zstd,
}

impl Compress {
    /// What a name has behind it.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Compress::None => "",
            Compress::Gzip => ".gz",
            Compress::Zstd => ".zst",
        }
    }

    /// That of a name, and the name without it.
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
    /// As they are: `.open`
    #[default]
    Plain,
    /// Each commit is a zstd frame: `.zst.open`, for `zstdcat`.
    Compressed,
}

impl Form {
    /// Each of them.
    pub(crate) const ALL: [Form; 2] = [Form::Plain, Form::Compressed];

    /// What its bytes are.
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
    /// Sealed files of days older than this are removed; 0: never.
    pub days: u32,
}

/// `[report]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Report {
    /// Whether a round of sealing that changed something also writes `@report.html` beside the
    /// files: the page of `hiwake report`.
    pub write: bool,
    /// The language that the page begins with; it has both.
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
    /// Mode of sealed files, octal: nobody may write them. Open ones are writable by their owner
    /// only.
    #[serde(serialize_with = "value::write_mode", deserialize_with = "value::read_mode")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub mode: u32,
    /// Mode of folders, octal.
    #[serde(serialize_with = "value::write_mode", deserialize_with = "value::read_mode")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub dir_mode: u32,
    /// How the lines of a day that has not ended are stored; a change holds from a day file's next
    /// segment on.
    pub open: Form,
}

/// Bytes of the largest answer that a Lambda can give: one more fails the call, and with it the
/// batch.
pub(crate) const ANSWER_BYTES_MAX: usize = 6_291_556;

/// `[limits]`: every limit, its default, its reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Limits {
    /// Bytes of one Firehose answer as it is sent: Lambda refuses more than 6 MB (6,291,556 bytes),
    /// and with it the whole batch. The margin is for what the runtime adds.
    pub answer_bytes: usize,
    /// Bytes that one record may inflate to: a gzip bomb is refused, not inflated. CloudWatch sends
    /// up to 1 MB of gzip; logs that repeat themselves were measured at 257 : 1.
    pub inflated_bytes: usize,
    /// Bytes of one unit (a JSON value or a line) of an object: an event of 1 MB can grow sixfold
    /// by JSON's escapes; what is larger is quarantined.
    pub unit_bytes: usize,
    /// Bytes of rows that land holds in memory before it commits them: keeps memory bounded
    /// whatever the object's size.
    pub buffer_bytes: usize,
    /// Bytes of lines in one commit; more is committed in pieces, so that a crash repeats little.
    pub commit_bytes: usize,
    /// Day files that are landed or sealed at once. Each has 3 files open, and a Lambda has 1,024
    /// descriptors.
    pub parallel: usize,
    /// How long land waits for a day file's lock before it reports "busy", which is tried again:
    /// well inside the invocation's time.
    #[serde(serialize_with = "value::write_duration", deserialize_with = "value::read_duration")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub lock_wait: Duration,
    /// How far the machine's clock may be off the file system's before seal refuses: a wrong clock
    /// would seal a day that is not over.
    #[serde(serialize_with = "value::write_duration", deserialize_with = "value::read_duration")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub clock_skew: Duration,
    /// Bytes of memory for the merge of one day file, which runs over its commits.
    pub merge_bytes: usize,
    /// How long before its arrival an event may be stamped; one that is older is refused, since its
    /// timestamp is mostly not in milliseconds. CloudWatch Logs takes none older than 14 days.
    #[serde(serialize_with = "value::write_duration", deserialize_with = "value::read_duration")]
    #[cfg_attr(feature = "cli", schemars(with = "String"))]
    pub event_age: Duration,
    /// How long after its arrival an event may be stamped; CloudWatch Logs takes none more than 2
    /// hours ahead.
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
