//! The page beside the files: whole at each step of a crash, and cheap where nothing happens.

use hiwake::config::{Compress, Order};

use super::crash::{crash, crashes};
use super::*;

const PAGE: &str = "@report.html";

fn given() -> (Arc<Server>, Setup) {
    let server = Server::new(1);
    let mut setup = Setup::at(MIDNIGHT + HOUR, Order::Time, Compress::None);
    setup.config.report.write = true;
    assert!(setup.deliver(&server.client(), &[0, 1, 2]).unwrap());
    (server, setup)
}

fn page(server: &Server) -> Option<Vec<u8>> {
    server.lock().tree().remove(PAGE)
}

/// The page was in no crash test.
#[test]
fn a_crash_at_any_step_leaves_the_old_page_or_the_new_one_and_the_next_round_the_right_one() {
    let (mut tried, mut failures) = (0, Failures::default());
    // With no page yet; with one of the same day, so that its date does not tell; and before a late
    // segment is sealed, so that the calendar names the same dates before and after.
    for start in ["none", "same day", "late"] {
        let (server, mut setup) = given();
        setup.now = MIDNIGHT + DAY + 2 * HOUR;
        match start {
            "same day" => {
                setup.now -= HOUR + HOUR / 2;
                assert!(setup.sealed(&server.client()).is_idle());
                setup.now += HOUR + HOUR / 2;
            }
            "late" => {
                setup.sealed(&server.client());
                assert!(setup.deliver(&server.client(), &[3]).unwrap());
                setup.now += HOUR / 2;
                setup.sealed(&server.client());
                setup.now += HOUR;
            }
            _ => {}
        }
        let old = page(&server);
        assert_eq!(old.is_none(), start == "none");
        server.start_record();
        assert_eq!(setup.sealed(&server.client()).sealed.len(), 1);
        let new = page(&server);
        assert!(new != old && new.is_some());
        for (at, state) in server.take_record().iter().enumerate() {
            for how in crashes(at as u64) {
                tried += 1;
                failures.look(&format!("{start}, at {at}, {how:?}"), || {
                    let server = resumed(state);
                    crash(&mut server.lock(), how);
                    let left = page(&server);
                    assert!(left == old || left == new, "neither the old page nor the new one");
                    setup.sealed(&server.client());
                    assert!(page(&server) == new, "the page is behind");
                    // A power failure may keep the temporary's name: the next page removes it.
                    let next = Setup { now: setup.now + DAY, ..setup.clone() };
                    next.sealed(&server.client());
                    let names = server.lock().tree().into_keys();
                    let left: Vec<_> = names.filter(|name| name.ends_with(".tmp")).collect();
                    assert_eq!(left, [""; 0]);
                });
            }
        }
    }
    failures.none();
    print(&format!("the page: {tried} crashes"));
}

/// What a page costs a round that finds nothing to do: opened and read, once; no journal is.
#[test]
fn an_idle_round_reads_the_beginning_of_the_page_and_no_journal() {
    let operations = |write: bool| {
        let (server, mut setup) = given();
        setup.config.report.write = write;
        setup.sealed(&server.client());
        let disk = server.client();
        assert!(setup.sealed(&disk).is_idle());
        server.lock().clients[disk.id()].operations
    };
    let (without, with) = (operations(false), operations(true));
    print(&format!("an idle round: {without} operations, with a page {with}"));
    assert_eq!(with, without + 2);
    assert!(with <= 16, "{with}");
}
