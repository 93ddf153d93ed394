//! One reader: whatever is mixed, and by whichever way it comes, the lines are the same.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hiwake::config::Config;
use hiwake::firehose;
use hiwake::object::{Options, Reader};
use hiwake::row::{EventKey, Stream};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::given::object::{
    Chunked, Seen, compact_text, config, control, envelope, frame, limits, read_with, rows_frame,
    rows_text,
};
use crate::given::{self, gzip};
use crate::object::failed_line;

/// A piece of a mixture: its bytes, and whether text may follow it without a line break.
#[derive(Debug, Clone)]
enum Piece {
    Envelope(Vec<String>, Form),
    /// Half a surrogate pair, and an event without a message beside one that is whole.
    Faulty(String),
    /// Text of somebody else's: JSON, or a line that looks like one of ours.
    Foreign(usize),
    Text(Vec<String>),
    Control(Form),
    OldRows(Vec<String>, Form),
    Rows(Vec<String>, Form),
    Failed(Vec<String>),
    List(Vec<String>),
    Base64(Vec<String>),
    ByteOrderMark,
    Blank,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Clear,
    Gzip,
    Twice,
    Members,
    Zstd,
}

const FOREIGN: [&str; 8] = [
    r#"{"n":1}"#,
    r#"{"body":{"messageType":"DATA_MESSAGE"}}"#,
    r#"{"file":"main.rs","line":42,"msg":"messageType"}"#,
    r#"INFO {"rawData":"x"}"#,
    r#"[{"n":1},{"n":2}]"#,
    "[warn] [{",
    "H4sIAAAA is not base64!",
    "1650214747000 id looks like a row",
];

impl Form {
    fn of(self, text: &[u8]) -> Vec<u8> {
        match self {
            // A line of its own: text without a line break runs into what follows it.
            Form::Clear => [text, b"\n"].concat(),
            Form::Gzip => gzip(text),
            Form::Twice => gzip(&gzip(text)),
            Form::Members => [gzip(text), gzip(b"")].concat(),
            Form::Zstd => frame(text),
        }
    }
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        let made = |texts: &[String]| {
            envelope(&texts.iter().map(|text| (text.as_str(), text.as_str())).collect::<Vec<_>>())
        };
        match self {
            Piece::Envelope(texts, form) => form.of(&made(texts)),
            Piece::Faulty(text) => {
                let mut value: Value =
                    serde_json::from_slice(&made(&[text.clone(), "gone".to_owned()])).unwrap();
                value["logEvents"][1]["message"] = json!(5);
                value["logEvents"][0]["message"] = json!("HALF");
                Form::Gzip.of(value.to_string().replace("HALF", r"half \ud83d").as_bytes())
            }
            Piece::Foreign(which) => Form::Clear.of(FOREIGN[*which].as_bytes()),
            Piece::Text(texts) => Form::Clear.of(texts.join("\n").as_bytes()),
            Piece::Control(form) => form.of(&control()),
            Piece::OldRows(texts, form) => form.of(&rows_text(&config(), &made(texts))),
            // In clear nothing says where compact rows end.
            Piece::Rows(texts, Form::Clear) => rows_frame(&config(), &made(texts)),
            Piece::Rows(texts, form) => form.of(&compact_text(&config(), &made(texts))),
            Piece::Failed(texts) => Form::Clear.of(&failed_line(&gzip(&made(texts)))),
            Piece::List(texts) => {
                let all: Vec<Vec<u8>> =
                    texts.iter().map(|text| made(std::slice::from_ref(text))).collect();
                Form::Clear.of(&[&b"["[..], &all.join(&b", "[..]), b"]"].concat())
            }
            Piece::Base64(texts) => Form::Clear.of(STANDARD.encode(gzip(&made(texts))).as_bytes()),
            Piece::ByteOrderMark => b"\xef\xbb\xbf".to_vec(),
            Piece::Blank => b"\n".to_vec(),
        }
    }
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-zé日{}:,\" ']{0,20}[a-z日]", 1..4)
}

fn form() -> impl Strategy<Value = Form> {
    prop::sample::select(vec![Form::Clear, Form::Gzip, Form::Twice, Form::Members, Form::Zstd])
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        4 => (texts(), form()).prop_map(|(texts, form)| Piece::Envelope(texts, form)),
        2 => "[a-z]{1,6}".prop_map(Piece::Faulty),
        3 => (0..FOREIGN.len()).prop_map(Piece::Foreign),
        2 => prop::collection::vec("[a-zé日][a-zé日{}:\"' ]{0,20}[a-z日]", 1..4).prop_map(Piece::Text),
        1 => form().prop_map(Piece::Control),
        2 => (texts(), form()).prop_map(|(texts, form)| Piece::OldRows(texts, form)),
        3 => (texts(), form()).prop_map(|(texts, form)| Piece::Rows(texts, form)),
        2 => texts().prop_map(Piece::Failed),
        1 => texts().prop_map(Piece::List),
        1 => texts().prop_map(Piece::Base64),
        1 => Just(Piece::ByteOrderMark),
        1 => Just(Piece::Blank),
    ]
}

/// Lines and identities; what was refused, by code. Text has an identity of the way that it came.
type Found = (Vec<(String, Option<EventKey>)>, BTreeMap<String, usize>);

fn found(seen: &Seen) -> Found {
    let lines = seen.rows.iter().map(|row| {
        let key = matches!(row.stream, Stream::Logs { .. }).then(|| row.key());
        (row.line.to_string(), key)
    });
    let mut codes = BTreeMap::new();
    for (code, _) in &seen.bad {
        *codes.entry(code.clone()).or_default() += 1;
    }
    (lines.collect(), codes)
}

fn object(bytes: &[u8], config: &Config) -> Found {
    let limits = limits(1 << 20, 8 << 20);
    found(&read_with(bytes, &Options::new(&limits), config).1)
}

/// Through transform; what it does not answer, through `failed/`.
fn stream(bytes: &[u8], config: &Config) -> Found {
    let event = given::request(&[bytes.to_vec()]);
    let (answer, _) = firehose::transform(&mut Reader::new(config), &event).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let one = &answer["records"][0];
    match one["result"].as_str().unwrap() {
        "Ok" => object(&STANDARD.decode(one["data"].as_str().unwrap()).unwrap(), config),
        "Dropped" => Found::default(),
        _ => object(&failed_line(bytes), config),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn every_mixture_gives_the_same_lines_by_every_way(
        pieces in prop::collection::vec(piece(), 0..6), size in 1_usize..300,
    ) {
        let config = config();
        let bytes: Vec<u8> = pieces.iter().flat_map(Piece::bytes).collect();
        let wanted = object(&bytes, &config);
        let chunked = Chunked { bytes: &bytes, sizes: vec![size, 1], turn: 0 };
        let limits = limits(1 << 20, 8 << 20);
        let seen = read_with(chunked, &Options::new(&limits), &config).1;
        prop_assert_eq!(&found(&seen), &wanted, "as an object, a few bytes at a time");
        let quarantined = json!({
            "code": "x", "reason": "", "object": "b/k", "offset": 0, "length": bytes.len(),
            "bytes": STANDARD.encode(&bytes),
        });
        let ways = [
            ("a record of the stream", stream(&bytes, &config)),
            ("rawData of a failed record", object(&failed_line(&bytes), &config)),
            ("a line of the quarantine", object(quarantined.to_string().as_bytes(), &config)),
        ];
        for (way, found) in ways {
            prop_assert_eq!(&found, &wanted, "as {}", way);
        }
        // Inside of it something may be compressed twice already.
        if !pieces.iter().any(|piece| format!("{piece:?}").contains("Twice")) {
            prop_assert_eq!(&object(&gzip(&bytes), &config), &wanted, "as a backup");
            prop_assert_eq!(&object(&frame(&bytes), &config), &wanted, "in a frame");
        }
    }
}

/// What the mixtures are held against: each piece by itself is what it should be.
#[test]
fn each_piece_of_a_mixture_is_what_it_should_be() {
    let config = config();
    let texts = vec!["a".to_owned(), "b".to_owned()];
    let labelled = ["HOGE,1,a", "HOGE,1,b"];
    for form in [Form::Clear, Form::Gzip, Form::Twice, Form::Members, Form::Zstd] {
        for piece in [
            Piece::Envelope(texts.clone(), form),
            Piece::OldRows(texts.clone(), form),
            Piece::Rows(texts.clone(), form),
        ] {
            let (lines, codes) = object(&piece.bytes(), &config);
            assert!(lines.iter().map(|(line, _)| line).eq(labelled), "{piece:?} {lines:?}");
            assert!(codes.is_empty() && lines.iter().all(|(_, key)| key.is_some()));
        }
        assert_eq!(object(&Piece::Control(form).bytes(), &config), Found::default());
    }
    for piece in
        [Piece::Failed(texts.clone()), Piece::List(texts.clone()), Piece::Base64(texts.clone())]
    {
        let (lines, _) = object(&piece.bytes(), &config);
        assert!(lines.iter().map(|(line, _)| line).eq(labelled), "{piece:?} {lines:?}");
    }
    for (which, text) in FOREIGN.iter().enumerate() {
        let (lines, codes) = object(&Piece::Foreign(which).bytes(), &config);
        let joined: String = lines.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!((joined.as_str(), codes.len()), (*text, 0));
    }
    let (lines, codes) = object(&Piece::Faulty("x".to_owned()).bytes(), &config);
    assert_eq!((lines[0].0.as_str(), codes["malformed-event"]), ("HOGE,1,half \u{fffd}", 1));
}
