//! One integration binary.

mod config;
mod file_name;
