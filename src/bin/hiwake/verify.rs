//! `hiwake verify`: is everything as it was committed and sealed, and if not, make it so.

use std::io::Write;
use std::process::ExitCode;

use hiwake::config::Config;
use hiwake::land::rebuild::{self, Rebuilt};
use hiwake::land::register;
use hiwake::store::Location;

use crate::{Now, Root};

/// Check every commit, every identity and every sealed file against what is on record
///
/// Reads everything, takes no locks and writes nothing; landing and sealing may go on meanwhile. The exit code is 1 if
/// anything is wrong. With `--rebuild`, each damaged day is made anew from the objects that its journal names (all of
/// SOURCE, if the journal is unreadable), beside the damaged one, and put in its place only when it is whole. A sealed
/// file that is whole never changes; a damaged one is replaced by the same bytes or not at all. What was there is kept
/// under `.hiwake/damaged`. Registers of routings that are missing or damaged are restored first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake verify --root out
  hiwake verify --root out --rebuild out.s3/landing
  hiwake verify --root out --json | jq '.findings[] | select(.wrong)'")]
pub struct Args {
    #[command(flatten)]
    root: Root,
    /// Make damaged days anew from the objects in this folder or s3://bucket/prefix
    #[arg(long, value_name = "SOURCE")]
    rebuild: Option<String>,
    #[command(flatten)]
    now: Now,
    /// What was found as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let disk = crate::disk(&args.root.root, false)?;
    let lander = crate::lander(&disk, config, &args.now);
    let mut out = std::io::stdout().lock();
    if args.rebuild.is_some() {
        for path in register::restore(&lander)? {
            eprintln!("restored {path}");
        }
    }
    let mut verified = lander.verify()?;
    let mut failed = 0;
    if let (Some(source), false) = (&args.rebuild, verified.damaged.is_empty()) {
        let (store, objects) = Location::parse(source)?.objects(&crate::bucket)?;
        for day_file in &verified.damaged {
            match rebuild::rebuild(&lander, &store, &objects, day_file) {
                Ok(Rebuilt { lines, objects, missing, kept }) => {
                    for object in missing {
                        eprintln!("{day_file}: {object} was not found, and not needed");
                    }
                    eprintln!(
                        "rebuilt {day_file}: {lines} lines of {objects} objects; what was there is in {kept}"
                    );
                }
                Err(error) => {
                    eprintln!("not rebuilt: {error}");
                    failed += 1;
                }
            }
        }
        verified = lander.verify()?;
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&verified)?)?;
    } else {
        for finding in &verified.findings {
            let what = if finding.wrong { "WRONG" } else { "note" };
            writeln!(out, "{what} {}: {}", finding.path, finding.what)?;
        }
        let wrong = verified.findings.iter().filter(|finding| finding.wrong).count();
        writeln!(
            out,
            "{} day files, {} commits, {} lines, {} bytes read: {wrong} wrong",
            verified.day_files, verified.commits, verified.lines, verified.bytes
        )?;
    }
    Ok(ExitCode::from(u8::from(failed > 0 || !verified.is_whole())))
}
