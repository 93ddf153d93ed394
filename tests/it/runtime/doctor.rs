//! `hiwake doctor` and what is around a root: log groups, account policy, alarms and the queue of
//! an account that a server on loopback plays.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Arc;

use hiwake::aws::ALARMS;

use super::http::{Request, Response, serve};
use super::*;

const OURS: &str = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/hiwake";
const OTHER: &str = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/audit";

/// What an account has. Default: nothing.
#[derive(Default)]
struct Account {
    /// Log groups: class, and the filters' destinations.
    groups: BTreeMap<&'static str, (&'static str, Vec<&'static str>)>,
    /// The account policy: its destination, and what it leaves out.
    policy: Option<(&'static str, Vec<&'static str>)>,
    alarms: Vec<Value>,
    waiting: u64,
    age_s: Option<f64>,
    dead: u64,
}

impl Account {
    fn answer(&self, request: &Request) -> Response {
        let target = request.headers.get("x-amz-target").map_or("", String::as_str);
        let operation = target.rsplit('.').next().unwrap();
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let json = |value: Value| {
            let version = if target.starts_with("AmazonSQS") { "1.0" } else { "1.1" };
            let kind = format!("application/x-amz-json-{version}");
            Response::new(200, value.to_string()).with("content-type", kind)
        };
        let cbor = |value: &Value| {
            let response = Response::new(200, cbor(value)).with("content-type", "application/cbor");
            response.with("smithy-protocol", "rpc-v2-cbor")
        };
        match (operation, request.path.rsplit('/').next().unwrap()) {
            ("DescribeLogGroups", _) => json(json!({"logGroups": self.groups.iter().filter(|one| {
                one.0.starts_with(asked["logGroupNamePrefix"].as_str().unwrap())
            }).map(|(name, (class, _))| {
                json!({"logGroupName": name, "logGroupClass": class})
            }).collect::<Vec<_>>()})),
            ("DescribeSubscriptionFilters", _) => {
                let (_, filters) = &self.groups[asked["logGroupName"].as_str().unwrap()];
                let filters = filters.iter().enumerate();
                let filter = |(n, to)| json!({"filterName": format!("f{n}"), "destinationArn": to});
                json(json!({"subscriptionFilters": filters.map(filter).collect::<Vec<_>>()}))
            }
            ("DescribeAccountPolicies", _) => {
                assert_eq!(asked["policyType"], "SUBSCRIPTION_FILTER_POLICY");
                let policy = self.policy.iter().map(|(to, except)| {
                    json!({
                        "policyName": "all", "policyType": "SUBSCRIPTION_FILTER_POLICY",
                        "policyDocument": json!({"DestinationArn": to}).to_string(),
                        "selectionCriteria": format!("LogGroupName NOT IN {}", json!(except)),
                    })
                });
                json(json!({"accountPolicies": policy.collect::<Vec<_>>()}))
            }
            ("GetQueueAttributes", _) => {
                let queue = asked["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap();
                let redrive = json!({"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:1:dead"});
                json(match queue {
                    "notices" => json!({"Attributes": {
                        "ApproximateNumberOfMessages": self.waiting.to_string(),
                        "ApproximateNumberOfMessagesNotVisible": "2",
                        "RedrivePolicy": redrive.to_string(),
                    }}),
                    "dead" => json!({"Attributes": {
                        "ApproximateNumberOfMessages": self.dead.to_string(),
                    }}),
                    other => panic!("{other}"),
                })
            }
            (_, "DescribeAlarms") => cbor(&json!({"MetricAlarms": self.alarms})),
            (_, "GetMetricStatistics") => {
                let points = self.age_s.iter().map(|age| json!({"Maximum": age}));
                cbor(&json!({"Label": "x", "Datapoints": points.collect::<Vec<_>>()}))
            }
            other => panic!("{other:?} {request:?}"),
        }
    }
}

/// RFC 8949, as far as answers of CloudWatch need it.
fn cbor(value: &Value) -> Vec<u8> {
    let head = |major: u8, length: usize| {
        let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
        vec![major << 5 | 25, high, low]
    };
    let text = |text: &str| [head(3, text.len()), text.as_bytes().to_vec()].concat();
    match value {
        Value::Bool(one) => vec![0xf4 + u8::from(*one)],
        Value::Number(one) => [vec![0xfb], one.as_f64().unwrap().to_be_bytes().to_vec()].concat(),
        Value::String(one) => text(one),
        Value::Array(all) => [head(4, all.len()), all.iter().flat_map(cbor).collect()].concat(),
        Value::Object(all) => {
            let fields = all.iter().flat_map(|(name, one)| [text(name), cbor(one)].concat());
            [head(5, all.len()), fields.collect()].concat()
        }
        Value::Null => vec![0xf6],
    }
}

/// All alarms of a deployment, quiet and told.
fn alarms() -> Vec<Value> {
    let alarm = |heading: &&str| {
        json!({
            "AlarmName": format!("hiwake: {heading}"), "ActionsEnabled": true,
            "AlarmActions": ["arn:aws:sns:eu-west-1:1:t"], "StateValue": "OK",
        })
    };
    ALARMS.iter().map(alarm).collect()
}

fn doctor(account: Account, toml: &str, args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    crate::given::put(folder.path(), "hiwake.toml", toml.as_bytes());
    let account = Arc::new(account);
    let address = serve(move |request| Some(account.answer(&request)));
    let mut command = Command::new(env!("CARGO_BIN_EXE_hiwake"));
    command.args(["doctor", "--json"]).args(args).current_dir(folder.path());
    if args.contains(&"--queue") {
        command.arg(format!("http://{address}/1/notices"));
    }
    command.env_clear().env("HOME", folder.path()).env("AWS_REGION", "eu-west-1");
    command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b");
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_ENDPOINT_URL", format!("http://{address}"));
    command.output().unwrap()
}

/// Each check's line, wrong ones with `!` in front.
fn said(account: Account, toml: &str, args: &[&str]) -> Vec<String> {
    let output = doctor(account, toml, args);
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let checks = answer["checks"].as_array().unwrap();
    let is_ok = checks.iter().all(|one| one["ok"] == true);
    assert_eq!((output.status.success(), answer["ok"] == true), (is_ok, is_ok), "{output:?}");
    let line = |one: &Value| {
        let wrong = if one["ok"] == true { "" } else { "!" };
        format!("{wrong}{}: {}", one["check"].as_str().unwrap(), one["says"].as_str().unwrap())
    };
    checks.iter().skip(1).map(line).collect()
}

fn with(groups: &[(&'static str, &'static str, &[&'static str])]) -> Account {
    let groups = groups.iter().map(|(name, class, to)| (*name, (*class, to.to_vec()))).collect();
    Account { groups, ..Account::default() }
}

#[test]
fn only_a_filter_to_the_pipelines_own_stream_subscribes_a_log_group() {
    let toml = "[[source]]\nlog_groups = ['a', 'b', 'c', 'd', 'e']\n";
    let account = with(&[
        ("a", "STANDARD", &[OTHER, OURS]),
        ("b", "STANDARD", &[OTHER]),
        ("c", "STANDARD", &[OTHER, OTHER]),
        ("d", "INFREQUENT_ACCESS", &[]),
    ]);
    let said = said(account, toml, &["--log-groups"]);
    assert_eq!(said[0], format!("log group a: filter f1 to {OURS}"));
    assert!(said[1].starts_with("!log group b: has no filter to the stream hiwake"), "{said:?}");
    assert!(said[1].ends_with(&format!("(its filter: f0 to {OTHER}); deploy")), "{said:?}");
    assert!(said[2].ends_with("remove one of them, then deploy"), "{said:?}");
    assert!(said[3].contains("is of class INFREQUENT_ACCESS"), "{said:?}");
    assert!(said[4].starts_with("!log group e: does not exist"), "{said:?}");
    let of_audit = &["--log-groups", "--pipeline", "audit"];
    let said =
        self::said(with(&[("a", "STANDARD", &[OURS, OTHER])]), toml_of("a", "filter"), of_audit);
    assert_eq!(said, [format!("log group a: filter f1 to {OTHER}")]);
}

fn toml_of(name: &str, how: &str) -> &'static str {
    format!("[[source]]\nlog_groups = ['{name}']\nsubscribe = '{how}'\n").leak()
}

#[test]
fn a_log_group_that_the_account_policy_serves_is_right() {
    let group = || with(&[("a", "STANDARD", &[])]);
    let policy =
        |to, except: &[&'static str]| Account { policy: Some((to, except.to_vec())), ..group() };
    let args = &["--log-groups"];
    for how in ["account", "manual"] {
        let said = said(policy(OURS, &["/hiwake/hiwake/land"]), toml_of("a", how), args);
        let log_group = format!("log group a: account policy all to {OURS}");
        assert_eq!(said.last(), Some(&log_group), "{how}");
        assert_eq!(said.len(), if how == "account" { 2 } else { 1 });
    }
    let account = toml_of("a", "account");
    let said = |of| self::said(of, account, args);
    assert_eq!(said(policy(OURS, &[]))[0], format!("account policy: all to {OURS}"));
    let missing = said(group());
    assert!(missing[0].starts_with("!account policy: does not exist"), "{missing:?}");
    assert!(missing[1].ends_with("see the account policy"), "{missing:?}");
    let other = said(policy(OTHER, &[]));
    assert!(other[0].starts_with(&format!("!account policy: all sends to {OTHER}")), "{other:?}");
    assert!(other[1].starts_with("!log group a"), "{other:?}");
    let left_out = said(policy(OURS, &["a"]));
    assert!(left_out[1].ends_with("the account policy excludes it; deploy again"));
}

#[test]
fn alarms_are_there_switched_on_told_and_quiet() {
    let of = |change: fn(&mut Vec<Value>)| {
        let mut alarms = alarms();
        change(&mut alarms);
        said(Account { alarms, ..Account::default() }, "", &["--alarms"])
    };
    let right = of(|_| {});
    assert_eq!(
        right,
        [
            format!("alarms of hiwake: {} exist", ALARMS.len()),
            "alarm actions: every alarm has an action".to_owned(),
            "alarms ringing: none is ringing".to_owned(),
        ]
    );
    let missing = of(|all| drop(all.remove(0)));
    assert_eq!(missing[0], "!alarms of hiwake: missing: hiwake: backup failing; deploy again");
    let none = of(Vec::clear);
    assert!(
        none[0].starts_with("!alarms of hiwake: no alarm name begins with `hiwake: `"),
        "{none:?}"
    );
    let off = of(|all| all[1]["ActionsEnabled"] = json!(false));
    assert!(
        off[1].ends_with("enable-alarm-actions --alarm-names 'hiwake: backup too old'"),
        "{off:?}"
    );
    let one_silent = of(|all| all[1]["AlarmActions"] = json!([]));
    assert!(one_silent[1].starts_with("!alarm actions: without an action: hiwake: backup too old"));
    // As it is deployed by default: nobody is told, and that is said.
    let silent = of(|all| all.iter_mut().for_each(|one| one["AlarmActions"] = json!([])));
    assert!(silent[1].starts_with("alarm actions: no alarm has an action"), "{silent:?}");
    let rings = of(|all| all[2]["StateValue"] = json!("ALARM"));
    assert!(rings[2].starts_with("!alarms ringing: hiwake: days too old"), "{rings:?}");
}

#[test]
fn the_queue_tells_its_age_and_its_dead_letters_and_what_to_do() {
    let of = |waiting, age_s, dead| {
        said(Account { waiting, age_s, dead, ..Account::default() }, "", &["--queue"])
            .into_iter()
            .map(|line| line.split_once(": ").unwrap().1.replace("//127.0.0.1", ""))
            .collect::<Vec<_>>()
    };
    let fine = of(3, Some(90.0), 0);
    assert!(
        fine[0].ends_with("3 notices wait, the oldest for 1m 30s; 2 are in progress"),
        "{fine:?}"
    );
    assert_eq!(fine[1], "none in dead");
    assert!(of(0, None, 0)[0].ends_with("0 notices wait; 2 are in progress"));
    let old = of(3, Some(1801.0), 4);
    assert!(old[0].contains("the oldest for 30m 1s") && old[0].contains("notices too old"));
    assert!(old[1].starts_with("4 in dead") && old[1].contains("dead letters"), "{old:?}");
}

/// `/sys` takes no file of anybody, root neither.
#[test]
fn where_this_user_may_only_read_what_needs_writing_is_skipped() {
    let said = said(Account::default(), "", &["--root", "/sys"]);
    assert!(
        said[0].starts_with("writing: skipped, because this user may not write here"),
        "{said:?}"
    );
    let names: Vec<_> = said.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(names, ["writing", "reading"]);
}

#[test]
fn a_reader_needs_no_configuration_and_log_groups_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hiwake"));
        command.arg("doctor").args(args).current_dir(folder.path()).env_remove("HIWAKE_CONFIG");
        command.env_remove("HIWAKE_ROOT").output().unwrap()
    };
    let output = run(&["--root", "/sys"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("configuration: skipped"));
    assert_eq!(run(&["--log-groups"]).status.code(), Some(2));
    assert_eq!(run(&["--root", "/sys", "--config", "other.toml"]).status.code(), Some(2));
    assert_eq!(run(&[]).status.code(), Some(2));
}
