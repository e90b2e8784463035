//! What ends a watch on host files from outside: the host's death, the program's, and the host's limits.

use hostcall_tests::daemon::{eventually, program, Daemon};
use hostcall_tests::guest::{Guest, SOON};
use hostcall_tests::soon::soon;
use hostd::calls::watch::MOST_INSTANCES;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Watches a directory, and does what it is told, a line each.
const WATCHER: &str = r#"
import ctypes, errno, os, select, sys
libc = ctypes.CDLL(None, use_errno=True)
path = os.fsencode(sys.argv[1])
def begin():
    fd = libc.inotify_init1(os.O_NONBLOCK)
    watch = libc.inotify_add_watch(fd, path, 0x100)
    return fd, watch if watch > 0 else errno.errorcode[ctypes.get_errno()]
fd, watch = begin()
print('watch', watch, flush=True)
for line in sys.stdin:
    match line.strip():
        case 'poll':
            print('ready', len(select.select([fd], [], [], 0.2)[0]), flush=True)
        case 'await':
            select.select([fd], [], [])
            print('read', len(os.read(fd, 4096)), flush=True)
        case 'remove':
            print('removed', libc.inotify_rm_watch(fd, watch), flush=True)
        case 'again':
            print('again', libc.inotify_add_watch(fd, path, 0x100), flush=True)
        case 'close':
            os.close(fd)
            print('closed', len(os.listdir('/proc/self/task')), flush=True)
        case 'many':
            print('many', *[begin()[1] for _ in range(int(sys.argv[2]))], flush=True)
"#;

struct Watcher {
    guest: Guest,
    said: PathBuf,
}

impl Watcher {
    fn start(daemon: &Daemon, name: &str) -> Watcher {
        let directory = daemon.export("watched");
        fs::create_dir_all(&directory).expect("a directory");
        let path = Path::new("/host").join(directory.strip_prefix("/").expect("absolute"));
        let said = daemon.directory.join(name);
        let mut command = Command::new("python3");
        command
            .args(["-c", WATCHER])
            .arg(path)
            .arg((MOST_INSTANCES + 1).to_string())
            .env("LD_PRELOAD", program("libhostcall_preload.so"))
            .env("HOSTCALL_ATTACH", daemon.socket())
            .stderr(Stdio::from(fs::File::create(&said).expect("a file")));
        let guest = Guest::run(command);
        let watcher = Watcher { guest, said };
        assert_eq!(watcher.hear("watch"), "1");
        watcher
    }

    fn hear(&self, what: &str) -> String {
        self.guest.expect(what, hostcall_tests::daemon::PATIENCE)
    }

    fn ask(&mut self, order: &str, answer: &str) -> String {
        self.guest.tell(order);
        self.hear(answer)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).expect("its standard error")
    }

    /// Has it see one change.
    fn sees(&mut self, daemon: &Daemon, name: &str) {
        self.guest.tell("await");
        fs::write(daemon.export("watched").join(name), "").expect("a file");
        assert_eq!(self.hear("read"), "32", "an event with a short name");
    }
}

fn shadow_of(daemon: &Daemon, watcher: &Watcher) -> i32 {
    let sessions = daemon.status().sessions;
    let pid = Some(watcher.guest.pid());
    let own = sessions.iter().find(|own| own.process == pid);
    own.and_then(|own| own.shadow).expect("its shadow")
}

/// The inotify instances of a shadow, but for the one that all of a guest share.
fn instances(pid: i32) -> usize {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives");
    let links = entries
        .flatten()
        .filter_map(|entry| entry.path().read_link().ok());
    links
        .filter(|link| link.as_os_str() == "anon_inode:inotify")
        .count()
        - 1
}

#[test]
fn the_death_of_the_host_is_told_once_and_hangs_nobody() {
    let daemon = Daemon::start();
    soon("the line", SOON, || {
        let mut watcher = Watcher::start(&daemon, "said");
        watcher.sees(&daemon, "one");
        assert_eq!(watcher.said(), "");
        let shadow = Pid::from_raw(shadow_of(&daemon, &watcher));
        kill(shadow, Signal::SIGKILL).expect("it lives");
        let start = Instant::now();
        eventually("one line", || watcher.said().lines().count() == 1);
        let took = start.elapsed();
        assert!(watcher.said().contains("watches on them stay silent"));
        assert_eq!(watcher.ask("poll", "ready"), "0");
        assert_eq!(watcher.ask("remove", "removed"), "0");
        assert_eq!(watcher.ask("poll", "ready"), "1", "IN_IGNORED");
        // A new session has the same numbers on the host.
        assert_eq!(watcher.ask("again", "again"), "2");
        watcher.guest.tell("await");
        assert_eq!(watcher.hear("read"), "16");
        watcher.sees(&daemon, "two");
        watcher.ask("close", "closed");
        assert_eq!(watcher.said().lines().count(), 1, "{}", watcher.said());
        took
    });
}

#[test]
fn nothing_is_left_of_a_program_that_is_killed() {
    let daemon = Daemon::start();
    let before = daemon.settled_footprint();
    let mut watcher = Watcher::start(&daemon, "said");
    watcher.sees(&daemon, "one");
    let shadow = shadow_of(&daemon, &watcher);
    assert_eq!(instances(shadow), 1);
    drop(watcher);
    daemon.settles_to(&before);
    assert!(!Path::new(&format!("/proc/{shadow}")).exists());
}

#[test]
fn an_instance_ends_with_its_last_descriptor() {
    let daemon = Daemon::start();
    let mut watcher = Watcher::start(&daemon, "said");
    let shadow = shadow_of(&daemon, &watcher);
    // The first has one already; the last finds none left.
    let mut expected = vec!["1"; MOST_INSTANCES - 1];
    expected.extend(["ENOSPC"; 2]);
    assert_eq!(watcher.ask("many", "many"), expected.join(" "));
    assert_eq!(instances(shadow), MOST_INSTANCES);
    watcher.ask("close", "closed");
    assert_eq!(instances(shadow), MOST_INSTANCES - 1);
    assert_eq!(watcher.said(), "");
}
