//! The command lines of the programs. Options end at the first word that is none: what follows is the host program's, to
//! the letter.

use crate::environment::{parse_option, Named};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Parser, ValueEnum};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const HRUN: &str = "\
Variables: HOSTCALL_SESSION names the session whose host directory is used; without it that is the session of the terminal. \
HOSTCALL_ENV is a list NAME[/FLAG]:... of variables that cross to the host if the policy lets them; with p the value is \
translated as a path, with l as a list of paths. HOSTCALL_PREFIX is where host files appear, /host by itself.

Examples:
  hrun make 2>err.log | less
  hrun sort </host/etc/passwd >sorted
  commit=$(hrun git rev-parse HEAD)
  hrun --env EDITOR crontab -e
  hrun --install-link lpr && lpr notes.txt

See also: hcd(1), hpwd(1), hpath(1)";

const HCD: &str = "\
The session is that of HOSTCALL_SESSION or of the terminal: all programs of one shell have the same, and other shells do not \
move.

See also: hpwd(1), hrun(1)";

const HPATH: &str = "\
HOSTCALL_PREFIX is where host files appear, /host by itself. The text of the path decides; no link is followed but with -r.

See also: hrun(1)";

/// Runs a program on the host, with the guest's standard streams, terminal and signals.
///
/// It starts in the host directory of the session (see hcd); if hcd has not been used and the working directory is a host
/// directory, there; else in the home directory. Host files among the standard streams are handed over; a terminal is used
/// if standard input and output both are one.
///
/// The status is the program's: its code, or death by the same signal. 125: hrun itself failed; 126: the program is refused or
/// cannot be executed; 127: there is no such program.
#[derive(Clone, Debug, Parser, PartialEq, Eq)]
#[command(name = "hrun", version, trailing_var_arg = true, after_long_help = HRUN)]
pub struct Hrun {
    /// Use a terminal on the host even if standard input or output is none; what comes from standard input is its keys
    #[arg(short = 't', long, overrides_with = "no_terminal")]
    pub terminal: bool,
    /// Use no terminal on the host
    #[arg(short = 'T', long, overrides_with = "terminal")]
    pub no_terminal: bool,
    /// Have a variable cross to the host: the guest's, or one with this value. $HOSTCALL_ENV names more: NAME[/p], separated by
    /// colons, where p translates the value as a path
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = OsStringValueParser::new().try_map(|text| parse_option(text.as_bytes())))]
    pub env: Vec<Named>,
    /// Translate arguments that are paths under the prefix to the host's names
    #[arg(long)]
    pub translate: bool,
    /// Say on standard error how each standard stream was joined and how many bytes were carried
    #[arg(short, long)]
    pub verbose: bool,
    /// Make a link NAME in DIR by which the host's NAME runs like a program of the guest
    #[arg(long, value_name = "NAME", conflicts_with_all = ["env", "terminal", "no_terminal", "translate"])]
    pub install_link: Option<OsString>,
    /// Print the script by which a shell completes host programs and host paths: . <(hrun --completion bash)
    #[arg(long, value_name = "SHELL", conflicts_with = "words")]
    pub completion: Option<Shell>,
    /// Print what a word that begins so could become, for such a script
    #[arg(long, value_name = "KIND", hide = true)]
    pub complete: Option<Complete>,
    /// The host program, by name or path, and its arguments
    #[arg(value_name = "CMD [ARGS]", required_unless_present_any = ["install_link", "completion", "complete"])]
    pub words: Vec<OsString>,
}

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash(1).
    Bash,
    /// zsh(1).
    Zsh,
}

/// What is completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Complete {
    /// The name of a program.
    Program,
    /// A path.
    Path,
    /// A path of a directory.
    Directory,
}

/// Moves the working directory that this session has on the host.
#[derive(Clone, Debug, Parser, PartialEq, Eq)]
#[command(name = "hcd", version, after_long_help = HCD)]
pub struct Hcd {
    /// Where to, a path of the host; home if it is missing, the directory before if it is `-`
    pub directory: Option<OsString>,
}

/// Prints the working directory that this session has on the host.
#[derive(Clone, Debug, Parser, PartialEq, Eq)]
#[command(name = "hpwd", version)]
pub struct Hpwd {}

/// Translates paths between guest and host.
#[derive(Clone, Debug, Parser, PartialEq, Eq)]
#[command(name = "hpath", version, disable_help_flag = true, after_long_help = HPATH)]
pub struct Hpath {
    /// The guest's names of host paths
    #[arg(short = 'g', long, conflicts_with_all = ["host", "resolve"])]
    pub guest: bool,
    /// The host's names of guest paths, which must be under the prefix [default]
    #[arg(short = 'h', long)]
    pub host: bool,
    /// The same after following all symbolic links; the files must exist
    #[arg(short = 'r', long)]
    pub resolve: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    pub help: Option<bool>,
    /// Paths; relative ones start at the working directory
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
}

/// Reads the command line of hrun, or of a link to it, which runs the host's program of its own name.
///
/// # Errors
/// What clap says, `--help` included.
pub fn hrun(words: impl IntoIterator<Item = OsString>) -> Result<Hrun, clap::Error> {
    let words: Vec<OsString> = words.into_iter().collect();
    let own = words.first().map(|word| Path::new(word).file_name());
    match own.flatten() {
        Some(name) if name != OsStr::new("hrun") => {
            let name = std::iter::once(name.to_owned());
            Ok(Hrun::of(name.chain(words.iter().skip(1).cloned())))
        }
        _ if has_no_options(&words) => Ok(Hrun::of(words.into_iter().skip(1))),
        _ => Hrun::try_parse_from(words),
    }
}

/// Whether the first word is the program's already, so that nothing is to be read: setting up a parser takes longer than all else
/// that hrun does by itself.
fn has_no_options(words: &[OsString]) -> bool {
    words
        .get(1)
        .is_some_and(|word| !word.as_bytes().starts_with(b"-"))
}

impl Hrun {
    /// A program and its arguments, without options.
    fn of(words: impl Iterator<Item = OsString>) -> Hrun {
        Hrun {
            words: words.collect(),
            terminal: false,
            no_terminal: false,
            env: Vec::new(),
            translate: false,
            verbose: false,
            install_link: None,
            completion: None,
            complete: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Hrun, clap::Error> {
        hrun(words.iter().map(OsString::from))
    }

    #[test]
    fn options_end_at_the_first_word_that_is_none() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["ls", "-l", "--", "-t"], &["ls", "-l", "--", "-t"]),
            (&["-T", "ls", "--help"], &["ls", "--help"]),
            (&["--", "-x", "--"], &["-x", "--"]),
            (&["--", "--", "x"], &["--", "x"]),
            (&["sh", "-c", ""], &["sh", "-c", ""]),
            (&["", "-t"], &["", "-t"]),
            (
                &["a\nb", "c\nd", "-v", "--env"],
                &["a\nb", "c\nd", "-v", "--env"],
            ),
            (&["-", "-t"], &["-", "-t"]),
        ];
        for (given, expected) in cases {
            let words: Vec<&str> = std::iter::once("/bin/hrun")
                .chain(given.iter().copied())
                .collect();
            let parsed = Hrun::try_parse_from(&words).unwrap();
            let read = read(&words).unwrap();
            assert_eq!(read, parsed, "{given:?}");
            assert_eq!(read.words, *expected, "{given:?}");
            assert!(!read.terminal && !read.verbose && read.env.is_empty());
        }
    }

    #[test]
    fn options_before_it_are_read() {
        let read = read(&[
            "hrun",
            "-v",
            "--env",
            "A=b=c",
            "--env",
            "D",
            "--translate",
            "-t",
            "-T",
            "x",
        ])
        .unwrap();
        assert!(read.no_terminal && !read.terminal && read.translate && read.verbose);
        assert_eq!(read.env[0].value.as_deref(), Some(b"b=c".as_slice()));
        assert_eq!(read.env[1].name, b"D");
    }

    #[test]
    fn nonsense_is_refused() {
        for words in [
            &["hrun"][..],
            &["hrun", "-q", "ls"],
            &["hrun", "--env", "=x", "ls"],
            &["hrun", "--env"],
            &["hrun", "-t"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_link_runs_the_program_of_its_name() {
        let read = read(&["/usr/local/bin/lpr", "-t", "--help", ""]).unwrap();
        assert_eq!(read.words, ["lpr", "-t", "--help", ""]);
        assert!(!read.terminal);
    }

    #[test]
    fn links_are_installed_by_name() {
        let read = read(&["hrun", "--install-link", "lpr", "/opt/bin"]).unwrap();
        assert_eq!(read.install_link.as_deref(), Some(OsStr::new("lpr")));
        assert_eq!(read.words, ["/opt/bin"]);
    }

    #[test]
    fn hpath_translates_one_way() {
        let read = |words: &[&str]| Hpath::try_parse_from(words);
        assert!(read(&["hpath", "-h", "/host/etc"]).unwrap().host);
        assert!(read(&["hpath", "-r", "x"]).unwrap().resolve);
        assert!(read(&["hpath", "-g", "-h", "x"]).is_err() && read(&["hpath"]).is_err());
        let hcd = Hcd::try_parse_from(["hcd", "-"]).unwrap();
        assert_eq!(hcd.directory.as_deref(), Some(OsStr::new("-")));
        assert_eq!(Hcd::try_parse_from(["hcd"]).unwrap().directory, None);
    }
}
