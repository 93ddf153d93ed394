//! Formats stay readable: what an earlier build left is read, verified, sealed and added to.
//!
//! `tests/cases/earlier/make.sh NAME` makes an archive with the build of its day: a root with an
//! open, a sealed, a closed and two compressed days, its objects (rows of version 2, the same in
//! version 1), and what that build said of them. One is kept for each release.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::given;

struct Left {
    folder: TempDir,
}

/// What every earlier release left.
fn releases() -> Vec<(String, Left)> {
    let archives = std::fs::read_dir(given::folder().join("tests/cases/earlier")).unwrap();
    let archives = archives.map(|entry| entry.unwrap().path());
    let archives: Vec<PathBuf> =
        archives.filter(|path| path.to_string_lossy().ends_with(".tar.gz")).collect();
    assert!(!archives.is_empty());
    let left = |archive: PathBuf| {
        let folder = tempfile::tempdir().unwrap();
        let mut tar = Command::new("tar");
        // With the modes of its files, whatever this process's mask is.
        tar.arg("-xpzf").arg(&archive).arg("-C").arg(folder.path());
        assert!(tar.status().unwrap().success(), "{}", archive.display());
        (archive.display().to_string(), Left { folder })
    };
    archives.into_iter().map(left).collect()
}

impl Left {
    fn hiwake(&self, args: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hiwake"));
        command.current_dir(self.folder.path()).args(args.split_whitespace());
        let output = command.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{args}\n{said}");
        said
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("said").join(name)).unwrap()
    }

    fn status(&self, text: &str) -> Vec<(String, String, String, u64)> {
        let days: Vec<Value> = serde_json::from_str(text).unwrap();
        let text = |day: &Value, key: &str| day[key].as_str().unwrap().to_owned();
        let row = |day: &Value| {
            let lines = day["lines"].as_u64().unwrap();
            (text(day, "file"), text(day, "day"), text(day, "state"), lines)
        };
        days.iter().map(row).collect()
    }

    /// The lines of all day files, in order of their text.
    fn lines(&self, root: &str) -> Vec<String> {
        let status = self.hiwake(&format!("status --root {root} --config compressed.toml --json"));
        let mut lines = Vec::new();
        for (file, day, ..) in self.status(&status) {
            let args =
                format!("cat --root {root} --file {file} --day {day} --config compressed.toml");
            lines.extend(self.hiwake(&args).lines().map(str::to_owned));
        }
        lines.sort();
        lines
    }
}

#[test]
fn what_an_earlier_release_left_is_read_and_nothing_of_it_is_wrong() {
    for (name, left) in releases() {
        let verified = left.hiwake("verify --root root --config compressed.toml");
        assert!(verified.ends_with(": 0 wrong\n"), "{name}: {verified}");
        let status = left.hiwake("status --root root --config compressed.toml --json");
        assert_eq!(left.status(&status), left.status(&left.said("status.json")), "{name}");
        let frames = "cat --root root --file %2Fvar%2Flog%2Fframes --day 2022-04-18 --config compressed.toml";
        assert_eq!(left.hiwake(frames), left.said("frames"), "{name}");
    }
}

#[test]
fn what_an_earlier_release_landed_is_not_landed_again_from_objects_of_either_version() {
    for (name, left) in releases() {
        let before = left.lines("root");
        for objects in ["objects/landing", "objects/version-1"] {
            let args = format!(
                "land {objects} --root root --config hiwake.toml --now 2022-04-18T14:20:00+09:00"
            );
            let said = land(&left, &args);
            assert!(said.contains(" 0 new lines"), "{name}: {said}");
        }
        assert_eq!(left.lines("root"), before, "{name}");
    }
}

#[test]
fn objects_of_either_version_are_the_same_events() {
    for (name, left) in releases() {
        let now = "--config hiwake.toml --now 2022-04-18T14:20:00+09:00";
        for (root, objects) in [("two", "objects/landing"), ("one", "objects/version-1")] {
            left.hiwake(&format!("land {objects} --root {root} {now}"));
        }
        assert_eq!(left.lines("one"), left.lines("two"), "{name}");
        assert!(!left.lines("one").is_empty());
        let said = left.hiwake(&format!("land objects/landing --root one {now}"));
        assert!(said.contains(" 0 new lines"), "{name}: {said}");
    }
}

/// An upgrade in the middle of a day: its journal is continued, and the day is sealed.
#[test]
fn an_open_day_of_an_earlier_release_takes_lines_and_is_sealed() {
    for (name, left) in releases() {
        let envelope = r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/var/log/GROUP","logStream":"new","subscriptionFilters":[],"logEvents":[{"id":"new","timestamp":1650259800000,"message":"new"}]}"#;
        for (group, config) in [("plain", "hiwake.toml"), ("frames", "compressed.toml")] {
            let (name, text) = (format!("{group}.json"), envelope.replace("GROUP", group));
            given::put(left.folder.path(), &name, text.as_bytes());
            let args = format!(
                "land {group}.json --root root --config {config} --now 2022-04-18T14:40:00+09:00"
            );
            assert!(left.hiwake(&args).contains(" 1 new line "), "{name}");
        }
        let sealed = left
            .hiwake("seal --root root --config compressed.toml --now 2022-04-19T02:00:00+09:00");
        assert_eq!(sealed.matches("sealed ").count(), 2, "{name}: {sealed}");
        let verified = left.hiwake("verify --root root --config compressed.toml");
        assert!(verified.ends_with(": 0 wrong\n"), "{name}: {verified}");
        let new = left.lines("root").iter().filter(|line| line.ends_with(",new")).count();
        assert_eq!(new, 2, "{name}");
        assert!(left.folder.path().join("root/%2Fvar%2Flog%2Fframes/2022-04-18.csv.zst").is_file());
    }
}

/// Rows of the closed day are put into quarantine, and the command says so with its exit code.
fn land(left: &Left, args: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hiwake"));
    let output =
        command.current_dir(left.folder.path()).args(args.split_whitespace()).output().unwrap();
    assert!(Path::new(&left.folder.path().join("root")).is_dir());
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}
