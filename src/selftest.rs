//! Whether a deployment has what landing and sealing rely on: one list of checks.
//!
//! There are two ways to run it: `{"hiwake":"selftest"}` as the land function's event, and
//! `hiwake doctor`. Nothing that was there is changed, and nothing is left behind.

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
/// What is tried on, each with the end of a name of its own.
const TRIED: [&str; 3] = ["new", "link", "moved"];
/// The end of a key that no object has.
const MISSING: &str = "hiwake-selftest-missing";
/// Landing needs some room for its journals before it is out of it.
const FREE_MIN: u64 = 1 << 30;

/// What a self-test is asked for besides: the rest of its event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// Buckets and prefixes that land reads, e.g. `s3://bucket/landing/`.
    pub prefixes: Vec<String>,
    /// For how many seconds the lock is held, so that a second execution can find it taken.
    pub hold_s: u64,
    /// What makes the event one: `selftest`.
    pub hiwake: Option<String>,
    /// Whether a machine that only reads is right, too: no function is one.
    #[serde(skip)]
    pub may_only_read: bool,
}

/// One check, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub check: String,
    /// Whether it is as it has to be.
    pub ok: bool,
    /// What was found; where it is wrong, also what to do.
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

/// All checks of a root and of buckets.
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

/// What a trial file's name begins with.
const PREFIX: &str = ".hiwake.selftest.";
/// No self-test takes so long.
const LEFT_MS: i64 = 3_600_000;

/// Removes what self-tests that were killed have left.
fn remove_left(root: &Root<'_>) {
    let names = root.disk.list("").unwrap_or_default().into_iter().map(|entry| entry.name);
    for name in names.filter(|name| name.starts_with(PREFIX)) {
        let modified = root.disk.open(&name, Open::Read).and_then(|file| file.inode());
        if modified.is_ok_and(|inode| inode.modified < root.clock.now() - LEFT_MS) {
            drop(root.disk.unlink(&name));
        }
    }
}

/// Why this user may not write here, if it may not.
fn refused(root: &Root<'_>) -> Option<io::Error> {
    let name = format!("{PREFIX}{}.write", unique());
    let tried = root.disk.open(&name, Open::CreateNew(root.open_mode()));
    drop(root.disk.unlink(&name));
    let is_refusal = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
    };
    tried.err().filter(is_refusal)
}

/// What a reader's machine needs. Where land or seal runs, the first line is what is wrong.
fn only_read(root: &Root<'_>, error: &io::Error) -> Vec<Check> {
    let skipped = format!(
        "skipped, because this user may not write here ({error}): right for a reader. Who lands or \
         seals has to own the root and everything below it"
    );
    let names = root.disk.list("").map(|entries| format!("{} names in the root", entries.len()));
    let said = |error| format!("{error}: is the root mounted, and may this user read there?");
    vec![Check::new("writing", Ok(skipped)), Check::new("reading", names.map_err(said))]
}

/// What the file system has to do.
fn of_root(root: &Root<'_>) -> Vec<Check> {
    // Sandboxes that test themselves at once may all be process 1.
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

const MOUNT: &str = "mount the file system by NFS 4.1 (EFS does it), not through another protocol";

#[allow(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn said(error: io::Error) -> String {
    format!("{error}: is the root mounted, and may this user write there?")
}

fn exclusive(root: &Root<'_>, name: &str) -> Result<String, String> {
    let create = || root.disk.open(name, Open::CreateNew(root.open_mode())).map(drop);
    create().map_err(said)?;
    match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok("one wins".to_owned()),
        Err(error) => Err(said(error)),
        Ok(()) => Err(format!("a file was created twice: two could land one event; {MOUNT}")),
    }
}

fn clock(root: &Root<'_>, name: &str) -> Result<String, String> {
    let file = root.disk.open(name, Open::ReadWrite).map_err(said)?;
    file.write_at(b"selftest", 0).and_then(|()| file.sync()).map_err(said)?;
    let theirs = file.inode().map_err(said)?.modified;
    let skew = Clock::System.now() - theirs;
    root.compare_clocks(theirs).map_err(|error| format!("{error}; set the machine's clock"))?;
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
        (true, false, true) => Ok("one holds it, the next one gets it".to_owned()),
        _ => Err(format!("taken {taken}, by a second one too {twice}, after it {after}; {MOUNT}")),
    }
}

fn linked(disk: &dyn Disk, name: &str, second: &str) -> Result<String, String> {
    disk.link(name, second).map_err(said)?;
    match disk.link(name, second) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok("it does not replace".to_owned())
        }
        Err(error) => Err(said(error)),
        Ok(()) => Err(format!("a link replaced a file: a sealed one could be lost; {MOUNT}")),
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
        true => Ok("it replaces".to_owned()),
        false => Err(format!("another file was found under the new name; {MOUNT}")),
    }
}

fn free(disk: &dyn Disk) -> Result<String, String> {
    match disk.free().map_err(said)? {
        Some(bytes) if bytes < FREE_MIN => {
            Err(format!("{bytes} bytes are left: landing will stop; make room"))
        }
        Some(bytes) => Ok(format!("{} GiB", bytes >> 30)),
        None => Ok("the file system does not say".to_owned()),
    }
}

/// Two executions at once tell whether a lock holds between machines: the second finds it taken.
fn lock_held(root: &Root<'_>, hold_s: u64) -> Result<String, String> {
    let file = root.disk.open(LOCK, Open::Create(root.open_mode())).map_err(said)?;
    if !file.try_lock().map_err(said)? {
        return Ok("held by another execution: locks hold between executions".to_owned());
    }
    let until = root.deadline.saturating_duration_since(Instant::now());
    std::thread::sleep(Duration::from_secs(hold_s).min(until));
    drop(root.disk.unlink(LOCK));
    Ok(format!("taken for {hold_s} s: another execution meanwhile has to find it held"))
}

/// The name is resolved, the network and the policies let land read, and a missing object is told
/// from a denied one.
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
            Err(StoreError::NotFound(_)) => Ok("is said to be missing".to_owned()),
            Ok(_) => Ok("is there".to_owned()),
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
