//! The rights and system calls that are left to shadows, tried from inside, and what confinement costs.

use hostcall_tests::confined::{confined, forked, open_errno, policy, ro, rw, As, End, Tree, ALL};
use hostd::config::Export;
use hostd::idmap::{IdMap, IdMaps, Range};
use hostd::shadow::sandbox::{self, LayerName, Report};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

/// What the zygote does and then each shadow.
fn seal(callers: Option<&IdMaps>) {
    sandbox::confine(callers).unwrap();
    sandbox::seal().unwrap();
}

#[test]
fn rights_are_those_of_the_user_and_no_more() {
    use rustix::thread::{capabilities, capability_is_in_bounding_set, CapabilitySet};
    for who in ALL {
        let tree = Tree::new();
        confined(who, &tree.both(), |_| {
            let files = CapabilitySet::CHOWN
                | CapabilitySet::DAC_OVERRIDE
                | CapabilitySet::FOWNER
                | CapabilitySet::FSETID
                | CapabilitySet::MKNOD
                | CapabilitySet::SETFCAP;
            let expected = if who == As::Root {
                files
            } else {
                CapabilitySet::empty()
            };
            let held = capabilities(None).unwrap();
            assert_eq!(held.effective, expected);
            assert_eq!(held.permitted, expected);
            assert_eq!(held.inheritable, CapabilitySet::empty());
            assert!(!capability_is_in_bounding_set(CapabilitySet::SYS_ADMIN).unwrap());
            assert!(nix::sys::prctl::get_no_new_privs().unwrap());
            assert!(!nix::sys::prctl::get_dumpable().unwrap());
            let uid = if who == As::Root { 0 } else { 65534 };
            let ids = nix::unistd::getresuid().unwrap();
            assert_eq!([ids.real, ids.effective, ids.saved], [uid.into(); 3]);
            assert!(nix::unistd::setuid(1000.into()).is_err());
            assert!(nix::mount::umount("/").is_err());
            use nix::sys::resource::{getrlimit, setrlimit, Resource};
            // The guest's, the one by which a shadow reaches them, the events of whoever follows, and the line of its life.
            assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (4099, 4099));
            assert_eq!(getrlimit(Resource::RLIMIT_AS).unwrap(), (1 << 30, 1 << 30));
            assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
            assert!(setrlimit(Resource::RLIMIT_NOFILE, 8192, 8192).is_err());
        });
    }
}

#[test]
fn owners_are_shown_as_they_are() {
    // An ordinary user with the default export needs no user namespace, which would show root's files as nobody's.
    let owner = |_: Report| assert_eq!(fs::metadata("/etc/passwd").unwrap().uid(), 0);
    confined(As::Ordinary, &[rw("/")], owner);
    confined(As::Dropped, &[ro("/etc")], owner);
    confined(As::Root, &[rw("/")], owner);
}

#[test]
fn the_report_names_every_layer_once_with_a_reason() {
    let every = [
        LayerName::View,
        LayerName::Devices,
        LayerName::NoNewPrivs,
        LayerName::LandlockFiles,
        LayerName::LandlockScope,
        LayerName::Limits,
        LayerName::User,
        LayerName::Seccomp,
    ];
    for who in ALL {
        let tree = Tree::new();
        for exports in [tree.both().to_vec(), vec![rw("/")]] {
            confined(who, &exports, |report| {
                let names: Vec<_> = report.layers.iter().map(|layer| layer.layer).collect();
                assert_eq!(names, every);
                assert!(report.layers.iter().all(|layer| !layer.detail.is_empty()));
                let line = report.to_string();
                assert!(
                    !line.contains('\n') && line.contains("no_new_privs"),
                    "{line}"
                );
                let json = serde_json::to_string(&report).unwrap();
                assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
            });
        }
    }
}

/// Makes one system call in a sealed process.
fn sealed(number: i64, arguments: [i64; 4]) -> End {
    forked(|| {
        seal(None);
        let [a, b, c, d] = arguments;
        // SAFETY: the calls tried here have null or plain integer arguments; none changes this process's memory.
        let result = unsafe { libc::syscall(number, a, b, c, d, 0, 0) };
        match result {
            -1 => Errno::last()
                .to_string()
                .split(':')
                .next()
                .unwrap_or_default()
                .to_owned(),
            _ => "allowed".to_owned(),
        }
    })
}

#[test]
fn seccomp_kills_whoever_leaves_the_list() {
    let kills: &[(&str, i64, [i64; 4])] = &[
        #[cfg(target_arch = "x86_64")]
        ("fork", libc::SYS_fork, [0; 4]),
        #[cfg(target_arch = "x86_64")]
        ("open", libc::SYS_open, [0; 4]),
        (
            "clone as fork",
            libc::SYS_clone,
            [libc::SIGCHLD.into(), 0, 0, 0],
        ),
        (
            "clone with a namespace",
            libc::SYS_clone,
            [
                (libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD | libc::CLONE_NEWUSER)
                    .into(),
                0,
                0,
                0,
            ],
        ),
        (
            "clone as vfork",
            libc::SYS_clone,
            [(libc::CLONE_VM | libc::CLONE_VFORK).into(), 0, 0, 0],
        ),
        ("wait4", libc::SYS_wait4, [-1, 0, 0, 0]),
        ("pidfd_open", libc::SYS_pidfd_open, [1, 0, 0, 0]),
        ("another filter", libc::SYS_seccomp, [0; 4]),
        ("execve", libc::SYS_execve, [0; 4]),
        ("execveat", libc::SYS_execveat, [0; 4]),
        ("socket", libc::SYS_socket, [libc::AF_INET.into(), 1, 0, 0]),
        ("connect", libc::SYS_connect, [0; 4]),
        ("mount", libc::SYS_mount, [0; 4]),
        ("unshare", libc::SYS_unshare, [0; 4]),
        ("setns", libc::SYS_setns, [0; 4]),
        ("chroot", libc::SYS_chroot, [0; 4]),
        ("ptrace", libc::SYS_ptrace, [0; 4]),
        ("process_vm_writev", libc::SYS_process_vm_writev, [0; 4]),
        ("bpf", libc::SYS_bpf, [0; 4]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [0; 4]),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, [0; 4]),
        ("setuid", libc::SYS_setuid, [0; 4]),
        ("setfsuid", libc::SYS_setfsuid, [1000, 0, 0, 0]),
        ("setfsgid", libc::SYS_setfsgid, [-1, 0, 0, 0]),
        ("setgroups", libc::SYS_setgroups, [0; 4]),
        ("capset", libc::SYS_capset, [0; 4]),
        (
            "a mask of its own",
            libc::SYS_unshare,
            [libc::CLONE_FS.into(), 0, 0, 0],
        ),
        ("keyctl", libc::SYS_keyctl, [0; 4]),
        ("kill", libc::SYS_kill, [1, 0, 0, 0]),
        ("tgkill of another process", libc::SYS_tgkill, [1, 1, 0, 0]),
        ("ioctl", libc::SYS_ioctl, [0, libc::TIOCSTI as i64, 0, 0]),
        (
            "prctl but for the name",
            libc::SYS_prctl,
            [libc::PR_SET_DUMPABLE.into(), 1, 0, 0],
        ),
        (
            "executable memory",
            libc::SYS_mmap,
            [
                0,
                4096,
                (libc::PROT_READ | libc::PROT_EXEC).into(),
                libc::MAP_ANONYMOUS.into(),
            ],
        ),
        (
            "memory made executable",
            libc::SYS_mprotect,
            [0, 0, libc::PROT_EXEC.into(), 0],
        ),
        // The x32 numbers name the same calls past a list that compares the plain ones.
        #[cfg(target_arch = "x86_64")]
        ("x32", libc::SYS_getpid | 0x4000_0000, [0; 4]),
    ];
    for (name, number, arguments) in kills {
        assert_eq!(
            sealed(*number, *arguments),
            End::Killed(Signal::SIGSYS),
            "{name}"
        );
    }
}

/// The zygote reads nothing of a guest's, but what a shadow could have done to it ends here too.
#[test]
fn a_zygote_forks_and_little_else() {
    let tried = |number: i64, arguments: [i64; 4]| {
        forked(|| {
            sandbox::confine(None).unwrap();
            let [a, b, c, d] = arguments;
            // SAFETY: null and plain integer arguments.
            unsafe { libc::syscall(number, a, b, c, d, 0, 0) };
            "allowed".to_owned()
        })
    };
    let killed = End::Killed(Signal::SIGSYS);
    assert_eq!(
        tried(libc::SYS_wait4, [-1, 0, 0, 0]),
        End::Done("allowed".to_owned())
    );
    assert_eq!(tried(libc::SYS_execve, [0; 4]), killed);
    assert_eq!(
        tried(libc::SYS_socket, [libc::AF_INET.into(), 1, 0, 0]),
        killed
    );
    assert_eq!(tried(libc::SYS_kill, [1, 0, 0, 0]), killed);
    let namespace = i64::from(libc::SIGCHLD | libc::CLONE_NEWUSER);
    assert_eq!(tried(libc::SYS_clone, [namespace, 0, 0, 0]), killed);
    let forks = forked(|| {
        sandbox::confine(None).unwrap();
        // SAFETY: this copy of the process has one thread, and the child only ends.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => std::process::exit(7),
            nix::unistd::ForkResult::Parent { child } => {
                format!(
                    "{:?}",
                    nix::sys::wait::waitpid(child, None)
                        .map(|end| matches!(end, nix::sys::wait::WaitStatus::Exited(_, 7)))
                )
            }
        }
    });
    assert_eq!(forks, End::Done("Ok(true)".to_owned()));
}

/// A shadow that acts for its callers takes ids that the maps name, and is dead before it takes another.
#[test]
fn seccomp_holds_the_maps_of_callers() {
    let range = |host| Range {
        guest: 0,
        host,
        count: 1000,
    };
    let maps = IdMaps {
        uids: IdMap::new(&[range(50_000)]).unwrap(),
        gids: IdMap::new(&[
            range(60_000),
            Range {
                guest: 5000,
                host: 7,
                count: 1,
            },
        ])
        .unwrap(),
    };
    let tried = |number: i64, argument: i64| {
        let maps = maps.clone();
        let end = forked(move || {
            seal(Some(&maps));
            // SAFETY: a plain integer argument; the thread ends with the process.
            unsafe { libc::syscall(number, argument) };
            "allowed".to_owned()
        });
        end == End::Done("allowed".to_owned())
    };
    let (uid, gid) = (libc::SYS_setfsuid, libc::SYS_setfsgid);
    for id in [50_000, 50_999, 65534, -1] {
        assert!(tried(uid, id), "user {id}");
    }
    for id in [0, 1000, 49_999, 51_000, 65535, -2, 1 << 32] {
        assert!(!tried(uid, id), "user {id}");
    }
    for (id, allowed) in [
        (60_000, true),
        (7, true),
        (6, false),
        (8, false),
        (0, false),
    ] {
        assert_eq!(tried(gid, id), allowed, "group {id}");
    }
    assert!(tried(libc::SYS_unshare, libc::CLONE_FS.into()));
    for flags in [libc::CLONE_NEWNS, libc::CLONE_NEWUSER, libc::CLONE_FILES] {
        assert!(!tried(libc::SYS_unshare, (libc::CLONE_FS | flags).into()));
    }
    assert!(!tried(libc::SYS_setuid, 50_000));
}

/// Root's rights on files stay only where somebody in the guest stands for root.
#[test]
fn a_shadow_for_callers_keeps_what_its_maps_need() {
    use rustix::thread::{capabilities, capability_is_in_bounding_set, CapabilitySet};
    let apart = IdMaps {
        uids: IdMap::new(&[Range {
            guest: 0,
            host: 50_000,
            count: 1000,
        }])
        .unwrap(),
        gids: IdMap::identity(),
    };
    let switching = CapabilitySet::SETUID | CapabilitySet::SETGID;
    let files = sandbox::FILE_RIGHTS;
    for (maps, expected) in [
        (IdMaps::identity(), switching | files),
        (apart, switching | CapabilitySet::DAC_OVERRIDE),
    ] {
        let tree = Tree::new();
        let policy = sandbox::Policy {
            callers: Some(maps),
            ..policy(As::Root, &tree.both())
        };
        let end = forked(move || {
            sandbox::enter(&policy).unwrap_or_else(|error| panic!("{error}"));
            let held = capabilities(None).unwrap();
            assert_eq!((held.effective, held.permitted), (expected, expected));
            assert_eq!(nix::unistd::getgroups().unwrap(), []);
            assert!(!capability_is_in_bounding_set(CapabilitySet::SYS_ADMIN).unwrap());
            assert!(!nix::sys::prctl::get_dumpable().unwrap());
            String::new()
        });
        assert_eq!(end, End::Done(String::new()));
    }
}

#[test]
fn seccomp_answers_what_an_op_may_pass_on() {
    let answers: &[(&str, i64, [i64; 4], &str)] = &[
        ("clone3", libc::SYS_clone3, [0; 4], "ENOSYS"),
        (
            "F_SETOWN",
            libc::SYS_fcntl,
            [0, libc::F_SETOWN.into(), 1, 0],
            "EPERM",
        ),
        ("F_SETSIG", libc::SYS_fcntl, [0, 10, 9, 0], "EPERM"),
        (
            "F_SETLEASE",
            libc::SYS_fcntl,
            [0, libc::F_SETLEASE.into(), 0, 0],
            "EPERM",
        ),
        (
            "F_NOTIFY",
            libc::SYS_fcntl,
            [0, libc::F_NOTIFY.into(), 0, 0],
            "EPERM",
        ),
        // The kernel reads 32 bits of the command; a filter that compares 64 is passed by.
        (
            "F_SETOWN, high bits",
            libc::SYS_fcntl,
            [0, i64::from(libc::F_SETOWN) | 1 << 40, 1, 0],
            "EPERM",
        ),
        (
            "F_GETFD",
            libc::SYS_fcntl,
            [0, libc::F_GETFD.into(), 0, 0],
            "allowed",
        ),
        ("getpid", libc::SYS_getpid, [0; 4], "allowed"),
    ];
    for (name, number, arguments, expected) in answers {
        assert_eq!(
            sealed(*number, *arguments),
            End::Done((*expected).to_owned()),
            "{name}"
        );
    }
}

#[test]
fn a_sealed_shadow_works() {
    let tree = Tree::new();
    for who in ALL {
        confined(who, &tree.both(), |_| {
            seal(None);
            let file = tree.at("rw/file");
            let threads: Vec<_> = (0..4)
                .map(|index| {
                    let file = file.clone();
                    let builder = std::thread::Builder::new().name(format!("lane {index}"));
                    builder
                        .spawn(move || fs::read(file).unwrap().len())
                        .unwrap()
                })
                .collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), 7);
            }
            assert_eq!(open_errno("/etc/passwd"), Some(Errno::ENOENT));
            std::thread::sleep(std::time::Duration::from_millis(1));
            assert!(vec![1u8; 8 << 20].iter().all(|&byte| byte == 1));
        });
    }
}

#[test]
fn a_shadow_that_aborts_is_seen_to_abort() {
    let end = forked(|| {
        seal(None);
        std::process::abort()
    });
    assert_eq!(end, End::Killed(Signal::SIGABRT));
}

/// Median nanoseconds of a stat.
fn stat_cost(path: &Path) -> u128 {
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let mut rounds: Vec<_> = (0..200)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..500 {
                rustix::fs::statx(
                    rustix::fs::CWD,
                    path.as_c_str(),
                    rustix::fs::AtFlags::empty(),
                    rustix::fs::StatxFlags::BASIC_STATS,
                )
                .unwrap();
            }
            start.elapsed().as_nanos() / 500
        })
        .collect();
    rounds.sort_unstable();
    rounds[rounds.len() / 2]
}

/// Measures; asserts loosely, for other work on the machine disturbs it. `cargo test --release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn confinement_costs_a_stat_little() {
    let tree = Tree::new();
    let path = tree.at("rw/file");
    let measured = |body: &dyn Fn() -> u128| match forked(|| body().to_string()) {
        End::Done(text) => text.parse::<u128>().unwrap(),
        End::Killed(signal) => panic!("{signal}"),
    };
    let free = measured(&|| stat_cost(&path));
    let in_view = |exports: &[Export], sealing: bool| {
        measured(&|| {
            sandbox::enter(&policy(As::Root, exports)).unwrap();
            if sealing {
                seal(None);
            }
            stat_cost(&path)
        })
    };
    let start = Instant::now();
    let sealing = measured(&|| {
        sandbox::confine(None).unwrap();
        let start = Instant::now();
        sandbox::seal().unwrap();
        start.elapsed().as_micros()
    });
    let view = in_view(&tree.both(), false);
    let sealed = in_view(&tree.both(), true);
    let whole = in_view(&[rw("/")], true);
    eprintln!("stat: free {free} ns; in a view {view}, sealed {sealed}; whole root, sealed {whole}; seal() {sealing} us");
    eprintln!("all in {:?}", start.elapsed());
    assert!(sealed < free * 3 / 2 && whole < free * 3 / 2);
}
