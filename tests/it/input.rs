//! Inputs of `hiwake run`: Firehose events, envelopes, gzip, folders, plain log files.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono_tz::Tz;
use hiwake::input::{self, LineTarget, LogFile, Problem, TimestampFormat};
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

fn log_file(format: Option<(&str, Option<i32>)>) -> LogFile {
    let timestamps =
        format.map(|(format, year)| TimestampFormat::new(format, year, Tz::Asia__Tokyo).unwrap());
    LogFile { log_group: "/var/log/messages".into(), log_stream: None, timestamps }
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
    assert!(taken.problems[0].starts_with("input.log: records[1]: `data` is no base64"));
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
    let arguments = [folder.path().display().to_string()];
    let names: Vec<_> = input::files(&arguments).unwrap().into_iter().map(|f| f.name).collect();
    assert_eq!(names, ["a/messages", "b/messages", "c.log", "d#1"]);
    let a = folder.path().join("a/messages").display().to_string();
    let b = folder.path().join("b/messages").display().to_string();
    let files = input::files(&[a.clone(), b.clone()]).unwrap();
    assert_eq!([&files[0].name, &files[1].name], [&a, &b]);
    let taken = take(&[folder.path()], Some(&log_file(None))).unwrap();
    let mut ids: Vec<_> = events(&taken).into_iter().map(|(id, ..)| id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "two hosts' lines are two events");
    assert!(
        matches!(take(&[Path::new("no/such")], None), Err(error) if error.is::<hiwake::store::StoreError>())
    );
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
fn without_a_format_all_lines_have_the_files_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "x", b"a\nb\n");
    let modified = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_650_214_747_000);
    File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    let taken = take(&[&path], Some(&log_file(None))).unwrap();
    let times: Vec<_> = events(&taken).into_iter().map(|(_, at, _)| at).collect();
    assert_eq!(times, [1_650_214_747_000; 2]);
}

#[test]
fn lines_that_cannot_be_read_are_named_and_the_others_go_on() {
    let text =
        b"no time yet\nApr 17 16:59:07 a\nb\xffd\nFeb 30 00:00:00 never\nApr 17 16:59:08 c\n";
    let taken = take_bytes(text, Some(&log_file(Some(("%b %d %H:%M:%S", Some(2022))))));
    let messages: Vec<_> = events(&taken).into_iter().map(|(.., text)| text).collect();
    assert_eq!(messages, ["Apr 17 16:59:07 a", "Apr 17 16:59:08 c"]);
    let places: Vec<_> = taken.problems.iter().map(|p| p.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["input.log:1", "input.log:3", "input.log:4"]);
    assert!(taken.problems[1].contains("iconv"));
    let long = [&vec![b'x'; 2_500_000][..], b"\nshort\n"].concat();
    let taken = take_bytes(&long, Some(&log_file(None)));
    let messages: Vec<_> = events(&taken).into_iter().map(|(.., text)| text).collect();
    assert_eq!((messages, taken.problems.len()), (vec!["short".to_owned()], 1));
    let limit = [&vec![b'x'; 1_000_000][..], b"\n"].concat();
    assert_eq!(take_bytes(&limit, Some(&log_file(None))).problems, [""; 0]);
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
        "a little back is no new year"
    );
}

#[test]
fn a_format_with_an_offset_or_a_year_needs_nothing_else() {
    let iso = LogFile {
        timestamps: Some(
            TimestampFormat::new("%Y-%m-%dT%H:%M:%S%z", None, Tz::Asia__Tokyo).unwrap(),
        ),
        ..log_file(None)
    };
    let taken = take_bytes(b"2022-04-17T16:59:07+0000 x\n", Some(&iso));
    assert_eq!(events(&taken)[0].1, 1_650_214_747_000);
    let no_year = TimestampFormat::new("%b %d %H:%M:%S", None, Tz::UTC);
    assert!(
        no_year.unwrap_err().to_string().ends_with("`%b %d %H:%M:%S` has no year: give --year")
    );
    for unknown in ["%Q", ""] {
        let error = TimestampFormat::new(unknown, Some(2022), Tz::UTC).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{unknown}` is not a valid timestamp format")),
            "{error}"
        );
    }
}

#[test]
fn local_times_that_come_twice_or_never_are_read_with_the_earlier_offset() {
    let format = TimestampFormat::new("%Y-%m-%d %H:%M:%S", None, Tz::Europe__Berlin).unwrap();
    let berlin = LogFile { timestamps: Some(format), ..log_file(None) };
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
