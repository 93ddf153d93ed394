//! Rebuild: a damaged day is made anew from objects, beside what is there, and put in its place only when it is whole.
//!
//! What is still good is kept: published files that have their recorded hash are not touched, and identities and lines
//! whose checksums hold need no object. A published file that is damaged is replaced by the same bytes or not at all.
//! The day's lines are held in memory. All of it happens under the journal's lock, so landers wait and try again.

use std::collections::BTreeSet;
use std::io::Read;

use sha2::{Digest, Sha256};

use super::day_file::{DayFile, name_of};
use super::error::{LandError, Named, is_absent};
use super::frame::{Commit, Frame, Identity as Header, Mark, Sealed};
use super::journal::{self, Ruin};
use super::output::{gzip, hex};
use super::replace::{self, Next};
use super::salvage::{Known, Rows, Wanted};
use super::state::State;
use super::verify::{self, Verified};
use super::{Lander, folders, register, routing, seen};
use crate::disk::{Handle, Open};
use crate::row::Identity;
use crate::store::{Object, ObjectId, Store};

/// Where the damaged files of a rebuilt day are kept.
pub const DAMAGED: &str = ".hiwake/damaged";
/// A file of a day that is rebuilt is read into memory; a longer one was stretched, or is more than there is room for.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// Why a day was not rebuilt. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// A file of the day, or the lock.
    #[error(transparent)]
    Land(#[from] LandError),
    /// An object could not be read.
    #[error("{object}: {reason}")]
    Object {
        /// Which one.
        object: String,
        /// Why.
        reason: String,
    },
    /// Lines that were acknowledged are in no object.
    #[error(
        "{day_file}: at least {lines} of its lines are in no object that was given, so it stays as it is; the journal names these objects, which were not found: {}{}{}",
        if objects.is_empty() { "none".to_owned() } else { objects.join(", ") },
        if *rerouted { "; another routing was in use, and records do not say where their events landed under it: give it the objects of landing/, whose rows do" } else { "" },
        if unfinished.is_empty() { String::new() } else { format!("; a rebuild that was cut short has left what there was, and what it made of it, in {}", unfinished.join(", ")) }
    )]
    Missing {
        /// The day file.
        day_file: DayFile,
        /// How many.
        lines: u64,
        /// Objects that the journal names and that were not found.
        objects: Vec<String>,
        /// Whether records had events of the day that may have landed under another routing, and do not count.
        rerouted: bool,
        /// Folders of rebuilds that were cut short.
        unfinished: Vec<String>,
    },
    /// It cannot be made as it was.
    #[error("{path}: {reason}; nothing was changed")]
    Refused {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
}

/// A day that is whole again.
#[derive(Debug)]
pub struct Rebuilt {
    /// How many lines it has, in all segments.
    pub lines: u64,
    /// How many objects were read.
    pub objects: usize,
    /// Objects that the journal names, that were not found, and that were not needed.
    pub missing: Vec<String>,
    /// Where the damaged files are kept.
    pub kept: String,
}

/// A published segment, as it is recorded.
struct Published {
    sealed: Sealed,
    /// Its identities, once they are known; in the order of their times.
    ids: Vec<Identity>,
    /// Its lines, uncompressed.
    text: Vec<u8>,
    /// The bytes to be published, where the ones that are there are damaged.
    bytes: Option<Vec<u8>>,
}

/// Makes one day anew. `objects` are all that may be read; those that the journal names are, or all if it names none.
pub fn rebuild(
    lander: &Lander<'_>,
    store: &Store,
    objects: &[Object],
    day_file: &DayFile,
) -> Result<Rebuilt, RebuildError> {
    let ruin = Ruin::lock(lander, day_file)?;
    if let Some((kept, next)) = Next::find(lander, day_file, &ruin)? {
        // A rebuild that was cut short: what it was to put in place is whole, and nothing has happened since.
        next.put(lander, day_file, &ruin, &kept)?;
        let lines = whole(lander, day_file)?;
        return Ok(Rebuilt { lines, objects: 0, missing: Vec::new(), kept });
    }
    let known = Known::read(lander, day_file, ruin.state())?;
    let unfinished = replace::unfinished(lander, day_file)?;
    let (chosen, missing) = choose(known.state, objects);
    let named = known.state.into_iter().flat_map(State::commits).any(|one| !one.objects.is_empty());
    let identities = known.identities();
    // Otherwise not only what the journal names is read: it may be of any kind.
    let plain = identities.is_some() || (named && missing.is_empty());
    let made = plain || register::is_only(lander, day_file, &routing::rules(lander.config))?;
    let wanted = Wanted { identities, plain, made };
    let mut rows = Rows::read(lander, store, &chosen, day_file, &wanted)?;
    rows.salvage(&known);
    let rerouted = rows.rerouted;
    let lost = |lines| RebuildError::Missing {
        day_file: day_file.clone(),
        lines,
        objects: missing.clone(),
        rerouted,
        unfinished: unfinished.clone(),
    };
    // Published files first: which of the rows are theirs?
    let mut published = match known.state {
        Some(state) => recorded(day_file, state)?,
        None => found(lander, day_file)?,
    };
    let mut unmatched = 0;
    for one in &mut published {
        if !one.read(lander)? {
            continue;
        }
        match known.segment(one.sealed.segment) {
            Some(ids) => one.ids = ids,
            None => unmatched += rows.match_lines(&one.text, day_file.kind, &mut one.ids),
        }
        rows.take(&one.ids);
    }
    // Every line that was acknowledged and is not published has to be among the rows.
    unmatched += rows.lacking(&known, day_file.kind);
    unmatched += known.unknown(&missing);
    if unmatched > 0 {
        return Err(lost(unmatched));
    }
    let damaged = published.iter().filter(|one| one.bytes.is_some()).count();
    for one in published.iter_mut().filter(|one| one.bytes.is_some()) {
        one.make_again(&mut rows, &known, damaged)?;
    }
    let rest = rows.rest();
    let lines = rest.len() as u64 + published.iter().map(|one| one.ids.len() as u64).sum::<u64>();
    let wanted = known.lines();
    if lines < wanted {
        return Err(lost(wanted - lines));
    }
    if lines == 0 {
        return Err(lost(1));
    }
    let plan =
        Plan { lander, day_file, ruin: &ruin, published, rest: &rest, rows: &rows, known: &known };
    let names: Vec<String> = rows.objects.iter().map(ToString::to_string).collect();
    let kept = plan.put_in_place(&names)?;
    whole(lander, day_file)?;
    Ok(Rebuilt { lines, objects: names.len(), missing, kept })
}

/// How many lines a day has that nothing is wrong with.
fn whole(lander: &Lander<'_>, day_file: &DayFile) -> Result<u64, LandError> {
    let mut verified = Verified::default();
    let present = verify::names_of(lander, day_file)?;
    verify::verify_day(lander, day_file, present, &mut verified)?;
    match verified.findings.into_iter().find(|finding| finding.wrong) {
        Some(wrong) => Err(LandError::damage(wrong.path, wrong.what)),
        None => Ok(verified.lines),
    }
}

/// The objects that the journal names, as far as they are there; all, if it names none or some are missing.
fn choose(state: Option<&State>, objects: &[Object]) -> (Vec<ObjectId>, Vec<String>) {
    let all = || objects.iter().map(|object| object.id.clone()).collect::<Vec<_>>();
    let named: BTreeSet<&str> = { state.into_iter() }
        .flat_map(State::commits)
        .flat_map(|commit| &commit.objects)
        .map(|name| name.rsplit_once('@').map_or(name.as_str(), |(place, _)| place))
        .collect();
    // A folder holds a bucket's keys, or a part of them: a key is the end of the object's place.
    let find = |name: &&str| {
        let ends = objects.iter().filter(|object| {
            name.strip_suffix(object.id.key.as_str())
                .is_some_and(|front| front.is_empty() || front.ends_with('/'))
        });
        ends.max_by_key(|object| object.id.key.len())
    };
    let missing: Vec<String> =
        named.iter().filter(|name| find(name).is_none()).map(|name| (*name).to_owned()).collect();
    if named.is_empty() || !missing.is_empty() {
        return (all(), missing);
    }
    (named.iter().filter_map(find).map(|object| object.id.clone()).collect(), missing)
}

/// The published segments that a readable journal records.
fn recorded(day_file: &DayFile, state: &State) -> Result<Vec<Published>, RebuildError> {
    let removed = |number| RebuildError::Refused {
        path: day_file.target(number, false),
        reason: "retention has removed it, so its day cannot be made anew".to_owned(),
    };
    let mut published = Vec::new();
    if let Some(closed) = &state.closed {
        return Err(RebuildError::Refused {
            path: day_file.to_string(),
            reason: format!(
                "it was closed at {} with {} segments and takes no rows: take the damaged file from a backup of the root",
                closed.at,
                closed.segments.len()
            ),
        });
    }
    for (number, segment) in state.numbered() {
        match &segment.sealed {
            Some(_) if segment.removed.is_some() => return Err(removed(number)),
            Some(sealed) => published.push(Published::new(sealed.clone())),
            None => {}
        }
    }
    Ok(published)
}

/// The published segments that lie there, by their checksums.
fn found(lander: &Lander<'_>, day_file: &DayFile) -> Result<Vec<Published>, RebuildError> {
    let mut published = Vec::new();
    for target in verify::names_of(lander, day_file)? {
        let Some((_, number)) = DayFile::parse_published(day_file.folder(), name_of(&target))
        else {
            continue;
        };
        let refused = |reason: &str| RebuildError::Refused {
            path: target.clone(),
            reason: reason.to_owned(),
        };
        let sum = read_file(lander, &format!("{target}.sha256"))?;
        let sha256 = sum.get(..64).and_then(unhex).ok_or_else(|| {
            refused("neither its journal nor a .sha256 beside it says what it was")
        })?;
        let (temporary, at) = (target.clone(), lander.clock.now());
        let sealed = Sealed {
            segment: number,
            temporary,
            target: target.clone(),
            bytes: 0,
            lines: 0,
            sha256,
            at,
        };
        if published.len() as u32 + 1 < number {
            published.sort_by_key(|one: &Published| one.sealed.segment);
        }
        published.push(Published::new(sealed));
    }
    published.sort_by_key(|one| one.sealed.segment);
    for (number, one) in (1..).zip(&published) {
        if one.sealed.segment != number {
            let reason = format!("segment {number} is not there, and no journal says what it was");
            return Err(RebuildError::Refused { path: one.sealed.target.clone(), reason });
        }
    }
    Ok(published)
}

impl Published {
    fn new(sealed: Sealed) -> Published {
        Published { sealed, ids: Vec::new(), text: Vec::new(), bytes: None }
    }

    /// Reads the file that is there; `false` if it is not the one that was sealed.
    fn read(&mut self, lander: &Lander<'_>) -> Result<bool, LandError> {
        let mut bytes = read_file(lander, &self.sealed.target)?;
        if bytes.is_empty() && self.sealed.temporary != self.sealed.target {
            // Sealed, and not published yet.
            bytes = read_file(lander, &self.sealed.temporary)?;
            self.bytes = Some(bytes.clone());
        }
        if <[u8; 32]>::from(Sha256::digest(&bytes)) != self.sealed.sha256 {
            self.bytes = Some(Vec::new());
            return Ok(false);
        }
        self.sealed.bytes = bytes.len() as u64;
        self.text = match self.is_gzip() {
            false => bytes,
            true => {
                let mut text = Vec::new();
                let inflated = flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text);
                inflated.named("inflate", &self.sealed.target)?;
                text
            }
        };
        Ok(true)
    }

    fn is_gzip(&self) -> bool {
        self.sealed.target.ends_with(".gz")
    }

    /// The bytes that were sealed, made again of the rows: in the order of the commits where they are known, else of
    /// the times. Only the recorded hash tells whether it is them.
    fn make_again(
        &mut self,
        rows: &mut Rows,
        known: &Known<'_>,
        damaged: usize,
    ) -> Result<(), RebuildError> {
        if !self.text.is_empty() {
            return Ok(());
        }
        let orders: Vec<Vec<usize>> = match known.orders(self.sealed.segment) {
            Some(orders) => orders.iter().filter_map(|ids| rows.find(ids)).collect(),
            None if damaged == 1 && known.has_no_open_lines() => vec![rows.rest()],
            None => Vec::new(),
        };
        for order in orders {
            let text = rows.text(&order);
            let bytes = if self.is_gzip() {
                gzip(&text).named("compress", &self.sealed.target)?
            } else {
                text.clone()
            };
            if <[u8; 32]>::from(Sha256::digest(&bytes)) == self.sealed.sha256 {
                self.ids = rows.ids(&order);
                self.ids.sort_by_key(|id| id.timestamp);
                rows.take(&self.ids);
                self.sealed.bytes = bytes.len() as u64;
                (self.text, self.bytes) = (text, Some(bytes));
                return Ok(());
            }
        }
        Err(RebuildError::Refused {
            path: self.sealed.target.clone(),
            reason: "it is damaged, and the objects do not give the bytes that were sealed"
                .to_owned(),
        })
    }
}

/// Everything that is to be put in place.
struct Plan<'p> {
    lander: &'p Lander<'p>,
    day_file: &'p DayFile,
    ruin: &'p Ruin<'p>,
    published: Vec<Published>,
    rest: &'p [usize],
    rows: &'p Rows,
    known: &'p Known<'p>,
}

impl Plan<'_> {
    /// All that comes, kept first; then it is put in place.
    fn put_in_place(&self, objects: &[String]) -> Result<String, LandError> {
        let Plan { lander, day_file, ruin, .. } = *self;
        let number = self.published.len() as u32 + 1;
        let text = self.rows.text(self.rest);
        let (journal, seen) = self.compose(number, &text, objects);
        let mut files = Vec::new();
        for one in &self.published {
            if let Some(bytes) = &one.bytes {
                files.push((one.sealed.target.clone(), bytes.clone()));
            }
            let sum = format!("{}  {}\n", hex(&one.sealed.sha256), name_of(&one.sealed.target));
            let path = format!("{}.sha256", one.sealed.target);
            if read_file(lander, &path)? != sum.as_bytes() {
                files.push((path, sum.into_bytes()));
            }
        }
        if !self.rest.is_empty() {
            files.push((day_file.open_segment(number), text));
        }
        make_folder(lander, &day_file.journal_folder())?;
        let next = Next { journal, seen, files };
        let kept = next.keep(lander, day_file, ruin)?;
        next.put(lander, day_file, ruin, &kept)?;
        Ok(kept)
    }

    /// The journal's and `seen`'s bytes.
    fn compose(&self, number: u32, text: &[u8], objects: &[String]) -> (Vec<u8>, Vec<u8>) {
        let (mut frames, mut runs, mut entries) = (Vec::new(), Vec::new(), 0);
        let mut commit = |segment, at, ids: &[Identity], text: &[u8], frames: &mut Vec<Frame>| {
            let (run, blocks) = seen::encode(ids.iter().copied());
            frames.push(Frame::Commit(Commit {
                segment,
                lines: ids.len() as u64,
                offset: 0,
                bytes: text.len() as u64,
                crc: crc32c::crc32c(text),
                seen: entries,
                blocks,
                at,
                duplicates: 0,
                objects: objects.to_vec(),
            }));
            entries += ids.len() as u64;
            runs.extend_from_slice(&run);
        };
        for one in &self.published {
            let Sealed { segment, at, .. } = one.sealed;
            commit(segment, at, &one.ids, &one.text, &mut frames);
            let sealed = Sealed { lines: one.ids.len() as u64, ..one.sealed.clone() };
            let mark = Mark { segment, at };
            frames.extend([Frame::Freeze(mark), Frame::Sealed(sealed), Frame::Done(mark)]);
        }
        if !self.rest.is_empty() {
            commit(number, self.lander.clock.now(), &self.rows.ids(self.rest), text, &mut frames);
        }
        let timezone = self
            .known
            .state
            .map_or(self.lander.config.timezone.name(), |state| &state.identity.timezone);
        let (journal, mark) = journal::compose(&Header::of(self.day_file, timezone), &frames);
        let mut seen = mark.encode();
        seen.extend_from_slice(&runs);
        (journal, seen)
    }
}

/// A whole file; empty if it is not there.
pub(super) fn read_file(lander: &Lander<'_>, path: &str) -> Result<Vec<u8>, LandError> {
    match lander.disk.open(path, Open::Read) {
        Ok(file) => read_handle(file.as_ref(), path),
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        Err(error) => Err(error).named("open", path),
    }
}

pub(super) fn read_handle(file: &dyn Handle, path: &str) -> Result<Vec<u8>, LandError> {
    let length = file.length().named("look at", path)?;
    if length > FILE_BYTES_MAX {
        let what = format!("it has {length} bytes: more than a rebuild holds in memory");
        return Err(LandError::damage(path, what));
    }
    let mut bytes = vec![0; length as usize];
    let filled = file.read_at(&mut bytes, 0).named("read", path)?;
    bytes.truncate(filled);
    Ok(bytes)
}

fn make_folder(lander: &Lander<'_>, folder: &str) -> Result<(), LandError> {
    folders::make(lander, folder).or_else(|error| match error {
        LandError::Io { ref source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok(())
        }
        error => Err(error),
    })
}

fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let text = std::str::from_utf8(text).ok()?;
    let bytes = (0..32).map(|n| u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok());
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}
