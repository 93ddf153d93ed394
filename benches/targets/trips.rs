//! Round trips: the file-system calls of one commit into a day file that is there, as strace sees
//! them.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use hiwake::land::day_file::batch::Batch;
use hiwake::land::day_file::commit;
use hiwake::row::Row;

use crate::given::DAY_STARTS;
use crate::place;
use crate::target::{Target, line};

/// What the steps of a commit need (docs/protocol.md, "Commit").
const LEAST: usize = 25;
const BEGIN: &str = "/hiwake-begin";

pub fn measure() {
    let folder = place::folder();
    let root = folder.path().join("root");
    let text = root.to_str().unwrap();
    // The first commit makes the names.
    land(&root, &[0]);
    let most = || Target::AtMost((LEAST + 2) as f64);
    for (name, batches, most) in [
        ("of new rows", "100", most()),
        ("of rows that are known", "100", Target::None),
        ("of new rows, by a process that knows the journal", "100 200", most()),
    ] {
        let log = folder.path().join("strace");
        let status = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=file,desc,ftruncate,fsync,flock", "-o"])
            .arg(&log)
            .arg(std::env::current_exe().unwrap())
            .args(["--child", "commit", text, batches])
            .status()
            .expect("strace is needed: apt-get install strace");
        assert!(status.success());
        let log = std::fs::read_to_string(log).unwrap();
        let trips = trips(&log);
        println!("a commit {name}: {}", trips.join(", "));
        line(&format!("calls of a commit {name}"), trips.len() as f64, "", most);
    }
}

/// The calls that an NFS client asks its server for. It does not for folders that a path only goes
/// through or for closing them, nor for what a file is that was opened just now.
fn trips(log: &str) -> Vec<&str> {
    let mut lines = log.lines().skip_while(|line| !line.contains(BEGIN)).skip(1);
    let mut folders = HashSet::new();
    let (mut trips, mut opened) = (Vec::new(), false);
    for call in lines.by_ref().take_while(|line| !line.contains(BEGIN)) {
        let (name, rest) = call.split_once(' ').unwrap().1.trim().split_once('(').unwrap();
        let fd = rest.split([',', ')']).next().unwrap();
        let answer = call.rsplit("= ").next().unwrap();
        let trip = match name {
            "openat" if rest.contains("O_PATH") => {
                folders.insert(answer);
                false
            }
            "openat" => {
                let folder = rest.contains("O_DIRECTORY");
                if folder {
                    folders.insert(answer)
                } else {
                    folders.remove(answer)
                };
                true
            }
            "close" => !folders.contains(fd),
            "statx" => !opened,
            // Memory, not a file's.
            "mmap" => false,
            _ => true,
        };
        opened = name == "openat" && trip;
        if trip {
            trips.push(name);
        }
    }
    trips
}

/// Says where the last commit begins and ends, so that only its calls are counted.
pub fn child(root: &str, batches: &str) {
    let batches: Vec<i64> = batches.split(' ').map(|batch| batch.parse().unwrap()).collect();
    land(Path::new(root), &batches);
}

/// Lands batches of ten rows that begin with these numbers.
fn land(root: &Path, batches: &[i64]) {
    place::with_lander(root, place::LANDED, |lander| {
        let (last, before) = batches.split_last().unwrap();
        let commit = |first: i64| {
            assert!(
                commit::commit(lander, &place::day_file(), &batch(first), &[], &|| Ok(())).is_ok()
            );
        };
        before.iter().copied().for_each(commit);
        assert!(std::fs::metadata(BEGIN).is_err());
        commit(*last);
        assert!(std::fs::metadata(BEGIN).is_err());
    });
}

fn batch(first: i64) -> Batch {
    let mut batch = Batch::default();
    let day_file = place::day_file();
    for n in first..first + 10 {
        let row = Row {
            file: day_file.file.as_str().into(),
            kind: day_file.kind,
            day: day_file.day,
            timestamp: DAY_STARTS + n,
            stream: "123456789012:/var/log/messages:i-0abc".into(),
            id: n.to_string().into(),
            line: "a line".into(),
        };
        batch.push(&row, 0, true);
    }
    batch
}
