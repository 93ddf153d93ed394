//! Decides an event's source and file, and builds its line. Pure.

use std::borrow::Cow;

use crate::config::{Column, Config, Format, Source, To};
use crate::day::{Calendar, TimestampError};
use crate::envelope::{Envelope, Event};
use crate::event_id;
use crate::json;
use crate::line::{Line, Style, without_breaks};
use crate::row::{Kind, Row, Stream};

/// Turns events into rows. It remembers the last log stream's source, file and names.
pub struct Labeler<'c> {
    config: &'c Config,
    calendar: Calendar,
    /// One for each source, in the same order.
    sources: Vec<Layout<'c>>,
    unmatched: Layout<'c>,
    plain: Layout<'c>,
    route: Routed,
    line: Line,
    /// The last event's id in its short form.
    id: String,
}

/// How the lines of one source are built.
struct Layout<'c> {
    style: Style,
    labels: &'c [String],
    cells: Vec<Cell<'c>>,
    /// The source's own time zone and pattern, if its `{time}` differs from `[format]`.
    calendar: Option<Calendar>,
    /// The source, if it changes or excludes messages.
    clean: Option<&'c Source>,
}

/// A column in the form for this kind of day file.
#[derive(PartialEq)]
enum Cell<'c> {
    Labels,
    Message,
    /// The message of a json line, as an object if it is one.
    Object,
    /// A `{time}` that never needs quotes or escapes.
    ReadyTime,
    /// `{time}` from the layout's own calendar, if it has one.
    Time,
    Timestamp,
    Id,
    LogGroup,
    LogStream,
    Owner,
    Account,
    Region,
    Filter,
    /// The message's value at these keys.
    Json(&'c Vec<String>),
    Capture(&'c String),
}

/// The destination of one log stream's events.
struct Routed {
    stream: Stream<'static>,
    /// The index of the source; `None` if no source matches.
    source: Option<usize>,
    file: String,
    fields: Fields,
}

/// The fields of a log stream, in the form in which a line has them.
#[derive(Default)]
struct Fields {
    /// All labels, joined.
    labels: String,
    owner: String,
    log_group: String,
    log_stream: String,
    region: String,
    /// The names of the envelope's subscription filters, if a column needs them.
    filter: String,
    captures: Vec<(String, String)>,
}

/// The columns of an event that no source matches.
const MESSAGE: &[Column] = &[Column::Message];

impl<'c> Labeler<'c> {
    /// A labeler for one configuration.
    pub fn new(config: &'c Config) -> Labeler<'c> {
        let plain = Format { kind: config.plain.kind, ..config.format.clone() };
        let layout = |source: &'c Source| Layout::new(config, source);
        Labeler {
            config,
            calendar: Calendar::new(config.timezone, &config.format.time),
            sources: config.sources.iter().map(layout).collect(),
            unmatched: Layout::of(&config.format, &[], MESSAGE),
            plain: Layout::of(&plain, &[], MESSAGE),
            route: Routed {
                stream: Stream::Origin("".into()),
                source: None,
                file: String::new(),
                fields: Fields::default(),
            },
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
            self.route = Routed::new(self, envelope);
        }
        if self.layout().cells.contains(&Cell::Filter) {
            self.route.fields.filter = envelope.subscription_filters.join(",");
        }
    }

    fn layout(&self) -> &Layout<'c> {
        self.route.source.map_or(&self.unmatched, |index| &self.sources[index])
    }

    /// Removes the events that the envelope's source excludes, and returns their number.
    pub(crate) fn choose(&self, envelope: &mut Envelope<'_>) -> usize {
        let Some(source) = self.layout().clean else { return 0 };
        let before = envelope.log_events.len();
        envelope.log_events.retain(|event| source.chooses(&event.message));
        before - envelope.log_events.len()
    }

    /// The envelope's source, if it changes or excludes messages.
    pub(crate) fn cleaner(&self) -> Option<&'c Source> {
        self.layout().clean
    }

    /// The row of one of the envelope's events.
    pub fn event<'a>(&'a mut self, event: &'a Event<'_>) -> Result<Row<'a>, TimestampError> {
        let Labeler { calendar, sources, unmatched, route, line, id, .. } = self;
        let layout = route.source.map_or(unmatched, |index| &mut sources[index]);
        let fields = &route.fields;
        let message = match layout.clean {
            None => Cow::Borrowed(without_breaks(&event.message)),
            Some(source) => source.hidden(&event.message),
        };
        line.start(layout.style);
        for cell in &layout.cells {
            match cell {
                Cell::Labels => line.labels(layout.labels, &fields.labels),
                Cell::Message => line.field("message", &message),
                Cell::ReadyTime => line.ready("time", calendar.time(event.timestamp)?),
                Cell::LogGroup => line.ready("log_group", &fields.log_group),
                Cell::LogStream => line.ready("log_stream", &fields.log_stream),
                Cell::Time => {
                    let calendar = layout.calendar.as_mut().unwrap_or(calendar);
                    line.field("time", calendar.time(event.timestamp)?);
                }
                cell => cell.write(event, &message, layout.clean, fields, line),
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

    /// The row of one line of plain text. Its day is that of its arrival.
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

/// The lines of plain text. A single CR within a line is kept.
pub(crate) fn plain_lines(text: &str) -> impl Iterator<Item = &str> {
    let text = without_breaks(text);
    let lines = (!text.is_empty()).then(|| text.split('\n'));
    lines.into_iter().flatten().map(|line| line.strip_suffix('\r').unwrap_or(line))
}

impl Cell<'_> {
    /// Writes the rare columns, apart from the frequent ones.
    #[inline(never)]
    fn write(
        &self,
        event: &Event<'_>,
        message: &str,
        clean: Option<&Source>,
        fields: &Fields,
        line: &mut Line,
    ) {
        match self {
            Cell::Object => line.object("message", message),
            Cell::Timestamp => line.number("timestamp", event.timestamp),
            Cell::Id => line.field("id", &event.id),
            Cell::Owner => line.ready("owner", &fields.owner),
            Cell::Account => match event.account() {
                Some(account) => line.field("account", account),
                None => line.ready("account", &fields.owner),
            },
            Cell::Region => match event.region() {
                Some(region) => line.field("region", region),
                None => line.ready("region", &fields.region),
            },
            Cell::Filter => line.field("filter", &fields.filter),
            Cell::Json(keys) => {
                let name = format!("json.{}", keys.join("."));
                // A mask may name a key, but may also break the JSON.
                let text = match clean {
                    Some(_) if json::is_valid(message) => message,
                    _ => &event.message,
                };
                let value = json::at(text, keys);
                match clean.and_then(|source| value.map(|value| source.hidden_json(value))) {
                    Some(hidden) => line.json(&name, serde_json::from_str(&hidden).ok()),
                    None => line.json(&name, value),
                }
            }
            Cell::Capture(name) => {
                let mut captures = fields.captures.iter();
                let found = captures.find(|(capture, _)| capture == *name);
                line.ready(name, found.map_or("", |(_, text)| text));
            }
            // Handled by the caller.
            Cell::Labels
            | Cell::Message
            | Cell::ReadyTime
            | Cell::Time
            | Cell::LogGroup
            | Cell::LogStream => {}
        }
    }
}

impl<'c> Layout<'c> {
    fn new(config: &'c Config, source: &'c Source) -> Layout<'c> {
        let format = source.format(config);
        let mut layout = Layout::of(&format, &source.labels, &source.columns);
        if format.time != config.format.time && source.columns.contains(&Column::Time) {
            layout.calendar = Some(Calendar::new(config.timezone, &format.time));
            let times = layout.cells.iter_mut().filter(|cell| **cell == Cell::ReadyTime);
            times.for_each(|cell| *cell = Cell::Time);
        }
        layout.clean = source.cleans().then_some(source);
        layout
    }

    fn of(format: &Format, labels: &'c [String], columns: &'c [Column]) -> Layout<'c> {
        let Format { kind, newline, escape_backslash, time } = format;
        let style = Style { kind: *kind, newline: *newline, escape_backslash: *escape_backslash };
        let special = [",", "\"", "\t", "\n", "\r", "\\", "%t", "%n"];
        let is_time_plain =
            *kind != Kind::Json && !special.iter().any(|special| time.contains(special));
        let cell = |column: &'c Column| match column {
            Column::Labels => Cell::Labels,
            Column::Message if *kind == Kind::Json => Cell::Object,
            Column::Message => Cell::Message,
            Column::Time if is_time_plain => Cell::ReadyTime,
            Column::Time => Cell::Time,
            Column::Timestamp => Cell::Timestamp,
            Column::Id => Cell::Id,
            Column::LogGroup => Cell::LogGroup,
            Column::LogStream => Cell::LogStream,
            Column::Owner => Cell::Owner,
            Column::Account => Cell::Account,
            Column::Region => Cell::Region,
            Column::Filter => Cell::Filter,
            Column::Json(keys) => Cell::Json(keys),
            Column::Capture(name) => Cell::Capture(name),
        };
        let cells = columns.iter().map(cell).collect();
        Layout { style, labels, cells, calendar: None, clean: None }
    }
}

impl Routed {
    fn new(labeler: &Labeler<'_>, envelope: &Envelope<'_>) -> Routed {
        let (config, Envelope { owner, log_group, log_stream, .. }) = (labeler.config, envelope);
        let To { source, file, captures, .. } = config.destination(owner, log_group, log_stream);
        let layout = source.map_or(&labeler.unmatched, |index| &labeler.sources[index]);
        let style = layout.style;
        let fields = Fields {
            labels: style.labels(&labels(layout.labels, &captures)),
            owner: style.field(owner),
            log_group: style.field(log_group),
            log_stream: style.field(log_stream),
            region: style.field(&config.region),
            filter: String::new(),
            captures: captures.into_iter().map(|(name, text)| (name, style.field(&text))).collect(),
        };
        let owned = |text: &str| Cow::Owned(text.to_owned());
        let owner = owned(owner);
        let stream =
            Stream::Logs { owner, log_group: owned(log_group), log_stream: owned(log_stream) };
        Routed { stream, source, file, fields }
    }
}

/// Labels whose placeholders are replaced by captures.
fn labels<'l>(labels: &'l [String], captures: &[(String, String)]) -> Cow<'l, [String]> {
    if captures.is_empty() {
        return Cow::Borrowed(labels);
    }
    let filled = |label: &String| {
        let (mut text, mut rest) = (String::new(), label.as_str());
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let name = after.split_once('}').map_or("", |(name, _)| name);
            let found = captures.iter().find(|(capture, _)| capture == name);
            (text, rest) = match found {
                Some((_, value)) => (text + value, &after[name.len() + 1..]),
                None => (text + "{", after),
            };
        }
        text + rest
    };
    labels.iter().map(filled).collect()
}
