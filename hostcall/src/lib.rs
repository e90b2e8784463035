//! Host calls: a guest program has its host execute one system call for it.
//!
//! One call, there and back: a typed method of [`ops::Calls`] on a [`client`](client::Client) encodes its fields
//! ([`wire`]) into an entry of a [`ring`] in the [`region`]'s shared memory ([`shm`]), the shadow's thread takes it out, decodes it,
//! executes it by [`ops::dispatch`] and answers the same way; either side that finds nothing [`wait`]s: it spins,
//! then sleeps until the other rings its [`doorbell`]. [`attach`] is how the two come to share a region.
//!
//! Nothing in shared memory is trusted, read twice or lent as a slice.
#![deny(unsafe_code)]

#[cfg(not(loom))]
pub mod ops;
pub mod region;
pub mod shm;
pub mod table;
pub mod types;
pub mod wire;
