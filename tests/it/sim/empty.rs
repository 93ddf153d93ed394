//! Empty days on a disk that fails.

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

/// Killed at any call, or without power, the next round still publishes the empty file once, and
/// nothing else.
#[test]
fn an_empty_day_is_sealed_wherever_the_sealer_dies() {
    for at in 1.. {
        let (begin, mut setup) = (Server::new(0), setup());
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
            let tree = server.lock().tree();
            let quiet = tree.keys().filter(|name| name.starts_with("quiet/"));
            assert!(
                quiet.eq([QUIET, &format!("{QUIET}.sha256")]),
                "{at} {loss:?}: {:?}",
                tree.keys()
            );
            assert_eq!(tree[QUIET], b"", "{at} {loss:?}");
            check_each_once(&tree, &[1, 2].into());
        }
        if begin.lock().operations(&disk) < at {
            assert!(at > 60, "{at}");
            return;
        }
    }
}
