//! `hiwake cat --root`: a day file as it stands, in either form.

use std::io::{BufRead, BufReader};

use super::*;

fn cat(yard: &Yard, file: &str) -> Command {
    yard.hiwake(&["cat", "--file", file, "--day", "2022-04-18"])
}

#[test]
fn a_day_file_is_shown_while_it_is_open_and_when_it_is_sealed() {
    let yard = Yard::new();
    yard.put("one", 0..20);
    ok(&mut yard.land());
    // Bytes that no commit covers are no lines.
    let mut bytes = fs::read(yard.at(*OPEN)).unwrap();
    bytes.extend_from_slice(b"torn");
    put(&yard.at(*OPEN), &bytes);
    assert_eq!(ok(&mut cat(&yard, "messages")), lines(20));
    ok(&mut yard.seal());
    yard.put("late", 20..25);
    ok(yard.hiwake(&["land", "--now", OVER]).arg(yard.path("in")));
    assert_eq!(ok(&mut cat(&yard, "messages")), lines(25), "the late lines come last");
}

#[test]
fn a_day_file_is_followed_until_it_is_sealed() {
    let yard = Yard::new();
    yard.put("one", 0..5);
    ok(&mut yard.land());
    let mut following = cat(&yard, "messages").arg("--follow").spawn().unwrap();
    let mut shown = BufReader::new(following.stdout.take().unwrap()).lines().map(Result::unwrap);
    let five: Vec<String> = shown.by_ref().take(5).collect();
    assert_eq!(five.join("\n") + "\n", lines(5));
    yard.put("two", 5..12);
    ok(&mut yard.land());
    let more: Vec<String> = shown.by_ref().take(7).collect();
    assert_eq!((five.join("\n") + "\n" + &more.join("\n") + "\n"), lines(12));
    ok(&mut yard.seal());
    assert_eq!(shown.next(), None, "nothing comes twice");
    assert!(following.wait().unwrap().success());
}

#[test]
fn what_is_not_there_is_named() {
    let yard = Yard::new();
    yard.put("one", 0..5);
    ok(&mut yard.land());
    let said = fails(&mut cat(&yard, "massages"));
    assert!(said.contains("has no day file `massages` of 2022-04-18"), "{said}");
}
