//! Signals of hostd as bytes of a pipe, while a guest's console is relayed.
#![allow(unsafe_code)]

use nix::fcntl::OFlag;
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::unistd::pipe2;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Where the handler writes, or -1.
static PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn handler(number: libc::c_int) {
    // Only async-signal-safe work: one write(2), with errno put back for the interrupted code.
    // SAFETY: errno's address is valid for the thread, and the byte is.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        let byte = number as u8;
        libc::write(PIPE.load(Ordering::Relaxed), (&raw const byte).cast(), 1);
        *errno = saved;
    }
}

/// Handlers for a set of signals; dropping it puts the former ones back.
#[derive(Debug)]
pub struct SignalPipe {
    reader: OwnedFd,
    writer: OwnedFd,
    former: Vec<(Signal, SigAction)>,
}

impl SignalPipe {
    /// Installs handlers for `wanted`. A signal that the process was started with ignored (nohup(1))
    /// stays ignored. One at a time in a process.
    ///
    /// # Errors
    /// pipe2(2), or `AlreadyExists`.
    pub fn install(wanted: &[Signal]) -> io::Result<SignalPipe> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        if PIPE
            .compare_exchange(-1, writer.as_raw_fd(), Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "another guest's console is being relayed",
            ));
        }
        let mut pipe = SignalPipe {
            reader,
            writer,
            former: Vec::new(),
        };
        let action = SigAction::new(
            SigHandler::Handler(handler),
            SaFlags::SA_RESTART,
            SigSet::empty(),
        );
        for signal in wanted {
            // SAFETY: the handler is async-signal-safe.
            let former = unsafe { sigaction(*signal, &action) }?;
            if matches!(former.handler(), SigHandler::SigIgn) {
                // SAFETY: puts back what was there.
                unsafe { sigaction(*signal, &former) }?;
            } else {
                pipe.former.push((*signal, former));
            }
        }
        Ok(pipe)
    }

    /// The signals that came since the last call.
    pub fn take(&self) -> Vec<Signal> {
        let mut bytes = [0u8; 64];
        let count = nix::unistd::read(&self.reader, &mut bytes).unwrap_or(0);
        bytes[..count]
            .iter()
            .filter_map(|byte| Signal::try_from(i32::from(*byte)).ok())
            .collect()
    }

    /// The descriptor to wait on.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Drop for SignalPipe {
    fn drop(&mut self) {
        for (signal, former) in &self.former {
            // SAFETY: puts back what was there.
            let _ = unsafe { sigaction(*signal, former) };
        }
        let _ = PIPE.compare_exchange(
            self.writer.as_raw_fd(),
            -1,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
}
