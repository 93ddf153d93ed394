//! Registers: entries count as a whole or not at all, are added once, and are restored when they
//! are lost.

use std::fs;

use hiwake::land::Landed;
use hiwake::land::intake::register::{check, restore};
use hiwake::store::{ObjectId, Store};

use super::*;

/// Of the events at midnight in Tokyo.
const REGISTER: &str = ".hiwake/routings/2022-04-17";

fn toml(file: &str) -> String {
    format!("[[source]]\nlog_groups = [\"g\"]\nfile = \"{file}\"\n")
}

/// Lands a row of this file, as some transform has made it.
fn land(site: &Site, file: &str, id: &str, hours: i64) -> Landed {
    let folder = tempfile::tempdir().unwrap();
    let row = serde_json::json!({
        "file": file, "kind": "csv", "day": "2022-04-18", "timestamp": MIDNIGHT + hours * HOUR,
        "stream": "1:g:s", "id": id, "line": id,
    });
    given::put(folder.path(), "a", row.to_string().as_bytes());
    let id = ObjectId { bucket: "b".to_owned(), key: "a".to_owned(), etag: None, version: None };
    site.lander().land(&Store::folder(folder.path()).unwrap(), &[id])
}

fn landed(site: &Site, file: &str, id: &str) {
    let landed = land(site, file, id, 0);
    assert!(landed.objects[0].is_ok(), "{landed:?}");
}

fn entries(site: &Site) -> Vec<String> {
    site.text(REGISTER).lines().skip(1).map(|line| line[9..].to_owned()).collect()
}

#[test]
fn rules_are_added_once_and_what_follows_none_of_them_is_listed() {
    let mut site = Site::new(&toml("one"));
    landed(&site, "one", "a");
    landed(&site, "one", "b");
    assert_eq!(entries(&site).len(), 1, "{:?}", entries(&site));
    assert!(entries(&site)[0].starts_with("{\"restored\":true,\"rules\":{"));
    site.config = given::config(&toml("two"));
    landed(&site, "one", "c");
    landed(&site, "old", "d");
    landed(&site, "old", "e");
    let entries = entries(&site);
    assert_eq!(entries.len(), 3, "{entries:?}");
    assert!(entries[1].starts_with("{\"rules\":{"), "the first one's rules send `one` there");
    assert_eq!(entries[2], "{\"day_files\":[\"old/2022-04-18.csv\"]}");
    for (name, text) in [("one", "a\nb\nc\n"), ("old", "d\ne\n")] {
        assert_eq!(site.text(&given::open_of(&format!("{name}/2022-04-18.csv"))), text);
    }
}

#[test]
fn many_landings_at_once_add_rules_once() {
    let site = Site::new(&toml("one"));
    std::thread::scope(|scope| {
        for n in 0..8 {
            let site = &site;
            scope.spawn(move || landed(site, "one", &n.to_string()));
        }
    });
    assert_eq!(entries(&site).len(), 1, "{:?}", entries(&site));
    assert_eq!(site.text(&given::open_of("one/2022-04-18.csv")).lines().count(), 8);
}

#[test]
fn an_entry_that_lacks_its_line_break_is_kept_and_what_is_torn_is_made_up_for() {
    let whole = || {
        let site = Site::new(&toml("one"));
        landed(&site, "one", "a");
        (site.text(REGISTER), site)
    };
    let (text, _) = whole();
    let at = text.len() - 1;
    let mut cuts = vec![(text.as_bytes()[..at].to_vec(), false)];
    cuts.push(([&text.as_bytes()[..at], &[0, 0]].concat(), false));
    cuts.extend((1..at).step_by(7).map(|cut| (text.as_bytes()[..cut].to_vec(), true)));
    cuts.push(([text.as_bytes(), b"00000000 {\"rul\0\0"].concat(), true));
    for (bytes, is_lost) in cuts {
        let (_, mut site) = whole();
        given::put(site.folder.path(), REGISTER, &bytes);
        site.config = given::config(&toml("two"));
        landed(&site, "two", "a");
        assert!(!site.path(&given::open_of("two/2022-04-18.csv")).exists(), "{}", bytes.len());
        let entries = entries(&site);
        let restored = entries.iter().any(|entry| entry.contains("[\"one/2022-04-18.csv\"]"));
        assert_eq!(restored, is_lost, "{entries:?}");
        assert!(check(&site.lander()).unwrap().is_empty());
    }
}

#[test]
fn any_flipped_bit_is_wrong_to_verify_and_doubles_nothing() {
    let site = Site::new(&toml("one"));
    landed(&site, "one", "a");
    let (tree, length) = (site.tree(), site.text(REGISTER).len());
    for at in 0..length {
        let mut site = Site::new(&toml("one"));
        for (name, bytes) in &tree {
            given::put(site.folder.path(), name, bytes);
        }
        let mut bytes = tree[REGISTER].clone();
        bytes[at] ^= 1 << (at % 8);
        given::put(site.folder.path(), REGISTER, &bytes);
        let is_spare = at == 18;
        let wrong = check(&site.lander()).unwrap();
        assert_eq!(wrong.is_empty(), is_spare, "{at}: {wrong:?}");
        if at % 2 == 0 {
            assert_eq!(restore(&site.lander()).unwrap().len(), wrong.len());
            assert!(check(&site.lander()).unwrap().is_empty(), "{at}");
        }
        site.config = given::config(&toml("two"));
        landed(&site, "two", "a");
        assert!(!site.path(&given::open_of("two/2022-04-18.csv")).exists(), "{at}");
        assert!(check(&site.lander()).unwrap().is_empty(), "{at}");
    }
}

#[test]
fn a_register_cut_at_a_lines_end_or_of_an_older_copy_is_wrong_to_verify_and_restored() {
    let mut site = Site::new(&toml("one"));
    landed(&site, "one", "a");
    let first = site.text(REGISTER);
    site.config = given::config(&toml("two"));
    landed(&site, "two", "b");
    landed(&site, "old", "c");
    let lines: Vec<String> = site.text(REGISTER).lines().map(|line| format!("{line}\n")).collect();
    let cuts: Vec<String> = (1..lines.len()).map(|count| lines[..count].concat()).collect();
    assert_eq!((cuts.len(), &cuts[1]), (3, &first));
    let tree = site.tree();
    for cut in cuts {
        let mut site = Site::new(&toml("two"));
        for (name, bytes) in &tree {
            given::put(site.folder.path(), name, bytes);
        }
        given::put(site.folder.path(), REGISTER, cut.as_bytes());
        let wrong = check(&site.lander()).unwrap();
        assert_eq!(wrong.len(), 1, "{cut}");
        assert_eq!(restore(&site.lander()).unwrap(), [REGISTER]);
        assert!(check(&site.lander()).unwrap().is_empty(), "{cut}");
        site.config = given::config(&toml("three"));
        for id in ["a", "b", "c"] {
            landed(&site, "three", id);
        }
        assert!(!site.path(&given::open_of("three/2022-04-18.csv")).exists(), "{cut}");
    }
}

#[test]
fn an_entry_of_a_newer_release_stops_the_landing_and_is_kept() {
    let site = Site::new(&toml("one"));
    landed(&site, "one", "a");
    let json = "{\"masks\":1}";
    let newer = format!("{}{:08x} {json}\n", site.text(REGISTER), crc32c::crc32c(json.as_bytes()));
    given::put(site.folder.path(), REGISTER, newer.as_bytes());
    let landed = land(&site, "one", "b", 0);
    let said = landed.objects[0].as_ref().unwrap_err().to_string();
    assert!(said.contains("a newer release of hiwake wrote it"), "{said}");
    assert_eq!(site.text(REGISTER), newer);
}

#[test]
fn a_damaged_day_holds_up_only_the_dates_of_its_own_events() {
    let mut site = Site::new(&toml("one"));
    landed(&site, "one", "a");
    let journal = ".hiwake/days/2022-04-18/one.csv/.journal";
    let mut bytes = site.tree()[journal].clone();
    bytes[20] ^= 1;
    given::put(site.folder.path(), journal, &bytes);
    site.config = given::config(&toml("two"));
    // 09:00 in Tokyo is another date, whose register is made now.
    assert!(land(&site, "two", "b", 9).objects[0].is_ok());
    let said = land(&site, "two", "c", 1).objects[0].as_ref().unwrap_err().to_string();
    assert!(said.contains(journal) && said.contains("damaged"), "{said}");
    // Without its identities nobody knows.
    fs::remove_file(site.path(".hiwake/days/2022-04-18/one.csv/.seen")).unwrap();
    fs::remove_file(site.path(".hiwake/routings/2022-04-18")).unwrap();
    assert!(land(&site, "two", "d", 9).objects[0].is_err());
}

#[test]
fn of_a_closed_day_one_register_around_it_is_enough_and_none_is_wrong() {
    let mut site = Site::new(&format!("{}[seal]\njournal_days = 1", toml("one")));
    landed(&site, "one", "a");
    for _ in 0..3 {
        site.now += 30 * HOUR;
        site.seal();
    }
    assert!(check(&site.lander()).unwrap().is_empty());
    fs::remove_file(site.path(REGISTER)).unwrap();
    let wrong = check(&site.lander()).unwrap();
    assert!(wrong.values().next().unwrap().contains("is missing, but events"));
    restore(&site.lander()).unwrap();
    assert!(check(&site.lander()).unwrap().is_empty());
}

#[test]
fn lines_of_a_landing_that_was_interrupted_are_cut_before_their_events_land_elsewhere() {
    let mut site = Site::new(&toml("one"));
    landed(&site, "one", "a");
    // Another one was killed before its commit point.
    let [one, two] = ["one", "two"].map(|file| given::open_of(&format!("{file}/2022-04-18.csv")));
    let longer = [&site.tree()[&one][..], &given::stored("b\n")].concat();
    given::put(site.folder.path(), &one, &longer);
    site.config = given::config(&toml("two"));
    landed(&site, "two", "b");
    assert_eq!((site.text(&one), site.text(&two)), ("a\n".into(), "b\n".into()));
}

/// A late segment that has no commit may have been begun in either form.
#[test]
fn lines_that_were_interrupted_in_any_form_are_cut_before_their_events_land_elsewhere() {
    let late = "one/2022-04-18.late.csv";
    for (open, bytes) in [
        (format!("{late}.open"), b"b\n".to_vec()),
        (format!("{late}.zst.open"), given::frame("b\n")),
    ] {
        let mut site = Site::new(&toml("one"));
        landed(&site, "one", "a");
        site.now += 30 * HOUR;
        site.seal();
        given::put(site.folder.path(), &open, &bytes);
        site.config = given::config(&toml("two"));
        landed(&site, "two", "b");
        assert_eq!(site.text(&given::open_of("two/2022-04-18.csv")), "b\n");
        assert_eq!(site.tree()[&open], b"", "{open}");
    }
}
