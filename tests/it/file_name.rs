//! Names of daily files: nothing leaves the root, nothing shares a name by accident.

use hiwake::config::Slashes;
use hiwake::file_name::{self, FileTemplate, Names, component};
use proptest::prelude::*;

fn file(template: &str, log_group: &str, log_stream: &str) -> String {
    let template = FileTemplate::try_from(template.to_owned()).expect("a template");
    let names = Names { owner: "123456789012", log_group, log_stream, captures: &[] };
    template.file(&names, Slashes::Encode)
}

#[test]
fn a_template_puts_each_value_into_a_component_of_its_own() {
    assert_eq!(file("messages", "/var/log/messages", "i-0abc"), "messages");
    assert_eq!(file("{log_group}", "/var/log/messages", ""), "%2Fvar%2Flog%2Fmessages");
    assert_eq!(
        file("{owner}/lambda/{log_group}/{log_stream}", "/aws/lambda/api", "2022/04/18/[$LATEST]0"),
        "123456789012/lambda/%2Faws%2Flambda%2Fapi/2022%2F04%2F18%2F%5B%24LATEST%5D0"
    );
}

#[test]
fn a_placeholder_may_stand_anywhere_in_a_component() {
    assert_eq!(file("logs-{log_group}.x", "/ecs/api", ""), "logs-%2Fecs%2Fapi.x");
    assert_eq!(file("{log_stream}{owner}", "", ".2022"), "%2E2022123456789012");
    assert_eq!(file("{log_stream}-04-18", "", "2022"), "%32022-04-18");
}

#[test]
fn slashes_become_folders_or_underscores_by_choice() {
    let named = |template: &str, log_group: &str, slashes| {
        let template = FileTemplate::try_from(template.to_owned()).unwrap();
        let names = Names { owner: "1", log_group, log_stream: "s", captures: &[] };
        template.file(&names, slashes)
    };
    assert_eq!(named("x/{log_group}", "/aws/lambda/api", Slashes::Folders), "x/aws/lambda/api");
    assert_eq!(named("{log_group}", "/aws/lambda/api", Slashes::Underscore), "aws_lambda_api");
    assert_eq!(named("{log_group}", "a//../2022-04-18/", Slashes::Folders), "a/%2E./%32022-04-18");
    assert_eq!(named("{log_group}", "///", Slashes::Folders), "%2F%2F%2F");
    // Of the value, not of what stands beside it.
    assert_eq!(named("logs-{log_group}", "/aws/x/", Slashes::Underscore), "logs-aws_x");
    assert_eq!(named("logs-{log_group}.y", "/aws/x/", Slashes::Folders), "logs-aws/x.y");
    // More folders than a file can be in: as if nothing had been chosen.
    assert_eq!(
        named("{log_group}", "a/b/c/d/e/f/g/h/i", Slashes::Folders),
        "a%2Fb%2Fc%2Fd%2Fe%2Ff%2Fg%2Fh%2Fi"
    );
}

#[test]
fn values_that_would_be_special_names_are_encoded() {
    assert_eq!(component(".."), "%2E.");
    assert_eq!(component("."), "%2E");
    assert_eq!(component(".hiwake"), "%2Ehiwake");
    assert_eq!(component(""), "~empty");
    assert_eq!(component("~empty"), "%7Eempty");
    assert_eq!(component("\0"), "%00");
    assert_eq!(component("%00"), "%2500");
    assert_eq!(component("日"), "%E6%97%A5");
    assert_eq!(component("2022-04-18"), "%32022-04-18");
    assert_eq!(component("2022-04-18.csv"), "%32022-04-18.csv");
    assert_eq!(component("2022-04-18-a"), "2022-04-18-a");
    assert_eq!(component("x2022-04-18"), "x2022-04-18");
}

#[test]
fn long_values_keep_a_readable_beginning_and_never_half_an_escape() {
    assert_eq!(component(&"a".repeat(200)), "a".repeat(200));
    let long = component(&"a".repeat(201));
    assert_eq!(long.len(), 160 + 1 + 32);
    assert!(long.starts_with(&format!("{}~", "a".repeat(160))));
    for shift in 0..3 {
        let value = format!("{}{}", "a".repeat(shift), "/".repeat(400));
        let (kept, hash) =
            component(&value).split_once('~').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(hash.len(), 32);
        assert!((158..=160).contains(&kept.len()), "{kept}");
        assert!(kept.ends_with("%2F"), "{kept}");
    }
    assert_ne!(component(&"/".repeat(400)), component(&"/".repeat(401)));
}

#[test]
fn bad_templates_say_what_to_write() {
    for (template, says) in [
        ("", "needs a name"),
        ("/var/log", "without the leading /"),
        ("a//b", "empty path component"),
        ("a/", "empty path component"),
        ("../a", "begins with a dot"),
        ("a/.hidden", "begins with a dot"),
        ("a b", "' '"),
        ("a%2F", "'%'"),
        ("logs {log_group}", "' '"),
        (".{log_group}", "begins with a dot"),
        ("{Group}", "'{'"),
        ("a/2022-04-18.csv", "looks like a day file"),
        ("2022-04-18", "looks like a day file"),
        ("a/b/c/d/e/f/g/h/i", "9 components"),
        ("{owner}/{owner}/{owner}/{owner}/{owner}", "1004 bytes"),
    ] {
        let error = FileTemplate::try_from(template.to_owned()).expect_err(template).to_string();
        assert!(error.contains(says), "{template}: {error}");
    }
    let error = FileTemplate::try_from("a".repeat(201)).expect_err("201 bytes").to_string();
    assert!(error.contains("more than 200 bytes"), "{error}");
}

#[test]
fn what_land_takes_from_a_row_cannot_leave_the_root() {
    for good in ["messages", "lambda/%2Faws", "a~0", "~empty", "2022-04-18-a", "a/b/c/d/e/f/g/h"] {
        assert_eq!(file_name::check(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "/",
        "/etc",
        "..",
        "../x",
        "x/..",
        "x/../y",
        ".",
        ".hiwake/days",
        "x//y",
        "x/",
        "x\0",
        "x\n",
        "x\\y",
        "x y",
        "日",
        "2022-04-18",
        "x/2022-04-18.late.csv",
        "a/b/c/d/e/f/g/h/i",
    ] {
        assert!(file_name::check(bad).is_err(), "{bad:?}");
    }
    let reason = |name: &str| file_name::check(name).unwrap_err().to_string();
    assert!(reason("../x").starts_with("`..` begins with a dot"));
    assert!(reason(&"a".repeat(201)).ends_with("has more than 200 bytes; write a shorter name"));
    let deep = vec!["a".repeat(199); 6].join("/");
    assert!(reason(&deep).starts_with("the path can reach 1199 bytes"));
}

/// Values that are near each other and near every special case.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[./~%0-9a-f-]{0,6}",
        "[%.]?(2022-04-18|%32022-04-18)[.a-]{0,3}",
        "[/a%~]{150,210}",
        Just("~empty".to_owned()),
    ]
}

proptest! {
    #[test]
    fn i6_no_name_made_from_a_value_can_leave_the_root(
        owner in value(), group in value(), stream in value(),
    ) {
        let captures = [("team".to_owned(), owner.clone())];
        let (log_group, log_stream) = (&*group, &*stream);
        let names = Names { owner: &owner, log_group, log_stream, captures: &captures };
        for template in ["{owner}/x/{log_group}/{log_stream}", "{team}{log_group}-{log_stream}/x"] {
            let template = FileTemplate::try_from(template.to_owned()).unwrap();
            for slashes in [Slashes::Encode, Slashes::Folders, Slashes::Underscore] {
                let name = template.file(&names, slashes);
                prop_assert_eq!(file_name::check(&name), Ok(()));
            }
        }
        let template = FileTemplate::try_from("{owner}/{log_group}".to_owned()).unwrap();
        prop_assert_eq!(template.file(&names, Slashes::Encode).split('/').count(), 2);
    }

    #[test]
    fn two_values_never_share_a_component(one in value(), other in value()) {
        prop_assert_eq!(component(&one) == component(&other), one == other);
    }

    #[test]
    fn a_short_component_decodes_to_its_value(value in value()) {
        let component = component(&value);
        if !component.contains('~') {
            let decoded = percent_encoding::percent_decode_str(&component).decode_utf8().unwrap();
            prop_assert_eq!(decoded, value);
        }
    }
}
