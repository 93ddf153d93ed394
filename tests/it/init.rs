//! `hiwake init`, completions, and what all commands have in common.

use std::fs;
use std::process::Stdio;

use hiwake::config::Config;

use crate::cli::{Desk, SYSLOG};
use crate::given;

fn read(desk: &Desk, name: &str) -> Config {
    Config::parse(name, &desk.text(name)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn init_writes_a_commented_configuration_that_lands_what_was_asked_for() {
    let desk = Desk::new();
    let said = desk.ok(
        "init --config @new.toml --log-group /var/log/messages --label HOGE,web --timezone Asia/Tokyo",
    );
    assert!(said.starts_with("wrote ") && said.contains(": 1 source\nnext: hiwake config explain"));
    let text = desk.text("new.toml");
    // What the sample says of every setting, the new one says.
    let sample = fs::read_to_string(given::folder().join("hiwake.toml")).unwrap();
    let tail = sample.split_once("\n[format]\n").unwrap().1;
    assert!(text.ends_with(tail), "{text}");
    let config = read(&desk, "new.toml");
    let own = Config { sources: config.sources.clone(), ..read_sample() };
    assert_eq!(config.timezone, own.timezone);
    assert_eq!((&config.seal, &config.limits), (&own.seal, &own.limits));
    let event = "run events/firehose-hogehoge.json --config @new.toml --root @root";
    // A path behind `--config` is in the folder, too.
    desk.ok(event);
    assert!(desk.text("root/messages/2022-04-18.csv.open").starts_with("HOGE,web,Apr 17"));
    // Never over another one.
    let refused = desk.fails(2, "init --config @new.toml --log-group a");
    assert!(refused.contains("exists: remove it, or name another"), "{refused}");
    assert_eq!(desk.text("new.toml"), text);
}

/// The files of the sources, as they are written.
fn files(desk: &Desk) -> Vec<String> {
    let table: toml::Table = desk.text("new.toml").parse().unwrap();
    let sources = table["source"].as_array().unwrap().iter();
    sources.map(|source| source["file"].as_str().unwrap().to_owned()).collect()
}

fn read_sample() -> Config {
    Config::load(&given::folder().join("hiwake.toml")).unwrap()
}

#[test]
fn init_gives_each_log_group_a_file_and_asks_for_no_filter_of_a_glob() {
    let desk = Desk::new();
    desk.ok("init --config @new.toml --log-group /a/app --log-group /b/app --log-group /c/web --log-group /ecs/*");
    assert_eq!(files(&desk), ["{log_group}", "{log_group}", "web", "{log_group}"]);
    let config = read(&desk, "new.toml");
    let filters = config.sources.iter().map(|source| source.named_log_groups().count());
    assert_eq!(filters.collect::<Vec<_>>(), [1, 1, 1, 0]);
    assert_eq!(desk.text("new.toml").matches("subscribe  = \"manual\"").count(), 1);
    let printed = desk.ok("init --log-group /c/web --timezone Europe/Berlin --print");
    assert_eq!(Config::parse("printed", &printed).unwrap().timezone.name(), "Europe/Berlin");
    // What cannot be used is not written, in the words of `config check`.
    assert!(
        desk.fails(2, "init --config @bad.toml --log-group a~b")
            .contains("log group names cannot contain")
    );
    assert!(!desk.path("bad.toml").exists());
    // Nobody is asked where nobody can answer.
    let mut command = desk.command("init --config @bad.toml");
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no log group: add --log-group"), "{said}");
}

/// CloudWatch Logs of an account, for so many requests: each answer is what a request's body gets.
#[cfg(feature = "aws")]
fn account(answers: &[&'static str]) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answers = answers.to_vec();
    let answer = move |answer: &str| {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while reader.read_line(&mut line).unwrap() > 2 {
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nConnection: close";
        let length = answer.len();
        write!(reader.get_mut(), "{head}\r\nContent-Length: {length}\r\n\r\n{answer}").unwrap();
        String::from_utf8(body).unwrap()
    };
    (port, std::thread::spawn(move || answers.into_iter().map(answer).collect()))
}

#[test]
#[cfg(feature = "aws")]
fn init_from_the_account_takes_every_page_and_leaves_out_hiwakes_own() {
    let desk = Desk::new();
    let (port, served) = account(&[
        r#"{"logGroups":[{"logGroupName":"/ecs/web"},{"logGroupName":"/aws/lambda/hiwake-land"}],"nextToken":"more"}"#,
        r#"{"logGroups":[{"logGroupName":"/ecs/api"}]}"#,
    ]);
    let mut command = desk.command("init --config @new.toml --from-account --prefix /");
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "ap-northeast-1"),
        ("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{port}")),
        ("NO_PROXY", "127.0.0.1"),
    ] {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(files(&desk), ["web", "api"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("left out 1 log group of hiwake's own, e.g. /aws/lambda/hiwake-land"));
    let asked = served.join().unwrap();
    // The API takes a prefix or a token with it; other classes take no subscription.
    assert!(
        asked.iter().all(|body| body.contains("STANDARD") && body.contains("\"/\"")),
        "{asked:?}"
    );
    assert!(asked[1].contains("more"), "{asked:?}");
}

#[test]
fn init_asks_on_a_terminal() {
    let desk = Desk::new();
    // `script` gives it a terminal.
    let path = desk.path("new.toml");
    let command = format!("{} init --config {}", env!("CARGO_BIN_EXE_hiwake"), path.display());
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let answers = "/var/log/messages, /var/log/secure\nHOGE, 1\nEurope/Berlin\n";
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let config = read(&desk, "new.toml");
    assert_eq!(config.timezone.name(), "Europe/Berlin");
    assert_eq!(files(&desk), ["messages", "secure"]);
    assert!(desk.text("new.toml").contains(r#"labels     = ["HOGE", "1"]"#));
}

#[test]
fn completions_name_every_command_for_three_shells() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.ok(&format!("completions {shell}"));
        for word in ["init", "status", "verify", "dry-run", "replay"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let bash = desk.write("hiwake.bash", desk.ok("completions bash").as_bytes());
    // Bash completes with it: `hiwake stat` has one end.
    let ask = format!(
        "source {bash}; COMP_WORDS=(hiwake stat); COMP_CWORD=1; _hiwake hiwake stat hiwake; echo \"${{COMPREPLY[@]}}\""
    );
    let output = std::process::Command::new("bash").args(["-c", &ask]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "status\n", "{output:?}");
}

#[test]
fn the_environment_names_configuration_and_root_and_the_command_line_overrides_it() {
    let desk = Desk::new();
    desk.ok("init --config @tokyo.toml --log-group /var/log/messages --label env");
    let with = |arguments: &str| {
        let mut command = desk.command(arguments);
        command.env("HIWAKE_CONFIG", desk.path("tokyo.toml")).env("HIWAKE_ROOT", desk.path("root"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    with("run events/firehose-hogehoge.json");
    assert!(desk.text("root/messages/2022-04-18.csv.open").starts_with("env,Apr 17"));
    assert!(with("status").contains("2022-04-18"));
    assert!(with("cat --text hogehoge").contains("messages/2022-04-18.csv.open:1: env,Apr 17"));
    // An object is printed, whatever the environment says.
    assert!(with("cat @root.s3/landing").starts_with("env,Apr 17"));
    with("run events/firehose-hogehoge.json --config hiwake.toml --root @other");
    assert!(desk.text("other/messages/2022-04-18.csv.open").starts_with("HOGE,"));
}

#[test]
fn quiet_says_faults_only_and_verbose_says_what_is_used() {
    let desk = Desk::new();
    let run = format!("run events/messages.log {SYSLOG} --root @root");
    let said = |output: std::process::Output| String::from_utf8(output.stderr).unwrap();
    assert_eq!(said(desk.hiwake(&format!("{run} --quiet"))), "");
    assert!(said(desk.hiwake("status --root @nothing -q")).contains("cannot open the root"));
    let verbose = said(desk.hiwake(&format!("{run} -v")));
    assert!(verbose.contains("configuration hiwake.toml: 2 sources\n"), "{verbose}");
    assert!(verbose.contains("root ") && verbose.contains("took "), "{verbose}");
    desk.fails(2, "status --root @root -q -v");
}

/// The example's keys are those that a new file does not have, and they are valid.
#[test]
fn init_shows_an_example_of_each_key_that_chooses_hides_or_names() {
    let desk = Desk::new();
    let printed = desk.ok("init --log-group /a --print");
    let (_, example) = printed.split_once("# An example, not a default:\n").unwrap();
    let (example, _) = example.split_once("\n\n").unwrap();
    let lines: Vec<_> = example.lines().map(|line| line.strip_prefix("# ").unwrap()).collect();
    for key in ["log_groups", "exclude", "file", "columns", "drop", "keep", "mask"] {
        let found = lines.iter().filter(|line| line.starts_with(key)).count();
        assert_eq!(found, 1, "{key}");
    }
    assert!(example.contains("{json.level}") && example.contains("{team}"), "{example}");
    let config = Config::parse("example", &lines.join("\n")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.sources.len(), 1);
}

/// The lines of a file that was never written were named.
#[test]
fn init_names_log_groups_that_are_given_twice_or_covered() {
    let desk = Desk::new();
    for (groups, says) in [
        ("--log-group /a --log-group /a", "log group /a is named twice: name it once"),
        (
            "--log-group /a/* --log-group /a/b",
            "log group /a/b would get no event, because /a/* before it covers it: omit /a/b, or name it first",
        ),
    ] {
        let said = desk.fails(2, &format!("init --config @new.toml {groups}"));
        assert!(said.contains(says) && !said.contains("new.toml:"), "{said}");
    }
    assert!(!desk.path("new.toml").exists());
    desk.ok("init --config @new.toml --log-group /a/b --log-group /a/*");
}

/// A log group took the place of `--from-account`.
#[test]
#[cfg(feature = "aws")]
fn init_refuses_a_prefix_without_from_account() {
    let desk = Desk::new();
    for more in ["", " --log-group /a"] {
        let said = desk.fails(2, &format!("init --print --prefix /ecs/{more}"));
        assert!(said.contains("--prefix"), "{said}");
    }
}
