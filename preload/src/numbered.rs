//! Paths that name an open file by its number, `/dev/stdin` or `/proc/self/fd/N`. Of a host file the guest kernel would find the
//! placeholder there.

use libc::c_int;

/// The number by which a path begins, and what of the path lies behind it: nothing, or a slash and more.
pub fn split(path: &[u8]) -> Option<(c_int, &[u8])> {
    match path {
        b"/dev/stdin" => return Some((0, b"")),
        b"/dev/stdout" => return Some((1, b"")),
        b"/dev/stderr" => return Some((2, b"")),
        _ => {}
    }
    let behind = ["/dev/fd/", "/proc/self/fd/", "/proc/thread-self/fd/"]
        .iter()
        .find_map(|directory| path.strip_prefix(directory.as_bytes()))
        .or_else(|| behind_own_number(path))?;
    let (number, rest) = number(behind)?;
    matches!(rest, [] | [b'/', ..]).then_some((number, rest))
}

/// What is behind `/proc/PID/fd/` of this process.
fn behind_own_number(path: &[u8]) -> Option<&[u8]> {
    let (process, rest) = number(path.strip_prefix(b"/proc/")?)?;
    let behind = rest.strip_prefix(b"/fd/")?;
    (process as u32 == std::process::id()).then_some(behind)
}

/// A number as the kernel writes it, and what follows.
fn number(text: &[u8]) -> Option<(c_int, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    match digits {
        [b'0', _, ..] => None,
        digits => Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn numbers_are_found_where_the_kernel_has_them() {
        let own = format!("/proc/{}/fd/7", std::process::id());
        for (path, expected) in [
            ("/dev/stdin", Some((0, ""))),
            ("/dev/stderr", Some((2, ""))),
            ("/dev/stdin/", None),
            ("/dev/fd/10", Some((10, ""))),
            ("/dev/fd/7/", Some((7, "/"))),
            ("/proc/self/fd/7/a/../b", Some((7, "/a/../b"))),
            ("/proc/thread-self/fd/0", Some((0, ""))),
            (own.as_str(), Some((7, ""))),
            ("/proc/1/fd/7", None),
            ("/dev/fd/07", None),
            ("/dev/fd/+7", None),
            ("/dev/fd/7x", None),
            ("/dev/fd/", None),
            ("/dev/fd/99999999999", None),
            ("/dev/null", None),
        ] {
            let expected = expected.map(|(number, rest)| (number, rest.as_bytes()));
            assert_eq!(split(path.as_bytes()), expected, "{path}");
        }
    }
}
