//! What the CDK app knows of the binaries (`infra/contract/`) is what they say.

use std::process::Command;

use crate::given::folder;

#[test]
fn the_schema_that_the_cdk_app_checks_with_is_that_of_the_binary() {
    same("hiwake.schema.json", &["schema"]);
}

#[test]
fn the_environment_that_the_cdk_app_sets_is_what_the_binaries_read() {
    same("environment.json", &["env", "--json"]);
}

/// `hiwake doctor --alarms` asks for those that every deployment has: infra/test/contract.test.ts
/// compares.
#[cfg(feature = "aws")]
#[test]
fn the_alarms_that_doctor_asks_for_are_those_of_every_deployment() {
    let written = std::fs::read(folder().join("infra/contract/alarms.json")).unwrap();
    let written: Vec<String> = serde_json::from_slice(&written).unwrap();
    assert_eq!(written, hiwake::aws::ALARMS);
}

/// With `HIWAKE_BLESS=1`, it also writes the file.
#[expect(clippy::disallowed_methods, reason = "it is for tests only")]
fn same(file: &str, args: &[&str]) {
    let printed =
        Command::new(env!("CARGO_BIN_EXE_hiwake")).arg("config").args(args).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let path = folder().join("infra/contract").join(file);
    if std::env::var("HIWAKE_BLESS").is_ok() {
        std::fs::write(&path, &printed.stdout).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(printed, written, "infra/contract/{file} is not current: HIWAKE_BLESS=1 writes it");
}
