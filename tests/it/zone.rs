//! `src/zones.bin` against chrono-tz, of which it is made.

use std::collections::BTreeMap;

use chrono::{Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz, TzOffset};
use hiwake::zone::Zone;

use crate::given::folder;

const DAY: i64 = 24 * 60 * 60;
/// chrono-tz's tables end with 2099; its last offset holds for ever.
const END: i64 = 4_133_980_800;
/// No two changes since 1970 are closer than six days.
const STEP: i64 = 2 * DAY;
const UNIT: i64 = 30;

fn plain(tz: Tz, seconds: i64) -> TzOffset {
    *tz.timestamp_opt(seconds, 0).unwrap().offset()
}

/// An offset as the table has it: seconds, and its abbreviation with NUL up to 8 bytes.
fn kind(offset: TzOffset) -> Vec<u8> {
    let mut kind = offset.fix().local_minus_utc().to_le_bytes().to_vec();
    kind.extend(offset.to_string().bytes());
    assert!(kind.len() <= 12, "{offset}");
    kind.resize(12, 0);
    kind
}

/// The changes of a zone since 1970: when, and to what. The first is at 0.
fn changes(tz: Tz) -> Vec<(i64, Vec<u8>)> {
    let mut changes = vec![(0, kind(plain(tz, 0)))];
    for start in (0..END).step_by(STEP as usize) {
        let (before, after) = (plain(tz, start), plain(tz, start + STEP));
        if before == after {
            continue;
        }
        let (mut low, mut high) = (start, start + STEP);
        while high - low > 1 {
            let middle = (low + high) / 2;
            if plain(tz, middle) == before { low = middle } else { high = middle }
        }
        assert!(plain(tz, high) == after, "two changes of {tz} between {start} and two days later");
        if changes.last().is_none_or(|(_, last)| *last != kind(after)) {
            changes.push((high, kind(after)));
        }
    }
    changes
}

/// The rules of one zone, in the layout that `src/zone.rs` describes.
fn rules(tz: Tz) -> Vec<u8> {
    let changes = changes(tz);
    let mut kinds: Vec<&Vec<u8>> = changes.iter().map(|(_, kind)| kind).collect();
    kinds.sort();
    kinds.dedup();
    assert!(kinds.len() <= 16, "{tz}");
    let mut rules = vec![kinds.len() as u8];
    kinds.iter().for_each(|kind| rules.extend_from_slice(kind));
    rules.extend((changes.len() as u16).to_le_bytes());
    for (at, kind) in &changes {
        assert!(at % UNIT == 0 && at / UNIT < 1 << 28, "{tz} at {at}");
        let number = kinds.binary_search(&kind).unwrap();
        rules.extend(((at / UNIT) as u32 * 16 + number as u32).to_le_bytes());
    }
    rules
}

fn table() -> Vec<u8> {
    let mut table = (TZ_VARIANTS.len() as u16).to_le_bytes().to_vec();
    let (mut all, mut numbers) = (Vec::new(), BTreeMap::new());
    for tz in TZ_VARIANTS {
        let (rules, next) = (rules(tz), numbers.len() as u16);
        let number = *numbers.entry(rules.clone()).or_insert_with(|| {
            all.extend(rules);
            next
        });
        table.push(tz.name().len() as u8);
        table.extend(tz.name().bytes());
        table.extend(number.to_le_bytes());
    }
    table.extend(all);
    table
}

/// With `HIWAKE_BLESS=1` it writes the table, after an update of chrono-tz.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test's own switch, and it may write fixtures")]
fn the_table_is_chrono_tzs() {
    let (table, path) = (table(), folder().join("src/zones.bin"));
    if std::env::var("HIWAKE_BLESS").is_ok() {
        std::fs::write(&path, &table).unwrap();
    }
    assert!(std::fs::read(&path).unwrap() == table, "HIWAKE_BLESS=1 cargo test zone writes it");
}

#[test]
fn every_zone_has_chrono_tzs_offset_and_name_at_and_around_every_change() {
    for tz in TZ_VARIANTS {
        let zone = Zone::new(tz);
        for (at, _) in changes(tz) {
            for seconds in [at - 1, at, at + 1, at + DAY].into_iter().filter(|at| *at >= 0) {
                let ((ours, holds), plain) = (zone.at(seconds), plain(tz, seconds));
                assert!(holds.contains(&seconds), "{tz} at {seconds}");
                assert_eq!(ours.fix(), plain.fix(), "{tz} at {seconds}");
                assert_eq!(ours.to_string(), plain.to_string(), "{tz} at {seconds}");
            }
        }
        let last = 253_402_300_799;
        assert_eq!(zone.at(last).0.fix(), plain(tz, last).fix(), "{tz}");
    }
}
