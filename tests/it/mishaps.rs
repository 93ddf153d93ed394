//! What producers do to records and storage to objects: the neighbours of what is broken land, and
//! it is named.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hiwake::object::{Options, Origin, Reader};
use serde_json::{Value, json};

use crate::given::gzip;
use crate::given::object::{
    Seen, compact_text, config, control, envelope, frame, limits, read, read_with,
};
use crate::object::failed_line;

/// Where the events of `envelope` begin, in milliseconds.
const T: i64 = crate::given::T;

fn message(text: &str) -> Vec<u8> {
    envelope(&[(text, text)])
}

/// An envelope of these events, as they are.
fn events(events: &str) -> Vec<u8> {
    let empty = String::from_utf8(envelope(&[])).unwrap();
    empty.replacen("[]", &format!("[{events}]"), 1).into_bytes()
}

fn event(id: &str, timestamp: &str, message: &str) -> String {
    format!("{{\"id\":\"{id}\",\"timestamp\":{timestamp},\"message\":{message}}}")
}

/// The messages that land, and the codes of what does not; read by pieces of any size.
fn found(object: &[u8]) -> (Vec<String>, Vec<String>) {
    let (_, seen) = read(object);
    for sizes in [vec![1], vec![3, 70, 1000]] {
        let chunked = crate::given::object::Chunked { bytes: object, sizes, turn: 0 };
        assert_eq!(read(chunked).1, seen);
    }
    outcome(&seen)
}

fn outcome(seen: &Seen) -> (Vec<String>, Vec<String>) {
    let bare = |line: &String| line.strip_prefix("HOGE,1,").unwrap_or(line).to_owned();
    let lines = seen.lines.iter().map(bare).collect();
    (lines, seen.bad_codes().into_iter().map(str::to_owned).collect())
}

#[track_caller]
fn gives(object: &[u8], lines: &[&str], codes: &[&str]) {
    let (found_lines, found_codes) = found(object);
    assert_eq!(found_lines, lines);
    assert_eq!(found_codes, codes);
}

fn reasons(object: &[u8]) -> Vec<String> {
    read(object).1.reasons
}

#[test]
fn a_character_that_no_json_may_hold_is_one_of_its_message() {
    let broken = [
        ("a\nb", "a\\nb"),
        ("a\r\tb", "a\\n\tb"),
        ("a\0b", "a\0b"),
        ("a\\\nb", "a\\\\nb"),
        ("a\\x41", "a\\x41"),
        ("a\\u12", "a\\u12"),
        ("a\\u+123", "a\\u+123"),
        ("\\ud83d\\ud83d\\ude00", "\u{fffd}\u{1f600}"),
    ];
    for (raw, line) in broken {
        let time = T.to_string();
        let list = [event("1", &time, "\"m\""), event("2", &time, &format!("\"{raw}\""))].join(",");
        let object = [events(&list), message("next")].concat();
        for object in [object.clone(), gzip(&object), failed_line(&object)] {
            gives(&object, &["m", line, "next"], &[]);
        }
    }
}

#[test]
fn a_fault_in_a_stream_or_an_owner_costs_no_event() {
    for (from, to) in [("i-0abc", "i-\\ud83d"), ("123456789012", "\\udc00"), ("i-0abc", "a\nb")] {
        let text = String::from_utf8(message("m")).unwrap().replace(from, to);
        gives(&gzip(text.as_bytes()), &["m"], &[]);
    }
}

/// A line break ends a string that breaks off: what follows is not taken for its rest.
#[test]
fn an_envelope_that_breaks_off_takes_no_line_below_it() {
    let torn = message("torn");
    for cut in 17..torn.len() {
        let text = [&torn[..cut], b"\n", &message("next"), b"\nplain\n"].concat();
        gives(&text, &["next", "plain"], &["torn-json"]);
    }
}

#[test]
fn an_event_is_refused_by_itself_with_what_is_wrong() {
    let good = |id: &str| event(id, &T.to_string(), "\"m\"");
    let twice = good("3").replace("\"message\"", "\"message\":\"other\",\"message\"");
    let array = format!("[\"4\",{T},\"m\"]");
    let bad = [
        ("null", "event 2 is not an object"),
        (&array, "event 2 is not an object"),
        (&twice, "event 2: `message` appears twice"),
        ("{}", "event 2: `id` is missing"),
    ];
    for (bad, reason) in bad {
        let object = gzip(&events(&[&good("1"), bad, &good("2")].join(",")));
        gives(&object, &["m", "m"], &["malformed-event"]);
        assert_eq!(reasons(&object), [reason]);
    }
    let text = String::from_utf8(message("m")).unwrap();
    let text = text.replace("\"owner\"", "\"owner\":\"1\",\"owner\"") + "\n";
    let object = [text.as_bytes(), &message("next")].concat();
    gives(&object, &["next"], &["malformed-envelope"]);
    assert_eq!(reasons(&object), ["malformed envelope: `owner` is given twice"]);
}

#[test]
fn of_a_hundred_thousand_events_one_is_refused() {
    let time = T.to_string();
    let list: Vec<_> = (0..100_000)
        .map(|n| event(&n.to_string(), &time, if n == 50_000 { "5" } else { "\"m\"" }))
        .collect();
    let config = config();
    let limits = limits(1 << 20, 64 << 20);
    let options = Options { limits: &limits, plain: true, until: None };
    let (_, seen) = read_with(&gzip(&events(&list.join(",")))[..], &options, &config);
    assert_eq!((seen.lines.len(), seen.bad_codes()), (99_999, vec!["malformed-event"]));
    assert_eq!(seen.reasons, ["event 50001: `message` is not a string"]);
}

#[test]
fn a_timestamp_is_a_whole_number_however_it_is_written() {
    let whole = [
        "\"1650214747000 \"",
        "\"+1650214747000\"",
        "1650214747000.0",
        "1.650214747e12",
        "\"1.650214747e12\"",
    ];
    for time in whole {
        gives(&gzip(&events(&event("1", time, "\"m\""))), &["m"], &[]);
    }
    for time in ["1650214747000.5", "1e400", "\"NaN\"", "\"inf\"", "\"0x10\"", "true", "[1]"] {
        gives(&gzip(&events(&event("1", time, "\"m\""))), &[], &["malformed-event"]);
    }
    for time in ["-1", "0", "5", "-1650214747000", "1650214747000000000", "253402300800000"] {
        gives(&gzip(&events(&event("1", time, "\"m\""))), &[], &["impossible-timestamp"]);
    }
}

#[test]
fn each_item_of_a_list_is_a_unit() {
    let (one, two) = (message("one"), message("two"));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let list = format!("[{},{{\"n\":1}},5,null,[1, 2],{}]", text(&one), text(&two));
    gives(list.as_bytes(), &["one", "{\"n\":1}", "5", "null", "[1, 2]", "two"], &[]);
    let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let pretty = serde_json::to_string_pretty(&json!([value(&one), value(&two)])).unwrap();
    gives(&gzip(pretty.as_bytes()), &["one", "two"], &[]);
    // One that is not UTF-8 is the same as elsewhere.
    let list = [b"[", &one[..], b",", &two, b"]"].concat();
    let at = list.windows(4).rposition(|bytes| bytes == b"two\"").unwrap();
    let mut broken = list.clone();
    broken[at] = 0xff;
    gives(&broken, &["one", "\u{fffd}wo"], &[]);
    gives(&[&list[..], &message("next")].concat(), &["one", "two", "next"], &[]);
    // What broke off is the second.
    for cut in [one.len() + 3, one.len() + 40, list.len() - 2] {
        let torn = [&list[..cut], b"\n", &message("next")].concat();
        gives(&torn, &["one", "next"], &["torn-json"]);
    }
    gives(&list[..=one.len()], &["one"], &[]);
}

#[test]
fn base64_is_read_however_it_is_broken_into_lines() {
    let texts: Vec<_> = (0..40).map(|n| format!("{}", n * 7919 % 1000)).collect();
    let many = envelope(&texts.iter().map(|text| (&text[..], &text[..])).collect::<Vec<_>>());
    let lines: Vec<_> = texts.iter().map(String::as_str).chain(["next"]).collect();
    let data = gzip(&many);
    let one = STANDARD.encode(&data);
    let wrapped = |width: usize, end: &str| {
        let lines = one.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap());
        lines.collect::<Vec<_>>().join(end)
    };
    let forms = [
        one.clone(),
        format!("{one}\r"),
        wrapped(76, "\n"),
        wrapped(76, "\r\n"),
        wrapped(64, "\n"),
        URL_SAFE_NO_PAD.encode(&data),
        STANDARD_NO_PAD.encode(&data),
        STANDARD.encode(&many),
        STANDARD.encode(frame(&many)),
    ];
    for form in forms {
        let object = [form.as_bytes(), b"\n", &message("next")].concat();
        for object in [object.clone(), gzip(&object)] {
            gives(&object, &lines, &[]);
        }
    }
}

#[test]
fn gzip_in_base64_that_is_broken_is_no_text() {
    let one = STANDARD.encode(gzip(&message("one")));
    let cut = |length: usize| format!("{}\n", &one[..length]);
    for (broken, code) in [(cut(17), "base64"), (cut(20), "base64"), (cut(160), "torn-gzip")] {
        let object = [broken.as_bytes(), &message("next")].concat();
        gives(&object, &["next"], &[code]);
    }
    // Of somebody else, and no base64.
    let others = STANDARD.encode(gzip(b"text"));
    for text in [others.as_str(), "H4sI is a word", "eyJhbGciOiJub25lIn0.e30."] {
        gives(text.as_bytes(), &[text], &[]);
    }
}

#[test]
fn byte_order_marks_stand_anywhere() {
    let mark = "\u{feff}".as_bytes();
    let inner = [mark, &message("one"), mark, &message("two")].concat();
    let object = [mark, &gzip(&inner), mark, b"\n", mark, &message("three")].concat();
    gives(&object, &["one", "two", "three"], &[]);
    gives(mark, &[], &[]);
}

#[test]
fn what_is_in_disguise_ends_where_a_record_begins() {
    let text = String::from_utf8(message("one")).unwrap();
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mangled = String::from_utf8_lossy(&gzip(&message("one"))).into_owned().into_bytes();
    let aggregate =
        [b"\xf3\x89\x9a\xc2\n\x01k\x1a\x30", &message("inner")[..], &[0xff; 16]].concat();
    let forms = [(&utf_16, "utf-16"), (&mangled, "mangled-gzip"), (&aggregate, "kpl-aggregate")];
    for (form, code) in forms {
        let object = [&gzip(&message("before")), &form[..], &gzip(&message("after"))].concat();
        gives(&object, &["before", "after"], &[code]);
    }
    // Its neighbours in a backup may be text: they must not be lost with it.
    for (form, code) in [(&utf_16, "utf-16"), (&mangled, "mangled-gzip")] {
        let object = [&form[..], b"\n", &message("two"), &message("three")].concat();
        gives(&object, &["two", "three"], &[code]);
    }
}

/// A failed record's arrival that cannot be right is not compared with: its object's is.
#[test]
fn a_failed_record_without_a_plausible_arrival_has_that_of_its_object() {
    let seconds = events(&event("1", "1650214747", "\"m\""));
    let arrivals = ["1650214748", "-5", "\"2022-04-17T16:59:08Z\"", "null", "1650214748000"];
    for arrival in arrivals {
        let replaced = |data: &[u8]| {
            let line = String::from_utf8(failed_line(data)).unwrap();
            line.replacen("1650214747000", arrival, 1).into_bytes()
        };
        let object = [replaced(&seconds), replaced(&message("next"))].join(&b'\n');
        gives(&object, &["next"], &["impossible-timestamp"]);
        let (_, plain) = read(&replaced(b"plain text")[..]);
        assert_eq!(plain.rows[0].day.to_string(), "2022-04-18", "{arrival}");
    }
}

fn rows(texts: &[&str]) -> String {
    let events: Vec<_> = texts.iter().map(|text| (*text, *text)).collect();
    String::from_utf8(compact_text(&config(), &envelope(&events))).unwrap()
}

#[test]
fn a_row_that_is_not_valid_costs_no_other_row() {
    let (text, after) = (rows(&["a"]), rows(&["b"]));
    let bad = [
        "garbage",
        "123",
        "-5 x y",
        "1650214747000 x",
        "{\"hiwake\":2,\"timestamp\":1650214747000,\"line\":\"x\"}",
        "{\"hiwake\":2,\"refused\":\"x\"}",
        "{\"hiwake\":2,\"refused\":\"x\",\"reason\":\"r\",\"bytes\":\"!\"}",
    ];
    let below = after.split_once('\n').unwrap().1;
    for bad in bad {
        gives(format!("{text}{bad}\n{below}").as_bytes(), &["a", "b"], &["malformed-row"]);
    }
}

/// Rows below a header that cannot be read belong nowhere: they stay in the quarantine when it is
/// landed.
#[test]
fn a_row_below_an_unreadable_header_never_becomes_text() {
    let (text, header) = (rows(&["a"]), rows(&["b"]).replace("2022-04-18", "2022-99-18"));
    let torn = header.replacen("\"kind\"", "\n", 1);
    for bad in [header.as_str(), &torn] {
        let object = format!("{text}{bad}{text}");
        let (_, seen) = read(object.as_bytes());
        assert_eq!(outcome(&seen).0, ["a", "a"]);
        assert!(seen.bad_codes().iter().all(|code| *code == "malformed-row"), "{seen:?}");
        for (code, bytes) in &seen.bad {
            let data = str::from_utf8(bytes).unwrap();
            let kept = json!({
                "code": code, "reason": "r", "object": "o", "offset": 0, "length": 1, "data": data,
            });
            gives(kept.to_string().as_bytes(), &[], &["malformed-row"]);
        }
    }
}

#[test]
fn newer_rows_in_a_record_hold_up_no_other_record() {
    let newer = rows(&["a"]).replace("{\"hiwake\":2", "{\"hiwake\":3");
    let object = [failed_line(newer.as_bytes()), failed_line(&message("next"))].join(&b'\n');
    gives(&object, &["next"], &["newer-rows"]);
    // It is kept whole: a newer release lands it.
    assert_eq!(read(&object[..]).1.bad[0].1, newer.as_bytes());
    let config = config();
    let origin = Origin { place: "p", id: None, arrival: Some(T) };
    let options = Options::new(&config.limits);
    let object =
        Reader::new(&config).object(newer.as_bytes(), origin, &options, &mut Seen::default());
    let said = object.unwrap_err().to_string();
    assert!(said.starts_with("has rows of version 3, which this release cannot read"), "{said}");
}

#[test]
fn a_frame_that_is_torn_or_flipped_costs_no_other_frame() {
    let (one, two) = (frame(rows(&["a"]).as_bytes()), frame(rows(&["b"]).as_bytes()));
    // One parenthesis may be text; two bytes of a frame cannot.
    for cut in 2..one.len() {
        let (lines, codes) = found(&[&one[..cut], &two[..]].concat());
        assert_eq!((lines, codes.len()), (vec!["b".to_owned()], 1), "{cut}");
        let (lines, codes) = found(&[&two[..], &one[..cut]].concat());
        assert_eq!(
            (&lines[..], &codes[..]),
            (&["b".to_owned()][..], &["torn-zstd".to_owned()][..])
        );
    }
    // Without the bit that tells of the checksum, its bytes are what follows.
    for bit in 40..one.len() * 8 {
        let mut flipped = one.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (_, seen) = read(&[&flipped[..], &two].concat()[..]);
        let (lines, codes) = outcome(&seen);
        // Some bits of the header mean nothing.
        assert!(
            lines == ["a", "b"] && codes.is_empty() || lines == ["b"] && codes.len() == 1,
            "{bit}"
        );
    }
}

#[test]
fn frames_are_read_wherever_they_are() {
    let one = frame(&message("one"));
    let mut bare = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    bare.write_all(&message("bare")).unwrap();
    let bare = bare.finish().unwrap();
    let skipped = b"\x50\x2a\x4d\x18\x05\0\0\0hello";
    gives(
        &[&skipped[..], &gzip(&one), &frame(&gzip(&message("two")))].concat(),
        &["one", "two"],
        &[],
    );
    gives(&[&bare[..], &one].concat(), &["bare", "one"], &[]);
    gives(&[&one[..], &skipped[..10]].concat(), &["one"], &["torn-zstd"]);
    gives(&[gzip(&gzip(&gzip(&one))), gzip(&control())].concat(), &[], &["nested-gzip"]);
}

/// Each could have all that follows looked through for its end.
#[test]
fn braces_that_are_never_closed_and_base64_of_others_are_read_in_time() {
    let base64 = format!("{}\n", STANDARD.encode(gzip(b"of somebody else")));
    for line in ["{\n", "{\"a\":\n", "[{\n", &base64, "eyJh\n"] {
        let count = (400 << 10) / line.len();
        let object = [line.repeat(count).as_bytes(), &gzip(&message("next"))].concat();
        let (read, seen) = read(&object[..]);
        assert_eq!((read.plain, read.events), (count, 1), "{line}");
        assert_eq!(seen.bad_codes(), [""; 0]);
    }
    let broken = format!("{}\n", "H4sIAAAA".repeat(8)).repeat(5000);
    gives(broken.as_bytes(), &[], &["base64"]);
    let others = format!("{}\n", "eyJhIjoi".repeat(8)).repeat(5000);
    assert_eq!(read(others.as_bytes()).0.plain, 5000);
}

/// Each of them inflated to as much as a record may.
#[test]
fn what_a_record_inflates_to_is_capped_however_it_is_wrapped() {
    let config = config();
    let limits = limits(1 << 20, 100_000);
    let half = STANDARD.encode(frame(&[&message("a")[..], &vec![b'\n'; 60_000]].concat()));
    let failed = |data: &[u8]| String::from_utf8(failed_line(data)).unwrap();
    for (times, codes) in [(1, vec![]), (2, vec!["bomb"])] {
        for line in [half.clone(), failed(&STANDARD.decode(&half).unwrap())] {
            let record = vec![line; times].join("\n");
            let origin = Origin { place: "s", id: Some("r"), arrival: Some(T) };
            let mut seen = Seen::default();
            let mut reader = Reader::new(&config);
            reader.record(record.as_bytes(), origin, &Options::new(&limits), &mut seen).unwrap();
            assert_eq!((seen.lines.len(), seen.bad_codes()), (1, codes.clone()));
        }
    }
}

/// They were malformed where their fields were not those of version 2.
#[test]
fn rows_of_a_newer_version_are_retried_whatever_their_fields_are() {
    for line in [
        "{\"hiwake\":3,\"file\":{\"a\":1}}\n1650214747000 1 x\n",
        "{\"hiwake\":3,\"timestamp\":\"12\"}\n",
        "{\"hiwake\":9,\"new\":[1]}\n",
    ] {
        let config = config();
        let origin = Origin { place: "b/k", id: None, arrival: Some(T) };
        let options = Options::new(&config.limits);
        let mut seen = Seen::default();
        let read = Reader::new(&config).object(line.as_bytes(), origin, &options, &mut seen);
        assert!(matches!(read, Err(hiwake::object::ReadError::Newer(3 | 9))), "{line}");
        assert!(seen.lines.is_empty() && seen.bad.is_empty());
    }
}
