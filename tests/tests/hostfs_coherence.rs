//! What changes on the host, by whatever hand, is seen through a mount that has it cached.

use hostcall::ops::Calls;
use hostcall::types::{DirFd, Mode, Offset, OpenFlags, RwFlags};
use hostcall::wire::Source;
use hostcall_tests::daemon::{eventually, leave, Daemon};
use hostcall_tests::mount::Mount;
use hostcall_tests::soon::Times;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// Watched changes are to be seen within 50 ms on an idle machine. This one may be busy, but it must be the watch that
/// shows them and not the second after which the mode `auto` asks anyway.
const SOON: Duration = Duration::from_millis(700);

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("{error}"))
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("a plain name"))
        .collect();
    names.sort();
    names
}

/// Host calls of a kind so far.
fn calls(daemon: &Daemon, op: &str) -> u64 {
    daemon.status().calls.get(op).copied().unwrap_or_default()
}

/// Everything that a host program does to files, each seen through a mount that had them cached.
fn host_changes(options: &str) {
    let (daemon, times) = (Daemon::start(), Times::default());
    let mount = Mount::of(&daemon, options);
    mount.enter();
    let directory = daemon.export("d");
    fs::create_dir(&directory).expect("a directory");
    let host = |name: &str| directory.join(name);
    let guest = |name: &str| mount.path(host(name));

    fs::write(host("f"), "one").expect("a file");
    fs::write(host("moved"), "moved").expect("a file");
    fs::write(host("removed"), "removed").expect("a file");
    let cached = || {
        assert_eq!(text(&guest("moved")), "moved");
        assert_eq!(text(&guest("removed")), "removed");
        assert_eq!(names(&guest("")), ["f", "moved", "removed"]);
    };
    assert_eq!(text(&guest("f")), "one");
    cached();

    fs::write(host("f"), "two and more").expect("written");
    times.until("content", || text(&guest("f")) == "two and more");
    fs::write(host("f"), "six and less").expect("written");
    times.until("content of one length", || {
        text(&guest("f")) == "six and less"
    });

    fs::set_permissions(host("f"), fs::Permissions::from_mode(0o640)).expect("chmod");
    let mode = || fs::metadata(guest("f")).expect("metadata").mode() & 0o7777;
    times.until("a mode", || mode() == 0o640);

    cached();
    fs::rename(host("moved"), host("renamed")).expect("renamed");
    times.until("an old name's end", || !guest("moved").exists());
    times.until("a new name", || text(&guest("renamed")) == "moved");
    fs::remove_file(host("removed")).expect("removed");
    times.until("a removal", || !guest("removed").exists());
    fs::write(host("made"), "made").expect("a file");
    times.until("a listing", || {
        names(&guest("")) == ["f", "made", "renamed"]
    });

    fs::write(host("other"), "other").expect("a file");
    fs::rename(host("other"), host("f")).expect("replaced");
    times.until("a replaced file", || text(&guest("f")) == "other");
    times.mostly_within(SOON);
}

#[test]
fn host_changes_show_in_mode_auto() {
    host_changes("cache=auto");
}

#[test]
fn host_changes_show_in_mode_always() {
    host_changes("cache=always");
}

#[test]
fn host_changes_show_at_once_in_mode_none() {
    let daemon = Daemon::start();
    let mount = Mount::of(&daemon, "cache=none");
    mount.enter();
    let (host, guest) = (daemon.export("f"), mount.path(daemon.export("f")));
    for round in 0..100 {
        let data = format!("round {round}");
        fs::write(&host, &data).expect("written");
        assert_eq!(text(&guest), data);
    }
    fs::remove_file(&host).expect("removed");
    assert!(!guest.exists());
}

#[test]
fn changes_by_the_preload_road_show() {
    for mode in ["auto", "always"] {
        let daemon = Daemon::start();
        let mount = Mount::of(&daemon, &format!("cache={mode}"));
        let shim = daemon.attach();
        std::thread::scope(|scope| {
            let work = || {
                mount.enter();
                let guest = mount.path(daemon.export("f"));
                fs::write(daemon.export("f"), "one").expect("a file");
                assert_eq!(text(&guest), "one");
                let path = daemon.export("f");
                let path = CString::new(path.to_str().expect("plain")).expect("no NUL");
                let flags = OpenFlags(libc::O_WRONLY | libc::O_TRUNC);
                let fd = shim
                    .openat(DirFd::CWD, &path, flags, Mode(0))
                    .expect("open");
                let data = Source::new(b"from the shim");
                shim.write(fd.fd, Offset::CURRENT, RwFlags(0), data)
                    .expect("written");
                eventually("the shim's data", || text(&guest) == "from the shim");
            };
            scope.spawn(work).join().expect("the mount's thread");
        });
        leave(shim);
    }
}

#[test]
fn own_changes_cost_nothing_that_is_cached() {
    let daemon = Daemon::start();
    let mount = Mount::of(&daemon, "cache=always");
    mount.enter();
    let guest = mount.path(daemon.export("f"));
    let data = vec![b'x'; 64 << 10];
    // An event that a busy machine tells late is not known for an own one.
    eventually("what was written is cached", || {
        fs::write(&guest, &data).expect("written");
        fs::File::open(&guest)
            .and_then(|file| file.sync_all())
            .expect("on the host");
        assert_eq!(
            fs::read(daemon.export("f")).expect("read").len(),
            data.len()
        );
        // The events of these changes come and go.
        std::thread::sleep(Duration::from_millis(300));
        let before = calls(&daemon, "read");
        assert_eq!(fs::read(&guest).expect("cached"), data);
        calls(&daemon, "read") == before
    });

    let before = calls(&daemon, "read");
    fs::write(daemon.export("f"), "from the host").expect("written");
    eventually("the host's data", || text(&guest) == "from the host");
    assert!(calls(&daemon, "read") > before, "it was read again");
}

#[test]
fn without_watches_mode_auto_asks_after_a_second() {
    let daemon = Daemon::start();
    let mount = Mount::of(&daemon, "cache=auto,watches=0");
    mount.enter();
    let (host, guest) = (daemon.export("f"), mount.path(daemon.export("f")));
    fs::write(&host, "one").expect("a file");
    assert_eq!(fs::metadata(&guest).expect("metadata").len(), 3);
    fs::write(&host, "longer").expect("written");
    eventually("the new length", || {
        fs::metadata(&guest).expect("metadata").len() == 6
    });
}

#[test]
fn the_number_of_watches_is_bounded() {
    let daemon = Daemon::start();
    let mount = Mount::of(&daemon, "cache=always,watches=4");
    mount.enter();
    for number in 0..10 {
        let directory = daemon.export(&format!("d{number}"));
        fs::create_dir(&directory).expect("a directory");
        fs::write(directory.join("f"), "one").expect("a file");
        assert_eq!(text(&mount.path(directory.join("f"))), "one");
    }
    let status = text(&mount.mountpoint.join(".hostcall/status"));
    assert!(status.contains("watched directories: 4\n"), "{status}");
    // The last ones are watched.
    let file = daemon.export("d9").join("f");
    fs::write(&file, "two").expect("written");
    eventually("a change in a watched directory", || {
        text(&mount.path(&file)) == "two"
    });
}

/// Events that the host's queue has room for.
fn queue() -> usize {
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events");
    text.expect("the host has inotify")
        .trim()
        .parse()
        .expect("a number")
}

/// inotify throws away what a slow reader leaves no room for, and says so once (`IN_Q_OVERFLOW`).
#[test]
fn events_that_the_host_loses_cost_all_that_is_cached() {
    let daemon = Daemon::start();
    let mount = Mount::of(&daemon, "cache=always");
    mount.enter();
    let directories: Vec<_> = (0..8)
        .map(|number| daemon.export(&format!("d{number}")))
        .collect();
    for directory in &directories {
        fs::create_dir(directory).expect("a directory");
        for name in ["written", "moved", "removed", "changed"] {
            fs::write(directory.join(name), "one").expect("a file");
            assert_eq!(text(&mount.path(directory.join(name))), "one");
        }
        assert_eq!(names(&mount.path(directory)).len(), 4);
    }
    let noisy = daemon.export("noisy");
    fs::create_dir(&noisy).expect("a directory");
    assert_eq!(names(&mount.path(&noisy)), [""; 0]);

    let hostfs = Pid::from_raw(mount.pid());
    kill(hostfs, Signal::SIGSTOP).expect("it lives");
    for number in 0..queue() {
        let file = noisy.join(number.to_string());
        fs::write(&file, "").expect("a file");
        fs::remove_file(&file).expect("removed");
    }
    // None of this is told.
    for directory in &directories {
        let host = |name| directory.join(name);
        fs::write(host("written"), "two and more").expect("written");
        fs::rename(host("moved"), host("renamed")).expect("renamed");
        fs::remove_file(host("removed")).expect("removed");
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(host("changed"), mode).expect("chmod");
    }
    kill(hostfs, Signal::SIGCONT).expect("it lives");

    for directory in &directories {
        let guest = |name| mount.path(directory.join(name));
        eventually("content", || text(&guest("written")) == "two and more");
        eventually("an old name's end", || !guest("moved").exists());
        eventually("a removal", || !guest("removed").exists());
        assert_eq!(text(&guest("renamed")), "one");
        eventually("a mode", || {
            fs::metadata(guest("changed")).expect("metadata").mode() & 0o7777 == 0o640
        });
        eventually("a listing", || {
            names(&mount.path(directory)) == ["changed", "renamed", "written"]
        });
    }
    // Nor is anything missed from then on.
    let file = directories[0].join("written");
    fs::write(&file, "three").expect("written");
    eventually("a later change", || text(&mount.path(&file)) == "three");
}
