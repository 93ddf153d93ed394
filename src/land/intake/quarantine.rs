//! The quarantine: what could not be landed, with its bytes, identity and reason, under
//! `.hiwake/quarantine/`.
//!
//! One NDJSON file a landing, named by the hash of its content, so that the same landing again
//! makes the same file. Every line has one shape: `code`, `reason`, `object`, `offset`, `length`
//! and `data`, or `bytes` in base64 where they are not text. `hiwake land` lands them once the
//! cause is repaired.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::land::journal::lander::Lander;
use crate::land::root::error::{Context, LandError};
use crate::land::root::files::write_new;
use crate::land::root::layout::QUARANTINE;
use crate::land::root::{folders, unique};
use crate::object::Bad;

/// What is put into quarantine, gathered before it is written.
#[derive(Debug, Default)]
pub struct Quarantine {
    pub(super) text: Vec<u8>,
    /// How much was gathered.
    pub(crate) count: u64,
}

#[derive(Serialize)]
struct Refused<'a> {
    code: &'a str,
    reason: &'a str,
    object: &'a str,
    offset: u64,
    length: u64,
    /// The bytes, where they are text.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    /// In base64, where they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

impl Quarantine {
    /// What cannot be landed of an object.
    pub fn add(&mut self, bad: &Bad<'_>, object: &str) {
        let Bad { code, reason, offset, length, bytes, .. } = *bad;
        let data = str::from_utf8(bytes).ok();
        let bytes = data.is_none().then(|| STANDARD.encode(bytes));
        let refused = Refused { code, reason, object, offset, length, data, bytes };
        serde_json::to_writer(&mut self.text, &refused).expect("writing to a Vec cannot fail");
        self.text.push(b'\n');
        self.count += 1;
    }

    /// Writes what was gathered, durably. Answers how much it was. It is forgotten in any case:
    /// what it came from is retried where it could not be written.
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
