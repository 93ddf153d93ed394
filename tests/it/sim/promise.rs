//! I4 and I5 as they are promised: at every moment of a life, and of what the journal says.

use hiwake::config::{Compress, Order};
use hiwake::land::journal::Journal;

use super::disk::Server;
use super::*;

const WAYS: [(Order, Compress); 4] = [
    (Order::Time, Compress::None),
    (Order::Arrival, Compress::None),
    (Order::Time, Compress::Gzip),
    (Order::Arrival, Compress::Gzip),
];

/// A day with a first segment and three late ones, each sealed by two machines one after the other.
fn life(server: &Arc<Server>, setup: &mut Setup) {
    let machines = [server.client(), server.client()];
    for (events, hours) in [(0..9, 0), (5..20, 26), (15..30, 2), (0..40, 2), (0..40, 2)] {
        setup.now += hours * HOUR;
        setup.sealed(&machines[0]);
        setup.deliver(&machines[1], &events.collect::<Vec<_>>()).unwrap();
        setup.sealed(&machines[1]);
    }
}

#[test]
fn i4_a_published_file_never_changes_at_any_moment() {
    let mut moments = 0;
    for (order, compress) in WAYS {
        let server = Server::new(4);
        server.start_record();
        life(&server, &mut Setup::at(MIDNIGHT + HOUR, order, compress));
        let mut before = BTreeMap::new();
        for state in server.take_record() {
            let tree = state.tree();
            check_unchanged(&before, &tree);
            before = published(&tree);
            moments += 1;
        }
        assert_eq!(before.len(), 4, "{:?}", before.keys());
    }
    print(&format!("moments looked at: {moments}"));
}

#[test]
fn i5_a_sealed_segment_has_its_commits_lines_and_its_sum_is_on_record() {
    for (order, compress) in WAYS {
        let server = Server::new(5);
        let mut setup = Setup::at(MIDNIGHT + HOUR, order, compress);
        life(&server, &mut setup);
        check_sealed(&server, Some(order));
        let disk = server.client();
        let state = Journal::peek(&setup.lander(&disk), &day_file()).unwrap().unwrap();
        let tree = server.lock().tree();
        let files = lines(&tree);
        assert_eq!(state.segments.len(), 4);
        for segment in &state.segments {
            let sealed = segment.sealed.as_ref().unwrap();
            let bytes = &tree[&sealed.target];
            assert_eq!(sealed.sha256, *Sha256::digest(bytes));
            assert_eq!(sealed.bytes, bytes.len() as u64);
            assert_eq!(
                (sealed.lines, segment.lines()),
                (files[&sealed.target].len() as u64, sealed.lines)
            );
        }
        check_each_once(&tree, &(0..40).collect());
    }
}
