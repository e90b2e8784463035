//! The environment of a program: the host's for its user, and what of the guest's crosses.

use crate::config::HostUser;
use hostcall::variables::{crosses, is_plain};
use std::collections::BTreeMap;
use std::ffi::CString;

/// Where programs are looked up unless the configuration says.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The same for root.
const ROOT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
        if !name.is_empty() && crosses(pass, name) && is_plain(name, value) {
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
            c"LANGUAGE=/evil",
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
