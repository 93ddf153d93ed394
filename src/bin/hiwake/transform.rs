//! `hiwake transform`: answers one Firehose event.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use hiwake::config::Config;
use hiwake::firehose;
use hiwake::land::root::layout::DayFile;
use hiwake::local::{Answered, Reply};
use hiwake::object::{Bad, Options, Origin, ReadError, Reader, RowPlace, Sink};
use hiwake::row::Row;
use hiwake::store::pipe;

use crate::output::out;

/// Answer one Firehose event as the transform function does
///
/// Failed records are named in the answer, as Firehose expects; the exit code is then still 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake transform events/firehose-hogehoge.json
  hiwake transform --lines events/firehose-mixed-batch.json
  hiwake transform - < event.json")]
pub struct Args {
    /// The event as JSON; `-` is standard input
    #[arg(value_name = "EVENT", default_value = "-")]
    event: PathBuf,
    /// Show the content of the answer: a line for each event, preceded by its result and day file,
    /// and one for each record without events
    #[arg(long)]
    lines: bool,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let mut event = Vec::new();
    let name = args.event.display();
    let read = pipe::open(&args.event).and_then(|mut input| input.read_to_end(&mut event));
    read.with_context(|| format!("cannot read {name}"))?;
    let mut reader = Reader::new(config);
    let (answer, _) = firehose::transform(&mut reader, &event).with_context(|| name.to_string())?;
    match args.lines {
        true => lines(config, &answer)?,
        false => out!("{}", String::from_utf8_lossy(&answer)),
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(config: &Config, answer: &[u8]) -> anyhow::Result<()> {
    let mut reader = Reader::new(config);
    let answer: Reply = serde_json::from_slice(answer)?;
    for Answered { record_id, result, data } in answer.records {
        let data = STANDARD.decode(data.unwrap_or_default())?;
        if data.is_empty() {
            out!("{result}\t{record_id}");
            continue;
        }
        let origin = Origin { place: "answer", id: Some(&record_id), arrival: None };
        let options = Options::new(&config.limits);
        reader.record(&data, origin, &options, &mut Printer { result: &result })?;
    }
    Ok(())
}

struct Printer<'a> {
    result: &'a str,
}

impl Sink for Printer<'_> {
    fn row(&mut self, row: &Row<'_>, _: RowPlace) -> Result<(), ReadError> {
        let day_file = DayFile { file: row.file.to_string(), day: row.day, kind: row.kind };
        out!("{}\t{day_file}\t{}", self.result, row.line);
        Ok(())
    }

    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError> {
        out!("Refused\t{}\t{}", bad.code, bad.reason);
        Ok(())
    }
}
