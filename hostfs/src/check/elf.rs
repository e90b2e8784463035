//! Program files: who loads them, what they need and what they import.

use object::elf::{
    FileHeader64, DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_SONAME, EM_AARCH64, EM_X86_64, SHT_DYNSYM,
};
use object::read::elf::{FileHeader, ProgramHeader, Sym};
use object::{Endianness, FileKind};
use std::path::{Path, PathBuf};

/// The machine that the preload library is for.
const MACHINE: u16 = if cfg!(target_arch = "aarch64") {
    EM_AARCH64.0
} else {
    EM_X86_64.0
};

/// A function or object that another file is to provide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Its name.
    pub name: String,
    /// The library that provides it, if the file says so.
    pub library: Option<String>,
}

/// A program or library for this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The dynamic linker that a program asks for.
    pub loader: Option<String>,
    /// The name by which a library is needed.
    pub soname: Option<String>,
    /// Libraries, in the order in which they are looked up.
    pub needed: Vec<String>,
    /// Where they are looked for before the usual places, and whether that also goes for the libraries' own.
    pub search: Vec<PathBuf>,
    /// What is imported.
    pub imports: Vec<Import>,
    /// The table of imports is missing from a file that has one for the dynamic linker.
    pub stripped: bool,
    /// Go's compiler made it, of packages that bring C along.
    pub gos: bool,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For this machine.
    Image(Image),
    /// For another kind of machine: which.
    Foreign(String),
    /// Nothing that a kernel executes by itself.
    Other,
}

/// Reads a file's bytes; `origin` is the directory it lies in.
///
/// # Errors
/// It is damaged.
pub fn read(data: &[u8], origin: &Path) -> Result<Kind, String> {
    match FileKind::parse(data) {
        Ok(FileKind::Elf64) => {}
        Ok(FileKind::Elf32) => return Ok(Kind::Foreign("a 32-bit program".to_owned())),
        _ => return Ok(Kind::Other),
    }
    image(data, origin).map_err(|error| format!("a damaged program file: {error}"))
}

fn image(data: &[u8], origin: &Path) -> object::Result<Kind> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let machine = header.e_machine(endian).0;
    if machine != MACHINE || endian != Endianness::Little {
        return Ok(Kind::Foreign(format!(
            "a program for another machine (ELF machine {machine})"
        )));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut image = Image::default();
    let mut dynamic = false;
    for segment in header.program_headers(endian, data)? {
        if let Some(loader) = segment.interpreter(endian, data)? {
            image.loader = Some(text(loader));
        }
        dynamic |= segment.dynamic(endian, data)?.is_some();
        if let Some(mut notes) = segment.notes(endian, data)? {
            while let Some(note) = notes.next()? {
                image.gos |= note.name() == b"Go";
            }
        }
    }
    let sections = header.sections(endian, data)?;
    let table = sections.dynamic_table(endian, data)?;
    let (mut rpath, mut runpath) = (Vec::new(), None);
    for entry in &table {
        let value = || table.string(entry).map(text);
        match entry.tag {
            DT_NEEDED => image.needed.push(value()?),
            DT_SONAME => image.soname = Some(value()?),
            DT_RPATH => rpath = directories(&value()?, origin),
            DT_RUNPATH => runpath = Some(directories(&value()?, origin)),
            _ => {}
        }
    }
    image.search = runpath.unwrap_or(rpath);
    let symbols = sections.symbols(endian, data, SHT_DYNSYM)?;
    image.stripped = dynamic && symbols.is_empty();
    let versions = sections.versions(endian, data)?;
    for (index, symbol) in symbols.enumerate() {
        if !symbol.is_undefined(endian) || symbol.st_name(endian) == 0 {
            continue;
        }
        let version = match &versions {
            Some(versions) => versions.version(versions.version_index(endian, index).into())?,
            None => None,
        };
        image.imports.push(Import {
            name: text(symbols.symbol_name(endian, symbol)?),
            library: version.and_then(|version| version.file()).map(text),
        });
    }
    Ok(Kind::Image(image))
}

/// A list of directories as the dynamic linker reads it, ld.so(8).
fn directories(list: &str, origin: &Path) -> Vec<PathBuf> {
    let origin = origin.to_string_lossy();
    list.split(':')
        .filter(|directory| !directory.is_empty())
        .map(|directory| {
            let plain = directory
                .replace("${ORIGIN}", &origin)
                .replace("$ORIGIN", &origin);
            PathBuf::from(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_read() {
        let own = std::env::current_exe().unwrap();
        let Ok(Kind::Image(image)) = read(&std::fs::read(&own).unwrap(), Path::new("/x")) else {
            panic!("an image");
        };
        assert!(image
            .loader
            .is_some_and(|loader| loader.contains("ld-linux")));
        assert!(image.needed.contains(&"libc.so.6".to_owned()));
        let read = image.imports.iter().find(|import| import.name == "read");
        assert_eq!(
            read.and_then(|import| import.library.as_deref()),
            Some("libc.so.6")
        );
        assert!(!image.stripped);
    }

    #[test]
    fn what_is_no_program_is_told_apart() {
        let nowhere = Path::new("/");
        assert_eq!(read(b"", nowhere), Ok(Kind::Other));
        assert_eq!(read(b"#!/bin/sh\n", nowhere), Ok(Kind::Other));
        let mut head = [0u8; 64];
        head[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        assert!(read(&head[..20], nowhere).is_err(), "cut off");
        head[4] = 1;
        assert!(matches!(read(&head, nowhere), Ok(Kind::Foreign(_))));
        head[4] = 2;
        head[18] = 243;
        head[20] = 1;
        assert!(matches!(read(&head, nowhere), Ok(Kind::Foreign(why)) if why.contains("243")));
    }

    #[test]
    fn lists_of_directories_are_relative_to_the_file() {
        assert_eq!(
            directories("$ORIGIN/../lib::/opt:${ORIGIN}", Path::new("/a/bin")),
            ["/a/bin/../lib", "/opt", "/a/bin"].map(PathBuf::from)
        );
    }
}
