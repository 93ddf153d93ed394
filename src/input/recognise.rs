//! Recognises the timestamps of a file's lines: those of a given format, or the first known format
//! that matches a line of the file.
//!
//! The first line that matches decides for the whole file, so that a file that has grown is read as
//! before.

use std::borrow::Cow;

use chrono_tz::Tz;
use regex_lite::Regex;

use crate::input::time::{StampError, TimeReader, TimestampFormat};

/// Where in a line the timestamp is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the beginning.
    Start,
    /// At the beginning, perhaps after a `[`. An indented line belongs to the one above it.
    StartOrBracket,
    /// After any `[`.
    Bracket,
    /// At the beginning: 10 or 13 digits, seconds or milliseconds since the epoch.
    Epoch,
}

/// The known formats, in the order in which they are tried: a format precedes those that match only
/// its beginning.
const KNOWN: [(Place, &str); 19] = [
    // RFC 3339, ISO 8601, and loggers' variants. `%#z` reads `Z`, `+09:00`, `+0900`, `+09`.
    // Abbreviations of time zones other than UTC are ambiguous.
    (Place::StartOrBracket, "%Y-%m-%dT%H:%M:%S,%3f%#z"),
    (Place::StartOrBracket, "%Y-%m-%dT%H:%M:%S,%3f"),
    (Place::StartOrBracket, "%Y-%m-%dT%H:%M:%S%.f%#z"),
    (Place::StartOrBracket, "%Y-%m-%dT%H:%M:%S%.f"),
    (Place::StartOrBracket, "%Y-%m-%d %H:%M:%S,%3f%#z"),
    (Place::StartOrBracket, "%Y-%m-%d %H:%M:%S,%3f %z"),
    (Place::StartOrBracket, "%Y-%m-%d %H:%M:%S,%3f UTC"),
    (Place::StartOrBracket, "%Y-%m-%d %H:%M:%S,%3f"),
    (Place::StartOrBracket, "%Y-%m-%d %H:%M:%S%.f%#z"),
    (Place::StartOrBracket, "%Y-%m-%d %H:%M:%S%.f %z"),
    (Place::StartOrBracket, "%Y-%m-%d %H:%M:%S%.f UTC"),
    (Place::StartOrBracket, "%Y-%m-%d %H:%M:%S%.f GMT"),
    (Place::StartOrBracket, "%Y-%m-%d %H:%M:%S%.f"),
    // nginx's error log.
    (Place::StartOrBracket, "%Y/%m/%d %H:%M:%S%.f"),
    // syslog; network devices write the year.
    (Place::StartOrBracket, "%b %d %Y %H:%M:%S%.f"),
    (Place::StartOrBracket, "%b %d %H:%M:%S%.f"),
    // Apache's error log, and `date`.
    (Place::StartOrBracket, "%a %b %d %H:%M:%S%.f %Y"),
    // The access logs of Apache and nginx.
    (Place::Bracket, "%d/%b/%Y:%H:%M:%S %z"),
    (Place::Epoch, "%s%.f"),
];

/// How a log file's lines are timestamped.
#[derive(Debug, Clone)]
pub enum Times {
    /// All lines have this time, in milliseconds since the epoch.
    At(i64),
    /// Lines contain timestamps.
    Written {
        /// Their format; `None`: one of the known formats.
        format: Option<TimestampFormat>,
        /// The pattern that finds them: its first group, or the whole match. `None`: they are
        /// where the known format expects them; a given format's begin the line.
        pattern: Option<Regex>,
        /// The year of a file's first line, for formats without a year. `None`: the most recent
        /// year in which that line is not in the future.
        year: Option<i32>,
    },
}

/// A time as a person writes it in any of the known formats, in milliseconds since the epoch.
pub fn moment(text: &str, timezone: Tz, now: i64) -> Option<i64> {
    KNOWN.iter().find_map(|(place, format)| {
        let mut reader = TimeReader::new(TimestampFormat::new(format).ok()?, None, timezone, now);
        match (place, read(*place, &mut reader, text)) {
            (Place::StartOrBracket, Ok(Some((time, true)))) => Some(time),
            _ => None,
        }
    })
}

/// Reads the timestamps of one file's lines, in order.
pub(super) struct Stamps<'l> {
    times: &'l Times,
    timezone: Tz,
    now: i64,
    /// `None` until the format is known.
    reader: Option<(Place, TimeReader)>,
}

impl<'l> Stamps<'l> {
    pub(super) fn new(times: &'l Times, timezone: Tz, now: i64) -> Stamps<'l> {
        let reader = match times {
            Times::Written { format: Some(format), year, .. } => {
                Some((Place::Start, TimeReader::new(format.clone(), *year, timezone, now)))
            }
            _ => None,
        };
        Stamps { times, timezone, now, reader }
    }

    /// The next line's own time, in milliseconds since the epoch.
    pub(super) fn of(&mut self, line: &str) -> Result<Option<i64>, StampError> {
        let (pattern, year) = match self.times {
            Times::At(time) => return Ok(Some(*time)),
            Times::Written { pattern, year, .. } => (pattern, *year),
        };
        let text = match pattern {
            Some(pattern) => match pattern.captures(line) {
                Some(found) => found.get(1).or(found.get(0)).map_or("", |found| found.as_str()),
                None => return Ok(None),
            },
            None => line,
        };
        if let Some((place, reader)) = &mut self.reader {
            return time(read(*place, reader, text));
        }
        for (place, format) in KNOWN {
            let Ok(format) = TimestampFormat::new(format) else { continue };
            let mut reader = TimeReader::new(format, year, self.timezone, self.now);
            let read = read(place, &mut reader, text);
            if !matches!(read, Ok(None)) {
                self.reader = Some((place, reader));
                return time(read);
            }
        }
        Ok(None)
    }
}

/// A time, and whether nothing follows it.
type Read = Result<Option<(i64, bool)>, StampError>;

fn time(read: Read) -> Result<Option<i64>, StampError> {
    read.map(|read| read.map(|(time, _)| time))
}

fn read(place: Place, reader: &mut TimeReader, line: &str) -> Read {
    // If a known format does not read to the end of a time, the time may be of another format, e.g.
    // with an offset.
    let is_end = |rest: &str| {
        place == Place::Start
            || !rest.starts_with(|c: char| c.is_alphanumeric() || "+-".contains(c))
    };
    let mut of = |text: &str| {
        let read = reader.of(text)?.filter(|(_, rest)| is_end(rest));
        Ok(read.map(|(time, rest)| (time, rest.is_empty())))
    };
    let start = line.strip_prefix('[').unwrap_or(line);
    match place {
        Place::Start => of(line),
        _ if start.starts_with(char::is_whitespace) && place != Place::Bracket => Ok(None),
        Place::StartOrBracket => of(start),
        Place::Epoch => epoch(start).map_or(Ok(None), |text| of(&text)),
        Place::Bracket => {
            let mut reads = line.match_indices('[').map(|(at, _)| of(&line[at + 1..]));
            reads.find(|read| !matches!(read, Ok(None))).unwrap_or(Ok(None))
        }
    }
}

/// Seconds since the epoch with the text after them; milliseconds become a fraction.
fn epoch(text: &str) -> Option<Cow<'_, str>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (seconds, rest) = text.split_at(digits.min(10));
    if seconds.starts_with('0') || text[digits..].starts_with(|c: char| c.is_alphanumeric()) {
        return None;
    }
    match digits {
        10 => Some(Cow::Borrowed(text)),
        13 => Some(Cow::Owned(format!("{seconds}.{rest}"))),
        _ => None,
    }
}
