//! Commit: appends the new rows of one batch to one day file, each exactly once.
//!
//! The steps are numbered as in `docs/protocol.md`.

use crate::config::Form;
use crate::disk::Open;
use crate::land::day_file::batch::Batch;
use crate::land::day_file::dedup::Offered;
use crate::land::day_file::hold::Hold;
use crate::land::day_file::publish::lock;
use crate::land::intake::tally::Tally;
use crate::land::journal::Journal;
use crate::land::journal::frame::{Commit, Frame};
use crate::land::journal::lander::Lander;
use crate::land::journal::state::Segment;
use crate::land::root::error::{Context, Result};
use crate::land::root::layout::DayFile;

/// Whether a batch was committed or the day is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum CommitOutcome {
    /// All rows of the batch are durable lines. `lines` and `late` count the new ones. `duplicates`
    /// had already landed or were repeated in the batch.
    Committed(Tally),
    /// The day is closed: its journal no longer says what has landed. Nothing was done.
    Closed,
}

/// Lands a batch into its day file. `objects` names the objects that it came from. `before` runs
/// before the first line is written and must succeed; it is not called without new lines.
pub fn commit(
    lander: &Lander<'_>,
    day_file: &DayFile,
    batch: &Batch,
    objects: &[String],
    before: &dyn Fn() -> Result<()>,
) -> Result<CommitOutcome> {
    // Steps 1 and 2: lock and read the journal; finish a seal that was interrupted.
    let (mut journal, _) = lock(lander, day_file)?;
    if journal.state.closed.is_some() {
        return Ok(CommitOutcome::Closed);
    }
    // Step 3: drop rows that have already landed.
    let mut hold = Hold::take(lander, day_file, &mut journal)?;
    let new = hold.known().new_rows(batch).map_err(|error| hold.journal.confirm_damage(error))?;
    let mut done = Tally {
        lines: new.len() as u64,
        duplicates: (batch.len() - new.len()) as u64,
        ..Tally::default()
    };
    // If no row is new, all are acknowledged because `take` has made sure that their frames are
    // durable.
    if !new.is_empty() {
        before()?;
        // Step 4: open the data file and prove the lock.
        let segment = hold.journal.state.next_segment();
        done.late = if segment > 1 { done.lines } else { 0 };
        let data = hold.open_segment(segment, Open::Write)?;
        // Steps 5 to 7, a piece at a time.
        let mut duplicates = done.duplicates;
        for piece in pieces(batch, &new, lander.config.limits.commit_bytes) {
            let duplicates = std::mem::take(&mut duplicates);
            hold.append(segment, data.as_ref(), batch, piece, duplicates, objects)?;
            done.commits += 1;
        }
        hold.write_watermark()?;
    }
    // Step 9: close the handles in reverse order, which releases the locks.
    drop(hold);
    done.busy_retries = journal.busy_retries;
    journal.remember(day_file);
    Ok(CommitOutcome::Committed(done))
}

/// Stands for an object in the commit of an empty day.
pub(crate) const NO_OBJECT: &str = "no event of this day";

/// Begins a day file without events, so that an empty file is sealed. Does nothing if the day file
/// has begun. `at` is the time of its commit.
pub(crate) fn begin_empty(lander: &Lander<'_>, day_file: &DayFile, at: i64) -> Result<()> {
    let (mut journal, _) = lock(lander, day_file)?;
    if journal.state.closed.is_none() && journal.state.segments.is_empty() {
        let mut hold = Hold::take(lander, day_file, &mut journal)?;
        let form = lander.config.files.open;
        let _data = hold.open_segment(1, Open::Write)?;
        let objects = vec![NO_OBJECT.to_owned()];
        let commit = Commit::plain(1, 0, 0, 0, 0, Vec::new());
        hold.journal.append(Frame::Commit(Commit { at, form, objects, ..commit }))?;
        hold.write_watermark()?;
    }
    Ok(())
}

/// Sets the flags of the offered events that a day file has; `offered` is sorted. `false` if the
/// day is closed and the answer is unknown. The answer relies on durable frames only. No files are
/// created.
pub(crate) fn ask(lander: &Lander<'_>, day_file: &DayFile, offered: &mut Offered) -> Result<bool> {
    let Some(mut journal) = Journal::lock_existing(lander, day_file)? else { return Ok(true) };
    if journal.state.closed.is_some() {
        return Ok(false);
    }
    let segment = journal.state.next_segment();
    let known = journal.state.segment(segment);
    let forms = known.map_or(Form::ALL.to_vec(), |known| vec![known.form()]);
    let committed = known.map_or(0, Segment::bytes);
    let mut is_longer = false;
    for path in forms.into_iter().map(|form| day_file.open_segment(segment, form)) {
        if let Some(data) = lander.open_if_there(&path)? {
            is_longer |= data.length().context("inspect", &path)? > committed;
        }
    }
    if journal.state.seen() > 0 || is_longer {
        let mut hold = Hold::take(lander, day_file, &mut journal)?;
        hold.known().mark(offered).map_err(|error| hold.journal.confirm_damage(error))?;
        if is_longer {
            // A landing was interrupted: its rows may now become lines of another day file.
            hold.truncate_to_committed(segment)?;
        }
    }
    journal.remember(day_file);
    Ok(true)
}

/// Splits rows into pieces of up to `bytes` of text; a longer line is a piece of its own.
fn pieces<'r>(batch: &Batch, rows: &'r [u32], bytes: usize) -> Vec<&'r [u32]> {
    let mut pieces = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (at, row) in rows.iter().enumerate() {
        let length = batch.line(*row).len();
        if at > start && size + length > bytes {
            pieces.push(&rows[start..at]);
            (start, size) = (at, 0);
        }
        size += length;
    }
    pieces.push(&rows[start..]);
    pieces
}
