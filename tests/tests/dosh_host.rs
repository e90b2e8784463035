//! dosh's other operating system: built-ins and stages that run on the host, from scripts.

use hostcall_tests::daemon::program;
use hostcall_tests::shell::{kinds, text, Scripts};
use hostcall_tests::typist::Typist;

hostcall_tests::in_each_guest![
    hostcall_tests::shell::Scripts::start:
    a_host_program_is_a_command_like_any_other,
    both_directories_have_their_history,
    neighbours_on_the_host_are_joined_there,
    every_stage_has_its_streams_and_its_status,
    large_streams_go_through_every_kind_of_stage,
    who_ends_early_is_heard_by_its_neighbours,
    a_line_for_the_host_and_the_mode,
];

/// What a script for dosh says; it must have nothing to complain about.
fn say(guest: &mut Scripts, script: &str) -> String {
    let quoted = script.replace('\'', "'\\''");
    guest.say(&format!("dosh -c '{quoted}'"))
}

/// The status of a script for dosh, and what it says and complains about.
fn run(guest: &mut Scripts, script: &str) -> (i32, String, String) {
    let quoted = script.replace('\'', "'\\''");
    let output = guest.run(&format!("dosh -c '{quoted}'"));
    let status = output.status.code().unwrap_or(-1);
    (status, text(&output.stdout), text(&output.stderr))
}

fn a_host_program_is_a_command_like_any_other(guest: &mut Scripts) {
    for (script, expected) in [
        ("hrun printf '<%s>' -x '' 'a b'", "<-x><><a b>"),
        (
            "x=$(hrun echo in; hrun echo to); echo \"$x\" | tr '\\n' ' '",
            "in to ",
        ),
        ("hrun cat <<E\n$((6 * 7))\nE\n", "42\n"),
        ("hrun cat < <(echo a; echo b)", "a\nb\n"),
        ("cat <(hrun echo a) <(hrun echo b)", "a\nb\n"),
        (
            "f() { hrun echo /dev/fd/62 $2; cat $1; }; f <(echo a) b",
            "/dev/fd/62 b\na\n",
        ),
        (
            "x=3 hrun sh -c 'echo $x'; x=4 hrun sh -c 'echo $x' | hrun cat; echo \"<$x>\"",
            "3\n4\n<>\n",
        ),
        ("@ x=5 sh -c 'echo $x'", "5\n"),
        (
            "HOSTCALL_SESSION=x hrun sh -c 'echo \"<$HOSTCALL_SESSION>\"'",
            "<>\n",
        ),
        ("hrun sh -c 'exit 3' || echo $?", "3\n"),
        ("hrun sh -c 'kill -TERM $$' 2> /dev/null; echo $?", "143\n"),
        ("f() { hrun echo \"f $1\"; }; f x | cat", "f x\n"),
        (
            "TERM=vt100 hrun sh -c 'echo $TERM'; (export TERM=dumb; hrun sh -c 'echo $TERM')",
            "vt100\ndumb\n",
        ),
        (
            "hrun sh -c 'echo to; echo err >&2' 2>&1 | sort",
            "err\nto\n",
        ),
        ("hrun sh -c 'echo a; echo b >&2' |& sort", "a\nb\n"),
        (
            "seq 3 > /tmp/f; while read n; do hrun echo $n; done < /tmp/f",
            "1\n2\n3\n",
        ),
        ("! hrun false && hrun true && echo both", "both\n"),
        (
            "hrun() { echo mine; }; hrun x; command hrun echo theirs",
            "mine\ntheirs\n",
        ),
        (
            "type -t hrun hcd hpwd hpath",
            "builtin\nbuiltin\nbuiltin\nbuiltin\n",
        ),
        ("trap 'echo end' EXIT; hrun echo go", "go\nend\n"),
        ("hrun sh -c 'sleep 0.2; exit 5' & wait $!; echo $?", "5\n"),
        (
            "hrun cat <&- 2> /dev/null; echo $?; hrun echo x >&- 2> /dev/null; echo $?",
            "1\n1\n",
        ),
        ("exec hrun echo gone; echo not", "gone\n"),
        (
            "hpath /host/etc/hosts; hpath -g /etc",
            "/etc/hosts\n/host/etc\n",
        ),
    ] {
        assert_eq!(say(guest, script), expected, "{script}");
    }
    for (script, status, why) in [
        (
            "hrun nothing-of-this-name",
            127,
            "hrun: nothing-of-this-name: not found on the host",
        ),
        ("hrun /etc/passwd", 126, "not executable"),
        ("hrun", 125, "hrun"),
        ("hrun -q", 125, "-q"),
        (
            "hrun cat <(echo a)",
            126,
            "the pipe of <( ) or >( ) is the guest's",
        ),
        (
            "@ diff <(yes) -from=<(hrun yes)",
            126,
            "/dev/fd/63: the pipe",
        ),
        (
            "f() { hrun cat $1; }; f <(yes)",
            126,
            "name a file under /host",
        ),
        (
            "hrun cat <(yes) | hrun cat; exit ${PIPESTATUS[0]}",
            126,
            "the pipe",
        ),
        (
            "LD_PRELOAD=x hrun true",
            0,
            "hrun: LD_PRELOAD does not cross",
        ),
        (
            "LD_PRELOAD=x hrun true | hrun cat",
            0,
            "hrun: LD_PRELOAD does not cross",
        ),
        ("set -e; hrun false; echo not", 1, ""),
    ] {
        let (ended, said, complained) = run(guest, script);
        assert_eq!((ended, said.trim()), (status, ""), "{script}: {complained}");
        assert!(complained.contains(why), "{script}: {complained}");
    }
}

fn both_directories_have_their_history(guest: &mut Scripts) {
    let script = "
        export HOSTCALL_SESSION=dosh-test
        cd /tmp; hcd /etc; cd /usr; hcd /var
        echo $PWD $OLDPWD $HPWD $HOLDPWD
        cd -; hcd -
        pwd; hpwd; hrun pwd; command hpwd; (hcd /usr); hpwd
        env hcd /etc; echo $HPWD $HOLDPWD
        hcd; hrun sh -c 'test \"$PWD\" = \"$HOME\" && echo home'
        HPWD=mine HOLDPWD=mine; hcd /etc; echo $HPWD; HPWD=mine; hcd /var; echo $HPWD
        unset HPWD HOLDPWD; echo \"<$HPWD$HOLDPWD>\"; HPWD=mine; hcd /usr; echo $HPWD $HOLDPWD
        f() { local HPWD=mine; hcd /etc; echo $HPWD; }; f; echo $HPWD";
    assert_eq!(
        say(guest, script),
        "/usr /tmp /var /etc\n/tmp\n/etc\n/tmp\n/etc\n/etc\n/etc\n/usr\n/etc /usr\nhome\n/etc\n/var\n<>\n/usr /var\n/etc\n/etc\n"
    );
    for (script, why) in [
        ("HOSTCALL_SESSION=new; hcd -", "no directory before"),
        ("hcd /nothing", "no such directory on the host"),
        ("hcd /host/etc", "its name there is /etc"),
    ] {
        let (status, said, complained) = run(guest, script);
        assert_eq!((status, &said[..]), (1, ""), "{script}: {complained}");
        assert!(complained.contains(why), "{script}: {complained}");
        assert_eq!(complained.lines().count(), 1, "{complained}");
    }
}

/// Bytes that `hrun -v` says were carried, over all streams.
fn carried(complained: &str) -> u64 {
    let lines = complained
        .lines()
        .filter(|line| line.ends_with(" bytes carried"));
    lines
        .map(|line| line.rsplit(' ').nth(2).unwrap_or_default())
        .map(|bytes| bytes.parse::<u64>().expect("a number"))
        .sum()
}

fn neighbours_on_the_host_are_joined_there(guest: &mut Scripts) {
    let script = "hrun -v seq 300000 | hrun -v cat | hrun -v md5sum > /tmp/sum
        seq 300000 | md5sum | cmp - /tmp/sum && echo same";
    let (status, said, complained) = run(guest, script);
    assert_eq!((status, &said[..]), (0, "same\n"), "{complained}");
    // Nothing but the sum, which goes to a file of the guest.
    assert_eq!(carried(&complained), 36, "{complained}");
    assert_eq!(complained.lines().count(), 9, "{complained}");
    let joints = complained.matches(": on the host").count();
    assert!(joints >= 4, "{complained}");
    // One process group and session of the host's.
    let show = "sh -c 'ps -o pgid=,sid= -p $$; cat'";
    let script = format!("hrun {show} | hrun {show} | hrun {show} | sort -u | wc -l");
    assert_eq!(say(guest, &script).trim(), "1");
    // Both directories of the session, and each stage's own environment.
    let script = "export HOSTCALL_SESSION=joined; hcd /usr
        TERM=one hrun sh -c 'pwd; echo $TERM' | TERM=two hrun sh -c 'cat; pwd; echo $TERM'";
    assert_eq!(say(guest, script), "/usr\none\n/usr\ntwo\n");
}

fn every_stage_has_its_streams_and_its_status(guest: &mut Scripts) {
    for (script, expected) in [
        ("hrun sh -c 'exit 3' | hrun sh -c 'cat; exit 4' | hrun cat; echo ${PIPESTATUS[*]}", "3 4 0\n"),
        ("hrun true | hrun sh -c 'kill -TERM $$' | false | hrun cat; echo ${PIPESTATUS[*]}", "0 143 1 0\n"),
        ("set -o pipefail; hrun sh -c 'exit 3' | hrun true; echo $?; hrun true | hrun true; echo $?", "3\n0\n"),
        ("set -e; hrun false | hrun true; hrun true | hrun false; echo not", ""),
        ("hrun sleep 0.1 | hrun nothing-of-this-name 2> /tmp/e | hrun cat; echo ${PIPESTATUS[*]}; grep -c found /tmp/e", "0 127 0\n1\n"),
        ("hrun nothing-of-this-name 2>&1 | hrun grep -c found", "1\n"),
        ("hrun nothing-of-this-name 2> /dev/null | hrun wc -c; echo ${PIPESTATUS[*]}", "0\n127 0\n"),
        ("hrun true | hrun cat 2> /dev/null < /nothing | hrun wc -c; echo ${PIPESTATUS[*]}", "0\n0 1 0\n"),
        // Redirections of each stage, in their order.
        ("hrun sh -c 'echo o; echo e >&2' 2>&1 | hrun sort", "e\no\n"),
        ("hrun sh -c 'echo o; echo e >&2' |& hrun sort", "e\no\n"),
        ("hrun sh -c 'echo o; echo e >&2' 2>&1 >/tmp/o | hrun cat; cat /tmp/o", "e\no\n"),
        ("{ hrun sh -c 'echo o; echo e >&2' 3>&1 >&2 2>&3 3>&- | hrun cat; } 2> /dev/null", "e\n"),
        ("hrun echo lost > /tmp/o | hrun cat; cat /tmp/o", "lost\n"),
        ("echo in > /tmp/i; hrun echo lost | hrun cat < /tmp/i", "in\n"),
        ("hrun cat <<< one | hrun cat - /dev/fd/3 3<<< two 2> /dev/null", "one\n"),
        ("hrun cat <<E | hrun tr a-z A-Z\nabc\nE\n", "ABC\n"),
        ("{ hrun sh -c 'echo a >&2' | hrun sh -c 'cat; echo b >&2'; } 2>&1 | sort", "a\nb\n"),
        ("hrun cat <&- 2> /dev/null | hrun wc -c; echo ${PIPESTATUS[0]}", "0\n1\n"),
        ("hrun echo x | hrun cat >&- 2> /dev/null; echo ${PIPESTATUS[*]}", "0 1\n"),
        // Words are expanded by each stage for itself.
        ("hrun echo ${x:=1} | hrun cat - ; echo \"<$x>\"", "1\n<>\n"),
        ("hrun echo in | hrun sh -c \"cat; echo $(cat)\"", "in\n"),
        ("y=3; hrun echo $((y * 2)) | hrun sed s/^/$y/", "36\n"),
        ("! hrun true | hrun false; echo $?", "0\n"),
        ("x=$(hrun echo a | hrun tr a b); echo $x; cat <(hrun echo c | hrun cat)", "b\nc\n"),
        ("f() { hrun tr a b | hrun tr b c; }; echo a | f | tr c d", "d\n"),
        ("hrun echo a | hrun tr a b & wait $!; echo $?", "b\n0\n"),
    ] {
        let (_, said, complained) = run(guest, script);
        assert_eq!(said, expected, "{script}: {complained}");
        assert_eq!(complained, "", "{script}");
    }
    let files = hostcall_tests::daemon::Scratch::new();
    let host = format!("/host{}", files.display());
    std::fs::write(files.join("f"), "b\na\n").expect("a file");
    let script = format!("hrun -v cat < {host}/f | hrun -v sort >> {host}/f; cat {host}/f");
    let (_, said, complained) = run(guest, &script);
    assert_eq!(said, "b\na\na\nb\n", "{complained}");
    assert_eq!(
        complained.matches("a file of the host").count(),
        2,
        "{complained}"
    );
    assert_eq!(carried(&complained), 0, "{complained}");
}

fn large_streams_go_through_every_kind_of_stage(guest: &mut Scripts) {
    let count = 200_000;
    for stages in [
        "cat | hrun cat | hrun cat | cat",
        "hrun cat | cat | hrun cat",
        "hrun cat | hrun cat | hrun cat",
        "while read -r l; do echo $l; done | hrun cat | { hrun cat; } | (hrun cat | cat)",
    ] {
        let count = if stages.starts_with("while") {
            count / 10
        } else {
            count
        };
        let script = format!("seq {count} | {stages} | cksum; seq {count} | cksum");
        let said = say(guest, &script);
        let sums: Vec<&str> = said.lines().collect();
        assert_eq!((sums.len(), sums[0]), (2, sums[1]), "{stages}");
    }
    let script = format!(
        "x=$(seq {count} | hrun cat | hrun cat); echo \"$x\" | cksum; seq {count} | cksum
         hrun cat <<E | hrun cksum; echo \"$x\" | cksum\n$x\nE\n"
    );
    let said = say(guest, &script);
    assert_eq!(said.lines().count(), 4);
    assert!(
        said.lines().all(|line| Some(line) == said.lines().next()),
        "{said}"
    );
}

fn who_ends_early_is_heard_by_its_neighbours(guest: &mut Scripts) {
    for (script, expected) in [
        ("hrun yes | hrun head -1 | cat; echo ${PIPESTATUS[*]}", "y\n141 0 0\n"),
        ("yes | hrun cat | hrun head -1; echo ${PIPESTATUS[*]}", "y\n141 141 0\n"),
        ("hrun yes | hrun cat | head -1; echo ${PIPESTATUS[*]}", "y\n141 141 0\n"),
        ("hrun yes | head -1 | hrun cat; echo ${PIPESTATUS[*]}", "y\n141 0 0\n"),
        ("hrun yes | hrun nothing-of-this-name 2> /dev/null; echo ${PIPESTATUS[*]}", "141 127\n"),
        ("hrun yes | hrun true | hrun cat; echo ${PIPESTATUS[*]}", "141 0 0\n"),
        ("hrun sh -c 'exec >&-; sleep 0.5; exit 3' | hrun sh -c 'cat; exit 4'; echo ${PIPESTATUS[*]}", "3 4\n"),
    ] {
        let (_, said, _) = run(guest, script);
        assert_eq!(said, expected, "{script}");
    }
}

fn a_line_for_the_host_and_the_mode(guest: &mut Scripts) {
    // A variable that is there on one side only tells where a program runs.
    let where_ = "sh -c 'echo ${GUEST:-host}'";
    let script = format!(
        "export GUEST=guest
        {where_}; hrun {where_}
        @ {where_} | cat; {where_} && echo built-in
        {where_}
        host on; {where_}; x=$({where_}); echo $x; f() {{ {where_}; }}; f; cd /tmp; pwd
        guest {where_}; guest; {where_}; host; host on; {where_}; host; host off; {where_}"
    );
    assert_eq!(
        say(guest, &script),
        "guest\nhost\nhost\nhost\nbuilt-in\nguest\nhost\nhost\nhost\n/tmp\nguest\nguest\noff\nhost\non\nguest\n"
    );
    let script = "@ seq 3 | while read -r n; do expr $n + 1 < /dev/null; done | paste -s -d+";
    assert_eq!(say(guest, script), "2+3+4\n");
    for (script, status, why) in [
        ("@ nothing-of-this-name", 127, "not found on the host"),
        ("@", 2, "syntax error: `@' without"),
        ("@\necho next", 2, "line 1: syntax error: `@' without"),
        (
            "@echo a",
            127,
            "@echo: command not found; a line that begins with `@ '",
        ),
        (
            ": | @ a",
            127,
            "@: command not found; a line that begins with `@ '",
        ),
        ("host maybe", 2, "on or off"),
        ("host on off", 2, "host: on off: say on or off"),
        ("hcd -x", 2, "dosh: line 1: hcd: unexpected argument '-x'"),
        ("hpwd x", 2, "dosh: line 1: hpwd: unexpected"),
        ("hpath", 2, "dosh: line 1: hpath: the following required"),
        ("hjobs -x", 2, "dosh: line 1: hjobs: -x"),
    ] {
        let (ended, said, complained) = run(guest, script);
        assert_eq!((ended, &said[..]), (status, ""), "{script}: {complained}");
        assert!(complained.contains(why), "{script}: {complained}");
        assert_eq!(complained.lines().count(), 1, "{complained}");
    }
    let said = guest.say("dosh --explain -c '@ a | b | cd x; c\na | hrun b | hrun c | d'");
    assert_eq!(
        said,
        "host, 2 stages | guest: a | b | cd x\nhost: c\nguest | host, 2 stages | guest: a | hrun b | hrun c | d\n"
    );
}

#[test]
fn without_a_host_it_is_a_good_local_shell_and_says_so_once() {
    let script = "hrun x; echo $?; hrun y; echo $?
        @ z
        echo $?; hcd; echo $?; host on; echo $?
        echo \"<$HPWD>\"; : | hrun cat | hrun cat; echo ${PIPESTATUS[*]}; echo on | cat";
    let mut command = std::process::Command::new(program("dosh"));
    let output = command
        .args(["-c", script])
        .env_remove("HOSTCALL_ATTACH")
        .output()
        .expect("it runs");
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(said, "127\n127\n127\n1\n1\n<>\n0 127 127\non\n");
    let lines: Vec<&str> = complained.lines().collect();
    assert_eq!(lines.len(), 3, "{complained}");
    assert!(lines[0].contains("host commands are unavailable"));
    assert!(lines[1].contains("hcd: there is no host to attach to"));
    assert!(lines[2].contains("host: there is no host to attach to"));
    assert!(lines
        .iter()
        .all(|line| line.ends_with("start the guest with `hostd run`")));
}

#[test]
fn a_guest_opens_it_for_who_types() {
    for kind in kinds() {
        for (words, opened) in [
            (&[][..], "/run/hostcall/bin/dosh"),
            (&["--shell", "bash"], "bash"),
        ] {
            let mut command = std::process::Command::new(program("hostd"));
            command.args(["run", "--guest", kind]).args(words);
            let mut typist = Typist::start({
                command.env("TERM", "dumb");
                command
            });
            typist.types("echo \"<$0> <$SHELL>\"; man -w dosh; exit 3\n");
            typist.sees(&format!("<{opened}> <{opened}>"));
            typist.sees("/run/hostcall/share/man/man1/dosh.1");
            assert_eq!(typist.ends().code(), Some(3), "{kind} {words:?}");
        }
    }
}
