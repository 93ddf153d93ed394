//! Open files of both forms, and sealed ones by zstd: other bytes, the same text.

use hiwake::config::Compress;
use hiwake::land::{Lander, Root};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use zstd::zstd_safe;

use super::*;
use crate::given::disk::Watched;

const ZSTD: &str = "messages/2022-04-18.csv.zst";
const LATE_SEALED: &str = "messages/2022-04-18.late.csv";

fn open(form: Form) -> String {
    day_file().open_segment(1, form)
}

fn site(form: Form, toml: &str) -> Site {
    let mut site = Site::new(toml);
    site.config.files.open = form;
    site
}

/// `Site::commit` writes no registers.
fn is_whole(site: &Site) {
    let findings = site.lander().verify().findings.into_iter();
    let mut wrong =
        findings.filter(|found| found.wrong && !found.path.starts_with(".hiwake/routings/"));
    assert_eq!(wrong.next(), None);
}

/// Long lines do not compress, quoted ones hold line breaks.
fn line(number: usize, length: usize) -> String {
    match number % 3 {
        0 => format!("HOGE,{number}"),
        1 => format!("HOGE,{number},\"in\n\"\"two\"\"\n\""),
        _ => format!("HOGE,{number},{}", given::text(number as u64, length).replace('"', "'")),
    }
}

/// Lands the commits, seals, and answers the published text and the dumb model's: the lines of the
/// open file by (time, commit, position).
fn merged(mut site: Site, commits: &[Vec<Event>]) -> (String, String) {
    let form = site.config.files.open;
    let (mut before, mut model) = (0, Vec::new());
    for events in commits {
        site.commit(events);
        let text = site.text(&open(form));
        let added = &text[before..];
        let mut lines: Vec<(usize, i64, &str)> = events
            .iter()
            .map(|(_, at, line)| (added.find(&format!("{line}\n")).unwrap(), *at, &line[..]))
            .collect();
        lines.sort_unstable();
        model.extend(lines.into_iter().map(|(_, at, line)| (at, format!("{line}\n"))));
        before = text.len();
    }
    model.sort_by_key(|(at, _)| *at);
    site.now = MIDNIGHT + 2 * DAY;
    site.seal();
    (site.text(SEALED), model.into_iter().map(|(_, line)| line).collect())
}

/// So many commits of so many lines, a few seconds each, every tenth line from anywhere before.
fn overlapping(commits: usize, lines: usize, length: usize) -> Vec<Vec<Event>> {
    let at = |commit: usize, number: usize| match number % 10 {
        9 => (number * 7_919) % (commit * 1_000 + 1),
        _ => commit * 1_000 + number * 37 % 3_000,
    };
    let events = |commit: usize| {
        let numbers = (0..lines).map(move |number| (number, commit * lines + number));
        numbers
            .map(move |(number, id)| (id.to_string(), at(commit, number) as i64, line(id, length)))
    };
    (0..commits).map(|commit| events(commit).collect()).collect()
}

#[test]
fn a_merge_with_room_for_few_frames_gives_the_text_that_plain_days_give() {
    let commits = overlapping(40, 60, 2_000);
    let toml = "[limits]\nmerge_bytes = 1048576";
    let [plain, compressed] =
        [Form::Plain, Form::Compressed].map(|form| merged(site(form, toml), &commits));
    assert_eq!(plain.0, plain.1);
    assert_eq!(compressed.0, compressed.1);
    assert_eq!(plain.0, compressed.0);
}

#[test]
fn a_frame_that_is_read_again_is_read_up_to_lines_longer_than_a_buffer() {
    let mut site = site(Form::Compressed, "");
    // Room for one frame, and buffers of 4 KiB.
    site.config.limits.merge_bytes = 1;
    let (text, model) = merged(site, &overlapping(6, 30, 40_000));
    assert_eq!(text, model);
}

fn commits() -> impl Strategy<Value = Vec<Vec<(u32, usize)>>> {
    let line = (0..200_u32, prop_oneof![9 => 0..60_usize, 1 => 3_000..9_000_usize]);
    proptest::collection::vec(proptest::collection::vec(line, 1..25), 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn any_commits_are_merged_by_time_commit_and_position(
        commits in commits(),
        room in prop_oneof![Just(1_usize), Just(2 << 20), Just(5 << 20), Just(64 << 20)],
    ) {
        let mut id = 0;
        let mut event = |(at, length): &(u32, usize)| {
            id += 1;
            (id.to_string(), i64::from(*at), line(id, *length))
        };
        let commits: Vec<Vec<Event>> =
            commits.iter().map(|lines| lines.iter().map(&mut event).collect()).collect();
        for form in [Form::Plain, Form::Compressed] {
            let mut site = site(form, "");
            site.config.limits.merge_bytes = room;
            let (text, model) = merged(site, &commits);
            prop_assert_eq!(text, model);
        }
    }
}

#[test]
fn the_first_commit_of_a_segment_decides_its_form_and_a_late_one_has_the_form_of_its_time() {
    for (first, then) in [(Form::Plain, Form::Compressed), (Form::Compressed, Form::Plain)] {
        let mut site = site(first, "");
        site.commit(&[event("a", 1)]);
        site.config.files.open = then;
        site.commit(&[event("b", 2)]);
        assert_eq!(site.text(&open(first)), "HOGE,a\nHOGE,b\n");
        assert!(!site.path(&open(then)).exists());
        site.now = MIDNIGHT + DAY + HOUR;
        site.seal();
        assert_eq!(site.names(), [SEALED, &format!("{SEALED}.sha256")]);
        site.commit(&[event("late", 3)]);
        assert_eq!(site.text(&day_file().open_segment(2, then)), "HOGE,late\n");
        assert!(!site.path(&day_file().open_segment(2, first)).exists());
        site.now += HOUR;
        site.seal();
        assert_eq!(
            (site.text(SEALED).lines().count(), site.text(LATE_SEALED).lines().count()),
            (2, 1)
        );
        is_whole(&site);
    }
}

/// What stays for others is empty: a process that stood still must not remove a name.
#[test]
fn what_an_interrupted_landing_left_in_the_other_form_is_cut_by_the_first_commit() {
    for (first, then) in [(Form::Plain, Form::Compressed), (Form::Compressed, Form::Plain)] {
        // A landing that was killed between its lines and its commit point.
        let other = site(first, "");
        other.commit(&[event("a", 1), event("b", 2)]);
        let left = other.tree()[&open(first)].clone();
        let mut site = site(first, "");
        let (lander, batch) = (site.lander(), batch(&[event("a", 1)]));
        let killed = || Err(LandError::Busy("killed".to_owned()));
        hiwake::land::day_file::commit::commit(&lander, &day_file(), &batch, &[], &killed)
            .unwrap_err();
        given::put(site.folder.path(), &open(first), &left);
        site.config.files.open = then;
        site.commit(&[event("b", 2), event("c", 3)]);
        assert_eq!(site.text(&open(then)), "HOGE,b\nHOGE,c\n");
        assert!(site.tree()[&open(first)].is_empty());
        is_whole(&site);
        site.now = MIDNIGHT + DAY + HOUR;
        site.seal();
        assert_eq!(site.names(), [SEALED, &format!("{SEALED}.sha256")]);
        assert_eq!(site.text(SEALED), "HOGE,b\nHOGE,c\n");
    }
}

#[test]
fn a_sealed_day_by_zstd_is_one_frame_with_its_length_and_checksum() {
    for (form, order) in
        [(Form::Plain, "time"), (Form::Compressed, "time"), (Form::Compressed, "arrival")]
    {
        let toml =
            format!("[seal]\ncompress = \"zstd\"\norder = \"{order}\"\n[retention]\ndays = 10\n");
        let mut site = site(form, &toml);
        let commits = overlapping(3, 90, 3_000);
        for events in &commits {
            site.commit(events);
        }
        let length: usize = commits.iter().flatten().map(|(_, _, line)| line.len() + 1).sum();
        site.now = MIDNIGHT + 2 * DAY;
        let sealed = site.seal().sealed.remove(0).1;
        assert_eq!(site.names(), [ZSTD, &format!("{ZSTD}.sha256")]);
        let bytes = site.tree()[ZSTD].clone();
        assert_eq!(zstd_safe::find_frame_compressed_size(&bytes), Ok(bytes.len()), "one frame");
        let known = zstd_safe::get_frame_content_size(&bytes).unwrap();
        assert_eq!(known, Some(length as u64));
        assert_ne!(bytes[4] & 1 << 2, 0, "with a checksum");
        let mut wanted: Vec<String> =
            commits.iter().flatten().map(|(_, _, line)| format!("{line}\n")).collect();
        let text = String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap();
        assert_eq!((text.len(), sealed.lines), (length, wanted.len() as u64));
        wanted.retain(|line| !text.contains(line));
        assert!(wanted.is_empty(), "{wanted:?}");
        let hash: String =
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let sum = site.text(&format!("{ZSTD}.sha256"));
        assert_eq!(sum, format!("{hash}  2022-04-18.csv.zst\n"));
        is_whole(&site);
        assert_eq!(site.commit(&commits[0]).duplicates, 90);
        site.now += 10 * DAY;
        assert_eq!(site.seal().removed, [ZSTD]);
        assert!(site.names().is_empty(), "{:?}", site.names());
    }
}

#[test]
fn a_late_segment_has_the_compression_of_its_time() {
    let mut site = site(Form::Compressed, "");
    site.commit(&[event("a", 1)]);
    site.now = MIDNIGHT + DAY + HOUR;
    site.config.seal.compress = Compress::Zstd;
    site.seal();
    site.commit(&[event("b", 2)]);
    site.now += HOUR;
    site.config.seal.compress = Compress::Gzip;
    site.seal();
    assert_eq!(site.text(ZSTD), "HOGE,a\n");
    assert_eq!(site.text(&format!("{LATE_SEALED}.gz")), "HOGE,b\n");
    is_whole(&site);
}

/// Lands the commits with room for eight frames, seals, and answers the published text and how many
/// temporaries of finished or plain text the seal made.
fn sealed_watched(form: Form, commits: &[Vec<Event>]) -> (String, usize) {
    let mut site = site(form, "[limits]\nmerge_bytes = 8388608");
    for events in commits {
        site.commit(events);
    }
    site.now = MIDNIGHT + 2 * DAY;
    let disk = Watched::new(&site.disk);
    let lander = Lander { root: Root { disk: &disk, ..site.lander().root }, ..site.lander() };
    assert!(lander.seal().unwrap().failed.is_empty());
    let mut made = disk.take_opened();
    made.retain(|path| path.ends_with(".tmp"));
    made.sort();
    made.dedup();
    // One of them is the checksum's.
    (site.text(SEALED), made.len() - 1)
}

#[test]
fn late_events_do_not_make_a_compressed_day_be_written_as_plain_text() {
    let at = |commit: i64, number: i64| match number {
        0 => commit * 7_919 % (commit + 1) * 60_000 - 15_000 - commit * 300,
        _ => commit * 60_000 + number,
    };
    let event = |commit, number| event(&format!("{commit}-{number}"), at(commit, number));
    let commits: Vec<Vec<Event>> =
        (0..100).map(|commit| (0..50).map(|number| event(commit, number)).collect()).collect();
    let (plain, _) = sealed_watched(Form::Plain, &commits);
    let (compressed, temporaries) = sealed_watched(Form::Compressed, &commits);
    assert_eq!(compressed, plain);
    assert_eq!(temporaries, 1);
}

/// As when each object has events of the whole day: each frame would be read again for each line.
#[test]
fn commits_that_are_interleaved_all_day_are_merged_by_way_of_plain_text() {
    let event = |commit: i64, number: i64| {
        event(&format!("{commit}-{number}"), number * 60_000 + commit * 100)
    };
    let commits: Vec<Vec<Event>> =
        (0..10).map(|commit| (0..1_000).map(|number| event(commit, number)).collect()).collect();
    let (plain, _) = sealed_watched(Form::Plain, &commits);
    let (compressed, temporaries) = sealed_watched(Form::Compressed, &commits);
    assert_eq!(compressed, plain);
    assert_eq!(temporaries, 2);
}
