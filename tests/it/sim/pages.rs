//! A machine that has files open for writing keeps old pages of them: who reads without the lock
//! there sees half of what others wrote, and must not take it for damage.

use hiwake::config::Form;
use hiwake::disk::{Disk, Handle, Open};
use hiwake::land::upkeep::show::Shown;
use hiwake::land::upkeep::verify::Finding;

use super::disk::{Server, SimDisk};
use super::*;

const COMMIT: usize = 30;
const COMMITS: usize = 10;
const FORMS: [Form; 2] = [Form::Plain, Form::Compressed];

/// Another process of the machine, which waits for the locks: it has the files open.
fn waiting(disk: &SimDisk) -> Vec<Box<dyn Handle>> {
    let tree = [day_file().journal(), day_file().seen()];
    let open = FORMS.map(|form| day_file().open_segment(1, form));
    let files = tree.into_iter().chain(open);
    files.filter_map(|path| disk.open(&path, Open::ReadWrite).ok()).collect()
}

/// One machine looks, another lands a bit more, and so on; `look` fails where it sees damage.
fn looks(look: impl Fn(&Setup, &SimDisk, &[Event]) -> Result<(), String>) {
    let mut failures = Failures::default();
    for form in FORMS {
        for seed in 0..20 {
            failures.look(&format!("{form:?}, seed {seed}"), || {
                let server = Server::new(seed);
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
                    look(&setup, &looks, &landed).unwrap_or_else(|wrong| panic!("{wrong}"));
                    others.extend(waiting(&looks));
                }
            });
        }
    }
    failures.none();
}

#[test]
fn verify_takes_no_old_page_for_damage() {
    looks(|setup, disk, _| {
        let verified = setup.lander(disk).verify();
        // One day file is landed by itself, without the registers that an intake keeps.
        let counts = |one: &&Finding| one.wrong && !one.path.starts_with(".hiwake/routings");
        match verified.findings.iter().find(counts) {
            Some(finding) => Err(format!("{finding:?}")),
            None => Ok(()),
        }
    });
}

#[test]
fn status_takes_no_old_page_for_damage() {
    looks(|setup, disk, _| {
        let failed = setup.lander(disk).status().1;
        failed.first().map_or(Ok(()), |error| Err(error.to_string()))
    });
}

/// It read the open file as the machine had kept it: `damaged`, and exit code 1.
#[test]
fn cat_takes_no_old_page_for_damage() {
    looks(|setup, disk, landed| {
        let mut out = Vec::new();
        let shown = setup.lander(disk).show(&day_file(), &mut Shown::default(), &mut out);
        shown.map_err(|error| error.to_string())?;
        let mut found = parse("cat", &String::from_utf8(out).unwrap());
        found.sort_unstable();
        // An old page of the journal may hide the last commits, no more.
        let is_whole = found.len() % COMMIT == 0 && landed.starts_with(&found);
        is_whole.then_some(()).ok_or_else(|| format!("{} lines", found.len()))
    });
}
