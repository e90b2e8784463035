//! The symbol table against what it describes: the built library, and the libc of this machine.

use hostcall::symbols::{find, sounds_like_files, Symbol, SYMBOLS};
use hostcall_tests::daemon::program;
use object::elf::{FileHeader64, STB_LOCAL, STT_FUNC, STT_GNU_IFUNC};
use object::read::elf::{FileHeader, Sym};
use object::Endianness;
use std::collections::BTreeSet;
use std::path::Path;

/// The functions that a library offers to programs: those in a version that is libc's own affair are not.
fn offered(library: &Path) -> BTreeSet<String> {
    let data = std::fs::read(library).unwrap();
    let header = FileHeader64::<Endianness>::parse(&*data).unwrap();
    let endian = header.endian().unwrap();
    let sections = header.sections(endian, &*data).unwrap();
    let symbols = sections
        .symbols(endian, &*data, object::elf::SHT_DYNSYM)
        .unwrap();
    let versions = sections.versions(endian, &*data).unwrap();
    let is_private = |index| {
        let versions = versions.as_ref()?;
        let version = versions
            .version(versions.version_index(endian, index).into())
            .ok()??;
        Some(version.name() == b"GLIBC_PRIVATE")
    };
    symbols
        .enumerate()
        .filter(|(index, symbol)| {
            !symbol.is_undefined(endian)
                && symbol.st_bind() != STB_LOCAL
                && [STT_FUNC, STT_GNU_IFUNC].contains(&symbol.st_type())
                && !is_private(*index).unwrap_or(false)
        })
        .map(|(_, symbol)| {
            let name = symbols.symbol_name(endian, symbol).unwrap();
            String::from_utf8(name.to_vec()).unwrap()
        })
        .collect()
}

fn names(symbols: impl Iterator<Item = &'static Symbol>) -> BTreeSet<String> {
    let names = symbols.flat_map(|symbol| symbol.names);
    names.map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_library_exports_the_hooks_of_the_table_and_nothing_else() {
    let exported = offered(&program("libhostcall_preload.so"));
    let hooked = names(SYMBOLS.iter().filter(|symbol| symbol.road.is_hooked()));
    let missing: Vec<_> = hooked.difference(&exported).collect();
    assert!(missing.is_empty(), "not exported: {missing:?}");
    let strange: Vec<_> = exported.difference(&hooked).collect();
    assert!(strange.is_empty(), "in no row: {strange:?}");
}

/// The libc that this test itself runs with.
fn libc() -> BTreeSet<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let path = maps
        .split_whitespace()
        .find(|word| word.ends_with("/libc.so.6"))
        .expect("this test is linked with glibc");
    offered(Path::new(path))
}

/// The same name without what marks a variant: another width, a check, an older structure, a lock.
fn stem(name: &str) -> &str {
    let name = name.trim_start_matches('_');
    let name = ["fx", "lx", "x"]
        .iter()
        .find_map(|mark| {
            let rest = name.strip_prefix(mark)?;
            (rest.starts_with("stat") || rest.starts_with("mknod")).then_some(rest)
        })
        .unwrap_or(name);
    ["_chk", "_2", "_r", "_np", "_unlocked"]
        .iter()
        .fold(name, |name, mark| name.strip_suffix(mark).unwrap_or(name))
        .trim_end_matches("64")
}

#[test]
fn every_variant_of_a_function_in_the_table_is_in_the_table() {
    let table = names(SYMBOLS.iter());
    let stems: BTreeSet<&str> = table.iter().map(|name| stem(name)).collect();
    let missing: Vec<_> = libc()
        .into_iter()
        .filter(|name| !name.starts_with("_IO_"))
        .filter(|name| {
            let stem = stem(name);
            let plain = stem.strip_suffix("at").unwrap_or(stem);
            let forms = [stem, plain];
            forms.iter().any(|form| {
                let shorter = form
                    .strip_prefix('f')
                    .or_else(|| form.strip_prefix('l'))
                    .unwrap_or(form);
                stems.contains(form) || (shorter.len() > 3 && stems.contains(shorter))
            })
        })
        .filter(|name| !table.contains(name))
        .collect();
    assert!(missing.is_empty(), "variants without a row: {missing:?}");
}

#[test]
fn what_sounds_like_a_file_function_is_in_the_table() {
    let missing: Vec<_> = libc()
        .into_iter()
        .filter(|name| !name.starts_with("_IO_"))
        .filter(|name| find(name).is_none() && sounds_like_files(name))
        .collect();
    assert!(
        missing.is_empty(),
        "neither in the table nor known as something else: {missing:?}"
    );
}
