//! The exit code is the command's outcome, and the work is done, even if nobody listens to stdout
//! and stderr.

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

use crate::cli::{Desk, SYSLOG};
use crate::given;

const NOW: &str = "--now 2022-04-18T10:00:00Z";
const SEALING: &str = "--now 2022-04-20T10:00:00Z";

/// A pipe whose reader is gone.
fn unread() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A desk with good and bad objects, an event, and the roots `whole` and `damaged`.
fn desk() -> Desk {
    let desk = Desk::new();
    let good = given::gzipped(&given::envelope(&["one", "two"]));
    for name in ["good/a.gz", "bad/a.gz"] {
        desk.write(name, &good);
    }
    // More of them than one pipe or buffer holds back.
    for n in 0..40 {
        desk.write(&format!("bad/{n}"), b"\xff\xfe\x00");
    }
    desk.write("event.json", b"{\"records\":1}");
    desk.write("bad.toml", b"[[source]]\nlog_grops = [\"x\"]\n");
    for root in ["whole", "damaged"] {
        desk.ok(&format!("land @good --root @{root} {NOW}"));
    }
    desk.write("damaged/messages/2022-04-18.csv.open", b"not what was committed\n");
    desk
}

/// What a command does with these streams. `@fresh` is a root that is not there yet.
fn run(desk: &Desk, arguments: &str, out: Stdio, err: Stdio) -> Output {
    for fresh in ["fresh", "fresh.s3"] {
        fs::remove_dir_all(desk.path(fresh)).ok();
    }
    let mut command: Command = desk.command(arguments);
    command.stdout(out).stderr(err).output().unwrap()
}

/// The commands and their outcomes.
fn commands() -> Vec<(String, i32)> {
    let run = format!("run events/messages.log {SYSLOG} --root @fresh");
    [
        (format!("land @good --root @fresh {NOW}"), 0),
        (format!("land @bad --root @fresh {NOW}"), 1),
        (format!("land @bad --root @fresh {NOW} --json"), 1),
        (run.clone(), 0),
        (format!("{run} --json"), 0),
        ("run @bad/0 --root @fresh".to_owned(), 1),
        (format!("replay @good --root @fresh {NOW}"), 0),
        (format!("replay @bad --root @fresh {NOW}"), 1),
        (format!("replay @bad --root @fresh --dry-run {NOW}"), 1),
        ("backfill --log-group g --since 2022-04-18T00:00:00Z --until 2022-04-17T00:00:00Z --root @fresh".to_owned(), 2),
        (format!("seal --root @whole {SEALING}"), 0),
        (format!("seal --root @damaged {SEALING}"), 1),
        ("status --root @whole".to_owned(), 0),
        ("status --root @nowhere".to_owned(), 1),
        ("verify --root @whole".to_owned(), 0),
        ("verify --root @damaged".to_owned(), 1),
        ("verify --root @damaged --json".to_owned(), 1),
        ("cat @good".to_owned(), 0),
        ("cat @bad".to_owned(), 1),
        ("transform events/firehose-mixed-batch.json".to_owned(), 0),
        ("transform @event.json".to_owned(), 1),
        ("config check".to_owned(), 0),
        ("config schema".to_owned(), 0),
        ("config check --config @bad.toml".to_owned(), 2),
        ("land --root @fresh".to_owned(), 2),
    ]
    .into()
}

#[test]
fn the_exit_code_is_the_outcome_whoever_listens() {
    let desk = desk();
    for (arguments, code) in commands() {
        let what = |streams: &str| format!("{arguments}, {streams}");
        let heard = run(&desk, &arguments, Stdio::piped(), Stdio::piped());
        assert_eq!(heard.status.code(), Some(code), "{}: {heard:?}", what("heard"));
        let prints = !heard.stdout.is_empty();
        let unheard = [
            ("stdout unread", unread(), Stdio::null()),
            ("stderr unread", Stdio::null(), unread()),
            ("both unread", unread(), unread()),
            ("stderr full", Stdio::null(), full()),
            ("stdout unread, stderr full", unread(), full()),
        ];
        for (streams, out, err) in unheard {
            let output = run(&desk, &arguments, out, err);
            assert_eq!(output.status.code(), Some(code), "{}", what(streams));
        }
        let output = run(&desk, &arguments, full(), Stdio::piped());
        let lost = if prints { code.max(1) } else { code };
        assert_eq!(output.status.code(), Some(lost), "{}: {output:?}", what("stdout full"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.contains("No space left"), prints, "{}: {said}", what("stdout full"));
    }
}

#[test]
fn a_landing_is_whole_whoever_listens() {
    let desk = desk();
    let landed = |arguments: &str, out: Stdio, err: Stdio| {
        run(&desk, arguments, out, err);
        let mut files = given::tree(&desk.path("fresh"));
        files.retain(|name, _| !name.ends_with("/.journal"));
        assert!(files.len() > 1, "{arguments}");
        files
    };
    for arguments in [
        format!("land @bad --root @fresh {NOW}"),
        format!("replay @bad --root @fresh {NOW}"),
        format!("run events/messages.log {SYSLOG} --root @fresh --now 2005-04-18T08:00:00+09:00"),
    ] {
        let heard = landed(&arguments, Stdio::piped(), Stdio::piped());
        assert!(heard == landed(&arguments, unread(), unread()), "{arguments}, unread");
        assert!(heard == landed(&arguments, full(), full()), "{arguments}, full");
    }
}

/// Of a function that does not start: it says why, and nobody listens.
#[test]
#[cfg(feature = "lambda")]
fn a_function_that_nobody_listens_to_ends_as_it_would() {
    for program in [env!("CARGO_BIN_EXE_transform"), env!("CARGO_BIN_EXE_land")] {
        let start = |out, err| {
            let mut command = Command::new(program);
            command.env("HIWAKE_CONFIG", "/no/such/file").stdout(out).stderr(err);
            command.output().unwrap().status.code()
        };
        let heard = start(Stdio::piped(), Stdio::piped());
        assert_eq!(heard, Some(1), "{program}");
        assert_eq!(start(unread(), unread()), heard, "{program}, unread");
        assert_eq!(start(full(), full()), heard, "{program}, full");
    }
}
