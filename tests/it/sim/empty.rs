//! Empty days on a disk that fails.

use hiwake::store::Store;

use super::disk::Server;
use super::loss::Loss;
use super::state::Fault;
use super::*;

const QUIET: &str = "quiet/2022-04-18.csv";

fn setup() -> Setup {
    let mut setup = Setup::new();
    setup.config.sources =
        given::config("[[source]]\nlog_groups = [\"/q\"]\nfile = \"quiet\"").sources;
    setup.config.seal.empty_days = true;
    setup
}

/// Lands an object without an event; whether it was acknowledged.
fn mark(setup: &Setup, disk: &SimDisk) -> bool {
    let folder = tempfile::tempdir().unwrap();
    given::put(folder.path(), "key", &given::object::control());
    let store = Store::folder(folder.path()).unwrap();
    let ids: Vec<_> = store.list("").unwrap().into_iter().map(|object| object.id).collect();
    setup.lander(disk).land(&store, &ids).objects[0].is_ok()
}

fn check_quiet(server: &Server, at: impl std::fmt::Debug) {
    let tree = server.lock().tree();
    let quiet = tree.keys().filter(|name| name.starts_with("quiet/"));
    assert!(quiet.eq([QUIET, &format!("{QUIET}.sha256")]), "{at:?}: {:?}", tree.keys());
    assert_eq!(tree[QUIET], b"", "{at:?}");
}

/// Killed at any call, or without power: an object that was acknowledged has marked its day, and
/// one that is delivered again marks it then.
#[test]
fn an_acknowledged_object_has_marked_its_day_wherever_the_landing_dies() {
    for at in 1.. {
        let (begin, mut setup) = (Server::new(0), setup());
        let disk = begin.client();
        begin.lock().plan(&disk, at, Fault::Kill);
        let acknowledged = mark(&setup, &disk);
        for loss in [None, Some(Loss::All), Some(Loss::Mixed(at))] {
            let server = Server::from(begin.lock().clone());
            match loss {
                None => server.lock().kill_all(),
                Some(loss) => server.lock().power_failure(loss),
            }
            setup.now = MIDNIGHT + HOUR;
            assert!(acknowledged || mark(&setup, &server.client()));
            setup.now = MIDNIGHT + DAY + HOUR;
            setup.sealed(&server.client());
            check_quiet(&server, (at, loss));
        }
        setup.now = MIDNIGHT + HOUR;
        if acknowledged {
            assert!(at > 10, "{at}");
            return;
        }
    }
}

/// Killed at any call, or without power, the next round still publishes the empty file once, and
/// nothing else.
#[test]
fn an_empty_day_is_sealed_wherever_the_sealer_dies() {
    for at in 1.. {
        let (begin, mut setup) = (Server::new(0), setup());
        assert!(mark(&setup, &begin.client()));
        setup.deliver(&begin.client(), &[1, 2]).unwrap();
        setup.now = MIDNIGHT + DAY + HOUR;
        let disk = begin.client();
        begin.lock().plan(&disk, at, Fault::Kill);
        drop(setup.seal(&disk));
        for loss in [None, Some(Loss::All), Some(Loss::Mixed(at))] {
            let server = Server::from(begin.lock().clone());
            match loss {
                None => server.lock().kill_all(),
                Some(loss) => server.lock().power_failure(loss),
            }
            setup.sealed(&server.client());
            check_quiet(&server, (at, loss));
            let tree = server.lock().tree();
            check_each_once(&tree, &[1, 2].into());
        }
        if begin.lock().operations(&disk) < at {
            assert!(at > 60, "{at}");
            return;
        }
    }
}
