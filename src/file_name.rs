//! The names of daily files: how a template builds one, and which ones land accepts in a row.
//!
//! A *file* is a relative path without its day, e.g. `lambda/%2Faws%2Flambda%2Fapi`. Both sides use
//! one rule, [`check`]. Names from a [`FileTemplate`] always pass it. Land checks again before it
//! accesses the disk, so that no name in a row can leave the root.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode_byte, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::config::Slashes;

/// The most bytes of a path component. File systems allow 255. Temporary names add to it; day,
/// `.late2` and `.sha256` do not, since they are in a component of their own.
pub(crate) const COMPONENT_BYTES_MAX: usize = 200;
/// The most bytes of a file name: far below the 4,096 of a path, whatever the root is.
pub(crate) const FILE_BYTES_MAX: usize = 1_000;
/// The most components of a file name: each is a folder that must be created and synced.
pub(crate) const COMPONENTS_MAX: usize = 8;

/// The bytes of a value that a component keeps; every other byte becomes `%XX`.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');
/// How many bytes of a long encoded value are kept, before `~` and the hash.
const KEPT_BYTES: usize = 160;
/// The component of an empty value. No other value has it: `~` is encoded as `%7E`, and a hash's
/// `~` is never the first byte. (`%00` would be the component of a NUL.)
const EMPTY: &str = "~empty";

/// Why a name or template is not valid for a daily file, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// The name is empty.
    #[error("a file needs a name; write one, e.g. messages")]
    Empty,
    /// The name begins at the root of the file system.
    #[error("`{0}` is absolute; write it relative to the root, without the leading /")]
    Absolute(String),
    /// The path has this many components.
    #[error("the path has {0} components, more than {COMPONENTS_MAX}; write a flatter one")]
    Components(usize),
    /// The path can have this many bytes.
    #[error("the path can reach {0} bytes, more than {FILE_BYTES_MAX}; write a shorter one")]
    Bytes(usize),
    /// A component before, between or after slashes is empty.
    #[error("`{0}` has an empty path component; write single slashes, and no slash at the end")]
    EmptyComponent(String),
    /// The component is hidden, or leads out of the root.
    #[error(
        "`{0}` begins with a dot; hidden names, `.` and `..` are not allowed: write another name"
    )]
    Dot(String),
    /// The component contains a character that is not allowed.
    #[error("`{component}` contains {character:?}; write letters, digits, `.`, `_`, `-` only")]
    Character {
        /// The component.
        component: String,
        /// The first such character.
        character: char,
    },
    /// The component looks like the name of a day file.
    #[error(
        "`{0}` looks like a day file, and day files go below their file's name; write another name"
    )]
    DayFile(String),
    /// The component is too long.
    #[error("`{0}` has more than {COMPONENT_BYTES_MAX} bytes; write a shorter name")]
    ComponentBytes(String),
}

/// Whether `name` can be a daily file's name: a relative path of at most 8 components joined by
/// `/`. Each consists of letters, digits, `.`, `_`, `-`, `%` and `~`. It does not begin with a dot,
/// and does not look like a day file (`2022-04-18`, `2022-04-18.…`).
///
/// Whether a name needs a file where another needs a folder is not checked here: land does that. An
/// error says what to write instead.
pub fn check(name: &str) -> Result<(), FileNameError> {
    check_beginning(name)?;
    check_size(name.split('/').count(), name.len())?;
    for component in name.split('/') {
        check_component(component, name, |c| is_plain(c) || c == '%' || c == '~')?;
    }
    Ok(())
}

/// Whether land would take a name for a day file's: `^\d{4}-\d{2}-\d{2}(\.|$)`.
pub(crate) fn looks_like_a_day_file(name: &str) -> bool {
    let bytes = name.as_bytes();
    let Some((date, rest)) = bytes.split_at_checked(10) else { return false };
    let shaped = date.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    shaped && matches!(rest.first(), None | Some(b'.'))
}

/// The path component for a value. Any value has one, and no two values share one.
///
/// Every byte except letters, digits, `.`, `_`, `-` becomes `%XX`. So does a leading dot, and the
/// first digit of a value that looks like a day file. An empty value becomes `~empty`. A result
/// over 200 bytes becomes its first 160 bytes (no `%XX` is split), `~`, and the 32 hexadecimal
/// digits of the value's XXH3-128 hash. (Two such values share one with probability 2⁻¹²⁸.)
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

/// A daily file's name with `{log_group}`, `{log_stream}`, `{owner}` and captures; the text between
/// them consists of letters, digits, `.`, `_`, `-`.
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

/// The values of a [`FileTemplate`]'s placeholders.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// `{owner}`
    pub owner: &'a str,
    /// `{log_group}`
    pub log_group: &'a str,
    /// `{log_stream}`
    pub log_stream: &'a str,
    /// The captures with their names.
    pub captures: &'a [(String, String)],
}

impl FileTemplate {
    /// The file of an event; [`component`] encodes each component. It always passes [`check`].
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
            // A name with too many slashes gets no folders.
            return self.parts.iter().map(encoded).collect::<Vec<_>>().join("/");
        }
        file
    }

    /// The name, if it has no placeholder: every event goes into this file.
    pub(crate) fn literal(&self) -> Option<&str> {
        let mut pieces = self.parts.iter().flatten();
        pieces.all(|piece| matches!(piece, Piece::Literal(_))).then_some(&self.text)
    }

    /// Whether each log stream gets day files of its own.
    pub(crate) fn uses_log_stream(&self) -> bool {
        self.parts.iter().flatten().any(|piece| *piece == Piece::LogStream)
    }

    /// The names of the captures that it uses.
    pub(crate) fn captures(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flatten().filter_map(|piece| match piece {
            Piece::Capture(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The length of the longest possible name in bytes.
    fn bytes_max(&self) -> usize {
        let slashes = self.parts.len().saturating_sub(1);
        let parts = self.parts.iter().map(|part| match part.as_slice() {
            [Piece::Literal(literal)] => literal.len(),
            _ => COMPONENT_BYTES_MAX,
        });
        parts.sum::<usize>() + slashes
    }
}

/// A component with its placeholders replaced.
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
    // The fixed text must follow the rule for names. Here a placeholder counts as one letter.
    let shape =
        |piece: &Piece| if let Piece::Literal(text) = piece { text } else { "x" }.to_owned();
    check_component(&pieces.iter().map(shape).collect::<String>(), whole, is_plain)?;
    Ok(pieces)
}

/// The text before the first placeholder, the placeholder's name, and the text after it.
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
