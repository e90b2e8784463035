//! Host files in guests for every program: `hostd run` mounts them at the prefix, and nothing of that is left behind.

use hostcall_tests::daemon::{descendants, program, Scratch, PATIENCE};
use hostcall_tests::guest::Guest;
use hostcall_tests::processes::all_end;
use hostcall_tests::shell::kinds;
use hostcall_tests::soon::soon;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const BUSYBOX: &str = "/bin/busybox";

fn hostd(program: &Path, kind: &str, options: &[&str], script: &str) -> Command {
    program_exists(BUSYBOX);
    let mut command = Command::new(program);
    command
        .args(["run", "--guest", kind])
        .args(options)
        .args(["--", "bash", "-c", script]);
    command
}

fn program_exists(path: &str) {
    assert!(
        Path::new(path).exists(),
        "{path} is missing; apt-get install busybox-static"
    );
}

fn run(kind: &str, options: &[&str], script: &str) -> Output {
    let mut command = hostd(&program("hostd"), kind, options, script);
    command.stdin(Stdio::null()).output().expect("hostd runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a script says; it must succeed.
fn says(kind: &str, options: &[&str], script: &str) -> String {
    let output = run(kind, options, script);
    assert!(
        output.status.success(),
        "{kind}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert_eq!(text(&output.stderr), "", "{kind}");
    text(&output.stdout)
}

#[test]
fn every_program_can_read_the_status_of_the_mount() {
    // Listings do not show the directory, so grep finds nothing.
    let script = format!(
        "head -n 2 /host/.hostcall/status
         {BUSYBOX} head -n 2 /host/.hostcall/status
         ls -A /host | grep hostcall
         echo $?"
    );
    let expected = "cache: auto\nhost: attached\n".repeat(2) + "1\n";
    for kind in kinds() {
        assert_eq!(says(kind, &[], &script), expected, "{kind}");
    }
}

#[test]
fn static_programs_work_on_host_files() {
    let directory = Scratch::new();
    fs::write(directory.join("f"), "from the host\n").expect("a file");
    let host = format!("/host{}", directory.display());
    for kind in kinds() {
        let script = format!(
            "{BUSYBOX} cat {host}/f
             {BUSYBOX} sh -c 'echo from a static shell > {host}/{kind}; exec {BUSYBOX} stat -c %s {host}/{kind}'
             cd {host} && {BUSYBOX} pwd && {BUSYBOX} ls
             {BUSYBOX} rm {host}/{kind} && ls {host}"
        );
        let expected = format!("from the host\n20\n{host}\nf\n{kind}\nf\n");
        assert_eq!(says(kind, &[], &script), expected, "{kind}");
    }
}

#[test]
fn redirections_reach_static_programs() {
    let directory = Scratch::new();
    let host = format!("/host{}", directory.display());
    for kind in kinds() {
        let script = format!(
            "{{ echo one; {BUSYBOX} echo two; echo three; }} > {host}/{kind}
             {BUSYBOX} echo four >> {host}/{kind}
             {{ read line; {BUSYBOX} cat; }} < {host}/{kind}
             exec 7< {host}/{kind}; {BUSYBOX} sh -c 'read line <&7; echo $line'; exec 7<&-"
        );
        let said = says(kind, &[], &script);
        assert_eq!(said, "two\nthree\nfour\none\n", "{kind}");
        let file = fs::read_to_string(directory.join(kind)).expect("the file");
        assert_eq!(file, "one\ntwo\nthree\nfour\n");
    }
}

#[test]
fn programs_of_the_host_run_from_the_mount() {
    for kind in kinds() {
        let said = says(kind, &[], "/host/bin/echo yes; cd /host/bin && ./echo here");
        assert_eq!(said, "yes\nhere\n", "{kind}");
    }
}

#[test]
fn the_server_of_the_mount_is_not_preloaded() {
    for kind in kinds() {
        let script = format!(
            "cat /host/etc/hostname > /dev/null
             grep -c hostcall_preload /proc/$({BUSYBOX} pidof hostfs)/maps 2> /dev/null || echo none
             {BUSYBOX} grep -c '^host /host fuse' /proc/mounts"
        );
        let said = says(kind, &[], &script);
        // A local guest's commands may not look into its init's processes; what is preloaded is seen where they may.
        assert!(
            ["0\nnone\n1\n", "none\n1\n"].contains(&said.as_str()),
            "{kind}: {said}"
        );
    }
}

#[test]
fn the_mount_can_be_left_out() {
    for kind in kinds() {
        let script = format!("{BUSYBOX} ls -a /host | {BUSYBOX} wc -l; head -c 5 /host/etc/passwd");
        assert_eq!(says(kind, &["--no-mount"], &script), "2\nroot:", "{kind}");
    }
}

/// A hostd whose hostfs is this script, or is missing.
fn with_hostfs(script: Option<&str>) -> (Scratch, PathBuf) {
    let directory = Scratch::new();
    for name in ["hostd", "libhostcall_preload.so"] {
        let from = program("hostd").with_file_name(name);
        fs::copy(from, directory.join(name)).expect("a copy");
    }
    if let Some(script) = script {
        let path = directory.join("hostfs");
        fs::write(&path, script).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    let hostd = directory.join("hostd");
    (directory, hostd)
}

#[test]
fn a_guest_without_a_mount_says_so_once_and_goes_on() {
    let broken = "#!/bin/sh\necho 'hostfs: the moon is down: raise it' >&2\nexit 1\n";
    let cases = [
        (None, "hostfs is not there"),
        (Some(broken), "the moon is down: raise it"),
        (Some("#!/bin/sh\nexec sleep 100\n"), "within 5s"),
    ];
    for (script, why) in cases {
        let (_directory, hostd_program) = with_hostfs(script);
        let output = hostd(
            &hostd_program,
            "local",
            &[],
            "head -c 5 /host/etc/passwd; exit 7",
        )
        .stdin(Stdio::null())
        .output()
        .expect("hostd runs");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{said}");
        assert_eq!(text(&output.stdout), "root:");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("not mounted") && said.contains(why), "{said}");
    }
}

#[test]
fn nothing_is_left_when_hostd_is_killed() {
    for kind in kinds() {
        let script = format!(
            "{BUSYBOX} ls /host > /dev/null; echo ready; {BUSYBOX} tail -f /host/etc/hostname"
        );
        let mut child = hostd(&program("hostd"), kind, &[], &script)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("hostd runs");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n", "{kind}");
        let family = descendants(child.id() as i32);
        assert!(family.len() > 3, "{kind}: {family:?}");
        child.kill().expect("it lives");
        child.wait().expect("our child");
        all_end(kind, &family);
    }
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
    assert!(!mounts.contains("fuse.hostfs"), "{mounts}");
}

#[test]
fn the_preload_lives_on_when_hostfs_is_killed() {
    for kind in kinds() {
        let script = format!(
            "{BUSYBOX} kill -9 $({BUSYBOX} pidof hostfs); n=0
             while {BUSYBOX} cat /host/etc/passwd > /dev/null 2>&1 && [ $((n += 1)) -lt 300 ]; do {BUSYBOX} sleep 0.1; done
             [ $n -lt 300 ] && echo gone
             head -c 5 /host/etc/passwd"
        );
        let output = run(kind, &[], &script);
        assert_eq!(text(&output.stdout), "gone\nroot:", "{kind}");
        // Whoever sees ENOTCONN from now on has been told why.
        let told = text(&output.stderr);
        assert_eq!(told.lines().count(), 1, "{kind}: {told}");
        assert!(told.starts_with("hostd: the host's files are no more mounted at /host"));
        assert!(
            told.ends_with("hostfs ended by signal 9\n"),
            "{kind}: {told}"
        );
    }
}

/// A mount that the guest itself has taken away is nobody's loss.
#[test]
fn the_end_of_the_mount_by_the_guests_own_hand_is_not_told() {
    let script = format!(
        "umount /host && {BUSYBOX} ls /host; {BUSYBOX} sleep 0.5; head -c 5 /host/etc/passwd"
    );
    // In a guest of the host's own kernel the mount is not the guest's to take away.
    for kind in kinds().filter(|kind| *kind == "uml") {
        assert_eq!(says(kind, &[], &script), "root:", "{kind}");
    }
}

#[test]
fn what_was_written_at_the_end_is_on_the_host() {
    let directory = Scratch::new();
    let host = format!("/host{}", directory.display());
    for kind in kinds() {
        // In the background and never closed: the guest ends under it.
        let script = format!(
            "{BUSYBOX} sh -c 'exec > {host}/{kind}; {BUSYBOX} seq 20000; exec {BUSYBOX} sleep 100' &
             n=0; while [ \"$({BUSYBOX} tail -n 1 {host}/{kind} 2> /dev/null)\" != 20000 ] && [ $((n += 1)) -lt 300 ]
             do {BUSYBOX} sleep 0.1; done"
        );
        says(kind, &[], &script);
        let file = fs::read_to_string(directory.join(kind)).expect("the file");
        assert_eq!(file.lines().count(), 20000, "{kind}");
    }
}

/// A thread of another kernel that waits for the host is woken by the guest's resident, and wakes by itself when that has
/// died: hostfs is it, or the guest's first process.
#[test]
fn a_long_wait_ends_whether_or_not_a_resident_lives() {
    let directory = Scratch::new();
    let path = directory.join("lock");
    for kind in kinds() {
        for first in ["true", "busybox kill -9 $(busybox pidof hostfs)"] {
            let what = format!("a lock in a guest, {kind}, after {first}");
            soon(&what, Duration::from_secs(2), || {
                waits_for_a_lock(kind, first, &path)
            });
        }
    }
}

/// How long a guest's program has its lock after the host has given it back.
fn waits_for_a_lock(kind: &str, first: &str, path: &Path) -> Duration {
    let file = fs::File::create(path).expect("a file");
    let held = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .expect("a lock that nobody has");
    let script = format!(
        "{first}; echo ready; flock /host{} echo locked",
        path.display()
    );
    let mut run = Guest::run(hostd(&program("hostd"), kind, &[], &script));
    run.expect("ready", PATIENCE);
    std::thread::sleep(Duration::from_millis(500));
    drop(held);
    let start = Instant::now();
    run.expect("locked", PATIENCE);
    let took = start.elapsed();
    run.ended(PATIENCE);
    took
}

#[test]
fn a_guest_ends_at_once() {
    soon("a guest", Duration::from_secs(5), || {
        let start = Instant::now();
        says("local", &[], "true");
        start.elapsed()
    });
}
