//! Shared harness of the tests.

pub mod confined;
