//! Gzip members: their content, and how to resume after one that is broken.

use std::io;

use flate2::{Crc, FlushDecompress, Status};
use memchr::memmem;

use crate::object::begin::{Form, GZIP, ZSTD, form};
use crate::object::frame::{checks_out, too_large};
use crate::object::window::{Compressed, Got, Input, Member, Torn, Window};
use crate::object::{Depth, ReadError, Reading};

/// How many times `limits.inflated_bytes` are inflated in vain to find where to
/// resume: of headers that begin nothing, most end at once; thousands that share a tail are
/// somebody's trap.
const TRIES: usize = 4;

/// Members in members: a record is gzipped once, a backup once more.
pub(super) const DEPTH_MAX: usize = 2;

/// Magic, deflate, no flags: what nearly every gzip member begins with; then time, effort, system.
const PLAIN_HEADER: &[u8] = b"\x1f\x8b\x08\0";
const HEADER_BYTES: usize = 10;
/// CRC-32 and length.
const TRAILER_BYTES: usize = 8;
/// Deflate's text is no longer than so many times itself, and mostly far less.
const LIKELY_RATIO: usize = 8;

/// How inflating a member in one go ended.
enum Inflated {
    /// It has so many bytes; the buffer holds its content.
    Whole(usize),
    /// It is broken, large or unusual: it has to be looked at closely.
    Unusual,
    /// A record's, and its content is larger than allowed.
    Large,
}

/// What was passed over to find the next member.
pub(super) struct Passed {
    pub(super) bytes: Vec<u8>,
    pub(super) length: u64,
    /// Whether a member that inflates follows, not the end.
    found: bool,
}

impl Reading<'_, '_> {
    /// Reads the member at the window's beginning and consumes it; a broken one up to the next that
    /// inflates.
    pub(super) fn member(
        &mut self,
        window: &mut Window<'_>,
        depth: Depth,
    ) -> Result<(), ReadError> {
        let mut content = self.reader.buffers.pop().unwrap_or_default();
        let inflated = self.inflate(window, depth, &mut content)?;
        match inflated {
            Inflated::Whole(length) => {
                self.inflated += content.len();
                self.held(content, Depth { members: depth.members + 1, ..depth })?;
                window.consume(length);
                Ok(())
            }
            Inflated::Unusual => {
                self.reader.buffers.push(content);
                self.closely(window, depth)
            }
            Inflated::Large => {
                self.reader.buffers.push(content);
                let reason = too_large(self.options.limits.inflated_bytes);
                let bytes = window.bytes().to_vec();
                window.consume(bytes.len());
                self.bad_unit("bomb", &reason, &bytes)
            }
        }
    }

    /// Inflates the member at the window's beginning in one go, if it is a usual one. A
    /// decompressor that is used again saves a third of the work on a small record.
    fn inflate(
        &mut self,
        window: &mut Window<'_>,
        depth: Depth,
        content: &mut Vec<u8>,
    ) -> Result<Inflated, ReadError> {
        content.clear();
        let limit = match depth.records {
            0 => self.options.limits.unit_bytes,
            _ => self.room(depth),
        };
        window.fill(HEADER_BYTES)?;
        if !window.bytes().starts_with(PLAIN_HEADER) || depth.members >= DEPTH_MAX {
            return Ok(Inflated::Unusual);
        }
        let raw = &mut self.reader.gunzip;
        raw.reset(false);
        loop {
            let at = HEADER_BYTES + raw.total_in() as usize;
            let Some(rest) = window.bytes().get(at..) else { return Ok(Inflated::Unusual) };
            if content.len() == content.capacity() {
                let likely = (rest.len() * LIKELY_RATIO).max(1 << 10);
                content.reserve(likely.min(limit + 1 - content.len()));
            }
            let before = (raw.total_in(), content.len());
            match raw.decompress_vec(rest, content, FlushDecompress::None) {
                Err(_) => return Ok(Inflated::Unusual),
                Ok(_) if content.len() > limit && depth.records > 0 => return Ok(Inflated::Large),
                Ok(_) if content.len() > limit => return Ok(Inflated::Unusual),
                Ok(Status::StreamEnd) => break,
                Ok(_) if before != (raw.total_in(), content.len()) => {}
                Ok(_) if window.fill(window.bytes().len() + 1)? => {}
                Ok(_) => return Ok(Inflated::Unusual),
            }
        }
        let end = HEADER_BYTES + raw.total_in() as usize;
        window.fill(end + TRAILER_BYTES)?;
        let mut crc = Crc::new();
        crc.update(content);
        let wanted = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
        let is_usual = window.bytes()[end..].starts_with(&wanted)
            && !(depth.members + 1 == DEPTH_MAX && content.starts_with(GZIP));
        Ok(if is_usual { Inflated::Whole(end + TRAILER_BYTES) } else { Inflated::Unusual })
    }

    /// The same for a member that is broken, large or unusual.
    fn closely(&mut self, window: &mut Window<'_>, depth: Depth) -> Result<(), ReadError> {
        let keep = self.options.limits.unit_bytes;
        let deeper = Depth { members: depth.members + 1, ..depth };
        let mut member = Member::new(Compressed::new(window, 0, keep), self.options.until);
        let mut inner = Window::new(&mut member, self.reader.buffers.pop().unwrap_or_default(), 0);
        // A record's member is seen whole, its checksum too, before any of it counts.
        let large = inner.fill(keep)?;
        let nested = inner.bytes().starts_with(GZIP);
        let too_deep = depth.members + usize::from(nested) >= DEPTH_MAX;
        let streamed = !too_deep && (large || nested || inner.broken.is_none());
        if streamed {
            self.level(&mut inner, deeper)?;
        }
        while too_deep && inner.fill(1)? {
            inner.consume(inner.bytes().len());
        }
        let (buffer, filled, broken) = inner.into_parts();
        let (at, forgotten) = member.place();
        match broken {
            None if too_deep => {
                let bytes = window.bytes()[..at].to_vec();
                let length = forgotten + at as u64;
                self.bad("nested-gzip", "gzip in gzip in gzip", length, &bytes)?;
                window.consume(at);
            }
            None => window.consume(at),
            Some(error) => {
                let from = if streamed { at } else { 1 };
                let passed = self.resynchronise(window, from, None)?;
                let torn = error.kind() == io::ErrorKind::UnexpectedEof && !passed.found;
                if torn && !streamed && !too_deep {
                    self.level(&mut Window::new(&mut Torn, buffer, filled), deeper)?;
                } else {
                    self.reader.buffers.push(buffer);
                }
                self.broken(window, torn, &error, forgotten, &passed)?;
                return Ok(());
            }
        }
        self.reader.buffers.push(buffer);
        Ok(())
    }

    /// Reports a broken member, unless it is broken because the member that it is in is: then that
    /// one is reported.
    fn broken(
        &mut self,
        window: &Window<'_>,
        torn: bool,
        error: &io::Error,
        forgotten: u64,
        passed: &Passed,
    ) -> Result<(), ReadError> {
        if torn && window.broken.is_some() {
            return Ok(());
        }
        let length = forgotten + passed.length;
        if torn {
            return self.bad("torn-gzip", "a gzip member ends too early", length, &passed.bytes);
        }
        let reason = format!("a gzip member is corrupt ({error}): {length} bytes were passed over");
        self.bad("corrupt-gzip", &reason, length, &passed.bytes)
    }

    /// Consumes up to the next member that can be read, from a place in the window on, or up to
    /// what begins with `stop`, or up to the end.
    pub(super) fn resynchronise(
        &mut self,
        window: &mut Window<'_>,
        from: usize,
        stop: Option<&[u8]>,
    ) -> Result<Passed, ReadError> {
        let mut passed = Passed { bytes: Vec::new(), length: 0, found: false };
        let mut at = from.min(window.bytes().len());
        let mut in_vain = 0;
        loop {
            let rest = &window.bytes()[at..];
            let starts = [GZIP, ZSTD].into_iter().chain(stop);
            if let Some(next) = starts.filter_map(|start| memmem::find(rest, start)).min() {
                at += next;
                if stop.is_some_and(|stop| rest[next..].starts_with(stop)) {
                    break;
                }
                let limit = self.options.limits.inflated_bytes;
                passed.found = match form(window, at)? {
                    Some(Form::Gzip) => self.inflates(window, at, &mut in_vain)?,
                    _ => checks_out(&mut self.reader.unzstd, window, at, limit)?,
                };
                if passed.found {
                    break;
                }
                at += 1;
                continue;
            }
            let length = window.bytes().len();
            at = at.max(length.saturating_sub(stop.map_or(ZSTD.len(), <[u8]>::len) - 1));
            if at > self.options.limits.unit_bytes {
                self.pass(window, &mut passed, at);
                at = 0;
            }
            if !window.fill(window.bytes().len() + 1)? {
                at = window.bytes().len();
                break;
            }
        }
        self.pass(window, &mut passed, at);
        Ok(passed)
    }

    fn pass(&self, window: &mut Window<'_>, passed: &mut Passed, length: usize) {
        let keep = self.options.limits.unit_bytes.saturating_sub(passed.bytes.len()).min(length);
        passed.bytes.extend_from_slice(&window.bytes()[..keep]);
        passed.length += length as u64;
        window.consume(length);
    }

    /// Whether a member begins at this place: it inflates to its end, or to more than any record
    /// may. What was inflated `in_vain` is added up; of more than enough, nothing else is tried.
    fn inflates(
        &self,
        window: &mut Window<'_>,
        at: usize,
        in_vain: &mut usize,
    ) -> Result<bool, ReadError> {
        if *in_vain > TRIES * self.options.limits.inflated_bytes {
            return Ok(false);
        }
        let mut member = Member::new(Compressed::new(window, at, usize::MAX), self.options.until);
        let mut scratch = [0; 16 << 10];
        let mut inflated = 0;
        while inflated <= self.options.limits.inflated_bytes {
            match member.read(&mut scratch)? {
                Got::Bytes(length) => inflated += length,
                Got::End => return Ok(true),
                Got::Broken(_) => {
                    *in_vain += inflated;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
