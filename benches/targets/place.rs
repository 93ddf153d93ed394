//! The folder in which the benches land: in memory if possible, so that they measure CPU and not a
//! disk.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use hiwake::clock::Clock;
use hiwake::config::Config;
use hiwake::disk::RealDisk;
use hiwake::land::root::layout::DayFile;
use hiwake::land::{ChunkPool, Lander, Root};
use hiwake::row::Kind;
use tempfile::TempDir;

use crate::given;

/// The time when everything is landed: the load's day has just ended.
pub const LANDED: i64 = given::DAY_STARTS + 86_400_000;
/// The time when the day may be sealed.
pub const SEALED: i64 = LANDED + 86_400_000;

pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Runs work with a lander into a root, with the load's configuration.
pub fn with_lander<R>(root: &Path, now: i64, work: impl FnOnce(&Lander<'_>) -> R) -> R {
    with_adapted(root, now, &|_| (), work)
}

/// Runs work with an adapted configuration.
pub fn with_adapted<R>(
    root: &Path,
    now: i64,
    adapt: &dyn Fn(&mut Config),
    work: impl FnOnce(&Lander<'_>) -> R,
) -> R {
    let mut config = Config::parse("bench.toml", given::CONFIG).unwrap();
    adapt(&mut config);
    let disk = RealDisk::create(root).unwrap();
    let deadline = Instant::now() + Duration::from_secs(3600);
    // Shared by all landers, as in a warm function.
    static POOL: LazyLock<ChunkPool> = LazyLock::new(ChunkPool::default);
    let (journals, pool) = (Arc::default(), POOL.clone());
    work(&Lander {
        root: Root {
            disk: &disk,
            config: &config,
            clock: Clock::At(now),
            deadline,
            synced: Default::default(),
        },
        journals,
        pool,
    })
}

/// The day file that the benches of single day files fill.
pub fn day_file() -> DayFile {
    DayFile { file: "messages".to_owned(), day: "2022-04-18".parse().unwrap(), kind: Kind::Csv }
}
