//! Inputs of the field that version 0.1 got wrong, and some that came out right: the real binary,
//! run as each case's page says, gives what the page expects. (07, 09, 10 and 17, log files, are in
//! `run.rs`.)

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::cli::Desk;
use crate::given::{envelope, folder, gzipped, request, text, tree};

const RUN: &str = "--root @root --bucket @s3 --now 2030-01-01T00:00:00Z";
const MESSAGES: &str = "messages/2022-04-18.csv";
/// A day file and its lines.
type File = (&'static str, &'static [&'static str]);

const LABELS: &str = "HOGE,HOGE,1,HOGEHOGE,";

/// Runs an event of a case; what became of it.
fn run(desk: &Desk, name: &str) -> (i32, String) {
    said(&desk.hiwake(&format!("run {} {RUN}", path(name))))
}

fn path(name: &str) -> String {
    folder().join("tests/cases").join(format!("{name}.json")).to_str().unwrap().to_owned()
}

fn said(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// The lines of each open day file, the labels of messages left out.
fn lines(desk: &Desk) -> BTreeMap<String, Vec<String>> {
    let published = desk.published("root").into_iter();
    let lines = published.filter_map(|(name, text)| {
        let text = String::from_utf8(text).unwrap();
        let line = |line: &str| line.strip_prefix(LABELS).unwrap_or(line).to_owned();
        // No lines of `str`, which would take a carriage return away.
        let lines = text.split_terminator('\n').map(line).collect();
        Some((name.strip_suffix(".open")?.to_owned(), lines))
    });
    lines.collect()
}

fn quarantined(desk: &Desk) -> Vec<Value> {
    let files = tree(&desk.path("root"));
    let kept = files.iter().filter(|(name, _)| name.starts_with(".hiwake/quarantine/"));
    let lines = kept.flat_map(|(_, text)| text.split_inclusive(|byte| *byte == b'\n'));
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// Lands with exit code 0 as these lines of day files, and nothing is kept.
fn lands_as(name: &str, expected: &[File]) {
    let desk = Desk::new();
    let (code, said) = run(&desk, name);
    assert_eq!(code, 0, "{name}: {said}");
    let lines = lines(&desk);
    let found: Vec<(&str, Vec<&str>)> = lines
        .iter()
        .map(|(file, lines)| (file.as_str(), lines.iter().map(String::as_str).collect()))
        .collect();
    let expected: Vec<(&str, Vec<&str>)> =
        expected.iter().map(|(file, lines)| (*file, lines.to_vec())).collect();
    assert_eq!(found, expected, "{name}");
    assert!(quarantined(&desk).is_empty(), "{name}");
}

#[test]
fn case_01_a_lone_surrogate_is_one_character_of_one_event() {
    lands_as(
        "records/01-lone-surrogate-takes-the-envelope",
        &[(MESSAGES, &["whole", "cut in two \u{fffd}"])],
    );
}

#[test]
fn case_02_a_foreign_value_between_envelopes_is_a_plain_line() {
    lands_as(
        "records/02-foreign-value-between-envelopes",
        &[(MESSAGES, &["first", "second"]), ("plain/2022-04-18.log", &["{\"n\":1}"])],
    );
}

/// `run` takes events of any age. What the functions do: transform's answer is an object, and it is
/// landed.
#[test]
fn case_05_a_timestamp_in_seconds_is_refused_with_the_guess() {
    let desk = Desk::new();
    let event = path("records/05-timestamp-in-seconds");
    let guess =
        "timestamp 1650214747 is 52 years before its arrival: seconds instead of milliseconds?";
    let refused = format!("Refused\timpossible-timestamp\t{guess}\n");
    assert_eq!(desk.ok(&format!("transform --lines {event}")), refused);
    let answer: Value = serde_json::from_str(&desk.ok(&format!("transform {event}"))).unwrap();
    let data = answer["records"][0]["data"].as_str().unwrap();
    desk.write("in/rows.zst", &STANDARD.decode(data).unwrap());
    let (code, said) = said(&desk.hiwake("land @in --root @root"));
    assert!(code == 1 && said.contains(guess), "{said}");
    assert!(lines(&desk).is_empty());
    let kept = quarantined(&desk).remove(0);
    assert_eq!((&kept["code"], &kept["reason"]), (&"impossible-timestamp".into(), &guess.into()));
    assert!(kept["data"].as_str().unwrap().contains("\"message\":\"event 0\""), "{kept}");
}

#[test]
fn case_06_a_day_that_is_sealed_late_stays_for_the_retention_after_it() {
    let desk = Desk::new();
    let case: Value = serde_json::from_slice(
        &fs::read(path("records/06-retention-removes-what-just-landed")).unwrap(),
    )
    .unwrap();
    let config = desk.write("hiwake.toml", case["config"].as_str().unwrap().as_bytes());
    let event = desk.write("event.json", case["event"].to_string().as_bytes());
    let hiwake = |rest: &str| desk.ok(&format!("--config {config} {rest} --root @root"));
    let run = format!("run {event} --bucket @s3 --now 2022-05-01T08:00:00+09:00");
    hiwake(&run);
    let sealed = hiwake("seal --now 2022-05-01T10:00:00+09:00");
    assert!(
        sealed.starts_with("sealed f/2022-04-18.csv") && !sealed.contains("removed"),
        "{sealed}"
    );
    assert!(desk.path("root/f/2022-04-18.csv").exists());
    assert!(!hiwake("seal --now 2022-05-11T07:00:00+09:00").contains("removed"));
    let removed = hiwake("seal --now 2022-05-11T11:00:00+09:00");
    assert!(removed.starts_with("removed f/2022-04-18.csv"), "{removed}");
    assert!(!desk.path("root/f/2022-04-18.csv").exists());
    assert!(hiwake("status").contains("2022-04-18  removed"));
}

#[test]
fn case_12_two_texts_of_one_id_are_two_lines() {
    lands_as("records/12-same-id-other-text", &[("messages/2022-12-10.csv", &["one", "two"])]);
}

#[test]
fn case_13_a_timestamp_in_a_string_is_a_timestamp() {
    lands_as("records/13-timestamp-as-string", &[(MESSAGES, &["m"])]);
}

#[test]
fn case_14_an_empty_record_of_failed_is_nothing() {
    let desk = Desk::new();
    desk.write("in/o", &fs::read(path("records/14-empty-rawData-is-quarantined")).unwrap());
    let said = desk.ok("land @in --root @root");
    let nothing = "landed 1 object: 0 rows, 0 new lines (0 late), 0 already landed, 0 quarantined";
    assert_eq!(said.trim_end(), nothing);
    assert!(quarantined(&desk).is_empty());
}

#[test]
fn case_15_an_event_for_another_function_is_named_with_what_to_do() {
    let event = path("records/15-wrong-trigger-unclear");
    let said = Desk::new().fails(1, &format!("transform {event}"));
    let expected = "not a valid Firehose event: `records` is missing; its keys are `awslogs`: this is what a subscription filter sends to a Lambda; point the filter at the Firehose stream\n";
    assert!(said.ends_with(expected), "{said}");
}

#[test]
fn case_16_an_envelope_in_disguise_is_read_or_refused_by_its_name() {
    let desk = Desk::new();
    let (code, said) = run(&desk, "records/16-envelope-in-disguise-becomes-a-plain-line");
    assert_eq!(code, 1, "{said}");
    let counts = "put 3 records: 2 transformed, 0 dropped, 1 failed";
    assert!(said.starts_with(counts) && said.contains("2 rows, 1 new line "), "{said}");
    // The same event in base64 and in a list.
    assert_eq!(lines(&desk), BTreeMap::from([(MESSAGES.to_owned(), vec!["m".to_owned()])]));
    let kept = quarantined(&desk).remove(0);
    let reason = kept["reason"].as_str().unwrap();
    assert!(kept["code"] == "mangled-gzip" && reason.contains("decoded as text"), "{kept}");
}

/// `core/11`: parts of an identity that were joined by a colon gave one identity to two.
#[test]
fn case_core_11_a_colon_in_a_log_group_or_stream_makes_no_identity_of_two() {
    let desk = Desk::new();
    let toml = "timezone = \"UTC\"\n[[source]]\nlog_groups = [\"/g/*\"]\nfile = \"messages\"\n";
    let config = desk.write("hiwake.toml", toml.as_bytes());
    let envelope = |group: &str, stream: &str, message: &str| {
        format!(
            "{{\"messageType\":\"DATA_MESSAGE\",\"owner\":\"1\",\"logGroup\":\"{group}\",\"logStream\":\"{stream}\",\"subscriptionFilters\":[\"f\"],\"logEvents\":[{{\"id\":\"x\",\"timestamp\":1650240000000,\"message\":\"{message}\"}}]}}\n"
        )
    };
    let both = [envelope("/g/a:b", "c", "one"), envelope("/g/a", "b:c", "two")].concat();
    desk.write("in/colon", both.as_bytes());
    desk.ok(&format!("--config {config} land @in --root @root"));
    let expected = vec!["one".to_owned(), "two".to_owned()];
    assert_eq!(lines(&desk), BTreeMap::from([(MESSAGES.to_owned(), expected)]));

    // A row whose key stands twice is a row: refused, not text.
    let row = br#"{"file":"messages","kind":"csv","day":"2022-04-18","timestamp":1650240000000,"stream":"a","id":"b","line":"l","line":"k"}"#;
    desk.write("dup/o", row);
    let said = desk.fails(1, &format!("--config {config} land @dup --root @root"));
    assert!(said.contains("not a valid row: field `line` appears twice"), "{said}");
    assert_eq!(lines(&desk).len(), 1);
}

/// What came out right, by name: the lines of each day file.
const OK: &[(&str, &[File])] = &[
    ("01-control-message-alone", &[]),
    (
        "02-concatenated-envelopes",
        &[
            ("lambda/%2Faws%2Flambda%2Ff/2022-04-18.csv", &["lambda,2022-04-18 01:59:07,i-0abc,b"]),
            (MESSAGES, &["a"]),
        ],
    ),
    ("03-control-between-data", &[(MESSAGES, &["a", "b"])]),
    ("04-owner-before-messageType", &[(MESSAGES, &["m"])]),
    ("05-natively-decompressed", &[(MESSAGES, &["a"])]),
    ("06-gzip-in-gzip", &[(MESSAGES, &["a"])]),
    ("08-two-filters-one-event", &[(MESSAGES, &["a"])]),
    ("09-same-text-other-id", &[(MESSAGES, &["same", "same"])]),
    (
        "10-two-groups-one-id",
        &[
            ("lambda/%2Faws%2Flambda%2Fq/2022-04-18.csv", &["lambda,2022-04-18 01:59:07,i-0abc,a"]),
            (MESSAGES, &["a"]),
        ],
    ),
    ("11-policyLevel-and-extractedFields", &[(MESSAGES, &["m"])]),
    (
        "13-java-trace",
        &[(
            MESSAGES,
            &["java.lang.IllegalStateException: x\\n\tat a.B.c(B.java:1)\\nCaused by: y"],
        )],
    ),
    (
        "14-control-characters",
        &[(
            MESSAGES,
            &[
                "nul\0in",
                "\x1b[31mred\x1b[0m",
                "vt\x0bff\x0c",
                "nel\u{85} ls\u{2028}",
                "\u{feff}bom",
            ],
        )],
    ),
    ("15-empty-and-breaks-only", &[(MESSAGES, &["", "", "", " "])]),
    (
        "18-waf-eks-rds-apigw",
        &[
            (
                "unmatched/%2Faws%2Feks%2Fc%2Fcluster/2022-04-18.csv",
                &[r#""{""kind"":""Event"",""apiVersion"":""audit.k8s.io/v1""}""#],
            ),
            (
                "unmatched/%2Faws%2Frds%2Fcluster%2Fc%2Faudit/2022-04-18.csv",
                &["\"20220418 01:59:07,db,admin,192.0.2.5,1,2,QUERY,d,'select 1',0\""],
            ),
            (
                "unmatched/API-Gateway-Execution-Logs_a%2Fprod/2022-04-18.csv",
                &[r#""(x) Method request body: {""x"":1}""#],
            ),
            (
                "unmatched/aws-waf-logs-x/2022-04-18.csv",
                &[r#""{""action"":""BLOCK"",""uri"":""/a,b?\""c\""""}""#],
            ),
        ],
    ),
    (
        "19-windows-event-xml",
        &[(
            "unmatched/WindowsEventLogs/2022-04-18.csv",
            &[
                "\"<Event xmlns='x'>\\n\t<EventID>4624</EventID>\\n\t<Message>アカウント, \"\"ログオン\"\"</Message>\\n</Event>\"",
            ],
        )],
    ),
    (
        "20-flow-log",
        &[(
            "unmatched/%2Faws%2Fvpc%2Fflow-logs/2022-04-18.csv",
            &[
                "2 123456789012 eni-0 192.0.2.1 192.0.2.2 443 5555 6 1 40 1650214700 1650214747 ACCEPT OK",
            ],
        )],
    ),
    ("22-surrogate-pair", &[(MESSAGES, &["\u{1f600} \\ud83d"])]),
];

/// Those whose lines are too many or too long to write down; each has a test of its own.
const OTHERS: [&str; 3] =
    ["12-same-millisecond-order", "16-odd-log-groups", "21-kpl-aggregate-is-refused"];

#[test]
fn what_came_out_right_still_does() {
    for (name, expected) in OK {
        lands_as(&format!("ok/{name}"), expected);
    }
    let known = OK.iter().map(|(name, _)| *name).chain(OTHERS).collect::<Vec<_>>();
    for name in tree(&folder().join("tests/cases/ok")).keys() {
        assert!(known.contains(&name.strip_suffix(".json").unwrap()), "{name}: nobody tries it");
    }
}

/// The lines of messages that an input gives, which gives nothing else.
fn messages(name: &str) -> Vec<String> {
    messages_of(&path(name))
}

fn messages_of(path: &str) -> Vec<String> {
    let desk = Desk::new();
    let (code, said) = said(&desk.hiwake(&format!("run {path} {RUN}")));
    assert_eq!(code, 0, "{said}");
    let mut lines = lines(&desk);
    let messages = lines.remove(MESSAGES).unwrap();
    assert!(lines.is_empty() && quarantined(&desk).is_empty());
    messages
}

#[test]
fn ok_07_ten_thousand_events_of_one_record_land() {
    let desk = Desk::new();
    desk.write("event.json", &request(&[gzipped(&envelope(&vec!["x"; 10_000]))]));
    let event = desk.path("event.json");
    assert_eq!(messages_of(event.to_str().unwrap()), vec!["x"; 10_000]);
}

#[test]
fn ok_12_events_of_one_millisecond_keep_their_order() {
    let expected: Vec<_> = (0..50).map(|number| format!("SEQ{number:03}")).collect();
    assert_eq!(messages("ok/12-same-millisecond-order"), expected);
}

#[test]
fn ok_17_an_event_of_a_mebibyte_lands_whole() {
    let desk = Desk::new();
    let message = text(17, 1_048_000).replace(',', ";");
    desk.write("event.json", &request(&[gzipped(&envelope(&[&message]))]));
    let event = desk.path("event.json");
    assert_eq!(messages_of(event.to_str().unwrap()), [message]);
}

#[test]
fn ok_16_each_odd_log_group_has_a_folder_of_its_own() {
    let desk = Desk::new();
    let (code, said) = run(&desk, "ok/16-odd-log-groups");
    assert_eq!(code, 0, "{said}");
    let lines = lines(&desk);
    let folders: Vec<_> = lines.keys().map(|file| file.split('/').nth(1).unwrap()).collect();
    let long = format!("{}~1dc784e1e03539a1baca519a34e6fb45", "A".repeat(160));
    let expected = [
        "%23h%23",
        "%2E.",
        "%2Ehidden",
        "%2F%2F",
        "%32022-04-18.csv",
        "%32022-04-18",
        "%E6%97%A5%E6%9C%AC",
        "-rf",
        &long,
        "trailing%2F",
    ];
    assert_eq!(folders, expected);
    assert!(lines.values().all(|lines| lines == &["m"]));
}

#[test]
fn ok_21_records_that_a_producer_aggregated_are_refused_by_their_name() {
    let desk = Desk::new();
    let (code, said) = run(&desk, "ok/21-kpl-aggregate-is-refused");
    assert!(code == 1 && said.starts_with("put 1 record: 0 transformed, 0 dropped, 1 failed"));
    assert!(said.contains("set AggregationEnabled = false in the producer"), "{said}");
    assert!(lines(&desk).is_empty());
    assert_eq!(quarantined(&desk).remove(0)["code"], "kpl-aggregate");
}
