//! `hiwake status`: each day file.

use std::process::ExitCode;

use chrono::TimeZone;
use hiwake::config::Config;
use hiwake::land::upkeep::status::DayStatus;

use crate::output::{self, err, out};
use crate::{Now, Root};

/// Show each day file: state, lines, bytes, late lines, last commit (local time)
///
/// Reads without locks and writes nothing. `--json` also has `commits` and `duplicates`: the rows
/// that were dropped by landings that added others. Landings of nothing new leave no trace.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake status --root out
  hiwake status --root out --json | jq 'map(select(.state == \"open\"))'")]
pub struct Args {
    #[command(flatten)]
    root: Root,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let disk = crate::disk(&args.root.root, false)?;
    let (days, failed) = crate::lander(&disk, config, &Now { now: None }).status();
    if args.json {
        out!("{}", serde_json::to_string(&days)?);
    } else {
        out!("{}", table(config, &days));
    }
    for day in days.iter().filter(|day| day.outgrows_an_invocation()) {
        let DayStatus { file, day, unsealed_bytes, .. } = day;
        err!(
            "{file} of {day} has {unsealed_bytes} bytes of text to be sealed: where it has to be merged, more than the seal function's 15 minutes are enough for at 100 MB/s. Run `hiwake seal` on a machine that has the file system mounted, or set seal.order = \"arrival\""
        );
    }
    for error in &failed {
        err!("{error}");
    }
    Ok(ExitCode::from(u8::from(!failed.is_empty())))
}

fn table(config: &Config, days: &[DayStatus]) -> String {
    let row = |day: &DayStatus| {
        let last = day.last_commit.and_then(|at| config.timezone.timestamp_millis_opt(at).single());
        let last = last.map(|time| time.format("%Y-%m-%d %H:%M").to_string());
        let [lines, bytes, late] = [day.lines, day.bytes, day.late].map(|count| count.to_string());
        let (date, state, file) = (day.day.clone(), day.state.to_string(), day.file.clone());
        [date, state, lines, bytes, late, last.unwrap_or_default(), file]
    };
    let header = ["DAY", "STATE", "LINES", "BYTES", "LATE", "LAST COMMIT", "FILE"];
    output::table(header, 2..5, Some(80), days.iter().map(row))
}
