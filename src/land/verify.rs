//! Verify: every byte that hiwake answers for, read again and held against what the journals say. Writes nothing.
//!
//! Reads without locks, so landing and sealing go on meanwhile: what looks wrong counts only if the journal is still
//! the same when it has been looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::contents::{Contents, Lines};
use super::day_file::{DAYS, DayFile, OPEN_HINTS, folder_of, name_of};
use super::error::{LandError, Named, is_absent};
use super::frame::{Closed, Commit, Sealed};
use super::journal::Journal;
use super::output::hex;
use super::state::{Segment, State};
use super::{Lander, register, seal, seen};
use crate::disk::Open;

/// How often a day file is looked at again because its journal changed meanwhile.
const LOOKS_MAX: usize = 5;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where, relative to the root.
    pub path: String,
    /// What was found.
    pub what: String,
    /// `false`: no harm, e.g. what a crash left and the next commit or seal clears away.
    pub wrong: bool,
}

/// What there is, and what is wrong with it.
#[derive(Debug, Default, Serialize)]
pub struct Verified {
    /// Day files looked at.
    pub day_files: u64,
    /// Commits whose lines and identities were checked.
    pub commits: u64,
    /// Lines, in all segments.
    pub lines: u64,
    /// Bytes of data files that were read.
    pub bytes: u64,
    /// What was found, in the order of the day files.
    pub findings: Vec<Finding>,
    /// The day files that something is wrong with.
    #[serde(skip)]
    pub damaged: Vec<DayFile>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.findings.iter().all(|finding| !finding.wrong)
    }
}

/// Looks at every day file below the root.
pub fn verify(lander: &Lander<'_>) -> Result<Verified, LandError> {
    let mut verified = Verified::default();
    let mut days: BTreeMap<DayFile, BTreeSet<String>> = BTreeMap::new();
    for (file, name, path) in files_below(lander, DAYS)? {
        match journal_of(&file) {
            Some(day_file) if matches!(name.as_str(), "journal" | "seen") => {
                days.entry(day_file).or_default();
            }
            Some(_) if name.starts_with(".seen.") && name.ends_with(".tmp") => {
                verified.note(
                    path,
                    "a temporary of a rebuild that was cut short: the next one removes it",
                );
            }
            _ => verified.note(path, "nothing of hiwake's"),
        }
    }
    for (file, name, path) in files_below(lander, "")? {
        let published = name.strip_suffix(".sha256").unwrap_or(&name);
        let published = published.strip_suffix(".open").unwrap_or(published);
        match DayFile::parse_published(&file, published) {
            Some((day_file, _)) => drop(days.entry(day_file).or_default().insert(path)),
            None if name.starts_with('.') && name.ends_with(".tmp") => {
                verified.note(path, "a temporary: of a seal at work, or left by a crash");
            }
            None => verified.note(path, "nothing of hiwake's"),
        }
    }
    for (day_file, present) in days {
        verify_day(lander, &day_file, present, &mut verified)?;
    }
    for (folder, name, path) in files_below(lander, OPEN_HINTS)? {
        let file = folder.strip_prefix(OPEN_HINTS).and_then(|file| file.strip_prefix('/'));
        let day_file = file.and_then(|file| DayFile::parse(file, &name));
        let segment = name.rsplit_once('.').and_then(|(_, segment)| segment.parse().ok());
        let (Some(day_file), Some(segment)) = (day_file, segment) else {
            verified.note(path, "nothing of hiwake's");
            continue;
        };
        let state = Journal::peek(lander, &day_file).ok().flatten();
        if state.is_some_and(|state| state.segment(segment).is_none_or(|s| s.done.is_some())) {
            verified.note(path, "a hint of nothing: the next seal removes it");
        }
    }
    verified.findings.extend(register::check(lander)?);
    Ok(verified)
}

/// Looks at one day file; `present` are the names of it that readers see.
pub fn verify_day(
    lander: &Lander<'_>,
    day_file: &DayFile,
    mut present: BTreeSet<String>,
    verified: &mut Verified,
) -> Result<(), LandError> {
    for look in 1.. {
        let before = Journal::peek(lander, day_file);
        let mut one = Verified::default();
        Look { lander, day_file, verified: &mut one }.journal(&before, &present);
        let after = Journal::peek(lander, day_file);
        let same = matches!((&before, &after), (Ok(before), Ok(after)) if before == after)
            || (before.is_err() && after.is_err());
        if one.findings.is_empty() || same || look == LOOKS_MAX {
            if !one.is_whole() {
                verified.damaged.push(day_file.clone());
            }
            verified.day_files += 1;
            verified.commits += one.commits;
            verified.lines += one.lines;
            verified.bytes += one.bytes;
            verified.findings.append(&mut one.findings);
            break;
        }
        present = names_of(lander, day_file)?;
    }
    Ok(())
}

/// The names of a day file that readers see, published or open, with their checksums.
pub fn names_of(lander: &Lander<'_>, day_file: &DayFile) -> Result<BTreeSet<String>, LandError> {
    let folder = day_file.folder();
    let entries = match lander.disk.list(folder) {
        Err(error) if is_absent(&error) => Vec::new(),
        entries => entries.named("list", folder)?,
    };
    let ours = entries.into_iter().filter(|entry| {
        let name = entry.name.strip_suffix(".sha256").unwrap_or(&entry.name);
        let name = name.strip_suffix(".open").unwrap_or(name);
        DayFile::parse_published(folder, name).is_some_and(|(found, _)| found == *day_file)
    });
    Ok(ours.map(|entry| format!("{folder}/{}", entry.name)).collect())
}

/// (folder, name, path) of every file below a folder, the hidden ones too, but not those of `.hiwake` itself.
fn files_below(
    lander: &Lander<'_>,
    folder: &str,
) -> Result<Vec<(String, String, String)>, LandError> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match lander.disk.list(&folder) {
            Err(error) if is_absent(&error) => continue,
            entries => entries.named("list", &folder)?,
        };
        for entry in entries {
            let path = match folder.as_str() {
                "" if entry.name == ".hiwake" => continue,
                "" => entry.name.clone(),
                folder => format!("{folder}/{}", entry.name),
            };
            match entry.is_dir {
                true => folders.push(path),
                false => files.push((folder.clone(), entry.name, path)),
            }
        }
    }
    files.sort();
    Ok(files)
}

fn journal_of(folder: &str) -> Option<DayFile> {
    let file = folder_of(folder).strip_prefix(DAYS)?.strip_prefix('/')?;
    DayFile::parse(file, name_of(folder))
}

impl Verified {
    fn note(&mut self, path: String, what: &str) {
        self.findings.push(Finding { path, what: what.to_owned(), wrong: false });
    }
}

/// One look at one day file.
struct Look<'v, 'l> {
    lander: &'l Lander<'l>,
    day_file: &'v DayFile,
    verified: &'v mut Verified,
}

impl Look<'_, '_> {
    fn wrong(&mut self, path: &str, what: impl Into<String>) {
        let finding = Finding { path: path.to_owned(), what: what.into(), wrong: true };
        self.verified.findings.push(finding);
    }

    fn failed(&mut self, error: LandError) {
        match error {
            LandError::Damage { path, what } => self.wrong(&path, what),
            LandError::Io { verb, path, source } => {
                self.wrong(&path, format!("cannot {verb}: {source}"));
            }
            LandError::Foreign { path } => {
                self.wrong(&path, "no file of hiwake's, or something above it is no folder");
            }
            error => self.wrong(&self.day_file.journal(), error.to_string()),
        }
    }

    fn journal(&mut self, state: &Result<Option<State>, LandError>, present: &BTreeSet<String>) {
        let path = self.day_file.journal();
        let state = match state {
            Ok(Some(state)) => state,
            Ok(None) if present.is_empty() && self.absent(&self.day_file.seen()) => {
                self.verified
                    .note(path, "a journal without a header: of a landing that was cut short");
                return;
            }
            Ok(None) => return self.wrong(&path, "there is none, or it has no header"),
            Err(LandError::Damage { path, what }) => return self.wrong(path, what.clone()),
            Err(error) => return self.wrong(&path, error.to_string()),
        };
        if !state.identity.is_of(self.day_file) {
            self.wrong(&path, format!("it is the journal of {}", state.identity.file));
            return;
        }
        if let Err(error) = state.timezone(&path) {
            self.failed(error);
        }
        if state.is_torn() {
            self.verified.note(path, "a torn frame at its end: the next commit cuts it");
        }
        let mut expected = BTreeSet::new();
        match &state.closed {
            Some(closed) => self.closed(closed, &mut expected),
            None => {
                self.seen(state);
                for (number, segment) in state.numbered() {
                    self.segment(number, segment, &mut expected);
                }
            }
        }
        for path in present.difference(&expected) {
            let what = "its journal knows nothing of it";
            // A crash can leave an open file beside the published one, and what a first commit had begun.
            match path.ends_with(".open") {
                true => self.verified.note(path.clone(), what),
                false => self.wrong(path, what),
            }
        }
    }

    fn absent(&self, path: &str) -> bool {
        matches!(self.lander.disk.open(path, Open::Read), Err(error) if is_absent(&error))
    }

    fn seen(&mut self, state: &State) {
        let path = self.day_file.seen();
        let seen = match self.lander.disk.open(&path, Open::Read) {
            Ok(seen) => seen,
            Err(error) if is_absent(&error) && state.seen() == 0 => return,
            Err(error) => return self.wrong(&path, error.to_string()),
        };
        match seen::Mark::read(seen.as_ref(), &path) {
            Ok(mark) if state.after(mark).is_none() => {
                self.wrong(&self.day_file.journal(), "it misses a frame that `seen` knows of");
            }
            Ok(_) => {}
            Err(error) => self.failed(error),
        }
        match seen.length() {
            Ok(length) if length > seen::place(state.seen()) => {
                self.verified
                    .note(path.clone(), "more than was committed: the next commit cuts it");
            }
            _ => {}
        }
        let mut entries = Vec::new();
        for commit in state.commits() {
            for (first, block) in commit.places() {
                match seen::read_block(seen.as_ref(), &path, first, block, &mut entries) {
                    Ok(()) => {
                        let times = || entries.iter().map(|entry| entry.timestamp);
                        if times().min() != Some(block.min) || times().max() != Some(block.max) {
                            self.wrong(&path, "a block's times are not those of its commit");
                        }
                    }
                    Err(error) => self.failed(error),
                }
            }
        }
    }

    fn segment(&mut self, number: u32, segment: &Segment, expected: &mut BTreeSet<String>) {
        self.verified.lines += segment.lines();
        self.verified.commits += segment.commits.len() as u64;
        let open = self.day_file.open_segment(number);
        if let Some(sealed) =
            segment.sealed.as_ref().filter(|sealed| sealed.lines != segment.lines())
        {
            let (lines, wanted) = (sealed.lines, segment.lines());
            self.wrong(
                &sealed.target,
                format!("it was sealed with {lines} lines, and {wanted} were committed"),
            );
        }
        match &segment.sealed {
            Some(sealed) if segment.done.is_some() => {
                let names = [sealed.target.clone(), format!("{}.sha256", sealed.target)];
                if segment.removed.is_none() {
                    self.published(sealed);
                    expected.extend(names);
                } else if names.iter().any(|name| !self.absent(name)) {
                    expected.extend(names);
                    self.verified.note(sealed.target.clone(), "retention goes on removing it");
                }
                if self.absent(&self.day_file.sealed_hint()) {
                    self.wrong(&self.day_file.sealed_hint(), "missing: it would never be closed");
                }
                return;
            }
            Some(sealed) => {
                // Sealed, not published: whoever comes next publishes it.
                let names =
                    [sealed.target.clone(), format!("{}.sha256", sealed.target), open.clone()];
                expected.extend(names);
                self.verified.note(
                    sealed.target.clone(),
                    "not published yet: the next landing or seal does it",
                );
                let from =
                    if self.absent(&sealed.temporary) { &sealed.target } else { &sealed.temporary };
                self.hashed(from, sealed);
            }
            None => {
                expected.insert(open.clone());
                if let Err(error) = self.open_segment(&open, segment) {
                    self.failed(error);
                }
            }
        }
        let hint = self.day_file.open_hint(number);
        if self.absent(&hint) {
            self.wrong(
                &hint,
                "missing: the segment would never be sealed; make an empty file of this name",
            );
        }
    }

    fn open_segment(&mut self, path: &str, segment: &Segment) -> Result<(), LandError> {
        let data = self.lander.disk.open(path, Open::Read).named("open", path)?;
        for commit in &segment.commits {
            let mut lines = Lines::new(self.day_file.kind);
            let checked = seal::copy_commits(
                data.as_ref(),
                path,
                std::slice::from_ref(commit),
                &mut |bytes| {
                    lines.read(bytes);
                    Ok(())
                },
            );
            let Commit { offset, lines: wanted, bytes, .. } = commit;
            self.verified.bytes += bytes;
            match checked {
                Err(error) => self.failed(error),
                Ok(()) if lines.count != *wanted => {
                    let count = lines.count;
                    self.wrong(path, format!("{count} lines at {offset}, not {wanted}"));
                }
                Ok(()) => {}
            }
        }
        let length = data.length().named("look at", path)?;
        let mut last = [0];
        if length > segment.bytes() {
            data.read_at(&mut last, length - 1).named("read", path)?;
            match last {
                // A kill between steps 5 and 7 leaves such a tail too, and its rows come again. But if journal and `seen` are from
                // an older copy, they were acknowledged.
                [b'\n'] => self.wrong(path, format!(
                    "{} bytes of whole lines more than was committed: the next commit cuts them. Of a landing that was cut short they come again by themselves; if journal and seen were restored from an older copy, land the day's objects again",
                    length - segment.bytes()
                )),
                _ => self.verified.note(path.to_owned(), "more than was committed: the next commit cuts it"),
            }
        }
        Ok(())
    }

    fn published(&mut self, sealed: &Sealed) {
        self.hashed(&sealed.target, sealed);
        let path = format!("{}.sha256", sealed.target);
        let wanted = format!("{}  {}\n", hex(&sealed.sha256), name_of(&sealed.target));
        match self.lander.disk.open(&path, Open::Read) {
            Ok(file) => {
                let mut bytes = vec![0; wanted.len() + 1];
                match file.read_at(&mut bytes, 0) {
                    Ok(filled) if &bytes[..filled] == wanted.as_bytes() => {}
                    Ok(_) => self.wrong(&path, "not the checksum that was sealed"),
                    Err(error) => self.wrong(&path, error.to_string()),
                }
            }
            Err(error) => self.wrong(&path, error.to_string()),
        }
    }

    fn hashed(&mut self, path: &str, sealed: &Sealed) {
        let contents = match self.lander.disk.open(path, Open::Read) {
            Ok(file) => Contents::read(file.as_ref(), path, self.day_file.kind),
            Err(error) => Err(error).named("open", path),
        };
        match contents {
            Err(error) => self.failed(error),
            Ok(contents) => {
                self.verified.bytes += contents.bytes;
                if contents.sha256 != sealed.sha256 || contents.bytes != sealed.bytes {
                    let (bytes, wanted) = (contents.bytes, sealed.bytes);
                    let what = format!(
                        "not the bytes that were sealed: it has {bytes} of {wanted}, and another SHA-256"
                    );
                    self.wrong(path, what);
                } else if contents.lines != sealed.lines {
                    let (lines, wanted) = (contents.lines, sealed.lines);
                    self.wrong(path, format!("it has {lines} lines, and was sealed with {wanted}"));
                }
            }
        }
    }

    fn closed(&mut self, closed: &Closed, expected: &mut BTreeSet<String>) {
        for (number, segment) in (1..).zip(&closed.segments) {
            self.verified.lines += segment.lines;
            let target = self.day_file.target(number, segment.gzip);
            let names = [target.clone(), format!("{target}.sha256")];
            // Retention goes on after a day is closed, and leaves no trace there.
            let gone = names.iter().all(|name| self.absent(name));
            let removed = segment.removed || (gone && self.lander.config.retention.days > 0);
            if removed {
                continue;
            }
            expected.extend(names);
            let (bytes, lines, sha256, at) =
                (segment.bytes, segment.lines, segment.sha256, closed.at);
            let temporary = String::new();
            self.published(&Sealed {
                segment: number,
                temporary,
                target,
                bytes,
                lines,
                sha256,
                at,
            });
        }
    }
}
