//! `hiwake config …`: is it right, what would become of a log group, its schema, the environment.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use hiwake::clock::Clock;
use hiwake::config::{self, Config, ENVIRONMENT, Explanation, Fate, Variable};
use hiwake::label::Origin;
use hiwake::record::Records;
use hiwake::row::Row;
use serde::Serialize;
use serde_json::json;

use crate::output::{self, out};

/// Check the configuration, or show what it does.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say everything that is wrong with it, each with its line.
    ///
    /// Exit 0: it can be used (warnings are printed all the same); 2: it cannot.
    #[command(after_help = "Example:\n  hiwake config check --config hiwake.toml")]
    Check,
    /// Show which source takes a log group and why, and with a message its file, day and exact
    /// line.
    #[command(after_help = EXPLAIN_HELP)]
    Explain(Explain),
    /// Print the JSON Schema of hiwake.toml.
    #[command(after_help = "Example:\n  hiwake config schema > hiwake.schema.json")]
    Schema,
    /// List the environment variables that are read.
    Env {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

const EXPLAIN_HELP: &str = "Examples:
  hiwake config explain --log-group /aws/lambda/api
  hiwake config explain --log-group /var/log/messages --log-stream i-0abc \\
      --timestamp 1650214747000 --message 'Apr 17 16:59:07 host ec2-user: hello'";

#[derive(Debug, clap::Args)]
struct Explain {
    /// The log group's name.
    #[arg(long, value_name = "G")]
    log_group: String,
    /// The log stream's name.
    #[arg(long, value_name = "S", default_value = "stream")]
    log_stream: String,
    /// The account that owns the log group.
    #[arg(long, value_name = "ACCOUNT", default_value = "123456789012")]
    owner: String,
    /// A message, to see its line.
    #[arg(long, value_name = "M", allow_hyphen_values = true)]
    message: Option<String>,
    /// The event's time: RFC 3339, or milliseconds since the epoch. Default: now.
    #[arg(long, value_name = "T", allow_hyphen_values = true, value_parser = milliseconds)]
    timestamp: Option<i64>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// A moment, as milliseconds since the epoch.
fn milliseconds(text: &str) -> Result<i64, String> {
    let moment = text.parse().or_else(|_| crate::rfc_3339(text));
    moment.map_err(|error| format!("{error}, or milliseconds since the epoch"))
}

/// Runs one of the subcommands on the configuration at `path`.
///
/// The error is `ConfigErrors` when the configuration is wrong: exit code 2.
pub fn run(path: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let text = match &args.command {
        Command::Schema => pretty(&config::schema())?,
        Command::Env { json: true } => pretty(&ENVIRONMENT)?,
        Command::Env { json: false } => environment(),
        Command::Check => checked(&Config::load(path)?),
        Command::Explain(explain) => explained(&Config::load(path)?, explain)?,
    };
    out!("{}", text.trim_end_matches('\n'));
    Ok(ExitCode::SUCCESS)
}

fn pretty(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)?)
}

fn checked(config: &Config) -> String {
    let sources = match config.sources.len() {
        1 => "1 source".to_owned(),
        many => format!("{many} sources"),
    };
    let mut text = format!("{}: ok, {sources}", config.name);
    config.warnings().iter().for_each(|warning| text += &format!("\nwarning: {warning}"));
    text
}

fn environment() -> String {
    let row = |one: &Variable| [one.name, one.default, one.meaning].map(str::to_owned);
    output::table(["NAME", "DEFAULT", "MEANING"], 0..0, None, ENVIRONMENT.iter().map(row))
}

fn explained(config: &Config, args: &Explain) -> anyhow::Result<String> {
    let explanation = config::explain(config, &args.owner, &args.log_group, &args.log_stream);
    let landed = landed(config, args)?;
    if args.json {
        return pretty(&json!({ "routing": explanation, "event": landed }));
    }
    let mut text = routing(&explanation, args)?;
    writeln!(text, "day       {} ({} in {})", landed.day, landed.timestamp, config.timezone)?;
    writeln!(text, "path      {}", landed.path)?;
    if let Some(line) = landed.line {
        writeln!(text, "line      {line}")?;
    }
    Ok(text)
}

fn routing(explanation: &Explanation, args: &Explain) -> anyhow::Result<String> {
    let mut text = String::new();
    writeln!(text, "log group {}, log stream {}", args.log_group, args.log_stream)?;
    for tried in &explanation.tried {
        let sign = if tried.outcome == Fate::Wins { "->" } else { "  " };
        let line = tried.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        writeln!(text, "{sign} source[{}]{line}: {}", tried.source, tried.reason)?;
    }
    if explanation.winner.is_none() {
        writeln!(text, "-> [unmatched]: no source matches")?;
    }
    writeln!(text, "file      {}", explanation.file)?;
    Ok(text)
}

/// Where an event would land, as the transform says.
#[derive(Serialize)]
struct Landed {
    path: String,
    day: String,
    timestamp: i64,
    /// Only where a message was given.
    line: Option<String>,
}

/// Sends one event through the code that the transform function runs.
fn landed(config: &Config, args: &Explain) -> anyhow::Result<Landed> {
    let message = args.message.as_deref().unwrap_or_default();
    let timestamp = args.timestamp.unwrap_or_else(|| Clock::System.now());
    let envelope = json!({
        "messageType": "DATA_MESSAGE",
        "owner": args.owner,
        "logGroup": args.log_group,
        "logStream": args.log_stream,
        "subscriptionFilters": ["explain"],
        "logEvents": [{ "id": "0", "timestamp": timestamp, "message": message }],
    });
    let origin = Origin { stream: "explain", id: "0", arrival: timestamp };
    let mut landed = None;
    let mut emit = |row: &Row<'_>| {
        let path = format!("{}/{}.{}", row.file, row.day, row.kind.extension());
        let day = row.day.to_string();
        let line = args.message.is_some().then(|| row.line.to_string());
        landed = Some(Landed { path, day, timestamp, line });
    };
    let _outcome = Records::new(config)
        .rows(envelope.to_string().as_bytes(), origin, &mut emit)
        .context("this event cannot be landed")?;
    landed.ok_or_else(|| anyhow!("this event gives no line"))
}
