//! Names and globs of log groups and log streams, and the values of their captures.

use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use crate::config::Column;

/// A name or a glob: `*` is any text, even empty or with `/`; `?` is one character; `{team}` is a
/// capture: one or more characters without `/`, as few as possible from the left. Everything else
/// is literal, also `[` and `{`: log streams have names like `2022/04/18/[$LATEST]0123…`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    text: String,
    /// `None`: a plain name, compared literally.
    #[cfg_attr(feature = "cli", schemars(skip))]
    wild: Option<Wild>,
}

#[derive(Debug, Clone)]
enum Wild {
    Glob(WildMatch),
    /// Each capture is a group with its name.
    Captures(Regex),
}

/// One piece of a glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    /// `*`
    Any,
    /// `?`
    One,
    /// `{name}`
    Capture(&'t str),
}

/// Characters of the longest log group or log stream name that CloudWatch allows.
const NAME_CHARACTERS_MAX: usize = 512;

impl PartialEq for Glob {
    fn eq(&self, other: &Glob) -> bool {
        self.text == other.text
    }
}

impl Glob {
    /// The text as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        match &self.wild {
            None => self.text == name,
            Some(Wild::Glob(wild)) => wild.matches(name),
            Some(Wild::Captures(regex)) => regex.is_match(name),
        }
    }

    /// The values of its captures for a name that matches.
    pub(crate) fn captures(&self, name: &str) -> Vec<(String, String)> {
        let Some(Wild::Captures(regex)) = &self.wild else { return Vec::new() };
        let Some(found) = regex.captures(name) else { return Vec::new() };
        let named = regex.capture_names().flatten();
        named.map(|capture| (capture.to_owned(), found[capture].to_owned())).collect()
    }

    /// The names of its captures.
    pub(crate) fn capture_names(&self) -> impl Iterator<Item = &str> {
        pieces(&self.text).into_iter().filter_map(|piece| match piece {
            Piece::Capture(name) => Some(name),
            _ => None,
        })
    }

    /// Its literal parts.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        pieces(&self.text).into_iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text),
            _ => None,
        })
    }

    /// A name that it usually matches: with `text` in place of the parts that are not literal.
    pub(crate) fn example(&self, text: &str) -> String {
        let one = |piece| match piece {
            Piece::Text(itself) => itself.to_owned(),
            Piece::One => text.chars().take(1).collect(),
            Piece::Any | Piece::Capture(_) => text.to_owned(),
        };
        pieces(&self.text).into_iter().map(one).collect()
    }

    /// Whether it is a plain name, without `*`, `?` or captures.
    pub(crate) fn is_name(&self) -> bool {
        self.wild.is_none()
    }

    /// Whether it is certain that no name matches both.
    pub(crate) fn is_apart(&self, other: &Glob) -> bool {
        match (self.is_name(), other.is_name()) {
            (_, true) => !self.matches(&other.text),
            (true, false) => !other.matches(&self.text),
            (false, false) => false,
        }
    }

    /// Whether it is certain that every name that matches `other` matches this one.
    ///
    /// `true` is always right. `false` may be wrong for overlapping globs: `*a` and `?*a` is found,
    /// `?*` and `*a` is not. So a dead rule may go unnoticed, but a live one is never refused.
    pub fn covers(&self, other: &Glob) -> bool {
        match (&self.wild, &other.wild) {
            (_, None) => self.matches(&other.text),
            (None, Some(_)) => false,
            (Some(_), Some(_)) => covers(&canonical(&self.text), &canonical(&other.text)),
        }
    }
}

/// One symbol of a glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Is(char),
    Any,
    One,
    Capture,
}

/// The symbols of a glob in one normal form: `*?*` and `?*` match the same names, so each run of
/// wildcards has its `?` first and one `*` last.
fn canonical(glob: &str) -> Vec<Symbol> {
    let symbols = pieces(glob).into_iter().flat_map(|piece| match piece {
        Piece::Text(text) => text.chars().map(Symbol::Is).collect(),
        Piece::Any => vec![Symbol::Any],
        Piece::One => vec![Symbol::One],
        Piece::Capture(_) => vec![Symbol::Capture],
    });
    let symbols: Vec<Symbol> = symbols.collect();
    let is_wild = |symbol: &Symbol| matches!(symbol, Symbol::Any | Symbol::One);
    let runs = symbols.chunk_by(|one, next| is_wild(one) && is_wild(next));
    let star_last = |run: &[Symbol]| {
        let star = run.contains(&Symbol::Any).then_some(Symbol::Any);
        run.iter().copied().filter(|one| *one != Symbol::Any).chain(star).collect::<Vec<_>>()
    };
    runs.flat_map(star_last).collect()
}

/// Matches `glob` against `text`, which is itself a glob: only `*` matches its `*`, only `?` or `*`
/// its `?`, and only `*` or a capture its captures.
fn covers(glob: &[Symbol], text: &[Symbol]) -> bool {
    // reached[n]: the part of `glob` read so far can cover the first n symbols of `text`.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for symbol in glob {
        if *symbol == Symbol::Any {
            let first = reached.iter().position(|reached| *reached).unwrap_or(reached.len());
            reached[first..].fill(true);
            continue;
        }
        let mut next = vec![false; text.len() + 1];
        for (at, one) in text.iter().enumerate() {
            next[at + 1] = match (symbol, one) {
                (Symbol::Capture, Symbol::Is('/') | Symbol::Any | Symbol::One) => false,
                (Symbol::Capture, _) => reached[at] || next[at],
                (Symbol::One, Symbol::Is(_) | Symbol::One) => reached[at],
                (Symbol::Is(wanted), Symbol::Is(found)) => reached[at] && wanted == found,
                _ => false,
            };
        }
        reached = next;
    }
    reached[text.len()]
}

/// The name of a capture at the start of `text`: lower-case letters, digits and `_`, letter first.
pub(super) fn capture(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('{')?.split_once('}')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    is_name.then_some(name)
}

fn pieces(glob: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut text, mut at) = (Vec::new(), 0, 0);
    while let Some(first) = glob[at..].chars().next() {
        let found = match first {
            '*' => Some((Piece::Any, 1)),
            '?' => Some((Piece::One, 1)),
            _ => capture(&glob[at..]).map(|name| (Piece::Capture(name), name.len() + 2)),
        };
        let Some((piece, length)) = found else {
            at += first.len_utf8();
            continue;
        };
        pieces.extend((text < at).then(|| Piece::Text(&glob[text..at])));
        pieces.push(piece);
        at += length;
        text = at;
    }
    pieces.extend((text < at).then(|| Piece::Text(&glob[text..at])));
    pieces
}

/// Checks that each capture has one possible value. Fixed text must delimit it: without any between
/// two captures, or after a `*`, the value would be ambiguous.
fn check_captures(pieces: &[Piece<'_>]) -> Result<(), GlobError> {
    let mut names = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let Piece::Capture(name) = *piece else { continue };
        if Column::is_reserved(name) {
            return Err(GlobError::Reserved(name.to_owned()));
        }
        if names.contains(&name) {
            return Err(GlobError::Twice(name.to_owned()));
        }
        names.push(name);
        if let Some((example, one, other)) = ambiguous(pieces, at) {
            let name = name.to_owned();
            return Err(GlobError::Ambiguous { name, example, one, other });
        }
    }
    Ok(())
}

/// A name in which the capture at `at` has two possible values, with both values.
fn ambiguous(pieces: &[Piece<'_>], at: usize) -> Option<(String, String, String)> {
    let (before, after) = (&pieces[..at], &pieces[at + 1..]);
    let wild = |piece: &Piece<'_>| matches!(piece, Piece::Any | Piece::Capture(_));
    let fixed = |pieces: &[Piece<'_>]| pieces.iter().any(|one| matches!(one, Piece::Text(_)));
    let filled = |pieces: &[Piece<'_>]| -> String {
        let fill =
            |one: &Piece<'_>| if let Piece::Text(text) = one { text } else { "x" }.to_owned();
        pieces.iter().map(fill).collect()
    };
    let found =
        |one: &str, other: &str, example: String| Some((example, one.to_owned(), other.to_owned()));
    if let Some(right) = after.iter().position(wild).filter(|right| !fixed(&after[..*right])) {
        // Each piece between them is one character.
        let (start, end) = (filled(before), filled(&after[right + 1..]));
        let example = format!("{start}{}{end}", "y".repeat(3 + right));
        return found("y", "yy", example);
    }
    let left = before.iter().rposition(|piece| *piece == Piece::Any)?;
    let between = filled(&before[left + 1..]);
    let (start, end) = (filled(&before[..left]), filled(after));
    let is_cut =
        before[left + 1..].iter().any(|one| matches!(one, Piece::Text(text) if text.contains('/')));
    if !is_cut {
        let example = format!("{start}x{between}x{between}y{end}");
        return found(&format!("x{between}y"), "y", example);
    }
    let right = after.iter().position(|piece| *piece == Piece::Any)?;
    let behind = filled(&after[..right]);
    let end = filled(&after[right + 1..]);
    found("y", "z", format!("{start}x{between}y{behind}x{between}z{behind}w{end}"))
}

/// Why a text is not a valid [`Glob`], and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// The text is empty.
    #[error("an empty name matches nothing; write a name, or * for all")]
    Empty,
    /// The text has this many characters, which is too many.
    #[error(
        "has {0} characters, but CloudWatch Logs names have at most {NAME_CHARACTERS_MAX}; shorten it with *"
    )]
    Characters(usize),
    /// A capture has the name of a column.
    #[error("{{{0}}} is already a column; give the capture another name")]
    Reserved(String),
    /// Two captures have the same name.
    #[error("{{{0}}} occurs twice; give each capture its own name")]
    Twice(String),
    /// The value of a capture depends on where another one, or a `*`, ends.
    #[error(
        "{{{name}}} is ambiguous: in `{example}` it could be `{one}` or `{other}`; put fixed text around it, and a / after any * before it"
    )]
    Ambiguous {
        /// The capture.
        name: String,
        /// A name of a log group or stream.
        example: String,
        /// One possible value.
        one: String,
        /// Another possible value.
        other: String,
    },
    /// The regular expression would be too large.
    #[error("is too long to match; shorten it with *")]
    TooLong,
}

impl TryFrom<String> for Glob {
    type Error = GlobError;

    fn try_from(text: String) -> Result<Glob, GlobError> {
        match text.chars().count() {
            0 => return Err(GlobError::Empty),
            1..=NAME_CHARACTERS_MAX => {}
            characters => return Err(GlobError::Characters(characters)),
        }
        let pieces = pieces(&text);
        let wild = if pieces.iter().any(|piece| matches!(piece, Piece::Capture(_))) {
            check_captures(&pieces)?;
            let regex = Regex::new(&expression(&pieces)).map_err(|_| GlobError::TooLong)?;
            Some(Wild::Captures(regex))
        } else {
            text.contains(['*', '?']).then(|| Wild::Glob(WildMatch::new(&text)))
        };
        Ok(Glob { text, wild })
    }
}

/// The regular expression of a glob. Each capture, from the left, takes as little as possible.
fn expression(pieces: &[Piece<'_>]) -> String {
    let part = |piece: &Piece<'_>| match piece {
        Piece::Text(text) => regex_lite::escape(text),
        Piece::Any => ".*".to_owned(),
        Piece::One => ".".to_owned(),
        Piece::Capture(name) => format!("(?<{name}>[^/]+?)"),
    };
    format!("^(?s:{})$", pieces.iter().map(part).collect::<String>())
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
