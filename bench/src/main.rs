//! Measures host calls against the host and rivals.
fn main() {}
