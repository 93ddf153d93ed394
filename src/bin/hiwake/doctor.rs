//! `hiwake doctor`: checks everything that landing and sealing need.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
#[cfg(feature = "aws")]
use hiwake::aws::{AccountPolicy, AwsError, Stream};
use hiwake::config::Config;
#[cfg(feature = "aws")]
use hiwake::config::Subscribe;
use hiwake::disk::RealDisk;
use hiwake::selftest::{self, Asked, Check};

use crate::Now;
use crate::output::out;

/// Check a root and its surroundings, with the same checks as the land function's self-test
///
/// Nothing is changed. Each line is one result and, if it is wrong, what to do. If this user may
/// only read, checks that need to write are skipped, and a line says so. With AWS, it also checks
/// the configured log groups, the alarms and the queue. The stack's output `DoctorCommand` is the
/// complete command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake doctor --root out
  hiwake doctor --root /mnt/hiwake --prefix s3://BUCKET/landing/
  hiwake doctor --pipeline hiwake --log-groups --alarms --queue URL")]
pub struct Args {
    /// The folder of the daily files: an EFS mount, or any folder
    #[arg(long, value_name = "DIR", env = "HIWAKE_ROOT", hide_env_values = true)]
    #[cfg_attr(feature = "aws", arg(required_unless_present_any = [
        "prefixes", "log_groups", "alarms", "queue",
    ]))]
    #[cfg_attr(not(feature = "aws"), arg(required_unless_present = "prefixes"))]
    root: Option<PathBuf>,
    /// A bucket and prefix that land reads, ending with `/`
    #[arg(long = "prefix", value_name = "s3://BUCKET/PREFIX/")]
    prefixes: Vec<String>,
    /// How many seconds to hold the lock, so that the same command elsewhere finds it busy
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    hold: u64,
    /// The pipeline: the name of its delivery stream and the beginning of its alarms' names
    #[cfg(feature = "aws")]
    #[arg(
        long,
        value_name = "NAME",
        env = "HIWAKE_PIPELINE",
        hide_env_values = true,
        default_value = "hiwake"
    )]
    pipeline: String,
    /// Check the named log groups: class, filters to the pipeline's stream, account policy
    #[cfg(feature = "aws")]
    #[arg(long)]
    log_groups: bool,
    /// Check the pipeline's alarms: whether all exist, are switched on and are not ringing
    #[cfg(feature = "aws")]
    #[arg(long)]
    alarms: bool,
    /// Check the land function's queue: its backlog, how long it has waited, and the dead letters
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Whether these checks need the configuration.
    pub fn needs_config(&self) -> bool {
        #[cfg(feature = "aws")]
        return self.log_groups;
        #[cfg(not(feature = "aws"))]
        return false;
    }
}

/// Runs the checks. `config` is `None` if it is missing and not needed, as on a reader's machine.
pub fn run(config: Option<Config>, args: &Args) -> anyhow::Result<ExitCode> {
    let mut checks = of_config(config.as_ref());
    let config = config.unwrap_or_default();
    let (prefixes, hold_s) = (args.prefixes.clone(), args.hold);
    match &args.root {
        Some(root) => {
            let shown =
                || format!("cannot open the root {} (check --root, or mount it)", root.display());
            let disk = RealDisk::open(root).with_context(shown)?;
            let lander = crate::lander(&disk, &config, &Now { now: None });
            let asked = Asked { prefixes, hold_s, may_only_read: true, ..Asked::default() };
            checks.extend(selftest::run(&lander, &crate::bucket, &asked));
        }
        None => {
            let of = |prefix: &String| selftest::of_prefix(&crate::bucket, prefix);
            checks.extend(prefixes.iter().map(of));
        }
    }
    #[cfg(feature = "aws")]
    checks.extend(of_aws(&config, args)?);
    let ok = checks.iter().all(|check| check.ok);
    if args.json {
        out!("{}", serde_json::json!({ "ok": ok, "checks": checks }));
    } else {
        for Check { check, ok, says } in &checks {
            out!("{} {check}: {says}", if *ok { "ok   " } else { "WRONG" });
        }
    }
    Ok(ExitCode::from(u8::from(!ok)))
}

fn of_config(config: Option<&Config>) -> Vec<Check> {
    let Some(config) = config else {
        let says = "skipped: hiwake.toml is not in this folder; name it with --config FILE";
        return vec![Check::new("configuration", Ok(says.to_owned()))];
    };
    let warnings = config.warnings().into_iter().map(|one| Ok(format!("warning: {one}")));
    let fine = (config.warnings().is_empty()).then(|| Ok("ok".to_owned()));
    let name = |result| Check::new(format!("configuration {}", config.name), result);
    warnings.chain(fine).map(name).collect()
}

#[cfg(feature = "aws")]
fn of_aws(config: &Config, args: &Args) -> Result<Vec<Check>, AwsError> {
    let mut checks = Vec::new();
    if args.log_groups {
        checks.extend(of_log_groups(config, Stream(&args.pipeline))?);
    }
    if args.alarms {
        let pipeline = &args.pipeline;
        match crate::aws()?.cloudwatch().alarms(pipeline) {
            Ok(alarms) => checks.extend([
                Check::new(format!("alarms of {pipeline}"), alarms.exist()),
                Check::new("alarm actions", alarms.tell()),
                Check::new("alarms ringing", alarms.ring()),
            ]),
            Err(error) => {
                checks.push(Check::new(format!("alarms of {pipeline}"), Err(error.reason)));
            }
        }
    }
    if let Some(url) = &args.queue {
        let queue = crate::aws()?.queue(url);
        let name = format!("queue {url}");
        match queue.backlog() {
            Ok(backlog) => {
                let age = crate::aws()?.cloudwatch().oldest_message(queue.name());
                let waits = age.map_err(|error| error.reason);
                checks.push(Check::new(name, waits.and_then(|age| backlog.waits(age))));
                checks.push(Check::new("dead letters", backlog.dead()));
            }
            Err(error) => checks.push(Check::new(name, Err(error.reason))),
        }
    }
    Ok(checks)
}

#[cfg(feature = "aws")]
fn of_log_groups(config: &Config, stream: Stream<'_>) -> Result<Vec<Check>, AwsError> {
    let mut logs = crate::aws()?.logs();
    let mut checks = Vec::new();
    let some = |how| config.sources.iter().any(|source| source.subscribe == how);
    let mut policy = None;
    if some(Subscribe::Account) || some(Subscribe::Manual) {
        let found = logs.account_policy().map_err(|error| error.reason);
        policy = found.as_ref().ok().cloned().flatten();
        if some(Subscribe::Account) {
            let verdict = found.and_then(|found| AccountPolicy::verdict(found.as_ref(), stream));
            checks.push(Check::new("account policy", verdict));
        }
    }
    for source in &config.sources {
        for name in source.named_log_groups() {
            let found = logs.subscribed(name).map_err(|error| error.reason);
            let verdict = found
                .and_then(|found| found.verdict(name, source.subscribe, stream, policy.as_ref()));
            checks.push(Check::new(format!("log group {name}"), verdict));
        }
    }
    Ok(checks)
}
