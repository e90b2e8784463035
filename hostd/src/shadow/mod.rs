//! The host processes that execute a guest's calls.

pub mod sandbox;
