//! `hiwake cat`: prints objects in any form as lines.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chrono::SecondsFormat;
use hiwake::clock::rfc_3339;
use hiwake::config::{Config, root_from_env};
use hiwake::day::day_end;
use hiwake::event_id;
use hiwake::land::root::folders::day_files;
use hiwake::land::root::layout::DayFile;
use hiwake::land::upkeep::show::{ShowError, Shown};
use hiwake::object::{Bad, Options, Origin, ReadError, Reader, RowPlace, Sink};
use hiwake::row::Row;
use hiwake::store::Location;

use crate::days::Days;
use crate::find::{self, Times};
use crate::output::{self, err};
use crate::{Now, Usage};

/// Print objects in any form as lines: rows, failed records, backups, envelopes, text; or a day
/// file; or find lines in day files
///
/// The format is detected from the content. Unreadable pieces are named on stderr, and the exit
/// code is 1. A day file's committed lines are shown, compressed or not. An open day is shown in
/// the order of arrival.
///
/// With `--root` and `--id`, `--text` or `--time`, it finds lines in all day files, or in those of
/// `--file` and `--day`. For each line it prints the file, the line number in the file's text, the
/// time and the objects of the commit. Only those objects have the log group, log stream and id: a
/// day file and its journal keep a hash of them. With `--objects`, which names the objects, each
/// line also gets its log group, log stream and id. A closed day has no identities: only `--text`
/// searches it. Results are kept in memory until their file is verified.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  hiwake cat out.s3/landing
  hiwake cat --root out --file messages --day today --follow
  hiwake cat --root out --text 'Failed password' --day 2022-04-18
  hiwake cat --root out --text 'Failed password' --day 2022-04-01..2022-04-15
  hiwake cat --root out --time 2022-04-18T01:59:07
  hiwake cat --root out --time '2022-04-18 01:30..2022-04-18 02:00'
  hiwake cat --root out --id 36795… --objects out.s3/landing
  hiwake cat --events out.s3/backup | grep sshd
  hiwake cat --rows --id 36795… out.s3/landing
  hiwake cat --rows object.rows.zst | jq .day")]
pub struct Args {
    /// Files, folders, pipes (`-` is standard input), or s3://bucket/prefix
    #[arg(value_name = "OBJECT", conflicts_with = "root")]
    objects: Vec<String>,
    /// The root of the day files; without objects, HIWAKE_ROOT
    #[arg(long, value_name = "DIR", conflicts_with_all = ["rows", "events"])]
    root: Option<PathBuf>,
    /// The day file's name without its day; in a search, `*` stands for any text
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
    /// Its day [default: today]; in a search, also 2022-04, 2022-04-* or D..D, which includes both
    /// [default: any]
    #[arg(long, value_name = "D[..D]")]
    day: Option<Days>,
    /// Only lines that contain this text
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Only lines of this minute, second, millisecond, day or last hours; or from one time to
    /// another: T..T. A time without an offset is in the configured time zone
    #[arg(long, value_name = "T[..T]")]
    time: Option<Times>,
    /// The objects that the lines were landed from: adds the source of each line
    #[arg(long = "objects", value_name = "OBJECTS")]
    objects_at: Option<String>,
    /// Print each line that was found as JSON
    #[arg(long)]
    json: bool,
    /// Wait for more lines until the day is sealed
    #[arg(long)]
    follow: bool,
    /// Print each row as JSON
    #[arg(long, conflicts_with = "events")]
    rows: bool,
    /// Print each line with its local time, stream and id in front, separated by tabs
    #[arg(long)]
    events: bool,
    /// Only the event with this id, in CloudWatch's digits or as in a row
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

/// The pause before looking for more lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows a day file, or finds lines.
fn in_root(config: &Config, args: &Args, root: &Path) -> anyhow::Result<ExitCode> {
    let (id, text) = (args.id.as_deref(), args.text.as_deref());
    if id.is_none() && text.is_none() && args.time.is_none() {
        let what = "--root needs --file to show a day file, or --id, --text or --time to search";
        let file = args.file.as_ref().ok_or_else(|| Usage(what.to_owned()))?;
        return show(config, args, root, file);
    }
    if args.follow {
        let what = "--follow shows a day file and cannot search: leave out --id, --text and --time";
        return Err(Usage(what.to_owned()).into());
    }
    let day = args.day.as_ref().map(|day| day.resolve(config, &Now { now: None })).transpose()?;
    let (file, objects) = (args.file.as_deref(), args.objects_at.as_deref());
    let (time, json) = (args.time, args.json);
    find::run(config, &find::Args { root, file, day, id, text, time, objects, json })
}

/// Shows a day file.
fn show(config: &Config, args: &Args, root: &Path, file: &str) -> anyhow::Result<ExitCode> {
    let now = Now { now: None };
    let today = || Days::Span("today".to_owned(), "today".to_owned());
    let day = args.day.clone().unwrap_or_else(today).resolve(config, &now)?.one().ok_or_else(|| {
        let what = "--day: only one day can be shown at a time, e.g. 2022-04-18 or today; --text, --id and --time search several";
        Usage(what.to_owned())
    })?;
    let is_over = day_end(config.timezone, day) <= now.clock().now();
    let mut shown: BTreeMap<DayFile, Shown> = BTreeMap::new();
    let mut told = false;
    let mut out = io::stdout().lock();
    loop {
        let disk = crate::disk(root, false)?;
        let lander = crate::lander(&disk, config, &now);
        let (found, mut unread) = day_files(&lander, &|one| one == day);
        if let Some(error) = unread.pop() {
            return Err(error.into());
        }
        let mut more = found.is_empty();
        for day_file in found.into_iter().filter(|one| one.file == file) {
            let shown = shown.entry(day_file.clone()).or_default();
            match lander.show(&day_file, shown, &mut out) {
                Ok(open) => more |= open,
                Err(ShowError::Output(error)) => {
                    output::ended(Err(error));
                    return Ok(ExitCode::SUCCESS);
                }
                Err(error) => return Err(error.into()),
            }
        }
        output::ended(out.flush());
        let may_come = !(shown.is_empty() && is_over);
        if !args.follow || !may_come || (!more && !shown.is_empty()) {
            break;
        }
        if shown.is_empty() && !told {
            err!("{} has no day file `{file}` of {day} yet: waiting for it", root.display());
            told = true;
        }
        std::thread::sleep(PAUSE);
    }
    if shown.is_empty() {
        let root = root.display();
        err!("{root} has no day file `{file}` of {day}: `hiwake status --root {root}` lists all");
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

pub fn run(config: &Config, args: &Args) -> anyhow::Result<ExitCode> {
    let root = match args.objects.is_empty() {
        true => args.root.clone().or_else(|| root_from_env().ok()),
        false => None,
    };
    if let Some(root) = root {
        return in_root(config, args, &root);
    }
    let of_root = args.file.is_some() || args.day.is_some() || args.text.is_some();
    if of_root || args.time.is_some() || args.follow || args.json || args.objects_at.is_some() {
        let what = "--file, --day, --follow, --text, --time, --objects and --json need --root DIR";
        return Err(Usage(what.to_owned()).into());
    }
    if args.objects.is_empty() {
        let what = "nothing to print: name objects, or a root with --root DIR (or HIWAKE_ROOT)";
        return Err(Usage(what.to_owned()).into());
    }
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
                "{argument} is a root of daily files: name one of them, as in `hiwake cat --root {argument} --file messages --day today`"
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
                // The printer failed: its reader has gone, or the disk is full.
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
        err!("the objects contain no event with the id {id}");
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
            let time = rfc_3339(row.timestamp, self.config.timezone, SecondsFormat::Millis);
            write!(self.out, "{time}\t{}\t{id}\t", row.stream)?;
        }
        self.out.write_all(row.line.as_bytes())?;
        self.out.write_all(b"\n")
    }
}
