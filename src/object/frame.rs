//! Zstd frames. Each is decompressed into memory as a whole.

use zstd::zstd_safe::{DCtx, InBuffer, OutBuffer, ResetDirective, get_error_name};

use crate::object::begin::ZSTD;
use crate::object::window::Window;
use crate::object::{Depth, ReadError, Reading};

/// The bytes by which the buffer for a frame's content grows.
const STEP: usize = 256 << 10;
/// The index of a frame's descriptor byte, and its bit that says that a checksum follows.
const DESCRIPTOR: usize = 4;
const CHECKSUM: u8 = 1 << 2;

/// How decoding a frame ended.
pub(super) enum Decoded {
    /// The frame has this many bytes; the buffer holds its content.
    Whole(usize),
    /// The frame is truncated.
    Torn,
    /// The frame is corrupt; zstd's name for the error.
    Corrupt(&'static str),
    /// The content is larger than allowed.
    Large,
}

impl Reading<'_, '_> {
    /// Reads and consumes the frame at the window's beginning. A broken one is consumed up to the
    /// next member that can be read.
    pub(super) fn frame(&mut self, window: &mut Window<'_>, depth: Depth) -> Result<(), ReadError> {
        let mut content = self.reader.buffers.pop().unwrap_or_default();
        let limit = self.room(depth);
        let decoded = decode(&mut self.reader.unzstd, window, 0, &mut content, limit)?;
        let (code, reason) = match decoded {
            Decoded::Whole(length) if depth.members < super::member::DEPTH_MAX => {
                self.inflated += content.len();
                self.held(content, Depth { members: depth.members + 1, ..depth })?;
                window.consume(length);
                return Ok(());
            }
            Decoded::Whole(_) => ("nested-gzip", "members are nested too deeply".to_owned()),
            Decoded::Torn => ("torn-zstd", "a zstd frame is truncated".to_owned()),
            Decoded::Corrupt(why) => ("corrupt-zstd", format!("a zstd frame is corrupt ({why})")),
            Decoded::Large => ("bomb", too_large(self.options.limits.inflated_bytes)),
        };
        self.reader.buffers.push(content);
        let is_torn = matches!(decoded, Decoded::Torn);
        let passed = self.resynchronise(window, 1, None)?;
        // If the enclosing member is truncated, that one is reported instead.
        if is_torn && window.broken.is_some() {
            return Ok(());
        }
        self.bad(code, &reason, passed.length, &passed.bytes)
    }

    /// How many bytes a member may inflate to that is held in memory as a whole.
    pub(super) fn room(&self, depth: Depth) -> usize {
        let limits = self.options.limits;
        match depth.records {
            0 => limits.inflated_bytes,
            _ => limits.inflated_bytes.saturating_sub(self.inflated),
        }
    }
}

/// The reason for refusing a member whose content is too large.
pub(super) fn too_large(limit: usize) -> String {
    format!("inflates to more than {limit} bytes: raise limits.inflated_bytes unless it is a bomb")
}

/// Whether a frame with a checksum begins at an offset and its checksum is right.
pub(super) fn checks_out(
    unzstd: &mut Option<DCtx<'static>>,
    window: &mut Window<'_>,
    at: usize,
    limit: usize,
) -> Result<bool, ReadError> {
    window.fill(at + DESCRIPTOR + 1)?;
    let bytes = &window.bytes()[at..];
    let has_checksum = bytes.get(DESCRIPTOR).is_some_and(|byte| byte & CHECKSUM != 0);
    if !bytes.starts_with(ZSTD) || !has_checksum {
        return Ok(false);
    }
    let decoded = decode(unzstd, window, at, &mut Vec::new(), limit)?;
    Ok(matches!(decoded, Decoded::Whole(_)))
}

/// Decodes the frame at an offset into a buffer, which is cleared first.
fn decode(
    unzstd: &mut Option<DCtx<'static>>,
    window: &mut Window<'_>,
    at: usize,
    content: &mut Vec<u8>,
    limit: usize,
) -> Result<Decoded, ReadError> {
    let context = unzstd.get_or_insert_with(DCtx::create);
    content.clear();
    if let Err(error) = context.reset(ResetDirective::SessionOnly) {
        return Ok(Decoded::Corrupt(get_error_name(error)));
    }
    let mut read = 0;
    loop {
        if content.len() > limit {
            return Ok(Decoded::Large);
        }
        if content.len() == content.capacity() {
            content.reserve(STEP.max(content.len()).min(limit + 1 - content.len()));
        }
        let mut input = InBuffer::around(&window.bytes()[at + read..]);
        let written = content.len();
        let mut output = OutBuffer::around_pos(content, written);
        let hint = context.decompress_stream(&mut output, &mut input);
        let (consumed, written_now) = (input.pos(), output.pos() - written);
        read += consumed;
        match hint {
            Ok(0) if content.len() > limit => return Ok(Decoded::Large),
            Ok(0) => return Ok(Decoded::Whole(read)),
            Ok(_) if consumed + written_now == 0 => {
                if !window.fill(at + read + 1)? {
                    return Ok(Decoded::Torn);
                }
            }
            Ok(_) => {}
            Err(error) => return Ok(Decoded::Corrupt(get_error_name(error))),
        }
    }
}
