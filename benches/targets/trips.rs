//! Round trips: the file-system calls of one commit into a day file that is there, as strace sees them.

use std::path::Path;
use std::process::Command;

use hiwake::land::batch::Batch;
use hiwake::land::commit;
use hiwake::row::Row;

use crate::given::DAY_STARTS;
use crate::place;
use crate::target::{Target, line};

/// What the promises of docs/design.md need: see docs/performance.md, "Round trips".
const LEAST: usize = 25;
const BEGIN: &str = "/hiwake-begin";

pub fn measure() {
    let folder = place::folder();
    let root = folder.path().join("root");
    let text = root.to_str().unwrap();
    // The first commit makes the names.
    land(&root, 0, 10);
    for (name, most) in [("of rows that are new", true), ("of rows that are known", false)] {
        let log = folder.path().join("strace");
        let status = Command::new("strace")
            .args(["-f", "-qq", "-e", "trace=file,desc,ftruncate,fsync,flock", "-o"])
            .arg(&log)
            .arg(std::env::current_exe().unwrap())
            .args(["--child", "commit", text])
            .status()
            .expect("strace is needed: apt-get install strace");
        assert!(status.success());
        let log = std::fs::read_to_string(log).unwrap();
        let calls: Vec<&str> = log.split(BEGIN).nth(1).unwrap().lines().skip(1).collect();
        let calls: Vec<&str> = calls.into_iter().filter(|call| is_trip(call)).collect();
        calls.iter().for_each(|call| println!("    {call}"));
        let most = if most { Target::AtMost((LEAST + 2) as f64) } else { Target::None };
        line(&format!("round trips of a commit {name}"), calls.len() as f64, "", most);
    }
}

/// Whether an NFS client has to ask the server for this. A folder of a path that is only gone through is remembered.
fn is_trip(call: &str) -> bool {
    !call.contains("O_PATH") && !call.contains("BEGIN") && call.contains('(')
}

pub fn child(root: &str) {
    assert!(std::fs::metadata(BEGIN).is_err());
    land(Path::new(root), 100, 10);
    assert!(std::fs::metadata(BEGIN).is_err());
}

fn land(root: &Path, first: i64, rows: i64) {
    let mut batch = Batch::default();
    let day_file = place::day_file();
    for n in first..first + rows {
        let row = Row {
            file: day_file.file.as_str().into(),
            kind: day_file.kind,
            day: day_file.day,
            timestamp: DAY_STARTS + n,
            stream: "123456789012:/var/log/messages:i-0abc".into(),
            id: n.to_string().into(),
            line: "a line".into(),
        };
        batch.push(&row, 0);
    }
    place::with_lander(root, place::LANDED, |lander| {
        assert!(commit::commit(lander, &day_file, &batch, &[]).is_ok());
    });
}
