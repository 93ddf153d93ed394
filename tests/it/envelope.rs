//! What a record's bytes are taken for: envelopes in all their forms, gzip in all its states, plain
//! text.

use hiwake::envelope::{exact, parsed};
use proptest::prelude::*;
use serde_json::json;

use crate::given::{
    STREAM, T, answer, config, envelope, event, failed, folder, gzip, gzipped, one, record,
    request, results, sample, text,
};

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
fn an_unknown_message_type_fails_and_is_not_told() {
    let mut value = envelope(&["a"]);
    value["messageType"] = json!("ORDER");
    assert_eq!(failed(&gzipped(&value)), "unknown-message-type");
    assert_eq!(failed(b"{\"messageType\":\"ORDER\"}"), "unknown-message-type");
    let error = parsed("{\"messageType\":\"ORDER\"}").unwrap_err();
    assert_eq!(error, hiwake::envelope::EnvelopeError::UnknownMessageType);
}

#[test]
fn a_broken_envelope_is_malformed_not_plain() {
    let whole = envelope(&["secret"]).to_string();
    for cut in [1, 2, 20, 30] {
        assert_eq!(failed(&gzip(&whole.as_bytes()[..whole.len() - cut])), "torn-json");
    }
    assert_eq!(failed(b"{\"messageType\":\"DATA_MESSAGE\",\"owner\":\"12345"), "torn-json");
    assert_eq!(failed(b"{\"messageType\":"), "torn-json");
    for member in ["owner", "logGroup", "logStream", "logEvents"] {
        let mut value = envelope(&["secret"]);
        value.as_object_mut().unwrap().remove(member);
        let text = value.to_string();
        assert_eq!(failed(text.as_bytes()), "malformed-envelope");
        let error = parsed(&text).unwrap_err().to_string();
        assert!(error.contains(&format!("`{member}`")), "{error}");
    }
    assert_eq!(failed(b"{\"messageType\":5}"), "malformed-envelope");
    assert_eq!(failed(b"{\"messageType\":\"DATA_MESSAGE\"}"), "malformed-envelope");
}

/// `cases/records/02`: the stream judged a record as a whole, and lost what an object landed.
#[test]
fn what_stands_beside_an_envelope_in_a_record_is_a_line_of_its_own() {
    let whole = envelope(&["event"]).to_string();
    for (text, lines) in [
        (format!("{whole} trailing"), ["event", "trailing"]),
        (format!("{whole}{{\"a\":1}}"), ["event", "{\"a\":1}"]),
        (format!("{{\"a\":1}}{whole}"), ["{\"a\":1}", "event"]),
    ] {
        let (answered, _) = one("[plain]\nkind = \"raw\"", text.as_bytes());
        assert_eq!(answered.lines().iter().map(|line| line.trim()).collect::<Vec<_>>(), lines);
    }
}

/// `cases/records/01`: one event that a strict parser refuses took thousands with it.
#[test]
fn an_event_that_cannot_be_a_row_is_refused_alone() {
    for (field, wrong, reason) in [
        ("id", json!(null), "event 1: `id` is missing"),
        ("id", json!(["secret"]), "event 1: `id` is not a string"),
        ("timestamp", json!("secret"), "event 1: `timestamp` is not a whole number"),
        ("timestamp", json!(1.5), "event 1: `timestamp` is not a whole number"),
        ("message", json!(null), "event 1: `message` is missing"),
        ("message", json!({"a": "secret"}), "event 1: `message` is not a string"),
    ] {
        let mut value = envelope(&["wrong", "good"]);
        value["logEvents"][0][field] = wrong;
        let (answered, counts) = answer(&config(""), &request(&[gzipped(&value)]));
        assert_eq!(answered[0].lines(), ["good"]);
        assert_eq!(answered[0].refused, ["malformed-event"]);
        assert_eq!((counts.events, counts.rows, counts.refused["malformed-event"]), (2, 1, 1));
        let text = value.to_string();
        let fault = parsed(&text).unwrap().malformed[0].0.to_string();
        assert!(fault.starts_with(reason), "{fault}");
    }
    let mut value = envelope(&["good"]);
    value["logEvents"].as_array_mut().unwrap().push(json!("no event"));
    let (answered, _) = answer(&config(""), &request(&[gzipped(&value)]));
    assert_eq!((answered[0].lines(), answered[0].refused.len()), (vec!["good"], 1));
}

/// `cases/records/01`: what a parser refuses in a string is repaired, not refused.
#[test]
fn half_a_surrogate_pair_bytes_that_are_no_utf_8_and_control_characters_keep_the_event() {
    let whole = envelope(&["whole", "cut MARK"]).to_string();
    for (mark, line) in [
        (&br"\ud83d"[..], "cut \u{fffd}"),
        (br"\ude00", "cut \u{fffd}"),
        (br"\ud83d\ud83d\ude00", "cut \u{fffd}\u{1f600}"),
        (br"\\ud83d", r"cut \ud83d"),
        (b"\xff", "cut \u{fffd}"),
        (b"caf\xe9 \xe6\x97", "cut caf\u{fffd} \u{fffd}"),
        (b"a\tb\x1bc", "cut a\tb\u{1b}c"),
    ] {
        let at = whole.find("MARK").unwrap();
        let bytes = [&whole.as_bytes()[..at], mark, &whole.as_bytes()[at + 4..]].concat();
        let (answered, _) = one("", &gzip(&bytes));
        assert_eq!(answered.lines(), ["whole", line], "{}", String::from_utf8_lossy(mark));
    }
}

/// `cases/records/13`: AWS's own samples have timestamps in quotes.
#[test]
fn a_number_in_a_string_an_integral_float_and_a_number_for_a_name_are_read() {
    for timestamp in [json!("1650214747000"), json!(1650214747000.0), json!(1.650214747e12)] {
        let mut value = envelope(&["a"]);
        value["logEvents"][0]["timestamp"] = timestamp;
        value["owner"] = json!(123456789012_u64);
        value["subscriptionFilters"] = json!(null);
        let (answered, _) = one("", &gzipped(&value));
        assert_eq!((answered.rows[0].timestamp, answered.lines()), (T, vec!["a"]));
        assert!(answered.rows[0].stream.to_string().starts_with("123456789012:"));
    }
}

/// `cases/records/12`: the second was dropped as already landed.
#[test]
fn events_of_one_id_and_time_but_of_other_texts_are_lines_each_whatever_their_order() {
    let mut keys = Vec::new();
    for texts in [["one", "two", "two", "three"], ["two", "three", "one", "two"]] {
        let mut value = envelope(&texts);
        for event in value["logEvents"].as_array_mut().unwrap() {
            event["id"] = json!("same");
            event["timestamp"] = json!(T);
        }
        let (answered, _) = one("", &gzipped(&value));
        assert_eq!(answered.lines(), texts);
        let mut known: Vec<_> =
            answered.rows.iter().map(|row| (row.line.to_string(), row.key())).collect();
        known.sort_unstable();
        known.dedup();
        assert_eq!(known.len(), 3);
        assert!(answered.rows.iter().any(|row| row.id == "same" && row.line == "one"));
        keys.push(known);
    }
    assert_eq!(keys[0], keys[1]);
}

/// `cases/records/05`: an event stamped in seconds was a line of 1970.
#[test]
fn an_event_whose_time_cannot_be_right_is_refused_with_a_guess() {
    let mut last = String::new();
    for (timestamp, guess) in [
        (1_650_214_747, Some("52 years before its arrival: seconds instead of milliseconds?")),
        (1_650_214_747_000_000, Some("microseconds instead of milliseconds?")),
        (1_650_214_747_000_000_000, Some("nanoseconds instead of milliseconds?")),
        (221_845_392_000_000, Some("after its arrival")),
        (0, Some("52 years before its arrival")),
        (-1, None),
        (i64::MIN, None),
        (i64::MAX, None),
        (T - 14 * 86_400_000, Some("")),
    ] {
        let mut value = envelope(&["before", "this"]);
        value["logEvents"][1]["timestamp"] = json!(timestamp);
        let (answered, counts) = answer(&config(""), &request(&[gzipped(&value)]));
        assert_eq!(results(&answered), ["Ok"], "{timestamp}");
        if guess == Some("") {
            assert_eq!(answered[0].lines(), ["before", "this"]);
            continue;
        }
        assert_eq!(answered[0].lines(), ["before"], "{timestamp}");
        assert_eq!((counts.events, counts.refused["impossible-timestamp"]), (2, 1));
        let sample = sample();
        let options = hiwake::object::Options::new(&sample.limits);
        let (_, seen) = crate::given::object::read_with(&gzipped(&value)[..], &options, &sample);
        last.clone_from(&seen.reasons[0]);
        assert!(last.contains(guess.unwrap_or_default()), "{last}");
    }
    assert!(!last.is_empty());
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
    assert_eq!(failed(&gzip(&twice)), "nested-gzip");
}

#[test]
fn torn_and_damaged_gzip_each_fail_by_name() {
    let good = gzipped(&envelope(&["a message that is long enough to be cut"]));
    for length in [2, 5, 10, 11, good.len() / 2, good.len() - 8, good.len() - 1] {
        assert_eq!(failed(&good[..length]), "torn-gzip", "{length} bytes");
    }
    for crc in good.len() - 8..good.len() {
        let mut bad = good.clone();
        bad[crc] ^= 1;
        assert_eq!(failed(&bad), "corrupt-gzip");
    }
    let torn = [&good[..], &good[..good.len() - 3]].concat();
    assert_eq!(failed(&torn), "torn-gzip", "the second member counts too");
}

#[test]
fn a_bomb_is_an_error_one_byte_over_the_cap_never_a_truncation() {
    let value = envelope(&["a"]).to_string();
    let code = |inflated_bytes, data: &[u8]| {
        let mut config = config("");
        config.limits.inflated_bytes = inflated_bytes;
        let (_, counts) = answer(&config, &request(&[data.to_vec()]));
        counts.failed.keys().next().cloned()
    };
    let data = gzip(value.as_bytes());
    assert_eq!(code(value.len(), &data), None);
    assert_eq!(code(value.len() - 1, &data), Some("bomb".to_owned()));
    // The cap is for the sum of the members, and of both passes.
    let twice = [data.clone(), data.clone()].concat();
    assert_eq!(code(2 * value.len(), &twice), None);
    assert_eq!(code(2 * value.len() - 1, &twice), Some("bomb".to_owned()));
    let nested = gzip(&data);
    assert_eq!(code(value.len() + data.len(), &nested), None);
    assert_eq!(code(value.len() + data.len() - 1, &nested), Some("bomb".to_owned()));
}

// Plain text: console demo data, and bytes that are not text.

#[test]
fn demo_data_becomes_plain_rows_with_and_without_its_line_break() {
    let demo = r#"{"TICKER_SYMBOL":"QXZ","SECTOR":"HEALTHCARE","CHANGE":-0.05,"PRICE":84.51}"#;
    for text in [demo.to_owned(), format!("{demo}\n"), format!("{demo}\r\n")] {
        let (answered, _) = one("", text.as_bytes());
        let row = &answered.rows[0];
        assert_eq!(answered.lines(), [demo]);
        assert_eq!((&*row.file, row.kind.name(), &*row.id), ("plain", "raw", "r0-1"));
        assert_eq!((row.timestamp, row.stream.to_string().as_str()), (T + 60_000, STREAM));
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
    for data in [&b"\x82\xb1\x82\xf1"[..], b"caf\xe9"] {
        assert_eq!(failed(data), "not-text", "{data:x?}");
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

/// A message as CloudWatch Logs writes it, whose strings are JSON already.
fn to_the_letter(strings: &[String], timestamp: &str, events: usize) -> String {
    let string = |n: usize| format!("\"{}\"", strings[n % strings.len()]);
    let event = |n| {
        let (id, message) = (string(4 + n), string(7 + n));
        format!(r#"{{"id":{id},"timestamp":{timestamp},"message":{message}}}"#)
    };
    let events: Vec<String> = (0..events).map(event).collect();
    let (owner, group, stream) = (string(0), string(1), string(2));
    format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":{owner},"logGroup":{group},"logStream":{stream},"subscriptionFilters":[{}],"logEvents":[{}]}}"#,
        string(3),
        events.join(",")
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Text that is to the letter what CloudWatch sends, and text that nearly is.
    #[test]
    fn exact_is_never_another_answer(
        strings in proptest::collection::vec(r#"([a-z \u{1}注]|\\[nt"\\u/x]|\\u00e[0-9a-f]|\\ud83d\\ude00|\\udc00){0,6}"#, 1..8),
        timestamp in "0|[1-9][0-9]{0,19}|0[0-9]|-[0-9]|[0-9]e[0-9]|[0-9]\\.5",
        events in 0_usize..4,
        edit in proptest::option::weighted(0.6, (any::<prop::sample::Index>(), 0_usize..3, "[ ,:\"\\\\{}0a]")),
    ) {
        let mut text = to_the_letter(&strings, &timestamp, events);
        if let Some((at, cut, with)) = edit {
            let at = at.index(text.len());
            let end = (at + cut).min(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(end) {
                text.replace_range(at..end, &with);
            }
        }
        if let Some((read, length)) = exact(text.as_bytes(), &mut Vec::new()) {
            prop_assert_eq!(Ok(read), parsed(&text[..length]));
        }
    }
}

proptest! {
    /// All but strings with escapes of four digits, which are left to it.
    #[test]
    fn a_string_is_what_the_parser_reads(
        body in prop::collection::vec(
            prop_oneof![
                6 => Just("a"), 2 => Just("é"), 1 => Just("\u{7f}"), 1 => Just("\\n"),
                1 => Just("\\\\"), 1 => Just("\\\""), 1 => Just("\\/\\b\\f\\r\\t"),
            ],
            0..40,
        ),
        odd in prop_oneof![
            6 => Just(""), 1 => Just("\u{1f}"), 1 => Just("\\u0041"), 1 => Just("\\x"), 1 => Just("\""),
        ],
        at in any::<prop::sample::Index>(),
    ) {
        let mut body = body;
        body.insert(at.index(body.len() + 1), odd);
        let text = to_the_letter(&[body.concat()], "1650214747000", 1);
        let mut spare = Vec::new();
        let read = exact(text.as_bytes(), &mut spare).map(|(read, _)| read);
        let parsed = parsed(&text).ok();
        let unread = odd.starts_with("\\u") && read.is_none();
        prop_assert!(read == parsed || unread, "{read:?} {parsed:?}");
    }
}

#[test]
fn exact_reads_what_cloudwatch_sends() {
    let strings = ["plain".to_owned(), r#"two\nlines \"quoted\""#.to_owned(), "注文".to_owned()];
    let text = to_the_letter(&strings, "1650214747000", 3);
    let mut spare = Vec::new();
    let (envelope, length) = exact(text.as_bytes(), &mut spare).unwrap();
    assert_eq!((envelope.log_events.len(), length), (3, text.len()));
    assert!(envelope.log_events.iter().any(|event| event.message == "two\nlines \"quoted\""));
    assert_eq!(Ok(envelope), parsed(&text));
}
