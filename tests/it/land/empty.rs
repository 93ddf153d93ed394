//! `[seal] empty_days`: a file of one name that nothing was logged for is sealed all the same.

use hiwake::land::upkeep::status::DayState;

use super::*;

const TOML: &str = "[[source]]\nlog_groups = [\"/var/log/messages\"]\nfile = \"messages\"\n\
                    [[source]]\nlog_groups = [\"/quiet\"]\nfile = \"quiet\"\n\
                    [[source]]\nlog_groups = [\"/each/*\"]\nfile = \"each/{log_group}\"\n\
                    [seal]\nempty_days = true\n";
const QUIET: &str = "quiet/2022-04-18.csv";

fn over(toml: &str) -> Site {
    let mut site = Site::new(toml);
    site.commit(&[event("a", 1)]);
    site.now = MIDNIGHT + DAY + HOUR;
    site
}

fn quiet(events: &[Event], site: &Site) -> Tally {
    let day_file = hiwake::land::root::layout::DayFile { file: "quiet".to_owned(), ..day_file() };
    let (lander, batch) = (site.lander(), batch(events));
    let commit = hiwake::land::day_file::commit::commit;
    match commit(&lander, &day_file, &batch, &["bucket/key@1".to_owned()], &|| Ok(())).unwrap() {
        CommitOutcome::Committed(tally) => tally,
        CommitOutcome::Closed => panic!("closed"),
    }
}

#[test]
fn a_quiet_file_is_sealed_empty_with_the_others_of_its_day() {
    let site = over(TOML);
    let sealed: Vec<String> = site.seal().sealed.into_iter().map(|(_, one)| one.target).collect();
    assert_eq!(sealed, [SEALED, QUIET]);
    assert_eq!(site.text(QUIET), "");
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(site.text(&format!("{QUIET}.sha256")), format!("{hash}  2022-04-18.csv\n"));
    let sum = |name: &str| [name.to_owned(), format!("{name}.sha256")];
    assert_eq!(site.names(), [sum(SEALED), sum(QUIET)].concat());
    // Nothing more comes of it, and nothing is wrong.
    assert!(site.seal().sealed.is_empty());
    assert!(site.lander().verify().damaged.is_empty());
    let states: Vec<_> = site.lander().status().0.iter().map(|day| day.state).collect();
    assert_eq!(states, [DayState::Sealed, DayState::Sealed]);
}

#[test]
fn without_the_key_or_on_a_day_without_any_line_there_is_no_empty_file() {
    let site = over(&TOML.replace("empty_days = true", ""));
    site.seal();
    assert_eq!(site.names(), [SEALED, &format!("{SEALED}.sha256")]);
    let mut site = over(TOML);
    site.seal();
    site.now += DAY;
    assert!(site.seal().sealed.is_empty(), "nothing was logged on the 19th");
}

#[test]
fn compressed_empty_files_are_whole_frames() {
    for (compress, name) in [("gzip", ".gz"), ("zstd", ".zst")] {
        let site = over(&format!("{TOML}compress = \"{compress}\"\n"));
        site.seal();
        assert_eq!(site.text(&format!("{QUIET}{name}")), "");
        assert!(!std::fs::read(site.path(&format!("{QUIET}{name}"))).unwrap().is_empty());
        assert!(site.lander().verify().damaged.is_empty());
    }
}

#[test]
fn what_comes_later_is_a_late_file_beside_the_empty_one() {
    let mut site = over(TOML);
    site.seal();
    assert_eq!(
        (quiet(&[event("x", 5)], &site).late, quiet(&[event("x", 5)], &site).duplicates),
        (1, 1)
    );
    site.now += 2 * HOUR;
    site.seal();
    assert_eq!(site.text("quiet/2022-04-18.late.csv"), "HOGE,x\n");
    assert_eq!(site.text(QUIET), "");
}

#[test]
fn an_empty_file_that_could_not_be_begun_is_tried_again() {
    let mut site = over(TOML);
    // The round begins the empty day, and cannot seal it.
    let block = site.path(QUIET);
    std::fs::create_dir_all(&block).unwrap();
    assert_eq!(site.lander().seal().unwrap().failed.len(), 1);
    std::fs::remove_dir(&block).unwrap();
    site.now += DAY;
    let swept = site.seal();
    assert_eq!(site.text(QUIET), "", "{swept:?} {:?}", site.tree().keys());
}

#[test]
fn a_file_that_was_sealed_empty_closes_is_kept_and_removed_like_others() {
    let toml = format!("{TOML}journal_days = 1\n[retention]\ndays = 3\n");
    let mut site = over(&toml);
    site.seal();
    site.now += 2 * DAY;
    assert_eq!(site.seal().closed.len(), 2);
    site.now += 2 * DAY;
    assert_eq!(site.seal().removed.len(), 2);
    assert_eq!(site.names(), [""; 0]);
    assert!(site.lander().verify().damaged.is_empty());
}

/// An empty twin stood beside the real file when the kind of its source had changed.
#[test]
fn a_file_that_has_lines_in_another_kind_is_not_empty() {
    let mut site = over(TOML);
    quiet(&[event("x", 5)], &site);
    site.config = given::config(
        &TOML.replace("file = \"quiet\"", "file = \"quiet\"\nformat = { kind = \"json\" }"),
    );
    site.now += 2 * HOUR;
    site.seal();
    assert!(!site.names().contains(&"quiet/2022-04-18.ndjson".to_owned()), "{:?}", site.names());
}

/// A late line of an old day made empty files for sources that were added since.
#[test]
fn a_late_line_makes_no_empty_files() {
    let mut site = over(&TOML.replace("empty_days = true", ""));
    site.seal();
    site.config = given::config(TOML);
    site.commit(&[event("late", 7)]);
    site.now += 2 * HOUR;
    assert_eq!(site.seal().sealed.len(), 1);
    assert!(!site.names().iter().any(|name| name.starts_with("quiet/")));
}
