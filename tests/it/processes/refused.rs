//! A full disk, a root that is read-only or somebody else's, and things that are in the way: each
//! is named, with what to do about it, and once it is repaired, all rows land once.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;

use super::*;

const ROWS: i64 = 20;

/// Names that land and seal use, from the top down.
const NAMES: [&str; 8] = [
    ".hiwake",
    ".hiwake/days",
    ".hiwake/days/2022-04-18/messages.csv",
    JOURNAL,
    SEEN,
    "messages",
    ".hiwake/due",
    ".hiwake/due/seal/2022-04-18/messages/2022-04-18.csv.1",
];
const NAMES_OF_SEAL: [&str; 4] = [
    SEALED,
    "messages/2022-04-18.csv.sha256",
    ".hiwake/due/close",
    ".hiwake/due/close/2022-04-18/messages/2022-04-18.csv",
];

/// What is put in the way of a name.
#[derive(Debug, Clone, Copy)]
enum Obstacle {
    LinkToFolder,
    LinkToFile,
    LinkToNothing,
    Folder,
    File,
    SecondName,
    Fifo,
}

const OBSTACLES: [Obstacle; 7] = [
    Obstacle::LinkToFolder,
    Obstacle::LinkToFile,
    Obstacle::LinkToNothing,
    Obstacle::Folder,
    Obstacle::File,
    Obstacle::SecondName,
    Obstacle::Fifo,
];

impl Obstacle {
    /// Puts it there; `elsewhere` is what a link leads to.
    fn put(self, yard: &Yard, name: &str) {
        let (path, elsewhere) = (yard.at(name), yard.path("elsewhere"));
        fs::create_dir_all(elsewhere.join("folder")).unwrap();
        put(&elsewhere.join("file"), b"not ours\n");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match self {
            Obstacle::LinkToFolder => symlink(elsewhere.join("folder"), path).unwrap(),
            Obstacle::LinkToFile => symlink(elsewhere.join("file"), path).unwrap(),
            Obstacle::LinkToNothing => symlink(elsewhere.join("nothing"), path).unwrap(),
            Obstacle::Folder => fs::create_dir(path).unwrap(),
            Obstacle::File => put(&path, b"not ours\n"),
            Obstacle::SecondName => {
                ok(quiet(Command::new("ln").arg(elsewhere.join("file")).arg(path)));
            }
            Obstacle::Fifo => {
                ok(quiet(Command::new("mkfifo").arg(path)));
            }
        }
    }

    /// Whether the name is as good with it as without.
    fn is_harmless(self, name: &str) -> bool {
        let folder = !name.contains("2022-04-18.csv") && ![JOURNAL, SEEN].contains(&name);
        let hint = name.contains("/due/seal/") || name.contains("/due/close/");
        match self {
            Obstacle::Folder => folder,
            // A journal or an open file that nothing is known of is no reason not to begin; its
            // bytes are cut.
            Obstacle::File => hint,
            _ => false,
        }
    }

    fn take_away(self, yard: &Yard, name: &str) {
        let path = yard.at(name);
        match self {
            Obstacle::Folder => fs::remove_dir(path).unwrap(),
            _ => fs::remove_file(path).unwrap(),
        }
    }
}

fn untouched(yard: &Yard, what: &str) {
    let elsewhere = yard.path("elsewhere");
    assert_eq!(fs::read(elsewhere.join("file")).unwrap(), b"not ours\n", "{what}");
    assert_eq!(fs::read_dir(elsewhere.join("folder")).unwrap().count(), 0, "{what}");
    assert!(!elsewhere.join("nothing").exists(), "{what}");
}

#[test]
fn whatever_is_in_the_way_of_a_landing_is_named_and_not_followed() {
    let mut tried = 0;
    for name in NAMES.into_iter().chain([*OPEN]) {
        for obstacle in OBSTACLES {
            let what = format!("{obstacle:?} at {name}");
            let yard = Yard::new();
            yard.put("a", 0..ROWS);
            obstacle.put(&yard, name);
            let output = yard.land().output().unwrap();
            untouched(&yard, &what);
            tried += 1;
            if obstacle.is_harmless(name) {
                assert!(output.status.success(), "{what}: {output:?}");
                assert_eq!(yard.text(*OPEN), lines(ROWS), "{what}");
                continue;
            }
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{what}: {said}");
            let first = name.split('/').next().unwrap();
            assert!(said.contains(first), "{what}: {said}");
            let reasons = ["occupies this path", "damaged", "second name"];
            assert!(reasons.iter().any(|reason| said.contains(reason)), "{what}: {said}");
            obstacle.take_away(&yard, name);
            ok(&mut yard.land());
            assert_eq!(yard.text(*OPEN), lines(ROWS), "{what}");
        }
    }
    println!("in the way of a landing: {tried} tried");
}

#[test]
fn whatever_is_in_the_way_of_a_seal_is_named_and_not_replaced() {
    let mut tried = 0;
    for name in NAMES_OF_SEAL {
        for obstacle in OBSTACLES {
            let what = format!("{obstacle:?} at {name}");
            let yard = Yard::new();
            for half in [1, 0] {
                yard.put("a", half * ROWS / 2..(half + 1) * ROWS / 2);
                ok(&mut yard.land());
            }
            obstacle.put(&yard, name);
            let output = yard.seal().output().unwrap();
            untouched(&yard, &what);
            tried += 1;
            if !obstacle.is_harmless(name) {
                let said = stderr(&output);
                assert_eq!(output.status.code(), Some(1), "{what}: {said}");
                assert!(
                    said.contains("occupies this path") || said.contains("second name"),
                    "{what}: {said}"
                );
                assert!(said.contains(name), "{what}: {said}");
                obstacle.take_away(&yard, name);
                ok(&mut yard.seal());
            }
            assert_eq!(yard.text(SEALED), lines(ROWS), "{what}");
            let checked = Command::new("sha256sum")
                .args(["-c", "--quiet", "2022-04-18.csv.sha256"])
                .current_dir(yard.at("messages"))
                .status();
            assert!(checked.unwrap().success(), "{what}");
        }
    }
    println!("in the way of a seal: {tried} tried");
}

/// A snapshot of hard links, e.g. by `cp -al`, was written to by the next landing.
#[test]
fn a_snapshot_that_shares_its_files_with_the_root_is_not_changed() {
    let yard = Yard::new();
    yard.put("a", 0..ROWS);
    ok(&mut yard.land());
    ok(quiet(Command::new("cp").arg("-al").arg(yard.root()).arg(yard.path("snapshot"))));
    yard.put("b", ROWS..2 * ROWS);
    let before = given::tree(&yard.path("snapshot"));
    let said = fails(&mut yard.land());
    assert!(said.contains(".hiwake/") && said.contains("second name"), "{said}");
    // What the error says to do.
    ok(quiet(Command::new("cp").arg("-a").arg(yard.root()).arg(yard.path("copy"))));
    fs::remove_dir_all(yard.root()).unwrap();
    ok(quiet(Command::new("mv").arg(yard.path("copy")).arg(yard.root())));
    ok(&mut yard.land());
    assert_eq!(yard.text(*OPEN), lines(2 * ROWS));
    assert!(given::tree(&yard.path("snapshot")) == before);
}

/// The permissions of all files and folders of the root.
fn modes(folder: &Path, under: &str) -> BTreeMap<String, u32> {
    let mut modes = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{under}/{}", path.file_name().unwrap().to_str().unwrap());
        modes.insert(name.clone(), path.metadata().unwrap().permissions().mode() & 0o7777);
        if path.is_dir() {
            modes.extend(self::modes(&path, &name));
        }
    }
    modes
}

/// With umask 0777 hiwake could not open its own files again, nor enter its own root.
#[test]
fn permissions_are_as_configured_whatever_the_umask() {
    let landed = |umask: &str| {
        let yard = Yard::new();
        let everybody = fs::Permissions::from_mode(0o777);
        fs::set_permissions(yard.path(""), everybody).unwrap();
        let under = |command: Command| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("umask {umask} && exec \"$@\""), "sh"]);
            shell.arg(command.get_program()).args(command.get_args());
            quiet(&mut shell);
            if is_root() { as_nobody(shell) } else { shell }
        };
        yard.put("a", 0..ROWS);
        ok(&mut under(yard.land()));
        yard.put("b", ROWS..2 * ROWS);
        ok(&mut under(yard.land()));
        let open = modes(&yard.root(), "");
        ok(&mut under(yard.seal()));
        assert_eq!(yard.text(SEALED), lines(2 * ROWS));
        assert!(ok(&mut under(yard.hiwake(&["verify"]))).contains("0 wrong"));
        (open, modes(&yard.root(), ""))
    };
    let usual = landed("0000");
    assert_eq!(usual.0[&format!("/{}", *OPEN)], 0o640);
    for umask in ["0777", "0077", "0222", "0022"] {
        assert_eq!(landed(umask), usual, "{umask}");
    }
}

/// As `nobody`, who owns nothing: root may write anywhere.
fn as_nobody(mut command: Command) -> Command {
    command.uid(65534).gid(65534);
    command
}

#[test]
fn somebody_elses_root_is_named_with_the_remedy() {
    if rustix::process::getuid().as_raw() != 0 {
        println!("not root: this user's own permissions are taken away instead");
    }
    let yard = Yard::new();
    yard.put("a", 0..ROWS);
    ok(&mut yard.land());
    yard.put("b", ROWS..2 * ROWS);
    // Everything on the way may be read.
    for path in [yard.path(""), yard.path("in"), yard.path("in/a"), yard.path("in/b")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (root, before) = (yard.root(), yard.tree());
    for mode in [0o755, 0o700] {
        fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
        for command in [yard.land(), yard.seal(), yard.hiwake(&["status"])] {
            let command = if is_root() { as_nobody(command) } else { command };
            let output = { command }.output().unwrap();
            let said = stderr(&output);
            if is_root() {
                assert_eq!(output.status.code(), Some(1), "{mode:o}: {output:?}");
                assert!(said.contains("ermission denied"), "{mode:o}: {said}");
            }
        }
        if is_root() {
            assert_eq!(yard.tree(), before);
        }
    }
    ok(&mut yard.land());
    assert_eq!(yard.text(*OPEN), lines(2 * ROWS));
}

fn is_root() -> bool {
    rustix::process::getuid().as_raw() == 0
}

/// A file system of its own, unmounted when it is dropped.
struct Mount(PathBuf);

impl Mount {
    /// `None` where nothing may be mounted.
    fn new(at: &Path, options: &str) -> Option<Mount> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).stderr(Stdio::null());
        mount.status().unwrap().success().then(|| Mount(at.to_owned()))
    }

    fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        ok(mount.args(["-o", &format!("remount,{options}")]).arg(&self.0));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().unwrap();
    }
}

#[test]
fn a_full_disk_is_a_retry_that_loses_nothing_at_any_size() {
    let yard = Yard::new();
    let count = 3000;
    yard.put("a", 0..count);
    let Some(_mount) = Mount::new(&yard.root(), "size=64k") else {
        return full_by_limit();
    };
    let mut refused = 0;
    for size in (16..).step_by(8) {
        Mount(yard.root()).keep().remount(&format!("size={}k", size.max(64)));
        let filler = yard.at("filler");
        // What is left is `size` KiB at most.
        put(&filler, &vec![0; 64_usize.saturating_sub(size) * 1024]);
        let output = yard.land().output().unwrap();
        if output.status.success() {
            break;
        }
        let said = stderr(&output);
        assert!(
            said.contains("No space left") && said.contains("free some space"),
            "{size}: {said}"
        );
        assert!(said.contains("messages"), "{size}: {said}");
        fs::remove_file(filler).unwrap();
        refused += 1;
    }
    assert_eq!(yard.text(*OPEN), lines(count));
    println!("full disk: refused {refused} times, then landed");
    assert!(refused >= 4, "{refused}");
}

/// A round that could write nothing removed nothing either, so that the file system stayed full.
#[test]
fn a_full_file_system_still_gets_its_retention() {
    for closed in [false, true] {
        let yard = Yard::new();
        let Some(_mount) = Mount::new(&yard.root(), "size=1m") else { return };
        yard.configuration(
            "config.toml",
            "[[source]]\nlog_groups = [\"g\"]\n[seal]\njournal_days = 1\n[retention]\ndays = 5\n",
        );
        let seal = |now: &str| {
            let mut command = yard.hiwake(&["seal", "--now", now]);
            command.arg("--config").arg(yard.path("config.toml"));
            command
        };
        yard.put("a", 0..ROWS);
        ok(&mut yard.land());
        ok(&mut yard.seal());
        if closed {
            ok(&mut seal("2022-04-21T03:00:00+09:00"));
        }
        let mut filler = fs::File::create(yard.at("filler")).unwrap();
        while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
        let output = seal("2022-04-25T03:00:00+09:00").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("removed messages/2022-04-18.csv"), "{closed}: {said}");
        assert!(!yard.at(SEALED).exists(), "{closed}");
    }
}

impl Mount {
    /// Leaves it mounted.
    fn keep(self) -> std::mem::ManuallyDrop<Mount> {
        std::mem::ManuallyDrop::new(self)
    }
}

/// Where nothing can be mounted: no file may grow beyond a limit.
fn full_by_limit() {
    let yard = Yard::new();
    let count = 3000;
    yard.put("a", 0..count);
    for limit in (4..40).step_by(4) {
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--fsize={}", limit * 1024));
        let land = yard.land();
        limited.arg(land.get_program()).args(land.get_args());
        quiet(&mut limited);
        // SIGXFSZ kills it: as good as any other death.
        assert!(!limited.output().unwrap().status.success(), "{limit}");
    }
    ok(&mut yard.land());
    assert_eq!(yard.text(*OPEN), lines(count));
}

#[test]
fn a_read_only_root_is_named_with_the_remedy_and_can_be_looked_at() {
    let yard = Yard::new();
    let Some(mount) = Mount::new(&yard.root(), "size=4m") else {
        println!("nothing can be mounted here: strace's faults stand in for a read-only root");
        return;
    };
    yard.put("a", 0..ROWS);
    ok(&mut yard.land());
    mount.remount("ro");
    yard.put("b", ROWS..2 * ROWS);
    for mut command in [yard.land(), yard.seal()] {
        let said = fails(&mut command);
        assert!(
            said.contains("Read-only file system") && said.contains("mount it writable"),
            "{said}"
        );
    }
    assert!(ok(&mut yard.hiwake(&["status"])).contains("messages"));
    assert!(ok(&mut yard.hiwake(&["verify"])).contains("0 wrong"));
    mount.remount("rw");
    ok(&mut yard.land());
    assert_eq!(yard.text(*OPEN), lines(2 * ROWS));
}
