//! One record's bytes → rows. What Firehose's transform and the readers of backup objects share.

use crate::config::Config;
use crate::day::TimestampError;
use crate::envelope::{self, Content, EnvelopeError, Inflater, Message};
use crate::label::{Labeler, Origin, plain_lines};
use crate::row::Row;

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
///
/// The text never holds what was logged. All of them are final: the same bytes give the same error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is neither envelope nor text.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// An event (or a plain record's arrival) has a timestamp that no event can have.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
}

impl RecordError {
    /// A short stable name, e.g. `torn-gzip`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            RecordError::Envelope(error) => error.code(),
            RecordError::Timestamp(_) => "impossible-timestamp",
        }
    }
}

/// Turns records into rows; keeps its buffers from one record to the next.
pub struct Records<'c> {
    pub(crate) config: &'c Config,
    inflater: Inflater,
    labeler: Labeler<'c>,
    events: usize,
}

impl<'c> Records<'c> {
    /// For one configuration.
    pub fn new(config: &'c Config) -> Records<'c> {
        let labeler = Labeler::new(config);
        Records { config, inflater: Inflater::default(), labeler, events: 0 }
    }

    /// Emits the rows of one record, in order. After an error the caller throws away what was
    /// emitted.
    pub fn rows(
        &mut self,
        data: &[u8],
        origin: Origin<'_>,
        emit: &mut dyn FnMut(&Row<'_>),
    ) -> Result<Outcome, RecordError> {
        self.events = 0;
        let text = self.inflater.text(data, self.config.limits.inflated_bytes)?;
        let messages = match envelope::content(text)? {
            Content::Messages(messages) => messages,
            Content::Plain(text) => {
                self.events = plain_lines(text).count();
                return Ok(match self.events {
                    0 => Outcome::Empty,
                    _ if self.config.plain.drop => Outcome::PlainDropped,
                    _ => Outcome::Plain(self.labeler.plain(text, origin, emit)?),
                });
            }
        };
        self.events = messages.iter().map(Message::events).sum();
        let mut rows = 0;
        for message in &messages {
            if let Message::Data(envelope) = message {
                rows += self.labeler.envelope(envelope, emit)?;
            }
        }
        Ok(if rows > 0 { Outcome::Events(rows) } else { Outcome::Empty })
    }

    /// How many events (lines of plain text) the last record held, control messages' too; 0 if it
    /// could not be read so far that they could be counted.
    pub fn events(&self) -> usize {
        self.events
    }
}
