//! The transform λ: one Firehose event → its answer. Wiring only: the library does the work.

use std::future::ready;
use std::process::ExitCode;

use hiwake::config::PIPELINE;
use hiwake::land::invocation::Failure;
use hiwake::metrics::Metrics;
use hiwake::record::Records;
use hiwake::{firehose, lambda};

fn main() -> ExitCode {
    lambda::run(|| {
        let mut records = Records::new(lambda::config().map_err(|error| vec![error])?);
        let pipeline = PIPELINE.text();
        lambda::serve(move |event, _| {
            ready(match firehose::transform(&mut records, &event) {
                Ok((answer, counts)) => {
                    lambda::send(&Metrics::of_transform(&counts), &pipeline);
                    // Made of text; looked at once more, not copied.
                    String::from_utf8(answer).map_err(|error| failure(&error))
                }
                Err(error) => Err(failure(&error)),
            })
        })
    })
}

/// An event that cannot be answered at all: Firehose calls again, then the batch lands by way of `failed/`.
fn failure(error: &dyn std::error::Error) -> Failure {
    Failure { kind: "hiwake.UnknownEvent", message: error.to_string() }
}
