//! Checks how values fit together: rules that never match, names that collide, limits that
//! contradict each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::glob::capture;
use crate::config::place::KeyPath;
use crate::config::problem::nearest;
use crate::config::reader::Reader;
use crate::config::{
    ANSWER_BYTES_MAX, Column, Config, Glob, Newline, Pattern, Problem, Source, Subscribe,
};
use crate::row::Kind;

/// Longest grace. CloudWatch takes events up to 14 days old, but a file that stays open for more
/// than a week is no longer a daily file.
const GRACE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Below it, Firehose's buffering (up to 15 minutes, and retries) causes late files every night.
const GRACE_CAREFUL: Duration = Duration::from_secs(20 * 60);
/// Characters of the longest filter pattern that CloudWatch takes.
const FILTER_PATTERN_MAX: usize = 1024;

/// Notes every problem between values that are valid one by one.
pub(super) fn check(config: &Config, reader: &mut Reader<'_>) {
    for (index, source) in config.sources.iter().enumerate() {
        check_source(source, &KeyPath::at("source").index(index), reader);
        let path = KeyPath::at("source").index(index);
        check_texts(source, &path, reader);
        check_captures(source, &path, reader);
        check_reached(config, index, reader);
    }
    check_format(config, reader);
    check_kinds(config, reader);
    check_kinds_by_example(config, reader);
    check_seal(config, reader);
    check_limits(config, reader);
}

fn check_source(source: &Source, path: &KeyPath, reader: &mut Reader<'_>) {
    for (key, is_empty, message) in [
        ("log_groups", source.log_groups.is_empty(), NO_GROUP),
        ("log_streams", source.log_streams.is_empty(), NO_STREAM),
        ("columns", source.columns.is_empty(), NO_COLUMN),
    ] {
        let key = path.clone().key(key);
        if is_empty && reader.is_whole(&key) {
            reader.note(&key, message);
        }
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "_/.#-".contains(*c);
    for (key, groups) in [("log_groups", &source.log_groups), ("exclude", &source.exclude)] {
        for (index, group) in groups.iter().enumerate() {
            let mut characters = group.literals().flat_map(str::chars);
            if let Some(character) = characters.find(|character| !allowed(character)) {
                let message = format!(
                    "log group names cannot contain {character:?}; write letters, digits, _ / . # -, the globs * and ?, and captures such as {{team}}"
                );
                reader.note(&path.clone().key(key).index(index), message);
            }
        }
    }
    for (index, stream) in source.log_streams.iter().enumerate() {
        if stream.as_str().contains(':') {
            let message = "log stream names cannot contain ':'; write ? or * instead";
            reader.note(&path.clone().key("log_streams").index(index), message);
        }
    }
    for (index, label) in source.labels.iter().enumerate() {
        if label.contains(['\n', '\r', '\0']) {
            let message = "contains a line break or a NUL, which a line cannot have; remove it";
            reader.note(&path.clone().key("labels").index(index), message);
        }
        let braces = label.match_indices('{').map(|(at, _)| &label[at..]);
        if let Some((written, meant)) = braces.clone().find_map(|text| misspelt(source, text)) {
            let message = format!("`{{{written}}}` is not known; did you mean {{{meant}}}?");
            reader.note(&path.clone().key("labels").index(index), message);
            continue;
        }
        let mut names = braces.filter_map(|text| match text.strip_prefix("{json.") {
            Some(path) => path.split_once('}').map(|(path, _)| &text[1..path.len() + 6]),
            None => capture(text),
        });
        if let Some(name) = names.find(|name| !source.has_capture(name)) {
            let message = match Column::is_reserved(name) || name.starts_with("json.") {
                true => format!("labels are fixed text; write {{{name}}} into columns"),
                false => no_capture(name),
            };
            reader.note(&path.clone().key("labels").index(index), message);
        }
    }
    if source.filter_pattern.chars().count() > FILTER_PATTERN_MAX {
        let message = format!("is longer than {FILTER_PATTERN_MAX} characters; shorten it");
        reader.note(&path.clone().key("filter_pattern"), message);
    }
}

/// The text in braces that begins a label, and the capture that it probably misspells. Other text
/// in braces belongs to the label itself.
fn misspelt<'t>(source: &'t Source, label: &'t str) -> Option<(&'t str, &'t str)> {
    let (written, _) = label.strip_prefix('{')?.split_once('}')?;
    let globs = source.log_groups.iter().chain(&source.log_streams);
    let mut captures = globs.flat_map(Glob::capture_names).filter(|name| source.has_capture(name));
    if written.contains('{') || Column::is_reserved(written) || source.has_capture(written) {
        return None;
    }
    let meant = match written.trim() {
        "" => captures.next(),
        name => nearest(name, captures),
    };
    Some((written, meant?))
}

/// Checks that masks refer to existing groups, and that a capture has one value.
fn check_texts(source: &Source, path: &KeyPath, reader: &mut Reader<'_>) {
    for (index, mask) in source.mask.iter().enumerate() {
        if let Some(message) = mask.fault() {
            reader.note(&path.clone().key("mask").index(index), message);
        }
    }
    let of_groups: BTreeSet<_> = source.log_groups.iter().flat_map(Glob::capture_names).collect();
    let of_streams = source.log_streams.iter().flat_map(Glob::capture_names);
    if let Some(name) = of_streams.into_iter().find(|name| of_groups.contains(name)) {
        let message = format!("{{{name}}} is also a capture of log_groups; give it another name");
        reader.note(&path.clone().key("log_streams"), message);
    }
}

/// Checks that the captures in `file` and `columns` exist for every log group and stream.
fn check_captures(source: &Source, path: &KeyPath, reader: &mut Reader<'_>) {
    let globs = ["log_groups", "log_streams"];
    if globs.iter().any(|key| !reader.is_whole(&path.clone().key(key))) {
        return;
    }
    for name in source.file.captures().filter(|name| !source.has_capture(name)) {
        let known = ["log_group", "log_stream", "owner"];
        let message = match nearest(name, known.into_iter()) {
            Some(meant) => format!("`{{{name}}}` is not known here; did you mean {{{meant}}}?"),
            None if name == "account" || name == "region" => {
                format!("{{{name}}} does not distinguish events; write {{owner}}, or a label")
            }
            None => format!(
                "{}; {{log_group}}, {{log_stream}} and {{owner}} are known",
                no_capture(name)
            ),
        };
        reader.note(&path.clone().key("file"), message);
    }
    for (index, column) in source.columns.iter().enumerate() {
        let Column::Capture(name) = column else { continue };
        if source.has_capture(name) {
            continue;
        }
        let message = match nearest(&format!("{{{name}}}"), Column::names()) {
            Some(meant) => format!("`{{{name}}}` is not known; did you mean {meant}?"),
            None => {
                let known: Vec<_> = Column::names().collect();
                format!("{}; or write one of {}", no_capture(name), known.join(", "))
            }
        };
        reader.note(&path.clone().key("columns").index(index), message);
    }
}

fn no_capture(name: &str) -> String {
    format!("`{{{name}}}` is not a capture in all of its log_groups, nor in all of its log_streams")
}

/// Checks that a source can be reached. The first match wins, so a source is dead if earlier ones
/// take all of its pairs of log group and log stream.
fn check_reached(config: &Config, index: usize, reader: &mut Reader<'_>) {
    let path = KeyPath::at("source").index(index);
    let (earlier, source) = (&config.sources[..index], &config.sources[index]);
    let written = ["log_groups", "log_streams"];
    if source.log_groups.is_empty()
        || source.log_streams.is_empty()
        || written.iter().any(|key| !reader.is_whole(&path.clone().key(key)))
    {
        return;
    }
    let excluded = |group: &Glob| source.exclude.iter().any(|glob| glob.covers(group));
    if source.log_groups.iter().all(excluded) {
        let exclude = path.clone().key("exclude");
        return match reader.is_inherited(&exclude) {
            true => reader.note(&path.key("log_groups"), EXCLUDED_BY_DEFAULT),
            false => reader.note(&exclude, EXCLUDED),
        };
    }
    let mut takers = BTreeSet::new();
    for group in &source.log_groups {
        for stream in &source.log_streams {
            let taker = earlier.iter().position(|earlier| takes(earlier, group, stream));
            let Some(taker) = taker else { return };
            takers.insert(taker);
        }
    }
    let named: Vec<_> = takers.iter().map(|taker| name(config, *taker)).collect();
    let message = format!(
        "can never match: {} already takes all its events; put this source first, or remove it",
        named.join(" with ")
    );
    reader.note(&path.key("log_groups"), message);
}

fn takes(source: &Source, group: &Glob, stream: &Glob) -> bool {
    source.exclude.iter().all(|glob| glob.is_apart(group))
        && source.log_groups.iter().any(|glob| glob.covers(group))
        && source.log_streams.iter().any(|glob| glob.covers(stream))
}

fn name(config: &Config, index: usize) -> String {
    match config.sources[index].line {
        Some(line) => format!("source[{}] (line {line})", index + 1),
        None => format!("source[{}]", index + 1),
    }
}

fn check_format(config: &Config, reader: &mut Reader<'_>) {
    let own = |index| KeyPath::at("source").index(index).key("format");
    let sources = config.sources.iter().enumerate();
    let sources = sources.map(|(index, source)| (own(index), source.format(config)));
    let all = (KeyPath::at("format"), config.format.clone());
    for (path, format) in sources.chain([all]) {
        let whole = reader.is_whole(&path.clone().key("kind"));
        let is_said = reader.is_said(&path.clone().key("newline"));
        if format.newline == Newline::Keep && format.kind != Kind::Csv && whole && is_said {
            let message =
                "keep needs kind = \"csv\", which quotes line breaks; write escape or space";
            reader.note(&path.key("newline"), message);
        }
    }
    for name in config.unmatched.file.captures() {
        let message = format!(
            "`{{{name}}}` is not known here; write {{log_group}}, {{log_stream}} or {{owner}}"
        );
        reader.note(&KeyPath::at("unmatched.file"), message);
    }
}

/// Checks that no file has two kinds: `plain/2022-04-18.csv` and `plain/2022-04-18.log`.
fn check_kinds(config: &Config, reader: &mut Reader<'_>) {
    let sources = config.sources.iter().enumerate().filter_map(|(index, source)| {
        let path = KeyPath::at("source").index(index).key("file");
        Some((path, source.file.literal()?, source.format(config).kind, name(config, index)))
    });
    let mut literal: Vec<_> = sources.collect();
    let unmatched = config.unmatched.file.literal();
    literal.extend(unmatched.map(|file| {
        (KeyPath::at("unmatched.file"), file, config.format.kind, "[unmatched]".to_owned())
    }));
    if !config.plain.drop {
        let (path, kind) = (KeyPath::at("plain.file"), config.plain.kind);
        literal.push((path, &config.plain.file, kind, "[plain]".to_owned()));
    }
    for (at, (path, file, kind, _)) in literal.iter().enumerate() {
        let earlier =
            literal[..at].iter().filter(|(_, one, other, _)| one == file && other != kind);
        let others: Vec<&str> = earlier.map(|(.., name)| name.as_str()).collect();
        if !others.is_empty() {
            let message = format!(
                "`{file}` is also the file of {}, with another kind; write another file, or the same kind",
                others.join(" and ")
            );
            reader.note(path, message);
        }
    }
}

/// The same for names with placeholders. It tries examples: `x`, and each part of a literal file,
/// in place of globs and captures. It misses files that only other names share: then each kind has
/// its own day files, and no event is lost.
fn check_kinds_by_example(config: &Config, reader: &mut Reader<'_>) {
    let kinds: Vec<Kind> = config.sources.iter().map(|source| source.format(config).kind).collect();
    if kinds.windows(2).all(|pair| pair[0] == pair[1]) {
        return;
    }
    let literal = config.sources.iter().filter_map(|source| source.file.literal());
    let texts: BTreeSet<&str> = literal.flat_map(|file| file.split('/')).chain(["x"]).collect();
    let mut known: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (index, source) in config.sources.iter().enumerate() {
        let path = KeyPath::at("source").index(index).key("file");
        let pairs = source
            .log_groups
            .iter()
            .flat_map(|group| source.log_streams.iter().flat_map(move |stream| [(group, stream)]));
        let examples = pairs.flat_map(|(group, stream)| {
            texts.iter().map(|text| (group.example(text), stream.example(text)))
        });
        for (group, stream) in examples.collect::<BTreeSet<_>>() {
            let to = config.destination("123456789012", &group, &stream);
            if to.source != Some(index) {
                continue;
            }
            let Some((other, example)) = known.get(&to.file) else {
                known.insert(to.file, (index, group));
                continue;
            };
            let is_noted =
                source.file.literal().is_some() && config.sources[*other].file.literal().is_some();
            if kinds[*other] != to.kind && !is_noted && reader.is_whole(&path) {
                let message = format!(
                    "log group {group} goes into the file `{}`, as does {example} in {}, with another kind; write another file, or the same kind",
                    to.file,
                    name(config, *other)
                );
                reader.note(&path, message);
                break;
            }
        }
    }
}

fn check_seal(config: &Config, reader: &mut Reader<'_>) {
    let mut note = |key, message| reader.note(&KeyPath::at(key), message);
    if config.seal.grace > GRACE_MAX {
        note("seal.grace", "is more than 7 days; write at most \"7days\"");
    }
    if config.seal.journal_days == 0 {
        note("seal.journal_days", FORGETS);
    }
    if config.files.mode & 0o400 == 0 {
        note("files.mode", "its owner could not read a sealed file; write e.g. \"0440\"");
    }
    if config.files.mode & 0o222 != 0 {
        note("files.mode", "a sealed file is never written again; write e.g. \"0440\"");
    }
    if config.files.dir_mode & 0o700 != 0o700 {
        let message = "its owner must read, write and enter a folder; write e.g. \"0750\"";
        note("files.dir_mode", message);
    }
}

fn check_limits(config: &Config, reader: &mut Reader<'_>) {
    const MIB: usize = 1 << 20;
    let limits = &config.limits;
    let limit = |key: &str| KeyPath::at("limits").key(key);
    let sizes = [
        ("answer_bytes", limits.answer_bytes, 65_536, ANSWER_BYTES_MAX),
        ("inflated_bytes", limits.inflated_bytes, MIB, 1_024 * MIB),
        ("unit_bytes", limits.unit_bytes, MIB, 1_024 * MIB),
        ("buffer_bytes", limits.buffer_bytes, MIB, 8_192 * MIB),
        ("commit_bytes", limits.commit_bytes, 1_024, 1_024 * MIB),
        ("parallel", limits.parallel, 1, 300),
        ("merge_bytes", limits.merge_bytes, MIB, 8_192 * MIB),
    ];
    for (key, value, least, most) in sizes {
        if !(least..=most).contains(&value) {
            reader.note(&limit(key), format!("{value} is out of bounds; write {least} to {most}"));
        }
    }
    let durations = [
        ("lock_wait", limits.lock_wait, Duration::from_millis(10), Duration::from_secs(600)),
        ("clock_skew", limits.clock_skew, Duration::from_secs(1), Duration::from_secs(3_600)),
    ];
    for (key, value, least, most) in durations {
        if !(least..=most).contains(&value) {
            let [value, least, most] = [value, least, most].map(humantime::format_duration);
            reader.note(&limit(key), format!("{value} is out of bounds; write {least} to {most}"));
        }
    }
    if limits.commit_bytes > limits.buffer_bytes {
        let message = "is more than buffer_bytes, which holds it; write a smaller number";
        reader.note(&limit("commit_bytes"), message);
    }
}

impl Config {
    /// What is valid but probably not intended, in the order of the file.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = Vec::new();
        let mut warn = |line, key: String, message: &str| {
            let file = self.name.clone();
            warnings.push(Problem { file, line, key, message: message.to_owned() });
        };
        if self.sources.is_empty() {
            let message = "no source is configured: every event goes into the [unmatched] file";
            warn(None, "source".to_owned(), message);
        }
        for (index, source) in self.sources.iter().enumerate() {
            let key = |key| format!("source[{}].{key}", index + 1);
            if source.file.uses_log_stream() {
                warn(source.line, key("file"), PER_STREAM);
            }
            if let Some(pattern) = drops_everything(source) {
                let message = format!(
                    "`{pattern}` and the patterns after it match every message: no event is left"
                );
                warn(source.line, key("drop"), &message);
            }
            let dead = dead_keeps(source);
            for (keep, drop) in &dead {
                let left = match dead.len() == source.keep.len() {
                    true => ": no event of this source is left",
                    false => ": it keeps nothing",
                };
                let message =
                    format!("`{drop}` in drop also matches everything that `{keep}` matches{left}");
                warn(source.line, key("keep"), &message);
            }
            if source.subscribe == Subscribe::Filter && !source.log_groups.iter().any(Glob::is_name)
            {
                warn(source.line, key("subscribe"), ONLY_GLOBS);
            }
        }
        if self.unmatched.file.uses_log_stream() {
            warn(None, "unmatched.file".to_owned(), PER_STREAM);
        }
        if self.seal.grace < GRACE_CAREFUL {
            let message = "is less than 20 minutes: Firehose may hold events back for 15, so each night would produce late files";
            warn(None, "seal.grace".to_owned(), message);
        }
        warnings
    }
}

/// The first pattern of `drop`, if together they seem to match every message. It tries messages
/// that are as different as possible.
fn drops_everything(source: &Source) -> Option<&str> {
    let long = "x1 ".repeat(1_000);
    let anything = ["x", "START RequestId: 0", "{\"level\":\"info\"}", "日本語", " ", "0", &long];
    let is_left_out = |message: &&str| source.drop.iter().any(|one| one.matches(message));
    source.drop.first().filter(|_| anything.iter().all(is_left_out)).map(Pattern::as_str)
}

/// The patterns of `keep` that keep nothing, each with the pattern of `drop` that covers it. See
/// [`Pattern::covers`] for what it misses.
fn dead_keeps(source: &Source) -> Vec<(&str, &str)> {
    let dead = source.keep.iter().filter_map(|keep| {
        let drop = source.drop.iter().find(|drop| drop.covers(keep))?;
        Some((keep.as_str(), drop.as_str()))
    });
    dead.collect()
}

const NO_GROUP: &str = "names no log group; write log_groups = [\"…\"], with names or globs";
const NO_STREAM: &str = "matches no log stream; write [\"*\"] for all, or leave the key out";
const NO_COLUMN: &str =
    "gives empty lines; write [\"{labels}\", \"{message}\"], or leave the key out";
const EXCLUDED: &str =
    "can never match: exclude covers all its log groups; remove them from exclude";
const EXCLUDED_BY_DEFAULT: &str =
    "can never match: exclude of [defaults] covers it; write exclude = [] into this source";
const FORGETS: &str = "0 would forget a day as soon as it is sealed, and a replay would duplicate it; write at least 1";
const PER_STREAM: &str = "{log_stream} creates a day file for each log stream: on EFS, many small files cost far more than a large one";
const ONLY_GLOBS: &str = "filter subscribes only named log groups, and these are all globs, so none is subscribed; name them, or write account or manual";
