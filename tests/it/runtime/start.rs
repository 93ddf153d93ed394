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

/// What the functions refuse is refused at synthesis, and by the command line, in the same words.
#[test]
fn a_bootstrap_checks_a_configuration_as_hiwake_config_check_does() {
    let folder = tempfile::tempdir().unwrap();
    let bad = "timezone = \"JST\"\ncolour = 1\n[limits]\nparallel = 0\n";
    // Files of two kinds that collide: no schema knows.
    let collide = "[[source]]\nlog_groups = [\"a\"]\nfile = \"x\"\n\
        [[source]]\nlog_groups = [\"b\"]\nfile = \"x/2022-04-18.csv\"\n";
    let warned = "[[source]]\nlog_groups = [\"*\"]\n[seal]\ngrace = \"1s\"\n";
    for (text, errors, warnings) in [(bad, 3, 0), (collide, 1, 0), (warned, 0, 2), (bad, 3, 0)] {
        let path = crate::given::put(folder.path(), "hiwake.toml", text.as_bytes());
        let mut hiwake = std::process::Command::new(env!("CARGO_BIN_EXE_hiwake"));
        let said = hiwake.args(["config", "check", "--config"]).arg(&path).output().unwrap();
        let said = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
        for binary in [TRANSFORM, LAND] {
            let output = command(binary).arg("--check").arg(&path).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            for (kind, count) in [("errors", errors), ("warnings", warnings)] {
                let lines = report[kind].as_array().unwrap();
                assert_eq!(lines.len(), count, "{kind} of {text}: {report}");
                for line in lines {
                    assert!(said.contains(line.as_str().unwrap()), "{line}\n{said}");
                }
            }
        }
    }
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
