//! Host calls.
#![deny(unsafe_code)]
