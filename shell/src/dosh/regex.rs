//! Extended regular expressions as POSIX defines them, by the C library: the leftmost match is the longest.

#![allow(unsafe_code)]

use super::syntax::tree::Bytes;
use std::ffi::CString;
use std::mem::MaybeUninit;

/// What the groups have matched, the whole first; empty where a group has no part in the match.
///
/// # Errors
/// It is no regular expression.
pub fn find(regex: &[u8], text: &[u8]) -> Result<Option<Vec<Bytes>>, ()> {
    let (Ok(pattern), Ok(subject)) = (CString::new(regex), CString::new(text)) else {
        return Err(());
    };
    let mut compiled = MaybeUninit::<libc::regex_t>::uninit();
    // SAFETY: the pattern ends in a NUL; the place is filled if the call succeeds.
    let failed =
        unsafe { libc::regcomp(compiled.as_mut_ptr(), pattern.as_ptr(), libc::REG_EXTENDED) };
    if failed != 0 {
        return Err(());
    }
    // SAFETY: filled by the call above.
    let mut compiled = unsafe { compiled.assume_init() };
    // A group has a parenthesis, and there are no more groups than those.
    let count = 1 + regex.iter().filter(|byte| **byte == b'(').count();
    let none = libc::regmatch_t {
        rm_so: -1,
        rm_eo: -1,
    };
    let mut found = vec![none; count];
    // SAFETY: the expression is compiled, the subject ends in a NUL, and there is room for that many groups.
    let missed =
        unsafe { libc::regexec(&compiled, subject.as_ptr(), count, found.as_mut_ptr(), 0) };
    // SAFETY: compiled above, and not used any more.
    unsafe { libc::regfree(&mut compiled) };
    let group = |group: &libc::regmatch_t| match (
        usize::try_from(group.rm_so),
        usize::try_from(group.rm_eo),
    ) {
        (Ok(start), Ok(end)) => text[start..end].to_vec(),
        _ => Bytes::new(),
    };
    Ok((missed == 0).then(|| found.iter().map(group).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_match_is_found_with_its_groups() {
        let found = find(b"(a|ab)(c)?", b"xabc").unwrap().unwrap();
        assert_eq!(found, [b"abc".to_vec(), b"ab".to_vec(), b"c".to_vec()]);
        assert_eq!(find(b"^b", b"ab"), Ok(None));
        assert_eq!(find(b"(", b"ab"), Err(()));
    }
}
