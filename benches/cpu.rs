//! Measures the CPU time of this process, including all its threads.

use rustix::time::{ClockId, clock_gettime};

/// The least CPU time in ms of each way. They take turns, so that a disturbance affects them all.
pub fn least<const N: usize>(rounds: usize, mut ways: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut least = [f64::INFINITY; N];
    for _ in 0..rounds {
        for (way, least) in ways.iter_mut().zip(&mut least) {
            *least = least.min(taken(way));
        }
    }
    least
}

/// The CPU time in ms that a piece of work takes.
pub fn taken(way: impl FnOnce()) -> f64 {
    let start = ms();
    way();
    ms() - start
}

/// The CPU time in ms since the process began.
fn ms() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}
