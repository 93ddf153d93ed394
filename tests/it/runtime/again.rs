//! Replay by a queue: what SQS is told, and what the land function makes of it.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use super::http::{Request, Response, serve};
use super::*;
use crate::given::{self, gzipped};

const TOML: &str = "[[source]]\nlog_groups = [\"/var/log/messages\"]\nfile = \"messages\"\n";

/// Just enough of a queue: it takes messages, and refuses some of them for a while.
#[derive(Clone)]
struct Queue {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    bodies: Vec<String>,
    /// How often each request may still be refused in part, and whether that is the sender's fault.
    refusals: usize,
    sender_fault: bool,
    sizes: Vec<usize>,
    /// From this request on nothing is answered.
    silent_from: Option<usize>,
}

impl Queue {
    fn start(refusals: usize, sender_fault: bool) -> Queue {
        let state = State { refusals, sender_fault, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let inner = state.clone();
        let address = serve(move |request| {
            let mut state = inner.lock().unwrap();
            if state.silent_from.is_some_and(|from| state.sizes.len() >= from) {
                state.sizes.push(0);
                drop(state);
                loop {
                    std::thread::park();
                }
            }
            Some(answer(&mut state, &request))
        });
        Queue { address, state }
    }
}

fn answer(state: &mut State, request: &Request) -> Response {
    assert_eq!(request.headers["x-amz-target"], "AmazonSQS.SendMessageBatch");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let entries = body["Entries"].as_array().unwrap();
    state.sizes.push(entries.len());
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (n, entry) in entries.iter().enumerate() {
        if state.refusals > 0 && n % 3 == 1 {
            state.refusals -= 1;
            refused.push(json!({
                "Id": entry["Id"], "SenderFault": state.sender_fault, "Code": "InternalError", "Message": "told",
            }));
        } else {
            state.bodies.push(entry["MessageBody"].as_str().unwrap().to_owned());
            taken.push(json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "0"}));
        }
    }
    let answer = json!({"Successful": taken, "Failed": refused}).to_string();
    Response::new(200, answer).with("content-type", "application/x-amz-json-1.0")
}

fn replay(function: &LandFunction, queue: &Queue, more: &[&str]) -> Output {
    replaying(function, queue, more).output().unwrap()
}

fn replaying(function: &LandFunction, queue: &Queue, more: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_hiwake"));
    command.args(["replay", "s3://logs/backup", "--queue"]);
    command.arg(format!("http://{}/123456789012/land", queue.address));
    command.arg("--config").arg(function.root.path().join("hiwake.toml")).args(more);
    command.env("AWS_ENDPOINT_URL_SQS", format!("http://{}", queue.address));
    command.envs(function.bucket.environment()).env("HOME", function.root.path().join("home"));
    command
}

/// Puts so many objects into the backup; how long they are together.
fn put(function: &LandFunction, count: usize) -> usize {
    let mut bytes = 0;
    for n in 0..count {
        let mut envelope = given::envelope(&["m"]);
        envelope["logEvents"][0]["id"] = json!(format!("id {n}"));
        let object = [gzipped(&envelope), b"plain\n".to_vec()].concat();
        bytes += object.len();
        function.bucket.put(&format!("backup/2022/04/17/16/a b+{n:02}"), object);
    }
    bytes
}

fn event(bodies: &[String]) -> Value {
    let record = |(n, body): (usize, &String)| json!({"messageId": n.to_string(), "body": body, "eventSource": "aws:sqs"});
    json!({"Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>()})
}

#[test]
fn each_key_is_sent_in_tens_and_again_until_the_queue_has_it_and_the_land_lambda_lands_it() {
    let function = LandFunction::new(TOML);
    put(&function, 23);
    let queue = Queue::start(7, false);
    let output = replay(&function, &queue, &[]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("sent 23 notices of "), "{said}");
    let state = queue.state.lock().unwrap();
    assert!(
        state.sizes.iter().all(|size| *size <= 10) && state.sizes.len() > 3,
        "{:?}",
        state.sizes
    );
    let bodies: BTreeSet<_> = state.bodies.iter().cloned().collect();
    assert_eq!((bodies.len(), state.bodies.len()), (23, 23), "each once");
    let answer = function.lambda.json(&event(&state.bodies));
    assert_eq!(answer, json!({"batchItemFailures": []}));
    assert_eq!(function.text("messages/2022-04-18.csv.open").lines().count(), 23);
    assert!(!function.root.path().join("efs/plain").exists(), "plain text would be there twice");
}

#[test]
fn what_the_queue_never_takes_is_named_and_only_that_is_sent_again() {
    let function = LandFunction::new(TOML);
    let bytes = put(&function, 4);
    let queue = Queue::start(usize::MAX, true);
    let output = replay(&function, &queue, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let place = "not sent: logs/backup/2022/04/17/16/a b+01: ";
    assert!(said.contains(place) && said.contains("InternalError: told"), "{said}");
    assert!(said.contains("it resumes"), "{said}");
    let first: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&first["notices"], &first["not_sent"]), (&3.into(), &1.into()));
    queue.state.lock().unwrap().refusals = 0;
    let output = replay(&function, &queue, &["--json"]);
    let second: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&second["notices"], &second["not_sent"]), (&1.into(), &0.into()), "{second}");
    let sent = |answer: &Value| answer["bytes"].as_u64().unwrap() as usize;
    assert!(sent(&first) > sent(&second) && sent(&second) > 0);
    assert_eq!(sent(&first) + sent(&second), bytes, "only what was sent is counted");
}

#[test]
fn a_queue_replay_that_was_killed_goes_on_after_what_it_has_sent() {
    let function = LandFunction::new(TOML);
    let bytes = put(&function, 23);
    let queue = Queue::start(0, false);
    queue.state.lock().unwrap().silent_from = Some(1);
    let mut child = replaying(&function, &queue, &[]).spawn().unwrap();
    let start = std::time::Instant::now();
    while queue.state.lock().unwrap().sizes.len() < 2 {
        assert!(start.elapsed().as_secs() < 25, "no second batch");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it was killed");
    queue.state.lock().unwrap().silent_from = None;
    let output = replay(&function, &queue, &["--json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["notices"], &answer["sent_before"]), (&13.into(), &10.into()), "{answer}");
    assert!(answer["bytes"].as_u64().unwrap() < bytes as u64, "{answer}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("skipping 10 objects") && said.contains("--from-start"), "{said}");
    let bodies = queue.state.lock().unwrap().bodies.clone();
    assert_eq!((bodies.iter().collect::<BTreeSet<_>>().len(), bodies.len()), (23, 23));
    assert_eq!(function.lambda.json(&event(&bodies)), json!({"batchItemFailures": []}));
    assert_eq!(function.text("messages/2022-04-18.csv.open").lines().count(), 23);
    // It is done: the same command begins afresh.
    let answer = replay(&function, &queue, &["--json"]);
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!((&answer["notices"], &answer["sent_before"]), (&23.into(), &0.into()), "{answer}");
    assert_eq!(answer["bytes"], bytes, "{answer}");
}

#[test]
fn after_a_change_of_routing_a_replay_finds_what_has_landed_in_the_other_file() {
    let mut function = LandFunction::new(TOML);
    function.bucket.put("backup/a", gzipped(&given::envelope(&["m"])));
    let queue = Queue::start(0, false);
    assert!(replay(&function, &queue, &[]).status.success());
    let bodies = queue.state.lock().unwrap().bodies.clone();
    assert_eq!(function.lambda.json(&event(&bodies)), json!({"batchItemFailures": []}));
    // The land function is replaced by one of another routing, over the same files; a new object
    // comes.
    let changed = TOML.replace("file = \"messages\"", "file = \"syslog\"");
    given::put(function.root.path(), "hiwake.toml", changed.as_bytes());
    let mut land = command(LAND);
    land.env("HIWAKE_CONFIG", function.root.path().join("hiwake.toml"))
        .env("HIWAKE_ROOT", function.root.path().join("efs"))
        .envs(function.bucket.environment());
    function.lambda = Lambda::start(land);
    let mut other = given::envelope(&["new"]);
    other["logEvents"][0]["id"] = json!("another");
    function.bucket.put("raw/b", gzipped(&other));
    assert!(
        function.land(1, &[("first", &["raw/b"])]).is_empty(),
        "what comes for the first time lands"
    );
    assert_eq!(function.lambda.json(&event(&bodies)), json!({"batchItemFailures": []}));
    assert_eq!(function.quarantine(), "");
    assert_eq!(function.text("messages/2022-04-18.csv.open").lines().count(), 1);
    assert_eq!(function.text("syslog/2022-04-18.csv.open").lines().count(), 1);
}
