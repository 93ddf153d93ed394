//! Firehose's contract, and every trap in it that someone has stepped into before.

use aws_lambda_events::event::firehose::{KinesisFirehoseEvent, KinesisFirehoseResponse};
use hiwake::firehose::{EventError, OVERFLOW, transform};
use hiwake::record::Records;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::given::{
    Answered, T, answer, answered, config, envelope, event, folder, gzip, gzipped, record, request,
    sample,
};

const PLAIN_STREAM: &str = "arn:aws:firehose:ap-northeast-1:123456789012:deliverystream/hiwake";

fn results(answered: &[Answered]) -> Vec<&str> {
    answered.iter().map(|one| &*one.result).collect()
}

/// The one record's answer and, if it failed, its code.
fn one(toml: &str, data: &[u8]) -> (Answered, Option<&'static str>) {
    let (mut answered, counts) = answer(&config(toml), &request(&[data.to_vec()]));
    assert_eq!(answered.len(), 1);
    (answered.remove(0), counts.failed.keys().next().copied())
}

fn failed(data: &[u8]) -> &'static str {
    let (answered, code) = one("", data);
    assert_eq!(answered.result, "ProcessingFailed");
    code.unwrap()
}

#[test]
fn the_line_of_the_readme() {
    let event = std::fs::read(folder().join("events/firehose-hogehoge.json")).unwrap();
    let (answered, _) = answer(&sample(), &event);
    let row = &answered[0].rows[0];
    assert_eq!((&*row.file, row.day.to_string().as_str()), ("messages", "2022-04-18"));
    assert_eq!(row.timestamp, T);
    assert_eq!(row.stream, "123456789012:/var/log/messages:i-0abc");
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
    let expected = ["Ok", bad, bad, bad, bad, bad, bad, "Dropped", "Dropped", "Ok", bad, bad, "Ok"];
    assert_eq!(results(&answered), expected);
    let codes: Vec<_> = counts.failed.iter().map(|(code, count)| (*code, *count)).collect();
    let expected = [
        ("base64", 1),
        ("impossible-timestamp", 1),
        ("malformed-envelope", 2),
        ("not-text", 1),
        ("torn-gzip", 1),
        ("trailing-bytes", 1),
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
        let error = transform(&mut Records::new(&config("")), &event).unwrap_err();
        assert_eq!(error, EventError::RecordId(2), "{bad}");
    }
}

#[test]
fn what_is_no_firehose_event_is_an_error_without_its_text() {
    for event in ["", "{}", "[]", "{\"records\":5}", "{\"records\":[{]}", "{\"records\":[\u{0}]}"] {
        let error = transform(&mut Records::new(&config("")), event.as_bytes()).unwrap_err();
        assert!(matches!(error, EventError::Malformed { .. }), "{event}: {error}");
    }
    let secret =
        transform(&mut Records::new(&config("")), b"{\"records\":\"secret\"}").unwrap_err();
    assert!(!secret.to_string().contains("secret"));
}

#[test]
fn an_event_without_records_has_an_empty_answer() {
    let config = config("");
    let (answer, counts) = transform(&mut Records::new(&config), &event(&json!([]))).unwrap();
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
        assert_eq!(counts.failed[&"base64"], 1);
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
        assert_eq!(counts.failed[&"impossible-timestamp"], 1);
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
        // The crate refuses the event for its one record with bad base64: why our types are our own.
        if !wanted {
            continue;
        }
        let event = std::fs::read(&path).unwrap();
        let theirs: Result<KinesisFirehoseEvent, _> = serde_json::from_slice(&event);
        assert_eq!(theirs.is_err(), name == "firehose-mixed-batch.json", "{name}: {theirs:?}");
        let config = sample();
        let (answer, _) = transform(&mut Records::new(&config), &event).unwrap();
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

#[test]
fn the_answer_never_exceeds_its_budget_and_every_record_is_answered() {
    let noise: Vec<Vec<u8>> =
        (0..40u64).map(|seed| gzipped(&envelope(&[&text(seed, 3_000)]))).collect();
    let full = answer(&config(""), &request(&noise)).1.answer_bytes;
    assert!(full > 40 * 2_000);
    let bare = 12 + 2 + noise.len() * (12 + 5 + 29 + 1) - 1;
    for limit in [bare.max(1_950), 2_500, 5_000, 20_000, full - 1, full, full + 1] {
        let toml = format!("[limits]\nanswer_bytes = {limit}");
        let (answered, counts) = answer(&config(&toml), &request(&noise));
        assert_eq!(answered.len(), 40);
        assert_eq!(counts.overflow() > 0, limit < full, "{limit}");
        assert_eq!(counts.overflow(), counts.failed.get(OVERFLOW).copied().unwrap_or(0));
        assert_eq!(counts.events, 40, "what overflows is counted");
    }
}

#[test]
fn a_small_record_after_one_that_does_not_fit_still_fits() {
    let large = gzipped(&envelope(&[&text(1, 30_000)]));
    let small = gzipped(&envelope(&["small"]));
    let config = config("[limits]\nanswer_bytes = 10_000");
    let (answered, _) = answer(&config, &request(&[large, small]));
    assert_eq!(results(&answered), ["ProcessingFailed", "Ok"]);
}

#[test]
fn ten_megabytes_of_repetition_in_forty_kilobytes_fit() {
    let message = "the same line again and again ".repeat(300);
    let data = gzipped(&envelope(&vec![&*message; 1_100]));
    assert!(data.len() < 100_000);
    let (answered, counts) = answer(&config(""), &request(&[data]));
    assert_eq!((answered[0].rows.len(), counts.overflow()), (1_100, 0));
}

#[test]
fn a_budget_too_small_for_bare_answers_is_an_error() {
    let config = config("[limits]\nanswer_bytes = 100");
    let datas = vec![b"text".to_vec(); 10];
    let error = transform(&mut Records::new(&config), &request(&datas)).unwrap_err();
    assert!(matches!(error, EventError::Budget { limit: 100, needed } if needed > 100));
}

/// Text that gzip cannot do much about.
fn text(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + (state % 75) as u8)
    };
    (0..length).map(|_| next()).collect()
}

// Envelopes

#[test]
fn a_control_message_is_dropped_though_it_carries_an_event() {
    let event = std::fs::read(folder().join("events/firehose-control-message.json")).unwrap();
    let (answered, counts) = answer(&sample(), &event);
    assert_eq!(results(&answered), ["Dropped"]);
    assert_eq!((counts.events, counts.events_dropped), (1, 1));
    // However its events look.
    let odd = json!({"messageType": "CONTROL_MESSAGE", "logEvents": "none"});
    assert_eq!(one("", &gzipped(&odd)).0.result, "Dropped");
}

#[test]
fn a_data_message_without_events_is_dropped_never_ok_with_empty_data() {
    assert_eq!(one("", &gzipped(&envelope(&[]))).0.result, "Dropped");
    assert_eq!(one("", b"").0.result, "Dropped");
    assert_eq!(one("", b"\r\n\n").0.result, "Dropped");
    assert_eq!(one("", &gzip(b"")).0.result, "Dropped");
}

#[test]
fn unknown_keys_are_tolerated_everywhere() {
    let mut value = envelope(&["a"]);
    value["policyLevel"] = json!("ACCOUNT_LEVEL_POLICY");
    value["@aws.account"] = json!({"deep": [1, {"logGroup": 2}]});
    value["logEvents"][0]["extractedFields"] = json!({"message": "not this"});
    value["logEvents"][0]["@aws.region"] = json!("ap-northeast-1");
    let (answered, _) = one("", &gzipped(&value));
    assert_eq!(answered.lines(), ["a"]);
}

#[test]
fn an_unknown_message_type_fails_by_its_name_cut_short() {
    let mut value = envelope(&["a"]);
    value["messageType"] = json!("X".repeat(500));
    assert_eq!(failed(&gzipped(&value)), "unknown-message-type");
    assert_eq!(failed(b"{\"messageType\":\"ORDER\"}"), "unknown-message-type");
    let error = hiwake::envelope::content("{\"messageType\":\"ORDER\"}").unwrap_err();
    assert!(error.to_string().contains("`ORDER`"));
    let long = format!("{{\"messageType\":\"{}\"}}", "X".repeat(500));
    assert!(hiwake::envelope::content(&long).unwrap_err().to_string().len() < 200);
}

#[test]
fn a_broken_envelope_is_malformed_not_plain() {
    let whole = envelope(&["secret"]).to_string();
    for cut in [1, 2, 20, 30] {
        assert_eq!(failed(&gzip(&whole.as_bytes()[..whole.len() - cut])), "malformed-envelope");
    }
    assert_eq!(
        failed(b"{\"messageType\":\"DATA_MESSAGE\",\"owner\":\"12345"),
        "malformed-envelope"
    );
    assert_eq!(failed(b"{\"messageType\""), "malformed-envelope");
    assert_eq!(failed(format!("{whole} trailing").as_bytes()), "malformed-envelope");
    assert_eq!(failed(format!("{whole}{{\"a\":1}}").as_bytes()), "malformed-envelope");
    assert_eq!(failed(format!("{{\"a\":1}}{whole}").as_bytes()), "malformed-envelope");
    for member in ["owner", "logGroup", "logStream", "logEvents"] {
        let mut value = envelope(&["secret"]);
        value.as_object_mut().unwrap().remove(member);
        let text = value.to_string();
        assert_eq!(failed(text.as_bytes()), "malformed-envelope");
        let error = hiwake::envelope::content(&text).unwrap_err().to_string();
        assert!(error.contains(&format!("`{member}`")), "{error}");
    }
    for (member, wrong) in
        [("id", json!(5)), ("timestamp", json!("secret")), ("message", json!(null))]
    {
        let mut value = envelope(&["secret"]);
        value["logEvents"][0][member] = wrong;
        assert_eq!(failed(&gzipped(&value)), "malformed-envelope");
        let error = hiwake::envelope::content(&value.to_string()).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert_eq!(failed(b"{\"messageType\":5}"), "malformed-envelope");
    assert_eq!(failed(b"{\"messageType\":\"DATA_MESSAGE\"}"), "malformed-envelope");
}

#[test]
fn impossible_timestamps_fail_that_record_without_a_panic() {
    for timestamp in [-1, i64::MIN, i64::MAX, 253_402_300_800_000, 253_402_300_799_999] {
        let mut value = envelope(&["before", "impossible"]);
        value["logEvents"][1]["timestamp"] = json!(timestamp);
        let datas = [gzipped(&value), gzipped(&envelope(&["good"]))];
        let (answered, counts) = answer(&sample(), &request(&datas));
        assert_eq!(results(&answered), ["ProcessingFailed", "Ok"], "{timestamp}");
        assert_eq!(counts.failed[&"impossible-timestamp"], 1);
        assert_eq!((counts.events, counts.events_failed, counts.rows), (3, 2, 1));
        assert_eq!(answered[1].rows.len(), 1, "no row of the failed record");
    }
    let mut value = envelope(&["a"]);
    value["logEvents"][0]["timestamp"] = json!(1e300);
    assert_eq!(failed(&gzipped(&value)), "malformed-envelope");
}

#[test]
fn an_envelope_across_midnight_has_rows_of_both_days() {
    let event = std::fs::read(folder().join("events/firehose-midnight.json")).unwrap();
    let (answered, _) = answer(&sample(), &event);
    let days: Vec<_> = answered[0].rows.iter().map(|row| row.day.to_string()).collect();
    assert_eq!(days, ["2022-04-17", "2022-04-17", "2022-04-18", "2022-04-18"]);
}

#[test]
fn messages_with_nul_quotes_and_commas_come_through() {
    let message = "nul \0, \"quoted\" \u{7f}\u{1b}[0m \u{2028} 日本";
    let (answered, _) = one("", &gzipped(&envelope(&[message])));
    assert_eq!(answered.lines(), ["\"nul \0, \"\"quoted\"\" \u{7f}\u{1b}[0m \u{2028} 日本\""]);
}

#[test]
fn a_message_of_a_megabyte_comes_through() {
    let message = text(3, 1 << 20);
    let (answered, _) = one("", &gzipped(&envelope(&[&message])));
    assert!(answered.rows[0].line.len() >= 1 << 20);
}

// Gzip

#[test]
fn all_members_of_a_record_are_read_not_only_the_first() {
    let mut data = gzipped(&envelope(&["a", "b"]));
    data.extend(gzipped(&envelope(&["c"])));
    assert_eq!(one("", &data).0.lines(), ["a", "b", "c"]);
}

#[test]
fn several_envelopes_in_one_member_are_all_read() {
    let (a, b) = (envelope(&["a"]), envelope(&["b"]));
    for between in ["", "\n", " \r\n\t"] {
        assert_eq!(one("", &gzip(format!("{a}{between}{b}").as_bytes())).0.lines(), ["a", "b"]);
    }
}

#[test]
fn a_control_message_beside_data_loses_no_event() {
    let control = json!({"messageType": "CONTROL_MESSAGE", "owner": "", "logGroup": "",
        "logStream": "", "logEvents": [{"id": "", "timestamp": 1, "message": "check"}]});
    let text = format!("{control}{}", envelope(&["a"]));
    let (answered, counts) = answer(&config(""), &request(&[gzip(text.as_bytes())]));
    assert_eq!(answered[0].lines(), ["a"]);
    assert_eq!((counts.events, counts.rows, counts.events_dropped), (2, 1, 1));
}

#[test]
fn an_envelope_in_clear_is_read_as_firehoses_own_decompression_delivers_it() {
    let value = envelope(&["a", "b"]);
    assert_eq!(one("", value.to_string().as_bytes()).0.lines(), ["a", "b"]);
    assert_eq!(one("", format!("{value}\n").as_bytes()).0.lines(), ["a", "b"]);
}

#[test]
fn what_is_compressed_twice_is_read_and_three_times_is_not() {
    let twice = gzip(&gzipped(&envelope(&["a"])));
    assert_eq!(one("", &twice).0.lines(), ["a"]);
    assert_eq!(failed(&gzip(&twice)), "not-text");
}

#[test]
fn torn_damaged_and_littered_gzip_each_fail_by_name() {
    let good = gzipped(&envelope(&["a message that is long enough to be cut"]));
    for length in [2, 5, 10, 11, good.len() / 2, good.len() - 8, good.len() - 1] {
        assert_eq!(failed(&good[..length]), "torn-gzip", "{length} bytes");
    }
    for crc in good.len() - 8..good.len() {
        let mut bad = good.clone();
        bad[crc] ^= 1;
        assert_eq!(failed(&bad), "corrupt-gzip");
    }
    let mut first_good = good.clone();
    first_good.extend(&good[..good.len() - 3]);
    assert_eq!(failed(&first_good), "torn-gzip", "the second member counts too");
    for litter in [&b"\n"[..], b"\0\0\0\0", b"text", b"\x1f"] {
        let mut littered = good.clone();
        littered.extend(litter);
        assert_eq!(failed(&littered), "trailing-bytes");
    }
}

#[test]
fn a_bomb_is_an_error_one_byte_over_the_cap_never_a_truncation() {
    let value = envelope(&["a"]).to_string();
    let toml = |bytes| format!("[limits]\ninflated_bytes = {bytes}");
    let data = gzip(value.as_bytes());
    assert_eq!(one(&toml(value.len()), &data).1, None);
    assert_eq!(one(&toml(value.len() - 1), &data).1, Some("bomb"));
    // The cap is for the sum of the members, and of both passes.
    let twice = [data.clone(), data.clone()].concat();
    assert_eq!(one(&toml(2 * value.len()), &twice).1, None);
    assert_eq!(one(&toml(2 * value.len() - 1), &twice).1, Some("bomb"));
    let nested = gzip(&data);
    assert_eq!(one(&toml(value.len() + data.len()), &nested).1, None);
    assert_eq!(one(&toml(value.len() + data.len() - 1), &nested).1, Some("bomb"));
}

// Plain text: console demo data, and what is no text at all.

#[test]
fn demo_data_becomes_plain_rows_with_and_without_its_line_break() {
    let demo = r#"{"TICKER_SYMBOL":"QXZ","SECTOR":"HEALTHCARE","CHANGE":-0.05,"PRICE":84.51}"#;
    for text in [demo.to_owned(), format!("{demo}\n"), format!("{demo}\r\n")] {
        let (answered, _) = one("", text.as_bytes());
        let row = &answered.rows[0];
        assert_eq!(answered.lines(), [demo]);
        assert_eq!((&*row.file, row.kind.name(), &*row.id), ("plain", "raw", "r0-1"));
        assert_eq!((row.timestamp, &*row.stream), (T + 60_000, PLAIN_STREAM));
    }
}

#[test]
fn one_uncompressed_record_does_not_fail_the_batch() {
    let good = gzipped(&envelope(&["a"]));
    let datas = [good.clone(), b"not compressed".to_vec(), good];
    let (answered, counts) = answer(&config(""), &request(&datas));
    assert_eq!(results(&answered), ["Ok", "Ok", "Ok"]);
    assert_eq!((counts.plain, answered[1].lines()), (1, vec!["not compressed"]));
}

#[test]
fn plain_text_is_a_row_a_line_with_blank_ones_kept_inside() {
    let (answered, _) = one("", b"one\r\n\ntwo\rhalf\n  \nthree\n\r\n\n");
    assert_eq!(answered.lines(), ["one", "", "two\\nhalf", "  ", "three"]);
    let ids: Vec<_> = answered.rows.iter().map(|row| &*row.id).collect();
    assert_eq!(ids, ["r0-1", "r0-2", "r0-3", "r0-4", "r0-5"]);
}

#[test]
fn plain_text_can_be_dropped_by_configuration() {
    let toml = "[plain]\ndrop = true";
    let (answered, counts) = answer(&config(toml), &request(&[b"one\ntwo".to_vec()]));
    assert_eq!(results(&answered), ["Dropped"]);
    assert_eq!((counts.dropped[&"plain"], counts.events_dropped), (1, 2));
}

#[test]
fn plain_text_has_a_file_and_a_kind_of_its_own() {
    let toml = "[format]\nkind = \"json\"\n[plain]\nfile = \"demo\"\nkind = \"csv\"";
    let (answered, _) = one(toml, b"a,b\n\nc");
    assert_eq!(answered.lines(), ["\"a,b\"", "\"\"", "c"]);
    assert_eq!((&*answered.rows[0].file, answered.rows[0].kind.name()), ("demo", "csv"));
}

#[test]
fn json_of_others_that_only_mentions_message_type_is_plain() {
    for text in [
        r#"INFO sent {"messageType":"DATA_MESSAGE"}"#,
        r#"{"body":{"messageType":"DATA_MESSAGE"}}"#,
        r#"{"owner":5,"body":{"messageType":"DATA_MESSAGE"}}"#,
        r#"{"body":"{\"messageType\":\"DATA_MESSAGE\"}"}"#,
    ] {
        assert_eq!(one("", text.as_bytes()).0.lines(), [text]);
    }
}

#[test]
fn bytes_that_are_neither_gzip_nor_utf_8_fail_by_name() {
    for data in [&b"\x82\xb1\x82\xf1"[..], b"caf\xe9", b"\x1f", b"\xff\xfe\x00"] {
        let expected = if data == b"\x1f" { None } else { Some("not-text") };
        assert_eq!(one("", data).1, expected, "{data:x?}");
    }
    assert_eq!(failed(&gzip(b"caf\xe9")), "not-text");
}

#[test]
fn records_keep_nothing_from_one_to_the_next() {
    let datas: Vec<Vec<u8>> = vec![
        gzip(&gzipped(&envelope(&["nested"]))),
        gzipped(&envelope(&["a longer message than the next one's"])),
        gzipped(&envelope(&["b"])),
        b"plain".to_vec(),
        gzipped(&envelope(&[])),
        b"\xff".to_vec(),
        gzipped(&envelope(&["c"])),
    ];
    let together = answer(&config(""), &request(&datas)).0;
    for (n, (data, together)) in datas.iter().zip(&together).enumerate() {
        let alone = answer(&config(""), &event(&json!([record(n, data)]))).0;
        assert_eq!(&alone[0], together);
    }
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
        let config = config(&format!("[limits]\nanswer_bytes = {limit}"));
        let (answered, _) = answer(&config, &request(&datas));
        let ids: Vec<_> = answered.iter().map(|one| one.id.clone()).collect();
        prop_assert_eq!(ids, (0..datas.len()).map(|n| format!("r{n}")).collect::<Vec<_>>());
    }

    #[test]
    fn no_request_panics(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>(), byte: u8) {
        let config = config("");
        let mut records = Records::new(&config);
        prop_assert!(transform(&mut records, &bytes).is_err());
        let mut event = request(&[gzipped(&envelope(&["a"])), b"text".to_vec()]);
        let at = at.index(event.len());
        event[at] = byte;
        if let Ok((answer, counts)) = transform(&mut records, &event) {
            prop_assert_eq!(answered(&answer).len(), counts.records);
        }
    }
}
