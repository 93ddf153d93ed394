//! What of objects is landed: all that Firehose delivers for the first time, or a part of what is
//! replayed.

use crate::config::Glob;
use crate::row::{Day, Row};

/// Which rows of objects are landed.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Plain text too. Read from a backup it has another identity than what transform gave it.
    pub plain: bool,
    /// Only rows of this day.
    pub day: Option<Day>,
    /// Only rows of log groups that match.
    pub log_group: Option<Glob>,
}

/// Why a row is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exclusion {
    /// It is of another day.
    OtherDay,
    /// It is of another log group, or plain text, which is of none.
    OtherLogGroup,
}

impl Selection {
    /// Everything, as it is delivered for the first time.
    pub fn all() -> Selection {
        Selection { plain: true, ..Selection::default() }
    }

    /// Why a row is left out, if it is.
    pub(crate) fn exclusion(&self, row: &Row<'_>) -> Option<Exclusion> {
        if self.day.is_some_and(|day| day != row.day) {
            return Some(Exclusion::OtherDay);
        }
        let glob = self.log_group.as_ref()?;
        let group = row.stream.log_group();
        (!group.is_some_and(|group| glob.matches(group))).then_some(Exclusion::OtherLogGroup)
    }
}
