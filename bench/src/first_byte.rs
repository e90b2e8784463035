//! A shell that runs a pipeline each time it is asked: the time from a request to the first byte that comes.

use crate::task::Answer;
use hostcall::clock::ticks;
use std::io::{ErrorKind, Read, Result, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A shell that is at it.
struct Asked {
    shell: Child,
    requests: ChildStdin,
    bytes: ChildStdout,
}

/// Has a shell run a pipeline so many times: ticks from each request, a line that the shell reads, to the pipeline's first byte. No
/// newline may be among what it writes.
///
/// # Errors
/// One line.
pub fn times(shell: &str, pipeline: &str, count: u32) -> Answer {
    let measured = Asked::start(shell, pipeline).and_then(|mut asked| {
        // The first finds nothing ready.
        asked.once()?;
        let times = (0..count).map(|_| asked.once()).collect();
        asked.end()?;
        times
    });
    measured.map_err(|error| format!("{shell}: {pipeline}: {error}"))
}

impl Asked {
    fn start(shell: &str, pipeline: &str) -> Result<Asked> {
        let script = format!("while read -r request; do {pipeline}; echo; done");
        let mut shell = Command::new(shell)
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        match (shell.stdin.take(), shell.stdout.take()) {
            (Some(requests), Some(bytes)) => Ok(Asked {
                shell,
                requests,
                bytes,
            }),
            _ => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    /// One run, which has ended when this comes back.
    fn once(&mut self) -> Result<u64> {
        let mut byte = [0];
        let start = ticks();
        self.requests.write_all(b"\n")?;
        self.bytes.read_exact(&mut byte)?;
        let took = ticks() - start;
        if byte == *b"\n" {
            return Err(std::io::Error::other("it wrote nothing"));
        }
        while byte != *b"\n" {
            self.bytes.read_exact(&mut byte)?;
        }
        Ok(took)
    }

    fn end(self) -> Result<()> {
        let Asked {
            mut shell,
            requests,
            bytes,
        } = self;
        drop((requests, bytes));
        shell.wait().map(drop)
    }
}
