//! Firehose's contract, and every trap in it that someone has stepped into before.

use aws_lambda_events::event::firehose::{KinesisFirehoseEvent, KinesisFirehoseResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hiwake::config::Config;
use hiwake::firehose::{Counts, OVERFLOW, transform};
use hiwake::object::Reader;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::given::{
    T, answer, answered, config, envelope, event, folder, gzip, gzipped, record, request, results,
    sample, text,
};

#[test]
fn the_line_of_the_readme() {
    let event = std::fs::read(folder().join("events/firehose-hogehoge.json")).unwrap();
    let (answered, _) = answer(&sample(), &event);
    let row = &answered[0].rows[0];
    assert_eq!((&*row.file, row.day.to_string().as_str()), ("messages", "2022-04-18"));
    assert_eq!(row.timestamp, T);
    assert_eq!(row.stream.to_string(), "123456789012:/var/log/messages:i-0abc");
    let line =
        "HOGE,HOGE,1,HOGEHOGE,Apr 17 16:59:07 host ec2-user: 2022-04-16 05:54:17 hogehoge connect";
    assert_eq!(row.line, line);
}

#[test]
fn every_id_comes_back_once_in_order_with_the_good_ones_intact() {
    let event = std::fs::read(folder().join("events/firehose-mixed-batch.json")).unwrap();
    let (answered, counts) = answer(&sample(), &event);
    let request: Value = serde_json::from_slice(&event).unwrap();
    let ids: Vec<_> =
        request["records"].as_array().unwrap().iter().map(|record| &record["recordId"]).collect();
    assert_eq!(ids, answered.iter().map(|one| &one.id[..]).collect::<Vec<_>>());
    let bad = "ProcessingFailed";
    let expected =
        ["Ok", bad, bad, bad, bad, bad, "Ok", "Dropped", "Dropped", "Ok", "Ok", bad, "Ok"];
    assert_eq!(results(&answered), expected);
    let codes: Vec<_> = counts.failed.iter().map(|(code, count)| (&**code, *count)).collect();
    let expected = [
        ("base64", 1),
        ("malformed-envelope", 1),
        ("not-text", 1),
        ("torn-gzip", 1),
        ("torn-json", 1),
        ("unknown-message-type", 1),
    ];
    assert_eq!(codes, expected);
    assert!(answered[12].rows[0].line.ends_with("good record 5"));
}

#[test]
fn an_id_that_comes_twice_is_answered_twice() {
    let good = gzipped(&envelope(&["a"]));
    let torn = &good[..good.len() - 9];
    let records = json!([record(7, &good), record(7, torn), record(3, &good), record(7, &good)]);
    let (answered, _) = answer(&config(""), &event(&records));
    let ids: Vec<_> = answered.iter().map(|one| &*one.id).collect();
    assert_eq!(ids, ["r7", "r7", "r3", "r7"]);
    assert_eq!(results(&answered), ["Ok", "ProcessingFailed", "Ok", "Ok"]);
}

#[test]
fn an_id_is_answered_as_it_came_whatever_it_holds() {
    for id in ["a\"b\\c\n", "日本", "", "\u{1F69A}"] {
        let mut record = record(0, &gzipped(&envelope(&["a"])));
        record["recordId"] = json!(id);
        let (answered, _) = answer(&config(""), &event(&json!([record])));
        assert_eq!(answered[0].id, id);
    }
}

#[test]
fn a_record_without_a_readable_id_fails_the_event_and_is_named() {
    let good = record(0, b"text");
    for bad in [json!({"data": "aGk="}), json!({"recordId": 5}), json!(null), json!("r1")] {
        let event = event(&json!([good, good, bad]));
        let error = transform(&mut Reader::new(&config("")), &event).unwrap_err();
        assert!(error.to_string().starts_with("record 2 (from 0) of the"), "{bad}: {error}");
    }
}

#[test]
fn what_is_no_firehose_event_is_an_error_without_its_text() {
    for event in ["", "{}", "[]", "{\"records\":5}", "{\"records\":[{]}", "{\"records\":[\u{0}]}"] {
        let error = transform(&mut Reader::new(&config("")), event.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("not a valid Firehose event: "), "{event}: {error}");
    }
    let secret = transform(&mut Reader::new(&config("")), b"{\"records\":\"secret\"}").unwrap_err();
    assert!(!secret.to_string().contains("secret"));
}

/// Case 15: the error named a column. Whose event it is, is told by its keys.
#[test]
fn case_15_a_wrong_trigger_is_named_with_what_to_do() {
    let record = |record: Value| json!({ "Records": [record] });
    let sns = json!({"EventSource": "aws:sns", "Sns": {"Message": "secret"}});
    let filter = "`awslogs`: this is what a subscription filter sends to a Lambda; point the filter at the Firehose stream";
    let to_land = "only Firehose calls transform: send S3 notices to the land function's queue";
    let cases = [
        (json!({"awslogs": {"data": "secret"}}), filter),
        (
            record(json!({"kinesis": {"data": "secret"}, "eventSource": "aws:kinesis"})),
            "`Records`: this is what a Kinesis data stream sends to a Lambda; make the data stream the source of the Firehose stream",
        ),
        (record(json!({"eventSource": "aws:sqs", "body": "secret"})), "an SQS queue sends"),
        (record(json!({"eventSource": "aws:s3", "s3": "secret"})), to_land),
        (record(sns), "an SNS topic sends"),
        (json!({"requestContext": {}, "body": "secret"}), "an HTTP request, by API Gateway"),
        (json!({"detail-type": "Object Created", "detail": "secret"}), "EventBridge sends"),
        (json!({"Records": "secret", "a": 1}), "its keys are `Records`, `a`"),
    ];
    for (event, expected) in cases {
        let error = transform(&mut Reader::new(&config("")), event.to_string().as_bytes());
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("not a valid Firehose event: `records` is missing; "), "{error}");
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
    let error =
        transform(&mut Reader::new(&config("")), b"{\"records\":5,\"a\\n\":1}").unwrap_err();
    let expected =
        "not a valid Firehose event: `records` is not a list; its keys are `a\\n`, `records`";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_event_without_records_has_an_empty_answer() {
    let config = config("");
    let (answer, counts) = transform(&mut Reader::new(&config), &event(&json!([]))).unwrap();
    assert_eq!((&answer[..], counts.records), (&b"{\"records\":[]}"[..], 0));
}

#[test]
fn a_mistake_in_a_member_is_that_records_alone() {
    let good = record(0, &gzipped(&envelope(&["a"])));
    let datas = [json!(null), json!(5), json!("a\u{0}"), json!("aGk"), json!("aG k="), json!({})];
    for data in datas {
        let mut bad = good.clone();
        bad["data"] = data.clone();
        let (answered, counts) = answer(&config(""), &event(&json!([good, bad, good])));
        assert_eq!(results(&answered), ["Ok", "ProcessingFailed", "Ok"], "{data}");
        assert_eq!(counts.failed["base64"], 1);
    }
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("data");
    let (answered, _) = answer(&config(""), &event(&json!([good, without])));
    assert_eq!(results(&answered), ["Ok", "ProcessingFailed"]);
}

#[test]
fn base64_with_escaped_slashes_is_read() {
    let record = record(0, &[b'?'; 30]);
    let text = String::from_utf8(event(&json!([record]))).unwrap();
    assert!(text.contains("Pz8/"));
    let (answered, _) = answer(&config(""), text.replace('/', "\\/").as_bytes());
    assert_eq!(answered[0].lines(), ["?".repeat(30)]);
}

#[test]
fn a_record_without_arrival_fails_only_if_it_needs_it() {
    let mut enveloped = record(0, &gzipped(&envelope(&["a"])));
    let mut plain = record(1, b"text");
    for arrival in [json!(null), json!("soon"), json!({})] {
        enveloped["approximateArrivalTimestamp"] = arrival.clone();
        plain["approximateArrivalTimestamp"] = arrival;
        let (answered, counts) = answer(&config(""), &event(&json!([enveloped, plain])));
        assert_eq!(results(&answered), ["Ok", "ProcessingFailed"]);
        assert_eq!(counts.failed["no-arrival"], 1);
    }
    plain["approximateArrivalTimestamp"] = json!("1650214747000");
    let (answered, _) = answer(&config(""), &event(&json!([plain])));
    assert_eq!(answered[0].rows[0].timestamp, T);
}

#[test]
fn the_crates_types_read_our_events_and_our_answers() {
    for entry in std::fs::read_dir(folder().join("events")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let wanted = name.starts_with("firehose-") && !name.ends_with(".expected.json");
        // The crate refuses the event for its one record with bad base64: why our types are our
        // own.
        if !wanted {
            continue;
        }
        let event = std::fs::read(&path).unwrap();
        let theirs: Result<KinesisFirehoseEvent, _> = serde_json::from_slice(&event);
        assert_eq!(theirs.is_err(), name == "firehose-mixed-batch.json", "{name}: {theirs:?}");
        let config = sample();
        let (answer, _) = transform(&mut Reader::new(&config), &event).unwrap();
        // The crate wants members that AWS does not.
        let mut padded: Value = serde_json::from_slice(&answer).unwrap();
        for record in padded["records"].as_array_mut().unwrap() {
            let record = record.as_object_mut().unwrap();
            record.entry("data").or_insert(json!(""));
            record.entry("metadata").or_insert(json!({"partitionKeys": {}}));
        }
        let parsed: KinesisFirehoseResponse = serde_json::from_value(padded).unwrap();
        for (theirs, ours) in parsed.records.iter().zip(answered(&answer)) {
            assert_eq!(theirs.record_id.as_deref(), Some(&*ours.id));
            assert_eq!(theirs.result.as_deref(), Some(&*ours.result));
        }
    }
}

// The budget: landing-zone-accelerator 145, CloudWatch2S3 3 (6 MB answers and 413).

/// Records that were refused because the answer was full.
fn overflow(counts: &Counts) -> usize {
    counts.failed.get(OVERFLOW).copied().unwrap_or_default()
}

/// With less room than a configuration file may ask for.
fn limited(answer_bytes: usize) -> Config {
    let mut config = config("");
    config.limits.answer_bytes = answer_bytes;
    config
}

#[test]
fn the_answer_never_exceeds_its_budget_and_every_record_is_answered() {
    let noise: Vec<Vec<u8>> =
        (0..40u64).map(|seed| gzipped(&envelope(&[&text(seed, 3_000)]))).collect();
    let full = answer(&config(""), &request(&noise)).1.answer_bytes;
    assert!(full > 40 * 2_000);
    let bare = 12 + 2 + noise.len() * (12 + 5 + 29 + 1) - 1;
    for limit in [bare.max(1_950), 2_500, 5_000, 20_000, full - 1, full, full + 1] {
        let (answered, counts) = answer(&limited(limit), &request(&noise));
        assert_eq!(answered.len(), 40);
        assert!(overflow(&counts) == 0 || limit < full, "{limit}");
        assert!(overflow(&counts) > 0 || limit > full / 2, "{limit}");
        assert_eq!(counts.events, 40, "what overflows is counted");
    }
}

#[test]
fn what_does_not_fit_is_compressed_harder_before_it_is_given_up() {
    let lines: Vec<String> =
        (0..2_000).map(|n| format!("order {} of customer {n}", n * 37)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let request = request(&vec![gzipped(&envelope(&lines)); 3]);
    let (wanted, counts) = answer(&config(""), &request);
    let (answered, less) = answer(&limited(counts.answer_bytes - 1), &request);
    assert!(overflow(&less) == 0 && less.answer_bytes < counts.answer_bytes, "{less:?}");
    assert_eq!(answered[2].rows, wanted[2].rows);
}

#[test]
fn a_small_record_after_one_that_does_not_fit_still_fits() {
    let large = gzipped(&envelope(&[&text(1, 30_000)]));
    let small = gzipped(&envelope(&["small"]));
    let config = limited(10_000);
    let (answered, _) = answer(&config, &request(&[large, small]));
    assert_eq!(results(&answered), ["ProcessingFailed", "Ok"]);
}

#[test]
fn ten_megabytes_of_repetition_in_forty_kilobytes_fit() {
    let message = "the same line again and again ".repeat(300);
    let data = gzipped(&envelope(&vec![&*message; 1_100]));
    assert!(data.len() < 100_000);
    let (answered, counts) = answer(&config(""), &request(&[data]));
    assert_eq!((answered[0].rows.len(), overflow(&counts)), (1_100, 0));
}

#[test]
fn a_budget_too_small_for_bare_answers_is_an_error() {
    let config = limited(100);
    let datas = vec![b"text".to_vec(); 10];
    let error = transform(&mut Reader::new(&config), &request(&datas)).unwrap_err();
    assert!(error.to_string().ends_with("limits.answer_bytes is 100"), "{error}");
}

/// Bytes near the edges of what is understood: good records with a few bytes changed or cut.
fn record_data() -> impl Strategy<Value = Vec<u8>> {
    let base = prop::sample::select(vec![
        gzipped(&envelope(&["a", "b,\"c\"\r\nd"])),
        gzip(&gzipped(&envelope(&["a"]))),
        envelope(&["a", "b"]).to_string().into_bytes(),
        b"{\"messageType\":\"CONTROL_MESSAGE\"}".to_vec(),
        b"plain\r\n\ntext".to_vec(),
    ]);
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let edited = (base, edits, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut data, edits, cut, cuts)| {
            for (at, byte) in edits {
                let at = at.index(data.len());
                data[at] = byte;
            }
            if cuts {
                data.truncate(cut.index(data.len()));
            }
            data
        },
    );
    prop_oneof![4 => edited, 1 => any::<Vec<u8>>()]
}

proptest! {
    #[test]
    fn whatever_comes_is_answered_in_full_within_the_budget(
        datas in prop::collection::vec(record_data(), 0..12),
        limit in 700..4_000_usize,
    ) {
        let (answered, _) = answer(&limited(limit), &request(&datas));
        let ids: Vec<_> = answered.iter().map(|one| one.id.clone()).collect();
        prop_assert_eq!(ids, (0..datas.len()).map(|n| format!("r{n}")).collect::<Vec<_>>());
    }

    /// Two crates read base64 here: what transform refuses is what the others refuse, and land
    /// reads the others.
    #[test]
    fn data_is_base64_here_if_it_is_elsewhere(
        text in prop_oneof!["[A-Za-z0-9+/=]{0,12}", "[A-Za-z0-9+/]{0,40}={0,3}", "[ -~]{0,9}"],
    ) {
        let records = json!([{"recordId": "r", "approximateArrivalTimestamp": T, "data": text}]);
        let (_, counts) = answer(&config(""), &event(&records));
        prop_assert_eq!(counts.failed.contains_key("base64"), STANDARD.decode(&text).is_err());
    }

    #[test]
    fn no_request_panics(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), byte: u8) {
        let config = config("");
        let mut reader = Reader::new(&config);
        prop_assert!(transform(&mut reader, &bytes).is_err());
        let mut event = request(&[gzipped(&envelope(&["a"])), b"text".to_vec()]);
        let at = at.index(event.len());
        event[at] = byte;
        if let Ok((answer, counts)) = transform(&mut reader, &event) {
            prop_assert_eq!(answered(&answer).len(), counts.records);
        }
    }
}
