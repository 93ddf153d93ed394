//! `hiwake seal`: finishes the days that have ended.

use std::process::ExitCode;

use chrono::SecondsFormat;
use hiwake::clock::rfc_3339;
use hiwake::config::Config;
use hiwake::land::Lander;
use hiwake::land::upkeep::due::{self, Planned, PlannedDay};
use hiwake::land::upkeep::sweep::Announced;

use crate::output::{count, err, out};
use crate::progress::Progress;
use crate::{Now, Root};

/// Seal the days that have ended: sort them, publish them under the final name, read-only, with a
/// checksum
///
/// A day is sealed `grace` after its midnight and its last commit. A sealed file is never changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake seal --root out
  hiwake seal --root out --now 2022-04-19T02:00:00+09:00")]
pub struct Args {
    #[command(flatten)]
    root: Root,
    /// Show what would be sealed, closed and removed, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    now: Now,
    /// Print what was sealed as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let disk = crate::disk(&args.root.root, false)?;
    let lander = crate::lander(&disk, config, &args.now);
    if args.dry_run {
        return dry_run(config, args, &lander);
    }
    let progress = Progress::unknown("sealing");
    let swept = lander.seal()?;
    drop(progress);
    let answer = swept.answer();
    if args.json {
        out!("{}", serde_json::to_string(&answer)?);
    } else {
        for Announced { path, lines, bytes, sha256, .. } in &answer.sealed {
            let (lines, bytes) = (count(lines, "line"), count(bytes, "byte"));
            out!("sealed {path}: {lines}, {bytes}, SHA-256 {sha256}");
        }
        for day_file in &answer.closed {
            out!("closed {day_file}: it takes no more rows");
        }
        for path in &answer.removed {
            out!("removed {path}: published more than `[retention] days` ago");
        }
        if swept.is_idle() {
            out!("nothing is due: {}", waiting(config, &lander));
        }
    }
    for error in &answer.failed {
        err!("not sealed: {error}");
    }
    Ok(ExitCode::from(u8::from(!answer.failed.is_empty())))
}

/// Shows what a round would do now.
fn dry_run(config: &Config, args: &Args, lander: &Lander<'_>) -> anyhow::Result<ExitCode> {
    let planned = lander.plan_seal();
    if args.json {
        out!("{}", serde_json::to_string(&planned)?);
    } else {
        let Planned { seal, close, remove, failed } = &planned;
        for PlannedDay { day_file, lines } in seal {
            out!("would seal {day_file}: {}", count(lines, "line"));
        }
        close.iter().for_each(|day_file| out!("would close {day_file}"));
        remove.iter().for_each(|path| out!("would remove {path}"));
        if [seal.len(), close.len(), remove.len(), failed.len()] == [0; 4] {
            out!("nothing is due: {}", waiting(config, lander));
        }
    }
    planned.failed.iter().for_each(|error| err!("not read: {error}"));
    Ok(ExitCode::from(u8::from(!planned.failed.is_empty())))
}

/// The number of open days, and the time when the next one may be sealed.
fn waiting(config: &Config, lander: &Lander<'_>) -> String {
    let waiting = due::waiting(lander);
    let Some((next, day_file)) = waiting.iter().min() else {
        return "no day is open".to_owned();
    };
    let at = rfc_3339(next.at, config.timezone, SecondsFormat::Secs);
    format!("{} open, the next is {day_file} from {at} on", waiting.len())
}
