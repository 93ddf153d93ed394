//! Replace: how a repaired day takes the place of the damaged one, whenever it is interrupted.
//!
//! First all files of the day are copied to `.hiwake/damaged/<file>/<day>.<unique>/`. Then the
//! journal says that the day is being rebuilt, and where these copies are: landing stops, and the
//! next rebuild reads them and not what is half written. `seen` and the open file are rewritten in
//! place, under their locks; a published file is replaced by the same text. Last, in the same file,
//! the journal: one byte makes it count.

use crate::disk::Open;
use crate::land::day_file::publish::remove_unfinished;
use crate::land::day_file::writer::CHUNK;
use crate::land::journal::state::State;
use crate::land::rebuild::survey::{Files, read_file};
use crate::land::root::error::{Context, Result, if_there};
use crate::land::root::files::write_new;
use crate::land::root::layout::{DAMAGED, Hint, OPEN, folder_of, name_of};
use crate::land::root::{folders, unique};

/// All that the day will be.
pub(crate) struct Replacement {
    /// The journal's bytes.
    pub(crate) journal: Vec<u8>,
    /// Those of `seen`.
    pub(crate) seen: Vec<u8>,
    /// Published files and checksums that are to be written, with their segments.
    pub(crate) published: Vec<(u32, String, Vec<u8>)>,
    /// The open file, if there are lines in one.
    pub(crate) open: Option<(String, Vec<u8>)>,
}

impl Replacement {
    /// Installs it; answers where the damaged files are kept.
    pub(crate) fn install(&self, files: &Files<'_>) -> Result<String> {
        let Files { lander, day_file, journal, .. } = files;
        let folder = match &files.aside {
            Some(folder) => folder.clone(),
            None => {
                let folder = put_aside(files)?;
                journal.check_lease()?;
                journal.begin_rebuild(&folder)?;
                folder
            }
        };
        let seen = day_file.seen();
        rewrite(files, &seen, &self.seen)?;
        for (segment, path, bytes) in &self.published {
            if read_file(lander, path)?.as_ref() != Some(bytes) {
                journal.check_lease()?;
                install_file(files, *segment, path, bytes)?;
            }
        }
        if let Some((path, text)) = &self.open {
            rewrite(files, path, text)?;
        }
        self.empty_others(files)?;
        folders::sync_up(lander, day_file.folder())?;
        folders::sync_up(lander, &day_file.journal_folder())?;
        let state = State::read(&day_file.journal(), &self.journal)?;
        state.iter().try_for_each(|state| make_hints(files, state))?;
        journal.check_lease()?;
        journal.replace(&self.journal)?;
        let segments = state.iter().flat_map(State::numbered);
        for (number, _) in segments.filter(|(_, segment)| segment.done.is_some()) {
            remove_unfinished(lander, day_file, number)?;
        }
        Ok(folder)
    }

    /// Open files of segments that will not be there have no lines any more. One that is a second
    /// name of a published file is left alone: its publisher was about to remove it.
    fn empty_others(&self, files: &Files<'_>) -> Result<()> {
        let Files { lander, day_file, .. } = files;
        let open = self.open.as_ref().map(|(path, _)| path);
        let names = folders::names_of(lander, day_file)?;
        let inode = |path: &str| {
            let file = lander.disk.open(path, Open::Read).context("open", path)?;
            Ok(file.inode().context("look at", path)?.number)
        };
        let (others, published): (Vec<&String>, Vec<&String>) =
            names.iter().partition(|name| name.ends_with(OPEN));
        let published: Vec<u64> =
            published.into_iter().map(|name| inode(name)).collect::<Result<_>>()?;
        for name in others {
            if Some(name) != open && !published.contains(&inode(name)?) {
                rewrite(files, name, b"")?;
            }
        }
        Ok(())
    }
}

/// Copies of all that is there; second names of what is published, whose bytes never change.
/// Answers the folder.
fn put_aside(files: &Files<'_>) -> Result<String> {
    let Files { lander, day_file, journal, .. } = files;
    let folder = format!("{DAMAGED}/{day_file}.{}", unique());
    folders::make(lander, &folder)?;
    let at = |path: &str| format!("{folder}/{}", name_of(path));
    let copy = |path: &str| match read_file(lander, path)? {
        Some(bytes) => write_new(lander, &at(path), &bytes, lander.open_mode()),
        None => Ok(()),
    };
    write_new(lander, &at(&day_file.journal()), &journal.bytes, lander.open_mode())?;
    copy(&day_file.seen())?;
    for name in folders::names_of(lander, day_file)? {
        match name.ends_with(OPEN) {
            true => copy(&name)?,
            false => if_there(lander.disk.link(&name, &at(&name))).context("keep", &name)?,
        }
    }
    folders::sync_up(lander, &folder)?;
    Ok(folder)
}

/// Gives a file that may be there, and that its lock fences, other bytes.
fn rewrite(files: &Files<'_>, path: &str, bytes: &[u8]) -> Result<()> {
    let Files { lander, journal, .. } = files;
    let how = Open::Create(lander.open_mode());
    let (file, _) = lander.open_locked(path, how, lander.lock_deadline())?;
    journal.check_lease()?;
    file.truncate(0).context("cut", path)?;
    for (number, chunk) in bytes.chunks(CHUNK).enumerate() {
        file.write_at(chunk, (number * CHUNK) as u64).context("write", path)?;
    }
    file.sync().context("sync", path)
}

/// A published file or a checksum, in place of what is there.
pub(crate) fn install_file(
    Files { lander, day_file, .. }: &Files<'_>,
    segment: u32,
    path: &str,
    bytes: &[u8],
) -> Result<()> {
    let temporary = day_file.temporary(segment, &unique());
    write_new(lander, &temporary, bytes, lander.config.files.mode)?;
    lander.disk.rename(&temporary, path).context("rename", &temporary)?;
    let folder = folder_of(path);
    lander.disk.sync_dir(folder).context("sync", folder)
}

/// The hints that a journal wants.
pub(crate) fn make_hints(files: &Files<'_>, state: &State) -> Result<()> {
    let Files { lander, day_file, .. } = files;
    let unsealed = state.numbered().filter(|(_, segment)| segment.done.is_none());
    let hints = unsealed.map(|(number, _)| Hint::Seal(number)).chain(state.calendar_hint());
    hints.map(|hint| day_file.hint(&hint)).try_for_each(|hint| lander.make_hint(&hint))
}
