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
    // Bytes that no commit covers are not lines.
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

/// A day file with the lines, sealed as `toml` says.
fn sealed_as(yard: &Yard, toml: &str, count: i64) {
    yard.put("one", 0..count);
    ok(&mut yard.land());
    put(&yard.path("seal.toml"), toml.as_bytes());
    ok(yard.seal().arg("--config").arg(yard.path("seal.toml")));
}

#[test]
fn a_sealed_file_that_was_damaged_is_named_when_it_is_shown() {
    for compress in ["none", "gzip", "zstd"] {
        for change in
            [|bytes: &mut Vec<u8>| bytes.truncate(70), |bytes: &mut Vec<u8>| bytes[40] ^= 1]
        {
            let yard = Yard::new();
            sealed_as(&yard, &format!("[seal]\ncompress = \"{compress}\""), 2_000);
            let mut names = yard.published().into_keys();
            let name = names.find(|name| !name.ends_with(".sha256")).unwrap();
            let mut bytes = fs::read(yard.at(&name)).unwrap();
            change(&mut bytes);
            fs::remove_file(yard.at(&name)).unwrap();
            put(&yard.at(&name), &bytes);
            let said = fails(&mut cat(&yard, "messages"));
            assert!(
                said.contains(&name) && said.contains("differs from what was sealed"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_day_file_without_its_journal_is_damaged_and_not_empty() {
    let yard = Yard::new();
    yard.put("one", 0..5);
    ok(&mut yard.land());
    fs::remove_file(yard.at(JOURNAL)).unwrap();
    assert!(fails(&mut cat(&yard, "messages")).contains("damaged"));
}

/// After the seal point the open file goes before the journal says that all is done.
#[test]
fn a_day_file_is_shown_when_its_seal_was_killed_anywhere() {
    for call in ["unlinkat", "pwrite64", "linkat"] {
        for at in 1.. {
            let yard = Yard::new();
            yard.put("one", 0..9);
            ok(&mut yard.land());
            let seal = yard.seal();
            let mut strace = Command::new("strace");
            strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"]);
            strace.arg(format!("inject={call}:signal=KILL:when={at}"));
            strace.arg(seal.get_program()).args(seal.get_args());
            let ended = quiet(&mut strace).status().unwrap().success();
            assert_eq!(ok(&mut cat(&yard, "messages")), lines(9), "{call} {at}");
            if ended {
                assert!(at > 1);
                break;
            }
        }
    }
}
