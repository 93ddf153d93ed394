//! A function that cannot do its work does not start, and says all that is wrong.

use std::process::Output;

use super::*;

fn refused(mut command: std::process::Command) -> Vec<Value> {
    // No Runtime API: it is not asked for anything.
    let Output { status, stdout, .. } =
        command.env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1").output().unwrap();
    assert_eq!(status.code(), Some(1));
    let text = String::from_utf8(stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn messages(lines: &[Value]) -> Vec<&str> {
    assert!(lines.iter().all(|line| line["level"] == "ERROR"), "{lines:?}");
    lines.iter().map(|line| line["message"].as_str().unwrap()).collect()
}

#[test]
fn every_fault_of_the_configuration_is_named_in_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let bad = b"timezone = \"JST\"\ncolour = 1\n[limits]\nparallel = 0\n";
    let path = crate::given::put(folder.path(), "bad.toml", bad);
    let mut transform = command(TRANSFORM);
    transform.env("HIWAKE_CONFIG", &path);
    let lines = refused(transform);
    let faults = messages(&lines);
    assert_eq!(faults.len(), 3, "{faults:?}");
    for (fault, part) in faults.iter().zip([":1: timezone", ":2: colour", ":4: limits.parallel"]) {
        assert!(fault.contains(part), "{fault}");
    }
    let mut land = command(LAND);
    land.env("HIWAKE_CONFIG", &path);
    let lines = refused(land);
    let faults = messages(&lines);
    assert_eq!(faults.len(), 4, "{faults:?}");
    assert!(faults[3].contains("HIWAKE_ROOT"), "{faults:?}");
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    for binary in [TRANSFORM, LAND] {
        let mut command = command(binary);
        command.env("HIWAKE_CONFIG", "/no/such/hiwake.toml").env("HIWAKE_ROOT", "/tmp");
        let lines = refused(command);
        assert!(messages(&lines)[0].contains("/no/such/hiwake.toml"), "{lines:?}");
        // Without the variable it is beside the binary, where tests have none.
        let mut command = self::command(binary);
        command.env("HIWAKE_ROOT", "/tmp");
        let lines = refused(command);
        let beside = Path::new(binary).with_file_name("hiwake.toml");
        assert!(messages(&lines)[0].contains(beside.to_str().unwrap()), "{lines:?}");
    }
}
