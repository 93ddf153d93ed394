//! The lines that the stack prints work as they are pasted, in any folder.

use std::process::Command;

use super::http::{Response, serve};

const NOTHING: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <ListBucketResult><Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>\
    </ListBucketResult>";

#[test]
fn a_replay_by_the_queue_needs_no_configuration_but_for_a_day() {
    let address = serve(|_| Some(Response::new(200, NOTHING)));
    let empty = tempfile::tempdir().unwrap();
    let replay = |since: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hiwake"));
        command.args(["replay", "s3://b/backup", "--since", since]);
        command.args(["--queue", &format!("http://{address}/1/notices")]);
        command.current_dir(empty.path()).env_clear().env("HOME", empty.path());
        command.env("AWS_REGION", "eu-west-1").env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b");
        command.env("AWS_ENDPOINT_URL", format!("http://{address}"));
        command.env("AWS_ALLOW_HTTP", "true").output().unwrap()
    };
    let output = replay("2d");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("sent 0 notices"));
    // A day begins in the configured time zone.
    let output = replay("2022-04-18");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("hiwake.toml: cannot be read"));
}
