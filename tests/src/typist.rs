//! Somebody at a terminal: types, and reads what is shown.

use crate::daemon::PATIENCE;
use nix::errno::Errno;
use nix::fcntl::{open, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::SigHandler;
use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A program on a terminal of its own, killed when dropped.
#[derive(Debug)]
pub struct Typist {
    child: Child,
    /// Nothing once it is hung up.
    keyboard: Option<File>,
    /// Whoever reads the screen lets go of it when this is dropped.
    looks: Option<OwnedFd>,
    reader: Option<JoinHandle<()>>,
    terminal: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
    /// How much of it has been taken.
    taken: usize,
}

impl Typist {
    /// Starts a program on a terminal of 30 rows and 100 columns.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(command: Command) -> Typist {
        Typist::watched(command, 30, 100, |_| Vec::new())
    }

    /// The same on a terminal of this size, whose every output is given to a function: what that answers, the terminal answers.
    ///
    /// # Panics
    /// It does not start.
    #[allow(unsafe_code)]
    pub fn watched(
        mut command: Command,
        rows: u16,
        columns: u16,
        mut watch: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static,
    ) -> Typist {
        let (keyboard, terminal) = pty().expect("a terminal");
        resize(&keyboard, rows, columns);
        let stream = || terminal.try_clone().expect("a descriptor");
        command.stdin(stream()).stdout(stream()).stderr(stream());
        let number = terminal.as_raw_fd();
        // SAFETY: only system calls between fork and exec.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::setsid()?;
                // Whoever runs the tests may have these ignored, as nohup and background jobs have; a login has not.
                for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
                    nix::sys::signal::signal(signal, SigHandler::SigDfl)?;
                }
                match libc::ioctl(number, libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().expect("the program starts");
        let mut screen = keyboard.try_clone().expect("a descriptor");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let to = shown.clone();
        let (looked, looks) = nix::unistd::pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while shows_more(&screen, &looked) {
                let Ok(read @ 1..) = screen.read(&mut buffer) else {
                    return;
                };
                let answer = watch(&buffer[..read]);
                let _ = screen.write_all(&answer);
                let mut shown = to.lock().unwrap_or_else(PoisonError::into_inner);
                shown.extend_from_slice(&buffer[..read]);
            }
        });
        Typist {
            child,
            keyboard: Some(keyboard),
            looks: Some(looks),
            reader: Some(reader),
            terminal,
            shown,
            taken: 0,
        }
    }

    /// Types.
    ///
    /// # Panics
    /// The terminal is gone.
    pub fn types(&mut self, keys: &str) {
        self.sends(keys.as_bytes());
    }

    /// Types what need not be text.
    ///
    /// # Panics
    /// The terminal is gone.
    pub fn sends(&mut self, bytes: &[u8]) {
        let keyboard = self.keyboard.as_mut().expect("a terminal");
        keyboard.write_all(bytes).expect("typed");
    }

    /// Closes the terminal, as a window is closed or a connection lost.
    ///
    /// # Panics
    /// Who reads the screen has panicked.
    pub fn hangs_up(&mut self) {
        self.looks = None;
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the screen is read");
        }
        self.keyboard = None;
    }

    /// Waits until this is shown, and answers what was shown before it since the last time.
    ///
    /// # Panics
    /// It does not come.
    pub fn sees(&mut self, wanted: &str) -> String {
        let start = Instant::now();
        loop {
            {
                let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
                let rest = &shown[self.taken..];
                let found = rest
                    .windows(wanted.len())
                    .position(|part| part == wanted.as_bytes());
                if let Some(at) = found {
                    self.taken += at + wanted.len();
                    return String::from_utf8_lossy(&rest[..at]).into_owned();
                }
                assert!(
                    start.elapsed() < PATIENCE,
                    "no {wanted:?} in {:?}",
                    String::from_utf8_lossy(&rest[rest.len().saturating_sub(2000)..])
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that the program has written.
    pub fn raw(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// Makes the window another size.
    ///
    /// # Panics
    /// The terminal is gone.
    pub fn resizes(&self, rows: u16, columns: u16) {
        let keyboard = self.keyboard.as_ref().expect("a terminal");
        resize(keyboard, rows, columns);
    }

    /// The terminal's settings.
    ///
    /// # Panics
    /// The terminal is gone.
    pub fn settings(&self) -> nix::sys::termios::Termios {
        nix::sys::termios::tcgetattr(&self.terminal).expect("settings")
    }

    /// Process id of the program.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Waits for the program's end.
    ///
    /// # Panics
    /// It does not come.
    pub fn ends(&mut self) -> std::process::ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Waits until there is something to read; false if nobody looks any more.
fn shows_more(screen: &File, looked: &OwnedFd) -> bool {
    let mut either = [screen.as_fd(), looked.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    let polled = poll(&mut either, PollTimeout::NONE);
    let ended = either[1].any().unwrap_or(true);
    matches!(polled, Ok(_) | Err(Errno::EINTR)) && !ended
}

/// A terminal's two ends. No program inherits the first: the terminal is hung up when it is closed here.
fn pty() -> nix::Result<(File, OwnedFd)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let keyboard = posix_openpt(flags)?;
    grantpt(&keyboard)?;
    unlockpt(&keyboard)?;
    let terminal = open(ptsname_r(&keyboard)?.as_str(), flags, Mode::empty())?;
    Ok((File::from(OwnedFd::from(keyboard)), terminal))
}

#[allow(unsafe_code)]
fn resize(keyboard: &File, rows: u16, columns: u16) {
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: a live winsize.
    unsafe { libc::ioctl(keyboard.as_raw_fd(), libc::TIOCSWINSZ, &size) };
}

impl Drop for Typist {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
