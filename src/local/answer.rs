//! How the real service treats a transform's answer: a bad part fails alone, a failed call fails
//! everything.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// An error that a transform returned, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FunctionError(pub String);

/// The outcome of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// The record is delivered.
    Ok(Vec<u8>),
    /// The record is deleted.
    Dropped,
    /// The record goes into `failed/`, with Firehose's error code and message.
    Failed(&'static str, String),
}

impl Fate {
    fn failed(code: &'static str, message: &str) -> Fate {
        Fate::Failed(code, message.to_owned())
    }
}

/// The code of an answer, or of a record in it, that cannot be read.
const JSON: &str = "Lambda.JsonProcessingException";

/// A transform's answer.
#[derive(Deserialize)]
pub struct Reply {
    /// One entry for each record.
    pub records: Vec<Answered>,
}

/// The answer for one record.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// The record's id.
    pub record_id: String,
    /// `Ok`, `Dropped` or `ProcessingFailed`.
    pub result: String,
    /// The data in base64.
    pub data: Option<String>,
}

/// The outcome of each record, in order. An `Err` is a function error that persisted after retries.
pub(super) fn fates(answer: Result<Vec<u8>, FunctionError>, ids: &[&str]) -> Vec<Fate> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return vec![Fate::failed("Lambda.FunctionError", &error.0); ids.len()],
    };
    let Ok(answer) = serde_json::from_slice::<Reply>(&answer) else {
        let message = "There was an error parsing returned records from the Lambda function.";
        return vec![Fate::failed(JSON, message); ids.len()];
    };
    let mut by_id: HashMap<&str, Vec<&Answered>> = HashMap::new();
    for answered in &answer.records {
        by_id.entry(&answered.record_id).or_default().push(answered);
    }
    ids.iter().map(|id| fate(by_id.get(id).map_or(&[], Vec::as_slice))).collect()
}

fn fate(answers: &[&Answered]) -> Fate {
    let (code, message) = match answers {
        [] => ("Lambda.MissingRecordId", "One or more record Ids were not returned."),
        [answer] => {
            let data = answer.data.as_ref().and_then(|data| STANDARD.decode(data).ok());
            match (answer.result.as_str(), data) {
                ("Dropped", _) => return Fate::Dropped,
                ("ProcessingFailed", _) => {
                    ("Lambda.ProcessingFailedStatus", "ProcessingFailed status set for record")
                }
                ("Ok", Some(data)) if !data.is_empty() => return Fate::Ok(data),
                _ => (JSON, "The returned record does not follow the status model."),
            }
        }
        _ => {
            let message = "Multiple records were returned with the same record Id.";
            ("Lambda.DuplicatedRecordId", message)
        }
    };
    Fate::failed(code, message)
}
