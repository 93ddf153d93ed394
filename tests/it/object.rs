//! The reader of the four shapes: what it finds, and what it never loses.

use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hiwake::object::{self, Options, Origin, ReadError, Reader, RowPlace, Skipped};

use crate::given::gzip;
use crate::given::object::{
    Chunked, Counts, Seen, config, control, envelope, limits, read, read_with, rows_member,
    rows_text,
};

/// A record that transform did not answer, as Firehose writes it.
pub fn failed_line(data: &[u8]) -> Vec<u8> {
    let data = STANDARD.encode(data);
    let line = format!(
        r#"{{"attemptsMade":1,"arrivalTimestamp":1650214747000,"errorCode":"Lambda.ProcessingFailedStatus","errorMessage":"ProcessingFailed status set for record","attemptEndingTimestamp":1650214748000,"rawData":"{data}","lambdaARN":"arn:x"}}"#
    );
    line.into_bytes()
}

#[test]
fn rows_are_read_as_they_are() {
    let config = config();
    let record = envelope(&[("1", "a"), ("2", "b,\"c\""), ("3", "日本")]);
    let text = rows_text(&config, &record);
    for object in [text.clone(), gzip(&text), rows_member(&config, &record), gzip(&gzip(&text))] {
        let (read, seen) = read(&object[..]);
        assert_eq!(seen.ids, ["1", "2", "3"]);
        assert_eq!(seen.lines, ["HOGE,1,a", "HOGE,1,\"b,\"\"c\"\"\"", "HOGE,1,日本"]);
        assert_eq!(read, Counts { rows: 3, ..Counts::default() });
    }
}

#[test]
fn a_row_with_members_in_another_order_is_a_row() {
    let row = r#"{"day":"2022-04-18","line":"x","later":{"a":[1]},"file":"messages","kind":"csv","timestamp":1650214747000,"stream":"o:g:s","id":"9"}"#;
    let (read, seen) = read(row.as_bytes());
    assert_eq!((read.rows, seen.lines), (1, vec!["x".to_owned()]));
}

#[test]
fn source_records_are_read_member_by_member_with_text_between_them() {
    let mut object = gzip(&envelope(&[("1", "a")]));
    object.extend(b"plain one\nplain two");
    object.extend(gzip(&control()));
    object.extend(envelope(&[("2", "b")]));
    object.extend(envelope(&[("3", "c")]));
    object.extend(gzip(&envelope(&[("4", "d")])));
    for object in [object.clone(), gzip(&object)] {
        let (read, seen) = read(&object[..]);
        assert_eq!(seen.bad_codes(), [""; 0]);
        assert_eq!(
            seen.lines,
            ["HOGE,1,a", "plain one", "plain two", "HOGE,1,b", "HOGE,1,c", "HOGE,1,d"]
        );
        assert_eq!((read.events, read.plain), (4, 2));
        assert_eq!(seen.skipped, [(Skipped::Empty, 1)]);
    }
}

#[test]
fn envelopes_in_clear_may_be_pretty_printed() {
    let value: serde_json::Value = serde_json::from_slice(&envelope(&[("1", "a {\"")])).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap();
    let (read, seen) = read(format!("{pretty}\n{pretty}").as_bytes());
    assert_eq!((read.events, seen.bad_codes().len()), (2, 0));
}

#[test]
fn failed_records_of_every_spelling_are_read() {
    let data = STANDARD.encode(gzip(&envelope(&[("1", "a")])));
    let lines = [
        format!(r#"{{"rawData":"{data}","errorCode":"X","arrivalTimestamp":1,"lambdaARN":"arn"}}"#),
        format!(
            r#"{{"lambdaArn":"arn","arrivalTimestamp":"1","attemptsMade":"4","rawData":"{data}"}}"#
        ),
        format!(
            r#"{{"errorCode":"Brand.New","extra":{{"rawData":"no"}},"arrivalTimestamp":null,"rawData":"{data}"}}"#
        ),
        format!(
            r#"{{"rawData":"{}","subsequenceNumber":0,"esDocumentId":"x"}}"#,
            data.replace('/', "\\/")
        ),
    ];
    for line in &lines {
        let (read, seen) = read(line.as_bytes());
        assert_eq!((read.events, seen.bad.len()), (1, 0), "{line} {seen:?}");
    }
    let (read, _) = read(gzip(lines.join("\n").as_bytes()).as_slice());
    assert_eq!(read, Counts { events: 4, ..Counts::default() });
}

#[test]
fn a_failed_plain_record_keeps_its_arrival() {
    let (read, seen) = read(&failed_line(b"plain text")[..]);
    assert_eq!(read.plain, 1);
    assert_eq!(seen.rows[0].timestamp, 1_650_214_747_000);
    assert_eq!(seen.rows[0].stream.to_string(), "bucket/key");
}

#[test]
fn failed_records_that_cannot_be_read_are_bad_one_by_one() {
    let torn = gzip(&envelope(&[("1", "a")]));
    let lines = [
        br#"{"rawData":"%%%","errorCode":"X"}"#.to_vec(),
        br#"{"rawData":17}"#.to_vec(),
        failed_line(&torn[..torn.len() - 9]),
        failed_line(b"\xff\xfd"),
        failed_line(&gzip(&envelope(&[("2", "b")]))),
    ];
    let (read, seen) = read(&lines.join(&b'\n')[..]);
    assert_eq!(seen.bad_codes(), ["base64", "failed-record", "torn-gzip", "not-text"]);
    let pieces = [&lines[0][..], &lines[1], &torn[..torn.len() - 9], b"\xff\xfd"];
    assert!(seen.bad.iter().map(|(_, bytes)| &bytes[..]).eq(pieces));
    assert_eq!(read, Counts { events: 1, ..Counts::default() });
}

#[test]
fn a_bad_row_is_no_end() {
    let config = config();
    let good = rows_text(&config, &envelope(&[("1", "a"), ("2", "b")]));
    let half = good.len() / 2;
    let bad = br#"{"file":"m","kind":"csv","day":"2022-13-01","timestamp":1,"stream":"s","id":"1","line":"x"}"#;
    let mut object = good[..half].to_vec();
    object.extend_from_slice(bad);
    object.push(b'\n');
    object.extend_from_slice(&good[half..]);
    let (read, seen) = read(&object[..]);
    assert_eq!((seen.ids, read.rows), (vec!["1".to_owned(), "2".to_owned()], 2));
    assert_eq!(seen.bad, [("malformed-row".to_owned(), bad.to_vec())]);
    assert_eq!(seen.offsets, [half as u64]);
}

/// `cases/records/14`: nothing on the stream, it was an error through `failed/`.
#[test]
fn a_failed_record_of_nothing_is_nothing() {
    for data in [&b""[..], b"\n", b" \r\n", b"\xef\xbb\xbf", &gzip(b"")] {
        let (read, seen) = read(&failed_line(data)[..]);
        assert_eq!((read, seen.bad_codes().len()), (Counts::default(), 0), "{data:?}");
        assert_eq!(seen.skipped, [(Skipped::Empty, 0)]);
    }
}

/// A row with twice the same key, or with a tab in its line, became a line of plain text.
#[test]
fn a_row_with_a_fault_is_refused_and_never_plain_text() {
    let fields = [
        r#""file":"messages""#,
        r#""kind":"csv""#,
        r#""day":"2022-04-18""#,
        r#""timestamp":1650214747000"#,
        r#""stream":"1:g:s""#,
        r#""id":"9""#,
        r#""line":"x""#,
    ];
    let name = |field: &str| field.split(':').next().unwrap().replace('"', "`");
    let missing = |field: &str| name(field).replace("stream", "owner");
    let row = |fields: &[&str]| format!("{{{}}}", fields.join(","));
    let mut faulty = Vec::new();
    for (n, field) in fields.iter().enumerate() {
        let twice = row(&[&fields[..], &[field]].concat());
        faulty.push((twice, format!("field {} appears twice", name(field))));
        let first = row(&[&[*field], &fields[..]].concat());
        faulty.push((first, format!("field {} appears twice", name(field))));
        let mut others = fields.to_vec();
        others.remove(n);
        faulty.push((row(&others), format!("field {} is missing", missing(field))));
        let mut null = fields.to_vec();
        null[n] = r#""other":null"#;
        faulty.push((row(&null), format!("field {} is missing", missing(field))));
    }
    for (good, bad) in [
        ("\"x\"", "\"a\tb\""),
        ("\"x\"", r#""\x""#),
        ("\"x\"", "\"x\","),
        ("16502", "016502"),
        (",", ",,"),
    ] {
        faulty.push((row(&fields).replacen(good, bad, 1), "not valid JSON".to_owned()));
    }
    for (row, reason) in faulty {
        let error = hiwake::row::Row::decode(row.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(&reason), "{row}: {error}");
        for object in [format!("{row}\nafter\n").into_bytes(), failed_line(row.as_bytes())] {
            let (read, seen) = read(&object[..]);
            assert_eq!((read.rows, seen.bad_codes()), (0, vec!["malformed-row"]), "{row}");
            assert!(seen.lines.iter().all(|line| line == "after"), "{row}: {seen:?}");
        }
    }
}

/// RowPlace by the property of torn objects: when it ended before its key was whole, it was plain
/// text.
#[test]
fn a_failed_record_that_is_cut_off_anywhere_is_no_plain_text() {
    let line = failed_line(&gzip(&envelope(&[("1", "a")])));
    for cut in 1..line.len() {
        let (read, seen) = read(&line[..cut]);
        assert_eq!((read.plain, seen.bad_codes()), (0, vec!["torn-json"]), "{cut}");
        assert_eq!(seen.bad[0].1, line[..cut]);
    }
}

#[test]
fn application_json_is_plain_text() {
    let lines = [
        r#"{"TICKER_SYMBOL":"QXZ","SECTOR":"HEALTHCARE","CHANGE":-0.05,"PRICE":84.51}"#,
        r#"{"file":"main.rs","line":42,"msg":"started"}"#,
        r#"{"a":1} and more"#,
        "{'python': \"dict\"}",
        "{ unbalanced",
        r#"{"open": "quote"#,
        "  indented }",
        "[1]",
    ];
    let (read, seen) = read(lines.join("\n").as_bytes());
    assert_eq!(seen.lines, lines);
    assert_eq!((read.plain, seen.bad.len()), (8, 0));
    let demo = lines[0].repeat(3);
    let (_, seen) = crate::given::object::read(demo.as_bytes());
    assert_eq!(seen.lines, [lines[0]; 3]);
}

#[test]
fn plain_text_is_left_out_on_request_and_dropped_by_configuration() {
    let mut config = config();
    let mut options = Options { limits: &limits(1 << 20, 1 << 20), plain: false, until: None };
    let mut object = b"one\ntwo\n".to_vec();
    object.extend(gzip(&envelope(&[("1", "a")])));
    let (read, seen) = read_with(&object[..], &options, &config);
    assert_eq!((read.plain, read.events), (0, 1));
    assert_eq!(seen.skipped, [(Skipped::PlainLeftOut, 2)]);
    config.plain.drop = true;
    options.plain = true;
    let (_, seen) = read_with(&object[..], &options, &config);
    assert_eq!(seen.skipped, [(Skipped::PlainDropped, 2)]);
}

#[test]
fn bytes_that_are_no_text_are_bad_and_the_lines_around_them_are_not() {
    let (_, seen) = read(&b"good\nb\xffad\nworse\xfe\ngood again\n"[..]);
    assert_eq!(seen.lines, ["good", "good again"]);
    assert_eq!(seen.bad, [("not-text".to_owned(), b"b\xffad\nworse\xfe\n".to_vec())]);
}

#[test]
fn a_corrupt_member_in_the_middle_is_named_and_the_next_is_found() {
    let good = gzip(&envelope(&[("1", "a")]));
    let mut corrupt = gzip(&envelope(&[("2", "b"), ("x", "yyyyyyyyyyyyyyyy")]));
    for at in 10..corrupt.len() {
        corrupt[at] ^= 0x55;
        let object = [&good[..], &corrupt[..], &gzip(&envelope(&[("3", "c")]))].concat();
        corrupt[at] ^= 0x55;
        let (_, seen) = read(&object[..]);
        assert_eq!(seen.ids, ["1", "3"], "byte {at}");
        assert_eq!(seen.bad_codes(), ["corrupt-gzip"], "byte {at}");
        assert_eq!(seen.bad[0].1, object[good.len()..good.len() + corrupt.len()], "byte {at}");
        assert_eq!(seen.offsets[0], good.len() as u64);
    }
}

#[test]
fn text_that_begins_like_json_takes_no_member_that_follows_it() {
    // A name in the member's header closes the brace.
    let mut named = gzip(&envelope(&[("1", "a")]));
    named[3] = 8;
    named.splice(10..10, *b"}\n\0");
    let object = [b"{ text\n", &named[..], &gzip(&envelope(&[("2", "b")]))].concat();
    let (_, seen) = read(&object[..]);
    assert_eq!(seen.lines, ["{ text", "HOGE,1,a", "HOGE,1,b"]);
    assert!(seen.bad.is_empty(), "{:?}", seen.bad_codes());
}

#[test]
fn text_right_after_a_corrupt_member_is_kept_with_it() {
    let mut corrupt = gzip(&envelope(&[("1", "a"), ("x", "yyyyyyyyyyyyyyyy")]));
    let middle = corrupt.len() / 2;
    corrupt[middle] ^= 0x55;
    corrupt.extend_from_slice(b"\na line of text\n");
    let object = [&corrupt[..], &gzip(&envelope(&[("2", "b")]))].concat();
    let (_, seen) = read(&object[..]);
    assert_eq!(seen.ids, ["2"]);
    assert_eq!(seen.bad, [("corrupt-gzip".to_owned(), corrupt)]);
}

#[test]
fn a_header_that_does_not_inflate_is_passed_over() {
    let mut object = b"\x1f\x8b\x08 no gzip at all \x1f\x8b\x08\x00 neither".to_vec();
    let garbage = object.len();
    object.extend(gzip(&envelope(&[("1", "a")])));
    let (_, seen) = read(&object[..]);
    assert_eq!(seen.ids, ["1"]);
    assert_eq!(seen.bad, [("corrupt-gzip".to_owned(), object[..garbage].to_vec())]);
}

#[test]
fn the_whole_rows_of_a_member_that_is_cut_off_count() {
    let config = config();
    let events: Vec<_> =
        (0..2000).map(|n| (n.to_string(), format!("message {}", n * 7919))).collect();
    let events: Vec<_> = events.iter().map(|(id, m)| (id.as_str(), m.as_str())).collect();
    let member = rows_member(&config, &envelope(&events));
    let (_, seen) = read(&member[..member.len() / 2]);
    assert!(seen.ids.len() > 100 && seen.ids.len() < 2000);
    assert!(seen.ids.iter().enumerate().all(|(n, id)| *id == n.to_string()));
    assert_eq!(seen.bad_codes(), ["torn-gzip"]);
    assert_eq!(seen.bad[0].1, member[..member.len() / 2]);
}

#[test]
fn gzip_in_gzip_in_gzip_is_refused() {
    let member = gzip(&gzip(&gzip(&envelope(&[("1", "a")]))));
    let object = [&member[..], &gzip(&envelope(&[("2", "b")]))].concat();
    let (_, seen) = read(&object[..]);
    assert_eq!((&seen.ids[..], seen.bad_codes()), (&["2".to_owned()][..], vec!["nested-gzip"]));
}

#[test]
fn a_stack_of_members_behind_text_does_not_overflow() {
    let mut object = b"x".to_vec();
    for _ in 0..50 {
        object = [&b"x\n"[..], &gzip(&object)].concat();
    }
    let (_, seen) = read(&object[..]);
    assert_eq!(seen.bad_codes(), ["nested-gzip"]);
}

/// Headers by the thousand, each the beginning of a stored block that ends where all the others
/// end: in one tail, which inflates to megabytes and breaks.
fn many_headers_with_one_tail() -> Vec<u8> {
    let mut tail = Vec::with_capacity(1 << 20);
    let text = b"a\n".repeat(39 << 16);
    flate2::Compress::new(flate2::Compression::best(), false)
        .compress_vec(&text, &mut tail, flate2::FlushCompress::Full)
        .unwrap();
    let header = b"\x1f\x8b\x08\0\0\0\0\0\0\x03";
    let mut object = [&header[..], b"\x07"].concat();
    for n in (1..=4000_u16).rev() {
        let stored = n * 16 - 15;
        object.extend(
            [&header[..], b"\0", &stored.to_le_bytes(), &(!stored).to_le_bytes(), b"x"].concat(),
        );
    }
    [&object[..], &tail, b"\x07"].concat()
}

#[test]
fn headers_that_share_a_tail_are_not_all_inflated() {
    let config = config();
    let limits = limits(1 << 20, 8 << 20);
    let mut options = Options::new(&limits);
    // All of them inflate to 20 GB, which takes longer.
    options.until = Some(std::time::Instant::now() + std::time::Duration::from_secs(4));
    let object = many_headers_with_one_tail();
    let (_, seen) = read_with(&object[..], &options, &config);
    assert_eq!(seen.bad_codes(), ["corrupt-gzip"]);
    assert_eq!(seen.bad[0].1, object);
}

#[test]
fn a_unit_that_is_too_long_is_bad_and_the_next_is_read() {
    let config = config();
    let options = Options { limits: &limits(4096, 4096), plain: true, until: None };
    let object = [&vec![b'x'; 300_000][..], b"\nshort\n", &gzip(&envelope(&[("1", "a")]))].concat();
    let (_, seen) = read_with(&object[..], &options, &config);
    assert_eq!(seen.lines, ["short", "HOGE,1,a"]);
    assert_eq!(seen.bad_codes(), ["unit-too-long"]);
    assert_eq!(seen.bad[0].1, vec![b'x'; 4096]);
}

/// Counts what it hands out, and how much memory that would be.
struct Repeated<'a> {
    bytes: &'a [u8],
    left: usize,
    at: usize,
}

impl Read for Repeated<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let length = (&self.bytes[self.at..]).read(buffer)?;
        self.at += length;
        if self.at == self.bytes.len() {
            (self.at, self.left) = (0, self.left - 1);
        }
        Ok(length)
    }
}

#[test]
fn a_member_larger_than_a_unit_is_streamed() {
    let config = config();
    let options = Options { limits: &limits(64 << 10, 64 << 10), plain: true, until: None };
    let text = rows_text(&config, &envelope(&[("1", "a"), ("2", "b")]));
    let member = gzip(&text.repeat(20_000));
    let (read, seen) = read_with(&member[..member.len() - 4], &options, &config);
    assert!(read.rows == 40_000 && seen.bad_codes() == ["torn-gzip"], "{read:?}");
    let repeated =
        Repeated { bytes: &rows_member(&config, &envelope(&[("1", "a")])), left: 50_000, at: 0 };
    assert_eq!(read_with(repeated, &options, &config).0.rows, 50_000);
}

#[test]
fn an_error_of_the_input_or_the_sink_ends_it_as_itself() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the network"))
        }
    }
    struct Full;
    impl object::Sink for Full {
        fn row(&mut self, _: &hiwake::row::Row<'_>, _: RowPlace) -> Result<(), ReadError> {
            Err(ReadError::Sink(io::Error::other("the disk")))
        }
        fn skipped(&mut self, _: Skipped, _: usize) -> Result<(), ReadError> {
            Ok(())
        }
        fn bad(&mut self, _: &object::Bad<'_>) -> Result<(), ReadError> {
            Ok(())
        }
    }
    let config = config();
    let mut reader = Reader::new(&config);
    let options = Options::new(&config.limits);
    let origin = Origin { place: "b/k", id: None, arrival: None };
    let member = gzip(&envelope(&[("1", "a")]));
    for cut in [0, 1, 5, 20, member.len()] {
        let input = (&member[..cut]).chain(Broken);
        let error = reader.object(input, origin, &options, &mut Seen::default()).unwrap_err();
        assert!(
            matches!(&error, ReadError::Input(e) if e.to_string() == "the network"),
            "{cut} {error}"
        );
    }
    let error = reader.object(&member[..], origin, &options, &mut Full).unwrap_err();
    assert!(matches!(&error, ReadError::Sink(e) if e.to_string() == "the disk"), "{error}");
}

/// The number of a unit is in a plain row's id: it must not depend on how the object is read.
#[test]
fn plain_text_of_many_units_has_the_same_ids_however_it_is_read() {
    let text: String = (0..40_000).map(|n| format!("line {n} of the text\n")).collect();
    let (whole, seen) = read(text.as_bytes());
    assert_eq!((whole.plain, seen.bad.len()), (40_000, 0));
    let mut ids = seen.ids.clone();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40_000);
    for sizes in [vec![1000], vec![65_537, 3], vec![300_000]] {
        assert!(read(Chunked { bytes: text.as_bytes(), sizes, turn: 0 }).1 == seen);
    }
    assert!(read(&gzip(text.as_bytes())[..]).1 == seen);
}

#[test]
fn a_line_that_is_cut_off_inside_a_member_is_no_line() {
    let lines: Vec<_> = (0..3000).map(|n| format!("{n} {}", n * 7919)).collect();
    let member = gzip(lines.join("\n").as_bytes());
    let mut some = 0;
    for cut in (1..member.len()).step_by(37) {
        let (_, seen) = read(&member[..cut]);
        assert_eq!(seen.lines, lines[..seen.lines.len()], "{cut}");
        assert_eq!(seen.bad_codes(), ["torn-gzip"], "{cut}");
        some += usize::from(!seen.lines.is_empty());
    }
    assert!(some > 10, "no cut left a line");
}

/// A damaged length makes a member swallow those behind it: it looks truncated at the object's end.
#[test]
fn a_member_that_swallows_others_is_corrupt_and_they_are_read() {
    let rows = rows_text(&config(), &envelope(&[("swallower", "a")]));
    let stored = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01\xff\xff\0\0";
    let swallower = [&stored[..], &rows].concat();
    let object = [&swallower[..], &gzip(&envelope(&[("1", "a")]))].concat();
    let (_, seen) = read(&object[..]);
    assert_eq!(seen.ids, ["1"]);
    assert_eq!(seen.bad, [("corrupt-gzip".to_owned(), swallower)]);
}

#[test]
fn a_failed_record_in_a_failed_record_is_unwrapped_and_never_plain_text() {
    let healthy = failed_line(&gzip(&envelope(&[("1", "a")])));
    let mut twice = failed_line(&failed_line(&healthy));
    twice.push(b'\n');
    let (read, seen) = read(&twice[..]);
    assert_eq!(seen.lines, ["HOGE,1,a"]);
    assert_eq!(read, Counts { events: 1, ..Counts::default() });
    let mut deep = healthy;
    for _ in 0..10 {
        deep = failed_line(&deep);
    }
    let (read, seen) = super::object::read(&deep[..]);
    assert_eq!((read, seen.bad_codes()), (Counts::default(), vec!["nested-failed-record"]));
}

#[test]
fn a_failed_record_whose_raw_data_is_null_is_no_plain_text() {
    let (read, seen) = read(&br#"{"errorCode":"Lambda.Unheard","rawData":null}"#[..]);
    assert_eq!((read.plain, seen.bad_codes()), (0, vec!["failed-record"]));
}
