//! The land function: notices in, day files and partial failures out.

use std::time::{Duration, Instant};

use serde_json::json;

use super::bucket::{Fault, error};
use super::*;
use crate::given::{OPEN, envelope, gzipped};

#[test]
fn notices_become_lines_once_each() {
    let mut function = LandFunction::new("");
    function.bucket.put("landing/a b+c=日.gz", crate::given::gzip(rows(0..50).as_bytes()));
    function.bucket.put("landing/b", rows(25..80));
    function.bucket.put("landing/empty", "");
    let keys: [&[&str]; 3] =
        [&["landing/a+b%2Bc%3D%E6%97%A5.gz"], &["landing/b", "landing/empty"], &["landing/b"]];
    let messages = [("1", keys[0]), ("2", keys[1]), ("3", keys[2])];
    assert!(function.land(1, &messages).is_empty());
    assert_eq!(function.text(*OPEN), lines(0..80));
    let metrics = function.lambda.metrics();
    check_i7(&metrics);
    let values = ["RowsIn", "RowsLanded", "RowsDuplicate", "Commits", "ObjectsLanded"];
    // One object is told of twice, and all rows go under one hold.
    assert_eq!(values.map(|name| value(&metrics, name)), [105, 80, 25, 1, 3]);
    assert!(function.land(2, &messages).is_empty());
    assert_eq!(function.text(*OPEN), lines(0..80));
    let metrics = function.lambda.metrics();
    check_i7(&metrics);
    assert_eq!(value(&metrics, "RowsDuplicate"), 105);
}

#[test]
fn i7_rows_in_are_lines_duplicates_quarantined_and_deferred_in_the_metrics_alone() {
    let source = |group: &str, file: &str| {
        format!("[[source]]\nlog_groups = [\"{group}\"]\nfile = \"{file}\"\n")
    };
    let mut function = LandFunction::new(&(source("g", "messages") + &source("h", "busy")));
    function.bucket.put(
        "a",
        rows(0..10) + &rows(5..12) + "{\"rawData\":\"not base64\",\"errorCode\":\"x\"}\n",
    );
    function.bucket.put("b", rows(10..15) + &rows(0..3).replace("\"messages\"", "\"../up\""));
    let busy = rows(0..4).replace("\"messages\"", "\"busy\"").replace("1:g:s", "1:h:s");
    function.bucket.put("c", busy);
    assert!(function.land(1, &[("3", &["c"])]).is_empty());
    check_i7(&function.lambda.metrics());
    let journal = function.root.path().join("efs/.hiwake/days/2022-04-18/busy.csv/.journal");
    let holder = std::fs::File::options().write(true).open(journal).unwrap();
    holder.lock().unwrap();
    let event = sqs(1, &[("1", &["a"]), ("2", &["b"]), ("3", &["c"])]).to_string();
    let answer = function.lambda.invoke_within(event.as_bytes(), Duration::from_secs(3)).unwrap();
    assert_eq!(answer, br#"{"batchItemFailures":[{"itemIdentifier":"3"}]}"#);
    drop(holder);
    let metrics = function.lambda.metrics();
    check_i7(&metrics);
    let values = ["RowsIn", "RowsLanded", "RowsDuplicate", "RowsQuarantined", "RowsDeferred"];
    assert_eq!(values.map(|name| value(&metrics, name)), [30, 15, 7, 4, 4]);
}

#[test]
fn the_command_line_lands_from_a_bucket_too() {
    let function = LandFunction::new("");
    for (key, numbers) in [("landing/1/a", 0..2), ("landing/2/b", 1..4), ("landing2/c", 4..9)] {
        function.bucket.put(key, rows(numbers));
    }
    let hiwake = |places: &[&str]| {
        let mut command = command(env!("CARGO_BIN_EXE_hiwake"));
        command.args(["land", "--root"]).arg(function.root.path().join("out")).args(places);
        command.arg("--config").arg(function.root.path().join("hiwake.toml"));
        let output = command.envs(function.bucket.environment()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let said = hiwake(&["s3://logs/landing", "s3://logs/landing2/c"]);
    assert_eq!(
        said,
        "landed 3 objects: 10 rows, 9 new lines (0 late), 1 already landed, 0 quarantined\n"
    );
}

#[test]
fn a_bare_s3_event_lands_and_fails_the_invocation_where_it_cannot() {
    let mut function = LandFunction::new("");
    function.bucket.put("good", rows(0..2));
    assert_eq!(function.lambda.json(&s3(&["good"])), json!({"batchItemFailures": []}));
    check_i7(&function.lambda.metrics());
    function.bucket.put("better", rows(0..4));
    let error = function.lambda.invoke(s3(&["gone", "better"]).to_string().as_bytes()).unwrap_err();
    assert_eq!(error["errorType"], "hiwake.NotLanded");
    assert!(
        error["errorMessage"].as_str().unwrap().contains("logs/gone does not exist"),
        "{error}"
    );
    assert_eq!(function.text(*OPEN), lines(0..4), "everything else was done first");
    assert_eq!(value(&function.lambda.metrics(), "ObjectsFailed"), 1);
}

#[test]
fn test_events_are_ignored_and_counted_and_anything_else_is_named_by_its_keys() {
    let mut function = LandFunction::new("");
    for (name, event, _) in
        crate::golden::events("s3-test").into_iter().chain(crate::golden::events("sqs-test"))
    {
        let answer = function.lambda.invoke(&event).unwrap();
        assert_eq!(answer, br#"{"batchItemFailures":[]}"#, "{name}");
        assert_eq!(value(&function.lambda.metrics(), "NoticesIgnored"), 1);
    }
    let error = function.lambda.invoke(br#"{"detail":"SECRET","source":"aws.s3"}"#).unwrap_err();
    let message = error["errorMessage"].as_str().unwrap();
    assert!(message.contains("`detail`, `source`") && !message.contains("SECRET"), "{message}");
    assert_eq!(value(&function.lambda.metrics(), "NoticesUnreadable"), 1);
    function.bucket.put("good", rows(0..1));
    let mut event = sqs(1, &[("1", &["good"]), ("2", &["good"])]);
    event["Records"][1]["body"] = "no notice: SECRET".into();
    assert_eq!(
        function.lambda.json(&event),
        json!({"batchItemFailures": [{"itemIdentifier": "2"}]})
    );
    assert_eq!(function.text(*OPEN), lines(0..1));
    assert!(!function.lambda.end().contains("SECRET"));
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_read_afresh() {
    let mut function = LandFunction::new("");
    // Larger than one ranged read, so that there is a second one to fail.
    let (old, new) = (rows(0..40_000), rows(0..50_000));
    assert!(old.len() > 4 << 20);
    function.bucket.put("o", old);
    function.bucket.fault("o", Fault::Replaced(new.into_bytes()));
    assert!(function.land(1, &[("1", &["o"])]).is_empty());
    assert_eq!(function.text(*OPEN), lines(0..50_000));
    check_i7(&function.lambda.metrics());
    let requests = function.bucket.requests();
    assert_eq!(requests[..2], ["GET o bytes=0-4194303", "GET o bytes=4194304-8388607"]);
    assert_eq!(requests[2], "GET o bytes=0-4194303", "from its beginning");
}

#[test]
fn what_s3_cannot_answer_for_a_moment_is_asked_again() {
    let mut function = LandFunction::new("");
    function.bucket.put("o", rows(0..1));
    function.bucket.fault("o", Fault::Unavailable(2));
    assert!(function.land(1, &[("1", &["o"])]).is_empty());
    assert_eq!(function.text(*OPEN), lines(0..1));
}

#[test]
fn what_cannot_finish_in_time_comes_again_and_nothing_of_it_is_half_done() {
    let mut function = LandFunction::new("");
    function.bucket.put("quick", rows(0..3));
    function.bucket.put("slow-object", rows(0..6));
    function.bucket.fault("slow-object", Fault::Slow(Duration::from_secs(20)));
    let start = Instant::now();
    let event = sqs(1, &[("1", &["slow-object"]), ("2", &["quick"])]).to_string();
    let answer = function.lambda.invoke_within(event.as_bytes(), Duration::from_secs(3)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(answer, br#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#);
    assert_eq!(function.text(*OPEN), lines(0..3));
    check_i7(&function.lambda.metrics());
    assert!(
        function.lambda.log.iter().any(|line| line.contains("no time was left")),
        "{:?}",
        function.lambda.log
    );
    // The next invocation begins in an environment that is as good as new.
    function.bucket.fault("slow-object", Fault::Unavailable(0));
    assert!(function.land(2, &[("1", &["slow-object"])]).is_empty());
    assert_eq!(function.text(*OPEN), lines(0..6));
}

#[test]
fn an_object_that_inflates_for_ever_is_given_up_in_time_and_holds_up_no_other() {
    let mut function = LandFunction::new("");
    let record = crate::given::gzip(&crate::given::object::control().repeat(5_000));
    let bomb = crate::given::gzip(&record.repeat(20_000));
    function.bucket.put("bomb", bomb);
    function.bucket.put("good", rows(0..3));
    let event = sqs(1, &[("1", &["bomb"]), ("2", &["good"])]).to_string();
    let start = Instant::now();
    let answer = function.lambda.invoke_within(event.as_bytes(), Duration::from_secs(3)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(answer, br#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#);
    assert_eq!(function.text(*OPEN), lines(0..3));
    check_i7(&function.lambda.metrics());
}

#[test]
fn a_bucket_whose_name_is_none_is_given_up_and_holds_up_no_other() {
    let function = LandFunction::new("");
    function.bucket.put("good", rows(0..3));
    let mut event = sqs(1, &[("1", &["x"]), ("2", &["good"])]);
    let body = event["Records"][0]["body"].as_str().unwrap().replace("\"logs\"", "\"lo gs\"");
    event["Records"][0]["body"] = body.into();
    assert_eq!(function.lambda.json(&event), json!({"batchItemFailures": []}));
    assert_eq!(function.text(*OPEN), lines(0..3));
    assert!(
        function.quarantine().contains("\"code\":\"object-name\""),
        "{}",
        function.quarantine()
    );
}

#[test]
fn keys_that_a_listing_cannot_tell_apart_are_an_error() {
    let function = LandFunction::new("");
    for key in ["landing/a", "landing/a/"] {
        function.bucket.put(key, rows(0..3));
    }
    let land = |place: &str| {
        let mut command = command(env!("CARGO_BIN_EXE_hiwake"));
        command.args(["land", "--root"]).arg(function.root.path().join("out")).arg(place);
        command.arg("--config").arg(function.root.path().join("hiwake.toml"));
        let output = command.envs(function.bucket.environment()).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(land("s3://logs/landing").contains("logs/landing/a: another key differs"));
    for place in ["s3://logs//landing", "s3://lo gs/landing"] {
        let said = land(place);
        assert!(said.contains("s3://bucket") || said.contains("not a valid bucket name"), "{said}");
    }
}

#[test]
fn an_emulators_deadline_of_1970_is_none() {
    let mut function = LandFunction::new("");
    function.bucket.put("o", rows(0..1));
    function.lambda.deadline = Some(600_000);
    assert!(function.land(1, &[("1", &["o"])]).is_empty());
    assert_eq!(function.text(*OPEN), lines(0..1));
}

#[test]
fn a_busy_day_file_is_given_up_before_the_invocations_time_is_over() {
    let mut function = LandFunction::new("");
    function.bucket.put("o", rows(0..1));
    assert!(function.land(1, &[("1", &["o"])]).is_empty());
    check_i7(&function.lambda.metrics());
    let journal = function.root.path().join("efs/.hiwake/days/2022-04-18/messages.csv/.journal");
    let holder = std::fs::File::options().write(true).open(journal).unwrap();
    holder.lock().unwrap();
    function.bucket.put("o", rows(0..5));
    let event = sqs(1, &[("1", &["o"])]).to_string();
    let start = Instant::now();
    let answer = function.lambda.invoke_within(event.as_bytes(), Duration::from_secs(2)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(answer, br#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#);
    let metrics = function.lambda.metrics();
    check_i7(&metrics);
    assert_eq!((value(&metrics, "RowsDeferred"), value(&metrics, "RowsLanded")), (5, 0));
    drop(holder);
    assert!(function.land(2, &[("1", &["o"])]).is_empty());
    assert_eq!(function.text(*OPEN), lines(0..5));
}

#[test]
fn an_object_that_is_gone_is_given_up_at_its_third_delivery() {
    let mut function = LandFunction::new("");
    function.bucket.put("good", rows(0..1));
    for receives in [1, 2] {
        assert_eq!(function.land(receives, &[("1", &["gone"]), ("2", &["good"])]), ["1"]);
        check_i7(&function.lambda.metrics());
        assert_eq!(function.quarantine(), "");
    }
    assert!(function.land(3, &[("1", &["gone"])]).is_empty());
    assert_eq!(value(&function.lambda.metrics(), "ObjectsQuarantined"), 1);
    let kept: Value = serde_json::from_str(&function.quarantine()).unwrap();
    assert_eq!((&kept["code"], &kept["data"]), (&json!("object-missing"), &json!("")));
    assert_eq!(kept["object"], "logs/gone@of the notice");
}

#[test]
fn a_bucket_that_is_gone_is_a_fault_of_ours_and_nothing_is_given_up() {
    let mut function = LandFunction::new("");
    function.bucket.fault("o", Fault::Refused(404, error("NoSuchBucket")));
    assert_eq!(function.land(19, &[("1", &["o"])]), ["1"]);
    assert_eq!(function.quarantine(), "");
}

#[test]
fn an_object_that_is_denied_is_given_up_at_its_hundredth_delivery() {
    let mut function = LandFunction::new("");
    function.bucket.fault("o", Fault::Refused(403, error("AccessDenied")));
    assert_eq!(function.land(99, &[("1", &["o"])]), ["1"]);
    assert_eq!(function.quarantine(), "");
    assert!(function.land(100, &[("1", &["o"])]).is_empty());
    assert!(
        function.quarantine().contains("\"code\":\"object-denied\""),
        "{}",
        function.quarantine()
    );
    assert!(
        function.quarantine().contains("AccessDenied: Told by AccessDenied"),
        "{}",
        function.quarantine()
    );
}

#[test]
fn a_request_that_is_refused_for_its_clock_or_key_gives_up_no_object() {
    let mut function = LandFunction::new("");
    for code in ["RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidAccessKeyId"] {
        // What the key is called does not count.
        function.bucket.fault("AccessDenied", Fault::Refused(403, error(code)));
        assert_eq!(function.land(199, &[("1", &["AccessDenied"])]), ["1"], "{code}");
    }
    assert_eq!(function.quarantine(), "");
}

#[test]
fn a_key_that_cannot_be_asked_for_is_given_up_at_once() {
    let mut function = LandFunction::new("");
    // Another object, which must not be taken for those with a `/` more.
    function.bucket.put("x", rows(0..1));
    assert!(function.land(1, &[("1", &["landing//x", "a/../b", "/x", "x/"])]).is_empty());
    assert_eq!(value(&function.lambda.metrics(), "ObjectsQuarantined"), 4);
    assert_eq!(function.quarantine().matches("\"code\":\"object-name\"").count(), 4);
    assert!(function.bucket.requests().is_empty());
}

#[test]
fn nothing_of_what_was_logged_is_in_a_log() {
    let mut function = LandFunction::new("");
    let secret = rows(0..3).replace("line ", "SECRET ");
    let mut late = envelope(&["SECRET"]);
    late["logEvents"][0]["timestamp"] = json!(-1);
    function.bucket.put("broken", format!("{secret}{{\"file\":\"messages\",\"line\":\"SECRET\n"));
    function.bucket.put("rows", secret);
    function.bucket.put("raw", "{\"rawData\":\"SECRET\",\"errorCode\":\"SECRET\"}\n");
    function.bucket.put("late", gzipped(&late));
    function.bucket.put("torn", &gzipped(&envelope(&["SECRET"]))[..60]);
    function
        .bucket
        .put("up", rows(3..4).replace("\"messages\"", "\"../up\"").replace("line ", "SECRET "));
    let quoted =
        |name: &str, value: &str| rows(3..4).replace(value, &format!("\"{name}\":\"SECRET\""));
    function.bucket.put("kind", quoted("kind", "\"kind\":\"csv\""));
    function.bucket.put("day", quoted("day", "\"day\":\"2022-04-18\""));
    function.bucket.put("file", rows(3..4).replace("\"messages\"", "\"SECRET/../up\""));
    let mut unknown = envelope(&["SECRET"]);
    unknown["messageType"] = json!("SECRET");
    function.bucket.put("message-type", gzipped(&unknown));
    let keys: &[&str] =
        &["rows", "broken", "raw", "late", "torn", "up", "kind", "day", "file", "message-type"];
    assert!(function.land(1, &[("1", keys)]).is_empty());
    assert!(function.text(*OPEN).contains("SECRET"));
    assert!(function.quarantine().contains("SECRET"));
    check_i7(&function.lambda.metrics());
    let body = json!({"Records": [{"messageId": "2", "body": "SECRET", "eventSource": "aws:sqs"}]});
    function.lambda.json(&body);
    let log = function.lambda.end();
    let reasons =
        ["`kind` must be", "`day` must be", "not a valid daily file name", "unknown messageType"];
    for reason in reasons {
        assert!(log.contains(reason), "{reason} not in {log}");
    }
    assert!(!log.contains("SECRET"), "{log}");
}

#[test]
fn no_credential_is_ever_told() {
    let mut function = LandFunction::new("");
    function.bucket.fault("a", Fault::Refused(400, error("ExpiredToken")));
    function.bucket.fault("b", Fault::Refused(403, error("SignatureDoesNotMatch")));
    function.bucket.fault("c", Fault::Refused(400, "odd: <html>AKIDEXAMPLE</html>".to_owned()));
    function.bucket.fault("d", Fault::Refused(400, "a plain text".to_owned()));
    let all = [("1", &["a"][..]), ("2", &["b"]), ("3", &["c"]), ("4", &["d"])];
    assert_eq!(function.land(1, &all), ["1", "2", "3", "4"]);
    assert_eq!(function.land(10, &[("2", &["b"])]), ["2"]);
    let (quarantine, answer) =
        (function.quarantine(), function.lambda.invoke(s3(&["a"]).to_string().as_bytes()));
    let log = function.lambda.end();
    for said in ["400 Bad Request: ExpiredToken: Told by ExpiredToken", "odd: ", "a plain text"] {
        assert!(log.contains(said), "{said} not in {log}");
    }
    let all = format!("{log}{quarantine}{}", answer.unwrap_err());
    for secret in ["SESSIONTOKEN", "SECRETACCESSKEY", "AKIDEXAMPLE"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}
