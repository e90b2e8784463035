//! `hostd export`: what a guest sees changes while it runs, and whoever works goes on working.

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::region::{self, Region};
use hostcall::shm::Mapping;
use hostcall::types::{write_hint, DirFd, Errno, Mode, Offset, OpenFlags, RwFlags};
use hostcall::wire::{Sink, Source};
use hostcall_tests::daemon::{descendants, eventually, exports, leave, program, Daemon};
use hostcall_tests::witness::c;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde_json::json;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

const CWD: DirFd = DirFd::CWD;

/// Runs `hostd export` about a guest of this daemon: what it printed, or its complaint.
fn export(daemon: &Daemon, guest: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program("hostd"))
        .arg("export")
        .args(arguments)
        .args(["--guest", guest, "--hostd", &daemon.pid().to_string()])
        .output()
        .expect("hostd runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

/// Sets a flag when it goes, be it by a panic.
struct OnDrop<'f>(&'f AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn opens(client: &Client, path: &Path) -> Result<(), Errno> {
    let opened = client.openat(CWD, &c(path), OpenFlags(libc::O_RDONLY), Mode(0))?;
    client.close(opened.fd).map(drop)
}

/// A daemon with one more directory beside its exports.
fn daemon() -> (Daemon, String) {
    let daemon = Daemon::start();
    let extra = daemon.directory.join("extra");
    std::fs::create_dir(&extra).unwrap();
    std::fs::write(extra.join("file"), "extra").unwrap();
    let extra = extra.to_str().unwrap().to_owned();
    (daemon, extra)
}

#[test]
fn stopped_zygotes_and_shadows_of_every_view_end_with_hostd() {
    let (daemon, extra) = daemon();
    let old = daemon.attach();
    old.nop().unwrap();
    let mut family = descendants(daemon.pid());
    export(&daemon, "t", &["add", &format!("{extra}:ro")]).unwrap();
    let new = daemon.attach();
    new.nop().unwrap();
    old.nop().expect("a view that is not the newest is served");
    family.extend(descendants(daemon.pid()));
    family.sort_unstable();
    family.dedup();
    for pid in &family {
        // The spare shadows of the view before are gone.
        let _ = kill(Pid::from_raw(*pid), Signal::SIGSTOP);
    }
    kill(Pid::from_raw(daemon.pid()), Signal::SIGKILL).unwrap();
    let is_there = |pid: &i32| Path::new(&format!("/proc/{pid}")).exists();
    eventually("none of them stays", || !family.iter().any(is_there));
}

#[test]
fn exports_come_and_go_while_files_stay_open() {
    let (daemon, extra) = daemon();
    let file = Path::new(&extra).join("file");
    let old = daemon.attach();
    assert_eq!(opens(&old, &file), Err(Errno(libc::ENOENT)));
    let before = old.view_generation();
    assert!(!old.view_is_outdated());

    export(&daemon, "t", &["add", &format!("{extra}:ro")]).unwrap();
    let listed = export(&daemon, "t", &[]).unwrap();
    assert!(listed.contains(&format!("  {extra} ro")), "{listed}");
    // The session keeps its view and learns that there is another.
    eventually("the session is told", || old.view_is_outdated());
    assert_eq!(old.view_generation(), before + 1);
    assert_eq!(opens(&old, &file), Err(Errno(libc::ENOENT)));
    let new = daemon.attach();
    assert!(!new.view_is_outdated());
    let opened = new.openat(CWD, &c(&file), OpenFlags(libc::O_RDONLY), Mode(0));
    let fd = opened.unwrap().fd;
    let write = OpenFlags(libc::O_WRONLY);
    assert_eq!(
        new.openat(CWD, &c(&file), write, Mode(0)).unwrap_err(),
        Errno(libc::EROFS)
    );

    // Another mode for the same place, then gone.
    export(&daemon, "t", &["add", &extra]).unwrap();
    let third = daemon.attach();
    assert!(third.openat(CWD, &c(&file), write, Mode(0)).is_ok());
    export(&daemon, "t", &["remove", &extra]).unwrap();
    let fourth = daemon.attach();
    assert_eq!(opens(&fourth, &file), Err(Errno(libc::ENOENT)));
    let mut data = [0; 5];
    let read = new.read(fd, Offset(0), RwFlags(0), Sink::new(&mut data));
    assert_eq!((read.unwrap().filled.0, &data), (5, b"extra"));
    assert_eq!(opens(&new, &file), Ok(()));
    let status = daemon.status();
    assert_eq!(status.view, 3);
    let mut views: Vec<u32> = status.sessions.iter().map(|session| session.view).collect();
    views.sort_unstable();
    assert_eq!(views, [0, 1, 2, 3]);
    [old, new, third, fourth].into_iter().for_each(leave);
}

#[test]
fn removed_now_ends_the_sessions_that_see_it() {
    let (daemon, extra) = daemon();
    let file = Path::new(&extra).join("file");
    export(&daemon, "t", &["add", &extra]).unwrap();
    let old = daemon.attach();
    assert_eq!(opens(&old, &file), Ok(()));
    export(&daemon, "t", &["remove", &extra, "--now"]).unwrap();
    eventually("the session has ended", || {
        opens(&old, &file) == Err(Errno(libc::ENOTCONN))
    });
    let new = daemon.attach();
    assert_eq!(opens(&new, &file), Err(Errno(libc::ENOENT)));
    assert_eq!(opens(&new, &daemon.directory.join("export")), Ok(()));
    leave(old);
    leave(new);
}

/// The kernel has a file's write hint changed by whoever owns the file, on a read-only mount too, and it is the inode's.
#[test]
fn a_read_only_export_keeps_its_write_hints() {
    let daemon = Daemon::configured(|directory| {
        std::fs::write(directory.join("good/file"), "data").unwrap();
        std::fs::write(directory.join("export/file"), "data").unwrap();
        json!({"exports": [
            {"path": directory.join("export"), "mode": "rw"}, {"path": directory.join("good"), "mode": "ro"},
        ]})
    });
    let client = daemon.attach();
    let hints = |path: &Path, hint: u64| {
        let opened = client.openat(CWD, &c(path), OpenFlags(libc::O_RDONLY), Mode(0));
        let fd = opened.expect("there").fd;
        let set = client.fcntl(fd, write_hint::SET, hint).map(drop);
        let get = client.fcntl(fd, write_hint::GET, 0).expect("its hint");
        (set, get.value)
    };
    assert_eq!(hints(&daemon.export("file"), 2), (Ok(()), 2));
    let kept = hints(&daemon.directory.join("good/file"), 2);
    assert_eq!(kept, (Err(Errno(libc::EROFS)), 0));
}

/// A child keeps its parent's open files, whatever its own view shows.
#[test]
fn a_child_born_after_the_change_keeps_open_files() {
    let (daemon, extra) = daemon();
    export(&daemon, "t", &["add", &extra]).unwrap();
    let parent = daemon.attach();
    let path = c(&Path::new(&extra).join("file"));
    let fd = parent
        .openat(CWD, &path, OpenFlags(libc::O_RDWR), Mode(0))
        .unwrap()
        .fd;
    export(&daemon, "t", &["remove", &extra]).unwrap();
    let token = parent.fork_session().unwrap().token;
    let child = daemon.try_attach(Some(token)).unwrap();
    child
        .write(fd, Offset(0), RwFlags(0), Source::new(b"child"))
        .unwrap();
    assert_eq!(
        std::fs::read(Path::new(&extra).join("file")).unwrap(),
        b"child"
    );
    leave(child);
    leave(parent);
}

/// Threads and processes that never stop calling see every change as a whole or not at all.
#[test]
fn exports_change_under_load() {
    let (daemon, extra) = daemon();
    let file = Path::new(&extra).join("file");
    let busy = daemon.attach();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A change that fails ends the load as well, and with it the test.
        let _end = OnDrop(&stop);
        let (daemon, busy, stop, file) = (&daemon, &busy, &stop, &file);
        for thread in 0..2 {
            scope.spawn(move || {
                let own = c(&daemon.export(&format!("own{thread}")));
                let flags = OpenFlags(libc::O_CREAT | libc::O_RDWR | libc::O_TRUNC);
                let mut rounds = 0;
                while !stop.load(Ordering::Relaxed) {
                    let fd = busy.openat(CWD, &own, flags, Mode(0o600)).unwrap().fd;
                    let source = Source::new(b"data");
                    busy.write(fd, Offset(0), RwFlags(0), source).unwrap();
                    busy.close(fd).unwrap();
                    assert_eq!(opens(busy, file), Err(Errno(libc::ENOENT)));
                    rounds += 1;
                }
                assert!(rounds > 10, "{rounds} rounds");
            });
        }
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let client = daemon.attach();
                let first = opens(&client, file);
                assert!(
                    matches!(first, Ok(()) | Err(Errno(libc::ENOENT))),
                    "{first:?}"
                );
                for _ in 0..20 {
                    assert_eq!(opens(&client, file), first);
                    assert_eq!(opens(&client, &daemon.export("")), Ok(()));
                }
                leave(client);
            }
        });
        for _ in 0..15 {
            export(daemon, "t", &["add", &extra]).unwrap();
            let client = daemon.attach();
            assert_eq!(opens(&client, file), Ok(()));
            leave(client);
            export(daemon, "t", &["remove", &extra]).unwrap();
            let client = daemon.attach();
            assert_eq!(opens(&client, file), Err(Errno(libc::ENOENT)));
            leave(client);
        }
    });
    leave(busy);
    eventually("the sessions have ended", || {
        daemon.status().sessions.is_empty()
    });
    assert_eq!(daemon.status().view, 30);
    assert!(!daemon.log().contains("died of signal"), "{}", daemon.log());
}

#[test]
fn what_cannot_be_is_refused_and_nothing_changes() {
    let (daemon, extra) = daemon();
    let before = daemon.status().exports;
    let refused = |arguments: &[&str], why: &str| {
        let said = export(&daemon, "t", arguments).unwrap_err();
        assert!(said.contains(why), "{arguments:?}: {said}");
    };
    refused(&["add", "/no/such/place"], "write an existing /PATH");
    refused(&["add", "srv"], "not an absolute path");
    refused(&["add", "/proc"], "lead out of the view");
    let export_of = daemon.directory.join("export");
    refused(&["add", export_of.to_str().unwrap()], "exported rw already");
    refused(&["remove", &extra], "is not exported; exported: ");
    // Only the new view's own zygote can find out about this one: a link into a proc file system.
    let link = daemon.directory.join("link");
    std::os::unix::fs::symlink("/proc/sys", &link).unwrap();
    refused(&["add", link.to_str().unwrap()], "proc file system");
    let said = export(&daemon, "nobody", &["add", &extra]).unwrap_err();
    assert!(said.contains("no such guest; running: "), "{said}");
    let good = daemon.directory.join("good");
    export(&daemon, "t", &["remove", good.to_str().unwrap()]).unwrap();
    refused(
        &["remove", export_of.to_str().unwrap()],
        "is the only export",
    );
    export(&daemon, "t", &["add", good.to_str().unwrap()]).unwrap();
    let mut after = daemon.status();
    after.exports.sort_by_key(|export| export.path.clone());
    assert_eq!((after.exports, after.view, after.failed), (before, 2, None));
    let client = daemon.attach();
    assert_eq!(opens(&client, &export_of), Ok(()));
    leave(client);
}

#[test]
fn a_device_guests_region_counts_the_changes() {
    let daemon = Daemon::launch(|directory, _| {
        let device =
            json!({"region": directory.join("region"), "doorbell": directory.join("bell")});
        let limits = json!({"lanes": 4});
        json!({"guests": {"vm": {"attach": {"device": device}, "exports": exports(directory), "limits": limits}}})
    });
    let extra = daemon.directory.join("extra");
    std::fs::create_dir(&extra).unwrap();
    let path = daemon.directory.join("region");
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let region = Region::open(Mapping::new(file.as_fd(), region::size(4)).unwrap()).unwrap();
    assert_eq!((region.view(), region.has_callers()), (0, false));
    for (count, change) in [(1, "add"), (2, "remove")] {
        export(&daemon, "vm", &[change, extra.to_str().unwrap()]).unwrap();
        assert_eq!(region.view(), count);
    }
}
