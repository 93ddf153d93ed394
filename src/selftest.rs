//! The self-test: checks that a deployment has what landing and sealing rely on.
//!
//! There are two ways to run it: `{"hiwake":"selftest"}` as the land function's event, and `hiwake
//! doctor`. It changes no existing file and leaves none behind.

use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::disk::{Disk, Open};
use crate::land::Root;
use crate::land::root::unique;
use crate::store::{Buckets, StoreError};

/// The one file that all executions lock.
const LOCK: &str = ".hiwake.selftest.lock";
/// The suffixes of the trial files' names.
const TRIED: [&str; 3] = ["new", "link", "moved"];
/// The end of a key that does not exist.
const MISSING: &str = "hiwake-selftest-missing";
/// The least free space: below it, landing may soon fail.
const FREE_MIN: u64 = 1 << 30;

/// The options of a self-test: the other fields of its event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// Buckets and prefixes that land reads, e.g. `s3://bucket/landing/`.
    pub prefixes: Vec<String>,
    /// For how many seconds the lock is held, so that a second execution finds it taken.
    pub hold_s: u64,
    /// The field that marks the event: `selftest`.
    pub hiwake: Option<String>,
    /// Whether a machine that only reads is right, too: no function is one.
    #[serde(skip)]
    pub may_only_read: bool,
}

/// One check and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub check: String,
    /// Whether it passed.
    pub ok: bool,
    /// What was found; if it failed, also what to do.
    pub says: String,
}

impl Check {
    /// A check and its result.
    pub fn new(check: impl Into<String>, result: Result<String, String>) -> Check {
        let (ok, says) = match result {
            Ok(says) => (true, says),
            Err(says) => (false, says),
        };
        Check { check: check.into(), ok, says }
    }
}

/// Runs all checks of a root and of buckets.
pub fn run(root: &Root<'_>, stores: &Buckets<'_>, asked: &Asked) -> Vec<Check> {
    let mut checks = match asked.may_only_read.then(|| refused(root)).flatten() {
        Some(error) => only_read(root, &error),
        None => {
            let mut checks = of_root(root);
            checks.push(Check::new("lock between executions", lock_held(root, asked.hold_s)));
            checks
        }
    };
    checks.extend(asked.prefixes.iter().map(|prefix| of_prefix(stores, prefix)));
    checks
}

/// The prefix of the trial files' names.
const PREFIX: &str = ".hiwake.selftest.";
/// The age of leftover files: no self-test takes this long.
const LEFT_MS: i64 = 3_600_000;

/// Removes the trial files of killed self-tests.
fn remove_left(root: &Root<'_>) {
    let names = root.disk.list("").unwrap_or_default().into_iter().map(|entry| entry.name);
    for name in names.filter(|name| name.starts_with(PREFIX)) {
        let modified = root.disk.open(&name, Open::Read).and_then(|file| file.inode());
        if modified.is_ok_and(|inode| inode.modified < root.clock.now() - LEFT_MS) {
            drop(root.disk.unlink(&name));
        }
    }
}

/// The error with which this user may not write here, if there is one.
fn refused(root: &Root<'_>) -> Option<io::Error> {
    let name = format!("{PREFIX}{}.write", unique());
    let tried = root.disk.open(&name, Open::CreateNew(root.open_mode()));
    drop(root.disk.unlink(&name));
    let is_refusal = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
    };
    tried.err().filter(is_refusal)
}

/// Checks what a reader's machine needs.
fn only_read(root: &Root<'_>, error: &io::Error) -> Vec<Check> {
    let skipped = format!(
        "skipped, because this user may not write here ({error}): right for a reader. The user that \
         lands or seals must own the root and everything below it"
    );
    let names = root.disk.list("").map(|entries| format!("{} names in the root", entries.len()));
    let said = |error| format!("{error}: is the root mounted, and may this user read there?");
    vec![Check::new("writing", Ok(skipped)), Check::new("reading", names.map_err(said))]
}

/// Checks the file system.
fn of_root(root: &Root<'_>) -> Vec<Check> {
    // Not the process id: concurrent sandboxes may all be process 1.
    let own = unique();
    let names = TRIED.map(|end| format!("{PREFIX}{own}.{end}"));
    let [new, link, moved] = names.each_ref().map(String::as_str);
    let disk = root.disk;
    remove_left(root);
    let checks = vec![
        Check::new("exclusive create", exclusive(root, new)),
        Check::new("write, sync and clock", clock(root, new)),
        Check::new("lock", lock(disk, new)),
        Check::new("hard link", linked(disk, new, link)),
        Check::new("rename", renamed(root, new, link, moved)),
        Check::new("free space", free(disk)),
    ];
    names.iter().for_each(|name| drop(disk.unlink(name)));
    checks
}

const MOUNT: &str = "mount the file system over NFS 4.1, as EFS does, not over another protocol";

#[allow(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn said(error: io::Error) -> String {
    format!("{error}: is the root mounted, and may this user write there?")
}

fn exclusive(root: &Root<'_>, name: &str) -> Result<String, String> {
    let create = || root.disk.open(name, Open::CreateNew(root.open_mode())).map(drop);
    create().map_err(said)?;
    match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok("the second create fails".to_owned())
        }
        Err(error) => Err(said(error)),
        Ok(()) => {
            Err(format!("a file was created twice: two landings could write one event; {MOUNT}"))
        }
    }
}

fn clock(root: &Root<'_>, name: &str) -> Result<String, String> {
    let file = root.disk.open(name, Open::ReadWrite).map_err(said)?;
    file.write_at(b"selftest", 0).and_then(|()| file.sync()).map_err(said)?;
    let theirs = file.inode().map_err(said)?.modified;
    let skew = Clock::System.now() - theirs;
    root.compare_clocks(theirs).map_err(|error| error.to_string())?;
    Ok(format!("the clocks differ by {skew} ms"))
}

fn lock(disk: &dyn Disk, name: &str) -> Result<String, String> {
    let open = || disk.open(name, Open::ReadWrite).map_err(said);
    let (first, second) = (open()?, open()?);
    let taken = first.try_lock().map_err(said)?;
    let twice = second.try_lock().map_err(said)?;
    drop(first);
    let after = second.try_lock().map_err(said)?;
    match (taken, twice, after) {
        (true, false, true) => Ok("held by one handle, then by the next".to_owned()),
        _ => Err(format!("first {taken}, second too {twice}, second afterwards {after}; {MOUNT}")),
    }
}

fn linked(disk: &dyn Disk, name: &str, second: &str) -> Result<String, String> {
    disk.link(name, second).map_err(said)?;
    match disk.link(name, second) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok("a link does not replace a file".to_owned())
        }
        Err(error) => Err(said(error)),
        Ok(()) => Err(format!("a link replaced a file, so a sealed one could be lost; {MOUNT}")),
    }
}

fn renamed(root: &Root<'_>, new: &str, link: &str, moved: &str) -> Result<String, String> {
    let disk = root.disk;
    disk.unlink(link).map_err(said)?;
    disk.open(moved, Open::CreateNew(root.open_mode())).map_err(said)?;
    disk.rename(new, moved).map_err(said)?;
    disk.sync_dir("").map_err(said)?;
    let (mut text, file) = ([0; 8], disk.open(moved, Open::Read).map_err(said)?);
    file.read_at(&mut text, 0).map_err(said)?;
    match &text == b"selftest" {
        true => Ok("a rename replaces a file".to_owned()),
        false => Err(format!("another file was found under the new name; {MOUNT}")),
    }
}

fn free(disk: &dyn Disk) -> Result<String, String> {
    match disk.free().map_err(said)? {
        Some(bytes) if bytes < FREE_MIN => {
            Err(format!("{bytes} bytes are free, landing will soon stop; free some space"))
        }
        Some(bytes) => Ok(format!("{} GiB are free", bytes >> 30)),
        None => Ok("the file system does not report it".to_owned()),
    }
}

/// Checks that a lock holds between machines: of two concurrent executions, the second finds it
/// taken.
fn lock_held(root: &Root<'_>, hold_s: u64) -> Result<String, String> {
    let file = root.disk.open(LOCK, Open::Create(root.open_mode())).map_err(said)?;
    if !file.try_lock().map_err(said)? {
        return Ok("held by another execution: locks hold between executions".to_owned());
    }
    let until = root.deadline.saturating_duration_since(Instant::now());
    std::thread::sleep(Duration::from_secs(hold_s).min(until));
    drop(root.disk.unlink(LOCK));
    Ok(format!("taken for {hold_s} s: another execution in that time must find it held"))
}

/// Checks that the bucket's name resolves, that network and policies allow reads, and that a
/// missing object differs from a denied one.
pub fn of_prefix(stores: &Buckets<'_>, prefix: &str) -> Check {
    let check = format!("a missing key of {prefix}");
    let parts = prefix.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    let Some((bucket, prefix)) = parts else {
        return Check::new(check, Err("write it as s3://BUCKET/PREFIX/".to_owned()));
    };
    let result =
        stores(bucket).and_then(|store| store.open(&format!("{prefix}{MISSING}")).map(drop));
    Check::new(
        check,
        match result {
            Err(StoreError::NotFound(_)) => Ok("reported as missing".to_owned()),
            Ok(_) => Ok("exists".to_owned()),
            Err(error @ StoreError::Denied { .. }) => Err(format!(
                "{error}; allow s3:GetObject on the prefix and s3:ListBucket on the bucket, or every \
             missing object counts as denied"
            )),
            Err(error) => Err(format!(
                "{error}; does the name resolve, and does the subnet's route table have an S3 endpoint?"
            )),
        },
    )
}
