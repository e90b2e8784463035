//! What a process that has ended leaves behind is gone before the one that waited for it can meet it, although the
//! shadow that held it ends a moment later.

use hostcall_tests::daemon::{program, Scratch};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

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
    let uml = Path::new("/usr/bin/linux.uml").exists();
    for (kind, rounds) in [("local", "40"), ("uml", "8")] {
        if kind == "uml" && !uml {
            continue;
        }
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
