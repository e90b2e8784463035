//! The hooked functions, by family.
//!
//! Each decides by descriptor or path whose call it is and does it; what a call means on the host is the shadow's
//! business, what it means in the guest the kernel's. `docs` of the functions are their manual pages.

pub mod administration;
pub mod asynchronous;
pub mod attributes;
pub mod confine;
pub mod copy;
pub mod create;
pub mod descriptor;
pub mod dir;
pub mod identity;
pub mod io;
pub mod libio;
pub mod limit;
pub mod lock;
pub mod makers;
pub mod map;
pub mod name;
pub mod open;
pub mod pass;
pub mod raw;
pub mod ready;
pub mod resolve;
pub mod scan;
pub mod signal;
pub mod slots;
pub mod space;
pub mod stat;
pub mod stdio;
pub mod temporary;
pub mod terminal;
pub mod times;
pub mod volume;
pub mod walk;
pub mod watch;
pub mod working;
pub mod xattr;

/// Runs one of two expressions: the guest's with the arguments to forward, or the host's.
macro_rules! by_place {
    ($dirfd:expr, $path:expr, |$guest_dirfd:pat_param, $guest_path:pat_param| $guest:expr, |$dir:pat_param, $host_path:pat_param| $host:expr) => {
        $crate::shims::by_file!(
            $dirfd,
            $path,
            libc::AT_SYMLINK_NOFOLLOW,
            |$guest_dirfd, $guest_path| $guest,
            |$dir, $host_path, _| $host
        )
    };
}
pub(crate) use by_place;

/// The same for a call with flags, by which it may follow a link to an open host file ([`place::file_at`](crate::place::file_at)).
macro_rules! by_file {
    ($dirfd:expr, $path:expr, $flags:expr, |$guest_dirfd:pat_param, $guest_path:pat_param| $guest:expr, |$dir:pat_param, $host_path:pat_param, $host_flags:pat_param| $host:expr) => {{
        let (dirfd, path, flags) = ($dirfd, $path, $flags);
        let guest = move |$guest_dirfd: libc::c_int, $guest_path: *const libc::c_char| $guest;
        match $crate::place::stays(dirfd, path) {
            true => guest(dirfd, path),
            false => {
                std::hint::cold_path();
                $crate::real::apart(move || {
                    let mut buffer = $crate::place::PathBuffer::new();
                    match $crate::place::file_at(dirfd, path, flags, &mut buffer) {
                        Ok(($crate::place::Place::Guest { dirfd, path }, _)) => guest(dirfd, path),
                        Ok((
                            $crate::place::Place::Host {
                                dir: $dir,
                                path: $host_path,
                            },
                            $host_flags,
                        )) => $host,
                        Err(errno) => $crate::real::finish(Err(errno)),
                    }
                })
            }
        }
    }};
}
pub(crate) use by_file;
