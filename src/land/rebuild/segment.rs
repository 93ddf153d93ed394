//! The published segments of a damaged day: compares files with their records, and makes damaged
//! ones again from their rows.

use std::collections::BTreeMap;
use std::io::Write;

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_128;

use crate::config::Compress;
use crate::disk::Open;
use crate::land::day_file::contents::Decoder;
use crate::land::day_file::writer::compressed;
use crate::land::journal::frame::{Contents, Sealed};
use crate::land::journal::lander::Lander;
use crate::land::rebuild::survey::{Files, FoundRows, RebuildError, Survey, read_file};
use crate::land::root::error::{Context, Result};
use crate::land::root::layout::{DayFile, checksum, name_of};
use crate::row::EventKey;

/// A published segment: its record and its actual content.
#[derive(Default)]
pub(super) struct Segment {
    /// Its seal. If no journal has one, it is derived from the file.
    pub sealed: Sealed,
    /// When it was published, and when retention removed it.
    pub(crate) done: i64,
    pub removed: Option<i64>,
    /// Its identities.
    pub(crate) ids: Vec<EventKey>,
    /// Its text, if the file is good.
    pub(crate) text: Vec<u8>,
    /// The bytes to write if the file is damaged; empty if they were not found.
    pub(crate) bytes: Option<Vec<u8>>,
    /// Whether these bytes differ from those that were published, with the same text.
    pub(crate) is_other_bytes: bool,
}

/// The published segments: those in the journal, and those that have only a checksum file.
pub(super) fn published(files: &Files<'_>, survey: &Survey) -> Result<Vec<Segment>, RebuildError> {
    let Files { lander, day_file, .. } = *files;
    if survey.state.as_ref().is_some_and(|state| state.closed.is_some()) {
        let reason = "the day is closed and its journal no longer has identities: restore the damaged file from a backup of the root";
        return Err(files.refused(&day_file.to_string(), reason));
    }
    let mut segments: BTreeMap<u32, Segment> = BTreeMap::new();
    for segment in survey.state.iter().flat_map(|state| &state.segments) {
        let Some(sealed) = &segment.sealed else { continue };
        let (sealed, done) = (sealed.clone(), segment.done.unwrap_or(sealed.at));
        let mut one = Segment { sealed, done, removed: segment.removed, ..Segment::default() };
        if one.removed.is_none() {
            one.read(lander)?;
        }
        segments.insert(one.sealed.segment, one);
    }
    for target in files.names()? {
        let parsed = DayFile::parse_published(day_file.folder(), name_of(&target));
        let Some((_, segment)) = parsed else { continue };
        match segments.get(&segment) {
            Some(known) if known.sealed.target == target => continue,
            None if !survey.complete || !survey.has_seen => {}
            _ => {
                return Err(
                    files.refused(&target, "its journal does not list it; move it elsewhere")
                );
            }
        }
        let sha256 = Sha256::digest(files.read(&target)?).into();
        let (path, sum) = checksum(&target, &sha256);
        if files.read(&path)? != sum.as_bytes() {
            let reason = "neither the day's journal nor a .sha256 file records its checksum; restore the file and its .sha256 from a backup of the root";
            return Err(files.refused(&target, reason));
        }
        let file = lander.disk.open(&target, Open::Read).context("open", &target)?;
        let modified = file.inode().context("inspect", &target)?.modified;
        let Contents { bytes, lines, sha256 } =
            Contents::read(file.as_ref(), &target, day_file.kind)?;
        let at = if modified > 0 { modified } else { lander.clock.now() };
        let sealed = Sealed { segment, target, bytes, lines, sha256, at, ..Sealed::default() };
        let mut one = Segment { sealed, done: at, ..Segment::default() };
        one.read(lander)?;
        // The text's hash is not in the journal, so it is computed from the good file.
        if !one.is_damaged() {
            let is_compressed = Compress::of(&one.sealed.target).0 != Compress::None;
            one.sealed.text_hash = is_compressed.then(|| xxh3_128(&one.text));
        }
        segments.insert(segment, one);
    }
    let mut numbered = (1..).zip(segments.values());
    if let Some((wanted, one)) = numbered.find(|(number, one)| *number != one.sealed.segment) {
        let reason = format!(
            "segment {wanted} is missing and no journal records it; restore its file and .sha256 from a backup of the root"
        );
        return Err(files.refused(&one.sealed.target, &reason));
    }
    Ok(segments.into_values().collect())
}

impl Segment {
    /// Whether its bytes were found nowhere.
    pub(super) fn is_damaged(&self) -> bool {
        self.bytes.as_ref().is_some_and(Vec::is_empty)
    }

    /// Reads the published file, or else the temporary that was about to be published.
    fn read(&mut self, lander: &Lander<'_>) -> Result<()> {
        self.bytes = Some(Vec::new());
        let Sealed { target, temporary, .. } = &self.sealed;
        // A segment without a journal's seal has no temporary.
        for path in [target, temporary].into_iter().filter(|path| !path.is_empty()) {
            let Some(bytes) = read_file(lander, path)? else { continue };
            if <[u8; 32]>::from(Sha256::digest(&bytes)) != self.sealed.sha256 {
                continue;
            }
            self.bytes = (path != target).then(|| bytes.clone());
            let mut decoder = Decoder::new(&mut self.text, target).context("decompress", target)?;
            let decompressed = decoder.write_all(&bytes).and_then(|()| decoder.flush());
            return decompressed.context("decompress", target);
        }
        Ok(())
    }

    /// Makes the sealed text again from rows, in the order of the commits or of the times. Only the
    /// recorded hash shows which order is right.
    pub(super) fn make_again(
        &mut self,
        files: &Files<'_>,
        rows: &FoundRows,
    ) -> Result<(), RebuildError> {
        let mut by_time = self.ids.clone();
        by_time.sort_by_key(|id| id.timestamp);
        for text in [&self.ids, &by_time].into_iter().filter_map(|ids| rows.text(ids)) {
            let is_sealed = match self.sealed.text_hash {
                Some(hash) => xxh3_128(&text) == hash,
                None => <[u8; 32]>::from(Sha256::digest(&text)) == self.sealed.sha256,
            };
            if !is_sealed {
                continue;
            }
            let bytes = compressed(&text, Compress::of(&self.sealed.target).0);
            let (length, sha256) = (bytes.len() as u64, Sha256::digest(&bytes).into());
            self.is_other_bytes = sha256 != self.sealed.sha256;
            (self.sealed.bytes, self.sealed.sha256) = (length, sha256);
            (self.text, self.bytes) = (text, Some(bytes));
            return Ok(());
        }
        let reason = "it is damaged, and the objects do not yield the text that was sealed; restore it from a backup of the root";
        Err(files.refused(&self.sealed.target, reason))
    }
}
