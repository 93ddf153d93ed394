//! A source that holds the root, or the root that holds the source: hiwake would land its own
//! files, more each time.

use std::fs;
use std::os::unix::fs::symlink;

use crate::cli::Desk;
use crate::given;

const NOW: &str = "--now 2022-04-18T10:00:00Z";

/// A root with a line and with something in quarantine, and folders and links around it.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("all/in/good.gz", &given::gzipped(&given::envelope(&["one"])));
    desk.write("all/in/bad", b"\xff\xfe\x00");
    desk.write("all/log", b"one\ntwo\n");
    desk.fails(1, &format!("land @all/in --root @all/efs {NOW}"));
    fs::create_dir(desk.path("all/efs2")).unwrap();
    symlink(desk.path("all"), desk.path("all-by-a-link")).unwrap();
    symlink(desk.path("all/efs"), desk.path("root-by-a-link")).unwrap();
    desk
}

#[test]
fn a_source_that_holds_the_root_and_a_root_that_holds_the_source_are_refused() {
    let desk = desk();
    let before = given::tree(&desk.path("all"));
    for (command, place, root) in [
        ("land @all --root @all/efs", "all", "all/efs"),
        ("land @all/in @all --root @all/efs", "all", "all/efs"),
        ("land @all/efs --root @all/efs", "all/efs", "all/efs"),
        ("land @all/efs/messages --root @all/efs", "all/efs/messages", "all/efs"),
        ("land @all/efs/.hiwake --root @all/efs", "all/efs/.hiwake", "all/efs"),
        ("land @all --root @all/not/yet", "all", "all/not/yet"),
        ("land @all --root @all/in/../not-yet", "all", "all/in/../not-yet"),
        ("land @all/log --root @all", "all/log", "all"),
        ("land @all-by-a-link --root @all/efs", "all-by-a-link", "all/efs"),
        ("land @all --root @root-by-a-link", "all", "root-by-a-link"),
        ("replay @all --root @all/efs", "all", "all/efs"),
        ("replay @all --root @all/efs --dry-run", "all", "all/efs"),
        ("verify --root @all/efs --rebuild @all", "all", "all/efs"),
        ("run @all --log-group g --root @all/efs", "all", "all/efs"),
        ("run @all/log --log-group g --root @all", "all/log", "all"),
        (
            "run @all/log --log-group g --root @all/efs --bucket @all/efs/s3",
            "all/efs/s3",
            "all/efs",
        ),
        ("run @all/log --log-group g --root @all/efs --bucket @all", "all", "all/efs"),
        ("run @all/in --log-group g --root @all/efs --bucket @all/in/s3", "all/in", "all/in/s3"),
    ] {
        let said = desk.fails(2, command);
        for path in [place, root] {
            assert!(said.contains(desk.path(path).to_str().unwrap()), "{command}: {said}");
        }
        assert!(said.contains("its own files"), "{command}: {said}");
    }
    assert!(given::tree(&desk.path("all")) == before, "nothing was written");
}

#[test]
fn a_source_beside_the_root_lands_and_so_does_the_quarantine() {
    let desk = desk();
    desk.ok("land @all/log --root @all/efs2");
    // A name that only begins like another.
    desk.ok("land @all/efs2/plain --root @all/efs");
    let quarantine = desk.fails(1, "land @all/efs/.hiwake/quarantine --root @all/efs");
    assert!(quarantine.contains("quarantined: "), "{quarantine}");
    desk.ok("run @all/log --log-group g --at 2022-04-18T10:00:00 --root @all/efs --bucket @all/s3");
    // The bucket that goes with it is beside the root, however that is written.
    for (root, folder) in
        [("@next/", "next.s3"), ("@next/../other/", "other.s3"), ("@third", "third.s3")]
    {
        desk.ok(&format!("run @all/log --log-group g --at 2022-04-18T10:00:00 --root {root}"));
        assert!(desk.path(folder).join("backup").is_dir(), "{root}");
    }
}

/// Links from a source into a root were followed: 1, 4, 9, 19 new lines a run.
#[test]
fn a_link_into_a_root_or_a_root_below_is_no_source() {
    let desk = desk();
    for target in ["all/efs", "all/efs/messages"] {
        let link = desk.path("all/in/link");
        symlink(desk.path(target), &link).unwrap();
        let said = desk.fails(1, &format!("land @all/in --root @all/efs {NOW}"));
        assert!(said.contains("belongs to a hiwake root"), "{target}: {said}");
        fs::remove_file(link).unwrap();
    }
    let said = desk.fails(1, &format!("land @all --root @elsewhere {NOW}"));
    assert!(said.contains("all/efs/.hiwake: belongs to a hiwake root"), "{said}");
}
