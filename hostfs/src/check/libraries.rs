//! Needed libraries, found as the dynamic linker finds them, ld.so(8): where the needing file says, in `LD_LIBRARY_PATH`, in the
//! linker's cache, in the usual directories.

use super::elf::{read, Image, Kind};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The linker's cache, ldconfig(8).
const CACHE: &str = "/etc/ld.so.cache";

const USUAL: [&str; 6] = if cfg!(target_arch = "aarch64") {
    [
        "/lib/aarch64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/lib64",
        "/usr/lib64",
        "/lib",
        "/usr/lib",
    ]
} else {
    [
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/lib64",
        "/usr/lib64",
        "/lib",
        "/usr/lib",
    ]
};

/// glibc's own libraries, which call nothing through hooks: what they do is in the symbol table.
const OWN: [&str; 12] = [
    "libc.so.6",
    "libm.so.6",
    "libmvec.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libresolv.so.2",
    "libanl.so.1",
    "libBrokenLocale.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// Whether a library is glibc's.
pub fn is_glibc(name: &str) -> bool {
    OWN.contains(&name)
}

/// A library that a program needs, by way of others or by itself.
#[derive(Clone, Debug)]
pub struct Library {
    /// The name by which it is needed.
    pub name: String,
    /// Where it was found, and what it is.
    pub found: Option<(PathBuf, Image)>,
}

/// All libraries besides glibc's that an image needs, each once.
pub fn of(image: &Image) -> Vec<Library> {
    let linker = Linker::new();
    let mut all: Vec<Library> = Vec::new();
    let mut wanted = needs(image, &[]);
    let mut at = 0;
    while let Some((name, search)) = wanted.get(at).cloned() {
        at += 1;
        if is_glibc(&name) || all.iter().any(|library| library.name == name) {
            continue;
        }
        let found = linker.find(&name, &search);
        if let Some((_, library)) = &found {
            wanted.extend(needs(library, &image.search));
        }
        all.push(Library { name, found });
    }
    all
}

/// What an image needs, each with where to look first.
fn needs(image: &Image, also: &[PathBuf]) -> Vec<(String, Vec<PathBuf>)> {
    let search = [image.search.as_slice(), also].concat();
    let needed = image.needed.iter();
    needed.map(|name| (name.clone(), search.clone())).collect()
}

struct Linker {
    cache: HashMap<String, Vec<PathBuf>>,
    environment: Vec<PathBuf>,
}

impl Linker {
    fn new() -> Linker {
        let cache = std::fs::read(CACHE).ok();
        let environment = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        Linker {
            cache: cache.and_then(|bytes| parse(&bytes)).unwrap_or_default(),
            environment: std::env::split_paths(&environment)
                .filter(|directory| !directory.as_os_str().is_empty())
                .collect(),
        }
    }

    /// The first file of that name that is for this machine.
    fn find(&self, name: &str, search: &[PathBuf]) -> Option<(PathBuf, Image)> {
        if name.contains('/') {
            return open(Path::new(name));
        }
        let before = search
            .iter()
            .chain(&self.environment)
            .map(|directory| directory.join(name));
        let cached = self.cache.get(name).into_iter().flatten().cloned();
        let usual = USUAL
            .iter()
            .map(|directory| Path::new(directory).join(name));
        before
            .chain(cached)
            .chain(usual)
            .find_map(|path| open(&path))
    }
}

fn open(path: &Path) -> Option<(PathBuf, Image)> {
    let data = std::fs::read(path).ok()?;
    match read(&data, path.parent().unwrap_or(Path::new("/"))) {
        Ok(Kind::Image(image)) => Some((path.to_owned(), image)),
        _ => None,
    }
}

/// Reads the cache, `struct cache_file_new` of glibc's `dl-cache.h`: names of libraries and where each lies. `None` for another
/// format or a damaged one.
fn parse(bytes: &[u8]) -> Option<HashMap<String, Vec<PathBuf>>> {
    const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
    const HEADER: usize = 48;
    const ENTRY: usize = 24;
    // An older format may stand before it, for older linkers.
    let start = bytes
        .windows(MAGIC.len())
        .position(|window| window == MAGIC)?;
    let file = &bytes[start..];
    let word = |at: usize| {
        let word = file.get(at..at + 4)?;
        Some(u32::from_ne_bytes(word.try_into().ok()?) as usize)
    };
    let text = |at: usize| {
        let rest = file.get(at..)?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        String::from_utf8(rest[..end].to_vec()).ok()
    };
    let mut all: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for number in 0..word(20)? {
        let entry = HEADER + number.checked_mul(ENTRY)?;
        let (name, path) = (text(word(entry + 4)?)?, text(word(entry + 8)?)?);
        all.entry(name).or_default().push(PathBuf::from(path));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut head = b"glibc-ld.so.cache1.1".to_vec();
        head.extend((entries.len() as u32).to_ne_bytes());
        head.resize(48, 0);
        let mut strings = Vec::new();
        let base = 48 + 24 * entries.len();
        for (name, path) in entries {
            head.extend(1u32.to_ne_bytes());
            for text in [name, path] {
                head.extend(((base + strings.len()) as u32).to_ne_bytes());
                strings.extend(text.as_bytes());
                strings.push(0);
            }
            head.extend([0; 12]);
        }
        head.extend(strings);
        head
    }

    #[test]
    fn the_cache_is_read_within_its_bounds() {
        let bytes = cache(&[
            ("liba.so.1", "/lib/liba.so.1"),
            ("liba.so.1", "/opt/liba.so.1"),
        ]);
        let all = parse(&bytes).unwrap();
        assert_eq!(
            all["liba.so.1"],
            ["/lib/liba.so.1", "/opt/liba.so.1"].map(PathBuf::from)
        );
        for len in 0..bytes.len() {
            assert!(parse(&bytes[..len]).is_none(), "cut at {len}");
        }
        let mut older = b"ld.so-1.7.0\0\0\0\0\0".to_vec();
        older.extend(&bytes);
        assert!(parse(&older).is_some());
    }
}
