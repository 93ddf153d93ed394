//! What a commit costs as its day grows: a journal of so many commits of 10,000 events each, then
//! some more.
//!
//! The days are made, not landed: journal and seen to the byte, the data file with its length only,
//! since no commit reads it. The first of these commits reads the whole journal, as a process does
//! that has just begun; the others know it.

use hiwake::config::Form;
use hiwake::disk::Open;
use hiwake::land::Lander;
use hiwake::land::day_file::batch::Batch;
use hiwake::land::day_file::commit;
use hiwake::land::journal::frame::{Commit, Frame, Header};
use hiwake::land::journal::{self, seen};
use hiwake::row::{EventKey, Row};

use crate::cpu::taken;
use crate::given::{DAY_STARTS, Random};
use crate::place;
use crate::target::{Target, line};

const EVENTS: u64 = 10_000;
const LINE_BYTES: usize = 200;
const DAYS: [u64; 5] = [1, 10, 100, 1_000, 10_000];
const COMMITS: u64 = 41;

pub fn measure() {
    // What a process takes until its memory is in use is not a commit's.
    ms_after(1_000, 0);
    for (name, stragglers) in [("in order", 0), ("one event in 1,000 late", 10)] {
        let mut after_first = 0.0;
        for commits in DAYS {
            let (first, one_more) = ms_after(commits, stragglers);
            if commits == DAYS[0] {
                after_first = one_more;
            }
            let aims = match (commits == DAYS[4], stragglers) {
                (true, 0) => [Target::AtMost(1.1), Target::AtMost(2.0)],
                (true, _) => [Target::AtMost(1.1), Target::AtMost(2.5)],
                (false, _) => [Target::None, Target::None],
            };
            let events = commits * EVENTS;
            println!(
                "a day of {commits} commits, {events} events, {name}: {one_more:.2} ms for one more, {first:.2} ms for a process's first"
            );
            let whose = [("a commit", one_more), ("a process's first commit", first)];
            for ((whose, ms), aim) in whose.into_iter().zip(aims) {
                let what = format!("{whose} after {commits}, {name} / after the first");
                line(&what, ms / after_first, "", aim);
            }
        }
    }
}

/// The ms of CPU of a process's first commit into a day with so many, and what a quarter of those
/// after it take at most: they differ a little, and what disturbs them comes on top.
fn ms_after(commits: u64, stragglers: u64) -> (f64, f64) {
    let folder = place::folder();
    place::with_lander(folder.path(), place::LANDED, |lander| {
        fill(lander, commits, stragglers);
        touch();
        let first = land(lander, commits, commits, stragglers);
        let more = commits + 1..=commits + COMMITS;
        let mut more: Vec<f64> =
            more.map(|number| land(lander, commits, number, stragglers)).collect();
        more.sort_by(f64::total_cmp);
        (first, more[more.len() / 4])
    })
}

/// The identities of a commit: its part of the day, some anywhere before.
fn run(number: u64, commits: u64, stragglers: u64) -> Vec<EventKey> {
    let mut random = Random::new(number + 1);
    let span = 80_000_000 / commits.max(10);
    let mut run: Vec<EventKey> = (0..EVENTS)
        .map(|n| {
            let after = if n < stragglers {
                random.below((number + 1) * span)
            } else {
                number * span + n * span / EVENTS
            };
            EventKey { timestamp: DAY_STARTS + after as i64, hash: random.next() }
        })
        .collect();
    run.sort_unstable();
    run
}

fn fill(lander: &Lander<'_>, commits: u64, stragglers: u64) {
    let day_file = place::day_file();
    // The first commit is a real one: it makes the folders and the names.
    land(lander, commits, 0, stragglers);
    let mut frames = Vec::new();
    let seen = lander.disk.open(&day_file.seen(), Open::ReadWrite).unwrap();
    for number in 0..commits {
        let (bytes, blocks) = seen::encode(run(number, commits, stragglers).into_iter());
        seen.write_at(&bytes, seen::place(number * EVENTS)).unwrap();
        let bytes = EVENTS * LINE_BYTES as u64;
        let (offset, at) = (number * bytes, place::LANDED);
        let commit = Commit::plain(1, offset, bytes, 0, number * EVENTS, blocks);
        frames.push(Frame::Commit(Commit { at, objects: vec![object(number)], ..commit }));
    }
    let (journal, mark) = journal::compose(&Header::of(&day_file, "Asia/Tokyo"), &frames);
    seen.write_at(&mark.encode(), 0).unwrap();
    let handle = lander.disk.open(&day_file.journal(), Open::ReadWrite).unwrap();
    handle.truncate(0).unwrap();
    handle.write_at(&journal, 0).unwrap();
    let data = lander.disk.open(&day_file.open_segment(1, Form::Plain), Open::Write).unwrap();
    data.truncate(commits * EVENTS * LINE_BYTES as u64).unwrap();
}

/// The ms of CPU of one commit.
fn land(lander: &Lander<'_>, commits: u64, number: u64, stragglers: u64) -> f64 {
    let day_file = place::day_file();
    let mut batch = Batch::default();
    let text = "x".repeat(LINE_BYTES - 1);
    for identity in run(number, commits, stragglers) {
        let row = Row {
            file: day_file.file.as_str().into(),
            kind: day_file.kind,
            day: day_file.day,
            timestamp: identity.timestamp,
            stream: "123456789012:/var/log/messages:i-0abc".into(),
            id: identity.hash.to_string().into(),
            line: text.as_str().into(),
        };
        batch.push(&row, 0, true);
    }
    let objects = [object(number)];
    taken(|| assert!(commit::commit(lander, &day_file, &batch, &objects, &|| Ok(())).is_ok()))
}

/// Memory that a virtual machine has not used yet comes from its host, which takes longer than a
/// commit: use some now.
fn touch() {
    std::hint::black_box(vec![1_u8; 256 << 20]);
}

fn object(number: u64) -> String {
    format!(
        "logs-bucket/landing/2022/04/18/05/hiwake-1-2022-04-18-05-32-11-{number:032x}.gz@9b2cf535f27731c974343645a3985328"
    )
}
