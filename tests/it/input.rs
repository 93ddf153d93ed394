//! Inputs of `hiwake run`: Firehose events, envelopes, gzip, folders, plain log files.

use std::path::Path;
use std::sync::atomic::AtomicU64;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono_tz::Tz;
use hiwake::input::{self, LineTarget, LogFile, Problem, Times, TimestampFormat};
use hiwake::local::{LocalError, SourceRecord};
use serde_json::{Value, json};

use crate::given::object::{config, envelope, limits, read, read_with};
use crate::given::{gzip, put};

#[derive(Default)]
struct Taken {
    records: Vec<SourceRecord>,
    problems: Vec<String>,
}

impl LineTarget for Taken {
    fn record(&mut self, record: SourceRecord) -> Result<(), LocalError> {
        if record.data.len() > 1_024_000 {
            return Err(LocalError::TooLarge(record.data.len()));
        }
        self.records.push(record);
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem.to_string());
    }
}

const NOW: i64 = 1_700_000_000_000;

fn take(
    arguments: &[&Path],
    log_file: Option<&LogFile>,
) -> Result<Taken, Box<dyn std::error::Error>> {
    let arguments: Vec<_> = arguments.iter().map(|path| path.display().to_string()).collect();
    let mut taken = Taken::default();
    for file in input::files(&arguments)? {
        input::read(&file, log_file, NOW, &AtomicU64::new(0), &mut taken)?;
    }
    Ok(taken)
}

fn take_bytes(bytes: &[u8], log_file: Option<&LogFile>) -> Taken {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "input.log", bytes);
    let mut taken = take(&[&path], log_file).unwrap();
    let prefix = format!("{}/", folder.path().display());
    taken.problems.iter_mut().for_each(|problem| *problem = problem.replace(&prefix, ""));
    taken
}

/// All records' bytes: an object as the backup holds it.
fn concatenated(taken: &Taken) -> Vec<u8> {
    taken.records.iter().flat_map(|record| record.data.clone()).collect()
}

/// Of lines whose times have this format, or are all one.
fn log_file(format: Option<(&str, Option<i32>)>) -> LogFile {
    let times = match format {
        Some((format, year)) => {
            let format = Some(TimestampFormat::new(format).unwrap());
            Times::Written { format, pattern: None, year }
        }
        None => Times::At(1_650_214_747_000),
    };
    let timezone = Tz::Asia__Tokyo;
    LogFile { log_group: "/var/log/messages".into(), log_stream: None, times, timezone }
}

/// Of lines whose times are recognised.
fn recognised() -> LogFile {
    LogFile { times: Times::Written { format: None, pattern: None, year: None }, ..log_file(None) }
}

/// (id, timestamp, message) of all events.
fn events(taken: &Taken) -> Vec<(String, i64, String)> {
    let mut events = Vec::new();
    for record in &taken.records {
        let mut text = String::new();
        let mut member = flate2::read::GzDecoder::new(&record.data[..]);
        std::io::Read::read_to_string(&mut member, &mut text).unwrap();
        let envelope: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(envelope["messageType"], "DATA_MESSAGE");
        assert_eq!(envelope["owner"], "000000000000");
        assert_eq!(envelope["subscriptionFilters"], json!(["hiwake-run"]));
        for event in envelope["logEvents"].as_array().unwrap() {
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            events.push((text("id"), event["timestamp"].as_i64().unwrap(), text("message")));
        }
    }
    events
}

fn local(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

#[test]
fn a_firehose_event_gives_its_records() {
    let event = json!({"invocationId": "i", "deliveryStreamArn": "a", "region": "r", "records": [
        {"recordId": "1", "approximateArrivalTimestamp": 17, "data": STANDARD.encode("plain")},
        {"recordId": "2", "approximateArrivalTimestamp": 18, "data": "%%"},
        {"recordId": "3", "data": STANDARD.encode(gzip(&envelope(&[("1", "a")])))},
        {"recordId": "4"},
    ]});
    let pretty = serde_json::to_vec_pretty(&event).unwrap();
    let taken = take_bytes(&pretty, None);
    assert_eq!(taken.records.len(), 2);
    assert_eq!((&taken.records[0].data[..], taken.records[0].arrival), (&b"plain"[..], 17));
    assert_eq!(taken.records[1].arrival, NOW);
    assert_eq!(taken.problems.len(), 2);
    assert!(taken.problems[0].starts_with("input.log: records[1]: `data` is not valid base64"));
    assert!(taken.problems[1].starts_with("input.log: records[3]:"), "{:?}", taken.problems);
}

#[test]
fn envelopes_in_clear_are_sent_as_cloudwatch_sends_them() {
    let one: Value = serde_json::from_slice(&envelope(&[("1", "a")])).unwrap();
    let pretty = serde_json::to_string_pretty(&one).unwrap();
    let text = format!("{pretty}\n{pretty}{one}\n");
    let taken = take_bytes(text.as_bytes(), None);
    assert_eq!((taken.records.len(), taken.problems.len()), (3, 0));
    assert!(taken.records.iter().all(|record| record.data.starts_with(b"\x1f\x8b")));
    assert_eq!(read(&concatenated(&taken)[..]).1.ids, ["1", "1", "1"]);
}

#[test]
fn gzip_members_are_records_byte_for_byte() {
    let members = [gzip(&envelope(&[("1", "a")])), gzip(&envelope(&[("2", "b")]))];
    let taken = take_bytes(&members.concat(), None);
    let data: Vec<_> = taken.records.iter().map(|record| &record.data).collect();
    assert_eq!(data, [&members[0], &members[1]]);
    let whole = members.concat();
    let torn = take_bytes(&whole[..whole.len() - 3], None);
    assert_eq!((torn.records.len(), torn.problems.len()), (2, 1));
    assert_eq!(concatenated(&torn), whole[..whole.len() - 3]);
}

#[test]
fn what_is_neither_says_what_to_do() {
    for text in ["Apr 17 16:59:07 host x: y\n", "{\"a\":1}\n"] {
        let taken = take_bytes(text.as_bytes(), None);
        assert!(taken.records.is_empty());
        assert!(taken.problems[0].contains("give --log-group"), "{:?}", taken.problems);
    }
}

#[test]
fn a_folder_is_read_in_name_order_and_streams_keep_apart() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b/messages", "a/messages", "c.log"] {
        put(folder.path(), name, b"same line\n");
    }
    put(folder.path(), "d#1", b"");
    assert_eq!(streams(&[folder.path()]), ["a/messages", "b/messages", "c.log", "d#1"]);
    let [a, b] = ["a/messages", "b/messages"].map(|name| folder.path().join(name));
    assert_eq!(streams(&[&a, &b]), ["a/messages", "b/messages"]);
    let taken = take(&[folder.path()], Some(&log_file(None))).unwrap();
    let mut ids: Vec<_> = events(&taken).into_iter().map(|(id, ..)| id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "two hosts' lines are two events");
    assert!(
        matches!(take(&[Path::new("no/such")], None), Err(error) if error.is::<hiwake::store::StoreError>())
    );
}

fn streams(arguments: &[&Path]) -> Vec<String> {
    let arguments: Vec<_> = arguments.iter().map(|path| path.display().to_string()).collect();
    input::files(&arguments).unwrap().into_iter().map(|file| file.log_stream).collect()
}

#[test]
fn a_rotated_log_keeps_its_stream_and_other_names_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let stream = |name: &str| {
        let path = put(folder.path(), name, b"x\n");
        streams(&[&path]).remove(0)
    };
    for (name, expected) in [
        ("messages", "messages"),
        ("messages.1", "messages"),
        ("messages.2.gz", "messages"),
        ("messages-20220418", "messages"),
        ("messages-20220418.gz", "messages"),
        ("messages-20220418-235959", "messages"),
        ("messages-20220418-1650214747.gz", "messages"),
        ("messages.2022-04-18", "messages"),
        ("app.log.2022-04-18.1.gz", "app.log"),
        ("app-20220418.log.gz", "app.log"),
        ("app.log.gz", "app.log"),
        ("app.log.old", "app.log"),
        // Hosts, versions, several programs, dates alone.
        ("10.0.0.1", "10.0.0.1"),
        ("host-10.0.0.1", "host-10.0.0.1"),
        ("web.1.log", "web.1.log"),
        ("2022-04-18.log", "2022-04-18.log"),
        ("20220418", "20220418"),
        (".gz", ".gz"),
        ("日報.1", "日報"),
    ] {
        assert_eq!(stream(name), expected, "{name}");
    }
}

/// A rotated log goes with its folder; the folder that holds all is not a part of a name.
#[test]
fn logs_of_one_name_are_told_apart_by_their_folders_and_only_they() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["x/host1/messages", "x/host1/messages.1", "x/host2/messages-20220418.gz", "x/app"]
    {
        put(folder.path(), name, b"x\n");
    }
    assert_eq!(
        streams(&[folder.path()]),
        ["app", "host1/messages", "host1/messages", "host2/messages"]
    );
    let host_1 = folder.path().join("x/host1");
    assert_eq!(streams(&[&host_1]), ["messages", "messages"]);
    let twice = host_1.join("../host1/messages");
    assert_eq!(streams(&[&host_1, &twice]), ["messages", "messages", "messages"]);
    put(folder.path(), "x/messages", b"x\n");
    assert_eq!(
        streams(&[folder.path()])[1..],
        ["host1/messages", "host1/messages", "host2/messages", "messages"]
    );
}

/// Two logs of one stream may begin alike but for their first line, which has a time in it.
#[test]
fn equal_lines_at_one_offset_of_two_rotated_files_are_two_events_and_a_copy_is_one() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "messages", b"first 1\nsame\n");
    put(folder.path(), "messages.1", b"first 0\nsame\n");
    put(folder.path(), "messages.2.gz", &gzip(b"first 0\nsame\n"));
    let events = events(&take(&[folder.path()], Some(&log_file(None))).unwrap());
    assert_ne!(events[1].0, events[3].0);
    assert_eq!(events[2..4], events[4..]);
}

#[test]
fn lines_are_events_with_their_own_times() {
    let text = "Apr 17 16:59:07 host a: one\r\n  continued\n\nApr  8 00:00:00 early \nlast";
    let taken = take_bytes(text.as_bytes(), Some(&log_file(Some(("%b %d %H:%M:%S", Some(2022))))));
    assert_eq!(taken.problems, [""; 0]);
    let events: Vec<_> = events(&taken).into_iter().map(|(_, at, text)| (at, text)).collect();
    let first = local("2022-04-17T16:59:07+09:00");
    let second = local("2022-04-08T00:00:00+09:00");
    let expected = [
        (first, "Apr 17 16:59:07 host a: one"),
        (first, "  continued"),
        (first, ""),
        (second, "Apr  8 00:00:00 early "),
        (second, "last"),
    ];
    assert_eq!(events, expected.map(|(at, text)| (at, text.to_owned())));
}

#[test]
fn the_same_file_gives_the_same_events_and_a_grown_one_gives_more() {
    let times = log_file(Some(("%b %d %H:%M:%S", Some(2022))));
    let text = "Apr 17 16:59:07 x\nApr 17 16:59:07 x\n";
    let before = events(&take_bytes(text.as_bytes(), Some(&times)));
    let after = events(&take_bytes(format!("{text}Apr 17 16:59:08 y\n").as_bytes(), Some(&times)));
    assert_eq!(before, after[..2]);
    assert_eq!(after.len(), 3);
    assert_ne!(before[0].0, before[1].0, "equal lines at two offsets are two events");
    assert!(before[0].0.parse::<u128>().is_ok());
    let mut other = times.clone();
    other.log_stream = Some("elsewhere".into());
    assert_ne!(events(&take_bytes(text.as_bytes(), Some(&other)))[0].0, before[0].0);
}

#[test]
fn lines_that_cannot_be_read_are_named_and_the_others_go_on() {
    let text = b"Apr 17 16:59:07 a\nb\xffd\nFeb 30 00:00:00 never\nApr 17 16:59:08 c\n";
    let taken = take_bytes(text, Some(&log_file(Some(("%b %d %H:%M:%S", Some(2022))))));
    let messages: Vec<_> = events(&taken).into_iter().map(|(.., text)| text).collect();
    assert_eq!(messages, ["Apr 17 16:59:07 a", "Apr 17 16:59:08 c"]);
    let places: Vec<_> = taken.problems.iter().map(|p| p.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["input.log:2", "input.log:3"]);
    assert!(taken.problems[0].contains("iconv"));
    for long in [2_500_000, 1_000_002, 1_000_001] {
        let long = [&vec![b'x'; long][..], b"\nshort\n"].concat();
        let taken = take_bytes(&long, Some(&log_file(None)));
        let messages: Vec<_> = events(&taken).into_iter().map(|(.., text)| text).collect();
        assert_eq!(messages.last().unwrap(), "short");
        assert_eq!(messages.len() + taken.problems.len(), 2);
    }
    let limit = [&vec![b'x'; 1_000_000][..], b"\n"].concat();
    assert_eq!(take_bytes(&limit, Some(&log_file(None))).problems, [""; 0]);
}

/// Of the first line: its time, as RFC 3339 has it.
fn time_of(text: &str, log_file: &LogFile) -> Option<String> {
    let taken = take_bytes(text.as_bytes(), Some(log_file));
    let time = chrono::DateTime::from_timestamp_millis(events(&taken).first()?.1).unwrap();
    let time = time.with_timezone(&Tz::Asia__Tokyo);
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::Millis, false))
}

/// `NOW` is 2023-11-15T07:13:20+09:00.
#[test]
fn common_timestamps_are_recognised() {
    for (line, expected) in [
        ("Apr 17 16:59:07 host a", "2023-04-17T16:59:07.000+09:00"),
        ("Dec 31 23:59:59 host a", "2022-12-31T23:59:59.000+09:00"),
        ("Nov 15 09:00:00 of a clock that is ahead", "2023-11-15T09:00:00.000+09:00"),
        ("Feb 29 00:00:00 host a", "2020-02-29T00:00:00.000+09:00"),
        ("Apr 17 2022 16:59:07 router", "2022-04-17T16:59:07.000+09:00"),
        ("2022-04-17T16:59:07.25Z x", "2022-04-18T01:59:07.250+09:00"),
        ("2022-04-17T16:59:07,250Z x", "2022-04-18T01:59:07.250+09:00"),
        ("2022-04-17T16:59:07+01:00 x", "2022-04-18T00:59:07.000+09:00"),
        ("2022-04-17T16:59:07.123456+0100 x", "2022-04-18T00:59:07.123+09:00"),
        ("2022-04-17T16:59:07", "2022-04-17T16:59:07.000+09:00"),
        ("2022-04-17 16:59:07,250 INFO x", "2022-04-17T16:59:07.250+09:00"),
        ("2022-04-17 16:59:07.250 - x", "2022-04-17T16:59:07.250+09:00"),
        ("2022-04-17 16:59:07.250Z x", "2022-04-18T01:59:07.250+09:00"),
        ("2022-04-17 16:59:07,250 +0100 x", "2022-04-18T00:59:07.250+09:00"),
        ("2022-04-17 16:59:07 +01:00 x", "2022-04-18T00:59:07.000+09:00"),
        ("2022-04-17 16:59:07.250 UTC [1] LOG", "2022-04-18T01:59:07.250+09:00"),
        ("2016-12-31T23:59:60Z leap", "2017-01-01T08:59:59.999+09:00"),
        ("[2022-04-17 16:59:07] x", "2022-04-17T16:59:07.000+09:00"),
        (r#"::1 - [x] [18/Apr/2022:10:00:00 +0100] "GET /""#, "2022-04-18T18:00:00.000+09:00"),
        ("[Mon Apr 18 10:00:00.123456 2022] [x] y", "2022-04-18T10:00:00.123+09:00"),
        ("2022/04/18 10:00:00 [error] 1#1: x", "2022-04-18T10:00:00.000+09:00"),
        ("1650214747 x", "2022-04-18T01:59:07.000+09:00"),
        ("1650214747.123    55 192.0.2.1 TCP_HIT", "2022-04-18T01:59:07.123+09:00"),
        ("1650214747123", "2022-04-18T01:59:07.123+09:00"),
        ("1650214747123.456 x", "2022-04-18T01:59:07.123+09:00"),
    ] {
        assert_eq!(time_of(line, &recognised()).as_deref(), Some(expected), "{line}");
    }
    // They may mean several times, or none.
    for line in [
        "04/05/2022 10:00:00 x",
        "2022-04-17 16:59:07+01 x",
        "0901234567 calls",
        "16502147470",
        "1650214747a",
        "2022-04-17 x",
        "x Apr 17 16:59:07",
        "May I?",
        "",
    ] {
        assert_eq!(time_of(&format!("{line}\n"), &recognised()), None, "{line}");
    }
}

#[test]
fn the_first_line_with_a_timestamp_decides_for_its_file() {
    let text = "preamble\n2022-04-17 16:59:07 a\nApr 20 00:00:00 b\n  2022-04-19 00:00:00 c\n";
    let taken = take_bytes(text.as_bytes(), Some(&recognised()));
    let first = local("2022-04-17T16:59:07+09:00");
    assert_eq!(events(&taken).iter().map(|event| event.1).collect::<Vec<_>>(), [first; 4]);
    assert_eq!(taken.problems, [""; 0]);
}

/// A file of more than a year without years: its first line is not of the year that was inferred.
#[test]
fn a_line_that_an_inferred_year_puts_into_the_future_is_not_landed() {
    let text = "Feb  1 00:00:00 a\nAug  1 00:00:00 b\nJan  1 00:00:00 c\nAug  1 00:00:00 d\n";
    let taken = take_bytes(text.as_bytes(), Some(&recognised()));
    assert_eq!((events(&taken).len(), taken.problems.len()), (2, 2));
    assert!(taken.problems[0].contains("input.log:3: its timestamp has no year"));
    assert!(taken.problems[0].contains("give --year"));
}

#[test]
fn a_file_without_timestamps_is_named_and_not_read_to_its_end() {
    let text = "no time\n".repeat(5_000) + "2022-04-17 16:59:07 x\n";
    let given = log_file(Some(("%Y-%m-%d %H:%M:%S", None)));
    for (log_file, remedy) in
        [(recognised(), "give --timestamp-format FORMAT"), (given, "correct --timestamp-format")]
    {
        let taken = take_bytes(text.as_bytes(), Some(&log_file));
        assert_eq!((events(&taken).len(), taken.problems.len()), (0, 1));
        assert!(taken.problems[0].starts_with("input.log: its first 1000 lines have no timestamp"));
        assert!(taken.problems[0].contains(remedy), "{:?}", taken.problems);
        assert!(taken.problems[0].contains("--at TIME"), "{:?}", taken.problems);
        let long = format!("{}\n", "x".repeat(900_000)).repeat(20);
        let taken = take_bytes(long.as_bytes(), Some(&log_file));
        assert!(taken.problems[0].starts_with("input.log: its first 10 lines"));
        assert_eq!(take_bytes(b"", Some(&log_file)).problems, [""; 0]);
    }
}

#[test]
fn a_pattern_finds_the_timestamp_in_a_line() {
    let find = |pattern: &str, format: Option<&str>| LogFile {
        times: Times::Written {
            format: format.map(|format| TimestampFormat::new(format).unwrap()),
            pattern: Some(regex_lite::Regex::new(pattern).unwrap()),
            year: None,
        },
        ..log_file(None)
    };
    let json = "{\"level\":\"info\",\"time\":\"2022-04-17T16:59:07Z\"}\n{\"level\":\"info\"}\n";
    let group = find(r#""time":"([^"]+)""#, None);
    assert_eq!(time_of(json, &group).as_deref(), Some("2022-04-18T01:59:07.000+09:00"));
    assert_eq!(events(&take_bytes(json.as_bytes(), Some(&group))).len(), 2);
    let all = find(r"\d+\.\d+\.\d{4} [\d:]+", Some("%d.%m.%Y %H:%M:%S"));
    let expected = Some("2022-04-05T10:00:00.000+09:00");
    assert_eq!(time_of("x 5.4.2022 10:00:00 y\n", &all).as_deref(), expected);
}

#[test]
fn a_z_in_a_format_is_utc() {
    for format in ["%Y-%m-%dT%H:%M:%SZ", "%FT%T%.fZ", "[%FT%TZ]", "%F %T UTC"] {
        let written = chrono::DateTime::from_timestamp_millis(1_650_214_747_000).unwrap();
        let line = format!("{}\n", written.format(format));
        let expected = Some("2022-04-18T01:59:07.000+09:00");
        assert_eq!(time_of(&line, &log_file(Some((format, None)))).as_deref(), expected, "{line}");
    }
    let local = log_file(Some(("Z%Y-%m-%d %H:%M:%S", None)));
    let expected = Some("2022-04-17T16:59:07.000+09:00");
    assert_eq!(time_of("Z2022-04-17 16:59:07", &local).as_deref(), expected);
}

#[test]
fn utf_16_and_compressed_files_are_refused_with_their_remedy() {
    let utf_16 = |little: bool, mark: &str| -> Vec<u8> {
        let text = format!("{mark}2022-04-17 16:59:07 x\n");
        let units = text.encode_utf16();
        units
            .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
            .collect()
    };
    for (bytes, remedy) in [
        (utf_16(true, "\u{feff}"), "iconv -f UTF-16 -t UTF-8"),
        (utf_16(false, "\u{feff}"), "iconv -f UTF-16 -t UTF-8"),
        (utf_16(true, ""), "iconv -f UTF-16LE -t UTF-8"),
        (utf_16(false, ""), "iconv -f UTF-16BE -t UTF-8"),
        (gzip(&utf_16(true, "\u{feff}")), "iconv -f UTF-16 -t UTF-8"),
        (b"\xfd7zXZ\0\0\x04".to_vec(), "xz -d"),
        (b"\x28\xb5\x2f\xfd\x04".to_vec(), "zstd -d"),
        (b"BZh91AY&SY".to_vec(), "bzip2 -d"),
    ] {
        let taken = take_bytes(&bytes, Some(&recognised()));
        assert_eq!((events(&taken).len(), taken.problems.len()), (0, 1), "{:?}", taken.problems);
        assert!(taken.problems[0].contains(remedy), "{:?}", taken.problems);
    }
}

#[test]
fn a_year_begins_within_a_file() {
    let text = "Dec 31 23:59:59 a\nJan  1 00:00:00 b\nDec 31 23:59:59 late\nFeb 29 00:00:00 leap\n";
    let format = Some(("%b %d %H:%M:%S", Some(2023)));
    let taken = take_bytes(text.as_bytes(), Some(&log_file(format)));
    let times: Vec<_> = events(&taken).into_iter().map(|(_, at, _)| at).collect();
    let expected = [
        "2023-12-31T23:59:59+09:00",
        "2024-01-01T00:00:00+09:00",
        "2023-12-31T23:59:59+09:00",
        "2024-02-29T00:00:00+09:00",
    ];
    assert_eq!(times, expected.map(local));
    let earlier = "Mar  2 00:00:00 a\nMar  1 00:00:00 b\n";
    let taken = take_bytes(earlier.as_bytes(), Some(&log_file(format)));
    assert_eq!(
        events(&taken)[1].1,
        local("2023-03-01T00:00:00+09:00"),
        "a little back is not a new year"
    );
}

#[test]
fn a_format_with_an_offset_or_a_year_needs_nothing_else() {
    let iso = log_file(Some(("%Y-%m-%dT%H:%M:%S%z", None)));
    let taken = take_bytes(b"2022-04-17T16:59:07+0000 x\n", Some(&iso));
    assert_eq!(events(&taken)[0].1, 1_650_214_747_000);
    for incomplete in ["%b %d", "%H:%M:%S", "%Y-%m-%d", "%Y-%m-%d %I:%M"] {
        let error = TimestampFormat::new(incomplete).unwrap_err().to_string();
        assert!(error.contains("lacks the month, day, hour or minute"), "{error}");
    }
    for unknown in ["%Q", ""] {
        let error = TimestampFormat::new(unknown).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{unknown}` is not a valid timestamp format")),
            "{error}"
        );
    }
}

#[test]
fn local_times_that_come_twice_or_never_are_read_with_the_earlier_offset() {
    let format = log_file(Some(("%Y-%m-%d %H:%M:%S", None)));
    let berlin = LogFile { timezone: Tz::Europe__Berlin, ..format };
    let text = b"2022-03-27 02:30:00 never\n2022-10-30 02:30:00 twice\n";
    let times: Vec<_> =
        events(&take_bytes(text, Some(&berlin))).into_iter().map(|(_, at, _)| at).collect();
    assert_eq!(times, ["2022-03-27T02:30:00+01:00", "2022-10-30T02:30:00+02:00"].map(local));
}

#[test]
fn a_large_log_file_becomes_many_envelopes_and_every_line_one_row() {
    let text: String = (0..5_000).map(|n| format!("line {n} {}\n", "x".repeat(n % 300))).collect();
    for bytes in [text.clone().into_bytes(), gzip(text.as_bytes())] {
        let taken = take_bytes(&bytes, Some(&log_file(None)));
        assert!(taken.records.len() >= 5, "{}", taken.records.len());
        let messages: Vec<_> = events(&taken).into_iter().map(|(.., text)| text).collect();
        assert_eq!(messages, text.lines().collect::<Vec<_>>());
        let options =
            hiwake::object::Options { limits: &limits(1 << 20, 8 << 20), plain: true, until: None };
        let (counts, seen) = read_with(&concatenated(&taken)[..], &options, &config());
        assert_eq!((counts.events, seen.bad.len()), (5_000, 0));
        assert_eq!(seen.rows[0].stream.to_string(), "000000000000:/var/log/messages:input.log");
    }
}
