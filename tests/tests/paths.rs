//! Names that are more than names, and files that are more than files.

use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, OpenFlags, Token};
use hostcall::wire::Sink;
use hostcall_tests::canaries::{daemon, Canaries};
use hostcall_tests::daemon::{descendants, leave};
use hostcall_tests::snapshot::snapshot;
use hostcall_tests::witness::{c, unharmed};
use std::ffi::CString;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Where one name is expected, Kata's agent took a path. Here the kernel judges each name, and a NUL cannot be sent.
#[test]
fn cve_2026_47243_names_that_are_more_than_a_name() {
    let daemon = daemon();
    let canaries = Canaries::of(&daemon);
    let client = daemon.attach();
    let dir = client
        .openat(
            DirFd::CWD,
            &c(&daemon.export("")),
            OpenFlags(libc::O_PATH | libc::O_DIRECTORY),
            Mode(0),
        )
        .unwrap()
        .fd;
    let before = snapshot(&daemon.export(""));
    let outside = daemon.directory.join("outside");
    let names = [
        "../outside/made",
        "deep/../../outside/made",
        "..",
        "../..",
        ".",
        "/",
        "",
    ]
    .map(|name| CString::new(name).unwrap());
    for name in names
        .iter()
        .chain([&c(&outside), &c(&outside.join("made"))])
    {
        let dir = DirFd::from(dir);
        assert!(client.mkdirat(dir, name, Mode(0o777)).is_err(), "{name:?}");
        assert!(
            client
                .mknodat(dir, name, Mode(libc::S_IFREG | 0o666), 0)
                .is_err(),
            "{name:?}"
        );
        assert!(client.symlinkat(c"x", dir, name).is_err(), "{name:?}");
        assert!(
            client.linkat(dir, c"file", dir, name, AtFlags(0)).is_err(),
            "{name:?}"
        );
        assert!(
            client.renameat2(dir, c"file", dir, name, 0).is_err(),
            "{name:?}"
        );
        assert!(client.unlinkat(dir, name, AtFlags(0)).is_err(), "{name:?}");
        assert!(
            client
                .unlinkat(dir, name, AtFlags(libc::AT_REMOVEDIR))
                .is_err(),
            "{name:?}"
        );
        assert!(
            client
                .openat(
                    dir,
                    name,
                    OpenFlags(libc::O_WRONLY | libc::O_CREAT),
                    Mode(0o666)
                )
                .is_err(),
            "{name:?}"
        );
        client.nop().unwrap();
    }
    assert_eq!(snapshot(&daemon.export("")), before);
    canaries.check();
    leave(client);
}

/// Names that look like options stay names: no guest string ever becomes a word of some program's command line.
#[test]
fn cve_2026_44210_names_never_become_options() {
    let daemon = daemon();
    let client = daemon.attach();
    let dir = client
        .openat(
            DirFd::CWD,
            &c(&daemon.export("")),
            OpenFlags(libc::O_PATH | libc::O_DIRECTORY),
            Mode(0),
        )
        .unwrap()
        .fd;
    for name in [
        c"--help",
        c"-rf",
        c"--config=shadow",
        c"-o allow_other",
        c"$(id)",
        c"; id",
    ] {
        let fd = client
            .openat(
                dir.into(),
                name,
                OpenFlags(libc::O_WRONLY | libc::O_CREAT),
                Mode(0o600),
            )
            .unwrap()
            .fd;
        client.close(fd).unwrap();
        assert!(daemon.export(name.to_str().unwrap()).is_file());
        client.symlinkat(name, dir.into(), c"link").unwrap();
        client.unlinkat(dir.into(), c"link", AtFlags(0)).unwrap();
        for pid in descendants(daemon.pid()) {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            assert!(
                line.split(|byte| *byte == 0)
                    .all(|word| word != name.to_bytes()),
                "{pid} has {name:?} on its command line"
            );
        }
    }
    assert!(client.redeem(Token([1, 2]), OpenFlags(0)).is_err());
    leave(client);
}

/// virtiofsd and 9p opened what a guest had made. A FIFO holds up one lane only, a device or socket cannot be opened,
/// and a read-only export's FIFO cannot be written.
#[test]
fn cve_2020_35517_cve_2023_2861_special_files_are_not_opened_unasked() {
    let daemon = daemon();
    nix::unistd::mkfifo(
        &daemon.directory.join("readonly/fifo"),
        nix::sys::stat::Mode::from_bits_truncate(0o666),
    )
    .unwrap();
    let reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(daemon.directory.join("readonly/fifo"))
        .unwrap();
    unharmed(&daemon, || {
        let client = daemon.attach();
        let make = |name: &str, kind, device| {
            client
                .mknodat(
                    DirFd::CWD,
                    &c(&daemon.export(name)),
                    Mode(kind | 0o666),
                    device,
                )
                .map(drop)
        };
        make("fifo", libc::S_IFIFO, 0).unwrap();
        make("socket", libc::S_IFSOCK, 0).unwrap();
        let open = |path: &Path, flags| {
            client
                .openat(DirFd::CWD, &c(path), OpenFlags(flags), Mode(0))
                .map(|reply| reply.fd)
        };
        assert_eq!(
            open(&daemon.export("socket"), libc::O_RDWR),
            Err(Errno(libc::ENXIO))
        );
        // The memory, a disk and a terminal of this machine. An ordinary user cannot make them at all.
        for (name, kind, device) in [
            ("mem", libc::S_IFCHR, libc::makedev(1, 1)),
            ("disk", libc::S_IFBLK, libc::makedev(254, 0)),
            ("tty", libc::S_IFCHR, libc::makedev(4, 0)),
        ] {
            if make(name, kind, device).is_ok() {
                for flags in [
                    libc::O_RDONLY,
                    libc::O_RDWR | libc::O_NONBLOCK,
                    libc::O_WRONLY,
                ] {
                    assert_eq!(
                        open(&daemon.export(name), flags),
                        Err(Errno(libc::EACCES)),
                        "{name}"
                    );
                }
            }
        }
        assert_eq!(
            open(&daemon.export("fifo"), libc::O_WRONLY | libc::O_NONBLOCK),
            Err(Errno(libc::ENXIO))
        );
        let refused = open(
            &daemon.directory.join("readonly/fifo"),
            libc::O_WRONLY | libc::O_NONBLOCK,
        );
        assert!(
            refused.is_err(),
            "a read-only export's FIFO was opened for writing"
        );
        // What neither opens nor follows has no side effect and works on all of them.
        for name in ["fifo", "socket"] {
            let fd = open(&daemon.export(name), libc::O_PATH | libc::O_NOFOLLOW).unwrap();
            let mut data = [0; 256];
            client
                .statx(
                    fd.into(),
                    c"",
                    AtFlags(libc::AT_EMPTY_PATH),
                    libc::STATX_TYPE,
                    Sink::new(&mut data),
                )
                .unwrap();
            client.close(fd).unwrap();
        }
        // A lane that waits for the other end of a FIFO holds up neither other lanes nor the end of the session.
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| open(&daemon.export("fifo"), libc::O_RDONLY));
            std::thread::sleep(std::time::Duration::from_millis(50));
            client.nop().unwrap();
            let writer = open(&daemon.export("fifo"), libc::O_WRONLY).unwrap();
            client.close(waiting.join().unwrap().unwrap()).unwrap();
            client.close(writer).unwrap();
        });
        leave(client);
    });
    assert!(reader.metadata().unwrap().file_type().is_fifo());
}
