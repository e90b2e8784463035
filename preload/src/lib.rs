//! LD_PRELOAD library that turns libc file calls under a prefix into host calls.
//!
//! [`symbols`] exports a function for each hook of the symbol table. What it calls ([`shims`]) asks [`fds`] whether a descriptor
//! is a host file, or [`place`] whether a path is (by the pure [`route`]; nearly all paths pass at a [`glance`]), and either forwards
//! to the guest ([`real`]) or calls the host through the [`session`], which may have been asked for [`early`].
//!
//! [`fork`], [`exec`] and [`inherit`] carry host files and working directory ([`cwd`]) on to children and new program
//! images; [`materialise`] does so for images that do not load this library ([`image`]), and for what only the guest kernel can do
//! with a file ([`kept`] says what stays behind). Programs that have no use for hooks ([`runtime`]) are left alone ([`bypass`]).
//! [`covers`] sees what the guest mounts over host files. [`watching`] brings the host's events to inotify instances.
//!
//! Any hook may run in a signal handler, in a fork child of a threaded program, or before libc is ready. So nothing here allocates,
//! uses buffered I/O or takes a lock, but for the one kind that no handler waits for ([`lock`]). The exceptions are
//! inotify_add_watch(2), which starts a thread ([`watching`]), and who looks for a function in all [`libraries`], once.
#![deny(unsafe_code)]

mod bypass;
mod cancel;
mod covers;
mod cwd;
mod early;
#[cfg(target_arch = "x86_64")]
mod entering;
#[cfg(not(target_arch = "x86_64"))]
#[path = "entering/elsewhere.rs"]
mod entering;
mod environment;
mod exec;
mod faults;
mod fds;
mod first;
mod fork;
mod glance;
mod image;
mod inherit;
mod kept;
mod libraries;
mod limits;
mod lock;
mod materialise;
mod numbered;
mod observe;
mod place;
mod placeholder;
mod popen;
mod program;
mod readiness;
mod real;
mod report;
mod room;
mod route;
mod runtime;
mod session;
mod shims;
mod signals;
mod spawn;
mod symbols;
mod system;
mod watching;
