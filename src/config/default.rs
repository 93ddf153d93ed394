//! The defaults of `hiwake.toml`.

use std::fmt::Debug;
use std::time::Duration;

use crate::config::{
    Column, Compress, Config, Files, Form, Format, Limits, Newline, Order, Plain, Report,
    Retention, Seal, Slashes, Source, SourceFormat, Subscribe, Unmatched,
};
use crate::row::Kind;

const MIB: usize = 1 << 20;

impl Default for Config {
    /// No sources, and days in Tokyo's time zone.
    fn default() -> Config {
        Config {
            name: "hiwake.toml".to_owned(),
            region: String::new(),
            timezone: chrono_tz::Tz::Asia__Tokyo,
            defaults: Source::default(),
            sources: Vec::new(),
            format: Format::default(),
            unmatched: Unmatched::default(),
            plain: Plain::default(),
            seal: Seal::default(),
            retention: Retention::default(),
            report: Report::default(),
            files: Files::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for Source {
    /// Matches nothing until it has log groups.
    fn default() -> Source {
        Source {
            line: None,
            log_groups: Vec::new(),
            exclude: Vec::new(),
            log_streams: vec![parsed("*")],
            file: parsed("{log_group}"),
            slashes: Slashes::default(),
            labels: Vec::new(),
            columns: vec![Column::Labels, Column::Message],
            format: SourceFormat::default(),
            strip_ansi: false,
            drop: Vec::new(),
            keep: Vec::new(),
            mask: Vec::new(),
            filter_pattern: String::new(),
            subscribe: Subscribe::default(),
        }
    }
}

impl Default for Format {
    fn default() -> Format {
        Format {
            kind: Kind::Csv,
            newline: Newline::default(),
            escape_backslash: false,
            time: "%Y-%m-%d %H:%M:%S".to_owned(),
        }
    }
}

impl Default for Unmatched {
    fn default() -> Unmatched {
        Unmatched { file: parsed("unmatched/{log_group}") }
    }
}

impl Default for Plain {
    fn default() -> Plain {
        Plain { file: "plain".to_owned(), kind: Kind::Raw, drop: false }
    }
}

impl Default for Seal {
    fn default() -> Seal {
        Seal {
            grace: Duration::from_secs(3_600),
            order: Order::default(),
            compress: Compress::default(),
            empty_days: false,
            journal_days: 90,
        }
    }
}

impl Default for Files {
    fn default() -> Files {
        Files { mode: 0o440, dir_mode: 0o750, open: Form::default() }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            answer_bytes: 5_800_000,
            inflated_bytes: 64 * MIB,
            unit_bytes: 16 * MIB,
            buffer_bytes: 128 * MIB,
            commit_bytes: 16 * MIB,
            parallel: 8,
            lock_wait: Duration::from_secs(30),
            clock_skew: Duration::from_secs(300),
            merge_bytes: 64 * MIB,
            event_age: Duration::from_secs(10 * 31_557_600),
            event_ahead: Duration::from_secs(86_400),
        }
    }
}

/// Parses a constant, which the tests prove valid.
fn parsed<T: TryFrom<String, Error: Debug>>(text: &str) -> T {
    text.to_owned().try_into().expect("a constant of this file")
}
