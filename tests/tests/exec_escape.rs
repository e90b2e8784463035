//! Programs that will not be ended, or reach for what is not theirs: the processes that start and end them, other programs,
//! the host's terminal.

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{Errno, JobState};
use hostcall_tests::daemon::{eventually, leave, Daemon};
use hostcall_tests::launch::{enter, finish, output, start, NONE};
use hostcall_tests::processes::named;
use nix::sys::signal::{kill, Signal};
use nix::unistd::{geteuid, Pid};
use serde_json::{json, Value};

/// A user that programs run as and nothing else does.
const USER: &str = "games";

/// A guest with this `exec`, whose programs are a user's of their own; `None` where only root could make it.
fn daemon(exec: Value) -> Option<Daemon> {
    if !geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    let daemon = Daemon::configured(|directory| {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(directory.join("export"), open).expect("it is ours");
        let mut all = json!({"allow": ["*"], "user": USER});
        let more = exec.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(more);
        json!({"exports": [{"path": "/"}], "exec": all})
    });
    Some(daemon)
}

/// Live processes that have this word on their command lines.
fn with_word(word: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let has = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|part| part == word.as_bytes())
    };
    pids.filter(has).collect()
}

/// A word for the command lines of one test's programs.
fn word(daemon: &Daemon, name: &str) -> String {
    format!("{name}-{}", daemon.pid())
}

fn perl(client: &Client, script: &str, word: &str) -> u32 {
    start(client, &["perl", "-e", script, word], [NONE; 3]).expect("started")
}

const KILLED: JobState = JobState::Signalled {
    signal: 9,
    core: false,
};

/// Waits until its start has been told, and has nothing tell it of its parent's end: prctl(PR_SET_PDEATHSIG, 0).
const UNTIED: &str = "select undef, undef, undef, 0.5; syscall(157, 1, 0)";

/// Forks twice, each time with a session of its own: setsid(2). (Numbers of system calls are those of x86-64.)
const DAEMON: &str = "for (1..2) { fork and exit; syscall(112) } sleep 1000";

#[test]
fn seconds_are_those_of_all_that_a_program_starts() {
    let Some(daemon) = daemon(json!({"seconds": 1})) else {
        return;
    };
    let client = daemon.attach();
    let word = word(&daemon, "late");
    let job = perl(&client, DAEMON, &word);
    assert_eq!(finish(&client, job), JobState::Exited(0));
    eventually("the daemon's time is over", || with_word(&word).is_empty());
    eventually("nothing is kept of it", || daemon.status().jobs.is_empty());
}

#[test]
fn what_a_program_leaves_behind_counts() {
    let Some(daemon) = daemon(json!({"processes": 2})) else {
        return;
    };
    let client = daemon.attach();
    let word = word(&daemon, "left");
    for _ in 0..2 {
        let job = perl(&client, DAEMON, &word);
        assert_eq!(finish(&client, job), JobState::Exited(0));
    }
    assert_eq!(
        start(&client, &["true"], [NONE; 3]),
        Err(Errno(libc::EAGAIN))
    );
    drop(daemon);
    eventually("they go with the guest", || with_word(&word).is_empty());
}

#[test]
fn a_program_that_kills_its_supervisor_ends_itself() {
    let Some(daemon) = daemon(json!({})) else {
        return;
    };
    let client = daemon.attach();
    let word = word(&daemon, "parricide");
    let script = format!("{UNTIED}; if (!fork) {{ {DAEMON} }} kill 9, getppid; sleep 1000");
    let job = perl(&client, &script, &word);
    assert_eq!(client.wait(job, 0).expect("its end").state, KILLED);
    eventually("all of it is gone", || with_word(&word).is_empty());
    client.forget(job).expect("it has ended");
}

#[test]
fn a_program_that_kills_the_launcher_ends_with_all_that_it_started() {
    let Some(daemon) = daemon(json!({})) else {
        return;
    };
    let client = daemon.attach();
    let word = word(&daemon, "regicide");
    let script = format!(
        "{UNTIED}; if (!fork) {{ {DAEMON} }}
        open F, '/proc/' . getppid . '/stat'; kill 9, (split ' ', <F>)[3]; sleep 1000"
    );
    let job = perl(&client, &script, &word);
    assert_eq!(client.wait(job, 0).expect("its end").state, KILLED);
    assert!(with_word(&word).is_empty(), "told only when it is true");
    let (text, _) = output(&client, &["echo", "again"]).expect("another launcher");
    assert_eq!(text, "again\n");
}

/// State of a process, proc_pid_stat(5).
fn state(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.unwrap_or('-')
}

#[test]
fn a_program_that_stops_the_launcher_ends_with_hostd_and_all_that_it_started() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let Some(daemon) = daemon(json!({})) else {
            return;
        };
        let client = daemon.attach();
        let word = word(&daemon, "gaoler");
        let script = format!(
            "{UNTIED}; if (!fork) {{ {DAEMON} }}
            open F, '/proc/' . getppid . '/stat'; kill 19, (split ' ', <F>)[3]; sleep 1000"
        );
        perl(&client, &script, &word);
        let mut launchers = Vec::new();
        eventually("it is stopped", || {
            // A supervisor that has just been forked has its name too.
            launchers = named(&daemon, "launcher");
            matches!(launchers[..], [launcher] if state(launcher) == 'T')
        });
        kill(Pid::from_raw(daemon.pid()), signal).expect("it lives");
        eventually("all of it is gone", || with_word(&word).is_empty());
        eventually("so is the launcher", || state(launchers[0]) == '-');
    }
}

#[test]
fn nothing_of_hostds_can_be_killed_or_looked_into() {
    let Some(daemon) = daemon(json!({})) else {
        return;
    };
    let client = daemon.attach();
    output(&client, &["true"]).expect("runs");
    let guard = named(&daemon, "guard")[0];
    let launcher = named(&daemon, "launcher")[0];
    let shadow = daemon.status().sessions[0].shadow.expect("a shadow");
    let can = |script: &str| {
        let (text, _) = output(&client, &["sh", "-c", script]).expect("runs");
        text.contains("yes")
    };
    for pid in [guard, shadow, daemon.pid()] {
        assert!(!can(&format!("kill -0 {pid} && echo yes")), "signal {pid}");
    }
    for pid in [guard, launcher, shadow, daemon.pid()] {
        for file in ["environ", "mem", "fd/0", "maps"] {
            let script = format!("exec 3< /proc/{pid}/{file} && echo yes");
            assert!(!can(&script), "{file} of {pid}");
        }
    }
    assert!(
        !can("exec 3< /proc/$PPID/fd/2 && echo yes"),
        "the supervisor's log"
    );
    assert!(can("kill -0 $$ && echo yes"), "the test can fail");
}

#[test]
fn a_fork_bomb_is_bounded_and_goes_with_its_session() {
    let Some(daemon) = daemon(json!({"limits": {"user_processes": 60}})) else {
        return;
    };
    let word = word(&daemon, "bomb");
    let in_a_group = "while (1) { fork }";
    let in_sessions = "while (1) { fork or syscall(112) }";
    for script in [in_a_group, in_sessions] {
        let client = daemon.attach();
        perl(&client, script, &word);
        eventually("it has multiplied", || with_word(&word).len() > 30);
        assert!(with_word(&word).len() <= 60);
        leave(client);
        eventually("nothing is left of it", || with_word(&word).is_empty());
    }
    let client = daemon.attach();
    output(&client, &["true"]).expect("there is room again");
}

#[test]
fn a_set_user_id_program_is_run_as_who_starts_it() {
    let Some(daemon) = daemon(json!({})) else {
        return;
    };
    let client = daemon.attach();
    enter(&daemon, &client);
    let file = daemon.export("root-id");
    std::fs::copy("/usr/bin/id", &file).expect("made");
    let setuid = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
    std::fs::set_permissions(&file, setuid).expect("ours");
    let (own, _) = output(&client, &["id", "-u"]).expect("runs");
    let (text, _) = output(&client, &["./root-id", "-u"]).expect("runs");
    assert!(own != "0\n" && text == own, "{own} {text}");
}

#[test]
fn jobs_of_other_sessions_are_nobodys() {
    let Some(daemon) = daemon(json!({})) else {
        return;
    };
    let (one, two) = (daemon.attach(), daemon.attach());
    let job = start(&one, &["sleep", "1000"], [NONE; 3]).expect("started");
    for job in [job, job + 1, u32::MAX] {
        assert_eq!(two.signal(job, 9).map(drop), Err(Errno(libc::ESRCH)));
        assert_eq!(two.wait(job, 0).map(drop), Err(Errno(libc::ECHILD)));
        assert_eq!(two.forget(job).map(drop), Err(Errno(libc::ECHILD)));
    }
    one.signal(job, 15).expect("it lives");
    assert_eq!(
        finish(&one, job),
        JobState::Signalled {
            signal: 15,
            core: false
        }
    );
}

/// CVE-2017-5226, CVE-2023-28100: keys for the terminal that hostd was started from.
#[test]
fn cve_2023_28100_no_program_types_on_another_terminal() {
    let Some(daemon) = daemon(json!({})) else {
        return;
    };
    let client = daemon.attach();
    let host = nix::pty::openpty(None, None).expect("a terminal");
    let path = nix::unistd::ttyname(&host.slave).expect("its name");
    let owner = nix::unistd::User::from_name(USER)
        .expect("known")
        .expect("there");
    nix::unistd::chown(&path, Some(owner.uid), None).expect("ours");
    // TIOCSTI, and TIOCSCTTY before it.
    let script = "open F, '+<', $ARGV[0] or die; my $x = 'x';
        print ioctl(F, 0x540e, 1) ? 'taken' : 'no', ioctl(F, 0x5412, $x) ? 'typed' : 'no'";
    let (text, _) = output(
        &client,
        &["perl", "-e", script, path.to_str().expect("plain")],
    )
    .expect("runs");
    assert_eq!(text, "nono");
}
