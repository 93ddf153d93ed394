//! `hiwake config …`: checks and explains the configuration, and prints its schema and environment.

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
    /// Report all errors in it, each with its line.
    ///
    /// Exit code 0: it can be used, perhaps with warnings; 2: it cannot.
    #[command(after_help = "Example:\n  hiwake config check --config hiwake.toml")]
    Check,
    /// Show what happens to a log group's events, or to everything in a file, and why.
    #[command(after_help = explain::HELP)]
    Explain(explain::Args),
    /// Print the JSON Schema of hiwake.toml.
    #[command(after_help = "Example:\n  hiwake config schema > hiwake.schema.json")]
    Schema,
    /// List the environment variables that hiwake reads.
    Env {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs one of the subcommands with the configuration at `path`.
///
/// If the configuration is not valid, the error is `ConfigErrors`: exit code 2.
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
