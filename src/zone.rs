//! When the offsets of time zones change: chrono-tz's tables, packed.
//!
//! chrono-tz spends 32 bytes on a change, half of them a pointer and a length: 1.1 MB of a Lambda's
//! package, and 31,000 addresses for the dynamic linker to write before `main`, a third of its
//! start. Here a change is four bytes without addresses. `zones.bin` is made from chrono-tz, from
//! 1970 on, by a test of `tests/it/zone.rs`, which also compares the two: 146 KB.

use std::fmt;
use std::ops::Range;

use chrono::{FixedOffset, Offset};
use chrono_tz::Tz;

/// Little-endian. Zones: how many (u16), for each its name (length u8, text) and the number of its
/// rules (u16). Then the rules, some for several zones: how many kinds of offset (u8), for each
/// seconds east of UTC (i32) and abbreviation ([`NAME_BYTES`], filled up with NUL); how many
/// changes (u16), for each a u32: the moment in units of [`UNIT`] since 1970 in the upper 28 bits,
/// the kind from then on in the lower 4. The first is at 0.
static TABLE: &[u8] = include_bytes!("zones.bin");

/// All changes since 1970 are multiples of it.
const UNIT: i64 = 30;
const NAME_BYTES: usize = 8;
const KIND_BYTES: usize = 4 + NAME_BYTES;
const CHANGE_BYTES: usize = 4;

/// The offsets of one zone from 1970 on.
#[derive(Clone, Copy)]
pub struct Zone {
    kinds: &'static [u8],
    changes: &'static [u8],
}

/// An offset from UTC, and what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneOffset {
    /// East of UTC.
    pub(crate) seconds: i32,
    name: [u8; NAME_BYTES],
}

impl Zone {
    /// That of chrono-tz. The table has all of them: it is tested.
    pub fn new(tz: Tz) -> Zone {
        let mut table = Table(TABLE);
        let mut rules = None;
        for _ in 0..table.u16() {
            let bytes = table.u8();
            let (name, number) = (table.take(bytes), table.u16());
            if name == tz.name().as_bytes() {
                rules = Some(number);
            }
        }
        let rules = rules.expect("every zone of chrono-tz is in zones.bin");
        for _ in 0..rules {
            table.rules();
        }
        table.rules()
    }

    /// At a moment, in seconds since the epoch, and from when to when it holds. Before 1970 it is
    /// that of 1970.
    pub fn at(self, seconds: i64) -> (ZoneOffset, Range<i64>) {
        let (changes, _) = self.changes.as_chunks::<CHANGE_BYTES>();
        let moment = |change: &[u8; 4]| i64::from(u32::from_le_bytes(*change) >> 4) * UNIT;
        let after = changes.partition_point(|change| moment(change) <= seconds).max(1);
        let start = if after == 1 { i64::MIN } else { moment(&changes[after - 1]) };
        let end = changes.get(after).map_or(i64::MAX, moment);
        let kind = usize::from(changes[after - 1][0] & 15);
        let kind = &self.kinds[kind * KIND_BYTES..][..KIND_BYTES];
        let (mut seconds, mut name) = ([0; 4], [0; NAME_BYTES]);
        seconds.copy_from_slice(&kind[..4]);
        name.copy_from_slice(&kind[4..]);
        (ZoneOffset { seconds: i32::from_le_bytes(seconds), name }, start..end)
    }
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        FixedOffset::east_opt(self.seconds).expect("an offset of less than a day")
    }
}

/// Its abbreviation, e.g. `JST`, or its digits where it has none.
impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.name).unwrap_or_default().trim_end_matches('\0'))
    }
}

/// What is left to read of the table. It is part of the program, so that it cannot end early.
struct Table(&'static [u8]);

impl Table {
    fn take(&mut self, bytes: usize) -> &'static [u8] {
        let (taken, rest) = self.0.split_at(bytes);
        self.0 = rest;
        taken
    }

    fn u8(&mut self) -> usize {
        usize::from(self.take(1)[0])
    }

    fn u16(&mut self) -> usize {
        self.u8() | self.u8() << 8
    }

    fn rules(&mut self) -> Zone {
        let kinds = self.u8();
        let kinds = self.take(kinds * KIND_BYTES);
        let changes = self.u16();
        Zone { kinds, changes: self.take(changes * CHANGE_BYTES) }
    }
}
