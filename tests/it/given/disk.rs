//! A real disk that is watched: what is opened and read, by a clock that may be another one; and
//! something may happen before a file is opened, and after a folder was made or synced.

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use hiwake::disk::{Disk, Entry, Handle, Inode, Open, RealDisk};

/// Is told `opens`, `made` or `synced`, and of what.
type Then<'d> = dyn Fn(&'static str, &str) + Send + Sync + 'd;

pub struct Watched<'d> {
    disk: &'d RealDisk,
    opened: Mutex<Vec<String>>,
    read: Arc<AtomicU64>,
    /// How far its clock is behind that of the machine, in milliseconds.
    behind: Arc<AtomicI64>,
    pub then: Box<Then<'d>>,
}

impl<'d> Watched<'d> {
    pub fn new(disk: &'d RealDisk) -> Watched<'d> {
        let (read, behind) = (Arc::default(), Arc::default());
        Watched { disk, opened: Mutex::default(), read, behind, then: Box::new(|_, _| {}) }
    }

    pub fn set_behind(&self, milliseconds: i64) {
        self.behind.store(milliseconds, Ordering::Relaxed);
    }

    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The paths of files that were opened, and of folders that were listed.
    pub fn take_opened(&self) -> Vec<String> {
        std::mem::take(&mut self.opened.lock().unwrap())
    }

    fn note(&self, path: &str) {
        self.opened.lock().unwrap().push(path.to_owned());
    }
}

struct WatchedHandle {
    handle: Box<dyn Handle>,
    read: Arc<AtomicU64>,
    behind: Arc<AtomicI64>,
}

impl Disk for Watched<'_> {
    fn open(&self, path: &str, how: Open) -> io::Result<Box<dyn Handle>> {
        self.note(path);
        (self.then)("opens", path);
        let handle = self.disk.open(path, how)?;
        let (read, behind) = (self.read.clone(), self.behind.clone());
        Ok(Box::new(WatchedHandle { handle, read, behind }))
    }
    fn make_dir(&self, path: &str, mode: u32) -> io::Result<()> {
        self.disk.make_dir(path, mode)?;
        (self.then)("made", path);
        Ok(())
    }
    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.disk.sync_dir(path)?;
        (self.then)("synced", path);
        Ok(())
    }
    fn refresh_dir(&self, path: &str) -> io::Result<()> {
        self.disk.refresh_dir(path)
    }
    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        self.note(path);
        self.disk.list(path)
    }
    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.link(from, to)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn unlink(&self, path: &str) -> io::Result<()> {
        self.disk.unlink(path)
    }
    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.disk.remove_dir(path)
    }
}

impl Handle for WatchedHandle {
    fn try_lock(&self) -> io::Result<bool> {
        self.handle.try_lock()
    }
    fn try_lock_shared(&self) -> io::Result<bool> {
        self.handle.try_lock_shared()
    }
    fn unlock(&self) -> io::Result<()> {
        self.handle.unlock()
    }
    fn length(&self) -> io::Result<u64> {
        self.handle.length()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let filled = self.handle.read_at(buffer, offset)?;
        self.read.fetch_add(filled as u64, Ordering::Relaxed);
        Ok(filled)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.handle.write_at(bytes, offset)
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.handle.truncate(length)
    }
    fn sync(&self) -> io::Result<()> {
        self.handle.sync()
    }
    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.handle.set_mode(mode)
    }
    fn drop_cache(&self) -> io::Result<()> {
        self.handle.drop_cache()
    }
    fn inode(&self) -> io::Result<Inode> {
        let Inode { number, modified } = self.handle.inode()?;
        Ok(Inode { number, modified: modified - self.behind.load(Ordering::Relaxed) })
    }
}
