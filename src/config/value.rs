//! Parsers for the string values of the configuration. Each error says what to write instead.

use std::fmt::Write as _;
use std::time::Duration;

use chrono::format::{Item, StrftimeItems};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

use crate::config::problem::nearest;
use crate::file_name::{FileNameError, FileTemplate};

/// Why a text is not a valid value for its key, and what to write instead.
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
    #[error("the pattern produces a line break; write a space instead")]
    LineBreak,
    #[error("`{0}` can parse times but not write them; write e.g. %Y-%m-%d %H:%M:%S%z")]
    ReadOnly(String),
    #[error(transparent)]
    FileName(#[from] FileNameError),
    #[error("plain records have no log group, stream or owner; write a name without {{…}}")]
    NotLiteral,
}

/// Parses a value that is written as a string.
fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(String) -> Result<T, ValueError>,
) -> Result<T, D::Error> {
    parse(String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Common abbreviations of time zones, and their most likely meanings.
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

/// Reads an IANA time zone name.
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

/// Reads a duration such as `1h` or `2m 30s`.
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

/// Reads a file mode in octal digits, e.g. `0440`.
pub(super) fn read_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    parsed(deserializer, |text| {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let mode = octal.then(|| u32::from_str_radix(&text, 8).ok()).flatten();
        mode.filter(|mode| *mode <= 0o777).ok_or(ValueError::Mode(text))
    })
}

/// Reads a strftime pattern whose output is one line.
pub(super) fn read_strftime<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    parsed(deserializer, |text| check_strftime(&text).map(|()| text))
}

/// The same for an optional key.
pub(super) fn read_optional_strftime<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    read_strftime(deserializer).map(Some)
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
    // Some patterns, e.g. %#z, can parse times but not write them.
    let mut time = String::new();
    write!(time, "{}", chrono::DateTime::UNIX_EPOCH.format(text))
        .map_err(|_| ValueError::ReadOnly(text.to_owned()))
}

/// Reads a daily file's name without placeholders.
pub(super) fn read_literal_file<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    parsed(deserializer, |text| {
        let template = FileTemplate::try_from(text)?;
        template.literal().map(str::to_owned).ok_or(ValueError::NotLiteral)
    })
}
