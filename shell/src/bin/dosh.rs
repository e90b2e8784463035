//! `dosh`: the shell.
#![forbid(unsafe_code)]

fn main() {
    std::process::exit(shell::dosh::main())
}
