//! Replay: exactly once, whatever has landed, in whatever order, with whatever in between.

mod cases;
mod resumed;
mod routing;
mod time;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use hiwake::local::Buffers;
use serde_json::Value;

use crate::cli::Desk;
use crate::given::object::envelope;
use crate::given::{self, gzip};
use crate::healing::{deliver, real};

/// The configuration of [`given::object::config`], as a file.
pub const TOML: &str = "[[source]]\nlog_groups = [\"/var/log/messages\"]\nfile = \"messages\"\nlabels = [\"HOGE\", \"1\"]\n";

pub const REPLAY: &str =
    "replay @s3/backup --root @root --config @hiwake.toml --now 2022-04-18T02:59:07+09:00";
pub const LAND: &str =
    "land @s3/landing --root @root --config @hiwake.toml --now 2022-04-18T02:59:07+09:00";
pub const OPEN_BELOW_ROOT: &str = "root/messages/2022-04-18.csv.open";

/// Replays all of the backup; the counts.
pub fn replay(desk: &Desk, more: &str) -> Value {
    serde_json::from_str(&desk.ok(&format!("{REPLAY} --json {more}"))).unwrap()
}

pub fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Puts an envelope with one event of another log group into the bucket folder, delivered with the
/// others.
pub fn put_event(desk: &Desk, key: &str, log_group: &str) {
    let mut envelope = given::envelope(&["another"]);
    envelope["logGroup"] = log_group.into();
    desk.write(key, &given::gzipped(&envelope));
    modified(&desk.path(key), given::T);
}

/// A desk with a bucket folder `s3` that holds `count` events in many objects, and a configuration
/// `hiwake.toml`.
pub fn delivered(count: usize) -> Desk {
    let desk = Desk::new();
    desk.write("hiwake.toml", TOML.as_bytes());
    let records: Vec<_> = (0..count)
        .map(|n| gzip(&envelope(&[(&format!("id {n}"), &format!("event {n}"))])))
        .collect();
    let buffers = Buffers { request_records: 4, object_bytes: 600, ..Buffers::default() };
    let config = given::object::config();
    let (delivered, _) = deliver(&desk.path("s3"), &records, buffers, &mut real(&config));
    assert_eq!(delivered.ok, count);
    desk
}

/// Every file below a folder of the desk, in name order.
pub fn files(desk: &Desk, name: &str) -> Vec<PathBuf> {
    let folder = desk.path(name);
    given::tree(&folder).into_keys().map(|name| folder.join(name)).collect()
}

/// Says when an object was delivered.
pub fn modified(path: &Path, at: i64) {
    let at = UNIX_EPOCH + Duration::from_millis(at.unsigned_abs());
    File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
}
