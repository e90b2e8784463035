//! Host programs from the guest: what a person's command means there is decided by pure functions.
#![deny(unsafe_code)]

pub mod command;
pub mod environment;
pub mod paths;
