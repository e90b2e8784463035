//! What a new shadow does before it serves: its code, and a signal.
#![allow(unsafe_code)]

/// Maps this program's code, which a fork leaves to page faults: a spare shadow has time for them, its guest process
/// would wait for each. A kernel that cannot (before Linux 5.14) leaves them where they were.
pub(super) fn code() {
    extern "C" {
        // Of the linker: where the image begins, and where its code ends.
        static __executable_start: u8;
        static etext: u8;
    }
    let start = &raw const __executable_start;
    let len = (&raw const etext).addr() - start.addr();
    // SAFETY: reads pages of this program's own image, which begins at a page; nothing is changed.
    unsafe { libc::madvise(start.cast_mut().cast(), len, libc::MADV_POPULATE_READ) };
}

/// Installs a handler that does nothing, without `SA_RESTART`: SIGUSR1 interrupts a blocking system call.
pub(super) fn interruptible() -> std::io::Result<()> {
    use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing, so it is safe at any point. SIGPIPE is an errno here, not a death.
    unsafe {
        sigaction(Signal::SIGUSR1, &action)?;
        sigaction(
            Signal::SIGPIPE,
            &SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty()),
        )?;
        sigaction(
            Signal::SIGXFSZ,
            &SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty()),
        )?;
    }
    Ok(())
}
