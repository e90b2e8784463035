//! The host's ends of the standard streams, and the threads between them and the guest's.

use super::handover::{self, HostFile};
use super::kind::{self, Kind};
use super::plan::{has_terminal, plan, Stream, Way};
use super::pump::{self, Done, Pump};
use super::{guest, NAMES};
use crate::failure::Failure;
use crate::terminal::Size;
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{Errno, OpenFlags, RemoteFd};
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// No file: the host's `/dev/null`.
const NULL: RemoteFd = RemoteFd(-1);

/// A stream that a thread carries.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// The guest's number.
    pub number: usize,
    /// Our end on the host.
    pub remote: RemoteFd,
    /// The thread's state.
    pub pump: &'static Pump,
}

/// All three streams.
#[derive(Debug)]
pub struct Joined {
    ways: [Way; 3],
    /// The program's ends.
    pub ends: [RemoteFd; 3],
    files: [Option<HostFile>; 3],
    /// Pipes of the guest's that the host has taken over.
    pipes: [Option<RemoteFd>; 3],
    /// What threads carry.
    pub carried: Vec<Carried>,
    /// The program's terminal: its master.
    pub terminal: Option<RemoteFd>,
    /// The reading end of the pipe that a file of the guest is carried through.
    pub reader: Option<RemoteFd>,
}

impl Joined {
    /// Makes the host's ends. `wanted` overrides whether the program is to have a terminal.
    ///
    /// # Errors
    /// One line.
    pub fn make(host: &'static Client, wanted: Option<bool>) -> Result<Joined, Failure> {
        let kinds = [0, 1, 2].map(kind::of);
        let files = [0, 1, 2].map(|number| match kinds[number] {
            Kind::File | Kind::Pipe | Kind::Other => handover::take(host, number),
            Kind::Closed | Kind::Null | Kind::Terminal => None,
        });
        let mut streams = [0, 1, 2].map(|number| Stream {
            kind: kinds[number],
            is_host: files[number].is_some(),
            is_handed: false,
        });
        // Those that share the host's position are one by themselves.
        let one = files[1].is_none_or(|file| file.follows) && kind::are_one(1, 2);
        let terminal = has_terminal(&streams, wanted);
        let pipes = hand_pipes(host, &streams, terminal, one);
        for (stream, pipe) in streams.iter_mut().zip(pipes) {
            stream.is_handed = pipe.is_some();
        }
        let mut joined = Joined {
            ways: plan(&streams, terminal, one),
            ends: [NULL; 3],
            files,
            pipes,
            carried: Vec::new(),
            terminal: None,
            reader: None,
        };
        let failed = |errno: Errno| match errno.0 {
            libc::EMFILE | libc::ENFILE => Failure::own(
                "the host has no more open files for this program; raise limits.open_files",
            ),
            libc::EACCES => refused(),
            _ => Failure::host("the standard streams", errno),
        };
        if terminal {
            joined.open_terminal(host).map_err(failed)?;
        }
        for (number, kind) in kinds.into_iter().enumerate() {
            joined.end(host, number, kind).map_err(failed)?;
        }
        Ok(joined)
    }

    fn open_terminal(&mut self, host: &Client) -> Result<(), Errno> {
        let size = Size::find();
        let master = host
            .pty_open(size.rows, size.columns, size.xpixels, size.ypixels)?
            .fd;
        self.terminal = Some(master);
        for number in [0, 1] {
            self.carry(number, master);
        }
        Ok(())
    }

    fn end(&mut self, host: &Client, number: usize, kind: Kind) -> Result<(), Errno> {
        self.ends[number] = match self.ways[number] {
            Way::Null => NULL,
            Way::HostFile => self.files[number].map_or(NULL, |file| file.remote),
            Way::Terminal => self.terminal.unwrap_or(NULL),
            Way::Handed => self.pipes[number].unwrap_or(NULL),
            Way::AsOutput => self.ends[1],
            Way::Closed => {
                // The wrong end of a pipe answers every call EBADF, as a missing file would.
                let pipe = host.pipe(OpenFlags(libc::O_CLOEXEC))?;
                let (wrong, other) = match number {
                    0 => (pipe.writer, pipe.reader),
                    _ => (pipe.reader, pipe.writer),
                };
                let _ = host.close(other);
                wrong
            }
            Way::Pipe => {
                let pipe = host.pipe(OpenFlags(libc::O_CLOEXEC))?;
                let (theirs, ours) = match number {
                    0 => (pipe.reader, pipe.writer),
                    _ => (pipe.writer, pipe.reader),
                };
                self.carry(number, ours);
                if number == 0 && kind == Kind::File {
                    self.reader = Some(theirs);
                }
                theirs
            }
        };
        Ok(())
    }

    fn carry(&mut self, number: usize, remote: RemoteFd) {
        let pump = Pump::new();
        self.carried.push(Carried {
            number,
            remote,
            pump,
        });
    }

    /// The program has its ends: ours of them are closed, so that the end of a stream is heard. Standard error stays, for what
    /// is to be said here.
    pub fn handed(&self, host: &Client) {
        for (number, way) in self.ways.into_iter().enumerate() {
            let end = self.ends[number];
            let is_ours = matches!(way, Way::Pipe | Way::Closed | Way::Handed);
            if is_ours && self.reader != Some(end) {
                let _ = host.close(end);
            }
            if way == Way::Handed && number != 2 {
                super::let_go(number);
            }
        }
    }

    /// After the program's end: the guest's positions in files of the host are where the program left them.
    pub fn follow(&self, host: &Client) {
        for (number, file) in self.files.iter().enumerate() {
            if let (Some(file), Way::HostFile) = (file, self.ways[number]) {
                file.follow(host, number);
            }
        }
    }

    /// One line for each stream: how it was joined, and the bytes that crossed.
    pub fn tell(&self) -> String {
        let mut text = String::new();
        for (number, way) in self.ways.into_iter().enumerate() {
            let carried = self.carried.iter().find(|one| one.number == number);
            let bytes = carried.map_or(0, |one| one.pump.carried.load(Ordering::Relaxed));
            let what = match way {
                Way::Closed => "closed",
                Way::Null => "/dev/null",
                Way::HostFile => "a file of the host",
                Way::Terminal => "a terminal",
                Way::Handed => "the guest's own pipe",
                Way::Pipe => "a pipe",
                Way::AsOutput => "as stdout",
            };
            let _ = writeln!(
                text,
                "hrun: {}: {what}, {bytes} bytes carried",
                NAMES[number]
            );
        }
        text
    }
}

/// Has the host take over those streams that are pipes, where that can be. Two that are one open file are handed over once.
fn hand_pipes(
    host: &Client,
    streams: &[Stream; 3],
    terminal: bool,
    one: bool,
) -> [Option<RemoteFd>; 3] {
    let mut pipes = [None; 3];
    for (number, stream) in streams.iter().enumerate() {
        if stream.is_host || stream.kind != Kind::Pipe || terminal && number < 2 {
            continue;
        }
        if number == 2 && one {
            pipes[2] = pipes[1];
            break;
        }
        match host.hand_pipe(guest(number)) {
            Ok(remote) => pipes[number] = Some(remote),
            // A pipe with a name, which is carried like any other file.
            Err(Errno(libc::EINVAL)) => {}
            // One that is late would be taken for the next.
            Err(_) => break,
        }
    }
    pipes
}

/// No program may be started at all.
pub fn refused() -> Failure {
    Failure {
        status: crate::failure::REFUSED,
        line: "host programs are not allowed in this guest; allow them under \"exec\" in hostd's configuration"
            .to_owned(),
    }
}

impl Carried {
    /// Starts the thread; `tell` hears why it ended.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        self,
        host: &'static Client,
        terminal: bool,
        tell: impl FnOnce(usize, Done) + Send + 'static,
    ) -> std::io::Result<()> {
        let thread = std::thread::Builder::new()
            .name(format!("hrun-{}", NAMES[self.number]))
            .stack_size(128 << 10);
        let carry = move || {
            let done = match self.number {
                0 => pump::input(host, self.remote, terminal, self.pump),
                number => pump::output(host, self.remote, number, self.pump),
            };
            tell(self.number, done);
        };
        thread.spawn(carry).map(drop)
    }
}
