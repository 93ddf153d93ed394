//! The files of all machines, the machines, and what will go wrong: what one operation does to
//! them.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hiwake::disk::{Entry, Open};

use super::disk::SimDisk;
use super::loss::{FileOp, Loss, NameOp, Random, resolve_file, resolve_names};

pub const EPERM: i32 = 1;
pub const EIO: i32 = 5;
pub const EBADF: i32 = 9;
pub const EACCES: i32 = 13;
pub const EEXIST: i32 = 17;
pub const ENOENT: i32 = 2;
pub const ENOTDIR: i32 = 20;
pub const ENOTEMPTY: i32 = 39;
pub const EISDIR: i32 = 21;
pub const ENOSPC: i32 = 28;
pub const EMLINK: i32 = 31;
pub const ENOSYS: i32 = 38;
pub const ENOTSUP: i32 = 95;
pub const ESTALE: i32 = 116;

const PAGE: usize = 4096;

/// What goes wrong at one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not done, and says so.
    Fail(i32),
    /// It is done, and says it was not.
    Lie(i32),
    /// The process is gone before it; what it wrote is there, unsynced.
    Kill,
    /// A sync fails, and the pages are not written by a later one (Linux after EIO).
    SyncLost,
    /// Just before it the machine's lease is lost.
    LeaseLost,
    /// It is done, after so long: a mount tries again and again while its server is away.
    Slow(Duration),
    /// The lease is lost and the machine stands still while others do that many operations.
    Pause(u64),
}

#[derive(Debug, Clone)]
enum Body {
    File { durable: Arc<Vec<u8>>, now: Arc<Vec<u8>>, pending: Vec<(usize, usize, FileOp)> },
    Folder { durable: Names, now: Names, pending: Vec<NameOp> },
}

type Names = Arc<BTreeMap<String, usize>>;

/// The handles that hold a file's lock: one, or several that share it.
#[derive(Debug, Clone, Default)]
struct Lock {
    holders: Vec<usize>,
    shared: bool,
}

#[derive(Debug, Clone)]
pub struct Node {
    body: Body,
    pub mode: u32,
    lock: Lock,
    removed_by: Option<usize>,
}

#[derive(Debug, Clone)]
pub struct Opened {
    client: usize,
    pub node: usize,
    reads: bool,
    writes: bool,
    lost: bool,
    open: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Client {
    pub dead: bool,
    pub operations: u64,
    view: HashMap<(usize, String), Option<usize>>,
    /// What the machine keeps of files, by their nodes.
    pages: HashMap<usize, Arc<Vec<u8>>>,
}

#[derive(Debug, Clone, Default)]
pub struct Baton {
    pub runnable: Vec<usize>,
    pub turn: usize,
    pub paused: HashMap<usize, u64>,
}

/// All that there is: the files, the machines, and what will go wrong.
#[derive(Debug, Clone)]
pub struct State {
    nodes: Vec<Node>,
    pub handles: Vec<Opened>,
    pub clients: Vec<Client>,
    faults: Vec<(usize, u64, Fault)>,
    random: Random,
    pub operations: u64,
    pub baton: Option<Baton>,
    /// How often a machine removed the last name of a file that it had open (NFS leaves a `.nfs…`
    /// then).
    pub silly: u64,
    /// What `link` answers on a file system without hard links.
    pub no_links: Option<i32>,
    /// Whether upper and lower case are the same.
    pub folds_case: bool,
}

pub fn error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl State {
    pub fn new(seed: u64) -> State {
        let names = Names::default();
        let body = Body::Folder { durable: names.clone(), now: names, pending: Vec::new() };
        let root = Node { body, mode: 0o755, lock: Lock::default(), removed_by: None };
        State {
            nodes: vec![root],
            handles: Vec::new(),
            clients: Vec::new(),
            faults: Vec::new(),
            random: Random(seed),
            operations: 0,
            baton: None,
            silly: 0,
            no_links: None,
            folds_case: false,
        }
    }

    /// Plans a fault at a machine's operation of that number (from 1).
    pub fn plan(&mut self, disk: &SimDisk, operation: u64, fault: Fault) {
        self.faults.push((disk.id(), operation, fault));
    }

    pub fn fault(&self, client: usize, operation: u64) -> Option<Fault> {
        let planned = self.faults.iter().find(|(who, at, _)| (*who, *at) == (client, operation));
        planned.map(|(_, _, fault)| *fault)
    }

    /// Chooses whose turn is next.
    pub fn pass(&mut self) {
        let Some(baton) = &mut self.baton else { return };
        let now = self.operations;
        let awake: Vec<usize> = (baton.runnable.iter().copied())
            .filter(|client| baton.paused.get(client).is_none_or(|until| *until <= now))
            .collect();
        let among = if awake.is_empty() { &baton.runnable } else { &awake };
        if !among.is_empty() {
            baton.turn = among[self.random.below(among.len())];
        }
    }

    /// Whether a fault is planned that has not come.
    pub fn has_faults(&self) -> bool {
        let due = |(client, at, _): &(usize, u64, Fault)| {
            !self.clients[*client].dead && self.clients[*client].operations < *at
        };
        self.faults.iter().any(due)
    }

    /// What is planned does not come.
    pub fn forget_faults(&mut self) {
        self.faults.clear();
    }

    /// How many operations a machine has done.
    pub fn operations(&self, disk: &SimDisk) -> u64 {
        self.clients[disk.id()].operations
    }

    pub fn is_dead(&self, disk: &SimDisk) -> bool {
        self.clients[disk.id()].dead
    }

    /// 30 seconds pass: every machine sees the names as they are.
    pub fn forget_names(&mut self) {
        self.clients.iter_mut().for_each(|client| client.view.clear());
    }

    /// The process is gone; what it wrote is there, and not synced.
    pub fn kill(&mut self, client: usize) {
        self.clients[client].dead = true;
        for id in 0..self.handles.len() {
            if self.handles[id].client == client {
                self.close(id);
            }
        }
    }

    /// All processes are gone; what they wrote is there, and not synced.
    pub fn kill_all(&mut self) {
        (0..self.clients.len()).for_each(|client| self.kill(client));
    }

    /// The power fails everywhere; of what was not synced, `loss` decides what is left.
    pub fn power_failure(&mut self, loss: Loss) {
        self.kill_all();
        self.clients.iter_mut().for_each(|client| client.pages.clear());
        for node in &mut self.nodes {
            match &mut node.body {
                Body::File { durable, now, pending } => {
                    let operations = std::mem::take(pending);
                    let operations = operations.into_iter().map(|(_, _, operation)| operation);
                    resolve_file(Arc::make_mut(durable), operations, loss, &mut self.random);
                    *now = durable.clone();
                }
                Body::Folder { durable, now, pending } => {
                    let operations = std::mem::take(pending);
                    resolve_names(Arc::make_mut(durable), operations, loss, &mut self.random);
                    *now = durable.clone();
                }
            }
        }
    }

    /// All locks of the machine are gone, and some of what it wrote through them and did not sync.
    pub fn lose_lease(&mut self, client: usize) {
        for id in 0..self.handles.len() {
            let handle = &mut self.handles[id];
            let node = handle.node;
            let lock = &mut self.nodes[node].lock;
            if handle.client != client || !lock.holders.contains(&id) {
                continue;
            }
            handle.lost = true;
            self.clients[client].pages.remove(&node);
            lock.holders.retain(|holder| *holder != id);
            let Body::File { durable, now, pending } = &mut self.nodes[node].body else { continue };
            let mut kept = durable.as_ref().clone();
            let mut left = Vec::new();
            for (who, through, operation) in std::mem::take(pending) {
                if through == id && self.random.below(2) == 0 {
                    continue;
                }
                operation.apply(&mut kept);
                left.push((who, through, operation));
            }
            (*pending, *now) = (left, Arc::new(kept));
        }
    }

    /// Changes a file's content on the server's disk, for damage.
    pub fn edit(&mut self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let node = path.split('/').try_fold(0, |at, name| self.server_name(at, name)).unwrap();
        if let Body::File { durable, now, pending } = &mut self.nodes[node].body {
            change(Arc::make_mut(now));
            *durable = now.clone();
            pending.clear();
        }
    }

    /// Removes a file on the server's disk, and lets every machine know.
    pub fn remove(&mut self, path: &str) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let of = folder.split('/').filter(|name| !name.is_empty());
        let folder = of.fold(0, |at, name| self.server_name(at, name).unwrap());
        if let Body::Folder { durable, now, .. } = &mut self.nodes[folder].body {
            Arc::make_mut(now).remove(name);
            Arc::make_mut(durable).remove(name);
        }
        self.forget_names();
    }

    /// Every file's path and bytes, as they are seen now.
    pub fn tree(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        self.read_tree(0, "", &mut files);
        files
    }

    fn read_tree(&self, folder: usize, path: &str, files: &mut BTreeMap<String, Vec<u8>>) {
        let Body::Folder { now, .. } = &self.nodes[folder].body else { return };
        for (name, node) in now.iter() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            match &self.nodes[*node].body {
                Body::Folder { .. } => self.read_tree(*node, &path, files),
                Body::File { now, .. } => drop(files.insert(path, now.as_ref().clone())),
            }
        }
    }

    /// Whether a file's path leads to a file that nobody may write to.
    pub fn is_read_only(&mut self, path: &str) -> bool {
        let found = path.split('/').try_fold(0, |at, name| self.server_name(at, name));
        found.is_some_and(|node| self.nodes[node].mode & 0o222 == 0)
    }

    fn server_name(&self, folder: usize, name: &str) -> Option<usize> {
        match &self.nodes[folder].body {
            Body::Folder { now, .. } if self.folds_case => {
                let found = now.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                found.map(|(_, node)| *node)
            }
            Body::Folder { now, .. } => now.get(name).copied(),
            Body::File { .. } => None,
        }
    }

    fn links(&self, node: usize) -> usize {
        let names = self.nodes.iter().filter_map(|node| match &node.body {
            Body::Folder { now, .. } => Some(now.values()),
            Body::File { .. } => None,
        });
        names.flatten().filter(|linked| **linked == node).count()
    }

    /// What a name is to a machine.
    fn name(&mut self, client: usize, folder: usize, name: &str) -> Option<usize> {
        let server = self.server_name(folder, name);
        let key = (folder, name.to_owned());
        match self.clients[client].view.get(&key).copied() {
            // A file that is gone is ESTALE, and looked up again.
            Some(Some(old)) if Some(old) == server || self.links(old) > 0 => Some(old),
            Some(None) => None,
            _ => {
                self.clients[client].view.insert(key, server);
                server
            }
        }
    }

    /// Looks up a folder's path as a machine sees it.
    pub fn folder(&mut self, client: usize, path: &str) -> io::Result<usize> {
        let mut at = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = self.name(client, at, name).ok_or_else(|| error(ENOENT))?;
            if matches!(self.nodes[at].body, Body::File { .. }) {
                return Err(error(ENOTDIR));
            }
        }
        Ok(at)
    }

    fn parent<'p>(&mut self, client: usize, path: &'p str) -> io::Result<(usize, &'p str)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.folder(client, folder)?, name))
    }

    pub fn refresh(&mut self, client: usize, folder: usize) {
        self.clients[client].view.retain(|(of, _), _| *of != folder);
    }

    fn forget(&mut self, client: usize, folder: usize, name: &str) {
        self.clients[client].view.remove(&(folder, name.to_owned()));
    }

    fn change(&mut self, folder: usize, operation: NameOp) {
        if let Body::Folder { now, pending, .. } = &mut self.nodes[folder].body {
            operation.apply(Arc::make_mut(now));
            pending.push(operation);
        }
    }

    fn make(&mut self, client: usize, folder: usize, name: &str, body: Body, mode: u32) -> usize {
        self.nodes.push(Node { body, mode, lock: Lock::default(), removed_by: None });
        let node = self.nodes.len() - 1;
        self.change(folder, NameOp::Add(name.to_owned(), node));
        self.forget(client, folder, name);
        node
    }

    pub fn open(&mut self, client: usize, path: &str, how: Open) -> io::Result<usize> {
        let (folder, name) = self.parent(client, path)?;
        if matches!(how, Open::CreateNew(_)) {
            self.refresh(client, folder);
        }
        let found = match (how, self.name(client, folder, name)) {
            // The server is asked, whatever the machine remembers.
            (Open::Create(_) | Open::CreateNew(_), None) => self.server_name(folder, name),
            (_, found) => found,
        };
        let node = match (how, found) {
            (Open::CreateNew(_), Some(_)) => return Err(error(EEXIST)),
            (Open::Create(mode) | Open::CreateNew(mode), None) => {
                let empty = Arc::<Vec<u8>>::default();
                let body = Body::File { durable: empty.clone(), now: empty, pending: Vec::new() };
                self.make(client, folder, name, body, mode)
            }
            (_, None) => return Err(error(ENOENT)),
            (_, Some(node)) => node,
        };
        self.forget(client, folder, name);
        if matches!(self.nodes[node].body, Body::Folder { .. }) {
            return Err(error(EISDIR));
        }
        let (reads, writes) = (how != Open::Write, how != Open::Read);
        let mode = self.nodes[node].mode;
        if found.is_some() && ((reads && mode & 0o400 == 0) || (writes && mode & 0o200 == 0)) {
            return Err(error(EACCES));
        }
        if writes && self.links(node) > 1 {
            return Err(error(EMLINK));
        }
        self.clients[client].view.insert((folder, name.to_owned()), Some(node));
        if !self.has_open_for_writing(client, node) {
            self.clients[client].pages.remove(&node);
        }
        self.handles.push(Opened { client, node, reads, writes, lost: false, open: true });
        Ok(self.handles.len() - 1)
    }

    pub fn make_dir(&mut self, client: usize, path: &str, mode: u32) -> io::Result<()> {
        let (folder, name) = self.parent(client, path)?;
        if self.server_name(folder, name).is_some() {
            self.forget(client, folder, name);
            return Err(error(EEXIST));
        }
        let names = Names::default();
        let body = Body::Folder { durable: names.clone(), now: names, pending: Vec::new() };
        self.make(client, folder, name, body, mode);
        Ok(())
    }

    pub fn sync_dir(&mut self, client: usize, path: &str) -> io::Result<()> {
        let folder = self.folder(client, path)?;
        if let Body::Folder { durable, now, pending } = &mut self.nodes[folder].body {
            pending.clear();
            *durable = now.clone();
        }
        Ok(())
    }

    pub fn list(&mut self, client: usize, path: &str) -> io::Result<Vec<Entry>> {
        let folder = self.folder(client, path)?;
        self.refresh(client, folder);
        let Body::Folder { now, .. } = &self.nodes[folder].body else { return Err(error(ENOTDIR)) };
        let is_dir = |node: usize| matches!(self.nodes[node].body, Body::Folder { .. });
        let entry =
            |(name, node): (&String, &usize)| Entry { name: name.clone(), is_dir: is_dir(*node) };
        Ok(now.iter().map(entry).collect())
    }

    pub fn link(&mut self, client: usize, from: &str, to: &str) -> io::Result<()> {
        let (from_folder, from) = self.parent(client, from)?;
        let (to_folder, to) = self.parent(client, to)?;
        if let Some(errno) = self.no_links {
            return Err(error(errno));
        }
        let node = self.name(client, from_folder, from).ok_or_else(|| error(ENOENT))?;
        self.forget(client, to_folder, to);
        if self.server_name(to_folder, to).is_some() {
            return Err(error(EEXIST));
        }
        self.change(to_folder, NameOp::Add(to.to_owned(), node));
        Ok(())
    }

    pub fn rename(&mut self, client: usize, from: &str, to: &str) -> io::Result<()> {
        let (folder, from) = self.parent(client, from)?;
        let (to_folder, to) = self.parent(client, to)?;
        self.name(client, folder, from).ok_or_else(|| error(ENOENT))?;
        self.forget(client, folder, from);
        self.forget(client, folder, to);
        let node = self.server_name(folder, from).ok_or_else(|| error(ENOENT))?;
        match folder == to_folder {
            true => self.change(folder, NameOp::Move(from.to_owned(), to.to_owned(), node)),
            // Each name is durable by itself.
            false => {
                self.change(to_folder, NameOp::Add(to.to_owned(), node));
                self.change(folder, NameOp::Remove(from.to_owned()));
            }
        }
        Ok(())
    }

    pub fn remove_dir(&mut self, client: usize, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(client, path)?;
        self.name(client, folder, name).ok_or_else(|| error(ENOENT))?;
        self.forget(client, folder, name);
        let node = self.server_name(folder, name).ok_or_else(|| error(ENOENT))?;
        match &self.nodes[node].body {
            Body::Folder { now, .. } if now.is_empty() => {}
            Body::Folder { .. } => return Err(error(ENOTEMPTY)),
            Body::File { .. } => return Err(error(ENOTDIR)),
        }
        self.change(folder, NameOp::Remove(name.to_owned()));
        self.nodes[node].removed_by = Some(client);
        Ok(())
    }

    pub fn unlink(&mut self, client: usize, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(client, path)?;
        self.name(client, folder, name).ok_or_else(|| error(ENOENT))?;
        self.forget(client, folder, name);
        let node = self.server_name(folder, name).ok_or_else(|| error(ENOENT))?;
        if matches!(self.nodes[node].body, Body::Folder { .. }) {
            return Err(error(EISDIR));
        }
        self.change(folder, NameOp::Remove(name.to_owned()));
        if self.links(node) == 0 {
            self.nodes[node].removed_by = Some(client);
            let held =
                |handle: &Opened| handle.open && (handle.client, handle.node) == (client, node);
            self.silly += u64::from(self.handles.iter().any(held));
        }
        Ok(())
    }

    pub fn close(&mut self, id: usize) {
        let handle = &mut self.handles[id];
        handle.open = false;
        self.nodes[handle.node].lock.holders.retain(|holder| *holder != id);
    }

    pub fn unlock(&mut self, id: usize) -> io::Result<()> {
        self.file(id)?.lock.holders.retain(|holder| *holder != id);
        Ok(())
    }

    /// The handle's file, if the machine that removed it is not another one.
    pub fn file(&mut self, id: usize) -> io::Result<&mut Node> {
        let Opened { node, client, .. } = self.handles[id];
        let removed_by = self.nodes[node].removed_by;
        if removed_by.is_some_and(|by| by != client) && self.links(node) == 0 {
            return Err(error(ESTALE));
        }
        Ok(&mut self.nodes[node])
    }

    pub fn try_lock(&mut self, id: usize, shared: bool) -> io::Result<bool> {
        let Opened { reads, writes, lost, .. } = self.handles[id];
        if !(if shared { reads } else { writes }) {
            return Err(error(EBADF));
        }
        if lost {
            return Err(self.lost_lock());
        }
        let lock = &mut self.file(id)?.lock;
        let alone = lock.holders.iter().all(|holder| *holder == id);
        let free = alone || (shared && lock.shared);
        if free {
            lock.shared = shared;
            lock.holders.retain(|holder| *holder != id);
            lock.holders.push(id);
            self.drop_pages(id);
        }
        Ok(free)
    }

    /// What Linux answers on a handle whose lock was lost.
    fn lost_lock(&mut self) -> io::Error {
        error(if self.random.below(4) == 0 { EBADF } else { EIO })
    }

    fn has_open_for_writing(&self, client: usize, node: usize) -> bool {
        let is = |one: &Opened| one.open && one.writes && (one.client, one.node) == (client, node);
        self.handles.iter().any(is)
    }

    /// The next read through any of the machine's handles asks the server.
    pub fn drop_pages(&mut self, id: usize) {
        let Opened { client, node, .. } = self.handles[id];
        self.clients[client].pages.remove(&node);
    }

    /// What a read answers from. While the machine has the file open for writing, the pages that it
    /// kept are not those that others wrote since, though the length is.
    pub fn bytes(&mut self, id: usize) -> io::Result<Arc<Vec<u8>>> {
        let Opened { client, node, reads, .. } = self.handles[id];
        if !reads {
            return Err(error(EBADF));
        }
        let mut read = self.length(id)?;
        let is_locked = self.nodes[node].lock.holders.contains(&id);
        if !is_locked
            && self.has_open_for_writing(client, node)
            && let Some(kept) = self.clients[client].pages.get(&node).cloned()
        {
            let pages = kept.len().next_multiple_of(PAGE).min(read.len());
            let mut old = kept.as_ref().clone();
            old.resize(pages, 0);
            Arc::make_mut(&mut read)[..pages].copy_from_slice(&old);
        }
        self.clients[client].pages.insert(node, read.clone());
        Ok(read)
    }

    pub fn length(&mut self, id: usize) -> io::Result<Arc<Vec<u8>>> {
        match &self.file(id)?.body {
            Body::File { now, .. } => Ok(now.clone()),
            Body::Folder { .. } => Err(error(EISDIR)),
        }
    }

    pub fn write(&mut self, id: usize, operation: FileOp) -> io::Result<()> {
        let Opened { client, writes, lost, .. } = self.handles[id];
        if !writes {
            return Err(error(EBADF));
        }
        if lost {
            // A write may look well, in the machine's memory; it never gets further.
            let buffered = matches!(operation, FileOp::Write(..)) && self.random.below(2) == 0;
            return if buffered { Ok(()) } else { Err(self.lost_lock()) };
        }
        let node = self.handles[id].node;
        if let Some(pages) = self.clients[client].pages.get_mut(&node) {
            operation.apply(Arc::make_mut(pages));
        }
        if let Body::File { now, pending, .. } = &mut self.file(id)?.body {
            operation.apply(Arc::make_mut(now));
            pending.push((client, id, operation));
        }
        Ok(())
    }

    pub fn sync(&mut self, id: usize) -> io::Result<()> {
        let Opened { client, lost, .. } = self.handles[id];
        if lost {
            return Err(self.lost_lock());
        }
        if let Body::File { durable, now, pending } = &mut self.file(id)?.body
            && pending.iter().any(|(who, _, _)| *who == client)
        {
            let mut kept = durable.as_ref().clone();
            for (_, _, operation) in std::mem::take(pending) {
                match operation {
                    FileOp::Truncate(length) => kept.resize(length, 0),
                    FileOp::Write(offset, bytes) => {
                        let from = offset / PAGE * PAGE;
                        let to = (offset + bytes.len()).div_ceil(PAGE) * PAGE;
                        let to = to.min(now.len());
                        if from < to {
                            kept.resize(kept.len().max(to), 0);
                            kept[from..to].copy_from_slice(&now[from..to]);
                        }
                    }
                }
            }
            kept.truncate(now.len());
            *durable = Arc::new(kept);
        }
        Ok(())
    }

    /// A sync that fails: what was to be written is not, and is not tried again.
    pub fn sync_lost(&mut self, id: usize) -> io::Result<()> {
        if let Body::File { pending, .. } = &mut self.file(id)?.body {
            pending.clear();
        }
        Err(error(EIO))
    }
}
