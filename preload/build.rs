//! Links the unwinder into the library instead of loading `libgcc_s.so.1` beside it, which costs each start of a program
//! under the preload a tenth of a millisecond. What panics here aborts, so nobody unwinds across the border.
//!
//! What the library calls of what it exports itself is bound to that when it is linked: each such name would be looked up at each start of a
//! program. What of it nearly each program goes through lies together (`start.ld`).

use std::path::PathBuf;

/// Where cargo says which linker whoever builds this has chosen.
const FLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let directory = std::env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    // The standard library asks for `-lgcc_s`; the linker finds this script first (ld(1), "Implicit Linker Scripts").
    std::fs::write(directory.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n")?;
    println!("cargo::rustc-link-search=native={}", directory.display());
    println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic");
    let order = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let order = order.join("start.ld");
    println!("cargo::rerun-if-changed={}", order.display());
    println!("cargo::rerun-if-env-changed={FLAGS}");
    // gold knows no `INSERT`, and would not link at all. What it links is but slower to start.
    let is_gold = std::env::var(FLAGS).is_ok_and(|flags| flags.contains("fuse-ld=gold"));
    if !is_gold {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-T,{}", order.display());
    }
    Ok(())
}
