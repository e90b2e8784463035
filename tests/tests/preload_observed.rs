//! Looking on at a program under the preload: its report, its trace, and programs that are left alone.

use hostcall_tests::daemon::Scratch;
use hostcall_tests::differential::{seen, Side};
use hostcall_tests::outside::may_mount;
use std::process::Stdio;

/// Output and errors of a shell script in a guest, whose `$1` is a directory of the host with a file `f`; `None` where no
/// guest can have a mount.
fn run(script: &str) -> Option<(String, String)> {
    if !may_mount() {
        return None;
    }
    let scratch = Scratch::new();
    let work = scratch.join("work");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("f"), "some text\n").unwrap();
    let output = Side::guest()
        .command()
        .args(["sh", "-c", script, "sh"])
        .arg(seen(&work))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Some((text(output.stdout), text(output.stderr)))
}

/// The numbers of a symbol's line in a report: calls and host calls.
fn counted(report: &str, symbol: &str) -> Option<(u64, u64)> {
    report.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [calls, host, _, _, name] if name == symbol => {
                Some((calls.parse().ok()?, host.parse().ok()?))
            }
            _ => None,
        }
    })
}

fn reports(text: &str) -> Vec<&str> {
    text.split("hostcall report: ").skip(1).collect()
}

#[test]
fn a_report_counts_calls_on_the_host_and_others() {
    const STATS: &str = "HOSTCALL_REPORT=stderr python3 -c 'import os, sys; [os.stat(sys.argv[1]) for _ in range(7)]' $1/f";
    let Some((_, report)) = run(STATS) else {
        return;
    };
    let [report] = reports(&report)[..] else {
        panic!("one report for one image: {report}");
    };
    assert_eq!(counted(report, "stat"), Some((7, 7)), "{report}");
    let others = report
        .lines()
        .find(|line| line.contains("without a host call:"));
    assert!(
        others.is_some_and(|line| line.contains(" fstat ")),
        "{report}"
    );
    assert!(report.contains("session begun in "), "{report}");
}

#[test]
fn a_guest_takes_over_what_is_wanted() {
    if !may_mount() {
        return;
    }
    let run = Side::guest()
        .command()
        .args(["cat", "/srv/etc/hostname"])
        .env("HOSTCALL_REPORT", "stderr")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8(run.stderr).unwrap();
    let reports = reports(&errors);
    assert_eq!(reports.len(), 1, "{errors}");
    assert_eq!(counted(reports[0], "open"), Some((1, 1)), "{errors}");
}

#[test]
fn variables_to_be_kept_go_on_to_every_child() {
    const SCRIPT: &str =
        "export HOSTCALL_KEEP=OTHER:MARK MARK=m MAR=k; sh -c 'env -i env; env -i MARK=new env'";
    let Some((output, _)) = run(SCRIPT) else {
        return;
    };
    let marks = output.lines().filter(|line| line.starts_with("MAR"));
    assert_eq!(marks.collect::<Vec<_>>(), ["MARK=m", "MARK=new"]);
}

/// Without it a handler's copies change those that it interrupts, where a kernel does not save the registers.
#[test]
fn libc_spares_registers_in_every_program_of_a_uml_guest() {
    if !std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains(" avx512f")) {
        return;
    }
    let mut command = Side::Guest("uml".to_owned()).command();
    let output = command.args(["env", "-i", "env"]).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.contains("GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F"),
        "{output}"
    );
}

#[test]
fn a_report_is_written_however_a_program_ends() {
    let ends = [
        ("closes its standard error", "cat $1/f"),
        (
            "_exit",
            "python3 -c 'import os, sys; os.stat(sys.argv[1]); os._exit(3)' $1/f",
        ),
        (
            "closes all",
            "python3 -c 'import os, sys; os.stat(sys.argv[1]); os.closerange(0, 4096)' $1/f",
        ),
        (
            "another image",
            "sh -c 'cat $1 > /dev/null; exec echo x' sh $1/f",
        ),
    ];
    for (end, command) in ends {
        let Some((_, errors)) = run(&format!("HOSTCALL_REPORT=stderr {command}")) else {
            return;
        };
        assert!(!reports(&errors).is_empty(), "{end}: {errors}");
    }
    let Some((_, errors)) = run("cd $1; HOSTCALL_REPORT=stderr sh -c '[ -e f ]; exec cat f'")
    else {
        return;
    };
    let images: Vec<_> = reports(&errors)
        .iter()
        .filter_map(|report| report.lines().next())
        .collect();
    assert_eq!(
        images,
        ["sh -c [ -e f ]; exec cat f", "cat f"],
        "one for each image"
    );
}

#[test]
fn a_refused_exec_ends_nothing() {
    let Some((output, errors)) = run(
        "cd $1; cp /bin/true bad; printf '\\177ELF' > bad; chmod +x bad; HOSTCALL_REPORT=stderr dash -c '[ -e f ]; ./bad 2>&-; cat f'",
    ) else {
        return;
    };
    assert_eq!(output, "some text\n");
    let shell = reports(&errors);
    assert!(
        shell.iter().any(|report| report.starts_with("dash -c")),
        "{errors}"
    );
}

#[test]
fn children_append_to_one_file() {
    let script = "cd $1; HOSTCALL_REPORT=/tmp/observed-$$ sh -c 'for n in 1 2 3 4 5 6; do cat f & done; wait'; cat /tmp/observed-$$; rm /tmp/observed-$$";
    let Some((output, errors)) = run(script) else {
        return;
    };
    assert_eq!(errors, "");
    let of_cat: Vec<_> = reports(&output)
        .into_iter()
        .filter(|report| report.starts_with("cat f\n"))
        .collect();
    assert_eq!(of_cat.len(), 6, "{output}");
    for report in of_cat {
        assert_eq!(counted(report, "open"), Some((1, 1)), "{report}");
    }
}

#[test]
fn a_report_tells_why_files_became_the_mounts() {
    let script = r#"cd $1; HOSTCALL_REPORT=stderr python3 -c '
import mmap, os, socket, sys
f = open(sys.argv[1] + "/f", "r+b")
mmap.mmap(f.fileno(), 0)
g = open(sys.argv[1] + "/f", "rb")
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [g.fileno()])
' $1"#;
    let Some((_, report)) = run(script) else {
        return;
    };
    for reason in ["to be mapped for sharing", "to be passed over a socket"] {
        let line = format!("  1 made a file of the mount {reason}\n");
        assert!(report.contains(&line), "{reason}: {report}");
    }
}

#[test]
fn a_mapping_that_the_mount_cannot_have_says_why() {
    let script = r#"cd $1; python3 -c '
import ctypes, errno, mmap, os, resource, sys
libc = ctypes.CDLL(None, use_errno=True)
f = os.open(sys.argv[1] + "/f", os.O_RDWR)
resource.setrlimit(resource.RLIMIT_NOFILE, (f + 1, 1024))
libc.mmap.restype = ctypes.c_ssize_t
print(libc.mmap(None, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, f, 0))
print(errno.errorcode[ctypes.get_errno()])
' $1"#;
    let Some((output, errors)) = run(script) else {
        return;
    };
    assert_eq!((output.as_str(), errors.as_str()), ("-1\nEMFILE\n", ""));
}

#[test]
fn a_trace_has_a_line_for_each_call_on_the_host() {
    let Some((output, trace)) =
        run("cd /; HOSTCALL_TRACE=1 cat $1/f $1/none /etc/hostname > /dev/null; echo $?")
    else {
        return;
    };
    assert_eq!(output, "1\n");
    let lines: Vec<&str> = trace
        .lines()
        .filter(|line| !line.starts_with("cat:"))
        .collect();
    for line in &lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], words[1], "the main thread: {line}");
        assert!(words[2].ends_with(':') && line.ends_with(" µs"), "{line}");
    }
    let open = lines
        .iter()
        .find(|line| line.contains(" open: openat(AT_FDCWD, \"") && line.contains("/f\""));
    assert!(open.is_some_and(|line| line.contains(" -> 3, ")), "{trace}");
    let missing = lines.iter().find(|line| line.contains("/none\""));
    assert!(
        missing.is_some_and(|line| line.contains(" = -1 ENOENT -> -1 ENOENT, ")),
        "{trace}"
    );
    assert!(
        !trace.contains("/etc/hostname"),
        "the guest's own files are no concern: {trace}"
    );
}

#[test]
fn names_reach_a_trace_escaped() {
    let script = "name=$1/$(printf 'a\\033[31m\\nb'); HOSTCALL_TRACE=stderr HOSTCALL_REPORT=stderr cat \"$name\" 2>&1 | grep -v ^cat:";
    let Some((trace, _)) = run(script) else {
        return;
    };
    let named = trace.lines().filter(|line| line.contains("a\\x1b[31m\\nb"));
    assert_eq!(named.count(), 2, "the call and the command: {trace:?}");
    assert!(!trace.contains('\u{1b}'), "{trace:?}");
}

#[test]
fn bypassed_programs_see_the_mount() {
    let script = "cd $1; exec 3< f; HOSTCALL_TRACE=1 HOSTCALL_BYPASS=other:python3.11:dash dash -c 'read x <&3; echo $x; pwd; readlink /proc/self/fd/3; cat f; cat $1/f 2>&1' sh $1";
    let Some((output, errors)) = run(script) else {
        return;
    };
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "some text", "{output}{errors}");
    assert!(lines[1].starts_with("/srv/"), "{output}");
    assert!(
        lines[2].contains("/.hostcall/fd/"),
        "a file of the mount: {output}"
    );
    assert_eq!(lines[3], "some text", "{output}");
    let traced: Vec<&str> = output
        .lines()
        .filter(|line| line.contains(" -> "))
        .collect();
    assert!(
        traced.iter().any(|line| line.contains(" open: openat(")),
        "its children are not bypassed: {output}"
    );
    assert_eq!(errors, "", "the shell itself does nothing on the host");
}

#[test]
fn scripts_and_links_are_bypassed_by_their_own_names() {
    let script = "cd $1; printf '#!/bin/sh\\ncat < $0 > /dev/null; [ -e '$1'/f ]\\n' > script; chmod +x script; ln -s /bin/cat link; export HOSTCALL_TRACE=1; \
        HOSTCALL_BYPASS=script:cat $1/script; HOSTCALL_BYPASS=link ./link $1/f; HOSTCALL_BYPASS=sh:ca ./link $1/f";
    let Some((_, trace)) = run(script) else {
        return;
    };
    let opened: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains(" open: "))
        .collect();
    assert_eq!(opened.len(), 1, "{trace}");
}

#[test]
fn what_cannot_be_meant_is_told_of_once() {
    let cases = [
        (
            "HOSTCALL_REPORT=relative",
            "HOSTCALL_REPORT names `relative`",
        ),
        (
            "HOSTCALL_TRACE=/none/at/all",
            "HOSTCALL_TRACE names `/none/at/all`, which cannot be written (ENOENT)",
        ),
        (
            "HOSTCALL_BYPASS=/bin/cat",
            "HOSTCALL_BYPASS names `/bin/cat`, which is no program",
        ),
        (
            "HOSTCALL_EXACT_FDS=yes",
            "HOSTCALL_EXACT_FDS is `yes`, which means nothing; set it to 1 or unset it",
        ),
    ];
    for (setting, message) in cases {
        let Some((output, errors)) = run(&format!("{setting} cat $1/f")) else {
            return;
        };
        assert_eq!(output, "some text\n", "{setting}");
        let [line] = errors.lines().collect::<Vec<_>>()[..] else {
            panic!("{setting}: {errors}");
        };
        assert!(
            line.starts_with("hostcall: ") && line.contains(message),
            "{line}"
        );
    }
    for setting in [
        "HOSTCALL_REPORT=",
        "HOSTCALL_TRACE=0",
        "HOSTCALL_BYPASS=",
        "HOSTCALL_EXACT_FDS=0",
    ] {
        let Some((_, errors)) = run(&format!("{setting} cat $1/f")) else {
            return;
        };
        assert_eq!(errors, "", "{setting}");
    }
}

#[test]
fn a_host_that_is_named_below_the_prefix_is_looked_for_in_vain() {
    for name in ["f", "$1/f", "none", "$1/none"] {
        // A child of a shell whose directory is the host's, and a new image.
        let script = format!(
            "cd $1; HOSTCALL_ATTACH={name} timeout -s KILL 60 cat $1/f; echo ended $?; cat f"
        );
        let Some((output, errors)) = run(&script) else {
            return;
        };
        assert_eq!(output, "ended 1\nsome text\n", "{name}: {errors}");
        assert!(
            errors.contains("$HOSTCALL_ATTACH does not lead to a hostd"),
            "{name}: {errors}"
        );
    }
}

#[test]
fn what_the_library_says_reaches_standard_error_on_the_host() {
    for setting in ["HOSTCALL_EXACT_FDS=yes", "HOSTCALL_BYPASS=/bin/cat"] {
        let script = format!("{setting} cat $1/f 2>$1/said; cat $1/said");
        let Some((output, errors)) = run(&script) else {
            return;
        };
        let name = setting.split('=').next().unwrap();
        assert!(
            output.starts_with("some text\nhostcall: ") && output.contains(name),
            "{output}{errors}"
        );
    }
}

#[test]
fn what_the_library_says_to_nobody_ends_nothing() {
    const DEAF: &str = "import os, subprocess, sys; r, w = os.pipe(); os.close(r); \
        set = dict([sys.argv[2].split('=')]); \
        print(subprocess.call(['cat', sys.argv[1]], stderr=w, env=os.environ | set))";
    for setting in [
        "HOSTCALL_EXACT_FDS=yes",
        "HOSTCALL_REPORT=1",
        "HOSTCALL_TRACE=1",
    ] {
        let deaf = format!("python3 -c \"{DEAF}\" $1/f {setting}");
        let short = format!("(ulimit -f 0; {setting} cat $1/f) 2>/root/short; echo $?");
        for script in [deaf, short] {
            let Some((output, errors)) = run(&script) else {
                return;
            };
            assert_eq!(output, "some text\n0\n", "{script}: {errors}");
        }
    }
}
