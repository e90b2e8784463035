//! `hrun`, `hcd`, `hpwd` and `hpath`: one image, told apart by the name it is called by.
#![forbid(unsafe_code)]

use shell::programs;
use std::path::Path;

fn main() {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name().unwrap_or_default();
    let status = match name.to_str() {
        Some("hcd") => programs::hcd::main(),
        Some("hpwd") => programs::hpwd::main(),
        Some("hpath") => programs::hpath::main(),
        _ => programs::hrun::main(),
    };
    std::process::exit(status)
}
