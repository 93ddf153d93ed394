//! The quarantine: what could not be landed, with its bytes, identity and reason, under
//! `.hiwake/quarantine/`.
//!
//! One NDJSON file a landing, named by the hash of its content, so that the same landing again
//! makes the same file. A record stands there in the shape of Firehose's failed records
//! (`rawData`), a row as the row with one more member: both can be landed again by `hiwake land`
//! once the cause is repaired.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::land::journal::lander::Lander;
use crate::land::root::error::{Context, LandError};
use crate::land::root::files::write_new;
use crate::land::root::layout::QUARANTINE;
use crate::land::root::{folders, unique};
use crate::object::Bad;
use crate::row::Row;

/// What is put into quarantine, gathered before it is written.
#[derive(Debug, Default)]
pub struct Quarantine {
    pub(super) text: Vec<u8>,
    /// How much was gathered.
    pub count: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    raw_data: &'a str,
    error_code: &'a str,
    error_message: &'a str,
    object: &'a str,
    offset: u64,
    length: u64,
}

#[derive(Serialize)]
struct Reason<'a> {
    reason: &'a str,
    object: &'a str,
}

impl Quarantine {
    /// A record or a piece of an object that cannot be read.
    pub fn record(&mut self, bad: &Bad<'_>, object: &str) {
        let raw_data = &STANDARD.encode(bad.bytes);
        let Bad { code: error_code, reason: error_message, offset, length, .. } = *bad;
        self.line(&Record { raw_data, error_code, error_message, object, offset, length });
    }

    /// A row (its JSON line) that has no place to land.
    pub fn row(&mut self, row: &Row<'_>, reason: &str, object: &str) {
        let start = self.text.len();
        row.encode(&mut self.text);
        while self.text.len() > start && matches!(self.text.last(), Some(b'\n' | b'}')) {
            self.text.pop();
        }
        self.text.extend_from_slice(b",\"quarantine\":");
        self.line(&Reason { reason, object });
        self.text.pop();
        self.text.extend_from_slice(b"}\n");
    }

    fn line(&mut self, value: &impl Serialize) {
        serde_json::to_writer(&mut self.text, value).expect("writing to a Vec cannot fail");
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
        write_new(lander, &temporary, &text, None)?;
        lander.disk.rename(&temporary, &path).context("rename", &temporary)?;
        folders::sync_up(lander, QUARANTINE)?;
        Ok(count)
    }
}
