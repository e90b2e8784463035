//! Threads that carry bytes between a stream of the guest and one of the host, one direction each, as they come: a slow reader
//! holds the writer up, and what is done to one end is done to the other.

use super::busy::{self, Pipe};
use super::kind::{self, Kind};
use super::{guest, let_go};
use crate::lookout::{self, Awaited, Lookout};
use crate::terminal::{self, Keyboard};
use hostcall::client::{interruptible, Client, Interrupt};
use hostcall::ops::Calls;
use hostcall::region::CHUNK;
use hostcall::transfer::{self, Known};
use hostcall::types::{Errno, Offset, RemoteFd, RwFlags};
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

/// How long what was written to a terminal may be on its way through it.
const SETTLE: Duration = Duration::from_millis(20);
/// End of input on a terminal, control-D, unless its user has changed that.
const END: u8 = 4;
/// What a pipe holds by itself, bytes, pipe(7).
const PIPE: usize = 64 << 10;
/// What the pipes of a stream are made to hold that has filled one: so much moves with each wake.
pub const LARGE: u64 = 1 << 20;
/// There is no limit yet to what is carried.
const ENDLESS: u64 = u64::MAX;

/// What a thread and its starter know of each other.
#[derive(Debug)]
pub struct Pump {
    /// Its place with the lookout.
    place: usize,
    /// Who waits for the host's end while it is silent.
    lookout: &'static Lookout,
    /// Bytes that were carried.
    pub carried: AtomicU64,
    /// Bytes that were read and not carried.
    pub left: AtomicU64,
    /// No more is to be read.
    stop: AtomicBool,
    /// No more than this is to be carried, and nothing is to be waited for.
    limit: AtomicU64,
    /// The thread knows of the limit.
    knows: AtomicBool,
    /// Everything that is there is to be carried, and then no more: for this process is about to stop.
    pause: AtomicBool,
    /// The thread has done so.
    paused: AtomicBool,
    /// The key that interrupts has been read, and there was no program any more to have it.
    pub interrupted: AtomicBool,
    /// Why the guest's stream can be carried no more, an errno, or 0.
    failure: AtomicI32,
    interrupt: Interrupt,
}

impl Pump {
    /// One that has not begun. It is for a thread, and so for good.
    pub fn new(lookout: &'static Lookout) -> &'static Pump {
        Box::leak(Box::new(Pump {
            place: lookout.place(),
            lookout,
            carried: AtomicU64::new(0),
            left: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            limit: AtomicU64::new(ENDLESS),
            knows: AtomicBool::new(false),
            pause: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
            failure: AtomicI32::new(0),
            interrupt: Interrupt::restless(),
        }))
    }

    /// Waits without a lane until the host's end is ready, or the thread is called.
    fn wait(&self, host: &Client, remote: RemoteFd, events: i16) {
        let what = Awaited { remote, events };
        self.lookout
            .wait(host, self.place, what, || self.is_called());
    }

    /// Whether the thread has something else to mind than carrying.
    pub fn is_called(&self) -> bool {
        let ends = self.limit.load(Ordering::SeqCst) != ENDLESS;
        ends || self.pause.load(Ordering::SeqCst) || self.stop.load(Ordering::SeqCst)
    }

    /// So many more bytes have been carried.
    pub fn count(&self, bytes: usize) {
        self.carried.fetch_add(bytes as u64, Ordering::SeqCst);
    }

    /// The program has ended: what its stream holds still, at most `room` bytes, is carried, and nothing is waited for. To be
    /// called until the thread ends, for it may just be about to wait.
    pub fn finish(&self, host: &Client, room: u64) {
        self.limit.store(room, Ordering::SeqCst);
        self.lookout.stir();
        if !self.knows.load(Ordering::SeqCst) {
            host.interrupt(&self.interrupt);
        }
    }

    /// Has everything carried that is there, and then no more. To be called until it is `paused`, as `finish`.
    pub fn pause(&self, host: &Client) {
        self.pause.store(true, Ordering::SeqCst);
        self.lookout.stir();
        host.interrupt(&self.interrupt);
    }

    /// Whether nothing is left to carry.
    pub fn paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    /// Has the thread go on.
    pub fn go_on(&self) {
        self.pause.store(false, Ordering::SeqCst);
    }

    fn sit_out_pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        while self.pause.load(Ordering::SeqCst) {
            std::thread::sleep(SETTLE);
        }
        self.paused.store(false, Ordering::SeqCst);
    }

    fn fail(&self, errno: Errno) {
        self.failure.store(errno.0, Ordering::SeqCst);
    }

    /// Why the guest's stream can be carried no more, if it has failed.
    pub fn failure(&self) -> Option<Errno> {
        match self.failure.load(Ordering::SeqCst) {
            0 => None,
            errno => Some(Errno(errno)),
        }
    }

    /// Stops a thread that carries input.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.lookout.stir();
    }

    /// How much may be carried still, asked by the thread: once it knows, it is not interrupted any more.
    fn limit(&self) -> Option<u64> {
        let limit = self.limit.load(Ordering::SeqCst);
        if limit == ENDLESS {
            return None;
        }
        if !self.knows.swap(true, Ordering::SeqCst) {
            self.interrupt.reset();
        }
        Some(limit)
    }
}

/// Carries a stream of the host to an output. The host's end is closed when nobody wants it any more, so that
/// the program hears of it.
pub fn output(host: &Client, remote: RemoteFd, number: usize, pump: &'static Pump) {
    interruptible(&pump.interrupt);
    let mut buffer = vec![0; CHUNK];
    let mut since_the_end = 0;
    let mut is_large = false;
    let mut pipe = None;
    let mut settled = false;
    let mut is_silent = true;
    loop {
        if std::mem::take(&mut is_silent) {
            pump.wait(host, remote, libc::POLLIN);
        }
        let limit = pump.limit();
        match transfer::read(host, remote, Known::Nothing, Offset::CURRENT, &mut buffer) {
            Ok(0) => return,
            Ok(read) => {
                let is_busy = read >= PIPE;
                if is_busy && !std::mem::replace(&mut is_large, true) {
                    enlarge(host, remote, number);
                    pipe = Pipe::open(number, OFlag::O_WRONLY);
                }
                let mut put = write_all(number, &buffer[..read]);
                pump.count(put.map_or(0, |()| read));
                if let (Ok(()), Some(pipe), true) = (put, &pipe, is_busy && limit.is_none()) {
                    put = output_busily(host, remote, number, pipe, pump);
                }
                if let Err(errno) = put {
                    if errno != Errno(libc::EPIPE) {
                        pump.fail(errno);
                    }
                    let _ = host.close(remote);
                    return;
                }
                settled = false;
                if let Some(limit) = limit {
                    since_the_end += read as u64;
                    if since_the_end >= limit {
                        return;
                    }
                }
            }
            // Interrupted to learn of the limit or the pause, perhaps twice, or because nothing comes, or another thread needs
            // the lane.
            Err(Errno(libc::EINTR)) => {
                pump.interrupt.reset();
                is_silent = true;
            }
            // Our end does not wait while there is a limit or a pause.
            Err(Errno(libc::EAGAIN)) if settled && limit.is_some() => return,
            Err(Errno(libc::EAGAIN)) if settled && pump.pause.load(Ordering::SeqCst) => {
                pump.sit_out_pause();
                pump.interrupt.reset();
                settled = false;
            }
            Err(Errno(libc::EAGAIN)) => {
                std::thread::sleep(SETTLE);
                settled = true;
            }
            // A terminal answers EIO when its last user is gone.
            Err(_) => return,
        }
    }
}

/// Carries from the host as long as that goes on and on.
fn output_busily(
    host: &Client,
    remote: RemoteFd,
    number: usize,
    pipe: &Pipe,
    pump: &Pump,
) -> Result<(), Errno> {
    let mut left = Vec::new();
    busy::output(host, remote, pipe, pump, &mut left)?;
    write_all(number, &left)?;
    pump.count(left.len());
    Ok(())
}

/// Carries an input to a stream of the host, whose end is closed with it. If that is the host's terminal, of these programs, it
/// needs a sign for the end instead.
pub fn input(
    host: &Client,
    remote: RemoteFd,
    number: usize,
    terminal_of: Option<&[u32]>,
    pump: &'static Pump,
) {
    let terminal = terminal_of.is_some();
    interruptible(&pump.interrupt);
    let mut buffer = vec![0; CHUNK];
    let kind = kind::of(number);
    let mut is_large = false;
    let mut pipe = None;
    // An end after a part of a line only hands that part over; the terminal's reader sees another as the end.
    let mut ends: &[u8] = &[END];
    let keyboard = (kind == Kind::Terminal).then(|| Keyboard::new(number, terminal));
    let hang_up = || {
        if !terminal {
            let _ = host.close(remote);
        }
    };
    loop {
        if let Some(keyboard) = &keyboard {
            keyboard.await_turn();
        }
        if pump.stop.load(Ordering::SeqCst) {
            return;
        }
        let read = match nix::unistd::read(guest(number), &mut buffer) {
            Ok(0) => {
                if terminal {
                    let _ = transfer::write(
                        host,
                        remote,
                        Known::Nothing,
                        Offset::CURRENT,
                        RwFlags(0),
                        ends,
                    );
                }
                hang_up();
                return;
            }
            Ok(read) => {
                ends = match buffer[read - 1] {
                    b'\n' => &[END],
                    _ => &[END, END],
                };
                if read >= PIPE && !std::mem::replace(&mut is_large, true) {
                    enlarge(host, remote, number);
                    pipe = Pipe::open(number, OFlag::O_RDONLY);
                }
                read
            }
            Err(nix::Error::EINTR) => continue,
            Err(nix::Error::EAGAIN) => {
                await_guest(number, PollFlags::POLLIN);
                continue;
            }
            // In the background again, since we have looked.
            Err(nix::Error::EIO) if keyboard.is_some() && !terminal::is_ours(number) => continue,
            Err(errno) => {
                // Ahead of the end that the program sees, by which it may end itself.
                pump.fail(Errno(errno as i32));
                hang_up();
                return;
            }
        };
        if let Some(programs) = terminal_of {
            if terminal::interrupts(&buffer[..read]) {
                // Ahead of the question: who asks after the end finds the key on its way.
                pump.interrupted.store(true, Ordering::SeqCst);
                let is_late = lookout::have_ended(host, programs);
                pump.interrupted.store(is_late, Ordering::SeqCst);
            }
        }
        let mut wanted = write_to_host(host, remote, &buffer[..read], pump);
        if let (Some(pipe), true) = (&pipe, wanted && read >= PIPE) {
            let mut left = Vec::new();
            busy::input(host, remote, pipe, pump, &mut left);
            wanted = write_to_host(host, remote, &left, pump);
        }
        if !wanted {
            hang_up();
            if matches!(kind, Kind::Pipe | Kind::Other) {
                drop(pipe);
                let_go(number);
            }
            return;
        }
    }
}

/// Whether the host's stream has taken all, or the thread is to stop; waits for room in it.
fn write_to_host(host: &Client, remote: RemoteFd, data: &[u8], pump: &Pump) -> bool {
    let mut at = 0;
    let wanted = loop {
        let rest = &data[at..];
        if rest.is_empty() || pump.stop.load(Ordering::SeqCst) {
            break true;
        }
        match transfer::write(
            host,
            remote,
            Known::Nothing,
            Offset::CURRENT,
            RwFlags(0),
            rest,
        ) {
            Ok(written) => at += written,
            Err(Errno(libc::EINTR)) => pump.wait(host, remote, libc::POLLOUT),
            Err(Errno(libc::EAGAIN)) => std::thread::sleep(SETTLE),
            Err(_) => break false,
        }
    };
    pump.count(at);
    pump.left.store((data.len() - at) as u64, Ordering::SeqCst);
    wanted
}

/// Has the pipes at both ends of a busy stream hold more. What is none, or may not, stays as it is.
fn enlarge(host: &Client, remote: RemoteFd, number: usize) {
    let _ = fcntl(guest(number), FcntlArg::F_SETPIPE_SZ(LARGE as i32));
    let _ = host.fcntl(remote, libc::F_SETPIPE_SZ, LARGE);
}

fn await_guest(number: usize, events: PollFlags) {
    let _ = poll(&mut [PollFd::new(guest(number), events)], PollTimeout::NONE);
}

fn write_all(number: usize, mut data: &[u8]) -> Result<(), Errno> {
    while !data.is_empty() {
        match nix::unistd::write(guest(number), data) {
            Ok(written) => data = &data[written..],
            Err(nix::Error::EINTR) => {}
            Err(nix::Error::EAGAIN) => await_guest(number, PollFlags::POLLOUT),
            Err(errno) => return Err(Errno(errno as i32)),
        }
    }
    Ok(())
}
