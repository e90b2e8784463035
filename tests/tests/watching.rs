//! inotify(7) on host files, for programs under the preload: changes that host programs and guest programs make are told
//! as natively.

use hostcall_tests::asked::Asked;
use hostcall_tests::daemon::Scratch;
use hostcall_tests::differential::{seen, Outcome, Side};
use hostcall_tests::outside::{may_mount, told};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The two kinds of guest.
const KINDS: [&str; 2] = ["local", "uml"];

/// Runs a command on a side, in which `DIRECTORY` stands for one of the host's that is the same for each side, and empty.
fn outcome(side: &Side, scratch: &Scratch, arguments: &[&str]) -> Outcome {
    let work = scratch.join("work");
    std::fs::create_dir(&work).expect("a directory for the case");
    let asked = Asked::of(&work);
    let directory = seen(&work).display().to_string();
    let arguments = arguments.iter().map(|argument| match *argument {
        "DIRECTORY" => directory.as_str(),
        other => other,
    });
    let run = side
        .command()
        .args(["sh", "-c", "cd /; exec \"$@\"", "sh"])
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .expect("the side runs");
    drop(asked);
    let outcome = Outcome::new(told(&run), &work);
    std::fs::remove_dir_all(&work).expect("the case's own directory");
    outcome
}

/// Runs a command natively and in guests; what is said must be equal, and the end a good one.
fn compare(kinds: &[&str], arguments: &[&str]) {
    if !may_mount() {
        return;
    }
    let scratch = Scratch::new();
    let expected = outcome(&Side::Native, &scratch, arguments);
    let ended = expected.said.ends_with("exit status: 0");
    assert!(ended, "{arguments:?}: {}", expected.said);
    for kind in kinds {
        let side = Side::Guest((*kind).to_owned());
        let found = outcome(&side, &scratch, arguments);
        if let Some(difference) = expected.difference(&found) {
            panic!("{arguments:?} in {kind}:\n{difference}");
        }
    }
}

/// Compiles `c/NAME.c`; where both sides see the program.
fn compiled(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("c/{name}.c"));
    // Each test has its own: they run at the same time.
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("watching-{test}-{name}"));
    let status = Command::new("cc")
        .args(["-w", "-pthread", "-o"])
        .arg(&program)
        .arg(source)
        .status();
    let compiled = status.expect("cc; install gcc").success();
    assert!(compiled, "{name}.c does not compile");
    seen(&program)
}

/// A case in C, whose changes are made by its own children or by the host.
fn case(kinds: &[&str], name: &str, by: &str, part: &str) {
    let program = compiled(name).display().to_string();
    compare(kinds, &[&program, by, "DIRECTORY", part]);
}

#[test]
fn changes_by_guest_programs() {
    case(&KINDS, "watches", "own", "");
}

#[test]
fn changes_by_host_programs() {
    case(&KINDS, "watches", "host", "");
}

#[test]
fn programs_with_threads() {
    case(&KINDS, "watchers", "own", "threads");
    case(&KINDS, "watchers", "host", "threads");
}

#[test]
fn duplicates() {
    case(&KINDS, "watchers", "own", "duplicates");
}

#[test]
fn children() {
    case(&KINDS, "watchers", "own", "children");
    case(&KINDS, "watchers", "host", "children");
}

#[test]
fn a_thousand_turns_leave_nothing() {
    case(&["local"], "watchers", "host", "turns");
}

#[test]
fn more_events_than_are_kept() {
    case(&["local"], "watchers", "host", "overflow");
}

#[test]
fn own_changes_are_found_at_once() {
    case(&KINDS, "watchers", "own", "at once");
}

/// What the scripts share: `ask COMMAND` has the host do something, `await FILE TEXT` waits for a text in a file.
const SHARED: &str = r#"
cd "$1"
ask() { echo "$1" > ask.new; mv ask.new ask; while [ -e ask ]; do sleep 0.02; done; }
await() { n=0; until grep -q "$2" "$1" 2> /dev/null; do sleep 0.02; [ $((n += 1)) -lt 1000 ] || { echo "no $2"; cat "$1"; exit 1; }; done; }
"#;

fn script(text: &str) {
    let text = format!("{SHARED}{text}");
    compare(&KINDS, &["bash", "-c", &text, "bash", "DIRECTORY"]);
}

#[test]
fn tail_follows() {
    script(
        r#"
        echo one > f
        tail -F f > out 2> err & by_name=$!
        tail -f f > out2 2> err2 & by_descriptor=$!
        await out one; await out2 one
        ask 'echo two >> f'; await out two; await out2 two
        echo three >> f; await out three; await out2 three
        ask 'mv f g'; await err inaccessible
        ask 'echo four > f'; await out four
        ask 'echo five >> g'; await out2 five
        rm f; until [ $(grep -c inaccessible err) = 2 ]; do sleep 0.02; done
        echo six > f; await out six
        kill $by_name $by_descriptor; wait
        cat out err out2 err2
        "#,
    );
}

#[test]
fn inotifywait_tells() {
    script(
        r#"
        mkdir w
        inotifywait -q -m -e create,moved_from,moved_to,delete,close_write --format '%w %e %f' w > out & pid=$!
        n=0; until [ -s out ] || [ $((n += 1)) -gt 1000 ]; do touch w/ready; sleep 0.02; done
        ask 'echo x > w/f; mv w/f w/g; rm w/g; mkdir w/sub; mv w/sub w/sub2; touch w/end'
        await out end
        touch w/own; await out own
        kill $pid; wait
        grep -v ready out; rm out
        inotifywait -q -t 60 -e delete_self w/own & pid=$!
        # Once it watches.
        until ls -l /proc/$pid/fd 2> /dev/null | grep -q inotify; do sleep 0.02; done; sleep 0.5
        ask 'rm w/own'
        wait $pid; echo $?
        "#,
    );
}

#[test]
fn node_watches() {
    script(
        r#"
        mkdir w; touch w/file
        node -e '
            const fs = require("fs"), seen = [];
            const one = fs.watch("w/file", (kind, name) => seen.push("file " + kind + " " + name));
            fs.watch("w", (kind, name) => {
                seen.push(kind + " " + name);
                if (name == "end") {
                    // Several writes may be one change or more.
                    console.log(seen.filter((text, at) => text != seen[at - 1]).join("\n"));
                    process.exit();
                }
            });
            console.log("ready");
        ' > out & pid=$!
        await out ready
        ask 'echo x > w/file'; sleep 0.2
        ask 'touch w/new; mv w/new w/other; rm w/other'; sleep 0.2
        touch w/end
        wait $pid; echo $?
        cat out
        "#,
    );
}

#[test]
fn python_watches() {
    script(
        r#"
        mkdir w
        python3 -u -c '
import ctypes, os, select, struct
libc = ctypes.CDLL(None)
fd = libc.inotify_init1(0)
print("ready", libc.inotify_add_watch(fd, b"w", 0x3c0 | 0x8))
names = []
while "end" not in names:
    select.select([fd], [], [])
    data, at = os.read(fd, 65536), 0
    while at < len(data):
        watch, mask, cookie, size = struct.unpack_from("iIII", data, at)
        names.append(data[at + 16:at + 16 + size].rstrip(b"\0").decode())
        print(watch, hex(mask), cookie != 0, names[-1])
        at += 16 + size
        ' > out & pid=$!
        await out ready
        ask 'echo x > w/f; mv w/f w/g; rm w/g'
        mkdir w/own; rmdir w/own
        ask 'mkdir w/end'
        wait $pid; echo $?
        cat out
        "#,
    );
}
