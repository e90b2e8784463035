//! Races of names: while a guest walks a path, the path is changed under it. Nothing outside an export is ever read,
//! and nothing outside or in a read-only export is ever written.
//!
//! The model is the kernel's own `openat2/rename_attack_test.c`: two threads exchange names as fast as they can, and
//! the walker is judged by what it reaches, not by the errors that it gets.

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, Offset, OpenFlags, RwFlags};
use hostcall::wire::{Sink, Source};
use hostcall_tests::canaries::{daemon, Canaries, SECRET};
use hostcall_tests::daemon::leave;
use hostcall_tests::random::Random;
use hostcall_tests::witness::c;
use nix::fcntl::{renameat2, RenameFlags, AT_FDCWD};
use std::ffi::{CStr, CString};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Rounds of one race; four races make 400,000.
const ROUNDS: u64 = 100_000;

/// Reads a file and holds that it is not the secret.
fn harmless(client: &Client, fd: hostcall::types::RemoteFd) {
    let mut data = [0; 64];
    if let Ok(reply) = client.read(fd, Offset(0), RwFlags(0), Sink::new(&mut data)) {
        assert!(
            !data[..reply.filled.0].starts_with(b"secret"),
            "a guest has read outside its exports"
        );
    }
}

/// Does one of the things that follow a path to its end, by a path that is being changed.
fn walk(client: &Client, random: &mut Random, dir: DirFd, path: &CStr, other: &CStr) {
    let open = |flags| {
        client.openat(
            dir,
            path,
            OpenFlags(flags | libc::O_CLOEXEC | libc::O_NONBLOCK),
            Mode(0o666),
        )
    };
    let opened = match random.below(12) {
        0..=3 => Some(open(libc::O_RDONLY)),
        4 => Some(open(libc::O_WRONLY | libc::O_TRUNC)),
        5 => Some(open(libc::O_RDWR | libc::O_CREAT)),
        6 => Some(open(libc::O_PATH)),
        _ => None,
    };
    if let Some(Ok(reply)) = opened {
        harmless(client, reply.fd);
        let _ = client.write(reply.fd, Offset(0), RwFlags(0), Source::new(b"inside"));
        client.close(reply.fd).unwrap();
    }
    let changed = match random.below(8) {
        0 => client
            .fchmodat2(dir, path, Mode(0o777), AtFlags(0))
            .map(drop),
        1 => client.truncate(path, 0).map(drop),
        2 => client
            .setxattr(dir, path, AtFlags(0), c"user.mark", Source::new(b"x"), 0)
            .map(drop),
        3 => client.unlinkat(dir, other, AtFlags(0)).map(drop),
        4 => client
            .fchownat(dir, path, 1.into(), 1.into(), AtFlags(0))
            .map(drop),
        _ => Ok(()),
    };
    assert_ne!(changed, Err(Errno(libc::ENOTCONN)), "the session has ended");
}

/// Runs `change` on one thread of the host and `step` in the guest until enough rounds were made.
fn race(change: impl Fn(u64) + Sync, mut step: impl FnMut(u64)) -> u64 {
    let (stop, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let changer = scope.spawn(|| {
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                change(n);
                changes.store(n, Ordering::Relaxed);
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..ROUNDS).for_each(&mut step)
        }));
        stop.store(true, Ordering::Relaxed);
        changer.join().unwrap();
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    let changes = changes.into_inner();
    println!("{ROUNDS} rounds against {changes} changes");
    assert!(changes > 1000, "the race was met");
    ROUNDS
}

fn exchange(a: &Path, b: &Path) {
    let _ = renameat2(AT_FDCWD, a, AT_FDCWD, b, RenameFlags::RENAME_EXCHANGE);
}

/// QEMU's 9p server walked through a parent that had become a symbolic link: every component is swapped for one
/// that points out, by the host (which shares the tree) as fast as it can.
#[test]
fn cve_2016_9602_a_parent_becomes_a_symlink_that_points_out() {
    let daemon = daemon();
    let canaries = Canaries::of(&daemon);
    for (name, target) in [
        ("out", "../outside"),
        ("absolute", "outside"),
        ("frozen", "readonly"),
    ] {
        let target = if name == "out" {
            PathBuf::from(target)
        } else {
            daemon.directory.join(target)
        };
        symlink(target, daemon.export(name)).unwrap();
    }
    let mut random = Random::announced(9602);
    let client = daemon.attach();
    let (deep, links) = (
        daemon.export("deep"),
        ["out", "absolute", "frozen"].map(|name| daemon.export(name)),
    );
    let paths: Vec<CString> = [&deep, &links[0], &links[1], &links[2]]
        .map(|path| c(&path.join("file")))
        .into();
    let made: Vec<CString> = [&deep, &links[0], &links[1], &links[2]]
        .map(|path| c(&path.join("made")))
        .into();
    let rounds = race(
        |n| exchange(&deep, &links[n as usize % 3]),
        |_| {
            let at = random.below(4);
            walk(&client, &mut random, DirFd::CWD, &paths[at], &made[at]);
        },
    );
    assert_eq!(rounds, ROUNDS);
    leave(client);
    canaries.check();
}

/// VirtualBox's shared folders: files and links exchanged in the last component, by a second session of the guest itself.
#[test]
fn cve_2017_3538_3587_3290_names_are_exchanged_by_the_guest_itself() {
    let daemon = daemon();
    let canaries = Canaries::of(&daemon);
    let (client, accomplice) = (daemon.attach(), daemon.attach());
    let paths: Vec<CString> = ["file", "x", "y"]
        .map(|name| c(&daemon.export(name)))
        .into();
    accomplice
        .symlinkat(c"../readonly/file", DirFd::CWD, &paths[1])
        .unwrap();
    accomplice
        .symlinkat(
            &c(&daemon.directory.join("outside/file")),
            DirFd::CWD,
            &paths[2],
        )
        .unwrap();
    let made = c(&daemon.export("made"));
    let mut random = Random::announced(3538);
    race(
        |n| {
            let other = &paths[1 + n as usize % 2];
            let _ = accomplice.renameat2(
                DirFd::CWD,
                &paths[0],
                DirFd::CWD,
                other,
                libc::RENAME_EXCHANGE,
            );
        },
        |_| {
            let at = random.below(3);
            walk(&client, &mut random, DirFd::CWD, &paths[at], &made);
        },
    );
    [client, accomplice].into_iter().for_each(leave);
    canaries.check();
}

/// A directory that the guest holds open is moved out of the export and back, while the guest climbs from it.
#[test]
fn a_directory_that_is_moved_out_leads_nowhere() {
    let daemon = daemon();
    let (inside, moved) = (
        daemon.export("deep/home"),
        daemon.directory.join("outside-moved"),
    );
    std::fs::create_dir_all(inside.join("a/b")).unwrap();
    std::fs::create_dir(&moved).unwrap();
    std::fs::write(daemon.directory.join("file"), SECRET).unwrap();
    let canaries = Canaries::of(&daemon);
    let client = daemon.attach();
    let directory = OpenFlags(libc::O_PATH | libc::O_DIRECTORY);
    let fd = client
        .openat(DirFd::CWD, &c(&inside.join("a/b")), directory, Mode(0))
        .unwrap()
        .fd;
    let climbs: Vec<CString> = [
        "../../outside/file",
        "../../../outside/file",
        "../../../file",
        "../../../../file",
        "../../../readonly/file",
        "../../../../../../../../file",
    ]
    .map(|path| CString::new(path).unwrap())
    .into();
    let mut random = Random::announced(1);
    let away = daemon.directory.join("outside-moved/home");
    race(
        |n| {
            let _ = if n % 2 == 0 {
                std::fs::rename(&inside, &away)
            } else {
                std::fs::rename(&away, &inside)
            };
        },
        |_| {
            let path = random.one_of(&climbs.iter().map(CString::as_c_str).collect::<Vec<_>>());
            walk(&client, &mut random, fd.into(), path, path);
        },
    );
    assert_eq!(
        std::fs::read(daemon.directory.join("file")).unwrap(),
        SECRET
    );
    leave(client);
    canaries.check();
}

/// QEMU's 9p server: two requests on one directory handle, one walking while the other creates and renames.
#[test]
fn cve_2026_93834_two_lanes_race_on_one_directory_handle() {
    let daemon = daemon();
    let canaries = Canaries::of(&daemon);
    let client = daemon.attach();
    let dir = client
        .openat(
            DirFd::CWD,
            &c(&daemon.export("deep")),
            OpenFlags(libc::O_RDONLY | libc::O_DIRECTORY),
            Mode(0),
        )
        .unwrap()
        .fd;
    let dir = DirFd::from(dir);
    let (out, frozen) = (c"../../outside", c"../../readonly");
    let mut random = Random::announced(93834);
    // Both threads use the same client, so each has a lane of the same session.
    race(
        |n| {
            let name = [c"a", c"b", c"c"][n as usize % 3];
            let _ = match n % 7 {
                0 => client.mkdirat(dir, name, Mode(0o777)).map(drop),
                1 => client.symlinkat(out, dir, name).map(drop),
                2 => client.symlinkat(frozen, dir, name).map(drop),
                3 => client
                    .renameat2(dir, c"a", dir, c"b", libc::RENAME_EXCHANGE)
                    .map(drop),
                4 => client.renameat2(dir, c"b", dir, c"c", 0).map(drop),
                5 => client.unlinkat(dir, name, AtFlags(0)).map(drop),
                _ => client
                    .unlinkat(dir, name, AtFlags(libc::AT_REMOVEDIR))
                    .map(drop),
            };
        },
        |_| {
            let (path, made) = random.one_of(&[
                (c"a/file", c"a/made"),
                (c"b/file", c"b/deep/file"),
                (c"c/deep/file", c"c/file"),
                (c"a/../b/file", c"a/."),
            ]);
            walk(&client, &mut random, dir, path, made);
        },
    );
    leave(client);
    canaries.check();
}
