//! The host's side of host calls: accepts guests, applies policy, and starts, watches and reaps shadow processes.
//!
//! A call's way through this crate: [`shadow::lane`] takes it off the ring, `ops::dispatch` hands it to its function
//! in [`calls`], which executes one system call. Everything else stands beside that way: [`server`] is the daemon,
//! [`shadow`] makes and confines the processes, [`guest`] boots guests, [`config`] says what they may,
//! [`exec`] starts host programs for them.
#![deny(unsafe_code)]

pub mod board;
pub mod calls;
pub mod config;
pub mod exec;
pub mod export;
pub mod guest;
pub mod idmap;
pub mod message;
pub mod run;
pub mod running;
pub mod serve;
pub mod server;
pub mod shadow;
pub mod status;
pub mod stderr;
