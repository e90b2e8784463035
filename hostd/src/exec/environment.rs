//! The environment of a program: the host's for its user, and what of the guest's crosses.

use super::glob;
use crate::config::HostUser;
use std::collections::BTreeMap;
use std::ffi::CString;

/// Where programs are looked up unless the configuration says.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The same for root.
const ROOT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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

/// What the host itself sets: a login's variables, and over them the configured ones.
pub fn base(user: &HostUser, configured: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let path = if user.uid == 0 { ROOT_PATH } else { PATH };
    let home = user.home.to_string_lossy().into_owned();
    let login = [
        ("HOME", home),
        ("LOGNAME", user.name.clone()),
        ("PATH", path.to_owned()),
        ("SHELL", "/bin/sh".to_owned()),
        ("USER", user.name.clone()),
    ];
    let login = login.map(|(name, value)| (name.to_owned(), value));
    let configured = configured.clone();
    login.into_iter().chain(configured).collect()
}

/// Whether a variable of the guest crosses.
pub fn crosses(pass: &[String], name: &[u8]) -> bool {
    let named = |entry: &String| entry.as_bytes() == name;
    let held = |entry: &String| glob::matches(entry, name, false);
    let never = || {
        NEVER
            .iter()
            .any(|pattern| glob::matches(pattern, name, false))
    };
    pass.iter().any(named) || pass.iter().any(held) && !never()
}

/// The whole environment. What the guest offers and what crosses stands over what the host sets; of two offers of one name
/// the later one.
pub fn merge(
    base: &BTreeMap<String, String>,
    pass: &[String],
    offered: &[CString],
) -> Vec<CString> {
    let mut all: BTreeMap<&[u8], &[u8]> = base
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    for variable in offered {
        let bytes = variable.as_bytes();
        let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
            continue;
        };
        let (name, value) = (&bytes[..at], &bytes[at + 1..]);
        if !name.is_empty() && crosses(pass, name) {
            all.insert(name, value);
        }
    }
    let line = |(name, value): (&[u8], &[u8])| CString::new([name, b"=", value].concat());
    // A configured value cannot hold a NUL: such a configuration is refused.
    all.into_iter()
        .filter_map(|entry| line(entry).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_changes_a_program_crosses_only_by_its_name() {
        let all = names(&["*"]);
        for name in [
            "LD_PRELOAD",
            "BASH_ENV",
            "IFS",
            "PYTHONPATH",
            "PERL5LIB",
            "GLIBC_TUNABLES",
            "BASH_FUNC_x%%",
            "PATH",
        ] {
            assert!(!crosses(&all, name.as_bytes()), "{name}");
            assert!(
                !crosses(&names(&[&name[..2], "L*", "B*"]), name.as_bytes()),
                "{name}"
            );
            assert!(crosses(&names(&["TERM", name]), name.as_bytes()), "{name}");
        }
        assert!(crosses(&all, b"EDITOR") && crosses(&names(&["LC_*"]), b"LC_ALL"));
        assert!(!crosses(&names(&["LC_*"]), b"LANG") && !crosses(&[], b"TERM"));
    }

    #[test]
    fn the_guest_adds_and_replaces_what_crosses() {
        let user = HostUser {
            uid: 7,
            gid: 7,
            groups: vec![],
            home: "/h".into(),
            name: "u".to_owned(),
        };
        let base = base(
            &user,
            &BTreeMap::from([("TERM".to_owned(), "dumb".to_owned())]),
        );
        assert_eq!((base["PATH"].as_str(), base["HOME"].as_str()), (PATH, "/h"));
        let offered = [
            c"TERM=xterm",
            c"TERM=vt100",
            c"LD_PRELOAD=x",
            c"=y",
            c"LANG",
            c"EVIL=1",
            c"LANG=a=b",
        ];
        let offered = offered.map(|variable| variable.to_owned());
        let merged = merge(&base, &names(&["TERM", "LANG", "L*"]), &offered);
        let merged: Vec<&str> = merged.iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(
            merged,
            [
                "HOME=/h",
                "LANG=a=b",
                "LOGNAME=u",
                &format!("PATH={PATH}"),
                "SHELL=/bin/sh",
                "TERM=vt100",
                "USER=u"
            ]
        );
    }
}
