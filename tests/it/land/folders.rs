//! What a call remembers of folders that it has synced.

use std::sync::{Condvar, Mutex};

use hiwake::land::root::layout::DayFile;

use super::*;
use crate::given::disk::Watched;

/// Two day files of one date land at once. The first task's sync of the date's folder was done, and
/// it was about to remember that, when the second one made its journal's folder there: the second
/// took the date's folder for synced, and a power failure lost the journal of acknowledged lines.
#[test]
fn a_folder_that_is_made_while_another_task_syncs_the_one_above_is_synced_too() {
    const DATE: &str = ".hiwake/days/2022-04-18";
    let site = Site::new("");
    let (steps, changed) = (Mutex::new(Vec::new()), Condvar::new());
    let other = DayFile { file: "other".to_owned(), ..day_file() };
    let of = |what, path: &str| (what, path.to_owned());
    let (synced, first_is_on) = (of("synced", DATE), of("synced", ".hiwake/days"));
    let (made, reopens) = (of("made", &other.journal_folder()), of("opens", &other.journal()));
    let wait_for = |step: &(&str, String), times| {
        let known = steps.lock().unwrap();
        let count = |known: &[(&str, String)]| known.iter().filter(|one| *one == step).count();
        drop(changed.wait_while(known, |known| count(known) < times).unwrap());
    };
    let mut disk = Watched::new(&site.disk);
    disk.then = Box::new(|what, path| {
        let step = (what, path.to_owned());
        let mut known = steps.lock().unwrap();
        let (is_first, is_made) = (!known.contains(&step), known.contains(&made));
        known.push(step.clone());
        drop(known);
        changed.notify_all();
        if is_first && step == synced {
            // Opened in vain, then made, then opened again.
            wait_for(&reopens, 2);
        } else if is_made && step == reopens {
            wait_for(&first_is_on, 1);
        }
    });
    let lander = Lander { root: Root { disk: &disk, ..site.lander().root }, ..site.lander() };
    let commit = |day_file: &DayFile| {
        let rows = batch(&[event("a", 1)]);
        let done =
            hiwake::land::day_file::commit::commit(&lander, day_file, &rows, &[], &|| Ok(()));
        assert!(matches!(done, Ok(CommitOutcome::Committed(_))), "{done:?}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| commit(&day_file()));
        scope.spawn(|| {
            wait_for(&synced, 1);
            commit(&other);
        });
    });
    let steps = steps.lock().unwrap();
    let last = |step| steps.iter().rposition(|one| one == step);
    assert!(last(&synced) > last(&made), "{steps:?}");
}
