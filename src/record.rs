//! One record's bytes → rows. What Firehose's transform and the readers of backup objects share.

use crate::config::Config;
use crate::row::Row;

/// Where a plain record came from: what its rows are identified by.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Stands in `Row::stream` of plain rows, e.g. the delivery stream's ARN.
    pub stream: &'a str,
    /// Unique for the record within `stream`, e.g. its recordId; the line number is appended.
    pub id: &'a str,
    /// When it arrived, milliseconds since the epoch.
    pub arrival: i64,
}

/// What became of a record that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// So many rows of envelopes' events were emitted; at least one.
    Events(usize),
    /// So many rows of plain text were emitted; at least one.
    Plain(usize),
    /// A control message of CloudWatch Logs, or a data message without events, or an empty record.
    Empty,
    /// Plain text, and the configuration says `[plain] drop = true`.
    PlainDropped,
}

/// Why a record cannot become rows. Its `code` is stable: metrics and the quarantine use it.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// To be filled in by its author.
    #[error("placeholder")]
    Placeholder,
}

impl RecordError {
    /// A short stable name, e.g. `torn-gzip`.
    pub fn code(&self) -> &'static str {
        "placeholder"
    }
}

/// Turns records into rows; keeps its buffers from one record to the next.
pub struct Records<'c> {
    config: &'c Config,
}

impl<'c> Records<'c> {
    /// For one configuration.
    pub fn new(config: &'c Config) -> Records<'c> {
        Records { config }
    }

    /// Emits the rows of one record, in order. After an error the caller throws away what was emitted.
    pub fn rows(
        &mut self,
        _data: &[u8],
        _origin: Origin<'_>,
        _emit: &mut dyn FnMut(&Row<'_>),
    ) -> Result<Outcome, RecordError> {
        let _ = self.config;
        Err(RecordError::Placeholder)
    }
}
