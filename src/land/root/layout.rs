//! Every path and name below a root. Pure, and the only place that knows them.

use std::fmt;

use crate::config::{Compress, Form};
use crate::file_name;
use crate::row::{Day, Kind};

/// The folder of everything but the daily files. Where it is missing, nothing has landed yet.
pub(crate) const HIWAKE: &str = ".hiwake";
/// The names with which a first landing probes the file system: a file, its hard link, and the
/// file's name in upper case.
pub(crate) const PROBES: [&str; 3] = [".hiwake.probe", ".hiwake.probe.link", ".HIWAKE.PROBE"];
/// The file whose modification time shows the file system's clock.
pub(crate) const CLOCK: &str = ".hiwake/clock";
/// The folder of the registers.
pub(crate) const ROUTINGS: &str = ".hiwake/routings";
/// The folder of the quarantine.
pub const QUARANTINE: &str = ".hiwake/quarantine";
/// The folder of the damaged files of rebuilt days.
pub(crate) const DAMAGED: &str = ".hiwake/damaged";
/// The suffix of a file that takes commits.
pub(crate) const OPEN: &str = ".open";
const SHA256: &str = ".sha256";

/// The name of a journal. No component of a day file's name begins with a dot.
pub(crate) const JOURNAL: &str = ".journal";
/// The name of the file with a day file's event identities.
pub(crate) const SEEN: &str = ".seen";

/// One (file, kind, day): a first segment and, rarely, late ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DayFile {
    /// The daily file's name without its day; [`crate::file_name::check`] has accepted it.
    pub file: String,
    /// The local date.
    pub day: Day,
    /// The format, which decides the extension.
    pub kind: Kind,
}

/// The folder of the journals: `<day>/<file>.<extension>/.journal`.
pub(crate) const DAYS: &str = ".hiwake/days";
/// The calendar of hints: `<what>/<when>/<file>/<day>.<extension>[.<segment>]`. Hints only say
/// where to look; the journals decide. The date is that of the last publication, which never
/// changes; the time at which something is due changes with the configuration.
pub const DUE: &str = ".hiwake/due";

/// The folder of the marks of days on which an object was delivered.
pub(crate) const DELIVERED: &str = "delivered";

/// A day on which an object was delivered. Its files without an event are sealed empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivered {
    /// The local date.
    pub day: Day,
    /// Whether the day had ended when the object was landed: more of that day may follow.
    pub had_ended: bool,
}

impl Delivered {
    /// The path of its mark.
    pub fn path(self) -> String {
        let suffix = if self.had_ended { AFTER } else { "" };
        format!("{DUE}/{DELIVERED}/{}{suffix}", self.day)
    }

    /// The mark of a path.
    pub fn of_path(path: &str) -> Option<Delivered> {
        let name = path.strip_prefix(DUE)?.strip_prefix('/')?.strip_prefix(DELIVERED)?;
        let name = name.strip_prefix('/')?;
        let day = name.strip_suffix(AFTER);
        let had_ended = day.is_some();
        Some(Delivered { day: day.unwrap_or(name).parse().ok()?, had_ended })
    }
}

const AFTER: &str = ".after";

/// The next step for a day file or a segment of it, and its earliest time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// This segment is not published yet; its day must end first.
    Seal(u32),
    /// This segment is published; this many more rounds announce it.
    Announce(u32, u32),
    /// The last publication was on this UTC date; the journal is to be closed, and the files still
    /// exist.
    Close(Day),
    /// The last publication was on this UTC date; the journal is closed, and the files still exist.
    Closed(Day),
    /// The last publication was on this UTC date; the journal is to be closed, and retention has
    /// removed the files.
    Removed(Day),
}

impl Hint {
    /// The date of the last publication.
    pub(crate) fn date(&self) -> Option<Day> {
        match self {
            Hint::Close(date) | Hint::Closed(date) | Hint::Removed(date) => Some(*date),
            Hint::Seal(_) | Hint::Announce(..) => None,
        }
    }
}

impl DayFile {
    /// The folder that readers open.
    pub(crate) fn folder(&self) -> &str {
        &self.file
    }

    /// The folder of the journal and `seen`.
    pub fn journal_folder(&self) -> String {
        format!("{DAYS}/{}/{}.{}", self.day, self.file, self.kind.extension())
    }

    /// The path of the journal.
    pub fn journal(&self) -> String {
        format!("{}/{JOURNAL}", self.journal_folder())
    }

    /// The path of `seen`, which holds the identities of its events.
    pub fn seen(&self) -> String {
        format!("{}/{SEEN}", self.journal_folder())
    }

    /// The day file of a journal's folder.
    pub fn of_journal_folder(folder: &str) -> Option<DayFile> {
        let (day, file) = folder.strip_prefix(DAYS)?.strip_prefix('/')?.split_once('/')?;
        let (file, extension) = file.rsplit_once('.')?;
        let kind = Kind::from_extension(extension)?;
        file_name::check(file).ok()?;
        Some(DayFile { file: file.to_owned(), day: day.parse().ok()?, kind })
    }

    /// The path of a hint.
    pub fn hint(&self, hint: &Hint) -> String {
        let (what, when, segment) = match hint {
            Hint::Seal(segment) => ("seal", self.day.to_string(), Some(segment)),
            Hint::Announce(rounds, segment) => ("announce", rounds.to_string(), Some(segment)),
            Hint::Close(date) => ("close", date.to_string(), None),
            Hint::Closed(date) => ("closed", date.to_string(), None),
            Hint::Removed(date) => ("removed", date.to_string(), None),
        };
        let segment = segment.map(|segment| format!(".{segment}")).unwrap_or_default();
        let (file, day, extension) = (&self.file, self.day, self.kind.extension());
        format!("{DUE}/{what}/{when}/{file}/{day}.{extension}{segment}")
    }

    /// The day file and hint of a path.
    pub fn of_hint(path: &str) -> Option<(DayFile, Hint)> {
        let (what, rest) = path.strip_prefix(DUE)?.strip_prefix('/')?.split_once('/')?;
        let (when, rest) = rest.split_once('/')?;
        let (file, name) = rest.rsplit_once('/')?;
        let mut parts = name.split('.');
        let day = parts.next()?.parse().ok()?;
        let kind = Kind::from_extension(parts.next()?)?;
        let segment = parts.next().map(str::parse);
        let hint = match (what, segment) {
            ("seal", Some(Ok(segment))) => Hint::Seal(segment),
            ("announce", Some(Ok(segment))) => Hint::Announce(when.parse().ok()?, segment),
            ("close", None) => Hint::Close(when.parse().ok()?),
            ("closed", None) => Hint::Closed(when.parse().ok()?),
            ("removed", None) => Hint::Removed(when.parse().ok()?),
            _ => return None,
        };
        let day_file = DayFile { file: file.to_owned(), day, kind };
        (day_file.hint(&hint) == path).then_some((day_file, hint))
    }

    /// The published name of a segment (1 is the first), without its folder and its suffix.
    fn published(&self, segment: u32) -> String {
        let late = match segment {
            0 | 1 => String::new(),
            2 => ".late".to_owned(),
            n => format!(".late{}", n - 1),
        };
        format!("{}{late}.{}", self.day, self.kind.extension())
    }

    /// The path of a segment that takes commits.
    pub fn open_segment(&self, segment: u32, form: Form) -> String {
        format!("{}{OPEN}", self.target(segment, form.compress()))
    }

    /// The path of a sealed segment.
    pub fn target(&self, segment: u32, compress: Compress) -> String {
        format!("{}/{}{}", self.file, self.published(segment), compress.suffix())
    }

    /// What the name of every temporary of a segment begins with, without its folder. No other file
    /// has such a name: no component of a day file's name begins with a dot.
    pub fn temporary_prefix(&self, segment: u32) -> String {
        format!(".{}.", self.published(segment))
    }

    /// The path of a temporary of a segment.
    pub fn temporary(&self, segment: u32, unique: &str) -> String {
        format!("{}/{}{unique}.tmp", self.file, self.temporary_prefix(segment))
    }

    /// The day file and segment of a published name `<day>[.late[N]].<extension>[.gz|.zst]` in
    /// `file`'s folder.
    pub fn parse_published(file: &str, name: &str) -> Option<(DayFile, u32)> {
        let mut parts = Compress::of(name).1.split('.');
        let day = parts.next()?.parse().ok()?;
        let (segment, extension) = match parts.next()? {
            "late" => (2, parts.next()?),
            part => match part.strip_prefix("late") {
                Some(number) => {
                    let number = number.parse::<u32>().ok().filter(|number| *number >= 2)?;
                    (number.checked_add(1)?, parts.next()?)
                }
                None => (1, part),
            },
        };
        let kind = Kind::from_extension(extension)?;
        let day_file = DayFile { file: file.to_owned(), day, kind };
        parts.next().is_none().then_some((day_file, segment))
    }

    /// The day file of a name that readers see in `file`'s folder: a published or open file, or a
    /// checksum.
    pub(crate) fn parse_visible(file: &str, name: &str) -> Option<DayFile> {
        let name = name.strip_suffix(SHA256).unwrap_or(name);
        let name = name.strip_suffix(OPEN).unwrap_or(name);
        DayFile::parse_published(file, name).map(|(day_file, _)| day_file)
    }

    /// The day file and segment of an open file's or a temporary's name in `file`'s folder.
    pub fn parse_unfinished(file: &str, name: &str) -> Option<(DayFile, u32)> {
        let (published, forms) = match name.strip_suffix(OPEN) {
            Some(published) => (published, &Form::ALL[..]),
            None => {
                let temporary = name.strip_prefix('.')?.strip_suffix(".tmp")?;
                (temporary.rsplit_once('.')?.0, &Form::ALL[..1])
            }
        };
        let (compress, _) = Compress::of(published);
        let is_form = forms.iter().any(|form| form.compress() == compress);
        DayFile::parse_published(file, published).filter(|_| is_form)
    }
}

impl fmt::Display for DayFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.file, self.day, self.kind.extension())
    }
}

/// The path of a long command's notes, by the hash of everything that decides what it does.
pub(crate) fn notes(what: &str, hash: u128) -> String {
    format!("{HIWAKE}/{what}/{hash:032x}")
}

/// The path and text of a published file's checksum, for `sha256sum -c` in the folder.
pub(crate) fn checksum(path: &str, sha256: &[u8; 32]) -> (String, String) {
    (checksum_of(path), format!("{}  {}\n", hex::encode(sha256), name_of(path)))
}

/// The path of a published file's checksum.
pub(crate) fn checksum_of(path: &str) -> String {
    format!("{path}{SHA256}")
}

/// The folder of a path; empty for a name in the root.
pub(crate) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The last component of a path.
pub fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}
