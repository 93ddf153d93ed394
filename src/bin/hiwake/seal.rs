//! `hiwake seal`: finish the days that have ended.

use std::process::ExitCode;

use chrono::SecondsFormat;
use hiwake::clock::rfc_3339;
use hiwake::config::Config;
use hiwake::land::Lander;
use hiwake::land::upkeep::sweep::Announced;
use hiwake::land::upkeep::unsealed;

use crate::output::{err, out};
use crate::progress::Progress;
use crate::{Now, Root};

/// Seal the days that have ended: in order, under the final name, read-only, with a checksum
///
/// A day is sealed `grace` after its midnight and its last commit. A sealed file is never touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake seal --root out
  hiwake seal --root out --now 2022-04-19T02:00:00+09:00")]
pub struct Args {
    #[command(flatten)]
    root: Root,
    #[command(flatten)]
    now: Now,
    /// What was sealed as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let disk = crate::disk(&args.root.root, false)?;
    let progress = Progress::unknown("sealing");
    let lander = crate::lander(&disk, config, &args.now);
    let swept = lander.seal()?;
    drop(progress);
    let answer = swept.answer();
    if args.json {
        out!("{}", serde_json::to_string(&answer)?);
    } else {
        for Announced { path, lines, bytes, sha256, .. } in &answer.sealed {
            out!("sealed {path}: {lines} lines, {bytes} bytes, SHA-256 {sha256}");
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

/// Which days are open, and when the next of them may be sealed.
fn waiting(config: &Config, lander: &Lander<'_>) -> String {
    let waiting = unsealed::waiting(lander);
    let Some((next, at)) = waiting.iter().min_by_key(|(day_file, at)| (**at, day_file.day)) else {
        return "no day is open".to_owned();
    };
    let at = rfc_3339(*at, &config.timezone, SecondsFormat::Secs);
    format!("{} open, the next is {next} from {at} on", waiting.len())
}
