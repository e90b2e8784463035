//! `hrun`, `hcd`, `hpwd` and `hpath`: one image, told apart by the name it is called by.
//!
//! It begins without the standard library's runtime, which reads the process's whole map of memory to find the end of its stack.
//! That would take a tenth of a millisecond of each program, as long as the way to the host and back.
#![no_main]
#![deny(unsafe_code)]

use shell::programs;
use std::path::Path;

/// Where libc begins. (The library finds the arguments by itself.)
#[allow(unsafe_code)]
// SAFETY: the one symbol of this name in the program, of the type that libc calls.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    programs::begin();
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
