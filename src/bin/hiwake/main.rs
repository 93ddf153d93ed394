//! The command line.

mod config;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Config(config::ConfigArgs),
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    match &cli.command {
        Command::Config(args) => config::run(&cli.config, args),
    }
}
