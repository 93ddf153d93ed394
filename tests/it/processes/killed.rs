//! Many processes over the same objects and the same root, some of them killed.

use std::process::Child;
use std::time::{Duration, Instant};

use super::*;

const ROWS: i64 = 3000;
/// A process that is still at work then hangs.
const PATIENCE: Duration = Duration::from_secs(25);

/// Ten overlapping objects that hold each row twice or more.
fn objects(yard: &Yard) {
    for n in 0..10 {
        let start = n * ROWS / 10;
        yard.put(&format!("object-{n}"), (start..start + ROWS / 5).map(|row| row % ROWS));
    }
}

/// Starts `count` processes a few milliseconds apart, kills each with one chance in two after a
/// random part of `life`, and waits for all. Answers how many were killed while they were at work.
fn storm(
    random: &mut Seeded,
    count: u64,
    life: Duration,
    mut command: impl FnMut(u64) -> Command,
) -> usize {
    let started = Instant::now();
    let mut children: Vec<(Child, Option<Instant>)> = Vec::new();
    for n in 0..count {
        let child = command(n).spawn().unwrap();
        let dies = random.below(2) == 0;
        let death = Instant::now() + life.mul_f64(random.below(1000) as f64 / 1000.0);
        children.push((child, dies.then_some(death)));
        reap(&mut children);
        std::thread::sleep(Duration::from_millis(random.below(8)));
    }
    while children.iter().any(|(_, death)| death.is_some()) {
        reap(&mut children);
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut killed = 0;
    for (mut child, _) in children {
        while child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < PATIENCE, "a process hangs");
            std::thread::sleep(Duration::from_millis(2));
        }
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            // SIGKILL.
            None => killed += 1,
            Some(code) => assert_eq!(code, 0, "{}", stderr(&output)),
        }
    }
    killed
}

fn reap(children: &mut [(Child, Option<Instant>)]) {
    for (child, death) in children {
        if death.is_some_and(|death| death <= Instant::now()) {
            child.kill().unwrap();
            *death = None;
        }
    }
}

fn sorted_lines(files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let texts = files.iter().filter(|(name, _)| !name.ends_with(".sha256"));
    let texts = texts.map(|(name, bytes)| given::text_of(name, bytes));
    let texts: Vec<String> = texts.collect();
    let mut lines: Vec<String> =
        texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
    lines.sort_by_key(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap());
    lines
}

/// How long a process works whom nobody disturbs: machines differ, and a kill has to come while it
/// is at work.
fn took(command: &mut Command) -> Duration {
    let started = Instant::now();
    ok(command);
    started.elapsed()
}

#[test]
fn i2_landers_and_sealers_that_are_killed_leave_each_event_in_one_line() {
    const ENOUGH: (usize, usize) = (6, 3);
    const ROUNDS: u64 = 40;
    let mut killed = (0, 0);
    for seed in 1..=ROUNDS {
        let calm = Yard::new();
        objects(&calm);
        let life = (took(&mut calm.land()), took(&mut calm.seal()));
        let yard = Yard::new();
        objects(&yard);
        let mut random = Seeded(seed * 0x9e37_79b9);
        killed.0 += storm(&mut random, 24, 2 * life.0, |_| {
            let mut command = yard.land();
            // Small pieces: many commits to be killed in.
            command.arg("--config").arg(small_pieces(&yard));
            command
        });
        ok(&mut yard.land());
        let open = yard.published();
        assert_eq!(open.keys().collect::<Vec<_>>(), [*OPEN]);
        assert_eq!(sorted_lines(&open).concat(), lines(ROWS).replace('\n', ""));
        killed.1 += storm(&mut random, 20, life.1, |_| yard.seal());
        ok(&mut yard.seal());
        let sealed = yard.published();
        assert_eq!(sealed.keys().collect::<Vec<_>>(), [SEALED, &format!("{SEALED}.sha256")]);
        assert_eq!(yard.text(SEALED), lines(ROWS));
        ok(&mut yard.land());
        assert_eq!(yard.published(), sealed, "a published file changed");
        if seed >= 3 && killed.0 >= ENOUGH.0 && killed.1 >= ENOUGH.1 {
            println!("killed: {} landers, {} sealers in {seed} rounds", killed.0, killed.1);
            return;
        }
    }
    panic!("too few were killed at work in {ROUNDS} rounds: {killed:?}");
}

#[test]
fn i4_landing_and_sealing_at_once_with_kills_never_changes_a_published_file() {
    let yard = Yard::new();
    objects(&yard);
    let first = yard.path("in/object-0");
    let life = 2 * took(yard.hiwake(&["land", "--now", OVER]).arg(first));
    ok(&mut yard.hiwake(&["seal", "--now", "2022-04-25T00:00:00+09:00"]));
    let mut random = Seeded(0xdead_beef);
    let mut published: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let killed = storm(&mut random, 40, life, |n| {
        let now = yard.published();
        for (name, bytes) in &published {
            assert_eq!(now.get(name), Some(bytes), "{name} changed");
        }
        published = now.into_iter().filter(|(name, _)| !is_working(name)).collect();
        if n % 3 == 2 {
            return yard.hiwake(&["seal", "--now", "2022-04-25T00:00:00+09:00"]);
        }
        // Not all of the objects, so that late rows are left.
        let mut command = yard.hiwake(&["land", "--now", OVER]);
        command.arg(yard.path(&format!("in/object-{}", n % 10)));
        command
    });
    ok(&mut yard.land());
    ok(&mut yard.hiwake(&["seal", "--now", "2022-04-25T00:00:00+09:00"]));
    let now = yard.published();
    for (name, bytes) in &published {
        assert_eq!(now.get(name), Some(bytes), "{name} changed");
    }
    assert!(now.keys().all(|name| !is_working(name)), "{:?}", now.keys());
    assert!(now.len() >= 4, "nothing was late: {:?}", now.keys());
    assert_eq!(sorted_lines(&now).concat(), lines(ROWS).replace('\n', ""));
    println!("killed: {killed} of 40; {} files were published", now.len() / 2);
}

/// Whether a name is not published yet: an open segment or a temporary.
fn is_working(name: &str) -> bool {
    name.ends_with(".open") || name.ends_with(".tmp")
}

fn small_pieces(yard: &Yard) -> PathBuf {
    match yard.path("small.toml") {
        path if path.exists() => path,
        _ => yard.configuration(
            "small.toml",
            "[[source]]\nlog_groups = [\"g\"]\n[limits]\ncommit_bytes = 2048\n",
        ),
    }
}
