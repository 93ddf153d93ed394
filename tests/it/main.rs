//! One integration binary.

mod input;
mod local;
mod made;
mod notice;
mod object;
mod store;
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod day;
mod envelope;
mod given;
mod golden;
mod label;
mod transform;
