//! Columns: the placeholders of a line.

use serde::{Deserialize, Serialize};

use crate::config::problem::nearest;

/// One placeholder of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Column {
    /// `{labels}`: all labels, each a field of its own.
    Labels,
    /// `{message}`; in a day file of kind json, a JSON object stays an object.
    Message,
    /// `{time}`: local time in `format.time`.
    Time,
    /// `{timestamp}`: milliseconds since the epoch.
    Timestamp,
    /// `{id}`
    Id,
    /// `{log_group}`
    LogGroup,
    /// `{log_stream}`
    LogStream,
    /// `{owner}`
    Owner,
    /// `{account}`: where the event was logged, if it says so (`@aws.account`), else the owner.
    Account,
    /// `{region}`: where the event was logged, if it says so (`@aws.region`), else `AWS_REGION`.
    Region,
    /// `{filter}`: the subscription filters' names, joined by a comma.
    Filter,
    /// `{json.a.b}`: this field of a JSON message; empty if missing, or if the message is not JSON.
    Json(Vec<String>),
    /// `{team}`: the value of the capture of this name.
    Capture(String),
}

/// The columns that every source has.
const COLUMNS: [(&str, Column); 11] = [
    ("{labels}", Column::Labels),
    ("{message}", Column::Message),
    ("{time}", Column::Time),
    ("{timestamp}", Column::Timestamp),
    ("{id}", Column::Id),
    ("{log_group}", Column::LogGroup),
    ("{log_stream}", Column::LogStream),
    ("{owner}", Column::Owner),
    ("{account}", Column::Account),
    ("{region}", Column::Region),
    ("{filter}", Column::Filter),
];

impl Column {
    /// The columns' names as they are written.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        COLUMNS.iter().map(|(name, _)| *name)
    }

    /// Whether a name is reserved: no capture may have it.
    pub(crate) fn is_reserved(name: &str) -> bool {
        let inner = |(column, _): &(&str, Column)| column[1..column.len() - 1] == *name;
        name == "json" || COLUMNS.iter().any(inner)
    }
}

/// A text that is not a column.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a column; {remedy}")]
pub struct ColumnError {
    text: String,
    remedy: String,
}

impl TryFrom<String> for Column {
    type Error = ColumnError;

    fn try_from(text: String) -> Result<Column, ColumnError> {
        if let Some((_, column)) = COLUMNS.iter().find(|(name, _)| *name == text) {
            return Ok(column.clone());
        }
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let column = inner.and_then(|inner| match inner.strip_prefix("json.") {
            Some(path) => {
                let keys: Vec<String> = path.split('.').map(str::to_owned).collect();
                let is_path = !path.contains(['{', '}']) && keys.iter().all(|key| !key.is_empty());
                is_path.then_some(Column::Json(keys))
            }
            None => {
                let is_name = !inner.is_empty() && !inner.contains(['{', '}', '.']);
                is_name.then(|| Column::Capture(inner.to_owned()))
            }
        });
        column.ok_or_else(|| {
            let held = Column::names().find(|column| text.contains(column));
            let remedy = match held.or_else(|| nearest(&text, Column::names())) {
                Some(meant) => format!("did you mean {meant}?"),
                None => {
                    let all: Vec<_> = Column::names().collect();
                    let all = all.join(", ");
                    format!("write one of {all}, {{json.KEY}}, or a capture of log_groups")
                }
            };
            ColumnError { text, remedy }
        })
    }
}

impl From<Column> for String {
    fn from(column: Column) -> String {
        match &column {
            Column::Json(keys) => format!("{{json.{}}}", keys.join(".")),
            Column::Capture(name) => format!("{{{name}}}"),
            column => {
                let found = COLUMNS.iter().find(|(_, one)| one == column);
                found.map_or_else(String::new, |(name, _)| (*name).to_owned())
            }
        }
    }
}

#[cfg(feature = "cli")]
impl schemars::JsonSchema for Column {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Column".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "One placeholder of a line: one of these, `{json.KEY.KEY}` of a JSON message, or a capture of `log_groups` or `log_streams`.",
            "type": "string",
            "anyOf": [
                { "enum": Column::names().collect::<Vec<_>>() },
                { "pattern": "^\\{json(\\.[^.{}]+)+\\}$" },
                { "pattern": "^\\{[a-z][a-z0-9_]*\\}$" },
            ],
        })
    }
}
