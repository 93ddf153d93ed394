//! What land expects of a `Disk`: the same for a real folder and for the simulated server.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};

use hiwake::disk::{Disk, Open, RealDisk};

use super::disk::Server;

/// Runs a check on two machines of the simulated server, and on a real folder opened twice.
fn on_both(check: impl Fn(&dyn Disk, &dyn Disk)) {
    let server = Server::new(0);
    check(&server.client(), &server.client());
    let folder = tempfile::tempdir().unwrap();
    let real = || RealDisk::open(folder.path()).unwrap();
    check(&real(), &real());
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.map(drop).unwrap_err().kind()
}

#[test]
fn of_many_that_make_the_same_name_one_wins() {
    type Make = fn(&dyn Disk) -> bool;
    let verbs: [Make; 3] = [
        |disk| disk.open("new", Open::CreateNew(0o600)).is_ok(),
        |disk| disk.make_dir("folder", 0o700).is_ok(),
        |disk| disk.link("first", "second").is_ok(),
    ];
    on_both(|one, other| {
        one.open("first", Open::Create(0o600)).unwrap();
        for verb in verbs {
            let winners = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for disk in [one, other, one, other] {
                    scope.spawn(|| winners.fetch_add(usize::from(verb(disk)), Ordering::Relaxed));
                }
            });
            assert_eq!(winners.into_inner(), 1);
        }
        assert_eq!(kind(one.open("new", Open::CreateNew(0o600))), ErrorKind::AlreadyExists);
        assert_eq!(kind(one.make_dir("new", 0o700)), ErrorKind::AlreadyExists);
        assert_eq!(kind(one.link("first", "new")), ErrorKind::AlreadyExists);
    });
}

#[test]
fn a_lock_excludes_other_handles_until_its_handle_is_dropped() {
    on_both(|one, other| {
        let first = one.open("file", Open::Create(0o600)).unwrap();
        let second = other.open("file", Open::Write).unwrap();
        let third = one.open("file", Open::ReadWrite).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(first.try_lock().unwrap(), "it has it already");
        assert!(!second.try_lock().unwrap() && !third.try_lock().unwrap());
        drop(first);
        assert!(second.try_lock().unwrap());
        assert!(!third.try_lock().unwrap());
    });
}

#[test]
fn a_shared_lock_lets_others_share_it_and_keeps_the_exclusive_one_out() {
    on_both(|one, other| {
        let open = |disk: &dyn Disk| disk.open("file", Open::Create(0o600)).unwrap();
        let (first, second, third) = (open(one), open(other), open(one));
        assert!(first.try_lock_shared().unwrap() && second.try_lock_shared().unwrap());
        assert!(first.try_lock_shared().unwrap(), "it has it already");
        assert!(!third.try_lock().unwrap());
        drop(first);
        assert!(!third.try_lock().unwrap(), "one of two is left");
        drop(second);
        assert!(third.try_lock().unwrap());
        let fourth = open(other);
        assert!(!fourth.try_lock_shared().unwrap());
        drop(third);
        assert!(fourth.try_lock_shared().unwrap());
    });
}

#[test]
fn a_shared_lock_is_fenced_as_the_exclusive_one_is() {
    let server = Server::new(0);
    let disk = server.client();
    let file = disk.open("file", Open::Create(0o600)).unwrap();
    assert!(file.try_lock_shared().unwrap());
    file.write_at(b".", 0).and_then(|()| file.sync()).unwrap();
    server.lock().lose_lease(disk.id());
    let other = server.client().open("file", Open::ReadWrite).unwrap();
    assert!(other.try_lock().unwrap(), "it is free");
    assert!(file.write_at(b"x", 0).and_then(|()| file.sync()).is_err());
    let mut byte = [0];
    assert_eq!((other.read_at(&mut byte, 0).unwrap(), byte), (1, *b"."));
}

#[test]
fn a_handle_reads_and_writes_where_it_is_told() {
    on_both(|one, other| {
        let file = one.open("file", Open::CreateNew(0o600)).unwrap();
        file.write_at(b"lo", 3).unwrap();
        file.write_at(b"hel", 0).unwrap();
        let mut buffer = [b'?'; 4];
        assert_eq!(file.read_at(&mut buffer, 2).unwrap(), 3);
        assert_eq!(&buffer, b"llo?");
        assert_eq!(file.read_at(&mut buffer, 5).unwrap(), 0);
        assert_eq!(file.read_at(&mut buffer, 99).unwrap(), 0);
        file.write_at(b"!", 7).unwrap();
        file.truncate(9).unwrap();
        file.sync().unwrap();
        let mut buffer = [b'?'; 10];
        let read = other.open("file", Open::Read).unwrap();
        assert_eq!((read.length().unwrap(), read.read_at(&mut buffer, 0).unwrap()), (9, 9));
        assert_eq!(&buffer, b"hello\0\0!\0?");
        file.truncate(2).unwrap();
        assert_eq!(read.length().unwrap(), 2);
        assert!(read.write_at(b"x", 0).is_err());
        let write = one.open("file", Open::Write).unwrap();
        assert!(write.read_at(&mut buffer, 0).is_err());
        assert!(
            one.open("file", Open::Create(0o600)).unwrap().length().unwrap() == 2,
            "nothing is cut"
        );
    });
}

#[test]
fn names_are_made_moved_listed_and_removed() {
    on_both(|one, _| {
        one.make_dir("a", 0o700).unwrap();
        one.make_dir("a/b", 0o700).unwrap();
        let file = one.open("a/x", Open::CreateNew(0o600)).unwrap();
        file.write_at(b"x", 0).unwrap();
        one.open("a/y", Open::CreateNew(0o600)).unwrap();
        one.link("a/x", "a/z").unwrap();
        let inode = |name: &str| one.open(name, Open::Read).unwrap().inode().unwrap().number;
        assert_eq!(inode("a/x"), inode("a/z"));
        assert_ne!(inode("a/x"), inode("a/y"));
        one.rename("a/x", "a/y").unwrap();
        let names = || -> Vec<(String, bool)> {
            one.list("a").unwrap().into_iter().map(|entry| (entry.name, entry.is_dir)).collect()
        };
        let entry = |name: &str, is_dir| (name.to_owned(), is_dir);
        assert_eq!(names(), [entry("b", true), entry("y", false), entry("z", false)]);
        assert_eq!(
            one.open("a/y", Open::Read).unwrap().length().unwrap(),
            1,
            "the other one is replaced"
        );
        one.unlink("a/y").unwrap();
        one.unlink("a/z").unwrap();
        assert_eq!(names(), [entry("b", true)]);
        assert_eq!(file.length().unwrap(), 1, "an open file stays until it is closed");
        one.sync_dir("a").unwrap();
        one.sync_dir("").unwrap();
        one.refresh_dir("a/b").unwrap();
    });
}

#[test]
fn a_file_with_a_second_name_is_not_opened_for_writing() {
    on_both(|one, other| {
        drop(one.open("file", Open::CreateNew(0o600)).unwrap());
        one.link("file", "second").unwrap();
        for how in [Open::Write, Open::ReadWrite, Open::Create(0o600)] {
            assert_eq!(kind(other.open("file", how)), ErrorKind::TooManyLinks);
        }
        other.open("file", Open::Read).unwrap();
        one.unlink("second").unwrap();
        other.open("file", Open::Write).unwrap();
    });
}

#[test]
fn errors_say_what_is_missing_or_in_the_way() {
    on_both(|one, _| {
        for how in [Open::Read, Open::Write, Open::ReadWrite] {
            assert_eq!(kind(one.open("no", how)), ErrorKind::NotFound);
        }
        for how in [Open::Create(0o600), Open::CreateNew(0o600), Open::Read] {
            assert_eq!(kind(one.open("no/no", how)), ErrorKind::NotFound);
        }
        assert_eq!(kind(one.make_dir("no/no", 0o700)), ErrorKind::NotFound);
        assert_eq!(kind(one.unlink("no")), ErrorKind::NotFound);
        assert_eq!(kind(one.rename("no", "x")), ErrorKind::NotFound);
        assert_eq!(kind(one.link("no", "x")), ErrorKind::NotFound);
        assert_eq!(kind(one.list("no")), ErrorKind::NotFound);
        assert_eq!(kind(one.sync_dir("no")), ErrorKind::NotFound);
        assert_eq!(kind(one.refresh_dir("no")), ErrorKind::NotFound);
        one.open("file", Open::Create(0o600)).unwrap();
        assert_eq!(kind(one.open("file/x", Open::Create(0o600))), ErrorKind::NotADirectory);
        assert_eq!(kind(one.list("file")), ErrorKind::NotADirectory);
        one.make_dir("folder", 0o700).unwrap();
        assert!(one.open("folder", Open::Create(0o600)).is_err());
        assert!(one.open("folder", Open::Read).is_err());
        assert!(one.unlink("folder").is_err());
    });
}

#[test]
fn an_exclusive_lock_needs_a_handle_for_writing_on_the_network() {
    let server = Server::new(0);
    let disk = server.client();
    disk.open("file", Open::Create(0o600)).unwrap();
    assert!(disk.open("file", Open::Read).unwrap().try_lock().is_err());
}
