//! The seal function: land's binary, called by a schedule.

use serde_json::json;

use super::*;

fn function() -> LandFunction {
    let mut function = LandFunction::new("[seal]\ngrace = \"0s\"");
    function.bucket.put("o", rows(0..3));
    let other = rows(0..2).replace("messages", "other").replace("1:g:s", "1:h:s");
    function.bucket.put("p", other);
    assert!(function.land(1, &[("1", &["o", "p"])]).is_empty());
    check_i7(&function.lambda.metrics());
    function
}

#[test]
fn the_answer_lists_what_was_sealed() {
    let mut function = function();
    let answer = function.lambda.json(&json!({"hiwake": "seal"}));
    let sealed = answer["sealed"].as_array().unwrap();
    let first = json!({
        "file": "messages", "day": "2022-04-18", "segment": 1, "path": "messages/2022-04-18.csv",
        "lines": 3, "bytes": 21, "sha256": sealed[0]["sha256"],
    });
    assert_eq!((&sealed[0], sealed.len()), (&first, 2));
    assert_eq!(answer["failed"], json!([]));
    let sum = function.text("messages/2022-04-18.csv.sha256");
    assert_eq!(sum, format!("{}  2022-04-18.csv\n", sealed[0]["sha256"].as_str().unwrap()));
    assert_eq!(function.text("messages/2022-04-18.csv"), lines(0..3));
    let metrics = function.lambda.metrics();
    assert_eq!((value(&metrics, "Sealed"), value(&metrics, "SealFailed")), (2, 0));
    assert_eq!(value(&metrics, "OldestUnsealedAge"), 0);
    // The answer may have been lost: the next round lists it once more.
    let again = function.lambda.json(&json!({"hiwake": "seal"}));
    assert_eq!(again["sealed"], answer["sealed"]);
    let answer = function.lambda.json(&json!({"hiwake": "seal"}));
    assert_eq!(answer, json!({"sealed": [], "closed": [], "removed": [], "failed": []}));
}

#[test]
fn one_day_that_fails_is_an_entry_in_the_answer_and_all_others_are_sealed() {
    let mut function = function();
    // What was committed is not what is there.
    let open = "efs/messages/2022-04-18.csv.open";
    crate::given::put(function.root.path(), open, b"line 0\nline X\nline 2\n");
    let answer = function.lambda.json(&json!({"hiwake": "seal"}));
    assert_eq!(answer["sealed"][0]["path"], "other/2022-04-18.csv");
    let failed = answer["failed"][0].as_str().unwrap();
    assert!(failed.contains("messages/2022-04-18.csv.open: damaged"), "{failed}");
    let metrics = function.lambda.metrics();
    assert_eq!((value(&metrics, "Sealed"), value(&metrics, "SealFailed")), (1, 1));
    // It could have been sealed since its first commit, just now.
    assert!(value(&metrics, "OldestUnsealedAge") < 60, "{metrics}");
}

#[test]
fn a_damaged_journal_hides_no_other_days_age() {
    let mut function = function();
    let journal = function.root.path().join("efs/.hiwake/days/2022-04-18/messages.csv/.journal");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes[20] ^= 1;
    crate::given::put(journal.parent().unwrap(), ".journal", &bytes);
    let answer = function.lambda.json(&json!({"hiwake": "seal"}));
    assert_eq!(answer["failed"].as_array().unwrap().len(), 1, "{answer}");
    // Since that day's end: nothing says when its first commit was.
    let age = value(&function.lambda.metrics(), "OldestUnsealedAge");
    assert!(age > 4 * 365 * 24 * 3600, "{age}");
    let log = function.lambda.end();
    assert_eq!(
        log.matches("\"message\":\".hiwake/days/2022-04-18/messages.csv/.journal").count(),
        1,
        "{log}"
    );
}

#[test]
fn a_day_whose_journal_is_gone_fails_to_seal_and_its_age_is_told() {
    let journal = "efs/.hiwake/days/2022-04-18/messages.csv/.journal";
    for left in [None, Some(0), Some(100)] {
        let mut function = function();
        let path = function.root.path().join(journal);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        if let Some(left) = left {
            crate::given::put(function.root.path(), journal, &bytes[..left]);
        }
        let answer = function.lambda.json(&json!({"hiwake": "seal"}));
        let failed = answer["failed"][0].as_str().unwrap();
        assert!(failed.contains("its header is missing or unreadable"), "{left:?}: {failed}");
        let metrics = function.lambda.metrics();
        assert_eq!((value(&metrics, "Sealed"), value(&metrics, "SealFailed")), (1, 1), "{left:?}");
        assert!(value(&metrics, "OldestUnsealedAge") > 4 * 365 * 24 * 3600, "{left:?}");
    }
}
