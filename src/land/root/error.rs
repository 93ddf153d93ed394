//! What can keep rows from landing or a day from being sealed: each error names the file and what
//! can be done.

use std::io;

use rustix::io::Errno;

pub(crate) use crate::disk::is_absent;

/// What landing and sealing answer.
pub type Result<T, E = LandError> = std::result::Result<T, E>;

/// Why a day file could not be landed into or sealed. Nothing that was acknowledged is lost by any
/// of these.
#[derive(Debug, thiserror::Error)]
pub enum LandError {
    /// Another process holds the lock, and the deadline came.
    #[error("{0}: busy: another process holds its lock; it is retried")]
    Busy(String),
    /// A long command is running already: it holds its notes.
    #[error("the same command is running already: it holds {0}; this one has done nothing")]
    Running(String),
    /// The caller's time was up before this was begun. Nothing of it was changed.
    #[error("{0}: no time was left for it; it is retried")]
    Time(String),
    /// The lease that the locks depend on was lost before anything was changed.
    #[error("{0}: its lease was lost before anything was written; it is retried")]
    LeaseLost(String),
    /// The file system refused.
    #[error("{path}: cannot {verb}: {source}{}", remedy(source))]
    Io {
        /// What was tried, e.g. `write`.
        verb: &'static str,
        /// On which file or folder, relative to the root.
        path: String,
        /// What the file system said.
        source: io::Error,
    },
    /// What is there is not what was committed. The day file stops until a person has looked.
    #[error(
        "{path}: damaged: {what}. Landing into this day has stopped; other days continue. `hiwake verify` shows the damage, `hiwake verify --rebuild SOURCE` repairs it"
    )]
    Damage {
        /// The file that is damaged.
        path: String,
        /// What was found, and where.
        what: String,
    },
    /// A newer release wrote it, in a form that this one does not know.
    #[error(
        "{path}: {what}: a newer release of hiwake wrote it. Use that release; nothing was changed, and a rebuild by this one would lose what it says"
    )]
    Newer {
        /// The journal.
        path: String,
        /// What is not known.
        what: String,
    },
    /// The machine's clock and the file system's are too far apart to tell which days have ended.
    #[error(
        "this machine's clock is {} s {} the file system's, so it cannot tell which days have ended: set the clock (NTP). Nothing was landed or sealed",
        (ours - theirs).abs() / 1000,
        if ours > theirs { "ahead of" } else { "behind" }
    )]
    Clock {
        /// The machine's, milliseconds since the epoch.
        ours: i64,
        /// The file system's.
        theirs: i64,
    },
    /// A file that hiwake writes to is also something else: a hard link.
    #[error(
        "{0}: has a second name (a hard link), and writing to it would change that file too. Put a copy in its place, e.g. with `cp -p` and `mv`; nothing was changed"
    )]
    Linked(String),
    /// The root is on a file system that lacks what hiwake relies on.
    #[error(
        "the root's file system {0}. Use Amazon EFS, another NFSv4 server or a local file system of Linux; nothing was landed"
    )]
    Unsuited(&'static str),
    /// Something that hiwake did not make has a name that it needs, or stands above it: a file, a
    /// link, a folder.
    #[error(
        "{0}: a file, link or folder that hiwake did not create occupies this path or a parent of it. Move it elsewhere"
    )]
    Foreign(String),
}

impl LandError {
    /// `damaged`, for a file and what was found in it.
    pub(crate) fn damage(path: impl Into<String>, what: impl Into<String>) -> LandError {
        LandError::Damage { path: path.into(), what: what.into() }
    }
}

/// What a person can do about it, where that is plain.
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
                ": the file system answers so after a lost lease or a fault of its server; it is retried"
            }
            _ => "",
        },
    }
}

/// Whether the name, or one above it, is taken by something of another sort: a link (never
/// followed), a socket, a FIFO, a folder or a file.
pub(crate) fn is_foreign(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)
        || matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::NXIO))
}

/// ENOENT, or ESTALE of a handle whose file somebody else removed.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle)
}

/// That it is not there is nothing, and no error.
pub(crate) fn if_there<T: Default>(result: io::Result<T>) -> io::Result<T> {
    result.or_else(|error| if is_absent(&error) { Ok(T::default()) } else { Err(error) })
}

/// Names the file and what was tried.
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
