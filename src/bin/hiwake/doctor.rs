//! `hiwake doctor`: whether all is there that landing and sealing need.

use std::process::ExitCode;

use hiwake::config::Config;
#[cfg(feature = "aws")]
use hiwake::config::Source;
use hiwake::disk::RealDisk;
use hiwake::selftest::{self, Asked, Check};

use crate::output::{self, out};
use crate::{Now, Root};

/// Check a root, and what is around it: the same checks as the land function's self-test
///
/// Nothing is changed. Each line says what was found and, where it is wrong, what to do. With AWS
/// it also looks at the log groups of the configuration and at the queue.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake doctor --root out
  hiwake doctor --root /mnt/hiwake --prefix s3://BUCKET/landing/ --log-groups --queue URL")]
pub struct Args {
    #[command(flatten)]
    root: Root,
    /// A bucket and prefix that land reads, with a `/` at its end
    #[arg(long = "prefix", value_name = "s3://BUCKET/PREFIX/")]
    prefixes: Vec<String>,
    /// For how many seconds to hold the lock, so that the same command elsewhere finds it taken
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    hold: u64,
    /// Look at the named log groups: class, and subscription filters
    #[cfg(feature = "aws")]
    #[arg(long)]
    log_groups: bool,
    /// Look at the land function's queue
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let disk = RealDisk::open(&args.root.root)?;
    let lander = crate::lander(&disk, config, &Now { now: None });
    let warnings = config.warnings().into_iter().map(|one| Ok(format!("warning: {one}")));
    let fine = (config.warnings().is_empty()).then(|| Ok("ok".to_owned()));
    let name = |result| Check::new(format!("configuration {}", config.name), result);
    let mut checks: Vec<Check> = warnings.chain(fine).map(name).collect();
    let asked = Asked { prefixes: args.prefixes.clone(), hold_s: args.hold, ..Asked::default() };
    checks.extend(selftest::run(&lander, &crate::bucket, &asked));
    #[cfg(feature = "aws")]
    {
        if args.log_groups {
            let mut logs = crate::aws()?.logs();
            let named = config.sources.iter().flat_map(Source::named_log_groups);
            checks.extend(named.map(|name| {
                let found = logs.subscribed(name).map_err(|error| error.to_string());
                Check::new(format!("log group {name}"), found.and_then(|found| found.verdict()))
            }));
        }
        if let Some(url) = &args.queue {
            let waiting = crate::aws()?.queue(url).waiting().map_err(|error| error.to_string());
            let says = waiting.map(|waiting| output::count(waiting, "notice") + " waiting");
            checks.push(Check::new(format!("queue {url}"), says));
        }
    }
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
