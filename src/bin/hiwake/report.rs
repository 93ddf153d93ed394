//! `hiwake report`: shows the day files on one page.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use hiwake::config::{Config, Language};
use hiwake::land::upkeep::fault::Fault;

use crate::output::{self, out};
use crate::{Now, Root};

/// Write one page that shows all day files: a calendar of each file, lines and bytes per day,
/// checksums and faults
///
/// The page is one HTML file that loads nothing, in English and Japanese. It goes to stdout, or to
/// `--output`. The command reads journals, not lines; `--verify` also reads every byte. The exit
/// code is 1 if something is wrong.
///
/// With `[report] write = true` in the configuration, rounds of sealing write the page beside the
/// files as `@report.html`: when they changed something, when days begin or end, while something
/// is wrong, and once a day.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake report --root out > report.html
  hiwake report --root out --verify --language ja --output report.html")]
pub struct Args {
    #[command(flatten)]
    root: Root,
    /// The file to write; an existing file is replaced
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The language that the page begins with [default: `[report] language`]
    #[arg(long, value_name = "en|ja", hide_possible_values = true)]
    language: Option<Language>,
    /// Also verify every byte, and show what is wrong
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    now: Now,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let disk = crate::disk(&args.root.root, false)?;
    let lander = crate::lander(&disk, config, &args.now);
    let findings = if args.verify { lander.verify().findings } else { Vec::new() };
    let wrong = findings.into_iter().filter(|finding| finding.wrong);
    let report = lander.report(wrong.map(|one| Fault::from(&one)).collect());
    let page = report.page(&lander, args.language.unwrap_or(config.report.language));
    match &args.output {
        None => output::ended(std::io::stdout().write_all(page.as_bytes())),
        Some(path) => {
            let written = File::create(path).and_then(|mut file| file.write_all(page.as_bytes()));
            written.with_context(|| format!("cannot write {}", path.display()))?;
            out!("wrote {}: {} wrong", path.display(), report.wrong.len());
        }
    }
    Ok(ExitCode::from(u8::from(!report.wrong.is_empty())))
}
