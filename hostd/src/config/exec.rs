//! Which host programs a guest may start, as whom, and with what.

use super::HostUser;
use crate::config::user::UserError;
use serde::de::{value::MapAccessDeserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What a guest may start. Without it, it may start nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecConfig {
    /// Programs that may be started.
    pub allow: Vec<Rule>,
    /// Programs that may not, whatever `allow` says.
    pub deny: Vec<Rule>,
    /// The host user as whom they run; the guest's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Variables that they get, over those of a login of that user.
    pub environment: BTreeMap<String, String>,
    /// Names and patterns of the variables that the guest may set.
    pub pass: Vec<String>,
    /// Directories in which they may be started, with all below; everywhere when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directories: Option<Vec<PathBuf>>,
    /// Seconds that one may take; any number when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// Programs that run at once: 256.
    pub processes: u32,
    /// What each process of theirs may use.
    pub limits: ProgramLimits,
    /// Where each start, refusal and end is written down; the log when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<PathBuf>,
}

impl Default for ExecConfig {
    fn default() -> Self {
        ExecConfig {
            allow: Vec::new(),
            deny: Vec::new(),
            user: None,
            environment: BTreeMap::new(),
            pass: PASS.map(str::to_owned).to_vec(),
            directories: None,
            seconds: None,
            processes: 256,
            limits: ProgramLimits::default(),
            audit: None,
        }
    }
}

/// What a terminal's program has to know of the person before it.
const PASS: [&str; 7] = ["TERM", "LANG", "LC_*", "COLUMNS", "LINES", "TZ", "NO_COLOR"];

/// Variables of hostd's own that mean nothing to a program that it starts for somebody, or that change what a program is.
const NOT_INHERITED: [&str; 2] = ["HOSTCALL_", "LD_"];

impl ExecConfig {
    /// What the calling user's own guest may do: whatever the user may, in the environment in which hostd was started.
    pub fn of_calling_user() -> ExecConfig {
        let inherited = std::env::vars_os().filter_map(|(name, value)| {
            let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
            let kept = !NOT_INHERITED.iter().any(|head| name.starts_with(head));
            (kept && !name.is_empty()).then_some((name, value))
        });
        ExecConfig {
            allow: vec![Rule::any()],
            environment: inherited.collect(),
            // Nothing more crosses by itself, but the person at the guest may name what is to.
            pass: PASS.into_iter().chain(["*"]).map(str::to_owned).collect(),
            ..ExecConfig::default()
        }
    }

    /// The user as whom programs run, given the guest's own.
    ///
    /// # Errors
    /// There is no such user.
    pub fn user(&self, own: &HostUser) -> Result<HostUser, UserError> {
        match &self.user {
            Some(name) => HostUser::named(name),
            None => Ok(own.clone()),
        }
    }
}

/// One rule: a program, and what its arguments must look like.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// A name that is looked up in `PATH`, an absolute path, or a pattern for absolute paths.
    pub program: String,
    /// A pattern for each argument; any when absent.
    pub arguments: Option<Vec<String>>,
}

impl Rule {
    /// Every program.
    pub fn any() -> Rule {
        Rule {
            program: "*".to_owned(),
            arguments: None,
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let Some(arguments) = &self.arguments else {
            return serializer.serialize_str(&self.program);
        };
        let mut rule = serializer.serialize_struct("Rule", 2)?;
        rule.serialize_field("program", &self.program)?;
        rule.serialize_field("arguments", arguments)?;
        rule.end()
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rule, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            program: String,
            arguments: Option<Vec<String>>,
        }

        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Rule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a program, or an object with `program` and `arguments`")
            }

            fn visit_str<E: serde::de::Error>(self, program: &str) -> Result<Rule, E> {
                Ok(Rule {
                    program: program.to_owned(),
                    arguments: None,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rule, A::Error> {
                let full = Full::deserialize(MapAccessDeserializer::new(map));
                let Full { program, arguments } = full.map_err(A::Error::custom)?;
                Ok(Rule { program, arguments })
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Bounds on each process of a program, setrlimit(2). Absent ones are those that hostd has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProgramLimits {
    /// Processor time, `RLIMIT_CPU`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<u64>,
    /// Address space, MiB, `RLIMIT_AS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Open files, `RLIMIT_NOFILE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// Longest file that it writes, MiB, `RLIMIT_FSIZE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mib: Option<u64>,
    /// Longest core file, MiB, `RLIMIT_CORE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_mib: Option<u64>,
    /// Processes and threads of the user, those of others among them, `RLIMIT_NPROC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_processes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_word_or_an_object() {
        let text = r#"["git", {"program": "make", "arguments": ["-j*", "**"]}]"#;
        let rules: Vec<Rule> = serde_json::from_str(text).unwrap();
        assert_eq!(
            (rules[0].program.as_str(), &rules[0].arguments),
            ("git", &None)
        );
        assert_eq!(rules[1].arguments.as_ref().unwrap().len(), 2);
        let again: Vec<Rule> =
            serde_json::from_value(serde_json::to_value(&rules).unwrap()).unwrap();
        assert_eq!(again, rules);
        let slip = serde_json::from_str::<Rule>(r#"{"program": "a", "argument": []}"#);
        assert!(slip
            .unwrap_err()
            .to_string()
            .contains("unknown field `argument`"));
    }

    #[test]
    fn nothing_is_allowed_unless_it_is_named() {
        let config: ExecConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, ExecConfig::default());
        assert!(config.allow.is_empty());
        assert!(ExecConfig::of_calling_user()
            .environment
            .keys()
            .all(|name| !name.starts_with("LD_")));
    }
}
