//! `hiwake cat`: objects of any shape as lines.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use chrono::SecondsFormat;
use hiwake::clock::rfc_3339;
use hiwake::config::Config;
use hiwake::event_id;
use hiwake::object::{Bad, Options, Origin, ReadError, Reader, RowPlace, Sink};
use hiwake::row::Row;
use hiwake::store::Location;

use crate::Usage;
use crate::output::{self, err};

/// Print objects of any shape as lines: rows, failed records, backups, envelopes, text
///
/// The format is detected from the content. Unreadable pieces are named on stderr; the exit code is
/// then 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake cat out.s3/landing
  hiwake cat --events out.s3/backup | grep sshd
  hiwake cat --rows --id 36795… out.s3/landing
  hiwake cat --rows object.rows.zst | jq .day")]
pub struct Args {
    /// Files, folders, pipes (`-` is standard input), or s3://bucket/prefix
    #[arg(value_name = "OBJECT", required = true)]
    objects: Vec<String>,
    /// Each row as JSON
    #[arg(long, conflicts_with = "events")]
    rows: bool,
    /// Each line with its local time, stream and id in front, tabs between
    #[arg(long)]
    events: bool,
    /// Only the event of this id, in CloudWatch's digits or as it stands in a row
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let mut reader = Reader::new(config);
    let mut printer = Printer {
        args,
        config,
        out: BufWriter::new(io::stdout().lock()),
        place: String::new(),
        bad: 0,
        found: 0,
    };
    let mut printed = Ok(());
    'objects: for argument in &args.objects {
        let source = Location::parse(argument)?;
        if let Location::Folder(folder) = &source
            && folder.join(".hiwake").is_dir()
        {
            let reason = format!(
                "{argument} is a root of daily files, which are text already: read them with less or cat. `hiwake cat` reads objects"
            );
            return Err(Usage(reason).into());
        }
        let (store, objects) = source.objects(&crate::bucket, None)?;
        for object in objects {
            printer.place = object.id.place();
            let input = store.open(&object.id.key)?;
            let options = Options::new(&config.limits);
            let place = printer.place.clone();
            let origin = Origin { place: &place, id: None, arrival: Some(object.modified) };
            match reader.object(input, origin, &options, &mut printer) {
                Ok(()) => {}
                // Of the printer: its reader is gone, so that nobody wants the rest, or the disk is
                // full.
                Err(ReadError::Sink(error)) => {
                    printed = Err(error);
                    break 'objects;
                }
                Err(ReadError::Store(error)) => return Err(error.into()),
                Err(error) => return Err(anyhow::Error::new(error).context(place)),
            }
        }
    }
    output::ended(printed.and_then(|()| printer.out.flush()));
    if let (Some(id), 0) = (&args.id, printer.found) {
        err!("no event with the id {id} is in what was read");
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::from(u8::from(printer.bad > 0)))
}

struct Printer<'a, W: Write> {
    args: &'a Args,
    config: &'a Config,
    out: W,
    place: String,
    bad: u64,
    found: u64,
}

impl<W: Write> Sink for Printer<'_, W> {
    fn row(&mut self, row: &Row<'_>, _: RowPlace) -> Result<(), ReadError> {
        self.print(row).map_err(ReadError::Sink)
    }

    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError> {
        self.bad += 1;
        err!("{} at byte {}: {} ({})", self.place, bad.offset, bad.reason, bad.code);
        Ok(())
    }
}

impl<W: Write> Printer<'_, W> {
    fn print(&mut self, row: &Row<'_>) -> io::Result<()> {
        let id = event_id::long(&row.id, row.timestamp);
        if self.args.id.as_ref().is_some_and(|wanted| *wanted != id && *wanted != row.id) {
            return Ok(());
        }
        self.found += 1;
        if self.args.rows {
            let mut json = Vec::new();
            row.encode(&mut json);
            return self.out.write_all(&json);
        }
        if self.args.events {
            let time = rfc_3339(row.timestamp, &self.config.timezone, SecondsFormat::Millis);
            write!(self.out, "{time}\t{}\t{id}\t", row.stream)?;
        }
        self.out.write_all(row.line.as_bytes())?;
        self.out.write_all(b"\n")
    }
}
