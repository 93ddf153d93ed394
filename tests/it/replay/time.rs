//! When an object was delivered is its LastModified; keys are in UTC, and only spare the listing.

use std::path::Path;

use chrono::DateTime;
use hiwake::store::{Location, Store};
use proptest::prelude::*;

use super::*;
use crate::given::{DAY, HOUR, MIDNIGHT};

fn keys(folder: &Path, since: Option<i64>, until: Option<i64>) -> Vec<String> {
    let location = Location::Folder(folder.to_owned());
    let time = since.unwrap_or(i64::MIN)..until.unwrap_or(i64::MAX);
    let (_, objects) = location.objects(&Store::bucket_from_env, Some(&time)).unwrap();
    objects.into_iter().map(|object| object.id.key).collect()
}

/// An object whose oldest record arrived then, delivered so much later.
fn put(folder: &Path, prefix: &str, arrival: i64, later: i64) -> String {
    let time = DateTime::from_timestamp_millis(arrival).unwrap();
    let key = format!("{prefix}{}", time.format("%Y/%m/%d/%H/hiwake-1-%Y-%m-%d-%H-%M-%S"));
    modified(&given::put(folder, &key, b"x"), arrival + later);
    key
}

#[test]
fn the_hour_after_midnight_in_tokyo_is_found_under_the_keys_of_the_day_before() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let before = put(folder, "backup/", MIDNIGHT - 60_000, 30_000);
    let after = put(folder, "backup/", MIDNIGHT - 60_000 + 1_000, 60_000);
    let late = put(folder, "backup/", MIDNIGHT - 23 * HOUR, 23 * HOUR + 1);
    let next = put(folder, "backup/", MIDNIGHT + HOUR, 0);
    assert!(after.starts_with("backup/2022/04/17/14/"), "{after}");
    assert_eq!(keys(folder, Some(MIDNIGHT), Some(MIDNIGHT + HOUR)), [late.clone(), after.clone()]);
    assert_eq!(keys(folder, None, Some(MIDNIGHT)), [before]);
    assert_eq!(keys(folder, Some(MIDNIGHT), None), [late, after, next]);
}

#[test]
fn folders_that_only_look_like_years_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut wanted = Vec::new();
    for key in
        ["1999/x", "1234/56/y", "2021/04/17/flat", "2021/notes/z", "deep/a/b/c/2021/01/01/k", "top"]
    {
        modified(&given::put(folder, key, b"x"), MIDNIGHT);
        wanted.push(key.to_owned());
    }
    wanted.sort_unstable();
    // Not those below a year and its months: nothing of 2022 can be there.
    wanted.retain(|key| {
        !key.contains("2021/04") && !key.contains("2021/01") || key.starts_with("2021/")
    });
    assert_eq!(keys(folder, Some(MIDNIGHT - DAY), None), wanted);
}

#[test]
fn other_days_are_not_even_listed() {
    let folder = tempfile::tempdir().unwrap();
    for day in 0..400 {
        put(folder.path(), "backup/", MIDNIGHT - day * DAY, 0);
    }
    // A copy has a later LastModified: by its key it is left out all the same, and so named in the
    // help.
    let copy = put(folder.path(), "backup/", MIDNIGHT - 200 * DAY + HOUR, 200 * DAY);
    let found = keys(folder.path(), Some(MIDNIGHT - HOUR), Some(MIDNIGHT + 2 * HOUR));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(!found.contains(&copy));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_firehose_delivers_with_any_delay_under_any_prefix_is_found(
        objects in prop::collection::vec(
            (0..40 * DAY, 0..24 * HOUR + 15 * 60_000, -12i64..=14), 1..12,
        ),
        since in 0..40 * DAY, length in 1..3 * DAY,
        prefix in prop::sample::select(vec!["", "backup/", "failed/processing-failed/", "a/b/"]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (since, until) = (MIDNIGHT + since, MIDNIGHT + since + length);
        let mut wanted = Vec::new();
        for (n, (at, later, zone)) in objects.into_iter().enumerate() {
            let (arrival, local) = (MIDNIGHT + at, MIDNIGHT + at + zone * HOUR);
            let time = DateTime::from_timestamp_millis(local).unwrap();
            let key = format!("{prefix}{}-{n}", time.format("%Y/%m/%d/%H/o"));
            modified(&given::put(folder.path(), &key, b"x"), arrival + later);
            if (since..until).contains(&(arrival + later)) {
                wanted.push(key);
            }
        }
        wanted.sort_unstable();
        prop_assert_eq!(keys(folder.path(), Some(since), Some(until)), wanted);
    }
}
