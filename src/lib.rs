//! hiwake carries CloudWatch Logs to labelled daily files, every event in exactly one line.

pub mod clock;
pub mod config;
pub mod day;
pub mod disk;
pub mod envelope;
pub mod file_name;
pub mod firehose;
pub mod input;
pub mod label;
pub mod land;
pub mod line;
pub mod local;
pub mod object;
pub mod record;
pub mod row;
pub mod store;
