//! Timestamps at the beginning of a log file's lines.

use chrono::format::{Item, Parsed, StrftimeItems, parse_and_remainder};
use chrono::{Duration, LocalResult, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// More than this backwards is the next year, not an older line.
const HALF_A_YEAR: Duration = Duration::days(183);

/// No more than this backwards is an older line among new ones, also across New Year.
const LATE: Duration = Duration::days(31);

/// Why a format cannot be that of timestamps, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// strftime does not know it.
    #[error(
        "`{0}` is not a valid timestamp format: write it as strftime does, e.g. '%b %d %H:%M:%S'"
    )]
    Unknown(String),
    /// chrono takes `%f` for whole nanoseconds, Python for the digits after the point.
    #[error(
        "the timestamp format `{0}` has %f, whose digits mean different things to different programs: write %.f for a point and the digits of a second, or %3f, %6f or %9f for so many digits"
    )]
    Fraction(String),
    /// No year is in it, and none is given.
    #[error("the timestamp format `{0}` has no year: give --year")]
    NoYear(String),
}

/// Why a line has no time, and what helps.
#[derive(Debug, thiserror::Error)]
pub(super) enum StampError {
    #[error("its timestamp is not a date of the calendar: is --year right?")]
    Impossible,
    #[error(
        "begins with no timestamp, and no line before it has one: is --timestamp-format right?"
    )]
    Missing,
}

/// How a line's timestamp is written, and what it leaves unsaid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampFormat {
    items: Vec<Item<'static>>,
    year: Option<i32>,
    pub(super) timezone: Tz,
}

impl TimestampFormat {
    /// A strftime format. `year` is that of a file's first line, for formats without one: when time
    /// then jumps back by more than half a year, the next year has begun; a line that would be the
    /// year before and less than 31 days older than the one above it is an older line.
    ///
    /// Times are local to `timezone` unless the format has an offset. Of a local time that comes
    /// twice the first is meant; one that is skipped is read with the offset from before the gap.
    pub fn new(
        format: &str,
        year: Option<i32>,
        timezone: Tz,
    ) -> Result<TimestampFormat, FormatError> {
        let unknown = || FormatError::Unknown(format.to_owned());
        let plain = format.replace("%%", "");
        if ["%f", "%-f", "%_f", "%0f"].iter().any(|fraction| plain.contains(fraction)) {
            return Err(FormatError::Fraction(format.to_owned()));
        }
        let items = StrftimeItems::new(format).parse_to_owned().map_err(|_| unknown())?;
        if items.is_empty() {
            return Err(unknown());
        }
        // A format that can write a year can read it.
        let written = |year: i32| {
            let time = chrono::NaiveDate::from_ymd_opt(year, 1, 1)?.and_hms_opt(0, 0, 0)?.and_utc();
            Some(time.format_with_items(items.iter()).to_string())
        };
        if year.is_none() && written(2001) == written(2002) {
            return Err(FormatError::NoYear(format.to_owned()));
        }
        Ok(TimestampFormat { items, year, timezone })
    }

    /// For one file.
    pub(super) fn times(&self) -> Times<'_> {
        Times { format: self, year: self.year, last: None }
    }
}

/// Reads the times of one file's lines, in order.
pub(super) struct Times<'f> {
    format: &'f TimestampFormat,
    year: Option<i32>,
    last: Option<NaiveDateTime>,
}

impl Times<'_> {
    /// Milliseconds since the epoch; `None`: the line does not begin with a timestamp, so it
    /// belongs to the one before.
    pub(super) fn of(&mut self, line: &str) -> Result<Option<i64>, StampError> {
        let mut parsed = Parsed::new();
        if parse_and_remainder(&mut parsed, line, self.format.items.iter()).is_err() {
            return Ok(None);
        }
        let time = parsed.to_datetime().ok().map(|time| time.timestamp_millis());
        time.or_else(|| self.local(&parsed)).map(Some).ok_or(StampError::Impossible)
    }

    fn local(&mut self, parsed: &Parsed) -> Option<i64> {
        if let Ok(local) = parsed.to_naive_datetime_with_offset(0) {
            return self.milliseconds(local);
        }
        let year = self.year?;
        let in_year = |years_later: i64| {
            let mut parsed = parsed.clone();
            parsed.set_year(i64::from(year) + years_later).ok()?;
            parsed.to_naive_datetime_with_offset(0).ok()
        };
        let (before, this, next) = (in_year(-1), in_year(0), in_year(1));
        let Some(last) = self.last else {
            self.last = this;
            return self.milliseconds(this?);
        };
        let late = before.filter(|&before| before <= last && last - before < LATE);
        let local = match (this, next) {
            (Some(this), _) if (this - last).abs() < HALF_A_YEAR => this,
            // An old line after the year has begun: the next is of the new one again.
            _ if late.is_some() => return self.milliseconds(late?),
            (Some(this), _) if this > last => this,
            // A 29th of February may be of the year that begins, but not of one far ahead.
            (this, Some(next)) if this.is_some() || next - last < HALF_A_YEAR => {
                self.year = Some(year.saturating_add(1));
                next
            }
            _ => return None,
        };
        self.last = Some(local);
        self.milliseconds(local)
    }

    fn milliseconds(&self, local: NaiveDateTime) -> Option<i64> {
        let zone = self.format.timezone;
        let time = match zone.from_local_datetime(&local) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time.to_utc(),
            LocalResult::None => {
                let before = local.checked_sub_signed(Duration::days(1))?;
                let before = zone.offset_from_local_datetime(&before).earliest()?;
                let offset = Duration::seconds(before.fix().local_minus_utc().into());
                local.checked_sub_signed(offset)?.and_utc()
            }
        };
        Some(time.timestamp_millis())
    }
}
