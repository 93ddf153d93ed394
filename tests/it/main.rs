//! One integration binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod day;
mod envelope;
mod given;
mod golden;
mod input;
mod label;
mod local;
mod made;
mod notice;
mod object;
mod object_properties;
mod store;
mod transform;
