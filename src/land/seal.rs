//! Seal: a segment whose day is over is finished, published under its final name and never written again.
//!
//! The steps are numbered as in docs/design.md. Anybody may repeat them at any point; the journal says how far they got.

use std::io::Write;

use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use super::commit::{self, Hold};
use super::day_file::{DayFile, folder_of, name_of};
use super::error::{LandError, Named, is_absent, is_foreign, is_gone};
use super::frame::{Commit, Frame, Mark, Sealed};
use super::journal::Journal;
use super::merge::{self, Source};
use super::output::{CHUNK, Output, hex};
use super::state::{Segment, State};
use super::{Lander, folders, unique};
use crate::config::{Compress, Order};
use crate::day;
use crate::disk::{Handle, Open};

/// A segment that never takes a commit waits no longer than this after its first one.
const OPEN_MS_MAX: i64 = 48 * 3600 * 1000;

/// Seals the segments of one day file that are due. `hints` are the segments whose hints were found.
/// Answers what is published now and was not before.
pub fn seal(
    lander: &Lander<'_>,
    day_file: &DayFile,
    hints: &[u32],
) -> Result<Vec<Sealed>, LandError> {
    let mut published = Vec::new();
    let Some(state) = Journal::look(lander, day_file)? else { return Ok(published) };
    let path = day_file.journal();
    let due = due(lander, &path, day_file, &state)?;
    if due.is_none() && state.numbered().all(|(_, segment)| !unpublished(segment)) {
        return forget_hints(lander, day_file, hints, &state).map(|()| published);
    }
    // Each round finishes one segment; a day has few.
    while let Some((number, segment)) = freeze(lander, day_file, &mut published)? {
        let Some(draft) = draft(lander, day_file, number, &segment)? else { continue };
        finish(lander, day_file, draft, &segment, &mut published)?;
    }
    Ok(published)
}

/// Whether a segment is sealed, but a crash kept it from being published.
fn unpublished(segment: &Segment) -> bool {
    segment.sealed.is_some() && segment.done.is_none()
}

/// The first segment that is not sealed and may be: frozen already, or its day over for long enough.
fn due(
    lander: &Lander<'_>,
    path: &str,
    day_file: &DayFile,
    state: &State,
) -> Result<Option<u32>, LandError> {
    let zone: Tz = state.timezone(path)?;
    let now = lander.clock.now();
    let grace = lander.config.seal.grace.as_millis() as i64;
    let over = day::day_end(zone, day_file.day) + grace <= now;
    let quiet = |segment: &Segment| {
        let (first, last) = (segment.commits.first(), segment.commits.last());
        last.is_some_and(|commit| commit.at + grace <= now)
            || first.is_some_and(|commit| commit.at + OPEN_MS_MAX <= now)
    };
    let unsealed = state.numbered().filter(|(_, segment)| segment.sealed.is_none());
    Ok({ unsealed }
        .find(|(_, segment)| segment.frozen.is_some() || (over && quiet(segment)))
        .map(|(number, _)| number))
}

/// Step 1: under all three locks the segment ends; what lies beyond its last commit is cut.
/// Answers the segment to be merged; none if nothing is due any more.
fn freeze(
    lander: &Lander<'_>,
    day_file: &DayFile,
    published: &mut Vec<Sealed>,
) -> Result<Option<(u32, Segment)>, LandError> {
    let mut journal = commit::lock(lander, day_file)?;
    published.append(&mut journal.published);
    let path = journal.path().to_owned();
    let Some(number) = due(lander, &path, day_file, &journal.state)? else { return Ok(None) };
    let frozen = |journal: &Journal<'_>| {
        journal.state.segment(number).filter(|segment| segment.frozen.is_some()).cloned()
    };
    if frozen(&journal).is_some() {
        // The Freeze frame may be of a process that was killed before its sync.
        journal.repeat()?;
    } else {
        let mut hold = Hold::take(lander, day_file, &mut journal)?;
        hold.open_segment(number)?;
        hold.settle(number)?;
        let mark = Mark { segment: number, at: lander.clock.now() };
        hold.journal.append(Frame::Freeze(mark))?;
        hold.mark()?;
    }
    Ok(frozen(&journal).map(|segment| (number, segment)))
}

/// Step 2: the finished file, synced and read-only, under a temporary name (or the open file itself where its lines
/// are in order). `None`: somebody else has finished the segment meanwhile.
fn draft(
    lander: &Lander<'_>,
    day_file: &DayFile,
    number: u32,
    segment: &Segment,
) -> Result<Option<Sealed>, LandError> {
    let seal = &lander.config.seal;
    let ordered = seal.order == Order::Arrival || merge::in_order(&segment.commits);
    let gzip = seal.compress == Compress::Gzip;
    folders::refresh(lander, day_file.folder())?;
    let result = match (gzip, ordered) {
        (false, true) => check_in_place(lander, day_file, number, segment),
        _ => write_merged(lander, day_file, number, segment, gzip, ordered).map(Some),
    };
    let result = match result {
        // Something lies beyond the last commit after all: the open file itself must not be published.
        Ok(None) => write_merged(lander, day_file, number, segment, gzip, ordered),
        Ok(Some(sealed)) => Ok(sealed),
        Err(error) => Err(error),
    };
    let Err(error) = result else { return result.map(Some) };
    // ENOENT, ESTALE, or what looks like damage: nothing of it counts if somebody else has finished.
    let finished = |state: State| {
        let sealed = state.segment(number).is_some_and(|now| now.sealed.is_some());
        sealed || state.closed.is_some()
    };
    match Journal::peek(lander, day_file)?.is_some_and(finished) {
        true => Ok(None),
        false => match &error {
            LandError::Io { path, .. } if *path == day_file.open_segment(number) => {
                Err(commit::lost(lander, error, segment.bytes()))
            }
            _ => Err(error),
        },
    }
}

/// The open file is the finished file: checked against its commits, hashed, made read-only. `None`: it has other bytes too.
fn check_in_place(
    lander: &Lander<'_>,
    day_file: &DayFile,
    number: u32,
    segment: &Segment,
) -> Result<Option<Sealed>, LandError> {
    let path = day_file.open_segment(number);
    let file = lander.disk.open(&path, Open::Read).named("open", &path)?;
    if file.length().named("look at", &path)? > segment.bytes() {
        return Ok(None);
    }
    let mut hash = Sha256::new();
    copy_commits(file.as_ref(), &path, &segment.commits, &mut |bytes| {
        hash.update(bytes);
        Ok(())
    })?;
    file.set_mode(lander.config.files.mode).named("make read-only", &path)?;
    file.sync().named("sync", &path)?;
    let target = day_file.target(number, false);
    let (bytes, lines, sha256) = (segment.bytes(), segment.lines(), hash.finalize().into());
    let at = lander.clock.now();
    Ok(Some(Sealed { segment: number, temporary: path, target, bytes, lines, sha256, at }))
}

/// Writes the merged (or, in order, the same) lines into a temporary file, compressed or not.
fn write_merged(
    lander: &Lander<'_>,
    day_file: &DayFile,
    number: u32,
    segment: &Segment,
    gzip: bool,
    ordered: bool,
) -> Result<Sealed, LandError> {
    let data_path = day_file.open_segment(number);
    let data = lander.disk.open(&data_path, Open::Read).named("open", &data_path)?;
    let temporary = day_file.temporary(number, &unique());
    let merging =
        Merging { day_file, segment, data: data.as_ref(), data_path: &data_path, ordered };
    match write_temporary(lander, &merging, &temporary, gzip) {
        Ok((bytes, sha256)) => {
            let target = day_file.target(number, gzip);
            let (lines, at) = (segment.lines(), lander.clock.now());
            Ok(Sealed { segment: number, temporary, target, bytes, lines, sha256, at })
        }
        // What cannot be removed now is removed by whoever publishes, or by the next round.
        Err(error) => match folders::remove(lander, &temporary) {
            Ok(()) | Err(_) => Err(error),
        },
    }
}

/// What goes into a temporary.
struct Merging<'m> {
    day_file: &'m DayFile,
    segment: &'m Segment,
    data: &'m dyn Handle,
    data_path: &'m str,
    ordered: bool,
}

/// The length and SHA-256 of what was written, synced and made read-only.
fn write_temporary(
    lander: &Lander<'_>,
    merging: &Merging<'_>,
    temporary: &str,
    gzip: bool,
) -> Result<(u64, [u8; 32]), LandError> {
    let Merging { day_file, segment, data, data_path, ordered } = *merging;
    let how = Open::CreateNew(lander.open_mode());
    let file = lander.disk.open(temporary, how).named("make", temporary)?;
    let mut output = Output::new(file.as_ref(), gzip);
    let mut emit = |bytes: &[u8]| output.write_all(bytes).named("write", temporary);
    if ordered {
        copy_commits(data, data_path, &segment.commits, &mut emit)?;
    } else {
        let seen_path = day_file.seen();
        let seen = lander.disk.open(&seen_path, Open::Read).named("open", &seen_path)?;
        let (seen, kind) = (seen.as_ref(), day_file.kind);
        let source = Source { data, data_path, seen, seen_path: &seen_path, kind };
        let memory = lander.config.limits.merge_bytes;
        merge::merge(&source, &segment.commits, memory, &mut emit)?;
    }
    let finished = output.finish().named("write", temporary)?;
    file.set_mode(lander.config.files.mode).named("make read-only", temporary)?;
    file.sync().named("sync", temporary)?;
    drop(file);
    lander.disk.sync_dir(day_file.folder()).named("sync", day_file.folder())?;
    Ok(finished)
}

/// The commits' bytes as they stand, each commit's CRC checked.
pub(super) fn copy_commits(
    data: &dyn Handle,
    path: &str,
    commits: &[Commit],
    emit: &mut dyn FnMut(&[u8]) -> Result<(), LandError>,
) -> Result<(), LandError> {
    let mut buffer = vec![0; CHUNK];
    for commit in commits {
        let (mut crc, mut at) = (0, 0);
        while at < commit.bytes {
            let wanted = (commit.bytes - at).min(CHUNK as u64) as usize;
            let chunk = &mut buffer[..wanted];
            let filled = data.read_at(chunk, commit.offset + at).named("read", path)?;
            let chunk = &chunk[..filled];
            crc = crc32c::crc32c_append(crc, chunk);
            emit(chunk)?;
            at += filled as u64;
            if filled < wanted {
                break;
            }
        }
        if crc != commit.crc || at < commit.bytes {
            let (bytes, offset) = (commit.bytes, commit.offset);
            let what = format!("the {bytes} bytes at {offset} are not those that were committed");
            return Err(LandError::damage(path, what));
        }
    }
    Ok(())
}

/// Step 3: the Sealed frame, unless someone else was first; then step 4.
fn finish(
    lander: &Lander<'_>,
    day_file: &DayFile,
    draft: Sealed,
    drafted: &Segment,
    published: &mut Vec<Sealed>,
) -> Result<(), LandError> {
    let number = draft.segment;
    let proven = commit::lock(lander, day_file).and_then(|mut journal| {
        published.append(&mut journal.published);
        journal.prove().map(|()| journal)
    });
    let mut journal = match proven {
        Ok(journal) => journal,
        // Nothing names it yet, and the next try makes one of its own.
        Err(error) => match discard(lander, day_file, &draft) {
            Ok(()) | Err(_) => return Err(error),
        },
    };
    if journal.state.segment(number).is_none_or(|segment| segment != drafted) {
        return discard(lander, day_file, &draft);
    }
    journal.append(Frame::Sealed(draft))?;
    publish(lander, day_file, &mut journal, number)?;
    published.append(&mut journal.published);
    Ok(())
}

/// Removes a draft that no Sealed frame names; the open file, if it is that, stays.
fn discard(lander: &Lander<'_>, day_file: &DayFile, draft: &Sealed) -> Result<(), LandError> {
    match draft.temporary == day_file.open_segment(draft.segment) {
        true => Ok(()),
        false => folders::remove(lander, &draft.temporary),
    }
}

/// Step 4, under the journal's lock: whatever of it was done before, it is done after.
pub fn publish(
    lander: &Lander<'_>,
    day_file: &DayFile,
    journal: &mut Journal<'_>,
    number: u32,
) -> Result<(), LandError> {
    let Some(sealed) = journal.state.segment(number).and_then(|segment| segment.sealed.clone())
    else {
        return Ok(());
    };
    let folder = folder_of(&sealed.target);
    folders::refresh(lander, folder)?;
    link(lander, &sealed)?;
    write_checksum(lander, day_file, &sealed)?;
    lander.disk.sync_dir(folder).named("sync", folder)?;
    folders::remove(lander, &day_file.open_segment(number))?;
    let prefix = day_file.temporary_prefix(number);
    for entry in lander.disk.list(folder).named("list", folder)? {
        if entry.name.starts_with(&prefix) && entry.name.ends_with(".tmp") {
            folders::remove(lander, &format!("{folder}/{}", entry.name))?;
        }
    }
    // Or a crash after Done could bring them back, and every line of the open file twice.
    lander.disk.sync_dir(folder).named("sync", folder)?;
    lander.make_hint(&day_file.sealed_hint())?;
    journal.append(Frame::Done(Mark { segment: number, at: lander.clock.now() }))?;
    folders::remove(lander, &day_file.open_hint(number))?;
    journal.published.push(sealed);
    Ok(())
}

/// Gives the finished file its final name; never replaces. An error may be a success whose reply was lost.
fn link(lander: &Lander<'_>, sealed: &Sealed) -> Result<(), LandError> {
    let ours = match lander.disk.open(&sealed.temporary, Open::Read) {
        Ok(temporary) => Some(temporary),
        Err(error) if is_absent(&error) => None,
        Err(error) => return Err(error).named("open", &sealed.temporary),
    };
    if let Some(ours) = &ours {
        let (length, bytes) = (ours.length().named("look at", &sealed.temporary)?, sealed.bytes);
        if length != bytes {
            let what = format!("it has {length} bytes, of {bytes} that were sealed");
            return Err(LandError::damage(&sealed.temporary, what));
        }
    }
    let Err(error) = lander.disk.link(&sealed.temporary, &sealed.target) else { return Ok(()) };
    let target = match lander.disk.open(&sealed.target, Open::Read) {
        Ok(target) => target,
        Err(error) if is_foreign(&error) => return Err(error).named("open", &sealed.target),
        Err(_) => return Err(error).named("publish", &sealed.target),
    };
    if let Some(ours) = ours {
        let number = ours.inode().named("look at", &sealed.temporary)?.number;
        if target.inode().named("look at", &sealed.target)?.number == number {
            return Ok(());
        }
    }
    if hash_file(target.as_ref(), &sealed.target)? == sealed.sha256 {
        return Ok(());
    }
    Err(LandError::Foreign { path: sealed.target.clone() })
}

/// The SHA-256 of a whole file.
pub fn hash_file(file: &dyn Handle, path: &str) -> Result<[u8; 32], LandError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let filled = file.read_at(&mut buffer, at).named("read", path)?;
        hash.update(&buffer[..filled]);
        at += filled as u64;
        if filled < buffer.len() {
            return Ok(hash.finalize().into());
        }
    }
}

/// `<target>.sha256`, for `sha256sum -c` in the folder.
fn write_checksum(
    lander: &Lander<'_>,
    day_file: &DayFile,
    sealed: &Sealed,
) -> Result<(), LandError> {
    let temporary = day_file.temporary(sealed.segment, &unique());
    let path = format!("{}.sha256", sealed.target);
    let text = format!("{}  {}\n", hex(&sealed.sha256), name_of(&sealed.target));
    match lander.disk.open(&path, Open::Read) {
        Ok(there) => {
            let mut bytes = vec![0; text.len() + 1];
            let filled = there.read_at(&mut bytes, 0).named("read", &path)?;
            return match &bytes[..filled] == text.as_bytes() {
                true => Ok(()),
                false => Err(LandError::Foreign { path }),
            };
        }
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(error).named("open", &path),
    }
    let how = Open::CreateNew(lander.open_mode());
    let file = lander.disk.open(&temporary, how).named("make", &temporary)?;
    file.write_at(text.as_bytes(), 0).named("write", &temporary)?;
    file.set_mode(lander.config.files.mode).named("make read-only", &temporary)?;
    file.sync().named("sync", &temporary)?;
    drop(file);
    match lander.disk.rename(&temporary, &path) {
        // Perhaps done, and its reply lost: the temporary is gone then.
        Err(error) if is_gone(&error) && lander.disk.open(&path, Open::Read).is_ok() => Ok(()),
        result => result.named("rename", &temporary),
    }
}

/// Removes the hints of segments that are published: a crash came between Done and the hint.
fn forget_hints(
    lander: &Lander<'_>,
    day_file: &DayFile,
    hints: &[u32],
    state: &State,
) -> Result<(), LandError> {
    let mut stale = hints.iter().filter(|number| state.is_done(**number));
    stale.try_for_each(|number| folders::remove(lander, &day_file.open_hint(*number)))
}
