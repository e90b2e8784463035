//! The calls themselves, as an ordinary program makes them: libc functions through the procedure linkage table.
#![allow(unsafe_code)]

use crate::task::{Call, Road};
use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::transfer::{read_vectored, write_vectored};
use hostcall::types::{AtFlags, DirFd, Errno, Mode, Offset, OpenFlags, RemoteFd, RwFlags};
use hostcall::wire::Sink;
use libc::{c_char, c_int, c_void};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};

/// Bytes of a block of the sequential calls.
const BLOCK: usize = 1 << 20;
/// Bytes that a pipe is filled with at a time, to be read one by one.
const PIPE: usize = 4096;
/// Blocks after which they begin again: 32 MiB, which any page cache holds.
pub const BLOCKS: u32 = 32;

/// Functions of libc that a preloaded library replaces.
#[derive(Clone, Copy)]
struct Functions {
    open: Open,
    close: Close,
    read: Read,
    stat: Stat,
}

type Open = unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int;
type Close = unsafe extern "C" fn(c_int) -> c_int;
type Read = unsafe extern "C" fn(c_int, *mut c_void, usize) -> isize;
type Stat = unsafe extern "C" fn(*const c_char, *mut libc::stat) -> c_int;

impl Functions {
    /// As a program finds them.
    const FOUND: Functions = Functions {
        open: libc::open,
        close: libc::close,
        read: libc::read,
        stat: libc::stat,
    };

    /// libc's own.
    fn beneath() -> Result<Functions, String> {
        // SAFETY: a library that is loaded anyway, and names of functions of these types.
        unsafe {
            let own = libc::dlopen(c"libc.so.6".as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_NOW);
            let find = |name: &CStr| match libc::dlsym(own, name.as_ptr()) {
                found if own.is_null() || found.is_null() => Err(format!("libc has no {name:?}")),
                found => Ok(found),
            };
            Ok(Functions {
                open: std::mem::transmute::<*mut c_void, Open>(find(c"open")?),
                close: std::mem::transmute::<*mut c_void, Close>(find(c"close")?),
                read: std::mem::transmute::<*mut c_void, Read>(find(c"read")?),
                stat: std::mem::transmute::<*mut c_void, Stat>(find(c"stat")?),
            })
        }
    }
}

/// A call that is ready to be made again and again by one thread.
pub struct Workload<'c> {
    call: Call,
    client: Option<&'c Client>,
    functions: Functions,
    path: CString,
    fd: i32,
    pipe: Option<(OwnedFd, OwnedFd)>,
    buffer: Vec<u8>,
    block: u32,
}

fn refused(doing: &str, path: &str, errno: Errno) -> String {
    format!(
        "{doing} {path}: {}",
        std::io::Error::from_raw_os_error(errno.0)
    )
}

impl<'c> Workload<'c> {
    /// Opens what the call needs and makes it once, so that a call which fails is not measured.
    pub fn new(
        call: Call,
        road: Road,
        path: &str,
        client: Option<&'c Client>,
    ) -> Result<Workload<'c>, String> {
        let client = match road {
            Road::Client => Some(client.ok_or("not attached")?),
            Road::Libc | Road::Beneath => None,
        };
        let functions = match road {
            Road::Beneath => Functions::beneath()?,
            Road::Libc | Road::Client => Functions::FOUND,
        };
        let name = CString::new(path).map_err(|error| error.to_string())?;
        let mut workload = Workload {
            call,
            client,
            functions,
            path: name,
            fd: -1,
            pipe: None,
            buffer: Vec::new(),
            block: 0,
        };
        let (flags, len) = match call {
            Call::Nop | Call::Getppid | Call::Stat | Call::OpenClose => {
                (None, size_of::<libc::statx>())
            }
            Call::Pread4k => (Some(libc::O_RDONLY), 4096),
            Call::Read1m => (Some(libc::O_RDONLY), BLOCK),
            Call::Write1m => (Some(libc::O_WRONLY), BLOCK),
            Call::PipeRead => {
                let pipe = nix::unistd::pipe().map_err(|error| error.to_string())?;
                workload.pipe = Some(pipe);
                (None, PIPE)
            }
        };
        workload.buffer = vec![1; len];
        if let Some(flags) = flags {
            workload.fd = workload
                .open(flags)
                .map_err(|errno| refused("open", path, errno))?;
        }
        workload
            .once()
            .map_err(|errno| refused(&format!("{call:?}"), path, errno))?;
        Ok(workload)
    }

    fn open(&self, flags: i32) -> Result<i32, Errno> {
        match self.client {
            Some(client) => client
                .openat(DirFd::CWD, &self.path, OpenFlags(flags), Mode(0))
                .map(|reply| reply.fd.0),
            None => {
                // SAFETY: a live NUL-terminated path.
                let opened = unsafe { (self.functions.open)(self.path.as_ptr(), flags) };
                Errno::result(opened.into()).map(|fd| fd as i32)
            }
        }
    }

    fn close(&self, fd: i32) -> Result<(), Errno> {
        match self.client {
            Some(client) => client.close(RemoteFd(fd)).map(drop),
            // SAFETY: the descriptor is this workload's.
            None => Errno::result(unsafe { (self.functions.close)(fd) }.into()).map(drop),
        }
    }

    /// Makes the call once.
    pub fn once(&mut self) -> Result<(), Errno> {
        let offset = i64::from(self.block) * BLOCK as i64;
        let len = self.buffer.len();
        let moved = match (self.call, self.client) {
            (Call::Nop, Some(client)) => return client.nop().map(drop),
            (Call::Getppid, None) => {
                // SAFETY: no arguments.
                let parent = unsafe { libc::syscall(libc::SYS_getppid) };
                return Errno::result(parent).map(drop);
            }
            (Call::Nop, None) | (Call::Getppid, Some(_)) => return Err(Errno(libc::EOPNOTSUPP)),
            (Call::Stat, Some(client)) => {
                let sink = Sink::new(&mut self.buffer);
                return client
                    .statx(
                        DirFd::CWD,
                        &self.path,
                        AtFlags(0),
                        libc::STATX_BASIC_STATS,
                        sink,
                    )
                    .map(drop);
            }
            (Call::Stat, None) => {
                let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
                // SAFETY: a live NUL-terminated path and room for a stat.
                return Errno::result(
                    unsafe { (self.functions.stat)(self.path.as_ptr(), stat.as_mut_ptr()) }.into(),
                )
                .map(drop);
            }
            (Call::OpenClose, _) => return self.open(libc::O_RDONLY).and_then(|fd| self.close(fd)),
            (Call::Pread4k, Some(client)) => {
                let sink = Sink::new(&mut self.buffer);
                client
                    .read(RemoteFd(self.fd), Offset(0), RwFlags(0), sink)?
                    .filled
                    .0
            }
            // SAFETY: the buffer is live and `len` long.
            (Call::Pread4k, None) => Errno::result(unsafe {
                libc::pread(self.fd, self.buffer.as_mut_ptr().cast(), len, 0)
            } as i64)? as usize,
            (Call::PipeRead, Some(_)) => return Err(Errno(libc::EOPNOTSUPP)),
            (Call::PipeRead, None) => {
                let (reader, writer) = self.pipe.as_mut().ok_or(Errno(libc::EBADF))?;
                if self.block == 0 {
                    let written = nix::unistd::write(&*writer, &self.buffer);
                    if written != Ok(PIPE) {
                        return Err(Errno(libc::EIO));
                    }
                    self.block = PIPE as u32;
                }
                self.block -= 1;
                let mut byte = 0u8;
                // SAFETY: a live byte.
                let read =
                    unsafe { (self.functions.read)(reader.as_raw_fd(), (&raw mut byte).cast(), 1) };
                return match Errno::result(read as i64)? {
                    1 => Ok(()),
                    _ => Err(Errno(libc::EIO)),
                };
            }
            (Call::Read1m | Call::Write1m, client) => {
                self.block = (self.block + 1) % BLOCKS;
                let pointer = self.buffer.as_mut_ptr().cast();
                let vector = [libc::iovec {
                    iov_base: pointer,
                    iov_len: len,
                }];
                // SAFETY: the buffer is live, writable and `len` long.
                unsafe {
                    match (client, self.call == Call::Read1m) {
                        (Some(client), true) => read_vectored(
                            client,
                            RemoteFd(self.fd),
                            Offset(offset),
                            RwFlags(0),
                            &vector,
                        )?,
                        (Some(client), false) => write_vectored(
                            client,
                            RemoteFd(self.fd),
                            Offset(offset),
                            RwFlags(0),
                            &vector,
                        )?,
                        (None, true) => {
                            Errno::result(libc::pread(self.fd, pointer, len, offset) as i64)?
                                as usize
                        }
                        (None, false) => {
                            Errno::result(libc::pwrite(self.fd, pointer, len, offset) as i64)?
                                as usize
                        }
                    }
                }
            }
        };
        // A short transfer would look fast.
        if moved == len {
            Ok(())
        } else {
            Err(Errno(libc::EIO))
        }
    }
}

impl Drop for Workload<'_> {
    fn drop(&mut self) {
        if self.fd >= 0 {
            let _ = self.close(self.fd);
        }
    }
}
