//! A call that outlasts the deadline: on a hard mount it answers when the server is back.

use super::disk::Server;
use super::state::Fault;
use super::*;

/// The call takes four times what is left.
const LEFT: Duration = Duration::from_millis(5);

/// Whatever call it is, of a landing or of a seal: what it says is so, and the next process
/// finishes what it left.
#[test]
fn a_call_that_outlasts_the_deadline_loses_and_doubles_nothing() {
    let mut late = 0;
    for at in 1.. {
        let (server, mut setup) = (Server::new(0), Setup::new());
        setup.deliver(&server.client(), &[1, 2]).unwrap();
        let slow = server.client();
        server.lock().plan(&slow, at, Fault::Slow(4 * LEFT));
        let mut lander = setup.lander(&slow);
        lander.root.deadline = Instant::now() + LEFT;
        let objects = ["bucket/key@1".to_owned()];
        let landed = commit(&lander, &day_file(), &batch(&[2, 3]), &objects, &|| Ok(()));
        let found = lines(&server.lock().tree());
        if matches!(landed, Ok(CommitOutcome::Committed(_))) {
            assert!(found.values().flatten().any(|event| *event == 3), "{at}: {found:?}");
        }
        setup.now = MIDNIGHT + DAY + HOUR;
        let mut lander = setup.lander(&slow);
        lander.root.deadline = Instant::now() + LEFT;
        late += u64::from(landed.is_err() || lander.seal_and_announce().is_err());
        setup.deliver(&server.client(), &[2, 3]).unwrap();
        setup.now += 3 * HOUR;
        setup.sealed(&server.client());
        check_each_once(&server.lock().tree(), &[1, 2, 3].into());
        if server.lock().operations(&slow) < at {
            assert!(at > 60 && late < at, "{at} {late}");
            return;
        }
    }
}
