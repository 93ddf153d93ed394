//! File systems that cannot do what landing and sealing rely on are named before anything lands.

use super::disk::Server;
use super::loss::Loss;
use super::state::{EMLINK, ENOSYS, ENOTSUP, EPERM};
use super::*;

/// The next landing says so too, and lands when the root is on a better one.
fn refused(server: &Arc<Server>, setup: &Setup, lack: &str) {
    for _ in 0..2 {
        let error = setup.deliver(&server.client(), &[1]).unwrap_err().to_string();
        assert!(error.contains(lack) && error.contains("Use Amazon EFS"), "{error}");
        assert_eq!(server.lock().tree().len(), 0, "nothing is left");
    }
}

#[test]
fn a_file_system_without_hard_links_is_named_at_the_first_landing() {
    for errno in [EPERM, ENOTSUP, ENOSYS, EMLINK] {
        let (server, setup) = (Server::new(0), Setup::new());
        server.lock().no_links = Some(errno);
        refused(&server, &setup, "has no hard links");
        server.lock().no_links = None;
        assert!(setup.deliver(&server.client(), &[1]).unwrap());
    }
}

#[test]
fn a_file_system_that_folds_case_is_named_at_the_first_landing() {
    let (server, setup) = (Server::new(0), Setup::new());
    server.lock().folds_case = true;
    refused(&server, &setup, "upper and lower case");
    server.lock().folds_case = false;
    assert!(setup.deliver(&server.client(), &[1]).unwrap());
}

#[test]
fn a_root_is_probed_once() {
    let (server, mut setup) = (Server::new(0), Setup::new());
    assert!(setup.deliver(&server.client(), &[1]).unwrap());
    // Neither the next landing nor a round of sealing with nothing to publish links anything.
    server.lock().no_links = Some(EPERM);
    assert!(setup.deliver(&server.client(), &[2]).unwrap());
    setup.sealed(&server.client());
    setup.now += 2 * DAY;
    assert_eq!(setup.seal(&server.client()).unwrap().failed.len(), 1, "it links now");
}

#[test]
fn a_first_landing_that_dies_anywhere_leaves_no_probe_to_the_next() {
    let (server, setup) = (Server::new(0), Setup::new());
    server.start_record();
    assert!(setup.deliver(&server.client(), &[1]).unwrap());
    for (at, mut state) in server.take_record().into_iter().enumerate() {
        state.kill_all();
        for loss in
            [None, Some(Loss::All), Some(Loss::Content), Some(Loss::Names), Some(Loss::Mixed(7))]
        {
            let server = resumed(&state);
            loss.iter().for_each(|loss| server.lock().power_failure(*loss));
            assert!(setup.deliver(&server.client(), &[1, 2]).unwrap());
            let tree = server.lock().tree();
            assert!(!tree.keys().any(|name| name.contains("probe")), "{at} {loss:?}: {tree:?}");
        }
    }
}

/// A machine that remembered the root from before its first landing probed it again.
#[test]
fn a_root_that_another_machine_made_is_not_probed_again() {
    let (server, setup) = (Server::new(0), Setup::new());
    let (one, other) = (server.client(), server.client());
    setup.sealed(&one);
    assert!(setup.deliver(&other, &[1]).unwrap());
    server.lock().no_links = Some(EPERM);
    assert!(setup.deliver(&one, &[2]).unwrap());
}

#[test]
fn machines_that_land_first_at_the_same_time_do_not_disturb_each_other() {
    for seed in 0..300 {
        let (server, setup) = (Server::new(seed), Setup::new());
        let disks = [server.client(), server.client(), server.client()];
        let setup = &setup;
        let land = |event: Event| -> disk::Act<'_> {
            Box::new(move |disk: &SimDisk| {
                while let Err(error) = setup.deliver(disk, &[event]) {
                    assert!(matches!(error, LandError::Busy(_)), "seed {seed}: {error}");
                }
            })
        };
        server.interleave((1..).zip(&disks).map(|(event, disk)| (disk, land(event))).collect());
        let tree = server.lock().tree();
        assert!(!tree.keys().any(|name| name.contains("probe")), "seed {seed}: {tree:?}");
    }
}
