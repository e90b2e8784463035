//! Host programs from a guest's shell, as if they were the guest's: streams, status, environment, directory.

use hostcall_tests::daemon::{program, Scratch};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(script: &str) -> Output {
    run_in("local", script)
}

fn run_in(kind: &str, script: &str) -> Output {
    let mut command = Command::new(program("hostd"));
    command
        .args(["run", "--guest", kind, "--", "bash", "-c", script])
        .stdin(Stdio::null());
    command.output().expect("hostd runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a script says; it must have nothing to complain about.
fn says(script: &str) -> String {
    let output = run(script);
    assert_eq!(text(&output.stderr), "", "{script}");
    assert!(output.status.success(), "{script}: {:?}", output.status);
    text(&output.stdout)
}

#[test]
fn the_status_is_the_programs() {
    for (script, expected) in [
        ("hrun true", "0"),
        ("hrun sh -c 'exit 7'", "7"),
        ("hrun sh -c 'exit 255'", "255"),
        ("hrun sh -c 'kill -SEGV $$' 2>&1", "139"),
        ("hrun sh -c 'kill -TERM $$' 2>&1", "143"),
        ("hrun sh -c 'kill -KILL $$' 2>&1", "137"),
        (
            "yes | hrun head -1 > /dev/null; set -- ${PIPESTATUS[@]}; (exit $1)",
            "141",
        ),
        (
            "hrun yes | head -1 > /dev/null; set -- ${PIPESTATUS[@]}; (exit $1)",
            "141",
        ),
    ] {
        let said = says(&format!("{{ {script}; }} 2> /dev/null; echo $?"));
        assert_eq!(said.trim(), expected, "{script}");
    }
}

#[test]
fn a_refusal_is_one_clear_line() {
    for (command, status, why) in [
        ("nothing-of-this-name", 127, "not found on the host"),
        ("/nothing/there", 127, "not found on the host"),
        ("/etc/passwd", 126, "not executable"),
        ("/etc", 126, ""),
        ("$'\\x1b[2J'", 127, "\\u{1b}[2J: not found"),
        ("''", 127, ""),
    ] {
        let output = run(&format!("hrun {command}"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{command}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("hrun: ") && said.contains(why), "{said}");
        assert!(!said.contains('\x1b'));
    }
}

#[test]
fn words_arrive_as_they_are() {
    let script = "hrun printf '<%s>' -- -x '' $'a\\nb' ' ' '*' '$HOME' \\; --help";
    assert_eq!(says(script), "<--><-x><><a\nb>< ><*><$HOME><;><--help>");
    assert_eq!(says("hrun -- echo -n x"), "x");
}

#[test]
fn bytes_cross_in_both_directions() {
    // 100 MB each way at once, through a program that reads and writes at the same time.
    let script = "
        head -c 100000000 /dev/urandom > /tmp/in
        cat /tmp/in | hrun cat | cat > /tmp/out
        cmp /tmp/in /tmp/out && stat -c %s /tmp/out
        hrun tee /dev/null < /tmp/in > /tmp/out && cmp /tmp/in /tmp/out && echo same";
    assert_eq!(says(script), "100000000\nsame\n");
}

#[test]
fn files_of_the_host_are_handed_over() {
    let directory = Scratch::new();
    let data: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(directory.join("f"), &data).expect("a file");
    let host = format!("/host{}", directory.display());
    let lines = "hrun: stdin: a file of the host, 0 bytes carried\n\
                 hrun: stdout: a file of the host, 0 bytes carried\n\
                 hrun: stderr: the guest's own pipe, 0 bytes carried\n";
    for (name, wrap) in [
        ("preload", preloaded as fn(&str) -> String),
        ("mount", mounted),
    ] {
        let output = run(&wrap(&format!("hrun -v cat < {host}/f > {host}/{name}")));
        assert!(output.status.success());
        assert_eq!(text(&output.stderr), lines, "{name}");
        let copy = fs::read(directory.join(name)).expect("a copy");
        assert!(copy == data, "{name}: {} bytes", copy.len());
    }
}

/// A script whose host files are the preload library's.
fn preloaded(script: &str) -> String {
    script.to_owned()
}

/// A script whose host files are the mount's: a static shell, and nothing under the preload.
fn mounted(script: &str) -> String {
    let script = script.replace('\'', "'\\''");
    format!("exec /bin/busybox sh -c 'unset LD_PRELOAD; {script}'")
}

#[test]
fn positions_and_appending_are_shared_with_the_guest() {
    let directory = Scratch::new();
    let host = format!("/host{}", directory.display());
    let script = format!(
        "cd /tmp
         printf 'one\\ntwo\\nthree\\n' > {host}/f
         {{ read a; hrun sh -c 'read b; echo \"host $b\"'; read c; echo \"guest $a $c\"; }} < {host}/f
         {{ echo 1; hrun echo 2; echo 3; hrun echo 4 >&2; }} > {host}/o 2>&1
         {{ echo 5; hrun echo 6; }} >> {host}/o
         cat {host}/o"
    );
    for script in [preloaded(&script), mounted(&script)] {
        assert_eq!(
            says(&script),
            "host two\nguest one three\n1\n2\n3\n4\n5\n6\n"
        );
        fs::remove_file(directory.join("o")).expect("the outcome");
    }
}

#[test]
fn a_loop_over_a_file_keeps_its_lines() {
    let script = "seq 5 > /tmp/f; while read n; do hrun echo $n; done < /tmp/f
                  { hrun head -c 2 ; cat; } < /tmp/f";
    assert_eq!(says(script), "1\n2\n3\n4\n5\n1\n2\n3\n4\n5\n");
}

#[test]
fn closed_and_full_streams_are_what_they_are() {
    for (script, expected) in [
        ("hrun cat <&-; echo $?", "1\n"),
        ("hrun echo x >&-; echo $?", "1\n"),
        ("hrun echo x > /dev/full; echo $?", "1\n"),
        ("hrun cat < /dev/null; echo $?", "0\n"),
        (
            "hrun sh -c 'exec >&-; sleep 1; exit 3' | wc -c; echo ${PIPESTATUS[0]}",
            "0\n3\n",
        ),
        (
            "{ sleep 0.3; echo late; } | hrun sh -c 'exec <&-; exit 4'; echo ${PIPESTATUS[1]}",
            "4\n",
        ),
    ] {
        let said = says(&format!("{{ {script}; }} 2> /dev/null"));
        assert_eq!(said, expected, "{script}");
    }
    let said = text(&run("hrun echo x > /dev/full").stderr);
    assert!(
        said.contains("hrun: stdout: No space left on device"),
        "{said}"
    );
}

#[test]
fn both_outputs_in_one_pipe_keep_their_order() {
    let script = "hrun sh -c 'for n in 1 2 3 4 5; do echo $n; echo e$n >&2; done' 2>&1 | cat";
    assert_eq!(says(script), "1\ne1\n2\ne2\n3\ne3\n4\ne4\n5\ne5\n");
}

#[test]
fn a_program_left_behind_keeps_nobody() {
    let directory = Scratch::new();
    let path = directory.display();
    let script = format!(
        "hrun sh -c '(sleep 2; echo late; echo done > {path}/done) & echo said' > /tmp/o; cat /tmp/o; echo on"
    );
    assert_eq!(says(&script), "said\non\n");
}

#[test]
fn a_pipe_is_the_guests_own_for_whoever_has_it() {
    // As for any program: who is left behind with the pipe keeps its reader, and what closes it is heard at once.
    let late = "hrun sh -c '(sleep 0.5; echo late) & echo said' | cat; echo on";
    assert_eq!(says(late), "said\nlate\non\n");
    let closed = "
        (hrun sh -c 'echo said; exec > /dev/null; sleep 60' & echo $! > /tmp/pid) | cat
        kill $(cat /tmp/pid) && echo still there";
    assert_eq!(says(closed), "said\nstill there\n");
}

#[test]
fn signals_reach_the_program() {
    for (signal, expected) in [("INT", "2"), ("TERM", "15"), ("USR1", "10"), ("HUP", "1")] {
        let script = format!(
            "hrun sh -c 'trap \"echo got; exit {expected}\" {signal}; echo go; while :; do sleep 0.1; done' > /tmp/o &
             until grep -q go /tmp/o; do sleep 0.05; done
             kill -{signal} $!; wait $!; echo $?; cat /tmp/o"
        );
        // A shell without job control has what it starts in the background ignore SIGINT.
        let script = format!("exec 2> /dev/null; set -m; {script}");
        assert_eq!(says(&script), format!("{expected}\ngo\ngot\n"), "{signal}");
    }
    let script = "exec 2> /dev/null; set -m; hrun sleep 100 & sleep 0.5; kill -KILL $!; wait $! 2> /dev/null; echo $?";
    assert_eq!(says(script), "137\n");
}

#[test]
fn the_environment_is_the_hosts() {
    let script = "
        export TERM=vt100 LC_TIME=C SECRET=x LD_LIBRARY_PATH=/evil BASH_ENV=/evil
        hrun env | grep -c '^\\(SECRET\\|LD_PRELOAD\\|LD_LIBRARY_PATH\\|BASH_ENV\\|HOSTCALL\\)'
        hrun env | grep '^\\(TERM\\|LC_TIME\\)' | sort
        hrun --env TERM=dumb sh -c 'echo $TERM'
        WHERE=/host/usr/share HOSTCALL_ENV=WHERE/p hrun sh -c 'echo $WHERE'";
    assert_eq!(says(script), "0\nLC_TIME=C\nTERM=vt100\ndumb\n/usr/share\n");
    let output = run("hrun --env LD_PRELOAD sh -c 'echo \"<$LD_PRELOAD>\"'");
    assert_eq!(text(&output.stdout), "<>\n");
    assert!(text(&output.stderr).starts_with("hrun: LD_PRELOAD does not cross"));
}

#[test]
fn the_directory_is_the_sessions() {
    let script = "
        cd /host/usr/lib && hrun pwd && hpwd
        hcd .. && hpwd && hrun pwd
        hcd /etc; hrun pwd; cd /tmp; hrun pwd; (hcd -); hpwd
        (HOSTCALL_SESSION=other; export HOSTCALL_SESSION; hcd /var; hpwd); hpwd
        hcd; hrun sh -c 'test \"$PWD\" = \"$HOME\" && echo home'";
    assert_eq!(
        says(script),
        "/usr/lib\n/usr/lib\n/usr\n/usr\n/etc\n/etc\n/usr\n/usr\n/var\n/usr\nhome\n"
    );
    let output = run("hcd /host/etc; hcd /nothing; hcd -");
    let said = text(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].contains("its name there is /etc"), "{said}");
    assert!(lines[1].contains("no such directory on the host"), "{said}");
    assert!(lines[2].contains("no directory before"), "{said}");
}

#[test]
fn paths_and_links_have_two_names() {
    let script = "
        cd /host/usr; hpath /host/etc/hosts lib; hpath -g /etc/hosts
        hrun --translate echo /host/etc/hosts /etc/hosts x
        cd /tmp; hpath x 2>&1
        hrun --install-link echo /tmp/bin && /tmp/bin/echo -t --help";
    assert_eq!(
        says(&format!("{script} || true")),
        "/etc/hosts\n/usr/lib\n/host/etc/hosts\n/etc/hosts /etc/hosts x\n\
         hpath: x: not a file of the host; those are under /host\n/tmp/bin/echo\n-t --help\n"
    );
}

#[test]
fn many_run_at_once() {
    let script = "for n in $(seq 200); do hrun echo $n > /tmp/$n & done; wait
                  for n in $(seq 200); do cat /tmp/$n; done | sort -n | sha1sum
                  seq 200 | sha1sum";
    let said = says(script);
    let sums: Vec<&str> = said.lines().collect();
    assert_eq!(sums[0], sums[1]);
}

#[test]
fn it_works_in_a_guest_with_its_own_kernel() {
    if !Path::new("/usr/bin/linux.uml").exists() {
        eprintln!("skipped: user-mode-linux is not installed");
        return;
    }
    let script = "echo abc | hrun tr a-c x-z; hrun sh -c 'exit 7'; echo $?
                  hrun -v cat < /host/etc/hostname > /dev/null 2> /tmp/v; grep stdin /tmp/v
                  head -c 3000000 /dev/urandom > /tmp/in; hrun cat < /tmp/in | cmp - /tmp/in && echo same";
    let output = run_in("uml", script);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(
        text(&output.stdout),
        "xyz\n7\nhrun: stdin: a file of the host, 0 bytes carried\nsame\n"
    );
}
