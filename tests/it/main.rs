//! One integration binary.

mod config;
mod day;
mod file_name;
mod given;
mod golden;
mod label;
mod land;
mod transform;
