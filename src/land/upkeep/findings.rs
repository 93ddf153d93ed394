//! The findings of a verification, and whether each is a fault.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::land::root::error::LandError;
use crate::land::root::folders::Below;
use crate::land::root::layout::{DUE, DayFile, Delivered, folder_of, name_of};
use crate::land::upkeep::report::REPORT;

/// Something unexpected in a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The path, relative to the root.
    pub path: String,
    /// What was found.
    pub what: String,
    /// `false`: harmless, e.g. the remains of a crash, which the next commit or seal removes.
    pub wrong: bool,
}

/// The result of a verification.
#[derive(Debug, Default, Serialize)]
pub struct Verified {
    /// Day files that were checked.
    pub day_files: u64,
    /// Commits whose lines and identities were checked.
    pub commits: u64,
    /// Lines, in all segments.
    pub lines: u64,
    /// Bytes of data files that were read.
    pub bytes: u64,
    /// The findings, in the order of the day files.
    pub findings: Vec<Finding>,
    /// The day files with faults.
    #[serde(skip)]
    pub damaged: Vec<DayFile>,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.findings.iter().all(|finding| !finding.wrong)
    }

    pub(super) fn note(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.findings.push(Finding { path: path.into(), what: what.into(), wrong: false });
    }

    pub(super) fn wrong(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.findings.push(Finding { path: path.into(), what: what.into(), wrong: true });
    }

    /// Finds the day files that files belong to, by folder and name, and notes the others.
    pub(super) fn sort(
        &mut self,
        Below { files, unread, .. }: Below,
        ours: bool,
        of: impl Fn(&str, &str) -> Option<DayFile>,
    ) -> BTreeSet<DayFile> {
        self.unread(unread, ours);
        let mut day_files = BTreeSet::new();
        for path in files {
            let name = name_of(&path);
            match of(folder_of(&path), name) {
                Some(day_file) => drop(day_files.insert(day_file)),
                None if path == REPORT || Delivered::of_path(&path).is_some() => {}
                None if !ours && name.starts_with('.') && name.ends_with(".tmp") => {
                    self.note(path, "a temporary file of a running seal, or left by a crash");
                }
                None => self.note(path, "not a file of hiwake"),
            }
        }
        day_files
    }

    /// Adds folders that cannot be read. If hiwake's own, it is an error, because its content is
    /// unknown; others are only noted.
    pub(super) fn unread(&mut self, unread: Vec<LandError>, ours: bool) {
        for error in unread {
            let (path, what) = match error {
                LandError::Io { verb, path, source } => (path, format!("cannot {verb}: {source}")),
                error => (DUE.to_owned(), error.to_string()),
            };
            self.findings.push(Finding { path, what, wrong: ours });
        }
    }
}
