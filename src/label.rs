//! Which source an event belongs to, which file, which line. Pure.

use std::borrow::Cow;

use crate::config::{Column, Config, Source};
use crate::day::{Calendar, TimestampError};
use crate::envelope::{Envelope, Event};
use crate::event_id;
use crate::line::{Line, Style, without_breaks};
use crate::row::{Kind, Row, Stream};

/// Makes rows of events; remembers the last log stream's source, file and names.
pub struct Labeler<'c> {
    config: &'c Config,
    calendar: Calendar,
    /// One for each source, in their order.
    sources: Vec<Layout<'c>>,
    unmatched: Layout<'c>,
    plain: Layout<'c>,
    /// Whether times stand in a line as they are: nothing in them has to be quoted or escaped.
    is_time_plain: bool,
    route: Routed,
    /// The region of events that do not say theirs, as it stands in a line.
    region: String,
    /// The names of the envelope's subscription filters, where a column wants them.
    filter: String,
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
    stream: Stream<'static>,
    /// Index of the source; `None`: unmatched.
    source: Option<usize>,
    file: String,
    fields: Fields,
}

/// The parts of a log stream as they stand in a line.
#[derive(Default)]
struct Fields {
    owner: String,
    log_group: String,
    log_stream: String,
}

/// The columns of what no source describes.
const MESSAGE: &[Column] = &[Column::Message];

impl<'c> Labeler<'c> {
    /// For one configuration.
    pub fn new(config: &'c Config) -> Labeler<'c> {
        let style = Style { kind: config.format.kind, newline: config.format.newline };
        let layout = |source: &'c Source| Layout::new(style, &source.labels, &source.columns);
        let special = [",", "\"", "\t", "\n", "\r", "%t", "%n"];
        let is_time_plain = style.kind != Kind::Json
            && !special.iter().any(|special| config.format.time.contains(special));
        let plain = Style { kind: config.plain.kind, newline: config.format.newline };
        Labeler {
            config,
            calendar: Calendar::new(config.timezone, &config.format.time),
            sources: config.sources.iter().map(layout).collect(),
            unmatched: Layout::new(style, &[], MESSAGE),
            plain: Layout::new(plain, &[], MESSAGE),
            is_time_plain,
            route: Routed {
                stream: Stream::Origin("".into()),
                source: None,
                file: String::new(),
                fields: Fields::default(),
            },
            region: style.field(&config.region),
            filter: String::new(),
            line: Line::default(),
            id: String::new(),
        }
    }

    /// Begins an envelope.
    pub fn envelope(&mut self, envelope: &Envelope<'_>) {
        let Envelope { owner, log_group, log_stream, .. } = envelope;
        let is_same = matches!(
            &self.route.stream,
            Stream::Logs { owner: known, log_group: group, log_stream: stream }
                if known == owner && group == log_group && stream == log_stream
        );
        if !is_same {
            self.route = Routed::new(self.config, envelope);
        }
        let layout = self.route.source.map_or(&self.unmatched, |index| &self.sources[index]);
        self.filter.clear();
        if layout.columns.contains(&Column::Filter) {
            self.filter = envelope.subscription_filters.join(",");
        }
    }

    /// The row of one of its events.
    pub fn event<'a>(&'a mut self, event: &'a Event<'_>) -> Result<Row<'a>, TimestampError> {
        let Labeler { calendar, route, line, id, .. } = self;
        let layout = route.source.map_or(&self.unmatched, |index| &self.sources[index]);
        line.start(layout.style);
        for column in layout.columns {
            match column {
                Column::Labels => line.labels(layout.labels, &layout.labels_text),
                Column::Message => line.field("message", without_breaks(&event.message)),
                Column::Time if self.is_time_plain => {
                    line.ready("time", calendar.time(event.timestamp)?);
                }
                Column::Time => line.field("time", calendar.time(event.timestamp)?),
                Column::Timestamp => line.number("timestamp", event.timestamp),
                Column::Id => line.field("id", &event.id),
                Column::LogGroup => line.ready("log_group", &route.fields.log_group),
                Column::LogStream => line.ready("log_stream", &route.fields.log_stream),
                Column::Owner => line.ready("owner", &route.fields.owner),
                Column::Account => match event.account() {
                    Some(account) => line.field("account", account),
                    None => line.ready("account", &route.fields.owner),
                },
                Column::Region => match event.region() {
                    Some(region) => line.field("region", region),
                    None => line.ready("region", &self.region),
                },
                Column::Filter => line.field("filter", &self.filter),
            }
        }
        Ok(Row {
            file: Cow::Borrowed(&route.file),
            kind: layout.style.kind,
            day: calendar.day(event.timestamp)?,
            timestamp: event.timestamp,
            stream: route.stream.borrowed(),
            id: Cow::Borrowed(event_id::short(&event.id, event.timestamp, id)),
            line: Cow::Borrowed(line.end()),
        })
    }

    /// The row of one line of plain text; its day is that of the arrival.
    pub fn plain<'a>(
        &'a mut self,
        text: &str,
        origin: &'a str,
        id: String,
        arrival: i64,
    ) -> Result<Row<'a>, TimestampError> {
        self.line.start(self.plain.style);
        self.line.field("message", text);
        Ok(Row {
            file: Cow::Borrowed(&self.config.plain.file),
            kind: self.plain.style.kind,
            day: self.calendar.day(arrival)?,
            timestamp: arrival,
            stream: Stream::Origin(Cow::Borrowed(origin)),
            id: Cow::Owned(id),
            line: Cow::Borrowed(self.line.end()),
        })
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
        let Envelope { owner, log_group, log_stream, .. } = envelope;
        let source = config.source_of(log_group, log_stream);
        let template = source.map_or(&config.unmatched.file, |index| &config.sources[index].file);
        let style = Style { kind: config.format.kind, newline: config.format.newline };
        let fields = Fields {
            owner: style.field(owner),
            log_group: style.field(log_group),
            log_stream: style.field(log_stream),
        };
        let owned = |text: &str| Cow::Owned(text.to_owned());
        let (file, owner) = (template.file(owner, log_group, log_stream), owned(owner));
        let stream =
            Stream::Logs { owner, log_group: owned(log_group), log_stream: owned(log_stream) };
        Routed { stream, source, file, fields }
    }
}
