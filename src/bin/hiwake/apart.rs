//! What is read and what is written are apart: otherwise hiwake would land its own files, more of
//! them each time.

use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use hiwake::land::root::layout::QUARANTINE;
use hiwake::store::Location;

use crate::Usage;

/// Refuses a source that holds the root, or that the root holds. What is in quarantine may land
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

/// Refuses two places of which one holds the other, or that are the same.
pub fn check((one, path): (&str, &Path), (other, place): (&str, &Path)) -> anyhow::Result<()> {
    let (resolved_path, resolved_place) = (resolved(path)?, resolved(place)?);
    let relation = match () {
        () if resolved_path == resolved_place => "is",
        () if resolved_path.starts_with(&resolved_place) => "lies in",
        () if resolved_place.starts_with(&resolved_path) => "holds",
        () => return Ok(()),
    };
    let (path, place) = (path.display(), place.display());
    Err(Usage(format!(
        "{one} {path} {relation} {other} {place}: hiwake would read its own files as logs. Name another place for one of them; nothing was landed"
    ))
    .into())
}

/// The absolute path without links, also of what does not exist yet.
pub fn resolved(path: &Path) -> anyhow::Result<PathBuf> {
    let absolute = std::path::absolute(path).context("the current folder is not known")?;
    Ok(absolute.components().fold(PathBuf::new(), |mut resolved, component| {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            component => resolved.push(component),
        }
        resolved.canonicalize().unwrap_or(resolved)
    }))
}
