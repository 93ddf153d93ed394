//! The result of a landing: counts, and the objects to retry.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::store::StoreError;

/// The counts of a landing. Always rows + unreadable = lines + duplicates + quarantined + deferred.
/// If all objects were landed, `deferred` is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Objects that were landed completely.
    pub objects: u64,
    /// Rows that were read, or derived from records.
    pub rows: u64,
    /// Records and pieces of objects that gave no row because they are unreadable.
    pub unreadable: u64,
    /// Records that correctly gave no rows.
    pub dropped: u64,
    /// Events that were left out by their source's `drop` and `keep`.
    pub filtered: u64,
    /// Lines of plain text that were left out; see [`Selection::plain`](super::Selection::plain).
    pub plain_left_out: u64,
    /// Rows that were left out because their day is not the selected one.
    pub other_day: u64,
    /// Rows that were left out because their log group is not selected.
    pub other_log_group: u64,
    /// Rows that became new lines.
    pub lines: u64,
    /// Of `lines`, those in late segments.
    pub late: u64,
    /// Rows that had already landed, in their day file or in another one.
    pub duplicates: u64,
    /// Rows and unreadable parts that were put into quarantine.
    pub quarantined: u64,
    /// Rows and unreadable parts that could neither be landed nor put into quarantine: they are
    /// retried with their objects.
    pub deferred: u64,
    /// Commit frames that were written.
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

/// Why an object was not landed and must be retried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotLanded {
    /// The kind of failure: the first one, if there were several.
    pub(crate) cause: Cause,
    /// The reason as a message, which names the object or the day file.
    pub reason: String,
}

/// The kind of failure that kept an object from landing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The object does not exist, or no longer.
    Missing,
    /// The store denies access to it.
    Denied,
    /// Its key cannot be requested from the store.
    Name,
    /// The time ran out.
    Time,
    /// The network, the file system, a busy lock or a damaged day file.
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

/// The answer of a landing.
#[derive(Debug, Default)]
#[must_use]
pub struct Landed {
    /// For each object, in order: landed, or why it must be retried.
    pub objects: Vec<Result<(), NotLanded>>,
    /// The counts.
    pub tally: Tally,
    /// The numbers of the objects from which something was put into quarantine.
    pub quarantined: BTreeSet<usize>,
    /// The number of refused rows and events, by code.
    pub(crate) refused: BTreeMap<String, u64>,
    /// The first distinct reasons for quarantine, each with its object.
    pub reasons: Vec<String>,
}

impl Landed {
    /// Counts a refused row or event.
    pub(crate) fn refuse(&mut self, code: &str) {
        *self.refused.entry(code.to_owned()).or_default() += 1;
    }
}
