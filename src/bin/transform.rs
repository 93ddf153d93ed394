//! The transform function: one Firehose event → its answer. Wiring only: the library does the work.

use std::future::ready;
use std::process::ExitCode;

use hiwake::config::PIPELINE;
use hiwake::firehose;
use hiwake::lambda::metrics::Metrics;
use hiwake::lambda::{Failure, runtime};
use hiwake::object::Reader;

fn main() -> ExitCode {
    runtime::run(|| {
        let mut reader = Reader::new(runtime::config().map_err(|error| vec![error])?);
        let pipeline = PIPELINE.text();
        runtime::serve(move |event, _| {
            ready(match firehose::transform(&mut reader, &event) {
                Ok((answer, counts)) => {
                    runtime::send(&Metrics::of_transform(&counts), &pipeline);
                    // Made of text; looked at once more, not copied.
                    String::from_utf8(answer).map_err(|error| failure(&error))
                }
                Err(error) => Err(failure(&error)),
            })
        })
    })
}

/// An event that cannot be answered at all: Firehose calls again, then the batch lands through
/// `failed/`.
fn failure(error: &dyn std::error::Error) -> Failure {
    Failure { kind: "hiwake.UnknownEvent", message: error.to_string() }
}
