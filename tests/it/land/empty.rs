//! `[seal] empty_days`: on a day on which an object was delivered, a file of one name that nothing
//! was logged for is sealed all the same.

use std::time::UNIX_EPOCH;

use hiwake::land::rebuild::{Rebuilt, rebuild};
use hiwake::land::root::layout::DayFile;
use hiwake::land::upkeep::due::{self, Because, Due};
use hiwake::land::upkeep::status::{DayState, DayStatus};
use hiwake::land::{Landed, Selection};
use hiwake::store::Store;

use super::*;

const TOML: &str = "[[source]]\nlog_groups = [\"/var/log/messages\"]\nfile = \"messages\"\n\
                    [[source]]\nlog_groups = [\"/quiet\"]\nfile = \"quiet\"\n\
                    [[source]]\nlog_groups = [\"/each/*\"]\nfile = \"each/{log_group}\"\n\
                    [seal]\nempty_days = true\n";
const QUIET: &str = "quiet/2022-04-18.csv";

const MARK: &str = ".hiwake/due/delivered/2022-04-18";

/// Lands an object that was delivered at a time.
fn deliver(site: &Site, text: &str, at: i64) -> Landed {
    let (folder, id) = object(text, at);
    site.lander().land(&Store::folder(folder.path()).unwrap(), &[id])
}

fn object(text: &str, at: i64) -> (tempfile::TempDir, hiwake::store::ObjectId) {
    let folder = tempfile::tempdir().unwrap();
    let path = given::put(folder.path(), "key", text.as_bytes());
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_millis(at as u64)).unwrap();
    let bucket = folder.path().display().to_string();
    let id = hiwake::store::ObjectId { bucket, key: "key".to_owned(), etag: None, version: None };
    (folder, id)
}

/// Delivers an object without an event of either file.
fn nothing(site: &Site, at: i64) {
    let landed = deliver(site, "", at);
    assert!(landed.objects[0].is_ok(), "{landed:?}");
}

fn over(toml: &str) -> Site {
    let mut site = Site::new(toml);
    nothing(&site, site.now);
    site.commit(&[event("a", 1)]);
    site.now = MIDNIGHT + DAY + HOUR;
    site
}

fn quiet(events: &[Event], site: &Site) -> Tally {
    let (lander, batch, day_file) = (site.lander(), batch(events), quiet_day());
    let commit = hiwake::land::day_file::commit::commit;
    match commit(&lander, &day_file, &batch, &["bucket/key@1".to_owned()], &|| Ok(())).unwrap() {
        CommitOutcome::Committed(tally) => tally,
        CommitOutcome::Closed => panic!("closed"),
    }
}

fn quiet_day() -> DayFile {
    DayFile { file: "quiet".to_owned(), ..day_file() }
}

/// The paths that a round publishes.
fn sealed(site: &Site) -> Vec<String> {
    site.seal().sealed.into_iter().map(|(_, one)| one.target).collect()
}

#[test]
fn a_quiet_file_is_sealed_empty_with_the_others_of_its_day() {
    let site = over(TOML);
    assert_eq!(sealed(&site), [SEALED, QUIET]);
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
    assert!(site.seal().sealed.is_empty(), "nothing was delivered on the 19th");
}

/// Lines of another file decided, so that a day on which all files were quiet had none.
#[test]
fn a_day_on_which_objects_had_no_event_at_all_has_every_file() {
    let mut site = Site::new(TOML);
    nothing(&site, site.now);
    site.now = MIDNIGHT + DAY + HOUR;
    let would: Vec<_> =
        site.lander().plan_seal().seal.into_iter().map(|one| one.day_file).collect();
    assert_eq!(would, [SEALED, QUIET]);
    assert_eq!(sealed(&site), [SEALED, QUIET]);
    assert!(site.lander().plan_seal().seal.is_empty());
    assert!(!site.path(MARK).exists());
}

#[test]
fn an_object_whose_events_are_all_dropped_counts_as_delivered() {
    let toml = TOML.replace("file = \"messages\"", "file = \"messages\"\ndrop = [\"x\"]");
    let mut site = Site::new(&toml);
    let mut envelope = given::envelope(&["x"]);
    envelope["logGroup"] = "/var/log/messages".into();
    let landed = deliver(&site, &envelope.to_string(), site.now);
    assert_eq!((landed.tally.filtered, landed.tally.rows), (1, 0));
    site.now = MIDNIGHT + DAY + HOUR;
    assert_eq!(sealed(&site), [SEALED, QUIET]);
}

/// Sealing knew of them, but status, the report, and what is due next did not.
#[test]
fn a_file_that_would_be_sealed_empty_is_due_everywhere() {
    let mut site = Site::new(TOML);
    nothing(&site, site.now);
    let shown = |site: &Site| {
        let (days, failed) = site.lander().status();
        assert!(failed.is_empty(), "{failed:?}");
        let day = |one: DayStatus| {
            assert_eq!((one.state, one.lines, one.paths), (DayState::Open, 0, Vec::new()));
            (one.due.unwrap(), format!("{}/{}.csv", one.file, one.day), one.overdue)
        };
        days.into_iter().map(day).collect::<Vec<_>>()
    };
    let due = Due { at: MIDNIGHT + DAY + HOUR, because: Because::DayEnd };
    let both = |due, overdue| [SEALED, QUIET].map(|name| (due, name.to_owned(), overdue));
    let waits = |site: &Site| {
        let waits = due::waiting(&site.lander()).into_iter();
        waits.map(|(due, day_file)| (due, day_file.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(shown(&site), both(due, false));
    assert_eq!(waits(&site), [SEALED, QUIET].map(|name| (due, name.to_owned())));
    assert!(site.lander().plan_seal().seal.is_empty());
    site.now = due.at;
    assert_eq!(shown(&site), both(due, true));
    assert_eq!(site.lander().plan_seal().seal.len(), 2);
    let report = |site: &Site| {
        let (lander, report) = (site.lander(), site.lander().report(Vec::new()));
        let page = report.page(&lander, hiwake::config::Language::En);
        let overdue = report.wrong.iter().filter(|one| one.en.contains("has been due since"));
        let marks =
            ["open", "missing"].map(|mark| page.matches(&format!("<td class=\"{mark}\"")).count());
        (marks, overdue.count())
    };
    assert_eq!(report(&site), ([2, 0], 0));
    // As any other day: after 6 hours it is wrong.
    site.now += 6 * HOUR + 1;
    assert_eq!(report(&site), ([0, 2], 2));
    assert_eq!(sealed(&site), [SEALED, QUIET]);
    assert_eq!((report(&site).1, waits(&site).len()), (0, 0));
}

/// The next round begins these files, and they wait for the objects that follow.
#[test]
fn a_file_of_an_object_that_lands_after_its_day_is_due_the_grace_after_the_next_round() {
    let mut site = Site::new(TOML);
    site.now = MIDNIGHT + DAY + 2 * HOUR;
    nothing(&site, MIDNIGHT + HOUR);
    let due = Due { at: site.now + HOUR, because: Because::LastCommit };
    let days = |site: &Site| {
        let days = site.lander().status().0.into_iter();
        days.filter(|one| one.day == "2022-04-18").map(|one| one.due).collect::<Vec<_>>()
    };
    assert_eq!(days(&site), [Some(due); 2]);
    assert!(site.lander().plan_seal().seal.is_empty());
    assert!(site.seal().sealed.is_empty());
    assert_eq!(days(&site), [Some(due); 2], "begun, and due as it was said");
}

#[test]
fn files_of_unmatched_events_and_of_plain_text_that_are_configured_are_sealed_empty_too() {
    let tables = "[unmatched]\nfile = \"rest\"\n[plain]\nfile = \"text\"\n";
    for (tables, more) in [
        ("", [].as_slice()),
        (tables, ["rest/2022-04-18.csv", "text/2022-04-18.log"].as_slice()),
        (&tables.replace("[plain]", "[plain]\ndrop = true"), ["rest/2022-04-18.csv"].as_slice()),
    ] {
        let mut site = Site::new(&format!("{tables}{TOML}"));
        nothing(&site, site.now);
        site.now = MIDNIGHT + DAY + HOUR;
        assert_eq!(sealed(&site), [[SEALED, QUIET].as_slice(), more].concat(), "{tables}");
    }
}

/// Nothing but hints of days that a journal knows was there, so that the mark was damage.
#[test]
fn the_mark_of_a_day_is_no_damage_and_goes_where_the_key_was_switched_off() {
    let mut site = Site::new(TOML);
    nothing(&site, site.now);
    assert!(site.path(MARK).exists());
    let found = site.lander().verify();
    assert!(found.is_whole() && found.findings.is_empty(), "{:?}", found.findings);
    site.config.seal.empty_days = false;
    site.now = MIDNIGHT + DAY + HOUR;
    assert!(site.seal().is_idle());
    assert!(!site.path(MARK).exists());
    assert!(site.lander().status().0.is_empty());
    assert_eq!(site.names(), [""; 0]);
}

#[test]
fn a_dry_run_and_a_site_without_the_key_mark_nothing() {
    let site = Site::new(TOML);
    let (folder, id) = object("", site.now);
    let store = Store::folder(folder.path()).unwrap();
    let (landed, _) = site.lander().plan(&store, &[id], &Selection::all());
    assert!(landed.objects[0].is_ok());
    assert!(site.tree().is_empty(), "{:?}", site.tree());
    let site = Site::new(&TOML.replace("empty_days = true", ""));
    nothing(&site, site.now);
    assert!(site.tree().is_empty(), "{:?}", site.tree());
}

/// Landed a moment after midnight, or after a night without landing: it is of the day before, whose
/// other objects may follow, so the file waits for them.
#[test]
fn an_object_that_lands_after_midnight_counts_for_the_day_of_its_delivery() {
    let mut site = Site::new(TOML);
    site.now = MIDNIGHT + DAY + 9 * HOUR;
    nothing(&site, MIDNIGHT + DAY - 1);
    assert!(sealed(&site).is_empty(), "an hour after its begin");
    assert!(site.lander().verify().damaged.is_empty());
    quiet(&[event("x", 5)], &site);
    site.now += HOUR;
    assert_eq!(sealed(&site), [SEALED, QUIET]);
    assert_eq!(site.text(QUIET), "HOGE,x\n");
    assert!(!site.names().iter().any(|name| name.contains("2022-04-19")), "{:?}", site.names());
}

/// A replay, or a folder that is landed again and again, says nothing of what arrives now.
#[test]
fn an_object_of_an_older_day_counts_for_none() {
    let mut site = Site::new(TOML);
    site.now = MIDNIGHT + 2 * DAY;
    nothing(&site, MIDNIGHT + DAY - 1);
    site.now += 3 * DAY;
    assert!(site.seal().is_idle());
    assert!(site.tree().keys().all(|name| !name.starts_with(".hiwake/days")));
}

#[test]
fn a_process_marks_a_day_once() {
    let mut site = Site::new(TOML);
    site.journals = Some(Arc::default());
    nothing(&site, site.now);
    std::fs::remove_file(site.path(MARK)).unwrap();
    nothing(&site, site.now);
    assert!(!site.path(MARK).exists());
    site.journals = None;
    nothing(&site, site.now);
    assert!(site.path(MARK).exists());
}

/// Its rows land; it is retried until its day is marked.
#[test]
fn an_object_whose_day_cannot_be_marked_is_not_acknowledged() {
    let site = Site::new(TOML);
    std::fs::create_dir_all(site.path(MARK)).unwrap();
    let text = serde_json::json!({
        "file": "quiet", "kind": "csv", "day": "2022-04-18", "timestamp": MIDNIGHT,
        "stream": "1:/quiet:s", "id": "1", "line": "x",
    });
    let landed = deliver(&site, &format!("{text}\n"), site.now);
    assert!(landed.objects[0].as_ref().unwrap_err().reason.contains("delivered"), "{landed:?}");
    assert_eq!(landed.tally.lines, 1);
    std::fs::remove_dir(site.path(MARK)).unwrap();
    assert!(deliver(&site, &format!("{text}\n"), site.now).objects[0].is_ok());
}

#[test]
fn an_empty_day_without_its_journal_is_rebuilt() {
    for (open, compress) in [(true, "none"), (false, "none"), (true, "zstd"), (false, "gzip")] {
        let toml = format!("{TOML}compress = \"{compress}\"\n");
        let mut site = Site::new(&toml);
        site.now = MIDNIGHT + DAY + 9 * HOUR;
        nothing(&site, MIDNIGHT + DAY - 1);
        site.seal();
        if !open {
            site.now += HOUR;
            site.seal();
        }
        given::put(site.folder.path(), &quiet_day().journal(), b"");
        let (folder, _) = object("", site.now);
        let store = Store::folder(folder.path()).unwrap();
        let objects = store.list("").unwrap();
        assert_eq!(site.lander().verify().damaged, [quiet_day()]);
        let rebuilt = rebuild(&site.lander(), &store, &objects, &quiet_day());
        assert!(matches!(rebuilt, Ok(Rebuilt::Rebuilt { lines: 0, .. })), "{rebuilt:?}");
        assert!(site.lander().verify().is_whole());
        site.now += HOUR;
        site.seal();
        let name = site.names().into_iter().find(|name| name.starts_with("quiet/")).unwrap();
        assert_eq!(site.text(&name), "", "{name}");
        assert!(site.lander().verify().is_whole());
    }
}

/// Where `seen` had entries, or is gone as well, nobody can say that the day had no line.
#[test]
fn a_day_that_may_have_had_lines_is_not_rebuilt_as_an_empty_one() {
    for is_seen_cut in [false, true] {
        let mut site = Site::new(TOML);
        quiet(&[event("x", 5)], &site);
        site.now = MIDNIGHT + DAY + HOUR;
        given::put(site.folder.path(), &quiet_day().journal(), b"");
        let open = site.names().into_iter().find(|name| name.starts_with("quiet/")).unwrap();
        given::put(site.folder.path(), &open, b"");
        if is_seen_cut {
            given::put(site.folder.path(), &quiet_day().seen(), b"");
        }
        let (folder, _) = object("", site.now);
        let store = Store::folder(folder.path()).unwrap();
        let rebuilt = rebuild(&site.lander(), &store, &store.list("").unwrap(), &quiet_day());
        assert!(rebuilt.is_err(), "{rebuilt:?}");
    }
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
    // The round cannot even begin the empty day.
    let block = site.path(&quiet_day().journal());
    std::fs::create_dir_all(&block).unwrap();
    assert_eq!(site.lander().seal().unwrap().failed.len(), 1);
    assert!(site.path(MARK).exists());
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
