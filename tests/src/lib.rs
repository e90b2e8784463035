//! Shared harness of the tests.
