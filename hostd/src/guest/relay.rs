//! hostd's end of a guest's console: standard streams, window size and signals out, output and status back.

use super::frame::{
    Frame, FrameError, Status, Stream, LINE_WINDOW, OUTPUT_WINDOW, STDIN_WINDOW, VERSION,
};
use super::link::{ready, FrameLink};
use super::plan::Stdio;
use super::signals::SignalPipe;
use super::sys;
use super::terminal::RawTerminal;
use super::{Error, Printable};
use nix::errno::Errno;
use nix::poll::{PollFlags, PollTimeout};
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How much of the guest's boot log is kept for a failure, bytes.
const LOG_KEPT: usize = 16 * 1024;
/// How long a guest may take until its agent says hello.
const BOOT_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a guest on a terminal lives on after hostd was told to hang up or end.
const HANGUP_GRACE: Duration = Duration::from_secs(2);
/// How many times a signal is passed on before it ends the guest itself. timeout(1) sends two at once.
const PATIENCE: u32 = 2;

/// Signals that are taken over while a guest runs.
pub const SIGNALS: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGWINCH,
    Signal::SIGCONT,
];

/// Why the line is at its end.
pub enum End {
    /// COMMAND ended.
    Status(Status),
    /// The guest is gone without a status.
    Gone,
}

/// The streams of one guest.
pub struct Relay {
    link: FrameLink,
    signals: SignalPipe,
    log_pipe: Option<OwnedFd>,
    log: VecDeque<u8>,
    stdio: [Stdio; 3],
    stdin_open: bool,
    stdin_credit: u32,
    sinks: [Sink; 2],
    greeted: bool,
    noticed: bool,
    passed_on: u32,
    deadline: Instant,
    ending: Option<Signal>,
    grace: Duration,
}

/// An output stream on its way to the user.
#[derive(Default)]
struct Sink {
    waiting: VecDeque<u8>,
    /// Bytes sent by the guest and not yet credited back; at most the window.
    outstanding: u32,
    owed: u32,
    closed: bool,
    /// Whether output is lost, but for want of a reader.
    lost: bool,
}

impl Relay {
    /// A relay over `link` for streams made as `stdio` says; `log_pipe` carries the boot log, `signals` what
    /// came for hostd since the guest was started. COMMAND may take `grace` to end after SIGTERM.
    pub fn new(
        mut link: FrameLink,
        signals: SignalPipe,
        log_pipe: Option<OwnedFd>,
        stdio: [Stdio; 3],
        grace: Duration,
    ) -> Relay {
        link.limit(LINE_WINDOW);
        Relay {
            link,
            signals,
            log_pipe,
            log: VecDeque::new(),
            stdio,
            stdin_open: stdio[0] != Stdio::Inherit,
            stdin_credit: STDIN_WINDOW,
            sinks: [Sink::default(), Sink::default()],
            greeted: false,
            noticed: false,
            passed_on: 0,
            deadline: Instant::now() + BOOT_TIMEOUT,
            ending: None,
            grace,
        }
    }

    /// The last of the boot log.
    pub fn log(&self) -> Vec<u8> {
        self.log.iter().copied().collect()
    }

    /// Carries everything until COMMAND has ended and its output is written, or the guest is gone.
    ///
    /// # Errors
    /// The guest broke the protocol or did not come up.
    pub fn run(&mut self) -> Result<End, Error> {
        let on_terminal = self.stdio[0] == Stdio::Terminal;
        let mut raw: Option<RawTerminal> = None;
        let mut status: Option<Status> = None;
        loop {
            if let Some(status) = status {
                if self
                    .sinks
                    .iter()
                    .all(|sink| sink.waiting.is_empty() || sink.closed)
                {
                    return Ok(End::Status(self.with_output(status)));
                }
            }
            if status.is_none()
                && !self
                    .link
                    .flush()
                    .map_err(|error| Error::system("write to the guest", error))?
            {
                self.collect_log();
                return Ok(End::Gone);
            }
            let [line, signal, log, stdin, stdout, stderr] = self.wait(status.is_some())?;
            if !signal.is_empty() {
                for signal in self.signals.take() {
                    if let Some(status) = self.signal(signal, raw.as_ref()) {
                        return Ok(End::Status(status));
                    }
                }
            }
            // Of what has ended, only the output waits, and its reader has no deadline.
            let ending = self.ending.filter(|_| status.is_none());
            if let Some(signal) = ending.filter(|_| Instant::now() >= self.deadline) {
                return Ok(End::Status(Status::Signal(signal as i32)));
            }
            if !self.greeted && Instant::now() >= self.deadline {
                self.collect_log();
                return Err(Error::Boot {
                    seconds: BOOT_TIMEOUT.as_secs(),
                    log: self.log(),
                });
            }
            if !log.is_empty() {
                self.collect_log();
            }
            if !line.is_empty() && !line.eq(&PollFlags::POLLOUT) {
                let open = self
                    .link
                    .fill()
                    .map_err(|error| Error::system("read from the guest", error))?;
                status = self.receive()?;
                if self.greeted && on_terminal && raw.is_none() {
                    raw = RawTerminal::enter().ok();
                    self.resize();
                }
                if status.is_none() && !open {
                    self.collect_log();
                    return Ok(End::Gone);
                }
            }
            if !stdin.is_empty() {
                self.read_stdin();
            }
            for (index, events) in [stdout, stderr].into_iter().enumerate() {
                if !events.is_empty() {
                    self.write_out(index);
                }
            }
        }
    }

    fn wait(&self, ended: bool) -> Result<[PollFlags; 6], Error> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let timeout = if ended || self.greeted && self.ending.is_none() {
            PollTimeout::NONE
        } else {
            let left =
                self.deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        };
        let reading = self.greeted && self.stdin_open && self.stdin_credit > 0 && !ended;
        ready(
            [
                (!ended).then(|| (self.link.as_fd(), self.link.events())),
                Some((self.signals.as_fd(), PollFlags::POLLIN)),
                self.log_pipe
                    .as_ref()
                    .map(|fd| (fd.as_fd(), PollFlags::POLLIN)),
                reading.then(|| (stdin.as_fd(), PollFlags::POLLIN)),
                self.sinks[0].interest(stdout.as_fd()),
                self.sinks[1].interest(stderr.as_fd()),
            ],
            timeout,
        )
        .map_err(|error| Error::system("poll", error))
    }

    /// Handles the frames that have arrived; the status if it is among them.
    fn receive(&mut self) -> Result<Option<Status>, Error> {
        while let Some(frame) = self.link.next().map_err(Error::Protocol)? {
            match frame {
                Frame::Hello(VERSION) if !self.greeted => self.greeted = true,
                Frame::Data(stream @ (Stream::Stdout | Stream::Stderr), bytes)
                    if self.carries(stream) =>
                {
                    let sink = &mut self.sinks[stream as usize - 1];
                    let len = bytes.len() as u32;
                    if len > OUTPUT_WINDOW - sink.outstanding {
                        return Err(Error::Protocol(FrameError::Overrun));
                    }
                    sink.outstanding += len;
                    if sink.closed {
                        self.credit_back(stream, len);
                    } else {
                        sink.waiting.extend(bytes);
                    }
                }
                Frame::Credit(Stream::Stdin, count) if self.greeted => {
                    // More than the window was never sent, so an honest agent never exceeds it.
                    self.stdin_credit = match self.stdin_credit.checked_add(count) {
                        Some(credit) if credit <= STDIN_WINDOW => credit,
                        _ => return Err(Error::Protocol(FrameError::Overrun)),
                    };
                }
                Frame::Received(count) if self.greeted => {
                    self.link
                        .peer_received(count, LINE_WINDOW)
                        .ok_or(Error::Protocol(FrameError::Overrun))?;
                }
                Frame::Close(Stream::Stdin) if self.greeted => self.stdin_open = false,
                Frame::Exit(status) if self.greeted => return Ok(Some(status)),
                Frame::Fail(text) => return Err(Error::Setup(text)),
                Frame::Notice(text) if !self.noticed => {
                    self.noticed = true;
                    self.say(Printable(text.as_bytes()));
                }
                other => return Err(Error::Protocol(FrameError::Unexpected(other.name()))),
            }
        }
        Ok(None)
    }

    /// A success is none if output is lost: COMMAND had it written before that was known.
    fn with_output(&self, status: Status) -> Status {
        match status {
            Status::Code(0) if self.sinks.iter().any(|sink| sink.lost) => Status::Code(1),
            other => other,
        }
    }

    fn say(&self, text: impl Display) {
        // A raw terminal goes on where it is.
        let on_terminal = self.greeted && self.stdio[2] == Stdio::Terminal;
        let end = if on_terminal { "\r\n" } else { "\n" };
        // Standard error may be what cannot be written.
        let _ = write!(io::stderr(), "hostd: {text}{end}");
    }

    fn carries(&self, stream: Stream) -> bool {
        self.greeted && self.stdio[stream as usize] != Stdio::Inherit
    }

    fn credit_back(&mut self, stream: Stream, count: u32) {
        let sink = &mut self.sinks[stream as usize - 1];
        sink.owed += count;
        if sink.owed >= OUTPUT_WINDOW / 8 {
            self.link.push(&Frame::Credit(stream, sink.owed));
            sink.outstanding -= sink.owed;
            sink.owed = 0;
        }
    }

    fn read_stdin(&mut self) {
        let mut chunk = [0u8; 8000];
        let room = chunk.len().min(self.stdin_credit as usize);
        match nix::unistd::read(io::stdin(), &mut chunk[..room]) {
            Ok(count) if count > 0 => {
                self.stdin_credit -= count as u32;
                self.link
                    .push(&Frame::Data(Stream::Stdin, chunk[..count].to_vec()));
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            _ => {
                self.stdin_open = false;
                self.link.push(&Frame::Close(Stream::Stdin));
                if self.stdio[0] == Stdio::Terminal {
                    // The user's terminal is gone; SIGHUP need not come, it may be ignored (nohup).
                    self.hang_up(Signal::SIGHUP);
                }
            }
        }
    }

    /// Writes at most a page at once: that much a pipe that polls writable takes without blocking.
    fn write_out(&mut self, index: usize) {
        let stream = if index == 0 {
            Stream::Stdout
        } else {
            Stream::Stderr
        };
        let sink = &mut self.sinks[index];
        let chunk = sink.waiting.make_contiguous();
        let chunk = &chunk[..chunk.len().min(4096)];
        let written = if index == 0 {
            nix::unistd::write(io::stdout(), chunk)
        } else {
            nix::unistd::write(io::stderr(), chunk)
        };
        match written {
            Ok(count) => {
                sink.waiting.drain(..count);
                self.credit_back(stream, count as u32);
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => {
                // As with a reader that is gone on the host, COMMAND gets SIGPIPE.
                let dropped = sink.waiting.len() as u32;
                sink.waiting.clear();
                sink.closed = true;
                sink.lost = errno != Errno::EPIPE && self.stdio[stream as usize] == Stdio::Pipe;
                if sink.lost {
                    let name = ["standard output", "standard error"][index];
                    self.say(format_args!("{name}: {}", errno.desc()));
                }
                self.credit_back(stream, dropped);
                self.link.push(&Frame::Close(stream));
            }
        }
    }

    /// Passes a signal on; a status when it ends the guest at once.
    fn signal(&mut self, signal: Signal, raw: Option<&RawTerminal>) -> Option<Status> {
        match signal {
            Signal::SIGWINCH => self.resize(),
            Signal::SIGCONT => {
                if let Some(raw) = raw {
                    raw.apply();
                }
                self.resize();
            }
            // Before COMMAND runs there is nobody to tell.
            _ if !self.greeted => return Some(Status::Signal(signal as i32)),
            _ => {
                if self.passed_on >= PATIENCE {
                    return Some(Status::Signal(signal as i32));
                }
                self.passed_on += u32::from(signal == Signal::SIGTERM || signal == Signal::SIGHUP);
                match (signal, self.stdio[0]) {
                    (Signal::SIGTERM | Signal::SIGHUP, Stdio::Terminal) => self.hang_up(signal),
                    _ => self.link.push(&Frame::Signal(signal as u8)),
                }
                if signal == Signal::SIGTERM {
                    self.end_within(self.grace, signal);
                }
            }
        }
        None
    }

    /// Ends a guest on a terminal, for `cause`, after a moment to put things away. It is told as a hang-up:
    /// an interactive shell ignores SIGTERM, its terminal going away it does not.
    fn hang_up(&mut self, cause: Signal) {
        self.link.push(&Frame::Signal(Signal::SIGHUP as u8));
        self.end_within(HANGUP_GRACE, cause);
    }

    /// Ends the guest, for `cause`, unless COMMAND ends before or the guest is to end already.
    fn end_within(&mut self, grace: Duration, cause: Signal) {
        if self.ending.is_none() {
            self.ending = Some(cause);
            self.deadline = Instant::now() + grace;
        }
    }

    fn resize(&mut self) {
        if self.greeted && self.stdio[0] == Stdio::Terminal {
            if let Some(size) = sys::window_size(io::stdin().as_fd()) {
                self.link.push(&Frame::WinSize(size));
            }
        }
    }

    fn collect_log(&mut self) {
        let Some(pipe) = &self.log_pipe else { return };
        let mut chunk = [0u8; 4096];
        loop {
            match nix::unistd::read(pipe, &mut chunk) {
                Ok(count) if count > 0 => {
                    self.log.extend(&chunk[..count]);
                    let excess = self.log.len().saturating_sub(LOG_KEPT);
                    self.log.drain(..excess);
                }
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                _ => {
                    self.log_pipe = None;
                    return;
                }
            }
        }
    }
}

impl Sink {
    fn interest<'a>(&self, fd: BorrowedFd<'a>) -> Option<(BorrowedFd<'a>, PollFlags)> {
        (!self.waiting.is_empty() && !self.closed).then_some((fd, PollFlags::POLLOUT))
    }
}
