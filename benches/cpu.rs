//! CPU time of this thread.

use rustix::time::{ClockId, clock_gettime};

/// The least ms of CPU that each of some ways takes, in turns, so that what disturbs one disturbs all.
pub fn least<const N: usize>(rounds: usize, mut ways: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut least = [f64::INFINITY; N];
    for _ in 0..rounds {
        for (way, least) in ways.iter_mut().zip(&mut least) {
            let start = ms();
            way();
            *least = least.min(ms() - start);
        }
    }
    least
}

/// ms of CPU since the thread began.
pub fn ms() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}
