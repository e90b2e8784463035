//! Which variables of a guest's environment may reach a host program: a pure function of the policy's list and a name.
//!
//! The guest asks it to know what to offer; the host, to decide.

/// Variables that change what a program is, what it loads, or what a shell reads: they cross only if the policy names them, not
/// if a pattern of its holds them by chance (CVE-2021-21261). They are those that glibc takes from privileged programs
/// (`sysdeps/generic/unsecvars.h`), those that sudo drops (`initial_badenv_table`, `plugins/sudoers/env.c`), and the like of other
/// interpreters and libraries.
const NEVER: &[&str] = &[
    // The loader and libc.
    "LD_*",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "GETCONF_DIR",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "LOCPATH",
    "MALLOC_*",
    "NIS_PATH",
    "NLSPATH",
    "PATH_LOCALE",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "TZDIR",
    // Terminals.
    "TERMCAP",
    "TERMINFO*",
    "TERMPATH",
    // Shells.
    "BASH_ENV",
    "BASH_FUNC_*",
    "BASHOPTS",
    "CDPATH",
    "ENV",
    "FPATH",
    "GLOBIGNORE",
    "IFS",
    "NULLCMD",
    "PROMPT_COMMAND",
    "PS4",
    "READNULLCMD",
    "SHELLOPTS",
    "TMPPREFIX",
    "ZDOTDIR",
    // Interpreters.
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LUA_*",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PERL5*",
    "PERLIO*",
    "PERLLIB",
    "PYTHON*",
    "RUBYLIB",
    "RUBYOPT",
    // What programs start or load besides.
    "GIT_*",
    "GIO_*",
    "GTK_*",
    "KRB5*",
    "LESSCLOSE",
    "LESSOPEN",
    "OPENSSL_*",
    "QT_PLUGIN_PATH",
    // What is the host's to say.
    "HOME",
    "HOSTCALL_*",
    "PATH",
    "TMPDIR",
];

/// Whether a variable of the guest may cross: the list names it, or holds it by a pattern and it is none of those that
/// change what a program does.
pub fn crosses(pass: &[impl AsRef<str>], name: &[u8]) -> bool {
    let pass = || pass.iter().map(AsRef::as_ref);
    pass().any(|entry: &str| entry.as_bytes() == name)
        || pass().any(|entry| matches(entry, name))
            && !NEVER.iter().any(|pattern| matches(pattern, name))
}

/// Where time zones are kept, tzset(3).
const ZONES: &[u8] = b"/usr/share/zoneinfo/";
/// The host's own.
const LOCAL_ZONE: &[u8] = b"/etc/localtime";

/// Whether a value cannot make the program that reads it open a file of the guest's choice, or execute a command: libc takes a time
/// zone for a path, and catalogues are found by the name of a locale or a terminal; sudo demands the same of `env_check`. A shell
/// that reckons with a variable executes what stands in it as a subscript's command substitution (`a[$(reboot)]`).
pub fn is_plain(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"COLUMNS" | b"LINES" => value.iter().all(u8::is_ascii_digit),
        b"TZ" => {
            let zone = value.strip_prefix(b":").unwrap_or(value);
            let climbs = zone.windows(2).any(|two| two == b"..");
            let known = zone.starts_with(ZONES) || zone == LOCAL_ZONE;
            let plain = known || !zone.starts_with(b"/");
            plain && !climbs && zone.iter().all(u8::is_ascii_graphic) && !has_command(value)
        }
        b"NO_COLOR" => !has_command(value),
        b"TERM" | b"COLORTERM" | b"LANG" | b"LANGUAGE" | b"LINGUAS" => is_name(value),
        name if name.starts_with(b"LC_") => is_name(value),
        _ => true,
    }
}

fn is_name(value: &[u8]) -> bool {
    let has_path = value.iter().any(|byte| matches!(byte, b'/' | b'%'));
    !has_path && !has_command(value)
}

fn has_command(value: &[u8]) -> bool {
    value.iter().any(|byte| matches!(byte, b'$' | b'`'))
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
            "GETCONF_DIR",
            "READNULLCMD",
            "GIT_SSH_COMMAND",
            "OPENSSL_CONF",
        ] {
            assert!(!crosses(&["*", "L*", "B*"], name.as_bytes()), "{name}");
            assert!(crosses(&["TERM", name], name.as_bytes()), "{name}");
        }
        assert!(crosses(&["*"], b"EDITOR"));
        assert!(crosses(&["LC_*"], b"LC_ALL") && !crosses(&["LC_*"], b"LANG"));
        assert!(!crosses(&[] as &[&str], b"TERM"));
    }

    #[test]
    fn no_value_is_a_path_or_a_command_where_one_is_opened_or_executed() {
        for (name, value, plain) in [
            ("TZ", "Europe/Berlin", true),
            ("TZ", ":UTC", true),
            ("TZ", "EST5EDT,M3.2.0,M11.1.0", true),
            ("TZ", "/usr/share/zoneinfo/UTC", true),
            ("TZ", ":/etc/localtime", true),
            ("TZ", "/usr/share/zoneinfo/../../../etc/shadow", false),
            ("TZ", "/dev/zero", false),
            ("TZ", ":/etc/shadow", false),
            ("TZ", "../../etc/shadow", false),
            ("TZ", "a b", false),
            ("LANG", "de_DE.UTF-8", true),
            ("LC_ALL", "../evil", false),
            ("LANG", "%n", false),
            ("TERM", "xterm-256color", true),
            ("TERM", "../evil", false),
            ("EDITOR", "/usr/bin/vi", true),
            ("COLUMNS", "132", true),
            ("LINES", "", true),
            ("COLUMNS", "a[$(id)]", false),
            ("LINES", "TZ", false),
            ("NO_COLOR", "true", true),
            ("NO_COLOR", "a[$(id)]", false),
            ("TZ", "a[$(id)]", false),
            ("TZ", "a[`id`]", false),
            ("LC_ALL", "a[$(id)]", false),
            ("TERM", "a[`id`]", false),
        ] {
            assert_eq!(
                is_plain(name.as_bytes(), value.as_bytes()),
                plain,
                "{name}={value}"
            );
        }
    }
}
