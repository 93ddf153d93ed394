//! Publish: a sealed segment gets its final name and its checksum, from any process that finds it.
//!
//! Step 4 of a seal in `docs/protocol.md`.

use std::io;

use crate::day::utc_day;
use crate::disk::Open;
use crate::land::day_file::hold::Hold;
use crate::land::journal::Journal;
use crate::land::journal::frame::{Contents, Frame, Sealed, SegmentEvent};
use crate::land::journal::lander::Lander;
use crate::land::root::error::{Context, LandError, Result, is_foreign, is_gone};
use crate::land::root::files::{says, write_new};
use crate::land::root::layout::{DayFile, Hint, OPEN, checksum, folder_of};
use crate::land::root::{folders, unique};

/// How many rounds announce a published segment: the answer of one may be lost.
pub(crate) const ANNOUNCED: u32 = 2;

/// Locks a day file's journal; segments that are sealed but not published are published first.
/// Answers them, too.
pub(crate) fn lock<'l>(
    lander: &'l Lander<'l>,
    day_file: &DayFile,
) -> Result<(Journal<'l>, Vec<Sealed>)> {
    let journal = Journal::lock(lander, day_file, Open::Create(lander.open_mode()))?;
    publish_all(lander, day_file, journal)
}

/// The same of a day file that is there.
pub(crate) fn lock_existing<'l>(
    lander: &'l Lander<'l>,
    day_file: &DayFile,
) -> Result<(Journal<'l>, Vec<Sealed>)> {
    let journal = Journal::lock_existing(lander, day_file)?;
    let journal = journal.ok_or_else(|| lander.hint_without_journal(day_file))?;
    publish_all(lander, day_file, journal)
}

fn publish_all<'l>(
    lander: &'l Lander<'l>,
    day_file: &DayFile,
    mut journal: Journal<'l>,
) -> Result<(Journal<'l>, Vec<Sealed>)> {
    let (unpublished, mut published) = (journal.state.unpublished(), Vec::new());
    if !unpublished.is_empty() {
        let mut hold = Hold::take(lander, day_file, &mut journal)?;
        // The Sealed frame may be of a process that was killed before its sync, or whose sync
        // failed.
        hold.journal.rewrite_last_frame()?;
        for segment in unpublished {
            published.extend(publish(&mut hold, segment, false)?);
        }
    }
    Ok((journal, published))
}

/// Under the locks of journal and `seen`, whose lease was checked: whatever of it was done before,
/// it is done after. Answers what the segment was sealed as. `is_ours`: this process has just
/// written and synced what is published.
pub(crate) fn publish(
    hold: &mut Hold<'_, '_>,
    number: u32,
    is_ours: bool,
) -> Result<Option<Sealed>> {
    let (lander, day_file) = (hold.lander, hold.day_file);
    let state = &hold.journal.state;
    let segment = state.segment(number);
    let Some(sealed) = segment.and_then(|one| one.sealed.clone()) else { return Ok(None) };
    let folder = folder_of(&sealed.target);
    link(lander, day_file, &sealed, is_ours)?;
    write_checksum(lander, day_file, &sealed)?;
    lander.disk.sync_dir(folder).context("sync", folder)?;
    remove_unfinished(lander, day_file, number)?;
    // Or a crash after Done could bring them back, and every line of the open file twice.
    lander.disk.sync_dir(folder).context("sync", folder)?;
    // The hint of this publication comes before the one of an earlier one goes.
    let before = state.segments.iter().filter_map(|segment| segment.done).max();
    let at = lander.clock.now();
    let date = utc_day(at.max(before.unwrap_or(at)));
    lander.make_hint(&day_file.hint(&Hint::Close(date)))?;
    hold.journal.append(Frame::Done(SegmentEvent { segment: number, at }))?;
    hold.write_watermark()?;
    announce(lander, day_file, number)?;
    if let Some(before) = before.map(utc_day).filter(|before| *before != date) {
        for hint in [Hint::Close(before), Hint::Removed(before)] {
            folders::remove(lander, &day_file.hint(&hint))?;
        }
    }
    Ok(Some(sealed))
}

/// Removes the open files of a segment, and what drafts of it have left; it is published.
pub(crate) fn remove_unfinished(
    lander: &Lander<'_>,
    day_file: &DayFile,
    number: u32,
) -> Result<()> {
    let folder = day_file.folder();
    for name in folders::names(lander, folder)? {
        let of = DayFile::parse_unfinished(folder, &name);
        if of.is_some_and(|(of, segment)| of == *day_file && segment == number) {
            folders::remove(lander, &format!("{folder}/{name}"))?;
        }
    }
    Ok(())
}

/// The hint that a segment is to be sealed becomes the one that it is to be announced.
pub(crate) fn announce(lander: &Lander<'_>, day_file: &DayFile, number: u32) -> Result<()> {
    let from = day_file.hint(&Hint::Seal(number));
    let to = day_file.hint(&Hint::Announce(ANNOUNCED, number));
    folders::make(lander, folder_of(&to))?;
    match lander.disk.rename(&from, &to) {
        // The hint was lost, or the reply of an earlier try.
        Err(error) if is_gone(&error) => lander.make_hint(&to),
        result => result.context("rename", &from),
    }
}

/// Gives the finished file its final name; never replaces. The open file becomes read-only first,
/// and not before the journal says that it is sealed: a draft that does not count must not take it
/// from those that write. An error may be a success whose reply was lost.
fn link(lander: &Lander<'_>, day_file: &DayFile, sealed: &Sealed, is_ours: bool) -> Result<()> {
    let is_whole = is_ours && !sealed.temporary.ends_with(OPEN);
    if is_whole && lander.disk.link(&sealed.temporary, &sealed.target).is_ok() {
        return Ok(());
    }
    let mut ours = lander.open_if_there(&sealed.temporary)?;
    if ours.is_none() {
        folders::refresh(lander, folder_of(&sealed.temporary))?;
        ours = lander.open_if_there(&sealed.temporary)?;
    }
    if let Some(ours) = &ours {
        let (length, bytes) = (ours.length().context("look at", &sealed.temporary)?, sealed.bytes);
        if length != bytes {
            let what = format!("it has {length} bytes, of {bytes} that were sealed");
            return Err(LandError::damage(&sealed.temporary, what));
        }
        if sealed.temporary.ends_with(OPEN) {
            ours.set_mode(lander.config.files.mode).context("make read-only", &sealed.temporary)?;
            ours.sync().context("sync", &sealed.temporary)?;
        }
    }
    let linked = match ours {
        Some(_) => lander.disk.link(&sealed.temporary, &sealed.target),
        // Published already, or its name is not everywhere yet: what is writable gets no name.
        None => Err(io::ErrorKind::NotFound.into()),
    };
    let Err(error) = linked else { return Ok(()) };
    let target = match lander.disk.open(&sealed.target, Open::Read) {
        Ok(target) => target,
        Err(error) if is_foreign(&error) => return Err(error).context("open", &sealed.target),
        Err(_) => return Err(error).context("publish", &sealed.target),
    };
    if let Some(ours) = ours {
        let number = ours.inode().context("look at", &sealed.temporary)?.number;
        if target.inode().context("look at", &sealed.target)?.number == number {
            return Ok(());
        }
    }
    let there = Contents::read(target.as_ref(), &sealed.target, day_file.kind)?;
    if there.sha256 == sealed.sha256 {
        return Ok(());
    }
    Err(LandError::Foreign(sealed.target.clone()))
}

/// Writes `<target>.sha256`, unless it is there.
fn write_checksum(lander: &Lander<'_>, day_file: &DayFile, sealed: &Sealed) -> Result<()> {
    let temporary = day_file.temporary(sealed.segment, &unique());
    let (path, text) = checksum(&sealed.target, &sealed.sha256);
    if let Some(there) = lander.open_if_there(&path)? {
        return match says(there.as_ref(), &path, &text)? {
            true => Ok(()),
            false => Err(LandError::Foreign(path)),
        };
    }
    write_new(lander, &temporary, text.as_bytes(), lander.config.files.mode)?;
    match lander.disk.rename(&temporary, &path) {
        // Perhaps done, and its reply lost: the temporary is gone then.
        Err(error) if is_gone(&error) && lander.disk.open(&path, Open::Read).is_ok() => Ok(()),
        result => result.context("rename", &temporary),
    }
}
