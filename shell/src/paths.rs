//! One file, two names: translation of paths between guest and host, by the text alone.
//!
//! Components are followed as written, `.`, `..` and repeated slashes included; symbolic links are not. So a path that
//! enters the prefix and leaves it again is the guest's.

/// Where host files appear in the guest: an absolute path without `.`, `..`, doubled or trailing slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Vec<u8>);

impl Prefix {
    /// Reads a prefix; `None` unless it is absolute, free of `..` and not `/`.
    pub fn parse(text: &[u8]) -> Option<Prefix> {
        let mut whole = Vec::new();
        if text.first() != Some(&b'/') {
            return None;
        }
        for part in components(text) {
            if part == b".." {
                return None;
            }
            whole.push(b'/');
            whole.extend_from_slice(part);
        }
        (!whole.is_empty()).then_some(Prefix(whole))
    }

    /// The prefix of this process: `$HOSTCALL_PREFIX`, or `/host`.
    pub fn of_environment() -> Prefix {
        use std::os::unix::ffi::OsStrExt;
        let named = std::env::var_os("HOSTCALL_PREFIX");
        Prefix::named(named.as_deref().map(OsStrExt::as_bytes))
    }

    /// The prefix where that variable has this value.
    pub fn named(text: Option<&[u8]>) -> Prefix {
        text.and_then(Prefix::parse)
            .unwrap_or_else(|| Prefix(b"/host".to_vec()))
    }

    /// The host's name of a guest path, which starts at a guest directory if it is relative; `None` if the path is not
    /// under the prefix.
    pub fn to_host(&self, directory: &[u8], path: &[u8]) -> Option<Vec<u8>> {
        let whole = match path.first() {
            Some(b'/') => path.to_vec(),
            _ => [directory, b"/", path].concat(),
        };
        let entry = self.entered(&whole)?;
        let rest = &whole[entry..];
        let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
        Some([b"/", &rest[slashes..]].concat())
    }

    /// The guest's name of an absolute host path.
    pub fn to_guest(&self, path: &[u8]) -> Vec<u8> {
        let slashes = path.iter().take_while(|byte| **byte == b'/').count();
        let rest = &path[slashes..];
        match rest {
            b"" => self.0.clone(),
            rest => [&self.0, b"/".as_slice(), rest].concat(),
        }
    }

    /// Where in an absolute path the host's part begins, if the path ends under the prefix.
    fn entered(&self, path: &[u8]) -> Option<usize> {
        let wanted: Vec<&[u8]> = components(&self.0).collect();
        // Components that stand, and since which byte that has been the prefix and what is below it.
        let mut standing: Vec<&[u8]> = Vec::new();
        let mut entry = None;
        let mut at = 0;
        while at < path.len() {
            let end = path[at..]
                .iter()
                .position(|byte| *byte == b'/')
                .map_or(path.len(), |slash| at + slash);
            match &path[at..end] {
                b"" | b"." => {}
                b".." => {
                    standing.pop();
                }
                part => standing.push(part),
            }
            match standing.starts_with(&wanted) {
                true => entry = entry.or(Some(end)),
                false => entry = None,
            }
            at = end + 1;
        }
        entry
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(directory: &str, path: &str) -> Option<String> {
        let prefix = Prefix::parse(b"/host").unwrap();
        let found = prefix.to_host(directory.as_bytes(), path.as_bytes());
        found.map(|path| String::from_utf8(path).unwrap())
    }

    #[test]
    fn guest_paths_under_the_prefix_have_a_host_name() {
        for (path, expected) in [
            ("/host", Some("/")),
            ("/host/", Some("/")),
            ("/host/etc/hosts", Some("/etc/hosts")),
            ("//host//etc//hosts", Some("/etc//hosts")),
            ("/usr/../host/etc", Some("/etc")),
            ("/host/etc/..", Some("/etc/..")),
            ("/host/a/../../host/b", Some("/b")),
            ("/host/..", None),
            ("/host/../etc/hosts", None),
            ("/hostel", None),
            ("/x/host/y", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(host("/root", path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn relative_paths_start_at_the_working_directory() {
        for (directory, path, expected) in [
            ("/host/home/u", "x", Some("/home/u/x")),
            ("/host/home/u", "", Some("/home/u/")),
            ("/host/home/u", "../../../etc", None),
            ("/host/home/u", "../../../host/etc", Some("/etc")),
            ("/host", ".", Some("/.")),
            ("/root", "x", None),
            ("/root", "../host/x", Some("/x")),
            ("/", "host", Some("/")),
        ] {
            assert_eq!(
                host(directory, path).as_deref(),
                expected,
                "{directory} {path}"
            );
        }
    }

    #[test]
    fn host_paths_have_a_guest_name() {
        let prefix = Prefix::parse(b"/mnt//the-host/").unwrap();
        for (path, expected) in [
            ("/", "/mnt/the-host"),
            ("/etc/hosts", "/mnt/the-host/etc/hosts"),
            ("//etc", "/mnt/the-host/etc"),
        ] {
            assert_eq!(prefix.to_guest(path.as_bytes()), expected.as_bytes());
            let back = prefix.to_host(b"/", expected.as_bytes()).unwrap();
            assert_eq!(
                components(&back).collect::<Vec<_>>(),
                components(path.as_bytes()).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn names_need_not_be_text() {
        let prefix = Prefix::parse(b"/host").unwrap();
        let odd = b"/host/\xff\n -x".as_slice();
        assert_eq!(
            prefix.to_host(b"/", odd).as_deref(),
            Some(b"/\xff\n -x".as_slice())
        );
        for bad in ["", "host", "/", "/a/../b"] {
            assert_eq!(Prefix::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
