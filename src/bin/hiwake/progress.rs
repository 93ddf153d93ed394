//! A progress bar for work longer than a second, on a terminal; nothing otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;

/// From when on the bar is drawn.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Work of a known size, counted by the code that does it.
pub struct Progress {
    done: Arc<AtomicU64>,
    bar: ProgressBar,
    drawer: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// So many bytes of work. indicatif draws on terminals only.
    pub fn of_bytes(what: &'static str, total: u64) -> Progress {
        const STYLE: &str = "{msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
        Progress::new(what, ProgressBar::new(total), STYLE)
    }

    /// Work of a size that is not known before.
    pub fn unknown(what: &'static str) -> Progress {
        Progress::new(what, ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}")
    }

    fn new(what: &'static str, bar: ProgressBar, style: &str) -> Progress {
        let style = ProgressStyle::with_template(style);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        if output::is_quiet() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let (bar, done) = (bar.with_style(style).with_message(what), Arc::new(AtomicU64::new(0)));
        let (stop, stopped) = mpsc::channel();
        let drawer = std::thread::spawn({
            let (bar, done) = (bar.clone(), done.clone());
            move || {
                let mut wait = PATIENCE;
                while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    bar.set_position(done.load(Ordering::Relaxed));
                    bar.tick();
                    wait = TICK;
                }
            }
        });
        Progress { done, bar, drawer: Some((stop, drawer)) }
    }

    /// What the work is counted in.
    pub fn done(&self) -> Arc<AtomicU64> {
        self.done.clone()
    }

    /// Prints something without disturbing the bar.
    pub fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, drawer)) = self.drawer.take() {
            drop(stop);
            // A drawer that panicked has nothing more to draw.
            drawer.join().ok();
        }
        self.bar.finish_and_clear();
    }
}
