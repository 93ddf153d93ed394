//! The environment variables: one table, and the only code that reads them.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::Config;

/// An environment variable that hiwake reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What applies when it is unset or empty.
    pub default: &'static str,
    /// What it means, and for which program.
    pub meaning: &'static str,
}

const CONFIG: Variable = Variable {
    name: "HIWAKE_CONFIG",
    default: "hiwake.toml: beside the Lambda's binary, or in the command line's folder",
    meaning: "The configuration file; on the command line --config overrides it",
};

const ROOT: Variable = Variable {
    name: "HIWAKE_ROOT",
    default: "none: the land function does not start without it",
    meaning: "The folder of the daily files, e.g. /mnt/efs/hiwake; on the command line --root overrides it",
};

/// The pipeline's name in metrics.
pub const PIPELINE: Variable = Variable {
    name: "HIWAKE_PIPELINE",
    default: "hiwake",
    meaning: "The Lambdas' name for this pipeline: the only dimension of their metrics",
};

/// How much is logged.
pub const LOG_LEVEL: Variable = Variable {
    name: "AWS_LAMBDA_LOG_LEVEL",
    default: "INFO",
    meaning: "How much the Lambdas log: ERROR, WARN, INFO, DEBUG; Lambda sets it from its logging configuration",
};

const HOME: Variable = Variable {
    name: "HOME",
    default: "the user's home in the system's list of users",
    meaning: "The command line records in its `.local/state/hiwake` what `replay --queue` has sent",
};

const REGION: Variable = Variable {
    name: "AWS_REGION",
    default: "none: `{region}` is then empty",
    meaning: "The column `{region}` of events that do not name their region; Lambda sets it",
};

/// Every environment variable that hiwake's own code reads. (Other crates read those of the Runtime
/// API and of AWS credentials.)
pub const ENVIRONMENT: &[Variable] = &[CONFIG, ROOT, PIPELINE, LOG_LEVEL, REGION, HOME];

impl Config {
    /// The path of the Lambdas' configuration: `HIWAKE_CONFIG`, or `hiwake.toml` beside the binary.
    pub fn path_from_env() -> std::io::Result<PathBuf> {
        match value(&CONFIG) {
            Some(path) => Ok(path.into()),
            None => Ok(std::env::current_exe()?.with_file_name("hiwake.toml")),
        }
    }
}

/// A required environment variable is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// The land function's root.
    #[error("{} is not set: {}", ROOT.name, ROOT.meaning)]
    Root,
    /// The user's home.
    #[error("{} is not set. {}", HOME.name, HOME.meaning)]
    Home,
}

/// The root of the land function: `HIWAKE_ROOT`.
pub fn root_from_env() -> Result<PathBuf, EnvError> {
    value(&ROOT).map(PathBuf::from).ok_or(EnvError::Root)
}

/// `{region}` of events that do not name their region: `AWS_REGION`.
pub(super) fn region_from_env() -> String {
    value(&REGION).and_then(|region| region.into_string().ok()).unwrap_or_default()
}

/// The folder for notes that belong to no root: `.local/state/hiwake` in `HOME`.
pub fn state_folder_from_env() -> Result<PathBuf, EnvError> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let home = home.ok_or(EnvError::Home)?;
    Ok(home.join(".local/state/hiwake"))
}

impl Variable {
    /// Its value, or its default.
    pub fn text(&self) -> String {
        let text = value(self).and_then(|value| value.into_string().ok());
        text.unwrap_or_else(|| self.default.to_owned())
    }
}

/// The value of a variable, if it is set and not empty.
#[allow(clippy::disallowed_methods, reason = "the one reader of the environment")]
fn value(variable: &Variable) -> Option<OsString> {
    std::env::var_os(variable.name).filter(|value| !value.is_empty())
}
