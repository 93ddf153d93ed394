//! Folders: made where missing, their entries made durable up to the root, seen afresh.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::disk::{Entry, Open};
use crate::land::root::Root;
use crate::land::root::error::{Context, LandError, Result, if_there, is_absent};
use crate::land::root::layout::{
    DAYS, DUE, DayFile, HIWAKE, JOURNAL, PROBES, SEEN, folder_of, name_of,
};
use crate::row::Day;

/// Makes a folder and its parents where they are missing.
pub(crate) fn make(root: &Root<'_>, folder: &str) -> Result<()> {
    if folder == HIWAKE {
        // That it is missing may be remembered from before another machine made it.
        root.disk.refresh_dir("").context("open", "")?;
        if root.disk.refresh_dir(folder).is_err_and(|error| is_absent(&error)) {
            probe(root)?;
        }
    }
    let make_dir = || root.disk.make_dir(folder, root.config.files.dir_mode);
    let made = match make_dir() {
        Err(error) if is_absent(&error) && !folder.is_empty() => {
            make(root, folder_of(folder))?;
            make_dir()
        }
        made => made,
    };
    root.synced.forget(folder_of(folder));
    // "Already there" may be our own folder, made before its answer was lost, or somebody else's,
    // made meanwhile.
    match made {
        // What keeps it from being opened says more than that something is there.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            root.disk.refresh_dir(folder).context("open", folder)
        }
        Err(error) => root.disk.refresh_dir(folder).map_err(|_| error).context("make", folder),
        Ok(()) => Ok(()),
    }
}

/// Tries what landing and sealing rely on, before the first landing: hard links, and names that
/// differ in case.
fn probe(root: &Root<'_>) -> Result<()> {
    let is_one_of = |error: &io::Error, errors: &[Errno]| {
        Errno::from_io_error(error).is_some_and(|error| errors.contains(&error))
    };
    let [name, second, upper] = PROBES;
    let try_both = || {
        let made = root.disk.open(name, Open::Create(root.open_mode()));
        let linked = root.disk.link(name, second);
        (made.map(drop), linked)
    };
    let (mut made, mut linked) = try_both();
    if made.is_err() || linked.is_err() {
        // An interrupted landing may have left them.
        remove(root, second)?;
        remove(root, name)?;
        (made, linked) = try_both();
    }
    match made {
        // Another first landing tries the same at this moment: it has linked the name, or removed
        // it while an NFS client opened it.
        Err(error) if is_one_of(&error, &[Errno::MLINK, Errno::STALE, Errno::NOENT]) => {}
        made => made.context("make", name)?,
    }
    let folded = root.disk.open(upper, Open::Read).is_ok();
    remove(root, second)?;
    remove(root, name)?;
    root.disk.sync_dir("").context("sync", "")?;
    let no_links = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK];
    match linked {
        Err(error) if is_one_of(&error, &no_links) => Err(LandError::Unsuited(
            "has no hard links, which publish a sealed file without replacing another",
        )),
        // But for another first landing that was faster to make the name, or to remove it.
        Err(error) if !is_one_of(&error, &[Errno::EXIST, Errno::NOENT, Errno::STALE]) => {
            Err(error).context("link", name)
        }
        Ok(()) | Err(_) if folded => Err(LandError::Unsuited(
            "takes names that differ in upper and lower case for one: two logs would share a file",
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the entries of a folder and of all folders above it durable; of those above it, only of
/// such as are not known to be.
pub(crate) fn sync_up(root: &Root<'_>, folder: &str) -> Result<()> {
    sync(root, folder)?;
    let mut above = folder;
    while !above.is_empty() {
        above = folder_of(above);
        if !root.synced.known().folders.contains(above) {
            sync(root, above)?;
        }
    }
    Ok(())
}

fn sync(root: &Root<'_>, folder: &str) -> Result<()> {
    let made = root.synced.known().made.get(folder).copied();
    root.disk.sync_dir(folder).context("sync", folder)?;
    let mut known = root.synced.known();
    // What another task has made meanwhile may have come after the sync. The calendar's folders
    // come and go: another process may have made them again.
    if known.made.get(folder).copied() == made && !folder.starts_with(DUE) {
        known.folders.insert(folder.to_owned());
    }
    Ok(())
}

/// The folders whose entries are durable, as far as one call knows: it has synced them, and made no
/// folder in them since.
#[derive(Debug, Default)]
pub struct Synced(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    folders: BTreeSet<String>,
    /// How many folders were made in each.
    made: BTreeMap<String, u64>,
}

impl Synced {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A folder was made in this one.
    fn forget(&self, folder: &str) {
        let mut known = self.known();
        known.folders.remove(folder);
        *known.made.entry(folder.to_owned()).or_default() += 1;
    }
}

/// Looks at a folder, if it is there at all. That it is not may be remembered from before another
/// machine made it: then the folder above it is refreshed first.
fn look<T: Default>(
    root: &Root<'_>,
    folder: &str,
    verb: &'static str,
    look: impl Fn() -> io::Result<T>,
) -> Result<T> {
    let result = match look() {
        Err(error) if is_absent(&error) && !folder.is_empty() => {
            refresh(root, folder_of(folder))?;
            look()
        }
        result => result,
    };
    if_there(result).context(verb, folder)
}

/// Sees a folder's names as they are now, if the folder is there at all.
pub(crate) fn refresh(root: &Root<'_>, folder: &str) -> Result<()> {
    look(root, folder, "open", || root.disk.refresh_dir(folder))
}

/// Removes a file's name; that it is gone is all that counts. After an error the second try tells
/// whether it is.
pub(crate) fn remove(root: &Root<'_>, path: &str) -> Result<()> {
    if if_there(root.disk.unlink(path)).is_ok() {
        return Ok(());
    }
    refresh(root, folder_of(path))?;
    if_there(root.disk.unlink(path)).context("remove", path)
}

/// The names of the files in a folder, hidden ones too; none if it is missing.
pub(crate) fn names(root: &Root<'_>, folder: &str) -> Result<Vec<String>> {
    let files = list(root, folder)?.into_iter().filter(|entry| !entry.is_dir);
    Ok(files.map(|entry| entry.name).collect())
}

/// The names in a folder, as they are now; none if it is missing.
pub(crate) fn list(root: &Root<'_>, folder: &str) -> Result<Vec<Entry>> {
    look(root, folder, "list", || root.disk.list(folder))
}

/// What is below a folder.
#[derive(Debug, Default)]
pub(crate) struct Below {
    /// The paths of all files, hidden ones too, sorted.
    pub(crate) files: Vec<String>,
    /// The folders that have nothing in them.
    pub(crate) empty: Vec<String>,
    /// The folders that could not be read: what is in them is unknown, all else is there.
    pub(crate) unread: Vec<LandError>,
}

/// Looks below a folder; not into folders that `enter` turns down, by their paths.
pub(crate) fn walk(root: &Root<'_>, folder: &str, enter: &dyn Fn(&str) -> bool) -> Below {
    let mut below = Below::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match list(root, &folder) {
            Ok(entries) => entries,
            Err(error) => {
                below.unread.push(error);
                continue;
            }
        };
        if entries.is_empty() {
            below.empty.push(folder.clone());
        }
        for entry in entries {
            let path = join(&folder, &entry.name);
            match entry.is_dir {
                true if enter(&path) => folders.push(path),
                true => {}
                false => below.files.push(path),
            }
        }
    }
    below.files.sort();
    below
}

/// The day files that have a journal's folder, of the days that are wanted.
pub fn day_files(
    root: &Root<'_>,
    wanted: &dyn Fn(Day) -> bool,
) -> (BTreeSet<DayFile>, Vec<LandError>) {
    let enter = |path: &str| {
        let day = path.strip_prefix(DAYS).and_then(|path| path.strip_prefix('/'));
        let day = day.and_then(|path| path.split('/').next()?.parse().ok());
        day.is_some_and(wanted)
    };
    let Below { files, unread, .. } = walk(root, DAYS, &enter);
    let folders = files.iter().filter(|path| matches!(name_of(path), JOURNAL | SEEN));
    (folders.filter_map(|path| DayFile::of_journal_folder(folder_of(path))).collect(), unread)
}

/// Removes folders that are empty now, and then those above them; none that `above` is in.
pub(crate) fn remove_empty(
    root: &Root<'_>,
    folders: impl IntoIterator<Item = String>,
    above: &str,
) -> Result<()> {
    let mut empty = BTreeSet::new();
    for mut folder in folders {
        while folder.len() > above.len() && empty.insert(folder.clone()) {
            folder = folder_of(&folder).to_owned();
        }
    }
    // What is in a folder sorts behind it.
    for folder in empty.into_iter().rev() {
        match if_there(root.disk.remove_dir(&folder)) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            result => result.context("remove", &folder)?,
        }
    }
    Ok(())
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The names of a day file that readers see, published or open, with their checksums.
pub(crate) fn names_of(root: &Root<'_>, day_file: &DayFile) -> Result<BTreeSet<String>> {
    let folder = day_file.folder();
    let names = names(root, folder)?.into_iter();
    let ours = names.filter(|name| DayFile::parse_visible(folder, name).as_ref() == Some(day_file));
    Ok(ours.map(|name| format!("{folder}/{name}")).collect())
}
