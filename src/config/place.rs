//! Positions in the text of a configuration: key paths and their lines.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// One step down into the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    /// Counted from 0, shown from 1.
    Index(usize),
}

/// A path of keys, e.g. `source[2].log_groups[1]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct KeyPath(pub(super) Vec<Step>);

impl KeyPath {
    /// Parses a path without indices, as it is shown.
    pub(super) fn at(path: &str) -> KeyPath {
        path.split('.').fold(KeyPath::default(), KeyPath::key)
    }

    pub(super) fn key(mut self, key: &str) -> KeyPath {
        self.0.push(Step::Key(key.to_owned()));
        self
    }

    pub(super) fn index(mut self, index: usize) -> KeyPath {
        self.0.push(Step::Index(index));
        self
    }

    /// The last key in the path, as it is written.
    pub(super) fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{}]", index + 1)?,
            }
        }
        Ok(())
    }
}

/// A document with the span of every key and value in its text.
pub(super) struct Located<'t> {
    text: &'t str,
    pub(super) root: Spanned<DeValue<'t>>,
}

impl<'t> Located<'t> {
    pub(super) fn new(text: &'t str, table: Spanned<DeTable<'t>>) -> Located<'t> {
        let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        Located { text, root }
    }

    /// The line of a byte offset, from 1.
    pub(super) fn line_of_offset(&self, offset: usize) -> usize {
        line_of_offset(self.text.as_bytes(), offset)
    }

    /// The line of a key or array element; if it does not exist, the line of what encloses it.
    pub(super) fn line(&self, path: &KeyPath) -> Option<usize> {
        let mut value = &self.root;
        let mut start = None;
        for step in &path.0 {
            let next = match (step, value.get_ref()) {
                (Step::Key(key), DeValue::Table(table)) => {
                    table.get_key_value(key.as_str()).map(|(key, value)| (key.span().start, value))
                }
                (Step::Index(index), DeValue::Array(array)) => {
                    array.get(*index).map(|value| (value.span().start, value))
                }
                _ => None,
            };
            let Some((at, inner)) = next else { break };
            start = Some(at);
            value = inner;
        }
        start.map(|start| self.line_of_offset(start))
    }

    /// The innermost key or element whose span contains `span`.
    pub(super) fn find(&self, span: &Range<usize>) -> Option<KeyPath> {
        let mut all = Vec::new();
        spans(&KeyPath::default(), self.root.get_ref(), &mut all);
        // Of two equal spans the inner one wins: it comes later.
        let holds = |at: &Range<usize>| at.start <= span.start && span.end <= at.end;
        let found = all.into_iter().rev().filter(|(at, _)| holds(at) && !at.is_empty());
        found.min_by_key(|(at, _)| at.len()).map(|(_, path)| path)
    }

    /// The value at a path.
    pub(super) fn get(&self, path: &KeyPath) -> Option<&Spanned<DeValue<'t>>> {
        path.0.iter().try_fold(&self.root, |value, step| match (step, value.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => table.get(key.as_str()),
            (Step::Index(index), DeValue::Array(array)) => array.get(*index),
            _ => None,
        })
    }

    /// Adds the keys of a table to each table of a list that lacks them.
    pub(super) fn inherit(&mut self, from: &str, list: &str) {
        let DeValue::Table(root) = self.root.get_mut() else { return };
        let Some(DeValue::Table(given)) = root.get(from).map(Spanned::get_ref) else {
            return;
        };
        let given = given.clone();
        let Some(DeValue::Array(list)) = root.get_mut(list).map(Spanned::get_mut) else { return };
        for table in list.iter_mut() {
            let DeValue::Table(table) = table.get_mut() else { continue };
            merge(table, &given);
        }
    }

    /// The path where a value is written: in `[defaults]`, if a source inherits it.
    pub(super) fn origin(&self, path: &KeyPath) -> KeyPath {
        let [Step::Key(source), Step::Index(_), below @ ..] = path.0.as_slice() else {
            return path.clone();
        };
        let written = KeyPath([&[Step::Key("defaults".to_owned())], below].concat());
        let span = |path: &KeyPath| self.get(path).map(Spanned::span);
        let is_inherited = source == "source" && !below.is_empty() && span(path).is_some();
        if is_inherited && span(path) == span(&written) { written } else { path.clone() }
    }

    /// Removes a key or an element; later elements move up by one.
    pub(super) fn remove(&mut self, path: &KeyPath) {
        let Some((last, steps)) = path.0.split_last() else { return };
        let mut value = self.root.get_mut();
        for step in steps {
            let inner = match (step, value) {
                (Step::Key(key), DeValue::Table(table)) => table.get_mut(key.as_str()),
                (Step::Index(index), DeValue::Array(array)) => array.get_mut(*index),
                _ => None,
            };
            let Some(inner) = inner else { return };
            value = inner.get_mut();
        }
        match (last, value) {
            (Step::Key(key), DeValue::Table(table)) => {
                table.remove(key.as_str());
            }
            (Step::Index(index), DeValue::Array(array)) => {
                let all = std::mem::replace(array, DeArray::new()).into_iter().enumerate();
                *array = all.filter(|(at, _)| at != index).map(|(_, value)| value).collect();
            }
            _ => {}
        }
    }
}

/// Adds missing keys to a table, also to nested tables.
fn merge<'t>(table: &mut DeTable<'t>, given: &DeTable<'t>) {
    for (key, value) in given {
        match (table.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut), value.get_ref()) {
            (None, _) => drop(table.insert(key.clone(), value.clone())),
            (Some(DeValue::Table(table)), DeValue::Table(given)) => merge(table, given),
            (Some(_), _) => {}
        }
    }
}

/// The line of a byte offset, from 1; offsets beyond the end count as the last line.
pub(super) fn line_of_offset(text: &[u8], offset: usize) -> usize {
    let before = &text[..offset.min(text.len())];
    1 + memchr::memchr_iter(b'\n', before).count()
}

/// The spans of all keys, values and elements below a path, outer ones first.
fn spans(path: &KeyPath, value: &DeValue<'_>, all: &mut Vec<(Range<usize>, KeyPath)>) {
    match value {
        DeValue::Table(table) => {
            for (key, inner) in table {
                let path = path.clone().key(key.get_ref());
                all.extend([key.span(), inner.span()].map(|span| (span, path.clone())));
                spans(&path, inner.get_ref(), all);
            }
        }
        DeValue::Array(array) => {
            for (index, inner) in array.iter().enumerate() {
                let path = path.clone().index(index);
                all.push((inner.span(), path.clone()));
                spans(&path, inner.get_ref(), all);
            }
        }
        _ => {}
    }
}
