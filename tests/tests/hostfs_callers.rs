//! A mount for many users: each request has the rights of whoever makes it, no more and no less. What a process with the
//! same ids is answered on the host's own file system is the oracle. Run as root; anybody else is told so.

use hostcall::ops::Calls;
use hostcall::types::{AtFlags, DirFd};
use hostcall::wire::Source;
use hostcall_tests::confined::{forked, own_mounts, End};
use hostcall_tests::daemon::Daemon;
use hostcall_tests::mount::Mount;
use hostcall_tests::native::Native;
use hostcall_tests::people::{acl, look, make, mapped, own, serve, ANN, BOB, TEAM};
use hostcall_tests::permissions::{as_somebody, furnish, listing, natively, PEOPLE};
use hostcall_tests::witness::c;
use nix::mount::MsFlags;
use serde_json::json;
use std::fs::{create_dir, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Acts the same on the host and on a mount, as each of the people.
fn compare(options: &str) {
    let daemon = serve(json!({}));
    let mount = Mount::of(&daemon, options);
    for (n, who) in PEOPLE.into_iter().enumerate() {
        let sides = ["native", "guest"].map(|side| daemon.export(&format!("{side}{n}")));
        sides.iter().for_each(|side| furnish(side));
        let native = natively(who, &sides[0], || {});
        let guest = natively(who, &mount.path(&sides[1]), || mount.join());
        assert!(native.len() > 80, "{native:?}");
        for (native, guest) in native.iter().zip(&guest) {
            assert_eq!(native, guest, "{options}, as {who:?}");
        }
        assert_eq!(native.len(), guest.len());
        assert_eq!(
            listing(&sides[0]),
            listing(&sides[1]),
            "{options}, as {who:?}"
        );
    }
}

#[test]
fn several_users_share_a_mount_as_they_share_a_local_file_system() {
    compare("cache=auto");
}

#[test]
fn nothing_kept_in_the_guest_decides() {
    compare("cache=none");
}

#[test]
fn what_is_written_back_has_its_writers_rights() {
    compare("cache=always");
}

/// With fewer descriptors than there are files every call finds its file anew.
#[test]
fn descriptors_that_were_given_back_change_no_answer() {
    compare("cache=none,handles=16");
}

/// Whoever stands in a directory goes on when the way to it is shut for them.
#[test]
fn a_directory_is_found_again_by_the_rights_that_found_it() {
    let daemon = serve(json!({}));
    let mount = Mount::of(&daemon, "cache=none,handles=16");
    let private = daemon.export("private");
    create_dir(&private).unwrap();
    create_dir(private.join("within")).unwrap();
    own(&private.join("within"), (BOB, BOB), 0o755);
    make(&private.join("within/file"), (BOB, BOB), 0o644);
    own(&private, (ANN, ANN), 0o700);
    let (within, export) = (
        mount.path(private.join("within")),
        mount.path(daemon.export("")),
    );
    let many: Vec<_> = (0..64).map(|n| format!("many{n}")).collect();
    for name in &many {
        make(&daemon.export(name), (ANN, ANN), 0o644);
    }
    let enter = || {
        mount.join();
        // As a daemon that changes its user after it has changed its directory.
        std::env::set_current_dir(&within).unwrap();
    };
    as_somebody((BOB, BOB, &[]), enter, || {
        for _ in 0..3 {
            for name in &many {
                std::fs::metadata(export.join(name)).unwrap();
            }
            assert_eq!(std::fs::read("file").unwrap(), b"data");
            File::create("made").unwrap();
            std::fs::remove_file("made").unwrap();
        }
        let refused = std::fs::read(within.join("file")).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EACCES));
        String::new()
    });
}

/// The guest kernel writes back later, when the writer is somebody else or gone: by the rights of who opened the file.
#[test]
fn what_the_kernel_writes_back_needs_no_writer() {
    let daemon = serve(json!({}));
    let mount = Mount::of(&daemon, "cache=always");
    for (owner, mode, name) in [(ANN, 0o600, "own"), (0, 0o660, "team")] {
        let path = daemon.export(name);
        make(&path, (owner, TEAM), mode);
        let shown = mount.path(&path);
        let end = forked(|| {
            mount.join();
            nix::unistd::setgroups(&[nix::unistd::Gid::from_raw(TEAM)]).unwrap();
            nix::unistd::setresgid(ANN.into(), ANN.into(), ANN.into()).unwrap();
            // The saved user stays root, who gives the file away to somebody without any right on it.
            nix::unistd::setresuid(ANN.into(), ANN.into(), 0.into()).unwrap();
            let mut file = OpenOptions::new().write(true).open(&shown).unwrap();
            nix::unistd::setresuid(0.into(), 0.into(), 0.into()).unwrap();
            nix::unistd::setgroups(&[]).unwrap();
            nix::unistd::setresgid(BOB.into(), BOB.into(), BOB.into()).unwrap();
            nix::unistd::setresuid(BOB.into(), BOB.into(), BOB.into()).unwrap();
            file.write_all(b"later").unwrap();
            file.sync_all().unwrap();
            file.write_all(b" and later").unwrap();
            nix::unistd::close(file).unwrap();
            String::new()
        });
        assert_eq!(end, End::Done(String::new()));
        assert_eq!(std::fs::read(&path).unwrap(), b"later and later", "{name}");
        assert_eq!(look(&path), (owner, TEAM, mode), "{name}");
    }
}

/// The mask is the writer's own, and a default access control list takes its place.
#[test]
fn masks_and_default_lists_are_applied_by_the_host() {
    let daemon = serve(json!({}));
    let mount = Mount::of(&daemon, "cache=auto");
    let list = acl(&[
        (0x01, 7, u32::MAX),
        (0x02, 6, BOB),
        (0x04, 5, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ]);
    let make_in = |base: &Path| {
        for (mask, name) in [(0o077, "strict"), (0o002, "loose"), (0, "none")] {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
            let mut open = OpenOptions::new();
            let file = open.write(true).create_new(true).mode(0o666);
            file.open(base.join(name)).unwrap();
            create_dir(base.join(format!("{name}.d"))).unwrap();
            let all = nix::sys::stat::Mode::from_bits_truncate(0o666);
            nix::unistd::mkfifo(&base.join(format!("{name}.fifo")), all).unwrap();
        }
        String::new()
    };
    let sides = ["native", "guest"].map(|side| daemon.export(side));
    for side in &sides {
        create_dir(side).unwrap();
        for name in ["plain", "listed"] {
            create_dir(side.join(name)).unwrap();
            own(&side.join(name), (ANN, ANN), 0o755);
        }
        Native::default()
            .setxattr(
                DirFd::CWD,
                &c(&side.join("listed")),
                AtFlags(0),
                c"system.posix_acl_default",
                Source::new(&list),
                0,
            )
            .expect("a file system with access control lists");
    }
    for name in ["plain", "listed"] {
        let ann = (ANN, ANN, [].as_slice());
        as_somebody(ann, || {}, || make_in(&sides[0].join(name)));
        as_somebody(
            ann,
            || mount.join(),
            || make_in(&mount.path(sides[1].join(name))),
        );
    }
    let native = listing(&sides[0]);
    assert_eq!(native.len(), 20);
    assert_eq!(native, listing(&sides[1]));
}

/// A name that the guest kernel has found for one user opens nothing for another; groups that a process gives up are gone.
#[test]
fn cached_names_open_no_doors() {
    let daemon = serve(json!({}));
    let mount = Mount::of(&daemon, "cache=always");
    let private = daemon.export("private");
    create_dir(&private).unwrap();
    make(&private.join("file"), (0, 0), 0o666);
    own(&private, (ANN, TEAM), 0o770);
    let file = mount.path(private.join("file"));
    let reads = |who| {
        as_somebody(
            who,
            || mount.join(),
            || {
                let read = File::open(&file).and_then(|mut file| {
                    let mut text = String::new();
                    file.read_to_string(&mut text).map(|_| text)
                });
                read.unwrap_or_else(|error| error.kind().to_string())
            },
        )
    };
    for _ in 0..2 {
        assert_eq!(reads((ANN, ANN, &[])), "data");
        assert_eq!(reads((BOB, BOB, &[])), "permission denied");
        assert_eq!(reads((BOB, BOB, &[TEAM])), "data");
    }
    let end = forked(|| {
        mount.join();
        let team = [nix::unistd::Gid::from_raw(TEAM)];
        let mut seen = Vec::new();
        for groups in [team.as_slice(), &[], &team, &[]] {
            nix::unistd::setresuid(0.into(), 0.into(), 0.into()).unwrap();
            nix::unistd::setgroups(groups).unwrap();
            nix::unistd::setresgid(BOB.into(), BOB.into(), 0.into()).unwrap();
            nix::unistd::setresuid(BOB.into(), BOB.into(), 0.into()).unwrap();
            seen.push(std::fs::metadata(&file).is_ok().to_string());
        }
        seen.join(" ")
    });
    assert_eq!(end, End::Done("true false true false".to_owned()));
}

/// As sysfs is.
#[test]
fn a_file_system_without_access_control_lists_is_open_to_all() {
    const FILE: &str = "/sys/kernel/uevent_seqnum";
    let daemon = serve(json!({"exports": [{"path": "/sys/kernel", "mode": "ro"}]}));
    let mount = Mount::of(&daemon, "cache=auto");
    let (file, list) = (mount.path(FILE), mount.path("/sys/kernel"));
    let seen = as_somebody(
        (BOB, BOB, &[]),
        || mount.join(),
        || {
            let text = std::fs::read_to_string(&file).map(|text| !text.is_empty());
            let names = std::fs::read_dir(&list).map(|names| names.count() > 0);
            format!("{:?} {:?}", text.ok(), names.ok())
        },
    );
    assert_eq!(seen, "Some(true) Some(true)");
}

/// Whoever may execute a program need not be able to read it; a script is read by its interpreter.
#[test]
fn what_cannot_be_read_can_be_executed() {
    let daemon = serve(json!({}));
    let mount = Mount::of(&daemon, "cache=auto");
    let names = [0o711, 0o644, 0o610, 0o700, 0o001].map(|mode| {
        let names = [format!("program{mode:o}"), format!("script{mode:o}")];
        std::fs::copy("/bin/true", daemon.export(&names[0])).unwrap();
        std::fs::write(daemon.export(&names[1]), "#!/bin/sh\nexit 7\n").unwrap();
        names
            .iter()
            .for_each(|name| own(&daemon.export(name), (ANN, TEAM), mode));
        names
    });
    let paths: Vec<_> = names
        .iter()
        .flatten()
        .map(|name| daemon.export(name))
        .collect();
    for who in PEOPLE {
        let run = |paths: &[PathBuf], before: &dyn Fn()| {
            as_somebody(who, before, || {
                let ends = paths.iter().map(|path| {
                    let end = Command::new(path).stderr(Stdio::null()).status();
                    end.map_or_else(|error| error.to_string(), |status| status.to_string())
                });
                ends.collect::<Vec<_>>().join("\n")
            })
        };
        let shown: Vec<_> = paths.iter().map(|path| mount.path(path)).collect();
        let native = run(&paths, &|| {});
        assert!(native.contains("exit status: 0"), "{who:?}: {native}");
        assert_eq!(run(&shown, &|| mount.join()), native, "{who:?}");
    }
}

/// The guest kernel reads the layers of an overlay by the rights of whoever mounted it, for whoever looks.
#[test]
fn the_layers_of_an_overlay_are_its_mounters() {
    let daemon = serve(json!({}));
    let mount = Mount::of(&daemon, "cache=none");
    let layers = ["above", "below"].map(|name| daemon.export(name));
    for layer in &layers {
        create_dir(layer).unwrap();
        make(&layer.join("file"), (ANN, TEAM), 0o640);
        own(layer, (ANN, TEAM), 0o755);
    }
    let merged = daemon.directory.join("merged");
    create_dir(&merged).unwrap();
    let look = |who, before: &dyn Fn(), layers: [PathBuf; 2]| {
        let enter = || {
            before();
            own_mounts();
            let options = layers.each_ref().map(|layer| layer.display().to_string());
            let options = format!("lowerdir={}", options.join(":"));
            let (kind, flags) = (Some("overlay"), MsFlags::MS_RDONLY);
            nix::mount::mount(kind, &merged, kind, flags, Some(options.as_str())).unwrap();
        };
        as_somebody(who, enter, || {
            let names = std::fs::read_dir(&merged).map(Iterator::count);
            let text = std::fs::read(merged.join("file")).map_err(|error| error.kind());
            format!("{names:?} {text:?}")
        })
    };
    for who in PEOPLE {
        let native = look(who, &|| {}, layers.clone());
        assert!(native.starts_with("Ok(1)"), "{native}");
        let shown = layers.each_ref().map(|layer| mount.path(layer));
        assert_eq!(look(who, &|| mount.join(), shown), native, "{who:?}");
    }
}

/// Ids of the guest stand for others on the host, in owners as in lists.
#[test]
fn mapped_ids_are_translated_both_ways() {
    let daemon: Daemon = mapped();
    let mount = Mount::of(&daemon, "cache=auto");
    let shown = mount.path(daemon.export("file"));
    let seen = as_somebody(
        (7, 8, &[]),
        || mount.join(),
        || {
            File::create(&shown).unwrap();
            format!("{:?}", look(&shown))
        },
    );
    assert_eq!(seen, format!("{:?}", (7, 8, 0o644)));
    assert_eq!(look(&daemon.export("file")), (50_007, 60_008, 0o644));
    // Nobody stands behind this one.
    let refused = as_somebody(
        (5000, 8, &[]),
        || mount.join(),
        || {
            File::create(mount.path(daemon.export("other")))
                .unwrap_err()
                .to_string()
        },
    );
    assert!(refused.contains("not permitted"), "{refused}");
}
