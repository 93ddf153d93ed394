//! The names of one day file: pure, and the only place that knows them.

use std::fmt;

use crate::row::{Day, Kind};

/// One (file, kind, day): a first segment and, seldom, late ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DayFile {
    /// The daily file's name without its day; checked by [`crate::file_name::check`] before it gets here.
    pub file: String,
    /// The local date.
    pub day: Day,
    /// The format, and with it the extension.
    pub kind: Kind,
}

/// Where hints of unsealed segments are: `<file>/<day>.<extension>.<segment>`.
pub const OPEN_HINTS: &str = ".hiwake/open";
/// Where hints of sealed days are whose journals are not closed yet: `<file>/<day>.<extension>`.
pub const SEALED_HINTS: &str = ".hiwake/sealed";
/// Where the journals are: `<file>/<day>.<extension>/journal`.
pub const DAYS: &str = ".hiwake/days";

impl DayFile {
    /// The folder that readers look into.
    pub fn folder(&self) -> &str {
        &self.file
    }

    /// The folder of journal and seen.
    pub fn journal_folder(&self) -> String {
        format!("{DAYS}/{}/{}.{}", self.file, self.day, self.kind.extension())
    }

    /// What happened to the day file.
    pub fn journal(&self) -> String {
        format!("{}/journal", self.journal_folder())
    }

    /// The identities of its events.
    pub fn seen(&self) -> String {
        format!("{}/seen", self.journal_folder())
    }

    /// The published name of a segment (1 is the first), without its folder and without `.gz`.
    fn published(&self, segment: u32) -> String {
        let late = match segment {
            0 | 1 => String::new(),
            2 => ".late".to_owned(),
            n => format!(".late{}", n - 1),
        };
        format!("{}{late}.{}", self.day, self.kind.extension())
    }

    /// A segment that takes commits.
    pub fn open_segment(&self, segment: u32) -> String {
        format!("{}/{}.open", self.file, self.published(segment))
    }

    /// A sealed segment.
    pub fn target(&self, segment: u32, gzip: bool) -> String {
        format!("{}/{}{}", self.file, self.published(segment), if gzip { ".gz" } else { "" })
    }

    /// What every temporary of a segment begins with, without its folder. Only segments have such names:
    /// a file's component never begins with a dot.
    pub fn temporary_prefix(&self, segment: u32) -> String {
        format!(".{}.", self.published(segment))
    }

    /// A temporary of a segment.
    pub fn temporary(&self, segment: u32, unique: &str) -> String {
        format!("{}/{}{unique}.tmp", self.file, self.temporary_prefix(segment))
    }

    /// The hint that a segment is not sealed yet.
    pub fn open_hint(&self, segment: u32) -> String {
        format!("{OPEN_HINTS}/{}/{}.{}.{segment}", self.file, self.day, self.kind.extension())
    }

    /// The hint that the day's journal is not closed yet.
    pub fn sealed_hint(&self) -> String {
        format!("{SEALED_HINTS}/{}/{}.{}", self.file, self.day, self.kind.extension())
    }

    /// The day file of a name `<day>.<extension>[.<segment>]` in `file`'s folder of hints or journals.
    pub fn parse(file: &str, name: &str) -> Option<DayFile> {
        let mut parts = name.split('.');
        let day = parts.next()?.parse().ok()?;
        let kind = Kind::from_extension(parts.next()?)?;
        let segment = parts.next().is_none_or(|segment| segment.parse::<u32>().is_ok());
        (segment && parts.next().is_none()).then(|| DayFile { file: file.to_owned(), day, kind })
    }

    /// The day file and segment of a published name `<day>[.late[N]].<extension>[.gz]` in `file`'s folder.
    pub fn parse_published(file: &str, name: &str) -> Option<(DayFile, u32)> {
        let mut parts = name.strip_suffix(".gz").unwrap_or(name).split('.');
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

    /// The day file and segment of an open file's or a temporary's name in `file`'s folder.
    pub fn parse_unfinished(file: &str, name: &str) -> Option<(DayFile, u32)> {
        let published = match name.strip_suffix(".open") {
            Some(published) => published,
            None => name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?.0,
        };
        let compressed = published.ends_with(".gz");
        DayFile::parse_published(file, published).filter(|_| !compressed)
    }
}

impl fmt::Display for DayFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.file, self.day, self.kind.extension())
    }
}

/// The folder of a path; the empty path for a name in the root.
pub fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The last component of a path.
pub fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day_file() -> DayFile {
        let day = "2022-04-18".parse().unwrap();
        DayFile { file: "a/b".to_owned(), day, kind: Kind::Csv }
    }

    #[test]
    fn a_published_name_leads_back_to_its_day_file_and_segment() {
        for segment in [1, 2, 3, 12] {
            for gzip in [false, true] {
                let target = day_file().target(segment, gzip);
                let parsed = DayFile::parse_published("a/b", name_of(&target));
                assert_eq!(parsed, Some((day_file(), segment)), "{target}");
            }
        }
        for name in
            ["2022-04-18.csv.open", "2022-04-18.csv.sha256", "notes.csv", ".2022-04-18.csv.x.tmp"]
        {
            assert_eq!(DayFile::parse_published("a/b", name), None, "{name}");
        }
    }

    #[test]
    fn a_hint_and_a_journal_folder_lead_back_to_their_day_file() {
        for path in [day_file().open_hint(3), day_file().sealed_hint(), day_file().journal_folder()]
        {
            assert_eq!(DayFile::parse("a/b", name_of(&path)), Some(day_file()), "{path}");
        }
        assert_eq!(DayFile::parse("a/b", "2022-04-18.csv.x"), None);
    }

    #[test]
    fn an_open_file_and_a_temporary_lead_back_to_their_segment() {
        for segment in [1, 2, 3, 12] {
            for path in [day_file().open_segment(segment), day_file().temporary(segment, "x")] {
                let parsed = DayFile::parse_unfinished("a/b", name_of(&path));
                assert_eq!(parsed, Some((day_file(), segment)), "{path}");
            }
        }
        for name in ["2022-04-18.csv", "2022-04-18.csv.gz.open", "x.open", ".x.y.tmp", "..tmp"] {
            assert_eq!(DayFile::parse_unfinished("a/b", name), None, "{name}");
        }
    }

    #[test]
    fn temporaries_of_one_segment_are_not_those_of_another() {
        let first = day_file().temporary_prefix(1);
        for other in [2, 3] {
            let temporary = day_file().temporary(other, "x");
            assert!(!name_of(&temporary).starts_with(&first), "{temporary}");
        }
    }
}
