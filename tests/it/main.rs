//! One integration binary.

mod day;
mod given;
mod golden;
mod label;
mod land;
mod transform;
