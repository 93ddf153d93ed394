//! Plan: composes a rebuilt day from everything that was found.

use std::collections::{BTreeSet, HashSet};

use crate::config::Form;
use crate::land::day_file::commit::NO_OBJECT;
use crate::land::day_file::writer::compressed;
use crate::land::journal::frame::{
    CLOSED_AT, Closed, Commit, Frame, Header, Routing, Sealed, SegmentEvent,
};
use crate::land::journal::state::State;
use crate::land::journal::{self, seen};
use crate::land::rebuild::replace::Replacement;
use crate::land::rebuild::segment::Segment;
use crate::land::rebuild::survey::{Files, FoundRows, Piece, Survey};
use crate::land::root::layout::checksum;
use crate::row::EventKey;

/// Everything that the day is composed from.
pub(super) struct Plan<'p> {
    pub(crate) files: &'p Files<'p>,
    pub(crate) survey: &'p Survey,
    pub(crate) segments: &'p [Segment],
    pub(crate) rows: &'p FoundRows,
}

impl Plan<'_> {
    /// Composes the day's new files, with these lines in its open file.
    pub(super) fn replacement(&self, open: &[(EventKey, Vec<u8>)], closed: bool) -> Replacement {
        let (ids, lines): (Vec<EventKey>, Vec<&[u8]>) =
            open.iter().map(|(id, line)| (*id, line.as_slice())).unzip();
        let text = lines.concat();
        let form = self.files.lander.config.files.open;
        let stored = match text.is_empty() {
            true => Vec::new(),
            false => compressed(&text, form.compress()),
        };
        let (journal, seen) = match closed {
            true => self.closed(),
            false => self.journal(&ids, &text, (form, stored.len())),
        };
        let mut published = Vec::new();
        for one in self.segments.iter().filter(|one| one.removed.is_none()) {
            let Sealed { segment, target, sha256, .. } = &one.sealed;
            let bytes = one.bytes.clone();
            published.extend(bytes.map(|bytes| (*segment, target.clone(), bytes)));
            let (path, sum) = checksum(target, sha256);
            published.push((*segment, path, sum.into_bytes()));
        }
        let number = self.segments.len() as u32 + 1;
        let open = self.files.day_file.open_segment(number, form);
        let open = (!text.is_empty() || number == 1).then_some((open, stored));
        Replacement { journal, seen, published, open }
    }

    fn header(&self) -> Header {
        let state = self.survey.state.as_ref();
        let configured = self.files.lander.config.timezone.name();
        let timezone = state.map_or(configured, |state| &state.header.timezone);
        Header::of(self.files.day_file, timezone)
    }

    /// The journal and `seen` of a day whose identities are lost: the day is closed.
    fn closed(&self) -> (Vec<u8>, Vec<u8>) {
        let segment = |one: &Segment| one.sealed.closed(one.done, one.removed);
        let segments = self.segments.iter().map(segment).collect();
        let closed = Closed { at: self.files.lander.clock.now(), segments };
        let (mut journal, _) = self.header().encode();
        let slot = closed.encode().unwrap_or_default();
        journal[CLOSED_AT as usize..][..slot.len()].copy_from_slice(&slot);
        (journal, Vec::new())
    }

    /// The bytes of the journal and of `seen`. `stored` is the open file's form and length.
    fn journal(&self, open: &[EventKey], text: &[u8], stored: (Form, usize)) -> (Vec<u8>, Vec<u8>) {
        let count = self.segments.len() as u32;
        let (mut frames, mut runs, mut entries) = (Vec::new(), Vec::new(), 0);
        let mut commit = |segment, at, ids: &[EventKey], text: &[u8], stored| {
            let (run, blocks) = seen::encode(ids.iter().copied());
            let (form, bytes) = stored;
            let commit =
                Commit::plain(segment, 0, bytes as u64, crc32c::crc32c(text), entries, blocks);
            entries += ids.len() as u64;
            runs.extend_from_slice(&run);
            Frame::Commit(Commit {
                at,
                form,
                text_bytes: text.len() as u64,
                objects: self.objects(segment, ids),
                routings: self.routings(segment),
                ..commit
            })
        };
        for one in self.segments {
            let (segment, at, text) = (one.sealed.segment, one.done, &one.text);
            frames.push(commit(segment, at, &one.ids, text, (Form::Plain, text.len())));
            let event = SegmentEvent { segment, at };
            let (temporary, text_bytes) = (one.sealed.target.clone(), text.len() as u64);
            frames.push(Frame::Freeze(event));
            frames.push(Frame::Sealed(Sealed { temporary, text_bytes, at, ..one.sealed.clone() }));
            frames.push(Frame::Done(event));
            frames.extend(one.removed.map(|at| Frame::Removed(SegmentEvent { segment, at })));
        }
        // Without a published segment, a day without a line is one that was begun empty.
        if !open.is_empty() || count == 0 {
            frames.push(commit(count + 1, self.files.lander.clock.now(), open, text, stored));
        }
        let (journal, watermark) = journal::compose(&self.header(), &frames);
        let mut seen = watermark.encode();
        seen.extend_from_slice(&runs);
        (journal, seen)
    }

    /// The routings of a segment's commits in the good part of the journal.
    fn routings(&self, segment: u32) -> Vec<Routing> {
        let state = self.survey.state.as_ref();
        let commits = state.into_iter().flat_map(State::commits);
        let count = self.segments.len() as u32;
        let ours = commits.filter(|commit| commit.segment.min(count + 1) == segment);
        let routings: BTreeSet<Routing> =
            ours.flat_map(|commit| &commit.routings).copied().collect();
        routings.into_iter().collect()
    }

    /// The known objects that a segment's lines came from: those that its commits name, and those
    /// that were read to fill its gaps.
    fn objects(&self, segment: u32, ids: &[EventKey]) -> Vec<String> {
        let count = self.segments.len() as u32;
        let ours = |piece: &Piece| piece.segment.min(count + 1) == segment;
        let named = self.survey.objects(|piece| ours(piece) && piece.is_whole(count));
        let gap = self.survey.pieces.iter().any(|piece| ours(piece) && !piece.is_whole(count));
        let has_one = |has: &HashSet<EventKey>| gap && ids.iter().any(|id| has.contains(id));
        let read = self.rows.objects.iter().filter(|(_, has)| has_one(has));
        let objects: BTreeSet<String> =
            named.into_iter().cloned().chain(read.map(|(id, _)| id.to_string())).collect();
        match objects.is_empty() && ids.is_empty() {
            true => vec![NO_OBJECT.to_owned()],
            false => objects.into_iter().collect(),
        }
    }
}
