//! Just enough of S3 on loopback: GET and HEAD with ranges and If-Match, listing, and everything
//! that goes wrong with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::http::{Request, Response, serve};

/// A bucket whose objects are in memory.
#[derive(Clone)]
pub struct Bucket {
    pub address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    faults: BTreeMap<String, Fault>,
    /// Method, key and range of each request.
    requests: Vec<String>,
}

/// What is wrong with an object.
#[derive(Clone)]
pub enum Fault {
    /// S3 refuses with this status and body, always.
    Refused(u16, String),
    /// It does not answer for so long.
    Slow(Duration),
    /// After the first request it is replaced by this.
    Replaced(Vec<u8>),
    /// So many requests fail with a 503, then it is well.
    Unavailable(usize),
}

impl Bucket {
    /// Under the name `logs`.
    pub fn start() -> Bucket {
        let state = Arc::new(Mutex::new(State::default()));
        let inner = state.clone();
        let address = serve(move |request| Some(answer(&inner, &request)));
        Bucket { address, state }
    }

    pub fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().objects.insert(key.to_owned(), bytes.into());
    }

    pub fn fault(&self, key: &str, fault: Fault) {
        self.state.lock().unwrap().faults.insert(key.to_owned(), fault);
    }

    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// What a process needs to find it.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }
}

/// S3's error answer. It repeats what it was sent, as S3 does.
pub fn error(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>Told by {code}</Message>\
         <Token-0>SESSIONTOKEN</Token-0><AWSAccessKeyId>AKIDEXAMPLE</AWSAccessKeyId></Error>"
    )
}

fn answer(state: &Mutex<State>, request: &Request) -> Response {
    assert!(
        request.headers["authorization"].contains("/ap-northeast-1/s3/aws4_request"),
        "signed for the region: {request:?}"
    );
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let path = percent_decode_str(path).decode_utf8().unwrap();
    let key = path.strip_prefix("/logs").unwrap().trim_start_matches('/').to_owned();
    if key.is_empty() {
        return list(&state.lock().unwrap(), query);
    }
    let mut now = state.lock().unwrap();
    let range = request.headers.get("range").cloned().unwrap_or_default();
    now.requests.push(format!("{} {key} {range}", request.method));
    let object = now.objects.get(&key).cloned();
    match now.faults.get_mut(&key).cloned() {
        Some(Fault::Refused(status, body)) => return Response::new(status, body),
        Some(Fault::Slow(time)) => {
            drop(now);
            std::thread::sleep(time);
        }
        Some(Fault::Replaced(bytes)) => {
            now.objects.insert(key.clone(), bytes);
            now.faults.remove(&key);
        }
        Some(Fault::Unavailable(0)) | None => {}
        Some(Fault::Unavailable(left)) => {
            now.faults.insert(key, Fault::Unavailable(left - 1));
            return Response::new(503, error("SlowDown"));
        }
    }
    let Some(object) = object else { return Response::new(404, error("NoSuchKey")) };
    let etag = format!("\"{:016x}\"", xxhash_rust::xxh3::xxh3_64(&object));
    if request.headers.get("if-match").is_some_and(|wanted| *wanted != etag) {
        return Response::new(412, error("PreconditionFailed"));
    }
    let full = |response: Response| {
        response.with("etag", &etag).with("last-modified", "Sun, 17 Apr 2022 17:01:08 GMT")
    };
    let Some(range) = range.strip_prefix("bytes=") else {
        let length = object.len();
        return full(Response::new(200, object)).with("content-length", length.to_string());
    };
    let (start, end) = range.split_once('-').unwrap();
    let start: usize = start.parse().unwrap();
    let end = (end.parse::<usize>().unwrap() + 1).min(object.len());
    if start >= object.len() {
        return Response::new(416, error("InvalidRange"));
    }
    full(Response::new(206, &object[start..end]))
        .with("content-range", format!("bytes {start}-{}/{}", end - 1, object.len()))
}

fn list(state: &State, query: &str) -> Response {
    let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default();
    let prefix = percent_decode_str(prefix).decode_utf8().unwrap().into_owned();
    let found = state.objects.iter().filter(|(key, _)| key.starts_with(&prefix));
    let contents: String = found
        .map(|(key, bytes)| {
            format!(
                "<Contents><Key>{key}</Key><LastModified>2022-04-17T17:01:08.000Z</LastModified><ETag>\"e\"</ETag>\
                 <Size>{}</Size></Contents>",
                bytes.len()
            )
        })
        .collect();
    Response::new(
        200,
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
        ),
    )
}
