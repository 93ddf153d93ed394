//! `hiwake demo`: sends sample logs through the whole pipeline, in a folder of its own.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;

use crate::Cli;
use crate::output::out;

/// Run sample logs through the whole pipeline, with folders in place of S3 and EFS
///
/// Writes a configuration and events into DIR, then runs the commands that it shows. Afterwards,
/// `efs` holds the daily files and `s3` the objects, and the same commands work in that folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  hiwake demo && cat hiwake-demo/efs/messages/2022-04-17.csv")]
pub struct Args {
    /// A new folder, or one of an earlier demo, which is replaced
    #[arg(value_name = "DIR", default_value = "hiwake-demo")]
    dir: PathBuf,
}

/// Marks a folder as a demo's, which may be replaced.
const MARKER: &str = ".hiwake-demo";
const FILES: [(&str, &[u8]); 5] = [
    (MARKER, b""),
    ("hiwake.toml", include_bytes!("../../../hiwake.toml")),
    ("messages.log", include_bytes!("../../../events/messages.log")),
    ("firehose-hogehoge.json", include_bytes!("../../../events/firehose-hogehoge.json")),
    ("firehose-demo-data.json", include_bytes!("../../../events/firehose-demo-data.json")),
];
const COMMANDS: [&str; 5] = [
    "run messages.log --log-group /var/log/messages \
     --root efs --bucket s3 --now 2022-04-18T08:00:00+09:00",
    "run firehose-hogehoge.json firehose-demo-data.json \
     --root efs --bucket s3 --now 2022-04-18T08:05:00+09:00",
    "seal --root efs --now 2022-04-18T12:00:00+09:00",
    "status --root efs --now 2022-04-18T12:00:00+09:00",
    "verify --root efs",
];
/// The number of lines that are shown of each daily file, and of characters of each line.
const LINES: usize = 3;
const CHARACTERS: usize = 100;

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dir = args.dir.display();
    prepare(&args.dir).with_context(|| format!("cannot prepare {dir}"))?;
    std::env::set_current_dir(&args.dir).with_context(|| format!("cannot enter {dir}"))?;
    out!("$ cd {dir}");
    for command in COMMANDS {
        out!("\n$ hiwake {command}");
        // The quoted parts have odd numbers.
        let words = command.split('\'').enumerate().flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().collect(),
            _ => vec![part],
        });
        // The demo's configuration is used, whatever HIWAKE_CONFIG says.
        let words = ["hiwake", "--config", "hiwake.toml"].into_iter().chain(words);
        let cli = Cli::try_parse_from(words)?;
        let code = crate::dispatch(&cli)?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    let mut folders = vec![PathBuf::from("efs")];
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        paths.retain(|path| !path.ends_with(".hiwake"));
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            out!("\n{}", path.display());
            for line in BufReader::new(fs::File::open(&path)?).lines().take(LINES) {
                out!("    {}", line?.chars().take(CHARACTERS).collect::<String>());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Creates the folder, and replaces an earlier demo's.
#[expect(clippy::disallowed_methods, reason = "samples: nothing depends on their being durable")]
fn prepare(dir: &Path) -> anyhow::Result<()> {
    if dir.join(MARKER).exists() {
        fs::remove_dir_all(dir)?;
    } else if dir.exists() && fs::read_dir(dir)?.next().is_some() {
        bail!("it contains files that are not a demo's: choose another folder");
    }
    fs::create_dir_all(dir)?;
    FILES.iter().try_for_each(|(name, bytes)| fs::write(dir.join(name), bytes))?;
    Ok(())
}
