//! One look at a day file: compares the files with the journal, without locks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::config::Form;
use crate::disk::{Handle, Open};
use crate::land::day_file::contents::Lines;
use crate::land::day_file::{seal, text};
use crate::land::journal::Journal;
use crate::land::journal::frame::{Commit, Contents, Sealed};
use crate::land::journal::lander::Lander;
use crate::land::journal::seen::{self, Watermark};
use crate::land::journal::state::{Segment, State};
use crate::land::root::error::{Context, LandError, Result, is_absent};
use crate::land::root::files::says;
use crate::land::root::folders::{self, names_of};
use crate::land::root::layout::{DUE, DayFile, Hint, OPEN, checksum, checksum_of};
use crate::land::upkeep::findings::Verified;

/// How long to wait for a commit to cover lines that are already written, and for a day file to
/// stop changing.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// One look at one day file.
pub(super) struct Look<'v, 'l> {
    pub(crate) lander: &'l Lander<'l>,
    pub(crate) day_file: &'v DayFile,
    /// Whether to bypass this machine's cache of the files.
    pub(crate) fresh: bool,
    pub(crate) verified: &'v mut Verified,
}

impl Look<'_, '_> {
    fn wrong(&mut self, path: &str, what: impl Into<String>) {
        self.verified.wrong(path, what);
    }

    fn failed(&mut self, error: LandError) {
        match error {
            LandError::Damage { path, what } => self.wrong(&path, what),
            LandError::Io { verb, path, source } => {
                self.wrong(&path, format!("cannot {verb}: {source}"));
            }
            LandError::Foreign(path) => {
                self.wrong(&path, "not a file of hiwake, or a parent is not a folder");
            }
            error => self.wrong(&self.day_file.journal(), error.to_string()),
        }
    }

    /// The value, or `None` with the error as a finding.
    fn good<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.failed(error)).ok()
    }

    fn open(&self, path: &str) -> Result<Box<dyn Handle>> {
        let handle = self.lander.disk.open(path, Open::Read).context("open", path)?;
        if self.fresh {
            handle.drop_cache().context("read", path)?;
        }
        Ok(handle)
    }

    /// Checks the journal, and all files that it vouches for.
    pub(super) fn journal(&mut self, state: &Result<Option<State>>) {
        let path = self.day_file.journal();
        let Some(present) = self.good(names_of(self.lander, self.day_file)) else { return };
        let state = match state {
            Ok(Some(state)) => state,
            Ok(None) if present.is_empty() && self.absent(&self.day_file.seen()) => {
                let hints = folders::walk(self.lander, DUE, &|_| true).files;
                let mut hinted = hints.iter().filter_map(|path| DayFile::of_hint(path));
                match hinted.any(|(day_file, _)| day_file == *self.day_file) {
                    // The header becomes durable before the first hint.
                    true => self.wrong(&path, "the journal is missing, but a hint names its day"),
                    false => {
                        let what = "a journal without a header, from an interrupted landing";
                        self.verified.note(path, what);
                    }
                }
                return;
            }
            Ok(None) => return self.wrong(&path, "the journal or its header is missing"),
            Err(LandError::Damage { path, what }) => return self.wrong(path, what.clone()),
            Err(error) => return self.wrong(&path, error.to_string()),
        };
        if !state.header.is_of(self.day_file) {
            return self.wrong(&path, format!("it is the journal of {}", state.header.file));
        }
        self.good(state.timezone(&path));
        if state.torn {
            self.verified.note(path, "a torn frame at its end; the next commit truncates it");
        }
        let mut expected = BTreeSet::new();
        match &state.closed {
            Some(closed) => {
                self.verified.lines +=
                    closed.segments.iter().map(|one| one.contents.lines).sum::<u64>();
            }
            None => {
                self.seen(state);
                for (number, segment) in state.numbered() {
                    self.segment(number, segment, &mut expected);
                }
            }
        }
        for one in state.published(self.day_file) {
            let names = [one.path.clone(), checksum_of(&one.path)];
            if !one.removed {
                self.published(&one.path, &one.contents);
                expected.extend(names);
            } else if names.iter().any(|name| present.contains(name)) {
                self.verified.note(one.path, "retention has not finished removing it");
                expected.extend(names);
            }
        }
        self.calendar(state);
        for path in present.difference(&expected) {
            self.unknown(path, state);
        }
    }

    /// Reports a file that the journal does not know.
    fn unknown(&mut self, path: &str, state: &State) {
        let what = "the journal does not name this file";
        // A crash can leave an open file beside the published one, or from an interrupted first
        // commit.
        match path.ends_with(OPEN) {
            true => self.verified.note(path, what),
            false => self.wrong(path, what),
        }
        let next = state.next_segment();
        let is_next = |form: &Form| path == self.day_file.open_segment(next, *form);
        if let Some(form) = Form::ALL.into_iter().find(is_next)
            && state.closed.is_none()
        {
            let tail = self.open(path).and_then(|data| self.tail(data.as_ref(), (next, form), 0));
            self.good(tail);
        }
    }

    fn absent(&self, path: &str) -> bool {
        matches!(self.lander.disk.open(path, Open::Read), Err(error) if is_absent(&error))
    }

    /// Checks that a published day is in the calendar until no work is left.
    fn calendar(&mut self, state: &State) {
        let Some(right) = state.calendar_hint() else { return };
        let Some(date) = right.date() else { return };
        let hints = [Hint::Close(date), Hint::Closed(date), Hint::Removed(date)];
        if hints.iter().all(|hint| self.absent(&self.day_file.hint(hint))) {
            let path = self.day_file.hint(&right);
            self.wrong(&path, "the hint is missing, so the day would never be closed or removed");
        }
    }

    fn seen(&mut self, state: &State) {
        let path = self.day_file.seen();
        let seen = match self.open(&path) {
            Ok(seen) => seen,
            Err(_) if state.seen() == 0 && self.absent(&path) => {
                for open in Form::ALL.map(|form| self.day_file.open_segment(1, form)) {
                    let length = self.open(&open).map(|data| data.length());
                    // `seen` is created before the first line is written.
                    if length.is_ok_and(|length| length.is_ok_and(|length| length > 0)) {
                        self.wrong(&path, format!("it is missing, but {open} has lines"));
                    }
                }
                return;
            }
            Err(error) => return self.failed(error),
        };
        let mark = self.good(Watermark::read(seen.as_ref(), &path));
        if mark.is_some_and(|mark| state.after(mark).is_none()) {
            self.wrong(&self.day_file.journal(), "it lacks a frame that `seen` names");
        }
        if seen.length().is_ok_and(|length| length > seen::place(state.seen())) {
            self.verified.note(&path, "it has uncommitted entries; the next commit truncates them");
        }
        let mut entries = Vec::new();
        for commit in state.commits() {
            for (first, block) in commit.places() {
                let read = seen::read_block(seen.as_ref(), &path, first, block, &mut entries);
                if self.good(read).is_none() {
                    continue;
                }
                let times = || entries.iter().map(|entry| entry.timestamp);
                if times().min() != Some(block.min) || times().max() != Some(block.max) {
                    self.wrong(&path, "the times of a block differ from those in its commit");
                }
            }
        }
    }

    fn segment(&mut self, number: u32, segment: &Segment, expected: &mut BTreeSet<String>) {
        self.verified.lines += segment.lines();
        self.verified.commits += segment.commits.len() as u64;
        let open = self.day_file.open_segment(number, segment.form());
        if let Some(Sealed { target, lines, .. }) = &segment.sealed
            && *lines != segment.lines()
        {
            let wanted = segment.lines();
            let what = format!("it was sealed with {lines} lines, but {wanted} were committed");
            self.wrong(target, what);
        }
        match &segment.sealed {
            Some(_) if segment.done.is_some() => return,
            Some(sealed) => {
                // Sealed but not published: the next process publishes it.
                let Sealed { target, temporary, .. } = sealed;
                let names = [target.clone(), checksum_of(target), open];
                expected.extend(names);
                let what = "not published yet; the next landing or round of sealing publishes it";
                self.verified.note(target, what);
                let from = if self.absent(temporary) { target } else { temporary };
                self.hashed(from, target, &sealed.contents());
            }
            None => {
                expected.insert(open);
                let looked = self.open_segment(number, segment);
                self.good(looked);
            }
        }
        let hint = self.day_file.hint(&Hint::Seal(number));
        if self.absent(&hint) {
            self.wrong(&hint, "the hint is missing, so the segment would never be sealed");
        }
    }

    fn open_segment(&mut self, number: u32, segment: &Segment) -> Result<()> {
        let path = &self.day_file.open_segment(number, segment.form());
        let data = self.open(path)?;
        for commit in &segment.commits {
            let mut lines = Lines::new(self.day_file.kind);
            let commits = std::slice::from_ref(commit);
            let checked = seal::copy_commits(data.as_ref(), path, commits, &mut |bytes| {
                lines.read(bytes);
                Ok::<(), LandError>(())
            });
            let Commit { offset, lines: wanted, text_bytes, .. } = commit;
            self.verified.bytes += text_bytes;
            if self.good(checked).is_some() && lines.count != *wanted {
                let count = lines.count;
                self.wrong(path, format!("{count} lines at {offset}, not {wanted}"));
            }
        }
        self.tail(data.as_ref(), (number, segment.form()), segment.bytes())
    }

    /// Checks what follows the last commit in an open file.
    fn tail(&mut self, data: &dyn Handle, of: (u32, Form), committed: u64) -> Result<()> {
        let (number, form) = of;
        let path = &self.day_file.open_segment(number, form);
        let length = data.length().context("look at", path)?;
        if length == committed {
            return Ok(());
        }
        let tail = length.saturating_sub(committed);
        let whole = match form {
            Form::Plain => {
                let mut last = [0];
                data.read_at(&mut last, length.saturating_sub(1)).context("read", path)?;
                last == [b'\n']
            }
            Form::Compressed => {
                // No frame is longer: compression does not double a commit's text.
                let limits = &self.lander.config.limits;
                let longest = 2 * limits.commit_bytes.max(limits.unit_bytes);
                let mut bytes = vec![0; tail.min(longest as u64) as usize];
                let filled = data.read_at(&mut bytes, committed).context("read", path)?;
                text::begins_whole(&bytes[..filled])
            }
        };
        if tail > 0 && whole && !self.is_covered(number, length) {
            // A kill between steps 5 and 7 also leaves such a tail, and its rows are retried. But
            // if journal and `seen` are from an older copy, the rows were already acknowledged.
            self.wrong(path, format!(
                "{tail} uncommitted bytes of whole lines follow the last commit; the next commit truncates them. The rows of an interrupted landing are retried; if journal and seen were restored from an older copy, land the day's objects again"
            ));
        } else if tail > 0 && !whole {
            let what = format!(
                "{tail} uncommitted bytes follow the last commit; the next commit truncates them"
            );
            self.verified.note(path, what);
        }
        Ok(())
    }

    /// Whether a commit soon covers what was written: a landing may be between steps 5 and 7.
    fn is_covered(&self, number: u32, length: u64) -> bool {
        let until = Instant::now() + PATIENCE;
        loop {
            let state = Journal::peek(self.lander, self.day_file).ok().flatten();
            let segment = state.as_ref().and_then(|state| state.segment(number));
            let covered = |one: &Segment| one.bytes() >= length || one.frozen.is_some();
            if segment.is_some_and(covered) || state.is_some_and(|one| one.closed.is_some()) {
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn published(&mut self, path: &str, wanted: &Contents) {
        self.hashed(path, path, wanted);
        let (sums, text) = checksum(path, &wanted.sha256);
        let same = self.open(&sums).and_then(|file| says(file.as_ref(), &sums, &text));
        if self.good(same) == Some(false) {
            self.wrong(&sums, "the checksum is not the sealed one");
        }
    }

    /// Checks the contents of a file that is, or will be, published as `target`.
    fn hashed(&mut self, path: &str, target: &str, wanted: &Contents) {
        let contents = self
            .open(path)
            .and_then(|file| Contents::read(file.as_ref(), target, self.day_file.kind));
        let Some(Contents { bytes, lines, sha256 }) = self.good(contents) else { return };
        self.verified.bytes += bytes;
        if sha256 != wanted.sha256 || bytes != wanted.bytes {
            let wanted = wanted.bytes;
            let what = format!(
                "the SHA-256 is not the sealed one: the file has {bytes} bytes, and was sealed with {wanted}"
            );
            self.wrong(path, what);
        } else if lines != wanted.lines {
            let wanted = wanted.lines;
            self.wrong(path, format!("it has {lines} lines, but was sealed with {wanted}"));
        }
    }
}
