//! A Lambda's binary as a process, and the Runtime API that it asks for events.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use hiwake::clock::Clock;
use serde_json::Value;

use super::http::{Request, Response, serve};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a function answers: its bytes, or its error.
pub type Answer = Result<Vec<u8>, Value>;

/// An event's bytes, and its deadline in milliseconds since the epoch.
type Event = (Vec<u8>, i64);

/// A running function. Dropped, it is ended.
pub struct Lambda {
    child: Child,
    events: Sender<Event>,
    answers: Receiver<Answer>,
    lines: Receiver<String>,
    spawned: Instant,
    first: Receiver<Instant>,
    /// What the Runtime API says instead of when time is up.
    pub deadline: Option<i64>,
    /// All lines of standard output that were looked at.
    pub log: Vec<String>,
}

/// A function's command, with nothing of this process's environment.
pub fn command(binary: &str) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().envs([
        ("AWS_LAMBDA_FUNCTION_NAME", "hiwake"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_REGION", "ap-northeast-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "SECRETACCESSKEY"),
        ("AWS_SESSION_TOKEN", "SESSIONTOKEN"),
        ("HIWAKE_PIPELINE", "test"),
        // A panic of ours would otherwise only be a line.
        ("RUST_BACKTRACE", "1"),
    ]);
    command.stdout(Stdio::piped());
    command
}

impl Lambda {
    pub fn start(mut command: Command) -> Lambda {
        let (events, to_do) = channel();
        let (done, answers) = channel();
        let (asked, first) = channel();
        let (to_do, number) = (Mutex::<Receiver<Event>>::new(to_do), Mutex::new(0));
        let api = serve(move |request| match request.method.as_str() {
            "GET" => {
                assert_eq!(request.path, "/2018-06-01/runtime/invocation/next");
                // Of use once, and only to those who measure.
                asked.send(Instant::now()).ok();
                let (event, deadline) = to_do.lock().unwrap().recv().ok()?;
                let mut number = number.lock().unwrap();
                *number += 1;
                let next = Response::new(200, event)
                    .with("lambda-runtime-aws-request-id", format!("request-{number}"))
                    .with("lambda-runtime-deadline-ms", deadline.to_string())
                    .with("lambda-runtime-invoked-function-arn", "arn:aws:lambda:x:1:function:f");
                Some(next)
            }
            _ => {
                done.send(answer(&request, *number.lock().unwrap())).ok()?;
                Some(Response::new(202, ""))
            }
        });
        command.env("AWS_LAMBDA_RUNTIME_API", api);
        let spawned = Instant::now();
        let mut child = command.spawn().unwrap();
        let (line, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|text| line.send(text))
        });
        Lambda { child, events, answers, lines, spawned, first, deadline: None, log: Vec::new() }
    }

    /// One invocation with a minute's time.
    pub fn invoke(&self, event: &[u8]) -> Answer {
        self.invoke_within(event, PATIENCE)
    }

    /// One invocation.
    pub fn invoke_within(&self, event: &[u8], time: Duration) -> Answer {
        let deadline = Clock::System.now() + time.as_millis() as i64;
        let deadline = self.deadline.unwrap_or(deadline);
        self.events.send((event.to_vec(), deadline)).unwrap();
        self.answers.recv_timeout(PATIENCE).expect("an answer")
    }

    /// One invocation that succeeds.
    pub fn json(&self, event: &Value) -> Value {
        let answer = self.invoke(event.to_string().as_bytes()).expect("no function error");
        serde_json::from_slice(&answer).unwrap()
    }

    /// The next metrics that were sent.
    pub fn metrics(&mut self) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("metrics");
            let value: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            self.log.push(line);
            if value.get("_aws").is_some() {
                return value;
            }
        }
    }

    /// How long it took to ask for its first event.
    #[allow(dead_code, reason = "for benches/startup")]
    pub fn startup(&self) -> Duration {
        self.first.recv_timeout(PATIENCE).expect("the first event is asked for") - self.spawned
    }

    /// The most memory that it has had.
    #[allow(dead_code, reason = "for benches/startup")]
    pub fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Ends the function; everything it wrote to standard output.
    pub fn end(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut log = std::mem::take(&mut self.log);
        log.extend(self.lines.iter());
        log.join("\n")
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn answer(request: &Request, number: i32) -> Answer {
    assert_eq!(request.method, "POST");
    let rest = request.path.strip_prefix("/2018-06-01/runtime/invocation/").unwrap();
    let (id, what) = rest.split_once('/').unwrap();
    assert_eq!(id, format!("request-{number}"));
    match what {
        "response" => Ok(request.body.clone()),
        "error" => Err(serde_json::from_slice(&request.body).unwrap()),
        what => panic!("{what}"),
    }
}
