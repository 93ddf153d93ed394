//! Errors of landing and sealing. Each one names the file and what to do.

use std::io;

use rustix::io::Errno;

pub(crate) use crate::disk::is_absent;

/// The result of landing and sealing.
pub type Result<T, E = LandError> = std::result::Result<T, E>;

/// Why a day file could not be landed into or sealed. None of these loses acknowledged rows.
#[derive(Debug, thiserror::Error)]
pub enum LandError {
    /// Another process held the lock until the deadline.
    #[error("{0}: busy: another process holds its lock; it is retried")]
    Busy(String),
    /// Another run of the same long command holds its notes.
    #[error("the same command is running already: it holds {0}; this one did nothing")]
    Running(String),
    /// The caller's time ran out before work on this file began. Nothing was changed.
    #[error("{0}: no time was left for this file; it is retried")]
    Time(String),
    /// The lease that the locks depend on was lost before anything was written.
    #[error("{0}: its lease was lost before anything was written; it is retried")]
    LeaseLost(String),
    /// A call to the file system failed.
    #[error("{path}: cannot {verb}: {source}{}", remedy(source))]
    Io {
        /// What failed, e.g. `write`.
        verb: &'static str,
        /// The file or folder, relative to the root.
        path: String,
        /// The file system's error.
        source: io::Error,
    },
    /// A file differs from what was committed. Landing into the day file stops until it is
    /// repaired.
    #[error(
        "{path}: damaged: {what}. Landing into this day has stopped; other days continue. `hiwake verify` shows the damage, `hiwake verify --rebuild SOURCE` repairs it"
    )]
    Damage {
        /// The damaged file.
        path: String,
        /// The damage, and where it is.
        what: String,
    },
    /// A newer release wrote the file in a format that this one does not know.
    #[error(
        "{path}: {what}: a newer release of hiwake wrote it. Use that release. Nothing was changed; a rebuild by this release would lose what the newer one wrote"
    )]
    Newer {
        /// The file.
        path: String,
        /// The part that this release does not know.
        what: String,
    },
    /// The machine's clock and the file system's differ too much to decide which days have ended.
    #[error(
        "this machine's clock is {} s {} the file system's, so it cannot tell which days have ended: set the clock (NTP). Nothing was landed or sealed",
        (ours - theirs).abs() / 1000,
        if ours > theirs { "ahead of" } else { "behind" }
    )]
    Clock {
        /// The machine's time, milliseconds since the epoch.
        ours: i64,
        /// The file system's time.
        theirs: i64,
    },
    /// A file that hiwake writes to has a second name, by a hard link.
    #[error(
        "{0}: the file has a second name (a hard link), and a write would change the file under both. Replace it with a copy, e.g. with `cp -p` and `mv`; nothing was changed"
    )]
    Linked(String),
    /// The root's file system lacks a feature that hiwake relies on.
    #[error(
        "the root's file system {0}. Use Amazon EFS, another NFSv4 server or a local Linux file system; nothing was landed"
    )]
    Unsuited(&'static str),
    /// A file, link or folder that hiwake did not create occupies a path that hiwake needs, or a
    /// parent of it.
    #[error(
        "{0}: a file, link or folder that hiwake did not create occupies this path or a parent of it. Move it elsewhere"
    )]
    Foreign(String),
}

impl LandError {
    /// Damage of a file, and what was found in it.
    pub(crate) fn damage(path: impl Into<String>, what: impl Into<String>) -> LandError {
        LandError::Damage { path: path.into(), what: what.into() }
    }
}

/// What a person can do about an error of the file system, where that is clear.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            ": make the user that runs hiwake the owner of the root and everything below it"
        }
        io::ErrorKind::ReadOnlyFilesystem => ": mount it writable",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ": free some space; what was not landed is retried"
        }
        _ => match Errno::from_io_error(error) {
            Some(Errno::IO | Errno::BADF | Errno::STALE) => {
                ": this follows a lost lease or a fault of the file server; it is retried"
            }
            _ => "",
        },
    }
}

/// Whether something of another kind occupies the path or a parent of it: a link (never followed),
/// socket, FIFO, folder or file.
pub(crate) fn is_foreign(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)
        || matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::NXIO))
}

/// Whether the file is gone: ENOENT, or ESTALE of a handle whose file another process removed.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle)
}

/// Turns "not found" into the default value.
pub(crate) fn if_there<T: Default>(result: io::Result<T>) -> io::Result<T> {
    result.or_else(|error| if is_absent(&error) { Ok(T::default()) } else { Err(error) })
}

/// Adds the file and the failed operation to an error.
pub(crate) trait Context<T> {
    fn context(self, verb: &'static str, path: &str) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, verb: &'static str, path: &str) -> Result<T> {
        // The root's own path is empty.
        let path = if path.is_empty() { "the root" } else { path };
        self.map_err(|source| match Errno::from_io_error(&source) {
            Some(Errno::MLINK) => LandError::Linked(path.to_owned()),
            _ if is_foreign(&source) => LandError::Foreign(path.to_owned()),
            _ => LandError::Io { verb, path: path.to_owned(), source },
        })
    }
}
