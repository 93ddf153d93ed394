//! `hiwake config explain`: shows what happens to a log group's events, or to everything in a file,
//! and why.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use hiwake::clock::Clock;
use hiwake::config::{self, Config, Explanation, Fate, Tested};
use hiwake::land::root::layout::DayFile;
use hiwake::object::{Bad, Options, Origin, ReadError, Reader, RowPlace, Sink, Skipped};
use hiwake::row::{Row, Stream};
use hiwake::store::pipe;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::pretty;
use crate::output::count;

pub const HELP: &str = "Examples:
  hiwake config explain --log-group /aws/lambda/api
  hiwake config explain --log-group /var/log/messages --log-stream i-0abc \\
      --timestamp 1650214747000 --message 'Apr 17 16:59:07 host ec2-user: hello'
  hiwake config explain --event events/firehose-mixed-batch.json";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The log group's name.
    #[arg(long, value_name = "G", required_unless_present = "event")]
    log_group: Option<String>,
    /// The log stream's name.
    #[arg(long, value_name = "S", default_value = "stream", conflicts_with = "event")]
    log_stream: String,
    /// The account that owns the log group.
    #[arg(long, value_name = "ACCOUNT", default_value = "123456789012", conflicts_with = "event")]
    owner: String,
    /// A message whose line is shown.
    #[arg(long, value_name = "M", allow_hyphen_values = true, conflicts_with = "event")]
    message: Option<String>,
    /// The event's time: RFC 3339, or milliseconds since the epoch. Default: now.
    #[arg(long, value_name = "T", allow_hyphen_values = true, conflicts_with = "event",
        value_parser = milliseconds)]
    timestamp: Option<i64>,
    /// A Firehose event, a record, an envelope or an object, of which each part is explained; `-`
    /// is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "log_group")]
    event: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Parses a time as milliseconds since the epoch.
fn milliseconds(text: &str) -> Result<i64, String> {
    let moment = text.parse().or_else(|_| crate::rfc_3339(text));
    moment.map_err(|error| format!("{error}, or milliseconds since the epoch"))
}

/// What happens to one part.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "becomes")]
enum Fact {
    /// A line of a day file.
    Line { record: String, path: String, day: String, timestamp: i64, why: String, line: String },
    /// Nothing, as intended.
    Nothing { record: String, events: usize, why: String },
    /// A line of the quarantine.
    Quarantined { record: String, code: String, why: String },
}

/// Builds the explanation.
pub fn text(config: &Config, args: &Args) -> anyhow::Result<String> {
    match (&args.event, &args.log_group) {
        (Some(path), _) => file(config, path, args.json),
        (None, Some(log_group)) => of_log_group(config, log_group, args),
        (None, None) => Ok(String::new()),
    }
}

fn of_log_group(config: &Config, log_group: &str, args: &Args) -> anyhow::Result<String> {
    let explanation = config::explain(config, &args.owner, log_group, &args.log_stream);
    let timestamp = args.timestamp.unwrap_or_else(|| Clock::System.now());
    let envelope = json!({
        "messageType": "DATA_MESSAGE",
        "owner": args.owner,
        "logGroup": log_group,
        "logStream": args.log_stream,
        "subscriptionFilters": ["explain"],
        "logEvents": [{
            "id": "0", "timestamp": timestamp, "message": args.message.as_deref().unwrap_or(""),
        }],
    });
    let envelope = envelope.to_string();
    let facts =
        facts(config, &[("event".to_owned(), Some(envelope.into_bytes()), Some(timestamp))])?;
    let (path, day, timestamp, line) = match facts.first() {
        Some(Fact::Line { path, day, timestamp, line, .. }) => (path, day, timestamp, line),
        Some(Fact::Nothing { why, .. }) => {
            return nothing(config, &explanation, log_group, args, why);
        }
        fact => {
            let why = fact.map(Fact::why).unwrap_or_default();
            anyhow::bail!("this event cannot land: {why}");
        }
    };
    let line = args.message.as_ref().map(|_| line);
    let patterns = patterns(config, &explanation, args);
    if args.json {
        let event = json!({
            "path": path, "day": day, "timestamp": timestamp, "line": line, "patterns": patterns,
        });
        return pretty(&json!({ "routing": explanation, "event": event }));
    }
    let mut text = routing(&explanation, log_group, &args.log_stream)?;
    writeln!(text, "day       {day} ({timestamp} in {})", config.timezone)?;
    writeln!(text, "path      {path}")?;
    tested(&mut text, &patterns)?;
    if let Some(line) = line {
        writeln!(text, "line      {line}")?;
    }
    Ok(text)
}

/// Tests the given message against `drop` and `keep`.
fn patterns(config: &Config, explanation: &Explanation, args: &Args) -> Vec<Tested> {
    let message = args.message.as_deref();
    message.map(|message| explanation.patterns(config, message)).unwrap_or_default()
}

fn tested(text: &mut String, patterns: &[Tested]) -> std::fmt::Result {
    for Tested { key, number, pattern, matches, decides } in patterns {
        let outcome = match (key, matches) {
            (_, false) => "does not match",
            (_, true) if !decides => "matches too",
            (&"drop", true) => "matches, so the event is left out",
            (_, true) => "matches, so the event is kept",
        };
        let sign = if *decides { "->" } else { "  " };
        writeln!(text, "{sign} {key}[{number}] {pattern}: {outcome}")?;
    }
    Ok(())
}

/// Explains an event that gives no line.
fn nothing(
    config: &Config,
    explanation: &Explanation,
    log_group: &str,
    args: &Args,
    why: &str,
) -> anyhow::Result<String> {
    // Without a message, `drop` and `keep` do not apply.
    let why = args.message.as_ref().map(|_| why);
    let patterns = patterns(config, explanation, args);
    if args.json {
        let event = json!({ "line": null, "why": why, "patterns": patterns });
        return pretty(&json!({ "routing": explanation, "event": event }));
    }
    let mut text = routing(explanation, log_group, &args.log_stream)?;
    tested(&mut text, &patterns)?;
    if let Some(why) = why {
        writeln!(text, "line      none: {why}")?;
    }
    Ok(text)
}

fn routing(explanation: &Explanation, log_group: &str, log_stream: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    writeln!(text, "log group {log_group}, log stream {log_stream}")?;
    for tried in &explanation.tried {
        let sign = if tried.outcome == Fate::Wins { "->" } else { "  " };
        let line = tried.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        writeln!(text, "{sign} source[{}]{line}: {}", tried.source, tried.reason)?;
    }
    if explanation.winner.is_none() {
        writeln!(text, "-> [unmatched]: no source matches")?;
    }
    writeln!(text, "file      {}", explanation.file)?;
    if explanation.empty_days {
        writeln!(text, "empty     sealed empty on a day without an event (seal.empty_days)")?;
    }
    for (name, value) in &explanation.captures {
        writeln!(text, "capture   {name} = {value}")?;
    }
    for (key, value) in &explanation.rules {
        writeln!(text, "rule      {key} = {value}")?;
    }
    Ok(text)
}

/// A record: its name, its bytes unless they are not valid base64, and its arrival.
type Record = (String, Option<Vec<u8>>, Option<i64>);

fn file(config: &Config, path: &Path, as_json: bool) -> anyhow::Result<String> {
    let (name, mut bytes) = (path.display(), Vec::new());
    let read = pipe::open(path).and_then(|mut input| input.read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read {name}"))?;
    let records = match records(&bytes) {
        Some(records) => records,
        None => vec![(name.to_string(), Some(bytes), None)],
    };
    let facts = facts(config, &records)?;
    if as_json {
        return pretty(&facts);
    }
    let mut text = String::new();
    facts.iter().for_each(|fact| text += &fact.text());
    Ok(text)
}

/// The records of a Firehose event; `None` if it is something else.
fn records(event: &[u8]) -> Option<Vec<Record>> {
    #[derive(Deserialize)]
    struct Event {
        records: Vec<One>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct One {
        record_id: String,
        data: String,
        approximate_arrival_timestamp: Option<i64>,
    }
    let event: Event = serde_json::from_slice(event).ok()?;
    let read = |one: One| {
        let name = format!("record {}", one.record_id);
        (name, STANDARD.decode(&one.data).ok(), one.approximate_arrival_timestamp)
    };
    Some(event.records.into_iter().map(read).collect())
}

/// Sends records through the code that both functions run.
fn facts(config: &Config, records: &[Record]) -> anyhow::Result<Vec<Fact>> {
    let mut reader = Reader::new(config);
    let mut facts = Vec::new();
    for (record, data, arrival) in records {
        let Some(data) = data else {
            let (code, why) = ("base64".to_owned(), "its data is not valid base64".to_owned());
            facts.push(Fact::Quarantined { record: record.clone(), code, why });
            continue;
        };
        let arrival = arrival.unwrap_or_else(|| Clock::System.now());
        let origin = Origin { place: record, id: None, arrival: Some(arrival) };
        let before = facts.len();
        let mut explainer = Explainer { config, record, facts };
        reader.record(data, origin, &Options::new(&config.limits), &mut explainer)?;
        facts = explainer.facts;
        if facts.len() == before {
            let why = "it is empty".to_owned();
            facts.push(Fact::Nothing { record: record.clone(), events: 0, why });
        }
    }
    Ok(facts)
}

struct Explainer<'a> {
    config: &'a Config,
    record: &'a str,
    facts: Vec<Fact>,
}

impl Sink for Explainer<'_> {
    fn row(&mut self, row: &Row<'_>, place: RowPlace) -> Result<(), ReadError> {
        let why = match &row.stream {
            _ if !place.is_derived => "it already was a row".to_owned(),
            Stream::Origin(_) => "it is plain text: `[plain]` applies".to_owned(),
            Stream::Logs { owner, log_group, log_stream } => {
                let tried = config::explain(self.config, owner, log_group, log_stream).tried;
                let winner = tried.iter().find(|tried| tried.outcome == Fate::Wins);
                winner.map_or("no source matches: `[unmatched]` applies".to_owned(), |winner| {
                    format!("source[{}]: {}", winner.source, winner.reason)
                })
            }
        };
        let day_file = DayFile { file: row.file.to_string(), day: row.day, kind: row.kind };
        self.facts.push(Fact::Line {
            record: self.record.to_owned(),
            path: day_file.to_string(),
            day: row.day.to_string(),
            timestamp: row.timestamp,
            why,
            line: row.line.to_string(),
        });
        Ok(())
    }

    fn skipped(&mut self, skipped: Skipped, events: usize) -> Result<(), ReadError> {
        let why = match skipped {
            Skipped::Empty => "a control message, or empty",
            Skipped::Filtered => "`drop` or `keep` of its source excludes it",
            Skipped::PlainDropped => "plain text, and `[plain] drop = true`",
            Skipped::PlainLeftOut => "plain text, which is excluded",
        };
        let (record, why) = (self.record.to_owned(), why.to_owned());
        self.facts.push(Fact::Nothing { record, events, why });
        Ok(())
    }

    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError> {
        let (code, why) = (bad.code.to_owned(), bad.reason.to_owned());
        self.facts.push(Fact::Quarantined { record: self.record.to_owned(), code, why });
        Ok(())
    }
}

impl Fact {
    fn why(&self) -> &str {
        match self {
            Fact::Line { why, .. } | Fact::Nothing { why, .. } | Fact::Quarantined { why, .. } => {
                why
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Fact::Line { record, path, timestamp, why, line, .. } => {
                format!("{record}: the event of {timestamp} is a line of {path}: {why}\n  {line}\n")
            }
            Fact::Nothing { record, events, why } => {
                format!("{record}: no line from {}: {why}\n", count(events, "event"))
            }
            Fact::Quarantined { record, code, why } => {
                format!("{record}: goes into quarantine: {why} ({code})\n")
            }
        }
    }
}
