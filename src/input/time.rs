//! Timestamps in a given format, and the years that they omit.

use std::fmt::Write as _;

use chrono::format::{Item, Parsed, StrftimeItems, parse_and_remainder};
use chrono::{DateTime, Datelike, Duration, FixedOffset, LocalResult, NaiveDateTime};
use chrono::{Offset, TimeZone, Timelike};
use chrono_tz::Tz;

/// A larger step back means that the next year has begun; a smaller one is an older line.
const HALF_A_YEAR: Duration = Duration::days(183);

/// A smaller step back is an older line among newer ones, even across New Year.
const LATE: Duration = Duration::days(31);

/// How far ahead of now a line may be in the same year: clocks and time zones differ.
const AHEAD: Duration = Duration::days(1);

/// How many years are tried for a date: two 29ths of February can be eight years apart.
const YEARS: i32 = 9;

/// Why a format is not valid for timestamps, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// strftime does not know the format.
    #[error(
        "`{0}` is not a valid timestamp format: write it as strftime does, e.g. '%b %d %H:%M:%S'"
    )]
    Unknown(String),
    /// `%f` is ambiguous: whole nanoseconds to chrono, the digits after the point to Python.
    #[error(
        "the timestamp format `{0}` has %f, which programs read differently: write %.f for a point and the digits of a second, or %3f, %6f or %9f for that many digits"
    )]
    Fraction(String),
    /// The format omits more than the year.
    #[error(
        "the timestamp format `{0}` lacks the month, day, hour or minute: write all of them, e.g. '%b %d %H:%M:%S'; only the year may be missing"
    )]
    Incomplete(String),
}

/// Why a line has no time, and the remedy.
#[derive(Debug, thiserror::Error)]
pub(super) enum StampError {
    #[error("its timestamp is not a date in the calendar: is --year right?")]
    Impossible,
    #[error(
        "its timestamp has no year, and the inferred year puts it in the future: give --year, the year of the file's first line"
    )]
    Year,
}

/// How a line's timestamp is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampFormat {
    items: Vec<Item<'static>>,
    /// Whether `Z`, `UTC` or `GMT` follows the time.
    is_utc: bool,
}

impl TimestampFormat {
    /// Parses a strftime format. Only the year may be missing.
    pub fn new(format: &str) -> Result<TimestampFormat, FormatError> {
        let unknown = || FormatError::Unknown(format.to_owned());
        let plain = format.replace("%%", "");
        if ["%f", "%-f", "%_f", "%0f"].iter().any(|fraction| plain.contains(fraction)) {
            return Err(FormatError::Fraction(format.to_owned()));
        }
        let items = StrftimeItems::new(format).parse_to_owned().map_err(|_| unknown())?;
        if items.is_empty() {
            return Err(unknown());
        }
        let is_utc = items.windows(2).any(|pair| match (&pair[0], literal(&pair[1])) {
            (Item::Numeric(..) | Item::Fixed(_), Some(text)) if text.starts_with('Z') => true,
            (_, Some(text)) => text.starts_with("UTC") || text.starts_with("GMT"),
            _ => false,
        });
        let read = TimestampFormat { items, is_utc };
        match read.reads_what_it_writes() {
            true => Ok(read),
            false => Err(FormatError::Incomplete(format.to_owned())),
        }
    }

    /// Whether a time that the format writes can be read with it, except for the year. `%#z` can be
    /// read but not written.
    fn reads_what_it_writes(&self) -> bool {
        let time = DateTime::from_timestamp(1_101_678_180, 0).unwrap_or_default();
        let mut text = String::new();
        if write!(text, "{}", time.format_with_items(self.items.iter())).is_err() {
            return true;
        }
        let mut parsed = Parsed::new();
        let read = parse_and_remainder(&mut parsed, &text, self.items.iter()).ok().and_then(|_| {
            let whole = whole(&parsed).map(|time| time.naive_utc());
            whole.or_else(|| in_year(&parsed, time.year()))
        });
        read == Some(time.naive_utc())
    }
}

fn literal<'i>(item: &'i Item<'_>) -> Option<&'i str> {
    match item {
        Item::Literal(text) => Some(text),
        Item::OwnedLiteral(text) => Some(text),
        _ => None,
    }
}

/// The time if it is complete: with an offset, or since the epoch.
fn whole(parsed: &Parsed) -> Option<DateTime<FixedOffset>> {
    parsed.to_datetime().ok()
}

/// The local time if it is complete except for the offset and perhaps the year.
fn in_year(parsed: &Parsed, year: i32) -> Option<NaiveDateTime> {
    parsed.to_naive_datetime_with_offset(0).ok().or_else(|| {
        let mut parsed = parsed.clone();
        parsed.set_year(i64::from(year)).ok()?;
        parsed.to_naive_datetime_with_offset(0).ok()
    })
}

/// Reads the times of one file's lines, in order.
///
/// Times are local to the time zone unless the format has an offset or ends in `Z`. A local time
/// that occurs twice means the first; a skipped one is read with the offset from before the gap. A
/// leap second becomes the last millisecond before it, so that it belongs to the day that it ends.
pub(super) struct TimeReader {
    format: TimestampFormat,
    timezone: Tz,
    /// The year of the next line. When time jumps back by more than half a year, the next year has
    /// begun. A line that belongs to the year before, and is less than 31 days older than the one
    /// above it, is an older line.
    year: Option<i32>,
    /// Set if the year was inferred: the latest time that a line may have.
    until: Option<i64>,
    last: Option<NaiveDateTime>,
    now: i64,
}

impl TimeReader {
    /// `year` is the year of a file's first line, for formats without one. `None`: the most recent
    /// year in which that line is not later than `now`.
    pub(super) fn new(
        format: TimestampFormat,
        year: Option<i32>,
        timezone: Tz,
        now: i64,
    ) -> TimeReader {
        let timezone = if format.is_utc { Tz::UTC } else { timezone };
        TimeReader { format, timezone, year, until: None, last: None, now }
    }

    /// Milliseconds since the epoch, and the text after the timestamp; `None` if the text does not
    /// begin with a timestamp.
    pub(super) fn of<'t>(&mut self, text: &'t str) -> Result<Option<(i64, &'t str)>, StampError> {
        let mut parsed = Parsed::new();
        let items = self.format.items.iter();
        let Ok(rest) = parse_and_remainder(&mut parsed, text, items) else { return Ok(None) };
        let time = match whole(&parsed) {
            Some(time) => {
                time.with_nanosecond(nanosecond(&time)).map(|time| time.timestamp_millis())
            }
            None => self.local(&parsed).and_then(|local| self.milliseconds(local)),
        };
        let time = time.ok_or(StampError::Impossible)?;
        match self.until {
            Some(until) if time > until => Err(StampError::Year),
            _ => Ok(Some((time, rest))),
        }
    }

    fn local(&mut self, parsed: &Parsed) -> Option<NaiveDateTime> {
        if let Ok(local) = parsed.to_naive_datetime_with_offset(0) {
            return Some(local);
        }
        let (Some(last), Some(year)) = (self.last, self.year) else {
            self.last = match self.year {
                Some(year) => in_year(parsed, year),
                None => self.infer(parsed),
            };
            return self.last;
        };
        let in_year = |years_later: i32| in_year(parsed, year.checked_add(years_later)?);
        let (before, this, next) = (in_year(-1), in_year(0), in_year(1));
        let late = before.filter(|&before| before <= last && last - before < LATE);
        let local = match (this, next) {
            (Some(this), _) if (this - last).abs() < HALF_A_YEAR => this,
            // An older line after New Year: the line after it belongs to the new year again.
            _ if late.is_some() => return late,
            (Some(this), _) if this > last => this,
            // A 29th of February may belong to the year that begins, but not to one far ahead.
            (this, Some(next)) if this.is_some() || next - last < HALF_A_YEAR => {
                self.year = Some(year.saturating_add(1));
                next
            }
            _ => return None,
        };
        self.last = Some(local);
        self.last
    }

    /// Infers the most recent year in which a file's first line is not in the future.
    fn infer(&mut self, parsed: &Parsed) -> Option<NaiveDateTime> {
        let latest = DateTime::from_timestamp_millis(self.now)?.checked_add_signed(AHEAD)?;
        let this = latest.year();
        let in_years = (this - YEARS..=this + 1).rev().filter_map(|year| in_year(parsed, year));
        let local = in_years.into_iter().find(|&local| {
            self.milliseconds(local).is_some_and(|at| at <= latest.timestamp_millis())
        })?;
        self.year = Some(local.year());
        self.until = Some(latest.timestamp_millis());
        Some(local)
    }

    fn milliseconds(&self, local: NaiveDateTime) -> Option<i64> {
        let (zone, local) = (self.timezone, local.with_nanosecond(nanosecond(&local))?);
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

/// The nanosecond of a time, limited to its second: a leap second has 10⁹ and more.
fn nanosecond(time: &impl Timelike) -> u32 {
    time.nanosecond().min(999_999_999)
}
