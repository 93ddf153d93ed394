//! `hiwake run`: runs the whole pipeline on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use hiwake::config::Config;
use hiwake::firehose;
use hiwake::input::{self, InputFile, LineTarget, LogFile, Problem, Times, TimestampFormat};
use hiwake::land::{Landed, Selection};
use hiwake::local::{Buffers, Delivered, Firehose, FunctionError, LocalError, SourceRecord};
use hiwake::object::Reader;
use hiwake::store::{Location, ObjectId, Store};
use regex_lite::Regex;

use crate::land::{self, Plan, Report};
use crate::output::{count, err, note, out};
use crate::progress::Progress;
use crate::{Now, Usage, apart};

/// Run the whole pipeline on this machine: inputs → stand-in for Firehose → objects → day files
///
/// An INPUT is a Firehose event (JSON), an envelope of CloudWatch Logs (JSON or gzip), or a folder
/// of such files. With `--log-group` it is a log file (gzipped or not), in which each line is an
/// event. The stand-in batches, checks and retries as Firehose does, and writes objects to
/// `landing/`, `failed/` and `backup/`. They land as with the land function, except that events may
/// be of any age.
///
/// Running the same log file again lands nothing twice, even if it has grown or was touched, copied
/// or rotated (`messages` → `messages-20220418.gz`, `messages.1`). An event is identified by its
/// time, log group and stream, the file's first line, its offset in the file and its text. The
/// stream is the file's name without the suffix of a rotation. Logs with the same name in different
/// folders of one command are distinguished by their folders, `host1/messages`. To read one alone,
/// give `--log-stream host1/messages`. A last line without a line break lands as it is; when it
/// grows, it is another event.
///
/// Times are recognised: syslog, RFC 3339 and ISO 8601, Apache, nginx, seconds and milliseconds
/// since the epoch. The first line with such a time decides the format of its file. A line without
/// a time gets that of the line above it. Lines above the first time (up to 1,000 and 8 MiB) get
/// that one. A file without any time is reported and not read. The time is part of an event: a line
/// that is read with another time (by `--at`, `--year`, `--timestamp-format`, the time zone) lands
/// again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake run events/firehose-hogehoge.json --root out
  hiwake run /var/log/messages* --log-group /var/log/messages --root out
  hiwake run app.log --log-group app --timestamp-format '%d.%m.%Y %H:%M:%S' --root out
  hiwake run app.json --log-group app --timestamp-pattern '\"time\":\"([^\"]+)\"' --dry-run
  hiwake seal --root out")]
pub struct Args {
    /// Files, folders or pipes (`-` is standard input)
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<String>,
    /// The folder of the daily files
    #[arg(
        long,
        value_name = "DIR",
        env = "HIWAKE_ROOT",
        hide_env_values = true,
        default_value = "out"
    )]
    root: PathBuf,
    /// The folder that stands in for S3 [default: the root's name with `.s3` appended]
    #[arg(long, value_name = "DIR")]
    bucket: Option<PathBuf>,
    /// Read the inputs as log files of this log group
    #[arg(long, value_name = "G")]
    log_group: Option<String>,
    /// The lines' log stream [default: the file's name before it was rotated; `stdin` for a pipe]
    #[arg(long, value_name = "S", requires = "log_group")]
    log_stream: Option<String>,
    /// The format of timestamps, as in strftime; a `Z` after the time means UTC [default:
    /// recognised]
    #[arg(long, value_name = "FORMAT", requires = "log_group")]
    timestamp_format: Option<String>,
    /// A regular expression that finds a line's timestamp: its group 1, or the whole match
    /// [default: at the beginning]
    #[arg(long, value_name = "REGEX", requires = "log_group")]
    timestamp_pattern: Option<Regex>,
    /// The year of a file's first line, if its timestamps have no year [default: the most recent
    /// year in which that line is not in the future]
    #[arg(long, value_name = "YEAR", requires = "log_group")]
    year: Option<i32>,
    /// The time of all lines, e.g. 2022-04-18T10:00:00+09:00, or in local time without the offset
    #[arg(
        long,
        value_name = "TIME",
        requires = "log_group",
        conflicts_with_all = ["timestamp_format", "timestamp_pattern", "year"]
    )]
    at: Option<String>,
    /// Show what would land in which day file, and write neither objects nor lines
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    now: Now,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    // Log files and samples may be of any age.
    let mut config = config.clone();
    (config.limits.event_age, config.limits.event_ahead) = (Duration::MAX, Duration::MAX);
    let config = &config;
    let log_file = log_file(config, args)?;
    let files = input::files(&args.inputs)?;
    check_streams(args, &files)?;
    let bucket = match &args.bucket {
        Some(bucket) => bucket.clone(),
        None => beside(&args.root)?,
    };
    apart::check(("the bucket", &bucket), ("the root", &args.root))?;
    for input in &args.inputs {
        if let Location::Folder(path) | Location::File(path) = &Location::parse(input)? {
            apart::check(("the input", path), ("the root", &args.root))?;
            apart::check(("the input", path), ("the bucket", &bucket))?;
        }
    }
    if args.dry_run {
        let bucket = tempfile::tempdir();
        let bucket = bucket.context("no folder for the objects of a dry run (set TMPDIR)")?;
        let delivery = deliver(config, args, &files, log_file.as_ref(), bucket.path())?;
        return dry_run(config, args, &delivery, bucket.path());
    }
    let delivery = deliver(config, args, &files, log_file.as_ref(), &bucket)?;
    let Delivered { records, ok, dropped, failed, .. } = delivery.delivered;
    if !args.json {
        let records = count(records, "record");
        out!("put {records}: {ok} transformed, {dropped} dropped, {failed} failed");
    }
    let disk = crate::disk(&args.root, true)?;
    let lander = crate::lander(&disk, config, &args.now);
    let mut report = Report::new("landing", delivery.bytes);
    report.add(&delivery.left_out());
    if !delivery.objects.is_empty() {
        report.land(&lander, &Store::folder(&bucket)?, &delivery.objects);
    }
    let landed = report.finish(args.json)?;
    Ok(if delivery.problems > 0 { ExitCode::from(1) } else { landed })
}

/// The result of reading the inputs.
struct Delivery {
    delivered: Delivered,
    /// The number of events that `drop` and `keep` left out.
    filtered: u64,
    /// The number of things that could not be read.
    problems: u64,
    /// The objects to land, and their total length.
    objects: Vec<ObjectId>,
    bytes: u64,
}

impl Delivery {
    /// What no object has, as a landing would count it.
    fn left_out(&self) -> Landed {
        let mut landed = Landed::default();
        landed.tally.filtered = self.filtered;
        landed
    }
}

/// Delivers the inputs as objects in the bucket.
fn deliver(
    config: &Config,
    args: &Args,
    files: &[InputFile],
    log_file: Option<&LogFile>,
    bucket: &Path,
) -> anyhow::Result<Delivery> {
    let mut reader = Reader::new(config);
    let mut filtered = 0;
    let mut transform = |event: &[u8]| match firehose::transform(&mut reader, event) {
        Ok((answer, counts)) => {
            filtered += counts.events_filtered as u64;
            Ok(answer)
        }
        Err(error) => Err(FunctionError(error.to_string())),
    };
    let firehose = Firehose::new(bucket, config.timezone, Buffers::default(), &mut transform);
    let mut intake = Intake { firehose, problems: 0, reasons: BTreeMap::new() };
    let bytes = |file: &InputFile| file.path.metadata().map_or(0, |metadata| metadata.len());
    let progress = Progress::of_bytes("reading", files.iter().map(bytes).sum());
    let now = args.now.clock().now();
    for file in files {
        input::read(file, log_file, now, &progress.done(), &mut intake)?;
    }
    drop(progress);
    for (reason, count) in intake.reasons.iter().filter(|(_, count)| **count > SAME_REASON_MAX) {
        err!("and {} more: {reason}", count - SAME_REASON_MAX);
    }
    let problems = intake.problems;
    let (delivered, created) = intake.firehose.finish()?;
    let bytes = created.iter().filter_map(|created| created.size).sum();
    let objects = created.into_iter().map(|created| created.id).collect();
    Ok(Delivery { delivered, filtered, problems, objects, bytes })
}

/// Plans the landing of the objects.
fn dry_run(
    config: &Config,
    args: &Args,
    delivery: &Delivery,
    bucket: &Path,
) -> anyhow::Result<ExitCode> {
    let disk = land::open_if_there(&args.root)?;
    let lander = crate::lander(&disk, config, &args.now);
    let mut plan = Plan::default();
    plan.add(&delivery.left_out(), Vec::new());
    if !delivery.objects.is_empty() {
        let store = Store::folder(bucket)?;
        let (landed, days) = lander.plan(&store, &delivery.objects, &Selection::all());
        plan.add(&landed, days);
    }
    let failed = delivery.delivered.failed;
    plan.finish(args.json, delivery.problems, |plan| plan["records_failed"] = failed.into())
}

/// Checks that `--log-stream` is given for one log only, rotated or not, and reports how logs with
/// the same name are distinguished.
fn check_streams(args: &Args, files: &[InputFile]) -> Result<(), Usage> {
    let stream = |file: &InputFile| file.log_stream.clone();
    match (&args.log_stream, files.first()) {
        (Some(_), Some(first)) if files.iter().any(|file| file.log_stream != first.log_stream) => {
            let reason =
                "--log-stream names the stream of one log: omit it, and each log gets its own";
            return Err(Usage(reason.to_owned()));
        }
        (None, Some(_)) if args.log_group.is_some() => {
            if let Some(stream) = files.iter().map(stream).find(|stream| stream.contains('/')) {
                note!(
                    "logs with the same name are distinguished by their folders, e.g. {stream}: to read one alone, give --log-stream {stream}; lines that landed under another log stream land again"
                );
            }
        }
        _ => {}
    }
    Ok(())
}

/// The folder with the root's name and `.s3`; `out/` and `.` have one, too.
fn beside(root: &Path) -> anyhow::Result<PathBuf> {
    let root = match root.file_name() {
        Some(_) => root.components().collect(),
        None => apart::resolved(root)?,
    };
    let mut bucket = root.into_os_string();
    bucket.push(".s3");
    Ok(bucket.into())
}

fn log_file(config: &Config, args: &Args) -> anyhow::Result<Option<LogFile>> {
    let Some(log_group) = args.log_group.clone() else { return Ok(None) };
    let (timezone, now) = (config.timezone, args.now.clock().now());
    let times = match &args.at {
        Some(at) => Times::At(input::moment(at, timezone, now).ok_or_else(|| {
            let example = "write it as 2022-04-18T10:00:00+09:00, or local as 2022-04-18T10:00:00";
            Usage(format!("--at: `{at}` is not a valid time: {example}"))
        })?),
        None => {
            let format = args.timestamp_format.as_deref().map(TimestampFormat::new).transpose();
            let format = format.map_err(|error| Usage(error.to_string()))?;
            Times::Written { format, pattern: args.timestamp_pattern.clone(), year: args.year }
        }
    };
    Ok(Some(LogFile { log_group, log_stream: args.log_stream.clone(), times, timezone }))
}

/// Puts the content of inputs into the stream, and reports what cannot be read.
struct Intake<'t> {
    firehose: Firehose<'t>,
    problems: u64,
    /// How often each reason was reported.
    reasons: BTreeMap<String, u64>,
}

/// How often the same reason is reported: a wrong format would otherwise report every line.
const SAME_REASON_MAX: u64 = 10;

impl LineTarget for Intake<'_> {
    fn record(&mut self, record: SourceRecord) -> Result<(), LocalError> {
        self.firehose.put(&record)
    }

    fn problem(&mut self, problem: Problem) {
        self.problems += 1;
        let count = self.reasons.entry(problem.reason.clone()).or_default();
        *count += 1;
        if *count <= SAME_REASON_MAX {
            err!("{}: {}", problem.place, problem.reason);
        }
    }
}
