//! A root on disk: how its files are named, opened and locked. It knows nothing of journals.

pub(crate) mod checkpoint;
pub mod error;
pub mod files;
pub mod folders;
pub mod layout;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::error::{Context, LandError, Result, if_there, is_gone};
use self::folders::Synced;
use self::layout::{DayFile, folder_of};
use crate::clock::Clock;
use crate::config::Config;
use crate::day::day_end;
use crate::disk::{Disk, Handle, Open};
use crate::row::Day;

/// The pause before a retry after a lost lease.
const LEASE_PAUSE: Duration = Duration::from_millis(100);
/// How often a file's folder is created again.
const FOLDERS_MADE_MAX: usize = 3;

/// A root of daily files: its file system, configuration, clock and deadline.
pub struct Root<'a> {
    /// The file system with the daily files.
    pub disk: &'a dyn Disk,
    /// The active configuration.
    pub config: &'a Config,
    /// The source of the current time.
    pub clock: Clock,
    /// When the caller must answer: no wait for a lock extends beyond it.
    pub deadline: Instant,
    /// The folders that this call has synced.
    pub synced: Synced,
}

impl Root<'_> {
    /// The mode of files that are still written: as that of sealed files, but writable by the owner
    /// only.
    pub(crate) fn open_mode(&self) -> u32 {
        self.config.files.mode & !0o222 | 0o600
    }

    /// Fails after the deadline, so that no more work begins.
    pub(crate) fn check_time(&self, day_file: &DayFile) -> Result<()> {
        match Instant::now() < self.deadline {
            true => Ok(()),
            false => Err(LandError::Time(day_file.to_string())),
        }
    }

    pub(crate) fn lock_deadline(&self) -> Instant {
        self.deadline.min(Instant::now() + self.config.limits.lock_wait)
    }

    /// Retries while the lease is lost before anything was written. A failing disk returns the same
    /// error, so the retries end at the lock's deadline.
    pub(crate) fn while_lease_is_lost<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let until = self.lock_deadline();
        loop {
            match attempt() {
                Err(LandError::LeaseLost(_)) if Instant::now() + LEASE_PAUSE < until => {
                    std::thread::sleep(LEASE_PAUSE);
                }
                result => return result,
            }
        }
    }

    /// Fails if this machine's clock and the file system's differ too much: with a wrong clock, a
    /// day would be sealed too early or never. `theirs` is the file system's time of a write just
    /// now. An explicit `--now` is not checked.
    pub(crate) fn compare_clocks(&self, theirs: i64) -> Result<()> {
        let ours = self.clock.now();
        let skew = ours.abs_diff(theirs);
        match self.clock == Clock::System && skew > self.clock_skew() as u64 {
            true => Err(LandError::Clock { ours, theirs }),
            false => Ok(()),
        }
    }

    pub(crate) fn clock_skew(&self) -> i64 {
        self.config.limits.clock_skew.as_millis() as i64
    }

    /// Whether a commit's time is in the future, stamped by a clock that was ahead.
    pub(crate) fn is_ahead(&self, at: i64) -> bool {
        at > self.clock.now() + self.clock_skew()
    }

    /// Whether a day has ended in the configured zone and its grace period with it. Rounds skip all
    /// other days.
    pub(crate) fn may_seal(&self, day: Day) -> bool {
        let grace = self.config.seal.grace.as_millis() as i64;
        day_end(self.config.timezone, day) + grace <= self.clock.now()
    }

    pub(crate) fn hint_without_journal(&self, day_file: &DayFile) -> LandError {
        LandError::damage(day_file.journal(), "the journal is missing, but a hint names its day")
    }

    /// Opens a file. If `how` may create it, its folder is created too. A round may remove the
    /// empty folder at the same time, so this is tried several times.
    pub(crate) fn open(&self, path: &str, how: Open) -> Result<Box<dyn Handle>> {
        for _ in 0..FOLDERS_MADE_MAX {
            match self.disk.open(path, how) {
                Err(error) if is_gone(&error) && matches!(how, Open::Create(_)) => {
                    folders::make(self, folder_of(path))?;
                }
                opened => return opened.context("open", path),
            }
        }
        self.disk.open(path, how).context("create", path)
    }

    /// Opens a file for reading; `None` if it does not exist.
    pub(crate) fn open_if_there(&self, path: &str) -> Result<Option<Box<dyn Handle>>> {
        if_there(self.disk.open(path, Open::Read).map(Some)).context("open", path)
    }

    /// Opens a file and takes its lock, retrying until `until`. Returns how often the lock was
    /// busy.
    pub(crate) fn open_locked(
        &self,
        path: &str,
        how: Open,
        until: Instant,
    ) -> Result<(Box<dyn Handle>, u64)> {
        let handle = self.open(path, how)?;
        let busy_retries = self.lock(path, until, || handle.try_lock())?;
        Ok((handle, busy_retries))
    }

    /// Takes a lock, retrying until `until`. Returns how often it was busy.
    pub(crate) fn lock(
        &self,
        path: &str,
        until: Instant,
        try_lock: impl Fn() -> std::io::Result<bool>,
    ) -> Result<u64> {
        let (mut wait, mut busy_retries) = (Duration::from_millis(10), 0);
        while !try_lock().context("lock", path)? {
            busy_retries += 1;
            let pause = wait.mul_f64(0.3 + 0.7 * jitter());
            if Instant::now() + pause >= until {
                return Err(LandError::Busy(path.to_owned()));
            }
            std::thread::sleep(pause);
            wait = (wait * 2).min(Duration::from_secs(1));
        }
        Ok(busy_retries)
    }

    /// Runs `work` on all items, up to `limits.parallel` at once. The results are in the items'
    /// order.
    pub(crate) fn in_parallel<T: Send, R: Send>(
        &self,
        items: Vec<T>,
        work: impl Fn(T) -> R + Sync,
    ) -> Vec<R> {
        let threads = self.config.limits.parallel.clamp(1, items.len().max(1));
        if threads == 1 {
            return items.into_iter().map(work).collect();
        }
        let queue = Mutex::new(items.into_iter().enumerate());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let results = Mutex::new(BTreeMap::new());
        let one_by_one = || {
            while let Some((index, item)) = next() {
                let result = work(item);
                results.lock().unwrap_or_else(PoisonError::into_inner).insert(index, result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(one_by_one);
            }
        });
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.into_values().collect()
    }

    /// Creates a hint durably. Hints only say where to look; the journals decide.
    pub(crate) fn make_hint(&self, path: &str) -> Result<()> {
        self.open(path, Open::Create(self.open_mode()))?;
        folders::sync_up(self, folder_of(path))
    }
}

/// A text that no other process uses at the same time, for the names of temporaries.
pub(crate) fn unique() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// A random number from 0 to 1.
fn jitter() -> f64 {
    (RandomState::new().hash_one(()) >> 11) as f64 / (1_u64 << 53) as f64
}
