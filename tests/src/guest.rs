//! A guest process in a phase of its life: see `bin/guest_runner.rs`.

use crate::daemon::{program, PATIENCE};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// A peer of something that was killed knows it within this, on a machine that has time for it.
pub const SOON: Duration = Duration::from_secs(1);

/// A running guest process, killed when dropped.
#[derive(Debug)]
pub struct Guest {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Guest {
    /// Starts a guest process that attaches at a socket.
    pub fn start(socket: &Path, phase: &str, path: &Path) -> Guest {
        let mut command = Command::new(program("guest_runner"));
        command.arg(phase).arg(path).env("HOSTCALL_ATTACH", socket);
        Guest::run(command)
    }

    /// The same in its phase.
    ///
    /// # Panics
    /// It does not get there.
    pub fn ready(socket: &Path, phase: &str, path: &Path) -> Guest {
        let guest = Guest::start(socket, phase, path);
        guest.expect("ready", PATIENCE);
        guest
    }

    /// Starts a command that leads to a guest process in the end.
    pub fn run(mut command: Command) -> Guest {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the guest process starts");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line.trim_end().to_owned()).is_err() {
                    break;
                }
            }
        });
        Guest {
            child,
            input,
            lines,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Has it make one more call, if it listens.
    pub fn poke(&mut self) {
        self.tell("");
    }

    /// Writes a line to its standard input, if it listens.
    pub fn tell(&mut self, line: &str) {
        let _ = writeln!(self.input, "{line}").and_then(|()| self.input.flush());
    }

    /// Waits for a line that begins so, and answers its rest.
    ///
    /// # Panics
    /// It does not come in time.
    pub fn expect(&self, wanted: &str, within: Duration) -> String {
        let start = Instant::now();
        let mut heard = Vec::new();
        while let Ok(line) = self
            .lines
            .recv_timeout(within.saturating_sub(start.elapsed()))
        {
            if let Some(rest) = line.strip_prefix(wanted) {
                return rest.trim().to_owned();
            }
            heard.push(line);
        }
        let tail = &heard[heard.len().saturating_sub(5)..];
        panic!("no {wanted:?} within {within:?}; heard {tail:?}")
    }

    /// The next line; `None` at its end.
    ///
    /// # Panics
    /// Nothing comes in time.
    pub fn hear(&self, within: Duration) -> Option<String> {
        match self.lines.recv_timeout(within) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing heard within {within:?}"),
        }
    }

    /// Everything that it has said and will say until it ends.
    pub fn rest(&mut self) -> Vec<String> {
        let lines = self.lines.iter().collect();
        let _ = self.child.wait();
        lines
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end in time.
    pub fn ended(&mut self, within: Duration) -> std::process::ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            assert!(start.elapsed() < within, "still runs after {within:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
