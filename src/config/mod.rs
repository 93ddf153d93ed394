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
    pub fn matches(&self, name: &str) -> bool {
        wildmatch::WildMatch::new(&self.0).matches(name)
    }
}

impl TryFrom<String> for Glob {
    type Error = String;
    fn try_from(text: String) -> Result<Glob, String> {
        Ok(Glob(text))
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
    pub fn file(&self, owner: &str, log_group: &str, log_stream: &str) -> String {
        const KEEP: &percent_encoding::AsciiSet =
            &percent_encoding::NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');
        let part = |part: &str| match part {
            "{owner}" => percent_encoding::utf8_percent_encode(owner, KEEP).to_string(),
            "{log_group}" => percent_encoding::utf8_percent_encode(log_group, KEEP).to_string(),
            "{log_stream}" => percent_encoding::utf8_percent_encode(log_stream, KEEP).to_string(),
            literal => literal.to_owned(),
        };
        self.0.split('/').map(part).collect::<Vec<_>>().join("/")
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

/// TEMP
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigErrors(String);

#[derive(Deserialize, Default)]
#[serde(default)]
struct TempFile {
    timezone: Option<String>,
    source: Vec<TempSource>,
    format: TempFormat,
    unmatched: TempPlain,
    plain: TempPlain,
    limits: TempLimits,
}
#[derive(Deserialize, Default)]
#[serde(default)]
struct TempSource {
    log_groups: Vec<String>,
    log_streams: Option<Vec<String>>,
    file: Option<String>,
    labels: Vec<String>,
    columns: Option<Vec<String>>,
}
#[derive(Deserialize, Default)]
#[serde(default)]
struct TempFormat {
    kind: Kind,
    newline: Newline,
    time: Option<String>,
}
#[derive(Deserialize, Default)]
#[serde(default)]
struct TempPlain {
    file: Option<String>,
    kind: Option<Kind>,
    drop: bool,
}
#[derive(Deserialize, Default)]
#[serde(default)]
struct TempLimits {
    answer_bytes: Option<usize>,
    inflated_bytes: Option<usize>,
}

impl Config {
    /// TEMP
    pub fn source_of(&self, log_group: &str, log_stream: &str) -> Option<usize> {
        self.sources.iter().position(|source| {
            source.log_groups.iter().any(|glob| glob.matches(log_group))
                && source.log_streams.iter().any(|glob| glob.matches(log_stream))
        })
    }
    /// TEMP
    pub fn load(path: &std::path::Path) -> Result<Config, ConfigErrors> {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigErrors(e.to_string()))?;
        Config::parse("file", &text)
    }
    /// TEMP
    pub fn parse(_name: &str, text: &str) -> Result<Config, ConfigErrors> {
        let temp: TempFile = toml::from_str(text).map_err(|e| ConfigErrors(e.to_string()))?;
        let globs = |names: Vec<String>| names.into_iter().map(Glob).collect::<Vec<_>>();
        let column = |text: &String| match text.as_str() {
            "{labels}" => Column::Labels,
            "{time}" => Column::Time,
            "{timestamp}" => Column::Timestamp,
            "{id}" => Column::Id,
            "{log_group}" => Column::LogGroup,
            "{log_stream}" => Column::LogStream,
            "{owner}" => Column::Owner,
            "{filter}" => Column::Filter,
            _ => Column::Message,
        };
        let source = |s: TempSource| Source {
            log_groups: globs(s.log_groups),
            log_streams: globs(s.log_streams.unwrap_or(vec!["*".into()])),
            file: FileTemplate(s.file.unwrap_or("{log_group}".into())),
            labels: s.labels,
            columns: s
                .columns
                .map_or(vec![Column::Labels, Column::Message], |c| c.iter().map(column).collect()),
            filter_pattern: String::new(),
            subscribe: Subscribe::Filter,
        };
        let hour = Duration::from_secs(3600);
        Ok(Config {
            timezone: temp
                .timezone
                .map_or(Ok(Tz::UTC), |t| t.parse())
                .map_err(|e: chrono_tz::ParseError| ConfigErrors(e.to_string()))?,
            sources: temp.source.into_iter().map(source).collect(),
            format: Format {
                kind: temp.format.kind,
                newline: temp.format.newline,
                time: temp.format.time.unwrap_or("%Y-%m-%d %H:%M:%S".into()),
            },
            unmatched: Unmatched {
                file: FileTemplate(temp.unmatched.file.unwrap_or("unmatched/{log_group}".into())),
            },
            plain: Plain {
                file: temp.plain.file.unwrap_or("plain".into()),
                kind: temp.plain.kind.unwrap_or(Kind::Raw),
                drop: temp.plain.drop,
            },
            seal: Seal {
                grace: hour,
                order: Order::Time,
                compress: Compress::None,
                journal_days: 90,
            },
            retention: Retention { days: 0 },
            files: Files { mode: 0o440, dir_mode: 0o750 },
            limits: Limits {
                answer_bytes: temp.limits.answer_bytes.unwrap_or(6_000_000),
                inflated_bytes: temp.limits.inflated_bytes.unwrap_or(64 << 20),
                unit_bytes: 1 << 26,
                buffer_bytes: 1 << 26,
                commit_bytes: 1 << 26,
                parallel: 8,
                lock_wait: hour,
                clock_skew: hour,
                merge_bytes: 1 << 26,
            },
        })
    }
}
