//! The lines of a landing, in memory.

use hiwake::land::ChunkPool;
use hiwake::land::day_file::batch::Batch;
use hiwake::row::{Kind, Row};

/// Bytes of a piece of memory.
const PIECE: usize = 1 << 20;

fn row(line: &str) -> Row<'_> {
    Row {
        file: "messages".into(),
        kind: Kind::Csv,
        day: "2022-04-18".parse().unwrap(),
        timestamp: 0,
        stream: "".into(),
        id: "".into(),
        line: line.into(),
    }
}

#[test]
fn lines_are_whole_in_memory_that_was_used_before() {
    let pool = ChunkPool::default();
    for (round, fill) in ["a", "b", "c"].into_iter().enumerate() {
        let lengths = [1, 600_000, 500_000, PIECE - 1, PIECE, 3 * PIECE, 0, 2];
        let lines = lengths.map(|length| fill.repeat(length));
        let mut batch = Batch::with(&pool);
        for line in &lines {
            batch.push(&row(line), 0, true);
        }
        for (row, line) in lines.iter().enumerate() {
            assert!(batch.line(row as u32) == format!("{line}\n").as_bytes(), "{round} {row}");
        }
        drop(batch);
        // Neither the first piece, which grew, nor the two long lines': what is kept is used again.
        assert_eq!(pool.pieces(), 3);
    }
    let mut small = [0; 4].map(|_| Batch::with(&pool));
    for batch in &mut small {
        batch.push(&row("small"), 0, true);
    }
    assert_eq!(pool.pieces(), 0, "many small day files take no more memory than one");
}
