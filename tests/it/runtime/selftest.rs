//! The self-test of the land function, and `hiwake doctor`: one list of checks.

use std::collections::BTreeMap;
use std::process::Command;

use super::bucket::{Fault, error};
use super::*;

fn checks(answer: &Value) -> BTreeMap<String, bool> {
    let checks = answer["checks"].as_array().unwrap().iter();
    let one = |check: &Value| {
        assert!(!check["says"].as_str().unwrap().is_empty(), "{check}");
        (check["check"].as_str().unwrap().to_owned(), check["ok"].as_bool().unwrap())
    };
    checks.map(one).collect()
}

const OF_ROOT: [&str; 7] = [
    "exclusive create",
    "free space",
    "hard link",
    "lock",
    "lock between executions",
    "rename",
    "write, sync and clock",
];

fn event(prefix: &str) -> Value {
    json!({"hiwake": "selftest", "prefixes": [prefix]})
}

#[test]
fn all_is_right_and_nothing_is_left_behind() {
    let function = LandFunction::new("");
    let answer = function.lambda.json(&event("s3://logs/landing/"));
    assert_eq!(answer["ok"], json!(true), "{answer}");
    let mut names: Vec<String> = OF_ROOT.map(str::to_owned).to_vec();
    names.insert(0, "a missing key of s3://logs/landing/".to_owned());
    assert_eq!(checks(&answer).into_keys().collect::<Vec<_>>(), names);
    assert_eq!(std::fs::read_dir(function.root.path().join("efs")).unwrap().count(), 0);
}

#[test]
fn a_missing_object_that_is_denied_is_wrong_and_says_what_to_allow() {
    let function = LandFunction::new("");
    let key = "landing/hiwake-selftest-missing";
    function.bucket.fault(key, Fault::Refused(403, error("AccessDenied")));
    let answer = function.lambda.json(&event("s3://logs/landing/"));
    assert_eq!(answer["ok"], json!(false));
    let wrong: Vec<_> = checks(&answer).into_iter().filter(|(_, ok)| !ok).collect();
    assert_eq!(wrong, [("a missing key of s3://logs/landing/".to_owned(), false)]);
    assert!(answer.to_string().contains("s3:ListBucket"), "{answer}");
}

/// What `infra/smoke.sh` does on AWS: one execution holds the lock, the other finds it taken.
#[test]
fn a_second_execution_finds_the_lock_taken() {
    let function = LandFunction::new("");
    let root = function.root.path().join("efs");
    std::fs::create_dir_all(&root).unwrap();
    let lock = std::fs::File::create(root.join(".hiwake.selftest.lock")).unwrap();
    lock.lock().unwrap();
    let says = |answer: &Value| {
        let mut all = answer["checks"].as_array().unwrap().iter();
        let found = all.find(|one| one["check"] == "lock between executions").unwrap();
        found["says"].as_str().unwrap().to_owned()
    };
    let answer = function.lambda.json(&json!({"hiwake": "selftest"}));
    assert!(says(&answer).starts_with("held by another execution"), "{answer}");
    drop(lock);
    let answer = function.lambda.json(&json!({"hiwake": "selftest"}));
    assert!(says(&answer).starts_with("taken"), "{answer}");
}

#[test]
fn an_unknown_wish_is_refused() {
    let function = LandFunction::new("");
    let answer = function.lambda.invoke(br#"{"hiwake":"selftest","prefix":"x"}"#);
    assert!(format!("{answer:?}").contains("hiwake.UnknownEvent"), "{answer:?}");
}

#[test]
fn doctor_makes_the_same_checks_and_one_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        crate::given::put(folder.path(), "hiwake.toml", b"[[source]]\nlog_groups = [\"g\"]");
    let doctor = |root: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hiwake"));
        command.args(["doctor", "--json", "--root"]).arg(root).arg("--config").arg(&config);
        command.output().unwrap()
    };
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let output = doctor(&root);
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = checks(&answer).into_keys().collect();
    assert_eq!(names[0], format!("configuration {}", config.display()));
    assert_eq!(names[1..], OF_ROOT);
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
    assert_eq!(doctor(&folder.path().join("missing")).status.code(), Some(1));
}

/// Trial files were named by the process alone: sandboxes that are all process 1 broke each other.
#[test]
fn self_tests_of_one_process_at_once_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let disk = hiwake::disk::RealDisk::open(folder.path()).unwrap();
    let config = hiwake::config::Config::default();
    let tested = || {
        let root = hiwake::land::Root {
            disk: &disk,
            config: &config,
            clock: hiwake::clock::Clock::System,
            deadline: std::time::Instant::now() + std::time::Duration::from_secs(60),
            synced: Default::default(),
        };
        let asked = hiwake::selftest::Asked::default();
        let checks = hiwake::selftest::run(&root, &|_| unreachable!("no prefix is asked"), &asked);
        checks.into_iter().filter(|one| !one.ok).map(|one| (one.check, one.says))
    };
    std::thread::scope(|scope| {
        let all =
            [(); 4].map(|()| scope.spawn(|| (0..20).flat_map(|_| tested()).collect::<Vec<_>>()));
        for wrong in all.map(|one| one.join().unwrap()) {
            let wrong: Vec<_> =
                wrong.iter().filter(|(check, _)| check != "lock between executions").collect();
            assert!(wrong.is_empty(), "{wrong:?}");
        }
    });
}
