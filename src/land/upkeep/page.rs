//! The report page: HTML that loads nothing, in two languages, light and dark, for screen and
//! paper. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, SecondsFormat};
use chrono_tz::Tz;
use maud::{Markup, PreEscaped, html};

use crate::clock::rfc_3339;
use crate::config::Language;
use crate::land::upkeep::report::{Mark, Report, ReportedDay};
use crate::row::Day;

const STYLE: &str = include_str!("page.css");
/// Size of a plot.
const WIDTH: u64 = 960;
const HEIGHT: u64 = 120;
/// Most days that a plot shows: the last ones.
const PLOT_DAYS: usize = 366;

/// A text in both languages, of which the page shows one.
fn both(en: &str, ja: &str) -> Markup {
    html! { span lang="en" { (en) } span lang="ja" { (ja) } }
}

impl Mark {
    const ALL: [Mark; 6] =
        [Mark::Complete, Mark::Open, Mark::Late, Mark::Quiet, Mark::Removed, Mark::Missing];

    fn class(self) -> &'static str {
        match self {
            Mark::Complete => "complete",
            Mark::Open => "open",
            Mark::Late => "late",
            Mark::Quiet => "quiet",
            Mark::Removed => "removed",
            Mark::Missing => "missing",
        }
    }

    /// A sign that also works without colours.
    fn sign(self) -> &'static str {
        match self {
            Mark::Complete => "✓",
            Mark::Open => "…",
            Mark::Late => "+",
            Mark::Quiet => "·",
            Mark::Removed => "–",
            Mark::Missing => "!",
        }
    }

    fn meaning(self) -> Markup {
        let (en, ja) = match self {
            Mark::Complete => ("complete", "完了"),
            Mark::Open => ("open", "追記中"),
            Mark::Late => ("with late lines", "遅延行あり"),
            Mark::Quiet => ("no lines", "行なし"),
            Mark::Removed => ("removed by retention", "保存期間により削除済み"),
            Mark::Missing => ("wrong or missing", "異常または欠落"),
        };
        both(en, ja)
    }
}

/// The beginning of a page. If two pages begin alike, they have the same date, the same calendar
/// and the same number of faults.
pub(super) fn head(report: &Report, timezone: Tz, language: Language) -> String {
    let lang = match language {
        Language::En => "en",
        Language::Ja => "ja",
    };
    let made = rfc_3339(report.at, timezone, SecondsFormat::Secs);
    let made = made.split('T').next().unwrap_or_default();
    let names: Vec<&str> = report.names.iter().map(String::as_str).collect();
    let names = crc32c::crc32c(names.join("\n").as_bytes());
    let wrong = report.wrong.len();
    format!(
        "<!DOCTYPE html><html lang=\"{lang}\" data-made=\"{made}\" data-calendar=\"{names:08x}\" data-wrong=\"{wrong}\">"
    )
}

pub(super) fn page(report: &Report, timezone: Tz, language: Language) -> String {
    let is_ja = language == Language::Ja;
    let made = rfc_3339(report.at, timezone, SecondsFormat::Secs);
    let page = html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta http-equiv="Content-Security-Policy"
                content="default-src 'none'; style-src 'unsafe-inline'";
            title { "hiwake" }
            style { (PreEscaped(STYLE)) }
        }
        body {
            input type="radio" name="language" id="en" checked[!is_ja];
            input type="radio" name="language" id="ja" checked[is_ja];
            header {
                h1 { "hiwake " (both("daily files", "日次ファイル")) }
                nav { label for="en" { "English" } " " label for="ja" { "日本語" } }
                p { (both("Created at ", "作成日時：")) time { (made) } " (" (timezone.name()) ")" }
            }
            (wrong(report))
            (plots(report))
            p.legend {
                @for mark in Mark::ALL {
                    span class=(mark.class()) { (mark.sign()) } " " (mark.meaning()) " "
                }
            }
            @for (file, days) in &report.files { (section(report, file, days)) }
        }
    };
    head(report, timezone, language) + &page.into_string() + "</html>"
}

fn wrong(report: &Report) -> Markup {
    html! {
        section.wrong {
            h2 { (both("What is wrong", "異常")) }
            @if report.wrong.is_empty() {
                p.nothing {
                    (both("The journals show nothing wrong. `hiwake verify` reads every byte.",
                        "ジャーナルからわかる異常はありません。全バイトの検査は `hiwake verify` で行います。"))
                }
            } @else {
                ul { @for one in &report.wrong { li { (both(&one.en, &one.ja)) } } }
            }
        }
    }
}

fn plots(report: &Report) -> Markup {
    let mut days: BTreeMap<Day, (u64, u64)> = BTreeMap::new();
    for (day, one) in report.files.values().flatten() {
        let sums = days.entry(*day).or_default();
        sums.0 += one.sum(|day| day.lines);
        sums.1 += one.sum(|day| day.bytes);
    }
    let (Some((first, _)), Some((last, _))) = (days.first_key_value(), days.last_key_value())
    else {
        return html! { p { (both("No day files exist yet.", "日次ファイルはまだありません。")) } };
    };
    let span = (last.date() - first.date()).num_days() as usize + 1;
    let shown = last.date().iter_days().rev().take(span.min(PLOT_DAYS)).filter_map(Day::new);
    let mut shown: Vec<(Day, (u64, u64))> =
        shown.map(|day| (day, days.get(&day).copied().unwrap_or_default())).collect();
    shown.reverse();
    html! {
        section.plots {
            h2 { (both("Lines and bytes per day", "1 日あたりの行数とバイト数")) }
            (plot(&both("lines", "行"), &shown, |sums| sums.0))
            (plot(&both("bytes", "バイト"), &shown, |sums| sums.1))
        }
    }
}

/// A plot with one bar per day.
fn plot(what: &Markup, days: &[(Day, (u64, u64))], of: fn((u64, u64)) -> u64) -> Markup {
    let most = days.iter().map(|(_, sums)| of(*sums)).max().unwrap_or_default();
    // Widths are in hundredths, because a bar may be thinner than a pixel.
    let step = WIDTH * 100 / days.len().max(1) as u64;
    let height =
        |value: u64| (u128::from(value) * u128::from(HEIGHT) / u128::from(most.max(1))) as u64;
    html! {
        figure {
            figcaption { (what) ", " (both("maximum ", "最大 ")) (grouped(most)) }
            svg viewBox=(format!("0 0 {} {HEIGHT}", WIDTH * 100)) preserveAspectRatio="none"
                role="img" {
                @for (at, (day, sums)) in (0..).zip(days) {
                    @let value = of(*sums);
                    @let tall = height(value).max(u64::from(value > 0));
                    rect x=(at * step) y=(HEIGHT - tall) width=(step * 9 / 10) height=(tall) {
                        title { (day) ": " (grouped(value)) }
                    }
                }
            }
            @if let (Some((first, _)), Some((last, _))) = (days.first(), days.last()) {
                p.axis { span { (first) } span { (last) } }
            }
        }
    }
}

fn section(report: &Report, file: &str, days: &BTreeMap<Day, ReportedDay>) -> Markup {
    let span = report.span(days);
    let months: BTreeSet<(i32, u32)> =
        span.iter().map(|day| (day.date().year(), day.date().month())).collect();
    html! {
        section.file {
            h2 { (file) }
            table.calendar {
                @for (year, month) in months.iter().rev() {
                    tr {
                        th { (format!("{year:04}-{month:02}")) }
                        @if let Some(before) = span.first().map(|day| day.date()).filter(|first| {
                            (first.year(), first.month()) == (*year, *month) && first.day() > 1
                        }) { td colspan=(before.day() - 1) {} }
                        @for day in span.iter().filter(|day| {
                            (day.date().year(), day.date().month()) == (*year, *month)
                        }) { (cell(*day, days.get(day))) }
                    }
                }
            }
            details {
                summary { (both("Files and checksums", "ファイルとチェックサム")) }
                table.files {
                    tr {
                        th { (both("file", "ファイル")) } th { (both("lines", "行")) }
                        th { (both("bytes", "バイト")) } th { "SHA-256" }
                    }
                    @for (path, lines, bytes, sha256) in
                        days.values().rev().flat_map(|day| &day.published) {
                        tr {
                            td { (path) } td.number { (grouped(*lines)) }
                            td.number { (grouped(*bytes)) } td { code { (sha256) } }
                        }
                    }
                }
            }
        }
    }
}

fn cell(day: Day, found: Option<&ReportedDay>) -> Markup {
    let mark = found.map_or(Mark::Quiet, ReportedDay::mark);
    let sum = |of: fn(&crate::land::upkeep::status::DayStatus) -> u64| {
        grouped(found.map_or(0, |found| found.sum(of)))
    };
    let [lines, bytes] = [sum(|day| day.lines), sum(|day| day.bytes)];
    let plural = |number: &str| if number == "1" { "" } else { "s" };
    let [s, z] = [plural(&lines), plural(&bytes)];
    let en = format!("{day}: {lines} line{s}, {bytes} byte{z}");
    let ja = format!("{day}: {lines} 行、{bytes} バイト");
    html! {
        td class=(mark.class()) data-day=(day) {
            @for (lang, title) in [("en", en), ("ja", ja)] {
                span lang=(lang) title=(title) { (day.date().day()) br; (mark.sign()) }
            }
        }
    }
}

/// A number with commas.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",")
}
