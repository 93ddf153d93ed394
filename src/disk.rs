//! The Disk port: everything that land does to a file system, in about ten verbs, and its real
//! implementation on a local folder or an NFS mount.
//!
//! The port orders nothing: which write, sync, link or rename comes when is decided in
//! `land/`, so that a simulated disk can prove the order right.
//! Every open flag, lock, sync and rename of the project is in this file.
//!
//! Paths are relative to the root, components joined by `/`; the empty path is the root itself.
//! No verb follows a symbolic link below the root: a planted link is an error (`ELOOP`, or
//! `ENOTDIR` where a folder belongs).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, NFS_SUPER_MAGIC, OFlags};
use rustix::io::Errno;

/// How a file is opened. The modes are those of the file if it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// An existing file, for reading.
    Read,
    /// An existing file, for writing only.
    Write,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// For reading and writing; made if it is not there.
    Create(u32),
    /// For reading and writing; `AlreadyExists` if it is there. Exactly one caller wins.
    CreateNew(u32),
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without its folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// What a handle's file is: equal for two names of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// Its number on the file system.
    pub number: u64,
    /// When it was written last, milliseconds since the epoch of the file system's clock.
    pub modified: i64,
}

/// A file system as land needs it.
///
/// Obligations: `link`, `make_dir` and `CreateNew` have exactly one winner. An error of `link`,
/// `rename`, `unlink` or `make_dir` may hide a success whose reply was lost: the caller looks
/// again.
pub trait Disk: Send + Sync {
    /// Opens a regular file; `ENXIO`, `EISDIR` or `ELOOP` if something else has the name. The name
    /// is looked up afresh if its folder was refreshed before. A file with a second name is not
    /// opened for writing, which would change what is not ours: `EMLINK`.
    fn open(&self, path: &str, how: Open) -> io::Result<Box<dyn Handle>>;
    /// Makes a folder; its parent must exist. `AlreadyExists` if the name is taken by anything.
    fn make_dir(&self, path: &str, mode: u32) -> io::Result<()>;
    /// Makes names made in or removed from the folder durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
    /// Makes names that other machines made or removed visible here (an NFS client may be 30 s
    /// behind).
    fn refresh_dir(&self, path: &str) -> io::Result<()>;
    /// The names in a folder, sorted.
    fn list(&self, path: &str) -> io::Result<Vec<Entry>>;
    /// Gives a file a second name; never replaces (`AlreadyExists`).
    fn link(&self, from: &str, to: &str) -> io::Result<()>;
    /// Moves a name; replaces what is there.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file's name.
    fn unlink(&self, path: &str) -> io::Result<()>;
    /// Removes an empty folder; an error where something is in it.
    fn remove_dir(&self, path: &str) -> io::Result<()>;
    /// Bytes that may still be written, where the file system says so.
    fn free(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
}

/// An open file. Dropped, it is closed and its lock is gone.
///
/// Obligation: once the lock that this handle took is lost, `truncate` and `sync` through it fail,
/// and nothing that was written through it reaches the file any more (`write_at` may fail, or seem
/// to succeed until the sync). A handle that never took a lock is not fenced. `sync` makes durable
/// what this machine has written; what another one wrote and did not sync, only if this one has
/// written to the file, too.
pub trait Handle: Send + Sync {
    /// Takes the exclusive advisory lock (flock); `false` if another handle has one. Needs a
    /// writable handle.
    fn try_lock(&self) -> io::Result<bool>;
    /// Takes the shared advisory lock; `false` if another handle has the exclusive one. Needs a
    /// readable handle.
    fn try_lock_shared(&self) -> io::Result<bool>;
    /// Gives the lock back. From then on the handle is not fenced.
    fn unlock(&self) -> io::Result<()>;
    /// The file's length; of use only under the lock.
    fn length(&self) -> io::Result<u64>;
    /// Fills as much of the buffer as the file has from `offset` on; fewer bytes only at its end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes at `offset`; not durable before `sync`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends with zeros; not durable before `sync`.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;
    /// Sets the permission bits.
    fn set_mode(&self, mode: u32) -> io::Result<()>;
    /// Reads after this one do not answer from what this machine keeps of the file.
    fn drop_cache(&self) -> io::Result<()>;
    /// Which file it is.
    fn inode(&self) -> io::Result<Inode>;
}

/// A folder of this machine: local, or an NFS mount.
#[derive(Debug)]
pub struct RealDisk {
    /// `None`: it is not there, and nothing below it.
    root: Option<OwnedFd>,
    /// Whether it is an NFS mount, asked when that first matters.
    is_nfs: OnceLock<bool>,
}

impl RealDisk {
    /// Opens the root; it must be there.
    pub fn open(root: &Path) -> io::Result<RealDisk> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(RealDisk::at(Some(rustix::fs::open(root, flags, Mode::empty())?)))
    }

    fn at(root: Option<OwnedFd>) -> RealDisk {
        RealDisk { root, is_nfs: OnceLock::new() }
    }

    /// Opens the root to look at it. A missing root is not an error: it looks empty.
    pub fn open_if_there(root: &Path) -> io::Result<RealDisk> {
        match RealDisk::open(root) {
            Err(error) if is_absent(&error) => Ok(RealDisk::at(None)),
            opened => opened,
        }
    }

    /// Opens the root and makes it (and its parents) where it is missing. Its owner can enter it,
    /// whatever the umask.
    pub fn create(root: &Path) -> io::Result<RealDisk> {
        match RealDisk::open(root) {
            Err(error) if is_absent(&error) => {}
            opened => return opened,
        }
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            RealDisk::create(parent)?;
        }
        match std::fs::create_dir(root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
            Ok(()) => {
                let mut permissions = std::fs::metadata(root)?.permissions();
                if permissions.mode() & 0o700 != 0o700 {
                    permissions.set_mode(permissions.mode() | 0o700);
                    std::fs::set_permissions(root, permissions)?;
                }
            }
        }
        RealDisk::open(root)
    }

    /// The folder of a path (opened component by component, following no link) and the last name.
    fn parent<'p>(&self, path: &'p str) -> io::Result<(OwnedFd, &'p str)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.folder(folder, OFlags::PATH)?, name))
    }

    fn is_nfs(&self) -> bool {
        let ask = || {
            let stat = self.root.as_ref().map(rustix::fs::fstatfs);
            stat.is_some_and(|stat| stat.is_ok_and(|stat| stat.f_type == NFS_SUPER_MAGIC))
        };
        *self.is_nfs.get_or_init(ask)
    }

    fn folder(&self, path: &str, access: OFlags) -> io::Result<OwnedFd> {
        let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open =
            |from: BorrowedFd<'_>, name| rustix::fs::openat(from, name, flags, Mode::empty());
        let root = || self.root.as_ref().map(AsFd::as_fd).ok_or(Errno::NOENT);
        Ok(match path.rsplit_once('/') {
            None if path.is_empty() => open(root()?, ".")?,
            None => open(root()?, path)?,
            Some((parent, name)) => open(self.folder(parent, OFlags::PATH)?.as_fd(), name)?,
        })
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &str, how: Open) -> io::Result<Box<dyn Handle>> {
        let (flags, mode) = match how {
            Open::Read => (OFlags::RDONLY, 0),
            Open::Write => (OFlags::WRONLY, 0),
            Open::ReadWrite => (OFlags::RDWR, 0),
            Open::Create(mode) => (OFlags::RDWR | OFlags::CREATE, mode),
            Open::CreateNew(mode) => (OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, mode),
        };
        // NONBLOCK: a FIFO in the way is an error below, not a hang.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let (folder, name) = self.parent(path)?;
        let file = rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(mode))?;
        let file = File::from(file);
        let found = file.metadata()?;
        if !found.is_file() {
            // A device, a FIFO, a folder: nothing that a file's name may stand for.
            return Err(Errno::NXIO.into());
        }
        if found.nlink() > 1 && how != Open::Read {
            return Err(Errno::MLINK.into());
        }
        if found.len() == 0 && found.mode() & mode != mode {
            match rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)) {
                // The umask took no bits away: somebody else made it.
                Ok(()) | Err(Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Box::new(file))
    }

    fn make_dir(&self, path: &str, mode: u32) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        let mode = Mode::from_raw_mode(mode);
        rustix::fs::mkdirat(&folder, name, mode)?;
        let made = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if Mode::from_raw_mode(made.st_mode) == mode {
            return Ok(());
        }
        // The process's umask took bits away.
        Ok(rustix::fs::chmodat(&folder, name, mode, AtFlags::empty())?)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        // An NFS server makes a name durable before it answers. So Linux sends nothing for this
        // sync (`nfs_fsync_dir`); only opening the folder would cost a round trip.
        if self.is_nfs() {
            return Ok(());
        }
        Ok(rustix::fs::fsync(self.folder(path, OFlags::RDONLY)?)?)
    }

    fn refresh_dir(&self, path: &str) -> io::Result<()> {
        self.folder(path, OFlags::RDONLY).map(drop)
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        let mut folder = rustix::fs::Dir::new(self.folder(path, OFlags::RDONLY)?)?;
        let mut entries = Vec::new();
        while let Some(entry) = folder.read() {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    match rustix::fs::statat(folder.fd()?, entry.file_name(), flags) {
                        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                        // Removed meanwhile: not in the folder any more, but the folder is there.
                        Err(Errno::NOENT) => continue,
                        Err(error) => return Err(error.into()),
                    }
                }
                known => known,
            };
            entries.push(Entry { name, is_dir: kind == FileType::Directory });
        }
        entries.sort();
        Ok(entries)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let (from_folder, from) = self.parent(from)?;
        let (to_folder, to) = self.parent(to)?;
        Ok(rustix::fs::linkat(&from_folder, from, &to_folder, to, AtFlags::empty())?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from_folder, from) = self.parent(from)?;
        let (to_folder, to) = self.parent(to)?;
        Ok(rustix::fs::renameat(&from_folder, from, &to_folder, to)?)
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(&folder, name, AtFlags::empty())?)
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(&folder, name, AtFlags::REMOVEDIR)?)
    }

    fn free(&self) -> io::Result<Option<u64>> {
        let found = rustix::fs::fstatvfs(self.folder("", OFlags::PATH)?)?;
        Ok(Some(found.f_bavail.saturating_mul(found.f_frsize)))
    }
}

/// ENOENT: the name is not there. (ESTALE says nothing about a name: it is an error like any
/// other.)
pub(crate) fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn flock(file: &File, how: FlockOperation) -> io::Result<bool> {
    match rustix::fs::flock(file, how) {
        Ok(()) => Ok(true),
        // INTR: not taken; the caller tries again anyway.
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Handle for File {
    fn try_lock(&self) -> io::Result<bool> {
        flock(self, FlockOperation::NonBlockingLockExclusive)
    }

    fn try_lock_shared(&self) -> io::Result<bool> {
        flock(self, FlockOperation::NonBlockingLockShared)
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(self, FlockOperation::Unlock)?)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(self, Mode::from_raw_mode(mode))?)
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(self, 0, None, rustix::fs::Advice::DontNeed)?)
    }

    fn inode(&self) -> io::Result<Inode> {
        let metadata = self.metadata()?;
        let modified = metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000;
        Ok(Inode { number: metadata.ino(), modified })
    }
}
