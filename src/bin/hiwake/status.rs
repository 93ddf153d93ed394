//! `hiwake status`: each day file.

use std::process::ExitCode;

use chrono::{SecondsFormat, TimeZone};
use comfy_table::{CellAlignment, Table};
use hiwake::config::Config;
use hiwake::land::status::DayStatus;

use crate::output::{err, out};
use crate::{Now, Root};

/// Show each day file: state, lines, bytes, duplicates, late, commits, last commit
///
/// Reads without locks and writes nothing. `duplicates` are the rows that were dropped by landings that added others;
/// landings of nothing new leave no trace.
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
        let DayStatus { file, day, bytes, .. } = day;
        err!(
            "{file} of {day} has {bytes} bytes: where it has to be merged, more than the seal function's 15 minutes are enough for at 100 MB/s. Run `hiwake seal` on a machine that has the file system mounted, or set seal.order = \"arrival\""
        );
    }
    for error in &failed {
        err!("{error}");
    }
    Ok(ExitCode::from(u8::from(!failed.is_empty())))
}

fn table(config: &Config, days: &[DayStatus]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    let head =
        ["FILE", "DAY", "STATE", "LINES", "BYTES", "DUPLICATES", "LATE", "COMMITS", "LAST COMMIT"];
    table.set_header(head);
    for day in days {
        let last = day.last_commit.and_then(|at| config.timezone.timestamp_millis_opt(at).single());
        let last = last.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true));
        table.add_row([
            day.file.clone(),
            day.day.clone(),
            day.state.to_string(),
            day.lines.to_string(),
            day.bytes.to_string(),
            day.duplicates.to_string(),
            day.late.to_string(),
            day.commits.to_string(),
            last.unwrap_or_default(),
        ]);
    }
    for column in 3..=7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
