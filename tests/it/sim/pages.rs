//! A machine that has files open for writing keeps old pages of them: who reads without the lock
//! there sees half of what others wrote, and must not take it for damage.

use hiwake::config::Form;
use hiwake::disk::{Disk, Handle, Open};
use hiwake::land::upkeep::show::Shown;
use hiwake::land::upkeep::verify::Finding;

use super::disk::{Server, SimDisk};
use super::*;

const COMMIT: usize = 30;
/// Journal and text are longer than a page then.
const COMMITS: usize = 60;
const FORMS: [Form; 2] = [Form::Plain, Form::Compressed];

/// Another process of the machine has these open, e.g. to wait for their locks.
fn opened(disk: &SimDisk, paths: &[String]) -> Vec<Box<dyn Handle>> {
    paths.iter().filter_map(|path| disk.open(path, Open::ReadWrite).ok()).collect()
}

fn data() -> Vec<String> {
    FORMS.map(|form| day_file().open_segment(1, form)).to_vec()
}

/// One machine looks, another lands a bit more, and so on; `look` fails where it sees damage.
fn looks(paths: &[String], look: impl Fn(&Setup, &SimDisk, &[Event]) -> Result<(), String>) {
    for form in FORMS {
        let server = Server::new(0);
        let mut setup = Setup::new();
        setup.config.files.open = form;
        let (lands, looks) = (server.client(), server.client());
        let mut landed = Vec::new();
        let mut others: Vec<Box<dyn Handle>> = Vec::new();
        let events: Vec<Event> = (0..(COMMIT * COMMITS) as Event).collect();
        for more in events.chunks(COMMIT) {
            assert!(setup.deliver(&lands, more).unwrap());
            landed.extend(more);
            server.lock().forget_names();
            look(&setup, &looks, &landed).unwrap_or_else(|wrong| panic!("{form:?}: {wrong}"));
            others.extend(opened(&looks, paths));
        }
    }
}

#[test]
fn verify_takes_no_old_page_for_damage() {
    let files = [vec![day_file().journal(), day_file().seen()], data()].concat();
    looks(&files, |setup, disk, _| {
        let verified = setup.lander(disk).verify();
        // One day file is landed by itself, without the registers that an intake keeps.
        let counts = |one: &&Finding| one.wrong && !one.path.starts_with(".hiwake/routings");
        match verified.findings.iter().find(counts) {
            Some(finding) => Err(format!("{finding:?}")),
            None => Ok(()),
        }
    });
}

/// It read the open file as the machine had kept it: `damaged`, and exit code 1.
#[test]
fn cat_takes_no_old_page_for_damage() {
    looks(&data(), |setup, disk, landed| {
        let mut out = Vec::new();
        let shown = setup.lander(disk).show(&day_file(), &mut Shown::default(), &mut out);
        shown.map_err(|error| error.to_string())?;
        let mut found = parse("cat", &String::from_utf8(out).unwrap());
        found.sort_unstable();
        if found == landed { Ok(()) } else { Err(format!("{} lines", found.len())) }
    });
}
