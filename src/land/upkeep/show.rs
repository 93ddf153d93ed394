//! The committed text of a day file, whatever it is stored as: for the eye.

use std::io::{self, Write};

use crate::disk::{Handle, Open};
use crate::land::day_file::contents::Decoder;
use crate::land::day_file::seal::copy_commits;
use crate::land::day_file::writer::CHUNK;
use crate::land::journal::Journal;
use crate::land::journal::lander::Lander;
use crate::land::journal::state::{Segment, State};
use crate::land::root::error::{Context, LandError, Result, is_absent};
use crate::land::root::layout::DayFile;

/// How far a day file was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// The number of its segments that were shown whole.
    segments: u32,
    /// The commits that were shown of the next one.
    commits: usize,
}

/// Why a day file was not shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// It could not be read.
    #[error(transparent)]
    Land(#[from] LandError),
    /// It was published, in another order, before all of its commits were shown.
    #[error("{0} was sealed before all of its lines were shown: show it again")]
    Sealed(String),
    /// What reads the text took no more of it.
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl Lander<'_> {
    /// Writes the text of a day file that is committed and was not shown before: published segments
    /// as they are published, open ones in the order of their commits. Answers whether more may
    /// come: `false` when all segments are published.
    pub fn show(
        &self,
        day_file: &DayFile,
        shown: &mut Shown,
        out: &mut dyn Write,
    ) -> Result<bool, ShowError> {
        loop {
            let Some(state) = Journal::peek(self, day_file)? else { return Ok(true) };
            match self.show_segment(day_file, &state, shown, out) {
                // Published between the two looks.
                Err(ShowError::Land(LandError::Io { source, .. })) if is_absent(&source) => {
                    if Journal::peek(self, day_file)? == Some(state) {
                        return Err(LandError::Io {
                            verb: "open",
                            path: day_file.to_string(),
                            source,
                        }
                        .into());
                    }
                }
                Ok(true) => {}
                Ok(false) => {
                    let open = state.numbered().any(|(_, segment)| segment.done.is_none());
                    return Ok(open || (state.closed.is_none() && state.segments.is_empty()));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Shows what there is of the next segment; `true`: that was all of it, so there may be another
    /// one.
    fn show_segment(
        &self,
        day_file: &DayFile,
        state: &State,
        shown: &mut Shown,
        out: &mut dyn Write,
    ) -> Result<bool, ShowError> {
        let number = shown.segments + 1;
        let published = state.published(day_file).into_iter().find(|one| one.segment == number);
        if let Some(published) = published {
            if shown.commits > 0 && self.is_behind(state, shown) {
                return Err(ShowError::Sealed(published.path));
            }
            if shown.commits == 0 && !published.removed {
                copy_file(self, &published.path, out)?;
            }
            *shown = Shown { segments: number, commits: 0 };
            return Ok(true);
        }
        let Some(segment) = state.segment(number) else { return Ok(false) };
        let path = day_file.open_segment(number, segment.form());
        let commits = segment.commits.get(shown.commits..).unwrap_or_default();
        if commits.is_empty() {
            return Ok(false);
        }
        let data = self.disk.open(&path, Open::Read).context("open", &path)?;
        for commit in commits {
            let commit = std::slice::from_ref(commit);
            let mut written = Ok(());
            copy_commits(data.as_ref(), &path, commit, &mut |bytes| {
                if written.is_ok() {
                    written = out.write_all(bytes);
                }
                Ok(())
            })?;
            written?;
            shown.commits += 1;
        }
        Ok(false)
    }

    /// Whether a segment has commits that were not shown.
    fn is_behind(&self, state: &State, shown: &Shown) -> bool {
        let commits = state.segment(shown.segments + 1).map(|one: &Segment| one.commits.len());
        commits.is_none_or(|commits| commits > shown.commits)
    }
}

/// A published file's text.
fn copy_file(lander: &Lander<'_>, path: &str, out: &mut dyn Write) -> Result<(), ShowError> {
    let file = lander.disk.open(path, Open::Read).context("open", path)?;
    let mut decoder = Decoder::new(out, path)?;
    let (mut buffer, mut at) = (vec![0; CHUNK], 0);
    loop {
        let length = Handle::read_at(file.as_ref(), &mut buffer, at).context("read", path)?;
        if length == 0 {
            return Ok(decoder.flush()?);
        }
        at += length as u64;
        decoder.write_all(&buffer[..length])?;
    }
}
