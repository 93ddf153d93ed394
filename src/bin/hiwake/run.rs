//! `hiwake run`: the whole pipeline on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use hiwake::config::Config;
use hiwake::firehose;
use hiwake::input::{self, LineTarget, LogFile, Problem, TimestampFormat};
use hiwake::local::{Buffers, Delivered, Firehose, LocalError, SourceRecord};
use hiwake::notice::Created;
use hiwake::object::Reader;
use hiwake::store::{Location, ObjectId, Store};

use crate::land::Report;
use crate::output::{err, out};
use crate::progress::Progress;
use crate::{Now, Usage, apart};

/// Run the whole pipeline on this machine: inputs → Firehose's stand-in → objects → day files
///
/// An INPUT is a Firehose event (JSON), an envelope of CloudWatch Logs (JSON or gzip), a folder of
/// such files, or, with `--log-group`, a log file, each line an event. The stand-in batches, checks
/// and retries as Firehose does, and writes `landing/`, `failed/` and `backup/` objects; they are
/// landed as the land function would. Running the same file again lands nothing twice: an event's
/// id is made of its group, stream, place in the file and text.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake run events/firehose-hogehoge.json --root out
  hiwake run /var/log/messages --log-group /var/log/messages \\
      --timestamp-format '%b %d %H:%M:%S' --year 2022 --root out
  hiwake seal --root out")]
pub struct Args {
    /// Files, folders or pipes (`-` is standard input)
    #[arg(value_name = "INPUT", required = true)]
    inputs: Vec<String>,
    /// The folder of the daily files
    #[arg(long, value_name = "DIR", default_value = "out")]
    root: PathBuf,
    /// The folder that stands in for S3 [default: the root's name and `.s3`]
    #[arg(long, value_name = "DIR")]
    bucket: Option<PathBuf>,
    /// The inputs are log files of this log group
    #[arg(long, value_name = "G")]
    log_group: Option<String>,
    /// The lines' log stream [default: the file's name]
    #[arg(long, value_name = "S", requires = "log_group")]
    log_stream: Option<String>,
    /// How a line begins with its time, as in strftime [default: all lines have the file's time,
    /// those of a pipe the present]
    #[arg(long, value_name = "FORMAT", requires = "log_group")]
    timestamp_format: Option<String>,
    /// The year of a file's first line, where the format has none
    #[arg(long, value_name = "YEAR", requires = "timestamp_format")]
    year: Option<i32>,
    #[command(flatten)]
    now: Now,
    /// The counts as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    // What is read here may be of any age.
    let mut config = config.clone();
    (config.limits.event_age, config.limits.event_ahead) = (Duration::MAX, Duration::MAX);
    let config = &config;
    let log_file = log_file(config, args)?;
    let files = input::files(&args.inputs)?;
    if args.log_stream.is_some() && files.len() > 1 {
        // Equal lines at the same place in two files would be taken for one event.
        let reason =
            "--log-stream names the stream of one file: leave it out, and each file is its own";
        return Err(Usage(reason.to_owned()).into());
    }
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
    let mut reader = Reader::new(config);
    let mut transform = |event: &[u8]| match firehose::transform(&mut reader, event) {
        Ok((answer, _)) => Ok(answer),
        Err(error) => Err(error.to_string()),
    };
    let firehose = Firehose::new(&bucket, config.timezone, Buffers::default(), &mut transform);
    let mut intake = Intake { firehose, problems: 0, reasons: BTreeMap::new() };
    let bytes = |file: &input::InputFile| file.path.metadata().map_or(0, |metadata| metadata.len());
    let progress = Progress::of_bytes("reading", files.iter().map(bytes).sum());
    let now = args.now.clock().now();
    for file in &files {
        input::read(file, log_file.as_ref(), now, &progress.done(), &mut intake)?;
    }
    drop(progress);
    for (reason, count) in intake.reasons.iter().filter(|(_, count)| **count > SAME_REASON_MAX) {
        err!("and {} more: {reason}", count - SAME_REASON_MAX);
    }
    let problems = intake.problems;
    let (delivered, created) = intake.firehose.finish()?;
    let Delivered { records, ok, dropped, failed, .. } = delivered;
    if !args.json {
        out!("put {records} records: {ok} transformed, {dropped} dropped, {failed} failed");
    }
    let disk = crate::disk(&args.root, true)?;
    let lander = crate::lander(&disk, config, &args.now);
    let size = |created: &Created| created.size.unwrap_or_default();
    let mut report = Report::new("landing", created.iter().map(size).sum());
    if !created.is_empty() {
        let ids: Vec<ObjectId> = created.into_iter().map(|created| created.id).collect();
        report.land(&lander, &Store::folder(&bucket)?, &ids);
    }
    let landed = report.finish(args.json)?;
    Ok(if problems > 0 { ExitCode::from(1) } else { landed })
}

/// The folder whose name is the root's and `.s3`; `out/` and `.` have such a neighbour too.
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
    let format = args.timestamp_format.as_ref();
    let format = format.map(|format| TimestampFormat::new(format, args.year, config.timezone));
    let timestamps = format.transpose().map_err(|error| Usage(error.to_string()))?;
    Ok(Some(LogFile { log_group, log_stream: args.log_stream.clone(), timestamps }))
}

/// What the inputs hold goes into the stream; what cannot be read is named.
struct Intake<'t> {
    firehose: Firehose<'t>,
    problems: u64,
    /// How often each reason was named.
    reasons: BTreeMap<String, u64>,
}

/// A format that fits no line would name every line.
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
