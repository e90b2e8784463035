//! Which variables of the guest's environment are offered to a host program, and as what.
//!
//! By itself what the policy's list holds crosses, but nothing for the sake of a bare `*`, which only admits what is named.
//! `--env NAME[=VALUE]` and `$HOSTCALL_ENV` name more. The host decides again, by its own copy of the policy.

use crate::paths::Prefix;
use hostcall::variables;
use std::ffi::CString;

/// What is done to a value on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Translate {
    /// Nothing.
    #[default]
    Nothing,
    /// It is a path.
    Path,
    /// It is a list of paths with colons between them.
    List,
}

/// A variable that is to cross because somebody has named it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: Vec<u8>,
    /// Its value; the guest's own if there is none.
    pub value: Option<Vec<u8>>,
    /// What is done to the value.
    pub translate: Translate,
}

impl Named {
    /// The guest's own variable, as it is.
    pub fn guests(name: Vec<u8>) -> Named {
        Named {
            name,
            ..Named::default()
        }
    }
}

/// What is offered to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// `NAME=VALUE`, later ones over earlier ones.
    pub variables: Vec<CString>,
    /// Names that were asked for and that the policy does not let cross.
    pub refused: Vec<Vec<u8>>,
}

/// Reads the value of `--env`: `NAME` or `NAME=VALUE`.
///
/// # Errors
/// There is no name.
pub fn parse_option(text: &[u8]) -> Result<Named, String> {
    let mut parts = text.splitn(2, |byte| *byte == b'=');
    let name = parts.next().unwrap_or_default().to_vec();
    match name.is_empty() {
        true => Err(format!(
            "{:?} names no variable; write NAME or NAME=VALUE",
            String::from_utf8_lossy(text)
        )),
        false => Ok(Named {
            name,
            value: parts.next().map(<[u8]>::to_vec),
            translate: Translate::Nothing,
        }),
    }
}

/// Reads `$HOSTCALL_ENV`, a list as WSLENV has it: `NAME[/FLAGS]:…`, where `p` says that the value is a path and `l` a list of
/// paths.
///
/// # Errors
/// An entry that names no variable, or has a flag that is not known.
pub fn parse_list(text: &[u8]) -> Result<Vec<Named>, String> {
    let entries = text.split(|byte| *byte == b':');
    entries
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let wrong = |what| {
                let entry = String::from_utf8_lossy(entry);
                format!("{entry:?} {what}; write NAME, NAME/p (a path) or NAME/l (a list of paths)")
            };
            let mut parts = entry.splitn(2, |byte| *byte == b'/');
            let name = parts.next().unwrap_or_default();
            let mut named = parse_option(name).map_err(|_| wrong("names no variable"))?;
            for flag in parts.next().unwrap_or_default() {
                named.translate = match flag {
                    b'p' => Translate::Path,
                    b'l' => Translate::List,
                    _ => return Err(wrong("has an unknown flag")),
                };
            }
            Ok(named)
        })
        .collect()
}

/// What crosses of `guest`, whose working directory is `directory`, under a policy's list.
pub fn offer(
    pass: &[String],
    guest: &[(Vec<u8>, Vec<u8>)],
    named: &[Named],
    prefix: &Prefix,
    directory: &[u8],
) -> Offer {
    let mut offer = Offer::default();
    let by_itself: Vec<&String> = pass.iter().filter(|entry| *entry != "*").collect();
    for (name, value) in guest {
        if variables::crosses(&by_itself, name) {
            offer.push(name, value);
        }
    }
    let path = |path: &[u8]| match prefix.to_host(directory, path) {
        Some(host) if !path.is_empty() => host,
        _ => path.to_vec(),
    };
    for variable in named {
        let own = || guest.iter().find(|(name, _)| *name == variable.name);
        let value = variable
            .value
            .clone()
            .or_else(|| own().map(|(_, value)| value.clone()));
        let Some(value) = value else {
            continue;
        };
        if !variables::crosses(pass, &variable.name) {
            if !offer.refused.contains(&variable.name) {
                offer.refused.push(variable.name.clone());
            }
            continue;
        }
        let value = match variable.translate {
            Translate::Nothing => value,
            Translate::Path => path(&value),
            Translate::List => {
                let parts: Vec<Vec<u8>> = value.split(|byte| *byte == b':').map(path).collect();
                parts.join(&b':')
            }
        };
        offer.push(&variable.name, &value);
    }
    offer
}

impl Offer {
    /// What comes out of an environment or an argument holds no NUL.
    fn push(&mut self, name: &[u8], value: &[u8]) {
        self.variables
            .extend(CString::new([name, b"=", value].concat()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(pass: &[&str], guest: &[(&str, &str)], named: &[Named]) -> (Vec<String>, Vec<String>) {
        let pass: Vec<String> = pass.iter().map(|entry| (*entry).to_owned()).collect();
        let bytes = |text: &str| text.as_bytes().to_vec();
        let guest: Vec<_> = guest.iter().map(|(n, v)| (bytes(n), bytes(v))).collect();
        let prefix = Prefix::parse(b"/host").unwrap();
        let offer = offer(&pass, &guest, named, &prefix, b"/host/w");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            offer
                .variables
                .iter()
                .map(|line| text(line.to_bytes()))
                .collect(),
            offer.refused.iter().map(|name| text(name)).collect(),
        )
    }

    const GUEST: &[(&str, &str)] = &[
        ("TERM", "xterm"),
        ("LC_ALL", "C"),
        ("LD_PRELOAD", "/evil.so"),
        ("LD_LIBRARY_PATH", "/evil"),
        ("BASH_ENV", "/evil.sh"),
        ("IFS", "x"),
        ("EDITOR", "vi"),
        ("EMPTY", ""),
    ];

    #[test]
    fn the_list_decides_what_crosses_by_itself() {
        let usual = made(&["TERM", "LANG", "LC_*"], GUEST, &[]);
        assert_eq!(usual.0, ["TERM=xterm", "LC_ALL=C"]);
        assert_eq!(made(&[], GUEST, &[]), (vec![], vec![]));
        // A star admits, and brings nothing.
        assert_eq!(made(&["*", "TERM"], GUEST, &[]).0, ["TERM=xterm"]);
    }

    #[test]
    fn what_changes_a_program_crosses_only_by_its_name() {
        let wanted = |name: &str| parse_option(name.as_bytes()).unwrap();
        let named = ["LD_PRELOAD", "BASH_ENV", "IFS=y"].map(wanted);
        let (offered, refused) = made(&["*", "L*", "B*", "I*"], GUEST, &named);
        assert_eq!(offered, ["LC_ALL=C"]);
        assert_eq!(refused, ["LD_PRELOAD", "BASH_ENV", "IFS"]);
        assert_eq!(made(&["LD_PRELOAD"], GUEST, &[]).0, ["LD_PRELOAD=/evil.so"]);
    }

    #[test]
    fn named_variables_cross_if_they_may() {
        let wanted = |name: &str| parse_option(name.as_bytes()).unwrap();
        let named = [
            "EDITOR",
            "EMPTY",
            "NEW=a=b\n",
            "TERM=dumb",
            "TERM=",
            "UNSET",
        ]
        .map(wanted);
        let (offered, refused) = made(&["*"], GUEST, &named);
        let expected = ["EDITOR=vi", "EMPTY=", "NEW=a=b\n", "TERM=dumb", "TERM="];
        assert_eq!(
            (offered, refused),
            (expected.map(str::to_owned).to_vec(), vec![])
        );
        assert_eq!(made(&["TERM"], GUEST, &named[..1]).1, ["EDITOR"]);
    }

    #[test]
    fn paths_are_translated_where_the_flag_says_so() {
        let named = parse_list(b"A/p:B/l:C:D/p:REL/p:NONE/p").unwrap();
        let guest = [
            ("A", "/host/etc"),
            ("B", "/host/bin:/usr/bin::/host"),
            ("C", "/host/etc"),
            ("D", "/etc"),
            ("REL", "x/y"),
            ("NONE", ""),
        ];
        let expected = [
            "A=/etc",
            "B=/bin:/usr/bin::/",
            "C=/host/etc",
            "D=/etc",
            "REL=/w/x/y",
            "NONE=",
        ];
        assert_eq!(made(&["*"], &guest, &named).0, expected);
    }

    #[test]
    fn lists_are_read_strictly() {
        assert_eq!(parse_list(b""), Ok(vec![]));
        assert_eq!(parse_list(b":X:").unwrap().len(), 1);
        assert!(parse_list(b"X/q").unwrap_err().contains("X/q"));
        assert!(parse_list(b"/p")
            .unwrap_err()
            .contains("write NAME, NAME/p"));
        assert!(parse_option(b"=x").is_err() && parse_option(b"").is_err());
    }
}
