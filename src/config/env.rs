//! The environment, in one table and read in one place.

use std::path::PathBuf;

use serde::Serialize;

use super::Config;

/// An environment variable that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds when it is not set or empty.
    pub default: &'static str,
    /// What it says, and to whom.
    pub meaning: &'static str,
}

const CONFIG: Variable = Variable {
    name: "HIWAKE_CONFIG",
    default: "hiwake.toml beside the binary",
    meaning: "The Lambdas' configuration file; the command line has --config instead",
};

/// Every environment variable that hiwake's own code reads, and no other.
pub const ENVIRONMENT: &[Variable] = &[CONFIG];

impl Config {
    /// Where the Lambdas' configuration is: `HIWAKE_CONFIG`, or `hiwake.toml` beside the binary.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads it")]
    pub fn path_from_env() -> std::io::Result<PathBuf> {
        match std::env::var_os(CONFIG.name) {
            Some(path) if !path.is_empty() => Ok(path.into()),
            _ => Ok(std::env::current_exe()?.with_file_name("hiwake.toml")),
        }
    }
}
