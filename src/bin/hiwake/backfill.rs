//! `hiwake backfill`: what is still in CloudWatch Logs.

use std::io::Write;
use std::process::ExitCode;

use chrono::{DateTime, SecondsFormat};
use hiwake::backfill::Backfill;
use hiwake::config::Config;
use hiwake::land::routing::{self, History, Rules};
use hiwake::land::{Landed, Tally};
use serde_json::json;

use crate::progress::Progress;
use crate::{Now, Root, Usage};

/// Land what is still in CloudWatch Logs: history from before the subscription, or a gap that Firehose never saw
///
/// Reads a log group's events by FilterLogEvents, at most 5 pages a second, and lands them with the labels and files of
/// the configuration. Events that came by Firehose have the same ids and are not doubled. Cut off, the same command goes
/// on where it was. Lines with the column `{filter}` have it empty: these events came by no subscription filter.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hiwake backfill --log-group /var/log/messages --root /mnt/efs \\
      --since 2022-04-01T00:00:00+09:00 --until 2022-04-18T00:00:00+09:00")]
pub struct Args {
    /// The log group's name
    #[arg(long, value_name = "G")]
    log_group: String,
    /// Events at this moment or later
    #[arg(long, value_name = "TIME", value_parser = crate::rfc_3339)]
    since: i64,
    /// Events before this moment
    #[arg(long, value_name = "TIME", value_parser = crate::rfc_3339)]
    until: i64,
    #[command(flatten)]
    root: Root,
    /// Land also what may have landed under another routing
    #[arg(long)]
    reroute: bool,
    #[command(flatten)]
    now: Now,
    /// The counts as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    if args.until <= args.since {
        return Err(Usage("--until is not after --since: nothing would be read".to_owned()).into());
    }
    let mut logs = crate::aws()?.logs();
    let group = logs.log_group(&args.log_group)?;
    let disk = crate::disk(&args.root.root, true)?;
    let lander = crate::lander(&disk, config, &args.now);
    let fingerprint = Rules::of(config).fingerprint();
    let until = History::read(&lander)?.others_until(&fingerprint);
    if let Some(until) = until.filter(|until| args.since < *until && !args.reroute) {
        eprintln!(
            "nothing was landed: events may have landed in other files, under another routing ({}). `hiwake config explain --log-group {}` says where they go now; with --reroute they land there once more",
            routing::in_use(until),
            args.log_group
        );
        return Ok(ExitCode::from(1));
    }
    let progress = Progress::unknown("reading CloudWatch Logs");
    let mut told = |landed: &Landed, _| {
        progress.suspend(|| {
            for reason in &landed.reasons {
                eprintln!("quarantined: {reason}");
            }
        });
    };
    let backfill = Backfill { group, since: args.since, until: args.until };
    let filled = backfill.run(&lander, &mut logs, &mut told);
    drop(progress);
    let filled = filled.map_err(|error| {
        anyhow::Error::new(error).context("cut off: the same command goes on from there")
    })?;
    let Tally { rows, lines, late, duplicates, quarantined, .. } = filled.tally;
    let mut out = std::io::stdout().lock();
    if args.json {
        let answer = json!({
            "events": rows, "new": lines, "late": late, "there_before": duplicates,
            "quarantined": filled.tally.quarantined, "requests": filled.pages, "from": filled.from,
        });
        writeln!(out, "{answer}")?;
    } else {
        if let Some(from) = filled.from.and_then(DateTime::from_timestamp_millis) {
            let from = from.to_rfc3339_opts(SecondsFormat::Secs, true);
            writeln!(out, "went on from {from}, where the same command was cut off")?;
        }
        writeln!(
            out,
            "read {rows} events of {} in {} requests: {lines} new lines ({late} late), {duplicates} there before, {quarantined} quarantined",
            args.log_group, filled.pages
        )?;
    }
    Ok(ExitCode::from(u8::from(quarantined > 0)))
}
