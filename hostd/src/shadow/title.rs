//! What ps(1) shows of a guest's zygote and of its shadows, which are copies of it: `hostd zygote GUEST` and
//! `hostd shadow GUEST`, with the names `zygote` and `shadow`.
#![allow(unsafe_code)]

use nix::sys::prctl::set_name;
use std::ffi::CStr;

/// The argument that makes hostd's program a zygote.
pub const ZYGOTE: &str = "zygote";
/// What a shadow has in its place: as long, for it is written over it.
const SHADOW: &str = "shadow";
const _: () = assert!(ZYGOTE.len() == SHADOW.len());

/// Where the word lies in this process's memory, if that is known.
#[derive(Debug)]
pub struct Title(Option<usize>);

impl Title {
    /// That of this zygote, which has one thread and its own `/proc` yet.
    pub fn of_zygote() -> Title {
        name(c"zygote");
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
        Title(find(&stat, &line))
    }

    /// Makes it a shadow's, in the child that has just been forked.
    pub fn become_shadow(&self) {
        name(c"shadow");
        if let Some(word) = self.0 {
            // SAFETY: the kernel put the word there when it started this image, on the stack, which is ours to write;
            // it is as long as what takes its place, and no other thread could be reading it.
            unsafe {
                std::ptr::copy_nonoverlapping(SHADOW.as_ptr(), word as *mut u8, SHADOW.len());
            }
        }
    }
}

/// A process without a telling name works as well.
fn name(text: &CStr) {
    let _ = set_name(text);
}

/// Address of the word by `/proc/self/stat` and `/proc/self/cmdline`, if the two agree.
fn find(stat: &str, line: &[u8]) -> Option<usize> {
    // proc_pid_stat(5): 48 is arg_start and 49 arg_end; 3 is the first one behind the name.
    let mut fields = stat.rsplit(") ").next()?.split_whitespace().skip(48 - 3);
    let mut address = || fields.next()?.parse::<usize>().ok();
    let (start, end) = (address()?, address()?);
    let word = line.split(|byte| *byte == 0).nth(1)?;
    let offset = line.iter().position(|byte| *byte == 0)? + 1;
    let sound = start != 0 && end.checked_sub(start)? == line.len() && word == ZYGOTE.as_bytes();
    sound.then_some(start + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_found_where_the_kernel_put_it() {
        let stat = |start: usize, end: usize| {
            let before = "1 ".repeat(45);
            format!("7 (a) b) {before}{start} {end} 0 0 0")
        };
        let line = b"/usr/bin/hostd\0zygote\0guest\0";
        assert_eq!(find(&stat(1000, 1000 + line.len()), line), Some(1015));
        assert_eq!(find(&stat(1000, 1000), line), None);
        assert_eq!(find(&stat(0, line.len()), line), None, "hidden");
        let other = b"hostd\0status\0";
        assert_eq!(find(&stat(1000, 1000 + other.len()), other), None);
        assert_eq!(find("", line), None);
    }
}
