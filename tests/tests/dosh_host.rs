//! dosh's other operating system: built-ins and stages that run on the host, from scripts.

use hostcall_tests::shell::{text, Scripts};

hostcall_tests::in_each_guest![
    hostcall_tests::shell::Scripts::start:
    a_host_program_is_a_command_like_any_other,
    both_directories_have_their_history,
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
        ("set -e; hrun false; echo not", 1, ""),
    ] {
        let (ended, said, complained) = run(guest, script);
        assert_eq!((ended, &said[..]), (status, ""), "{script}: {complained}");
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
        HPWD=mine; echo $HPWD";
    assert_eq!(
        say(guest, script),
        "/usr /tmp /var /etc\n/tmp\n/etc\n/tmp\n/etc\n/etc\n/etc\n/usr\n/etc /usr\nhome\nmine\n"
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
