//! What decides where an event goes, and that its rules can be read back.

use hiwake::land::intake::routing::{Route, fingerprint, rules};
use hiwake::row::Stream;

use super::*;

const TO_MESSAGES: &str = "[[source]]\nlog_groups = [\"g\"]\nfile = \"messages\"";
const TO_OTHER: &str = "[[source]]\nlog_groups = [\"g\"]\nfile = \"other\"";

#[test]
fn a_change_of_labels_is_no_change_of_routing_and_one_of_files_is() {
    let fingerprint = |toml: &str| fingerprint(&given::config(toml));
    let base = fingerprint(TO_MESSAGES);
    for same in [
        "labels = [\"X\"]",
        "columns = [\"{time}\", \"{message}\"]",
        "[format]\nnewline = \"space\"",
        "[plain]\ndrop = true",
        "[seal]\ngrace = \"2h\"",
    ] {
        assert_eq!(fingerprint(&format!("{TO_MESSAGES}\n{same}")), base, "{same}");
    }
    for other in [
        TO_OTHER,
        "[[source]]\nlog_groups = [\"g*\"]\nfile = \"messages\"",
        "[[source]]\nlog_groups = [\"g\"]\nlog_streams = [\"s\"]\nfile = \"messages\"",
        &format!("timezone = \"UTC\"\n{TO_MESSAGES}"),
        &format!("{TO_MESSAGES}\n[format]\nkind = \"tsv\""),
        &format!("{TO_MESSAGES}\n[unmatched]\nfile = \"rest\""),
        &format!("{TO_MESSAGES}\n[plain]\nfile = \"text\""),
        &format!("[[source]]\nlog_groups = [\"h\"]\n{TO_MESSAGES}"),
    ] {
        assert_ne!(fingerprint(other), base, "{other}");
    }
}

#[test]
fn rules_that_are_read_back_send_events_where_transform_sends_them() {
    let sources = [
        TO_MESSAGES.to_owned(),
        "[[source]]\nlog_groups = [\"x\"]\n[[source]]\nlog_groups = [\"*/log/*\"]\nfile = \"{owner}/{log_stream}\"".to_owned(),
        format!("timezone = \"America/Los_Angeles\"\n{TO_OTHER}\n[format]\nkind = \"json\"\n[unmatched]\nfile = \"rest\"\n[plain]\nfile = \"text\"\nkind = \"tsv\""),
    ];
    for toml in sources {
        let config = given::config(&toml);
        let mut route = Route::new(&rules(&config)).unwrap();
        let envelope = given::envelope(&["a", "b"]).to_string();
        for record in [envelope.as_bytes(), b"demo data"] {
            let rows = given::object::rows(&config, record);
            for row in &rows {
                let to = route.to(&row.stream, row.timestamp);
                assert_eq!(to, Some((&*row.file, row.kind, row.day)), "{toml}");
            }
        }
    }
}

#[test]
fn a_stream_of_version_0_1_is_told_apart_by_its_first_two_colons() {
    let Stream::Logs { owner, log_group, log_stream } = Stream::from("123:/a/b:x:y/[$LATEST]")
    else {
        panic!("a log stream")
    };
    assert_eq!((&*owner, &*log_group, &*log_stream), ("123", "/a/b", "x:y/[$LATEST]"));
    for origin in ["arn:aws:firehose:ap-northeast-1:123:deliverystream/x", "bucket/key"] {
        assert_eq!(Stream::from(origin), Stream::Origin(origin.into()));
    }
}
