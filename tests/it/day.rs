//! Days and local times, against plain chrono-tz.

use chrono::{DateTime, NaiveDate, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};
use hiwake::day::{Calendar, TimestampError, day_end};
use hiwake::row::Day;
use proptest::prelude::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn plain(tz: Tz, timestamp: i64) -> DateTime<Tz> {
    tz.timestamp_millis_opt(timestamp).unwrap()
}

fn ms(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

fn day(tz: Tz, text: &str) -> String {
    Calendar::new(tz, "").day(ms(text)).unwrap().to_string()
}

fn end(tz: Tz, text: &str) -> i64 {
    day_end(tz, text.parse().unwrap())
}

#[test]
fn a_leap_day_and_the_last_millisecond_of_a_day() {
    let tokyo = Tz::Asia__Tokyo;
    assert_eq!(day(tokyo, "2024-02-29T14:59:59.999Z"), "2024-02-29");
    assert_eq!(day(tokyo, "2024-02-28T15:00:00Z"), "2024-02-29");
    assert_eq!(day(tokyo, "2024-02-29T15:00:00Z"), "2024-03-01");
    assert_eq!(day(Tz::UTC, "2022-12-31T23:59:59.999Z"), "2022-12-31");
    assert_eq!(day(Tz::America__New_York, "1970-01-01T00:00:00Z"), "1969-12-31");
}

#[test]
fn negative_and_absurd_timestamps_are_errors_that_name_them() {
    for timestamp in [-1, i64::MIN, i64::MAX, 253_402_300_800_000] {
        let mut calendar = Calendar::new(Tz::UTC, "%s");
        assert_eq!(calendar.day(timestamp), Err(TimestampError(timestamp)));
        assert_eq!(calendar.time(timestamp), Err(TimestampError(timestamp)));
        let error = calendar.day(timestamp).unwrap_err().to_string();
        assert!(error.contains(&timestamp.to_string()), "{error}");
    }
    let last = 253_402_300_799_999;
    assert_eq!(Calendar::new(Tz::UTC, "").day(last).unwrap().to_string(), "9999-12-31");
    let mut tokyo = Calendar::new(Tz::Asia__Tokyo, "%Y");
    assert_eq!(tokyo.day(last), Err(TimestampError(last)), "the local year is 10000");
    assert_eq!(tokyo.time(last), Err(TimestampError(last)));
}

#[test]
fn a_pattern_that_chrono_cannot_format_by_stands_for_itself() {
    for pattern in ["%H %Q!", "%H %#z", "%"] {
        assert_eq!(Calendar::new(Tz::UTC, pattern).time(0), Ok(pattern));
    }
}

#[test]
fn an_hour_that_turns_within_a_quarter_hour_of_utc() {
    // Liberia was 44 minutes and 30 seconds behind until 1972.
    let mut calendar = Calendar::new(Tz::Africa__Monrovia, "%F %T");
    let mut time = |text| calendar.time(ms(text)).unwrap().to_owned();
    assert_eq!(time("1971-05-02T00:44:29Z"), "1971-05-01 23:59:59");
    assert_eq!(time("1971-05-02T00:44:30Z"), "1971-05-02 00:00:00");
    assert_eq!(time("1971-05-02T00:44:31Z"), "1971-05-02 00:00:01");
    assert_eq!(time("1971-05-02T00:44:29Z"), "1971-05-01 23:59:59");
}

#[test]
fn a_day_ends_at_the_next_local_midnight() {
    assert_eq!(end(Tz::Asia__Tokyo, "2022-04-17"), ms("2022-04-18T00:00:00+09:00"));
    assert_eq!(end(Tz::UTC, "2024-02-28"), ms("2024-02-29T00:00:00Z"));
    assert_eq!(end(Tz::UTC, "9999-12-31"), 253_402_300_800_000);
    // 23 and 25 hours long.
    assert_eq!(end(Tz::Europe__Berlin, "2024-03-31"), ms("2024-04-01T00:00:00+02:00"));
    assert_eq!(end(Tz::Europe__Berlin, "2024-10-27"), ms("2024-10-28T00:00:00+01:00"));
}

#[test]
fn a_day_ends_right_where_midnight_does_not_exist_or_comes_twice() {
    // São Paulo, 2018-11-04: 00:00 became 01:00.
    assert_eq!(end(Tz::America__Sao_Paulo, "2018-11-03"), ms("2018-11-04T01:00:00-02:00"));
    // And 2018-02-18: 00:00 became 23:00 of the 17th again.
    assert_eq!(end(Tz::America__Sao_Paulo, "2018-02-17"), ms("2018-02-18T00:00:00-03:00"));
    // Havana, 2018-11-04: 01:00 became 00:00; the day before ended at the first midnight.
    assert_eq!(end(Tz::America__Havana, "2018-11-03"), ms("2018-11-04T00:00:00-04:00"));
    // St John's, 2006-10-29: 00:01 became 23:01 of the 28th, which ended an hour later for good.
    assert_eq!(end(Tz::America__St_Johns, "2006-10-28"), ms("2006-10-29T00:00:00-03:30"));
}

#[test]
fn a_day_that_its_zone_skipped_ends_with_the_day_before() {
    let apia = Tz::Pacific__Apia;
    let skip = ms("2011-12-30T10:00:00Z");
    assert_eq!(end(apia, "2011-12-29"), skip);
    assert_eq!(end(apia, "2011-12-30"), skip);
    assert_eq!(end(apia, "2011-12-31"), skip + 24 * HOUR);
    assert_eq!(day(apia, "2011-12-30T09:59:59.999Z"), "2011-12-29");
    assert_eq!(day(apia, "2011-12-30T10:00:00Z"), "2011-12-31");
}

fn zone() -> impl Strategy<Value = Tz> {
    let odd = vec![
        Tz::Asia__Tokyo,
        Tz::Europe__London,
        Tz::America__St_Johns,
        Tz::Pacific__Apia,
        Tz::Asia__Kathmandu,
        Tz::Australia__Lord_Howe,
        Tz::Africa__Monrovia,
        Tz::Antarctica__Troll,
        Tz::Africa__Casablanca,
    ];
    prop_oneof![prop::sample::select(odd), prop::sample::select(TZ_VARIANTS.to_vec())]
}

/// A moment at which the zone's offset or its name changes, after `from`, if there is one in 400
/// days.
fn transition(tz: Tz, from: i64) -> Option<i64> {
    let offset = |ms| *plain(tz, ms).offset();
    let steps = (0..400 * 24).map(|hour| from + hour * HOUR);
    let mut low = steps.into_iter().find(|&ms| offset(ms) != offset(ms + HOUR))?;
    let mut high = low + HOUR;
    while high - low > 1 {
        let middle = (low + high) / 2;
        if offset(middle) == offset(low) { low = middle } else { high = middle }
    }
    Some(high)
}

const FORMATS: &[&str] = &[
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S%.3f%:z",
    "%b %e %H:%M:%S",
    "%I:%M %p %Z",
    "%c",
    "%+",
    "%s",
    "%s%.f",
    "%s%.3f",
    "%T.%3f",
    "%T.%6f",
    "%H%M%S.%f",
    "%S%M%.6f%.9f%%",
    "%_M|%_S|%-M|%-S",
    "%_M:%_S",
    "%j %U %W %u %w %V %G %g %C %y %h %B %a %A %k %l %P %q",
    "%D %x %F %v %R %X %r %n%t",
    "%z %:z %::z %:::z",
    "no time",
    "日 %d 時 %H:%M:%S",
    "",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn days_and_times_are_what_chrono_tz_says(
        tz in zone(),
        formats in prop::sample::subsequence(FORMATS.to_vec(), 1..4),
        base in 0..4_102_444_800_000_i64,
        near in any::<bool>(),
        steps in prop::collection::vec(
            prop_oneof![
                -2_000..2_000_i64, -20 * MINUTE..20 * MINUTE, -26 * HOUR..26 * HOUR, Just(0),
            ],
            1..40,
        ),
    ) {
        let base = if near { transition(tz, base).unwrap_or(base) } else { base };
        let format = formats.join(" | ");
        let mut calendar = Calendar::new(tz, &format);
        let mut timestamp = base;
        for step in steps {
            timestamp = (timestamp + step).max(0);
            let plain = plain(tz, timestamp);
            let day = Day::new(plain.date_naive()).unwrap();
            prop_assert_eq!(calendar.day(timestamp).unwrap(), day);
            let time = calendar.time(timestamp).unwrap();
            prop_assert_eq!(time, plain.format(&format).to_string(), "{} {}", tz, timestamp);
        }
    }

    #[test]
    fn a_day_is_over_for_good_at_its_end_and_not_before(
        tz in zone(),
        base in 0..4_102_444_800_000_i64,
        near in any::<bool>(),
        before in 0..3_i64,
    ) {
        let base = if near { transition(tz, base).unwrap_or(base) } else { base };
        let date: NaiveDate = plain(tz, base).date_naive() - chrono::Days::new(before as u64);
        let end = day_end(tz, Day::new(date).unwrap());
        prop_assert!(plain(tz, end - 1).date_naive() <= date);
        for minute in 0..48 * 60 {
            prop_assert!(plain(tz, end + minute * MINUTE).date_naive() > date, "{} {}", tz, minute);
        }
    }
}
