//! `bootstrap --check FILE`: what the functions say of a configuration, before they are deployed.
//!
//! The CDK app calls it at synthesis, so that one checker decides, with one set of words.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::config::{Config, Problem};

/// The file to check, if the process was started to check one. Lambda starts it without arguments.
pub(super) fn asked(mut args: impl Iterator<Item = std::ffi::OsString>) -> Option<PathBuf> {
    (args.next()? == "--check").then(|| args.next().unwrap_or_default().into())
}

/// Everything that is wrong, and everything that is worth knowing: `{"errors": …, "warnings": …}`.
pub(super) fn report(path: &Path) -> String {
    let (errors, warnings) = match Config::load(path) {
        Ok(config) => (Vec::new(), config.warnings()),
        Err(error) => (error.problems, Vec::new()),
    };
    let lines = |of: &[Problem]| of.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({ "errors": lines(&errors), "warnings": lines(&warnings) }).to_string()
}
