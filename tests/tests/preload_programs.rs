//! Unmodified programs under the preload: each case runs in a native directory and in a host directory seen from a
//! guest; output, status and the tree that is left behind must be equal.

use hostcall_tests::daemon::Scratch;
use hostcall_tests::differential::{outcome, seen, Side};
use hostcall_tests::outside::may_mount;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs `shell -c script case DIRECTORY` on both sides; says what differs.
fn difference(case: &str, shell: &str, script: &str) -> Option<String> {
    const AT_THE_ROOT: &str = "cd /; exec \"$@\"";
    let scratch = Scratch::new();
    let arguments = ["sh", "-c", AT_THE_ROOT, "sh", shell, "-c", script, case];
    let expected = outcome(&Side::Native, &scratch, &arguments);
    let found = outcome(&Side::guest(), &scratch, &arguments);
    let text = expected.difference(&found)?;
    Some(format!("{case} in {shell}:\n{text}"))
}

fn compare<'c>(cases: impl IntoIterator<Item = (&'c str, &'c str, &'c str)>) {
    if !may_mount() {
        return;
    }
    let differences: String = cases
        .into_iter()
        .filter_map(|(case, shell, script)| difference(case, shell, script))
        .collect();
    assert!(differences.is_empty(), "{differences}");
}

/// What the compiler makes of `c/CASE.c`.
fn made(case: &str, name: &str, options: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("c/{case}.c"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("programs-{name}"));
    let status = Command::new("cc")
        .args(["-w", "-pthread", "-o"])
        .arg(&program)
        .arg(source)
        .args(options)
        .status();
    assert!(
        status.expect("cc; install gcc").success(),
        "{case}.c does not compile"
    );
    program
}

/// Compiles `c/CASE.c` and runs it on both sides.
fn compiled(case: &str) {
    let program = made(case, case, &[]);
    let script = format!("{} $1", seen(&program).display());
    compare([(case, "sh", script.as_str())]);
}

#[test]
fn descriptors_as_natively() {
    compiled("descriptors");
}

#[test]
fn waiting_for_fifos_as_natively() {
    compiled("ready");
}

#[test]
fn processes_as_natively() {
    compiled("processes");
}

#[test]
fn cancelled_threads_as_natively() {
    compiled("cancel");
    compiled("left");
}

#[test]
fn narrow_stacks_as_natively() {
    compiled("narrow");
}

#[test]
fn children_of_busy_threads_as_natively() {
    compiled("forks");
}

#[test]
fn full_tables_of_new_images_as_natively() {
    let program = made("full", "full", &[]);
    let script = format!("cd $1; {}", seen(&program).display());
    compare([("full", "sh", script.as_str())]);
}

#[test]
fn what_other_threads_close_during_a_fork_as_natively() {
    let program = made("closing", "closing", &[]);
    let script = format!("cd $1; {}", seen(&program).display());
    compare([("closing", "sh", script.as_str())]);
}

/// By a program that takes over files, the working directory, both or nothing.
#[test]
fn the_auxiliary_vector_is_behind_the_environment_as_natively() {
    let program = made("auxiliary", "auxiliary", &[]);
    let script = format!(
        "p={}; cd $1; echo text > in; $p $p cat < in; (cd /; $p $p cat < $1/in); $p $p < /dev/null; (cd /; $p < /dev/null)",
        seen(&program).display()
    );
    compare([("auxiliary", "sh", script.as_str())]);
}

/// What such a runtime inherits, opens itself and has from libc are files of one kernel.
#[test]
fn runtimes_that_enter_the_kernel_by_themselves_as_natively() {
    let program = made("runtime", "runtime", &[]);
    let script = format!(
        "p={}; cd $1; echo text and more > in; $p cat < in > out; cat out made; $p < in >> out; cat out; $p < in 2>&1",
        seen(&program).display()
    );
    compare([("runtime", "sh", script.as_str())]);
}

/// With numbers that the compiler loads just before, and with all in registers or on the stack.
#[test]
fn programs_that_enter_the_kernel_by_themselves_as_natively() {
    for (name, options) in [("entering", &["-O2"][..]), ("entering-plain", &["-O0"])] {
        let program = made("entering", name, options);
        compare([(name, "sh", &*format!("{} $1", seen(&program).display()))]);
    }
    let program = PathBuf::from(env!("CARGO_BIN_EXE_half_past_libc"));
    let script = format!("{} $1", seen(&program).display());
    compare([("half-past-libc", "sh", &script[..])]);
}

#[test]
fn handlers_of_signals_as_natively() {
    compiled("handlers");
}

#[test]
fn handlers_of_forks_as_natively() {
    compiled("atfork");
}

#[test]
fn seldom_used_functions_as_natively() {
    compiled("seldom");
}

/// By liburing as the program's own library, and as one that a module has brought along for itself.
#[test]
fn transfers_by_liburing_as_natively() {
    let library = "-l:liburing.so.2";
    let program = made("liburing", "liburing", &[library]);
    let module = made("liburing", "liburing.so", &["-shared", "-fPIC", library]);
    let ring = format!("cd $1; {}", seen(&program).display());
    let module = format!(
        "cd $1; python3 -c 'import ctypes; ctypes.CDLL(\"{}\").transfers()'",
        seen(&module).display()
    );
    compare([("liburing", "sh", &ring[..]), ("module", "sh", &module)]);
}

#[test]
fn bad_pointers_as_natively() {
    compiled("faults");
}

#[test]
fn names_as_natively() {
    compiled("names");
}

/// Scripts for every shell that is there: name and text, `$1` being the directory.
const SCRIPTS: &[(&str, &str)] = &[
    ("append", "cd $1; echo one > a; echo two >> a; cat a >> b; cat a b; wc -c < b; : > a; ls -l a | cut -c1-10"),
    ("streams", "cd $1; { echo out; echo err >&2; } > both 2>&1; cat both; { echo x >&2; } 2> e; cat e; echo $(cat both); cat none 2>&1; ls none 2> err; cat err | wc -l"),
    ("here-documents", "cd $1; cat > h <<X\nline $((1+2))\nX\ncat <<Y - h\nfirst\nY\nwhile read l; do echo \"[$l]\"; done < h"),
    ("high-descriptors", "cd $1; exec 3> three 5>&3; echo 3 >&3; echo 5 >&5; exec 3>&-; echo still >&5; exec 5>&-; cat three; exec 4< three 6<&4; read a <&4; read b <&6; echo $a $b; exec 4<&- 6<&-; exec 9<> rw; echo rw >&9; exec 9>&-; cat rw"),
    ("closed-streams", "cd $1; echo x > a; cat a >&- 2>/dev/null; echo $?; cat <&- 2>/dev/null; echo $?; (exec 2>&-; cat none); echo $?; (exec >&- 2>&- <&-; echo to-file > z; cat z > y); cat y"),
    ("pipelines", "cd $1; seq 1000 | sort -rn | tee t | head -3; tail -1 t; cat t | (read x; echo $x; cat > rest); wc -l rest; yes | head -c 300000 > big; wc -c big; cksum < big; (cat; echo end) < rest | tail -1"),
    ("nested", "cd $1; sh -c 'echo in > n; sh -c \"cat n; pwd; exec cat n\" >> m; cat m'; env -i /bin/cat n; env -i sh -c 'cat n; pwd'; (cd /; cat ${1#/}/n); find . -name n -exec sh -c 'cat $0; pwd' {} \\; ; echo n | xargs cat; nice cat n; nohup cat n 2>/dev/null; timeout 5 cat n; setsid -w cat n"),
    ("loops", "cd $1; for i in 1 2 3 4 5; do echo $i > f$i; cat f$i; done > all; cat all; for f in f*; do mv $f g${f#f}; done; echo *; i=0; while [ $i -lt 30 ]; do echo $i; i=$((i+1)); done >> count; tail -1 count"),
    ("background", "cd $1; (sleep 0.1; echo late > late) & echo early > early; wait; cat early late; sleep 5 > s & sleep 0.3; kill $!; wait $! 2>/dev/null; echo $?; cat s"),
    ("directories", "mkdir -p $1/a/b/c; cd $1/a/b; pwd; cd ../..; pwd; cd a/b/c; cd ../../..; cd -; cd /; cd $1; rmdir a/b/c; mkdir -m 700 m; ls -ld m | cut -c1-10; mkdir a 2>&1; rmdir none 2>&1; cd none 2>/dev/null || echo no; (cd a && pwd -P)"),
    ("copies", "cd $1; seq 5000 > a; cp a b; cmp a b && echo equal; cp -p a c; cp a /tmp/hc-copy; cp /tmp/hc-copy d; cmp a d; rm /tmp/hc-copy; mv b e; mv e /tmp/hc-moved; mv /tmp/hc-moved f; cmp a f; mkdir dir; cp -r dir dir2; cp a dir; cp -a dir dir3; mv dir3 dir/inside; cat a - < /dev/null > g; cmp a g; cp a a 2>&1; install -m 640 a i; dd if=a of=dd bs=100 skip=2 seek=1 count=3 2>/dev/null; cp --sparse=always a sp; ln a hard; cp -l a hard2; cp -s $PWD/a soft 2>/dev/null; rm soft"),
    ("links", "cd $1; echo x > a; ln a b; ln -s a c; ln -s $1/nowhere d; readlink c d; stat -c %s c d; cat c; cat d 2>&1; ls -l c | cut -c1-10; rm a; cat b; cat c 2>&1; ln -sf b c; cat c; test -L d && echo link; test -e d || echo dangling; unlink d; ln b b 2>&1"),
    ("removal", "cd $1; mkdir -p r/s/t; echo x > r/s/f; echo y > r/g; rm r 2>&1; rm -r r; ls; echo x > k; exec 3< k; rm k; cat <&3; mkdir q; touch q/1 q/2 q/-3; rm -f q/* ; rmdir q; rm -f none; rm none 2>&1"),
    ("modes", "cd $1; umask 027; echo > a; mkdir d; umask; chmod u+x,g-r a; stat -c '%A %n' a d; chmod 4755 a; stat -c %a a; touch -d '2001-02-03 04:05:06' a; stat -c %y a; touch -r a b; stat -c %Y b; chmod -R go= .; stat -c %a d; truncate -s 10 a; stat -c %s a; test -x a && echo runs; test -w a && echo writes; test a -ot d && echo older"),
    ("editing", "cd $1; printf 'b\\na\\nc\\n' > f; sort -o f f; cat f; sed -i 's/a/A/' f; sed -i.bak 's/b/B/' f; cat f f.bak; grep -n A f; grep -c . f f.bak; grep -r B . ; uniq f; tac f; head -1 f; tail -n +2 f; tail -c 3 f; od -c f; tr a-z A-Z < f > up; cat up; cut -c1 f; diff f f.bak; cmp f f.bak; split -l 1 f part-; ls; md5sum f"),
    ("finding", "cd $1; mkdir -p a/b c; touch -d @1000 a/1; touch -d @2000 a/b/2; touch -d @500 c/3; ln -s a l; find . | sort; find . -type f -newer a/1 | sort; find a -depth; find . -name '[0-9]' -delete; find . -empty | sort; find -L . -type d | sort; find . -maxdepth 1 -printf '%y %f\\n' | sort; du -a --apparent-size . | wc -l"),
    ("devices", "cd $1; echo data > f; cat /dev/stdin < f; cat /dev/fd/3 3< f; echo hi > /dev/stdout; cat - < f; echo more >> /dev/null; cat f > /dev/null; echo out | tee /dev/fd/2 > o; cat o; head -c 5 /dev/zero > z; od z; mkfifo p; (echo through > p &) ; cat p"),
    ("numbered", "cd $1; for p in /dev/stdin /dev/fd/0 /proc/self/fd/0; do echo abcd > f; stat -L -c '%s %F' $p < f; env test -s $p < f && echo some; cp $p copy < f; cat copy; install -m 640 $p inst < f; stat -c %a inst; basename $(realpath $p < f); truncate -s 2 $p < f; cat f; echo; chmod 600 $p < f; stat -c %a f; touch -d @1000 $p < f; stat -c %Y f; chown :100 $p < f; stat -c %g f; df $p < f | wc -l; file -bL $p < f; done"),
    ("numbered-removed", "cd $1; echo abcd > f; exec 5<> f; rm f; stat -L -c '%s %h %F' /dev/fd/5; cp /dev/fd/5 g; cat g; truncate -s 1 /dev/fd/5; cat <&5; chmod 600 /dev/fd/5; stat -L -c %a /dev/fd/5; stat -c %F /dev/fd/5; rm g; exec 5>&-; stat -L /dev/fd/5 2>&1"),
    ("numbered-directories", "cd $1; mkdir -p d/e; echo x > d/f; exec 7< d; ls /dev/fd/7/; stat -L -c %F /dev/fd/7; touch /proc/self/fd/7/new; ls /dev/fd/7/e/..; cat /dev/fd/7/f; cat /dev/fd/7/f/ 2>&1; mv /dev/fd/7/new d/old; ln /dev/fd/7/old /dev/fd/7/e/link; ls d d/e; (cd /dev/fd/7 && cat f && basename $(/bin/pwd -P)); (cd /proc/self/fd/7/e && ls); rm -r d; cat /dev/fd/7/f 2>&1"),
    ("failures", "cd $1; echo x > none/f; echo $?; cat none; cat . ; echo x > . ; echo > a; cat a/b; chmod 0 a; : < /none; touch a/b/c; mv none x; cp none x; ln none x; cat < none; echo after"),
    ("archives", "cd $1; mkdir t; seq 100 > t/n; ln -s n t/l; tar cf t.tar t; tar tf t.tar; mkdir u; tar xf t.tar -C u; cmp t/n u/t/n; tar czf - t | tar tzf -; gzip -k t/n; zcat t/n.gz | cmp - t/n; gunzip -f t/n.gz; tar cf - t | (cd u; tar xf -); rm -r u t.tar"),
];

/// Scripts for bash: what only it does with descriptors and files.
const BASH: &[(&str, &str)] = &[
    ("bash-descriptors", "cd $1; exec {v}> auto; echo $v >&2; echo auto >&$v; exec {v}>&-; cat auto; echo both &> b; echo more &>> b; cat b; cat <<< string > s; cat s; diff <(sort s) <(cat s) && echo same; mapfile -t m < b; echo ${m[1]}; x=$(< b); echo $x; coproc cat; echo c >&${COPROC[1]}; exec {COPROC[1]}>&-; read -r l <&${COPROC[0]}; echo $l"),
    ("bash-source", "cd $1; echo 'echo sourced $1; f() { echo f; }' > s; . ./s x; f; bash s y; bash < s; echo 'cat << E\nhere\nE\nexec cat s' > t; bash t; set -o noclobber; echo z > s; echo $?; shopt -s nullglob; echo none*; echo *; [[ -f s && ! -d s && s -nt /etc/hostname ]] && echo tests; pushd / > /dev/null; popd > /dev/null; pwd"),
    ("bash-globs", "cd $1; mkdir -p a/b; touch a/1 a/2 a/b/3; echo a/*; shopt -s globstar; echo **/*; echo $1/a/? | tr ' ' '\\n' | sed 's#.*/##'; compgen -f a/ | sort; for f in a/*; do [[ -d $f ]] && echo dir; done; trap 'echo bye > bye' EXIT; printf '%s\\n' > p {1..5}; cat p"),
];

#[test]
fn scripts_as_natively() {
    let shells = |(case, script): &(&'static str, &'static str)| {
        ["dash", "bash"].map(|shell| (*case, shell, *script))
    };
    compare(SCRIPTS.iter().flat_map(shells));
}

#[test]
fn bash_as_natively() {
    compare(BASH.iter().map(|(case, script)| (*case, "bash", *script)));
}

/// What a program needs the guest kernel for, or does past libc's functions for files: a script of `causes/` each.
#[test]
fn what_is_beyond_calls_on_files_as_natively() {
    let causes = Path::new(env!("CARGO_MANIFEST_DIR")).join("causes");
    let files = std::fs::read_dir(causes).expect("the scripts").flatten();
    let mut scripts: Vec<(String, String)> = files
        .map(|file| {
            let path = file.path();
            let program = match path.extension().is_some_and(|kind| kind == "py") {
                true => "python3 -u",
                false => "bash",
            };
            let script = format!("cd $1; {program} {}", seen(&path).display());
            (file.file_name().to_string_lossy().into_owned(), script)
        })
        .collect();
    scripts.sort();
    compare(
        scripts
            .iter()
            .map(|(case, script)| (case.as_str(), "bash", script.as_str())),
    );
}

/// The guest kernel's word on a number whose host file is closed.
#[test]
fn numbers_are_free_at_once_where_exactness_is_asked_for() {
    const CLOSED: &str = "import os; fd = os.open('/srv/etc/hostname', os.O_RDONLY); os.close(fd); print(os.path.lexists(f'/proc/self/fd/{fd}'))";
    for (exact, expected) in [("1", "False\n"), ("0", "True\n")] {
        let run = Side::guest()
            .command()
            .args(["python3", "-c", CLOSED])
            .env("HOSTCALL_EXACT_FDS", exact)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let found = String::from_utf8_lossy(&run.stdout);
        assert_eq!(found, expected, "HOSTCALL_EXACT_FDS={exact}: {run:?}");
    }
}

/// Where the guest's kernel makes the child, it may be stopped while its parent, which waits for it in the kernel, cannot be.
#[test]
fn whoever_spawns_can_be_stopped() {
    let program = made("stops", "stops", &[]);
    let script = format!("cd $1; {}", seen(&program).display());
    let scratch = Scratch::new();
    let found = outcome(&Side::guest(), &scratch, &["sh", "-c", &script, "stops"]);
    let expected = "stopped 40, continued 40 of 40\n";
    assert!(found.said.contains(expected), "{}", found.said);
}

/// Not as natively: the two would have one table of descriptors, and know different things of it.
#[test]
fn processes_that_share_descriptors_alone_are_refused_once_there_are_host_files() {
    let program = made("sharing", "sharing", &[]);
    let run = Side::guest()
        .command()
        .arg("env")
        .arg(format!(
            "HOST_FILE={}",
            seen(Path::new("/etc/passwd")).display()
        ))
        .arg(seen(&program))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let ways = ["function", "number", "words"];
    let shared = ways
        .map(|way| format!("by {way}: child 1, seen 1\n"))
        .concat();
    let refused = ways.map(|way| format!("by {way}: refused\n")).concat();
    let found = String::from_utf8_lossy(&run.stdout);
    assert_eq!(found, format!("{shared}{refused}read: 1\n"), "{run:?}");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("clone(2) is refused (EINVAL)"), "{said}");
}
