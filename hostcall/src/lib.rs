//! Host calls: a guest program has its host execute one system call for it.
//!
//! One call, there and back: a typed method of [`ops::Calls`] on a [`client::Client`] encodes its fields ([`wire`])
//! into an entry of a [`ring`] in the [`region`]'s shared memory ([`shm`]); the shadow's thread takes it out,
//! executes it by [`ops::dispatch`] and answers the same way. A side that finds nothing [`wait`]s: it spins, then
//! sleeps until the other rings its [`doorbell`]. [`attach`] is how the two come to share a region.
//!
//! Nothing in shared memory is trusted, read twice or lent as a slice.
#![deny(unsafe_code)]

pub mod access;
#[cfg(not(loom))]
pub mod acting;
#[cfg(not(loom))]
pub mod attach;
#[cfg(not(loom))]
pub mod cancellation;
#[cfg(not(loom))]
pub mod client;
pub mod clock;
#[cfg(not(loom))]
pub mod commons;
#[cfg(not(loom))]
pub mod doorbell;
mod fields;
#[cfg(not(loom))]
pub mod flow;
#[cfg(all(test, loom))]
mod futex_model;
pub mod handout;
pub mod ids;
pub mod image;
#[cfg(not(loom))]
pub mod lane;
mod message;
pub mod metadata;
pub mod missing;
#[cfg(not(loom))]
pub mod observer;
#[cfg(not(loom))]
pub mod open_file;
#[cfg(not(loom))]
pub mod ops;
#[cfg(not(loom))]
pub mod owned;
#[cfg(not(loom))]
pub mod protocol;
#[cfg(all(test, loom))]
#[path = "client/queue.rs"]
mod queue;
#[cfg(not(loom))]
pub mod region;
pub mod ring;
pub mod say;
pub mod shm;
pub mod span;
#[cfg(not(loom))]
pub mod stack;
pub mod symbols;
mod sync;
#[cfg(not(loom))]
pub mod table;
#[cfg(not(loom))]
pub mod transfer;
pub mod types;
pub mod variables;
pub mod wait;
pub mod wire;
