//! What the case table does not show of a hostfs mount: bounds, coherence, names and numbers, locks between guest
//! processes, shared files. The table itself runs on a mount in `conformance.rs`.

use hostcall::ops::Calls;
use hostcall::types::{DirFd, Mode, OpenFlags};
use hostcall_tests::daemon::{eventually, leave, Daemon};
use hostcall_tests::mount::{errno, mounted, Mount};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::mman::{mmap, msync, munmap, MapFlags, MsFlags, ProtFlags};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::{symlink, DirEntryExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn what_one_side_writes_the_other_reads() {
    let (daemon, _mount, guest) = mounted("cache=none");
    fs::write(guest.join("f"), "from the guest").unwrap();
    assert_eq!(fs::read(daemon.export("f")).unwrap(), b"from the guest");
    fs::write(daemon.export("f"), "from the host").unwrap();
    assert_eq!(fs::read(guest.join("f")).unwrap(), b"from the host");
    fs::remove_file(daemon.export("f")).unwrap();
    assert_eq!(errno(fs::metadata(guest.join("f"))), Some(libc::ENOENT));
}

#[test]
fn closing_and_opening_shows_the_hosts_changes() {
    let (daemon, _mount, guest) = mounted("cache=auto");
    fs::write(daemon.export("f"), "one").unwrap();
    for round in 0..50 {
        let text = format!("round {round}");
        fs::write(daemon.export("f"), &text).unwrap();
        let mut seen = String::new();
        let mut file = File::open(guest.join("f")).unwrap();
        file.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, text);
    }
}

#[test]
fn attributes_are_right_after_a_second() {
    let (daemon, _mount, guest) = mounted("cache=auto");
    fs::write(daemon.export("f"), "x").unwrap();
    assert_eq!(fs::metadata(guest.join("f")).unwrap().len(), 1);
    fs::write(daemon.export("f"), "longer").unwrap();
    std::thread::sleep(Duration::from_millis(1050));
    assert_eq!(fs::metadata(guest.join("f")).unwrap().len(), 6);
    fs::remove_file(daemon.export("f")).unwrap();
    std::thread::sleep(Duration::from_millis(1050));
    assert!(!guest.join("f").exists());
}

#[test]
fn an_unlinked_file_lives_while_it_is_open() {
    for cache in ["cache=none", "cache=auto", "cache=always"] {
        let (daemon, _mount, guest) = mounted(&format!("{cache},handles=16"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(guest.join("f"))
            .unwrap();
        file.write_all(b"still").unwrap();
        fs::remove_file(guest.join("f")).unwrap();
        assert!(!daemon.export("f").exists());
        // Others come and take its place in the table of descriptors.
        for n in 0..100 {
            fs::write(guest.join(format!("g{n}")), "x").unwrap();
        }
        file.write_all(b" here").unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "still here");
        let data = file.metadata().unwrap();
        assert_eq!((data.nlink(), data.len()), (0, 10));
        file.set_len(3).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 3);
    }
}

#[test]
fn hard_links_share_an_inode_and_survive_each_other() {
    let (_daemon, _mount, guest) = mounted("cache=none,handles=16");
    fs::write(guest.join("a"), "data").unwrap();
    fs::hard_link(guest.join("a"), guest.join("b")).unwrap();
    let (a, b) = (
        fs::metadata(guest.join("a")).unwrap(),
        fs::metadata(guest.join("b")).unwrap(),
    );
    assert_eq!((a.ino(), a.nlink()), (b.ino(), 2));
    fs::remove_file(guest.join("a")).unwrap();
    for n in 0..100 {
        fs::write(guest.join(format!("g{n}")), "x").unwrap();
    }
    assert_eq!(fs::read(guest.join("b")).unwrap(), b"data");
    assert_eq!(fs::metadata(guest.join("b")).unwrap().nlink(), 1);
}

#[test]
fn cve_2020_10717_a_large_tree_needs_few_descriptors_of_the_host() {
    let daemon = Daemon::with_limits(json!({"open_files": 64}));
    for n in 0..5000 {
        let dir = daemon.export(&format!("d{}", n / 100));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("f{n}")), n.to_string()).unwrap();
    }
    let mount = Mount::of(&daemon, "cache=always,handles=16");
    mount.enter();
    let guest = mount.path(daemon.export(""));
    let mut files = Vec::new();
    for dir in fs::read_dir(&guest).unwrap() {
        for file in fs::read_dir(dir.unwrap().path()).unwrap() {
            let file = file.unwrap();
            assert!(file.metadata().unwrap().is_file());
            files.push(file.path());
        }
    }
    assert_eq!(files.len(), 5000);
    // From the first on, whose descriptors are long given back.
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), name[1..]);
    }
    let status = fs::read_to_string(mount.mountpoint.join(".hostcall/status")).unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let number = line.split(':').nth(1).unwrap().split_whitespace().next();
        number.unwrap().parse::<usize>().unwrap()
    };
    assert!(line("path descriptors") <= 17, "{status}");
    assert!(line("inodes known") >= 5000, "{status}");
    for dir in fs::read_dir(&guest).unwrap() {
        fs::remove_dir_all(dir.unwrap().path()).unwrap();
    }
    assert_eq!(fs::read_dir(daemon.export("")).unwrap().count(), 0);
    // What is gone is forgotten.
    eventually("the inodes are forgotten", || {
        let status = fs::read_to_string(mount.mountpoint.join(".hostcall/status")).unwrap();
        let known = status.split("inodes known: ").nth(1).unwrap();
        known.lines().next().unwrap().parse::<usize>().unwrap() < 50
    });
}

#[test]
fn a_directory_is_read_to_its_end_while_names_go() {
    let (daemon, _mount, guest) = mounted("cache=none");
    let names: BTreeSet<String> = (0..3000).map(|n| format!("file-{n:05}")).collect();
    for name in &names {
        fs::write(daemon.export(name), "").unwrap();
    }
    let mut seen = BTreeSet::new();
    let mut removed = BTreeSet::new();
    for (count, entry) in fs::read_dir(&guest).unwrap().enumerate() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(seen.insert(name.clone()), "{name} twice");
        if count % 3 == 0 {
            fs::remove_file(guest.join(&name)).unwrap();
            removed.insert(name);
        }
    }
    // Every name that was there all the time.
    let missed: Vec<_> = names.difference(&seen).collect();
    assert!(missed.is_empty(), "{missed:?}");
    let left: BTreeSet<String> = fs::read_dir(&guest)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, names.difference(&removed).cloned().collect());
}

#[test]
fn numbers_in_listings_are_those_of_stat_and_unique_over_exports() {
    let daemon = Daemon::configured(
        |directory| json!({"exports": [{"path": directory.join("export"), "mode": "rw"}, {"path": "/dev/shm", "mode": "ro"}]}),
    );
    let shared = tempfile::Builder::new()
        .prefix("hostcall-numbers-")
        .tempdir_in("/dev/shm")
        .unwrap();
    for n in 0..50 {
        fs::write(daemon.export(&format!("f{n}")), "").unwrap();
        fs::write(shared.path().join(format!("f{n}")), "").unwrap();
    }
    let mount = Mount::of(&daemon, "cache=none");
    mount.enter();
    let mut numbers = HashMap::new();
    for dir in [daemon.export(""), shared.path().to_owned()] {
        let dir = mount.path(dir);
        // The first reading brings metadata along, the second one names alone.
        for _ in 0..2 {
            for entry in fs::read_dir(&dir).unwrap() {
                let entry = entry.unwrap();
                let data = entry.metadata().unwrap();
                assert_eq!(entry.ino(), data.ino(), "{:?}", entry.path());
                let other = numbers.insert(data.ino(), entry.path());
                assert!(other.is_none_or(|other| other == entry.path()));
            }
        }
    }
    assert_eq!(numbers.len(), 100);
}

#[test]
fn a_read_only_export_cannot_be_written() {
    let daemon = Daemon::configured(
        |directory| json!({"exports": [{"path": directory.join("export"), "mode": "ro"}]}),
    );
    fs::write(daemon.export("f"), "data").unwrap();
    let mount = Mount::of(&daemon, "cache=none");
    mount.enter();
    let file = mount.path(daemon.export("f"));
    assert_eq!(fs::read(&file).unwrap(), b"data");
    let writing = OpenOptions::new().write(true).open(&file);
    assert_eq!(errno(writing), Some(libc::EROFS));
    assert_eq!(errno(fs::write(&file, "x")), Some(libc::EROFS));
    assert_eq!(errno(fs::remove_file(&file)), Some(libc::EROFS));
    assert_eq!(
        errno(fs::write(file.with_file_name("g"), "")),
        Some(libc::EROFS)
    );
}

/// CVE-2020-35517, CVE-2023-2861: what a descriptor leads to is opened anew with the rights of its mount and of Landlock,
/// and never if opening acts on somebody.
#[test]
fn cve_2020_35517_opening_anew_gives_no_more_than_opening() {
    let daemon = Daemon::configured(
        |directory| json!({"exports": [{"path": directory.join("export"), "mode": "ro"}, {"path": directory.join("good"), "mode": "rw"}]}),
    );
    fs::write(daemon.export("f"), "data").unwrap();
    nix::unistd::mkfifo(
        &daemon.directory.join("good/fifo"),
        nix::sys::stat::Mode::S_IRWXU,
    )
    .unwrap();
    let client = daemon.attach();
    let path = |path: &Path| {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        let flags = OpenFlags(libc::O_PATH | libc::O_CLOEXEC);
        client.openat(DirFd::CWD, &path, flags, Mode(0)).unwrap().fd
    };
    let file = path(&daemon.export("f"));
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_RDONLY | libc::O_TRUNC] {
        let opened = client.reopen(file, OpenFlags(flags));
        assert_eq!(opened.map(|_| ()).unwrap_err().0, libc::EROFS);
    }
    assert!(client.reopen(file, OpenFlags(libc::O_RDONLY)).is_ok());
    for flags in [libc::O_CREAT | libc::O_RDWR, libc::O_TMPFILE | libc::O_RDWR] {
        let made = client.reopen(path(&daemon.directory.join("good")), OpenFlags(flags));
        assert_eq!(made.map(|_| ()).unwrap_err().0, libc::EINVAL);
    }
    let fifo = path(&daemon.directory.join("good/fifo"));
    let opened = client.reopen(fifo, OpenFlags(libc::O_RDWR));
    assert_eq!(opened.map(|_| ()).unwrap_err().0, libc::ENXIO);
    leave(client);
}

#[test]
fn absolute_links_are_followed_on_the_host() {
    let (daemon, mount, guest) = mounted("cache=none");
    fs::write(daemon.export("target"), "the host's").unwrap();
    symlink(daemon.export("target"), daemon.export("link")).unwrap();
    assert_eq!(fs::read(guest.join("link")).unwrap(), b"the host's");
    let target = fs::read_link(guest.join("link")).unwrap();
    assert_eq!(target, mount.path(daemon.export("target")));
    // What the guest links to by its own name of the file is the file, on both sides.
    symlink(guest.join("target"), guest.join("made")).unwrap();
    assert_eq!(
        fs::read_link(guest.join("made")).unwrap(),
        guest.join("target")
    );
    assert_eq!(fs::read(daemon.export("made")).unwrap(), b"the host's");
    symlink("target", guest.join("relative")).unwrap();
    // A link's size is its text's length on each way to it: by name, from a listing, by an open directory.
    for name in ["link", "made", "relative"] {
        let path = guest.join(name);
        let length = fs::read_link(&path).unwrap().as_os_str().len() as u64;
        assert_eq!(fs::symlink_metadata(&path).unwrap().len(), length, "{name}");
        let listed = fs::read_dir(&guest).unwrap().flatten();
        let entry = listed.into_iter().find(|entry| entry.file_name() == name);
        assert_eq!(entry.unwrap().metadata().unwrap().len(), length, "{name}");
    }
    assert_eq!(
        fs::read_link(daemon.export("relative")).unwrap(),
        Path::new("target")
    );
    drop(mount);
    let stored = Mount::of(&daemon, "symlinks=stored");
    stored.enter();
    assert_eq!(
        fs::read_link(stored.path(daemon.export("link"))).unwrap(),
        daemon.export("target")
    );
}

#[test]
fn appends_of_guest_and_host_do_not_overwrite_each_other() {
    let (daemon, _mount, guest) = mounted("cache=auto");
    let append = |path: &Path| {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap()
    };
    let (mut inside, mut outside) = (append(&guest.join("log")), append(&daemon.export("log")));
    let host = std::thread::spawn(move || {
        for n in 0..2000 {
            let line = format!("host {n:06}\n");
            outside.write_all(line.as_bytes()).unwrap();
        }
    });
    for n in 0..2000 {
        let line = format!("guest {n:05}\n");
        inside.write_all(line.as_bytes()).unwrap();
    }
    host.join().unwrap();
    let text = fs::read_to_string(daemon.export("log")).unwrap();
    let lines: BTreeSet<&str> = text.lines().collect();
    assert_eq!((lines.len(), text.len()), (4000, 4000 * 12));
}

#[test]
#[allow(unsafe_code)]
fn a_shared_mapping_is_seen_by_others_and_written_back() {
    for cache in ["cache=none", "cache=auto", "cache=always"] {
        let (daemon, _mount, guest) = mounted(cache);
        fs::write(guest.join("f"), vec![b'.'; 8192]).unwrap();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(guest.join("f"))
            .unwrap();
        let len = NonZeroUsize::new(8192).unwrap();
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: new mappings of a file that stays as long as they are, used by this thread alone.
        unsafe {
            let one = mmap(None, len, rights, MapFlags::MAP_SHARED, &file, 0).unwrap();
            let two = mmap(None, len, rights, MapFlags::MAP_SHARED, &file, 0).unwrap();
            one.cast::<u8>().as_ptr().add(5000).write_volatile(b'!');
            assert_eq!(two.cast::<u8>().as_ptr().add(5000).read_volatile(), b'!');
            if cache != "cache=none" {
                // By read(2) of another open file of the guest.
                let mut byte = [0];
                let other = File::open(guest.join("f")).unwrap();
                other.read_exact_at(&mut byte, 5000).unwrap();
                assert_eq!(byte, *b"!", "{cache}");
            }
            msync(one, 8192, MsFlags::MS_SYNC).unwrap();
            assert_eq!(fs::read(daemon.export("f")).unwrap()[5000], b'!', "{cache}");
            munmap(one, 8192).unwrap();
            munmap(two, 8192).unwrap();
        }
    }
}

#[test]
fn whole_file_locks_of_guest_and_host_exclude_each_other() {
    let (daemon, _mount, guest) = mounted("cache=none");
    fs::write(daemon.export("f"), "").unwrap();
    let open = |path: PathBuf| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap()
    };
    let try_lock = |file, how| Flock::lock(file, how).map_err(|(_, errno)| errno);
    let inside = try_lock(open(guest.join("f")), FlockArg::LockExclusiveNonblock).unwrap();
    let busy = try_lock(open(daemon.export("f")), FlockArg::LockSharedNonblock);
    assert_eq!(busy.err(), Some(nix::errno::Errno::EAGAIN));
    let busy = try_lock(open(guest.join("f")), FlockArg::LockSharedNonblock);
    assert_eq!(busy.err(), Some(nix::errno::Errno::EAGAIN));
    // A waiting one gets it once it is given back.
    let waiting = open(guest.join("f"));
    let waiter = std::thread::spawn(move || Flock::lock(waiting, FlockArg::LockExclusive).is_ok());
    std::thread::sleep(Duration::from_millis(100));
    assert!(!waiter.is_finished());
    inside.unlock().unwrap();
    assert!(waiter.join().unwrap());
    // `waiter` has closed its file; the host gets the lock when that has reached it.
    assert!(try_lock(open(daemon.export("f")), FlockArg::LockExclusive).is_ok());
}

#[test]
fn a_process_that_waits_for_a_lock_can_be_killed() {
    let (daemon, _mount, guest) = mounted("cache=none");
    fs::write(daemon.export("f"), "").unwrap();
    let held = File::open(daemon.export("f")).unwrap();
    let held = Flock::lock(held, FlockArg::LockExclusive).map_err(|(_, errno)| errno);
    let mut waiter = Command::new("flock")
        .arg(guest.join("f"))
        .args(["echo", "got it"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(waiter.try_wait().unwrap().is_none());
    waiter.kill().unwrap();
    eventually("the killed process ends", || {
        waiter.try_wait().unwrap().is_some()
    });
    drop(held.unwrap());
    let got = Command::new("flock")
        .args(["-w", "60"])
        .arg(guest.join("f"))
        .args(["true"])
        .status();
    assert!(got.unwrap().success());
}

#[test]
fn a_shared_open_file_is_redeemed_by_its_token() {
    let (daemon, mount, guest) = mounted("cache=none");
    fs::write(daemon.export("f"), "0123456789").unwrap();
    let client = daemon.attach();
    let path = CString::new(daemon.export("f").to_str().unwrap()).unwrap();
    let flags = OpenFlags(libc::O_RDWR);
    let fd = client.openat(DirFd::CWD, &path, flags, Mode(0)).unwrap().fd;
    let token = client.share(fd).unwrap().token;
    let place = mount.mountpoint.join(".hostcall/fd");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(place.join(token.to_string()))
        .unwrap();
    fs::remove_file(daemon.export("f")).unwrap();
    let mut text = [0; 10];
    file.read_exact_at(&mut text, 0).unwrap();
    assert_eq!(&text, b"0123456789");
    assert_eq!(file.metadata().unwrap().nlink(), 0);
    // It is the same open file on the host: a lock of it is one lock.
    client.flock(fd, libc::LOCK_EX).unwrap();
    let same = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    assert!(same.is_ok());
    // The token is used up, and others never were.
    let again = File::open(place.join(token.to_string()));
    assert_eq!(errno(again), Some(libc::ENOENT));
    assert_eq!(errno(File::open(place.join("0"))), Some(libc::ENOENT));
    leave(client);
    drop(guest);
}

#[test]
fn the_hidden_directory_is_found_and_not_listed() {
    let (_daemon, mount, _guest) = mounted("cache=auto");
    let root = &mount.mountpoint;
    let listed = |path: &Path| -> BTreeSet<String> {
        let names = fs::read_dir(path).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert!(!listed(root).contains(".hostcall"));
    assert_eq!(
        listed(&root.join(".hostcall")),
        BTreeSet::from(["fd".to_owned(), "status".to_owned()])
    );
    let status = fs::read_to_string(root.join(".hostcall/status")).unwrap();
    assert!(
        status.starts_with("cache: auto\nhost: attached\n"),
        "{status}"
    );
    assert_eq!(
        errno(fs::write(root.join(".hostcall/status"), "x")),
        Some(libc::EACCES)
    );
    assert_eq!(
        errno(fs::remove_dir(root.join(".hostcall"))),
        Some(libc::EPERM)
    );
    assert_eq!(
        errno(fs::create_dir(root.join(".hostcall"))),
        Some(libc::EEXIST)
    );
}
