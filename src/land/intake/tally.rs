//! What a landing comes to: counts, and what has to be retried.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::store::StoreError;

/// What a landing came to. Always rows + unreadable = lines + duplicates + quarantined + deferred,
/// and nothing is deferred where all objects were landed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Objects that were landed whole.
    pub objects: u64,
    /// Rows that were read or made of what was read.
    pub rows: u64,
    /// Records and pieces of objects that no row could be made of.
    pub unreadable: u64,
    /// Records that rightly gave no rows.
    pub dropped: u64,
    /// Events that their source's `drop` and `keep` leave out.
    pub filtered: u64,
    /// Lines of plain text that were left out; see [`Selection::plain`](super::Selection::plain).
    pub plain_left_out: u64,
    /// Rows that were left out because they are of another day than the chosen one.
    pub other_day: u64,
    /// Rows that were left out because they are of another log group than the chosen ones.
    pub other_log_group: u64,
    /// Rows that are new lines.
    pub lines: u64,
    /// Of these, lines in late segments.
    pub late: u64,
    /// Rows that had landed before, in their day file or in another one.
    pub duplicates: u64,
    /// Rows and unreadable things that were put into quarantine.
    pub quarantined: u64,
    /// Rows and unreadable things that could neither be landed nor put into quarantine: they are
    /// retried with their objects.
    pub deferred: u64,
    /// Commit frames written.
    pub commits: u64,
    /// How often a lock was busy.
    pub(crate) busy_retries: u64,
}

impl Tally {
    /// Adds the counts of another landing.
    pub fn add(&mut self, other: &Tally) {
        self.objects += other.objects;
        self.rows += other.rows;
        self.unreadable += other.unreadable;
        self.dropped += other.dropped;
        self.filtered += other.filtered;
        self.plain_left_out += other.plain_left_out;
        self.other_day += other.other_day;
        self.other_log_group += other.other_log_group;
        self.lines += other.lines;
        self.late += other.late;
        self.duplicates += other.duplicates;
        self.quarantined += other.quarantined;
        self.deferred += other.deferred;
        self.commits += other.commits;
        self.busy_retries += other.busy_retries;
    }
}

/// Why an object was not landed and has to be retried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotLanded {
    /// What kept it from landing: the first thing, if several did.
    pub(crate) cause: Cause,
    /// In words; names the object or the day file.
    pub reason: String,
}

/// What kept an object from landing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It does not exist (any more).
    Missing,
    /// The store refuses to hand it out.
    Denied,
    /// Its key cannot be asked for.
    Name,
    /// The time was up.
    Time,
    /// The network, the file system, a lock that is busy, a damaged day file.
    Other,
}

impl From<&StoreError> for Cause {
    fn from(error: &StoreError) -> Cause {
        match error {
            StoreError::NotFound(_) => Cause::Missing,
            StoreError::Denied { .. } => Cause::Denied,
            StoreError::Name { .. } => Cause::Name,
            StoreError::Deadline(_) => Cause::Time,
            StoreError::Changed(_) | StoreError::Other { .. } => Cause::Other,
        }
    }
}

/// What a landing answers.
#[derive(Debug, Default)]
#[must_use]
pub struct Landed {
    /// For each object, in order: landed, or why it has to be retried.
    pub objects: Vec<Result<(), NotLanded>>,
    /// The counts.
    pub tally: Tally,
    /// The numbers of the objects that something was put into quarantine of.
    pub quarantined: BTreeSet<usize>,
    /// How many rows and events were refused, by code.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Why: the first different reasons, each with its object.
    pub reasons: Vec<String>,
}

impl Landed {
    /// Counts a row or an event that is refused.
    pub(crate) fn refuse(&mut self, code: &str) {
        *self.refused.entry(code.to_owned()).or_default() += 1;
    }
}
