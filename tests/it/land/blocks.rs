//! The blocks of `seen`: where they end, and how those are found that can hold a time.

use std::io::Write;

use hiwake::land::blocks::Blocks;
use hiwake::land::frame::{self, Block, Commit, Found, Frame};
use hiwake::land::seen;
use hiwake::row::Identity;
use proptest::prelude::*;
use serde::Serialize;

use super::*;

const JOURNAL: &str = ".hiwake/days/messages/2022-04-18.csv/journal";
const SEEN: &str = ".hiwake/days/messages/2022-04-18.csv/seen";

fn commit(seen: u64, blocks: Vec<Block>) -> Commit {
    let lines = blocks.iter().map(|block| u64::from(block.count)).sum();
    Commit {
        segment: 1,
        lines,
        offset: 0,
        bytes: 0,
        crc: 0,
        seen,
        blocks,
        at: 0,
        duplicates: 0,
        objects: Vec::new(),
    }
}

/// Times as they come: close to each other, minutes and hours apart, and what nobody offers.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 0..60_000_i64,
        4 => 0..100_000_000_i64,
        1 => any::<i64>(),
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
    ]
}

fn times() -> impl Strategy<Value = (i64, i64)> {
    (time(), time()).prop_map(|(one, other)| (one.min(other), one.max(other)))
}

/// A block as version 1 wrote it: each but a commit's last had 4,096 entries.
#[derive(Serialize)]
struct OldBlock {
    min: i64,
    max: i64,
    crc: u32,
}

/// A commit frame as version 1 wrote it, and its CRC.
fn old_frame(commit: Commit, seen: &[u8], previous: u32) -> (Vec<u8>, u32) {
    let run = &seen[seen::place(commit.seen) as usize..][..commit.lines as usize * 16];
    let old = |bytes: &[u8]| {
        let times = || seen::entries(bytes).map(|entry| entry.timestamp);
        let (min, max) = (times().min().unwrap(), times().max().unwrap());
        OldBlock { min, max, crc: crc32c::crc32c(bytes) }
    };
    let blocks: Vec<OldBlock> = run.chunks(4096 * 16).map(old).collect();
    let Commit { segment, lines, offset, bytes, crc, seen, at, duplicates, objects, .. } = commit;
    let commit: Commit<OldBlock> =
        Commit { segment, lines, offset, bytes, crc, seen, blocks, at, duplicates, objects };
    let payload = postcard::to_stdvec(&commit).unwrap();
    let mut frame = b"HWKF\x01\x01\0\0".to_vec();
    frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frame.extend_from_slice(&previous.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&frame), &payload);
    frame.extend_from_slice(&crc.to_le_bytes());
    frame.extend_from_slice(&payload);
    (frame, crc)
}

/// Rewrites the day's journal as version 1 would have written it.
fn as_version_1(site: &Site) {
    let tree = site.tree();
    let (journal, mut seen) = (tree[JOURNAL].clone(), tree[SEEN].clone());
    let (mut old, mut rest) = (journal[..8192].to_vec(), &journal[8192..]);
    let (mut frames, mut last) = (0, None);
    while let Found::Frame { frame: Frame::Commit(commit), previous, length, .. } =
        frame::decode(rest)
    {
        let (bytes, crc) = old_frame(commit, &seen, last.unwrap_or(previous));
        old.extend_from_slice(&bytes);
        (frames, last, rest) = (frames + 1, Some(crc), &rest[length..]);
    }
    assert!(rest.is_empty() && frames > 0);
    let mark = seen::Mark { frames, crc: last.unwrap() }.encode();
    seen[..mark.len()].copy_from_slice(&mark);
    for (name, bytes) in [(JOURNAL, old), (SEEN, seen)] {
        std::fs::File::create(site.path(name)).unwrap().write_all(&bytes).unwrap();
    }
}

#[test]
fn a_journal_of_version_1_is_read_and_goes_on() {
    let mut site = Site::new("");
    let events: Vec<Event> =
        (0..9_000).map(|n| event(&format!("{n:04}"), n * 7_000 % 80_000_000)).collect();
    site.commit(&events[..5_000]);
    site.commit(&events[5_000..]);
    as_version_1(&site);
    assert_eq!(site.commit(&events).duplicates, 9_000);
    let more = [event("more", 5), event("0001", 7_000)];
    assert_eq!(site.commit(&more).lines, 1);
    assert_eq!(site.commit(&more).duplicates, 2);
    // A commit alone has no register.
    hiwake::land::register::restore(&site.lander()).unwrap();
    assert!(site.lander().verify().unwrap().is_whole());
    site.now = MIDNIGHT + DAY + HOUR;
    assert_eq!(site.seal().sealed[0].1.lines, 9_001);
    assert!(site.lander().verify().unwrap().is_whole());
    let published = site.text("messages/2022-04-18.csv");
    let mut wanted: Vec<&Event> = events.iter().chain([&more[0]]).collect();
    wanted.sort_by_key(|(_, at, _)| *at);
    let wanted: String = wanted.iter().map(|event| format!("{}\n", event.2)).collect();
    assert_eq!(published, wanted);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_blocks_between_two_times_are_found(
        commits in proptest::collection::vec(proptest::collection::vec(times(), 0..6), 1..30),
        offered in proptest::collection::vec(times().prop_filter("a day, at most", |(from, to)| to.abs_diff(*from) < 200_000_000), 1..10),
        at_once in 1..10_usize,
    ) {
        let mut seen = 0;
        let commits: Vec<Commit> = (commits.into_iter())
            .map(|times| {
                let block = |(min, max)| Block { min, max, crc: 0, count: 7 };
                let commit = commit(seen, times.into_iter().map(block).collect());
                seen += commit.lines;
                commit
            })
            .collect();
        // Added in pieces, as they come.
        let mut blocks = Blocks::default();
        for end in (0..commits.len()).step_by(at_once).chain([commits.len()]) {
            blocks.follow(commits[..end].iter());
        }
        let all: Vec<(u64, &Block)> = commits.iter().flat_map(Commit::places).collect();
        prop_assert_eq!(blocks.count(), all.len());
        for (from, to) in offered {
            let mut found: Vec<u64> = blocks.between(from, to).map(|(first, _)| first).collect();
            found.sort_unstable();
            found.dedup();
            let wanted = all.iter().filter(|(_, block)| block.min <= to && block.max >= from);
            let wanted: Vec<u64> = wanted.map(|(first, _)| *first).collect();
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn a_run_becomes_blocks_that_end_where_the_time_jumps(
        mut times in proptest::collection::vec(prop_oneof![20 => 0..60_000_i64, 1 => 0..100_000_000_i64], 0..5_000),
    ) {
        times.sort_unstable();
        let run: Vec<Identity> =
            times.iter().map(|timestamp| Identity { timestamp: *timestamp, hash: 7 }).collect();
        let (bytes, blocks) = seen::encode(run.iter().copied());
        prop_assert_eq!(seen::entries(&bytes).collect::<Vec<_>>(), run);
        let commit = commit(0, blocks);
        prop_assert!(commit.is_whole() && commit.lines == times.len() as u64);
        for (first, block) in commit.places() {
            let part = &times[first as usize..][..block.count as usize];
            prop_assert!(block.count <= 1024);
            prop_assert_eq!((Some(&block.min), Some(&block.max)), (part.first(), part.last()));
        }
        let jumps = times.windows(2).filter(|pair| pair[1] - pair[0] > 10_000).count();
        let most = times.len() / 64 + 16;
        if jumps <= most {
            for (_, block) in commit.places() {
                let part = times.iter().filter(|time| (block.min..=block.max).contains(time));
                let part: Vec<&i64> = part.collect();
                prop_assert!(part.windows(2).all(|pair| pair[1] - pair[0] <= 10_000));
            }
        }
        prop_assert!(commit.blocks.len() <= most + 1 + times.len() / 1024);
    }

    /// Of a few seconds with some late ones, of one moment with some from anywhere, of all of a day.
    #[test]
    fn rows_are_sorted_by_identity_wherever_they_lie_in_time(
        times in prop_oneof![
            proptest::collection::vec(prop_oneof![200 => 0..3_000_i64, 1 => 0..80_000_000_i64], 0..9_000),
            proptest::collection::vec(prop_oneof![30 => Just(5_i64), 1 => any::<i64>()], 0..9_000),
            proptest::collection::vec(prop_oneof![2 => 0..9_i64, 1 => 0..80_000_000_i64], 0..20_000),
        ],
    ) {
        let events: Vec<Event> =
            times.iter().enumerate().map(|(n, at)| event(&n.to_string(), *at)).collect();
        let batch = batch(&events);
        let mut wanted: Vec<u32> = (0..events.len() as u32).collect();
        wanted.sort_by_key(|row| (batch.identity(*row), *row));
        prop_assert_eq!(batch.by_identity(), wanted);
    }
}
