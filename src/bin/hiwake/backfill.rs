//! `hiwake backfill`: lands what is still in CloudWatch Logs.

use std::process::ExitCode;

use anyhow::Context;
use chrono::SecondsFormat;
use chrono_tz::Tz;
use hiwake::backfill::Backfill;
use hiwake::clock::rfc_3339;
use hiwake::config::Config;
use hiwake::land::{Landed, Tally};
use serde_json::json;

use crate::output::{count, err, note, out};
use crate::progress::Progress;
use crate::{Before, Moment, Now, Root};

/// Land events that are still in CloudWatch Logs: history from before the subscription, or a gap
/// that Firehose never received
///
/// Reads a log group's events with FilterLogEvents, at most 5 pages a second, and lands them with
/// the configuration's labels and files. Events that came through Firehose have the same ids and
/// are not duplicated. If the command is interrupted, the same command resumes and reports it.
/// Lines that were removed in the meantime come back with `--from-start`. Events of the last 15
/// minutes may not have reached CloudWatch Logs: run the command again for them. The column
/// `{filter}` is empty, since no subscription filter sent these events.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hiwake backfill --log-group /var/log/messages --root /mnt/efs \\
      --since 2022-04-01T00:00:00+09:00 --until 2022-04-18T00:00:00+09:00")]
pub struct Args {
    /// The log group's name
    #[arg(long, value_name = "G")]
    log_group: String,
    /// Only events from this time on
    #[arg(long, value_name = "TIME")]
    since: Moment,
    /// Only events before this time; none exist more than 2 hours from now, so none are requested
    #[arg(long, value_name = "TIME")]
    until: Moment,
    #[command(flatten)]
    root: Root,
    #[command(flatten)]
    before: Before,
    #[command(flatten)]
    now: Now,
    /// The counts as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let time = args.since.resolve(config, &args.now)..args.until.resolve(config, &args.now);
    crate::is_span(time.start, time.end)?;
    let mut logs = crate::aws()?.logs();
    let group = logs.log_group(&args.log_group)?;
    let disk = crate::disk(&args.root.root, true)?;
    let lander = crate::lander(&disk, config, &args.now);
    let backfill = Backfill::begin(&lander, group, time, args.before.from_start)?;
    let (from, unsettled_from) = (backfill.from, backfill.unsettled_from);
    let utc = |time| rfc_3339(time, Tz::UTC, SecondsFormat::Secs);
    if let Some(from) = from.map(utc) {
        note!(
            "resuming from {from}, where an interrupted run of the same command stopped; lines that were removed since do not come back (--from-start starts over)"
        );
    }
    let progress = Progress::unknown("reading CloudWatch Logs");
    let mut told = |landed: &Landed| {
        let quarantined = |reason| err!("quarantined: {reason}");
        progress.suspend(|| landed.reasons.iter().for_each(quarantined));
    };
    let filled = backfill.run(&mut logs, &mut told);
    drop(progress);
    let filled = filled.context("interrupted: the same command resumes there")?;
    let Tally { rows, lines, late, duplicates, quarantined, .. } = filled.tally;
    if args.json {
        let answer = json!({
            "events": rows, "new": lines, "late": late, "already_landed": duplicates,
            "quarantined": filled.tally.quarantined, "requests": filled.pages, "from": from,
            "unsettled_from": unsettled_from,
        });
        out!("{answer}");
    } else {
        let (rows, lines) = (count(rows, "event"), count(lines, "new line"));
        out!(
            "read {rows} of {} in {}: {lines} ({late} late), {duplicates} already landed, {quarantined} quarantined",
            args.log_group,
            count(filled.pages, "request")
        );
        if let Some(time) = unsettled_from.map(utc) {
            out!("events after {time} may not have been there yet: run it again for them");
        }
    }
    Ok(ExitCode::from(u8::from(quarantined > 0)))
}
