//! Days as a person names them: one, a month, a year, a pattern, from one to another.

use std::str::FromStr;

use hiwake::config::Config;
use hiwake::day::Calendar;
use hiwake::row::Day;
use wildmatch::WildMatch;

use crate::Now;

const TODAY: &str = "today";

/// `--day`. Dates are compared as text: their digits stand in the order of time.
#[derive(Debug, Clone)]
pub enum Days {
    /// `*` and `?` stand for any text and any character.
    Like(WildMatch),
    /// From one date, month or year to another, both of them included.
    Span(String, String),
}

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Days, String> {
        let is_edge = |edge: &str| {
            let dates = [edge.to_owned(), format!("{edge}-01"), format!("{edge}-01-01")];
            edge == TODAY || dates.iter().any(|date| date.parse::<Day>().is_ok())
        };
        let is_pattern = |text: &str| {
            text.contains(['*', '?']) && text.chars().all(|one| "0123456789-*?".contains(one))
        };
        let (from, until) = text.split_once("..").unwrap_or((text, text));
        match () {
            () if is_pattern(text) => Ok(Days::Like(WildMatch::new(text))),
            () if !is_edge(from) || !is_edge(until) => Err(
                "not a valid day: write 2022-04-18, today, 2022-04, 2022-04-*, or 2022-04-01..2022-04-15, which includes both"
                    .to_owned(),
            ),
            // `today` sorts behind all dates, and may be any.
            () if from != TODAY && until < cut(from, until) => {
                Err("the last day is before the first one: exchange them".to_owned())
            }
            () => Ok(Days::Span(from.to_owned(), until.to_owned())),
        }
    }
}

/// As much of a date as another text has.
fn cut<'d>(date: &'d str, other: &str) -> &'d str {
    date.get(..other.len()).unwrap_or(date)
}

impl Days {
    /// The same, with the present day for `today`.
    pub fn resolve(&self, config: &Config, now: &Now) -> anyhow::Result<Days> {
        let today = Calendar::new(config.timezone, "").day(now.clock().now())?.to_string();
        let date = |edge: &String| if edge == TODAY { today.clone() } else { edge.clone() };
        Ok(match self {
            Days::Like(pattern) => Days::Like(pattern.clone()),
            Days::Span(from, until) => Days::Span(date(from), date(until)),
        })
    }

    /// Whether a day is one of them.
    pub fn has(&self, day: &str) -> bool {
        match self {
            Days::Like(pattern) => pattern.matches(day),
            Days::Span(from, until) => {
                cut(day, from) >= from.as_str() && cut(day, until) <= until.as_str()
            }
        }
    }

    /// The day, where it is one.
    pub fn one(&self) -> Option<Day> {
        match self {
            Days::Span(from, until) if from == until => from.parse().ok(),
            _ => None,
        }
    }
}
