//! The transform as a first version in Rust: ready-made event types, `serde_json::Value`, chrono
//! for each event, an encoder for each record. It answers lines, not rows, which favours it.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use aws_lambda_events::event::firehose::{
    KinesisFirehoseEvent, KinesisFirehoseResponse, KinesisFirehoseResponseRecord,
};
use chrono::{DateTime, TimeZone as _};
use chrono_tz::Asia::Tokyo;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, Crc};
use serde_json::Value;

/// A library that reads and writes gzip.
#[derive(Clone, Copy)]
pub struct Gzip {
    inflate: fn(&[u8]) -> Vec<u8>,
    deflate: fn(&[u8]) -> Vec<u8>,
}

/// flate2 with hiwake's own backend, zlib-rs: the fastest without C.
pub const ZLIB_RS: Gzip = Gzip {
    inflate: |gzip| {
        let mut text = Vec::new();
        GzDecoder::new(gzip).read_to_end(&mut text).unwrap();
        text
    },
    deflate: |text| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    },
};

/// miniz_oxide, the default of flate2.
pub const MINIZ: Gzip = Gzip {
    inflate: |gzip| {
        // CloudWatch's header has no optional parts.
        let text =
            miniz_oxide::inflate::decompress_to_vec(&gzip[HEADER.len()..gzip.len() - 8]).unwrap();
        assert!(gzip[gzip.len() - 8..] == trailer(&text));
        text
    },
    deflate: |text| {
        let mut gzip = HEADER.to_vec();
        gzip.extend(miniz_oxide::deflate::compress_to_vec(text, 1));
        gzip.extend(trailer(text));
        gzip
    },
};

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

fn trailer(text: &[u8]) -> [u8; 8] {
    let mut crc = Crc::new();
    crc.update(text);
    (u64::from(crc.amount()) << 32 | u64::from(crc.sum())).to_le_bytes()
}

pub fn transform(request: &[u8], gzip: Gzip) -> Vec<u8> {
    let event: KinesisFirehoseEvent = serde_json::from_slice(request).unwrap();
    let mut response = KinesisFirehoseResponse::default();
    for record in event.records {
        let text = (gzip.inflate)(&record.data);
        let envelope: Value = serde_json::from_slice(&text).unwrap();
        let mut answer = KinesisFirehoseResponseRecord::default();
        answer.record_id = record.record_id;
        if envelope["messageType"] == "DATA_MESSAGE" {
            let mut lines = String::new();
            for event in envelope["logEvents"].as_array().unwrap() {
                line(&mut lines, &envelope, event);
            }
            answer.result = Some("Ok".to_owned());
            *answer.data = (gzip.deflate)(lines.as_bytes());
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
