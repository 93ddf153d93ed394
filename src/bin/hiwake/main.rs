//! The command line.

mod config;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hiwake::config::ConfigErrors;

/// Carries CloudWatch Logs to labelled daily files.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// The configuration.
    #[arg(global = true, long, default_value = "hiwake.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Config(config::Args),
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Config(args) => config::run(&cli.config, args),
    };
    done.or_else(|error| {
        writeln!(std::io::stderr(), "{error:#}")?;
        Ok(ExitCode::from(if error.is::<ConfigErrors>() { 2 } else { 1 }))
    })
}
