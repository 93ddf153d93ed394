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
        let group = |name: &str| json!({"logGroupName": name, "arn": format!("arn:aws:logs:ap-northeast-1:123456789012:log-group:{name}:*")});
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

fn backfill(folder: &Path, address: &str, more: &[&str]) -> Output {
    let config = put(
        folder,
        "hiwake.toml",
        b"[[source]]\nlog_groups = [\"/var/*\"]\nfile = \"messages\"\nlabels = [\"L\"]\n",
    );
    let mut command = command(env!("CARGO_BIN_EXE_hiwake"));
    command.args([
        "backfill",
        "--since",
        "2022-04-17T15:00:00Z",
        "--until",
        "2022-04-18T15:00:00Z",
        "--json",
    ]);
    command.args(["--now", "2022-04-19T00:00:00Z", "--config"]).arg(config);
    command.arg("--root").arg(folder.join("root")).args(more);
    command.env("AWS_ENDPOINT_URL", format!("http://{address}")).output().unwrap()
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
    let group = ["--log-group", GROUP];
    let output = backfill(folder.path(), &address, &group);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("goes on from there") && said.contains(GROUP) && said.contains("not now"),
        "{said}"
    );
    state.lock().unwrap().denied_from = None;
    let first: Vec<_> = std::mem::take(&mut state.lock().unwrap().windows);
    let answer = counts(&backfill(folder.path(), &address, &group));
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
    let answer = counts(&backfill(folder.path(), &address, &group));
    assert_eq!((&answer["new"], &answer["there_before"]), (&0.into(), &11.into()));
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
    let config = put(
        folder.path(),
        "hiwake.toml",
        b"[[source]]\nlog_groups = [\"/var/*\"]\nfile = \"messages\"\nlabels = [\"L\"]\n",
    );
    let mut land = command(env!("CARGO_BIN_EXE_hiwake"));
    land.arg("land")
        .arg(object)
        .arg("--root")
        .arg(folder.path().join("root"))
        .arg("--config")
        .arg(config);
    assert!(land.output().unwrap().status.success());
    let answer = counts(&backfill(folder.path(), &address, &["--log-group", GROUP]));
    assert_eq!((&answer["new"], &answer["there_before"]), (&1.into(), &1.into()), "{answer}");
    let output = backfill(folder.path(), &address, &["--log-group", "/var/log"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("log group /var/log: does not exist"), "{said}");
}
