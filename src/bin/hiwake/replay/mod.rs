//! `hiwake replay`: what was delivered before lands once more, here or by the land λ.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use comfy_table::{CellAlignment, Table};
use hiwake::config::{Config, Glob};
use hiwake::disk::RealDisk;
use hiwake::land::notice;
use hiwake::land::routing::{self, History, Rules};
use hiwake::land::{Choice, Lander, Tally};
use hiwake::replay::plan::{DayPlan, Plan, plan};
use hiwake::replay::{self, BATCH, Delivered, Replay, queue};
use hiwake::row::Day;
use hiwake::store::{Location, Object, Store};
use serde_json::json;

use crate::land::Report;
use crate::progress::Progress;
use crate::{Now, Usage};

/// How many objects are looked into to say where refused ones would land.
const LOOKED_INTO: usize = 100;

/// Land backup or failed objects once more, here or by the land λ; what has landed is not doubled
///
/// SOURCE is a folder or `s3://bucket/prefix`, e.g. that of the source backup. With `--root` the objects land here;
/// cut off, the same command goes on after what it has landed. With `--queue` a notice of each goes to the land λ's
/// queue, so that SQS and Lambda do the work; it sends whole objects, so `--day` and `--log-group` need `--root`.
///
/// Plain text has no identity that survives a backup and is left out, unless `--include-plain` is given: then it lands
/// once more. Records from before the present routing's first use may have landed in other files: they are refused,
/// unless `--reroute` is given.
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
    /// Land also what may have landed under another routing
    #[arg(long)]
    reroute: bool,
    /// With --queue: only keys that come after this one
    #[arg(long, value_name = "KEY", conflicts_with = "root")]
    after: Option<String>,
    #[command(flatten)]
    now: Now,
    /// The counts as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let delivered = Delivered { since: args.since, until: args.until };
    let source = Location::parse(&args.source)?;
    if args.queue.is_some() && !matches!(source, Location::Bucket { .. }) {
        let reason = "--queue: the land λ reads buckets only: write s3://bucket/prefix";
        return Err(Usage(reason.to_owned()).into());
    }
    let (store, objects) = replay::select(&source, &delivered, &crate::bucket)?;
    if objects.is_empty() && delivered != Delivered::default() {
        eprintln!(
            "no object was delivered then. Folders of other days were not looked into: objects that were copied keep their keys, and are found without --since and --until"
        );
    }
    match (&args.root, &args.queue) {
        (Some(root), _) if args.dry_run => dry_run(config, args, root, &store, &objects),
        (Some(root), _) => here(config, args, root, &store, objects),
        (None, Some(url)) => by_queue(args, url, objects),
        (None, None) => Err(Usage("write --root DIR or --queue URL".to_owned()).into()),
    }
}

fn choice(args: &Args) -> Choice {
    Choice {
        plain: args.include_plain,
        day: args.day,
        log_group: args.log_group.clone(),
        guarded: !args.reroute,
    }
}

/// Until when objects were delivered whose records are refused.
fn refused_until(lander: &Lander<'_>, choice: &Choice) -> anyhow::Result<Option<i64>> {
    let fingerprint = Rules::of(lander.config).fingerprint();
    let history = History::read(lander)?;
    Ok(history.others_until(&fingerprint).filter(|_| choice.guarded))
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
    if let Some(until) = refused_until(&lander, &choice)? {
        let refused = objects.iter().filter(|object| object.modified < until);
        let refused: Vec<Object> = refused.cloned().collect();
        let looked = &refused[..refused.len().min(LOOKED_INTO)];
        let plan = plan(Some(&lander), config, store, looked, &choice, Some(until));
        if !plan.refused.is_empty() {
            refuse(&plan, until, refused.len(), looked.len());
            return Ok(ExitCode::from(1));
        }
    }
    let selection = format!("{} {:?} {:?}", args.source, args.since, args.until);
    let mut replay = Replay::begin(&lander, &selection, &choice)?;
    let found = objects.len();
    let left = replay.left(objects);
    let before = (found - left.len()) as u64;
    let mut report = Report::new("replaying", left.iter().map(|object| object.size).sum());
    let store = store.counted(report.done());
    for batch in left.chunks(BATCH) {
        report.add(&replay.land(&store, batch)?);
    }
    replay.finish()?;
    let (tally, failed) = report.counts();
    summarise(args, "read", &tally, before, failed)?;
    Ok(ExitCode::from(u8::from(failed + tally.quarantined > 0)))
}

/// Says what would land where, and that nothing was.
fn refuse(plan: &Plan, until: i64, refused: usize, looked: usize) {
    let counted =
        if looked < refused { format!(" (of the first {looked})") } else { String::new() };
    eprintln!(
        "nothing was landed: {refused} objects were delivered under another routing ({}), and their events may have landed in other files. With --reroute they land once more{counted}, so:\n{}",
        routing::in_use(until),
        table(&plan.refused)
    );
    eprintln!(
        "With --since, only later objects are read; .hiwake/routing below the root lists the routings."
    );
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
    let until = match &lander {
        Some(lander) => refused_until(lander, &choice)?,
        None => None,
    };
    let progress = Progress::of_bytes("reading", objects.iter().map(|object| object.size).sum());
    let store = store.counted(progress.done());
    let plan = plan(lander.as_ref(), config, &store, objects, &choice, until);
    drop(progress);
    if args.json {
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&plan)?)?;
    } else {
        if !plan.days.is_empty() {
            writeln!(std::io::stdout(), "{}", table(&plan.days))?;
        }
        summarise(args, "would read", &plan.tally, 0, plan.failed.len() as u64)?;
    }
    if let Some(until) = until.filter(|_| !plan.refused.is_empty()) {
        let count = plan.refused_objects.len();
        refuse(&plan, until, count, count);
    }
    for error in &plan.failed {
        eprintln!("not read: {error}");
    }
    let faults = plan.failed.len() + plan.refused.len() + plan.tally.quarantined as usize;
    Ok(ExitCode::from(u8::from(faults > 0)))
}

fn table(days: &[DayPlan]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["FILE", "DAY", "EVENTS", "THERE", "NEW", "GO TO"]);
    for day in days {
        let name = match (day.closed, day.late, day.new) {
            (true, _, _) => "quarantine: the day is closed".to_owned(),
            (false, _, 0) => String::new(),
            (false, true, _) => "the late file".to_owned(),
            (false, false, _) => format!("{}/{}.{}", day.file, day.day, day.kind.extension()),
        };
        let numbers = [day.events, day.there, day.new].map(|number| number.to_string());
        let [events, there, new] = numbers;
        table.add_row([day.file.clone(), day.day.clone(), events, there, new, name]);
    }
    for column in 2..=4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// read = new + there before + skipped, by reason.
fn summarise(
    args: &Args,
    verb: &str,
    tally: &Tally,
    before: u64,
    failed: u64,
) -> anyhow::Result<()> {
    let Tally { objects, lines, late, duplicates, .. } = *tally;
    let skipped = [
        ("of another day", tally.other_day),
        ("of another log group", tally.other_log_group),
        ("plain text (--include-plain lands it)", tally.plain_left_out),
        ("control messages and records without events", tally.dropped),
        ("put into quarantine", tally.quarantined),
        ("not landed", tally.deferred),
    ];
    let skips: u64 = skipped.iter().map(|(_, count)| count).sum();
    let read = lines + duplicates + skips;
    let mut out = std::io::stdout().lock();
    if args.json {
        let answer = json!({
            "objects": objects, "objects_failed": failed, "objects_landed_before": before,
            "read": read, "new": lines, "late": late, "there_before": duplicates, "skipped": skips,
            "skipped_by_reason": {
                "other_day": tally.other_day, "other_log_group": tally.other_log_group,
                "plain_text": tally.plain_left_out, "no_events": tally.dropped,
                "quarantined": tally.quarantined, "not_landed": tally.deferred,
            },
        });
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    writeln!(
        out,
        "{verb} {read} events of {objects} objects: {lines} new lines ({late} late), {duplicates} there before, {skips} skipped"
    )?;
    for (reason, count) in skipped.iter().filter(|(_, count)| *count > 0) {
        writeln!(out, "skipped {count}: {reason}")?;
    }
    if before > 0 {
        writeln!(out, "{before} objects were landed by the same replay before it was cut off")?;
    }
    Ok(())
}

fn by_queue(args: &Args, url: &str, mut objects: Vec<Object>) -> anyhow::Result<ExitCode> {
    if let Some(after) = &args.after {
        objects.retain(|object| object.id.key > *after);
    }
    let bytes = objects.iter().map(|object| object.size).sum();
    let mut out = std::io::stdout().lock();
    if args.dry_run {
        for object in objects.iter().filter(|_| !args.json) {
            writeln!(out, "{}", object.id.place())?;
        }
        return sent(args, "would send", objects.len(), 0, bytes, url);
    }
    drop(out);
    let queue = crate::aws()?.queue(url);
    let replay = notice::Replay { plain: args.include_plain, reroute: args.reroute };
    let progress = Progress::of_bytes("queueing", bytes);
    let (mut done, mut failed, mut last) = (0, 0, None);
    for batch in objects.chunks(queue::BATCH) {
        let results = match queue::send(&queue, batch, replay, args.now.clock().now()) {
            Ok(results) => results,
            Err(error) => {
                let first = batch.first().map(|object| object.id.place()).unwrap_or_default();
                progress.suspend(|| eprintln!("not sent: {first} and all after it: {error}"));
                failed += 1;
                break;
            }
        };
        let bytes: u64 = batch.iter().map(|object| object.size).sum();
        progress.done().fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        for (object, result) in batch.iter().zip(&results) {
            match result {
                Ok(()) if failed == 0 => last = Some(object.id.key.clone()),
                Ok(()) => {}
                Err(error) => {
                    progress.suspend(|| eprintln!("not sent: {}: {error}", object.id.place()));
                    failed += 1;
                }
            }
            done += usize::from(result.is_ok());
        }
    }
    drop(progress);
    if failed > 0 {
        let after = last.map_or(String::new(), |last| format!(" --after '{last}'"));
        eprintln!(
            "the same command{after} goes on there; a notice that is sent twice lands nothing twice"
        );
    }
    sent(args, "sent", done, objects.len() - done, bytes, url)
}

fn sent(
    args: &Args,
    verb: &str,
    notices: usize,
    left: usize,
    bytes: u64,
    url: &str,
) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(
            out,
            "{}",
            json!({ "notices": notices, "not_sent": left, "bytes": bytes, "queue": url })
        )?;
    } else {
        writeln!(
            out,
            "{verb} {notices} notices of {bytes} bytes of objects to {url}, {left} not sent"
        )?;
    }
    Ok(ExitCode::from(u8::from(left > 0)))
}
