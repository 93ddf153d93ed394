//! Listings that skip days by their keys: `…/2022/04/17/16/…`, as Firehose writes them, in UTC.
//!
//! A key states when the oldest record arrived. The object's delivery is [`Object::modified`], up
//! to 15 minutes of buffering and 24 hours of retries later. Prefixes may be in local time, up to
//! 14 hours off. So a key only narrows the listing, by whole days, with a margin on both sides.

use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate};
use object_store::path::Path as Key;

use crate::store::{Object, Result, Store};

const HOUR_MS: i64 = 3_600_000;
/// How long before the delivery the key's day may have ended.
const BEFORE_MS: i64 = (24 + 1 + 14) * HOUR_MS;
/// How long after the delivery the key's day may begin, if its prefix is in local time.
const AFTER_MS: i64 = 24 * HOUR_MS;
/// How many folders deep the search for years goes.
const DEPTH_MAX: usize = 4;

/// The days that keys in a listing may name.
#[derive(Debug, Clone, Copy)]
struct Days {
    first: NaiveDate,
    last: NaiveDate,
}

impl Days {
    fn of(time: &Range<i64>) -> Days {
        let day = |at: i64, otherwise| {
            DateTime::from_timestamp_millis(at).map_or(otherwise, |time| time.date_naive())
        };
        let first = day(time.start.saturating_sub(BEFORE_MS), NaiveDate::MIN);
        Days { first, last: day(time.end.saturating_add(AFTER_MS), NaiveDate::MAX) }
    }

    /// Whether these days include any day of the named year, month or day.
    fn meet(self, named: &[u32]) -> bool {
        let date = |day: NaiveDate| [day.year().max(0) as u32, day.month(), day.day()];
        let (first, last) = (date(self.first), date(self.last));
        named <= &last[..named.len()] && named >= &first[..named.len()]
    }
}

impl Store {
    /// The objects below a prefix in the byte order of their keys. A key is skipped if nothing that
    /// was delivered in this time can have arrived on its day.
    pub(super) fn list_delivered(
        &self,
        prefix: &str,
        time: Option<&Range<i64>>,
    ) -> Result<Vec<Object>> {
        let Some(time) = time else { return self.list(prefix) };
        let mut objects = Vec::new();
        self.descend(prefix, Days::of(time), &[], 0, &mut objects)?;
        objects.sort_unstable_by(|a, b| a.id.key.cmp(&b.id.key));
        Ok(objects)
    }

    /// Lists a prefix. `named` holds the year, month and day that the prefix ends in, if any.
    fn descend(
        &self,
        prefix: &str,
        days: Days,
        named: &[u32],
        depth: usize,
        objects: &mut Vec<Object>,
    ) -> Result<()> {
        if named.len() == 3 || named.is_empty() && depth > DEPTH_MAX {
            objects.extend(self.list(prefix)?);
            return Ok(());
        }
        let (here, folders) = self.list_folder(prefix)?;
        let numbers: Option<Vec<u32>> =
            folders.iter().map(|folder| number(folder, named.len())).collect();
        // A folder counts as a year only if it contains nothing but months, and so on. Any other
        // folder is searched.
        let dated = numbers.filter(|_| here.is_empty() || named.is_empty());
        objects.extend(here);
        for (at, folder) in folders.iter().enumerate() {
            let path =
                if prefix.is_empty() { folder.clone() } else { format!("{prefix}/{folder}") };
            match &dated {
                Some(numbers) => {
                    let named = [named, &[numbers[at]]].concat();
                    if days.meet(&named) || named.len() == 1 && !self.holds_months(&path)? {
                        self.descend(&path, days, &named, depth + 1, objects)?;
                    }
                }
                None if named.is_empty() => self.descend(&path, days, &[], depth + 1, objects)?,
                None => objects.extend(self.list(&path)?),
            }
        }
        Ok(())
    }

    /// Whether a folder whose name looks like a year contains only months.
    fn holds_months(&self, path: &str) -> Result<bool> {
        let (here, folders) = self.list_folder(path)?;
        Ok(here.is_empty() && folders.iter().all(|folder| number(folder, 1).is_some()))
    }

    /// The objects and the names of the folders directly below a prefix.
    pub(super) fn list_folder(&self, prefix: &str) -> Result<(Vec<Object>, Vec<String>)> {
        let name = self.prefix(prefix)?;
        let request = self.objects.list_with_delimiter(Some(&name));
        let found = self.block_on(prefix, request)?;
        self.check_folder(prefix, false)?;
        let last = |key: &Key| key.filename().map(str::to_owned);
        let folders = found.common_prefixes.iter().filter_map(last).collect();
        Ok((self.filled(found.objects), folders))
    }
}

/// The number of a folder whose name looks like a year (after no numbers), a month (after one) or a
/// day (after two).
fn number(folder: &str, after: usize) -> Option<u32> {
    let (digits, range) = [(4, 1970..=9999), (2, 1..=12), (2, 1..=31)].get(after)?.clone();
    let shaped = folder.len() == digits && folder.bytes().all(|byte| byte.is_ascii_digit());
    folder.parse().ok().filter(|number| shaped && range.contains(number))
}
