//! After `journal_days` a day takes no rows any more; after `retention.days` its files are removed.

use hiwake::land::root::layout::DayFile;
use hiwake::land::upkeep::unsealed::oldest_unsealed;

use super::*;
use crate::given::disk::Watched;

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
    assert_eq!(site.try_commit(&[event("a", 1)]).unwrap(), CommitOutcome::Closed);
    assert_eq!(site.text(SEALED), "HOGE,a\n");
    assert_eq!(site.path(JOURNAL).metadata().unwrap().len(), 8192 + 4096);
    assert_eq!(site.path(SEEN).metadata().unwrap().len(), 0);
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

/// 0.1 read the journal of every sealed day every hour, until it was closed: 90 days of them.
#[test]
fn a_round_over_1000_sealed_days_opens_none_of_their_journals() {
    let mut site = Site::new("");
    site.config.limits.parallel = 1;
    let mut days = 0;
    for day in 1..=20 {
        let rows = |file: usize| (format!("f{file}"), format!("2022-03-{day:02}"));
        for (file, date) in (0..50).map(rows) {
            let midnight = MIDNIGHT - 48 * DAY + day * DAY;
            let day_file =
                DayFile { file: file.clone(), day: date.parse().unwrap(), kind: Kind::Csv };
            let mut batch = Batch::default();
            batch.push(
                &Row { file: file.into(), day: day_file.day, timestamp: midnight, ..row() },
                0,
                true,
            );
            site.now = midnight + HOUR;
            let lander = site.lander();
            let done =
                hiwake::land::day_file::commit::commit(&lander, &day_file, &batch, &[], &|| Ok(()))
                    .unwrap();
            assert!(matches!(done, CommitOutcome::Committed(_)));
            days += 1;
        }
    }
    site.now = MIDNIGHT - 20 * DAY;
    for _ in 0..3 {
        assert!(site.lander().seal_and_announce().unwrap().failed.is_empty());
    }
    // And one that is due.
    site.now = MIDNIGHT + HOUR;
    site.commit(&[event("a", 1)]);
    site.now = MIDNIGHT + DAY + HOUR;
    let disk = Watched::new(&site.disk);
    let lander = Lander { root: Root { disk: &disk, ..site.lander().root }, ..site.lander() };
    assert_eq!(lander.seal_and_announce().unwrap().sealed.len(), 1);
    let opened = disk.take_opened();
    let others = opened.iter().filter(|path| path.contains("2022-03-")).count();
    assert_eq!((days, others), (1000, 0), "{opened:?}");
    lander.seal_and_announce().unwrap();
    disk.take_opened();
    let idle = lander.seal_and_announce().unwrap();
    assert!(idle.is_idle());
    let opened = disk.take_opened();
    assert!(opened.iter().all(|path| path.starts_with(".hiwake/due")), "{opened:?}");
    assert!(opened.len() < 10, "{opened:?}");
}

fn row() -> Row<'static> {
    Row {
        file: "f".into(),
        kind: Kind::Csv,
        day: day_file().day,
        timestamp: MIDNIGHT,
        stream: "1:g:s".into(),
        id: "x".into(),
        line: "line".into(),
    }
}

/// What is due is in the answer of two rounds of the function, no matter which process published
/// it: a landing that found it half done, the command line, or a round that died.
#[test]
fn what_was_published_is_announced_by_two_rounds_whoever_published_it() {
    let mut site = Site::new("");
    site.commit(&[event("a", 1)]);
    site.now = MIDNIGHT + DAY + HOUR;
    assert_eq!(site.seal().announced.len(), 1, "by the command line");
    assert_eq!(site.seal().announced.len(), 0, "once");
    let round = |site: &Site| -> Vec<String> {
        let answer = site.lander().seal_and_announce().unwrap().answer();
        answer.sealed.into_iter().map(|one| one.path).collect()
    };
    assert_eq!(round(&site), [SEALED]);
    site.commit(&[event("late", 2)]);
    site.now += 3 * HOUR;
    let late = "messages/2022-04-18.late.csv";
    assert_eq!(round(&site), [SEALED, late]);
    assert_eq!(round(&site), [late]);
    assert!(round(&site).is_empty());
}

/// An answer of more than 256 KB could not be delivered: it told nobody anything.
#[test]
fn an_answer_stays_below_200_kb_and_the_rest_follows() {
    let mut site = Site::new("[seal]\njournal_days = 1");
    site.now = MIDNIGHT + HOUR;
    let names: Vec<String> =
        (0..400).map(|n| format!("{n:03}{}", "x".repeat(180)).repeat(4)).collect();
    for name in &names {
        let file = [&name[..180], &name[180..360], &name[360..540], &name[540..]].join("/");
        let day_file = DayFile { file: file.clone(), day: day_file().day, kind: Kind::Csv };
        let mut batch = Batch::default();
        batch.push(&Row { file: file.into(), ..row() }, 0, true);
        let done =
            hiwake::land::day_file::commit::commit(&site.lander(), &day_file, &batch, &[], &|| {
                Ok(())
            })
            .unwrap();
        assert!(matches!(done, CommitOutcome::Committed(_)));
    }
    site.now = MIDNIGHT + DAY + HOUR;
    let (mut announced, mut closed, mut rounds) = (BTreeMap::<String, usize>::new(), 0, 0);
    while closed < names.len() {
        let swept = site.lander().seal_and_announce().unwrap();
        assert!(swept.failed.is_empty(), "{:?}", swept.failed);
        let answer = swept.answer();
        assert!(serde_json::to_string(&answer).unwrap().len() < 200_000);
        for one in answer.sealed {
            *announced.entry(one.path).or_default() += 1;
        }
        closed += answer.closed.len();
        rounds += 1;
        site.now += 4 * HOUR;
        assert!(rounds < 100, "{closed} closed");
    }
    assert_eq!(announced.len(), names.len());
    assert!(announced.values().all(|rounds| *rounds == 2), "{announced:?}");
}

/// A landing by a machine whose clock was far ahead left a day that was never sealed, with an age
/// of 0.
#[test]
fn a_landing_whose_clock_is_not_the_file_systems_is_refused() {
    let site = Site::new("");
    let disk = Watched::new(&site.disk);
    let lander = Lander {
        root: Root { disk: &disk, clock: Clock::System, ..site.lander().root },
        ..site.lander()
    };
    let land = || {
        hiwake::land::day_file::commit::commit(
            &lander,
            &day_file(),
            &batch(&[event("a", 1)]),
            &[],
            &|| Ok(()),
        )
    };
    for behind in [-DAY, DAY] {
        disk.set_behind(behind);
        let error = land().unwrap_err();
        let LandError::Clock { ours, theirs } = error else { panic!("{error}") };
        assert!((ours - theirs - behind).abs() < HOUR, "{behind}: {ours} {theirs}");
    }
    disk.set_behind(0);
    assert!(matches!(land(), Ok(CommitOutcome::Committed(Tally { lines: 1, .. }))));
}

#[test]
fn what_a_clock_stamped_that_was_ahead_is_sealed_and_has_its_age() {
    let mut site = Site::new("");
    site.now = MIDNIGHT + 4000 * DAY;
    site.commit(&[event("a", 1)]);
    site.now = MIDNIGHT + 3 * DAY;
    assert_eq!(oldest_unsealed(&site.lander()).unwrap(), 2 * DAY);
    assert_eq!(site.seal().sealed.len(), 1);
    assert_eq!(oldest_unsealed(&site.lander()).unwrap(), 0);
}
