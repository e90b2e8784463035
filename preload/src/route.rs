//! Whose path is it? A pure function of the prefix, the place a relative path starts from, and the path.
//!
//! The prefix is matched by components, after `.`, `..` and repeated slashes have been followed in the text: `//host`
//! and `/usr/../host` are in, `/hostel` is not, and `/host/etc/../..` has left it again. Symbolic links of the
//! guest are not followed here; one that points into the prefix is the guest kernel's to resolve.

/// The longest prefix, in bytes.
pub const PREFIX_MAX: usize = 255;

/// Where host files appear in the guest: an absolute path without `.`, `..`, doubled or trailing slashes.
#[derive(Clone, Copy)]
pub struct Prefix {
    bytes: [u8; PREFIX_MAX],
    len: usize,
    components: usize,
    /// Where the last component begins.
    last: usize,
}

impl Prefix {
    /// `/host`.
    pub const DEFAULT: Prefix = {
        let mut bytes = [0; PREFIX_MAX];
        let text = *b"/host";
        let mut i = 0;
        while i < text.len() {
            bytes[i] = text[i];
            i += 1;
        }
        Prefix {
            bytes,
            len: text.len(),
            components: 1,
            last: 1,
        }
    };

    /// Reads a prefix; `None` unless it is absolute, free of `..` and shorter than [`PREFIX_MAX`], and is not `/`.
    pub fn parse(text: &[u8]) -> Option<Prefix> {
        let mut prefix = Prefix {
            bytes: [0; PREFIX_MAX],
            len: 0,
            components: 0,
            last: 0,
        };
        if text.first() != Some(&b'/') {
            return None;
        }
        for component in text.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return None,
                _ if prefix.len + 1 + component.len() > PREFIX_MAX => return None,
                _ => {}
            }
            prefix.bytes[prefix.len] = b'/';
            let start = prefix.len + 1;
            prefix.bytes[start..start + component.len()].copy_from_slice(component);
            prefix.len = start + component.len();
            prefix.components += 1;
            prefix.last = start;
        }
        (prefix.components > 0).then_some(prefix)
    }

    /// The prefix as text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Whether a path is written as most paths into the prefix are: beginning with it.
    pub fn holds(&self, path: &[u8]) -> bool {
        matches!(path.strip_prefix(self.as_bytes()), Some(b"" | [b'/', ..]))
    }

    /// The directory that holds the prefix.
    pub fn parent(&self) -> &[u8] {
        let bytes = self.as_bytes();
        match bytes.iter().rposition(|&byte| byte == b'/') {
            None | Some(0) => b"/",
            Some(slash) => &bytes[..slash],
        }
    }

    fn component(&self, n: usize) -> Option<&[u8]> {
        self.as_bytes().split(|&byte| byte == b'/').nth(n + 1)
    }

    fn last(&self) -> &[u8] {
        &self.bytes[self.last..self.len]
    }

    /// The first byte of the last component: what a path into the prefix has after some slash.
    pub const fn inward(&self) -> u8 {
        self.bytes[self.last]
    }
}

/// Where a path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// At this directory of the guest, an absolute path; `/` for absolute paths.
    Guest(&'a [u8]),
    /// At a host directory this many levels below the host's root.
    Host(u32),
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'p> {
    /// The guest's, as it is.
    Guest,
    /// The guest's, after an excursion to the host: this path relative to the directory that holds the prefix.
    Left(&'p [u8]),
    /// The host's, from the same start: the whole path, unchanged.
    Along,
    /// The host's: this absolute path (empty: the root).
    Host(&'p [u8]),
}

/// Whether a component of a path begins with a dot, `.` and `..` among them. The whole is looked at, many bytes at a time.
fn has_dots(path: &[u8]) -> bool {
    let pairs = path.iter().zip(path.get(1..).unwrap_or_default());
    let found = pairs.fold(false, |found, (a, b)| found | (*a == b'/') & (*b == b'.'));
    found || path.first() == Some(&b'.')
}

/// How many levels above its start a relative path climbs at most.
pub fn climb(path: &[u8]) -> u32 {
    if !has_dots(path) {
        return 0;
    }
    let (mut level, mut highest) = (0i64, 0i64);
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => level -= 1,
            _ => level += 1,
        }
        highest = highest.min(level);
    }
    (-highest) as u32
}

/// Whether a path that starts outside the prefix can lead into it: it must name the prefix's last component.
pub fn may_enter(prefix: &Prefix, path: &[u8]) -> bool {
    let last = prefix.last();
    let (Some(&first), Some(end)) = (last.first(), path.len().checked_sub(last.len())) else {
        return false;
    };
    let is_here = |at: usize| {
        path[at..].starts_with(last) && path.get(at + last.len()).is_none_or(|&byte| byte == b'/')
    };
    (0..=end).any(|at| path[at] == first && (at == 0 || path[at - 1] == b'/') && is_here(at))
}

/// A position outside the prefix: components of the prefix followed, and further ones that lead elsewhere.
#[derive(Clone, Copy)]
struct Outside {
    matched: usize,
    astray: usize,
}

impl Outside {
    /// Follows one component; true when that reaches the prefix.
    fn step(&mut self, prefix: &Prefix, component: &[u8]) -> bool {
        match component {
            b"" | b"." => {}
            b".." if self.astray > 0 => self.astray -= 1,
            b".." => self.matched = self.matched.saturating_sub(1),
            _ if self.astray == 0 && prefix.component(self.matched) == Some(component) => {
                self.matched += 1;
                return self.matched == prefix.components;
            }
            _ => self.astray += 1,
        }
        false
    }
}

/// Whether a path below the prefix is in `.hostcall`, which the mount has and the host does not.
fn is_the_mounts(path: &[u8]) -> bool {
    let mut components = path.split(|&byte| byte == b'/');
    components.find(|part| !matches!(*part, b"" | b".")) == Some(b".hostcall")
}

/// Decides a path. Absolute paths start at `Guest(b"/")`.
pub fn route<'p>(prefix: &Prefix, start: Start<'_>, path: &'p [u8]) -> Route<'p> {
    // As nearly all paths into the prefix are written.
    if prefix.holds(path) && !has_dots(&path[prefix.len..]) {
        return Route::Host(&path[prefix.len..]);
    }
    follow(prefix, start, path)
}

/// The same component by component.
fn follow<'p>(prefix: &Prefix, start: Start<'_>, path: &'p [u8]) -> Route<'p> {
    let mut outside = Outside {
        matched: 0,
        astray: 0,
    };
    // Levels below the host's root, while inside.
    let mut inside: Option<u32> = None;
    match start {
        Start::Host(level) => inside = Some(level),
        Start::Guest(directory) => {
            for component in directory.split(|&byte| byte == b'/') {
                if outside.step(prefix, component) {
                    // The program's kernel directory lies in the prefix, but we do not know it as a host directory.
                    inside = Some(0);
                }
            }
        }
    }
    // The host path is the whole text until it is entered or left within the text.
    let mut entered = None;
    let mut left = None;
    let mut at = 0;
    while at < path.len() {
        let end = path[at..]
            .iter()
            .position(|&byte| byte == b'/')
            .map_or(path.len(), |slash| at + slash);
        let component = &path[at..end];
        match &mut inside {
            None => {
                if outside.step(prefix, component) {
                    inside = Some(0);
                    entered = Some(end);
                }
            }
            Some(level) => match component {
                b"" | b"." => {}
                b".." if *level == 0 => {
                    inside = None;
                    outside = Outside {
                        matched: prefix.components - 1,
                        astray: 0,
                    };
                    left = Some(end);
                }
                b".." => *level -= 1,
                _ => *level += 1,
            },
        }
        at = end + 1;
    }
    match (inside, entered, left) {
        (Some(_), Some(end), None) if is_the_mounts(&path[end..]) => Route::Guest,
        (Some(_), Some(end), _) => Route::Host(&path[end..]),
        (Some(_), None, _) => Route::Along,
        (None, _, Some(start)) => {
            let rest = &path[start..];
            let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
            Route::Left(&rest[slashes..])
        }
        (None, _, None) => Route::Guest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'p>(start: Start<'_>, path: &'p str) -> Route<'p> {
        route(&Prefix::DEFAULT, start, path.as_bytes())
    }

    #[test]
    fn absolute_paths() {
        let root = Start::Guest(b"/");
        for (path, expected) in [
            ("/host", Route::Host(b"")),
            ("/host/", Route::Host(b"/")),
            ("/host/etc/hosts", Route::Host(b"/etc/hosts")),
            ("//host//etc", Route::Host(b"//etc")),
            ("/./host/etc", Route::Host(b"/etc")),
            ("/usr/../host/etc", Route::Host(b"/etc")),
            ("/../host/etc", Route::Host(b"/etc")),
            ("/host/../host/etc", Route::Host(b"/etc")),
            ("/host/etc/..", Route::Host(b"/etc/..")),
            ("/hostel", Route::Guest),
            ("/hos", Route::Guest),
            ("/x/host", Route::Guest),
            ("/", Route::Guest),
            ("/host/..", Route::Left(b"")),
            ("/host/../etc", Route::Left(b"etc")),
            ("/host/etc/../../x//y/", Route::Left(b"x//y/")),
            ("/host/../../../x", Route::Left(b"../../x")),
            ("/host/.hostcall", Route::Guest),
            ("/host/./.hostcall/status", Route::Guest),
            ("/host//.hostcall/status", Route::Guest),
            ("/host//x", Route::Host(b"//x")),
            ("/host/./x", Route::Host(b"/./x")),
            ("/host/x/.", Route::Host(b"/x/.")),
            ("/host/...", Route::Host(b"/...")),
            ("/host/.x/../..", Route::Left(b"")),
            ("/host/.hostcalls", Route::Host(b"/.hostcalls")),
            ("/host/etc/.hostcall", Route::Host(b"/etc/.hostcall")),
        ] {
            assert_eq!(at(root, path), expected, "{path}");
        }
    }

    #[test]
    fn relative_paths() {
        for (start, path, expected) in [
            (Start::Guest(b"/"), "host/etc", Route::Host(b"/etc")),
            (Start::Guest(b"/"), "host", Route::Host(b"")),
            (Start::Guest(b"/usr"), "../host", Route::Host(b"")),
            (Start::Guest(b"/usr"), "host", Route::Guest),
            (Start::Guest(b"/usr"), "../host/.hostcall", Route::Guest),
            (Start::Host(0), "etc", Route::Along),
            (Start::Host(0), "", Route::Along),
            (Start::Host(0), "..", Route::Left(b"")),
            (Start::Host(1), "..", Route::Along),
            (Start::Host(0), "./.x/../..", Route::Left(b"")),
            (Start::Host(1), "../../tmp", Route::Left(b"tmp")),
            (Start::Host(1), "../../host/a", Route::Host(b"/a")),
        ] {
            assert_eq!(at(start, path), expected, "{start:?} {path}");
        }
        assert_eq!(climb(b"a/../../b/../.."), 2);
        assert_eq!(climb(b"a/b/.."), 0);
        assert_eq!((climb(b".x/...//y"), climb(b".x/../..")), (0, 1));
    }

    #[test]
    fn prefixes() {
        let deep = Prefix::parse(b"//mnt/./the-host/").unwrap();
        assert_eq!(deep.as_bytes(), b"/mnt/the-host");
        assert_eq!(deep.parent(), b"/mnt");
        assert_eq!(Prefix::DEFAULT.parent(), b"/");
        assert_eq!(
            route(&deep, Start::Guest(b"/mnt"), b"the-host/x"),
            Route::Host(b"/x")
        );
        assert_eq!(
            route(&deep, Start::Guest(b"/"), b"/mnt/x/../the-host/x"),
            Route::Host(b"/x")
        );
        for bad in ["", "host", "/", "/a/../b", "//"] {
            assert!(Prefix::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(Prefix::parse(&[b'/'; 400].map(|b| b)).is_none());
        assert!(Prefix::parse(format!("/{}", "x".repeat(255)).as_bytes()).is_none());
    }

    /// The slow model: the whole text normalised to a list of components.
    fn model(prefix: &str, start: &str, path: &str) -> Vec<String> {
        let text = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("{start}/{path}"),
        };
        let _ = prefix;
        let mut stack: Vec<String> = Vec::new();
        for component in text.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    stack.pop();
                }
                name => stack.push(name.to_owned()),
            }
        }
        stack
    }

    /// A small generator, so that a failure can be repeated.
    struct Random(u64);
    impl Random {
        fn below(&mut self, n: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % n as u64) as usize
        }
        fn path(&mut self, most: usize) -> String {
            let parts = [
                "host", "hostel", "mnt", "a", "..", "..", ".", "", "ho", "b c",
            ];
            let count = self.below(most + 1);
            let joined: Vec<&str> = (0..count).map(|_| parts[self.below(parts.len())]).collect();
            joined.join("/")
        }
    }

    #[test]
    fn agrees_with_the_model() {
        let mut random = Random(0x9e3779b97f4a7c15);
        for round in 0..200_000 {
            let name = ["/host", "/mnt/host", "/a/host/mnt"][random.below(3)];
            let prefix = Prefix::parse(name.as_bytes()).unwrap();
            let inside = |stack: &[String]| {
                let wanted: Vec<&str> = name[1..].split('/').collect();
                (stack.len() >= wanted.len() && wanted.iter().zip(stack).all(|(a, b)| a == b))
                    .then(|| stack[wanted.len()..].to_vec())
            };
            let place = model(name, "", &format!("/{}", random.path(5)));
            let mut path = random.path(8);
            if random.below(2) == 0 {
                path.insert(0, '/');
            }
            let start_text = format!("/{}", place.join("/"));
            let start = match inside(&place) {
                _ if path.starts_with('/') => Start::Guest(b"/"),
                Some(tail) => Start::Host(tail.len() as u32),
                None => Start::Guest(start_text.as_bytes()),
            };
            let expected = model(name, &start_text, &path);
            let context = format!("round {round}: {name} {start_text} {path}");
            match route(&prefix, start, path.as_bytes()) {
                Route::Guest => {
                    assert_eq!(inside(&expected), None, "{context}");
                    assert!(matches!(start, Start::Guest(_)), "{context}");
                }
                Route::Left(rest) => {
                    let rest = std::str::from_utf8(rest).unwrap();
                    assert!(!rest.starts_with('/'), "{context}");
                    let parent = std::str::from_utf8(prefix.parent()).unwrap();
                    assert_eq!(model(name, parent, rest), expected, "{context}");
                    assert_eq!(inside(&expected), None, "{context}");
                }
                Route::Along => {
                    assert!(matches!(start, Start::Host(_)), "{context}");
                    assert!(inside(&expected).is_some(), "{context}");
                }
                Route::Host(tail) => {
                    let tail = std::str::from_utf8(tail).unwrap();
                    let tail = model(name, "", &format!("/{tail}"));
                    assert_eq!(inside(&expected), Some(tail), "{context}");
                }
            }
            let entering = may_enter(&prefix, path.as_bytes());
            let last = name.rsplit('/').next();
            assert_eq!(
                entering,
                path.split('/').any(|part| Some(part) == last),
                "{context}"
            );
            if !entering && matches!(start, Start::Guest(_)) {
                assert_eq!(
                    route(&prefix, start, path.as_bytes()),
                    Route::Guest,
                    "{context}"
                );
            }
        }
    }
}
