//! The symbol table: every function of libc that has to do with files, once.
//!
//! A row says by which [`Road`] a function reaches the host's files. From the rows come the preload library's exported
//! functions and their counters, and the answer to what a program needs that is not covered.

mod table;

/// By which road a function of libc reaches the host's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Road {
    /// A hook: host calls for host files; for the guest's the system call, or libc's own function found when it is needed.
    Call,
    /// A hook over libc's own function, which is found when the program starts.
    Over,
    /// A hook over the function of another library, of which the process may have its own, by whatever name.
    Beside,
    /// A hook written by hand, because its arguments vary.
    Asm,
    /// No hook: libc's own function, whose transfers reach the host through the jump table of its stream.
    Stream,
    /// No hook: the function works on the guest kernel's mount of the host's files.
    Mount,
    /// No hook: nothing in it concerns a host file.
    Kernel,
    /// No hook, and a host file is out of its reach.
    Lost,
}

impl Road {
    /// Whether the preload library exports a function of that name.
    pub fn is_hooked(self) -> bool {
        matches!(self, Road::Call | Road::Over | Road::Beside | Road::Asm)
    }
}

/// One row: a function of libc under all its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its names, which have the same signature and the same meaning. The first is that of the function which serves it.
    pub names: &'static [&'static str],
    /// What it belongs to.
    pub family: &'static str,
    /// How it reaches the host's files.
    pub road: Road,
    /// Whether a thread that has been cancelled ends in it, pthreads(7).
    pub point: bool,
    /// Why it has no hook, or none that is made like the others; empty for all others.
    pub reason: &'static str,
}

impl Symbol {
    /// The first of its names.
    pub const fn name(&self) -> &'static str {
        self.names[0]
    }
}

/// Functions with something in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name: in the preload library, of the module with its hooks.
    pub name: &'static str,
    /// What its functions have in common.
    pub title: &'static str,
}

macro_rules! describe {
    ($(
        #[doc = $title:literal]
        family $family:ident {
            $( $road:ident $name:ident $(| $alias:ident)* $(($($argument:ident : $type:ty),*) -> $result:ty)? $(, $mark:ident)? $(: $reason:literal)?; )*
        }
    )*) => {
        /// All families, in the order of the table.
        pub const FAMILIES: &[Family] = &[$( Family { name: stringify!($family), title: $title.trim_ascii() } ),*];

        /// All rows, in the order of the table.
        pub const SYMBOLS: &[Symbol] = &[$($( Symbol {
            names: &[stringify!($name) $(, stringify!($alias))*],
            family: stringify!($family),
            road: describe!(@road $road),
            point: describe!(@point $($mark)?),
            reason: concat!($($reason)?),
        } ),*),*];
    };
    (@road call) => { Road::Call };
    (@road over) => { Road::Over };
    (@road beside) => { Road::Beside };
    (@road asm) => { Road::Asm };
    (@road stream) => { Road::Stream };
    (@road mount) => { Road::Mount };
    (@road kernel) => { Road::Kernel };
    (@road lost) => { Road::Lost };
    (@point) => { false };
    (@point point) => { true };
}

crate::symbols!(describe);

/// The function of this name, if it has to do with files.
pub fn find(name: &str) -> Option<&'static Symbol> {
    SYMBOLS.iter().find(|symbol| symbol.names.contains(&name))
}

/// Parts of names of functions that take paths or descriptors, or that make a process or another program of it.
#[rustfmt::skip]
const PARTS: &[&str] = &[
    "open", "close", "creat", "read", "write", "seek", "trunc", "alloc", "sync", "stat", "dir",
    "link", "path", "file", "chmod", "chown", "access", "xattr", "utime", "mknod", "mkfifo",
    "mount", "root", "pipe", "splice", "dup", "fd", "lock", "poll", "select", "exec", "spawn",
    "fork", "mmap", "temp", "tmp", "glob", "ftw", "fts", "cwd", "tty", "pty", "notify", "handle",
    "sock",
];

/// Parts of the names of libc's functions of other kinds, in which some of those parts stand.
#[rustfmt::skip]
const ELSEWHERE: &[&str] = &[
    "aligned_alloc", "argp_", "argz_", "atfork", "auth", "calloc", "clnt", "clock", "cpualloc",
    "cxa_", "cyg_", "dirname", "emptyset", "getfsfile", "hcreate", "inet6_", "key_", "libc_alloc",
    "locale", "log", "malloc", "mlock", "module", "mtx_", "munlock", "obstack", "process_vm",
    "profil", "pthread_", "re_exec", "realloc", "regexec", "res_", "rexec", "rhosts", "rpc",
    "sigblock", "single_threaded", "spawnattr", "state", "strdup", "strndup", "svc", "thrd_",
    "timeofday", "timer_create", "tss_", "utmp", "valloc", "wcsdup", "xdr",
];

/// Whether a function of libc that is in no row sounds as if it had to do with files.
pub fn sounds_like_files(name: &str) -> bool {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    has(PARTS) && !has(ELSEWHERE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_name_stands_once() {
        let mut names = HashSet::new();
        for name in SYMBOLS.iter().flat_map(|symbol| symbol.names) {
            assert!(names.insert(name), "{name} stands twice");
        }
        let mut families = HashSet::new();
        for family in FAMILIES {
            assert!(families.insert(family.name), "{} stands twice", family.name);
            assert!(!family.title.is_empty() && !family.title.ends_with('.'));
        }
    }

    #[test]
    fn what_has_no_hook_has_a_reason() {
        for symbol in SYMBOLS {
            let made_like_others = matches!(symbol.road, Road::Call | Road::Over | Road::Beside);
            assert_eq!(
                symbol.reason.is_empty(),
                made_like_others,
                "{}",
                symbol.name()
            );
        }
    }

    #[test]
    fn names_are_found() {
        assert_eq!(find("__open64_2").map(Symbol::name), Some("__open_2"));
        assert_eq!(find("bind").map(|symbol| symbol.road), Some(Road::Mount));
        assert_eq!(find("strlen"), None);
    }
}
