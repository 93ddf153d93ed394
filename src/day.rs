//! The day and the local time of an event's own timestamp. Pure: no clock is read.
//!
//! [`Calendar`] keeps the offset that it was last asked about and how long it holds, and the
//! text of the hour with its minute and second digits patched: events come in order of time, and
//! looking up the zone and formatting for each of them costs more than all other work on a line.

use std::fmt::Write;
use std::ops::Range;

use chrono::format::{DelayedFormat, Fixed, Item, Numeric, Pad, StrftimeItems};
use chrono::{DateTime, Days, NaiveDate};
use chrono_tz::Tz;

use crate::row::Day;
use crate::zone::{Zone, ZoneOffset};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// A day of UTC, in milliseconds.
pub(crate) const DAY_MS: i64 = 24 * HOUR;
/// The last millisecond of the year 9999 in UTC.
const LAST: i64 = 253_402_300_799_999;

/// A timestamp that no event can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timestamp {0} is impossible: expected milliseconds since 1970, up to the year 9999")]
pub struct TimestampError(pub i64);

/// Days and local times in one zone and one format.
pub struct Calendar {
    zone: Zone,
    /// The last offset, and from when to when it holds.
    offset: (ZoneOffset, Range<i64>),
    /// The last day given out, by its number since the epoch.
    day: Option<(i64, Day)>,
    text: TimeText,
}

impl Calendar {
    /// For one zone and one strftime pattern. The caller has checked the pattern; one that chrono
    /// cannot format by stands for itself.
    pub fn new(tz: Tz, time_format: &str) -> Calendar {
        let zone = Zone::new(tz);
        Calendar { zone, offset: offset(zone, 0), day: None, text: TimeText::new(time_format) }
    }

    /// The local calendar date of a timestamp in milliseconds since the epoch.
    pub fn day(&mut self, timestamp: i64) -> Result<Day, TimestampError> {
        let (offset, _) = self.offset(timestamp)?;
        let number = (timestamp + milliseconds(offset)).div_euclid(DAY_MS);
        if let Some((known, day)) = self.day
            && known == number
        {
            return Ok(day);
        }
        let date = i32::try_from(number).ok().and_then(NaiveDate::from_epoch_days);
        let day = date.and_then(Day::new).ok_or(TimestampError(timestamp))?;
        self.day = Some((number, day));
        Ok(day)
    }

    /// A time at which the last day given out was given out, from when to when it lasts around it.
    pub(crate) fn day_span(&self) -> Range<i64> {
        let (number, _) = self.day.unwrap_or_default();
        let start = number * DAY_MS - milliseconds(self.offset.0);
        start.max(self.offset.1.start)..(start + DAY_MS).min(self.offset.1.end)
    }

    /// The local time of a timestamp as the pattern says.
    pub fn time(&mut self, timestamp: i64) -> Result<&str, TimestampError> {
        self.day(timestamp)?;
        let (offset, since) = self.offset(timestamp)?;
        let local = timestamp + milliseconds(offset);
        Ok(self.text.at((since, local.div_euclid(HOUR)), timestamp, local, offset))
    }

    /// The offset at a timestamp, and since when it holds.
    fn offset(&mut self, timestamp: i64) -> Result<(ZoneOffset, i64), TimestampError> {
        if !(0..=LAST).contains(&timestamp) {
            return Err(TimestampError(timestamp));
        }
        if !self.offset.1.contains(&timestamp) {
            self.offset = offset(self.zone, timestamp);
        }
        Ok((self.offset.0, self.offset.1.start))
    }
}

/// The date in UTC of a moment in milliseconds since the epoch; 1970-01-01 if its year is
/// beyond the calendar.
pub(crate) fn utc_day(at: i64) -> Day {
    let date = DateTime::from_timestamp_millis(at).and_then(|time| Day::new(time.date_naive()));
    date.unwrap_or_default()
}

/// [`Zone::at`] in milliseconds.
fn offset(zone: Zone, timestamp: i64) -> (ZoneOffset, Range<i64>) {
    let (offset, holds) = zone.at(timestamp.div_euclid(SECOND));
    (offset, holds.start.saturating_mul(SECOND)..holds.end.saturating_mul(SECOND))
}

fn milliseconds(offset: ZoneOffset) -> i64 {
    i64::from(offset.seconds) * SECOND
}

/// The text of a time, made again only when what it depends on has changed.
struct TimeText {
    pieces: Vec<(Item<'static>, Piece)>,
    /// What the whole text depends on when its digits cannot be patched: seconds or milliseconds.
    grain: Option<i64>,
    text: String,
    patches: Vec<(usize, Piece)>,
    /// Its key, or its grain.
    made_for: Option<(i64, i64)>,
}

/// How a part of the text changes within an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Still,
    Minute(Pad),
    Second(Pad),
    /// A fraction of a second whose milliseconds stand after so many bytes.
    Fraction(usize),
    /// Changes each second, in a way that cannot be patched.
    EverySecond,
    /// The same, each millisecond.
    EveryMillisecond,
}

impl TimeText {
    fn new(format: &str) -> TimeText {
        let items = items(format).unwrap_or_else(|| vec![Item::OwnedLiteral(format.into())]);
        let pieces: Vec<_> = items.into_iter().map(|item| (item.clone(), piece(&item))).collect();
        let has = |wanted| pieces.iter().any(|&(_, piece)| piece == wanted);
        let fraction = pieces.iter().any(|(_, piece)| matches!(piece, Piece::Fraction(_)));
        let grain = match (has(Piece::EveryMillisecond), has(Piece::EverySecond)) {
            (true, _) => Some(1),
            (false, true) if fraction => Some(1),
            (false, true) => Some(SECOND),
            (false, false) => None,
        };
        TimeText { pieces, grain, text: String::new(), patches: Vec::new(), made_for: None }
    }

    /// `key` is since when the offset holds and the local hour: for one key only the patches
    /// change.
    fn at(&mut self, key: (i64, i64), timestamp: i64, local: i64, offset: ZoneOffset) -> &str {
        let key = self.grain.map_or(key, |grain| (timestamp.div_euclid(grain), 0));
        if self.made_for != Some(key) {
            self.make(local, offset);
            self.made_for = Some(key);
        } else if self.grain.is_none() {
            self.patch(local);
        }
        &self.text
    }

    fn make(&mut self, local: i64, offset: ZoneOffset) {
        // No leap seconds, and a moment of this calendar: the day is known already.
        let time = DateTime::from_timestamp_millis(local).unwrap_or_default();
        let (date, time) = (Some(time.date_naive()), Some(time.time()));
        self.text.clear();
        self.patches.clear();
        for (item, piece) in &self.pieces {
            if *piece != Piece::Still {
                self.patches.push((self.text.len(), *piece));
            }
            // Cannot fail: a String takes everything, and the pattern was tried.
            let items = std::iter::once(item);
            write!(self.text, "{}", DelayedFormat::new_with_offset(date, time, &offset, items))
                .expect("a checked pattern formats every time");
        }
    }

    /// All patches have the width of what they replace.
    fn patch(&mut self, local: i64) {
        let in_hour = local.rem_euclid(HOUR);
        let mut text = std::mem::take(&mut self.text).into_bytes();
        for (at, piece) in &self.patches {
            let (at, value, width, fill) = match *piece {
                Piece::Minute(pad) => (*at, in_hour / MINUTE, 2, fill(pad)),
                Piece::Second(pad) => (*at, in_hour % MINUTE / SECOND, 2, fill(pad)),
                Piece::Fraction(skip) => (at + skip, in_hour % SECOND, 3, b'0'),
                Piece::Still | Piece::EverySecond | Piece::EveryMillisecond => continue,
            };
            let mut patch = [value / 100, value / 10 % 10, value % 10].map(|d| b'0' + d as u8);
            if width == 2 && patch[1] == b'0' {
                patch[1] = fill;
            }
            text[at..at + width].copy_from_slice(&patch[3 - width..]);
        }
        self.text = String::from_utf8(text).expect("a digit or a space for a digit or a space");
    }
}

/// The items of a pattern; `None` if chrono cannot format by it (`%#z` is for parsing only).
fn items(format: &str) -> Option<Vec<Item<'static>>> {
    let items = StrftimeItems::new(format).parse_to_owned().ok()?;
    let mut text = String::new();
    write!(text, "{}", DateTime::UNIX_EPOCH.format_with_items(items.iter())).ok()?;
    Some(items)
}

fn fill(pad: Pad) -> u8 {
    if pad == Pad::Space { b' ' } else { b'0' }
}

/// What an item depends on within an hour. What is not known to be still counts as changing.
fn piece(item: &Item<'_>) -> Piece {
    use Fixed::{Nanosecond3, Nanosecond6, Nanosecond9};
    match item {
        Item::Numeric(Numeric::Minute, Pad::None) => Piece::EverySecond,
        Item::Numeric(Numeric::Minute, pad) => Piece::Minute(*pad),
        Item::Numeric(Numeric::Second, Pad::None) => Piece::EverySecond,
        Item::Numeric(Numeric::Second, pad) => Piece::Second(*pad),
        Item::Numeric(Numeric::Timestamp, _) => Piece::EverySecond,
        Item::Numeric(Numeric::Nanosecond, Pad::Zero) => Piece::Fraction(0),
        Item::Fixed(Nanosecond3 | Nanosecond6 | Nanosecond9) => Piece::Fraction(1),
        Item::Literal(_) | Item::OwnedLiteral(_) | Item::Space(_) | Item::OwnedSpace(_) => {
            Piece::Still
        }
        Item::Numeric(numeric, _) if still_number(numeric) => Piece::Still,
        Item::Fixed(fixed) if still_text(fixed) => Piece::Still,
        _ => Piece::EveryMillisecond,
    }
}

fn still_number(numeric: &Numeric) -> bool {
    use Numeric::*;
    matches!(numeric, Year | YearDiv100 | YearMod100 | IsoYear | IsoYearDiv100 | IsoYearMod100)
        || matches!(numeric, Quarter | Month | Day | Ordinal | Hour | Hour12)
        || matches!(numeric, WeekFromSun | WeekFromMon | IsoWeek | NumDaysFromSun | WeekdayFromMon)
}

fn still_text(fixed: &Fixed) -> bool {
    use Fixed::*;
    matches!(fixed, ShortMonthName | LongMonthName | ShortWeekdayName | LongWeekdayName)
        || matches!(fixed, LowerAmPm | UpperAmPm | TimezoneName | TimezoneOffset)
        || matches!(fixed, TimezoneOffsetColon | TimezoneOffsetDoubleColon)
        || matches!(fixed, TimezoneOffsetTripleColon | TimezoneOffsetColonZ | TimezoneOffsetZ)
}

/// When a local day has ended for good: from this moment (milliseconds since the epoch) on, every
/// local date is a later one, and the moment before belongs to `day` or an earlier date.
///
/// Where clocks go back over midnight, the day ends when they reach it for the last time. A day
/// that a zone skipped (Pacific/Apia has no 2011-12-30) ends where the day before it did.
pub fn day_end(tz: Tz, day: Day) -> i64 {
    let zone = Zone::new(tz);
    let midnight = i64::from((day.date() + Days::new(1)).to_epoch_days()) * DAY_MS;
    // Times of one offset, the latest first: within them, local time only goes forward.
    let mut end = midnight + WINDOW;
    loop {
        let (offset, holds) = offset(zone, end - 1);
        let over = midnight - milliseconds(offset);
        if holds.start < over {
            return end.min(over);
        }
        end = holds.start;
    }
}

/// No zone was ever further from UTC.
const WINDOW: i64 = 17 * HOUR;
