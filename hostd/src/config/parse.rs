//! From a JSON file to a [`Config`], with errors that say where and what was probably meant.

use super::check::Finding;
use super::{Config, GuestConfig};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::Deserializer;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A larger file is not a configuration; it is not read into memory.
const MAX_BYTES: u64 = 1 << 20;

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not the JSON that is expected.
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong, and the cure.
        message: String,
    },
    /// The values make no sense; one finding each.
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the cure.
        faults: Vec<Finding>,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Read { path, source } => {
                write!(f, "{}: cannot be read: {source}", path.display())
            }
            ConfigError::Syntax {
                path,
                line,
                column,
                message,
            } => write!(f, "{}:{line}:{column}: {message}", path.display()),
            ConfigError::Invalid { path, faults } => {
                for (index, fault) in faults.iter().enumerate() {
                    let separator = if index == 0 { "" } else { "\n" };
                    write!(
                        f,
                        "{separator}{}: {}: {}",
                        path.display(),
                        fault.key,
                        fault.message
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConfigError::Read { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Reads a file without judging its values.
pub(super) fn read(path: &Path) -> Result<Config, ConfigError> {
    let fail = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    // What is read counts, not the length that is told: a pipe or a device tells none.
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    let size = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    if size.map_err(fail)? as u64 > MAX_BYTES {
        let why = format!("more than {MAX_BYTES} bytes is too long for a configuration");
        return Err(fail(io::Error::other(why)));
    }
    parse(path, &bytes)
}

/// Parses a file's bytes; the path is for messages.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Config, ConfigError> {
    let syntax = |line, column, message| ConfigError::Syntax {
        path: path.to_owned(),
        line,
        column,
        message,
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let column = 1 + before
            .iter()
            .rev()
            .take_while(|&&byte| byte != b'\n')
            .count();
        syntax(
            line,
            column,
            "not UTF-8; a path that is not UTF-8 cannot be exported".to_owned(),
        )
    })?;
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&position).unwrap_or(&message);
        syntax(error.line(), error.column(), with_nearest(message))
    })
}

/// Names that are unlike the ones they stand for.
const SYNONYMS: &[(&str, &str)] = &[("user", "as")];

/// Adds the nearest known name to serde's "unknown field `x`, expected one of `a`, `b`".
fn with_nearest(message: &str) -> String {
    let is_unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let Some((head, tail)) = message.split_once("`, expected ") else {
        return message.to_owned();
    };
    let Some((_, unknown)) = head.split_once('`').filter(|_| is_unknown) else {
        return message.to_owned();
    };
    let known = || tail.split('`').skip(1).step_by(2);
    if let Some((_, name)) = SYNONYMS
        .iter()
        .find(|(other, name)| *other == unknown && known().any(|known| known == *name))
    {
        return format!("{head}`; did you mean `{name}`?");
    }
    let nearest = known()
        .map(|name| (strsim::damerau_levenshtein(unknown, name), name))
        .min();
    match nearest {
        Some((distance, name)) if distance <= 1 + name.len() / 3 => {
            format!("{head}`; did you mean `{name}`?")
        }
        _ => {
            let all: Vec<_> = known().collect();
            format!("{head}`; known here: {}", all.join(", "))
        }
    }
}

/// Reads the guests and refuses a name that stands twice, of which serde would keep the last without a word.
pub(super) fn unique_guests<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, GuestConfig>, D::Error> {
    struct Guests;

    impl<'de> Visitor<'de> for Guests {
        type Value = BTreeMap<String, GuestConfig>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of guests by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut guests = BTreeMap::new();
            while let Some(name) = map.next_key::<String>()? {
                if guests.contains_key(&name) {
                    return Err(A::Error::custom(format!(
                        "guest `{name}` stands twice; give one another name"
                    )));
                }
                let guest = map.next_value()?;
                guests.insert(name, guest);
            }
            Ok(guests)
        }
    }

    deserializer.deserialize_map(Guests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(Path::new("c.json"), text.as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_mistyped_key_is_refused_with_the_nearest_at_every_level() {
        assert_eq!(
            fault(r#"{"guest": {}}"#),
            "c.json:1:8: unknown field `guest`; did you mean `guests`?"
        );
        assert_eq!(
            fault("{\"guests\": {\"a\": {\n  \"exprots\": []}}}"),
            "c.json:2:11: unknown field `exprots`; did you mean `exports`?"
        );
        let nested = r#"{"guests": {"a": {"exports": [{"path": "/", "mod": "ro"}]}}}"#;
        assert!(fault(nested).ends_with("unknown field `mod`; did you mean `mode`?"));
        let limits = r#"{"guests": {"a": {"limits": {"open-files": 3}}}}"#;
        assert!(fault(limits).ends_with("did you mean `open_files`?"));
        let device = r#"{"guests": {"a": {"attach": {"device": {"regoin": "/x"}}}}}"#;
        assert!(fault(device).ends_with("did you mean `region`?"));
        let kind = r#"{"guests": {"a": {"attach": {"locla": "/x"}}}}"#;
        assert!(fault(kind).ends_with("did you mean `local`?"));
        let user = r#"{"guests": {"a": {"user": "me"}}}"#;
        assert!(fault(user).ends_with("unknown field `user`; did you mean `as`?"));
        let map = r#"{"guests": {"a": {"uid_map": [{"guets": 1}]}}}"#;
        assert!(fault(map).ends_with("did you mean `guest`?"));
        let mode = r#"{"guests": {"a": {"exports": [{"mode": "r"}]}}}"#;
        assert!(fault(mode).contains("did you mean `r"), "{}", fault(mode));
    }

    #[test]
    fn a_key_unlike_any_other_gets_the_list() {
        assert_eq!(
            fault(r#"{"guests": {"a": {"colour": 1}}}"#),
            "c.json:1:26: unknown field `colour`; known here: attach, as, uid_map, gid_map, exports, limits, exec"
        );
    }

    #[test]
    fn faults_say_where_they_stand() {
        assert!(fault("{\n\"guests\": [}").starts_with("c.json:2:"));
        assert!(fault(r#"{"guests": {"a": {}, "a": {}}}"#).contains("guest `a` stands twice"));
        let twice = r#"{"guests": {"a": {"as": "x", "as": "y"}}}"#;
        assert!(fault(twice).contains("duplicate field `as`"));
        let negative = r#"{"guests": {"a": {"limits": {"processes": -1}}}}"#;
        assert!(fault(negative).contains("expected u32"));
        let bytes = parse(Path::new("c.json"), b"{\n \"guests\": \"\xff\"}").unwrap_err();
        assert!(
            bytes.to_string().starts_with("c.json:2:13: not UTF-8"),
            "{bytes}"
        );
    }
}
