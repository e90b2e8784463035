//! What the guest mounts over the host's files: below the prefix, or over the mount of the host's files itself.
//!
//! Host calls would reach the files beneath. So while there is such a mount, the guest's kernel walks every path below the
//! prefix, by the mount of the host's files: it alone knows which name, through which symbolic link, leads onto which
//! mount. Files that are open stay the host's. The text of a path alone decides nothing: a link of the host may lead
//! from anywhere below a mount point, the host may rename a directory above one between a look and the call, and of the calls on paths only
//! openat2(2) can be told to refuse links.
//!
//! The processes of a guest share a count of such changes ([`Commons`](hostcall::commons::Commons)): whoever mounts or
//! unmounts raises it before the call returns, and for programs without this library the guest's first process has hostfs do
//! so. A process that sees another count than last looks at its own mount table, for mount namespaces differ.
#![allow(unsafe_code)]

use crate::real::try_sys;
use crate::session;
use hostcall::client::Client;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use syscalls::Sysno;

/// The count at the last look. Nothing was ever mounted over host files while it is 0.
static SEEN: AtomicU32 = AtomicU32::new(0);
/// What was seen then.
static COVERED: AtomicBool = AtomicBool::new(false);

/// Whether something is mounted over host files. Two loads, unless that may have changed.
#[inline]
pub fn any(client: &Client) -> bool {
    let count = client.commons().mounts.load(Ordering::Relaxed);
    if count != SEEN.load(Ordering::Relaxed) {
        look(count);
    }
    COVERED.load(Ordering::Relaxed)
}

#[cold]
#[inline(never)]
fn look(count: u32) {
    if let Some(covered) = mounted() {
        COVERED.store(covered, Ordering::Relaxed);
    }
    SEEN.store(count, Ordering::Relaxed);
}

/// Makes a call that may change what is mounted, and has every process know.
pub fn changing<T>(call: impl FnOnce() -> T) -> T {
    let before = mounted();
    let done = call();
    let after = mounted();
    if before == Some(true) || after == Some(true) {
        let errno = crate::real::errno();
        if let Ok(client) = session::client() {
            client.commons().mounts.fetch_add(1, Ordering::SeqCst);
        }
        crate::real::set_errno(errno);
    }
    done
}

/// Whether something is mounted over host files, by this thread's mount table; `None` if that cannot be read.
fn mounted() -> Option<bool> {
    over(&mut |_| true)
}

/// Whether a path, absolute in the guest's terms, lies on something that is mounted over host files.
pub fn lies_on_one(path: &[u8]) -> bool {
    over(&mut |at| within(path, at)).unwrap_or(true)
}

/// Whether there is a mount over the mount of the host's files, at a point that is `wanted`. Mounts below the prefix that hang
/// on others are beneath it; whatever else is mounted over host files hangs on one that hangs on it.
fn over(wanted: &mut dyn FnMut(&[u8]) -> bool) -> Option<bool> {
    let prefix = session::prefix().as_bytes();
    let ours = topmost(prefix, &mut lines)?;
    match ours {
        None => Some(false),
        Some(ours) => search(&mut lines, &mut |mount| {
            mount.parent == ours && wanted(mount.at)
        }),
    }
}

/// The number of the mount of the host's files at the prefix, of several the one on top.
fn topmost(prefix: &[u8], table: Table<'_>) -> Option<Option<u32>> {
    let mut top: Option<(u32, u32)> = None;
    search(table, &mut |mount| {
        // Of two, the one that does not hang on the other is beneath it, wherever it is listed.
        if mount.ours && mount.at == prefix && top.is_none_or(|(_, parent)| parent != mount.number)
        {
            top = Some((mount.number, mount.parent));
        }
        false
    })?;
    Some(top.map(|(number, _)| number))
}

/// A mount, as far as it matters here.
struct Mount<'l> {
    number: u32,
    /// The mount on which it is mounted.
    parent: u32,
    at: &'l [u8],
    /// Whether it shows the host's files from their root.
    ours: bool,
}

/// Whether `path` is `directory` or lies below it; neither ends in a slash.
fn within(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// A line of the table, proc_pid_mountinfo(5). Its first two fields are the numbers of the mount and of the one it is mounted
/// on; the fourth is the root of the mount within its file system, the fifth the
/// mount point, with octal escapes, which are resolved where they stand; after a lone dash comes the type.
fn parse(line: &mut [u8]) -> Option<Mount<'_>> {
    let mut fields = line.split_mut(|&byte| byte == b' ');
    let number = number(fields.next()?)?;
    let parent = self::number(fields.next()?)?;
    let whole = fields.nth(1)? == b"/";
    let at = fields.next()?;
    let mut rest = fields.map(|field| &*field);
    let hostfs = rest.any(|field| field == b"-") && rest.next() == Some(b"fuse.hostfs");
    Some(Mount {
        number,
        parent,
        at: unescape(at),
        ours: whole && hostfs,
    })
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn unescape(field: &mut [u8]) -> &[u8] {
    let (mut from, mut to) = (0, 0);
    while from < field.len() {
        let digit = |at: usize| {
            let digit = field.get(from + at)?.wrapping_sub(b'0');
            (digit < 8).then_some(digit)
        };
        let code = match (field[from], digit(1), digit(2), digit(3)) {
            (b'\\', Some(a @ 0..4), Some(b), Some(c)) => Some(a << 6 | b << 3 | c),
            _ => None,
        };
        field[to] = code.unwrap_or(field[from]);
        from += if code.is_some() { 4 } else { 1 };
        to += 1;
    }
    &field[..to]
}

/// What hands over the lines of a mount table one by one; `None` if they cannot be had.
type Table<'t> = &'t mut dyn FnMut(&mut dyn FnMut(&mut [u8]) -> ControlFlow<()>) -> Option<()>;

/// Looks for a mount in a table.
fn search(table: Table<'_>, wanted: &mut dyn FnMut(Mount<'_>) -> bool) -> Option<bool> {
    let mut found = false;
    table(&mut |line| {
        found = parse(line).is_some_and(&mut *wanted);
        match found {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    Some(found)
}

/// The calling thread's table, no line longer than the longest escaped path and some fields.
fn lines(take: &mut dyn FnMut(&mut [u8]) -> ControlFlow<()>) -> Option<()> {
    let path = c"/proc/thread-self/mountinfo".as_ptr();
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    let mut room = [0u8; 5 * libc::PATH_MAX as usize];
    // SAFETY: a NUL-terminated path; the buffer is live, and each read is told its free part.
    unsafe {
        let file = try_sys!(Sysno::openat, libc::AT_FDCWD, path, flags, 0).ok()?;
        let mut len = 0;
        let whole = loop {
            let free = room.len() - len;
            let read = match try_sys!(Sysno::read, file, room.as_mut_ptr().add(len), free) {
                Ok(0) => break true,
                Ok(read) => read as usize,
                Err(_) => break false,
            };
            len += read;
            let mut start = 0;
            let mut done = false;
            while let (false, Some(end)) = (done, position(&room[start..len], b'\n')) {
                done = take(&mut room[start..start + end]).is_break();
                start += end + 1;
            }
            if done {
                break true;
            }
            // A line without an end is longer than any that can matter: what there is of it is looked at.
            if start == 0 && len == room.len() {
                if take(&mut room).is_break() {
                    break true;
                }
                start = len;
            }
            room.copy_within(start..len, 0);
            len -= start;
        };
        let _ = try_sys!(Sysno::close, file);
        whole.then_some(())
    }
}

fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|&byte| byte == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether these lines have something mounted over host files, and where.
    fn seen(prefix: &str, text: &[&str]) -> Option<Vec<String>> {
        let mut table = |take: &mut dyn FnMut(&mut [u8]) -> ControlFlow<()>| {
            let mut lines = text.iter().map(|line| line.as_bytes().to_vec());
            let _ = lines.try_for_each(|mut line| take(&mut line));
            Some(())
        };
        let ours = topmost(prefix.as_bytes(), &mut table).unwrap()?;
        let mut found = Vec::new();
        search(&mut table, &mut |mount| {
            if mount.parent == ours {
                found.push(String::from_utf8_lossy(mount.at).into_owned());
            }
            false
        });
        Some(found)
    }

    const OURS: &str = "80 20 0:5 / /host rw shared:1 master:2 - fuse.hostfs host rw";

    #[test]
    fn what_is_mounted_over_the_host_files_is_seen() {
        for (line, at) in [
            ("81 80 0:6 / /host/d rw - tmpfs none rw", Some("/host/d")),
            ("81 80 0:6 / /host rw - tmpfs none rw", Some("/host")),
            ("81 80 0:5 /a /host rw - fuse.hostfs host rw", Some("/host")),
            (
                "81 80 0:5 /a /host/b rw - fuse.hostfs host rw",
                Some("/host/b"),
            ),
            (
                "81 80 0:6 / /host/a\\040b rw - tmpfs none rw",
                Some("/host/a b"),
            ),
            ("81 20 0:6 / /host/d rw - tmpfs none rw", None),
            ("81 20 0:6 / /hostel rw - tmpfs none rw", None),
            ("81 20 0:5 / /mnt rw - fuse.hostfs host rw", None),
            ("20 1 0:6 / / rw - overlay overlay rw", None),
            ("81 80 0:6", None),
            ("", None),
        ] {
            let at: Vec<String> = at.into_iter().map(str::to_owned).collect();
            for text in [[OURS, line], [line, OURS]] {
                assert_eq!(seen("/host", &text), Some(at.clone()), "{text:?}");
            }
        }
    }

    #[test]
    fn of_two_mounts_of_host_files_the_upper_one_counts() {
        let upper = "90 80 0:5 / /host rw - fuse.hostfs host rw";
        let hidden = "91 80 0:6 / /host/d rw - tmpfs none rw";
        let shown = "92 90 0:6 / /host/e rw - tmpfs none rw";
        let found = Some(vec!["/host/e".to_owned()]);
        assert_eq!(seen("/host", &[OURS, upper, hidden, shown]), found);
        assert_eq!(seen("/host", &[shown, upper, hidden, OURS]), found);
        assert_eq!(seen("/elsewhere", &[OURS, hidden]), None);
    }

    #[test]
    fn escapes_are_octal() {
        for (field, text) in [
            ("/a\\040b", "/a b"),
            ("\\011\\012\\134", "\t\n\\"),
            ("\\", "\\"),
            ("\\04", "\\04"),
            ("\\480", "\\480"),
            ("\\777", "\\777"),
        ] {
            let mut bytes = field.as_bytes().to_vec();
            assert_eq!(unescape(&mut bytes), text.as_bytes(), "{field}");
        }
    }

    #[test]
    fn the_table_has_every_line() {
        let whole = std::fs::read("/proc/thread-self/mountinfo").unwrap();
        let mut seen = Vec::new();
        lines(&mut |line| {
            seen.extend_from_slice(line);
            seen.push(b'\n');
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(seen, whole);
        let at = |path: &[u8]| search(&mut lines, &mut |mount| mount.at == path);
        assert_eq!(at(b"/"), Some(true));
        assert_eq!(at(b"/no such"), Some(false));
    }
}
