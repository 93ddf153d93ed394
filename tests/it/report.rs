//! The report: one page, beside the files and never in their way.

use std::fs;

use crate::every_day::three_days;
use crate::given;

/// The class of a day in the calendar.
fn mark(page: &str, day: &str) -> String {
    let cell =
        page.split("<td ").find(|cell| cell.contains(&format!("data-day=\"{day}\""))).unwrap();
    cell.split('"').nth(1).unwrap().to_owned()
}

#[test]
fn the_page_shows_what_each_day_is_with_its_checksums_and_loads_nothing() {
    let desk = three_days();
    desk.ok("run events/firehose-hogehoge.json --root @root --now 2022-04-18T08:00:00+09:00");
    desk.ok("seal --root @root --now 2005-04-18T12:00:00+09:00");
    let late = desk.write("late.log", b"Apr 16 23:30:00 web1 app: late\n");
    desk.ok(&format!(
        "run {late} --log-group /var/log/messages --year 2005 --root @root --now 2005-04-18T13:00:00+09:00"
    ));
    let page = desk.ok("report --root @root --now 2005-04-18T13:00:00+09:00");
    let marks =
        ["2005-04-16", "2005-04-17", "2005-04-18", "2005-04-19"].map(|day| mark(&page, day));
    assert_eq!(marks, ["late", "complete", "open", "quiet"]);
    assert_eq!(mark(&page, "2022-04-18"), "open");
    let sum = desk.text("root/messages/2005-04-17.csv.sha256");
    assert!(page.contains(sum.split(' ').next().unwrap()), "its checksum");
    assert!(page.contains("The journals show nothing wrong"), "nothing is wrong");
    // A file that fell silent is quiet up to the last day of any.
    let other = desk.write("other.log", b"2022-04-20T10:00:00+09:00 other\n");
    desk.ok(&format!(
        "run {other} --log-group /other --root @root --now 2022-04-20T11:00:00+09:00"
    ));
    let later = desk.ok("report --root @root --now 2005-04-18T13:00:00+09:00");
    let messages = later.split("<h2>messages</h2>").nth(1).unwrap().split("<h2>").next().unwrap();
    assert_eq!(mark(messages, "2022-04-20"), "quiet");
    // It opens from a file: no script, and nothing from elsewhere.
    for loads in ["<script", "src=", "href=", "url(", "@import", "http:", "https:"] {
        assert!(!page.contains(loads), "{loads}");
    }
    assert!(page.contains("Content-Security-Policy") && page.contains("default-src 'none'"));
    let words = page.matches("<span lang=\"en\">").count();
    assert!(words > 10 && words == page.matches("<span lang=\"ja\">").count(), "{words}");

    // What is gone is named, and the exit code says so.
    fs::remove_file(desk.path("root/messages/2005-04-17.csv")).unwrap();
    let output = desk.hiwake("report --root @root --now 2005-04-18T13:00:00+09:00");
    assert_eq!(output.status.code(), Some(1));
    let page = String::from_utf8(output.stdout).unwrap();
    assert_eq!(mark(&page, "2005-04-17"), "missing");
    assert!(page.contains("messages/2005-04-17.csv: the published file is missing"));
    // A byte that changed is found by --verify only.
    let open = "root/messages/2005-04-18.csv.open";
    let bytes = fs::read(desk.path(open)).unwrap();
    desk.write(open, &[&b"X"[..], &bytes[1..]].concat());
    let wrong = |more: &str| {
        let arguments = format!("report --root @root --now 2005-04-18T13:00:00+09:00{more}");
        let page = desk.hiwake(&arguments).stdout;
        String::from_utf8(page).unwrap().matches("<li>").count()
    };
    assert!(wrong(" --verify") > wrong(""));
}

#[test]
fn a_day_that_waits_for_long_is_named() {
    let desk = three_days();
    let page = desk.hiwake("report --root @root --now 2005-04-20T13:00:00+09:00").stdout;
    let page = String::from_utf8(page).unwrap();
    let fault = "messages/2005-04-16.csv: it has been due since 2005-04-18T09:00:00+09:00, but is not sealed";
    assert!(page.contains(fault), "{page}");
}

#[test]
fn sealing_writes_the_page_beside_the_files_where_it_is_told_to_and_replaces_it() {
    let desk = three_days();
    let text = fs::read_to_string(given::folder().join("hiwake.toml")).unwrap();
    let text = text.replace("# write    = false", "write = true");
    let text = text.replace("# language = \"en\"", "language = \"ja\"");
    let config = desk.write("hiwake.toml", text.as_bytes());
    let seal = |time: &str| desk.ok(&format!("seal --config {config} --root @root --now {time}"));
    // By default there is none.
    desk.ok("seal --root @root --now 2005-04-18T12:00:00+09:00");
    assert!(!desk.path("root/@report.html").exists());
    seal("2005-04-19T12:00:00+09:00");
    let first = desk.text("root/@report.html");
    assert_eq!(mark(&first, "2005-04-18"), "complete");
    assert!(first.contains("<html lang=\"ja\" ") && first.contains("id=\"ja\" checked"));
    // What a round left that died goes with the next page.
    desk.write("root/.hiwake/report.0123456789abcdef.tmp", b"<html>");
    desk.ok("run events/firehose-hogehoge.json --root @root --now 2022-04-18T08:00:00+09:00");
    seal("2022-04-20T12:00:00+09:00");
    let second = desk.text("root/@report.html");
    assert_eq!(mark(&second, "2022-04-18"), "complete");
    let left = given::tree(&desk.path("root")).into_keys().filter(|name| name.ends_with(".tmp"));
    assert_eq!(left.collect::<Vec<_>>(), [""; 0]);
    // It is not a finding, and no day file has its name.
    assert!(desk.ok("verify --root @root").ends_with("0 wrong\n"));
    assert!(hiwake::file_name::check("@report.html").is_err());
}

/// A day that became missing, or began, after the last round that sealed something stayed as it was
/// on the page for ever.
#[test]
fn the_page_beside_the_files_follows_what_happens_without_a_seal() {
    let desk = three_days();
    let text = fs::read_to_string(given::folder().join("hiwake.toml")).unwrap();
    let text = text.replace("# write    = false", "write = true");
    let config = desk.write("hiwake.toml", text.as_bytes());
    let seal = |time: &str| {
        let said = desk.ok(&format!("seal --config {config} --root @root --now {time}"));
        (said, desk.text("root/@report.html"))
    };
    seal("2005-04-18T12:00:00+09:00");
    // Nothing happens: the page is left alone.
    let (said, page) = seal("2005-04-18T13:00:00+09:00");
    assert!(said.contains("nothing is due") && page.contains("2005-04-18T12:00:00"), "{page}");
    // A day begins.
    desk.ok("run events/firehose-hogehoge.json --root @root --now 2005-04-18T13:30:00+09:00");
    let (said, page) = seal("2005-04-18T14:00:00+09:00");
    assert!(said.contains("nothing is due"), "{said}");
    assert_eq!(mark(&page, "2022-04-18"), "open");
    // A file goes missing; a day passes.
    let path = desk.path("root/messages/2005-04-17.csv");
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let (said, page) = seal("2005-04-19T00:30:00+09:00");
    assert!(said.contains("nothing is due"), "{said}");
    assert_eq!(mark(&page, "2005-04-17"), "missing");
    // It is there again: the next round says so.
    desk.write("root/messages/2005-04-17.csv", &bytes);
    assert_eq!(mark(&seal("2005-04-19T00:45:00+09:00").1, "2005-04-17"), "complete");
    // A folder in which nothing has landed stays as it is.
    fs::create_dir_all(desk.path("other/.hiwake")).unwrap();
    desk.ok(&format!("seal --config {config} --root @other"));
    assert!(!desk.path("other/@report.html").exists());
}

/// The Japanese page had its faults and its tooltips in English.
#[test]
fn each_text_of_the_page_is_there_in_both_languages() {
    let desk = three_days();
    desk.ok("seal --root @root --now 2005-04-18T12:00:00+09:00");
    fs::remove_file(desk.path("root/messages/2005-04-17.csv")).unwrap();
    let journal = desk.path("root/.hiwake/days/2005-04-18/messages.csv/.journal");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[8200] ^= 1;
    desk.write("root/.hiwake/days/2005-04-18/messages.csv/.journal", &bytes);
    let page = desk.hiwake("report --root @root --verify --now 2005-04-18T13:00:00+09:00").stdout;
    let page = String::from_utf8(page).unwrap();
    let of = |lang: &str, from: &str| {
        let tag = format!("<span lang=\"{lang}\"{from}");
        page.split(&tag).skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    };
    let [en, ja]: [Vec<String>; 2] = ["en", "ja"].map(|lang| of(lang, ""));
    assert_eq!(en.len(), ja.len());
    let is_japanese =
        |text: &str| text.chars().any(|letter| ('\u{3040}'..'\u{a000}').contains(&letter));
    let untold = ja.iter().filter(|text| !is_japanese(text));
    assert_eq!(untold.collect::<Vec<_>>(), [""; 0]);
    assert!(!en.iter().any(|text| is_japanese(text)));
    for wanted in [
        "title=\"2005-04-16: 5 行、530 バイト\"",
        "messages/2005-04-17.csv: 公開されたファイルがありません",
        "messages/2005-04-17.csv: 検査で異常が見つかりました（",
        "破損しています（",
    ] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    // Nothing but a name, a number or a sign stands outside of the two languages.
    assert!(!page.contains("<li>messages"), "a fault in one language");
    assert_eq!(
        page.matches(" title=\"").count(),
        page.matches("<span lang=\"en\" title=").count() * 2
    );
}
