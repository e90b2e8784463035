//! A program that names a host file is given its session before it needs it, and one that does without is not to notice.

use hostcall_tests::daemon::{eventually, program, Daemon};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A host file as a program of the guest names it.
fn named(daemon: &Daemon, name: &str) -> String {
    let path = daemon.export(name);
    let path = path.strip_prefix("/").expect("absolute");
    Path::new("/host").join(path).to_str().expect("text").into()
}

/// Python under the preload, with these arguments to the script.
fn python(script: &str, arguments: &[&str], socket: &Path) -> Command {
    let mut command = Command::new("python3");
    command
        .args(["-S", "-c", script])
        .args(arguments)
        .env("LD_PRELOAD", program("libhostcall_preload.so"))
        .env("HOSTCALL_ATTACH", socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn outcome(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().expect("it starts")
}

/// What it says, which is all it has to say.
fn said(command: &mut Command) -> String {
    let output = outcome(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// Whether hostd serves this process.
fn is_served(daemon: &Daemon, process: u32) -> bool {
    let sessions = daemon.status().sessions;
    sessions
        .iter()
        .any(|session| session.process == Some(process as i32))
}

/// Waits until no session has a process.
fn all_are_given_back(daemon: &Daemon) {
    eventually("all are given back", || {
        let sessions = daemon.status().sessions;
        sessions.iter().all(|session| session.process.is_none())
    });
}

/// Ends a program that waits for its standard input's end.
fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().expect("our child").success());
}

/// Waits for standard input's end, so that others can look on.
const WAIT: &str = "import sys; sys.stdin.read()";

#[test]
fn who_names_a_host_file_has_a_session_and_nobody_else() {
    let daemon = Daemon::start();
    let file = named(&daemon, "file");
    let option = format!("--file={file}");
    for (arguments, expected) in [
        (vec![file.as_str()], true),
        (vec!["a", &option], true),
        (vec!["/hostel", "/etc/passwd"], false),
        (vec![], false),
    ] {
        let child = python(WAIT, &arguments, daemon.socket())
            .spawn()
            .expect("it starts");
        let process = child.id();
        match expected {
            true => eventually("its session", || is_served(&daemon, process)),
            false => {
                // Long enough for one that is asked for to be seen.
                std::thread::sleep(std::time::Duration::from_millis(200));
                assert!(!is_served(&daemon, process), "{arguments:?}");
            }
        }
        end(child);
    }
    all_are_given_back(&daemon);
}

/// The numbers of the program's own descriptors, and those that it is given.
#[test]
fn numbers_are_as_without_it() {
    let daemon = Daemon::start();
    std::fs::write(daemon.export("file"), "data").expect("a file");
    let script = "import os, sys
made = [os.open('/dev/null', os.O_RDONLY), os.dup(0), *os.pipe()]
os.closerange(3, 1 << 16)
made += [os.open('/dev/null', os.O_RDONLY)]
made += [os.open(sys.argv[1], os.O_RDONLY)]
print(made, os.read(made[-1], 9))";
    let file = named(&daemon, "file");
    let ours = said(&mut python(script, &[&file], daemon.socket()));
    assert_eq!(ours, "[3, 4, 5, 6, 3, 4] b'data'\n");
}

/// The descriptor is closed past the hooks, and its number is another file's by the time of the first call.
#[test]
fn what_was_asked_for_may_be_closed_past_the_hooks() {
    let daemon = Daemon::start();
    std::fs::write(daemon.export("file"), "data").expect("a file");
    let file = named(&daemon, "file");
    let script = "import ctypes, mmap, os, sys
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
# close_range(3, 65535, 0)
code.write(bytes([0xb8]) + (436).to_bytes(4, 'little') + bytes([0xbf]) + (3).to_bytes(4, 'little')
    + bytes([0xbe]) + (65535).to_bytes(4, 'little') + bytes([0x31, 0xd2, 0x0f, 0x05, 0xc3]))
assert ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))() == 0
ends = os.pipe()
os.write(ends[1], b'own')
others = [os.dup(ends[0]) for _ in range(1015)]
for other in others[:900]: os.close(other)
text = open(sys.argv[1]).read()
for other in others[900:]: os.fstat(other)
print(text, os.read(others[-1], 9))";
    let ours = said(&mut python(script, &[&file], daemon.socket()));
    assert_eq!(ours, "data b'own'\n");
}

#[test]
fn a_host_that_is_not_there_is_missed_only_where_it_is_needed() {
    let nowhere = Path::new("/nonexistent/hostcall.sock");
    let ours = said(&mut python("print('well')", &["/host/etc/passwd"], nowhere));
    assert_eq!(ours, "well\n");
    let script = "import os, sys
try: os.stat(sys.argv[1])
except OSError as error: print(error.errno)";
    let output = outcome(&mut python(script, &["/host/etc/passwd"], nowhere));
    assert_eq!(output.stdout, format!("{}\n", libc::ENOTCONN).into_bytes());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("$HOSTCALL_ATTACH") && errors.lines().count() == 1,
        "{errors}"
    );
}

/// A child that was forked before the answer was looked at has a session of its own, and leaves its parent's alone.
#[test]
fn children_have_sessions_of_their_own() {
    let daemon = Daemon::start();
    std::fs::write(daemon.export("file"), "data").expect("a file");
    let file = named(&daemon, "file");
    // fork(2), and the system call itself, past the hooks.
    for fork in ["os.fork()", "ctypes.CDLL(None).syscall(57)", "raw()"] {
        let script = format!(
            "import ctypes, mmap, os, sys
def raw():
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes([0xb8, 57, 0, 0, 0, 0x0f, 0x05, 0xc3]))
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
child = {fork}
if child == 0:
    text = open(sys.argv[1]).read()
    os._exit(0 if text == 'data' else 1)
assert os.waitpid(child, 0)[1] == 0
print(open(sys.argv[1]).read())"
        );
        let ours = said(&mut python(&script, &[&file], daemon.socket()));
        assert_eq!(ours, "data\n", "{fork}");
    }
    all_are_given_back(&daemon);
}

/// The image that asked is gone before the answer is looked at.
#[test]
fn a_new_image_begins_anew_and_nothing_is_left() {
    let daemon = Daemon::start();
    std::fs::write(daemon.export("file"), "data").expect("a file");
    let file = named(&daemon, "file");
    let script = "import os, sys; os.execvp(sys.argv[2], sys.argv[2:])";
    let mut before = None;
    for _ in 0..3 {
        for _ in 0..8 {
            let ours = said(&mut python(script, &[&file, "cat", &file], daemon.socket()));
            assert_eq!(ours, "data");
            let ours = said(&mut python(script, &[&file, "true"], daemon.socket()));
            assert_eq!(ours, "");
        }
        all_are_given_back(&daemon);
        let now = daemon.settled_footprint().fds;
        let first = *before.get_or_insert(now);
        assert!(
            now < first + 8,
            "hostd holds {now} descriptors, at first {first}"
        );
    }
}

/// What has changed meanwhile holds for the session that was asked for.
#[test]
fn the_mask_is_that_of_the_first_call() {
    let daemon = Daemon::start();
    let file = named(&daemon, "made");
    let script = "import os, sys
os.umask(0o077)
os.close(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o666))";
    assert_eq!(said(&mut python(script, &[&file], daemon.socket())), "");
    let mut made = File::open(daemon.export("made")).expect("it was made");
    made.read_to_string(&mut String::new()).expect("empty");
    let mode = std::os::unix::fs::MetadataExt::mode(&made.metadata().expect("a file"));
    assert_eq!(mode & 0o777, 0o600);
}
