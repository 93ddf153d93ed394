//! Registers: `.hiwake/routings/<UTC date>` says by which rules events of that date became lines,
//! and in which other day files such events are. It is what lets a landing find an event wherever
//! another configuration has put it.
//!
//! A register is a header and a line for each entry: CRC-32C in hex, a space, JSON. A landing holds
//! the registers of its rows' dates under shared locks until it has committed; an entry is added
//! under the exclusive one. So two landings at the same time see the same entries. An entry counts
//! when its line break is there, which is written after the entry was synced: what a reader finds
//! is durable.
//!
//! What a register may have lost is made up for by a `restored` entry: it lists every day file that
//! can hold events of the date. A lost or damaged register costs time, and doubles nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::day::DAY_MS;
use crate::disk::{Handle, Open};
use crate::file_name;
use crate::land::journal::frame::Routing;
use crate::land::journal::lander::Lander;
use crate::land::journal::{self, Journal, seen};
use crate::land::root::error::{Context, LandError, Result};
use crate::land::root::files::read_whole;
use crate::land::root::folders;
use crate::land::root::layout::{DayFile, ROUTINGS, folder_of, name_of};
use crate::row::Day;

/// The dot is the spare byte: written through a handle, it proves the handle's lock. A newer
/// release has other entries, not another header: a flipped bit in it must not look like one.
const HEADER: &[u8] = b"hiwake routings 1 .\n";
const PROOF_AT: u64 = 18;
/// No register gets so long. What pretends to be is not read into memory.
const BYTES_MAX: u64 = 64 << 20;
/// How often a landing starts over because others have added entries meanwhile.
const ROUNDS_MAX: usize = 16;

/// The register of a timestamp.
pub fn date(timestamp: i64) -> NaiveDate {
    let number = i32::try_from(timestamp.div_euclid(DAY_MS)).ok();
    number.and_then(NaiveDate::from_epoch_days).unwrap_or(NaiveDate::MAX)
}

/// The registers of all times from a first to a last one.
pub(crate) fn dates(span: Option<(i64, i64)>) -> impl Iterator<Item = NaiveDate> {
    span.into_iter().flat_map(|(first, last)| {
        let last = date(last);
        date(first).iter_days().take_while(move |date| *date <= last)
    })
}

fn path(date: NaiveDate) -> String {
    format!("{ROUTINGS}/{date}")
}

/// One line. All that an append adds is one entry, so that it counts as a whole or not at all.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Entry {
    /// What was lost before here, or never was, is accounted for by the day files that are listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    restored: bool,
    /// Where rows went whose rules are not known here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    day_files: Vec<String>,
    /// The rules of a routing.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Box<RawValue>>,
}

impl Entry {
    fn encode(&self) -> String {
        let json = serde_json::to_string(self).expect("texts and lists are JSON");
        format!("{:08x} {json}", crc32c::crc32c(json.as_bytes()))
    }
}

/// What a register says.
#[derive(Debug, Default)]
pub struct Register {
    /// The rules of routings, as [`routing::rules`](super::routing::rules) writes them.
    pub(crate) rules: Vec<String>,
    /// Day files that have rows whose rules are not known.
    pub(crate) day_files: BTreeSet<DayFile>,
    /// Whether entries may have been lost that no `restored` makes up for: all of them, if the
    /// register is empty.
    lost: bool,
    /// Whether that is because a line, or the header, is unreadable.
    damaged: bool,
    /// Where the last whole line ends.
    end: u64,
    /// An entry after it that lacks nothing but its line break.
    tail: Vec<u8>,
    /// Whether there is anything after the last whole line.
    untidy: bool,
}

impl Register {
    /// Reads a register without its lock.
    fn peek(lander: &Lander<'_>, date: NaiveDate) -> Result<Register> {
        let path = path(date);
        let Some(handle) = lander.open_if_there(&path)? else {
            return Register::decode(&path, b"");
        };
        handle.drop_cache().context("read", &path)?;
        Register::read(handle.as_ref(), &path)
    }

    fn read(handle: &dyn Handle, path: &str) -> Result<Register> {
        Register::decode(path, &read_whole(handle, path, 0, BYTES_MAX)?)
    }

    fn decode(path: &str, bytes: &[u8]) -> Result<Register> {
        let (header, lines) = bytes.split_at(HEADER.len().min(bytes.len()));
        let spare = PROOF_AT as usize;
        let has_header = header.len() == HEADER.len()
            && header[..spare] == HEADER[..spare]
            && header[spare + 1..] == HEADER[spare + 1..];
        let end = HEADER.len() as u64;
        let mut register = Register { lost: true, end, ..Register::default() };
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let whole = line.strip_suffix(b"\n");
            // A line break that was lost with the power is missing, or a zero.
            let length = line.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            let text = whole.unwrap_or(&line[..length]);
            let is_entry = register.entry(path, text)?;
            register.lost |= !is_entry;
            register.damaged = (register.damaged || !is_entry) && register.lost;
            register.untidy = whole.is_none();
            match whole {
                Some(_) => register.end += line.len() as u64,
                None if is_entry => register.tail = text.to_vec(),
                None => {}
            }
        }
        register.damaged |= !has_header && !lines.is_empty();
        register.lost |= !has_header;
        Ok(register)
    }

    /// Takes a line in. `false`: it is not what was written.
    fn entry(&mut self, path: &str, line: &[u8]) -> Result<bool> {
        let Some((crc, json)) = line.split_at_checked(8) else { return Ok(false) };
        let Some(json) = json.strip_prefix(b" ") else { return Ok(false) };
        if format!("{:08x}", crc32c::crc32c(json)).as_bytes() != crc {
            return Ok(false);
        }
        let Ok(entry) = serde_json::from_slice::<Entry>(json) else {
            return Err(newer(path, "an entry"));
        };
        for name in entry.day_files {
            let file = folder_of(&name);
            let day_file = DayFile::parse_published(file, name_of(&name)).map(|(found, _)| found);
            let day_file = day_file.filter(|_| file_name::check(file).is_ok());
            self.day_files.insert(day_file.ok_or_else(|| newer(path, "a day file"))?);
        }
        self.rules.extend(entry.rules.map(|rules| rules.get().to_owned()));
        self.lost &= !entry.restored;
        Ok(true)
    }

    /// Whether an event that came to a day file by a routing is found there.
    fn knows(&self, day_file: &DayFile, routing: Option<u32>) -> bool {
        let has = |crc| self.rules.iter().any(|rules| crc32c::crc32c(rules.as_bytes()) == crc);
        self.day_files.contains(day_file) || routing.is_some_and(has)
    }

    fn has(&self, rules: &str) -> bool {
        self.rules.iter().any(|known| known == rules)
    }
}

fn newer(path: &str, what: &str) -> LandError {
    let what = format!("{what} is not one that this release knows");
    LandError::Newer { path: path.to_owned(), what }
}

/// Adds what is missing in a register: these rules, these day files, and what it may have lost.
fn add(
    lander: &Lander<'_>,
    date: NaiveDate,
    rules: Option<&str>,
    day_files: &BTreeSet<DayFile>,
) -> Result<()> {
    let path = path(date);
    let how = Open::Create(lander.open_mode());
    let (handle, _) = lander.open_locked(&path, how, lander.lock_deadline())?;
    let register = Register::read(handle.as_ref(), &path)?;
    add_to(lander, date, handle.as_ref(), register, rules, day_files).map(drop)
}

/// The same through a handle that has the exclusive lock; answers what the register says then.
fn add_to(
    lander: &Lander<'_>,
    date: NaiveDate,
    handle: &dyn Handle,
    mut register: Register,
    rules: Option<&str>,
    day_files: &BTreeSet<DayFile>,
) -> Result<Register> {
    let path = path(date);
    let mut listed: BTreeSet<DayFile> =
        day_files.difference(&register.day_files).cloned().collect();
    if register.lost {
        listed.extend(holders(lander, date)?);
    }
    let (mut end, tail) = (register.end, std::mem::take(&mut register.tail));
    // What is torn is cut, and the cut synced by itself: no later entry is mixed with its bytes.
    let kept = end + tail.len() as u64;
    if handle.length().context("look at", &path)? > kept {
        handle.truncate(kept).and_then(|()| handle.sync()).context("cut", &path)?;
    }
    if register.lost {
        handle.write_at(HEADER, 0).context("write", &path)?;
    }
    let mut append = |line: &[u8]| {
        let written = handle.write_at(line, end).and_then(|()| handle.sync());
        written.map_err(|error| journal::lease_lost(&path, error))?;
        folders::sync_up(lander, ROUTINGS)?;
        end += line.len() as u64 + 1;
        // From here on it counts. Not synced: should it be lost, the next one who adds an entry
        // writes it again.
        handle.write_at(b"\n", end - 1).context("write", &path)
    };
    if !tail.is_empty() {
        append(&tail)?;
    }
    let new = rules.filter(|rules| !register.has(rules));
    let entry = Entry {
        restored: register.lost,
        day_files: listed.iter().map(ToString::to_string).collect(),
        rules: new.and_then(|rules| RawValue::from_string(rules.to_owned()).ok()),
    };
    if entry.restored || entry.rules.is_some() || !listed.is_empty() {
        append(entry.encode().as_bytes())?;
    }
    register.day_files.extend(listed);
    register.rules.extend(new.map(str::to_owned));
    Ok(Register { lost: false, damaged: false, end, untidy: false, ..register })
}

/// Registers under their locks: shared, or exclusive where this landing has made the register. What
/// depends on them is committed before they are dropped.
pub struct Held {
    /// What they say.
    pub(crate) registers: BTreeMap<NaiveDate, Register>,
    /// In the order in which they were locked.
    handles: Vec<(String, Box<dyn Handle>)>,
}

/// The dates of some registers.
pub(crate) type Dates = BTreeSet<NaiveDate>;

/// What registers lack before rows may become lines: for each date, day files to be listed.
pub(crate) type Missing = BTreeMap<NaiveDate, BTreeSet<DayFile>>;

impl Held {
    /// Holds the registers of these dates, with these rules in each. `look` is told what they say,
    /// and answers what else has to be there; then all are let go, it is added, and it is told
    /// again.
    pub fn take<T>(
        lander: &Lander<'_>,
        dates: &Dates,
        rules: &str,
        mut look: impl FnMut(&BTreeMap<NaiveDate, Register>, &mut Missing) -> Result<T>,
    ) -> Result<(Held, T)> {
        for _ in 0..ROUNDS_MAX {
            let held = Held::lock(lander, dates, rules)?;
            // Those that do not say all there is to say, these rules too.
            let incomplete = |one: &Register| one.lost || one.untidy || !one.has(rules);
            let incomplete = held.registers.iter().filter(|(_, register)| incomplete(register));
            let mut missing: Missing =
                incomplete.map(|(date, _)| (*date, BTreeSet::new())).collect();
            let looked = look(&held.registers, &mut missing)?;
            if missing.is_empty() {
                return Ok((held, looked));
            }
            drop(held);
            for (date, day_files) in missing {
                add(lander, date, Some(rules), &day_files)?;
            }
        }
        Err(LandError::Busy(ROUTINGS.to_owned()))
    }

    /// What they say and would have to say, without their locks.
    pub(crate) fn peek<T>(
        lander: &Lander<'_>,
        dates: &Dates,
        mut look: impl FnMut(&BTreeMap<NaiveDate, Register>, &mut Missing) -> Result<T>,
    ) -> Result<(Held, T)> {
        let mut registers = BTreeMap::new();
        for date in dates {
            let mut register = Register::peek(lander, *date)?;
            // Nobody restores it here, so what it may have lost is looked for in the journals.
            if register.lost {
                register.day_files.extend(holders(lander, *date)?);
            }
            registers.insert(*date, register);
        }
        let looked = look(&registers, &mut Missing::new())?;
        Ok((Held { registers, handles: Vec::new() }, looked))
    }

    fn lock(lander: &Lander<'_>, dates: &Dates, rules: &str) -> Result<Held> {
        let mut held = Held { registers: BTreeMap::new(), handles: Vec::new() };
        for date in dates {
            let path = path(*date);
            let open = || lander.open(&path, Open::Create(lander.open_mode()));
            let mut handle = open()?;
            // One that is empty gets its first entry under the exclusive lock, which is kept: a
            // shared one afterwards would cost three times as many round trips.
            if handle.length().context("look at", &path)? == 0 {
                lander.lock(&path, lander.lock_deadline(), || handle.try_lock())?;
                let register = Register::read(handle.as_ref(), &path)?;
                if register.lost {
                    let none = BTreeSet::new();
                    let begun =
                        add_to(lander, *date, handle.as_ref(), register, Some(rules), &none)?;
                    held.registers.insert(*date, begun);
                    held.handles.push((path, handle));
                    continue;
                }
                // Somebody else was faster.
                drop(handle);
                handle = open()?;
            }
            lander.lock(&path, lander.lock_deadline(), || handle.try_lock_shared())?;
            held.registers.insert(*date, Register::read(handle.as_ref(), &path)?);
            held.handles.push((path, handle));
        }
        Ok(held)
    }

    /// Keeps every other landing out whose events of these dates may be in several day files. All
    /// of them see the same registers, so each knows that it has to be here; nobody else waits.
    pub(crate) fn exclude_others(&mut self, lander: &Lander<'_>, dates: &Dates) -> Result<()> {
        for date in dates {
            let path = format!("{}.mixed", path(*date));
            let how = Open::Create(lander.open_mode());
            let (handle, _) = lander.open_locked(&path, how, lander.lock_deadline())?;
            self.handles.push((path, handle));
        }
        Ok(())
    }

    /// Proves that every lock stands that was taken since the first register's: a lease is lost for
    /// all of them at once, so a write through the first handle fails then.
    pub(crate) fn prove(&self) -> Result<()> {
        let Some((path, handle)) = self.handles.first() else { return Ok(()) };
        let spare = PROOF_AT as usize;
        let proof = handle.write_at(&HEADER[spare..=spare], PROOF_AT).and_then(|()| handle.sync());
        proof.map_err(|error| journal::lease_lost(path, error))
    }
}

/// The day files whose journals can hold events of a date: those of the local days around it.
fn holders(lander: &Lander<'_>, date: NaiveDate) -> Result<Vec<DayFile>> {
    let mut holders = Vec::new();
    for day_file in journals(lander, &|day| (day.date() - date).num_days().abs() <= 1)? {
        if may_hold(lander, &day_file, date)? {
            holders.push(day_file);
        }
    }
    Ok(holders)
}

/// The day files of these local days that have a journal, or what is left of one.
fn journals(lander: &Lander<'_>, of: &dyn Fn(Day) -> bool) -> Result<BTreeSet<DayFile>> {
    let (day_files, mut unread) = folders::day_files(lander, of);
    unread.pop().map_or(Ok(day_files), Err)
}

fn may_hold(lander: &Lander<'_>, day_file: &DayFile, date: NaiveDate) -> Result<bool> {
    let touches = |min, max| self::date(min) <= date && self::date(max) >= date;
    match Journal::read_or_damage(lander, day_file) {
        Ok(None) => Ok(false),
        // Without a commit: lines of a landing that was interrupted may be there, and are cut when
        // it is asked.
        Ok(Some(state)) => Ok(state.closed.is_some()
            || state.segments.is_empty()
            || (state.commits().flat_map(|commit| &commit.blocks))
                .any(|block| touches(block.min, block.max))),
        // What is damaged holds up its own events only, as long as its identities tell when they
        // are from.
        Err(LandError::Damage { .. }) => {
            let path = day_file.seen();
            let Ok(seen) = lander.disk.open(&path, Open::Read) else { return Ok(true) };
            let bytes = read_whole(seen.as_ref(), &path, 0, u64::MAX)?;
            let entries = bytes.get(seen::WATERMARK_BYTES as usize..).unwrap_or_default();
            Ok(entries.is_empty()
                || seen::entries(entries).any(|entry| touches(entry.timestamp, entry.timestamp)))
        }
        Err(LandError::Newer { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// What is wrong with registers, by their dates, and the day files that they do not lead to.
fn wrong(lander: &Lander<'_>) -> Result<BTreeMap<NaiveDate, (String, BTreeSet<DayFile>)>> {
    // Journals first: an event's register is older than the event's journal.
    let (mut routings, mut closed) = (BTreeMap::<_, BTreeSet<_>>::new(), Vec::new());
    for day_file in journals(lander, &|_| true)? {
        // One that is damaged is told of as such.
        let Ok(Some(state)) = Journal::peek(lander, &day_file) else { continue };
        for commit in state.commits() {
            for time in commit.blocks.iter().flat_map(|block| [block.min, block.max]) {
                routings.entry(date(time)).or_default();
            }
            for Routing { date, rules } in &commit.routings {
                let date = self::date(i64::from(*date) * DAY_MS);
                routings.entry(date).or_default().insert((day_file.clone(), *rules));
            }
        }
        if state.closed.is_some() {
            closed.push(day_file.day.date());
        }
    }
    let mut registers = BTreeMap::new();
    for name in folders::names(lander, ROUTINGS)? {
        let Ok(date) = name.parse() else { continue };
        registers.insert(date, Register::peek(lander, date)?);
    }
    // A local day can have events of three UTC dates; of a closed one nobody knows of which.
    for day in closed {
        let mut around = [day.pred_opt(), Some(day), day.succ_opt()].into_iter().flatten();
        if !around.any(|date| registers.contains_key(&date)) {
            routings.entry(day).or_default();
        }
    }
    let mut wrong = BTreeMap::new();
    for date in registers.keys().chain(routings.keys()) {
        let register = registers.get(date);
        let used = routings.get(date).into_iter().flatten();
        let missed = |(day_file, rules): &&(DayFile, Option<u32>)| {
            register.is_none_or(|register| !register.knows(day_file, *rules))
        };
        let missed: BTreeSet<DayFile> = used.filter(missed).map(|(one, _)| one.clone()).collect();
        let what = match register {
            Some(register) if register.damaged => "an entry is unreadable".to_owned(),
            Some(register) if !register.lost && missed.is_empty() => continue,
            Some(register) if !register.lost => {
                let names: Vec<String> = missed.iter().map(ToString::to_string).collect();
                format!("it lacks an entry that leads to {}", names.join(", "))
            }
            _ if routings.contains_key(date) => {
                "it is missing, but events of that date have landed".to_owned()
            }
            _ => continue,
        };
        wrong.insert(*date, (what, missed));
    }
    Ok(wrong)
}

/// The paths of registers that something is wrong with, and what. Without one, an event of its date
/// could not be found in another day file.
pub fn check(lander: &Lander<'_>) -> Result<BTreeMap<String, String>> {
    let remedy = "`hiwake verify --rebuild` restores it";
    let wrong = wrong(lander)?.into_iter();
    Ok(wrong.map(|(date, (what, _))| (path(date), format!("{what}; {remedy}"))).collect())
}

/// Restores registers that are missing or damaged; which.
pub fn restore(lander: &Lander<'_>) -> Result<Vec<String>> {
    let wrong = wrong(lander)?.into_iter();
    let restore = |(date, (_, missed))| add(lander, date, None, &missed).map(|()| path(date));
    wrong.map(restore).collect()
}
