//! The hostd command.
#![deny(unsafe_code)]

use clap::{Parser, Subcommand, ValueEnum};
use hostcall::say::{complain, say};
use hostd::config::{Change, Config, Severity};
use hostd::export::Selection;
use hostd::guest::{Kind, Status};
use hostd::server::admin::{self, Question};
use std::ffi::OsString;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The host's side of host calls: guests read, write and list host files as if they were their own.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the guests of a configuration until a signal.
    Serve {
        /// JSON file (docs/CONFIG.md); without it, one guest for the calling user that sees all of / read-write.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Boot a guest, run COMMAND in it with the host's files under the prefix, and end with its status.
    #[command(after_help = "\
SIGINT, SIGTERM, SIGHUP and SIGQUIT are passed on to COMMAND. The guest ends if COMMAND has not ended --grace seconds
after SIGTERM, and at the third SIGTERM or SIGHUP. On a terminal both hang it up, and the guest ends two seconds later.")]
    Run {
        /// Kind of guest: a user-mode Linux kernel, or namespaces of this one. `auto` takes UML where installed.
        #[arg(long, value_enum, default_value = "auto")]
        guest: GuestKind,
        /// Where the host's files appear in the guest.
        #[arg(long, value_name = "PREFIX", default_value = "/host")]
        mount: PathBuf,
        /// Do not mount the host's files (hostfs): only programs under the preload see them.
        #[arg(long)]
        no_mount: bool,
        /// Directory with the guest's root files, never written to; the host's root when absent.
        #[arg(long, value_name = "DIR", value_parser = hostd::run::root)]
        root: Option<PathBuf>,
        /// Memory of a guest with its own kernel.
        #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = hostd::run::size)]
        mem: u64,
        /// Whose rights the guest's host calls have: a host user's, or each caller's own. Yours when absent.
        #[arg(long = "as", value_name = "USER|caller")]
        rights: Option<String>,
        /// Host subtree that the guest sees, PATH[:ro|:rw]; may be repeated. All of / when absent.
        #[arg(long, value_name = "PATH", value_parser = hostd::run::export)]
        export: Vec<hostd::config::Export>,
        /// Host file to copy into the guest before COMMAND starts; may be repeated.
        #[arg(long, value_name = "FILE:PATH", value_parser = hostd::run::copy)]
        copy: Vec<(PathBuf, PathBuf)>,
        /// Shell of the guest that is opened without COMMAND: dosh on a terminal, else bash or sh, when absent.
        #[arg(long, value_name = "PROGRAM", conflicts_with = "command")]
        shell: Option<OsString>,
        /// How long COMMAND may take to end after SIGTERM, as `docker stop -t`.
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        grace: u32,
        /// Command and arguments; a shell when absent.
        #[arg(trailing_var_arg = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Show running hostds, their guests, and how their shadows are confined.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show host calls as they happen: guest, process (its shadow, where the guest has a kernel of its own), call.
    Trace {
        /// Of this guest only.
        #[arg(long, value_name = "NAME")]
        guest: Option<String>,
    },
    /// Show what running guests see of the host, or change it while they run.
    Export {
        #[command(subcommand)]
        change: Option<ExportChange>,
        /// Of this guest only; needed where several run.
        #[arg(long, value_name = "NAME", global = true)]
        guest: Option<String>,
        /// Of the hostd with this process id only, where guests of several have one name.
        #[arg(long, value_name = "PID", global = true)]
        hostd: Option<u32>,
    },
    /// Check a configuration file.
    Check {
        /// JSON file.
        file: PathBuf,
    },
}

/// Processes of the guest that have made a host call keep what they see, and their open files, until they end.
#[derive(Debug, Subcommand)]
enum ExportChange {
    /// Export one more host subtree, or change the mode of an export.
    Add {
        /// PATH[:ro|:rw]
        #[arg(value_parser = hostd::run::export)]
        export: hostd::config::Export,
    },
    /// Export a host subtree no more.
    Remove {
        /// As `hostd export` lists it.
        path: PathBuf,
        /// Also end the sessions of processes that still see it: their host calls fail from then on.
        #[arg(long)]
        now: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GuestKind {
    Auto,
    Local,
    Uml,
}

#[used]
#[allow(unsafe_code)]
#[link_section = ".init_array"]
static LOOK: extern "C" fn() = hostcall::missing::look;

fn main() -> ExitCode {
    // Hidden roles of this program: they are started by hostd itself.
    match std::env::args_os().nth(1) {
        Some(role) if role == hostd::shadow::title::ZYGOTE => {
            hostd::stderr::never_wait();
            log_to_stderr("warn");
            hostd::shadow::zygote::run()
        }
        Some(role) if role == hostd::exec::launcher::LAUNCHER => {
            hostd::stderr::never_wait();
            log_to_stderr("warn");
            hostd::exec::launcher::run()
        }
        Some(role) if role == "guest-init" => {
            hostd::guest::init::main(hostcall::attach::resident::reside)
        }
        _ => {}
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let serves = matches!(arguments.command, Command::Serve { .. });
    if serves {
        // Not for `run`, whose guest has the same standard error.
        hostd::stderr::never_wait();
    }
    log_to_stderr(if serves { "info" } else { "warn" });
    match execute(arguments.command) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn fail(error: &str) -> ExitCode {
    complain("hostd", error);
    ExitCode::from(125)
}

/// Tells what the command line asks for, or why it cannot be.
fn explain(error: &clap::Error) -> ExitCode {
    // A terminal shows styles, and takes all that there is.
    if error.use_stderr() || std::io::stdout().is_terminal() {
        error.exit()
    }
    match say(error.render().to_string()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn log_to_stderr(level: &str) {
    let filter = env_logger::Env::new().filter_or("HOSTD_LOG", level);
    let format = |f: &mut env_logger::fmt::Formatter, record: &log::Record| {
        // One line, whatever a guest's names put into it (CVE-2023-28101).
        let text = hostd::server::complaints::printable(&record.args().to_string());
        writeln!(f, "hostd: {text}")
    };
    env_logger::Builder::from_env(filter)
        .format(format)
        .target(env_logger::Target::Pipe(Box::new(
            hostd::stderr::Lines::default(),
        )))
        .init();
}

fn execute(command: Command) -> Result<ExitCode, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    match command {
        Command::Serve { config } => {
            let config = match config {
                Some(file) => Config::load(&file).map_err(|error| error.to_string())?,
                None => Config::default_for_user(),
            };
            hostd::serve::serve(&config, program)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run {
            guest,
            mount,
            no_mount,
            root,
            mem,
            rights,
            export,
            copy,
            shell,
            grace,
            command,
        } => {
            let kind = match guest {
                GuestKind::Auto => Kind::auto(),
                GuestKind::Local => Kind::Local,
                GuestKind::Uml => Kind::Uml,
            };
            // With somebody else's rights, the calling user's environment would be wrong, and all programs too many.
            let own = rights.is_none();
            let mut config = hostd::config::GuestConfig {
                rights: rights.map(Into::into).unwrap_or_default(),
                exec: own.then(hostd::config::ExecConfig::of_calling_user),
                ..Default::default()
            };
            if !export.is_empty() {
                config.exports = export;
            }
            if command.is_empty() && hostd::run::on_terminal() {
                hint(kind, &mount);
            }
            let run = hostd::run::Run {
                kind,
                prefix: mount,
                mount: !no_mount,
                root,
                mem_mib: mem,
                config,
                copies: copy,
                shell,
                grace: Duration::from_secs(grace.into()),
                command,
            };
            Ok(finish(hostd::run::run(run, program)?))
        }
        Command::Status { json } => status(json),
        Command::Trace { guest } => trace(guest),
        Command::Export {
            change,
            guest,
            hostd,
        } => export(change, Selection { guest, hostd }),
        Command::Check { file } => check(&file),
    }
}

/// Ends as the command ended: with its code, or by its signal as a shell reports it.
fn finish(status: Status) -> ExitCode {
    match status {
        Status::Code(code) => ExitCode::from(code as u8),
        Status::Signal(signal) => ExitCode::from(128u8.wrapping_add(signal as u8)),
    }
}

/// What to try first, for somebody at a terminal.
fn hint(kind: Kind, prefix: &std::path::Path) {
    let kind = match kind {
        Kind::Uml => "a Linux kernel of its own",
        Kind::Local => "namespaces of this kernel",
    };
    let prefix = prefix.display();
    let _ = writeln!(
        std::io::stderr(),
        "This shell runs in a guest ({kind}); the host's files are under {prefix}."
    );
    let _ = writeln!(std::io::stderr(), "Try:  ls {prefix}/etc   echo hello > {prefix}/tmp/from-guest   sort < {prefix}/etc/passwd | head -3");
    let _ = writeln!(std::io::stderr(), "What is written outside {prefix} stays in the guest and is gone after `exit`. On the host: hostd status, hostd trace.");
}

fn status(json: bool) -> Result<ExitCode, String> {
    let all = admin::states();
    if json {
        let text = serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?;
        say(format!("{text}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if all.is_empty() {
        say("no hostd runs for this user; start one with `hostd run` or `hostd serve`\n")?;
        return Ok(ExitCode::FAILURE);
    }
    let text: String = all.iter().map(hostd::status::text).collect();
    say(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn trace(guest: Option<String>) -> Result<ExitCode, String> {
    let running = admin::running();
    if running.is_empty() {
        return Err(
            "no hostd runs for this user; start one with `hostd run` or `hostd serve`".to_owned(),
        );
    }
    let threads: Vec<_> = running
        .into_iter()
        .map(|stream| {
            let question = Question::Trace {
                guest: guest.clone(),
            };
            std::thread::spawn(move || {
                let mut seen = false;
                let Ok(lines) = admin::ask(stream, &question) else {
                    return seen;
                };
                for line in lines.lines().map_while(Result::ok) {
                    match say(format!("{line}\n")) {
                        Ok(true) => seen = true,
                        Ok(false) => std::process::exit(0),
                        Err(error) => {
                            complain("hostd", error);
                            std::process::exit(125);
                        }
                    }
                }
                seen
            })
        })
        .collect();
    let seen = threads
        .into_iter()
        .fold(false, |seen, thread| thread.join().unwrap_or(false) | seen);
    match guest {
        Some(name) if !seen => Err(format!(
            "no hostd of this user serves a guest '{name}' that made a call; `hostd status` names the guests"
        )),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn export(change: Option<ExportChange>, selection: Selection) -> Result<ExitCode, String> {
    match change {
        None => {
            say(&hostd::export::list(&selection)?)?;
        }
        Some(ExportChange::Add { export }) => {
            hostd::export::change(&selection, Change::Add(export), false)?;
        }
        Some(ExportChange::Remove { path, now }) => {
            hostd::export::change(&selection, Change::Remove(path), now)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check(file: &std::path::Path) -> Result<ExitCode, String> {
    let findings = hostd::config::check(file);
    let mut text: String = findings
        .iter()
        .map(|finding| format!("{finding}\n"))
        .collect();
    if findings.is_empty() {
        text = format!("{}: fine\n", file.display());
    }
    say(&text)?;
    let broken = findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    Ok(if broken {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
