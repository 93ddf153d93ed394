//! `hiwake verify` finds every change of every file that counts, and `--rebuild` rebuilds the day
//! or leaves it alone.

use std::collections::BTreeSet;

use hiwake::config::Form;

use super::*;

/// A sealed day with a late segment that is still open, and the folder of its objects.
fn sealed(order: &str) -> Yard {
    let yard = Yard::new();
    yard.configuration("config.toml", order);
    for (key, rows) in [("b", 10..20), ("a", 0..12)] {
        yard.put(key, rows);
        ok(yard.hiwake(&["land", "--now", IN_THE_DAY]).arg(yard.path("in").join(key)));
    }
    ok(yard.hiwake(&["seal", "--now", OVER]).arg("--config").arg(yard.path("config.toml")));
    yard.put("c", 18..25);
    ok(yard.hiwake(&["land", "--now", OVER]).arg(yard.path("in/c")));
    yard
}

const SOURCE: &str = "[[source]]\nlog_groups = [\"g\"]\n";

fn open() -> Yard {
    let yard = Yard::new();
    for (key, rows) in [("b", 10..20), ("a", 0..12)] {
        yard.put(key, rows);
        ok(yard.hiwake(&["land", "--now", IN_THE_DAY]).arg(yard.path("in").join(key)));
    }
    yard
}

fn verify(yard: &Yard) -> Command {
    yard.hiwake(&["verify", "--now", OVER])
}

fn rebuild(yard: &Yard) -> Command {
    let mut command = verify(yard);
    command.arg("--rebuild").arg(yard.path("in"));
    command
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    put(path, bytes);
}

fn all_lines(yard: &Yard) -> BTreeSet<String> {
    // A temporary is nobody's file.
    let hidden = |name: &str| name.ends_with(".sha256") || name.contains("/.");
    let files = yard.published().into_iter().filter(|(name, _)| !hidden(name));
    let lines: Vec<String> = files
        .flat_map(|(name, bytes)| {
            given::text_of(&name, &bytes).lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let set: BTreeSet<String> = lines.iter().cloned().collect();
    assert_eq!(set.len(), lines.len(), "a line is there twice");
    set
}

fn wanted(count: i64) -> BTreeSet<String> {
    (0..count).map(|n| format!("line {n}")).collect()
}

#[test]
fn a_whole_root_is_whole_and_nothing_is_written() {
    for yard in [open(), sealed(SOURCE)] {
        let before = yard.tree();
        let said = ok(&mut verify(&yard));
        assert!(said.contains("1 day file, ") && said.ends_with("0 wrong\n"), "{said}");
        let json: serde_json::Value =
            serde_json::from_str(&ok(verify(&yard).arg("--json"))).unwrap();
        assert_eq!(
            (&json["day_files"], json["findings"].as_array().unwrap().len()),
            (&1.into(), 0)
        );
        assert_eq!(yard.tree(), before);
    }
}

#[test]
fn every_flipped_byte_is_found_and_rebuilt_and_published_files_keep_their_bytes() {
    let (mut found, mut rebuilt) = (0, 0);
    for (yard, count) in [(open(), 20), (sealed(SOURCE), 25)] {
        let tree = yard.tree();
        let names: Vec<&String> = tree
            .keys()
            .filter(|name| !name.contains("/due/") && !name.ends_with(".mixed"))
            .collect();
        for name in names {
            let bytes = &tree[name];
            let last = bytes.len();
            // A place in each part of each file; of the journal, in every frame.
            let mut places = vec![0, last / 2, last - 1];
            if name == JOURNAL {
                places = vec![0, 9, 40];
                places.extend((8192..last).step_by(37));
            } else if name == SEEN {
                places = vec![16, 40, last - 1];
            }
            for at in places {
                let mut changed = bytes.clone();
                changed[at] ^= 0x20;
                fs::remove_dir_all(yard.root()).unwrap();
                for (name, bytes) in &tree {
                    fs::create_dir_all(yard.at(name).parent().unwrap()).unwrap();
                    put(&yard.at(name), bytes);
                }
                overwrite(&yard.at(name), &changed);
                let output = verify(&yard).output().unwrap();
                let said = String::from_utf8(output.stdout).unwrap();
                assert_eq!(output.status.code(), Some(1), "{name} at {at}: {said}");
                assert!(said.contains("WRONG"), "{name} at {at}: {said}");
                found += 1;
                let output = rebuild(&yard).output().unwrap();
                let said = (
                    String::from_utf8(output.stdout).unwrap(),
                    String::from_utf8(output.stderr).unwrap(),
                );
                assert!(output.status.success(), "{name} at {at}: {said:?}");
                let done = match name.strip_prefix(".hiwake/routings/") {
                    Some(_) => vec![format!("restored {name}")],
                    None => vec!["rebuilt messages".to_owned(), "repaired messages".to_owned()],
                };
                assert!(done.iter().any(|done| said.1.contains(done)), "{name} at {at}: {said:?}");
                assert_eq!(all_lines(&yard), wanted(count), "{name} at {at}");
                if let Some(published) = tree.get(SEALED) {
                    assert_eq!(&yard.tree()[SEALED], published, "{name} at {at}");
                }
                // Landing all again adds nothing.
                ok(&mut yard.land());
                assert_eq!(all_lines(&yard), wanted(count), "{name} at {at}: landed again");
                rebuilt += 1;
            }
        }
    }
    println!("verify: {found} changes found, {rebuilt} days rebuilt");
    assert!(found > 30);
}

#[test]
fn files_that_are_gone_are_found_and_made_anew() {
    for (yard, count) in [(open(), 20), (sealed(SOURCE), 25)] {
        for name in [*OPEN, *LATE, SEALED, SEEN, JOURNAL, "messages/2022-04-18.csv.sha256"] {
            if fs::remove_file(yard.at(name)).is_err() {
                continue;
            }
            let said = verify(&yard).output().unwrap();
            assert_eq!(said.status.code(), Some(1), "{name}");
            ok(&mut rebuild(&yard));
            assert_eq!(all_lines(&yard), wanted(count), "{name}");
        }
    }
}

#[test]
fn a_day_that_was_sealed_as_it_arrived_or_compressed_gets_the_same_bytes_again() {
    for setting in ["order = \"arrival\"", "compress = \"gzip\"", "compress = \"zstd\""] {
        let yard = sealed(&format!("{SOURCE}[seal]\n{setting}\n"));
        let published = yard
            .published()
            .into_keys()
            .find(|name| [".csv", ".gz", ".zst"].iter().any(|end| name.ends_with(end)));
        let name = published.unwrap();
        let bytes = yard.tree()[&name].clone();
        overwrite(&yard.at(&name), b"garbage\n");
        ok(&mut rebuild(&yard));
        assert_eq!(yard.tree()[&name], bytes, "{setting}");
    }
}

#[test]
fn what_the_objects_do_not_have_is_named_and_nothing_changes() {
    let yard = open();
    fs::remove_file(yard.path("in/a")).unwrap();
    let mut seen = fs::read(yard.at(SEEN)).unwrap();
    seen[20 * 16] ^= 1;
    overwrite(&yard.at(SEEN), &seen);
    let before = yard.published();
    let output = rebuild(&yard).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("10 of its lines") && said.contains("in/a"), "{said}");
    assert_eq!(yard.published(), before);
    assert_eq!(fs::read(yard.at(SEEN)).unwrap(), seen);
}

#[test]
fn a_damaged_sealed_file_that_cannot_be_made_again_is_refused() {
    let yard = sealed(SOURCE);
    fs::remove_file(yard.path("in/a")).unwrap();
    overwrite(&yard.at(SEALED), b"garbage\n");
    let mut seen = fs::read(yard.at(SEEN)).unwrap();
    seen[16] ^= 1;
    overwrite(&yard.at(SEEN), &seen);
    let before = yard.published();
    let output = rebuild(&yard).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(SEALED) && stderr(&output).contains("No line was changed"),
        "{}",
        stderr(&output)
    );
    assert_eq!(yard.published(), before);
}

#[test]
fn what_a_crash_leaves_is_noted_and_is_not_wrong() {
    let yard = open();
    let mut torn = given::stored("line to\n");
    torn.pop();
    for (name, torn) in [(*OPEN, &torn[..]), (SEEN, &[7; 21]), (JOURNAL, b"HWKF\x01")] {
        let mut bytes = fs::read(yard.at(name)).unwrap();
        bytes.extend_from_slice(torn);
        overwrite(&yard.at(name), &bytes);
    }
    put(&yard.at("messages/.2022-04-18.csv.0.tmp"), b"half");
    put(&yard.at("messages/README"), b"somebody's");
    let said = ok(&mut verify(&yard));
    for name in [*OPEN, SEEN, JOURNAL, "messages/.2022-04-18.csv.0.tmp", "messages/README"] {
        assert!(said.contains(&format!("note {name}: ")), "{name}: {said}");
    }
    fs::remove_file(yard.at(".hiwake/due/seal/2022-04-18/messages/2022-04-18.csv.1")).unwrap();
    let output = verify(&yard).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("never be sealed"));
}

#[test]
fn a_closed_day_is_checked_against_its_slot() {
    let yard = Yard::new();
    yard.put("a", 0..20);
    ok(&mut yard.land());
    ok(&mut yard.seal());
    ok(&mut yard.hiwake(&["seal", "--now", "2022-09-19T03:00:00+09:00"]));
    assert_eq!(fs::read(yard.at(SEEN)).unwrap(), b"");
    ok(&mut verify(&yard));
    let mut bytes = fs::read(yard.at(SEALED)).unwrap();
    bytes[3] ^= 1;
    overwrite(&yard.at(SEALED), &bytes);
    let output = rebuild(&yard).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("closed"), "{}", stderr(&output));
    assert_eq!(fs::read(yard.at(SEALED)).unwrap(), bytes);
}

/// Rows 0 to 11 of `a`, 12 to 19 of `b`, each a commit.
fn two_objects() -> Yard {
    let yard = Yard::new();
    for (key, rows) in [("a", 0..12), ("b", 12..20)] {
        yard.put(key, rows);
        ok(yard.hiwake(&["land", "--now", IN_THE_DAY]).arg(yard.path("in").join(key)));
    }
    yard
}

fn changed(yard: &Yard, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(yard.at(name)).unwrap();
    change(&mut bytes);
    overwrite(&yard.at(name), &bytes);
}

/// It says how many lines would be lost, and no line is.
fn refuses(yard: &Yard) {
    let before = yard.tree();
    let said = fails(&mut rebuild(yard));
    assert!(said.contains("of its lines match no event"), "{said}");
    assert!(!said.contains("another routing"), "{said}");
    let journal = |tree: &BTreeMap<String, Vec<u8>>| {
        let kept = |name: &String| name.starts_with(".hiwake/days") && !name.ends_with("journal");
        tree.iter()
            .filter(|(name, _)| kept(name) || name.starts_with("messages/"))
            .map(|(name, bytes)| (name.clone(), bytes.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(journal(&yard.tree()), journal(&before));
}

#[test]
fn without_a_journal_every_identity_of_seen_has_to_be_there() {
    let emptied = two_objects();
    changed(&emptied, JOURNAL, Vec::clear);
    changed(&emptied, *OPEN, Vec::clear);
    fs::remove_file(emptied.path("in/b")).unwrap();
    refuses(&emptied);
    let cut = two_objects();
    changed(&cut, JOURNAL, Vec::clear);
    changed(&cut, *OPEN, |bytes| match given::open_form() {
        Form::Plain => bytes.truncate("line 0\n".len() * 5),
        // Its first commit.
        Form::Compressed => {
            bytes.truncate(memchr::memmem::rfind(bytes, &bytes[..4]).unwrap());
        }
    });
    fs::remove_file(cut.path("in/b")).unwrap();
    refuses(&cut);
}

/// The sum of the lines was right, but they were not those that had been acknowledged.
#[test]
fn rows_that_never_landed_do_not_stand_in_for_lines_that_are_lost() {
    let yard = two_objects();
    changed(&yard, SEEN, |bytes| bytes[20] ^= 1);
    changed(&yard, *OPEN, |bytes| bytes[2] ^= 1);
    fs::remove_file(yard.path("in/a")).unwrap();
    yard.put("c", 100..112);
    refuses(&yard);
}

#[test]
fn a_journal_of_a_newer_release_is_not_rebuilt() {
    let yard = two_objects();
    changed(&yard, JOURNAL, |bytes| bytes[6] = b'3');
    let before = yard.tree();
    let said = fails(&mut rebuild(&yard));
    assert!(said.contains("newer release") && said.contains(JOURNAL), "{said}");
    assert_eq!(yard.tree(), before);
}

#[test]
fn of_two_objects_whose_names_end_alike_the_one_that_the_journal_names_is_read() {
    let yard = Yard::new();
    fs::create_dir(yard.path("in/landing")).unwrap();
    let named = yard.put("landing/a@b", 0..20);
    ok(yard.hiwake(&["land", "--now", IN_THE_DAY]).arg(&named));
    yard.put("a@b", 30..35);
    changed(&yard, SEEN, |bytes| bytes[20] ^= 1);
    ok(&mut rebuild(&yard));
    assert_eq!(all_lines(&yard), wanted(20));
}

/// A sparse journal of 60 GB: its size was taken for the memory to read it into, and the process
/// died without a word.
#[test]
fn a_journal_that_was_stretched_is_damage_and_not_the_end_of_the_process() {
    let yard = two_objects();
    let journal = fs::OpenOptions::new().write(true).open(yard.at(JOURNAL)).unwrap();
    journal.set_len(60 << 30).unwrap();
    let said = fails(&mut yard.land());
    assert!(said.contains(JOURNAL) && said.contains("the limit is 1073741824"), "{said}");
    // A process that dies gives no such line.
    let said = String::from_utf8(verify(&yard).output().unwrap().stdout).unwrap();
    assert!(said.contains("WRONG") && said.contains(JOURNAL), "{said}");
}

/// Lines of a day come to a merge in pieces, and to a rebuild at once.
#[test]
fn a_large_day_that_was_sealed_by_zstd_is_rebuilt_with_the_same_text() {
    const NAME: &str = "messages/2022-04-18.csv.zst";
    let yard = Yard::new();
    let toml = format!("{SOURCE}[seal]\ncompress = \"zstd\"\n");
    let config = yard.configuration("config.toml", &toml);
    for (key, rows) in [("b", 20_000..40_000), ("a", 0..25_000)] {
        yard.put(key, rows);
        ok(yard.hiwake(&["land", "--now", IN_THE_DAY]).arg(yard.path("in").join(key)));
    }
    ok(yard.seal().arg("--config").arg(&config));
    let before = yard.tree();
    assert_eq!(yard.text(NAME), lines(40_000));
    for at in [0, before[NAME].len() / 2, before[NAME].len() - 1] {
        changed(&yard, NAME, |bytes| bytes[at] ^= 1);
        let said = verify(&yard).output().unwrap();
        assert_eq!(said.status.code(), Some(1), "{at}: {said:?}");
        ok(&mut rebuild(&yard));
        ok(&mut verify(&yard));
        assert_eq!(yard.text(NAME), lines(40_000));
        assert_eq!(yard.tree()[NAME], before[NAME]);
    }
}

#[test]
fn a_compressed_open_day_is_verified_and_its_status_names_its_file() {
    const ZSTD: &str = "messages/2022-04-18.csv.zst.open";
    let yard = Yard::new();
    let config = yard.path("compressed.toml");
    put(&config, format!("{SOURCE}[files]\nopen = \"compressed\"\n").as_bytes());
    for (key, rows) in [("b", 1_000..2_000), ("a", 0..1_200)] {
        yard.put(key, rows);
        let mut land = yard.hiwake(&["land", "--now", IN_THE_DAY]);
        ok(land.arg("--config").arg(&config).arg(yard.path("in").join(key)));
    }
    let said = ok(&mut verify(&yard));
    assert!(said.contains("1 day file, 2 commits, 2000 lines") && said.ends_with("0 wrong\n"));
    let json = ok(yard.hiwake(&["status"]).arg("--json"));
    let days: serde_json::Value = serde_json::from_str(&json).unwrap();
    let bytes = yard.tree()[ZSTD].clone();
    assert!(bytes.len() * 2 < lines(2_000).len(), "{}", bytes.len());
    assert_eq!(days[0]["paths"], serde_json::json!([ZSTD]));
    assert_eq!((&days[0]["state"], &days[0]["lines"]), (&"open".into(), &2_000.into()));
    assert_eq!(days[0]["bytes"], bytes.len());
    let status = ok(&mut yard.hiwake(&["status"]));
    assert!(status.contains("2022-04-18") && status.contains(&bytes.len().to_string()), "{status}");
    // A frame that was torn is noted, a whole one is wrong, and so is a changed byte.
    let frame = given::frame("line 2000\n");
    changed(&yard, ZSTD, |bytes| bytes.extend(&frame[..frame.len() - 1]));
    let said = ok(&mut verify(&yard));
    assert!(said.contains(&format!("note {ZSTD}: {} uncommitted", frame.len() - 1)), "{said}");
    overwrite(&yard.at(ZSTD), &[&bytes[..], &frame].concat());
    let output = verify(&yard).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&format!("WRONG {ZSTD}: {} uncommitted", frame.len())), "{said}");
    overwrite(&yard.at(ZSTD), &bytes);
    changed(&yard, ZSTD, |bytes| bytes[100] ^= 1);
    let said = String::from_utf8(verify(&yard).output().unwrap().stdout).unwrap();
    assert!(said.contains(&format!("WRONG {ZSTD}: the commit of ")), "{said}");
}
