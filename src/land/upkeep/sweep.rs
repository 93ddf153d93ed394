//! A round of sealing: removes, seals and closes what is due, and announces what was published.
//!
//! It reads only the calendar below [`DUE`] and the journals that the hints name. A failure becomes
//! an entry in [`Swept::failed`]; the round continues with the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::clock::Clock;
use crate::day::{day_end, utc_day};
use crate::disk::Open;
use crate::land::day_file::{commit, seal};
use crate::land::journal::Journal;
use crate::land::journal::frame::{Contents, Sealed};
use crate::land::journal::lander::Lander;
use crate::land::root::error::{Context, LandError, Result};
use crate::land::root::folders;
use crate::land::root::layout::{CLOCK, DELIVERED, DUE, DayFile, Hint, folder_of};
use crate::land::upkeep::calendar::{self, Due, Hints};
use crate::land::upkeep::closing::{close, retain};
use crate::land::upkeep::due::{daily_files, delivered, is_begun};
use crate::land::upkeep::fault::Fault;
use crate::row::Day;

/// Bytes of the largest answer. SNS takes 256 KB, including its own envelope.
const ANSWER_BYTES_MAX: usize = 199_000;
/// Most bytes of each list in it, except the announcements.
const LIST_BYTES_MAX: usize = 40_000;
/// How many day files are closed or removed before the room in the answer is checked again.
const AT_ONCE: usize = 4;

/// The result of a round.
#[derive(Debug, Default)]
pub struct Swept {
    /// The segments that this round published.
    pub sealed: Vec<(DayFile, Sealed)>,
    /// The published segments that the answer lists.
    pub announced: Vec<Announced>,
    /// The days whose journals were closed.
    pub closed: Vec<DayFile>,
    /// The files that retention removed.
    pub removed: Vec<String>,
    /// What failed; everything else was done.
    pub failed: Vec<LandError>,
}

/// A sealed segment as an announcement names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Announced {
    /// The file's name without its day.
    pub(crate) file: String,
    /// The local date.
    pub(crate) day: String,
    /// The segment's number: 1 is the first, the others are late.
    pub(crate) segment: u32,
    /// The published name, relative to the root.
    pub path: String,
    /// The number of lines.
    pub lines: u64,
    /// The number of published bytes.
    pub bytes: u64,
    /// SHA-256 of the published bytes, in hexadecimal.
    pub sha256: String,
}

/// The answer of the seal function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SealReport {
    /// The published segments.
    pub sealed: Vec<Announced>,
    /// The days that take no more rows.
    pub closed: Vec<String>,
    /// The files that retention removed.
    pub removed: Vec<String>,
    /// What failed, in words.
    pub failed: Vec<String>,
}

impl Swept {
    /// Whether nothing was due, and nothing failed.
    pub fn is_idle(&self) -> bool {
        [self.sealed.len(), self.closed.len(), self.removed.len(), self.failed.len()] == [0; 4]
    }

    /// The answer of the seal function for this round.
    pub fn answer(&self) -> SealReport {
        let fit = |mut list: Vec<String>| {
            let sizes = list.iter().scan(0, |sum, item| {
                *sum += json_bytes(item) + 1;
                Some(*sum)
            });
            let fitting = sizes.take_while(|sum| *sum <= LIST_BYTES_MAX).count();
            if fitting < list.len() {
                let more = list.len() - fitting;
                list.truncate(fitting);
                list.push(format!("and {more} more"));
            }
            list
        };
        SealReport {
            sealed: self.announced.clone(),
            closed: fit(self.closed.iter().map(ToString::to_string).collect()),
            removed: fit(self.removed.clone()),
            failed: fit(self.failed.iter().map(ToString::to_string).collect()),
        }
    }
}

/// The size of a value as JSON.
fn json_bytes(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |json| json.len())
}

impl Announced {
    fn of(day_file: &DayFile, segment: u32, path: &str, contents: &Contents) -> Announced {
        let (file, day, path) = (day_file.file.clone(), day_file.day.to_string(), path.to_owned());
        let Contents { bytes, lines, sha256 } = *contents;
        Announced { file, day, segment, path, lines, bytes, sha256: hex::encode(sha256) }
    }
}

impl Lander<'_> {
    /// Seals what is due, closes old journals, and removes files whose retention has ended. Lists
    /// what it published itself.
    pub fn seal(&self) -> Result<Swept> {
        let mut round = Round::begin(self)?;
        round.run();
        // A paused process may have left a draft of a segment that is done. Rounds that announce
        // remove such drafts; this round does not announce.
        let sealed = round.swept.sealed.iter().map(|(day_file, _)| day_file.clone()).collect();
        round.clear(&sealed);
        round.report();
        let Round { mut swept, .. } = round;
        let announced = |(day_file, sealed): &(DayFile, Sealed)| {
            Announced::of(day_file, sealed.segment, &sealed.target, &sealed.contents())
        };
        swept.announced = swept.sealed.iter().map(announced).collect();
        Ok(swept)
    }

    /// The same, but announces what any process published, until two rounds have announced it.
    pub fn seal_and_announce(&self) -> Result<Swept> {
        let mut round = Round::begin(self)?;
        round.run();
        round.announce();
        round.report();
        Ok(round.swept)
    }
}

struct Round<'l> {
    lander: &'l Lander<'l>,
    /// The kinds of work in the calendar when the round began.
    calendar: BTreeSet<String>,
    /// The dates in the calendar, as far as this round reads them.
    named: BTreeSet<String>,
    /// Whether a seal was due, even if a killed round already did it.
    looked: bool,
    swept: Swept,
}

impl<'l> Round<'l> {
    fn begin(lander: &'l Lander<'l>) -> Result<Round<'l>> {
        let mut swept = Swept::default();
        let calendar = folders::list(lander, DUE).unwrap_or_else(|error| {
            swept.failed.push(error);
            Vec::new()
        });
        let calendar: BTreeSet<String> = calendar.into_iter().map(|entry| entry.name).collect();
        // If the calendar is empty, perhaps nothing ever landed here and this is the wrong folder:
        // create nothing in it.
        if !calendar.is_empty() {
            match check_clock(lander) {
                Err(error @ LandError::Clock { .. }) => return Err(error),
                // Each day compares the clocks again before it changes anything.
                checked => swept.failed.extend(checked.err()),
            }
        }
        Ok(Round { lander, calendar, named: BTreeSet::new(), looked: false, swept })
    }

    /// Runs retention first: on a full file system, it makes room for the rest.
    fn run(&mut self) {
        let days = self.lander.config.retention.days;
        if days > 0 {
            for what in ["close", "closed"] {
                self.each_day(what, days, retain, |swept, removed| swept.removed.extend(removed));
            }
        }
        self.seal();
        let days = self.lander.config.seal.journal_days;
        for what in ["close", "removed"] {
            self.each_day(what, days, close, |swept, closed| swept.closed.extend(closed));
        }
    }

    /// The due day files and segments in the calendar; what cannot be read counts as failed.
    fn hints(&mut self, what: &str, due: &dyn Fn(&str) -> bool) -> Vec<Due> {
        // This round may have added hints. A journal is due on the day of its publication only if
        // `journal_days` is 0.
        let is_added = match what {
            "close" => !self.swept.sealed.is_empty() && self.lander.config.seal.journal_days == 0,
            "closed" | "removed" => !self.swept.removed.is_empty(),
            _ => !self.swept.sealed.is_empty(),
        };
        if !is_added && !self.calendar.contains(what) {
            return Vec::new();
        }
        let Hints { due, names, empty, unread } = calendar::hints(self.lander, what, due);
        if what != "announce" {
            self.named.extend(names);
            // Left by a round that was killed before it tidied.
            self.looked |= !empty.is_empty();
        }
        self.swept.failed.extend(unread);
        self.tidy(what, empty);
        due
    }

    /// Removes folders of the calendar that are now empty.
    fn tidy(&mut self, what: &str, folders: impl IntoIterator<Item = String>) {
        let tidied = folders::remove_empty(self.lander, folders, &format!("{DUE}/{what}"));
        self.swept.failed.extend(tidied.err());
    }

    fn seal(&mut self) {
        let lander = self.lander;
        let ended = |when: &str| when.parse().is_ok_and(|day| lander.may_seal(day));
        let mut days: BTreeMap<DayFile, Vec<u32>> = BTreeMap::new();
        let hints = self.hints("seal", &ended);
        self.looked |= !hints.is_empty();
        let folders: Vec<String> = hints.iter().map(folder).collect();
        for (day_file, hint) in hints {
            if let Hint::Seal(segment) = hint {
                days.entry(day_file).or_default().push(segment);
            }
        }
        if self.calendar.contains(DELIVERED) {
            self.begin_empty(&mut days);
        }
        let results = lander.in_parallel(days.into_iter().collect(), |(day_file, segments)| {
            let mut published = Vec::new();
            let result = lander
                .check_time(&day_file)
                .and_then(|()| seal::seal(lander, &day_file, &segments, &mut published));
            (day_file, published, result)
        });
        for (day_file, published, result) in results {
            let published = published.into_iter().map(|sealed| (day_file.clone(), sealed));
            self.swept.sealed.extend(published);
            self.swept.failed.extend(result.err());
        }
        self.tidy("seal", folders);
    }

    /// Begins the day files without events for days with a delivery. The mark of a delivery stays
    /// until all of them are begun, so that the next round resumes an interrupted one. If
    /// `empty_days` was switched off meanwhile, only the mark is removed.
    fn begin_empty(&mut self, due: &mut BTreeMap<DayFile, Vec<u32>>) {
        let lander = self.lander;
        let marks = delivered(lander).unwrap_or_else(|error| {
            self.swept.failed.push(error);
            Vec::new()
        });
        for mark in marks.into_iter().filter(|mark| lander.may_seal(mark.day)) {
            // Dated at the day's last moment, so that it is sealed with the others. If objects of
            // that day land only now, the file waits for those that follow.
            let (now, end) = (lander.clock.now(), day_end(lander.config.timezone, mark.day));
            let at = if mark.had_ended { now } else { end.min(now) };
            let files = daily_files(lander.config, mark.day).into_iter().collect();
            let begun = lander.in_parallel(files, |day_file| {
                lander.check_time(&day_file)?;
                let is_quiet = !is_begun(lander, &day_file)?;
                if is_quiet {
                    commit::begin_empty(lander, &day_file, at)?;
                }
                Ok(is_quiet.then_some(day_file))
            });
            let (begun, failed): (Vec<_>, Vec<_>) = begun.into_iter().partition(Result::is_ok);
            due.extend(begun.into_iter().flatten().flatten().map(|day_file| (day_file, vec![1])));
            self.swept.failed.extend(match failed.is_empty() {
                true => folders::remove(lander, &mark.path()).err().into_iter().collect(),
                false => failed.into_iter().filter_map(Result::err).collect::<Vec<_>>(),
            });
        }
    }

    /// Runs `act` on the day files whose last publication is `days` days old, as many as the answer
    /// has room for. The next round takes the others.
    fn each_day<T: Send>(
        &mut self,
        what: &str,
        days: u32,
        act: fn(&Lander<'_>, &Due, u32) -> Result<T>,
        mut take: impl FnMut(&mut Swept, T),
    ) {
        let lander = self.lander;
        // Only a lower bound: the journal has the exact time.
        let today = utc_day(lander.clock.now()).date();
        let due = |when: &str| {
            let date = when.parse::<Day>();
            date.is_ok_and(|date| (today - date.date()).num_days() >= i64::from(days))
        };
        let found = self.hints(what, &due);
        for part in found.chunks(AT_ONCE) {
            let results = lander.in_parallel(part.iter().collect(), |due| {
                lander.check_time(&due.0).and_then(|()| act(lander, due, days))
            });
            for result in results {
                match result {
                    Ok(done) => take(&mut self.swept, done),
                    Err(error) => self.swept.failed.push(error),
                }
            }
            let closed = self.swept.closed.iter().map(|day_file| day_file.to_string().len());
            let listed = closed.chain(self.swept.removed.iter().map(String::len));
            if listed.sum::<usize>() > LIST_BYTES_MAX / 2 {
                break;
            }
        }
        self.tidy(what, found.iter().map(folder));
    }

    /// Announces published segments while the answer has room. Two rounds announce each segment.
    fn announce(&mut self) {
        let lander = self.lander;
        let hints = self.hints("announce", &|_| true);
        let day_files = hints.iter().map(|(day_file, _)| day_file.clone()).collect();
        let folders: Vec<String> = hints.iter().map(folder).collect();
        self.clear(&day_files);
        let mut room = ANSWER_BYTES_MAX.saturating_sub(json_bytes(&self.swept.answer()));
        for (day_file, hint) in hints {
            let Hint::Announce(rounds, segment) = hint else { continue };
            let published =
                calendar::read(lander, &day_file).map(|state| state.published(&day_file));
            let announced = match published {
                Ok(published) => published.into_iter().find(|one| one.segment == segment),
                Err(error) => {
                    self.swept.failed.push(error);
                    continue;
                }
            };
            let announced = announced
                .map(|one| Announced::of(&day_file, one.segment, &one.path, &one.contents));
            let size = json_bytes(&announced) + 1;
            if size > room {
                break;
            }
            room -= size;
            self.swept.announced.extend(announced);
            let from = day_file.hint(&Hint::Announce(rounds, segment));
            let moved = match rounds {
                0 | 1 => folders::remove(lander, &from),
                _ => {
                    let to = day_file.hint(&Hint::Announce(rounds - 1, segment));
                    folders::make(lander, folder_of(&to))
                        .and_then(|()| lander.disk.rename(&from, &to).context("rename", &from))
                }
            };
            self.swept.failed.extend(moved.err());
        }
        self.tidy("announce", folders);
    }

    /// Writes the report page if it is configured and the existing page may be outdated. An idle
    /// round reads only the beginning of that page, and no journal.
    fn report(&mut self) {
        let lander = self.lander;
        if !lander.config.report.write {
            return;
        }
        let is_behind = self.looked
            || !self.swept.is_idle()
            || match lander.page_is_current(&self.named) {
                Ok(Some(is_current)) => !is_current,
                // With no page and an empty calendar, perhaps nothing ever landed.
                Ok(None) => !self.calendar.is_empty(),
                // Writing the page repairs it, or reports the error.
                Err(_) => true,
            };
        if is_behind {
            let wrong = self.swept.failed.iter().map(Fault::from).collect();
            self.swept.failed.extend(lander.write_report(wrong).err());
        }
    }

    /// Removes open files and temporary files of segments that are done, beside the published files
    /// of these days. Processes that were killed or paused past their lease leave them. A done
    /// segment stays done, so this needs no lock.
    fn clear(&mut self, day_files: &BTreeSet<DayFile>) {
        let lander = self.lander;
        let day_files: BTreeSet<&DayFile> = self.swept.closed.iter().chain(day_files).collect();
        let files: BTreeSet<&String> = day_files.iter().map(|day_file| &day_file.file).collect();
        for file in files {
            let names = folders::names(lander, file).unwrap_or_else(|error| {
                self.swept.failed.push(error);
                Vec::new()
            });
            for name in names {
                let found = DayFile::parse_unfinished(file, &name);
                let found = found.filter(|(day_file, _)| day_files.contains(day_file));
                let Some((day_file, segment)) = found else { continue };
                let removed = Journal::peek(lander, &day_file).and_then(|state| {
                    let done = state.is_some_and(|state| state.is_done(segment));
                    if done { folders::remove(lander, &format!("{file}/{name}")) } else { Ok(()) }
                });
                self.swept.failed.extend(removed.err());
            }
        }
    }
}

/// The folder of a hint.
fn folder((day_file, hint): &Due) -> String {
    folder_of(&day_file.hint(hint)).to_owned()
}

/// Checks this machine's clock: a wrong clock would seal days that have not ended.
fn check_clock(lander: &Lander<'_>) -> Result<()> {
    if lander.clock != Clock::System {
        return Ok(());
    }
    // Always the same file, so that killed processes leave no others.
    let path = CLOCK;
    let file = lander.open(path, Open::Create(lander.open_mode()))?;
    let written = file.write_at(b"?", 0).and_then(|()| file.sync()).and_then(|()| file.inode());
    lander.compare_clocks(written.context("write", path)?.modified)
}
