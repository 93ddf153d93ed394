//! Replace: how a rebuilt day is put in the place of the damaged one, and how one that was cut short is carried on.
//!
//! Before any name changes, `.hiwake/damaged/<file>/<day>.<unique>/` holds a second name of all that was there, a copy of
//! the old journal, and as `next.*` a copy of all that comes, the journal last. `seen` is the first to be put in place: its mark
//! disowns the old journal. So whoever finds a journal that `seen` disowns, and a `next.seen` of the same bytes, carries
//! on with what lies beside it. A lander that has committed since has changed `seen`; then this is over.

use super::day_file::{DayFile, folder_of, name_of};
use super::error::{LandError, Named, is_absent};
use super::journal::Ruin;
use super::rebuild::{DAMAGED, read_file, read_handle};
use super::state::State;
use super::{Lander, folders, seen, unique, verify};
use crate::disk::Open;

const NEXT: &str = "next.";

/// All that comes.
pub struct Next {
    /// The journal's bytes.
    pub journal: Vec<u8>,
    /// Those of `seen`.
    pub seen: Vec<u8>,
    /// Files that readers see, by path.
    pub files: Vec<(String, Vec<u8>)>,
}

impl Next {
    /// What a rebuild that was cut short would have put in place, if nothing has happened since, and its folder.
    pub fn find(
        lander: &Lander<'_>,
        day_file: &DayFile,
        ruin: &Ruin<'_>,
    ) -> Result<Option<(String, Next)>, LandError> {
        let there = read_file(lander, &day_file.seen())?;
        let mark = seen::Mark::decode(there.get(..seen::MARK_BYTES as usize).unwrap_or_default());
        if mark.is_none() || ruin.state().is_some_and(|state| state.after(mark).is_some()) {
            return Ok(None);
        }
        for folder in unfinished(lander, day_file)? {
            if read_file(lander, &format!("{folder}/{NEXT}seen"))? != there {
                continue;
            }
            let next = Next::read(lander, day_file, &folder, there.clone())?;
            if next.fits(lander, day_file, mark)? {
                return Ok(Some((folder, next)));
            }
        }
        Ok(None)
    }

    fn read(
        lander: &Lander<'_>,
        day_file: &DayFile,
        folder: &str,
        seen: Vec<u8>,
    ) -> Result<Next, LandError> {
        let mut next = Next { journal: Vec::new(), seen, files: Vec::new() };
        for name in folders::names(lander, folder)? {
            let bytes = read_file(lander, &format!("{folder}/{name}"))?;
            match name.strip_prefix(NEXT) {
                None | Some("seen") => {}
                Some("journal") => next.journal = bytes,
                Some(name) => next.files.push((format!("{}/{name}", day_file.folder()), bytes)),
            }
        }
        Ok(next)
    }

    /// Whether it is this day's, whole, and everything that is published is in it.
    fn fits(
        &self,
        lander: &Lander<'_>,
        day_file: &DayFile,
        mark: Option<seen::Mark>,
    ) -> Result<bool, LandError> {
        let path = day_file.journal();
        let Some(state) = State::read(&path, &self.journal).ok().flatten() else {
            return Ok(false);
        };
        if !state.identity.is_of(day_file) || state.is_torn() || state.after(mark) != Some(0) {
            return Ok(false);
        }
        let mut expected = std::collections::BTreeSet::new();
        for (number, segment) in state.numbered() {
            let open = day_file.open_segment(number);
            match &segment.sealed {
                Some(sealed) => {
                    expected.extend([sealed.target.clone(), format!("{}.sha256", sealed.target)]);
                }
                None => {
                    let found = self.files.iter().find(|(path, _)| *path == open);
                    let crc = segment.commits.first().map(|commit| commit.crc);
                    if found.map(|(_, bytes)| crc32c::crc32c(bytes)) != crc {
                        return Ok(false);
                    }
                }
            }
        }
        let present = verify::names_of(lander, day_file)?;
        Ok(present.iter().all(|name| name.ends_with(".open") || expected.contains(name)))
    }

    /// Second names for all that is there, a copy of the journal, and copies of what comes: nothing is lost, whoever was
    /// wrong, and whatever comes between. Answers the folder.
    pub fn keep(
        &self,
        lander: &Lander<'_>,
        day_file: &DayFile,
        ruin: &Ruin<'_>,
    ) -> Result<String, LandError> {
        let day = name_of(&day_file.journal_folder()).to_owned();
        let folder = format!("{DAMAGED}/{}/{day}.{}", day_file.file, unique());
        folders::make(lander, &folder)?;
        write_file(lander, &format!("{folder}/journal"), ruin.bytes(), lander.open_mode())?;
        let mut names = verify::names_of(lander, day_file)?;
        names.insert(day_file.seen());
        for name in names {
            let to = format!("{folder}/{}", name_of(&name));
            match lander.disk.link(&name, &to) {
                Err(error) if is_absent(&error) => {}
                result => result.named("keep", &name)?,
            }
        }
        let copy = |name: &str, bytes: &[u8]| {
            write_file(lander, &format!("{folder}/{NEXT}{name}"), bytes, lander.open_mode())
        };
        copy("seen", &self.seen)?;
        self.files.iter().try_for_each(|(path, bytes)| copy(name_of(path), bytes))?;
        copy("journal", &self.journal)?;
        folders::sync_up(lander, &folder)?;
        Ok(folder)
    }

    /// The order of the writes. Until the last one the journal is the old one, or empty, and `seen` is marked with a
    /// frame that it has not got: what is cut short is damage, never a day that looks whole.
    pub fn put(
        &self,
        lander: &Lander<'_>,
        day_file: &DayFile,
        ruin: &Ruin<'_>,
        kept: &str,
    ) -> Result<(), LandError> {
        let mut made = Vec::new();
        if let Err(error) = self.make(lander, day_file, &mut made).and_then(|()| ruin.prove()) {
            for (temporary, _) in made {
                // What cannot be removed is named by `verify`.
                drop(folders::remove(lander, &temporary));
            }
            return Err(error);
        }
        // From here on names change: `seen` first.
        let rename = |(temporary, path): &(String, String)| {
            lander.disk.rename(temporary, path).named("rename", temporary)?;
            let folder = folder_of(path);
            lander.disk.sync_dir(folder).named("sync", folder)
        };
        let (open, others): (Vec<_>, Vec<_>) =
            made.into_iter().partition(|(_, path)| path.ends_with(".open"));
        others.iter().try_for_each(rename)?;
        for path in verify::names_of(lander, day_file)? {
            if path.ends_with(".open") {
                folders::remove(lander, &path)?;
            }
        }
        open.iter().try_for_each(rename)?;
        folders::sync_up(lander, day_file.folder())?;
        let state = State::read(&day_file.journal(), &self.journal)?;
        for (number, segment) in state.iter().flat_map(State::numbered) {
            match segment.sealed {
                Some(_) => lander.make_hint(&day_file.sealed_hint())?,
                None => lander.make_hint(&day_file.open_hint(number))?,
            }
        }
        ruin.replace(&self.journal)?;
        // It is done, and is not to be done again.
        folders::remove(lander, &format!("{kept}/{NEXT}journal"))?;
        lander.disk.sync_dir(kept).named("sync", kept)?;
        let folder = day_file.journal_folder();
        for name in folders::names(lander, &folder)? {
            if name.ends_with(".tmp") {
                folders::remove(lander, &format!("{folder}/{name}"))?;
            }
        }
        Ok(())
    }

    /// Everything beside what is there: written, synced, read again.
    fn make(
        &self,
        lander: &Lander<'_>,
        day_file: &DayFile,
        made: &mut Vec<(String, String)>,
    ) -> Result<(), LandError> {
        let folder = day_file.journal_folder();
        let mut write = |temporary: String, path: String, bytes: &[u8], mode| {
            made.push((temporary.clone(), path));
            write_file(lander, &temporary, bytes, mode)
        };
        let seen = format!("{folder}/.seen.{}.tmp", unique());
        write(seen, day_file.seen(), &self.seen, lander.open_mode())?;
        for (path, bytes) in &self.files {
            let name = name_of(path).trim_end_matches(".open").trim_end_matches(".sha256");
            let segment = DayFile::parse_published(day_file.folder(), name).map_or(1, |(_, n)| n);
            let mode = match path.ends_with(".open") {
                true => lander.open_mode(),
                false => lander.config.files.mode,
            };
            write(day_file.temporary(segment, &unique()), path.clone(), bytes, mode)?;
        }
        Ok(())
    }
}

/// The folders of rebuilds of this day that were cut short.
pub fn unfinished(lander: &Lander<'_>, day_file: &DayFile) -> Result<Vec<String>, LandError> {
    let parent = format!("{DAMAGED}/{}", day_file.file);
    let entries = match lander.disk.list(&parent) {
        Err(error) if is_absent(&error) => Vec::new(),
        entries => entries.named("list", &parent)?,
    };
    let ours = format!("{}.", name_of(&day_file.journal_folder()));
    let folders = entries.into_iter().filter(|entry| entry.is_dir && entry.name.starts_with(&ours));
    let folders = folders.map(|entry| format!("{parent}/{}", entry.name));
    let begun =
        |folder: &String| lander.disk.open(&format!("{folder}/{NEXT}journal"), Open::Read).is_ok();
    Ok(folders.filter(begun).collect())
}

/// A new file, synced, its name too, and read again.
fn write_file(lander: &Lander<'_>, path: &str, bytes: &[u8], mode: u32) -> Result<(), LandError> {
    let how = Open::CreateNew(lander.open_mode());
    let file = match lander.disk.open(path, how) {
        Err(error) if is_absent(&error) => {
            folders::make(lander, folder_of(path))?;
            lander.disk.open(path, how)
        }
        opened => opened,
    };
    let file = file.named("make", path)?;
    file.write_at(bytes, 0).named("write", path)?;
    file.set_mode(mode).named("set the mode", path)?;
    file.sync().named("sync", path)?;
    lander.disk.sync_dir(folder_of(path)).named("sync", folder_of(path))?;
    match read_handle(file.as_ref(), path)? == bytes {
        true => Ok(()),
        false => Err(LandError::damage(path, "it does not hold what was just written")),
    }
}
