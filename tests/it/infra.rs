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

fn same(file: &str, args: &[&str]) {
    let printed =
        Command::new(env!("CARGO_BIN_EXE_hiwake")).arg("config").args(args).output().unwrap();
    let path = folder().join("infra/contract").join(file);
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        String::from_utf8(printed.stdout).unwrap(),
        written,
        "write it anew: hiwake config {} > infra/contract/{file}",
        args.join(" ")
    );
}
