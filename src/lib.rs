//! hiwake carries CloudWatch Logs to labelled daily files, every event in exactly one line.
//!
//! ```text
//! a Firehose event ─▶ firehose ─▶ an answer: rows, one zstd frame a record         (pure)
//!                       │
//!                     object ─▶ envelope ─▶ label ─▶ line, day ─▶ row
//!                       │
//! notices ─▶ lambda::land ─▶ store ─▶ object ─▶ land::intake ─▶ land::day_file
//!                                   a schedule ─▶ land::upkeep ─▶ land::day_file
//! ```
//!
//! The modules in the order of the data; [`land`] has rooms of its own, and says which.
//! `ARCHITECTURE.md` is the map; what they promise is in `docs/protocol.md` and `docs/format.md`.

// hiwake.toml, and what time it is.
mod clean;
pub mod clock;
pub mod config;
pub mod error;
pub mod file_name;

// Bytes → rows: pure. `object` is the one reader.
pub mod day;
pub mod envelope;
pub mod event_id;
mod event_time;
mod foreign;
mod json;
pub mod label;
pub mod line;
pub mod object;
pub mod row;
pub mod rows;
pub mod zone;

// One Firehose event → its answer.
pub mod firehose;

// Objects → rows → day files.
pub mod disk;
pub mod land;
pub mod store;

// The Lambda functions: what they are told, what they count, and how they are called.
pub mod lambda;
pub mod notice;
pub mod selftest;

// AWS as the command line reaches it, and what is landed from there once more, or for the first
// time.
#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "aws")]
pub mod backfill;
pub mod replay;

// The pipeline on one machine.
#[cfg(feature = "cli")]
pub mod input;
pub mod local;
