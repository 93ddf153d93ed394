//! `hiwake transform`: one Firehose event → its answer.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use hiwake::config::Config;
use hiwake::firehose;
use hiwake::record::Records;
use hiwake::store::pipe;

use crate::output::out;

/// Answer one Firehose event as the transform λ does
///
/// Records that fail are named in the answer, as Firehose wants it; the exit code is then still 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake transform events/firehose-hogehoge.json
  hiwake transform events/firehose-mixed-batch.json | jq '.records[] | {recordId, result}'
  hiwake transform - < event.json")]
pub struct Args {
    /// The event as JSON; `-` is standard input
    #[arg(value_name = "EVENT", default_value = "-")]
    event: PathBuf,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let mut event = Vec::new();
    let name = args.event.display();
    let read = pipe::open(&args.event).and_then(|mut input| input.read_to_end(&mut event));
    read.with_context(|| format!("cannot read {name}"))?;
    let mut records = Records::new(config);
    let (answer, _) =
        firehose::transform(&mut records, &event).with_context(|| name.to_string())?;
    out!("{}", String::from_utf8_lossy(&answer));
    Ok(ExitCode::SUCCESS)
}
