//! Dedup: a million rows, half of which have already landed.

use hiwake::disk::Open;
use hiwake::land::day_file::batch::Batch;
use hiwake::land::day_file::dedup::Committed;
use hiwake::land::journal::blocks::Blocks;
use hiwake::land::journal::frame::Commit;
use hiwake::land::journal::seen;
use hiwake::land::root::layout::DayFile;
use hiwake::row::{Day, Kind, Row};

use crate::cpu::taken;
use crate::given::{DAY_STARTS, Random};
use crate::target::{Target, line};
use crate::{memory, place};

const ROWS: u64 = 1_000_000;
/// The rows of one log stream in a record. They are in order of time; the records are not.
const RECORD: u64 = 250;

pub fn measure() {
    let [ms, mb] = memory::child(&["dedup"])[..] else { panic!() };
    line(
        "dedup of a million rows in 4,000 records, half of them known",
        ms,
        " ms",
        Target::AtMost(48.0),
    );
    line("the same: memory, 16 bytes an identity included", mb, " MB", Target::AtMost(20.0));
}

pub fn child() {
    let folder = place::folder();
    place::with_lander(folder.path(), place::LANDED, |lander| {
        let mut known = Batch::default();
        let mut batch = Batch::default();
        let day: Day = "2022-04-18".parse().unwrap();
        let mut random = Random::new(3);
        for record in 0..ROWS / RECORD {
            // Each record begins at a random time within an hour.
            let mut at = DAY_STARTS + random.below(3_600_000) as i64;
            for n in 0..RECORD {
                at += random.below(40) as i64;
                let id = format!("~{record:010}{n:012}");
                let row = Row {
                    file: "messages".into(),
                    kind: Kind::Csv,
                    day,
                    timestamp: at,
                    stream: "123456789012:/var/log/messages:i-0abc".into(),
                    id: id.into(),
                    line: "x".into(),
                };
                batch.push(&row, 0, true);
                if record % 2 == 0 {
                    known.push(&row, 0, true);
                }
            }
        }
        let order = known.by_identity();
        let run = order.iter().map(|row| known.key(*row));
        let (bytes, blocks) = seen::encode(run);
        let handle = lander.disk.open("seen", Open::Create(0o600)).unwrap();
        handle.write_at(&bytes, seen::place(0)).unwrap();
        let commit = Commit::plain(1, 0, ROWS, 0, 0, blocks);
        let mut blocks = Blocks::default();
        blocks.add(&commit);
        drop((known, order, bytes));
        let day_file = DayFile { file: "messages".to_owned(), day, kind: Kind::Csv };
        let (mut ms, mut new) = (f64::INFINITY, Vec::new());
        let mut dedup = || {
            new = Vec::new();
            ms = ms.min(taken(|| {
                let (seen, day_file) = (handle.as_ref(), &day_file);
                let known = Committed { seen, day_file, blocks: &blocks };
                new = known.new_rows(&batch).unwrap();
            }));
        };
        let peak = memory::peak(&mut dedup);
        (0..9).for_each(|_| dedup());
        assert_eq!(new.len() as u64, ROWS / 2);
        let mb = peak + (ROWS * seen::ENTRY_BYTES) as f64 / 1e6;
        // The system counts whole pages, and some of them late.
        println!("{ms} {}", (mb * 10.0).round() / 10.0);
    });
}
