//! The Disk port: all file-system operations of land, in about ten verbs, and their implementation
//! for a local folder or an NFS mount.
//!
//! The port orders nothing: `land/` decides the order of writes, syncs, links and renames, so that
//! a simulated disk can prove the order right. Every open flag, lock, sync and rename of the
//! project is in this file.
//!
//! Paths are relative to the root, with components joined by `/`; the empty path is the root
//! itself. No verb follows a symbolic link below the root: a planted link is an error (`ELOOP`, or
//! `ENOTDIR` in place of a folder).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, NFS_SUPER_MAGIC, OFlags};
use rustix::io::Errno;

/// How a file is opened. A mode applies if the file is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// An existing file, for reading.
    Read,
    /// An existing file, for writing only.
    Write,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// For reading and writing; created if it is missing.
    Create(u32),
    /// A new file, for reading and writing; `AlreadyExists` if it exists. Exactly one caller wins.
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

/// The identity and time of a handle's file. Two names of one file have the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// Its number on the file system.
    pub number: u64,
    /// When it was last written, in milliseconds since the epoch, by the file system's clock.
    pub modified: i64,
}

/// The file system that land needs.
///
/// Obligations: `link`, `make_dir` and `CreateNew` have exactly one winner. An error of `link`,
/// `rename`, `unlink` or `make_dir` may hide a success whose reply was lost: the caller looks
/// again.
pub trait Disk: Send + Sync {
    /// Opens a regular file; `ENXIO`, `EISDIR` or `ELOOP` if something else has the name. After a
    /// refresh of its folder, the name is looked up again. A file with a second name is not opened
    /// for writing (`EMLINK`): the write could change a file that is not ours.
    fn open(&self, path: &str, how: Open) -> io::Result<Box<dyn Handle>>;
    /// Creates a folder; its parent must exist. `AlreadyExists` if anything has the name.
    fn make_dir(&self, path: &str, mode: u32) -> io::Result<()>;
    /// Makes the creation and removal of names in the folder durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;
    /// Makes visible here which names other machines created or removed. An NFS client may be 30 s
    /// behind.
    fn refresh_dir(&self, path: &str) -> io::Result<()>;
    /// The names in a folder, sorted.
    fn list(&self, path: &str) -> io::Result<Vec<Entry>>;
    /// Gives a file a second name. Never replaces one (`AlreadyExists`).
    fn link(&self, from: &str, to: &str) -> io::Result<()>;
    /// Moves a name, and replaces an existing file.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file's name.
    fn unlink(&self, path: &str) -> io::Result<()>;
    /// Removes an empty folder; an error if it is not empty.
    fn remove_dir(&self, path: &str) -> io::Result<()>;
    /// The free space in bytes, if the file system reports it.
    fn free(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
}

/// An open file. Dropping it closes the file and releases its lock.
///
/// Obligation: once this handle has lost its lock, `truncate` and `sync` through it fail. Its
/// unsynced writes no longer reach the file; `write_at` may fail, or seem to succeed until the
/// sync. A handle that never took a lock is not fenced. `sync` makes durable what this machine has
/// written. What another machine wrote without a sync becomes durable only if this one has written
/// to the file, too.
pub trait Handle: Send + Sync {
    /// Takes the exclusive advisory lock (flock); `false` if another handle holds a lock. Needs a
    /// writable handle.
    fn try_lock(&self) -> io::Result<bool>;
    /// Takes the shared advisory lock; `false` if another handle holds the exclusive one. Needs a
    /// readable handle.
    fn try_lock_shared(&self) -> io::Result<bool>;
    /// Releases the lock. From then on the handle is not fenced.
    fn unlock(&self) -> io::Result<()>;
    /// The file's length; reliable only under the lock.
    fn length(&self) -> io::Result<u64>;
    /// Fills the buffer from `offset`. Reads fewer bytes only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes at `offset`; not durable before `sync`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Truncates, or extends with zeros; not durable before `sync`.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;
    /// Sets the permission bits.
    fn set_mode(&self, mode: u32) -> io::Result<()>;
    /// Drops this machine's cache of the file, so that later reads see its current content.
    fn drop_cache(&self) -> io::Result<()>;
    /// The file's identity and time.
    fn inode(&self) -> io::Result<Inode>;
}

/// A folder of this machine: local, or an NFS mount.
#[derive(Debug)]
pub struct RealDisk {
    /// `None` if the root is missing; then nothing exists below it.
    root: Option<OwnedFd>,
    /// Whether it is an NFS mount, determined on first use.
    is_nfs: OnceLock<bool>,
}

impl RealDisk {
    /// Opens an existing root.
    pub fn open(root: &Path) -> io::Result<RealDisk> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(RealDisk::at(Some(rustix::fs::open(root, flags, Mode::empty())?)))
    }

    fn at(root: Option<OwnedFd>) -> RealDisk {
        RealDisk { root, is_nfs: OnceLock::new() }
    }

    /// Opens the root for reading. A missing root is treated as empty.
    pub fn open_if_there(root: &Path) -> io::Result<RealDisk> {
        match RealDisk::open(root) {
            Err(error) if is_absent(&error) => Ok(RealDisk::at(None)),
            opened => opened,
        }
    }

    /// Opens the root, and creates it and its parents if they are missing. Its owner can enter it,
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

    /// Opens the folder of a path component by component, without following links. Returns it and
    /// the last name.
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
        // NONBLOCK: a FIFO of this name is an error below, not a hang.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let (folder, name) = self.parent(path)?;
        let file = rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(mode))?;
        let file = File::from(file);
        let found = file.metadata()?;
        if !found.is_file() {
            // A device, a FIFO or a folder.
            return Err(Errno::NXIO.into());
        }
        if found.nlink() > 1 && how != Open::Read {
            return Err(Errno::MLINK.into());
        }
        if found.len() == 0 && found.mode() & mode != mode {
            match rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)) {
                // PERM: another user created the file, so our umask removed no bits.
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
        // The process's umask removed bits.
        Ok(rustix::fs::chmodat(&folder, name, mode, AtFlags::empty())?)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        // An NFS server makes a name durable before it answers, so Linux sends nothing for this
        // sync (`nfs_fsync_dir`). Opening the folder would still cost a round trip.
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
                        // The entry was removed meanwhile; the folder still exists.
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

/// Whether the name is missing: ENOENT. (ESTALE says nothing about a name, so it is an ordinary
/// error.)
pub(crate) fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn flock(file: &File, how: FlockOperation) -> io::Result<bool> {
    match rustix::fs::flock(file, how) {
        Ok(()) => Ok(true),
        // INTR: the lock was not taken; the caller retries anyway.
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
