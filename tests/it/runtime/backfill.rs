//! Backfill from a CloudWatch Logs that pages, throttles and breaks off.

use std::process::Output;
use std::sync::{Arc, Mutex};

use super::http::{Request, Response, serve};
use super::*;
use crate::given::{T, put};

const GROUP: &str = "/var/log/messages";

#[derive(Default)]
struct State {
    /// Times of the events; the n-th has id n.
    events: Vec<i64>,
    /// So many requests are throttled before one is answered.
    throttled: usize,
    /// From this request on it is denied.
    denied_from: Option<usize>,
    requests: usize,
    region: &'static str,
    windows: Vec<(i64, i64)>,
}

fn logs(state: State) -> (String, Arc<Mutex<State>>) {
    let state = Arc::new(Mutex::new(state));
    let inner = state.clone();
    let address = serve(move |request| {
        let (status, body) = answer(&mut inner.lock().unwrap(), &request);
        Some(
            Response::new(status, body.to_string())
                .with("content-type", "application/x-amz-json-1.1"),
        )
    });
    (address, state)
}

fn answer(state: &mut State, request: &Request) -> (u16, Value) {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    if request.headers["x-amz-target"] == "Logs_20140328.DescribeLogGroups" {
        let region = if state.region.is_empty() { "ap-northeast-1" } else { state.region };
        let group = |name: &str| json!({"logGroupName": name, "arn": format!("arn:aws:logs:{region}:123456789012:log-group:{name}:*")});
        return (200, json!({"logGroups": [group("/var/log/messages-old"), group(GROUP)]}));
    }
    if state.throttled > 0 {
        state.throttled -= 1;
        return (400, json!({"__type": "ThrottlingException", "message": "Rate exceeded"}));
    }
    state.requests += 1;
    if state.denied_from.is_some_and(|from| state.requests >= from) {
        return (400, json!({"__type": "AccessDeniedException", "message": "not now"}));
    }
    let (start, end) = (body["startTime"].as_i64().unwrap(), body["endTime"].as_i64().unwrap());
    state.windows.push((start, end));
    let found = state.events.iter().enumerate().filter(|(_, at)| (start..=end).contains(at));
    let found: Vec<_> = found.collect();
    let from: usize = body["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let page = found.iter().skip(from).take(2).map(|(n, at)| {
        json!({"eventId": n.to_string(), "logStreamName": format!("s{}", n % 3), "timestamp": at, "message": format!("event {n}"), "ingestionTime": at})
    });
    let mut answer = json!({"events": page.collect::<Vec<_>>(), "searchedLogStreams": []});
    if from + 2 < found.len() {
        answer["nextToken"] = json!((from + 2).to_string());
    }
    (200, answer)
}

const TOML: &str = "[[source]]\nlog_groups = [\"/var/*\"]\nfile = \"messages\"\nlabels = [\"L\"]\n";
/// From midnight in Tokyo to midnight, long after.
const THE_DAY: &str = "--log-group /var/log/messages --since 2022-04-17T15:00:00Z --until 2022-04-18T15:00:00Z --now 2022-04-19T00:00:00Z";

fn backfill(folder: &Path, address: &str, arguments: &str) -> Output {
    hiwake(folder, TOML, &format!("backfill --json {arguments}"))
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .output()
        .unwrap()
}

/// A command over the root in this folder.
fn hiwake(folder: &Path, toml: &str, arguments: &str) -> std::process::Command {
    let config = put(folder, "hiwake.toml", toml.as_bytes());
    let mut command = command(env!("CARGO_BIN_EXE_hiwake"));
    command.args(arguments.split(' ')).arg("--config").arg(config);
    command.arg("--root").arg(folder.join("root"));
    command
}

fn counts(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn events_land_once_whatever_is_paged_throttled_or_broken_off() {
    let folder = tempfile::tempdir().unwrap();
    let hour = 3_600_000;
    // One before, one at the very end, which is not asked for.
    let mut events: Vec<i64> = (0..9).map(|n| T + n * 40_000).collect();
    events.extend([T + 5 * hour, T + 9 * hour, T - 3 * hour, 1_650_294_000_000]);
    let (address, state) =
        logs(State { events, throttled: 3, denied_from: Some(7), ..State::default() });
    let output = backfill(folder.path(), &address, THE_DAY);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("resumes there") && said.contains(GROUP) && said.contains("not now"),
        "{said}"
    );
    state.lock().unwrap().denied_from = None;
    let first: Vec<_> = std::mem::take(&mut state.lock().unwrap().windows);
    let answer = counts(&backfill(folder.path(), &address, THE_DAY));
    let went_on = answer["from"].as_i64().unwrap();
    assert_eq!(went_on, state.lock().unwrap().windows[0].0);
    assert!(went_on > first[0].0, "{answer}");
    let text =
        std::fs::read_to_string(folder.path().join("root/messages/2022-04-18.csv.open")).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    let mut expected: Vec<_> = (0..11).map(|n| format!("L,event {n}")).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    // All of the time, without a gap and without an overlap.
    let mut windows = state.lock().unwrap().windows.clone();
    windows.dedup();
    assert!(windows.windows(2).all(|pair| pair[1].0 == pair[0].1 + 1), "{windows:?}");
    // Done: the same command begins afresh, and changes nothing.
    let answer = counts(&backfill(folder.path(), &address, THE_DAY));
    assert_eq!((&answer["new"], &answer["already_landed"]), (&0.into(), &11.into()));
    assert_eq!(answer["from"], Value::Null);
}

#[test]
fn events_that_firehose_brought_are_not_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let (address, _) = logs(State { events: vec![T, T + 1], ..State::default() });
    let envelope = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": GROUP, "logStream": "s1",
        "subscriptionFilters": ["all"], "logEvents": [{"id": "1", "timestamp": T + 1, "message": "event 1"}],
    });
    let object = put(folder.path(), "object", &crate::given::gzipped(&envelope));
    let mut land = hiwake(folder.path(), TOML, "land");
    land.arg(object);
    assert!(land.output().unwrap().status.success());
    let answer = counts(&backfill(folder.path(), &address, THE_DAY));
    assert_eq!((&answer["new"], &answer["already_landed"]), (&1.into(), &1.into()), "{answer}");
    let moved = TOML.replace("messages", "syslog");
    let mut moved = hiwake(folder.path(), &moved, &format!("backfill --json {THE_DAY}"));
    let output = moved.env("AWS_ENDPOINT_URL", format!("http://{address}")).output().unwrap();
    let answer = counts(&output);
    assert_eq!((&answer["new"], &answer["already_landed"]), (&0.into(), &2.into()), "{answer}");
    let output = backfill(folder.path(), &address, &THE_DAY.replace(GROUP, "/var/log"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("log group /var/log: does not exist"), "{said}");
}

/// A backfill that was interrupted after some windows.
fn cut_off(folder: &Path, arguments: &str) -> (String, Arc<Mutex<State>>) {
    let (address, state) = logs(State { denied_from: Some(4), ..State::default() });
    let output = backfill(folder, &address, arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let mut inner = state.lock().unwrap();
    assert!(inner.windows.len() == 3 && inner.windows[1] != inner.windows[0]);
    (inner.denied_from, inner.windows) = (None, Vec::new());
    drop(inner);
    (address, state)
}

#[test]
fn a_backfill_goes_on_only_in_the_same_region_and_under_the_same_routing() {
    let folder = tempfile::tempdir().unwrap();
    let (address, state) = cut_off(folder.path(), THE_DAY);
    state.lock().unwrap().region = "us-west-2";
    assert_eq!(counts(&backfill(folder.path(), &address, THE_DAY))["from"], Value::Null);
    state.lock().unwrap().region = "";
    let moved = TOML.replace("messages", "syslog");
    let mut other = hiwake(folder.path(), &moved, &format!("backfill --json {THE_DAY}"));
    let output = other.env("AWS_ENDPOINT_URL", format!("http://{address}")).output().unwrap();
    assert_eq!(counts(&output)["from"], Value::Null);
    // The interrupted one resumes all the same, and starts over when it is told to.
    let (address, _) = cut_off(folder.path(), &format!("{THE_DAY} --from-start"));
    let output = backfill(folder.path(), &address, THE_DAY);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(said.contains("resuming from 20") && said.contains("--from-start"), "{said}");
    assert!(counts(&output)["from"].is_i64());
    let (address, _) = cut_off(folder.path(), THE_DAY);
    let answer = counts(&backfill(folder.path(), &address, &format!("{THE_DAY} --from-start")));
    assert_eq!(answer["from"], Value::Null);
}

#[test]
fn what_may_still_be_logged_is_read_again_by_the_run_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // 15 minutes before this `--now` is in the third window; the fourth request is denied.
    let day = THE_DAY.replace("2022-04-19T00:00:00Z", "2022-04-17T16:30:00Z");
    let day = day.replace("--since 2022-04-17T15", "--since 2022-04-17T13");
    let settled = 1_650_211_200_000_i64 + 15 * 60_000;
    let (address, state) = cut_off(folder.path(), &day);
    state.lock().unwrap().events = vec![T];
    let answer = counts(&backfill(folder.path(), &address, &day));
    assert_eq!(answer["from"], settled, "{answer}");
    assert_eq!((&answer["new"], &answer["unsettled_from"]), (&1.into(), &settled.into()));
    let mut text = hiwake(folder.path(), TOML, &format!("backfill {day}"));
    let output = text.env("AWS_ENDPOINT_URL", format!("http://{address}")).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("after 2022-04-17T16:15:00Z") && said.contains("again"), "{said}");
}

#[test]
fn nothing_is_asked_for_that_nobody_can_have_logged_yet() {
    let folder = tempfile::tempdir().unwrap();
    let (address, state) = logs(State { events: vec![T], ..State::default() });
    let far = THE_DAY.replace("2022-04-18T15:00:00Z", "2052-04-18T15:00:00Z");
    let answer = counts(&backfill(folder.path(), &address, &far));
    assert_eq!(answer["new"], 1, "{answer}");
    let now = 1_650_326_400_000;
    let last = state.lock().unwrap().windows.iter().map(|(_, end)| *end).max().unwrap();
    assert!((now..=now + 2 * 3_600_000).contains(&last), "{last}");
}
