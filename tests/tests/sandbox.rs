//! The view of shadows, tried from inside: each test forks a process, confines it and lets it attack.

use hostcall_tests::confined::{
    become_nobody, confined, confined_after, errno_of, forked, mount, names, open_errno,
    own_mounts, policy, require_root, ro, rw, As, Bystander, End, Tree, ALL,
};
use hostd::config::{Access, Export, HostUser, Limits};
use hostd::shadow::sandbox::{self, Error, LayerName, Policy};
use nix::errno::Errno;
use nix::sys::stat::{mknod, Mode, SFlag};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{chown, symlink, PermissionsExt};
use std::path::Path;

#[test]
fn nothing_but_the_exports_can_be_reached() {
    for who in ALL {
        let tree = Tree::new();
        confined(who, &tree.both(), |report| {
            assert!(report.layer(LayerName::View).unwrap().active);
            let secret = tree.at("outside/secret");
            assert_eq!(open_errno(&secret), Some(Errno::ENOENT));
            assert_eq!(open_errno("/etc/passwd"), Some(Errno::ENOENT));
            assert_eq!(open_errno("/proc/self/root"), Some(Errno::ENOENT));
            assert_eq!(open_errno("/proc/1/root/etc/passwd"), Some(Errno::ENOENT));
            assert_eq!(std::env::current_dir().unwrap(), Path::new("/"));
            assert_eq!(names("."), ["tmp"]);
            assert_eq!(names("/../../.."), ["tmp"]);
            assert_eq!(names("/tmp").len(), 1);
            assert_eq!(names(tree.at("")), ["ro", "rw"]);
            let dots = "../".repeat(40);
            for start in ["/", "/tmp", tree.at("rw").to_str().unwrap()] {
                std::env::set_current_dir(start).unwrap();
                assert_eq!(open_errno(format!("{dots}etc/passwd")), Some(Errno::ENOENT));
                assert_eq!(
                    open_errno(format!("{dots}{}", secret.display())),
                    Some(Errno::ENOENT)
                );
            }
            // The way to the exports cannot be changed either.
            assert!(fs::write("/new", "").is_err());
            assert!(fs::create_dir(tree.at("new")).is_err());
            fs::write(tree.at("rw/new"), "new").unwrap();
            assert_eq!(fs::read_to_string(tree.at("ro/file")).unwrap(), "ro/file");
        });
        assert_eq!(fs::read_to_string(tree.at("rw/new")).unwrap(), "new");
        assert_eq!(names(tree.at("")), ["outside", "ro", "rw"]);
    }
}

#[test]
fn a_directory_held_open_is_refused_and_a_working_directory_is_left() {
    let tree = Tree::new();
    let end = forked(|| {
        let _held = fs::File::open(tree.at("outside")).unwrap();
        match sandbox::enter(&policy(As::Root, &tree.both())) {
            Err(Error::HeldDirectory { path, .. }) => path.display().to_string(),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(end, End::Done(tree.at("outside").display().to_string()));
    for who in ALL {
        let start = || std::env::set_current_dir(tree.at("outside")).unwrap();
        confined_after(who, &tree.both(), start, |_| {
            assert_eq!(open_errno("secret"), Some(Errno::ENOENT));
            assert_eq!(open_errno("../outside/secret"), Some(Errno::ENOENT));
        });
    }
}

#[test]
fn a_read_only_export_cannot_be_written() {
    for who in ALL {
        let tree = Tree::new();
        confined(who, &tree.both(), |_| {
            // Landlock answers EACCES where it is asked before the mount; EXDEV: two mounts are two file systems.
            let refused = |what: &str, errno: Option<Errno>| {
                let expected = [Errno::EROFS, Errno::EACCES, Errno::EXDEV].map(Some);
                assert!(expected.contains(&errno), "{what}: {errno:?}");
            };
            for file in ["ro/file", "ro/sub/file"] {
                let file = tree.at(file);
                let name = file.to_str().unwrap();
                refused(
                    "write",
                    errno_of(fs::OpenOptions::new().write(true).open(&file)),
                );
                refused("truncate", nix::unistd::truncate(&file, 0).err());
                refused(
                    "chmod",
                    errno_of(fs::set_permissions(
                        &file,
                        fs::Permissions::from_mode(0o000),
                    )),
                );
                refused("chown", errno_of(chown(&file, Some(65534), Some(65534))));
                refused("unlink", errno_of(fs::remove_file(&file)));
                refused("rename", errno_of(fs::rename(&file, tree.at("ro/renamed"))));
                refused(
                    "rename out",
                    errno_of(fs::rename(&file, tree.at("rw/renamed"))),
                );
                refused("rename in", errno_of(fs::rename(tree.at("rw/file"), &file)));
                refused(
                    "link out",
                    errno_of(fs::hard_link(&file, tree.at("rw/link"))),
                );
                let now = rustix::fs::Timestamps {
                    last_access: rustix::fs::Timespec {
                        tv_sec: 0,
                        tv_nsec: 0,
                    },
                    last_modification: rustix::fs::Timespec {
                        tv_sec: 0,
                        tv_nsec: 0,
                    },
                };
                let times = rustix::fs::utimensat(
                    rustix::fs::CWD,
                    name,
                    &now,
                    rustix::fs::AtFlags::empty(),
                );
                refused("utimens", errno_of(times.map_err(Into::into)));
                let flags = rustix::fs::XattrFlags::empty();
                let xattr = rustix::fs::setxattr(name, "user.x", b"x", flags);
                refused("setxattr", errno_of(xattr.map_err(Into::into)));
            }
            for dir in ["ro", "ro/sub"] {
                refused("create", errno_of(fs::write(tree.at(dir).join("new"), "")));
                refused("mkdir", errno_of(fs::create_dir(tree.at(dir).join("new"))));
                refused("symlink", errno_of(symlink("/", tree.at(dir).join("new"))));
                let fifo = mknod(&tree.at(dir).join("new"), SFlag::S_IFIFO, Mode::empty(), 0);
                refused("mknod", fifo.err());
            }
        });
        assert_eq!(fs::read_to_string(tree.at("ro/file")).unwrap(), "ro/file");
        assert_eq!(names(tree.at("ro")), ["file", "sub"]);
    }
}

#[test]
fn read_only_holds_for_mounts_inside_the_export_and_read_write_inside_it() {
    for who in [As::Root, As::Dropped] {
        let tree = Tree::new();
        let exports = [
            tree.export("ro", Access::Ro),
            tree.export("ro/sub/open", Access::Rw),
            tree.export("rw", Access::Rw),
            tree.export("rw/inner", Access::Ro),
            tree.export("rw/inner/file", Access::Rw),
        ];
        let before = || {
            own_mounts();
            mount("tmpfs", &tree.at("ro/sub"));
            fs::create_dir(tree.at("ro/sub/open")).unwrap();
            fs::set_permissions(tree.at("ro/sub/open"), fs::Permissions::from_mode(0o777)).unwrap();
        };
        confined_after(who, &exports, before, |_| {
            let write = |path: &str| errno_of(fs::write(tree.at(path), "changed"));
            assert_eq!(write("ro/sub/new"), Some(Errno::EROFS));
            assert_eq!(write("ro/sub/open/new"), None);
            assert_eq!(write("rw/file"), None);
            assert_eq!(write("rw/inner/new"), Some(Errno::EROFS));
            assert_eq!(write("rw/inner/file"), None);
            // The mount points stay where they are.
            let moved = fs::rename(tree.at("rw/inner"), tree.at("rw/moved"));
            assert_eq!(errno_of(moved), Some(Errno::EBUSY));
        });
        assert_eq!(
            fs::read_to_string(tree.at("rw/inner/file")).unwrap(),
            "changed"
        );
        assert_eq!(names(tree.at("rw/inner")), ["file"]);
    }
}

#[test]
fn a_single_file_can_be_exported() {
    for who in ALL {
        let tree = Tree::new();
        let exports = [
            tree.export("rw/file", Access::Rw),
            tree.export("ro/file", Access::Ro),
        ];
        confined(who, &exports, |_| {
            fs::write(tree.at("rw/file"), "changed").unwrap();
            assert_eq!(fs::read_to_string(tree.at("ro/file")).unwrap(), "ro/file");
            assert!(fs::write(tree.at("ro/file"), "").is_err());
            assert_eq!(names(tree.at("rw")), ["file"]);
        });
        assert_eq!(fs::read_to_string(tree.at("rw/file")).unwrap(), "changed");
    }
}

#[test]
fn a_symbolic_link_to_an_export_leads_there_in_the_view_too() {
    for who in ALL {
        let tree = Tree::new();
        symlink(tree.at("rw"), tree.at("link")).unwrap();
        symlink("inner", tree.at("rw/second")).unwrap();
        confined(who, &[tree.export("link/second", Access::Rw)], |_| {
            fs::write(tree.at("link/second/new"), "new").unwrap();
            assert_eq!(fs::read_to_string(tree.at("rw/inner/new")).unwrap(), "new");
            assert_eq!(names(tree.at("rw")), ["inner", "second"]);
            assert_eq!(open_errno(tree.at("rw/file")), Some(Errno::ENOENT));
        });
    }
}

#[test]
fn exports_that_cannot_be_used_are_named() {
    require_root();
    let tree = Tree::new();
    let fault = |exports: Vec<Export>| {
        let end = forked(|| {
            sandbox::enter(&policy(As::Root, &exports))
                .unwrap_err()
                .to_string()
        });
        match end {
            End::Done(text) => text,
            End::Killed(signal) => panic!("{signal}"),
        }
    };
    let missing = fault(vec![tree.export("absent", Access::Rw)]);
    assert!(
        missing.starts_with("export /tmp/hostcall-sandbox-"),
        "{missing}"
    );
    assert!(missing.contains("absent cannot be used: No such file or directory"));
    assert!(fault(vec![ro("/proc/self")]).contains("proc file system"));
    symlink(tree.at("rw"), tree.at("alias")).unwrap();
    let both_ways = vec![
        tree.export("rw", Access::Ro),
        tree.export("alias", Access::Rw),
    ];
    assert!(fault(both_ways).contains("one rw and one ro"));
    let other = forked(|| {
        become_nobody();
        let policy = Policy {
            user: HostUser::named("root").unwrap(),
            callers: None,
            exports: vec![rw("/")],
            limits: Limits::default(),
        };
        sandbox::enter(&policy).unwrap_err().to_string()
    });
    let expected = "only root can run shadows as root; run hostd as root or as root";
    assert_eq!(other, End::Done(expected.to_owned()));
}

#[test]
fn cve_2016_9602_links_that_point_out_stay_in_the_view() {
    for who in ALL {
        let tree = Tree::new();
        let secret = tree.at("outside/secret");
        symlink(&secret, tree.at("rw/absolute")).unwrap();
        symlink("../outside/secret", tree.at("rw/relative")).unwrap();
        symlink(tree.at("outside"), tree.at("rw/dir")).unwrap();
        fs::create_dir(tree.at("rw/bar")).unwrap();
        fs::set_permissions(tree.at("rw/bar"), fs::Permissions::from_mode(0o777)).unwrap();
        confined(who, &tree.both(), |_| {
            for path in [
                "absolute",
                "relative",
                "dir/secret",
                "dir/../outside/secret",
            ] {
                assert_eq!(
                    open_errno(tree.at("rw").join(path)),
                    Some(Errno::ENOENT),
                    "{path}"
                );
                let create = fs::write(tree.at("rw").join(path), "overwritten");
                assert!(create.is_err(), "{path}");
            }
            // The published attack: a link made inside, moved up a level so that it points further out.
            symlink("../../outside", tree.at("rw/bar/link")).unwrap();
            fs::rename(tree.at("rw/bar/link"), tree.at("rw/link")).unwrap();
            std::env::set_current_dir(tree.at("rw/bar")).unwrap();
            assert_eq!(open_errno("../link/secret"), Some(Errno::ENOENT));
            // A working directory that is moved does not take its holder out.
            fs::rename(tree.at("rw/bar"), tree.at("rw/inner/bar")).unwrap();
            assert_eq!(open_errno("../../../outside/secret"), Some(Errno::ENOENT));
            assert!(fs::hard_link(&secret, tree.at("rw/hard")).is_err());
        });
        assert_eq!(fs::read_to_string(&secret).unwrap(), "outside/secret");
    }
}

#[test]
fn cve_2020_35517_device_nodes_in_an_export_cannot_be_opened() {
    for who in ALL {
        let tree = Tree::new();
        let everyone = Mode::from_bits_truncate(0o666);
        let null = nix::sys::stat::makedev(1, 3);
        let node = tree.at("rw/made-by-host");
        mknod(&node, SFlag::S_IFCHR, everyone, null).unwrap();
        fs::set_permissions(&node, fs::Permissions::from_mode(0o666)).unwrap();
        fs::File::open(&node).unwrap();
        confined(who, &tree.both(), |report| {
            assert!(report.layer(LayerName::Devices).unwrap().active);
            assert_eq!(open_errno(&node), Some(Errno::EACCES));
            let made = mknod(&tree.at("rw/made-by-guest"), SFlag::S_IFCHR, everyone, null);
            match who {
                As::Root => {
                    made.unwrap();
                    assert_eq!(open_errno(tree.at("rw/made-by-guest")), Some(Errno::EACCES));
                }
                _ => assert_eq!(made, Err(Errno::EPERM)),
            }
        });
    }
}

#[test]
fn the_harmless_devices_work_where_dev_is_exported() {
    for (who, exports) in [
        (As::Root, vec![rw("/")]),
        (As::Root, vec![ro("/")]),
        (As::Dropped, vec![rw("/dev")]),
        (As::Ordinary, vec![ro("/dev")]),
        (
            As::Root,
            vec![
                rw("/dev/null"),
                rw("/dev/zero"),
                rw("/dev/urandom"),
                rw("/dev/tty"),
            ],
        ),
    ] {
        let all_of_dev = exports.len() == 1;
        confined(who, &exports, |_| {
            let mut bytes = [1; 16];
            fs::File::open("/dev/zero")
                .unwrap()
                .read_exact(&mut bytes)
                .unwrap();
            assert_eq!(bytes, [0; 16]);
            fs::File::open("/dev/urandom")
                .unwrap()
                .read_exact(&mut bytes)
                .unwrap();
            fs::OpenOptions::new()
                .write(true)
                .open("/dev/null")
                .unwrap()
                .write_all(b"x")
                .unwrap();
            // Not the terminal that hostd was started from.
            assert_eq!(open_errno("/dev/tty"), Some(Errno::ENXIO));
            let others = [
                "/dev/kmsg",
                "/dev/mem",
                "/dev/ptmx",
                "/dev/vda",
                "/dev/sda",
                "/dev/loop-control",
            ];
            let denied = others.map(open_errno).into_iter().flatten();
            let denied: Vec<_> = denied.filter(|errno| *errno != Errno::ENOENT).collect();
            assert!(
                denied.iter().all(|errno| *errno == Errno::EACCES),
                "{denied:?}"
            );
            assert!(!all_of_dev || !denied.is_empty());
        });
    }
}

#[test]
fn proc_is_covered_in_a_limited_view() {
    for who in [As::Root, As::Dropped] {
        confined(who, &[ro("/")], |_| {
            assert_eq!(names("/proc"), [""; 0]);
            assert!(fs::metadata("/etc/passwd").is_ok());
            assert!(fs::write("/etc/hostcall-test", "").is_err());
        });
        let tree = Tree::new();
        let before = || {
            own_mounts();
            mount("proc", &tree.at("rw/inner"));
        };
        confined_after(who, &tree.both(), before, |_| {
            assert_eq!(names(tree.at("rw/inner")), [""; 0]);
        });
    }
    confined(As::Ordinary, &[rw("/"), ro("/etc")], |_| {
        assert_eq!(names("/proc"), [""; 0]);
        assert!(fs::metadata("/etc/passwd").is_ok());
        assert_eq!(errno_of(fs::write("/etc/passwd", "")), Some(Errno::EROFS));
    });
}

#[test]
fn a_shadow_cannot_write_its_own_code_or_look_into_others() {
    for who in ALL {
        require_root();
        // A bystander of the same user, dumpable as all programs are.
        let bystander = Bystander::start(who != As::Root);
        confined(who, &[rw("/")], |report| {
            let own = fs::OpenOptions::new().write(true).open("/proc/self/mem");
            let refused = [Errno::EROFS, Errno::EACCES].map(Some);
            assert!(refused.contains(&errno_of(own)));
            assert!(fs::read("/proc/self/stat").is_ok());
            if !report.layer(LayerName::LandlockScope).unwrap().active {
                return;
            }
            let pid = bystander.pid;
            for file in ["root/etc/passwd", "mem", "environ"] {
                let errno = open_errno(format!("/proc/{pid}/{file}"));
                assert_eq!(errno, Some(Errno::EACCES), "{file}");
            }
            let signal = nix::sys::signal::kill(pid, None);
            assert_eq!(signal, Err(Errno::EPERM));
        });
    }
}
