//! CPU time of this process: what several threads take counts as well.

use rustix::time::{ClockId, clock_gettime};

/// The least ms of CPU that each of some ways takes, in turns, so that what disturbs one disturbs
/// all.
pub fn least<const N: usize>(rounds: usize, mut ways: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut least = [f64::INFINITY; N];
    for _ in 0..rounds {
        for (way, least) in ways.iter_mut().zip(&mut least) {
            *least = least.min(taken(way));
        }
    }
    least
}

/// The ms of CPU that something takes.
pub fn taken(way: impl FnOnce()) -> f64 {
    let start = ms();
    way();
    ms() - start
}

/// ms of CPU since the process began.
fn ms() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}
