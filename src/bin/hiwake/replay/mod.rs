//! `hiwake replay`: lands delivered objects again, here or through the land function.

#[cfg(feature = "aws")]
mod by_queue;
mod report;

pub use report::table;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use hiwake::config::{Config, Glob};
use hiwake::disk::RealDisk;
use hiwake::land::Selection;
use hiwake::land::intake::routing;
use hiwake::replay::{BATCH, Replay};
use hiwake::row::Day;
use hiwake::store::{Location, Object, ObjectId, Store};
use serde_json::json;

use crate::land::Report;
use crate::output::{err, out};
use crate::progress::Progress;
use crate::{Before, Moment, Now, Usage, apart};

/// Land backup or failed objects again, here or through the land function; events that have landed
/// are not duplicated
///
/// SOURCE is a folder or `s3://bucket/prefix`, e.g. that of the source backup. With `--root` the
/// objects land here. With `--queue` a notice of each goes to the land function's queue, so that
/// SQS and Lambda do the work; a notice means a whole object, so `--day` and `--log-group` need
/// `--root`. If the command is interrupted, the same command resumes after what it has landed or
/// sent, and reports it. Lines that were removed in the meantime come back with `--from-start`.
///
/// Events that have landed are found in whichever file the configuration of that time chose. To
/// move them to the file that the current one chooses, replay into a fresh root.
///
/// Plain text has no identity that survives a backup, so it is excluded unless `--include-plain` is
/// given: then it lands again.
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
    /// Send the objects' keys to the land function's queue, as S3 notices
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
    /// Only objects delivered from this time on
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only objects delivered before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Only events on this day, by their own time in the configured time zone
    #[arg(long, value_name = "DAY", conflicts_with = "queue")]
    day: Option<Day>,
    /// Only events of log groups that match this glob
    #[arg(long, value_name = "GLOB", conflicts_with = "queue")]
    log_group: Option<Glob>,
    /// Show what would land, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Land plain text, too; it lands again
    #[arg(long)]
    include_plain: bool,
    #[command(flatten)]
    before: Before,
    #[command(flatten)]
    now: Now,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Notices are sent by the names of objects: only days are in the configured time zone.
    pub fn needs_config(&self) -> bool {
        let is_day = |moment| matches!(moment, Some(Moment::Day(_)));
        self.queue.is_none() || is_day(self.since) || is_day(self.until)
    }
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let [since, until] = [args.since, args.until]
        .map(|moment| moment.map(|moment| moment.resolve(config, &args.now)));
    let time = since.unwrap_or(i64::MIN)..until.unwrap_or(i64::MAX);
    crate::is_span(time.start, time.end)?;
    let time = (since.is_some() || until.is_some()).then_some(time);
    let scope = format!("{} {since:?} {until:?}", args.source);
    let source = Location::parse(&args.source)?;
    #[cfg(feature = "aws")]
    if args.queue.is_some() && !matches!(source, Location::Bucket { .. }) {
        let reason = "--queue: the land function reads buckets only: write s3://bucket/prefix";
        return Err(Usage(reason.to_owned()).into());
    }
    args.root.iter().try_for_each(|root| apart::source(&source, root))?;
    let (store, objects) = source.objects(&crate::bucket, time.as_ref())?;
    if objects.is_empty() && time.is_some() {
        err!(
            "no objects in that period. Folders of other days were not searched: copied objects keep their keys, and are found without --since and --until"
        );
    }
    let found = Found { config, args, scope, store, objects };
    match (&args.root, &args.queue) {
        (Some(root), _) if args.dry_run => dry_run(&found, root),
        (Some(root), _) => here(found, root),
        #[cfg(feature = "aws")]
        (None, Some(url)) => by_queue::run(found, url),
        #[cfg(not(feature = "aws"))]
        (None, Some(_)) => Err(Usage(crate::NO_AWS.to_owned()).into()),
        (None, None) => Err(Usage("write --root DIR or --queue URL".to_owned()).into()),
    }
}

/// The objects of one command, and everything that determines what is done with them.
struct Found<'a> {
    config: &'a Config,
    args: &'a Args,
    /// The source and the times, as the command's notes name them.
    scope: String,
    store: Store,
    objects: Vec<Object>,
}

fn selection(args: &Args) -> Selection {
    Selection { plain: args.include_plain, day: args.day, log_group: args.log_group.clone() }
}

fn ids(objects: &[Object]) -> Vec<ObjectId> {
    objects.iter().map(|object| object.id.clone()).collect()
}

fn here(found: Found<'_>, root: &Path) -> anyhow::Result<ExitCode> {
    let Found { config, args, scope, store, objects } = found;
    let disk = crate::disk(root, true)?;
    let lander = crate::lander(&disk, config, &args.now);
    let selection = selection(args);
    let command = format!("{scope}\n{selection:?}\n{}", routing::fingerprint(config));
    let mut replay = Replay::begin(&lander, "replays", &command, args.before.from_start)?;
    let found = objects.len();
    let left = replay.left(objects);
    let before = found - left.len();
    report::resuming(before, "landed");
    let quarantined_before = replay.quarantined;
    if quarantined_before > 0 {
        err!("{quarantined_before} of these objects put something into .hiwake/quarantine");
    }
    let mut report = Report::new("replaying", left.iter().map(|object| object.size).sum());
    let store = store.counted(report.done());
    for batch in left.chunks(BATCH) {
        let landed = lander.land_selected(&store, &ids(batch), &selection);
        replay.add(batch, &landed.objects, &landed.quarantined)?;
        report.add(&landed);
    }
    replay.finish()?;
    let (tally, failed) = report.counts();
    report::summary("read", &tally, (before, failed), args.json);
    let faults = failed + tally.quarantined + quarantined_before as u64;
    Ok(ExitCode::from(u8::from(faults > 0)))
}

fn dry_run(found: &Found<'_>, root: &Path) -> anyhow::Result<ExitCode> {
    let Found { config, args, store, objects, .. } = found;
    let disk = RealDisk::open_if_there(root)
        .with_context(|| format!("cannot open the root {}", root.display()))?;
    let lander = crate::lander(&disk, config, &args.now);
    let progress = Progress::of_bytes("reading", objects.iter().map(|object| object.size).sum());
    let (landed, days) =
        lander.plan(&store.counted(progress.done()), &ids(objects), &selection(args));
    drop(progress);
    let failed = landed.objects.iter().filter_map(|one| one.as_ref().err());
    let failed: Vec<String> = failed.map(ToString::to_string).collect();
    let tally = landed.tally;
    if args.json {
        let plan = json!({ "days": days, "tally": tally, "failed": failed });
        out!("{plan}");
    } else {
        if !days.is_empty() {
            out!("{}", report::table(&days));
        }
        report::summary("would read", &tally, (0, failed.len() as u64), false);
    }
    failed.iter().for_each(|error| err!("not read: {error}"));
    let faults = failed.len() as u64 + tally.quarantined;
    Ok(ExitCode::from(u8::from(faults > 0)))
}
