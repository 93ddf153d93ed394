//! `hiwake`: the pipeline and its day files on one machine. Wiring only: the library does the work.

mod apart;
#[cfg(feature = "aws")]
mod backfill;
mod cat;
mod config;
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
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
#[cfg(feature = "aws")]
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::Context;
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
    /// Say nothing on stderr but faults: no progress, no notes
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more on stderr: the configuration, the root, how far landing is, the time it took
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Colours in tables
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
        /// Which
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    output::color(cli.color);
    output::set_detail(cli.quiet, cli.verbose);
    let began = Instant::now();
    let code = dispatch(&cli).unwrap_or_else(|error| {
        // Usage errors end in clap; these are the other faults that a person corrects before
        // anything is tried.
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
        detail!("configuration {}: {} sources", config.name, config.sources.len());
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

/// The configuration, or `None` where none is needed, named or there.
fn optional(cli: &Cli, is_needed: bool) -> Result<Option<Config>, ConfigErrors> {
    let is_there = cli.config != Path::new(CONFIG) || cli.config.exists();
    (is_needed || is_there).then(|| Config::load(&cli.config)).transpose()
}

/// A fault of the call itself: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// A moment as a person writes it.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// With its offset: milliseconds since the epoch.
    At(i64),
    /// The beginning of a day in the configured time zone.
    Day(Day),
    /// So long before now.
    Ago(Duration),
}

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        let day = || text.parse().map(Moment::Day).ok();
        let ago = || humantime::parse_duration(text).map(Moment::Ago).ok();
        rfc_3339(text).map(Moment::At).or_else(|error| day().or_else(ago).ok_or(error))
    }
}

impl Moment {
    /// Milliseconds since the epoch.
    fn resolve(self, config: &Config, now: &Now) -> i64 {
        match self {
            Moment::At(at) => at,
            Moment::Day(day) => {
                let before = day.date().pred_opt().and_then(Day::new);
                before.map_or(i64::MIN, |before| day_end(config.timezone, before))
            }
            Moment::Ago(time) => now.clock().now() - time.as_millis() as i64,
        }
    }
}

/// Times from one moment to another: the other is later.
fn is_span(since: i64, until: i64) -> Result<(), Usage> {
    match since < until {
        true => Ok(()),
        false => Err(Usage("--until is not after --since: nothing would be read".to_owned())),
    }
}

/// Where the daily files are.
#[derive(Debug, clap::Args)]
struct Root {
    /// The folder of the daily files: an EFS mount, or any folder
    #[arg(long, value_name = "DIR", env = "HIWAKE_ROOT", hide_env_values = true)]
    root: PathBuf,
}

/// What was landed, or sent, before.
#[derive(Debug, clap::Args)]
struct Before {
    /// Start over: forget how far an interrupted run of the same command came
    #[arg(long)]
    from_start: bool,
}

/// What time it is.
#[derive(Debug, clap::Args)]
struct Now {
    /// Take this moment for the present, e.g. 2022-04-19T02:00:00+09:00
    #[arg(long, value_name = "TIME", value_parser = rfc_3339)]
    now: Option<i64>,
}

impl Now {
    fn clock(&self) -> Clock {
        self.now.map_or(Clock::System, Clock::At)
    }
}

/// AWS, once it is needed.
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

/// What `make run` builds is small.
#[cfg(not(feature = "aws"))]
const NO_AWS: &str =
    "this binary was built without AWS: install the whole one with `cargo install --path .`";

fn rfc_3339(text: &str) -> Result<i64, String> {
    let time = chrono::DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis());
    time.map_err(|error| {
        format!(
            "{error}; write a time with its offset, e.g. 2022-04-19T02:00:00+09:00 or …T17:00:00Z. \
             --since and --until also take a day (2022-04-19) and how long ago (1h)"
        )
    })
}

/// A disk that is there; `make` makes the folder. What nothing has landed into may be another
/// folder than was meant, or a file system that is not mounted.
fn disk(root: &Path, make: bool) -> anyhow::Result<RealDisk> {
    let hiwake = || root.join(".hiwake").metadata();
    let missing = || matches!(hiwake(), Err(error) if error.kind() == ErrorKind::NotFound);
    // An NFS client may remember for 30 s that the name was missing: opening the folder asks the
    // server.
    // A landing makes what is missing, so it does not ask.
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

/// A command line waits for a lock as long as the configuration says; it has no deadline of its
/// own.
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
