//! `jobs`, `fg`, `bg` and `wait` (XCU 2.11).

use super::{number, shown, Letters};
use crate::dosh::jobs::{Job, Places, State};
use crate::dosh::shell::{Run, Shell};
use crate::dosh::syntax::tree::Bytes;
use crate::dosh::sys::{self, Disposition};

pub fn jobs(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    list(shell, words, |_| true)
}

/// `hjobs`: those that work on the host.
pub fn hjobs(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    list(shell, words, |job| job.places != Places::Guest)
}

fn list(shell: &mut Shell, words: &[Bytes], is_listed: fn(&Job) -> bool) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    let (mut ids, mut only_ids) = (false, false);
    let (mut running, mut stopped) = (false, false);
    while let Some((letter, _)) = letters.next() {
        match letter {
            b'l' => ids = true,
            b'p' => only_ids = true,
            b'r' => running = true,
            b's' => stopped = true,
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Ok(shell.refuse_with(&words[0], message, 2));
            }
        }
    }
    shell.jobs.reap();
    let mut numbers = Vec::new();
    let mut status = 0;
    for word in letters.operands() {
        match find(shell, &words[0], word) {
            Ok(number) => numbers.push(number),
            Err(failed) => status = failed,
        }
    }
    if letters_are_none(words) {
        let listed = shell.jobs.all().iter().filter(|job| is_listed(job));
        numbers = listed.map(|job| job.number).collect();
    }
    let state = |number: &usize| shell.jobs.get(*number).map(Job::state);
    numbers.retain(|number| match state(number) {
        Some(State::Running) => running || !stopped,
        Some(State::Stopped(_)) => stopped || !running,
        _ => !running && !stopped,
    });
    let mut text = Bytes::new();
    for number in &numbers {
        let Some(job) = shell.jobs.get(*number) else {
            continue;
        };
        match only_ids {
            true => {
                let first = job.processes.first().map_or(0, |process| process.pid);
                text.extend_from_slice(format!("{first}\n").as_bytes());
            }
            false => text.extend(shell.jobs.line(job, ids)),
        }
    }
    for number in numbers {
        settle(shell, number);
    }
    Ok(shell.put(&words[0], &text).max(status))
}

fn letters_are_none(words: &[Bytes]) -> bool {
    words[1..].iter().all(|word| word.starts_with(b"-"))
}

/// What was told is known; a job whose end is known is forgotten.
pub fn settle(shell: &mut Shell, number: usize) {
    if let Some(job) = shell.jobs.get_mut(number) {
        job.told = job.state();
        if job.is_ended() {
            shell.jobs.forget(number);
        }
    }
}

/// The job that a word names, with or without `%`.
///
/// # Errors
/// The status, after it was told that there is none.
fn find(shell: &Shell, command: &[u8], word: &[u8]) -> Result<usize, i32> {
    let name = word.strip_prefix(b"%").unwrap_or(word);
    shell.jobs.find(name).map_err(|why| {
        let word = shown(word);
        shell.refuse_with(command, format_args!("{word}: {why}"), 1)
    })
}

pub fn fg(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let number = match chosen(shell, words) {
        Ok(number) => number,
        Err(status) => return Ok(status),
    };
    let Some(mut job) = shell.jobs.remove(number) else {
        return Ok(1);
    };
    shell.put(b"fg", &[&job.text[..], b"\n"].concat());
    if let (Some(terminal), true) = (shell.terminal, job.group != 0) {
        sys::give_terminal(terminal, job.group);
    }
    if let (Some(terminal), Some(settings)) = (shell.terminal, job.settings.take()) {
        sys::set_settings(terminal, &settings);
    }
    job.resume();
    shell.foreground(job);
    Ok(shell.status)
}

pub fn bg(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let number = match chosen(shell, words) {
        Ok(number) => number,
        Err(status) => return Ok(status),
    };
    let Some(job) = shell.jobs.get_mut(number) else {
        return Ok(1);
    };
    job.resume();
    let line = [format!("[{number}] ").as_bytes(), &job.text, b" &\n"].concat();
    Ok(shell.put(b"bg", &line))
}

fn chosen(shell: &mut Shell, words: &[Bytes]) -> Result<usize, i32> {
    if !shell.options.monitor() {
        return Err(shell.refuse_with(&words[0], "no job control", 1));
    }
    shell.jobs.reap();
    let number = match words.get(1) {
        Some(word) => find(shell, &words[0], word)?,
        None => match shell.jobs.current(0) {
            Some(number) => number,
            None => return Err(shell.refuse_with(&words[0], "no current job", 1)),
        },
    };
    match shell.jobs.get(number).is_some_and(|job| job.is_ended()) {
        true => Err(shell.refuse_with(&words[0], "job has terminated", 1)),
        false => Ok(number),
    }
}

pub fn wait(shell: &mut Shell, words: &[Bytes]) -> Run<i32> {
    let mut letters = Letters::new(words, b"");
    let mut next = false;
    while let Some((letter, _)) = letters.next() {
        match letter {
            b'n' => next = true,
            letter => {
                let message = format!("-{}: invalid option", char::from(letter));
                return Ok(shell.refuse_with(b"wait", message, 2));
            }
        }
    }
    let operands = letters.operands();
    if next {
        return wait_for_next(shell);
    }
    if operands.is_empty() {
        let signal = sleep_until(shell, |shell| (!shell.jobs.any_runs()).then_some(()));
        if let Err(signal) = signal {
            return interrupted(shell, signal);
        }
        let numbers: Vec<usize> = shell.jobs.all().iter().map(|job| job.number).collect();
        for number in numbers {
            settle(shell, number);
        }
        return Ok(0);
    }
    let mut status = 0;
    for word in operands {
        status = match target(shell, word) {
            Ok((number, pid)) => match wait_for(shell, number, pid) {
                Ok(status) => status,
                Err(signal) => return interrupted(shell, signal),
            },
            Err(status) => status,
        };
    }
    Ok(status)
}

/// A trap that has ended a wait is run first.
fn interrupted(shell: &mut Shell, signal: i32) -> Run<i32> {
    shell.status = 128 + signal;
    shell.run_pending_traps()?;
    Ok(128 + signal)
}

/// The job, and of it the process, that an operand of `wait` names.
///
/// # Errors
/// The status where there is nothing to wait for: that of a process whose job was forgotten, or one that says that there is none,
/// which was told.
fn target(shell: &Shell, word: &[u8]) -> Result<(usize, Option<i32>), i32> {
    if let Some(name) = word.strip_prefix(b"%") {
        let found = shell.jobs.find(name).map(|number| (number, None));
        return found.map_err(|why| {
            shell.refuse_with(b"wait", format_args!("{}: {why}", shown(word)), 127)
        });
    }
    let Some(pid) = number(word).and_then(|pid| i32::try_from(pid).ok()) else {
        let message = format!("`{}': not a pid or valid job spec", shown(word));
        return Err(shell.refuse_with(b"wait", message, 1));
    };
    match shell.jobs.by_pid(pid) {
        Some(job) => Ok((job.number, Some(pid))),
        None => Err(shell.jobs.end_of(pid).unwrap_or_else(|| {
            let message = format_args!("pid {pid} is not a child of this shell");
            shell.refuse_with(b"wait", message, 127)
        })),
    }
}

fn wait_for(shell: &mut Shell, number: usize, pid: Option<i32>) -> Result<i32, i32> {
    let status = sleep_until(shell, |shell| {
        let job = shell.jobs.get(number)?;
        let state = match pid {
            Some(pid) => {
                job.processes
                    .iter()
                    .find(|process| process.pid == pid)?
                    .state
            }
            None => job.state(),
        };
        (state != State::Running).then(|| state.status())
    })?;
    if shell.jobs.get(number).is_some_and(|job| job.is_ended()) {
        shell.jobs.forget(number);
    }
    Ok(status)
}

fn wait_for_next(shell: &mut Shell) -> Run<i32> {
    if shell.jobs.all().is_empty() {
        return Ok(127);
    }
    let ended = sleep_until(shell, |shell| {
        let ended = shell.jobs.all().iter().find(|job| job.is_ended());
        ended.map(|job| (job.number, job.state().status()))
    });
    match ended {
        Ok((number, status)) => {
            shell.jobs.forget(number);
            Ok(status)
        }
        Err(signal) => interrupted(shell, signal),
    }
}

/// Sleeps until the answer is known.
///
/// # Errors
/// The trapped signal that has come first.
fn sleep_until<T>(
    shell: &mut Shell,
    mut answer: impl FnMut(&mut Shell) -> Option<T>,
) -> Result<T, i32> {
    // A child's end wakes the shell only if it is heard. Signals are let in only while sleeping, so none is missed.
    let heard = shell.traps.action(libc::SIGCHLD).is_none();
    if heard {
        sys::set_signal(libc::SIGCHLD, Disposition::Note);
    }
    let result = sys::blocking_signals(|mask| loop {
        shell.jobs.reap();
        if let Some(answer) = answer(shell) {
            return Ok(answer);
        }
        sys::sleep_with(mask);
        if let Some(signal) = shell.interrupting() {
            return Err(signal);
        }
    });
    if heard {
        sys::set_signal(libc::SIGCHLD, Disposition::Default);
    }
    result
}
