//! The host's ends of the standard streams, and the threads between them and the guest's.

use super::handover::{self, HostFile};
use super::kind::{self, Kind};
use super::plan::{has_terminal, plan, Stream, Way};
use super::pump::{self, Pump};
use super::{guest, NAMES};
use crate::failure::Failure;
use crate::lookout::Lookout;
use crate::terminal::Size;
use hostcall::acting::As;
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{Errno, OpenFlags, RemoteFd};
use hostcall::wire::Source;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// No file: the host's `/dev/null`.
const NULL: RemoteFd = RemoteFd(-1);

/// The guest's side of a program's standard streams.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// Descriptors of this process.
    pub numbers: [usize; 3],
    /// Ends on the host that are there already.
    pub given: [Option<RemoteFd>; 3],
}

impl Side {
    /// This process's own standard streams.
    pub const STANDARD: Side = Side {
        numbers: [0, 1, 2],
        given: [None; 3],
    };

    /// The same where outputs that programs before it have already are given: one open file of the guest is joined once.
    fn sharing(&self, before: &[Joined]) -> Side {
        let mut given = self.given;
        for role in [1, 2] {
            let known = before.iter().flat_map(|joined| joined.outputs());
            let mut same = known.filter(|(number, _)| kind::are_one(*number, self.numbers[role]));
            given[role] = given[role].or_else(|| same.next().map(|(_, end)| end));
        }
        Side { given, ..*self }
    }
}

/// A stream that a thread carries.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// Which of the program's standard streams it is.
    pub role: usize,
    /// The guest's descriptor.
    pub number: usize,
    /// Our end on the host.
    pub remote: RemoteFd,
    /// The other end of the pipe through which a file of the guest is carried.
    pub reader: Option<RemoteFd>,
    /// The thread's state.
    pub pump: &'static Pump,
}

/// All three streams of a program.
#[derive(Debug)]
pub struct Joined {
    side: Side,
    ways: [Way; 3],
    /// The program's ends.
    pub ends: [RemoteFd; 3],
    files: [Option<HostFile>; 3],
    /// Pipes of the guest's that the host has taken over.
    pipes: [Option<RemoteFd>; 3],
    /// What threads carry.
    pub carried: Vec<Carried>,
    /// Who waits for the host's ends of those, of the whole pipeline.
    pub lookout: &'static Lookout,
    /// The terminal of the pipeline that the program is in: its master.
    pub terminal: Option<RemoteFd>,
}

impl Joined {
    /// Makes the host's ends for the programs of one pipeline. `wanted` overrides whether they are to have a terminal.
    ///
    /// # Errors
    /// One line.
    pub fn make(
        host: &'static Client,
        sides: &[Side],
        wanted: Option<bool>,
    ) -> Result<Vec<Joined>, Failure> {
        let (Some(first), Some(last)) = (sides.first(), sides.last()) else {
            return Ok(Vec::new());
        };
        let (input, output) = (first.numbers[0], last.numbers[1]);
        let terminal = match has_terminal(kind::of(input), kind::of(output), wanted) {
            true => Some(open_terminal(host).map_err(failed)?),
            false => None,
        };
        let lookout = Lookout::new();
        let mut all: Vec<Joined> = Vec::new();
        for (at, side) in sides.iter().enumerate() {
            let always = terminal.map(|_| [at == 0, at + 1 == sides.len(), false]);
            let side = side.sharing(&all);
            let mut joined = Joined::of(host, side, terminal, always, lookout).map_err(failed)?;
            if let (0, Some(master)) = (at, terminal) {
                joined.carry(0, input, master, None);
                joined.carry(1, output, master, None);
            }
            all.push(joined);
        }
        Ok(all)
    }

    /// `always`: which of the streams are the terminal whatever they are in the guest, if there is one.
    fn of(
        host: &'static Client,
        side: Side,
        terminal: Option<RemoteFd>,
        always: Option<[bool; 3]>,
        lookout: &'static Lookout,
    ) -> Result<Joined, Errno> {
        let roles = [0, 1, 2];
        let kinds = side.numbers.map(kind::of);
        let files = roles.map(|role| match kinds[role] {
            _ if side.given[role].is_some() => None,
            Kind::File | Kind::Pipe | Kind::Other => handover::take(host, side.numbers[role]),
            Kind::Closed | Kind::Null | Kind::Terminal => None,
        });
        let mut streams = roles.map(|role| Stream {
            kind: kinds[role],
            is_host: files[role].is_some(),
            is_handed: false,
            is_given: side.given[role].is_some(),
        });
        // Those that share the host's position are one by themselves.
        let one = files[1].is_none_or(|file| file.follows)
            && kind::are_one(side.numbers[1], side.numbers[2]);
        let pipes = hand_pipes(host, &side, &streams, always, one);
        for (stream, pipe) in streams.iter_mut().zip(pipes) {
            stream.is_handed = pipe.is_some();
        }
        let mut joined = Joined {
            side,
            ways: plan(&streams, always, one),
            ends: [NULL; 3],
            files,
            pipes,
            carried: Vec::new(),
            lookout,
            terminal,
        };
        for (role, kind) in kinds.into_iter().enumerate() {
            joined.end(host, role, kind)?;
        }
        Ok(joined)
    }

    fn end(&mut self, host: &Client, role: usize, kind: Kind) -> Result<(), Errno> {
        self.ends[role] = match self.ways[role] {
            Way::Null => NULL,
            Way::Given => self.side.given[role].unwrap_or(NULL),
            Way::HostFile => self.files[role].map_or(NULL, |file| file.remote),
            Way::Terminal => self.terminal.unwrap_or(NULL),
            Way::Handed => self.pipes[role].unwrap_or(NULL),
            Way::AsOutput => self.ends[1],
            Way::Closed => {
                // The wrong end of a pipe answers every call EBADF, as a missing file would.
                let pipe = host.pipe(OpenFlags(libc::O_CLOEXEC))?;
                let (wrong, other) = match role {
                    0 => (pipe.writer, pipe.reader),
                    _ => (pipe.reader, pipe.writer),
                };
                let _ = host.close(other);
                wrong
            }
            Way::Pipe => {
                let pipe = host.pipe(OpenFlags(libc::O_CLOEXEC))?;
                let (theirs, ours) = match role {
                    0 => (pipe.reader, pipe.writer),
                    _ => (pipe.writer, pipe.reader),
                };
                let reader = (role == 0 && kind == Kind::File).then_some(theirs);
                self.carry(role, self.side.numbers[role], ours, reader);
                theirs
            }
        };
        Ok(())
    }

    /// The outputs that were joined for this program: the guest's descriptor and the host's end.
    fn outputs(&self) -> impl Iterator<Item = (usize, RemoteFd)> + '_ {
        let own = |role: &usize| self.ways[*role] != Way::Given;
        let outputs = [1, 2].into_iter().filter(own);
        outputs.map(|role| (self.side.numbers[role], self.ends[role]))
    }

    fn carry(&mut self, role: usize, number: usize, remote: RemoteFd, reader: Option<RemoteFd>) {
        let pump = Pump::new(self.lookout);
        self.carried.push(Carried {
            role,
            number,
            remote,
            reader,
            pump,
        });
    }

    /// The program has its ends, or will have none: ours of them are closed, so that the end of a stream is heard. Standard error
    /// stays, for what is to be said here.
    pub fn handed(&mut self, host: &Client) {
        let mut closed = Vec::new();
        for (role, way) in self.ways.into_iter().enumerate() {
            let (end, number) = (self.ends[role], self.side.numbers[role]);
            let is_ours = matches!(way, Way::Pipe | Way::Closed | Way::Handed) && end != NULL;
            let is_kept = self.carried.iter().any(|one| one.reader == Some(end));
            if is_ours && !is_kept {
                closed.push(end);
                self.ends[role] = NULL;
                if way == Way::Handed && number != 2 {
                    super::let_go(number);
                }
            }
        }
        post_close(host, &closed);
    }

    /// After the program's end: the guest's positions in files of the host are where the program left them.
    pub fn follow(&self, host: &Client) {
        for (role, file) in self.files.iter().enumerate() {
            if let (Some(file), Way::HostFile) = (file, self.ways[role]) {
                file.follow(host, self.side.numbers[role]);
            }
        }
    }

    /// One line for each stream: how it was joined, and the bytes that crossed.
    pub fn tell(&self) -> String {
        let mut text = String::new();
        for (role, way) in self.ways.into_iter().enumerate() {
            let carried = self.carried.iter().find(|one| one.role == role);
            let bytes = carried.map_or(0, |one| one.pump.carried.load(Ordering::Relaxed));
            let what = match way {
                Way::Closed => "closed",
                Way::Null => "/dev/null",
                Way::HostFile => "a file of the host",
                Way::Terminal => "a terminal",
                Way::Handed => "the guest's own pipe",
                Way::Pipe => "a pipe",
                Way::Given => "on the host",
                Way::AsOutput => "as stdout",
            };
            let _ = writeln!(text, "{}: {what}, {bytes} bytes carried", NAMES[role]);
        }
        text
    }
}

/// Has the host take over those streams that are pipes, where that can be. Two that are one open file are handed over once.
fn hand_pipes(
    host: &Client,
    side: &Side,
    streams: &[Stream; 3],
    always: Option<[bool; 3]>,
    one: bool,
) -> [Option<RemoteFd>; 3] {
    let mut pipes = [None; 3];
    for (role, stream) in streams.iter().enumerate() {
        let is_terminal = always.is_some_and(|always| always[role]);
        let is_known = stream.is_host || stream.is_given || is_terminal;
        if is_known || stream.kind != Kind::Pipe {
            continue;
        }
        if role == 2 && one && !streams[1].is_given {
            pipes[2] = pipes[1];
            break;
        }
        match host.hand_pipe(guest(side.numbers[role])) {
            Ok(remote) => pipes[role] = Some(remote),
            // A pipe with a name, which is carried like any other file.
            Err(Errno(libc::EINVAL)) => {}
            // One that is late would be taken for the next.
            Err(_) => break,
        }
    }
    pipes
}

/// Has the host's files closed, and does not wait for that.
pub fn post_close(host: &Client, files: &[RemoteFd]) {
    let numbers: Vec<u8> = files.iter().flat_map(|fd| fd.0.to_le_bytes()).collect();
    if !numbers.is_empty() {
        // Without a host nothing is open.
        let _ = As::from(host).post_close(Source::new(&numbers));
    }
}

fn open_terminal(host: &Client) -> Result<RemoteFd, Errno> {
    let size = Size::find();
    let opened = host.pty_open(size.rows, size.columns, size.xpixels, size.ypixels)?;
    Ok(opened.fd)
}

fn failed(errno: Errno) -> Failure {
    match errno.0 {
        libc::EMFILE | libc::ENFILE => Failure::own(
            "the host has no more open files for this program; raise limits.open_files",
        ),
        libc::EACCES => refused(),
        libc::EAGAIN => Failure::own(
            "the guest has no more terminals of the host; wait for some programs, or raise \"processes\" under \"exec\" in hostd's configuration",
        ),
        _ => Failure::host("the standard streams", errno),
    }
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
    /// Starts the thread; `tell` hears of its end. `terminal_of`: the programs, if the host's end is their terminal.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        self,
        host: &'static Client,
        terminal_of: Option<Vec<u32>>,
        tell: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        let thread = std::thread::Builder::new()
            .name(format!("hrun-{}", NAMES[self.role]))
            .stack_size(128 << 10);
        let carry = move || {
            match self.role {
                0 => {
                    let terminal_of = terminal_of.as_deref();
                    pump::input(host, self.remote, self.number, terminal_of, self.pump)
                }
                _ => pump::output(host, self.remote, self.number, self.pump),
            }
            tell();
        };
        thread.spawn(carry).map(drop)
    }
}
