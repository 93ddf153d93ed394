//! Selects the rows of objects that are landed: all for a first delivery, a part of them for a
//! replay.

use crate::config::Glob;
use crate::row::{Day, Row};

/// The rows of objects that are landed.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Whether plain text is landed, too. Its identity in a backup differs from the one that
    /// transform gave it.
    pub plain: bool,
    /// Only rows of this day.
    pub day: Option<Day>,
    /// Only rows of log groups that match.
    pub log_group: Option<Glob>,
}

/// Why a row is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exclusion {
    /// Its day is not the selected one.
    OtherDay,
    /// Its log group is not selected, or it is plain text, which has none.
    OtherLogGroup,
}

impl Selection {
    /// Everything, as for a first delivery.
    pub fn all() -> Selection {
        Selection { plain: true, ..Selection::default() }
    }

    /// Why a row is left out; `None` if it is landed.
    pub(crate) fn exclusion(&self, row: &Row<'_>) -> Option<Exclusion> {
        if self.day.is_some_and(|day| day != row.day) {
            return Some(Exclusion::OtherDay);
        }
        let glob = self.log_group.as_ref()?;
        let group = row.stream.log_group();
        (!group.is_some_and(|group| glob.matches(group))).then_some(Exclusion::OtherLogGroup)
    }
}
