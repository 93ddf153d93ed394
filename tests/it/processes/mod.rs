//! Real processes over one root: killed at any moment, refused by the system at any call, met by
//! damage.

mod injected;
mod killed;
mod rebuilt;
mod refused;
mod shown;
mod truth;
mod verified;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::given::{self, DAY, JOURNAL, LATE, MIDNIGHT, OPEN, SEALED, SEEN};

pub const IN_THE_DAY: &str = "2022-04-18T23:00:00+09:00";
pub const OVER: &str = "2022-04-19T03:00:00+09:00";

/// A root, a folder of objects and the real binary.
pub struct Yard {
    folder: tempfile::TempDir,
}

impl Yard {
    pub fn new() -> Yard {
        let yard = Yard { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(yard.path("in")).unwrap();
        yard
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// A configuration of the test's own.
    pub fn configuration(&self, name: &str, toml: &str) -> PathBuf {
        let path = self.path(name);
        put(&path, given::with_open(toml).as_bytes());
        path
    }

    /// An object with the rows of these numbers: row n is of the n-th millisecond of the day.
    pub fn put(&self, key: &str, numbers: impl IntoIterator<Item = i64>) -> PathBuf {
        let text: String = numbers.into_iter().map(row).collect();
        let path = self.path("in").join(key);
        put(&path, text.as_bytes());
        path
    }

    pub fn hiwake(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hiwake"));
        command.args(arguments).arg("--root").arg(self.root());
        quiet(&mut command);
        command
    }

    pub fn land(&self) -> Command {
        let mut command = self.hiwake(&["land", "--now", IN_THE_DAY]);
        command.arg(self.path("in"));
        command
    }

    pub fn seal(&self) -> Command {
        self.hiwake(&["seal", "--now", OVER])
    }

    /// What readers see: every file with its content, but for the folder `.hiwake`.
    pub fn published(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.tree();
        files.retain(|name, _| !name.starts_with(".hiwake/"));
        files
    }

    pub fn tree(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.root(), &self.root(), &mut files);
        files
    }

    pub fn text(&self, name: &str) -> String {
        let bytes = fs::read(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        given::text_of(name, &bytes)
    }
}

pub fn quiet(command: &mut Command) -> &mut Command {
    command.current_dir(given::working_folder()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    // A process that is at work may remove what was listed.
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            collect(root, &path, files);
        } else if let Ok(bytes) = fs::read(&path) {
            files.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), bytes);
        }
    }
}

pub fn row(n: i64) -> String {
    let row = serde_json::json!({
        "file": "messages", "kind": "csv", "day": "2022-04-18", "timestamp": MIDNIGHT + n,
        "stream": "1:g:s", "id": n.to_string(), "line": format!("line {n}"),
    });
    format!("{row}\n")
}

/// The model: each of the first `count` rows in one line, in the order of their times.
pub fn lines(count: i64) -> String {
    (0..count).map(|n| format!("line {n}\n")).collect()
}

pub fn put(path: &Path, bytes: &[u8]) {
    std::io::Write::write_all(&mut fs::File::create(path).unwrap(), bytes).unwrap();
}

pub fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it says on stderr; it must end with exit code 1.
pub fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{command:?}: {output:?}");
    stderr(&output)
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Numbers that are the same on every run.
pub struct Seeded(pub u64);

impl Seeded {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
