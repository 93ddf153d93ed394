//! The environment, in one table and read in one place.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::Config;

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
    meaning: "In its `.local/state/hiwake` the command line notes what `replay --queue` has sent",
};

const REGION: Variable = Variable {
    name: "AWS_REGION",
    default: "none: `{region}` is empty then",
    meaning: "The column `{region}` of events that do not say where they were logged; Lambda sets it",
};

/// Every environment variable that hiwake's own code reads, and no other. (Those of the Runtime API
/// and of AWS credentials are read by the crates that talk to them.)
pub const ENVIRONMENT: &[Variable] = &[CONFIG, ROOT, PIPELINE, LOG_LEVEL, REGION, HOME];

impl Config {
    /// Where the Lambdas' configuration is: `HIWAKE_CONFIG`, or `hiwake.toml` beside the binary.
    pub fn path_from_env() -> std::io::Result<PathBuf> {
        match value(&CONFIG) {
            Some(path) => Ok(path.into()),
            None => Ok(std::env::current_exe()?.with_file_name("hiwake.toml")),
        }
    }
}

/// What has to be set in the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// The land function's root.
    #[error("{} is not set: {}", ROOT.name, ROOT.meaning)]
    Root,
    /// The user's home.
    #[error("{} is not set. {}", HOME.name, HOME.meaning)]
    Home,
}

/// Where the land function's daily files are: `HIWAKE_ROOT`.
pub fn root_from_env() -> Result<PathBuf, EnvError> {
    value(&ROOT).map(PathBuf::from).ok_or(EnvError::Root)
}

/// `{region}` of events that do not say theirs: `AWS_REGION`.
pub(super) fn region_from_env() -> String {
    value(&REGION).and_then(|region| region.into_string().ok()).unwrap_or_default()
}

/// Where the command line notes what belongs to no root: `.local/state/hiwake` in `HOME`.
pub fn state_folder_from_env() -> Result<PathBuf, EnvError> {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let home = home.ok_or(EnvError::Home)?;
    Ok(home.join(".local/state/hiwake"))
}

impl Variable {
    /// Its text, or its default.
    pub fn text(&self) -> String {
        let text = value(self).and_then(|value| value.into_string().ok());
        text.unwrap_or_else(|| self.default.to_owned())
    }
}

/// What a variable is set to, if it is and not empty.
#[allow(clippy::disallowed_methods, reason = "the one reader of the environment")]
fn value(variable: &Variable) -> Option<OsString> {
    std::env::var_os(variable.name).filter(|value| !value.is_empty())
}
