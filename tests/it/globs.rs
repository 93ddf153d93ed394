//! Which source takes what: globs, what they cover, which rule wins.

use hiwake::config::{Config, Fate, Glob, explain};
use proptest::prelude::*;

use crate::config::{error, parse};

fn rules(rules: &[(&[&str], &[&str])]) -> String {
    let rule = |(groups, streams): &(&[&str], &[&str])| {
        format!("[[source]]\nlog_groups = {groups:?}\nlog_streams = {streams:?}\n")
    };
    rules.iter().map(rule).collect()
}

#[test]
fn a_source_that_can_never_match_is_named_with_the_one_that_takes_all() {
    let says = error(&rules(&[(&["/aws/*"], &["*"]), (&["/aws/lambda/*", "/aws/rds"], &["a*"])]));
    assert_eq!(
        says,
        "hiwake.toml:5: source[2].log_groups: can never match: source[1] (line 1) already takes all its events; \
         put this source first, or remove it"
    );
    let says = error(&rules(&[(&["/a"], &["*"]), (&["/b?"], &["*"]), (&["/a", "/bc"], &["*"])]));
    assert!(
        says.contains("source[1] (line 1) with source[2] (line 4) already takes all"),
        "{says}"
    );
    // Not all of it is taken.
    parse(&rules(&[(&["/a"], &["*"]), (&["/a*"], &["*"])]));
    parse(&rules(&[(&["/a*"], &["x*"]), (&["/a"], &["*"])]));
    parse(&rules(&[(&["/a?"], &["*"]), (&["/a", "/abc"], &["*"])]));
}

#[test]
fn every_source_tried_says_why() {
    let config = parse(&rules(&[
        (&["/b"], &["*"]),
        (&["/a*"], &["x*"]),
        (&["/a?", "/a"], &["*"]),
        (&["*"], &["*"]),
    ]));
    let explanation = explain(&config, "1", "/a", "y");
    let outcomes: Vec<_> = explanation.tried.iter().map(|tried| tried.outcome).collect();
    assert_eq!(outcomes, [Fate::Wins, Fate::OtherLogGroup, Fate::OtherLogStream, Fate::TooLate]);
    assert_eq!(explanation.winner, Some(3));
    assert_eq!(explanation.file, "%2Fa");
    assert_eq!(explanation.tried[0].reason, "/a matches the log group, * the log stream");
    assert_eq!(explanation.tried[0].line, Some(7));
    assert!(explanation.tried[3].reason.ends_with("but source[3] comes first"));
    let explanation = explain(&Config::default(), "1", "/a", "y");
    assert_eq!((explanation.winner, explanation.file.as_str()), (None, "unmatched/%2Fa"));
}

#[test]
fn globs_know_stars_and_question_marks_only() {
    let glob = |text: &str| text.parse::<Glob>().unwrap();
    assert!(glob("/aws/*").matches("/aws/lambda/api"));
    assert!(glob("2022/*/[$LATEST]*").matches("2022/04/18/[$LATEST]0abc"));
    assert!(!glob("2022/*/[$LATEST]*").matches("2022/04/18/L0abc"));
    assert!(glob("{a,b}").matches("{a,b}"));
    assert!(glob("?").matches("日"));
    assert!(!glob("?").matches(""));
    assert!(glob("*").matches(""));
    assert!(glob("A").matches("A") && !glob("A").matches("a"));
}

/// Glob matching as it is defined, by trying everything.
fn dumb_match(glob: &[char], text: &[char]) -> bool {
    match glob.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|at| dumb_match(rest, &text[at..])),
        Some((symbol, rest)) => text.split_first().is_some_and(|(first, text)| {
            (symbol == first || *symbol == '?') && dumb_match(rest, text)
        }),
    }
}

/// Every text of up to four characters over a, b and c (c is in no glob).
fn short_texts() -> Vec<String> {
    let mut texts = vec![String::new()];
    let mut last = texts.clone();
    for _ in 0..4 {
        last = last.iter().flat_map(|text| ['a', 'b', 'c'].map(|c| format!("{text}{c}"))).collect();
        texts.extend_from_slice(&last);
    }
    texts
}

proptest! {
    #[test]
    fn globs_match_as_they_are_defined(glob in "[ab*?]{1,5}", text in "[abc]{0,6}") {
        let symbols: Vec<char> = glob.chars().collect();
        let characters: Vec<char> = text.chars().collect();
        let glob: Glob = glob.parse().unwrap();
        prop_assert_eq!(glob.matches(&text), dumb_match(&symbols, &characters));
    }

    #[test]
    fn a_glob_covers_another_only_if_it_matches_all_that_the_other_matches(
        one in "[ab*?]{1,5}", other in "[ab*?]{1,5}",
    ) {
        let (one, other): (Glob, Glob) = (one.parse().unwrap(), other.parse().unwrap());
        if one.covers(&other) {
            for text in short_texts().iter().filter(|text| other.matches(text)) {
                prop_assert!(one.matches(text), "{} covers {} but for {text:?}", one.as_str(), other.as_str());
            }
        }
        prop_assert!(one.covers(&one));
        prop_assert!("*".parse::<Glob>().unwrap().covers(&other));
    }
}
