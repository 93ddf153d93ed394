//! `.hiwake/routing`: which routing is in use, and since when; durable, once, whoever writes it and however it ends.

use hiwake::land::routing::{History, ROUTING, Rules, Used, log_group, note};

use super::*;

const TO_MESSAGES: &str = "[[source]]\nlog_groups = [\"g\"]\nfile = \"messages\"";
const TO_OTHER: &str = "[[source]]\nlog_groups = [\"g\"]\nfile = \"other\"";
const BUFFERED: i64 = HOUR / 4;

fn entries(site: &Site) -> usize {
    site.text(ROUTING).lines().count()
}

fn others_until(site: &Site) -> Option<i64> {
    let history = History::read(&site.lander()).unwrap();
    history.others_until(&Rules::of(&site.config).fingerprint())
}

fn foreign(at: i64) -> Used {
    Used { foreign: Some(at), made: false }
}

#[test]
fn a_change_of_labels_is_no_change_of_routing_and_one_of_files_is() {
    let fingerprint = |toml: &str| Rules::of(&given::config(toml)).fingerprint();
    let base = fingerprint(TO_MESSAGES);
    for same in [
        "labels = [\"X\"]",
        "columns = [\"{time}\", \"{message}\"]",
        "[format]\nnewline = \"space\"",
        "[plain]\nfile = \"text\"",
        "[seal]\ngrace = \"2h\"",
    ] {
        assert_eq!(fingerprint(&format!("{TO_MESSAGES}\n{same}")), base, "{same}");
    }
    for other in [
        TO_OTHER,
        "[[source]]\nlog_groups = [\"g*\"]\nfile = \"messages\"",
        "[[source]]\nlog_groups = [\"g\"]\nlog_streams = [\"s\"]\nfile = \"messages\"",
        &format!("timezone = \"UTC\"\n{TO_MESSAGES}"),
        &format!("{TO_MESSAGES}\n[format]\nkind = \"tsv\""),
        &format!("{TO_MESSAGES}\n[unmatched]\nfile = \"rest\""),
        &format!("[[source]]\nlog_groups = [\"h\"]\n{TO_MESSAGES}"),
    ] {
        assert_ne!(fingerprint(other), base, "{other}");
    }
}

#[test]
fn a_routing_is_noted_at_its_first_use_only_and_again_when_it_comes_back() {
    let mut site = Site::new(TO_MESSAGES);
    assert_eq!(others_until(&site), None, "a fresh root has no other");
    note(&site.lander(), Used::default()).unwrap();
    site.now += HOUR;
    note(&site.lander(), Used::default()).unwrap();
    assert_eq!((entries(&site), others_until(&site)), (1, None));
    site.config = given::config(TO_OTHER);
    assert_eq!(others_until(&site), Some(i64::MAX), "not used yet: all is from before");
    note(&site.lander(), Used::default()).unwrap();
    assert_eq!((entries(&site), others_until(&site)), (2, Some(site.now + BUFFERED)));
    site.now += HOUR;
    site.config = given::config(TO_MESSAGES);
    note(&site.lander(), Used::default()).unwrap();
    assert_eq!((entries(&site), others_until(&site)), (3, Some(site.now + BUFFERED)));
}

#[test]
fn rows_of_another_routing_are_noted_once() {
    let site = Site::new(TO_MESSAGES);
    note(&site.lander(), foreign(site.now + HOUR)).unwrap();
    note(&site.lander(), foreign(site.now + HOUR)).unwrap();
    note(&site.lander(), foreign(site.now)).unwrap();
    assert_eq!((entries(&site), others_until(&site)), (2, Some(site.now + HOUR + 1 + BUFFERED)));
}

#[test]
fn that_records_became_lines_is_noted_once_and_moves_no_first_use() {
    let mut site = Site::new(TO_OTHER);
    let has_made = |site: &Site| History::read(&site.lander()).unwrap().has_made();
    note(&site.lander(), Used::default()).unwrap();
    site.config = given::config(TO_MESSAGES);
    note(&site.lander(), Used::default()).unwrap();
    let first_use = others_until(&site);
    assert!(!has_made(&site));
    site.now += HOUR;
    for _ in 0..2 {
        note(&site.lander(), Used { foreign: None, made: true }).unwrap();
    }
    assert_eq!((entries(&site), others_until(&site), has_made(&site)), (3, first_use, true));
    note(&site.lander(), Used::default()).unwrap();
    note(&site.lander(), Used { foreign: Some(site.now), made: true }).unwrap();
    assert_eq!((entries(&site), others_until(&site)), (5, Some(site.now + 1 + BUFFERED)));
}

#[test]
fn a_note_that_was_cut_short_does_not_exist_and_a_line_that_is_unreadable_is_another_routing() {
    let mut site = Site::new(TO_MESSAGES);
    note(&site.lander(), Used::default()).unwrap();
    let whole = site.text(ROUTING);
    for cut in 0..whole.len() {
        given::put(site.folder.path(), ROUTING, &whole.as_bytes()[..cut]);
        assert_eq!(others_until(&site), None, "{cut}");
        site.now += 1;
        note(&site.lander(), Used::default()).unwrap();
        assert_eq!((entries(&site), others_until(&site)), (1, None), "{cut}");
    }
    given::put(site.folder.path(), ROUTING, format!("garbage\n{whole}").as_bytes());
    assert!(others_until(&site).is_some());
    given::put(site.folder.path(), ROUTING, format!("{whole}garbage\n").as_bytes());
    assert_eq!(others_until(&site), Some(i64::MAX));
    note(&site.lander(), Used::default()).unwrap();
    assert_eq!(entries(&site), 3);
}

#[test]
fn many_landers_at_once_note_a_routing_once() {
    let site = Site::new(TO_MESSAGES);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| note(&site.lander(), Used::default()).unwrap());
        }
    });
    assert_eq!(entries(&site), 1);
}

#[test]
fn a_landing_of_nothing_new_notes_nothing() {
    let mut site = Site::new(TO_MESSAGES);
    let objects = tempfile::tempdir().unwrap();
    let row = |id: &str| {
        serde_json::json!({
            "file": "messages", "kind": "csv", "day": "2022-04-18", "timestamp": MIDNIGHT,
            "stream": "1:g:s", "id": id, "line": id,
        })
        .to_string()
    };
    let land = |site: &Site, key: &str| {
        let store = hiwake::store::Store::folder(objects.path()).unwrap();
        let id = store.look(key).unwrap().id;
        let landed = site.lander().land(&store, &[id]);
        assert!(landed.objects[0].is_ok(), "{landed:?}");
    };
    given::put(objects.path(), "a", row("a").as_bytes());
    land(&site, "a");
    let first = site.text(ROUTING);
    assert_eq!(entries(&site), 1, "{first}");
    site.config = given::config(TO_OTHER);
    land(&site, "a");
    assert_eq!(site.text(ROUTING), first, "all of it was there");
    given::put(objects.path(), "b", row("b").as_bytes());
    land(&site, "b");
    assert!(
        site.text(ROUTING).contains("\"another\""),
        "rows that this configuration would not make"
    );
}

#[test]
fn the_log_group_is_found_in_a_stream_and_plain_text_has_none() {
    assert_eq!(log_group("123:/a/b:x:y/[$LATEST]"), Some(("123", "/a/b", "x:y/[$LATEST]")));
    assert_eq!(log_group("arn:aws:firehose:ap-northeast-1:123:deliverystream/x"), None);
    assert_eq!(log_group("bucket/key"), None);
}
