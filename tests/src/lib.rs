//! What the tests share: an own hostd for each test, a hostile peer, and calls made from the op table.
#![deny(unsafe_code)]

pub mod canaries;
pub mod confined;
pub mod daemon;
pub mod generator;
pub mod half;
pub mod peer;
pub mod random;
pub mod snapshot;
pub mod witness;
