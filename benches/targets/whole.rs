//! The CPU time of a gigabyte of log text from Firehose's event to the sealed file. Transform, land
//! and seal run the code of their functions, without starts and without waiting for a network.
//!
//! Text means the messages of all sent events, including those that are sent twice; labels, ids and
//! JSON do not count.

use std::path::Path;

use hiwake::config::Config;
use hiwake::firehose;
use hiwake::object::Reader;

use crate::cpu::taken;
use crate::given::{self, DAY_STARTS, Load, Shape};
use crate::target::{Target, line};
use crate::{landing, place};

const ROUNDS: usize = 5;
const EVENTS: usize = 32;
/// Each object has a part of every minute, so that sealing has to merge.
const OBJECTS: usize = 4;

pub fn measure() {
    let config = Config::parse("bench.toml", given::CONFIG).unwrap();
    let mut load = Load::new(3).starting_at(DAY_STARTS + 3_600_000);
    let events: Vec<Vec<u8>> = (0..EVENTS).map(|_| load.event(1 << 20, Shape::Mixed)).collect();
    let text: usize = events.iter().map(|event| message_bytes(event)).sum();
    let folder = place::folder();
    let root = folder.path().join("root");
    let mut reader = Reader::new(&config);
    let [mut transform, mut land, mut seal] = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        let mut answers = Vec::new();
        transform = transform.min(taken(|| {
            let answer = |event: &Vec<u8>| firehose::transform(&mut reader, event).unwrap().0;
            answers = events.iter().map(answer).collect();
        }));
        let objects = objects(folder.path(), &answers);
        land = land.min(taken(|| {
            objects.iter().for_each(|object| drop(landing::land(&root, object)));
        }));
        place::with_lander(&root, place::SEALED, |lander| {
            let mut swept = None;
            seal = seal.min(taken(|| swept = lander.seal().ok()));
            assert_eq!(swept.unwrap().sealed.len(), given::GROUPS.len());
        });
        std::fs::remove_dir_all(&root).unwrap();
    }
    let a_gb = |ms: f64| ms / 1e3 / (text as f64 / 1e9);
    println!(
        "{:.0} MB of messages: {transform:.0} ms of CPU to transform, {land:.0} to land, {seal:.0} to seal",
        text as f64 / 1e6
    );
    for (name, ms) in [("transform", transform), ("land", land), ("seal", seal)] {
        line(&format!("CPU a GB of text, {name}"), a_gb(ms), " s", Target::None);
    }
    line(
        "CPU a GB of text, transform + land + seal",
        a_gb(transform + land + seal),
        " s",
        Target::AtMost(7.0),
    );
}

/// Creates a folder with one object for each landing.
fn objects(folder: &Path, answers: &[Vec<u8>]) -> Vec<std::path::PathBuf> {
    let rows: Vec<Vec<u8>> = answers.iter().flat_map(|answer| given::data(answer)).collect();
    let object = |part: usize| {
        let to = folder.join(format!("objects-{part}"));
        std::fs::create_dir_all(&to).unwrap();
        let of_it: Vec<&[u8]> =
            rows.iter().skip(part).step_by(OBJECTS).map(Vec::as_slice).collect();
        std::fs::write(to.join("rows"), of_it.concat()).unwrap();
        to
    };
    (0..OBJECTS).map(object).collect()
}

fn message_bytes(event: &[u8]) -> usize {
    let of_record = |data: &Vec<u8>| {
        let envelope: serde_json::Value = serde_json::from_slice(&given::inflate(data)).unwrap();
        let events = envelope["logEvents"].as_array().unwrap().iter();
        events.map(|event| event["message"].as_str().unwrap().len()).sum::<usize>()
    };
    given::data(event).iter().map(of_record).sum()
}
