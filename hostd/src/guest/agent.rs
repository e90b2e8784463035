//! The first process of a guest: starts COMMAND, carries its streams as frames, reaps orphans,
//! and says how COMMAND ended after its last byte.

use super::covers::Covers;
use super::frame::{
    Frame, Status, Stream, LINE_WINDOW, MAX_PAYLOAD, OUTPUT_WINDOW, STDIN_WINDOW, VERSION,
};
use super::hostfs;
use super::link::{ready, set_nonblocking, FrameLink};
use super::plan::{Context, Task};
use super::spawn::{spawn, Command, Inner};
use super::sys;
use nix::errno::Errno;
use nix::poll::{PollFlags, PollTimeout};
use nix::sys::signal::{killpg, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Runs the task to its end: returns when hostd has been told the status, or is gone.
///
/// `started` is called once, after COMMAND was forked; threads may start from then on.
///
/// # Errors
/// One line, when COMMAND could not be started or the line to hostd broke.
pub fn run(
    task: &Task,
    mut link: FrameLink,
    inner: Inner,
    started: impl FnOnce(),
) -> Result<(), String> {
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.thread_block().context("block SIGCHLD")?;
    let children = SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .context("signalfd")?;
    let server = hostfs::mount(task, &children).unwrap_or_else(|notice| {
        link.push(&Frame::Notice(notice));
        None
    });
    let command = match spawn(task, inner) {
        Ok(command) => command,
        Err(error) => {
            link.push(&Frame::Fail(error.clone()));
            let _ = link.flush();
            return Err(error);
        }
    };
    for stream in command.stdin.iter().chain(command.outputs.iter().flatten()) {
        set_nonblocking(stream.as_fd()).context("O_NONBLOCK")?;
    }
    let covers = Covers::watch(command.pid, Path::new(&task.prefix));
    started();
    link.push(&Frame::Hello(VERSION));
    let mut agent = Agent {
        link,
        children,
        input: VecDeque::new(),
        stdin_closed: false,
        stdin_owed: 0,
        credit: [OUTPUT_WINDOW; 2],
        command,
        prefix: Path::new(&task.prefix).display().to_string(),
        server,
        covers,
        status: None,
        reported: false,
    };
    agent.carry()
}

struct Agent {
    link: FrameLink,
    children: SignalFd,
    command: Command,
    /// Where the host's files are mounted.
    prefix: String,
    /// The process that serves the mount of the host's files.
    server: Option<Pid>,
    covers: Option<Covers>,
    /// Standard input that COMMAND has not taken yet; at most [`STDIN_WINDOW`].
    input: VecDeque<u8>,
    stdin_closed: bool,
    /// Bytes COMMAND took that hostd was not told of.
    stdin_owed: u32,
    credit: [u32; 2],
    status: Option<Status>,
    reported: bool,
}

impl Agent {
    fn carry(&mut self) -> Result<(), String> {
        loop {
            if !self.link.flush().context("write to hostd")? {
                return Ok(());
            }
            self.report();
            let [line, child, stdin, stdout, stderr, covers] = ready(
                [
                    Some((self.link.as_fd(), self.link.events())),
                    Some((self.children.as_fd(), PollFlags::POLLIN)),
                    self.command
                        .stdin
                        .as_ref()
                        .filter(|_| !self.input.is_empty())
                        .map(|fd| (fd.as_fd(), PollFlags::POLLOUT)),
                    self.output(0),
                    self.output(1),
                    self.covers
                        .as_ref()
                        .map(|covers| (covers.as_fd(), PollFlags::POLLPRI)),
                ],
                PollTimeout::NONE,
            )
            .context("poll")?;
            if child.contains(PollFlags::POLLIN) {
                self.reap();
            }
            if line.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR)
                && !self.receive()?
            {
                return Ok(());
            }
            if let (false, Some(known)) = (covers.is_empty(), &mut self.covers) {
                known.look(self.server);
            }
            if !stdin.is_empty() {
                self.feed();
            }
            for (index, events) in [stdout, stderr].into_iter().enumerate() {
                if !events.is_empty() {
                    self.drain(index);
                }
            }
        }
    }

    fn output(&self, index: usize) -> Option<(std::os::fd::BorrowedFd<'_>, PollFlags)> {
        let fd: &OwnedFd = self.command.outputs[index].as_ref()?;
        (self.credit[index] > 0).then(|| (fd.as_fd(), PollFlags::POLLIN))
    }

    /// Handles the frames that have arrived; `false` when hostd is gone.
    fn receive(&mut self) -> Result<bool, String> {
        let open = self.link.fill().context("read from hostd")?;
        if let Some(count) = self.link.take_received(LINE_WINDOW / 4) {
            self.link.push(&Frame::Received(count));
        }
        while let Some(frame) = self.link.next().context("hostd's line")? {
            match frame {
                Frame::Data(Stream::Stdin, bytes) => {
                    if self.input.len() + bytes.len() > STDIN_WINDOW as usize {
                        return Err("hostd's line: more data than its window allows".into());
                    }
                    if !self.stdin_closed {
                        self.input.extend(bytes);
                        self.feed();
                    }
                }
                Frame::Close(Stream::Stdin) => {
                    self.stdin_closed = true;
                    self.feed();
                }
                Frame::Close(stream) => self.command.outputs[stream as usize - 1] = None,
                Frame::Credit(stream @ (Stream::Stdout | Stream::Stderr), count) => {
                    let credit = &mut self.credit[stream as usize - 1];
                    *credit = credit.saturating_add(count).min(OUTPUT_WINDOW);
                }
                Frame::WinSize(size) => {
                    if let Some(terminal) = &self.command.terminal {
                        sys::set_window_size(terminal.as_fd(), size);
                    }
                }
                Frame::Signal(number) => self.signal(i32::from(number)),
                other => {
                    return Err(format!(
                        "hostd's line: frame {} is out of place",
                        other.name()
                    ))
                }
            }
        }
        Ok(open)
    }

    /// To COMMAND's group and, on a terminal, to the group in front as well, as the kernel does at a hang-up.
    fn signal(&self, number: i32) {
        let Ok(signal) = Signal::try_from(number) else {
            return;
        };
        if self.status.is_some() {
            return;
        }
        let _ = killpg(self.command.pid, signal);
        if let Some(terminal) = &self.command.terminal {
            if let Some(front) = nix::unistd::tcgetpgrp(terminal)
                .ok()
                .filter(|front| *front != self.command.pid)
            {
                if front.as_raw() > 1 {
                    let _ = killpg(front, signal);
                }
            }
        }
    }

    /// Gives COMMAND the input it takes.
    fn feed(&mut self) {
        while let (Some(fd), false) = (&self.command.stdin, self.input.is_empty()) {
            match nix::unistd::write(fd, self.input.as_slices().0) {
                Ok(count) => {
                    self.input.drain(..count);
                    self.stdin_owed += count as u32;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) => {
                    self.input.clear();
                    self.command.stdin = None;
                    self.link.push(&Frame::Close(Stream::Stdin));
                }
            }
        }
        if self.stdin_owed >= STDIN_WINDOW / 4 {
            self.link
                .push(&Frame::Credit(Stream::Stdin, self.stdin_owed));
            self.stdin_owed = 0;
        }
        // On a terminal the end of input is a hang-up, which comes as a signal.
        if self.stdin_closed && self.input.is_empty() && self.command.terminal.is_none() {
            self.command.stdin = None;
        }
    }

    /// Sends what COMMAND wrote, within the credit.
    fn drain(&mut self, index: usize) {
        let Some(fd) = &self.command.outputs[index] else {
            return;
        };
        let mut chunk = [0u8; MAX_PAYLOAD - 1];
        let room = chunk.len().min(self.credit[index] as usize);
        if room == 0 {
            return;
        }
        match nix::unistd::read(fd, &mut chunk[..room]) {
            Err(Errno::EINTR) => {}
            // With COMMAND and all other processes gone, nothing can come any more.
            Err(Errno::EAGAIN) if self.status.is_none() => {}
            // EIO: the last process has closed the terminal.
            Ok(0) | Err(_) => self.command.outputs[index] = None,
            Ok(count) => {
                self.credit[index] -= count as u32;
                let stream = if index == 0 {
                    Stream::Stdout
                } else {
                    Stream::Stderr
                };
                self.link
                    .push(&Frame::Data(stream, chunk[..count].to_vec()));
            }
        }
    }

    /// Reaps the dead. COMMAND's end is the guest's: what it left running is ended too, so that the
    /// streams have no writer left and "drained" has a meaning.
    fn reap(&mut self) {
        while let Ok(Some(_)) = self.children.read_signal() {}
        while let Some((pid, status)) = wait_one(WaitPidFlag::WNOHANG) {
            if pid == self.command.pid {
                self.status = Some(status);
            } else if Some(pid) == self.server {
                self.server = None;
                if self.status.is_none() && status != Status::Code(0) {
                    self.link
                        .push(&Frame::Notice(hostfs::lost(&self.prefix, status)));
                }
            }
        }
        if self.status.is_some() && !self.reported {
            hostfs::end_all(self.server.take());
        }
    }

    /// Tells the status once both outputs are drained.
    fn report(&mut self) {
        let Some(status) = self.status else { return };
        // Nobody is left to hang on to the streams: an empty one is at its end, and need not say so.
        for index in 0..2 {
            while self.command.outputs[index].is_some() && self.credit[index] > 0 {
                self.drain(index);
            }
        }
        if !self.reported && self.command.outputs.iter().all(Option::is_none) {
            self.reported = true;
            self.link.push(&Frame::Exit(status));
            let _ = self.link.flush();
        }
    }
}

/// Reaps one child, if one has ended (`WNOHANG`) or once one ends; `None` when there is none.
pub fn wait_one(flags: WaitPidFlag) -> Option<(Pid, Status)> {
    loop {
        match waitpid(None, Some(flags)) {
            Ok(WaitStatus::Exited(pid, code)) => return Some((pid, Status::Code(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                return Some((pid, Status::Signal(signal as i32)))
            }
            Ok(WaitStatus::StillAlive) => return None,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}
