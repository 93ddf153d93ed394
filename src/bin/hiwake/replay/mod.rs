//! `hiwake replay`: what was delivered before lands once more, here or by the land λ.

mod by_queue;
mod told;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use hiwake::config::{Config, Glob};
use hiwake::disk::RealDisk;
use hiwake::land::routing::{History, Rules};
use hiwake::land::{Choice, Lander};
use hiwake::replay::plan::{Looked, look, plan};
use hiwake::replay::{self, BATCH, Delivered, Replay};
use hiwake::row::Day;
use hiwake::store::{Location, Object, Store};

use crate::land::Report;
use crate::output::{err, out};
use crate::progress::Progress;
use crate::{Before, Now, Usage, apart};
use told::Summary;

/// Land backup or failed objects once more, here or by the land λ; what has landed is not doubled
///
/// SOURCE is a folder or `s3://bucket/prefix`, e.g. that of the source backup. With `--root` the objects land here.
/// With `--queue` a notice of each goes to the land λ's queue, so that SQS and Lambda do the work; it sends whole
/// objects, so `--day` and `--log-group` need `--root`. Cut off, the same command goes on after what it has landed or
/// sent, and says so: lines that somebody removed meanwhile come back with `--from-start`.
///
/// Plain text has no identity that survives a backup and is left out, unless `--include-plain` is given: then it lands
/// once more. Records from before the present routing's first use may have landed in other files: they are refused,
/// unless `--reroute` is given. With `--queue` the land λ refuses them, which cannot be told from here.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake replay s3://backup-bucket/backup --root /mnt/efs \\
      --since 2022-04-18T01:00:00+09:00 --until 2022-04-18T02:00:00+09:00
  hiwake replay out.s3/backup --root elsewhere --day 2022-04-18 --dry-run
  hiwake replay s3://backup-bucket/backup --queue https://sqs.ap-northeast-1.amazonaws.com/123456789012/land")]
pub struct Args {
    /// A folder, a file, or s3://bucket/prefix
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Land into this folder: an EFS mount, or any folder
    #[arg(long, value_name = "DIR", required_unless_present = "queue", conflicts_with = "queue")]
    root: Option<std::path::PathBuf>,
    /// Send the objects' keys to the land λ's queue, as notices of S3
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
    /// Only objects delivered at this moment or later
    #[arg(long, value_name = "TIME", value_parser = crate::rfc_3339)]
    since: Option<i64>,
    /// Only objects delivered before this moment
    #[arg(long, value_name = "TIME", value_parser = crate::rfc_3339)]
    until: Option<i64>,
    /// Only events of this day: their own, in the configured time zone
    #[arg(long, value_name = "DAY", conflicts_with = "queue")]
    day: Option<Day>,
    /// Only events of log groups that match
    #[arg(long, value_name = "GLOB", conflicts_with = "queue")]
    log_group: Option<Glob>,
    /// Say what would land, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Land plain text too, once more
    #[arg(long)]
    include_plain: bool,
    #[command(flatten)]
    before: Before,
    #[command(flatten)]
    now: Now,
    /// The counts as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What the objects are selected by.
    fn selection(&self) -> String {
        format!("{} {:?} {:?}", self.source, self.since, self.until)
    }
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let delivered = Delivered { since: args.since, until: args.until };
    if let (Some(since), Some(until)) = (args.since, args.until) {
        crate::is_span(since, until)?;
    }
    let source = Location::parse(&args.source)?;
    if args.queue.is_some() && !matches!(source, Location::Bucket { .. }) {
        let reason = "--queue: the land λ reads buckets only: write s3://bucket/prefix";
        return Err(Usage(reason.to_owned()).into());
    }
    args.root.iter().try_for_each(|root| apart::source(&source, root))?;
    let (store, objects) = replay::select(&source, &delivered, &crate::bucket)?;
    if objects.is_empty() && delivered != Delivered::default() {
        err!(
            "no object was delivered then. Folders of other days were not looked into: objects that were copied keep their keys, and are found without --since and --until"
        );
    }
    match (&args.root, &args.queue) {
        (Some(root), _) if args.dry_run => dry_run(config, args, root, &store, &objects),
        (Some(root), _) => here(config, args, root, &store, objects),
        (None, Some(url)) => by_queue::run(config, args, url, objects),
        (None, None) => Err(Usage("write --root DIR or --queue URL".to_owned()).into()),
    }
}

fn choice(args: &Args) -> Choice {
    Choice {
        plain: args.include_plain,
        day: args.day,
        log_group: args.log_group.clone(),
        guarded: !args.before.reroute,
    }
}

fn here(
    config: &Config,
    args: &Args,
    root: &Path,
    store: &Store,
    objects: Vec<Object>,
) -> anyhow::Result<ExitCode> {
    let disk = crate::disk(root, true)?;
    let lander = crate::lander(&disk, config, &args.now);
    let choice = choice(args);
    if choice.guarded && is_refused(args, &lander, store, &objects, &choice)? {
        return Ok(ExitCode::from(1));
    }
    let mut replay = Replay::begin(&lander, &args.selection(), &choice, args.before.from_start)?;
    let found = objects.len();
    let left = replay.left(objects);
    let before = found - left.len();
    told::goes_on(before, "landed");
    let quarantined_before = replay.quarantined_before();
    if quarantined_before > 0 {
        err!("{quarantined_before} of these objects put something into .hiwake/quarantine");
    }
    let mut report = Report::new("replaying", left.iter().map(|object| object.size).sum());
    let store = store.counted(report.done());
    for batch in left.chunks(BATCH) {
        report.add(&replay.land(&store, batch)?);
    }
    replay.finish()?;
    let (tally, failed) = report.counts();
    Summary { tally, before, failed, refused: 0 }.print("read", args.json);
    let faults = failed + tally.quarantined + quarantined_before as u64;
    Ok(ExitCode::from(u8::from(faults > 0)))
}

/// Whether there are records that may have landed elsewhere. Then it is said what would land where, and nothing lands.
/// (Rows of another routing are refused as they come: to look for them would be to read all objects twice.)
fn is_refused(
    args: &Args,
    lander: &Lander<'_>,
    store: &Store,
    objects: &[Object],
    choice: &Choice,
) -> anyhow::Result<bool> {
    let history = History::read(lander)?;
    let others_until = history.others_until(&Rules::of(lander.config).fingerprint());
    let Some(until) = others_until else { return Ok(false) };
    let before = objects.iter().filter(|object| object.modified < until);
    let before: Vec<Object> = before.cloned().collect();
    let bytes = before.iter().map(|object| object.size).sum();
    let progress = Progress::of_bytes("looking for another routing", bytes);
    let looked = look(lander, &store.counted(progress.done()), &before, choice, &history);
    drop(progress);
    if looked.plan.refused.is_empty() {
        return Ok(false);
    }
    told::not_read(&looked.plan);
    told::refused(&looked, before.len());
    let mut tally = looked.plan.tally;
    tally.deferred += tally.lines + tally.duplicates + tally.quarantined;
    (tally.lines, tally.late, tally.duplicates, tally.quarantined) = (0, 0, 0, 0);
    Summary::planned(&looked.plan, tally).print("looked at", args.json);
    Ok(true)
}

fn dry_run(
    config: &Config,
    args: &Args,
    root: &Path,
    store: &Store,
    objects: &[Object],
) -> anyhow::Result<ExitCode> {
    let disk = match RealDisk::open(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        disk => Some(disk.with_context(|| format!("cannot open the root {}", root.display()))?),
    };
    let lander = disk.as_ref().map(|disk| crate::lander(disk, config, &args.now));
    let choice = choice(args);
    let history = lander.as_ref().map_or(Ok(History::default()), History::read)?;
    let progress = Progress::of_bytes("reading", objects.iter().map(|object| object.size).sum());
    let store = store.counted(progress.done());
    let plan = plan(lander.as_ref(), config, &store, objects, &choice, &history);
    drop(progress);
    if args.json {
        out!("{}", serde_json::to_string(&plan)?);
    } else {
        if !plan.days.is_empty() {
            out!("{}", told::table(&plan.days));
        }
        Summary::planned(&plan, plan.tally).print("would read", false);
    }
    told::not_read(&plan);
    let looked = Looked { plan, objects: objects.len() };
    if !looked.plan.refused.is_empty() {
        told::refused(&looked, objects.len());
    }
    let plan = looked.plan;
    let faults = plan.failed.len() + plan.refused.len() + plan.tally.quarantined as usize;
    Ok(ExitCode::from(u8::from(faults > 0)))
}
