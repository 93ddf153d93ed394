//! Folders: creates missing ones, syncs their entries up to the root, and refreshes what an NFS
//! client remembers of them.

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

/// Creates a folder and its missing parents.
pub(crate) fn make(root: &Root<'_>, folder: &str) -> Result<()> {
    if folder == HIWAKE {
        // An NFS client may remember it as missing although another machine has created it since.
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
    // The existing folder may be our own, whose reply was lost, or another process's.
    match made {
        // The error of opening it says more than "already exists".
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            root.disk.refresh_dir(folder).context("open", folder)
        }
        Err(error) => root.disk.refresh_dir(folder).map_err(|_| error).context("create", folder),
        Ok(()) => Ok(()),
    }
}

/// Checks before the first landing that the file system has hard links and case-sensitive names.
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
        // An interrupted landing may have left these files.
        remove(root, second)?;
        remove(root, name)?;
        (made, linked) = try_both();
    }
    match made {
        // Another first landing is probing at the same time: it linked the name, or removed it
        // while an NFS client opened it.
        Err(error) if is_one_of(&error, &[Errno::MLINK, Errno::STALE, Errno::NOENT]) => {}
        made => made.context("create", name)?,
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
        // Except where another first landing created or removed the name first.
        Err(error) if !is_one_of(&error, &[Errno::EXIST, Errno::NOENT, Errno::STALE]) => {
            Err(error).context("link", name)
        }
        Ok(()) | Err(_) if folded => Err(LandError::Unsuited(
            "does not distinguish upper and lower case in names: two logs would share a file",
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Syncs the entries of a folder, and of those folders above it that are not known to be durable.
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
    // A folder that another task made in this one may have missed the sync. The calendar's folders
    // are never trusted: another process may have removed and created them again.
    if known.made.get(folder).copied() == made && !folder.starts_with(DUE) {
        known.folders.insert(folder.to_owned());
    }
    Ok(())
}

/// The folders whose entries one call knows to be durable: it has synced them and made no folder in
/// them since.
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

    /// Notes that a folder was made in this one.
    fn forget(&self, folder: &str) {
        let mut known = self.known();
        known.folders.remove(folder);
        *known.made.entry(folder.to_owned()).or_default() += 1;
    }
}

/// Looks at a folder, if it exists. An NFS client may remember it as missing although another
/// machine has created it: the folder above is then refreshed first.
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

/// Makes a folder's current names visible, if the folder exists.
pub(crate) fn refresh(root: &Root<'_>, folder: &str) -> Result<()> {
    look(root, folder, "open", || root.disk.refresh_dir(folder))
}

/// Removes a file's name; a name that is already gone is not an error. After an error, a second try
/// shows whether it is gone.
pub(crate) fn remove(root: &Root<'_>, path: &str) -> Result<()> {
    if if_there(root.disk.unlink(path)).is_ok() {
        return Ok(());
    }
    refresh(root, folder_of(path))?;
    if_there(root.disk.unlink(path)).context("remove", path)
}

/// The names of the files in a folder, hidden ones included; empty if the folder is missing.
pub(crate) fn names(root: &Root<'_>, folder: &str) -> Result<Vec<String>> {
    let files = list(root, folder)?.into_iter().filter(|entry| !entry.is_dir);
    Ok(files.map(|entry| entry.name).collect())
}

/// The current names in a folder; empty if it is missing.
pub(crate) fn list(root: &Root<'_>, folder: &str) -> Result<Vec<Entry>> {
    look(root, folder, "list", || root.disk.list(folder))
}

/// Everything below a folder.
#[derive(Debug, Default)]
pub(crate) struct Below {
    /// The paths of all files, hidden ones included, sorted.
    pub(crate) files: Vec<String>,
    /// The empty folders.
    pub(crate) empty: Vec<String>,
    /// Errors of the folders that could not be read. What is in them is unknown; everything else is
    /// listed.
    pub(crate) unread: Vec<LandError>,
}

/// Lists everything below a folder, except in folders whose path `enter` rejects.
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

/// The day files of the wanted days that have a journal or `seen`.
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

/// Removes empty folders, then the folders above them that this empties, up to `above`, which
/// stays.
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
    // A folder sorts before what is in it.
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

/// The paths of a day file that readers see: published and open files, and checksums.
pub(crate) fn names_of(root: &Root<'_>, day_file: &DayFile) -> Result<BTreeSet<String>> {
    let folder = day_file.folder();
    let names = names(root, folder)?.into_iter();
    let ours = names.filter(|name| DayFile::parse_visible(folder, name).as_ref() == Some(day_file));
    Ok(ours.map(|name| format!("{folder}/{name}")).collect())
}
