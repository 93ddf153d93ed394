//! One integration binary.
#![allow(clippy::unwrap_used, reason = "a test that cannot continue fails")]
#![allow(clippy::print_stdout, reason = "a test that tries many things says how many")]

mod apart;
mod cases;
mod choose;
mod cli;
mod config;
mod config_cli;
mod configuration;
mod day;
mod earlier;
mod envelope;
mod event_id;
mod every_day;
mod exit_codes;
mod file_name;
mod front_door;
mod fuzz;
mod given;
mod globs;
mod golden;
mod healing;
mod infra;
mod init;
mod input;
mod label;
mod land;
mod local;
mod metrics;
mod mishaps;
mod notice;
mod object;
mod object_properties;
mod pages;
mod pipes;
mod processes;
mod replay;
mod report;
mod run;
#[cfg(feature = "lambda")]
mod runtime;
mod sim;
mod smoke;
mod store;
mod transform;
mod ways;
mod width;
mod zone;
