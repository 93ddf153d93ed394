//! Names of daily files: what a template makes of a log group, and what land accepts from a row.
//!
//! A *file* is a relative path without its day, e.g. `lambda/%2Faws%2Flambda%2Fapi`. Both ends obey
//! one rule, [`check`]: what a [`FileTemplate`] gives always passes it, and land checks it
//! again before it touches the disk, so that no name in a row can leave the root.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode_byte, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::config::Slashes;

/// Bytes of one path component. File systems allow 255; day, `.late2` and `.sha256` never come on
/// top (they are a component of their own), temporary names do.
pub(crate) const COMPONENT_BYTES_MAX: usize = 200;
/// Bytes of a whole file name: far below the 4,096 of a path, whatever the root is.
pub(crate) const FILE_BYTES_MAX: usize = 1_000;
/// Path components of a file name: each is a folder that must be made and synced.
pub(crate) const COMPONENTS_MAX: usize = 8;

/// What stays as it is in a component made from a value; every other byte becomes `%XX`.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');
/// How much of an encoded value is kept in front of `~` and the hash when it is too long.
const KEPT_BYTES: usize = 160;
/// The component of an empty value. No other value gives it: `~` is encoded as `%7E` everywhere,
/// and the `~` in front of a hash never comes first. (`%00` would be that of a NUL.)
const EMPTY: &str = "~empty";

/// Why a name or template is not valid for a daily file, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// No text at all.
    #[error("a file needs a name; write one, e.g. messages")]
    Empty,
    /// This name begins at the root of the file system.
    #[error("`{0}` is absolute; write it relative to the root, without the leading /")]
    Absolute(String),
    /// So many path components.
    #[error("the path has {0} components, more than {COMPONENTS_MAX}; write a flatter one")]
    Components(usize),
    /// So many bytes, at the most.
    #[error("the path can reach {0} bytes, more than {FILE_BYTES_MAX}; write a shorter one")]
    Bytes(usize),
    /// This name has nothing before, between or after slashes.
    #[error("`{0}` has an empty path component; write single slashes, and none at the end")]
    EmptyComponent(String),
    /// This component is hidden, or leads out of the root.
    #[error(
        "`{0}` begins with a dot; hidden names, `.` and `..` are not allowed: write another name"
    )]
    Dot(String),
    /// A character that no file name has.
    #[error("`{component}` holds {character:?}; write letters, digits, `.`, `_`, `-` only")]
    Character {
        /// Where it is.
        component: String,
        /// The first one.
        character: char,
    },
    /// Land would take this component for a day file's name.
    #[error(
        "`{0}` looks like a day file, and day files go below their file's name; write another name"
    )]
    DayFile(String),
    /// This component is too long.
    #[error("`{0}` has more than {COMPONENT_BYTES_MAX} bytes; write a shorter name")]
    ComponentBytes(String),
}

/// Whether `name` can be the name of a daily file: a relative path of at most 8 components joined
/// by `/`, each of letters, digits, `.`, `_`, `-`, `%`, `~`, without a leading dot and not like a
/// day file (`2022-04-18`, `2022-04-18.…`).
///
/// Says nothing about whether another name collides with it as another kind: land sees to that. An
/// error says what to write instead.
pub fn check(name: &str) -> Result<(), FileNameError> {
    check_beginning(name)?;
    check_size(name.split('/').count(), name.len())?;
    for component in name.split('/') {
        check_component(component, name, |c| is_plain(c) || c == '%' || c == '~')?;
    }
    Ok(())
}

/// Whether land would take a name for that of a day file: `^\d{4}-\d{2}-\d{2}(\.|$)`.
pub(crate) fn looks_like_a_day_file(name: &str) -> bool {
    let bytes = name.as_bytes();
    let Some((date, rest)) = bytes.split_at_checked(10) else { return false };
    let shaped = date.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    shaped && matches!(rest.first(), None | Some(b'.'))
}

/// The path component of a value, whatever the value holds; two values never give the same one.
///
/// Every byte but letters, digits, `.`, `_`, `-` becomes `%XX`; so does a leading dot, and the
/// first digit of a value that looks like a day file. An empty value becomes `~empty`. What is
/// longer than 200 bytes then becomes its first 160 bytes (no `%XX` is cut), `~`, and the 32
/// hexadecimal digits of the XXH3-128 hash of the value (so "never" is up to a chance of 2⁻¹²⁸).
pub fn component(value: &str) -> String {
    if value.is_empty() {
        return EMPTY.to_owned();
    }
    let mut encoded = String::with_capacity(value.len() + 16);
    let mut rest = value;
    if value.starts_with('.') || looks_like_a_day_file(value) {
        encoded.push_str(percent_encode_byte(value.as_bytes()[0]));
        rest = &value[1..];
    }
    encoded.extend(utf8_percent_encode(rest, KEPT));
    if encoded.len() > COMPONENT_BYTES_MAX {
        shorten(&mut encoded, value);
    }
    encoded
}

fn shorten(encoded: &mut String, value: &str) {
    let tail = &encoded.as_bytes()[KEPT_BYTES - 2..KEPT_BYTES];
    let cut = match tail {
        [b'%', _] => KEPT_BYTES - 2,
        [_, b'%'] => KEPT_BYTES - 1,
        _ => KEPT_BYTES,
    };
    encoded.truncate(cut);
    encoded.push_str(&format!("~{:032x}", xxh3_128(value.as_bytes())));
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

fn check_beginning(name: &str) -> Result<(), FileNameError> {
    match name.bytes().next() {
        None => Err(FileNameError::Empty),
        Some(b'/') => Err(FileNameError::Absolute(name.to_owned())),
        Some(_) => Ok(()),
    }
}

fn check_size(components: usize, bytes: usize) -> Result<(), FileNameError> {
    if components > COMPONENTS_MAX {
        return Err(FileNameError::Components(components));
    }
    if bytes > FILE_BYTES_MAX {
        return Err(FileNameError::Bytes(bytes));
    }
    Ok(())
}

fn check_component(
    component: &str,
    whole: &str,
    allowed: impl Fn(char) -> bool,
) -> Result<(), FileNameError> {
    let named = || component.to_owned();
    if component.is_empty() {
        return Err(FileNameError::EmptyComponent(whole.to_owned()));
    }
    if component.starts_with('.') {
        return Err(FileNameError::Dot(named()));
    }
    if let Some(character) = component.chars().find(|c| !allowed(*c)) {
        return Err(FileNameError::Character { component: named(), character });
    }
    if looks_like_a_day_file(component) {
        return Err(FileNameError::DayFile(named()));
    }
    if component.len() > COMPONENT_BYTES_MAX {
        return Err(FileNameError::ComponentBytes(named()));
    }
    Ok(())
}

/// A daily file's name with `{log_group}`, `{log_stream}`, `{owner}` and captures; what is between
/// them is of letters, digits, `.`, `_`, `-`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct FileTemplate {
    text: String,
    /// The pieces of each path component.
    #[cfg_attr(feature = "cli", schemars(skip))]
    parts: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    LogGroup,
    LogStream,
    Owner,
    Capture(String),
}

/// What the placeholders of a [`FileTemplate`] stand for.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// `{owner}`
    pub owner: &'a str,
    /// `{log_group}`
    pub log_group: &'a str,
    /// `{log_stream}`
    pub log_stream: &'a str,
    /// Captures by their names.
    pub captures: &'a [(String, String)],
}

impl FileTemplate {
    /// The file of an event: each component through [`component`]. Always passes [`check`].
    pub fn file(&self, names: &Names<'_>, slashes: Slashes) -> String {
        let encoded = |part: &Vec<Piece>| component(&text(part, names, Slashes::Encode));
        let components = self.parts.iter().flat_map(|part| {
            let text = text(part, names, slashes);
            match slashes {
                Slashes::Encode | Slashes::Underscore => vec![component(&text)],
                Slashes::Folders if text.trim_matches('/').is_empty() => vec![component(&text)],
                Slashes::Folders => {
                    text.split('/').filter(|one| !one.is_empty()).map(component).collect()
                }
            }
        });
        let components: Vec<String> = components.collect();
        let file = components.join("/");
        if check_size(components.len(), file.len()).is_err() {
            // A name with so many slashes has to do without folders.
            return self.parts.iter().map(encoded).collect::<Vec<_>>().join("/");
        }
        file
    }

    /// The name, when it holds no placeholder: every event goes into this one file.
    pub(crate) fn literal(&self) -> Option<&str> {
        let mut pieces = self.parts.iter().flatten();
        pieces.all(|piece| matches!(piece, Piece::Literal(_))).then_some(&self.text)
    }

    /// Whether each log stream gets day files of its own.
    pub(crate) fn uses_log_stream(&self) -> bool {
        self.parts.iter().flatten().any(|piece| *piece == Piece::LogStream)
    }

    /// The captures that it needs.
    pub(crate) fn captures(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flatten().filter_map(|piece| match piece {
            Piece::Capture(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Bytes of the longest name that can come out.
    fn bytes_max(&self) -> usize {
        let slashes = self.parts.len().saturating_sub(1);
        let parts = self.parts.iter().map(|part| match part.as_slice() {
            [Piece::Literal(literal)] => literal.len(),
            _ => COMPONENT_BYTES_MAX,
        });
        parts.sum::<usize>() + slashes
    }
}

/// A component with what its placeholders stand for.
fn text(part: &[Piece], names: &Names<'_>, slashes: Slashes) -> String {
    let capture = |wanted: &str| names.captures.iter().find(|(name, _)| name == wanted);
    let value = |value: &str| match (value.trim_matches('/'), slashes) {
        ("", _) | (_, Slashes::Encode) => value.to_owned(),
        (inner, Slashes::Folders) => inner.to_owned(),
        (inner, Slashes::Underscore) => inner.replace('/', "_"),
    };
    let piece = |piece: &Piece| match piece {
        Piece::Literal(literal) => literal.clone(),
        Piece::LogGroup => value(names.log_group),
        Piece::LogStream => value(names.log_stream),
        Piece::Owner => names.owner.to_owned(),
        Piece::Capture(wanted) => capture(wanted).map(|(_, text)| text.clone()).unwrap_or_default(),
    };
    part.iter().map(piece).collect()
}

fn part(component: &str, whole: &str) -> Result<Vec<Piece>, FileNameError> {
    let (mut pieces, mut rest) = (Vec::new(), component);
    while let Some((literal, name, after)) = placeholder(rest) {
        pieces.extend((!literal.is_empty()).then(|| Piece::Literal(literal.to_owned())));
        pieces.push(match name {
            "log_group" => Piece::LogGroup,
            "log_stream" => Piece::LogStream,
            "owner" => Piece::Owner,
            capture => Piece::Capture(capture.to_owned()),
        });
        rest = after;
    }
    pieces.extend((!rest.is_empty()).then(|| Piece::Literal(rest.to_owned())));
    // What is fixed in it must be as in a name; a placeholder stands for one letter here.
    let shape =
        |piece: &Piece| if let Piece::Literal(text) = piece { text } else { "x" }.to_owned();
    check_component(&pieces.iter().map(shape).collect::<String>(), whole, is_plain)?;
    Ok(pieces)
}

/// What comes before the first placeholder, its name, and what comes after it.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let (literal, rest) = text.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (is_name && !name.is_empty()).then_some((literal, name, after))
}

impl TryFrom<String> for FileTemplate {
    type Error = FileNameError;

    fn try_from(text: String) -> Result<FileTemplate, FileNameError> {
        check_beginning(&text)?;
        let parts = text.split('/').map(|component| part(component, &text));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let template = FileTemplate { text, parts };
        check_size(template.parts.len(), template.bytes_max())?;
        Ok(template)
    }
}

impl From<FileTemplate> for String {
    fn from(template: FileTemplate) -> String {
        template.text
    }
}
