//! `hiwake config …`: is it right, what would become of a log group, its schema, the environment.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use hiwake::config::{self, Config, ENVIRONMENT, Variable};
use serde::Serialize;

use crate::explain;
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
    /// Show what becomes of a log group's events, or of all that a file holds, and why.
    #[command(after_help = explain::HELP)]
    Explain(explain::Args),
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

/// Runs one of the subcommands on the configuration at `path`.
///
/// The error is `ConfigErrors` when the configuration is wrong: exit code 2.
pub fn run(path: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let text = match &args.command {
        Command::Schema => pretty(&config::schema())?,
        Command::Env { json: true } => pretty(&ENVIRONMENT)?,
        Command::Env { json: false } => environment(),
        Command::Check => checked(&Config::load(path)?),
        Command::Explain(args) => explain::text(&Config::load(path)?, args)?,
    };
    out!("{}", text.trim_end_matches('\n'));
    Ok(ExitCode::SUCCESS)
}

pub fn pretty(value: &impl Serialize) -> anyhow::Result<String> {
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
