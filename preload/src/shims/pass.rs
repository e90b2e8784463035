//! Open files passed on over sockets: sendmsg(2) and recvmsg(2).
//!
//! Whoever receives a descriptor has no session with our files, so a host file that is passed on becomes one of the mount.
#![allow(unsafe_code)]

use crate::observe::summary::Reason;
use crate::real::shims;
use crate::symbols::own;
use crate::{fds, materialise};
use libc::{c_int, c_uint, msghdr, ssize_t, timespec};

/// Has the kernel find host files among the descriptors of a message. One that cannot be had on the mount stays a
/// placeholder, on which every call fails.
///
/// # Safety
/// `message` is null or a message, as sendmsg(2) has it.
unsafe fn prepare(message: *const msghdr) {
    if !fds::any() || message.is_null() {
        return;
    }
    // SAFETY: the caller's promise; the macros stay inside the control data, whose length the message tells.
    unsafe {
        let mut part = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = part.as_ref() {
            if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let data = libc::CMSG_DATA(part).cast::<c_int>();
                let size = header.cmsg_len - libc::CMSG_LEN(0) as usize;
                for at in 0..size / size_of::<c_int>() {
                    let _ = materialise::in_place(data.add(at).read_unaligned(), Reason::Passed);
                }
            }
            part = libc::CMSG_NXTHDR(message, part);
        }
    }
}

shims! {
    fn sendmsg(socket: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
        prepare(message);
        own::sendmsg(socket, message, flags)
    }

    fn sendmmsg(socket: c_int, messages: *mut libc::mmsghdr, count: c_uint, flags: c_int) -> c_int {
        if fds::any() && !messages.is_null() {
            (0..count as usize).for_each(|at| prepare(&raw const (*messages.add(at)).msg_hdr));
        }
        own::sendmmsg(socket, messages, count, flags)
    }

    fn recvmsg(socket: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
        fds::release_reserved();
        own::recvmsg(socket, message, flags)
    }

    fn recvmmsg(socket: c_int, messages: *mut libc::mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int {
        fds::release_reserved();
        own::recvmmsg(socket, messages, count, flags, timeout)
    }
}
