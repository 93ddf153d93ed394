//! Values of the configuration that parse themselves from strings, each with an error that says
//! what to write instead.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::format::{Item, StrftimeItems};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use wildmatch::WildMatch;

use crate::config::problem::nearest;
use crate::file_name::{FileNameError, FileTemplate};

/// A name or a glob: `*` is any text, also with `/` and also none; `?` is one character. Everything
/// else is itself, also `[` and `{`: log streams are called `2022/04/18/[$LATEST]0123…`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    text: String,
    /// `None`: a name, compared as it is.
    #[cfg_attr(feature = "cli", schemars(skip))]
    wild: Option<WildMatch>,
}

/// Characters of the longest log group or log stream name that CloudWatch allows.
const NAME_CHARACTERS_MAX: usize = 512;

impl Glob {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        match &self.wild {
            None => self.text == name,
            Some(wild) => wild.matches(name),
        }
    }

    /// Whether it is a plain name, without `*` and `?`.
    pub(crate) fn is_name(&self) -> bool {
        self.wild.is_none()
    }

    /// Whether it is certain that every name that matches `other` matches this one.
    ///
    /// `true` is always right. `false` may be wrong for entangled globs (`*a` and `?*a` is seen,
    /// `?*` and `*a` is not): a rule that is never reached may go unnoticed, never the reverse.
    pub fn covers(&self, other: &Glob) -> bool {
        match (&self.wild, &other.wild) {
            (_, None) => self.matches(&other.text),
            (None, Some(_)) => false,
            (Some(_), Some(_)) => covers(&canonical(&self.text), &canonical(&other.text)),
        }
    }
}

/// `*?*` and `?*?` say "at least …": the same set is always written with its `?` first, one `*`
/// last.
fn canonical(glob: &str) -> Vec<char> {
    let symbols: Vec<char> = glob.chars().collect();
    let is_wild = |symbol: &char| matches!(symbol, '*' | '?');
    let runs = symbols.chunk_by(|one, next| is_wild(one) && is_wild(next));
    let star_last = |run: &[char]| {
        let star = run.contains(&'*').then_some('*');
        run.iter().copied().filter(|symbol| *symbol != '*').chain(star).collect::<Vec<_>>()
    };
    runs.flat_map(star_last).collect()
}

/// Matches `glob` against `text`, which is a glob itself: its `*` is matched by `*` only, its `?`
/// by `?` or `*`.
fn covers(glob: &[char], text: &[char]) -> bool {
    // reached[n]: what was read of `glob` so far can cover the first n symbols of `text`.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for symbol in glob {
        if *symbol == '*' {
            let first = reached.iter().position(|reached| *reached).unwrap_or(reached.len());
            reached[first..].fill(true);
            continue;
        }
        let mut next = vec![false; text.len() + 1];
        for (at, one) in text.iter().enumerate() {
            let matched = *one != '*' && (symbol == one || *symbol == '?');
            next[at + 1] = reached[at] && matched;
        }
        reached = next;
    }
    reached[text.len()]
}

/// Why a text is no [`Glob`], and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// No text at all.
    #[error("an empty name matches nothing; write a name, or * for every one")]
    Empty,
    /// So many characters.
    #[error(
        "{0} characters; names of CloudWatch Logs have at most {NAME_CHARACTERS_MAX}: write it shorter, with *"
    )]
    Characters(usize),
}

impl TryFrom<String> for Glob {
    type Error = GlobError;

    fn try_from(text: String) -> Result<Glob, GlobError> {
        match text.chars().count() {
            0 => Err(GlobError::Empty),
            1..=NAME_CHARACTERS_MAX => {
                let wild = text.contains(['*', '?']).then(|| WildMatch::new(&text));
                Ok(Glob { text, wild })
            }
            characters => Err(GlobError::Characters(characters)),
        }
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> String {
        glob.text
    }
}

impl std::str::FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Glob, GlobError> {
        Glob::try_from(text.to_owned())
    }
}

/// Why a text is not the value that its key wants, and what to write instead.
#[derive(Debug, thiserror::Error)]
enum ValueError {
    #[error("`{text}` is not an IANA time zone name; {remedy}")]
    Zone { text: String, remedy: String },
    #[error(
        "`{text}` is not a valid duration ({source}); write a number and a unit, e.g. 30s, 5m or 1h"
    )]
    Duration { text: String, source: humantime::DurationError },
    #[error("`{0}` is not a file mode; write octal digits up to 0777, e.g. \"0440\"")]
    Mode(String),
    #[error("an empty pattern gives no time; write e.g. %Y-%m-%d %H:%M:%S")]
    EmptyPattern,
    #[error("`{0}` is not a valid strftime pattern; write e.g. %Y-%m-%d %H:%M:%S, and %% for a %")]
    Pattern(String),
    #[error("the pattern gives a line break; a line is one line: write a space")]
    LineBreak,
    #[error("no time can be written by `{0}`; write e.g. %Y-%m-%d %H:%M:%S%z")]
    ReadOnly(String),
    #[error(transparent)]
    FileName(#[from] FileNameError),
    #[error("plain records have no log group, stream or owner; write a name without {{…}}")]
    NotLiteral,
}

/// A value that is written as a string.
fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(String) -> Result<T, ValueError>,
) -> Result<T, D::Error> {
    parse(String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Abbreviations of time zones that people write, and what they most likely mean.
const ABBREVIATIONS: &[(&str, &str)] = &[
    ("JST", "Asia/Tokyo"),
    ("Japan", "Asia/Tokyo"),
    ("KST", "Asia/Seoul"),
    ("IST", "Asia/Kolkata"),
    ("SGT", "Asia/Singapore"),
    ("BST", "Europe/London"),
    ("CEST", "Europe/Berlin"),
    ("EDT", "America/New_York"),
    ("CDT", "America/Chicago"),
    ("MDT", "America/Denver"),
    ("PST", "America/Los_Angeles"),
    ("PDT", "America/Los_Angeles"),
    ("AEST", "Australia/Sydney"),
    ("Z", "UTC"),
];

pub(super) fn write_zone<S: Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(zone.name())
}

/// An IANA time zone name.
pub(super) fn read_zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
    parsed(deserializer, |text| {
        let meant = ABBREVIATIONS.iter().find(|(short, _)| short.eq_ignore_ascii_case(&text));
        let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        let remedy = match (meant, text.parse()) {
            (Some((_, name)), _) => format!("write {name}"),
            (None, Ok(zone)) => return Ok(zone),
            (None, Err(_)) => match nearest(&text, names) {
                Some(name) => format!("did you mean {name}?"),
                None => "write one such as Asia/Tokyo or UTC".to_owned(),
            },
        };
        Err(ValueError::Zone { text, remedy })
    })
}

pub(super) fn write_duration<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

/// A duration such as `1h` or `2m 30s`.
pub(super) fn read_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    parsed(deserializer, |text| {
        humantime::parse_duration(&text).map_err(|source| ValueError::Duration { text, source })
    })
}

pub(super) fn write_mode<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

/// A file mode as octal digits, e.g. `0440`.
pub(super) fn read_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    parsed(deserializer, |text| {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let mode = octal.then(|| u32::from_str_radix(&text, 8).ok()).flatten();
        mode.filter(|mode| *mode <= 0o777).ok_or(ValueError::Mode(text))
    })
}

/// A strftime pattern that gives one line.
pub(super) fn read_strftime<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    parsed(deserializer, |text| check_strftime(&text).map(|()| text))
}

fn check_strftime(text: &str) -> Result<(), ValueError> {
    if text.is_empty() {
        return Err(ValueError::EmptyPattern);
    }
    for item in StrftimeItems::new(text) {
        let literal = match &item {
            Item::Error => return Err(ValueError::Pattern(text.to_owned())),
            Item::Literal(literal) | Item::Space(literal) => literal,
            Item::OwnedLiteral(literal) | Item::OwnedSpace(literal) => &**literal,
            Item::Numeric(..) | Item::Fixed(_) => "",
        };
        if literal.contains(['\n', '\r', '\0']) {
            return Err(ValueError::LineBreak);
        }
    }
    // Some patterns, e.g. %#z, can be read by and not be written by.
    let mut time = String::new();
    write!(time, "{}", chrono::DateTime::UNIX_EPOCH.format(text))
        .map_err(|_| ValueError::ReadOnly(text.to_owned()))
}

/// A daily file's name without placeholders.
pub(super) fn read_literal_file<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    parsed(deserializer, |text| {
        let template = FileTemplate::try_from(text)?;
        template.literal().map(str::to_owned).ok_or(ValueError::NotLiteral)
    })
}
