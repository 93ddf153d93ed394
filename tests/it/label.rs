//! Sources, files, lines; and the rows that carry them.

use std::borrow::Cow;

use hiwake::config::{Config, Newline};
use hiwake::envelope::{Envelope, Event, parsed};
use hiwake::label::Labeler;
use hiwake::line::{Line, Style};
use hiwake::row::{Day, Kind, Row, Stream};
use proptest::prelude::*;

use crate::given::{T, config, owned};

fn rows(config: &Config, group: &str, stream: &str, messages: &[&str]) -> Vec<Row<'static>> {
    let events = messages.iter().enumerate().map(|(n, message)| Event {
        id: format!("id{n}").into(),
        timestamp: T + n as i64,
        message: Cow::Borrowed(message),
        system: None,
    });
    let envelope = Envelope {
        is_control: false,
        owner: "123456789012".into(),
        log_group: group.into(),
        log_stream: stream.into(),
        subscription_filters: vec!["one".into(), "two".into()],
        log_events: events.collect(),
        malformed: Vec::new(),
    };
    let mut labeler = Labeler::new(config);
    labeler.envelope(&envelope);
    envelope.log_events.iter().map(|event| owned(&labeler.event(event).unwrap())).collect()
}

fn line(toml: &str, message: &str) -> String {
    rows(&config(toml), "g", "s", &[message])[0].line.to_string()
}

#[test]
fn the_first_source_that_matches_wins_by_group_and_stream() {
    let config = config(
        r#"
        [[source]]
        log_groups = ["/a/*"]
        log_streams = ["web-*", "api"]
        file = "first"
        [[source]]
        log_groups = ["/a/b", "/c"]
        file = "second"
        [[source]]
        log_groups = ["*"]
        log_streams = ["only"]
        file = "third"
        "#,
    );
    let expected = [
        ("/a/b", "web-1", Some(0), "first"),
        ("/a/b", "api", Some(0), "first"),
        ("/a/b", "other", Some(1), "second"),
        ("/c", "web-1", Some(1), "second"),
        ("/x", "only", Some(2), "third"),
        ("/x", "other", None, "unmatched/%2Fx"),
    ];
    let mut labeler = Labeler::new(&config);
    // Twice over, so that what is remembered of the last stream shows.
    for (group, stream, source, file) in expected.into_iter().chain(expected) {
        assert_eq!(config.source_of(group, stream), source);
        let event = Event { id: "1".into(), timestamp: T, message: "m".into(), system: None };
        let envelope = Envelope {
            is_control: false,
            owner: "o".into(),
            log_group: group.into(),
            log_stream: stream.into(),
            subscription_filters: Vec::new(),
            log_events: vec![event],
            malformed: Vec::new(),
        };
        labeler.envelope(&envelope);
        let row = labeler.event(&envelope.log_events[0]).unwrap();
        assert_eq!(row.file, file);
        assert_eq!(row.stream.to_string(), format!("o:{group}:{stream}"));
    }
}

#[test]
fn an_event_that_no_source_matches_is_kept_with_its_message_alone() {
    let rows = rows(&config(""), "/x", "s", &["a,b", ""]);
    assert_eq!((&*rows[0].file, &*rows[0].line), ("unmatched/%2Fx", "\"a,b\""));
    assert_eq!(rows[1].line, "\"\"", "one empty field is not an empty line");
}

const ALL: &str = r#"
    timezone = "Asia/Tokyo"
    [[source]]
    log_groups = ["*"]
    file = "f"
    labels = ["L,1", "2"]
    columns = ["{time}", "{labels}", "{message}", "{timestamp}", "{id}", "{log_group}", "{log_stream}", "{owner}", "{account}", "{region}", "{filter}"]
    "#;

/// A subscription with `emitSystemFields` says where an event was logged before it was centralised;
/// one without does not.
#[test]
fn account_and_region_are_where_the_event_was_logged_else_the_owner_and_the_functions_region() {
    let mut config = config(
        r#"
        [[source]]
        log_groups = ["*"]
        file = "{owner}"
        columns = ["{account}", "{region}", "{owner}", "{message}"]
        "#,
    );
    config.region = "ap-northeast-1".to_owned();
    let text = r#"{"messageType":"DATA_MESSAGE","owner":"111111111111","logGroup":"g","logStream":"s","subscriptionFilters":[],"logEvents":[
        {"id":"1","timestamp":1650214747000,"message":"neither"},
        {"id":"2","timestamp":1650214747000,"message":"fields","extractedFields":{"@aws.account":"222222222222","@aws.region":"us-east-1","x":1}},
        {"id":"3","timestamp":1650214747000,"message":"itself","@aws.region":"eu-west-1","@aws.account":333333333333},
        {"id":"4","timestamp":1650214747000,"message":"odd","extractedFields":[1],"@aws.region":null,"@aws.account":""}]}"#;
    let around = text.replace(r#""owner""#, r#""@aws.account":"444444444444","owner""#);
    let lines = |text: &str| {
        let envelope = parsed(text).unwrap();
        assert_eq!(envelope.malformed, []);
        let mut labeler = Labeler::new(&config);
        labeler.envelope(&envelope);
        let rows = envelope.log_events.iter().map(|event| owned(&labeler.event(event).unwrap()));
        let rows: Vec<_> = rows.collect();
        // In `file` is only what the identity has.
        assert!(rows.iter().all(|row| row.file == "111111111111"), "{rows:?}");
        rows.into_iter().map(|row| row.line.into_owned()).collect::<Vec<_>>()
    };
    let fields = "222222222222,us-east-1,111111111111,fields";
    let itself = "333333333333,eu-west-1,111111111111,itself";
    let own = "111111111111,ap-northeast-1,111111111111";
    let expected = [format!("{own},neither"), fields.into(), itself.into(), format!("{own},odd")];
    assert_eq!(lines(text), expected);
    assert_eq!(lines(&around)[0], "444444444444,ap-northeast-1,111111111111,neither");
    assert_eq!(lines(&around)[1], fields);
}

#[test]
fn every_column_in_every_kind() {
    let line = |kind: &str| {
        let toml = format!("{ALL}[format]\nkind = \"{kind}\"");
        rows(&config(&toml), "g", "s", &["m \"q\""])[0].line.to_string()
    };
    let csv = r#"2022-04-18 01:59:07,"L,1",2,"m ""q""",1650214747000,id0,g,s,123456789012,123456789012,,"one,two""#;
    assert_eq!(line("csv"), csv);
    let raw = r#"2022-04-18 01:59:07,L,1,2,m "q",1650214747000,id0,g,s,123456789012,123456789012,,one,two"#;
    assert_eq!(line("raw"), raw);
    assert_eq!(
        line("tsv"),
        raw.replace(',', "\t").replace("L\t1", "L,1").replace("one\ttwo", "one,two")
    );
    let json = r#"{"time":"2022-04-18 01:59:07","labels":["L,1","2"],"message":"m \"q\"","timestamp":1650214747000,"id":"id0","log_group":"g","log_stream":"s","owner":"123456789012","account":"123456789012","region":"","filter":"one,two"}"#;
    assert_eq!(line("json"), json);
}

#[test]
fn a_line_break_becomes_one_escape_or_one_space_or_is_kept() {
    let message = "a\nb\r\nc\rd\n\ne";
    let of = |kind: &str, newline: &str| {
        line(&format!("[format]\nkind = \"{kind}\"\nnewline = \"{newline}\""), message)
    };
    for kind in ["csv", "tsv", "raw"] {
        assert_eq!(of(kind, "escape"), r"a\nb\nc\nd\n\ne");
        assert_eq!(of(kind, "space"), "a b c d  e");
    }
    assert_eq!(of("csv", "keep"), format!("\"{message}\""));
    for newline in ["escape", "space"] {
        assert_eq!(of("json", newline), r#"{"message":"a\nb\r\nc\rd\n\ne"}"#);
    }
}

#[test]
fn trailing_line_breaks_are_removed_all_of_them_and_nothing_else() {
    for kind in ["csv", "tsv", "raw"] {
        let toml = format!("[format]\nkind = \"{kind}\"");
        assert_eq!(line(&toml, "a \t\u{b}\r\n\n\r"), line(&toml, "a \t\u{b}"));
        assert_eq!(line(&toml, "a  \n"), "a  ");
        assert_eq!(line(&toml, "\n\na"), r"\n\na");
    }
    assert_eq!(line("[format]\nkind = \"json\"", "a\r\n"), r#"{"message":"a"}"#);
    assert_eq!(line("[format]\nnewline = \"keep\"", "a\n"), "a");
}

#[test]
fn all_lines_of_a_multi_line_message_are_in_its_row() {
    let trace = "java.lang.Error: x\n\tat a.B.c(B.java:1)\nCaused by: y, z\n";
    let expected = "\"java.lang.Error: x\\n\tat a.B.c(B.java:1)\\nCaused by: y, z\"";
    assert_eq!(line("", trace), expected);
}

#[test]
fn a_tab_in_a_tsv_field_becomes_an_escape_or_a_space() {
    assert_eq!(line("[format]\nkind = \"tsv\"", "a\tb\n\tc"), r"a\tb\n\tc");
    assert_eq!(line("[format]\nkind = \"tsv\"\nnewline = \"space\"", "a\tb\n\tc"), "a b  c");
}

#[test]
fn the_newline_policy_holds_for_every_column() {
    let mut config = config(ALL);
    // Past the configuration's own check.
    config.sources[0].labels[0] = "L\n1".to_owned();
    let rows = rows(&config, "g\r\ng", "s\rs", &["m"]);
    assert!(rows[0].line.contains(r"L\n1,2,m,"));
    assert!(rows[0].line.contains(r",g\ng,s\ns,"));
    assert!(!rows[0].line.contains(['\r', '\n']));
}

#[test]
fn labels_may_be_none_or_stand_anywhere() {
    let with = |labels: &str, columns: &str| {
        let source = "[[source]]\nlog_groups = [\"*\"]\nfile = \"f\"";
        line(&format!("{source}\nlabels = [{labels}]\ncolumns = [{columns}]"), "m")
    };
    assert_eq!(with("", r#""{labels}", "{message}""#), "m");
    assert_eq!(with("", r#""{message}", "{labels}""#), "m");
    assert_eq!(with(r#""a", "b""#, r#""{message}", "{labels}", "{id}""#), "m,a,b,id0");
    assert_eq!(with(r#""""#, r#""{labels}", "{message}""#), ",m");
    assert_eq!(with(r#""", """#, r#""{labels}", "{message}""#), ",,m");
}

fn styled(style: Style, fields: &[String]) -> String {
    let mut line = Line::default();
    line.start(style);
    for field in fields {
        line.field("f", field);
    }
    line.end().to_owned()
}

/// Fields of what CSV is about, and of anything.
fn field() -> impl Strategy<Value = String> {
    prop_oneof!["[a,\"\r\n\t 日]{0,6}", any::<String>()]
}

proptest! {
    #[test]
    fn csv_is_what_the_csv_crate_writes(fields in prop::collection::vec(field(), 1..5)) {
        let mut writer = csv::WriterBuilder::new()
            .quote_style(csv::QuoteStyle::Necessary)
            .from_writer(Vec::new());
        writer.write_record(&fields).unwrap();
        let theirs = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let style = Style { kind: Kind::Csv, newline: Newline::Keep, ..Style::default() };
        prop_assert_eq!(styled(style, &fields) + "\n", theirs);
    }

    #[test]
    fn with_escape_backslash_two_texts_never_give_one_line(
        one in "[n\\\\\n a\",]{0,6}", other in "[n\\\\\n a\",]{0,6}",
        kind in prop::sample::select(vec![Kind::Csv, Kind::Tsv, Kind::Raw]),
    ) {
        let style = Style { kind, newline: Newline::Escape, escape_backslash: true };
        let lines = [&one, &other].map(|text| styled(style, std::slice::from_ref(text)));
        prop_assert_eq!(lines[0] == lines[1], one == other, "{:?}", lines);
    }

    #[test]
    fn a_line_has_no_line_break_but_kept_ones(
        fields in prop::collection::vec(field(), 1..5),
        kind in prop::sample::select(vec![Kind::Csv, Kind::Tsv, Kind::Json, Kind::Raw]),
        newline in prop::sample::select(vec![Newline::Escape, Newline::Space, Newline::Keep]),
        escape_backslash: bool,
    ) {
        let line = styled(Style { kind, newline, escape_backslash }, &fields);
        if kind != Kind::Csv || newline != Newline::Keep {
            prop_assert!(!line.contains(['\r', '\n']), "{:?}", line);
        }
        if kind == Kind::Tsv {
            prop_assert_eq!(line.split('\t').count(), fields.len());
        }
    }

    #[test]
    fn a_row_decodes_to_what_was_encoded(
        (file, stream, id, line) in (field(), stream(), field(), field()),
        kind in prop::sample::select(vec![Kind::Csv, Kind::Tsv, Kind::Json, Kind::Raw]),
        timestamp in any::<i64>(),
        day in 0..365 * 8_000,
    ) {
        let day = Day::new(chrono::NaiveDate::from_epoch_days(day).unwrap()).unwrap();
        let row = Row {
            file: file.into(), kind, day, timestamp,
            stream, id: id.into(), line: line.into(),
        };
        let mut bytes = Vec::new();
        row.encode(&mut bytes);
        prop_assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(value["line"].as_str(), Some(&*row.line));
        let decoded = Row::decode(&bytes).unwrap();
        prop_assert_eq!(&decoded, &row);
        prop_assert_eq!(decoded.key(), row.key());
    }

    /// `cases/core/11`: `a:b` and `c`, and `a` and `b:c`, were one stream.
    #[test]
    fn an_identity_is_the_hash_of_parts_that_cannot_run_into_each_other(
        stream in stream(), id in ".{0,100}",
    ) {
        let row = Row { stream, id: id.clone().into(), ..plain_row() };
        let parts = match &row.stream {
            Stream::Logs { owner, log_group, log_stream } => vec![owner, log_group, log_stream],
            Stream::Origin(origin) => vec![origin],
        };
        let mut bytes = Vec::new();
        for part in parts.into_iter().map(|part| &**part).chain([id.as_str()]) {
            bytes.extend((part.len() as u32).to_le_bytes());
            bytes.extend(part.as_bytes());
        }
        prop_assert_eq!(row.key().hash, xxhash_rust::xxh3::xxh3_64(&bytes));
        prop_assert_eq!(row.key().timestamp, T);
    }

    /// What is written as compact rows is what is read, whatever it holds.
    #[test]
    fn compact_rows_are_read_as_they_were_written(
        rows in prop::collection::vec((0..3_usize, any::<i64>(), field(), field()), 1..12),
        streams in prop::collection::vec(stream(), 3), files in prop::collection::vec(field(), 3),
        kept in prop::collection::vec(0..1_700_000_000_000_i64, 12),
    ) {
        let config = config("");
        let (mut writer, mut text) = (hiwake::rows::Writer::default(), Vec::new());
        let rows: Vec<Row<'_>> = rows
            .iter()
            .zip(kept)
            .map(|((n, odd, id, line), timestamp)| Row {
                file: files[*n].as_str().into(),
                stream: streams[*n].borrowed(),
                timestamp: if odd % 5 == 0 { *odd } else { timestamp },
                id: id.as_str().into(),
                line: line.as_str().into(),
                ..plain_row()
            })
            .collect();
        rows.iter().for_each(|row| writer.row(row, &mut text));
        let options = hiwake::object::Options::new(&config.limits);
        let (_, seen) = crate::given::object::read_with(&text[..], &options, &config);
        prop_assert_eq!(seen.bad.len(), 0, "{:?}", seen.reasons);
        prop_assert_eq!(seen.rows.len(), rows.len());
        for (read, row) in seen.rows.iter().zip(&rows) {
            prop_assert_eq!(read.key(), row.key());
            prop_assert_eq!((&read.file, &read.line), (&row.file, &row.line));
        }
    }

    #[test]
    fn decode_never_panics(bytes in any::<Vec<u8>>(), text in "[{}\\[\\]\",:a-z0-9\\\\]{0,80}") {
        prop_assert!(Row::decode(&bytes).is_err());
        prop_assert!(Row::decode(text.as_bytes()).is_err());
    }
}

fn stream() -> impl Strategy<Value = Stream<'static>> {
    let part = || ".{0,40}".prop_map(std::borrow::Cow::Owned);
    prop_oneof![
        (part(), part(), part()).prop_map(|(owner, log_group, log_stream)| Stream::Logs {
            owner,
            log_group,
            log_stream
        }),
        part().prop_map(Stream::Origin),
    ]
}

fn plain_row() -> Row<'static> {
    Row {
        file: "messages".into(),
        kind: Kind::Csv,
        day: "2022-04-18".parse().unwrap(),
        timestamp: T,
        stream: "123456789012:/var/log/messages:i-0abc".into(),
        id: "3679".into(),
        line: "HOGE,\"x\"".into(),
    }
}

const WIRE: &str = r#"{"file":"messages","kind":"csv","day":"2022-04-18","timestamp":1650214747000,"owner":"123456789012","log_group":"/var/log/messages","log_stream":"i-0abc","id":"3679","line":"HOGE,\"x\""}"#;

#[test]
fn a_row_is_these_bytes() {
    let mut bytes = Vec::new();
    plain_row().encode(&mut bytes);
    assert_eq!(String::from_utf8(bytes).unwrap(), format!("{WIRE}\n"));
}

#[test]
fn a_row_is_read_in_any_order_with_unknown_members_and_borrowed() {
    let text = r#"{"v":2,"line":"l","id":"1","x":{"file":"no"},"stream":"s","timestamp":5,"day":"2022-04-18","kind":"raw","file":"f"}"#;
    let row = Row::decode(text.as_bytes()).unwrap();
    assert_eq!((&*row.file, row.kind, row.timestamp, &*row.line), ("f", Kind::Raw, 5, "l"));
    let borrowed = |text: &Cow<'_, str>| matches!(text, Cow::Borrowed(_));
    assert!([&row.file, &row.id, &row.line].into_iter().all(borrowed));
    assert_eq!(row.stream, Stream::Origin("s".into()));
}

#[test]
fn what_is_wrong_with_a_row_is_named_without_its_text() {
    for member in
        ["file", "kind", "day", "timestamp", "owner", "log_group", "log_stream", "id", "line"]
    {
        let mut value: serde_json::Value = serde_json::from_str(WIRE).unwrap();
        value.as_object_mut().unwrap().remove(member);
        let error = Row::decode(value.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), format!("not a valid row: field `{member}` is missing"));
        value[member] = serde_json::json!(["secret"]);
        let error = Row::decode(value.to_string().as_bytes()).unwrap_err();
        assert!(
            error.to_string().starts_with("not a valid row: a field of the wrong type at"),
            "{error}"
        );
        assert!(!error.to_string().contains("secret"));
    }
    let error = Row::decode(WIRE.replace("\"csv\"", "\"xml\"").as_bytes()).unwrap_err();
    assert!(error.to_string().ends_with("`kind` must be csv, tsv, json or raw"), "{error}");
    let error = Row::decode(WIRE.replace("04-18", "02-30").as_bytes()).unwrap_err();
    assert!(error.to_string().ends_with("`day` must be written YYYY-MM-DD"), "{error}");
    assert!(Row::decode(format!("{WIRE}{WIRE}").as_bytes()).is_err());
}

#[test]
fn a_row_with_cloudwatchs_digits_is_the_same_event_as_one_with_the_short_id() {
    let digits = "31953106606966983378809025079804211143289615424298221568";
    let row = |id: &str| {
        let row = format!(
            r#"{{"file":"f","kind":"csv","day":"2015-05-29","timestamp":1432826855000,"stream":"s","id":"{id}","line":"l"}}"#
        );
        Row::decode(row.as_bytes()).map(|row| row.key()).unwrap()
    };
    assert_eq!(row(digits), row("~AU2bKof0ZlugT2rWIYEAAA"));
    assert_ne!(row(digits), row("~AU2bKof0ZlugT2rWIYEAAQ"));
}
