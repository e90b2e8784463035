//! Host programs from the guest.
//!
//! What a person's command means is decided by pure functions ([`command`], [`environment`], [`paths`]); [`host`] is the
//! session with the host, [`directory`] the working directory that a session has there. [`run`] starts a host program,
//! joins its standard streams with the guest's ([`streams`]), has it hear the guest's signals ([`signals`]) and see its
//! terminal ([`terminal`]), and [`status`] ends as the program has ended. What all of it waits for on the host, one thread
//! does ([`lookout`]). [`completion`] is for shells on terminals.
#![deny(unsafe_code)]

pub mod command;
pub mod completion;
pub mod directory;
pub mod dosh;
pub mod environment;
pub mod events;
pub mod failure;
pub mod guardian;
pub mod host;
pub mod job;
pub mod link;
pub mod listing;
pub mod lookout;
pub mod paths;
pub mod policy;
pub mod programs;
pub mod run;
pub mod session;
pub mod signals;
mod start;
pub mod status;
pub mod streams;
pub mod terminal;
pub mod waiter;
pub mod words;
