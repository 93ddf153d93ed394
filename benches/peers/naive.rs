//! The transform as one writes it in Rust at first: ready-made event types, `serde_json::Value`, chrono an event, an
//! encoder a record. It answers lines, not rows, and uses the same deflate as hiwake: both are in its favour.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use aws_lambda_events::event::firehose::{
    KinesisFirehoseEvent, KinesisFirehoseResponse, KinesisFirehoseResponseRecord,
};
use chrono::{DateTime, TimeZone as _};
use chrono_tz::Asia::Tokyo;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

pub fn transform(request: &[u8]) -> Vec<u8> {
    let event: KinesisFirehoseEvent = serde_json::from_slice(request).unwrap();
    let mut response = KinesisFirehoseResponse::default();
    for record in event.records {
        let mut text = String::new();
        GzDecoder::new(&record.data[..]).read_to_string(&mut text).unwrap();
        let envelope: Value = serde_json::from_str(&text).unwrap();
        let mut answer = KinesisFirehoseResponseRecord::default();
        answer.record_id = record.record_id;
        if envelope["messageType"] == "DATA_MESSAGE" {
            let mut lines = String::new();
            for event in envelope["logEvents"].as_array().unwrap() {
                line(&mut lines, &envelope, event);
            }
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(lines.as_bytes()).unwrap();
            answer.result = Some("Ok".to_owned());
            *answer.data = encoder.finish().unwrap();
        } else {
            answer.result = Some("Dropped".to_owned());
        }
        response.records.push(answer);
    }
    serde_json::to_vec(&response).unwrap()
}

fn line(lines: &mut String, envelope: &Value, event: &Value) {
    let message = field(event["message"].as_str().unwrap());
    if envelope["logGroup"] == "/var/log/messages" {
        writeln!(lines, "HOGE,HOGE,1,HOGEHOGE,{message}").unwrap();
        return;
    }
    let at = DateTime::from_timestamp_millis(event["timestamp"].as_i64().unwrap()).unwrap();
    let when = Tokyo.from_utc_datetime(&at.naive_utc()).format("%Y-%m-%d %H:%M:%S");
    let stream = field(envelope["logStream"].as_str().unwrap());
    writeln!(lines, "HOGE,FUGA,2,HOGEFUGA,{when},{stream},{message}").unwrap();
}

fn field(text: &str) -> String {
    let text =
        text.trim_end_matches(['\r', '\n']).replace("\r\n", "\\n").replace(['\n', '\r'], "\\n");
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
