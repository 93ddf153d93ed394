//! hiwake carries CloudWatch Logs to labelled daily files, every event in exactly one line.

pub mod clock;
pub mod config;
pub mod envelope;
pub mod firehose;
pub mod land;
pub mod record;
pub mod row;
pub mod store;
