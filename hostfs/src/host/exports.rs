//! Exports that change while they are mounted.
//!
//! A session keeps the view that it began with. So another one is begun, and all names and inodes move there, as if every
//! descriptor had been given back: each is found again by its name when it is needed. What is open stays in its session,
//! which ends with its last descriptor. Whoever looks a name up sees that the view is outdated and does this first; a
//! thread of its own does it for a guest kernel that finds all names in its cache, and has it forget those that are gone.

use super::session::{Acting, Session};
use super::{locked, root_of, Host, HostFs, Sessions};
use crate::fs::{Caller, Ino, Notify, ROOT};
use crate::handle::What;
use crate::turns::about_to_sleep;
use hostcall::say::complain;
use hostcall::types::Errno;
use std::ffi::CString;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How often is looked whether the exports have changed, if no request does.
const LOOK: Duration = Duration::from_millis(250);
/// How long after a failure it is not tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known of changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// When a session could not be begun.
    failed: Option<Instant>,
    /// Names that lead nowhere any more, and that the guest kernel may still have.
    gone: Vec<(Ino, CString)>,
}

impl<H: Host> HostFs<H> {
    /// Sees to it that the newest view is used: a load, if it is.
    pub(super) fn follow_exports(&self) {
        if self.session().host.is_outdated() {
            self.renew();
        }
    }

    /// The same for ever, with what the guest kernel is to forget.
    pub fn watch_exports(&self, notify: &impl Notify) {
        loop {
            std::thread::sleep(LOOK);
            self.follow_exports();
            self.end_unused();
            let gone = std::mem::take(&mut locked(&self.changes).gone);
            for (parent, name) in gone {
                notify.entry(parent, &name);
            }
        }
    }

    /// Moves to a new session if this one's view is outdated, or if it has been ended for that.
    pub(super) fn renew(&self) {
        // Held throughout: whoever comes second waits for the new view.
        let mut changes = locked(&self.changes);
        let old = self.session();
        let lately = |failed: &Instant| failed.elapsed() < PAUSE;
        let outdated = old.host.is_outdated();
        if !outdated && old.host.alive() || changes.failed.as_ref().is_some_and(lately) {
            return;
        }
        // To attach anew may take long.
        about_to_sleep();
        match self.move_from(&old) {
            Ok(gone) => {
                changes.failed = None;
                changes.gone.extend(gone);
            }
            Err(errno) => {
                if changes.failed.replace(Instant::now()).is_none() && outdated {
                    let what = format_args!("the changed exports cannot be seen yet: {errno}");
                    complain("hostfs", what);
                }
            }
        }
        drop(changes);
        drop(old);
        self.end_unused();
    }

    /// Moves from a session to a new one; says which names are gone.
    fn move_from(&self, old: &Arc<Session<H>>) -> Result<Vec<(Ino, CString)>, Errno> {
        let host = old.host.again()?;
        if !old.host.is_outdated() && host.view() == old.host.view() {
            // It has ended for another reason, and its files with it.
            return Err(Errno(libc::ENOTCONN));
        }
        let session = Session::new(host, old.number() + 1);
        let acting = Acting::ourselves(&session);
        let (key, root) = root_of(&acting)?;
        {
            let sessions = self.sessions.write();
            let mut sessions = sessions.unwrap_or_else(PoisonError::into_inner);
            let Sessions { now, old } = &mut *sessions;
            old.push(std::mem::replace(now, session));
        }
        let open = self.handles.all();
        let before = {
            let mut inodes = self.inodes();
            for handle in &open {
                // What is looked for in an open directory is looked for in the new view.
                if let What::Directory(held, _) = &handle.what {
                    inodes.closed(handle.ino, held);
                }
            }
            inodes.begin_again(key, root.clone())
        };
        drop(open);
        let mut gone = Vec::new();
        let mut places = match before.0 == key {
            true => Vec::new(),
            false => vec![(ROOT, root)],
        };
        while let Some((parent, directory)) = places.pop() {
            let children = self.inodes().children(parent);
            for (name, ino, known) in children {
                let found = self.walk_by(&acting, &Caller::KERNEL, &directory, &name);
                let mut inodes = self.inodes();
                match found {
                    Ok((stat, _)) if stat.key == known => {}
                    // One of those that lead to the exports, which each view has for itself.
                    Ok((stat, held)) if stat.kind() == libc::S_IFDIR => {
                        inodes.becomes(ino, stat.key);
                        places.push((ino, held));
                    }
                    Ok(_) | Err(Errno(libc::ENOENT | libc::ENOTDIR)) => {
                        inodes.unnamed(parent, &name);
                        gone.push((parent, name));
                    }
                    // Whoever may look there will.
                    Err(_) => {}
                }
            }
        }
        self.watch_again(&acting, &before.1);
        Ok(gone)
    }
}
