//! The targets of docs/performance.md, except those of the peers, the instructions and the start,
//! which have their own benches.
//!
//! `cargo bench --no-default-features --bench targets -- [PART]…` runs the named `PARTS`, all by
//! default. `make bench` runs this and the other benches. CPU time is the process's; memory is
//! measured in a separate process.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a failed measurement must not print a figure"
)]

mod choose;
#[path = "../cpu.rs"]
mod cpu;
mod curve;
mod dedup;
#[path = "../given/mod.rs"]
mod given;
mod landing;
mod memory;
mod place;
mod seal;
#[path = "../target.rs"]
mod target;
mod transform;
mod trips;
mod whole;

const PARTS: [(&str, fn()); 8] = [
    ("transform", transform::measure),
    ("choose", choose::measure),
    ("land", landing::measure),
    ("dedup", dedup::measure),
    ("seal", seal::measure),
    ("whole", whole::measure),
    ("curve", curve::measure),
    ("trips", trips::measure),
];

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [child, name, rest @ ..] = &arguments[..]
        && child == "--child"
    {
        return match name.as_str() {
            "transform" => transform::child(&rest[0]),
            "dedup" => dedup::child(),
            "seal" => seal::child(&rest[0]),
            "commit" => trips::child(&rest[0], &rest[1]),
            other => panic!("no child {other}"),
        };
    }
    for (name, measure) in PARTS {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            measure();
        }
    }
}
