//! Keeps inputs and outputs apart: otherwise hiwake would land its own files, and more of them each
//! time.

use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use hiwake::land::root::layout::QUARANTINE;
use hiwake::store::Location;

use crate::Usage;

/// Rejects a source that contains the root or is in it. The quarantine is allowed: it may land
/// again.
pub fn source(source: &Location, root: &Path) -> anyhow::Result<()> {
    match source {
        Location::Folder(path) | Location::File(path)
            if !resolved(path)?.starts_with(resolved(&root.join(QUARANTINE))?) =>
        {
            check(("the source", path), ("the root", root))
        }
        _ => Ok(()),
    }
}

/// Rejects two paths if they are the same or one contains the other.
pub fn check((one, path): (&str, &Path), (other, place): (&str, &Path)) -> anyhow::Result<()> {
    let (resolved_path, resolved_place) = (resolved(path)?, resolved(place)?);
    let relation = match () {
        () if resolved_path == resolved_place => "is",
        () if resolved_path.starts_with(&resolved_place) => "is inside",
        () if resolved_place.starts_with(&resolved_path) => "contains",
        () => return Ok(()),
    };
    let (path, place) = (path.display(), place.display());
    Err(Usage(format!(
        "{one} {path} {relation} {other} {place}: hiwake would read its own files as logs, so nothing was landed. Choose another place for one of them"
    ))
    .into())
}

/// The absolute path without links, even of a path that does not exist yet.
pub fn resolved(path: &Path) -> anyhow::Result<PathBuf> {
    let absolute = std::path::absolute(path).context("the current folder cannot be determined")?;
    Ok(absolute.components().fold(PathBuf::new(), |mut resolved, component| {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            component => resolved.push(component),
        }
        resolved.canonicalize().unwrap_or(resolved)
    }))
}
