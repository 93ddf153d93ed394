//! A progress bar for work longer than a second, on a terminal; nothing otherwise.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Bytes done of a known total.
pub struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    started: Instant,
    /// Drawn once the work has taken a second; indicatif draws on terminals only.
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn new(what: &'static str, total: u64) -> Progress {
        Progress { what, total, done: 0, started: Instant::now(), bar: None }
    }

    pub fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.bar.is_none() && self.started.elapsed() > Duration::from_secs(1) {
            const STYLE: &str =
                "{msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
            let style = ProgressStyle::with_template(STYLE);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(self.total).with_style(style).with_message(self.what);
            self.bar = Some(bar.with_elapsed(self.started.elapsed()));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
        }
    }

    /// Prints something without disturbing the bar.
    pub fn suspend(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
