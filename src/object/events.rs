//! Envelopes and plain text → rows: what gives none is refused by itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::envelope::{Envelope, System, exact, parsed, whole_number};
use crate::event_time::{self, ARRIVAL_MIN};
use crate::json::{self, Text};
use crate::label::plain_lines;
use crate::object::{Bad, Below, ReadError, Reading, Skipped};
use crate::row::{Row, RowError};

/// How often a failed record may hold another one.
pub(super) const NESTED_MAX: usize = 8;

/// A row that is not valid.
pub(super) const MALFORMED_ROW: &str = "malformed-row";

/// An event whose time cannot be right.
const IMPOSSIBLE: &str = "impossible-timestamp";

impl Reading<'_, '_> {
    /// The message that a text begins with, if it is to the letter CloudWatch's: its length.
    pub(super) fn exact(&mut self, text: &[u8]) -> Result<Option<usize>, ReadError> {
        let mut spare = std::mem::take(&mut self.reader.spare);
        let length = match exact(text, &mut spare) {
            Some((envelope, length)) => {
                self.events(envelope)?;
                Some(length)
            }
            None => None,
        };
        self.reader.spare = spare;
        Ok(length)
    }

    /// A JSON object with a `messageType`.
    pub(super) fn envelope(&mut self, value: &[u8]) -> Result<(), ReadError> {
        if let Ok(text) = str::from_utf8(value)
            && let Ok(envelope) = parsed(text)
            && envelope.malformed.is_empty()
        {
            return self.events(envelope);
        }
        match parsed(&json::repaired(value)) {
            Ok(envelope) => self.events(envelope),
            Err(error) => self.bad_unit(error.code(), &error.to_string(), value),
        }
    }

    /// The rows of an envelope's events.
    pub(super) fn events(&mut self, mut envelope: Envelope<'_>) -> Result<(), ReadError> {
        if envelope.is_control || envelope.events() == 0 {
            return self.skipped(Skipped::Empty, envelope.events());
        }
        self.reader.labeler.envelope(&envelope);
        for (fault, event) in &envelope.malformed {
            let cleaner = self.reader.labeler.cleaner();
            let hidden = cleaner.map(|source| source.hidden_event(event));
            let event = hidden.map_or(Cow::Borrowed(*event), Cow::Owned);
            self.refused("malformed-event", &fault.to_string(), &envelope, &event)?;
        }
        envelope.tell_apart();
        let filtered = self.reader.labeler.choose(&mut envelope);
        if filtered > 0 {
            self.skipped(Skipped::Filtered, filtered)?;
        }
        let place = self.row_place(true);
        for event in &envelope.log_events {
            let time = self.origin.arrival.map_or(Ok(()), |arrival| {
                event_time::check(event.timestamp, arrival, self.options.limits)
            });
            let reason = match (time, self.reader.labeler.event(event)) {
                (Ok(()), Ok(row)) => {
                    self.taken += 1;
                    self.sink.row(&row, place)?;
                    continue;
                }
                (Err(fault), _) => fault.to_string(),
                (Ok(()), Err(error)) => error.to_string(),
            };
            let cleaner = self.reader.labeler.cleaner();
            let message = cleaner
                .map_or(Cow::Borrowed(&*event.message), |source| source.hidden(&event.message));
            let (id, message) = (json::written(&event.id), json::written(&*message));
            let extracted = event.system.as_deref().map(extracted).unwrap_or_default();
            let timestamp = event.timestamp;
            let event = format!(
                "{{\"id\":{id},\"timestamp\":{timestamp},\"message\":{message}{extracted}}}"
            );
            self.refused(IMPOSSIBLE, &reason, &envelope, &event)?;
        }
        Ok(())
    }

    /// One event. What is kept is an envelope that holds it alone: corrected by hand, it lands.
    fn refused(
        &mut self,
        code: &str,
        reason: &str,
        envelope: &Envelope<'_>,
        event: &str,
    ) -> Result<(), ReadError> {
        let Envelope { owner, log_group, log_stream, subscription_filters, .. } = envelope;
        let [owner, log_group, log_stream] = [owner, log_group, log_stream].map(json::written);
        let filters = json::written(subscription_filters);
        let alone = format!(
            "{{\"messageType\":\"DATA_MESSAGE\",\"owner\":{owner},\"logGroup\":{log_group},\"logStream\":{log_stream},\"subscriptionFilters\":{filters},\"logEvents\":[{event}]}}"
        );
        self.bad_event(code, reason, alone.as_bytes())
    }

    /// One event that cannot be a row.
    pub(super) fn bad_event(
        &mut self,
        code: &str,
        reason: &str,
        bytes: &[u8],
    ) -> Result<(), ReadError> {
        self.taken += 1;
        let (offset, length) = (self.offset, bytes.len() as u64);
        let bytes = &bytes[..bytes.len().min(self.options.limits.unit_bytes)];
        self.sink.bad(&Bad { offset, is_event: true, code, reason, length, bytes })
    }

    /// A row in JSON.
    pub(super) fn row(&mut self, value: &[u8]) -> Result<(), ReadError> {
        match Row::decode(value) {
            Ok(row) => {
                self.taken += 1;
                self.sink.row(&row, self.row_place(false))
            }
            Err(error) => self.bad_unit(MALFORMED_ROW, &error.to_string(), value),
        }
    }

    /// A record that transform did not answer, as Firehose writes it, or a piece that was put into
    /// quarantine. Only three keys matter; their types differ between documentation and service,
    /// other keys between kinds of errors.
    ///
    /// What it holds is read like a record of the stream, so that it is never taken for text.
    pub(super) fn failed(&mut self, value: &[u8], records: usize) -> Result<(), ReadError> {
        let failed = serde_json::from_slice::<Failed<'_>>(value).unwrap_or_default();
        let data = match (failed.data, failed.raw_data) {
            (Some(Text(text)), _) => Ok(text.into_owned().into_bytes()),
            (None, Some(Text(base64))) => STANDARD.decode(base64.as_bytes()),
            (None, None) => {
                let reason = "a failed record without data: `rawData`, `data` or `bytes`";
                return self.bad_unit("failed-record", reason, value);
            }
        };
        let Ok(data) = data else {
            let reason = "a failed record whose data is not valid base64";
            return self.bad_unit("base64", reason, value);
        };
        let is_row = failed.code.is_some_and(|Text(code)| code == MALFORMED_ROW);
        if is_row && !data.starts_with(b"{") {
            // Without its header it would be a line of text.
            return self.bad_unit(MALFORMED_ROW, &RowError::NoHeader.to_string(), &data);
        }
        if records > NESTED_MAX {
            let reason = "failed records in failed records";
            return self.bad_unit("nested-failed-record", reason, value);
        }
        let arrival = failed.arrival_timestamp.and_then(whole_number);
        let arrival = arrival.filter(|at| *at >= ARRIVAL_MIN).or(self.origin.arrival);
        let outer = std::mem::replace(&mut self.origin.arrival, arrival);
        let taken = self.taken;
        self.record(data, records)?;
        self.origin.arrival = outer;
        if self.taken == taken { self.skipped(Skipped::Empty, 0) } else { Ok(()) }
    }

    /// Text of which some lines may be other bytes.
    pub(super) fn text(&mut self, text: &[u8]) -> Result<(), ReadError> {
        if !matches!(self.below, Below::None) {
            // Compact rows hold no plain text.
            self.below = Below::Unreadable;
            return self.bad_unit("malformed-row", &RowError::Bare.to_string(), text);
        }
        if let Ok(text) = str::from_utf8(text) {
            return self.plain_rows(text);
        }
        let is_text = |line: &[u8]| str::from_utf8(line).is_ok();
        let lines: Vec<_> = text.split_inclusive(|&byte| byte == b'\n').collect();
        let mut at = 0;
        for lines in lines.chunk_by(|a, b| is_text(a) == is_text(b)) {
            let length: usize = lines.iter().map(|line| line.len()).sum();
            let part = &text[at..at + length];
            match str::from_utf8(part) {
                Ok(text) => self.plain_rows(text)?,
                Err(_) => self.bad_unit("not-text", "neither gzip nor UTF-8 text", part)?,
            }
            at += length;
        }
        Ok(())
    }

    /// The rows of plain text. A line's id is its number in what was given, after the record's id.
    fn plain_rows(&mut self, text: &str) -> Result<(), ReadError> {
        let count = plain_lines(text).count();
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        if !self.options.plain {
            return self.skipped(Skipped::PlainLeftOut, count);
        }
        if self.reader.config.plain.drop {
            return self.skipped(Skipped::PlainDropped, count);
        }
        let place = self.row_place(true);
        // Without an arrival it has no day.
        let arrival = self.origin.arrival.unwrap_or(i64::MIN);
        for line in plain_lines(text) {
            self.lines += 1;
            let id = match self.origin.id {
                Some(id) => format!("{id}-{}", self.lines),
                None => self.lines.to_string(),
            };
            match self.reader.labeler.plain(line, self.origin.place, id, arrival) {
                Ok(row) => {
                    self.taken += 1;
                    self.sink.row(&row, place)?;
                }
                Err(_) => {
                    let reason = "plain text without a time of arrival: it has no day";
                    return self.bad_unit("no-arrival", reason, text.as_bytes());
                }
            }
        }
        Ok(())
    }

    pub(super) fn bad_unit(
        &mut self,
        code: &str,
        reason: &str,
        bytes: &[u8],
    ) -> Result<(), ReadError> {
        let kept = &bytes[..bytes.len().min(self.options.limits.unit_bytes)];
        self.bad(code, reason, bytes.len() as u64, kept)
    }
}

/// What of a failed record, or of a line of the quarantine, is needed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    #[serde(borrow)]
    code: Option<Text<'a>>,
    #[serde(borrow, alias = "bytes")]
    raw_data: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    arrival_timestamp: Option<&'a RawValue>,
}

/// The system fields of an event, as a field of it.
fn extracted(System { account, region }: &System<'_>) -> String {
    let fields = [("@aws.account", account), ("@aws.region", region)];
    let fields: BTreeMap<_, _> =
        fields.into_iter().filter_map(|(name, field)| Some((name, field.as_ref()?))).collect();
    format!(",\"extractedFields\":{}", json::written(&fields))
}
