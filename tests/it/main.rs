//! One integration binary.

mod input;
mod local;
mod made;
mod notice;
mod object;
mod store;
