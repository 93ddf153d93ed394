//! Gzip members: their content, and how to go on after one that is broken.

use std::io;

use memchr::memmem;

use crate::object::window::{Compressed, Got, Input, Member, Torn, Window};
use crate::object::{MAGIC, ReadError, Reader};

/// How many times [`Options::inflated_bytes`](super::Options) is inflated in vain to find where to
/// go on: of headers that begin nothing, most end at once; thousands that share a tail are
/// somebody's trap.
const TRIES: usize = 4;

/// Members in members: a record is gzipped once, a backup once more.
const DEPTH_MAX: usize = 2;

/// What was passed over to find the next member.
struct Passed {
    bytes: Vec<u8>,
    length: u64,
    /// Whether a member that inflates follows, not the end.
    found: bool,
}

impl Reader<'_, '_> {
    /// Reads the member at the window's beginning and consumes it; a broken one up to the next that
    /// inflates.
    pub(super) fn member(
        &mut self,
        window: &mut Window<'_>,
        depth: usize,
    ) -> Result<(), ReadError> {
        let keep = self.options.limits.unit_bytes;
        let mut member = Member::new(Compressed::new(window, 0, keep), self.options.until);
        let mut inner = Window::new(&mut member, self.buffers.pop().unwrap_or_default(), 0);
        // A record's member is seen whole, its checksum too, before any of it counts.
        let large = inner.fill(keep)?;
        let nested = inner.bytes().starts_with(MAGIC);
        let too_deep = depth + usize::from(nested) >= DEPTH_MAX;
        let streamed = !too_deep && (large || nested || inner.broken.is_none());
        if streamed {
            self.level(&mut inner, depth + 1)?;
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
                let passed = self.resynchronise(window, from)?;
                let torn = error.kind() == io::ErrorKind::UnexpectedEof && !passed.found;
                if torn && !streamed && !too_deep {
                    self.level(&mut Window::new(&mut Torn, buffer, filled), depth + 1)?;
                } else {
                    self.buffers.push(buffer);
                }
                self.broken(window, torn, &error, forgotten, &passed)?;
                return Ok(());
            }
        }
        self.buffers.push(buffer);
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
            return self.bad("torn-gzip", "a gzip member is cut off", length, &passed.bytes);
        }
        let reason = format!("a gzip member is corrupt ({error}): {length} bytes were passed over");
        self.bad("corrupt-gzip", &reason, length, &passed.bytes)
    }

    /// Consumes up to the next member that inflates, from a place in the window on, or up to the
    /// end.
    fn resynchronise(&self, window: &mut Window<'_>, from: usize) -> Result<Passed, ReadError> {
        let mut passed = Passed { bytes: Vec::new(), length: 0, found: false };
        let mut at = from.min(window.bytes().len());
        let mut in_vain = 0;
        loop {
            if let Some(next) = memmem::find(&window.bytes()[at..], MAGIC) {
                at += next;
                if self.inflates(window, at, &mut in_vain)? {
                    passed.found = true;
                    break;
                }
                at += 1;
                continue;
            }
            let length = window.bytes().len();
            at = at.max(length.saturating_sub(MAGIC.len() - 1));
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
