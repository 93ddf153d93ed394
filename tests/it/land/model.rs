//! Random histories on a real folder against a deliberately dumb model: a map from event to line.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Land(Vec<(u8, u8)>),
    Seal,
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec((any::<u8>(), 0..20_u8), 1..40).prop_map(Step::Land),
        2 => Just(Step::Seal),
        2 => (0..30_u8).prop_map(Step::Wait),
    ]
}

/// All lines below the folder `messages`, sorted; and the published files.
fn lines(site: &Site) -> (Vec<String>, BTreeMap<String, Vec<u8>>) {
    let mut lines = Vec::new();
    let mut published = BTreeMap::new();
    for (name, bytes) in site.tree() {
        if name.starts_with(".hiwake/") || name.ends_with(".sha256") {
            continue;
        }
        lines.extend(given::text_of(&name, &bytes).lines().map(str::to_owned));
        if !name.ends_with(".open") {
            published.insert(name, bytes);
        }
    }
    lines.sort();
    (lines, published)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn every_event_is_in_exactly_one_line_and_published_files_never_change(
        steps in proptest::collection::vec(step(), 1..25),
        commit_bytes in prop_oneof![Just(4096_u32), Just(1 << 20)],
    ) {
        let mut site = Site::new(&format!("[limits]\ncommit_bytes = {commit_bytes}"));
        let mut model: BTreeMap<(i64, String), String> = BTreeMap::new();
        let mut published: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Land(ids) => {
                    let events: Vec<Event> = ids
                        .iter()
                        .map(|(id, hour)| event(&format!("{id}-{hour}"), i64::from(*hour) * HOUR))
                        .collect();
                    let before = model.len();
                    for (id, at, line) in &events {
                        model.insert((*at, id.clone()), line.clone());
                    }
                    let committed = site.commit(&events);
                    let new = (model.len() - before) as u64;
                    prop_assert_eq!(committed.lines, new);
                    prop_assert_eq!(committed.duplicates, events.len() as u64 - new);
                }
                Step::Seal => drop(site.seal()),
                Step::Wait(hours) => site.now += i64::from(hours) * HOUR,
            }
            let (got, now_published) = lines(&site);
            let mut wanted: Vec<String> = model.values().cloned().collect();
            wanted.sort();
            prop_assert_eq!(got, wanted);
            for (name, bytes) in &published {
                prop_assert_eq!(now_published.get(name), Some(bytes), "{} changed", name);
            }
            for bytes in now_published.values() {
                let text = String::from_utf8(bytes.clone()).unwrap();
                let hour = |line: &str| line.rsplit('-').next().unwrap().parse::<u8>().unwrap();
                prop_assert!(text.lines().is_sorted_by_key(hour), "a sealed file is in time order");
            }
            published = now_published;
        }
    }
}
