//! Properties of the reader: whatever is concatenated, however it is read, wherever it is torn.

use hiwake::object::Options;
use hiwake::row::{Kind, Row};
use proptest::prelude::*;

use crate::given::gzip;
use crate::given::object::{
    Chunked, config, control, envelope, read, read_with, rows_member, rows_text,
};
use crate::object::failed_line;

/// A piece of an object, and the lines that it holds.
#[derive(Debug, Clone)]
enum Piece {
    Source(Vec<String>),
    Clear(Vec<String>),
    Rows(Vec<String>),
    RowsInClear(Vec<String>),
    Failed(Vec<String>),
    Plain(Vec<String>),
    Control,
}

impl Piece {
    fn lines(&self) -> Vec<String> {
        let labelled =
            |texts: &[String]| texts.iter().map(|text| format!("HOGE,1,{text}")).collect();
        match self {
            Piece::Source(t)
            | Piece::Clear(t)
            | Piece::Rows(t)
            | Piece::RowsInClear(t)
            | Piece::Failed(t) => labelled(t),
            Piece::Plain(texts) => texts.clone(),
            Piece::Control => Vec::new(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let made = |texts: &[String]| {
            envelope(&texts.iter().map(|text| (text.as_str(), text.as_str())).collect::<Vec<_>>())
        };
        match self {
            Piece::Source(texts) => gzip(&made(texts)),
            Piece::Clear(texts) => made(texts),
            Piece::Rows(texts) => rows_member(&config(), &made(texts)),
            Piece::RowsInClear(texts) => rows_text(&config(), &made(texts)),
            Piece::Failed(texts) => [&failed_line(&gzip(&made(texts)))[..], b"\n"].concat(),
            // A stream of plain records without line breaks between them cannot be told apart.
            Piece::Plain(texts) => {
                texts.iter().flat_map(|text| format!("{text}\n").into_bytes()).collect()
            }
            Piece::Control => gzip(&control()),
        }
    }
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-zé日{}:' ]{0,40}[a-z日]", 1..8)
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let plain = prop::collection::vec("[a-zé日][a-zé日{}:\"' ]{0,40}[a-z日]", 1..8);
    let piece = prop_oneof![
        4 => texts().prop_map(Piece::Source),
        2 => texts().prop_map(Piece::Clear),
        4 => texts().prop_map(Piece::Rows),
        1 => texts().prop_map(Piece::RowsInClear),
        2 => texts().prop_map(Piece::Failed),
        2 => plain.prop_map(Piece::Plain),
        1 => Just(Piece::Control),
    ];
    prop::collection::vec(piece, 0..8)
}

fn object(pieces: &[Piece], twice: bool) -> (Vec<u8>, Vec<String>) {
    let bytes: Vec<u8> = pieces.iter().flat_map(Piece::bytes).collect();
    let bytes = if twice { gzip(&bytes) } else { bytes };
    (bytes, pieces.iter().flat_map(Piece::lines).collect())
}

proptest! {
    /// As fast as it is read, and although its beginning is known from the row before.
    #[test]
    fn exact_is_never_another_row(
        file in "[a-z\"é]{1,3}",
        timestamp in prop_oneof![-9_i64..9, any::<i64>()],
        stream in "[a\"\\\\\u{1}é:]{0,4}",
        id in "[~0-9a]{0,4}",
        line in "[a\"\\\\\u{1}\n\t/é,]{0,48}",
        at: prop::sample::Index,
        byte in prop_oneof![Just(b'"'), Just(b'\\'), Just(b' '), Just(b','), Just(0), Just(0xff)],
        change in 0..4,
    ) {
        let day = "2022-04-18".parse().unwrap();
        let row = Row {
            file: file.into(), kind: Kind::Csv, day, timestamp,
            stream: stream.as_str().into(), id: id.into(), line: line.into(),
        };
        let mut text = Vec::new();
        row.encode(&mut text);
        let mut changed = text[..text.len() - 1].to_vec();
        let at = at.index(changed.len());
        match change {
            0 => changed[at] = byte,
            1 => changed.insert(at, byte),
            2 => changed.truncate(at),
            _ => {}
        }
        let config = config();
        let options = Options { plain: false, ..Options::new(&config.limits) };
        let object = [&text[..], &text, &changed].concat();
        let (_, seen) = read_with(&object[..], &options, &config);
        let decoded = [&text, &text, &changed].map(|text| Row::decode(text));
        prop_assert_eq!(seen.rows, decoded.into_iter().flatten().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_concatenated_is_read_exactly(
        pieces in pieces(), twice: bool, sizes in prop::collection::vec(1usize..200, 1..5),
    ) {
        let (bytes, lines) = object(&pieces, twice);
        let (counts, seen) = read(&bytes[..]);
        prop_assert_eq!(&seen.lines, &lines);
        prop_assert_eq!(seen.bad_codes().len(), 0);
        let chunked = read(Chunked { bytes: &bytes, sizes, turn: 0 });
        prop_assert_eq!(chunked, (counts, seen));
    }

    #[test]
    fn what_is_torn_anywhere_gives_a_prefix_and_at_most_one_bad(
        pieces in pieces(), twice: bool, cut: prop::sample::Index,
    ) {
        let (bytes, lines) = object(&pieces, twice);
        let (_, seen) = read(&bytes[..cut.index(bytes.len() + 1)]);
        prop_assert!(seen.lines.len() <= lines.len());
        if seen.bad_codes().first() == Some(&"corrupt-gzip") {
            // A member that stood uncompressed inside the torn one was taken for the next, and what
            // is before it is kept for the quarantine. Nothing is made up, and nothing is read
            // twice.
            prop_assert!(seen.lines.iter().all(|line| lines.iter().any(|l| l.starts_with(line))));
            return Ok(());
        }
        prop_assert!(seen.bad.len() <= 1, "{:?}", seen.bad);
        for (n, (read, whole)) in seen.lines.iter().zip(&lines).enumerate() {
            // Nothing shows that a line of plain text was longer.
            let last = n + 1 == seen.lines.len();
            prop_assert!(read == whole || last && whole.starts_with(read.as_str()), "{read} {whole}");
        }
    }

    #[test]
    fn bytes_of_any_sort_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2000), pieces in pieces(),
        at: prop::sample::Index,
    ) {
        let (mut object, _) = object(&pieces, false);
        let at = at.index(object.len() + 1);
        object.splice(at..at, bytes);
        let _seen = read(&object[..]);
    }
}
