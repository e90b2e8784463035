//! Host programs. A guest's programs have no function for these calls, so only the typed client makes them.

use super::table;
use crate::launch::{finish, pipe, put, start, start_raw, start_with, words_of, LATER, NONE};
use crate::run::Run;
use hostcall::ops::Calls;
use hostcall::types::{Errno, JobState, Offset, OpenFlags, RemoteFd, RwFlags, LET_GO};
use hostcall::wire::{Sink, Source};
use libc::*;

table![
    program_output,
    program_input,
    program_environment,
    program_in_its_directory,
    program_states,
    program_wait_interrupted,
    program_awaited,
    program_on_its_way,
    program_on_a_terminal,
    programs_refused,
    pipes,
    scratch_files,
    named_sessions,
    policy_and_names,
];

/// Notes how a program ends, if it runs.
fn conclude(run: &Run, job: Result<u32, Errno>) {
    if let Ok(job) = job {
        finish(run, job);
    }
}

/// Runs a shell's script and notes what it has written and how it has ended. It must fit a pipe: it is read afterwards, at once,
/// so that the transcript does not tell in how many pieces it came.
fn script(run: &Run, text: &str, offered: &[&str]) {
    let (reader, writer) = pipe(run);
    let job = start_with(run, &["sh", "-c", text], offered, [NONE, writer, writer]);
    let _ = run.close(writer);
    conclude(run, job);
    run.get(reader, -1, 4096);
    let _ = run.close(reader);
}

fn program_output(run: &mut Run) {
    script(run, "echo out; echo err >&2; exit 3", &[]);
    script(run, "printf '\\0\\377'; kill -TERM $$", &[]);
    script(run, "echo $# \"$0\"", &[]);
    run.make(c"f", b"");
    let file = run.open(c"f", O_WRONLY | O_APPEND, 0);
    let job = start(run, &["echo", "to a file"], [NONE, file, NONE]);
    conclude(run, job);
    let file = run.open(c"f", O_RDONLY, 0);
    run.get(file, -1, 100);
}

fn program_input(run: &mut Run) {
    run.make(c"f", b"0123456789");
    let file = run.open(c"f", O_RDONLY, 0);
    run.seek(file, 4, SEEK_SET);
    let (reader, writer) = pipe(run);
    let job = start(run, &["head", "-c", "3"], [file, writer, NONE]);
    let _ = run.close(writer);
    conclude(run, job);
    run.get(reader, -1, 100);
    // The program has moved the position that it shares with us.
    run.seek(file, 0, SEEK_CUR);
    let (input, to) = pipe(run);
    let (from, out) = pipe(run);
    let job = start(run, &["tr", "a-z", "A-Z"], [input, out, NONE]);
    for end in [input, out] {
        let _ = run.close(end);
    }
    run.put(to, -1, b"shout");
    let _ = run.close(to);
    conclude(run, job);
    run.get(from, -1, 100);
    let _ = run.close(from);
    script(run, "cat; echo end", &[]);
}

fn program_environment(run: &mut Run) {
    let offered = ["TERM=vt99", "LANG=C", "LD_PRELOAD=/evil", "IFS=x", "TERM"];
    script(run, "echo $TERM $LANG $LD_PRELOAD", &offered);
    script(
        run,
        "test -n \"$PATH\" && test -z \"$BASH_ENV\"",
        &["BASH_ENV=1"],
    );
}

fn program_in_its_directory(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    let _ = run.chdir(c"d");
    let _ = run.umask(hostcall::types::Mode(0o027));
    script(run, "echo ${PWD##*/}; umask; cd ..; ls", &[]);
    let _ = run.symlinkat(c"/bin/echo", crate::short::CWD, c"say");
    for program in ["./say", "../d/say"] {
        let job = start(run, &[program, "x"], [NONE; 3]);
        conclude(run, job);
    }
}

fn program_states(run: &mut Run) {
    let Ok(job) = start(run, &["sleep", "1000"], [NONE; 3]) else {
        return;
    };
    let all = WUNTRACED | WCONTINUED;
    let _ = run.wait(job, WNOHANG | all);
    let _ = run.signal(job, 0);
    let _ = run.signal(job, SIGSTOP);
    let _ = run.wait(job, all);
    let _ = run.wait(job, WNOHANG | all);
    let _ = run.signal(job, SIGCONT);
    let _ = run.wait(job, all);
    let _ = run.foreground(job, 0);
    let _ = run.foreground(job, 1);
    let _ = run.forget(job);
    let _ = run.signal(job, SIGKILL);
    let _ = run.wait(job, 0);
    let _ = run.wait(job, WNOHANG | all);
    let _ = run.forget(job);
    let _ = run.forget(job);
    let _ = run.wait(job, 0);
    let _ = run.signal(job, SIGTERM);
    let _ = run.foreground(job, 1);
}

fn program_wait_interrupted(run: &mut Run) {
    let Ok(job) = start(run, &["sleep", "1000"], [NONE; 3]) else {
        return;
    };
    run.alarm(200, false);
    let _ = run.wait(job, 0);
    run.caught();
    let _ = run.signal(job, SIGKILL);
    finish(run, job);
}

fn program_awaited(run: &mut Run) {
    let (reader, writer) = pipe(run);
    let Ok(job) = start(run, &["sleep", "1000"], [NONE; 3]) else {
        return;
    };
    let pair = |fd: RemoteFd, events: c_short| [fd.0, events.into()].map(i32::to_le_bytes).concat();
    let (silent, open) = (pair(reader, POLLIN), pair(writer, POLLOUT));
    let both = [silent.clone(), open].concat();
    let none = pair(RemoteFd(900), POLLIN);
    let many = silent.repeat(33);
    let _ = run.await_job(job, WNOHANG, Source::new(&silent));
    let _ = run.await_job(job, WNOHANG, Source::new(&[]));
    for files in [&both, &none, &many, &silent[..7].to_vec()] {
        let _ = run.await_job(job, 0, Source::new(files));
    }
    let _ = run.write(writer, Offset::CURRENT, RwFlags(0), Source::new(b"x"));
    let _ = run.await_job(job, 0, Source::new(&silent));
    let _ = run.signal(job, SIGKILL);
    // The byte is there before the end, and is told with it once that has come.
    let _ = run.wait(job, 0);
    let _ = run.await_job(job, 0, Source::new(&silent));
    let _ = run.await_job(job, LET_GO, Source::new(&[]));
    let _ = run.await_job(job, 0, Source::new(&silent));
}

fn program_on_its_way(run: &mut Run) {
    let (reader, writer) = pipe(run);
    let words = words_of(&["echo", "on its way"], &[]);
    let job = start_raw(run, &words, [NONE, writer, NONE], LATER);
    let _ = run.close(writer);
    for job in [job.unwrap_or(0), job.unwrap_or(0), 0, 900] {
        let _ = run.started(job, NONE);
    }
    conclude(run, job);
    run.get(reader, -1, 100);
}

fn program_on_a_terminal(run: &mut Run) {
    let Ok(master) = run.pty_open(24, 80, 640, 480).map(|reply| reply.fd) else {
        return;
    };
    let _ = run.pty_resize(master, 50, 132, 0, 0);
    let script =
        "test -t 0 && test -t 2 && test \"$(stty size)\" = '50 132' && : > /dev/tty && exit 7";
    let words = words_of(&["sh", "-c", script], &[]);
    for flags in [1, 0] {
        let Ok(scratch) = run.scratch(words.len() as u64).map(|reply| reply.fd) else {
            return;
        };
        let _ = put(run, scratch, &words);
        let job = Calls::exec(run, scratch, master, master, master, flags, 0);
        let _ = run.close(scratch);
        if let Ok(reply) = job {
            // Without a controlling terminal there is no /dev/tty, and the shell's status for that is its own.
            let state = run.wait(reply.job, 0).map(|reply| reply.state);
            run.note(format!(
                "as expected: {}",
                (state == Ok(JobState::Exited(7))) == (flags == 1)
            ));
            let _ = run.forget(reply.job);
        }
    }
    run.make(c"f", b"");
    let file = run.open(c"f", O_RDWR, 0);
    let _ = run.pty_resize(file, 1, 1, 0, 0);
}

fn programs_refused(run: &mut Run) {
    run.make(c"f", b"not a program");
    for program in ["", "no-such-program", "/no/such", "./f", "/", "f/"] {
        let _ = start(run, &[program], [NONE; 3]);
    }
    let _ = start(run, &["true"], [RemoteFd(99), NONE, NONE]);
    let _ = run.chdir(c"/");
}

fn pipes(run: &mut Run) {
    let (reader, writer) = pipe(run);
    for fd in [reader, writer] {
        run.control(fd, F_GETFD, 0);
        run.control(fd, F_GETFL, 0);
    }
    run.put(writer, -1, b"abc");
    run.get(reader, -1, 2);
    let _ = run.close(writer);
    run.get(reader, -1, 9);
    run.get(reader, -1, 9);
    let Ok(pipe) = run.pipe(OpenFlags(O_NONBLOCK)) else {
        return;
    };
    run.get(pipe.reader, -1, 9);
    run.control(pipe.reader, F_GETFD, 0);
    let _ = run.close(pipe.reader);
    run.put(pipe.writer, -1, b"abc");
    let _ = run.pipe(OpenFlags(O_APPEND));
}

fn scratch_files(run: &mut Run) {
    for len in [0, (4 << 20) + 1, u64::MAX] {
        let _ = run.scratch(len);
    }
    let Ok(scratch) = run.scratch(4 << 20).map(|reply| reply.fd) else {
        return;
    };
    run.put(scratch, (4 << 20) - 3, b"end");
    run.put(scratch, 4 << 20, b"beyond");
    let _ = run.ftruncate(scratch, 0);
    run.get(scratch, 0, 8);
    let _ = put(run, scratch, &words_of(&["true"], &[]));
    for _ in 0..2 {
        if let Ok(reply) = Calls::exec(run, scratch, NONE, NONE, NONE, 0, 0) {
            finish(run, reply.job);
        }
        run.put(scratch, 0, b"changed");
    }
    let _ = Calls::refusal(run, scratch, Sink::new(&mut [0; 64]));
    let _ = run.close(scratch);
    let _ = Calls::refusal(run, scratch, Sink::new(&mut [0; 64]));
    run.make(c"f", b"no words");
    let file = run.open(c"f", O_RDWR, 0);
    let _ = Calls::refusal(run, file, Sink::new(&mut [0; 64]));
}

fn named_sessions(run: &mut Run) {
    run.mkdir(c"d", 0o755);
    let _ = run.chdir(c"d");
    let _ = run.keep_session(c"of this case");
    let _ = run.chdir(c"/");
    let _ = run.enter_session(c"of this case");
    run.cwd();
    let _ = run.enter_session(c"never kept");
    run.cwd();
}

fn policy_and_names(run: &mut Run) {
    let _ = run.exec_policy(Sink::new(&mut []));
    let mut room = [0; 64];
    let _ = run.complete(c"no-such-program-begins-so", Sink::new(&mut room));
    let _ = run.take_pipe();
}
