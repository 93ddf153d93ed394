//! Folders: made where missing, their entries made durable up to the root, seen afresh.

use std::io;

use rustix::io::Errno;

use super::Lander;
use super::day_file::folder_of;
use super::error::{LandError, Named, is_absent};
use crate::disk::Open;

/// The folder that all else of hiwake's is in. Where it is missing, nothing has landed yet.
const HIWAKE: &str = ".hiwake";

/// Makes a folder and its parents where they are missing.
pub fn make(lander: &Lander<'_>, folder: &str) -> Result<(), LandError> {
    if folder == HIWAKE {
        // That it is missing may be remembered from before another machine made it.
        lander.disk.refresh_dir("").named("open", "")?;
        if lander.disk.refresh_dir(folder).is_err_and(|error| is_absent(&error)) {
            probe(lander)?;
        }
    }
    match lander.disk.make_dir(folder, lander.config.files.dir_mode) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_empty() => {
            make(lander, folder_of(folder))?;
            made(lander, folder, lander.disk.make_dir(folder, lander.config.files.dir_mode))
        }
        result => made(lander, folder, result),
    }
}

/// Tries what landing and sealing rely on, before the first landing: hard links, and names that
/// differ in case.
fn probe(lander: &Lander<'_>) -> Result<(), LandError> {
    let [name, second, upper] = [".hiwake.probe", ".hiwake.probe.link", ".HIWAKE.PROBE"];
    // An interrupted landing may have left them.
    remove(lander, second)?;
    remove(lander, name)?;
    match lander.disk.open(name, Open::CreateNew(lander.open_mode())) {
        // Another first landing tries the same at this moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => drop(made.named("make", name)?),
    }
    let linked = lander.disk.link(name, second);
    let folded = lander.disk.open(upper, Open::Read).is_ok();
    remove(lander, second)?;
    remove(lander, name)?;
    lander.disk.sync_dir("").named("sync", "")?;
    let is_one_of = |error: &io::Error, errors: &[Errno]| {
        Errno::from_io_error(error).is_some_and(|error| errors.contains(&error))
    };
    let no_links = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK];
    match linked {
        Err(error) if is_one_of(&error, &no_links) => Err(LandError::Unsuited {
            lack: "has no hard links, which publish a sealed file without replacing another",
        }),
        // But for another first landing that was faster to make the name, or to remove it.
        Err(error) if !is_one_of(&error, &[Errno::EXIST, Errno::NOENT]) => {
            Err(error).named("link", name)
        }
        Ok(()) | Err(_) if folded => Err(LandError::Unsuited {
            lack: "takes names that differ in upper and lower case for one: two logs would share a file",
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// "Already there" may be our own folder, made before its answer was lost, or somebody else's, made meanwhile.
fn made(lander: &Lander<'_>, folder: &str, result: io::Result<()>) -> Result<(), LandError> {
    match result {
        // What keeps it from being opened says more than that something is there.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            lander.disk.refresh_dir(folder).named("open", folder)
        }
        Err(error) => lander.disk.refresh_dir(folder).map_err(|_| error).named("make", folder),
        Ok(()) => Ok(()),
    }
}

/// Makes the entries of a folder and of all folders above it durable.
pub fn sync_up(lander: &Lander<'_>, folder: &str) -> Result<(), LandError> {
    lander.disk.sync_dir(folder).named("sync", folder)?;
    match folder {
        "" => Ok(()),
        _ => sync_up(lander, folder_of(folder)),
    }
}

/// Sees a folder's names as they are now, if the folder is there at all. That it is not may be
/// remembered from before another machine made it: then the folder above it is refreshed first.
pub fn refresh(lander: &Lander<'_>, folder: &str) -> Result<(), LandError> {
    let result = match lander.disk.refresh_dir(folder) {
        Err(error) if is_absent(&error) && !folder.is_empty() => {
            refresh(lander, folder_of(folder))?;
            lander.disk.refresh_dir(folder)
        }
        result => result,
    };
    match result {
        Err(error) if is_absent(&error) => Ok(()),
        result => result.named("open", folder),
    }
}

/// Removes a file's name; that it is gone is all that counts. After an error the second try tells whether it is.
pub fn remove(lander: &Lander<'_>, path: &str) -> Result<(), LandError> {
    let first = match lander.disk.unlink(path) {
        Err(error) if is_absent(&error) => return Ok(()),
        Err(_) => refresh(lander, folder_of(path)).map(|()| lander.disk.unlink(path)),
        Ok(()) => return Ok(()),
    };
    match first? {
        Err(error) if is_absent(&error) => Ok(()),
        result => result.named("remove", path),
    }
}

/// The names of the files in a folder, hidden ones too; none if it is missing.
pub fn names(lander: &Lander<'_>, folder: &str) -> Result<Vec<String>, LandError> {
    let entries = match lander.disk.list(folder) {
        Err(error) if is_absent(&error) => Vec::new(),
        entries => entries.named("list", folder)?,
    };
    let files = entries.into_iter().filter(|entry| !entry.is_dir);
    Ok(files.map(|entry| entry.name).collect())
}

/// The paths of all files below a folder whose names do not begin with a dot, sorted; none if it is missing.
pub fn walk(lander: &Lander<'_>, folder: &str) -> Result<Vec<String>, LandError> {
    refresh(lander, folder)?;
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match lander.disk.list(&folder) {
            Err(error) if is_absent(&error) => continue,
            entries => entries.named("list", &folder)?,
        };
        for entry in entries.into_iter().filter(|entry| !entry.name.starts_with('.')) {
            let path = match folder.as_str() {
                "" => entry.name,
                folder => format!("{folder}/{}", entry.name),
            };
            if entry.is_dir { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}
