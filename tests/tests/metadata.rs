//! Modes, owners, capabilities and attributes of files come out as they would natively: each act is done once by the
//! kernel for a process of the same user, once through a shadow, and what is left is compared.
#![allow(unsafe_code)]

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd, Errno, Mode, Offset, OpenFlags, RemoteFd, RwFlags};
use hostcall::wire::{Sink, Source};
use hostcall_tests::daemon::{exports, leave, Daemon};
use hostcall_tests::witness::c;
use serde_json::json;
use std::ffi::{CStr, CString};
use std::os::unix::fs::{chown, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

type Outcome = Result<(), Errno>;

/// Does something as a user with a mask of 022, in a process of its own.
fn natively(user: Option<u32>, act: impl Fn() -> Outcome + Send + Sync + 'static) -> Outcome {
    let mut command = Command::new("true");
    if let Some(id) = user {
        command.uid(id).gid(id);
    }
    // SAFETY: `act` makes system calls and touches no lock that another thread could hold at the fork.
    let command = unsafe {
        command.pre_exec(move || {
            libc::umask(0o22);
            act().map_err(|errno| std::io::Error::from_raw_os_error(errno.0))
        })
    };
    command
        .status()
        .map(drop)
        .map_err(|error| Errno(error.raw_os_error().expect("an errno")))
}

fn done(value: i64) -> Outcome {
    Errno::result(value).map(drop)
}

/// One act: on the host's kernel, and through a shadow. It works on `file` and makes `made`, in its directory.
struct Act {
    name: &'static str,
    native: fn(&CStr, &CStr) -> Outcome,
    guest: fn(&Client, &CStr, &CStr) -> Outcome,
}

fn open_native(path: &CStr, flags: i32, mode: u32, act: impl Fn(i32) -> i64) -> Outcome {
    // SAFETY: a NUL-terminated path; the descriptor that comes back is closed here.
    unsafe {
        let fd = Errno::result(libc::open(path.as_ptr(), flags, mode).into())? as i32;
        let outcome = done(act(fd));
        libc::close(fd);
        outcome
    }
}

fn open_guest(
    client: &Client,
    path: &CStr,
    flags: i32,
    mode: u32,
    act: impl Fn(RemoteFd) -> Outcome,
) -> Outcome {
    let fd = client
        .openat(DirFd::CWD, path, OpenFlags(flags), Mode(mode))?
        .fd;
    let outcome = act(fd);
    client.close(fd)?;
    outcome
}

const NEW: i32 = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;

// SAFETY (all blocks of the table): plain system calls on live, NUL-terminated paths and literals.
#[allow(clippy::undocumented_unsafe_blocks)]
const ACTS: &[Act] = &[
    Act {
        name: "create with set-group-id",
        native: |_, made| open_native(made, NEW, 0o2775, |_| 0),
        guest: |client, _, made| open_guest(client, made, NEW, 0o2775, |_| Ok(())),
    },
    Act {
        name: "create with both and no group execute",
        native: |_, made| open_native(made, NEW, 0o6745, |_| 0),
        guest: |client, _, made| open_guest(client, made, NEW, 0o6745, |_| Ok(())),
    },
    Act {
        name: "mkdir",
        native: |_, made| done(unsafe { libc::mkdir(made.as_ptr(), 0o777) }.into()),
        guest: |client, _, made| client.mkdirat(DirFd::CWD, made, Mode(0o777)).map(drop),
    },
    Act {
        name: "mknod of a file",
        native: |_, made| {
            done(unsafe { libc::mknod(made.as_ptr(), libc::S_IFREG | 0o2755, 0) }.into())
        },
        guest: |client, _, made| {
            client
                .mknodat(DirFd::CWD, made, Mode(libc::S_IFREG | 0o2755), 0)
                .map(drop)
        },
    },
    Act {
        name: "symlink",
        native: |_, made| done(unsafe { libc::symlink(c"x".as_ptr(), made.as_ptr()) }.into()),
        guest: |client, _, made| client.symlinkat(c"x", DirFd::CWD, made).map(drop),
    },
    Act {
        name: "chmod to set-group-id",
        native: |file, _| done(unsafe { libc::chmod(file.as_ptr(), 0o2755) }.into()),
        guest: |client, file, _| {
            client
                .fchmodat2(DirFd::CWD, file, Mode(0o2755), AtFlags(0))
                .map(drop)
        },
    },
    Act {
        name: "write",
        native: |file, _| {
            open_native(file, libc::O_WRONLY, 0, |fd| unsafe {
                libc::write(fd, c"x".as_ptr().cast(), 1)
            } as i64)
        },
        guest: |client, file, _| {
            open_guest(client, file, libc::O_WRONLY, 0, |fd| {
                client
                    .write(fd, Offset::CURRENT, RwFlags(0), Source::new(b"x"))
                    .map(drop)
            })
        },
    },
    Act {
        name: "pwritev2 to append",
        native: |file, _| {
            open_native(file, libc::O_WRONLY, 0, |fd| unsafe {
                let piece = libc::iovec {
                    iov_base: c"x".as_ptr().cast_mut().cast(),
                    iov_len: 1,
                };
                libc::pwritev2(fd, &piece, 1, 4, libc::RWF_APPEND) as i64
            })
        },
        guest: |client, file, _| {
            open_guest(client, file, libc::O_WRONLY, 0, |fd| {
                client
                    .write(fd, Offset(4), RwFlags(libc::RWF_APPEND), Source::new(b"x"))
                    .map(drop)
            })
        },
    },
    Act {
        name: "open with truncation",
        native: |file, _| open_native(file, libc::O_WRONLY | libc::O_TRUNC, 0, |_| 0),
        guest: |client, file, _| {
            open_guest(client, file, libc::O_WRONLY | libc::O_TRUNC, 0, |_| Ok(()))
        },
    },
    Act {
        name: "truncate",
        native: |file, _| done(unsafe { libc::truncate(file.as_ptr(), 2) }.into()),
        guest: |client, file, _| client.truncate(file, 2).map(drop),
    },
    Act {
        name: "fallocate",
        native: |file, _| {
            open_native(file, libc::O_WRONLY, 0, |fd| {
                unsafe { libc::fallocate(fd, 0, 0, 100) }.into()
            })
        },
        guest: |client, file, _| {
            open_guest(client, file, libc::O_WRONLY, 0, |fd| {
                client.fallocate(fd, 0, 0, 100).map(drop)
            })
        },
    },
    Act {
        name: "copy_file_range",
        native: |file, _| {
            open_native(file, libc::O_RDWR, 0, |fd| unsafe {
                let (mut from, mut to) = (0, 4);
                libc::copy_file_range(fd, &mut from, fd, &mut to, 2, 0) as i64
            })
        },
        guest: |client, file, _| {
            open_guest(client, file, libc::O_RDWR, 0, |fd| {
                client
                    .copy_file_range(fd, Offset(0), fd, Offset(4), 2, 0)
                    .map(drop)
            })
        },
    },
    Act {
        name: "chown to nobody",
        native: |file, _| done(unsafe { libc::chown(file.as_ptr(), 65534, 65534) }.into()),
        guest: |client, file, _| {
            client
                .fchownat(DirFd::CWD, file, 65534.into(), 65534.into(), AtFlags(0))
                .map(drop)
        },
    },
    Act {
        name: "chown to another",
        native: |file, _| done(unsafe { libc::chown(file.as_ptr(), 1, 1) }.into()),
        guest: |client, file, _| {
            client
                .fchownat(DirFd::CWD, file, 1.into(), 1.into(), AtFlags(0))
                .map(drop)
        },
    },
    Act {
        name: "chown of the link itself",
        native: |file, _| done(unsafe { libc::lchown(file.as_ptr(), u32::MAX, u32::MAX) }.into()),
        guest: |client, file, _| {
            client
                .fchownat(
                    DirFd::CWD,
                    file,
                    u32::MAX.into(),
                    u32::MAX.into(),
                    AtFlags(libc::AT_SYMLINK_NOFOLLOW),
                )
                .map(drop)
        },
    },
];

/// `cap_net_raw+ep`, as setcap(8) stores it: `struct vfs_cap_data` of revision 2.
const CAPABILITY: &[u8] = &[
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn has_capability(path: &CStr) -> bool {
    // SAFETY: NUL-terminated names; a null buffer of length 0 asks for the size.
    unsafe {
        libc::lgetxattr(
            path.as_ptr(),
            c"security.capability".as_ptr(),
            std::ptr::null_mut(),
            0,
        ) > 0
    }
}

/// A directory with one file, made the same way for both sides.
fn prepare(directory: &Path, group: u32, owner: u32, mode: u32, capability: bool) {
    let root = nix::unistd::geteuid().is_root();
    std::fs::create_dir(directory).unwrap();
    std::fs::write(directory.join("file"), "0123456789").unwrap();
    if root {
        chown(directory, Some(owner), Some(group)).unwrap();
        chown(directory.join("file"), Some(owner), Some(group)).unwrap();
    }
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o2777)).unwrap();
    std::fs::set_permissions(
        directory.join("file"),
        std::fs::Permissions::from_mode(mode),
    )
    .unwrap();
    if root && capability {
        let path = c(&directory.join("file"));
        // SAFETY: NUL-terminated names and a live value of the given length.
        let set = unsafe {
            libc::setxattr(
                path.as_ptr(),
                c"security.capability".as_ptr(),
                CAPABILITY.as_ptr().cast(),
                CAPABILITY.len(),
                0,
            )
        };
        assert!(set == 0 || Errno::last() == Errno(libc::EOPNOTSUPP));
    }
}

/// Mode, owner, group, size, file capability.
type Left = (u32, u32, u32, u64, bool);

/// What is compared: mode, owner, group, size and file capability of both names.
fn left(directory: &Path) -> Vec<Option<Left>> {
    let look = |name: &str| {
        let path = directory.join(name);
        let data = path.symlink_metadata().ok()?;
        let size = if data.is_file() { data.size() } else { 0 };
        Some((
            data.mode(),
            data.uid(),
            data.gid(),
            size,
            has_capability(&c(&path)),
        ))
    };
    ["file", "made"].map(look).into()
}

/// The users to compare as: the calling one, and for root also one without rights.
fn users() -> Vec<(Option<&'static str>, Option<u32>)> {
    match nix::unistd::geteuid().is_root() {
        true => vec![(None, None), (Some("nobody"), Some(65534))],
        false => {
            println!("not root: compared as the calling user only");
            vec![(None, None)]
        }
    }
}

fn compare(
    daemon: &Daemon,
    client: &Client,
    user: Option<u32>,
    what: &str,
    setup: &dyn Fn(&Path),
) -> u32 {
    let mut differences = 0;
    for act in ACTS {
        let sides = ["native", "guest"].map(|side| daemon.export(side));
        sides.iter().for_each(|side| setup(side));
        let paths = sides
            .clone()
            .map(|side| (c(&side.join("file")), c(&side.join("made"))));
        let (file, made) = paths[0].clone();
        let native_act = act.native;
        let native = natively(user, move || native_act(&file, &made));
        let guest = (act.guest)(client, &paths[1].0, &paths[1].1);
        let (expected, found) = (left(&sides[0]), left(&sides[1]));
        if (native, &expected) != (guest, &found) {
            println!("{what}, {}: natively {native:?} {expected:?}, through a shadow {guest:?} {found:?}", act.name);
            differences += 1;
        }
        sides
            .iter()
            .for_each(|side| std::fs::remove_dir_all(side).unwrap());
    }
    differences
}

fn with_shadow(check: impl Fn(&Daemon, &Client, Option<u32>)) {
    for (name, id) in users() {
        let daemon = Daemon::configured(|directory| {
            for path in [directory, &directory.join("export")] {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
            }
            match name {
                Some(name) => json!({"exports": exports(directory), "as": name}),
                None => json!({"exports": exports(directory)}),
            }
        });
        let client = daemon.attach();
        check(&daemon, &client, id);
        leave(client);
    }
}

/// virtiofsd made files with the wrong group and kept the bit: a new file in a set-group-id directory has its group,
/// and the bit only if its maker is in that group or may do anything.
#[test]
fn cve_2022_0358_new_files_in_a_setgid_directory() {
    with_shadow(|daemon, client, user| {
        let mut differences = 0;
        for group in [65534, 4321] {
            for owner in [0, 65534] {
                let what = format!("group {group}, owner {owner}, as {user:?}");
                differences += compare(daemon, client, user, &what, &|side| {
                    prepare(side, group, owner, 0o666, false)
                });
            }
        }
        assert_eq!(differences, 0);
    });
}

/// virtiofsd kept set-user-id bits and file capabilities over a write.
#[test]
fn cve_2021_20263_ghsa_ppj8_867g_rgjr_privileges_of_a_file_are_dropped_on_write_and_chown() {
    with_shadow(|daemon, client, user| {
        let mut differences = 0;
        for mode in [0o6777, 0o2767, 0o6755] {
            for owner in [0, 65534] {
                for capability in [false, true] {
                    let what = format!(
                        "mode {mode:o}, owner {owner}, capability {capability}, as {user:?}"
                    );
                    differences += compare(daemon, client, user, &what, &|side| {
                        prepare(side, owner, owner, mode, capability)
                    });
                }
            }
        }
        assert_eq!(differences, 0);
    });
}

/// QEMU's 9p server: an attribute written past its end, and an attribute without a name.
#[test]
fn cve_2016_9104_cve_2016_8578_attributes_of_odd_sizes_and_names() {
    let daemon = Daemon::start();
    let client = daemon.attach();
    let (native, guest) = (c(&daemon.export("native")), c(&daemon.export("guest")));
    for path in ["native", "guest"] {
        std::fs::write(daemon.export(path), "").unwrap();
    }
    let long = CString::new(format!("user.{}", "n".repeat(300))).unwrap();
    let names: [&CStr; 8] = [
        c"user.a",
        c"user.b",
        c"",
        c"user.",
        c"a",
        c"bogus.a",
        c"user.\xff",
        &long,
    ];
    let none = AtFlags(0);
    for name in names {
        for size in [0, 1, 255, 4000, 65_535, 65_536, 65_537, 120_000] {
            let value = vec![b'v'; size];
            for create in [0, libc::XATTR_CREATE, libc::XATTR_REPLACE, 8] {
                // SAFETY: NUL-terminated names and a live value of the given length.
                let expected = done(
                    unsafe {
                        libc::setxattr(
                            native.as_ptr(),
                            name.as_ptr(),
                            value.as_ptr().cast(),
                            size,
                            create,
                        )
                    }
                    .into(),
                );
                let found = client
                    .setxattr(DirFd::CWD, &guest, none, name, Source::new(&value), create)
                    .map(drop);
                assert_eq!(
                    found, expected,
                    "set {name:?} to {size} bytes with {create}"
                );
            }
            for room in [0, 1, size.saturating_sub(1), size, size + 1, 70_000] {
                let mut data = [vec![0xaa; room], vec![0xaa; room]];
                // SAFETY: NUL-terminated names and a live buffer of the given length.
                let expected = Errno::result(unsafe {
                    libc::getxattr(
                        native.as_ptr(),
                        name.as_ptr(),
                        data[0].as_mut_ptr().cast(),
                        room,
                    )
                } as i64);
                let found = client
                    .getxattr(DirFd::CWD, &guest, none, name, Sink::new(&mut data[1]))
                    .map(|reply| reply.size as i64);
                assert_eq!(found, expected, "get {name:?} into {room} bytes");
                assert!(
                    data[0] == data[1],
                    "get {name:?} of {size} into {room} bytes"
                );
            }
        }
        for room in [0, 1, 5, 7, 14, 4096] {
            let mut data = [vec![0xaa; room], vec![0xaa; room]];
            // SAFETY: a NUL-terminated path and a live buffer of the given length.
            let expected = Errno::result(unsafe {
                libc::listxattr(native.as_ptr(), data[0].as_mut_ptr().cast(), room)
            } as i64);
            let found = client
                .listxattr(DirFd::CWD, &guest, none, Sink::new(&mut data[1]))
                .map(|reply| reply.size as i64);
            assert_eq!(
                (found, &data[0]),
                (expected, &data[1]),
                "list into {room} bytes"
            );
        }
        // SAFETY: NUL-terminated names.
        let expected = done(unsafe { libc::removexattr(native.as_ptr(), name.as_ptr()) }.into());
        assert_eq!(
            client.removexattr(DirFd::CWD, &guest, none, name).map(drop),
            expected,
            "remove {name:?}"
        );
    }
    client.nop().unwrap();
    leave(client);
}
