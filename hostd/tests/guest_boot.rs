//! Guests boot, carry bytes exactly, tell the exact status, and leave nothing behind.
//!
//! Each test drives the example `boot`, which is hostd's guest part without the host calls.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const KINDS: [&str; 2] = ["local", "uml"];

/// Longest wait for anything that should come at once; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

fn boot(kind: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().expect("own path");
    path.pop();
    path.pop();
    // Whoever runs the tests may ignore some, as nohup(1) does and a shell in the background.
    let mut command = Command::new("env");
    command
        .arg("--default-signal=HUP,INT,QUIT,TERM")
        .arg(path.join("examples/boot"))
        .arg(kind)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Where guests of one test put their sockets, which a killed one leaves behind.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("guest-boot-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("make the scratch directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the body for each kind of guest that this machine has.
fn for_each_kind(body: impl Fn(&str)) {
    for kind in KINDS {
        if kind == "uml" && !Path::new("/usr/bin/linux.uml").exists() {
            eprintln!("skipped for uml: user-mode-linux is not installed");
            continue;
        }
        body(kind);
    }
}

fn run(kind: &str, script: &str) -> Output {
    boot(kind)
        .args(["--", "sh", "-c", script])
        .output()
        .expect("run boot")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All descendants of a process, by /proc.
fn descendants(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        parents.extend(parent.map(|parent: u32| (pid, parent)));
    }
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        at += 1;
    }
    found.split_off(1)
}

fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .trim_start()
            .starts_with(['Z', 'X'])
    })
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm"))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn kill(pid: u32, signal: &str) {
    let done = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .expect("kill");
    assert!(done.success());
}

fn all_gone(pids: &[u32]) {
    let start = Instant::now();
    while pids.iter().any(|pid| alive(*pid)) {
        let left: Vec<_> = pids
            .iter()
            .filter(|pid| alive(**pid))
            .map(|pid| (pid, name(*pid)))
            .collect();
        assert!(start.elapsed() < PATIENCE, "still alive: {left:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A guest whose script has said "ready".
fn ready(kind: &str, script: &str) -> Child {
    ready_in(&std::env::temp_dir(), kind, script)
}

fn ready_in(scratch: &Path, kind: &str, script: &str) -> Child {
    let mut child = boot(kind)
        .env("TMPDIR", scratch)
        .args(["--", "sh", "-c", script])
        .spawn()
        .expect("run boot");
    let mut line = [0; 6];
    if child
        .stdout
        .as_mut()
        .expect("stdout")
        .read_exact(&mut line)
        .is_err()
    {
        panic!(
            "{kind}: the guest does not come up: {:?}",
            child.wait_with_output()
        );
    }
    assert_eq!(&line, b"ready\n");
    child
}

#[test]
fn status_is_exact() {
    for_each_kind(|kind| {
        assert_eq!(run(kind, "exit 0").status.code(), Some(0));
        assert_eq!(run(kind, "exit 203").status.code(), Some(203));
        let killed = run(kind, "kill -9 $$");
        assert!(
            text(&killed.stderr).contains("ended by signal 9"),
            "{kind}: {killed:?}"
        );
        let missing = boot(kind)
            .args(["--", "/no/such/program"])
            .output()
            .expect("run boot");
        assert_eq!(missing.status.code(), Some(127), "{kind}");
        assert!(
            text(&missing.stderr).contains("cannot run '/no/such/program' in the guest"),
            "{kind}: {missing:?}"
        );
        assert_eq!(
            boot(kind)
                .args(["--", "/etc/passwd"])
                .output()
                .expect("run boot")
                .status
                .code(),
            Some(126)
        );
    });
}

#[test]
fn guest_is_a_machine_of_its_own() {
    for_each_kind(|kind| {
        let script = "hostname; id -u; echo $HOME; pwd; ls -A /tmp /home /root | grep -v :; ls -A /host; \
                      echo x > /tmp/x && echo y > /root/y && echo z > /home/z && echo s > /dev/shm/s && echo writable; \
                      echo $BOOT; \
                      test -x /run/hostcall/lib/copy && echo copied; ls /proc | grep -c '^[0-9]*$' > /tmp/n; \
                      test $(cat /tmp/n) -lt 80 && echo few; : < /dev/null && : > /dev/null && echo null";
        let output = run(kind, script);
        let want = "guest\n0\n/root\n/root\n\nwritable\nyes\ncopied\nfew\nnull\n";
        let seen: String = text(&output.stdout);
        assert_eq!(
            seen.replace("\n\n\n", "\n\n"),
            want,
            "{kind}: {}",
            text(&output.stderr)
        );
    });
}

#[test]
fn what_a_guest_writes_stays_in_the_guest() {
    for_each_kind(|kind| {
        let mark = format!("hostcall-{}-{kind}", std::process::id());
        let script = format!("for d in /etc /usr /var/tmp / /tmp; do echo x > $d/{mark} && cat $d/{mark}; done; rm -f /etc/hostname; ls /etc/hostname");
        let output = run(kind, &script);
        assert_eq!(
            text(&output.stdout),
            "x\n".repeat(5),
            "{kind}: {}",
            text(&output.stderr)
        );
        for dir in ["/etc", "/usr", "/var/tmp", "/", "/tmp"] {
            assert!(!Path::new(dir).join(&mark).exists(), "{kind}: {dir}");
        }
        assert!(Path::new("/etc/hostname").exists());
    });
}

#[test]
fn a_root_directory_of_ones_own() {
    for_each_kind(|kind| {
        let root = std::env::temp_dir().join(format!("guest-root-{}-{kind}", std::process::id()));
        fs::create_dir_all(root.join("bin")).expect("make the root");
        fs::copy("/bin/busybox", root.join("bin/sh")).expect("apt-get install busybox-static");
        fs::write(root.join("mine"), "mine\n").expect("write");
        let script = "read line < /mine; echo $line; echo changed > /mine; read line < /mine; echo $line; echo /*";
        let output = boot(kind)
            .arg("--root")
            .arg(&root)
            .args(["--", "/bin/sh", "-c", script])
            .output()
            .expect("boot");
        let after = fs::read_to_string(root.join("mine")).expect("read");
        let _ = fs::remove_dir_all(&root);
        let seen = text(&output.stdout);
        assert!(seen.starts_with("mine\nchanged\n"), "{kind}: {output:?}");
        assert!(
            !seen.contains("/usr") && seen.contains("/host"),
            "{kind}: {seen}"
        );
        assert_eq!(after, "mine\n", "{kind}");
    });
}

/// Both directions at once, with standard error apart.
#[test]
fn streams_are_byte_exact() {
    for_each_kind(|kind| {
        let mut state = 1u64;
        let data: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as u8
        })
        .take(3 << 20)
        .collect();
        let mut child = boot(kind)
            .args(["--", "sh", "-c", "tee /tmp/copy; cat /tmp/copy >&2; exit 9"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("run boot");
        let mut stdin = child.stdin.take().expect("stdin");
        let mut stderr = child.stderr.take().expect("stderr");
        let sent = data.clone();
        let writer =
            std::thread::spawn(move || stdin.write_all(&sent).expect("write to the guest"));
        let errors = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).expect("read");
            bytes
        });
        let mut bytes = Vec::new();
        child
            .stdout
            .take()
            .expect("stdout")
            .read_to_end(&mut bytes)
            .expect("read");
        writer.join().expect("writer");
        assert_eq!(child.wait().expect("wait").code(), Some(9), "{kind}");
        assert!(
            bytes == data,
            "{kind}: stdout, {} of {} bytes",
            bytes.len(),
            data.len()
        );
        assert!(errors.join().expect("reader") == data, "{kind}: stderr");
    });
}

#[test]
fn output_is_drained_and_leftovers_end_with_the_command() {
    for_each_kind(|kind| {
        let start = Instant::now();
        let output = run(
            kind,
            "sleep 1000 & (sleep 1000; echo never) & head -c 300000 /dev/zero; exit 4",
        );
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(4), 300_000),
            "{kind}"
        );
        assert!(start.elapsed() < PATIENCE);
    });
}

#[test]
fn a_reader_that_leaves_ends_the_writer() {
    for_each_kind(|kind| {
        let mut child = ready(kind, "echo ready; exec yes");
        drop(child.stdout.take());
        let start = Instant::now();
        let output = child.wait_with_output().expect("wait");
        assert!(
            text(&output.stderr).contains("ended by signal 13"),
            "{kind}: {output:?}"
        );
        assert!(start.elapsed() < PATIENCE);
    });
}

#[test]
fn signals_reach_the_command() {
    for_each_kind(|kind| {
        for (signal, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
            let child = ready(kind, "echo ready; exec sleep 1000");
            kill(child.id(), signal);
            let output = child.wait_with_output().expect("wait");
            assert!(
                text(&output.stderr).contains(&format!("ended by signal {number}")),
                "{kind} {signal}: {output:?}"
            );
        }
        let child = ready(
            kind,
            "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.1; done",
        );
        kill(child.id(), "-TERM");
        let output = child.wait_with_output().expect("wait");
        assert_eq!(
            (output.status.code(), text(&output.stdout).as_str()),
            (Some(5), "caught\n"),
            "{kind}"
        );
        let child = ready(
            kind,
            "trap '' TERM; echo ready; while :; do sleep 0.1; done",
        );
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(100));
            kill(child.id(), "-TERM");
        }
        let output = child.wait_with_output().expect("wait");
        assert!(
            text(&output.stderr).contains("ended by signal 15"),
            "{kind}: {output:?}"
        );
    });
}

#[test]
fn a_command_that_does_not_end_is_ended_a_while_after_its_signal() {
    for_each_kind(|kind| {
        let child = ready(kind, "trap '' TERM; echo ready; while :; do sleep 1; done");
        let pids = descendants(child.id());
        let start = Instant::now();
        kill(child.id(), "-TERM");
        while alive(child.id()) {
            assert!(start.elapsed() < PATIENCE, "{kind}: it goes on");
            std::thread::sleep(Duration::from_millis(50));
        }
        all_gone(&pids);
        let output = child.wait_with_output().expect("wait");
        assert!(
            text(&output.stderr).contains("ended by signal 15"),
            "{kind}: {output:?}"
        );
    });
}

#[test]
fn kill_of_hostd_leaves_no_process() {
    let scratch = Scratch::new("kill");
    for_each_kind(|kind| {
        let mut child = ready_in(
            &scratch.0,
            kind,
            "echo ready; sleep 1000 & setsid sleep 1000 & exec sleep 1000",
        );
        let all = descendants(child.id());
        assert!(all.len() >= 3, "{kind}: {all:?}");
        kill(child.id(), "-KILL");
        let _ = child.wait();
        all_gone(&all);
    });
}

#[test]
fn kill_at_any_time_of_the_boot_leaves_no_process() {
    let scratch = Scratch::new("boot");
    for_each_kind(|kind| {
        for delay in (0..60).step_by(3) {
            let mut child = boot(kind)
                .env("TMPDIR", &scratch.0)
                .args(["--", "sleep", "1000"])
                .spawn()
                .expect("run boot");
            std::thread::sleep(Duration::from_millis(if kind == "uml" {
                delay * 14
            } else {
                delay
            }));
            let all = descendants(child.id());
            kill(child.id(), "-KILL");
            let _ = child.wait();
            all_gone(&all);
        }
    });
}

/// A busy machine spoils some times, a fault all of them.
#[test]
fn death_of_the_guest_is_told_in_one_line_within_a_second() {
    for_each_kind(|kind| {
        let mut times = (0..5).map(|_| guest_dies(kind));
        let told = times.any(|took| took < Duration::from_secs(1));
        assert!(told, "{kind}: never within a second");
    });
}

fn guest_dies(kind: &str) -> Duration {
    let child = ready(kind, "echo ready; exec sleep 1000");
    let all = descendants(child.id());
    // The guest's kernel, or the helper of a guest that has none of its own.
    let victim = all
        .iter()
        .find(|pid| name(**pid).starts_with("linux"))
        .unwrap_or(&all[0]);
    kill(*victim, "-KILL");
    let start = Instant::now();
    let output = child.wait_with_output().expect("wait");
    let took = start.elapsed();
    let told = text(&output.stderr);
    assert!(told.contains("boot: the guest died: "), "{kind}: {told}");
    if kind == "uml" {
        assert!(
            told.contains("the guest's kernel was killed by SIGKILL"),
            "{told}"
        );
    }
    all_gone(&all);
    took
}

#[test]
fn a_panic_of_the_guest_kernel_is_told_with_its_log() {
    for_each_kind(|kind| {
        if kind == "uml" {
            let output = run(
                kind,
                "echo 1 > /proc/sys/vm/panic_on_oom; tail /dev/zero; sleep 5",
            );
            let told = text(&output.stderr);
            assert!(
                told.contains("the guest died") && told.contains("Kernel panic"),
                "{told}"
            );
            assert!(!told.contains('\r') && !told.contains('\u{1b}'));
        }
    });
}

/// What root of the guest might try to reach the host by its own kernel or by root's user id.
#[test]
fn root_of_a_guest_is_not_root_of_the_host() {
    for_each_kind(|kind| {
        let script = match kind {
            "local" => {
                "echo x > /proc/sys/kernel/core_pattern; mount -o remount,rw,bind /proc/sys; umount /proc/sys; \
                 echo x > /proc/sys/kernel/core_pattern; chmod 600 /dev/null; umount /dev/null; umount /dev; \
                 mount -t sysfs s /mnt; mount -t proc p /mnt; mknod /tmp/vda b 254 0; \
                 ls /proc/1/root/; ls /proc/1/cwd/; cat /proc/1/fd/0 /proc/1/environ; readlink /proc/1/fd/1; unshare -Urm mount -o remount,rw,bind /proc/sys; \
                 unshare -Urmpf mount -t proc p /mnt; unshare -Urmn mount -t sysfs s /mnt; echo done"
            }
            _ => {
                "mkdir /tmp/j; mount -t hostfs -o / none /tmp/j; cd /tmp/j; touch x lib/x root/x root/etc/x root/tmp/x root/run/x; \
                 chmod 600 dev/null; echo x > proc/sys/kernel/core_pattern; echo x > root/proc/sys/x; ls root/run root/tmp root/home root/root; echo done"
            }
        };
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core_pattern");
        let output = run(kind, script);
        let seen = text(&output.stdout);
        let expected = if kind == "local" {
            "done\n"
        } else {
            "root/home:\n\nroot/root:\n\nroot/run:\n\nroot/tmp:\ndone\n"
        };
        assert_eq!(seen, expected, "{kind}: {}", text(&output.stderr));
        assert_eq!(
            fs::read_to_string("/proc/sys/kernel/core_pattern").expect("core_pattern"),
            pattern
        );
        assert!(fs::OpenOptions::new().write(true).open("/dev/null").is_ok());
    });
}

#[test]
fn uml_devices_are_there() {
    for_each_kind(|kind| {
        if kind == "uml" {
            let script = "stat -c %a /dev/mmapper /dev/ttyS0; exec 3<>/dev/ttyS0; \
                          printf '\\000\\001\\r\\n\\021\\023\\177\\377' >&3; head -c 8 <&3 | od -An -tx1";
            let output = run(kind, script);
            assert_eq!(
                text(&output.stdout),
                "666\n666\n 00 01 0d 0a 11 13 7f ff\n",
                "{}",
                text(&output.stderr)
            );
        }
    });
}

#[test]
fn a_hostile_frame_ends_the_guest() {
    for_each_kind(|kind| {
        if kind == "uml" {
            for bytes in [
                "\\377\\000\\001\\000x",
                "\\002\\000\\377\\377",
                "\\003\\000\\005\\000\\000\\377\\377\\377\\377",
            ] {
                let output = run(kind, &format!("printf '{bytes}' > /dev/ttyS1; sleep 100"));
                let told = text(&output.stderr);
                assert!(told.contains("broke the console's protocol"), "{told}");
                assert_eq!(told.lines().count(), 1, "{told}");
            }
        }
    });
}

/// The user's side of a terminal with `boot` on it, as the leader of its session.
struct OnTerminal {
    child: Child,
    screen: fs::File,
    seen: String,
}

impl OnTerminal {
    fn new(kind: &str, command: &[&str]) -> OnTerminal {
        OnTerminal::under(&[], kind, command)
    }

    fn under(wrapper: &[&str], kind: &str, command: &[&str]) -> OnTerminal {
        let size = nix::pty::Winsize {
            ws_row: 33,
            ws_col: 101,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = nix::pty::openpty(&size, None).expect("openpty");
        // A child that held the terminal's other side would keep it from hanging up.
        nix::fcntl::fcntl(
            &pty.master,
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
        )
        .expect("fcntl");
        nix::fcntl::fcntl(
            &pty.slave,
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
        )
        .expect("fcntl");
        let plain = boot(kind);
        let slave = || Stdio::from(pty.slave.try_clone().expect("dup"));
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(plain.get_program())
            .arg("--default-signal=HUP,INT,QUIT,TERM")
            .args(wrapper)
            .args(plain.get_args().skip(1))
            .arg("--")
            .args(command)
            .env("TERM", "xterm")
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .expect("apt-get install util-linux");
        OnTerminal {
            child,
            screen: pty.master.into(),
            seen: String::new(),
        }
    }

    /// Reads until the text appears.
    fn until(&mut self, text: &str) {
        let start = Instant::now();
        let mut chunk = [0; 4096];
        while !self.seen.contains(text) {
            assert!(start.elapsed() < PATIENCE, "no {text:?} in {:?}", self.seen);
            match self.screen.read(&mut chunk) {
                Ok(count) if count > 0 => self
                    .seen
                    .push_str(&String::from_utf8_lossy(&chunk[..count])),
                _ => panic!("the terminal closed: no {text:?} in {:?}", self.seen),
            }
        }
        let end = self.seen.find(text).expect("just seen") + text.len();
        self.seen.drain(..end);
    }

    fn send(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).expect("type");
    }
}

#[test]
fn terminal_has_size_job_control_and_is_put_back() {
    for_each_kind(|kind| {
        let script = "stty size; read line; echo got $line; trap 'echo int' INT; stty -echo; sh -c 'echo wait; exec sleep 100'; \
                      trap 'stty size; exit 6' WINCH; echo sized; while :; do sleep 1; done";
        let mut terminal = OnTerminal::new(kind, &["sh", "-c", script]);
        terminal.until("33 101");
        let raw = nix::sys::termios::tcgetattr(&terminal.screen).expect("tcgetattr");
        assert!(
            !raw.local_flags
                .contains(nix::sys::termios::LocalFlags::ICANON),
            "{kind}: the host's side is raw"
        );
        terminal.send("a line\r");
        terminal.until("got a line");
        terminal.until("wait");
        terminal.send("\x03");
        terminal.until("int");
        terminal.until("sized");
        let resized = Command::new("stty")
            .args(["rows", "50", "cols", "132"])
            .stdin(terminal.screen.try_clone().expect("dup"))
            .status();
        assert!(resized.expect("stty").success());
        terminal.until("50 132");
        assert_eq!(
            terminal.child.wait().expect("wait").code(),
            Some(6),
            "{kind}"
        );
        let after = nix::sys::termios::tcgetattr(&terminal.screen).expect("tcgetattr");
        assert!(
            after
                .local_flags
                .contains(nix::sys::termios::LocalFlags::ICANON),
            "{kind}: put back"
        );
        assert!(
            after
                .output_flags
                .contains(nix::sys::termios::OutputFlags::OPOST),
            "{kind}: put back"
        );
    });
}

#[test]
fn a_shell_on_a_terminal_that_hangs_up_ends() {
    for_each_kind(|kind| {
        for signal in ["-TERM", "-HUP"] {
            let mut terminal = OnTerminal::new(
                kind,
                &[
                    "sh",
                    "-c",
                    "trap '' HUP TERM; echo ready; sleep 1000; sleep 1000",
                ],
            );
            terminal.until("ready");
            let all = descendants(terminal.child.id());
            kill(terminal.child.id(), signal);
            let start = Instant::now();
            let _ = terminal.child.wait();
            assert!(start.elapsed() < PATIENCE, "{kind}");
            all_gone(&all);
            let after = nix::sys::termios::tcgetattr(&terminal.screen).expect("tcgetattr");
            assert!(
                after
                    .local_flags
                    .contains(nix::sys::termios::LocalFlags::ICANON),
                "{kind} {signal}"
            );
        }
    });
}

#[test]
fn a_terminal_that_closes_ends_the_guest() {
    for_each_kind(|kind| {
        // Ignored as under nohup: then only the end of input tells.
        for ignored in ["", "trap '' HUP; "] {
            let wrapped = format!("{ignored}exec \"$0\" \"$@\"");
            let mut terminal = OnTerminal::under(
                &["sh", "-c", &wrapped],
                kind,
                &["sh", "-c", "echo ready; exec sleep 1000"],
            );
            terminal.until("ready");
            let mut all = descendants(terminal.child.id());
            all.push(terminal.child.id());
            drop(terminal.screen);
            let _ = terminal.child.wait();
            all_gone(&all);
        }
    });
}

#[test]
fn bad_input_is_told_in_one_line() {
    let told = |command: &mut Command| {
        let output = command.args(["--", "true"]).output().expect("run boot");
        assert_eq!(output.status.code(), Some(125));
        let line = text(&output.stderr);
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    };
    assert!(told(boot("local").args(["--root", "/no/such"]))
        .contains("--root /no/such: not a directory"));
    if Path::new("/usr/bin/linux.uml").exists() {
        assert!(told(boot("uml").args(["--mem", "4"])).contains("needs between"));
    }
}
