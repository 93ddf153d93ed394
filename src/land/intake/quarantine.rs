//! The quarantine: keeps what could not be landed, with its bytes, identity and reason, under
//! `.hiwake/quarantine/`.
//!
//! A landing writes one NDJSON file, named by the hash of its content: a repeated landing writes
//! the same file. Every line has the same fields: `code`, `reason`, `object`, `offset`, `length`
//! and `data`, or `bytes` in base64 if they are not text. Once the cause is repaired, `hiwake land`
//! lands them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::land::journal::lander::Lander;
use crate::land::root::error::{Context, LandError};
use crate::land::root::files::write_new;
use crate::land::root::layout::QUARANTINE;
use crate::land::root::{folders, unique};
use crate::object::Bad;

/// Lines for the quarantine, gathered before they are written.
#[derive(Debug, Default)]
pub struct Quarantine {
    pub(super) text: Vec<u8>,
    /// The number of lines gathered.
    pub(crate) count: u64,
}

#[derive(Serialize)]
struct Refused<'a> {
    code: &'a str,
    reason: &'a str,
    object: &'a str,
    offset: u64,
    length: u64,
    /// The bytes, if they are text.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    /// The bytes in base64, if they are not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

impl Quarantine {
    /// Adds a part of an object that cannot be landed.
    pub fn add(&mut self, bad: &Bad<'_>, object: &str) {
        let Bad { code, reason, offset, length, bytes, .. } = *bad;
        let data = str::from_utf8(bytes).ok();
        let bytes = data.is_none().then(|| STANDARD.encode(bytes));
        let refused = Refused { code, reason, object, offset, length, data, bytes };
        serde_json::to_writer(&mut self.text, &refused).expect("writing to a Vec cannot fail");
        self.text.push(b'\n');
        self.count += 1;
    }

    /// Writes the gathered lines durably, and returns their number. They are dropped even if the
    /// write fails: their objects are then retried.
    pub fn write(&mut self, lander: &Lander<'_>) -> Result<u64, LandError> {
        let Quarantine { text, count } = std::mem::take(self);
        if count == 0 {
            return Ok(0);
        }
        let hash = xxhash_rust::xxh3::xxh3_128(&text);
        let path = format!("{QUARANTINE}/{hash:032x}.ndjson");
        let temporary = format!("{QUARANTINE}/.{hash:032x}.{}.tmp", unique());
        folders::make(lander, QUARANTINE)?;
        write_new(lander, &temporary, &text, lander.open_mode())?;
        lander.disk.rename(&temporary, &path).context("rename", &temporary)?;
        folders::sync_up(lander, QUARANTINE)?;
        Ok(count)
    }
}
