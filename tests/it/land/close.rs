//! After `journal_days` a day takes no rows any more; after `retention.days` its files are removed.

use super::*;

const SEALED: &str = "messages/2022-04-18.csv";

fn sealed(toml: &str) -> Site {
    let mut site = Site::new(toml);
    site.commit(&[event("a", 1)]);
    site.now = MIDNIGHT + DAY + HOUR;
    site.seal();
    site
}

#[test]
fn a_closed_day_takes_no_rows_and_keeps_its_sums() {
    let mut site = sealed("[seal]\njournal_days = 3");
    site.now += 3 * DAY - 1;
    assert!(site.seal().closed.is_empty());
    assert_eq!(site.commit(&[event("a", 1)]).duplicates, 1);
    site.now += 1;
    assert_eq!(site.seal().closed, [day_file()]);
    assert_eq!(site.try_commit(&[event("a", 1)]).unwrap(), Outcome::Closed);
    assert_eq!(site.text(SEALED), "HOGE,a\n");
    assert_eq!(
        site.path(".hiwake/days/2022-04-18/messages.csv/.journal").metadata().unwrap().len(),
        8192
    );
    assert_eq!(
        site.path(".hiwake/days/2022-04-18/messages.csv/.seen").metadata().unwrap().len(),
        0
    );
    let (days, failed) = site.lander().status();
    assert!(failed.is_empty());
    assert_eq!(
        (days[0].lines, days[0].bytes, &days[0].paths[..]),
        (1, 7, &[SEALED.to_owned()][..])
    );
    assert!(site.seal().closed.is_empty());
}

#[test]
fn a_day_with_an_open_late_segment_is_not_closed() {
    let mut site = sealed("[seal]\njournal_days = 1\ngrace = \"2h\"");
    site.now += 2 * HOUR;
    site.seal();
    site.now += 2 * DAY;
    site.commit(&[event("late", 2)]);
    assert!(site.seal().closed.is_empty());
    site.now += 2 * HOUR;
    assert_eq!(site.seal().sealed.len(), 1);
    site.now += DAY;
    assert_eq!(site.seal().closed.len(), 1);
}

#[test]
fn retention_removes_old_files_of_ours_and_no_others() {
    for journal_days in [1, 90] {
        let toml = format!("[retention]\ndays = 10\n[seal]\njournal_days = {journal_days}");
        let mut site = sealed(&toml);
        // Not ours: a day that has no journal, and another form of one that has.
        std::fs::File::create(site.path("messages/2001-01-01.csv")).unwrap();
        std::fs::File::create(site.path("messages/2022-04-18.csv.gz")).unwrap();
        // Ten days from when it was published.
        site.now += 10 * DAY - 1;
        assert!(site.seal().removed.is_empty());
        site.now += 1;
        assert_eq!(site.seal().removed, [SEALED]);
        assert_eq!(site.names(), ["messages/2001-01-01.csv", "messages/2022-04-18.csv.gz"]);
        assert!(site.seal().removed.is_empty());
        assert!(site.lander().status().0[0].paths.is_empty());
        if journal_days == 90 {
            assert_eq!(site.commit(&[event("a", 1)]).duplicates, 1, "removed, not forgotten");
        }
    }
}
