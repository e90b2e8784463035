//! The host's side of host calls: accepts guests, applies policy, and starts, watches and reaps shadow processes.
#![deny(unsafe_code)]

pub mod config;
pub mod guest;
