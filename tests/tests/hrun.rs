//! Host programs from a guest's shell, as if they were the guest's: streams, status, environment, directory.

use hostcall_tests::daemon::{program, Scratch};
use hostcall_tests::shell::{text, Scripts, UML};
use std::fs;

hostcall_tests::in_each_guest![
    hostcall_tests::shell::Scripts::start:
    the_status_is_the_programs,
    a_refusal_is_one_clear_line,
    words_arrive_as_they_are,
    bytes_cross_in_both_directions,
    a_makefile_uses_programs_of_the_host,
    git_of_the_host_works_where_the_session_is,
    files_of_the_host_are_handed_over,
    positions_and_appending_are_shared_with_the_guest,
    what_a_program_changes_is_on_the_mount_at_its_end,
    what_a_program_changes_right_after_the_mount_is_seen_too,
    a_loop_over_a_file_keeps_its_lines,
    closed_and_full_streams_are_what_they_are,
    both_outputs_in_one_pipe_keep_their_order,
    a_program_left_behind_keeps_nobody,
    a_pipe_is_the_guests_own_for_whoever_has_it,
    signals_reach_the_program,
    the_environment_is_the_hosts,
    the_directory_is_the_sessions,
    paths_and_links_have_two_names,
    links_lie_in_the_guest,
    many_run_at_once,
    a_guest_in_a_guest_has_its_own_host,
];

fn the_status_is_the_programs(guest: &mut Scripts) {
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
        let said = guest.say(&format!("{{ {script}; }} 2> /dev/null; echo $?"));
        assert_eq!(said.trim(), expected, "{script}");
    }
}

fn a_refusal_is_one_clear_line(guest: &mut Scripts) {
    for (command, status, why) in [
        ("nothing-of-this-name", 127, "not found on the host"),
        ("/nothing/there", 127, "not found on the host"),
        ("/etc/passwd", 126, "not executable"),
        ("/etc", 126, ""),
        ("$'\\x1b[2J'", 127, "\\u{1b}[2J: not found"),
        ("''", 127, ""),
    ] {
        let output = guest.run(&format!("hrun {command}"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{command}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("hrun: ") && said.contains(why), "{said}");
        assert!(!said.contains('\x1b'));
    }
}

fn words_arrive_as_they_are(guest: &mut Scripts) {
    let script = "hrun printf '<%s>' -- -x '' $'a\\nb' ' ' '*' '$HOME' \\; --help";
    assert_eq!(
        guest.say(script),
        "<--><-x><><a\nb>< ><*><$HOME><;><--help>"
    );
    assert_eq!(guest.say("hrun -- echo -n x"), "x");
}

fn bytes_cross_in_both_directions(guest: &mut Scripts) {
    // Through a program that reads and writes at the same time; no file of a guest's holds as many in 256 MiB.
    let script = "
        make() { seq 100000000 | head -c 100000000; }
        made=$(make | sha1sum)
        test \"$(make | hrun cat | sha1sum)\" = \"$made\" && echo 100 MB
        make | head -c 20000000 > /tmp/in
        hrun tee /dev/null < /tmp/in > /tmp/out && cmp /tmp/in /tmp/out && echo 20 MB; rm /tmp/in /tmp/out";
    assert_eq!(guest.say(script), "100 MB\n20 MB\n");
}

fn a_makefile_uses_programs_of_the_host(guest: &mut Scripts) {
    if guest.run("command -v make").stdout.is_empty() {
        return eprintln!("skipped: make is not installed");
    }
    let script = format!(
        "mkdir /tmp/make; cd /tmp/make; cat > Makefile <<'END'\n{MAKEFILE}END
         make sorted && cat sorted && make -s -j4 a b c d && cat a b c d
         make fails 2>&1 | grep -c 'Error 3'"
    );
    assert_eq!(
        guest.say(&script),
        "hrun sort < words | tr a-z A-Z > sorted\nOF THE HOST\nSAID IN BETWEEN\na\nb\nc\nd\n1\n"
    );
}

/// What stands in for host programs in a Makefile: a value, a stage of a pipe, a recipe, a failure.
const MAKEFILE: &str = "
WORDS := $(shell hrun sh -c 'echo of the host')
sorted: words
\thrun sort < $< | tr a-z A-Z > $@
words:
\t@echo said in between > $@; hrun echo $(WORDS) >> $@
a b c d:
\thrun echo $@ > $@
fails:
\t@hrun sh -c 'exit 3'
";

fn git_of_the_host_works_where_the_session_is(guest: &mut Scripts) {
    let directory = Scratch::new();
    let path = directory.display();
    let script = format!(
        "cd /host{path}; export HOSTCALL_SESSION=git; hcd {path}
         hrun git init -q -b trunk . && echo text > file && hrun git add file
         hrun git -c user.name=n -c user.email=e@x commit -q -F - <<< 'A message' && hrun git log --format=%s
         x=$(hrun git rev-parse HEAD); test \"$x\" = \"$(cat .git/refs/heads/trunk)\" && echo the same
         hrun git rev-parse nothing > /dev/null 2>&1; echo $?"
    );
    assert_eq!(guest.say(&script), "A message\nthe same\n128\n");
}

fn files_of_the_host_are_handed_over(guest: &mut Scripts) {
    let directory = Scratch::new();
    let data: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(directory.join("f"), &data).expect("a file");
    let host = format!("/host{}", directory.display());
    // A pipe is handed over as well, unless another kernel has it.
    let pipe = if guest.kind == UML {
        "a pipe"
    } else {
        "the guest's own pipe"
    };
    let lines = format!(
        "hrun: stdin: a file of the host, 0 bytes carried\n\
         hrun: stdout: a file of the host, 0 bytes carried\n\
         hrun: stderr: {pipe}, 0 bytes carried\n"
    );
    for (name, wrap) in [
        ("preload", preloaded as fn(&str) -> String),
        ("mount", mounted),
    ] {
        let script = format!("{{ hrun -v cat < {host}/f > {host}/{name}; }} 2>&1 | cat");
        assert_eq!(guest.say(&wrap(&script)), lines, "{name}");
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

fn positions_and_appending_are_shared_with_the_guest(guest: &mut Scripts) {
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
            guest.say(&script),
            "host two\nguest one three\n1\n2\n3\n4\n5\n6\n"
        );
        fs::remove_file(directory.join("o")).expect("the outcome");
    }
}

/// The guest's kernel has been told sizes and names, which it may keep, before each program changes them.
fn what_a_program_changes_is_on_the_mount_at_its_end(guest: &mut Scripts) {
    let directory = Scratch::new();
    let script = format!(
        "cd /host{}; : > f
         for i in $(seq 30); do
             stat -c %s f; ls | wc -l
             hrun sh -c \"echo 123456789 >> f; : > $i\"
         done",
        directory.display()
    );
    let turn = |i| format!("{}\n{i}\n", 10 * (i - 1));
    let expected: String = (1..=30).map(turn).collect();
    assert_eq!(guest.say(&mounted(&script)), expected);
}

/// hostfs hears of it while the program runs, when the mount's own change is so recent that its event may be due.
fn what_a_program_changes_right_after_the_mount_is_seen_too(guest: &mut Scripts) {
    let directory = Scratch::new();
    let script = format!(
        "cd /host{}
         for i in $(seq 20); do
             echo own > f; stat -c %s f
             hrun sh -c \"echo $i >> f; sleep 0.03\"; stat -c %s f
         done",
        directory.display()
    );
    let turn = |i| format!("4\n{}\n", if i < 10 { 6 } else { 7 });
    let expected: String = (1..=20).map(turn).collect();
    assert_eq!(guest.say(&mounted(&script)), expected);
}

fn a_loop_over_a_file_keeps_its_lines(guest: &mut Scripts) {
    let script = "seq 5 > /tmp/f; while read n; do hrun echo $n; done < /tmp/f
                  { hrun head -c 2 ; cat; } < /tmp/f";
    assert_eq!(guest.say(script), "1\n2\n3\n4\n5\n1\n2\n3\n4\n5\n");
}

fn closed_and_full_streams_are_what_they_are(guest: &mut Scripts) {
    let directory = "hrun cat < /tmp 2> /tmp/e; echo $?; cat /tmp/e";
    let said = guest.say(directory);
    assert!(said.starts_with("1\nhrun: stdin: "), "{said}");
    // The program ends as soon as it hears of the end, which must not be ahead of the failure.
    let often =
        "for i in {1..60}; do hrun cat < /tmp 2> /tmp/e; echo $? $(wc -l < /tmp/e); done | uniq";
    assert_eq!(guest.say(often), "1 1\n");
    // A terminal's end after a part of a line.
    assert_eq!(guest.say("printf abc | hrun -t cat"), "abcabc");
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
        let said = guest.say(&format!("{{ {script}; }} 2> /dev/null"));
        assert_eq!(said, expected, "{script}");
    }
    let said = text(&guest.run("hrun echo x > /dev/full").stderr);
    assert!(
        said.contains("hrun: stdout: No space left on device"),
        "{said}"
    );
}

fn both_outputs_in_one_pipe_keep_their_order(guest: &mut Scripts) {
    let script = "hrun sh -c 'for n in 1 2 3 4 5; do echo $n; echo e$n >&2; done' 2>&1 | cat";
    assert_eq!(guest.say(script), "1\ne1\n2\ne2\n3\ne3\n4\ne4\n5\ne5\n");
}

fn a_program_left_behind_keeps_nobody(guest: &mut Scripts) {
    let directory = Scratch::new();
    let path = directory.display();
    let script = format!(
        "hrun sh -c '(sleep 2; echo late; echo done > {path}/done) & echo said' > /tmp/o; cat /tmp/o; echo on"
    );
    assert_eq!(guest.say(&script), "said\non\n");
}

fn a_pipe_is_the_guests_own_for_whoever_has_it(guest: &mut Scripts) {
    // Between kernels it cannot be, and is carried.
    if guest.kind == UML {
        return;
    }
    // As for any program: who is left behind with the pipe keeps its reader, and what closes it is heard at once.
    let late = "hrun sh -c '(sleep 0.5; echo late) & echo said' | cat; echo on";
    assert_eq!(guest.say(late), "said\nlate\non\n");
    let closed = "
        (hrun sh -c 'echo said; exec > /dev/null; sleep 60' & echo $! > /tmp/pid) | cat
        kill $(cat /tmp/pid) && echo still there";
    assert_eq!(guest.say(closed), "said\nstill there\n");
}

fn signals_reach_the_program(guest: &mut Scripts) {
    for (signal, expected) in [
        ("INT", "2"),
        ("TERM", "15"),
        ("USR1", "10"),
        ("HUP", "1"),
        ("ABRT", "6"),
        ("PIPE", "13"),
        ("URG", "23"),
        ("RTMIN+3", "37"),
    ] {
        let script = format!(
            "rm -f /tmp/o; touch /tmp/o; hrun bash -c 'trap \"echo got; exit {expected}\" {signal}; echo go; while :; do sleep 0.1; done' > /tmp/o &
             until grep -q go /tmp/o; do sleep 0.05; done
             kill -{signal} $!; wait $!; echo $?; cat /tmp/o"
        );
        // A shell without job control has what it starts in the background ignore SIGINT.
        let script = format!("exec 2> /dev/null; set -m; {script}");
        assert_eq!(
            guest.say(&script),
            format!("{expected}\ngo\ngot\n"),
            "{signal}"
        );
    }
    let script = "exec 2> /dev/null; set -m; hrun sleep 100 & sleep 0.5; kill -KILL $!; wait $! 2> /dev/null; echo $?";
    assert_eq!(guest.say(script), "137\n");
}

fn the_environment_is_the_hosts(guest: &mut Scripts) {
    let script = "
        export TERM=vt100 LC_TIME=C SECRET=x LD_LIBRARY_PATH=/evil BASH_ENV=/evil
        hrun env | grep -c '^\\(SECRET\\|LD_PRELOAD\\|LD_LIBRARY_PATH\\|BASH_ENV\\|HOSTCALL\\)'
        hrun env | grep '^\\(TERM\\|LC_TIME\\)' | sort
        hrun --env TERM=dumb sh -c 'echo $TERM'
        WHERE=/host/usr/share HOSTCALL_ENV=WHERE/p hrun sh -c 'echo $WHERE'";
    assert_eq!(
        guest.say(script),
        "0\nLC_TIME=C\nTERM=vt100\ndumb\n/usr/share\n"
    );
    let output = guest.run("hrun --env LD_PRELOAD sh -c 'echo \"<$LD_PRELOAD>\"'");
    assert_eq!(text(&output.stdout), "<>\n");
    assert!(text(&output.stderr).starts_with("hrun: LD_PRELOAD does not cross"));
}

fn the_directory_is_the_sessions(guest: &mut Scripts) {
    let script = "
        cd /host/usr/lib && hrun pwd && hpwd
        hcd .. && hpwd && hrun pwd
        hcd /etc; hrun pwd; cd /tmp; hrun pwd; (hcd -); hpwd
        (HOSTCALL_SESSION=other; export HOSTCALL_SESSION; hcd /var; hpwd); hpwd
        hcd; hrun sh -c 'test \"$PWD\" = \"$HOME\" && echo home'";
    assert_eq!(
        guest.say(script),
        "/usr/lib\n/usr/lib\n/usr\n/usr\n/etc\n/etc\n/usr\n/usr\n/var\n/usr\nhome\n"
    );
    let output = guest.run("export HOSTCALL_SESSION=new; hcd /host/etc; hcd /nothing; hcd -");
    let said = text(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].contains("its name there is /etc"), "{said}");
    assert!(lines[1].contains("no such directory on the host"), "{said}");
    assert!(lines[2].contains("no directory before"), "{said}");
}

fn paths_and_links_have_two_names(guest: &mut Scripts) {
    let script = "
        cd /host/usr; hpath /host/etc/hosts lib; hpath -g /etc/hosts
        hrun --translate echo /host/etc/hosts /etc/hosts x
        cd /tmp; hpath x 2>&1
        hrun --install-link echo /tmp/bin && /tmp/bin/echo -t --help";
    assert_eq!(
        guest.say(&format!("{script} || true")),
        "/etc/hosts\n/usr/lib\n/host/etc/hosts\n/etc/hosts /etc/hosts x\n\
         hpath: x: not a file of the host; those are under /host\n/tmp/bin/echo\n-t --help\n"
    );
}

fn links_lie_in_the_guest(guest: &mut Scripts) {
    let scratch = Scratch::new();
    let script = format!(
        "cd /host{0}; hrun --install-link echo /host{0}; hrun --install-link echo .; ls",
        scratch.display()
    );
    let output = guest.run(&script);
    let said = text(&output.stderr);
    assert_eq!(said.matches("name one of the guest").count(), 2, "{said}");
    assert_eq!(text(&output.stdout), "", "{said}");
}

fn many_run_at_once(guest: &mut Scripts) {
    let count = if guest.kind == UML { 40 } else { 200 };
    let script = format!(
        "mkdir /tmp/many; cd /tmp/many
         for n in $(seq {count}); do hrun echo $n > $n & done; wait
         cat * | sort -n | sha1sum; seq {count} | sha1sum"
    );
    let said = guest.say(&script);
    let sums: Vec<&str> = said.lines().collect();
    assert_eq!(sums[0], sums[1]);
}

fn a_guest_in_a_guest_has_its_own_host(guest: &mut Scripts) {
    let hrun = program("hrun");
    let output = guest.run(&format!("hrun {} ls", hrun.display()));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    // A program of the host that boots a guest: its programs run where that is booted.
    let script = format!(
        "hrun {} run --guest local -- sh -c 'hrun echo within; hrun sh -c \"exit 9\"'; echo $?",
        program("hostd").display()
    );
    assert_eq!(guest.say(&script), "within\n9\n");
}
