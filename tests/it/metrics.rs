//! The metrics' names: the enum, the runbook and the line that CloudWatch reads say the same.

use std::collections::BTreeSet;

use hiwake::envelope::EnvelopeError;
use hiwake::lambda::metrics::{Metric, Metrics, Unit};
use hiwake::land::intake::check::Refusal;
use hiwake::land::root::layout::DayFile;
use hiwake::row::{Day, Kind};
use serde_json::{Value, json};

use crate::given::folder;

#[test]
fn the_runbook_has_every_metric_with_its_unit_and_meaning_and_no_other() {
    let runbook = std::fs::read_to_string(folder().join("docs/runbook.md")).unwrap();
    let (listed, _) = runbook.split_once("\n## Alarms\n").unwrap();
    let rows: BTreeSet<&str> = listed.lines().filter(|line| line.starts_with("* `")).collect();
    let source = std::fs::read_to_string(folder().join("src/lambda/metrics.rs")).unwrap();
    let (_, metrics) = source.split_once("pub enum Metric {\n").unwrap();
    let (metrics, _) = metrics.split_once("\n}\n").unwrap();
    let (mut ours, mut meaning) = (BTreeSet::new(), Vec::new());
    for line in metrics.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            meaning.push(words);
            continue;
        }
        let name = line.trim_end_matches(',');
        let metric: Metric = serde_json::from_value(json!(name)).unwrap();
        let meaning = std::mem::take(&mut meaning).join(" ");
        let unit = match metric.unit() {
            Unit::Count => String::new(),
            unit => format!(" ({unit:?})"),
        };
        ours.insert(format!("* `{name}`{unit}: {meaning}"));
    }
    let missing: Vec<_> = ours.iter().filter(|row| !rows.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "docs/runbook.md lacks\n{missing:#?}");
    let foreign: Vec<_> = rows.iter().filter(|row| !ours.contains(**row)).collect();
    assert!(foreign.is_empty(), "docs/runbook.md names what is not sent\n{foreign:#?}");
}

#[test]
fn every_reason_to_fail_has_a_metric_of_its_own() {
    let errors = [EnvelopeError::Json(1, 1), EnvelopeError::UnknownMessageType];
    let codes = errors.iter().map(EnvelopeError::code);
    let codes = codes.chain([
        "base64",
        "torn-gzip",
        "corrupt-gzip",
        "bomb",
        "not-text",
        "mangled-gzip",
        "newer-rows",
        hiwake::firehose::OVERFLOW,
    ]);
    let metrics: Vec<Metric> = codes.map(Metric::of_code).collect();
    assert_eq!(metrics.iter().collect::<BTreeSet<_>>().len(), metrics.len());
    assert_eq!(Metric::of_code("no such code"), Metric::FailedOther);
}

#[test]
fn every_refusal_of_a_row_has_a_metric_of_its_own() {
    let day_file = DayFile { file: "m".to_owned(), kind: Kind::Csv, day: Day::default() };
    let refusals = [
        Refusal::File,
        Refusal::Day(0, Day::default()),
        Refusal::Line,
        Refusal::Closed(day_file.clone()),
    ];
    let metrics = refusals.iter().map(|refusal| Metric::of_code(refusal.code()));
    assert_eq!(metrics.collect::<BTreeSet<_>>().len(), refusals.len());
    assert_eq!(Refusal::ClosedElsewhere(day_file).code(), "closed-day");
    assert_eq!(Metric::of_code("no such code"), Metric::FailedOther);
}

#[test]
fn the_line_is_cloudwatchs_embedded_format_and_names_what_was_added_only() {
    let mut metrics = Metrics::default();
    metrics.add(Metric::RowsIn, 3_u64);
    metrics.add(Metric::RowsIn, 4_usize);
    metrics.add(Metric::AnswerBytes, 0_u64);
    let line = metrics.line("logs \"1\"", 1_650_214_747_000);
    assert!(!line.contains('\n'));
    assert_eq!(
        serde_json::from_str::<Value>(&line).unwrap(),
        json!({
            "_aws": {"Timestamp": 1_650_214_747_000_i64, "CloudWatchMetrics": [{
                "Namespace": "hiwake", "Dimensions": [["Pipeline"]],
                "Metrics": [
                    {"Name": "AnswerBytes", "Unit": "Bytes"}, {"Name": "RowsIn", "Unit": "Count"},
                ],
            }]},
            "Pipeline": "logs \"1\"", "AnswerBytes": 0, "RowsIn": 7,
        })
    );
}
