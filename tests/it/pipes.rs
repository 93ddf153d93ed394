//! Objects that are not regular files: pipes are read to their end, or an error names them; none is
//! taken for empty.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::cli::Desk;
use crate::given;

const NOW: &str = "--now 2022-04-18T10:00:00Z";

/// Rows of a day, more of them than a pipe holds and than one read of an object fetches.
fn rows() -> String {
    let row = |n| {
        format!(
            r#"{{"file":"messages","kind":"csv","day":"2022-04-18","timestamp":{},"stream":"1:g:s","id":"i{n}","line":"{n}{}"}}"#,
            given::T + n,
            "x".repeat(200)
        )
    };
    (0..20_000).map(|n| row(n) + "\n").collect()
}

/// Runs a command with `bytes` on a pipe as its standard input.
fn piped(desk: &Desk, arguments: &str, bytes: &[u8]) -> Output {
    let mut child = desk.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes));
        child.wait_with_output().unwrap()
    })
}

fn ok(output: &Output, what: &str) -> String {
    assert!(output.status.success(), "{what}: {output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn fifo(desk: &Desk, name: &str) {
    let path = desk.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn what_comes_by_a_pipe_lands_whole() {
    let (desk, rows) = (Desk::new(), rows());
    desk.write("rows", rows.as_bytes());
    desk.ok(&format!("land @rows --root @file {NOW}"));
    let landed = desk.published("file");
    for name in ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let arguments = format!("land {name} --root @{} {NOW}", name.replace('/', "_"));
        ok(&piped(&desk, &arguments, rows.as_bytes()), name);
        assert!(desk.published(&name.replace('/', "_")) == landed, "{name}");
    }
    let mut bash = Command::new("bash");
    let script = "exec \"$0\" land <(cat \"$1\") --root \"$2\" --now 2022-04-18T10:00:00Z";
    bash.current_dir(given::folder()).args(["-c", script, env!("CARGO_BIN_EXE_hiwake")]);
    let output = bash.arg(desk.path("rows")).arg(desk.path("substituted")).output().unwrap();
    ok(&output, "<(…)");
    assert!(desk.published("substituted") == landed, "<(…)");
    let again = ok(&piped(&desk, &format!("land - --root @file {NOW}"), rows.as_bytes()), "again");
    assert!(again.contains(" 20000 rows, 0 new lines"), "{again}");
}

#[test]
fn a_fifo_is_read_from_its_writer_on_and_without_one_it_is_an_error() {
    let (desk, rows) = (Desk::new(), rows());
    fifo(&desk, "fifo");
    for command in
        ["land @fifo --root @none", "cat @fifo", "transform @fifo", "run @fifo --root @none"]
    {
        let said = desk.fails(1, command);
        assert!(said.contains("fifo: a FIFO without a writer"), "{command}: {said}");
    }
    assert!(!desk.path("none/messages").exists());
    // The writer waits for a reader, as a shell's redirection does.
    let landing = desk.command(&format!("land @fifo --root @root {NOW}")).spawn().unwrap();
    let mut writer = File::options().write(true).open(desk.path("fifo")).unwrap();
    writer.write_all(rows.as_bytes()).unwrap();
    drop(writer);
    let said = ok(&landing.wait_with_output().unwrap(), "with a writer");
    assert!(said.contains(" 20000 new lines"), "{said}");
}

#[test]
fn whatever_is_no_file_in_a_folder_is_named_and_not_waited_for() {
    let desk = Desk::new();
    desk.write("in/a", b"text\n");
    fifo(&desk, "in/deep/fifo");
    for command in [
        "land @in --root @root",
        "cat @in",
        "replay @in --root @root",
        "run @in --log-group g --root @root",
    ] {
        let said = desk.fails(1, command);
        assert!(said.contains("in/deep/fifo: is neither a file nor a folder"), "{command}: {said}");
    }
    assert!(!desk.path("root/plain").exists(), "nothing of such a folder lands");
}

#[test]
fn no_other_kind_of_file_is_taken_for_an_empty_object() {
    let desk = Desk::new();
    // It says that it has no bytes.
    assert_eq!(fs::metadata("/proc/version").unwrap().len(), 0);
    assert_eq!(desk.ok("cat /proc/version"), fs::read_to_string("/proc/version").unwrap());
    let said = desk.ok("land /proc/version --root @root");
    assert!(said.contains(" 1 row, 1 new line "), "{said}");
    let said = desk.ok("land /dev/null --root @root");
    assert!(said.contains("landed 1 object: 0 rows"), "{said}");
    let _listener = UnixListener::bind(desk.path("socket")).unwrap();
    let said = desk.fails(1, "land @socket --root @root");
    assert!(said.contains("socket: a socket or block device cannot be read to its end"), "{said}");
    let missing = desk.command("land - --root @root").env("TMPDIR", desk.path("missing")).output();
    let said = String::from_utf8(missing.unwrap().stderr).unwrap();
    assert!(said.contains("missing (TMPDIR selects another)"), "{said}");
}

#[test]
fn every_command_that_reads_a_file_reads_a_pipe() {
    let desk = Desk::new();
    let event = fs::read(given::folder().join("events/firehose-hogehoge.json")).unwrap();
    let answer = ok(&piped(&desk, "transform /dev/stdin", &event), "transform");
    assert_eq!(answer, desk.ok("transform events/firehose-hogehoge.json"));
    ok(&piped(&desk, "run - --root @run", &event), "run");
    assert_eq!(desk.text("run/messages/2022-04-18.csv.open").lines().count(), 1);
    let at = "--at 2022-04-18T10:00:00";
    let log = format!("run - --log-group /var/log/messages {at} --root @log {NOW}");
    ok(&piped(&desk, &log, b"one\ntwo\n"), "run --log-group");
    assert_eq!(desk.text("log/messages/2022-04-18.csv.open").lines().count(), 2);
    let rows = rows();
    let parts = r#""owner":"1","log_group":"g","log_stream":"s""#;
    let as_now = rows.replace("\"stream\":\"1:g:s\"", parts);
    assert_eq!(ok(&piped(&desk, "cat --rows -", rows.as_bytes()), "cat"), as_now);
    ok(&piped(&desk, &format!("replay - --root @replay {NOW}"), rows.as_bytes()), "replay");
    assert_eq!(desk.text("replay/messages/2022-04-18.csv.open").lines().count(), 20_000);
}

/// Its time alone would not tell it from other text that comes by a pipe of that name within the
/// same millisecond.
#[test]
fn text_by_a_pipe_is_not_taken_for_other_text_by_a_pipe() {
    let desk = Desk::new();
    let stream = || {
        let row = ok(&piped(&desk, "cat --rows -", b"the same\n"), "cat");
        let row: Value = serde_json::from_str(&row).unwrap();
        row["origin"].as_str().unwrap().to_owned()
    };
    let (one, other) = (stream(), stream());
    assert!(one != other && one.starts_with("-/") && other.starts_with("-/"), "{one} {other}");
}
