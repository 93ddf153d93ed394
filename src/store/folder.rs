//! What the crate's listings of a folder pass over in silence: links to nothing, what is neither
//! file nor folder, and names that it keeps for its own uploads. A source must not be read without
//! them and look complete.

use std::fs::{metadata, symlink_metadata};
use std::io;
use std::path::Path;

use crate::disk::is_absent;
use crate::store::{Result, StoreError};

/// Why a FIFO, a socket or a device in a folder is not read.
pub(crate) const NO_FILE: &str =
    "is neither a file nor a folder: move it elsewhere (a pipe can be named by itself)";

const HIWAKE: &str = ".hiwake";

const ROOTS: &str =
    "belongs to a root of hiwake, whose own files are not logs: name a source without it";

const KEPT: &str = "a name that ends in # and digits cannot be read as an object: rename it";

/// An error names a file that the crate cannot read.
pub(super) fn check_name(file: &Path, name: &str) -> Result<()> {
    if is_kept(name) { Err(StoreError::name(file.display(), KEPT)) } else { Ok(()) }
}

/// An error names the first thing in a folder that a listing left out; `deep`: or in any folder
/// below it.
pub(super) fn check(folder: &Path, deep: bool) -> Result<()> {
    let other = |error: io::Error| StoreError::other(folder.display(), error);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if is_absent(&error) => return Ok(()),
        entries => entries.map_err(other)?,
    };
    let mut entries = entries.collect::<io::Result<Vec<_>>>().map_err(other)?;
    entries.sort_unstable_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let is_roots = |path: &Path| path.ancestors().any(|above| above.join(HIWAKE).is_dir());
        let reason = match metadata(&path) {
            Ok(_) if is_link && path.canonicalize().is_ok_and(|path| is_roots(&path)) => ROOTS,
            Ok(found) if found.is_dir() && entry.file_name() == HIWAKE => ROOTS,
            Ok(found) if found.is_dir() => {
                if deep {
                    check(&path, deep)?;
                }
                continue;
            }
            Ok(found) if found.is_file() && !is_kept(&entry.file_name().to_string_lossy()) => {
                continue;
            }
            Ok(found) if found.is_file() => KEPT,
            Ok(_) => NO_FILE,
            Err(error) if is_absent(&error) && symlink_metadata(&path).is_err() => continue,
            Err(error) if is_absent(&error) => "is a link to nothing: repair or remove it",
            Err(error) => return Err(other(error)),
        };
        return Err(StoreError::name(path.display(), reason));
    }
    Ok(())
}

/// As in `LocalFileSystem`: after the first `#` there are digits and nothing else.
fn is_kept(name: &str) -> bool {
    let digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    name.split_once('#').is_some_and(|(_, rest)| digits(rest))
}
