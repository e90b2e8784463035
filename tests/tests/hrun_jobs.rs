//! Host programs as jobs of a guest's shell: stopped, continued, signalled, and ended with whatever they belong to.

use hostcall_tests::daemon::{descendants, eventually, Scratch};
use hostcall_tests::family::{self, all_gone};
use hostcall_tests::shell::{can_be, kinds, Shell, UML};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

hostcall_tests::in_each_guest![
    hostcall_tests::shell::Shell::start:
    control_c_ends_the_program,
    control_z_stops_the_program,
    a_stopped_program_is_a_stopped_job,
    a_shell_of_the_hosts_has_jobs_of_its_own,
    a_program_in_the_background_leaves_the_keyboard_alone,
    a_program_in_the_background_that_reads_is_stopped,
    hrun_that_is_killed_takes_its_programs_along,
    a_terminal_that_is_closed_takes_programs_along,
];

/// By a program that is no shell: a shell catches SIGINT, and loses one that comes just before it starts or becomes a program.
fn control_c_ends_the_program(shell: &mut Shell) {
    for (key, status) in [("\x03", "130"), ("\x1c", "131")] {
        for end in ["", " | cat"] {
            shell.types(&format!(
                "hrun sh -c '(sleep 0.3; echo go) & exec sleep 100'{end}\n"
            ));
            shell.sees("go\r\n");
            shell.types(key);
            shell.prompts();
            let ended = match end {
                "" => shell.ends_with("(exit $?)").1,
                _ => shell.ends_with("(exit ${PIPESTATUS[0]})").1,
            };
            assert_eq!(ended, status, "{end}");
        }
    }
    // A loop ends with it.
    shell.types("while :; do hrun sh -c '(sleep 0.3; echo go) & exec sleep 100'; done\n");
    shell.sees("go\r\n");
    shell.types("\x03");
    shell.prompts();
    assert_eq!(shell.ends_with("echo on").1, "0");
    shell.begins(
        "hrun sh -c 'trap \"echo caught; exit 3\" INT; echo go; while :; do sleep 0.1; done'",
    );
    shell.sees("go\r\n");
    shell.types("\x03");
    shell.sees("caught");
    assert_eq!(shell.ends(), "3");
}

/// By bash: dash starts programs by vfork(2), and one that is stopped between that and execve(2) holds it up for ever, of
/// which natively no shell is told either.
fn control_z_stops_the_program(shell: &mut Shell) {
    let settings = shell.does("stty -g");
    for end in ["", " | cat"] {
        // Not sh, which starts programs by vfork(2): the key in such a moment stops the child, and the parent waits, unstopped.
        let line = format!("hrun bash -c 'echo go; sleep 0.5; echo slept; exit 5'{end}");
        shell.begins(&line);
        shell.sees("go\r\n");
        shell.types("\x1a");
        shell.sees("Stopped");
        assert_eq!(shell.ends(), "148");
        assert!(shell.does("jobs").contains("Stopped"));
        assert_eq!(shell.does("stty -g"), settings);
        shell.begins("fg");
        shell.sees("slept\r\n");
        assert_eq!(shell.ends(), if end.is_empty() { "5" } else { "0" });
        shell.begins(&line);
        shell.sees("go\r\n");
        shell.types("\x1a");
        assert_eq!(shell.ends(), "148");
        shell.does("bg");
        let shown = shell.does("wait");
        assert!(shown.contains("slept"), "{shown}");
    }
}

fn a_stopped_program_is_a_stopped_job(shell: &mut Shell) {
    let settings = shell.does("stty -g");
    shell.begins("hrun sh -c 'echo go; kill -STOP $$; read line; echo \"<$line>\"; exit 5'");
    shell.sees("go\r\n");
    shell.sees("Stopped");
    shell.ends();
    assert_eq!(shell.does("stty -g"), settings);
    shell.begins("fg");
    shell.types("and on\n");
    shell.sees("<and on>");
    assert_eq!(shell.ends(), "5");
}

fn a_shell_of_the_hosts_has_jobs_of_its_own(shell: &mut Shell) {
    shell.begins("hrun bash --norc --noprofile -i");
    shell.types("PS1='in''ner> '; stty -echo; echo READY\n");
    shell.sees("READY\r\n");
    shell.sees("inner> ");
    shell.types("cat\n");
    shell.types("one\n");
    shell.sees("one\r\n");
    shell.types("\x1a");
    shell.sees("Stopped");
    shell.sees("inner> ");
    shell.types("suspend\n");
    shell.sees("Stopped");
    shell.ends();
    shell.begins("fg");
    shell.types("fg\n");
    shell.types("two\n");
    shell.sees("two\r\n");
    shell.types("\x03");
    shell.sees("inner> ");
    shell.types("exit 4\n");
    assert_eq!(shell.ends(), "4");
}

fn a_program_in_the_background_leaves_the_keyboard_alone(shell: &mut Shell) {
    shell.leaves("hrun sh -c 'sleep 0.5; echo from behind'");
    shell.types("read line; echo \"<$line>\"\nmine\n");
    shell.sees("<mine>");
    shell.sees("from behind");
    shell.does("wait");
}

fn a_program_in_the_background_that_reads_is_stopped(shell: &mut Shell) {
    let stopped = |shell: &mut Shell| {
        eventually("it is stopped", || shell.does("jobs").contains("Stopped"));
    };
    shell.leaves("hrun sh -c 'read line; echo \"<$line>\"; exit 6'");
    stopped(shell);
    shell.begins("fg");
    shell.types("hello\n");
    shell.sees("<hello>");
    assert_eq!(shell.ends(), "6");
    // One that has been in the foreground.
    shell.begins("hrun bash -c 'echo go; sleep 0.5; read line; echo \"<$line>\"; exit 7'");
    shell.sees("go\r\n");
    shell.types("\x1a");
    assert_eq!(shell.ends(), "148");
    shell.does("bg");
    stopped(shell);
    shell.begins("fg");
    shell.types("again\n");
    shell.sees("<again>");
    assert_eq!(shell.ends(), "7");
}

/// Programs that ignore SIGHUP, started by a line with the script in place of `CMD`: their process ids.
fn family_of(shell: &mut Shell, line: &str) -> (Scratch, Vec<i32>) {
    let directory = Scratch::new();
    let script = format!("cd {}\n{}\n", directory.display(), family::SCRIPT);
    let file = directory.join("script");
    std::fs::write(&file, script).expect("a script");
    shell.types(&format!(
        "{}\n",
        line.replace("CMD", &format!("hrun sh {}", file.display()))
    ));
    let pids = family::gather(&directory);
    (directory, pids)
}

fn hrun_that_is_killed_takes_its_programs_along(shell: &mut Shell) {
    let (_directory, pids) = family_of(shell, "CMD &");
    shell.does("kill -KILL $!; wait $!");
    all_gone(&pids);
}

fn a_terminal_that_is_closed_takes_programs_along(shell: &mut Shell) {
    let (_directory, pids) = family_of(
        shell,
        "script -qc 'CMD' /dev/null < /dev/null > /dev/null &",
    );
    shell.does("kill -KILL $!; wait $!");
    all_gone(&pids);
}

#[test]
fn no_program_outlives_its_guest() {
    for kind in kinds() {
        for signal in [Signal::SIGHUP, Signal::SIGKILL] {
            let mut shell = Shell::start(kind);
            let (_directory, pids) = family_of(&mut shell, "CMD");
            kill(Pid::from_raw(shell.pid()), signal).expect("it lives");
            all_gone(&pids);
        }
    }
}

#[test]
fn no_program_outlives_its_guests_kernel() {
    if !can_be(UML) {
        return;
    }
    let mut shell = Shell::start(UML);
    let (_directory, pids) = family_of(&mut shell, "CMD");
    // Its helpers have the same command line.
    let is_kernel = |pid: &i32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("iomem=mmapper")
    };
    let below = descendants(shell.pid());
    let kernels: Vec<i32> = below.into_iter().filter(is_kernel).collect();
    let helpers: Vec<i32> = kernels.iter().flat_map(|pid| descendants(*pid)).collect();
    let kernel = kernels.iter().find(|pid| !helpers.contains(pid));
    let kernel = *kernel.expect("a kernel");
    kill(Pid::from_raw(kernel), Signal::SIGKILL).expect("it lives");
    all_gone(&pids);
}
