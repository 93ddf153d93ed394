//! One integration binary.

mod config;
#[cfg(feature = "cli")]
mod config_cli;
mod file_name;
mod globs;
