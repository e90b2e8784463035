//! Which variables of a guest's environment may reach a host program: a pure function of the policy's list and a name.
//!
//! The guest asks it to know what to offer; the host, to decide.

/// Variables that change what a program is, or what a shell reads: they cross only if the policy names them, not if a pattern
/// of its holds them by chance (CVE-2021-21261).
const NEVER: &[&str] = &[
    "LD_*",
    "BASH_ENV",
    "BASH_FUNC_*",
    "BASHOPTS",
    "SHELLOPTS",
    "ENV",
    "IFS",
    "PS4",
    "PROMPT_COMMAND",
    "CDPATH",
    "GLOBIGNORE",
    "ZDOTDIR",
    "PYTHON*",
    "PERL5*",
    "PERLLIB",
    "RUBYLIB",
    "RUBYOPT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "LUA_*",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "NLSPATH",
    "LOCPATH",
    "MALLOC_*",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "RES_OPTIONS",
    "TERMINFO*",
    "TERMCAP",
    "PATH",
    "HOME",
    "HOSTCALL_*",
];

/// Whether a variable of the guest may cross: the list names it, or holds it by a pattern and it is none of those that
/// change what a program does.
pub fn crosses(pass: &[impl AsRef<str>], name: &[u8]) -> bool {
    let pass = || pass.iter().map(AsRef::as_ref);
    pass().any(|entry: &str| entry.as_bytes() == name)
        || pass().any(|entry| matches(entry, name))
            && !NEVER.iter().any(|pattern| matches(pattern, name))
}

/// Whether a name is as the pattern says, in which `*` stands for any run of bytes.
pub fn matches(pattern: &str, name: &[u8]) -> bool {
    let mut parts = pattern.as_bytes().split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        // The earliest place leaves the most to the parts that follow.
        let place = (0..=rest.len()).find(|at| rest[*at..].starts_with(part));
        let Some(at) = place else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_runs() {
        for (pattern, name, expected) in [
            ("TERM", "TERM", true),
            ("TERM", "TERMS", false),
            ("LC_*", "LC_ALL", true),
            ("LC_*", "LC_", true),
            ("LC_*", "LANG", false),
            ("*", "", true),
            ("*_DIR", "MY_DIR", true),
            ("*_DIR", "MY_DIRS", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbY", false),
            ("a*a", "a", false),
            ("", "x", false),
        ] {
            assert_eq!(
                matches(pattern, name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn what_changes_a_program_crosses_only_by_its_name() {
        for name in [
            "LD_PRELOAD",
            "BASH_ENV",
            "IFS",
            "PYTHONPATH",
            "GLIBC_TUNABLES",
            "BASH_FUNC_x%%",
            "PATH",
        ] {
            assert!(!crosses(&["*", "L*", "B*"], name.as_bytes()), "{name}");
            assert!(crosses(&["TERM", name], name.as_bytes()), "{name}");
        }
        assert!(crosses(&["*"], b"EDITOR"));
        assert!(!crosses(&[] as &[&str], b"TERM"));
    }
}
