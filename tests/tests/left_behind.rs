//! What a process that has ended leaves behind is gone before the one that waited for it can meet it, although the
//! shadow that held it ends a moment later.

use hostcall::ops::Calls;
use hostcall_tests::daemon::{eventually, leave, program, Daemon, Scratch};
use hostcall_tests::shell::{kinds, UML};
use hostcall_tests::soon::soon;
use nix::sys::signal::{kill, Signal};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Children that take a lock, or inherit one, end or are killed; whoever has waited for them takes the lock at once.
const SCRIPT: &str = r#"
import fcntl, os, signal, sys

path, rounds = sys.argv[1], int(sys.argv[2])
file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
NOW = fcntl.LOCK_EX | fcntl.LOCK_NB
ways = {'flock': fcntl.flock, 'record': fcntl.lockf}

def child(lock, inherited, killed):
    ready, say = os.pipe()
    if inherited is not None:
        lock(inherited, NOW)
    pid = os.fork()
    if pid == 0:
        if inherited is None:
            lock(os.open(path, os.O_RDWR), NOW)
        os.write(say, b'x')
        if killed:
            signal.pause()
        os._exit(0)
    os.read(ready, 1)
    os.close(ready)
    os.close(say)
    return pid

def after(lock, inherited, killed):
    own = os.open(path, os.O_RDWR) if inherited else None
    pid = child(lock, own, killed)
    if own is not None:
        os.close(own)
    if killed:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        lock(file, NOW)
    except BlockingIOError:
        return 1
    lock(file, fcntl.LOCK_UN)
    return 0

for name, lock in ways.items():
    for killed in False, True:
        failed = sum(after(lock, False, killed) for _ in range(rounds))
        print(name, 'killed' if killed else 'ended', failed)
for killed in False, True:
    failed = sum(after(fcntl.flock, True, killed) for _ in range(rounds))
    print('inherited', 'killed' if killed else 'ended', failed)

# Another process's lock stands in the way as ever.
other = os.fork()
if other == 0:
    fcntl.flock(os.open(path, os.O_RDWR), fcntl.LOCK_EX)
    signal.pause()
while True:
    try:
        fcntl.flock(file, NOW)
        fcntl.flock(file, fcntl.LOCK_UN)
    except BlockingIOError:
        break
os.kill(other, signal.SIGKILL)
os.waitpid(other, 0)
fcntl.flock(file, NOW)
print('done')
"#;

const EXPECTED: &str = "flock ended 0
flock killed 0
record ended 0
record killed 0
inherited ended 0
inherited killed 0
done
";

#[test]
fn locks_end_with_their_process() {
    let scratch = Scratch::new();
    let script = scratch.join("script.py");
    fs::write(&script, SCRIPT).expect("a script");
    for kind in kinds() {
        let rounds = if kind == UML { "8" } else { "40" };
        let path = scratch.join(kind);
        let output = Command::new(program("hostd"))
            .args(["run", "--guest", kind, "--no-mount", "--", "python3"])
            .args([&script, &path].map(|path| format!("/host{}", path.display())))
            .arg(rounds)
            .stdin(Stdio::null())
            .output()
            .expect("hostd runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(
            (text(&output.stdout).as_str(), text(&output.stderr).as_str()),
            (EXPECTED, ""),
            "{kind}"
        );
    }
}

/// Half of what hostd waits for a shadow that hangs.
const NOBODY: Duration = Duration::from_millis(100);

/// hostd hears of a shadow's end from its parent, and by its hang-up, which may stand behind what it had to say: then it has
/// ended all the same, and nobody waits for it.
#[test]
fn a_shadow_that_is_heard_late_is_not_waited_for() {
    let daemon = Daemon::start();
    let mut tools = hostd::server::admin::running().into_iter();
    let is_its = |tool: &UnixStream| {
        getsockopt(tool, PeerCredentials).is_ok_and(|peer| peer.pid() == daemon.pid())
    };
    let mut trace = tools.find(is_its).expect("hostd listens");
    trace
        .write_all(b"{\"Trace\":{\"guest\":null}}\n")
        .expect("it reads");
    let mut lines = BufReader::new(trace).lines();
    let client = daemon.attach();
    let shadow = daemon.status().sessions[0].shadow.expect("its shadow");
    thread::scope(|scope| {
        let traced = scope.spawn(|| lines.next());
        while !traced.is_finished() {
            client.nop().expect("it lives");
        }
    });
    let hostd = Pid::from_raw(daemon.pid());
    kill(hostd, Signal::SIGSTOP).expect("it lives");
    for _ in 0..10 {
        client.nop().expect("it lives");
    }
    // With what the shadow cannot be cleared of, so that it ends.
    client.limit_size(u64::MAX).expect("it lives");
    leave(client);
    eventually("it is reaped", || {
        !Path::new(&format!("/proc/{shadow}")).exists()
    });
    kill(hostd, Signal::SIGCONT).expect("it lives");
    let client = daemon.attach();
    soon("an answer", NOBODY, || {
        let start = Instant::now();
        client.settle().expect("it lives");
        start.elapsed()
    });
    leave(client);
}
