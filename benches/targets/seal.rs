//! Seal: 32 commits that overlap line by line become one file; verify reads it completely.

use std::path::Path;

use hiwake::config::{Compress, Config, Form};
use hiwake::disk::Open;
use hiwake::land::day_file::batch::Batch;
use hiwake::land::day_file::commit;
use hiwake::land::day_file::merge::{self, Source};
use hiwake::land::journal::Journal;
use hiwake::row::Row;

use crate::cpu::taken;
use crate::given::{self, Random};
use crate::landing::answers;
use crate::target::{Target, line};
use crate::{memory, place};

const COMMITS: usize = 32;
const MERGED: &str = "merged";
const ROUNDS: usize = 5;

pub fn measure() {
    let rows: Vec<Row<'_>> = answers(4 << 20).iter().flat_map(|data| given::rows(data)).collect();
    let mut peaks = Vec::new();
    for (repeats, targets) in [(4, false), (16, true)] {
        let folder = place::folder();
        let bytes = fill(folder.path(), &rows, repeats);
        let measured = memory::child(&["seal", folder.path().to_str().unwrap()]);
        let [merge, seal, verify, peak] = measured[..] else { panic!() };
        let mb = bytes as f64 / 1e6;
        let rate = |ms: f64| bytes as f64 / ms / 1e3;
        println!(
            "a day of {mb:.0} MB in {COMMITS} commits: merged in {merge:.0} ms, sealed in {seal:.0}, verified in {verify:.0}; {peak:.1} MB of memory"
        );
        peaks.push(peak);
        if targets {
            let unit = " MB/s of CPU";
            line(
                "seal: merge of 32 commits into a file",
                rate(merge),
                unit,
                Target::AtLeast(1100.0),
            );
            line("seal: all of it, SHA-256 too", rate(seal), unit, Target::None);
            line("verify: data, seen and SHA-256", rate(verify), unit, Target::None);
        }
    }
    line(
        "seal: memory for a day four times as large",
        peaks[1] / peaks[0],
        " ×",
        Target::AtMost(1.1),
    );
    compressed(&rows);
}

/// Seals the same day with each compression, including merge and hashes.
fn compressed(rows: &[Row<'_>]) {
    let ways = [Compress::None, Compress::Gzip, Compress::Zstd];
    let (mut least, mut bytes, mut text) = ([f64::INFINITY; 3], [0; 3], 0);
    for _ in 0..ROUNDS {
        for (way, compress) in ways.into_iter().enumerate() {
            let folder = place::folder();
            text = fill(folder.path(), rows, 4);
            let adapt = |config: &mut Config| config.seal.compress = compress;
            place::with_adapted(folder.path(), place::SEALED, &adapt, |lander| {
                let mut swept = None;
                least[way] = least[way].min(taken(|| swept = lander.seal().ok()));
                bytes[way] = swept.unwrap().sealed[0].1.bytes;
            });
        }
    }
    let ([none, gzip, zstd], mb) = (least, text as f64 / 1e6);
    println!(
        "a seal of {mb:.0} MB: {none:.0} ms of CPU plain, {gzip:.0} gzip 6, {zstd:.0} zstd 1; gzip 6 takes it to {:.3}, zstd 1 to {:.3}",
        bytes[1] as f64 / bytes[0] as f64,
        bytes[2] as f64 / bytes[0] as f64
    );
    line("seal: zstd / gzip 6, CPU", zstd / gzip, "", Target::AtMost(0.35));
    line(
        "seal: zstd / gzip 6, CPU of the compression alone",
        (zstd - none) / (gzip - none),
        "",
        Target::None,
    );
    line("seal: zstd / gzip 6, size", bytes[2] as f64 / bytes[1] as f64, "", Target::AtMost(1.0));
}

/// Fills a day file with commits; each line is in a random one. Returns its bytes.
fn fill(root: &Path, rows: &[Row<'_>], repeats: i64) -> usize {
    let mut random = Random::new(4);
    let mut batches: Vec<Batch> = (0..COMMITS).map(|_| Batch::default()).collect();
    let mut bytes = 0;
    for repeat in 0..repeats {
        for row in rows {
            let mut row = row.clone();
            row.timestamp += repeat * 3_600_000;
            bytes += row.line.len() + 1;
            batches[random.below(COMMITS as u64) as usize].push(&row, 0, true);
        }
    }
    // A batch of more than `commit_bytes` would become several commits.
    let adapt = |config: &mut Config| config.limits.commit_bytes = usize::MAX;
    place::with_adapted(root, place::LANDED, &adapt, |lander| {
        for batch in &batches {
            assert!(commit::commit(lander, &place::day_file(), batch, &[], &|| Ok(())).is_ok());
        }
    });
    bytes
}

pub fn child(root: &str) {
    place::with_lander(Path::new(root), place::SEALED, |lander| {
        let day_file = place::day_file();
        let (data_path, seen_path) = (day_file.open_segment(1, Form::Plain), day_file.seen());
        let data = lander.disk.open(&data_path, Open::Read).unwrap();
        let seen = lander.disk.open(&seen_path, Open::Read).unwrap();
        let state = Journal::peek(lander, &day_file).unwrap().unwrap();
        let commits: Vec<_> = state.commits().cloned().collect();
        let source = Source {
            data: data.as_ref(),
            data_path: &data_path,
            seen: seen.as_ref(),
            seen_path: &seen_path,
            kind: day_file.kind,
        };
        let merged = lander.disk.open(MERGED, Open::Create(0o600)).unwrap();
        let mut merge_ms = f64::INFINITY;
        let memory = lander.config.limits.merge_bytes;
        let peak_of_merge = memory::peak(|| {
            for _ in 0..3 {
                let (mut buffer, mut written) = (Vec::with_capacity(2 << 20), 0);
                merge_ms = merge_ms.min(taken(|| {
                    merge::merge(&source, &commits, memory, &mut |line| {
                        buffer.extend_from_slice(line);
                        if buffer.len() >= 1 << 20 {
                            merged.write_at(&buffer, written).unwrap();
                            written += buffer.len() as u64;
                            buffer.clear();
                        }
                        Ok(())
                    })
                    .unwrap();
                    merged.write_at(&buffer, written).unwrap();
                }));
            }
        });
        drop((merged, data, seen));
        lander.disk.unlink(MERGED).unwrap();
        let mut seal_ms = 0.0;
        let peak = memory::peak(|| {
            seal_ms = taken(|| assert_eq!(lander.seal().unwrap().sealed.len(), 1));
        });
        // These commits bypassed landing, so no register lists the day file.
        let verify_ms = taken(|| assert!(lander.verify().damaged.is_empty()));
        println!("{merge_ms} {seal_ms} {verify_ms} {}", peak.max(peak_of_merge));
    });
}
