//! `.hostcall` in the root: found by whoever names it, never listed.
//!
//! `status` is text for people; `fd/<token>` is an open file that another process of the guest has shared.

use crate::fs::{Attr, Entry, Ino, ROOT};
use crate::inode::Held;
use hostcall::types::Token;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Numbers from here on belong to no file of the host.
pub const FIRST: Ino = 0xffff_fff0_0000_0000;
/// The directory.
pub const DIRECTORY: Ino = FIRST;
/// The text.
pub const STATUS: Ino = FIRST + 1;
/// The directory of shared open files.
pub const SHARED: Ino = FIRST + 2;
/// Shared files that are no regular files count from here.
pub const STREAMS: Ino = FIRST + 0x100;

/// Its name.
pub const NAME: &CStr = c".hostcall";

/// How long a shared file waits for the open that follows its look-up at once, unless the guest has no time for the thread that makes
/// both. One that is given up then is opened anew, with a position of its own.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// One of the numbers above.
    Own(Ino),
    /// A shared open file.
    Token(Token),
    /// A name that does not exist here.
    Nothing,
    /// No concern of ours: ask the host.
    Host,
}

/// Looks up a name.
pub fn find(parent: Ino, name: &CStr) -> Found {
    let bytes = name.to_bytes();
    match (parent, bytes) {
        (ROOT, _) if name == NAME => Found::Own(DIRECTORY),
        (DIRECTORY, b"status") => Found::Own(STATUS),
        (DIRECTORY, b"fd") => Found::Own(SHARED),
        (SHARED, _) => Token::parse(bytes).map_or(Found::Nothing, Found::Token),
        (parent, _) if parent >= FIRST => Found::Nothing,
        _ => Found::Host,
    }
}

/// Whether a number is not a host file's.
pub fn is_own(ino: Ino) -> bool {
    ino >= FIRST
}

/// Metadata of one of the numbers.
pub fn attr(ino: Ino) -> Attr {
    let directory = ino == DIRECTORY || ino == SHARED;
    let kind = if directory {
        libc::S_IFDIR | 0o555
    } else {
        libc::S_IFREG | if ino == STATUS { 0o444 } else { 0o666 }
    };
    Attr {
        ino,
        mode: kind,
        links: if directory { 2 } else { 1 },
        unit: 4096,
        ..Attr::default()
    }
}

/// What looking one of the numbers up answers.
pub fn entry(ino: Ino) -> Entry {
    Entry {
        attr: attr(ino),
        generation: 0,
        cacheable: false,
    }
}

/// Names in one of the directories, with inodes and types.
pub fn names(ino: Ino) -> Vec<(Ino, u8, &'static CStr)> {
    match ino {
        DIRECTORY => vec![
            (DIRECTORY, libc::DT_DIR, c"."),
            (ROOT, libc::DT_DIR, c".."),
            (STATUS, libc::DT_REG, c"status"),
            (SHARED, libc::DT_DIR, c"fd"),
        ],
        SHARED => vec![
            (SHARED, libc::DT_DIR, c"."),
            (DIRECTORY, libc::DT_DIR, c".."),
        ],
        _ => Vec::new(),
    }
}

/// Shared files that have been looked up and wait to be opened.
///
/// The guest kernel makes two requests of one open(2): a look-up of the token, which uses it up, and an open of the
/// inode that came back. Both come from one thread, by which they are brought together; so other opens of the same file
/// are not given the shared one.
#[derive(Debug, Default)]
pub struct Waiting(Vec<Shared>);

/// Thread, inode, file, token, and since when it waits.
type Shared = (u32, Ino, Arc<Held>, Token, Instant);

impl Waiting {
    /// Keeps a file for the thread that looked it up.
    pub fn put(&mut self, pid: u32, ino: Ino, file: Arc<Held>, token: Token) {
        self.0.push((pid, ino, file, token, Instant::now()));
    }

    /// Hands it over, with the token that has led to it.
    pub fn take(&mut self, pid: u32, ino: Ino) -> Option<(Arc<Held>, Token)> {
        let stream = ino >= STREAMS;
        let fits = |(by, of, ..): &Shared| *of == ino && (stream || *by == pid);
        let at = self.0.iter().position(fits)?;
        let (_, _, file, token, _) = self.0.swap_remove(at);
        Some((file, token))
    }

    /// Those that nobody came for.
    pub fn expired(&mut self) -> Vec<Arc<Held>> {
        let (late, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(.., since)| since.elapsed() > PATIENCE);
        self.0 = waiting;
        late.into_iter().map(|(_, _, file, ..)| file).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inode::{Kind, Unused};
    use hostcall::types::RemoteFd;

    #[test]
    fn only_the_root_holds_it() {
        assert_eq!(find(ROOT, NAME), Found::Own(DIRECTORY));
        assert_eq!(find(2, NAME), Found::Host);
        assert_eq!(find(DIRECTORY, c"status"), Found::Own(STATUS));
        assert_eq!(find(DIRECTORY, c"x"), Found::Nothing);
        let token = Token::random().unwrap();
        let name = std::ffi::CString::new(token.to_string()).unwrap();
        assert_eq!(find(SHARED, &name), Found::Token(token));
        assert_eq!(find(SHARED, c"zz"), Found::Nothing);
        assert_eq!(find(STATUS, c"zz"), Found::Nothing);
    }

    #[test]
    fn a_shared_file_goes_to_the_thread_that_looked_it_up() {
        let mut waiting = Waiting::default();
        let file = Held::new(RemoteFd(5), Kind::File, &Arc::new(Unused::default()));
        let token = Token::random().unwrap();
        waiting.put(7, 99, file.clone(), token);
        assert!(waiting.take(8, 99).is_none());
        assert!(waiting.take(7, 98).is_none());
        assert!(waiting
            .take(7, 99)
            .is_some_and(|(taken, by)| Arc::ptr_eq(&taken, &file) && by == token));
        assert!(waiting.take(7, 99).is_none());
    }
}
