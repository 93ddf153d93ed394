//! `hiwake.toml` → checked [`Config`].

use chrono_tz::Tz;
use serde::Deserialize;
use std::time::Duration;

use crate::row::Kind;

/// The whole configuration. Every field has a default but the sources' log groups.
#[derive(Debug, Clone)]
pub struct Config {
    /// Day boundaries and `{time}`.
    pub timezone: Tz,
    /// The rules; the first that matches wins. `[[source]]` in the file.
    pub sources: Vec<Source>,
    /// How lines are made.
    pub format: Format,
    /// Events that no source matches.
    pub unmatched: Unmatched,
    /// Records that are no envelope.
    pub plain: Plain,
    /// When and how days are sealed.
    pub seal: Seal,
    /// How long sealed files are kept.
    pub retention: Retention,
    /// File modes.
    pub files: Files,
    /// A limit on everything.
    pub limits: Limits,
}

/// Which log groups and streams go into which file, with which labels.
#[derive(Debug, Clone)]
pub struct Source {
    /// Names or globs (`*` any text, also `/`; `?` one character); at least one.
    pub log_groups: Vec<Glob>,
    /// Names or globs; default `*`.
    pub log_streams: Vec<Glob>,
    /// Which daily file.
    pub file: FileTemplate,
    /// Fixed values for `{labels}`.
    pub labels: Vec<String>,
    /// What a line is made of.
    pub columns: Vec<Column>,
    /// The subscription filter's pattern.
    pub filter_pattern: String,
    /// Who subscribes.
    pub subscribe: Subscribe,
}

/// A name or a glob.
#[derive(Debug, Clone)]
pub struct Glob(String);

impl Glob {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Whether the whole name matches.
    pub fn matches(&self, _name: &str) -> bool {
        false
    }
}

/// A daily file's name with `{log_group}`, `{log_stream}`, `{owner}`, each alone in its path component.
#[derive(Debug, Clone)]
pub struct FileTemplate(String);

impl FileTemplate {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The file of an event: each component percent-encoded and shortened as design.md section 3 says.
    pub fn file(&self, _owner: &str, _log_group: &str, _log_stream: &str) -> String {
        String::new()
    }
}

/// One placeholder of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// `{labels}`: all labels, each a field of its own.
    Labels,
    /// `{message}`
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
    /// `{filter}`: the subscription filters' names, joined by a comma.
    Filter,
}

/// Who makes the subscription of a source's log groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
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

/// `[format]`
#[derive(Debug, Clone)]
pub struct Format {
    /// The kind of all day files but the plain ones.
    pub kind: Kind,
    /// What a line break inside a message becomes.
    pub newline: Newline,
    /// strftime pattern of `{time}`.
    pub time: String,
}

/// What a line break (CRLF, LF or CR) inside a message becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
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
#[derive(Debug, Clone)]
pub struct Unmatched {
    /// Where the events go that no source matches.
    pub file: FileTemplate,
}

/// `[plain]`
#[derive(Debug, Clone)]
pub struct Plain {
    /// A literal name.
    pub file: String,
    /// Its own format.
    pub kind: Kind,
    /// Drop plain records instead.
    pub drop: bool,
}

/// `[seal]`
#[derive(Debug, Clone)]
pub struct Seal {
    /// How long after midnight, and after its last commit, a day stays open.
    pub grace: Duration,
    /// Order of the lines.
    pub order: Order,
    /// Compression of sealed files.
    pub compress: Compress,
    /// How long a sealed day can still be replayed into.
    pub journal_days: u32,
}

/// Order of the lines of a sealed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Merged by timestamp.
    #[default]
    Time,
    /// As appended.
    Arrival,
}

/// Compression of sealed files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compress {
    /// As it is.
    #[default]
    None,
    /// `.gz`
    Gzip,
}

/// `[retention]`
#[derive(Debug, Clone)]
pub struct Retention {
    /// Sealed files of days older than this are removed; 0: never.
    pub days: u32,
}

/// `[files]`
#[derive(Debug, Clone)]
pub struct Files {
    /// Mode of sealed files.
    pub mode: u32,
    /// Mode of folders.
    pub dir_mode: u32,
}

/// `[limits]`: every limit, its default, its reason.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one Firehose answer as it is sent: Lambda refuses more than 6 MB (6,291,556 bytes).
    pub answer_bytes: usize,
    /// Bytes that one record may inflate to: a bomb is refused. CloudWatch sends up to 1 MB of gzip, 257 : 1 was measured.
    pub inflated_bytes: usize,
    /// Bytes of one unit (a JSON value or a line) of an object.
    pub unit_bytes: usize,
    /// Bytes of rows that land holds in memory before it commits them.
    pub buffer_bytes: usize,
    /// Bytes of lines in one commit: a larger batch is committed in pieces.
    pub commit_bytes: usize,
    /// Day files that are landed or sealed at once; each has 3 files open.
    pub parallel: usize,
    /// How long land waits for a day file's lock before it reports "busy".
    pub lock_wait: Duration,
    /// How far the machine's clock may be off the file system's before seal refuses.
    pub clock_skew: Duration,
    /// Bytes of memory for the merge of one day file.
    pub merge_bytes: usize,
}
