//! The transform function: it answers a Firehose event. The library does the work; this only wires.

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
                    // The answer was built from text: it is checked again, but not copied.
                    String::from_utf8(answer).map_err(|error| failure(&error))
                }
                Err(error) => Err(failure(&error)),
            })
        })
    })
}

/// An event that cannot be answered at all: Firehose calls again, then the batch lands from
/// `failed/`.
fn failure(error: &dyn std::error::Error) -> Failure {
    Failure { kind: "hiwake.UnknownEvent", message: error.to_string() }
}
