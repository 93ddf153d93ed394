//! The names of a day file lead back to it.

use hiwake::config::{Compress, Form};
use hiwake::land::root::layout::{DUE, DayFile, Hint, name_of};
use hiwake::row::Kind;

fn named() -> DayFile {
    let day = "2022-04-18".parse().unwrap();
    DayFile { file: "a/b".to_owned(), day, kind: Kind::Csv }
}

#[test]
fn a_published_name_leads_back_to_its_day_file_and_segment() {
    for segment in [1, 2, 3, 12] {
        for compress in [Compress::None, Compress::Gzip, Compress::Zstd] {
            let target = named().target(segment, compress);
            let parsed = DayFile::parse_published("a/b", name_of(&target));
            assert_eq!(parsed, Some((named(), segment)), "{target}");
        }
    }
    for name in
        ["2022-04-18.csv.open", "2022-04-18.csv.sha256", "notes.csv", ".2022-04-18.csv.x.tmp"]
    {
        assert_eq!(DayFile::parse_published("a/b", name), None, "{name}");
    }
}

#[test]
fn a_hint_and_a_journal_folder_lead_back_to_their_named() {
    let date = "2022-04-19".parse().unwrap();
    for hint in [Hint::Seal(3), Hint::Announce(2, 1), Hint::Close(date), Hint::Removed(date)] {
        let path = named().hint(&hint);
        assert_eq!(DayFile::of_hint(&path), Some((named(), hint)), "{path}");
    }
    for path in ["seal/2022-04-18/a/b/2022-04-18.csv", "seal/2022-04-17/a/b/2022-04-18.csv.1"] {
        assert_eq!(DayFile::of_hint(&format!("{DUE}/{path}")), None, "{path}");
    }
    let folder = named().journal_folder();
    assert_eq!(folder, ".hiwake/days/2022-04-18/a/b.csv");
    assert_eq!(DayFile::of_journal_folder(&folder), Some(named()));
    assert_eq!(DayFile::of_journal_folder(".hiwake/days/2022-04-18/a/b.x"), None);
}

#[test]
fn an_open_file_and_a_temporary_lead_back_to_their_segment() {
    for segment in [1, 2, 3, 12] {
        let open = |form| named().open_segment(segment, form);
        let paths = [open(Form::Plain), open(Form::Compressed), named().temporary(segment, "x")];
        for path in paths {
            let parsed = DayFile::parse_unfinished("a/b", name_of(&path));
            assert_eq!(parsed, Some((named(), segment)), "{path}");
        }
    }
    for name in [
        "2022-04-18.csv",
        "2022-04-18.csv.gz.open",
        ".2022-04-18.csv.zst.x.tmp",
        "x.open",
        ".x.y.tmp",
        "..tmp",
    ] {
        assert_eq!(DayFile::parse_unfinished("a/b", name), None, "{name}");
    }
}

#[test]
fn temporaries_of_one_segment_are_not_those_of_another() {
    let first = named().temporary_prefix(1);
    for other in [2, 3] {
        let temporary = named().temporary(other, "x");
        assert!(!name_of(&temporary).starts_with(&first), "{temporary}");
    }
}
