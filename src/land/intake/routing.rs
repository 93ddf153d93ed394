//! Routing: decides to which (file, kind, day) an event goes. Pure.
//!
//! The rules are the part of a configuration that decides this: time zone, kinds, and the sources'
//! log groups, log streams and files in their order. The files of unmatched events and plain text
//! belong to them too. Labels, columns, newlines, filters and masks do not.

use std::ops::Range;

use serde_json::json;
use xxhash_rust::xxh3::xxh3_128;

use crate::config::{Config, Slashes};
use crate::day::Calendar;
use crate::row::{Day, Kind, Stream};

/// The rules of a configuration, as JSON that is itself a configuration. Equal rules give equal
/// text.
pub fn rules(config: &Config) -> String {
    let sources = config.sources.iter().map(|source| {
        let mut rules = json!({
            "log_groups": source.log_groups, "log_streams": source.log_streams, "file": source.file,
        });
        if !source.exclude.is_empty() {
            rules["exclude"] = json!(source.exclude);
        }
        if source.slashes != Slashes::default() {
            rules["slashes"] = json!(source.slashes);
        }
        let kind = source.format(config).kind;
        if kind != config.format.kind {
            rules["format"] = json!({"kind": kind});
        }
        rules
    });
    json!({
        "timezone": config.timezone.name(),
        "source": sources.collect::<Vec<_>>(),
        "format": {"kind": config.format.kind},
        "unmatched": {"file": config.unmatched.file},
        "plain": {"file": config.plain.file, "kind": config.plain.kind},
    })
    .to_string()
}

/// A short name of a configuration's rules.
pub fn fingerprint(config: &Config) -> String {
    format!("v2-{:032x}", xxh3_128(rules(config).as_bytes()))
}

/// Routes events by one set of rules.
pub struct Route {
    config: Config,
    calendar: Calendar,
    /// The last stream, with its file and kind.
    stream: Option<Stream<'static>>,
    file: String,
    kind: Kind,
}

impl Route {
    /// Reads rules; an error if they contain something that this release does not know.
    pub fn new(rules: &str) -> Result<Route, serde_json::Error> {
        let config: Config = serde_json::from_str(rules)?;
        let calendar = Calendar::new(config.timezone, "");
        Ok(Route { config, calendar, stream: None, file: String::new(), kind: Kind::default() })
    }

    /// The file, kind and day of an event; `None` if the timestamp is impossible.
    pub fn to(&mut self, stream: &Stream<'_>, timestamp: i64) -> Option<(&str, Kind, Day)> {
        if self.stream.as_ref() != Some(stream) {
            self.stream = Some(stream.clone().into_owned());
            let plain = &self.config.plain;
            (self.file, self.kind) = match stream {
                Stream::Origin(_) => (plain.file.clone(), plain.kind),
                Stream::Logs { owner, log_group, log_stream } => {
                    let to = self.config.destination(owner, log_group, log_stream);
                    (to.file, to.kind)
                }
            };
        }
        let day = self.calendar.day(timestamp).ok()?;
        Some((&self.file, self.kind, day))
    }

    /// The time span in which the last event's stream goes to the same place.
    pub fn span(&self) -> Range<i64> {
        self.calendar.day_span()
    }
}
