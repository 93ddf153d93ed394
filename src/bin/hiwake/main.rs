//! `hiwake`: the pipeline and its day files on one machine. The library does the work; this only
//! wires.

mod apart;
#[cfg(feature = "aws")]
mod backfill;
mod cat;
mod config;
mod days;
mod demo;
mod doctor;
mod explain;
mod find;
mod init;
mod land;
mod output;
mod progress;
mod replay;
mod report;
mod run;
mod seal;
mod status;
mod transform;
mod verify;

use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
#[cfg(feature = "aws")]
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use clap::{ColorChoice, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
#[cfg(feature = "aws")]
use hiwake::aws::{Aws, AwsError};
use hiwake::clock::Clock;
use hiwake::config::{Config, ConfigErrors};
use hiwake::day::day_end;
use hiwake::disk::RealDisk;
use hiwake::error::in_words;
use hiwake::land::{ChunkPool, Lander};
use hiwake::row::Day;
use hiwake::store::{Store, StoreError};

use output::{detail, note};

/// CloudWatch Logs as labelled daily files, every event in exactly one line.
///
/// Results go to stdout, progress and problems to stderr.
/// Exit codes: 0 done, 1 something could not be landed (it is named), 2 bad usage or configuration.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// The configuration
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "HIWAKE_CONFIG",
        hide_env_values = true,
        default_value = CONFIG
    )]
    config: PathBuf,
    /// Report only problems on stderr: no progress, no notes
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Report more on stderr: the configuration, the root, progress and the time taken
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Use colours in tables
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

/// The configuration's name, where no other is given.
const CONFIG: &str = "hiwake.toml";

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Demo(demo::Args),
    Run(run::Args),
    Transform(transform::Args),
    Cat(cat::Args),
    Land(land::Args),
    Replay(replay::Args),
    #[cfg(feature = "aws")]
    Backfill(backfill::Args),
    Seal(seal::Args),
    Status(status::Args),
    Report(report::Args),
    Verify(verify::Args),
    Doctor(doctor::Args),
    Config(config::Args),
    /// Print completions for a shell
    #[command(after_help = "Examples:
  hiwake completions bash > ~/.local/share/bash-completion/completions/hiwake
  hiwake completions zsh > ~/.zfunc/_hiwake
  hiwake completions fish > ~/.config/fish/completions/hiwake.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    output::color(cli.color);
    output::set_detail(cli.quiet, cli.verbose);
    let began = Instant::now();
    let code = dispatch(&cli).unwrap_or_else(|error| {
        // clap handles usage errors; these are the other faults that a person can correct
        // before anything is tried.
        let usage = error.is::<ConfigErrors>() || error.is::<Usage>();
        output::err!("{}", in_words(error.as_ref()));
        ExitCode::from(if usage { 2 } else { 1 })
    });
    detail!("took {:.1?}", began.elapsed());
    output::exit_code(code)
}

fn dispatch(cli: &Cli) -> anyhow::Result<ExitCode> {
    let load = || {
        let config = Config::load(&cli.config)?;
        let sources = output::count(config.sources.len(), "source");
        detail!("configuration {}: {sources}", config.name);
        Ok::<_, ConfigErrors>(config)
    };
    match &cli.command {
        Command::Init(args) => init::run(&cli.config, args),
        Command::Demo(args) => demo::run(args),
        Command::Run(args) => run::run(&load()?, args),
        Command::Transform(args) => transform::run(&load()?, args),
        Command::Cat(args) => cat::run(&load()?, args),
        Command::Land(args) => land::run(&load()?, args),
        Command::Replay(args) => {
            replay::run(&optional(cli, args.needs_config())?.unwrap_or_default(), args)
        }
        #[cfg(feature = "aws")]
        Command::Backfill(args) => backfill::run(&load()?, args),
        Command::Seal(args) => seal::run(&load()?, args),
        Command::Status(args) => status::run(&load()?, args),
        Command::Report(args) => report::run(&load()?, args),
        Command::Verify(args) => verify::run(&load()?, args),
        Command::Doctor(args) => doctor::run(optional(cli, args.needs_config())?, args),
        Command::Config(args) => config::run(&cli.config, args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "hiwake", &mut script);
            output::ended(io::stdout().write_all(&script));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The configuration, or `None` if none is needed, named or present.
fn optional(cli: &Cli, is_needed: bool) -> Result<Option<Config>, ConfigErrors> {
    let is_there = cli.config != Path::new(CONFIG) || cli.config.exists();
    (is_needed || is_there).then(|| Config::load(&cli.config)).transpose()
}

/// An invalid call: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// A time in one of the forms that a person may write.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// A time with an offset, in milliseconds since the epoch.
    At(i64),
    /// Without one: in the configured time zone.
    Local(NaiveDateTime),
    /// The beginning of a day in the configured time zone.
    Day(Day),
    /// This long before now.
    Ago(Duration),
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        let with_offset = || DateTime::parse_from_rfc3339(text).ok();
        let local = |form| NaiveDateTime::parse_from_str(text, form).ok();
        let local = || LOCAL_TIMES.into_iter().find_map(local).map(Moment::Local);
        let day = || text.parse().map(Moment::Day).ok();
        let ago = || humantime::parse_duration(text).map(Moment::Ago).ok();
        let at = with_offset().map(|time| Moment::At(time.timestamp_millis()));
        at.or_else(local).or_else(day).or_else(ago).ok_or_else(|| {
            "not a valid time: write 2022-04-19T02:00:00 or 2022-04-19 02:00 in the configured time zone, \
             a time with its offset (2022-04-19T02:00:00+09:00 or …T17:00:00Z), \
             a day (2022-04-19), or how long ago (1h)"
                .to_owned()
        })
    }
}

/// How a time without an offset may be written.
const LOCAL_TIMES: [&str; 4] =
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

impl Moment {
    /// The time in milliseconds since the epoch. A local time that occurs twice is the first.
    fn resolve(self, config: &Config, now: &Now) -> i64 {
        match self {
            Moment::At(at) => at,
            Moment::Local(time) => local(config, time).start,
            Moment::Day(day) => {
                let before = day.date().pred_opt().and_then(Day::new);
                before.map_or(i64::MIN, |before| day_end(config.timezone, before))
            }
            Moment::Ago(time) => now.clock().now() - time.as_millis() as i64,
        }
    }
}

/// The first and the last moment at which clocks show a time. If they skip it, it is the moment at
/// which they would have shown it.
fn local(config: &Config, time: NaiveDateTime) -> Range<i64> {
    let zone = config.timezone;
    let shown = zone.from_local_datetime(&time);
    let skipped = || {
        let before = zone.offset_from_utc_datetime(&(time - TimeDelta::days(1))).fix();
        (time - before).and_utc().timestamp_millis()
    };
    let at = |time: Option<DateTime<_>>| time.map_or_else(skipped, |time| time.timestamp_millis());
    at(shown.earliest())..at(shown.latest())
}

/// Checks that `until` is later than `since`.
fn is_span(since: i64, until: i64) -> Result<(), Usage> {
    match since < until {
        true => Ok(()),
        false => Err(Usage("--until is not after --since: nothing would be read".to_owned())),
    }
}

/// The option for the root.
#[derive(Debug, clap::Args)]
struct Root {
    /// The folder of the daily files: an EFS mount, or any folder
    #[arg(long, value_name = "DIR", env = "HIWAKE_ROOT", hide_env_values = true)]
    root: PathBuf,
}

/// The option to start over.
#[derive(Debug, clap::Args)]
struct Before {
    /// Start over: discard the progress of an interrupted run of the same command
    #[arg(long)]
    from_start: bool,
}

/// The option for the clock.
#[derive(Debug, clap::Args)]
struct Now {
    /// Use this time as the current time, e.g. 2022-04-19T02:00:00+09:00
    #[arg(long, value_name = "TIME", value_parser = rfc_3339)]
    now: Option<i64>,
}

impl Now {
    fn clock(&self) -> Clock {
        self.now.map_or(Clock::System, Clock::At)
    }
}

/// The session with AWS, which is created when it is first needed.
#[cfg(feature = "aws")]
fn aws() -> Result<&'static Aws, AwsError> {
    static AWS: OnceLock<Aws> = OnceLock::new();
    match AWS.get() {
        Some(aws) => Ok(aws),
        None => Aws::connect().map(|aws| AWS.get_or_init(|| aws)),
    }
}

/// A bucket, with the credentials that the AWS CLI would use.
#[cfg(feature = "aws")]
fn bucket(name: &str) -> Result<Store, StoreError> {
    aws().map_err(|error| StoreError::other(name, error))?.bucket(name)
}

#[cfg(not(feature = "aws"))]
fn bucket(name: &str) -> Result<Store, StoreError> {
    Err(StoreError::other(name, NO_AWS))
}

/// The build of `make run` lacks AWS.
#[cfg(not(feature = "aws"))]
const NO_AWS: &str =
    "this binary was built without AWS: install the full one with `cargo install --path .`";

fn rfc_3339(text: &str) -> Result<i64, String> {
    let time = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis());
    time.map_err(|error| {
        format!(
            "{error}: write a time with its offset, e.g. 2022-04-19T02:00:00+09:00 or …T17:00:00Z"
        )
    })
}

/// Opens the root; with `make`, creates it. A folder in which nothing has landed may be the wrong
/// one, or a file system may not be mounted.
fn disk(root: &Path, make: bool) -> anyhow::Result<RealDisk> {
    let hiwake = || root.join(".hiwake").metadata();
    let missing = || matches!(hiwake(), Err(error) if error.kind() == ErrorKind::NotFound);
    // An NFS client may remember for 30 s that the name was missing: opening the folder asks the
    // server. A landing creates what is missing, so it does not ask.
    let asked = || !make && std::fs::File::open(root).is_ok();
    let is_root = !missing() || (asked() && !missing());
    let shown = root.display();
    match make {
        false if !is_root && root.is_dir() => {
            let reason = format!(
                "{shown} is not a root of hiwake: it has no .hiwake folder, so nothing has landed there. Check --root"
            );
            return Err(Usage(reason).into());
        }
        true if !is_root => note!("{shown} has no .hiwake folder: it becomes a root now"),
        _ => {}
    }
    detail!("root {shown}");
    let disk = if make { RealDisk::create(root) } else { RealDisk::open(root) };
    disk.with_context(|| format!("cannot open the root {shown} (check --root, or mount it)"))
}

/// A lander without a deadline: a command line waits for locks as long as the configuration says.
fn lander<'a>(disk: &'a RealDisk, config: &'a Config, now: &Now) -> Lander<'a> {
    const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
    let deadline = Instant::now() + FOR_EVER;
    Lander {
        root: hiwake::land::Root {
            disk,
            config,
            clock: now.clock(),
            deadline,
            synced: Default::default(),
        },
        journals: Arc::default(),
        pool: ChunkPool::default(),
    }
}
