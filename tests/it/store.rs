//! Objects through folders: names, ranges, changes under the reader.

use hiwake::store::{Location, ObjectId, Store, StoreError};

use crate::given::object::whole;
use crate::given::put;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8 ^ (i / 4096) as u8).collect()
}

#[test]
fn names_with_spaces_unicode_and_percent_signs_are_listed_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a folder ~ 日 %41");
    let keys =
        ["a b.gz", "a%20b.gz", "deep/ä ö/~x.log", "ログ/二.ndjson", "x+y=z&[1]{2}.log", "#", "z#a"];
    for key in keys {
        put(&inner, key, key.as_bytes());
    }
    let store = Store::folder(&inner).unwrap();
    let listed: Vec<_> = store.list("").unwrap().into_iter().map(|o| o.id.key).collect();
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    assert_eq!(listed, sorted);
    for key in keys {
        assert_eq!(whole(store.open(key).unwrap()).unwrap(), key.as_bytes());
        let file = inner.join(key).display().to_string();
        let (store, objects) = Location::parse(&file)
            .unwrap()
            .objects(&hiwake::store::Store::bucket_from_env, None)
            .unwrap();
        assert_eq!(objects.len(), 1, "{file}");
        assert_eq!(store.open(&objects[0].id.key).unwrap().object().size, key.len() as u64);
    }
}

#[test]
fn an_object_of_several_ranges_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    for length in [0, 1, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, (9 << 20) + 17] {
        let bytes = pattern(length);
        put(folder.path(), "big", &bytes);
        let store = Store::folder(folder.path()).unwrap();
        let reader = store.open("big").unwrap();
        assert_eq!(reader.object().size, length as u64);
        assert!(whole(reader).unwrap() == bytes, "{length} bytes differ");
    }
}

#[test]
fn an_object_that_changes_while_it_is_read_is_an_error_to_retry() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "k", &pattern(6 << 20));
    let store = Store::folder(folder.path()).unwrap();
    let reader = store.open("k").unwrap();
    std::fs::remove_file(folder.path().join("k")).unwrap();
    put(folder.path(), "k", &pattern((6 << 20) + 1));
    let error = whole(reader).unwrap_err();
    assert!(matches!(&error, StoreError::Changed(place) if place.ends_with("/k")), "{error}");
}

#[test]
fn an_object_that_vanishes_is_not_found_and_final() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path()).unwrap();
    let error = store.open("no such").unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "{error}");
    assert!(matches!(store.look("no such").unwrap_err(), StoreError::NotFound(_)));
    assert!(matches!(Store::folder(&folder.path().join("x")), Err(StoreError::NotFound(_))));
    assert!(matches!(Location::parse("no/such/thing"), Err(StoreError::NotFound(_))));
}

#[test]
fn a_key_cannot_leave_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "outside", b"x");
    put(folder.path(), "in/side", b"x");
    let store = Store::folder(&folder.path().join("in")).unwrap();
    for key in ["../outside", "a/../../outside", "./side", "a//b"] {
        assert!(matches!(store.open(key).unwrap_err(), StoreError::Name { .. }), "{key}");
    }
}

#[test]
fn a_folder_that_cannot_be_opened_is_no_missing_object() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "dir/file", b"x");
    let store = Store::folder(folder.path()).unwrap();
    let error = store.open("dir").unwrap_err();
    assert!(!matches!(error, StoreError::Changed(_)), "{error}");
    assert!(store.open("dir/file/below").is_err());
}

#[test]
fn listing_a_prefix_keeps_to_it() {
    let folder = tempfile::tempdir().unwrap();
    for key in ["landing/2/b", "landing/2/a", "landing/10", "landing2/x", "backup/y"] {
        put(folder.path(), key, b"12345");
    }
    let store = Store::folder(folder.path()).unwrap();
    let objects = store.list("landing/").unwrap();
    let keys: Vec<_> = objects.iter().map(|o| o.id.key.as_str()).collect();
    assert_eq!(keys, ["landing/10", "landing/2/a", "landing/2/b"]);
    assert!(objects.iter().all(|o| o.size == 5 && o.modified > 1_600_000_000_000));
    assert!(store.list("nothing/here/").unwrap().is_empty());
}

#[test]
#[cfg(not(feature = "s3"))]
fn a_bucket_location_is_refused_plainly() {
    let error = Location::parse("s3://bucket/prefix").unwrap_err().to_string();
    assert_eq!(
        error,
        "s3://bucket/prefix: unsupported scheme `s3`: this build reads files and folders only"
    );
}

#[test]
#[cfg(feature = "s3")]
fn a_location_names_a_bucket_and_a_prefix_or_is_refused_plainly() {
    for (place, expected) in [
        ("s3://b", ("b", "")),
        ("s3://b/", ("b", "")),
        ("s3://b/landing/2022/", ("b", "landing/2022")),
    ] {
        let location = Location::parse(place).unwrap();
        let (bucket, prefix) = (expected.0.to_owned(), expected.1.to_owned());
        assert_eq!(location, Location::Bucket { bucket, prefix }, "{place}");
    }
    for (place, reason) in [
        ("s3:///key", "write s3://bucket or s3://bucket/prefix"),
        ("gs://b/k", "unsupported scheme `gs`: use files, folders or s3://"),
    ] {
        let error = Location::parse(place).unwrap_err().to_string();
        assert_eq!(error, format!("{place}: {reason}"));
    }
}

#[test]
fn an_object_is_named_by_place_and_state() {
    let mut id = ObjectId {
        bucket: "logs".into(),
        key: "landing/a b".into(),
        etag: Some("abc".into()),
        version: None,
    };
    assert_eq!(id.to_string(), "logs/landing/a b@abc");
    id.etag = None;
    assert_eq!(id.to_string(), "logs/landing/a b");
}

#[test]
fn what_a_folder_has_and_a_listing_cannot_give_is_named() {
    for name in ["2022/04/17/x#1", "2022/04/17/#5", "2022/04/17/link", "2022/04/17/socket"] {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "2022/04/17/good", b"x");
        put(folder.path(), "2022/04/17/good#a", b"x");
        let location = Location::Folder(folder.path().to_owned());
        let times = [None, Some(1_650_000_000_000..i64::MAX)];
        let list = |time: Option<_>| location.objects(&Store::bucket_from_env, time.as_ref());
        for time in times.clone() {
            assert_eq!(list(time).unwrap().1.len(), 2);
        }
        let path = folder.path().join(name);
        match name.rsplit('/').next() {
            Some("link") => std::os::unix::fs::symlink("nowhere", path).unwrap(),
            Some("socket") => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
            _ => drop(std::fs::File::create(path).unwrap()),
        }
        for time in times {
            let error = list(time).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert!(matches!(error, StoreError::Name { .. }), "{error:?}");
        }
    }
}
