//! hostfs: the host's exports as a file system of the guest kernel, for every program.
//!
//! A request's way: the guest kernel → [`fuse`] (conversions and replies, nothing else) → [`fs::FileSystem`], our own
//! trait → [`host::HostFs`], which makes host calls. What is known of the host's files stands in the [`inode`] table and
//! in the open [`handle`]s; [`cache`] says what the kernel may keep; [`keeper`] waits for locks.
//!
//! Lock order: the inode table, the handles, the held locks and the keeper's queue are never held together, and none of
//! them while a host call is made, but for a directory's stream and a shared file, whose positions belong to one transfer
//! at a time. The list of [unused](inode::Unused) descriptors and the books of [`watch`] may be locked under any of them and
//! lock nothing.
#![deny(unsafe_code)]

pub mod background;
pub mod cache;
pub mod check;
mod ending;
pub mod fs;
pub mod fuse;
pub mod handle;
mod held;
pub mod hidden;
pub mod host;
pub mod inode;
pub mod keeper;
mod lock_flags;
pub mod mount;
mod notify;
pub mod options;
pub mod people;
pub mod ranges;
pub mod turns;
pub mod watch;
