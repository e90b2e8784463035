//! An unmodified program whose shadow is killed: it is told so by an errno, soon, whatever it is doing.

use hostcall_tests::daemon::{eventually, program, Daemon, PATIENCE};
use hostcall_tests::guest::{Guest, SOON};
use hostcall_tests::soon::soon;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that is at work for ever, and where its thread waits while it is.
struct Case {
    name: &'static str,
    command: &'static [&'static str],
    file: &'static str,
}

const CASES: [Case; 7] = [
    Case {
        name: "waits for a FIFO's writer",
        command: &["sh", "-c", "test -p \"$0\" && read line < \"$0\""],
        file: "fifo",
    },
    Case {
        name: "reads from a FIFO",
        command: &["cat"],
        file: "open",
    },
    Case {
        name: "waits until a FIFO is ready",
        command: &[
            "python3",
            "-c",
            "import os, select, sys\nfd = os.open(sys.argv[1], os.O_RDWR)\nselect.select([fd], [], [])\nos.read(fd, 1)",
        ],
        file: "open",
    },
    Case {
        name: "waits until a FIFO or a pipe is ready",
        command: &[
            "python3",
            "-c",
            "import os, select, sys\nfd = os.open(sys.argv[1], os.O_RDWR)\nselect.select([fd, os.pipe()[0]], [], [])\nos.read(fd, 1)",
        ],
        file: "open",
    },
    Case {
        name: "waits for a lock",
        command: &["flock", "-x"],
        file: "locked",
    },
    Case {
        name: "looks at a file again and again",
        command: &["python3", "-c", "import os, sys\nwhile True: os.stat(sys.argv[1])"],
        file: "file",
    },
    Case {
        name: "writes again and again",
        command: &[
            "python3",
            "-c",
            "import os, sys\nfd = os.open(sys.argv[1], os.O_WRONLY)\nwhile True: os.pwrite(fd, bytes(1 << 20), 0)",
        ],
        file: "file",
    },
];

impl Case {
    /// How long the program lives on after its shadow's death.
    fn run(&self, daemon: &Daemon, lines: &mut usize) -> Duration {
        let path = daemon.export(self.file);
        let path = Path::new("/host").join(path.strip_prefix("/").expect("absolute"));
        let mut command = Command::new(self.command[0]);
        command.args(&self.command[1..]).arg(path);
        if self.command[0] == "flock" {
            command.arg("true");
        }
        let mut child = command
            .env("LD_PRELOAD", program("libhostcall_preload.so"))
            .env("HOSTCALL_ATTACH", daemon.socket())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let pid = child.id() as i32;
        let mut shadow = None;
        // A program can have a shadow before it needs one.
        eventually("its first answer", || {
            let sessions = daemon.status().sessions;
            let own = sessions.iter().find(|own| own.process == Some(pid));
            shadow = own.filter(|own| own.calls > 0).and_then(|own| own.shadow);
            shadow.is_some()
        });
        // Into the middle of what it does.
        std::thread::sleep(Duration::from_millis(60));
        let start = Instant::now();
        let shadow = shadow.expect("just seen");
        kill(Pid::from_raw(shadow), Signal::SIGKILL).expect("it lives");
        let mut ended = None;
        eventually(self.name, || {
            ended = child.try_wait().expect("our child");
            ended.is_some()
        });
        let took = start.elapsed();
        let mut said = String::new();
        let mut stderr = child.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut said).expect("text");
        assert!(!ended.expect("just seen").success(), "{}", self.name);
        let told = ["Transport endpoint is not connected", "Input/output error"];
        let clear = told.iter().any(|told| said.contains(told));
        assert!(clear, "{}: {said}", self.name);
        *lines += 1;
        let line = format!("shadow {shadow} died of signal 9");
        eventually("the log tells", || daemon.logged(&line) == 1);
        assert_eq!(daemon.log().lines().count(), *lines, "{}", daemon.log());
        took
    }
}

#[test]
fn a_program_learns_of_its_shadows_death() {
    let daemon = Daemon::start();
    for name in ["fifo", "open"] {
        nix::unistd::mkfifo(&daemon.export(name), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    }
    let mut both = OpenOptions::new();
    let _writer = both.read(true).write(true).open(daemon.export("open"));
    std::fs::write(daemon.export("file"), "data").expect("a file");
    let locked = File::create(daemon.export("locked")).expect("a file");
    locked.lock().expect("nobody has it");
    let before = daemon.settled_footprint();
    let mut lines = daemon.log().lines().count();
    for case in &CASES {
        soon(case.name, SOON, || case.run(&daemon, &mut lines));
    }
    daemon.settles_to(&before);
}

/// Does what it is told, line by line, and says what came of it.
const OBEDIENT: &str = r#"
import errno, os, sys
path = sys.argv[1]
for line in sys.stdin:
    try:
        result = eval(line)
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(result, flush=True)
"#;

fn kill_shadow(daemon: &Daemon, process: i32) {
    let mut shadow = None;
    eventually("its shadow", || {
        let sessions = daemon.status().sessions;
        let own = sessions.iter().find(|own| own.process == Some(process));
        shadow = own.and_then(|own| own.shadow);
        shadow.is_some()
    });
    let shadow = shadow.expect("just seen");
    kill(Pid::from_raw(shadow), Signal::SIGKILL).expect("it lives");
    eventually("hostd knows", || {
        let sessions = daemon.status().sessions;
        sessions.iter().all(|own| own.shadow != Some(shadow))
    });
}

/// A program that has nothing on the host goes on in a new session; one that has is told once, and goes on when it has
/// closed what is lost.
#[test]
fn a_session_begins_anew_if_nothing_was_lost() {
    let daemon = Daemon::start();
    std::fs::write(daemon.export("file"), "data").expect("a file");
    let path = daemon.export("file");
    let path = Path::new("/host").join(path.strip_prefix("/").expect("absolute"));
    let said = daemon.export("said");
    let mut command = Command::new("python3");
    command
        .args(["-u", "-c", OBEDIENT])
        .arg(path)
        .env("LD_PRELOAD", program("libhostcall_preload.so"))
        .env("HOSTCALL_ATTACH", daemon.socket())
        .stderr(File::create(&said).expect("a file"));
    let mut guest = Guest::run(command);
    let pid = guest.pid();
    let mut told = |line: &str, answers: &[&str]| {
        guest.tell(line);
        let answer = guest.hear(PATIENCE).expect("an answer");
        assert!(answers.contains(&answer.as_str()), "{line}: {answer}");
    };
    let stat = "os.stat(path).st_size";
    told(stat, &["4"]);
    for _ in 0..3 {
        kill_shadow(&daemon, pid);
        // The first call may be the one that finds it out.
        told(stat, &["4", "ENOTCONN"]);
        told(stat, &["4"]);
    }
    let heard = || std::fs::read_to_string(&said).expect("text");
    assert_eq!(heard(), "");

    told("globals().update(fd=os.open(path, os.O_RDONLY))", &["None"]);
    kill_shadow(&daemon, pid);
    for line in [stat, "os.read(fd, 4)", stat, "os.fstat(fd).st_size", stat] {
        told(line, &["ENOTCONN"]);
    }
    let lost = "and its open host files are lost";
    assert_eq!(heard().matches(lost).count(), 1, "{}", heard());
    told("os.close(fd)", &["None", "ENOTCONN"]);
    told("os.close(fd)", &["EBADF"]);
    told(stat, &["4"]);
    told("os.read(os.open(path, os.O_RDONLY), 4)", &["b'data'"]);
    assert_eq!(heard().lines().count(), 1, "{}", heard());
}
