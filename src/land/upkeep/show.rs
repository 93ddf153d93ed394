//! Shows the committed text of a day file, however it is stored.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use crate::disk::{Handle, Open};
use crate::land::day_file::contents::Decoder;
use crate::land::day_file::seal::copy_commits;
use crate::land::day_file::writer::CHUNK;
use crate::land::journal::Journal;
use crate::land::journal::frame::{Contents, Sealed};
use crate::land::journal::lander::Lander;
use crate::land::journal::state::State;
use crate::land::root::error::{Context, LandError, Result, is_absent};
use crate::land::root::layout::DayFile;

/// How much of a day file was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// How many of its segments were shown completely.
    segments: u32,
    /// How many commits of the next segment were shown.
    commits: usize,
}

/// Why a day file was not shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// It could not be read.
    #[error(transparent)]
    Land(#[from] LandError),
    /// It was rebuilt, or sealed before all of its commits were shown.
    #[error("{0} was sealed or rebuilt while it was shown: show it again")]
    Changed(String),
    /// The output took no more text.
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl Lander<'_> {
    /// Writes the committed text of a day file that was not shown yet. Sealed segments keep their
    /// order, open ones are in the order of their commits. Returns whether more may follow: `false`
    /// when all segments are published.
    pub fn show(
        &self,
        day_file: &DayFile,
        shown: &mut Shown,
        out: &mut dyn Write,
    ) -> Result<bool, ShowError> {
        loop {
            let Some(state) = Journal::read_or_damage(self, day_file)? else { return Ok(true) };
            match self.show_segment(day_file, &state, shown, out) {
                Ok(true) => {}
                Ok(false) => {
                    let open = state.numbered().any(|(_, segment)| segment.done.is_none());
                    return Ok(open || (state.closed.is_none() && state.segments.is_empty()));
                }
                // If the journal has changed, the file was published meanwhile.
                Err(ShowError::Land(LandError::Io { source, .. }))
                    if is_absent(&source)
                        && Journal::peek(self, day_file)? != Some(state.clone()) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes the committed text of one segment.
    pub(super) fn show_one(
        &self,
        day_file: &DayFile,
        state: &State,
        number: u32,
        out: &mut dyn Write,
    ) -> Result<(), ShowError> {
        let mut shown = Shown { segments: number - 1, commits: 0 };
        self.show_segment(day_file, state, &mut shown, out).map(drop)
    }

    /// Shows the committed text of the next segment; `true`: the segment is complete.
    fn show_segment(
        &self,
        day_file: &DayFile,
        state: &State,
        shown: &mut Shown,
        out: &mut dyn Write,
    ) -> Result<bool, ShowError> {
        let number = shown.segments + 1;
        let segment = state.segment(number);
        let changed = || ShowError::Changed(day_file.to_string());
        let published = state.published(day_file).into_iter().find(|one| one.segment == number);
        let sealed = segment.and_then(|segment| segment.sealed.as_ref());
        if published.is_some() || sealed.is_some() {
            if shown.commits > 0 {
                // The sealed file has the same lines in another order.
                let all = segment.is_some_and(|segment| segment.commits.len() == shown.commits);
                all.then_some(()).ok_or_else(changed)?;
            } else if let Some(published) = published {
                if !published.removed {
                    copy_file(self, &published.path, &published.contents, out)?;
                }
            } else if let Some(Sealed { target, temporary, .. }) = sealed {
                // The next landing or round of sealing publishes it.
                let is_there = self.open_if_there(temporary)?.is_some();
                let path = if is_there { temporary } else { target };
                copy_file(self, path, &sealed.map(Sealed::contents).unwrap_or_default(), out)?;
            }
            *shown = Shown { segments: number, commits: 0 };
            return Ok(true);
        }
        let Some(segment) = segment else { return Ok(false) };
        let commits = segment.commits.get(shown.commits..).ok_or_else(changed)?;
        if commits.is_empty() {
            return Ok(false);
        }
        let path = day_file.open_segment(number, segment.form());
        let data = open_fresh(self, &path)?;
        for commit in commits {
            let commit = std::slice::from_ref(commit);
            copy_commits(data.as_ref(), &path, commit, &mut |bytes| {
                out.write_all(bytes).map_err(ShowError::Output)
            })?;
            shown.commits += 1;
        }
        Ok(false)
    }
}

/// Passes the text on. It tells a failed output from text that could not be decompressed.
struct Taker<'o> {
    out: &'o mut dyn Write,
    refused: Option<io::ErrorKind>,
}

impl Write for Taker<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write_all(bytes);
        if let Err(error) = written {
            self.refused = Some(error.kind());
            return Err(error);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a file past the cache. If another process of this machine writes to it, an NFS client
/// would serve old pages: missing bytes would be shown, or look like damage.
fn open_fresh(lander: &Lander<'_>, path: &str) -> Result<Box<dyn Handle>> {
    let file = lander.disk.open(path, Open::Read).context("open", path)?;
    file.drop_cache().context("read", path)?;
    Ok(file)
}

/// Writes a sealed file's text. Whether it is intact is known only at its end.
fn copy_file(
    lander: &Lander<'_>,
    path: &str,
    wanted: &Contents,
    out: &mut dyn Write,
) -> Result<(), ShowError> {
    let file = open_fresh(lander, path)?;
    let mut decoder = Decoder::new(Taker { out, refused: None }, path)?;
    let (mut buffer, mut at, mut hash) = (vec![0; CHUNK], 0, Sha256::new());
    let mut decoded = Ok(());
    while decoder.get().refused.is_none() {
        let length = file.read_at(&mut buffer, at).context("read", path)?;
        if length == 0 {
            break;
        }
        at += length as u64;
        hash.update(&buffer[..length]);
        decoded = decoded.and_then(|()| decoder.write_all(&buffer[..length]));
    }
    let decoded = decoded.and_then(|()| decoder.flush());
    if let Some(kind) = decoder.get().refused {
        return Err(io::Error::from(kind).into());
    }
    if <[u8; 32]>::from(hash.finalize()) != wanted.sha256 {
        let what = "it differs from what was sealed, so the text shown may be wrong";
        return Err(LandError::damage(path, what).into());
    }
    Ok(decoded.context("decompress", path)?)
}
