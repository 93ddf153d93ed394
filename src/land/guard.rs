//! What is refused of objects that come again, because their events may have landed under another routing.
//!
//! A row says where it landed; a record does not. So records are refused that were delivered before the present routing's
//! first use, and rows of another routing where records have become lines of the present one: both may be the same events.

use super::routing::{self, History, Route, Used};
use crate::config::Config;
use crate::row::Row;

/// Why something is not landed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rerouted {
    /// Records.
    #[error(
        "delivered under another routing ({}): its records may have landed elsewhere; with `--reroute` they land once more, where the configuration in force sends them",
        routing::in_use(*.until)
    )]
    Records {
        /// Until when another was in use, milliseconds since the epoch.
        until: i64,
    },
    /// Rows.
    #[error(
        "has rows of another routing, and records have become lines of the present one here: they may be the same events; with `--reroute` the rows land once more, where they say"
    )]
    Rows,
}

impl Rerouted {
    /// The refusal inside an error of a landing's sink, if it is one.
    pub fn of(error: &std::io::Error) -> Option<&Rerouted> {
        error.get_ref()?.downcast_ref()
    }
}

/// Under what a root's lines have landed.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// It does not matter: what is delivered for the first time has landed nowhere.
    First,
    /// The present routing only, if any, and all lines were rows when they came.
    Rows,
    /// The present routing only, and records have become lines.
    Records,
    /// Another one too, until this moment.
    Others { until: i64 },
}

/// Watches one landing.
pub struct Guard<'c> {
    route: Route<'c>,
    known: Known,
    /// When the present object was delivered.
    modified: i64,
    used: Used,
}

impl<'c> Guard<'c> {
    /// Of objects that come again, to a root with this history.
    pub fn new(config: &'c Config, history: &History) -> Guard<'c> {
        let others = history.others_until(&routing::Rules::of(config).fingerprint());
        let known = match others {
            Some(until) => Known::Others { until },
            None if history.has_made() => Known::Records,
            None => Known::Rows,
        };
        Guard { known, ..Guard::open(config) }
    }

    /// Of objects that are delivered for the first time: it refuses nothing.
    pub fn open(config: &'c Config) -> Guard<'c> {
        let route = Route::new(config);
        Guard { route, known: Known::First, modified: i64::MIN, used: Used::default() }
    }

    /// The next object was delivered then.
    pub fn begin(&mut self, modified: i64) {
        self.modified = modified;
    }

    /// A row that an object holds; `lands`: it is neither left out nor put into quarantine.
    pub fn row(&mut self, row: &Row<'_>, lands: impl FnOnce() -> bool) -> Result<(), Rerouted> {
        if !self.route.is_foreign(row) || !lands() {
            return Ok(());
        }
        match self.known {
            Known::Records => return Err(Rerouted::Rows),
            Known::Rows => self.known = Known::Others { until: i64::MAX },
            Known::First | Known::Others { .. } => {}
        }
        self.used.foreign = self.used.foreign.max(Some(self.modified));
        Ok(())
    }

    /// A row that a record becomes.
    pub fn made(&mut self, lands: impl FnOnce() -> bool) -> Result<(), Rerouted> {
        match self.known {
            Known::Others { until } if self.modified < until => {
                if lands() {
                    Err(Rerouted::Records { until })
                } else {
                    Ok(())
                }
            }
            _ if self.used.made || !lands() => Ok(()),
            known => {
                self.used.made = true;
                if let Known::Rows = known {
                    self.known = Known::Records;
                }
                Ok(())
            }
        }
    }

    /// What `.hiwake/routing` has to say before the first new line.
    pub fn used(&self) -> Used {
        self.used
    }
}
