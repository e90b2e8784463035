//! The hostd command.
#![deny(unsafe_code)]
fn main() {}
