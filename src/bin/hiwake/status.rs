//! `hiwake status`: shows each day file.

use std::process::ExitCode;

use chrono::{SecondsFormat, TimeZone};
use clap::builder::styling::AnsiColor;
use hiwake::clock::rfc_3339;
use hiwake::config::Config;
use hiwake::land::upkeep::due::{Because, Due};
use hiwake::land::upkeep::status::{DayState, DayStatus};
use wildmatch::WildMatch;

use crate::days::Days;
use crate::output::{self, err, out};
use crate::{Now, Root};

/// Show each day file: state, lines, bytes, late lines, last commit (local time); which are overdue
/// or missing; and which is sealed next, when and why
///
/// Reads without locks and writes nothing. `--json` also has `commits`, `due`, `overdue`, `missing`
/// and `duplicates`: the rows dropped by landings that also added some. Landings that add nothing
/// leave no trace. The exit code is 1 if a published file is missing or a journal cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake status --root out
  hiwake status --root out --due
  hiwake status --root out --day 2022-04 --file 'app/*' --state open,frozen
  hiwake status --root out --day 2022-04-01..today
  hiwake status --root out --json | jq 'map(select(.late > 0))'")]
pub struct Args {
    #[command(flatten)]
    root: Root,
    /// Only these days: 2022-04-18, today, 2022-04, 2022-04-*, or D..D, which includes both
    #[arg(long, value_name = "D[..D]")]
    day: Option<Days>,
    /// Only these files: a name without its day, in which `*` stands for any text
    #[arg(long, value_name = "NAME", value_parser = |text: &str| Ok::<_, String>(WildMatch::new(text)))]
    file: Option<WildMatch>,
    /// Only days in these states
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<DayState>,
    /// Only days that are not sealed yet, the next one first: when they are due, and why
    #[arg(long)]
    due: bool,
    #[command(flatten)]
    now: Now,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let disk = crate::disk(&args.root.root, false)?;
    let now = &args.now;
    let (mut days, failed) = crate::lander(&disk, config, now).status();
    let all = days.len();
    let day = args.day.as_ref().map(|day| day.resolve(config, now)).transpose()?;
    days.retain(|one| {
        day.as_ref().is_none_or(|day| day.has(&one.day))
            && args.file.as_ref().is_none_or(|file| file.matches(&one.file))
            && (args.state.is_empty() || args.state.contains(&one.state))
            && (!args.due || one.due.is_some())
    });
    if args.due {
        days.sort_by_key(|day| day.due);
    }
    if args.json {
        out!("{}", serde_json::to_string(&days)?);
    } else {
        let table = if args.due { due_table(config, &days) } else { table(config, &days) };
        out!("{}", output::paint(table, "STATE", color));
        let mut waiting: Vec<_> = days.iter().filter_map(|day| Some((day.due?, day))).collect();
        waiting.sort_by_key(|one| one.0);
        let (overdue, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, day)| day.overdue);
        for (due, day) in overdue.iter().take(OVERDUE_SHOWN) {
            let (name, at, why) = (name(day), at(config, *due), why(config, *due));
            out!("overdue: {name}\n    since {at}, {why}");
        }
        if overdue.len() > OVERDUE_SHOWN && !args.due {
            out!("and {} more: --due lists them", overdue.len() - OVERDUE_SHOWN);
        }
        if let (Some((due, day)), false) = (later.first(), args.due) {
            let (name, at, why) = (name(day), at(config, *due), why(config, *due));
            out!("next seal: {name}\n    from {at}, {why}");
        }
    }
    let missing: Vec<&String> = days.iter().flat_map(|day| &day.missing).collect();
    for path in &missing {
        err!(
            "{path} is missing: it was published, but something other than hiwake has removed it. Restore a copy, or run `hiwake verify --rebuild SOURCE`"
        );
    }
    if days.is_empty() && all > 0 {
        let all = output::count(all, "day file");
        err!("none of the {all} matches: leave out a filter to see more");
    }
    for day in days.iter().filter(|day| day.outgrows_an_invocation()) {
        let DayStatus { file, day, unsealed_bytes, .. } = day;
        err!(
            "{file} of {day} has {unsealed_bytes} bytes of text to seal. Merging takes more than the 15 minutes of the seal function at 100 MB/s. Run `hiwake seal` on a machine that has the file system mounted, or set seal.order = \"arrival\""
        );
    }
    for error in &failed {
        err!("{error}");
    }
    Ok(ExitCode::from(u8::from(!failed.is_empty() || !missing.is_empty())))
}

/// How many overdue days are named below the table.
const OVERDUE_SHOWN: usize = 3;

fn name(DayStatus { file, day, kind, .. }: &DayStatus) -> String {
    format!("{file}/{day}.{}", kind.extension())
}

fn at(config: &Config, due: Due) -> String {
    rfc_3339(due.at, config.timezone, SecondsFormat::Secs)
}

/// Why a day is due at that time.
fn why(config: &Config, due: Due) -> String {
    let grace = humantime::format_duration(config.seal.grace);
    match due.because {
        Because::DayEnd => format!("{grace} (`seal.grace`) after its day's end"),
        Because::LastCommit => format!("{grace} (`seal.grace`) after its last commit"),
        Because::Interrupted => "to finish an interrupted seal".to_owned(),
    }
}

/// Yellow: open. Magenta: may need attention. Green: done.
fn color(state: &str) -> Option<AnsiColor> {
    let state = <DayState as clap::ValueEnum>::from_str(state, false).ok()?;
    Some(match state {
        DayState::Open => AnsiColor::Yellow,
        DayState::Frozen | DayState::SealedLate => AnsiColor::Magenta,
        DayState::Sealed | DayState::Closed => AnsiColor::Green,
        DayState::Removed => AnsiColor::BrightBlack,
    })
}

fn due_table(config: &Config, days: &[DayStatus]) -> String {
    let row = |day: &DayStatus| {
        let at = day.due.map(|due| at(config, due));
        let why = day.due.map(|due| why(config, due)).unwrap_or_default();
        let (date, state, file) = (day.day.clone(), day.state.to_string(), day.file.clone());
        [date, state, file, at.unwrap_or_default(), why]
    };
    output::table(["DAY", "STATE", "FILE", "DUE", "WHY"], 0..0, None, days.iter().map(row))
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
