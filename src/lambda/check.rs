//! `bootstrap --check FILE`: what the functions would report about a configuration.
//!
//! The CDK app calls it at synthesis, before anything is deployed, so that one checker decides.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::config::{Config, Problem};

/// The file to check, if the process was started with `--check`. Lambda passes no arguments.
pub(super) fn asked(mut args: impl Iterator<Item = std::ffi::OsString>) -> Option<PathBuf> {
    (args.next()? == "--check").then(|| args.next().unwrap_or_default().into())
}

/// All errors and warnings: `{"errors": …, "warnings": …}`.
pub(super) fn report(path: &Path) -> String {
    let (errors, warnings) = match Config::load(path) {
        Ok(config) => (Vec::new(), config.warnings()),
        Err(error) => (error.problems, Vec::new()),
    };
    let lines = |of: &[Problem]| of.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({ "errors": lines(&errors), "warnings": lines(&warnings) }).to_string()
}
