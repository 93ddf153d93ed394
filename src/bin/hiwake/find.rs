//! `hiwake cat --root DIR` with `--id`, `--text` or `--time`: finds lines of day files, and their
//! origin.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context;
use chrono::SecondsFormat;
use hiwake::clock::rfc_3339;
use hiwake::config::Config;
use hiwake::day::day_end;
use hiwake::event_id;
use hiwake::land::root::folders::day_files;
use hiwake::land::upkeep::find::{Hit, Query};
use hiwake::object::{Bad, Options, Origin, ReadError, Reader, RowPlace, Sink};
use hiwake::row::{Day, EventKey, Row};
use hiwake::store::{Location, Object, Store};
use serde_json::json;
use wildmatch::WildMatch;

use crate::days::Days;
use crate::output::{count, err, note, out};
use crate::{Moment, Now, Usage};

/// `T` or `T..T`.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    from: Moment,
    until: Option<Moment>,
    /// The length of a single moment, in milliseconds.
    unit: i64,
}

impl FromStr for Times {
    type Err = String;

    fn from_str(text: &str) -> Result<Times, String> {
        let (from, until) = match text.split_once("..") {
            Some((from, until)) => (from, Some(until.parse()?)),
            None => (text, None),
        };
        let unit = match from.matches(':').count() {
            _ if from.contains('.') => 1,
            1 => 60_000,
            _ => 1000,
        };
        Ok(Times { from: from.parse()?, until, unit })
    }
}

impl Times {
    fn resolve(self, config: &Config, now: &Now) -> Result<Range<i64>, Usage> {
        let from = self.from.resolve(config, now);
        let until = match (self.until, self.from) {
            (Some(until), _) => until.resolve(config, now),
            (None, Moment::At(at)) => at + self.unit,
            (None, Moment::Local(time)) => crate::local(config, time).end + self.unit,
            (None, Moment::Day(day)) => day_end(config.timezone, day),
            (None, Moment::Ago(_)) => now.clock().now(),
        };
        match from < until {
            true => Ok(from..until),
            false => Err(Usage("--time: the end is not after the beginning".to_owned())),
        }
    }
}

/// The search, and where to search.
pub struct Args<'a> {
    pub root: &'a Path,
    pub file: Option<&'a str>,
    pub day: Option<Days>,
    pub id: Option<&'a str>,
    pub text: Option<&'a str>,
    pub time: Option<Times>,
    pub objects: Option<&'a str>,
    pub json: bool,
}

pub fn run(config: &Config, args: &Args<'_>) -> anyhow::Result<ExitCode> {
    // The events in the objects, by their identities.
    let mut events = HashMap::new();
    let query = query(config, args, &mut events)?;
    let Search { hits, closed, failed } = search(config, args, &query)?;
    if let (Some(objects), None) = (args.objects, args.id) {
        let keys: HashSet<EventKey> = hits.iter().filter_map(|hit| hit.key).collect();
        let named: HashSet<&str> =
            hits.iter().flat_map(|hit| &hit.objects).map(|one| key(one)).collect();
        let of_hit = |row: &Row<'_>| keys.contains(&row.key());
        let is_named = |object: &Object| named.iter().any(|name| name.ends_with(&object.id.key));
        read(config, objects, &is_named, &of_hit, &mut events)?;
    }
    hits.iter().for_each(|hit| print(config, hit, &events, args.json));
    if args.id.is_some() && args.objects.is_none() && hits.len() > 1 {
        note!("all {} lines have the id's millisecond: add --objects to find the one", hits.len());
    }
    if let Some(first) = closed.first() {
        let what = match query.needs_identities() {
            true => "only --text searches them",
            false => "their lines have no times and no objects",
        };
        let days = count(closed.len(), "closed day");
        err!("{days}, e.g. {first}: a closed day no longer has identities; {what}");
    }
    if hits.is_empty() {
        err!("found nothing below {}", args.root.display());
    }
    Ok(ExitCode::from(u8::from(failed > 0 || hits.is_empty())))
}

/// The query. With its object, an id gives an identity; without, only a millisecond.
fn query(
    config: &Config,
    args: &Args<'_>,
    events: &mut HashMap<EventKey, Event>,
) -> anyhow::Result<Query> {
    let times = args.time.map(|time| time.resolve(config, &Now { now: None })).transpose()?;
    let mut query = Query { text: args.text.map(str::to_owned), times, keys: None };
    match (args.id, args.objects) {
        (Some(id), Some(objects)) => {
            let wanted =
                |row: &Row<'_>| row.id == id || event_id::long(&row.id, row.timestamp) == id;
            read(config, objects, &|_| true, &wanted, events)?;
            if events.is_empty() {
                anyhow::bail!("{objects} contains no event with the id {id}: check --objects");
            }
            query.keys = Some(events.keys().copied().collect());
        }
        (Some(id), None) => {
            let at = event_id::timestamp(id).ok_or_else(|| {
                Usage(format!("--id: `{id}` contains no time: add --objects to name its object"))
            })?;
            let given = query.times.unwrap_or(i64::MIN..i64::MAX);
            query.times = Some(given.start.max(at)..given.end.min(at + 1));
        }
        (None, _) => {}
    }
    Ok(query)
}

/// The result of a search in a root.
#[derive(Default)]
struct Search {
    hits: Vec<Hit>,
    /// Closed day files, which may contain more.
    closed: BTreeSet<String>,
    failed: usize,
}

fn search(config: &Config, args: &Args<'_>, query: &Query) -> anyhow::Result<Search> {
    let disk = crate::disk(args.root, false)?;
    let lander = crate::lander(&disk, config, &Now { now: None });
    let is_day = |day: Day| args.day.as_ref().is_none_or(|days| days.has(&day.to_string()));
    let (found, unread) = day_files(&lander, &is_day);
    let mut search = Search { failed: unread.len(), ..Search::default() };
    unread.iter().for_each(|error| err!("{error}"));
    let file = args.file.map(WildMatch::new);
    let is_wanted = |name: &str| file.as_ref().is_none_or(|file| file.matches(name));
    for day_file in found.into_iter().filter(|one| is_wanted(&one.file)) {
        match lander.find(&day_file, query) {
            Ok(found) => {
                if found.closed && may_have(config, query, day_file.day) {
                    search.closed.insert(day_file.to_string());
                }
                search.hits.extend(found.hits);
            }
            Err(error) => {
                err!("{error}");
                search.failed += 1;
            }
        }
    }
    Ok(search)
}

/// Whether a day may have lines of these times, in any time zone.
fn may_have(config: &Config, query: &Query, day: Day) -> bool {
    const DAY_MS: i64 = 24 * 3600 * 1000;
    let end = day_end(config.timezone, day);
    let times = query.times.as_ref();
    times.is_none_or(|times| times.start < end + DAY_MS && times.end > end - 2 * DAY_MS)
}

/// An object's name in a commit, without its entity tag.
fn key(name: &str) -> &str {
    name.rsplit_once('@').map_or(name, |(key, _)| key)
}

fn print(config: &Config, hit: &Hit, events: &HashMap<EventKey, Event>, json: bool) {
    let time = hit.key.map(|key| rfc_3339(key.timestamp, config.timezone, SecondsFormat::Millis));
    let event = hit.key.and_then(|key| events.get(&key));
    let Hit { path, line, text, objects, .. } = hit;
    if json {
        let (id, source) = (event.map(|event| &event.id), event.map(|event| &event.stream));
        let hit = json!({
            "path": path, "line": line, "text": text, "time": time, "objects": objects,
            "source": source, "id": id,
        });
        return out!("{hit}");
    }
    out!("{path}:{line}: {text}");
    if let Some(time) = time {
        out!("    time    {time}");
    }
    objects.iter().for_each(|object| out!("    object  {object}"));
    if let Some(Event { id, stream }) = event {
        out!("    source  {stream}");
        out!("    id      {id}");
    }
}

/// An event in an object.
struct Event {
    id: String,
    stream: String,
}

/// Reads the objects that `of` selects, and keeps the wanted events.
fn read(
    config: &Config,
    source: &str,
    of: &dyn Fn(&Object) -> bool,
    wanted: &dyn Fn(&Row<'_>) -> bool,
    events: &mut HashMap<EventKey, Event>,
) -> anyhow::Result<()> {
    let (store, objects): (Store, Vec<Object>) =
        Location::parse(source)?.objects(&crate::bucket, None)?;
    let mut reader = Reader::new(config);
    for object in objects.iter().filter(|object| of(object)) {
        let place = object.id.place();
        let input = store.open(&object.id.key)?;
        let origin = Origin { place: &place, id: None, arrival: Some(object.modified) };
        let mut sink = Events { wanted, events, place: &place };
        let read = reader.object(input, origin, &Options::new(&config.limits), &mut sink);
        read.with_context(|| place.clone())?;
    }
    Ok(())
}

struct Events<'a> {
    wanted: &'a dyn Fn(&Row<'_>) -> bool,
    events: &'a mut HashMap<EventKey, Event>,
    place: &'a str,
}

impl Sink for Events<'_> {
    fn row(&mut self, row: &Row<'_>, _: RowPlace) -> Result<(), ReadError> {
        if (self.wanted)(row) {
            let id = event_id::long(&row.id, row.timestamp).into_owned();
            self.events.insert(row.key(), Event { id, stream: row.stream.to_string() });
        }
        Ok(())
    }

    fn bad(&mut self, bad: &Bad<'_>) -> Result<(), ReadError> {
        err!("{} at byte {}: {} ({})", self.place, bad.offset, bad.reason, bad.code);
        Ok(())
    }
}
