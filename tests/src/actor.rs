//! The other process: a native one that does to a case's files what the case asks for.
//!
//! | command | what is done |
//! |---|---|
//! | `hold posix\|ofd\|flock r\|w FILE START LEN` | takes a lock and keeps it |
//! | `release FILE` / `release-after MS FILE` | drops all locks on it, now or later |
//! | `probe FILE` | which record lock would keep a writer out, and whether flock(2) would |
//! | `read FILE` / `write FILE TEXT` | all of its bytes; replaces them |
//! | `read-after MS FILE` / `write-after MS FILE TEXT` | opens it later and reads to its end, or writes |
//! | `remove PATH` / `replace FILE` | removes a file or an empty directory; puts another file in its place |
//! | `fill DIRECTORY COUNT` | makes so many empty files |
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Error, Read, Result, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The actor of one run.
#[derive(Debug)]
pub struct Actor {
    base: PathBuf,
    /// Open until the end: closing any of them would drop this process's POSIX locks on the file.
    files: Arc<Mutex<HashMap<String, Vec<File>>>>,
}

impl Actor {
    /// Acts in a directory.
    pub fn new(base: &Path) -> Actor {
        Actor {
            base: base.to_owned(),
            files: Arc::default(),
        }
    }

    /// Does what is asked for; says what came of it.
    ///
    /// # Panics
    /// The command is unknown: the case is wrong.
    pub fn act(&self, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        let number = |word: &str| word.parse::<i64>().expect("a number");
        let path = |name: &str| self.base.join(name);
        let outcome = match words[..] {
            ["hold", kind, access, file, start, len] => {
                self.hold(kind, access == "w", file, number(start), number(len))
            }
            ["release", file] => {
                release(&self.files, file);
                Ok("done".to_owned())
            }
            ["release-after", delay, file] => {
                let (files, file) = (self.files.clone(), file.to_owned());
                self.after(number(delay), move || release(&files, &file))
            }
            ["probe", file] => self.probe(file),
            ["read", file] => std::fs::read(path(file)).map(|data| crate::shown::digest(&data)),
            ["write", file, text] => std::fs::write(path(file), text).map(|()| "done".to_owned()),
            ["write-after", delay, file, text] => {
                let (file, text) = (path(file), text.to_owned());
                self.after(number(delay), move || {
                    let opened = OpenOptions::new().write(true).open(file);
                    opened
                        .and_then(|mut file| file.write_all(text.as_bytes()))
                        .expect("the late write");
                })
            }
            ["read-after", delay, file] => {
                let file = path(file);
                self.after(number(delay), move || {
                    let mut all = Vec::new();
                    let opened = File::open(file);
                    opened
                        .and_then(|mut file| file.read_to_end(&mut all))
                        .expect("the late read");
                })
            }
            ["fill", name, count] => (0..number(count))
                .try_for_each(|n| File::create(path(name).join(format!("entry-{n:05}"))).map(drop))
                .map(|()| "done".to_owned()),
            ["remove", name] => std::fs::remove_dir(path(name))
                .or_else(|_| std::fs::remove_file(path(name)))
                .map(|()| "done".to_owned()),
            ["replace", file] => std::fs::write(path("other"), "other")
                .and_then(|()| std::fs::rename(path("other"), path(file)))
                .map(|()| "done".to_owned()),
            _ => panic!("the actor does not know {command:?}"),
        };
        outcome.unwrap_or_else(|error| error.to_string())
    }

    fn after(&self, delay: i64, act: impl FnOnce() + Send + 'static) -> Result<String> {
        // Detached: if the case dies meanwhile, this may wait for ever at a FIFO.
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(delay as u64));
            act();
        });
        Ok("later".to_owned())
    }

    fn open(&self, name: &str) -> Result<i32> {
        let flags = libc::O_NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(self.base.join(name))?;
        let fd = file.as_raw_fd();
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.entry(name.to_owned()).or_default().push(file);
        Ok(fd)
    }

    fn hold(&self, kind: &str, write: bool, name: &str, start: i64, len: i64) -> Result<String> {
        let fd = self.open(name)?;
        // SAFETY: plain calls on our own descriptor; the structure is live.
        let taken = unsafe {
            let mut lock: libc::flock = std::mem::zeroed();
            lock.l_type = if write { libc::F_WRLCK } else { libc::F_RDLCK } as i16;
            (lock.l_start, lock.l_len) = (start, len);
            match (kind, write) {
                ("posix", _) => libc::fcntl(fd, libc::F_SETLK, &lock),
                ("ofd", _) => libc::fcntl(fd, libc::F_OFD_SETLK, &lock),
                ("flock", true) => libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB),
                _ => libc::flock(fd, libc::LOCK_SH | libc::LOCK_NB),
            }
        };
        match taken {
            -1 => Err(Error::last_os_error()),
            _ => Ok("held".to_owned()),
        }
    }

    fn probe(&self, name: &str) -> Result<String> {
        let fd = self.open(name)?;
        // SAFETY: as in `hold`.
        let (record, whole) = unsafe {
            let mut lock: libc::flock = std::mem::zeroed();
            lock.l_type = libc::F_WRLCK as i16;
            libc::fcntl(fd, libc::F_OFD_GETLK, &mut lock);
            let whole = libc::flock(fd, libc::LOCK_EX | libc::LOCK_NB);
            libc::flock(fd, libc::LOCK_UN);
            (lock, whole)
        };
        let record = match i32::from(record.l_type) {
            libc::F_UNLCK => "free".to_owned(),
            kind => format!(
                "type {kind} from {} for {}, {}",
                record.l_start,
                record.l_len,
                if record.l_pid == -1 { "ofd" } else { "posix" }
            ),
        };
        Ok(format!("record {record}, flock {whole}"))
    }
}

fn release(files: &Mutex<HashMap<String, Vec<File>>>, name: &str) {
    let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
    for file in files.remove(name).unwrap_or_default() {
        let fd = file.as_raw_fd();
        // Not by closing alone: a child that another test is just starting may hold a copy of the descriptor.
        // SAFETY: plain calls on our own descriptor; the structure is live.
        unsafe {
            let mut all: libc::flock = std::mem::zeroed();
            all.l_type = libc::F_UNLCK as i16;
            libc::fcntl(fd, libc::F_OFD_SETLK, &all);
            libc::fcntl(fd, libc::F_SETLK, &all);
            libc::flock(fd, libc::LOCK_UN);
        }
    }
}
