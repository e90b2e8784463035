//! Going into the background once the mount is there, so that whoever waits for the command can use it.
#![allow(unsafe_code)]

use hostcall::say::complain;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, setsid, ForkResult};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::ExitCode;

/// The child's end of the wait.
#[derive(Debug)]
pub struct Ready(Option<File>);

/// Forks. The parent waits for the child's word and ends with it; the child goes on from here.
///
/// # Errors
/// The code to end with, in the parent; or what cannot be done.
pub fn split() -> Result<Ready, ExitCode> {
    let fail = |errno: nix::errno::Errno| {
        let what = "going into the background";
        complain(
            "hostfs",
            format_args!("{what}: {errno}; --foreground does without"),
        );
        ExitCode::FAILURE
    };
    let (reader, writer) = pipe().map_err(fail)?;
    // SAFETY: called first of all, while the process has one thread.
    match unsafe { fork() }.map_err(fail)? {
        ForkResult::Parent { .. } => {
            drop(writer);
            let mut word = Vec::new();
            let _ = File::from(reader).read_to_end(&mut word);
            Err(match word.as_slice() {
                b"+" => ExitCode::SUCCESS,
                // It has said why.
                _ => ExitCode::FAILURE,
            })
        }
        ForkResult::Child => {
            drop(reader);
            let _ = setsid();
            Ok(Ready(Some(File::from(writer))))
        }
    }
}

impl Ready {
    /// For a process that stays where it is.
    pub fn foreground() -> Ready {
        Ready(None)
    }

    /// The mount is there: lets the parent go, and gives up the terminal and the directory.
    pub fn tell(&mut self) {
        let Some(mut parent) = self.0.take() else {
            return;
        };
        let _ = std::env::set_current_dir("/");
        if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
            let _ = dup2_stdin(&null);
            let _ = dup2_stdout(&null);
            // Whoever reads what the command says would wait for the mount's end otherwise.
            let _ = dup2_stderr(&null);
        }
        let _ = parent.write_all(b"+");
    }
}
