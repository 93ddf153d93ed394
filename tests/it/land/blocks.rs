//! The blocks of `seen`: where they end, and how those are found that can hold a time.

use hiwake::land::journal::blocks::Blocks;
use hiwake::land::journal::frame::{Block, Commit};
use hiwake::land::journal::seen;
use hiwake::row::EventKey;
use proptest::prelude::*;

use super::*;

fn commit(seen: u64, blocks: Vec<Block>) -> Commit {
    Commit::plain(1, 0, 0, 0, seen, blocks)
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

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn the_blocks_between_two_times_are_found(
        commits in proptest::collection::vec(proptest::collection::vec(times(), 0..6), 1..30),
        offered in proptest::collection::vec(times().prop_filter("a day, at most", |(from, to)| to.abs_diff(*from) < 200_000_000), 1..10),
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
        let mut blocks = Blocks::default();
        commits.iter().for_each(|commit| blocks.add(commit));
        let all: Vec<(u64, &Block)> = commits.iter().flat_map(Commit::places).collect();
        prop_assert_eq!(blocks.count, all.len());
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
        mut times in proptest::collection::vec(
            prop_oneof![20 => 0..60_000_i64, 1 => 0..100_000_000_i64], 1..5_000,
        ),
    ) {
        times.sort_unstable();
        let run: Vec<EventKey> =
            times.iter().map(|timestamp| EventKey { timestamp: *timestamp, hash: 7 }).collect();
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

    /// Of a few seconds with some late ones, of one moment with some from anywhere, of all of a
    /// day.
    #[test]
    fn rows_are_sorted_by_identity_wherever_they_lie_in_time(
        times in prop_oneof![
            proptest::collection::vec(
                prop_oneof![200 => 0..3_000_i64, 1 => 0..80_000_000_i64], 0..9_000,
            ),
            proptest::collection::vec(prop_oneof![30 => Just(5_i64), 1 => any::<i64>()], 0..9_000),
            proptest::collection::vec(
                prop_oneof![2 => 0..9_i64, 1 => 0..80_000_000_i64], 0..20_000,
            ),
        ],
    ) {
        let events: Vec<Event> =
            times.iter().enumerate().map(|(n, at)| event(&n.to_string(), *at)).collect();
        let batch = batch(&events);
        let mut wanted: Vec<u32> = (0..events.len() as u32).collect();
        wanted.sort_by_key(|row| (batch.key(*row), *row));
        prop_assert_eq!(batch.by_identity(), wanted);
    }
}
