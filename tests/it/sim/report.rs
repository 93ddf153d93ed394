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
    // With no page yet, and with one of the same day: only what it says tells the two apart.
    for is_first in [true, false] {
        let (server, mut setup) = given();
        if !is_first {
            setup.now = MIDNIGHT + DAY + HOUR / 2;
            assert!(setup.sealed(&server.client()).is_idle());
        }
        let old = page(&server);
        assert_eq!(old.is_none(), is_first);
        setup.now = MIDNIGHT + DAY + 2 * HOUR;
        server.start_record();
        assert_eq!(setup.sealed(&server.client()).sealed.len(), 1);
        let new = page(&server);
        assert!(new != old && new.is_some());
        for (at, state) in server.take_record().iter().enumerate() {
            for how in crashes(at as u64) {
                tried += 1;
                failures.look(&format!("first {is_first}, at {at}, {how:?}"), || {
                    let server = resumed(state);
                    crash(&mut server.lock(), how);
                    let left = page(&server);
                    assert!(left == old || left == new, "neither the old page nor the new one");
                    setup.sealed(&server.client());
                    // A round that died has done part of it, and the next one may have less to do.
                    setup.sealed(&server.client());
                    assert!(page(&server) == new, "the page is behind");
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
