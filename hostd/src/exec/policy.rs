//! Whether a program may be started: a pure function of the configuration, the files that it speaks of, and the request.

use super::glob;
use crate::config::Rule;
use std::ffi::{CString, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A rule and the file that it means now, if it names one.
#[derive(Clone, Debug)]
pub struct Known<'c> {
    /// As configured.
    pub rule: &'c Rule,
    /// Its program without symbolic links; `None` for a pattern, and for what is not there.
    pub target: Option<PathBuf>,
}

/// The rules with their files.
#[derive(Clone, Debug)]
pub struct Rules<'c> {
    /// Of `allow`.
    pub allow: Vec<Known<'c>>,
    /// Of `deny`.
    pub deny: Vec<Known<'c>>,
    /// Where programs may be started, without symbolic links; everywhere when absent.
    pub directories: Option<Vec<PathBuf>>,
}

/// What a guest wants started.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// The program's file, without symbolic links.
    pub program: &'r Path,
    /// Arguments, the first of which is the name that the program is told.
    pub arguments: &'r [CString],
    /// Where, without symbolic links.
    pub directory: &'r Path,
}

/// Why a program may not be started. Rules are named by their programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No rule allows it.
    NotAllowed(PathBuf),
    /// This rule allows it, by another name.
    Name(String),
    /// This rule allows it, with other arguments.
    Arguments(String),
    /// This rule forbids it.
    Denied(String),
    /// Not in this directory, but in those.
    Directory(PathBuf, Vec<PathBuf>),
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::NotAllowed(program) => {
                write!(f, "no rule of \"allow\" has {}", program.display())?
            }
            Denial::Name(rule) => write!(
                f,
                "the rule of \"allow\" for {rule:?} has it by that name alone"
            )?,
            Denial::Arguments(rule) => write!(
                f,
                "the rule of \"allow\" for {rule:?} does not have these arguments"
            )?,
            Denial::Denied(rule) => write!(f, "the rule of \"deny\" for {rule:?} has it")?,
            Denial::Directory(directory, all) => {
                let all: Vec<String> = all.iter().map(|one| one.display().to_string()).collect();
                let (directory, all) = (directory.display(), all.join(", "));
                write!(f, "{directory} is not in \"directories\" ({all}); go there")?;
                return f.write_str(", or add it under \"exec\" in hostd's configuration");
            }
        }
        f.write_str("; see \"exec\" in hostd's configuration")
    }
}

/// Whether a rule's program is a pattern for paths.
pub fn is_pattern(program: &str) -> bool {
    program.contains('*')
}

/// Judges a request: `deny` wins over `allow`, and what no rule names is denied.
///
/// # Errors
/// Why it is denied.
pub fn judge(rules: &Rules<'_>, request: &Request<'_>) -> Result<(), Denial> {
    if let Some(denial) = rules.deny.iter().find(|known| forbids(known, request)) {
        return Err(Denial::Denied(denial.rule.program.clone()));
    }
    if !rules.allow.iter().any(|known| permits(known, request)) {
        return Err(not_allowed(rules, request));
    }
    let inside = |directory: &PathBuf| request.directory.starts_with(directory);
    match &rules.directories {
        Some(all) if !all.iter().any(inside) => {
            Err(Denial::Directory(request.directory.to_owned(), all.clone()))
        }
        _ => Ok(()),
    }
}

/// Which rule would have allowed it if something else were otherwise.
fn not_allowed(rules: &Rules<'_>, request: &Request<'_>) -> Denial {
    let own = || {
        rules
            .allow
            .iter()
            .filter(|known| is_program(known, request))
    };
    let named = own().find(|known| has_name(known, request));
    match (named, own().next()) {
        (Some(known), _) => Denial::Arguments(known.rule.program.clone()),
        (None, Some(known)) => Denial::Name(known.rule.program.clone()),
        (None, None) => Denial::NotAllowed(request.program.to_owned()),
    }
}

/// Whether a program could be started with some arguments, somewhere.
pub fn could(rules: &Rules<'_>, request: &Request<'_>) -> bool {
    let denied = |known: &Known<'_>| known.rule.arguments.is_none() && is_program(known, request);
    let allowed = |known: &Known<'_>| has_name(known, request) && is_program(known, request);
    !rules.deny.iter().any(denied) && rules.allow.iter().any(allowed)
}

/// A rule forbids its file under whatever name it is started.
fn forbids(known: &Known<'_>, request: &Request<'_>) -> bool {
    is_program(known, request) && has_arguments(known.rule, request)
}

/// A rule permits its file under the rule's own name alone: a program of many names (busybox) is another by another name.
fn permits(known: &Known<'_>, request: &Request<'_>) -> bool {
    has_name(known, request) && is_program(known, request) && has_arguments(known.rule, request)
}

fn has_name(known: &Known<'_>, request: &Request<'_>) -> bool {
    let name = OsStr::from_bytes(request.arguments[0].as_bytes());
    let own = Path::new(&known.rule.program);
    is_pattern(&known.rule.program) || own.file_name() == Path::new(name).file_name()
}

fn is_program(known: &Known<'_>, request: &Request<'_>) -> bool {
    let pattern = known.rule.program.as_str();
    match is_pattern(pattern) {
        true if pattern == "*" => true,
        true => glob::matches(pattern, request.program.as_os_str().as_bytes(), true),
        false => known.target.as_deref() == Some(request.program),
    }
}

fn has_arguments(rule: &Rule, request: &Request<'_>) -> bool {
    let Some(patterns) = &rule.arguments else {
        return true;
    };
    let words = &request.arguments[1..];
    let (patterns, open) = match patterns.split_last() {
        Some((last, before)) if last == "**" => (before, true),
        _ => (patterns.as_slice(), false),
    };
    let enough = match open {
        true => words.len() >= patterns.len(),
        false => words.len() == patterns.len(),
    };
    let mut pairs = patterns.iter().zip(words);
    enough && pairs.all(|(pattern, word)| glob::matches(pattern, word.as_bytes(), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(program: &str, arguments: Option<&[&str]>) -> Rule {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Rule {
            program: program.to_owned(),
            arguments: arguments.map(own),
        }
    }

    /// Judges with rules whose names mean files of `/usr/bin`, but for applets of busybox.
    fn verdict(
        allow: &[Rule],
        deny: &[Rule],
        program: &str,
        arguments: &[&str],
    ) -> Result<(), Denial> {
        let target = |program: &str| match program {
            "ls" | "rm" => PathBuf::from("/usr/bin/busybox"),
            path => Path::new("/usr/bin").join(path),
        };
        fn known<'c>(rules: &'c [Rule], target: impl Fn(&str) -> PathBuf) -> Vec<Known<'c>> {
            let one = |rule: &'c Rule| Known {
                rule,
                target: Some(target(&rule.program)),
            };
            rules.iter().map(one).collect()
        }
        let rules = Rules {
            allow: known(allow, target),
            deny: known(deny, target),
            directories: Some(vec![PathBuf::from("/srv")]),
        };
        let words: Vec<CString> = arguments
            .iter()
            .map(|word| CString::new(*word).unwrap())
            .collect();
        let request = Request {
            program: Path::new(program),
            arguments: &words,
            directory: Path::new("/srv/x"),
        };
        judge(&rules, &request)
    }

    #[test]
    fn deny_wins_and_nothing_is_allowed_by_itself() {
        let (git, any) = ([rule("git", None)], [Rule::any()]);
        let unknown = |program: &str| Err(Denial::NotAllowed(program.into()));
        assert_eq!(
            verdict(&[], &[], "/usr/bin/git", &["git"]),
            unknown("/usr/bin/git")
        );
        assert_eq!(verdict(&git, &[], "/usr/bin/git", &["git", "x"]), Ok(()));
        assert_eq!(
            verdict(&git, &[], "/tmp/git", &["git"]),
            unknown("/tmp/git")
        );
        assert_eq!(
            verdict(&any, &git, "/usr/bin/git", &["other"]),
            Err(Denial::Denied("git".to_owned()))
        );
        assert_eq!(verdict(&any, &git, "/usr/bin/gitk", &["gitk"]), Ok(()));
        let opt = [rule("/opt/*/bin/*", None)];
        assert_eq!(verdict(&opt, &[], "/opt/a/bin/b", &["whatever"]), Ok(()));
        assert_eq!(
            verdict(&opt, &[], "/opt/a/bin/b/c", &["c"]),
            unknown("/opt/a/bin/b/c")
        );
    }

    #[test]
    fn a_program_of_many_names_is_allowed_by_one() {
        let ls = [rule("ls", None)];
        let busybox = |name: &str| verdict(&ls, &[], "/usr/bin/busybox", &[name, "rm", "x"]);
        assert_eq!(busybox("ls"), Ok(()));
        assert_eq!(busybox("/anywhere/ls"), Ok(()));
        for name in ["rm", "busybox", "", "/bin/rm"] {
            assert_eq!(busybox(name), Err(Denial::Name("ls".to_owned())), "{name}");
        }
        assert!(verdict(
            &[Rule::any()],
            &[rule("rm", None)],
            "/usr/bin/busybox",
            &["ls"]
        )
        .is_err());
    }

    #[test]
    fn arguments_are_matched_word_by_word() {
        let allow = |patterns: &[&str], words: &[&str]| {
            let words: Vec<&str> = std::iter::once("git")
                .chain(words.iter().copied())
                .collect();
            let verdict = verdict(&[rule("git", Some(patterns))], &[], "/usr/bin/git", &words);
            let refused = Err(Denial::Arguments("git".to_owned()));
            assert!(verdict.is_ok() || verdict == refused, "{verdict:?}");
            verdict.is_ok()
        };
        assert!(allow(&[], &[]) && !allow(&[], &["a"]));
        assert!(
            allow(&["status", "*"], &["status", "-s"]) && allow(&["status", "*"], &["status", ""])
        );
        assert!(
            !allow(&["status", "*"], &["status"])
                && !allow(&["status", "*"], &["status", "a", "b"])
        );
        assert!(allow(&["log", "**"], &["log"]) && allow(&["log", "**"], &["log", "a", "b"]));
        assert!(!allow(&["log", "**"], &["-c", "x", "log"]));
        assert!(allow(&["--format=*"], &["--format=%H\n"]) && !allow(&["--format=*"], &["--form"]));
    }

    #[test]
    fn directories_bound_where() {
        let words = [c"git".to_owned()];
        let any = Rule::any();
        let rules = |directories: Option<Vec<PathBuf>>| Rules {
            allow: vec![Known {
                rule: &any,
                target: None,
            }],
            deny: vec![],
            directories,
        };
        let at = |rules: &Rules<'_>, directory: &str| {
            judge(
                rules,
                &Request {
                    program: Path::new("/usr/bin/git"),
                    arguments: &words,
                    directory: Path::new(directory),
                },
            )
        };
        let some = rules(Some(vec![PathBuf::from("/srv/build")]));
        assert_eq!(
            (at(&some, "/srv/build"), at(&some, "/srv/build/a")),
            (Ok(()), Ok(()))
        );
        assert_eq!(
            at(&some, "/srv/building"),
            Err(Denial::Directory(
                "/srv/building".into(),
                vec!["/srv/build".into()]
            ))
        );
        assert_eq!(at(&rules(None), "/"), Ok(()));
        assert!(at(&rules(Some(vec![])), "/").is_err());
    }
}
