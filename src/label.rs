//! Which source an event belongs to, which file, which line. Pure.

use std::borrow::Cow;

use crate::config::{Column, Config, Source};
use crate::day::{Calendar, TimestampError};
use crate::envelope::Envelope;
use crate::event_id;
use crate::line::{Line, Style, without_breaks};
use crate::row::Row;

/// Where a plain record came from: what its rows are identified by.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Stands in `Row::stream` of plain rows, e.g. the delivery stream's ARN.
    pub stream: &'a str,
    /// Unique for the record within `stream`, e.g. its recordId; the line number is appended.
    pub id: &'a str,
    /// When it arrived, milliseconds since the epoch.
    pub arrival: i64,
}

/// Makes rows of events; remembers the last log stream's source, file and names.
pub struct Labeler<'c> {
    config: &'c Config,
    calendar: Calendar,
    /// One for each source, in their order.
    sources: Vec<Layout<'c>>,
    unmatched: Layout<'c>,
    plain: Layout<'c>,
    route: Option<Routed>,
    line: Line,
    /// An event's id in its short form.
    id: String,
}

/// What the lines of one source are made of.
struct Layout<'c> {
    style: Style,
    labels: &'c [String],
    /// The labels as they stand in a line, joined.
    labels_text: String,
    columns: &'c [Column],
}

/// Where one log stream's events go.
struct Routed {
    owner: String,
    log_group: String,
    log_stream: String,
    /// Index of the source; `None`: unmatched.
    source: Option<usize>,
    file: String,
    /// `owner:logGroup:logStream`
    stream: String,
}

/// The columns of what no source describes.
const MESSAGE: &[Column] = &[Column::Message];

impl<'c> Labeler<'c> {
    /// For one configuration.
    pub fn new(config: &'c Config) -> Labeler<'c> {
        let style = Style { kind: config.format.kind, newline: config.format.newline };
        let layout = |source: &'c Source| Layout::new(style, &source.labels, &source.columns);
        let plain = Style { kind: config.plain.kind, newline: config.format.newline };
        Labeler {
            config,
            calendar: Calendar::new(config.timezone, &config.format.time),
            sources: config.sources.iter().map(layout).collect(),
            unmatched: Layout::new(style, &[], MESSAGE),
            plain: Layout::new(plain, &[], MESSAGE),
            route: None,
            line: Line::default(),
            id: String::new(),
        }
    }

    /// Emits the rows of an envelope's events, in order, and returns how many.
    pub fn envelope(
        &mut self,
        envelope: &Envelope<'_>,
        emit: &mut dyn FnMut(&Row<'_>),
    ) -> Result<usize, TimestampError> {
        let route = match self.route.take() {
            Some(route) if route.is_for(envelope) => route,
            _ => Routed::new(self.config, envelope),
        };
        let route = &*self.route.insert(route);
        let layout = route.source.map_or(&self.unmatched, |index| &self.sources[index]);
        let filter = if layout.columns.contains(&Column::Filter) {
            envelope.subscription_filters.join(",")
        } else {
            String::new()
        };
        let line = &mut self.line;
        for event in &envelope.log_events {
            line.start(layout.style);
            for column in layout.columns {
                match column {
                    Column::Labels => line.labels(layout.labels, &layout.labels_text),
                    Column::Message => line.field("message", without_breaks(&event.message)),
                    Column::Time => line.field("time", self.calendar.time(event.timestamp)?),
                    Column::Timestamp => line.number("timestamp", event.timestamp),
                    Column::Id => line.field("id", &event.id),
                    Column::LogGroup => line.field("log_group", &envelope.log_group),
                    Column::LogStream => line.field("log_stream", &envelope.log_stream),
                    Column::Owner => line.field("owner", &envelope.owner),
                    Column::Filter => line.field("filter", &filter),
                }
            }
            emit(&Row {
                file: Cow::Borrowed(&route.file),
                kind: layout.style.kind,
                day: self.calendar.day(event.timestamp)?,
                timestamp: event.timestamp,
                stream: Cow::Borrowed(&route.stream),
                id: Cow::Borrowed(event_id::short(&event.id, event.timestamp, &mut self.id)),
                line: Cow::Borrowed(line.end()),
            });
        }
        Ok(envelope.log_events.len())
    }

    /// Emits a row for each line of plain text, in order, and returns how many.
    ///
    /// Blank lines are kept, but trailing line breaks make none. The id is the origin's with the
    /// number of the line, from 1, the day that of the arrival.
    pub fn plain(
        &mut self,
        text: &str,
        origin: Origin<'_>,
        emit: &mut dyn FnMut(&Row<'_>),
    ) -> Result<usize, TimestampError> {
        let day = self.calendar.day(origin.arrival)?;
        let mut count = 0;
        for (index, text) in plain_lines(text).enumerate() {
            count = index + 1;
            self.line.start(self.plain.style);
            self.line.field("message", without_breaks(text));
            emit(&Row {
                file: Cow::Borrowed(&self.config.plain.file),
                kind: self.plain.style.kind,
                day,
                timestamp: origin.arrival,
                stream: Cow::Borrowed(origin.stream),
                id: Cow::Owned(format!("{}-{count}", origin.id)),
                line: Cow::Borrowed(self.line.end()),
            });
        }
        Ok(count)
    }
}

/// The lines of plain text. A lone CR inside a line is part of it.
pub(crate) fn plain_lines(text: &str) -> impl Iterator<Item = &str> {
    let text = without_breaks(text);
    let lines = (!text.is_empty()).then(|| text.split('\n'));
    lines.into_iter().flatten().map(|line| line.strip_suffix('\r').unwrap_or(line))
}

impl<'c> Layout<'c> {
    fn new(style: Style, labels: &'c [String], columns: &'c [Column]) -> Layout<'c> {
        Layout { style, labels, labels_text: style.labels(labels), columns }
    }
}

impl Routed {
    fn new(config: &Config, envelope: &Envelope<'_>) -> Routed {
        let (owner, group) = (&*envelope.owner, &*envelope.log_group);
        let log_stream = &*envelope.log_stream;
        let source = config.source_of(group, log_stream);
        let template = source.map_or(&config.unmatched.file, |index| &config.sources[index].file);
        Routed {
            owner: owner.to_owned(),
            log_group: group.to_owned(),
            log_stream: log_stream.to_owned(),
            source,
            file: template.file(owner, group, log_stream),
            stream: format!("{owner}:{group}:{log_stream}"),
        }
    }

    fn is_for(&self, envelope: &Envelope<'_>) -> bool {
        self.log_stream == *envelope.log_stream
            && self.log_group == *envelope.log_group
            && self.owner == *envelope.owner
    }
}
