//! Reads compact rows: a header, the rows below it, and the events that transform refused.

use memchr::memchr;

use crate::json;
use crate::object::events::MALFORMED_ROW;
use crate::object::unit::{Stop, line_end};
use crate::object::window::Window;
use crate::object::{Below, Depth, NEWER, ReadError, Reading};
use crate::row::RowError;
use crate::rows::{BareRow, Line};

impl Reading<'_, '_> {
    /// Reads a line of JSON among compact rows.
    pub(super) fn marked(
        &mut self,
        window: &mut Window<'_>,
        depth: Depth,
    ) -> Result<(), ReadError> {
        let limit = self.options.limits.unit_bytes;
        let (end, stop) = line_end(window, 0, limit)?;
        if stop == Stop::Long {
            self.below = Below::Unreadable;
            return self.too_long(window);
        }
        if stop == Stop::End && window.broken.is_some() {
            // The member is truncated here, and is reported with all its bytes.
            window.consume(end);
            return Ok(());
        }
        let text = &window.bytes()[..end];
        match (Line::read(text), &self.below) {
            (Ok(Line::Header(header)), _) => self.below = Below::Header(header),
            (Ok(Line::Row(row)), Below::Header(header)) => {
                self.taken += 1;
                self.sink.row(&header.row(row), self.row_place(false))?;
            }
            (Ok(Line::Row(_)), _) => {
                self.bad_unit(MALFORMED_ROW, &RowError::NoHeader.to_string(), text)?;
            }
            (Ok(Line::Refused { code, reason, bytes }), _) => {
                self.bad_event(&code, &reason, &bytes)?;
            }
            (Ok(Line::Newer(version)), _) if depth.records == 0 => {
                return Err(ReadError::Newer(version));
            }
            (Ok(Line::Newer(version)), _) => return self.newer(window, version),
            (Err(error), _) => {
                if may_be_header(text) {
                    self.below = Below::Unreadable;
                }
                self.bad_unit(MALFORMED_ROW, &error.to_string(), text)?;
            }
        }
        window.consume(end + usize::from(stop == Stop::Break));
        Ok(())
    }

    /// Refuses a record with rows of a newer version. It does not delay others, and is kept whole.
    fn newer(&mut self, window: &mut Window<'_>, version: u64) -> Result<(), ReadError> {
        while window.fill(window.bytes().len() + 1)? {}
        let reason = format!(
            "has rows of version {version}, which this release cannot read: deploy a newer one, then land this"
        );
        self.bad_unit(NEWER, &reason, window.bytes())?;
        window.consume(window.bytes().len());
        Ok(())
    }

    /// Reads the compact rows below a header, as many as are in the window.
    pub(super) fn bare(&mut self, window: &mut Window<'_>) -> Result<(), ReadError> {
        let place = self.row_place(false);
        let (bytes, mut at) = (window.bytes(), 0);
        if let Below::Header(header) = &self.below {
            while let Some(length) = memchr(b'\n', &bytes[at..])
                && let Ok(row) = BareRow::read(&bytes[at..at + length])
            {
                self.taken += 1;
                self.sink.row(&header.row(row), place)?;
                at += length + 1;
            }
        }
        if at > 0 {
            window.consume(at);
            return Ok(());
        }
        let (end, stop) = line_end(window, 0, self.options.limits.unit_bytes)?;
        let text = &window.bytes()[..end];
        let error = match (stop, &self.below, BareRow::read(text)) {
            (Stop::Long, ..) => return self.too_long(window),
            (Stop::End, ..) if window.broken.is_some() => {
                window.consume(end);
                return Ok(());
            }
            // The row was not completely in the window before.
            (Stop::Break, Below::Header(header), Ok(row)) => {
                self.taken += 1;
                self.sink.row(&header.row(row), place)?;
                window.consume(end + 1);
                return Ok(());
            }
            (_, Below::Header(_), Err(error)) => error,
            (_, Below::Header(_), Ok(_)) => RowError::CutOff,
            _ => RowError::NoHeader,
        };
        self.bad_unit(MALFORMED_ROW, &error.to_string(), text)?;
        window.consume(end + usize::from(stop == Stop::Break));
        Ok(())
    }
}

/// Whether a line that cannot be read may have been a header: it has none of the keys of other
/// lines.
fn may_be_header(text: &[u8]) -> bool {
    let keys = json::top_level_keys(text);
    !["line", "refused"].iter().any(|key| keys.contains(&key.as_bytes()))
}
