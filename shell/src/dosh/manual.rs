//! What `dosh --help` and dosh(1) say. The command line itself is read by [`super::invocation`], for no reader of options knows
//! `+o`.

use clap::{Arg, ArgAction, Command};

const USAGE: &str = "\
dosh [OPTION...] [SCRIPT [ARGUMENT...]]
       dosh [OPTION...] -c COMMANDS [NAME [ARGUMENT...]]
       dosh [OPTION...] -s [ARGUMENT...]";

const LONG: &str = "\
A POSIX shell whose commands run in the guest or on the host.

A stage of a pipeline runs on the host if it begins with hrun; neighbours on the host are joined there. A line that begins with @ \
runs on the host as a whole, but for functions and built-ins; host on has every line do so, host off or guest none, and guest \
COMMAND one command in the guest. hcd and hpwd are cd and pwd for the host, where hcd - goes back; $HPWD and $HOLDPWD are the \
directories there. jobs says of a job that it works on the host; hjobs lists those.";

const AFTER: &str = "\
Options of set are options here as well: -abCefhmnuvx, -o NAME, and +o NAME to switch one off.

Variables: HOSTCALL_SESSION, HOSTCALL_ENV and HOSTCALL_PREFIX are those of hrun(1); HPWD and HOLDPWD are the directories of the \
session on the host, now and before.

Files: ~/.doshrc is read by a shell at a terminal, /etc/profile and ~/.profile by the shell of a session.

Examples:
  hrun make 2>&1 | hrun grep warning | less
  @ make test | less
  hcd ~/work; commit=$(hrun git rev-parse HEAD)
  dosh --explain -c 'a | hrun b | hrun c'

The status is that of the last command; 126 and 127 for commands that cannot be executed or are not there, on either side.

See also: hrun(1), hcd(1), hpath(1)";

fn option(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).help(help).action(ArgAction::SetTrue)
}

/// The command line as the manual shows it.
pub fn command() -> Command {
    Command::new("dosh")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A POSIX shell whose commands run in the guest or on the host")
        .long_about(LONG)
        .override_usage(USAGE)
        .after_long_help(AFTER)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(option("c", "Commands are the next argument").short('c'))
        .arg(option("s", "Commands come from standard input").short('s'))
        .arg(option("i", "Interactive, as without -c and SCRIPT on a terminal").short('i'))
        .arg(
            option(
                "login",
                "The shell of a session: reads /etc/profile and ~/.profile",
            )
            .short('l')
            .long("login"),
        )
        .arg(option("norc", "Interactive, but without reading ~/.doshrc").long("norc"))
        .arg(option("posix", "As set -o posix").long("posix"))
        .arg(
            option(
                "explain",
                "Tell where each stage of the commands would run, and run nothing",
            )
            .long("explain"),
        )
        .arg(option("help", "Print help").long("help"))
        .arg(option("version", "Print version").long("version"))
        .arg(Arg::new("SCRIPT").help("A file of commands"))
        .arg(
            Arg::new("ARGUMENT")
                .help("The positional parameters")
                .num_args(0..)
                .trailing_var_arg(true),
        )
}
