//! `hiwake verify`: is everything as it was committed and sealed, and if not, make it so.

use std::process::ExitCode;

use hiwake::config::Config;
use hiwake::land::intake::register;
use hiwake::land::rebuild::{self, Rebuilt};
use hiwake::land::root::layout::DayFile;
use hiwake::land::upkeep::verify::Verified;
use hiwake::store::Location;

use crate::output::{err, out};
use crate::{Now, Root, apart};

/// Check every commit, every identity and every sealed file against what is on record
///
/// Reads everything, takes no locks and writes nothing; landing and sealing may continue.
/// The exit code is 1 if anything is wrong. With `--rebuild`, each damaged day is checked again
/// under its lock and repaired. Lines whose checksums hold keep their bytes, missing ones come from
/// the objects that the journal names, or from all of SOURCE. A published file that is whole never
/// changes; a damaged one is replaced by the same text or not at all. If an acknowledged line is in
/// no object, the day stays as it is. The damaged files are kept under `.hiwake/damaged`. Registers
/// of routings that are missing or damaged are restored first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake verify --root out
  hiwake verify --root out --rebuild out.s3/landing
  hiwake verify --root out --json | jq '.findings[] | select(.wrong)'")]
pub struct Args {
    #[command(flatten)]
    root: Root,
    /// Repair damaged days from the objects in this folder or s3://bucket/prefix
    #[arg(long, value_name = "SOURCE")]
    rebuild: Option<String>,
    #[command(flatten)]
    now: Now,
    /// What was found as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let source = args.rebuild.as_deref().map(Location::parse).transpose()?;
    source.iter().try_for_each(|source| apart::source(source, &args.root.root))?;
    let disk = crate::disk(&args.root.root, false)?;
    let lander = crate::lander(&disk, config, &args.now);
    if args.rebuild.is_some() {
        for path in register::restore(&lander)? {
            err!("restored {path}");
        }
    }
    let mut verified = lander.verify();
    let mut failed = 0_u64;
    if let (Some(source), false) = (source, verified.damaged.is_empty()) {
        let (store, objects) = source.objects(&crate::bucket, None)?;
        for day_file in &verified.damaged {
            match rebuild::rebuild(&lander, &store, &objects, day_file) {
                Ok(rebuilt) => failed += u64::from(!tell(day_file, rebuilt)),
                Err(error) => {
                    err!("not rebuilt: {error}");
                    failed += 1;
                }
            }
        }
        verified = lander.verify();
    }
    if args.json {
        out!("{}", serde_json::to_string(&verified)?);
    } else {
        for finding in &verified.findings {
            let what = if finding.wrong { "WRONG" } else { "note" };
            out!("{what} {}: {}", finding.path, finding.what);
        }
        let wrong = verified.findings.iter().filter(|finding| finding.wrong).count();
        let Verified { day_files, commits, lines, bytes, .. } = verified;
        out!(
            "{day_files} day files, {commits} commits, {lines} lines, {bytes} bytes read: {wrong} wrong"
        );
    }
    Ok(ExitCode::from(u8::from(failed > 0 || !verified.is_whole())))
}

/// Says what became of a day; `false`: there is something left to do.
fn tell(day_file: &DayFile, rebuilt: Rebuilt) -> bool {
    match rebuilt {
        Rebuilt::Whole => err!("{day_file}: nothing is wrong with it any more"),
        Rebuilt::Repaired => err!("repaired {day_file}: a checksum or a hint was missing"),
        Rebuilt::Rebuilt { lines, objects, compressed, closed, uncommitted, kept } => {
            for path in compressed {
                err!("{path}: the same text, compressed again: it has a new checksum");
            }
            if closed {
                err!("{day_file}: the identities of its lines are lost, so it takes no more rows");
            }
            err!(
                "rebuilt {day_file}: {lines} lines, {objects} objects read; the damaged files are in {kept}"
            );
            if uncommitted > 0 {
                err!(
                    "{day_file}: {uncommitted} lines that no commit had were set aside: land the objects of this day again"
                );
            }
            return uncommitted == 0;
        }
    }
    true
}
