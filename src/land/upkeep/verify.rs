//! Verify: reads every byte that hiwake vouches for again, and compares it with the journals.
//! Writes nothing.
//!
//! Reads without locks, so landing and sealing continue. A fault counts only if a second look, past
//! an NFS client's cache, finds it again with the same journal.

use std::time::Instant;

use crate::land::intake::register;
use crate::land::journal::Journal;
use crate::land::journal::lander::Lander;
use crate::land::root::folders;
use crate::land::root::layout::{DAYS, DUE, DayFile, HIWAKE, JOURNAL, SEEN};
pub use crate::land::upkeep::findings::{Finding, Verified};
use crate::land::upkeep::look::{Look, PATIENCE};

impl Lander<'_> {
    /// Reads every day file below the root again and reports what is wrong. Writes nothing.
    pub fn verify(&self) -> Verified {
        let mut verified = Verified::default();
        let journals = folders::walk(self, DAYS, &|_| true);
        let mut days = verified.sort(journals, true, |folder, name| {
            DayFile::of_journal_folder(folder).filter(|_| matches!(name, JOURNAL | SEEN))
        });
        let visible = folders::walk(self, "", &|path| path != HIWAKE);
        days.extend(verified.sort(visible, false, DayFile::parse_visible));
        let hints = folders::walk(self, DUE, &|_| true);
        let hinted = verified.sort(hints, true, |folder, name| {
            DayFile::of_hint(&format!("{folder}/{name}")).map(|(day_file, _)| day_file)
        });
        for day_file in days.union(&hinted) {
            verify_day(self, day_file, &mut verified);
        }
        match register::check(self) {
            Ok(wrong) => wrong.into_iter().for_each(|(path, what)| verified.wrong(path, what)),
            Err(error) => verified.unread(vec![error], true),
        }
        verified
    }
}

/// Checks one day file, and repeats the check while faults appear and its journal changes.
pub(crate) fn verify_day(lander: &Lander<'_>, day_file: &DayFile, verified: &mut Verified) {
    let until = Instant::now() + PATIENCE;
    let mut before = None;
    loop {
        let state = Journal::peek(lander, day_file);
        let mut one = Verified::default();
        let fresh = before.is_some();
        Look { lander, day_file, fresh, verified: &mut one }.journal(&state);
        let state = state.map_err(|error| error.to_string());
        if one.is_whole() || before.as_ref() == Some(&state) || Instant::now() > until {
            if !one.is_whole() {
                verified.damaged.push(day_file.clone());
            }
            verified.day_files += 1;
            verified.commits += one.commits;
            verified.lines += one.lines;
            verified.bytes += one.bytes;
            verified.findings.append(&mut one.findings);
            return;
        }
        before = Some(state);
    }
}
