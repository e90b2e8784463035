//! Programs with threads that change their image: execve(2) ends all threads but one, whichever it is called by, and the
//! session goes on in the new image.

use hostcall_tests::daemon::{program, Scratch};
use hostcall_tests::shell::kinds;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Four threads make host calls, and amid them the first or another thread calls execve(2), twelve times over. Each image finds
/// the open file, its position and the working directory as the one before it left them, and the last one the record lock.
const SCRIPT: &str = r#"
import fcntl, os, sys, threading

directory, number, caller = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if number == 0:
    os.chdir(directory)
    log = os.open('log', os.O_RDWR | os.O_CREAT, 0o644)
    os.set_inheritable(log, True)
    fcntl.lockf(log, fcntl.LOCK_EX)
    unseen = os.open('unseen', os.O_RDWR | os.O_CREAT, 0o644)
else:
    log = int(sys.argv[4])
    unseen = int(sys.argv[5])
    try:
        os.fstat(unseen)
        sys.exit('a close-on-exec file is open')
    except OSError:
        pass
assert os.getcwd() == directory, os.getcwd()
os.write(log, b'%d\n' % number)
if number == 12:
    child = os.fork()
    if child == 0:
        try:
            fcntl.lockf(os.open('log', os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os._exit(0)
        os._exit(1)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit('the lock is lost')
    print(os.lseek(log, 0, os.SEEK_CUR), 'bytes')
    sys.exit(0)

busy = threading.Semaphore(0)
def work(name):
    while True:
        os.stat('log')
        with open(name, 'a') as file:
            file.write('x')
        busy.release()

def change():
    unseen = os.open('unseen', os.O_RDWR)
    me = [sys.executable, sys.argv[0], directory, str(number + 1), caller, str(log), str(unseen)]
    os.execv(sys.executable, me)

for name in 'abcd':
    threading.Thread(target=work, args=(name,), daemon=True).start()
for _ in range(20):
    busy.acquire()
if caller == 'main':
    change()
other = threading.Thread(target=change)
other.start()
other.join()
sys.exit('execve has returned')
"#;

#[test]
fn a_program_with_busy_threads_changes_its_image() {
    let scratch = Scratch::new();
    let script = scratch.join("script.py");
    fs::write(&script, SCRIPT).expect("a script");
    for kind in kinds() {
        for caller in ["main", "other"] {
            let directory = scratch.join(format!("{kind}-{caller}"));
            fs::create_dir(&directory).expect("a directory");
            let output = Command::new(program("hostd"))
                .args(["run", "--guest", kind, "--no-mount", "--", "python3"])
                .arg(Path::new("/host").join(script.strip_prefix("/").expect("absolute")))
                .arg(Path::new("/host").join(directory.strip_prefix("/").expect("absolute")))
                .args(["0", caller])
                .stdin(Stdio::null())
                .output()
                .expect("hostd runs");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(
                (text(&output.stdout).as_str(), text(&output.stderr).as_str()),
                ("29 bytes\n", ""),
                "{kind}, {caller}"
            );
            assert!(output.status.success(), "{kind}, {caller}");
            let lines: Vec<String> = (0..=12).map(|number| format!("{number}\n")).collect();
            let log = fs::read_to_string(directory.join("log")).expect("the log");
            assert_eq!(log, lines.concat(), "{kind}, {caller}");
        }
    }
}
