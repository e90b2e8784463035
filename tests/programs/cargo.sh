# Program: Cargo and rustc
# Package: (rustup)
# Commands:
# Does: a workspace of two crates with a build script: check, build, test, run, incremental rebuilds, clean; the toolchain itself is run from the prefix
# Long in uml: yes
export PATH="$TOOLCHAIN:$PATH" CARGO_HOME="$HOME/cargo" CARGO_NET_OFFLINE=true CARGO_TERM_COLOR=never
mkdir -p app/src part/src
printf '[workspace]\nmembers = ["app", "part"]\nresolver = "2"\n[profile.dev]\ndebug = 0\n' > Cargo.toml
printf '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\nbuild = "build.rs"\n[dependencies]\npart = { path = "../part" }\n' > app/Cargo.toml
printf '[package]\nname = "part"\nversion = "0.1.0"\nedition = "2021"\n' > part/Cargo.toml
printf 'fn main() { let out = std::env::var("OUT_DIR").unwrap(); std::fs::write(format!("{out}/made.rs"), "pub const MADE: u32 = 2;").unwrap(); println!("cargo:rerun-if-changed=build.rs"); }\n' > app/build.rs
printf 'include!(concat!(env!("OUT_DIR"), "/made.rs"));\nfn main() { println!("{}", part::sum(&[1, MADE, 39])); std::fs::write("result", "written").unwrap(); }\n' > app/src/main.rs
printf 'pub fn sum(all: &[u32]) -> u32 { all.iter().sum() }\n#[test]\nfn adds() { assert_eq!(sum(&[1, 2]), 3); }\n' > part/src/lib.rs
cargo build --quiet && ./target/debug/app && cat result
cargo test --quiet -p part --lib 2>&1 | grep -o '1 passed; 0 failed'
sed -i 's/39/40/' app/src/main.rs && touch app/src/main.rs
cargo run --quiet
cargo build 2>&1 | grep -c Compiling
echo 'pub fn broken() -> u32 { "" }' >> part/src/lib.rs
cargo build --quiet 2>&1 | grep -c E0308
echo "status $?"
find target/debug -maxdepth 1 -type f -name 'app*' | sort
cargo clean --quiet
ls
