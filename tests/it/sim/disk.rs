//! A disk that is worse than any real one, and always in the same way: what it does follows from
//! its seed, the order of the calls and the faults that a test planned.
//!
//! One [`Server`] keeps the files; every [`SimDisk`] is a machine of its own, with a lease and with
//! names it remembers. The rules, each stricter than an NFS mount or a local disk:
//!
//! * What was written is seen by all at once, but is durable only after a `sync` by a machine that
//!   has written to the file itself (fsync of a clean file sends nothing). Names are durable after
//!   `sync_dir`, each by itself.
//! * A name once looked up is seen as it was then, until its folder is refreshed or something is
//!   made in it.
//! * While a machine has a file open for writing, any of its reads without the lock may answer from
//!   pages that it kept, however old. Locking the file or `drop_cache` ends that.
//! * A lease that is lost takes all locks of the machine; writing through a handle that was locked
//!   then fails at the latest at the sync, through any other it works. Of what it had not synced,
//!   anything may be missing.
//! * A file that another machine removed is ESTALE; a file that is not writable cannot be opened
//!   for writing.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hiwake::disk::{Disk, Entry, Handle, Inode, Open};
use hiwake::land::journal::cache::Journals;

use super::loss::FileOp;
use super::state::{Baton, Client, Fault, State, error};

/// What one machine does in an interleaving.
pub type Act<'w> = Box<dyn FnOnce(&SimDisk) + Send + 'w>;

type Hook = (usize, u64, Box<dyn FnOnce() + Send>);

/// The file system behind all machines.
pub struct Server {
    state: Mutex<State>,
    turn: Condvar,
    hook: Mutex<Option<Hook>>,
    /// The state before each operation, while it is recorded.
    record: Mutex<Option<Vec<State>>>,
}

impl Server {
    pub fn new(seed: u64) -> Arc<Server> {
        Server::from(State::new(seed))
    }

    pub fn from(state: State) -> Arc<Server> {
        let (state, turn) = (Mutex::new(state), Condvar::new());
        Arc::new(Server { state, turn, hook: Mutex::new(None), record: Mutex::new(None) })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A machine that has seen nothing yet.
    pub fn client(self: &Arc<Server>) -> SimDisk {
        let mut state = self.lock();
        state.clients.push(Client::default());
        let client = state.clients.len() - 1;
        SimDisk { server: self.clone(), client, journals: Arc::default() }
    }

    /// From now on the state before each operation is kept.
    pub fn start_record(&self) {
        *self.record.lock().unwrap() = Some(Vec::new());
    }

    /// The states before each operation since the recording began, and the present one.
    pub fn take_record(&self) -> Vec<State> {
        let mut record = self.record.lock().unwrap().take().unwrap();
        record.push(self.lock().clone());
        record
    }

    pub fn recorded(&self) -> usize {
        self.record.lock().unwrap().as_ref().map_or(0, Vec::len)
    }

    /// Does something just before a machine's operation of that number (from 1), while the machine
    /// stands still.
    pub fn before(&self, disk: &SimDisk, operation: u64, act: impl FnOnce() + Send + 'static) {
        *self.hook.lock().unwrap() = Some((disk.client, operation, Box::new(act)));
    }

    /// Whether what `before` was told has not happened.
    pub fn is_waiting(&self) -> bool {
        self.hook.lock().unwrap().is_some()
    }

    /// Runs the work of several machines, one operation at a time, in an order that the seed
    /// decides.
    pub fn interleave(&self, work: Vec<(&SimDisk, Act<'_>)>) {
        let runnable: Vec<usize> = work.iter().map(|(disk, _)| disk.client).collect();
        let turn = runnable[0];
        self.lock().baton = Some(Baton { runnable, turn, paused: HashMap::new() });
        std::thread::scope(|scope| {
            let run = |(disk, act): (&SimDisk, Act<'_>)| {
                let client = disk.client;
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(disk)));
                self.leave(client);
                result
            };
            let threads: Vec<_> =
                work.into_iter().map(|one| scope.spawn(move || run(one))).collect();
            let results: Vec<_> =
                threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            self.lock().baton = None;
            for result in results {
                result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
        });
    }

    /// A machine has done its work; the others continue.
    fn leave(&self, client: usize) {
        let mut state = self.await_turn(client);
        if let Some(baton) = &mut state.baton {
            baton.runnable.retain(|other| *other != client);
        }
        state.pass();
        self.turn.notify_all();
    }

    fn await_turn<'s>(&'s self, client: usize) -> MutexGuard<'s, State> {
        let mut state = self.lock();
        while state
            .baton
            .as_ref()
            .is_some_and(|baton| baton.runnable.contains(&client) && baton.turn != client)
        {
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn operation<T>(
        &self,
        client: usize,
        act: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.await_turn(client);
        state.clients[client].operations += 1;
        let number = state.clients[client].operations;
        let due = |hook: &mut Hook| (hook.0, hook.1) == (client, number);
        let hook = self.hook.lock().unwrap().take_if(due);
        if let Some((_, _, hook)) = hook {
            drop(state);
            hook();
            state = self.lock();
        }
        if let Some(record) = self.record.lock().unwrap().as_mut() {
            record.push(state.clone());
        }
        state.operations += 1;
        let fault = state.fault(client, number);
        if let (Some(Fault::Pause(operations)), Some(_)) = (fault, &state.baton) {
            let until = state.operations + operations;
            state.lose_lease(client);
            state.baton.as_mut().unwrap().paused.insert(client, until);
            state.pass();
            self.turn.notify_all();
            drop(state);
            state = self.await_turn(client);
        }
        let result = match fault {
            _ if state.clients[client].dead => Err(io::Error::other("the process is gone")),
            None | Some(Fault::Pause(_)) => act(&mut state),
            Some(Fault::Slow(time)) => {
                std::thread::sleep(time);
                act(&mut state)
            }
            Some(Fault::Fail(errno)) => Err(error(errno)),
            Some(Fault::Lie(errno)) => {
                let opened = state.handles.len();
                let result = act(&mut state).and_then(|_| Err(error(errno)));
                (opened..state.handles.len()).for_each(|id| state.close(id));
                result
            }
            Some(Fault::Kill) => {
                state.kill(client);
                Err(io::Error::other("the process is gone"))
            }
            Some(Fault::LeaseLost) => {
                state.lose_lease(client);
                act(&mut state)
            }
            Some(Fault::SyncLost) => act(&mut state),
        };
        state.pass();
        self.turn.notify_all();
        result
    }
}

/// One machine's view of the server.
pub struct SimDisk {
    server: Arc<Server>,
    client: usize,
    /// What the machine's process remembers.
    pub journals: Arc<Journals>,
}

struct SimHandle {
    server: Arc<Server>,
    client: usize,
    id: usize,
}

impl SimDisk {
    fn operation<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.server.operation(self.client, act)
    }

    /// The machine's number.
    pub fn id(&self) -> usize {
        self.client
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &str, how: Open) -> io::Result<Box<dyn Handle>> {
        let client = self.client;
        let id = self.operation(|state| state.open(client, path, how))?;
        Ok(Box::new(SimHandle { server: self.server.clone(), client, id }))
    }

    fn make_dir(&self, path: &str, mode: u32) -> io::Result<()> {
        self.operation(|state| state.make_dir(self.client, path, mode))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.operation(|state| state.sync_dir(self.client, path))
    }

    fn refresh_dir(&self, path: &str) -> io::Result<()> {
        self.operation(|state| {
            let folder = state.folder(self.client, path)?;
            state.refresh(self.client, folder);
            Ok(())
        })
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        self.operation(|state| state.list(self.client, path))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.operation(|state| state.link(self.client, from, to))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operation(|state| state.rename(self.client, from, to))
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.operation(|state| state.unlink(self.client, path))
    }

    fn remove_dir(&self, path: &str) -> io::Result<()> {
        self.operation(|state| state.remove_dir(self.client, path))
    }
}

impl SimHandle {
    fn operation<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.server.operation(self.client, act)
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        // Its lock goes in its turn: the same seed gives the same order.
        self.server.await_turn(self.client).close(self.id);
    }
}

impl Handle for SimHandle {
    fn try_lock(&self) -> io::Result<bool> {
        self.operation(|state| state.try_lock(self.id, false))
    }

    fn try_lock_shared(&self) -> io::Result<bool> {
        self.operation(|state| state.try_lock(self.id, true))
    }

    fn unlock(&self) -> io::Result<()> {
        self.operation(|state| state.unlock(self.id))
    }

    fn length(&self) -> io::Result<u64> {
        self.operation(|state| Ok(state.length(self.id)?.len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.operation(|state| {
            let bytes = state.bytes(self.id)?;
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.operation(|state| state.write(self.id, FileOp::Write(offset as usize, bytes.to_vec())))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.operation(|state| state.write(self.id, FileOp::Truncate(length as usize)))
    }

    fn sync(&self) -> io::Result<()> {
        self.operation(|state| {
            let number = state.clients[self.client].operations;
            match state.fault(self.client, number) {
                Some(Fault::SyncLost) => state.sync_lost(self.id),
                _ => state.sync(self.id),
            }
        })
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.operation(|state| state.file(self.id).map(|node| node.mode = mode))
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.operation(|state| {
            state.drop_pages(self.id);
            Ok(())
        })
    }

    fn inode(&self) -> io::Result<Inode> {
        self.operation(|state| {
            state.file(self.id)?;
            Ok(Inode { number: state.handles[self.id].node as u64, modified: 0 })
        })
    }
}
