//! Starts COMMAND in the guest, in a session of its own.

use super::plan::{Context, Stdio, Task};
use super::sys::{self, Side};
use hostcall::image::{self, Image};
use hostcall::say::complain;
use nix::fcntl::{fcntl, FcntlArg, FdFlag, OFlag};
use nix::pty::openpty;
use nix::unistd::{access, pipe2, AccessFlags, Pid};
use std::ffi::{CStr, CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// COMMAND while it runs, and the ends of its streams that are ours to carry.
#[derive(Debug)]
pub struct Command {
    /// Its process, leader of its own session and process group.
    pub pid: Pid,
    /// Where its standard input is written.
    pub stdin: Option<OwnedFd>,
    /// Where its standard output and error are read.
    pub outputs: [Option<OwnedFd>; 2],
    /// The side of its terminal that is ours.
    pub terminal: Option<OwnedFd>,
    /// The other side, held so that the terminal lives on while COMMAND has it closed.
    pub terminal_held: Option<OwnedFd>,
}

/// The user namespace that COMMAND gets inside the guest's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inner {
    /// None: the guest has its own kernel.
    None,
    /// A further user and mount namespace: mounts that the guest's init made are locked there, so that
    /// the guest's root cannot take off a read-only flag or a cover, nor trace the init.
    Locked,
}

/// Starts the task's command. The environment of this process becomes the command's.
///
/// # Errors
/// One line; a command that cannot be executed is no error here, but exit code 126 or 127.
pub fn spawn(task: &Task, inner: Inner) -> Result<Command, String> {
    let arguments = arguments(task)?;
    let mut theirs: [Option<OwnedFd>; 3] = [None, None, None];
    let mut command = Command {
        pid: Pid::from_raw(0),
        stdin: None,
        outputs: [None, None],
        terminal: None,
        terminal_held: None,
    };
    if task.stdio.contains(&Stdio::Terminal) {
        let pty = openpty(None, None).context("open a terminal in the guest")?;
        for side in [&pty.master, &pty.slave] {
            fcntl(side, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).context("FD_CLOEXEC")?;
        }
        for (slot, stdio) in theirs.iter_mut().zip(task.stdio) {
            if stdio == Stdio::Terminal {
                *slot = Some(pty.slave.try_clone().context("dup")?);
            }
        }
        if let Some(size) = task.winsize {
            sys::set_window_size(pty.master.as_fd(), size);
        }
        command.stdin = Some(pty.master.try_clone().context("dup")?);
        command.outputs[0] = Some(pty.master.try_clone().context("dup")?);
        command.terminal = Some(pty.master);
        command.terminal_held = Some(pty.slave);
    }
    for number in 0..3 {
        if task.stdio[number] == Stdio::Pipe {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC).context("pipe")?;
            if number == 0 {
                theirs[0] = Some(reader);
                command.stdin = Some(writer);
            } else {
                theirs[number] = Some(writer);
                command.outputs[number - 1] = Some(reader);
            }
        }
    }
    if task.stdio[2] == Stdio::AsOutput {
        let output = theirs[1].as_ref().map(OwnedFd::try_clone);
        theirs[2] = output.transpose().context("dup")?;
    }
    let (gate, opener) = pipe2(OFlag::O_CLOEXEC).context("pipe")?;
    let flags = match inner {
        Inner::None => 0,
        Inner::Locked => libc::CLONE_NEWUSER | libc::CLONE_NEWNS,
    };
    match sys::clone_into(flags).context("start the command's process")? {
        Side::Child => {
            drop(opener);
            run(
                &arguments,
                theirs,
                gate,
                task.stdio.contains(&Stdio::Terminal),
            )
        }
        Side::Parent(pid) => {
            command.pid = pid;
            if inner == Inner::Locked {
                super::namespaces::map_ids(pid)?;
            }
            nix::unistd::write(&opener, &[1]).context("start the command")?;
            Ok(command)
        }
    }
}

fn arguments(task: &Task) -> Result<Vec<CString>, String> {
    if task.command.is_empty() {
        let shell = if Path::new("/bin/bash").exists() {
            c"/bin/bash"
        } else {
            c"/bin/sh"
        };
        let mut arguments = vec![shell.to_owned()];
        if task.stdio[0] == Stdio::Terminal {
            arguments.push(c"-i".to_owned());
        }
        return Ok(arguments);
    }
    task.command
        .iter()
        .map(|word| CString::new(word.as_bytes()).context("the command's words"))
        .collect()
}

/// The variables of this process, without the library where it would end the program: musl's dynamic linker takes what it
/// cannot load for a fault.
fn environment(name: &CStr) -> Vec<CString> {
    let refuses = image::of(along_path(name), opened) == Image::Refuses;
    let variables = std::env::vars_os().filter(|(name, _)| !refuses || name != "LD_PRELOAD");
    variables
        .filter_map(|(name, value)| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
        })
        .collect()
}

/// The file that execvp(3) executes by a name.
fn along_path(name: &CStr) -> Option<Program> {
    if name.to_bytes().contains(&b'/') {
        return opened(name);
    }
    let name = OsStr::from_bytes(name.to_bytes());
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|directory| directory.join(name));
    let found = places.find(|place| access(place, AccessFlags::X_OK).is_ok())?;
    opened(&CString::new(found.into_os_string().into_vec()).ok()?)
}

fn opened(path: &CStr) -> Option<Program> {
    // A FIFO is not waited for.
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    options
        .open(OsStr::from_bytes(path.to_bytes()))
        .ok()
        .map(Program)
}

struct Program(File);

impl image::Program for Program {
    fn read(&self, room: &mut [u8], offset: u64) -> usize {
        self.0.read_at(room, offset).unwrap_or(0)
    }
}

/// The child's side: never returns to the caller's code.
fn run(arguments: &[CString], theirs: [Option<OwnedFd>; 3], gate: OwnedFd, terminal: bool) -> ! {
    // Nothing may run before the ids are mapped; an end of file here means that the init died.
    if nix::unistd::read(&gate, &mut [0]) != Ok(1) {
        std::process::exit(126);
    }
    let _ = nix::unistd::setsid();
    for (number, stream) in theirs.iter().enumerate() {
        if let Some(stream) = stream {
            let _ = sys::place(stream.as_fd(), number as i32);
        }
    }
    if terminal {
        let _ = sys::take_terminal(io::stdin().as_fd());
    }
    sys::default_signals();
    let Err(error) = nix::unistd::execvpe(&arguments[0], arguments, &environment(&arguments[0]));
    let name = arguments[0].to_string_lossy();
    let (name, why) = (name.escape_default(), error.desc());
    complain(
        "hostd",
        format_args!("cannot run '{name}' in the guest: {why}"),
    );
    std::process::exit(if error == nix::errno::Errno::ENOENT {
        127
    } else {
        126
    })
}
