//! Landing compact rows in deduplicated day files, compared with inflating version 0.1's rows of
//! the same events and writing them to files.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use hiwake::config::Config;
use hiwake::firehose;
use hiwake::land::{Landed, Tally};
use hiwake::object::Reader;
use hiwake::store::{Location, ObjectId};

use crate::cpu::taken;
use crate::given::{self, DAY_STARTS, GROUPS, Load, Shape};
use crate::place;
use crate::target::{Target, line};

const ROUNDS: usize = 7;
/// For the same events, version 0.1 answered 64 MiB, which is the second-largest buffer of
/// Firehose.
const RECORDS_BYTES: usize = 42 << 20;
/// The size of the backup.
const BACKUP_BYTES: usize = 16 << 20;

pub fn measure() {
    let folder = place::folder();
    let objects = folder.path().join("objects");
    std::fs::create_dir(&objects).unwrap();
    let answers = answers(RECORDS_BYTES);
    std::fs::write(objects.join("rows"), answers.concat()).unwrap();
    let before: Vec<u8> =
        answers.iter().flat_map(|data| given::rows_of_0_1(&given::rows(data))).collect();
    let text = text_bytes(&before);
    let old = folder.path().join("old");
    std::fs::write(&old, &before).unwrap();
    drop((answers, before));
    let root = folder.path().join("root");
    let [mut least, mut floor_least] = [f64::INFINITY; 2];
    let mut tally = Tally::default();
    for _ in 0..ROUNDS {
        let at = folder.path().join("floor");
        floor_least = floor_least.min(taken(|| floor(&old, &at)));
        std::fs::remove_file(at).unwrap();
        if root.exists() {
            std::fs::remove_dir_all(&root).unwrap();
        }
        least = least.min(taken(|| tally = land(&root, &objects).tally));
    }
    let Tally { rows: all, lines, duplicates, .. } = tally;
    let days = root.join(GROUPS[1]).read_dir().unwrap().count();
    assert!(days == 2 && duplicates > all / 100 && lines + duplicates == all);
    let again = taken(|| assert_eq!(land(&root, &objects).tally.duplicates, all));
    println!(
        "landing, {all} rows of {days} days, {duplicates} of them twice, {} MB as version 0.1 wrote them: {least:.0} ms, all known already {again:.0} ms; inflate and write those bytes {floor_least:.0} ms",
        text / 1_000_000
    );
    line(
        "landing / (inflate + write of version 0.1's rows)",
        least / floor_least,
        "",
        Target::AtMost(1.1),
    );
    std::fs::remove_dir_all(&root).unwrap();
    replay(folder.path(), &root);
}

/// Lands a source backup in a fresh root, as `hiwake replay` does with each object.
fn replay(folder: &Path, root: &Path) {
    let objects = folder.join("backup");
    std::fs::create_dir(&objects).unwrap();
    let mut load = Load::new(2);
    let mut backup = Vec::new();
    while backup.len() < BACKUP_BYTES {
        backup.extend(load.record(Shape::Mixed));
    }
    std::fs::write(objects.join("backup"), &backup).unwrap();
    let ms = taken(|| assert!(land(root, &objects).tally.lines > 0));
    let rate = text_bytes(&backup) as f64 / ms / 1e3;
    line(
        "replay of a backup into a fresh root, envelopes' text",
        rate,
        " MB/s of CPU",
        Target::None,
    );
}

/// Lands the objects of a folder.
pub fn land(root: &Path, objects: &Path) -> Landed {
    let location = Location::Folder(objects.to_owned());
    let (store, found) = location.objects(&|_| panic!("no buckets here"), None).unwrap();
    let ids: Vec<ObjectId> = found.into_iter().map(|object| object.id).collect();
    let landed = place::with_lander(root, place::LANDED, |lander| lander.land(&store, &ids));
    assert!(landed.objects.iter().all(Result::is_ok), "{:?}", landed.reasons);
    landed
}

fn floor(object: &Path, to: &Path) {
    let mut decoder =
        MultiGzDecoder::new(BufReader::with_capacity(1 << 20, File::open(object).unwrap()));
    let mut file = File::create(to).unwrap();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let filled = decoder.read(&mut buffer).unwrap();
        if filled == 0 {
            return file.sync_all().unwrap();
        }
        file.write_all(&buffer[..filled]).unwrap();
    }
}

/// Transform's answers for records, until they reach this many bytes.
pub fn answers(bytes: usize) -> Vec<Vec<u8>> {
    let config = Config::parse("bench.toml", given::CONFIG).unwrap();
    // Events begin at nine in the evening.
    let (mut reader, mut load) =
        (Reader::new(&config), Load::new(1).starting_at(DAY_STARTS - 3 * 3_600_000));
    let mut answers = Vec::new();
    while answers.iter().map(Vec::len).sum::<usize>() < bytes {
        let (answer, _) =
            firehose::transform(&mut reader, &load.event(1 << 20, Shape::Mixed)).unwrap();
        answers.extend(given::data(&answer));
    }
    answers
}

fn text_bytes(object: &[u8]) -> u64 {
    std::io::copy(&mut MultiGzDecoder::new(object), &mut std::io::sink()).unwrap()
}
