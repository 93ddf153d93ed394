//! `hiwake land`: lands objects in day files.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context;
use hiwake::config::Config;
use hiwake::disk::RealDisk;
use hiwake::land::intake::plan::DayPlan;
use hiwake::land::{Landed, Lander, Selection, Tally};
use hiwake::replay::BATCH;
use hiwake::store::{Location, Object, ObjectId, Store};
use serde_json::json;

use crate::output::{count, detail, err, out};
use crate::progress::Progress;
use crate::replay::table;
use crate::{Now, Root, apart};

/// Land objects of any format in the day files, each event once
///
/// Landing an object again, in any order, any number of times, even at the same time, changes
/// nothing. Plain text has no identity that survives a backup: from `backup/` it lands again, even
/// after it landed from `landing/`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake land out.s3/landing --root out
  hiwake land out.s3/landing/2022/04/18/01/object.rows.zst --root /mnt/efs
  aws s3 cp s3://bucket/landing/object.rows.zst - | hiwake land - --root out")]
pub struct Args {
    /// Files, folders, pipes (`-` is standard input), or s3://bucket/prefix
    #[arg(value_name = "OBJECT", required = true)]
    objects: Vec<String>,
    #[command(flatten)]
    root: Root,
    /// Show what would land in which day file, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    now: Now,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let places = args.objects.iter().map(|argument| {
        let source = Location::parse(argument)?;
        apart::source(&source, &args.root.root)?;
        Ok(source.objects(&crate::bucket, None)?)
    });
    let places: Vec<(Store, Vec<Object>)> = places.collect::<anyhow::Result<_>>()?;
    if args.dry_run {
        return dry_run(config, args, places);
    }
    let disk = crate::disk(&args.root.root, true)?;
    let lander = crate::lander(&disk, config, &args.now);
    let bytes = places.iter().flat_map(|(_, objects)| objects).map(|object| object.size).sum();
    let mut report = Report::new("landing", bytes);
    for (store, objects) in places {
        let ids: Vec<ObjectId> = objects.into_iter().map(|object| object.id).collect();
        report.land(&lander, &store, &ids);
    }
    report.finish(args.json)
}

/// Plans a landing. Each store is compared with the root separately: an event that is in two stores
/// counts twice.
fn dry_run(
    config: &Config,
    args: &Args,
    places: Vec<(Store, Vec<Object>)>,
) -> anyhow::Result<ExitCode> {
    let disk = open_if_there(&args.root.root)?;
    let lander = crate::lander(&disk, config, &args.now);
    let plans = places.into_iter().map(|(store, objects)| {
        let ids: Vec<ObjectId> = objects.into_iter().map(|object| object.id).collect();
        lander.plan(&store, &ids, &Selection::all())
    });
    let mut plan = Plan::default();
    plans.for_each(|(landed, days)| plan.add(&landed, days));
    plan.finish(args.json, 0, |_| {})
}

/// Opens the root for a dry run, in which it need not exist.
pub fn open_if_there(root: &Path) -> anyhow::Result<RealDisk> {
    RealDisk::open_if_there(root)
        .with_context(|| format!("cannot open the root {}", root.display()))
}

/// The plan of a landing.
#[derive(Default)]
pub struct Plan {
    days: Vec<DayPlan>,
    tally: Tally,
    failed: u64,
}

impl Plan {
    /// Adds the plan of a batch, and reports what could not be read.
    pub fn add(&mut self, landed: &Landed, days: Vec<DayPlan>) {
        for error in landed.objects.iter().filter_map(|one| one.as_ref().err()) {
            err!("not read: {error}");
            self.failed += 1;
        }
        landed.reasons.iter().for_each(|reason| err!("would be quarantined: {reason}"));
        self.tally.add(&landed.tally);
        self.days.extend(days);
    }

    /// Prints the plan. The exit code is 1 if anything would not land. `problems` is the number of
    /// earlier problems; `more` adds to the JSON.
    pub fn finish(
        self,
        json: bool,
        problems: u64,
        more: impl FnOnce(&mut serde_json::Value),
    ) -> anyhow::Result<ExitCode> {
        let Plan { days, tally, failed } = self;
        let Tally { rows, filtered, lines, late, duplicates, quarantined, .. } = tally;
        if json {
            let mut plan = json!({ "days": days, "tally": tally, "problems": problems });
            more(&mut plan);
            out!("{plan}");
        } else {
            if !days.is_empty() {
                out!("{}", table(&days));
            }
            let problems = count(problems + failed, "problem");
            let (rows, lines) = (count(rows, "row"), count(lines, "new line"));
            out!(
                "would land {rows}: {lines} ({late} late), {duplicates} already landed, {quarantined} quarantined; {problems}{}",
                left_out(filtered)
            );
        }
        Ok(ExitCode::from(u8::from(failed + quarantined + problems > 0)))
    }
}

/// Says how many events `drop` and `keep` left out, if any.
fn left_out(events: u64) -> String {
    match events {
        0 => String::new(),
        events => format!("; {} left out by `drop` or `keep`", count(events, "event")),
    }
}

/// The total of a command's batches.
pub struct Report {
    progress: Progress,
    tally: Tally,
    failed: u64,
}

impl Report {
    /// A report on objects with this many bytes.
    pub fn new(what: &'static str, bytes: u64) -> Report {
        let progress = Progress::of_bytes(what, bytes);
        Report { progress, tally: Tally::default(), failed: 0 }
    }

    /// The count to which a store adds the bytes that it fetches.
    pub fn done(&self) -> Arc<AtomicU64> {
        self.progress.done()
    }

    /// Lands objects for the first time, batch by batch.
    pub fn land(&mut self, lander: &Lander<'_>, store: &Store, objects: &[ObjectId]) {
        let store = store.counted(self.done());
        objects.chunks(BATCH).for_each(|batch| self.add(&lander.land(&store, batch)));
    }

    /// Adds the result of a batch, and reports what could not land.
    pub fn add(&mut self, landed: &Landed) {
        self.tally.add(&landed.tally);
        self.progress.suspend(|| {
            for reason in &landed.reasons {
                err!("quarantined: {reason}");
            }
            for reason in landed.objects.iter().filter_map(|result| result.as_ref().err()) {
                err!("not landed: {reason}");
                self.failed += 1;
            }
            detail!("landed {} so far", count(self.tally.objects, "object"));
        });
    }

    /// Ends the progress bar and returns the counts.
    pub fn counts(self) -> (Tally, u64) {
        drop(self.progress);
        (self.tally, self.failed)
    }

    /// Prints the counts. The exit code is 1 if anything did not land.
    pub fn finish(self, json: bool) -> anyhow::Result<ExitCode> {
        drop(self.progress);
        let Tally { objects, rows, filtered, lines, late, duplicates, quarantined, .. } =
            self.tally;
        if json {
            out!("{}", serde_json::to_string(&self.tally)?);
        } else {
            let (objects, rows) = (count(objects, "object"), count(rows, "row"));
            let lines = count(lines, "new line");
            out!(
                "landed {objects}: {rows}, {lines} ({late} late), {duplicates} already landed, {quarantined} quarantined{}",
                left_out(filtered)
            );
        }
        Ok(ExitCode::from(u8::from(self.failed + quarantined > 0)))
    }
}
