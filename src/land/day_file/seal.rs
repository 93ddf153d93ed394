//! Seal: a segment whose day has ended is finished, published under its final name and never
//! written again.
//!
//! The steps are numbered as in `docs/protocol.md`. Any process may repeat them at any point; the
//! journal says how far they got.

use std::io::Write;

use sha2::{Digest, Sha256};

use crate::config::{Compress, Form, Order};
use crate::day;
use crate::disk::{Handle, Open};
use crate::land::day_file::hold::{Files, Hold, lost};
use crate::land::day_file::merge::{self, Source};
use crate::land::day_file::publish::{announce, lock_existing, publish};
use crate::land::day_file::text::Text;
use crate::land::day_file::writer::{CHUNK, Output, Pieces};
use crate::land::journal::Journal;
use crate::land::journal::frame::{Commit, Frame, Sealed, SegmentEvent};
use crate::land::journal::lander::Lander;
use crate::land::journal::state::{Segment, State};
use crate::land::root::error::{Context, LandError, Result};
use crate::land::root::layout::DayFile;
use crate::land::root::{folders, unique};

/// A segment that never takes a commit waits no longer than this after its first one.
const OPEN_MS_MAX: i64 = 48 * 3600 * 1000;

/// Seals the segments of one day file that are due. `hinted` are the segments whose hints were
/// found. What is published now and was not before is added to `published`, whatever fails after
/// it.
pub fn seal(
    lander: &Lander<'_>,
    day_file: &DayFile,
    hinted: &[u32],
    published: &mut Vec<Sealed>,
) -> Result<()> {
    // Each round finishes one segment; a day has few.
    let mut finish_one = || {
        let Some((frozen, files)) = freeze(lander, day_file, hinted, published)? else {
            return Ok(false);
        };
        match frozen.draft(files)? {
            Some(draft) => frozen.finish(draft, published),
            None => Ok(true),
        }
    };
    while lander.while_lease_is_lost(&mut finish_one)? {}
    Ok(())
}

/// The first segment that is not sealed and may be: frozen already, or ended for long enough.
fn due(lander: &Lander<'_>, day_file: &DayFile, state: &State) -> Result<Option<u32>> {
    for (number, segment) in state.numbered().filter(|(_, segment)| segment.sealed.is_none()) {
        let is_due = due_at(lander, day_file, state, segment)? <= lander.clock.now();
        if is_due || segment.frozen.is_some() {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// When a segment may be sealed: the day has ended, in the zone in force, too, by which rounds
/// choose what they look at, and nothing was committed for a while.
pub(crate) fn due_at(
    lander: &Lander<'_>,
    day_file: &DayFile,
    state: &State,
    segment: &Segment,
) -> Result<i64> {
    let grace = lander.config.seal.grace.as_millis() as i64;
    let ended = ended_at(lander, day_file, state)?;
    Ok(match (segment.commits.first(), segment.commits.last()) {
        (Some(first), Some(last)) if !lander.is_ahead(last.at) => {
            ended.max((last.at + grace).min(first.at + OPEN_MS_MAX))
        }
        _ => ended,
    })
}

/// `seal.grace` after the day's end: nothing of the day is sealed before.
pub(crate) fn ended_at(lander: &Lander<'_>, day_file: &DayFile, state: &State) -> Result<i64> {
    let zone = state.timezone(&day_file.journal())?;
    let end = |zone| day::day_end(zone, day_file.day);
    Ok(end(zone).max(end(lander.config.timezone)) + lander.config.seal.grace.as_millis() as i64)
}

/// Step 1: under all three locks the segment ends; what lies beyond its last commit is cut.
/// Answers the segment to be merged, and its files if it was not frozen before. None if nothing is
/// due: then hints of segments that are done become what they have to be.
fn freeze<'f>(
    lander: &'f Lander<'f>,
    day_file: &'f DayFile,
    hinted: &[u32],
    published: &mut Vec<Sealed>,
) -> Result<Option<(Frozen<'f>, Option<Files>)>> {
    let (mut journal, finished) = lock_existing(lander, day_file)?;
    published.extend(finished);
    let Some(number) = due(lander, day_file, &journal.state)? else {
        let done = hinted.iter().filter(|number| journal.state.is_done(**number));
        return { done }.try_for_each(|number| announce(lander, day_file, *number)).map(|()| None);
    };
    let frozen = |journal: &Journal<'_>| {
        journal.state.segment(number).filter(|segment| segment.frozen.is_some()).cloned()
    };
    let files = if frozen(&journal).is_some() {
        // The Freeze frame may be of a process that was killed before its sync.
        journal.rewrite_last_frame()?;
        None
    } else {
        let mut hold = Hold::take(lander, day_file, &mut journal)?;
        let data = hold.truncate_to_committed(number)?;
        let event = SegmentEvent { segment: number, at: lander.clock.now() };
        hold.journal.append(Frame::Freeze(event))?;
        hold.write_watermark()?;
        Some(hold.unlock(data)?)
    };
    let frozen = frozen(&journal).map(|segment| Frozen { lander, day_file, number, segment });
    Ok(frozen.map(|frozen| (frozen, files)))
}

/// A segment that takes no more commits.
struct Frozen<'f> {
    lander: &'f Lander<'f>,
    day_file: &'f DayFile,
    number: u32,
    segment: Segment,
}

impl Frozen<'_> {
    /// Step 2: the finished file, synced, under a temporary name (or the open file
    /// itself where its lines are in order). `None`: somebody else has finished the segment
    /// meanwhile.
    fn draft(&self, files: Option<Files>) -> Result<Option<Sealed>> {
        let Frozen { lander, day_file, number, segment } = self;
        let seal = &lander.config.seal;
        let ordered = seal.order == Order::Arrival || merge::in_order(&segment.commits);
        let plain = (segment.form(), seal.compress) == (Form::Plain, Compress::None);
        let drafted = files.map_or_else(|| self.open_files(), Ok).and_then(|files| {
            let in_place = match ordered && plain {
                true => self.check_in_place(files.data.as_ref())?,
                false => None,
            };
            // Also where something lies beyond the last commit, so that it must not be published
            // itself.
            in_place.map_or_else(|| self.write_merged(&files, ordered), Ok)
        });
        let error = match drafted {
            Ok(sealed) => return Ok(Some(sealed)),
            Err(error) => error,
        };
        // ENOENT, ESTALE, or what looks like damage: nothing of it counts if somebody else has
        // finished.
        let finished = |state: State| {
            let sealed = state.segment(*number).is_some_and(|now| now.sealed.is_some());
            sealed || state.closed.is_some()
        };
        match Journal::peek(lander, day_file)?.is_some_and(finished) {
            true => Ok(None),
            false => match &error {
                LandError::Io { path, .. } if *path == self.open_path() => {
                    Err(lost(lander, error, segment.bytes()))
                }
                _ => Err(error),
            },
        }
    }

    /// The files of a segment that was frozen before.
    fn open_files(&self) -> Result<Files> {
        let Frozen { lander, day_file, .. } = self;
        folders::refresh(lander, day_file.folder())?;
        let open = |path: &str| lander.disk.open(path, Open::Read).context("open", path);
        Ok(Files { data: open(&self.open_path())?, seen: open(&day_file.seen())? })
    }

    /// The open file is the finished file: checked against its commits, and hashed. `None`: it has
    /// other bytes too.
    fn check_in_place(&self, file: &dyn Handle) -> Result<Option<Sealed>> {
        let Frozen { segment, .. } = self;
        let path = self.open_path();
        if file.length().context("look at", &path)? > segment.bytes() {
            return Ok(None);
        }
        let mut hash = Sha256::new();
        copy_commits(file, &path, &segment.commits, &mut |bytes| {
            hash.update(bytes);
            Ok(())
        })?;
        file.sync().context("sync", &path)?;
        let (bytes, sha256) = (segment.bytes(), hash.finalize().into());
        let finished = Sealed { bytes, text_bytes: bytes, sha256, ..Sealed::default() };
        Ok(Some(self.sealed(path, &finished)))
    }

    fn open_path(&self) -> String {
        self.day_file.open_segment(self.number, self.segment.form())
    }

    /// What a finished file is sealed as.
    fn sealed(&self, temporary: String, finished: &Sealed) -> Sealed {
        let compress = self.lander.config.seal.compress;
        let (segment, target) = (self.number, self.day_file.target(self.number, compress));
        let (lines, at) = (self.segment.lines(), self.lander.clock.now());
        Sealed { segment, temporary, target, lines, at, ..finished.clone() }
    }

    /// Writes the merged (or, in order, the same) lines into a temporary file, compressed or not.
    fn write_merged(&self, files: &Files, ordered: bool) -> Result<Sealed> {
        let temporary = self.day_file.temporary(self.number, &unique());
        let finished = self.write_temporary(&temporary, files, ordered);
        if finished.is_err() {
            // Nothing names it, and the next try makes one of its own. What cannot be removed now
            // is removed by the process that publishes, or by the next round.
            folders::remove(self.lander, &temporary).ok();
        }
        finished.map(|finished| self.sealed(temporary, &finished))
    }

    /// Writes it and syncs it.
    fn write_temporary(&self, temporary: &str, files: &Files, ordered: bool) -> Result<Sealed> {
        let Frozen { lander, day_file, segment, .. } = self;
        let (data, seen) = (files.data.as_ref(), files.seen.as_ref());
        let (data_path, seen_path) = (&*self.open_path(), &*day_file.seen());
        // Its name is nobody else's: O_EXCL would cost a round trip.
        let how = Open::Create(lander.config.files.mode);
        let file = lander.disk.open(temporary, how).context("make", temporary)?;
        let output = Output::new(file.as_ref(), lander.config.seal.compress, segment.text_bytes());
        let mut output = output.context("write", temporary)?;
        let mut emit = |bytes: &[u8]| output.write_all(bytes).context("write", temporary);
        if ordered {
            copy_commits(data, data_path, &segment.commits, &mut emit)?;
        } else {
            let source = Source { data, data_path, seen, seen_path, kind: day_file.kind };
            let memory = lander.config.limits.merge_bytes;
            match merge::fits(&segment.commits, memory) {
                true => merge::merge(&source, &segment.commits, memory, &mut emit)?,
                false => self.merge_plain(&source, memory, &mut emit)?,
            }
        }
        let finished = output.finish().context("write", temporary)?;
        file.sync().context("sync", temporary)?;
        drop(file);
        lander.disk.sync_dir(day_file.folder()).context("sync", day_file.folder())?;
        Ok(finished)
    }

    /// Merges what is compressed through a temporary with its plain text.
    fn merge_plain(
        &self,
        source: &Source<'_>,
        memory: usize,
        emit: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let path = self.day_file.temporary(self.number, &unique());
        let merged = self.write_plain(source, &path).and_then(|(data, commits)| {
            let source = Source { data: data.as_ref(), data_path: &path, ..*source };
            merge::merge(&source, &commits, memory, emit)
        });
        let removed = folders::remove(self.lander, &path);
        merged.and(removed)
    }

    /// The plain text of all commits, and where each is in it.
    fn write_plain(
        &self,
        source: &Source<'_>,
        path: &str,
    ) -> Result<(Box<dyn Handle>, Vec<Commit>)> {
        let how = Open::Create(self.lander.open_mode());
        let file = self.lander.disk.open(path, how).context("make", path)?;
        let mut pieces = Pieces::new(file.as_ref(), 0);
        copy_commits(source.data, source.data_path, &self.segment.commits, &mut |bytes| {
            pieces.write_all(bytes).context("write", path)
        })?;
        pieces.finish().context("write", path)?;
        let commits = self.segment.commits.iter().scan(0, |end, commit| {
            let (offset, bytes) = (*end, commit.text_bytes);
            *end += bytes;
            Some(Commit { form: Form::Plain, offset, bytes, ..commit.clone() })
        });
        let commits = commits.collect();
        Ok((file, commits))
    }

    /// Step 3: the Sealed frame, unless someone else was first; then step 4. Answers whether
    /// another segment may be due.
    fn finish(&self, draft: Sealed, published: &mut Vec<Sealed>) -> Result<bool> {
        let (temporary, mut is_named) = (draft.temporary.clone(), false);
        let finished = self.append_and_publish(draft, published, &mut is_named);
        let is_open_file = temporary == self.open_path();
        if is_named || is_open_file {
            return finished;
        }
        // No frame names it.
        let removed = folders::remove(self.lander, &temporary);
        finished.and_then(|more| removed.map(|()| more))
    }

    fn append_and_publish(
        &self,
        draft: Sealed,
        published: &mut Vec<Sealed>,
        is_named: &mut bool,
    ) -> Result<bool> {
        let (mut journal, finished) = lock_existing(self.lander, self.day_file)?;
        published.extend(finished);
        if journal.state.segment(self.number).is_none_or(|segment| *segment != self.segment) {
            return Ok(true);
        }
        let mut hold = Hold::take(self.lander, self.day_file, &mut journal)?;
        hold.journal.check_lease()?;
        *is_named = true;
        hold.journal.append(Frame::Sealed(draft))?;
        published.extend(publish(&mut hold, self.number, true)?);
        let due = due(self.lander, self.day_file, &hold.journal.state)?;
        Ok(due.is_some())
    }
}

/// The commits' text as it stands, each commit's CRC checked.
pub(crate) fn copy_commits<E: From<LandError>>(
    data: &dyn Handle,
    path: &str,
    commits: &[Commit],
    emit: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut buffer = vec![0; CHUNK];
    for commit in commits {
        let mut text = Text::new(data, path, commit);
        loop {
            match text.read(&mut buffer)? {
                0 => break,
                filled => emit(&buffer[..filled])?,
            }
        }
    }
    Ok(())
}
