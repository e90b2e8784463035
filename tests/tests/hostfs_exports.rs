//! Exports that come and go under a mount: names follow within a second, what is open goes on.

use hostcall_tests::daemon::{eventually, program, Daemon};
use hostcall_tests::mount::Mount;
use hostcall_tests::soon::Times;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Longest time until a change shows.
const SECOND: Duration = Duration::from_secs(1);
const MODES: [&str; 3] = ["cache=none", "cache=auto", "cache=always"];

fn export(daemon: &Daemon, arguments: &[&str]) {
    let output = Command::new(program("hostd"))
        .arg("export")
        .args(arguments)
        .args(["--guest", "t", "--hostd", &daemon.pid().to_string()])
        .output()
        .expect("hostd runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
}

/// A daemon with one more directory beside its exports.
fn daemon() -> (Daemon, PathBuf) {
    let daemon = Daemon::start();
    let extra = daemon.directory.join("extra");
    std::fs::create_dir(&extra).unwrap();
    std::fs::write(extra.join("file"), "extra").unwrap();
    (daemon, extra)
}

fn gone(path: &Path) -> bool {
    let error = std::fs::metadata(path).err();
    error.is_some_and(|error| error.raw_os_error() == Some(libc::ENOENT))
}

#[test]
fn exports_come_and_go_while_mounted() {
    let times = Times::default();
    for mode in MODES {
        let (daemon, extra) = daemon();
        let word = extra.to_str().unwrap();
        std::fs::write(daemon.export("other"), "other").unwrap();
        let mount = Mount::of(&daemon, mode);
        mount.enter();
        let (file, other) = (
            mount.path(extra.join("file")),
            mount.path(daemon.export("other")),
        );
        let export_of = mount.path(daemon.export(""));
        assert!(gone(&file));
        let inode = std::fs::metadata(&export_of).unwrap().ino();
        let mut lasting = File::options().read(true).write(true).open(&other).unwrap();

        export(&daemon, &["add", word]);
        times.until("the export appears", || file.exists());
        assert_eq!(std::fs::read(&file).unwrap(), b"extra", "{mode}");
        let mut opened = File::options().read(true).write(true).open(&file).unwrap();
        let listing = std::fs::read_dir(mount.path(&extra)).unwrap();

        export(&daemon, &["remove", word]);
        times.until("the export goes", || gone(&file));
        // What is open is as it was: contents, metadata, locks, the rest of a listing.
        opened.write_all(b"EXTRA, and more").unwrap();
        opened.seek(SeekFrom::Start(0)).unwrap();
        let mut text = String::new();
        opened.read_to_string(&mut text).unwrap();
        assert_eq!(text, "EXTRA, and more", "{mode}");
        assert_eq!(opened.metadata().unwrap().len(), 15, "{mode}");
        opened.lock().unwrap();
        assert_eq!(
            listing
                .map(|entry| entry.unwrap().file_name())
                .collect::<Vec<_>>(),
            ["file"]
        );
        assert_eq!(
            daemon.status().sessions.len(),
            3,
            "{mode}: one for each open file's view"
        );
        drop(opened);
        assert_eq!(
            std::fs::read(extra.join("file")).unwrap(),
            b"EXTRA, and more",
            "{mode}"
        );

        // The rest has not noticed.
        lasting.write_all(b"OTHER").unwrap();
        lasting.sync_all().unwrap();
        assert_eq!(std::fs::read(&other).unwrap(), b"OTHER", "{mode}");
        assert_eq!(std::fs::metadata(&export_of).unwrap().ino(), inode);
        drop(lasting);
        eventually("the old sessions end with their files", || {
            daemon.status().sessions.len() == 1
        });

        export(&daemon, &["add", &format!("{word}:ro")]);
        times.until("the export is back", || file.exists());
        let refused = File::options().write(true).open(&file).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EROFS), "{mode}");
    }
    times.mostly_within(SECOND);
}

/// A process that stands in an export, deep below the directories that each view makes for itself, stays where it is.
#[test]
fn whoever_stands_in_an_export_stays_there() {
    let times = Times::default();
    let (daemon, extra) = daemon();
    let word = extra.to_str().unwrap();
    std::fs::create_dir_all(daemon.export("deep/deeper")).unwrap();
    std::fs::write(daemon.export("deep/deeper/file"), "deep").unwrap();
    let mount = Mount::of(&daemon, "cache=none,handles=16");
    mount.enter();
    let here = mount.path(daemon.export("deep/deeper"));
    std::env::set_current_dir(&here).unwrap();
    for change in ["add", "remove", "add"] {
        export(&daemon, &[change, word]);
        let seen = mount.path(&extra);
        times.until("the change shows", || seen.exists() == (change == "add"));
        assert_eq!(std::fs::read("file").unwrap(), b"deep");
        assert_eq!(std::env::current_dir().unwrap(), here);
        std::fs::write("made", change).unwrap();
        assert_eq!(
            std::fs::read(daemon.export("deep/deeper/made")).unwrap(),
            change.as_bytes()
        );
        assert_eq!(std::fs::read_dir("..").unwrap().count(), 1);
    }
    std::env::set_current_dir("/").unwrap();
    times.mostly_within(SECOND);
}

/// What changes on the host is watched in the new view as it was in the old one.
#[test]
fn watches_move_to_the_new_view() {
    let times = Times::default();
    let (daemon, extra) = daemon();
    std::fs::write(daemon.export("file"), "one").unwrap();
    let mount = Mount::of(&daemon, "cache=always");
    mount.enter();
    let file = mount.path(daemon.export("file"));
    for (n, change) in ["add", "remove"].into_iter().enumerate() {
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 3 + n as u64);
        export(&daemon, &[change, extra.to_str().unwrap()]);
        let seen = mount.path(&extra);
        times.until("the change shows", || seen.exists() == (change == "add"));
        eventually("the old session has ended", || {
            daemon.status().sessions.len() == 1
        });
        let host = File::options()
            .write(true)
            .open(daemon.export("file"))
            .unwrap();
        host.write_all_at(b"!", 3 + n as u64).unwrap();
        times.until("the host's change shows", || {
            std::fs::metadata(&file).unwrap().len() == 4 + n as u64
        });
    }
    times.mostly_within(SECOND);
}

/// `--now` ends the session of the mount, which goes on in another one.
#[test]
fn removed_now_ends_open_files_but_not_the_mount() {
    let times = Times::default();
    let (daemon, extra) = daemon();
    export(&daemon, &["add", extra.to_str().unwrap()]);
    let mount = Mount::of(&daemon, "cache=none");
    mount.enter();
    let file = mount.path(extra.join("file"));
    let opened = File::open(&file).unwrap();
    export(&daemon, &["remove", extra.to_str().unwrap(), "--now"]);
    times.until("the export goes", || gone(&file));
    let refused = opened.read_at(&mut [0; 1], 0).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ENOTCONN));
    std::fs::write(mount.path(daemon.export("made")), "made").unwrap();
    assert_eq!(std::fs::read(daemon.export("made")).unwrap(), b"made");
    times.mostly_within(SECOND);
}
