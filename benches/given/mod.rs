//! Synthetic load that is the same in every run: envelopes, Firehose events, objects of rows.
//!
//! The kinds of messages, sizes of records and share of duplicates are those of the measured
//! pipelines behind the targets of `docs/performance.md`. Ids have the documented form: 56 digits,
//! ascending within a batch, with the timestamp in the upper bits.

#![allow(clippy::unwrap_used, dead_code, reason = "each bench uses a part of it")]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use hiwake::config::Config;
use hiwake::object::{Bad, Options, Origin, ReadError, Reader, RowPlace, Sink};
use hiwake::row::Row;

/// 2022-04-18T00:00:00+09:00
pub const DAY_STARTS: i64 = 1_650_207_600_000;
pub const ARN: &str = "arn:aws:firehose:ap-northeast-1:123456789012:deliverystream/logs";
/// The five log groups, one for each kind of message.
pub const GROUPS: [&str; 5] =
    ["/var/log/messages", "nginx", "orders", "billing", "/aws/lambda/resize"];
/// Labels, files and columns as an operator would configure them.
pub const CONFIG: &str = r#"
[[source]]
log_groups = ["/var/log/messages"]
file = "messages"
labels = ["HOGE", "HOGE", "1", "HOGEHOGE"]

[[source]]
log_groups = ["*"]
labels = ["HOGE", "FUGA", "2", "HOGEFUGA"]
columns = ["{labels}", "{time}", "{log_stream}", "{message}"]
"#;

/// xorshift64*: small, and the same on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// How many events a record has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As many as a busy log group sends.
    Mixed,
    /// One to five.
    Small,
}

/// A Firehose event whose request has about this many bytes.
pub fn firehose_event(bytes: usize, shape: Shape) -> Vec<u8> {
    Load::new(bytes as u64).event(bytes, shape)
}

/// A log group over time: each event begins where the previous one ended.
pub struct Load {
    random: Random,
    at: i64,
    last: Option<Vec<u8>>,
    twice: Random,
}

impl Load {
    pub fn new(seed: u64) -> Load {
        let (random, twice) = (Random::new(seed), Random::new(!seed));
        Load { random, at: DAY_STARTS + 3_600_000, last: None, twice }
    }

    /// The same load from another time on.
    pub fn starting_at(mut self, at: i64) -> Load {
        self.at = at;
        self
    }

    /// The next record: a subscription message, gzipped like CloudWatch's. 1.7 % of the records are
    /// sent twice.
    pub fn record(&mut self, shape: Shape) -> Vec<u8> {
        if let Some(last) = self.last.take_if(|_| self.twice.below(1000) < 17) {
            return last;
        }
        let events = match shape {
            Shape::Mixed => 150 + self.random.below(212),
            Shape::Small => 1 + self.random.below(5),
        };
        let record = gzip(envelope(&mut self.random, &mut self.at, events).as_bytes(), 6);
        self.last.insert(record).clone()
    }

    /// The next Firehose event, whose request has about this many bytes.
    pub fn event(&mut self, bytes: usize, shape: Shape) -> Vec<u8> {
        let mut event = format!(
            "{{\"invocationId\":\"i\",\"deliveryStreamArn\":\"{ARN}\",\"region\":\"ap-northeast-1\",\"records\":["
        );
        for record in 0.. {
            if record > 0 {
                event.push(',');
            }
            let data = STANDARD.encode(self.record(shape));
            let at = self.at;
            write!(
                event,
                "{{\"recordId\":\"49578734086442259037497492980620233840400173390482112514{record:06}\",\"approximateArrivalTimestamp\":{at},\"data\":\"{data}\"}}"
            )
            .unwrap();
            if event.len() >= bytes {
                break;
            }
        }
        event.push_str("]}");
        event.into_bytes()
    }
}

/// One subscription message with this many events; it advances `at`.
pub fn envelope(random: &mut Random, at: &mut i64, events: u64) -> String {
    let kind = random.below(GROUPS.len() as u64) as usize;
    let stream = format!("i-{:017x}", random.below(40) * 0x00de_adbe_ef01);
    let low = u128::from(random.next()) << 60;
    let mut text = format!(
        "{{\"messageType\":\"DATA_MESSAGE\",\"owner\":\"123456789012\",\"logGroup\":\"{}\",\"logStream\":\"{stream}\",\"subscriptionFilters\":[\"hiwake\"],\"logEvents\":[",
        GROUPS[kind]
    );
    for n in 0..events {
        *at += random.below(40) as i64;
        let message = serde_json::to_string(&message(random, kind, *at)).unwrap();
        let comma = if n > 0 { "," } else { "" };
        let id = id(*at, low + u128::from(n));
        write!(text, "{comma}{{\"id\":\"{id}\",\"timestamp\":{at},\"message\":{message}}}")
            .unwrap();
    }
    text.push_str("]}");
    text
}

/// A message of one of the kinds: syslog (partly Japanese), nginx, JSON with escapes, Java traces,
/// Lambda's reports.
#[expect(clippy::too_many_lines, reason = "a text for each kind")]
fn message(random: &mut Random, kind: usize, at: i64) -> String {
    let (a, b, c) = (random.below(65536), random.next(), random.below(1000));
    match kind {
        0 if c < 250 => format!(
            "Apr 18 09:{:02}:{:02} host-{} app[{a}]: 注文 {b} を受け付けました(担当: 佐藤、金額 {c} 円)",
            at / 60_000 % 60,
            at / 1000 % 60,
            c % 9
        ),
        0 => format!(
            "Apr 18 09:{:02}:{:02} host-{} sshd(pam_unix)[{a}]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=10.{}.{}.{} user={}",
            at / 60_000 % 60,
            at / 1000 % 60,
            c % 9,
            a % 256,
            b % 256,
            c % 256,
            random.one_of(&["root", "guest", "test", "deploy", "ec2-user"])
        ),
        1 => format!(
            "10.{}.{}.{} - - [18/Apr/2022:09:{:02}:{:02} +0900] \"{} /{}/{a}?session={b:016x} HTTP/1.1\" {} {} \"https://shop.example/{}\" \"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36\"",
            a % 256,
            b % 256,
            c % 256,
            at / 60_000 % 60,
            at / 1000 % 60,
            random.one_of(&["GET", "POST", "PUT"]),
            random.one_of(&["items", "cart", "search", "orders", "images"]),
            random.one_of(&["200", "200", "200", "304", "404", "502"]),
            a * 3,
            random.one_of(&["", "items", "sale", "help"])
        ),
        2 => format!(
            "{{\"level\":\"{}\",\"time\":{at},\"request\":\"{b:016x}\",\"customer\":{a},\"path\":\"C:\\\\orders\\\\{c}.json\",\"note\":\"line one\\nline \\\"two\\\"\",\"took_ms\":{c}}}",
            random.one_of(&["info", "info", "info", "warn", "error"])
        ),
        3 => {
            let mut text = format!(
                "2022-04-18 09:{:02}:{:02},{c:03} ERROR [worker-{}] c.e.billing.Invoice - failed for {b:x}\njava.lang.IllegalStateException: balance of {a} is negative\n",
                at / 60_000 % 60,
                at / 1000 % 60,
                c % 16
            );
            for _ in 0..2 + random.below(9) {
                let class = random.one_of(&[
                    "Ledger.post",
                    "Invoice.close",
                    "Worker.run",
                    "Batch.step",
                    "Queue.take",
                ]);
                writeln!(
                    text,
                    "\tat com.example.billing.{class}({}.java:{})",
                    class.split('.').next().unwrap(),
                    random.below(400)
                )
                .unwrap();
            }
            text
        }
        _ => format!(
            "REPORT RequestId: {:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}\tDuration: {}.{:02} ms\tBilled Duration: {} ms\tMemory Size: 512 MB\tMax Memory Used: {} MB\t\n",
            b >> 32,
            a,
            c,
            a % 4096,
            b & 0xffff_ffff_ffff,
            c,
            a % 100,
            c + 1,
            80 + c % 90
        ),
    }
}

/// An id of 56 digits with the timestamp above 144 bits, as in the documented samples.
pub fn id(timestamp: i64, low: u128) -> String {
    // Limbs of nine decimal digits, the lowest first: timestamp * 2^144 + low.
    let mut limbs: Vec<u64> = Vec::new();
    let mut add = |number: u64, shift: u32| {
        let mut carry = number;
        for limb in &mut limbs {
            let sum = (*limb << shift) + carry;
            (*limb, carry) = (sum % 1_000_000_000, sum / 1_000_000_000);
        }
        while carry > 0 {
            limbs.push(carry % 1_000_000_000);
            carry /= 1_000_000_000;
        }
    };
    add(timestamp as u64, 0);
    add(0, 16);
    for part in (0..8).rev() {
        add((low >> (16 * part)) as u64 & 0xffff, 16);
    }
    let mut text = String::new();
    for (n, limb) in limbs.iter().rev().enumerate() {
        if n == 0 { write!(text, "{limb}").unwrap() } else { write!(text, "{limb:09}").unwrap() }
    }
    format!("{text:0>56}")
}

pub fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The number of bytes of the inflated envelopes in a Firehose event.
pub fn text_bytes(event: &[u8]) -> usize {
    data(event).iter().map(|data| inflate(data).len()).sum()
}

/// The data of all records of a Firehose event or answer.
pub fn data(event: &[u8]) -> Vec<Vec<u8>> {
    let event: serde_json::Value = serde_json::from_slice(event).unwrap();
    let records = event["records"].as_array().unwrap().iter();
    records.map(|record| STANDARD.decode(record["data"].as_str().unwrap()).unwrap()).collect()
}

/// Collects rows.
#[derive(Default)]
struct Held(Vec<Row<'static>>);

impl Sink for Held {
    fn row(&mut self, row: &Row<'_>, _: RowPlace) -> Result<(), ReadError> {
        self.0.push(Row {
            file: row.file.to_string().into(),
            stream: row.stream.clone().into_owned(),
            id: row.id.to_string().into(),
            line: row.line.to_string().into(),
            ..*row
        });
        Ok(())
    }

    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError> {
        panic!("{}", bad.reason)
    }
}

/// The rows in transform's answer for a record.
pub fn rows(data: &[u8]) -> Vec<Row<'static>> {
    let config = Config::default();
    let (mut held, options) = (Held::default(), Options::new(&config.limits));
    let origin = Origin { place: "", id: None, arrival: None };
    Reader::new(&config).record(data, origin, &options, &mut held).unwrap();
    held.0
}

/// The same rows in the format of version 0.1: a gzip member of JSON.
pub fn rows_of_0_1(rows: &[Row<'_>]) -> Vec<u8> {
    let mut text = Vec::new();
    for row in rows {
        let json = |text: &str| serde_json::to_string(text).unwrap();
        let (file, stream) = (json(&row.file), json(&row.stream.to_string()));
        let (id, line, kind, day, at) =
            (json(&row.id), json(&row.line), row.kind.name(), row.day, row.timestamp);
        writeln!(
            text,
            r#"{{"file":{file},"kind":"{kind}","day":"{day}","timestamp":{at},"stream":{stream},"id":{id},"line":{line}}}"#
        )
        .unwrap();
    }
    gzip(&text, 1)
}

/// The concatenated content of gzip members.
pub fn inflate(gzip: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::bufread::MultiGzDecoder::new(gzip).read_to_end(&mut text).unwrap();
    text
}
