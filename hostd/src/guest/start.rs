//! Starting a guest and seeing it to its end.

use super::signals::SignalPipe;
use super::*;

/// Milliseconds that a dying guest may take before its helper is killed.
const END_GRACE: Duration = Duration::from_secs(2);
/// Socket buffers of the lines: a batch of frames in one go.
const LINE_BUFFER: usize = 256 * 1024;

/// A guest that was started; dropping it ends it.
#[derive(Debug)]
pub struct Running {
    helper: Child,
    link: Option<FrameLink>,
    report: OwnedFd,
    log: Option<OwnedFd>,
    stdio: [Stdio; 3],
    signals: Option<SignalPipe>,
    grace: Duration,
}

/// Starts a guest. It boots while the caller goes on; [`Running::wait`] carries its console.
///
/// # Errors
/// What can be told before the guest's processes run; the rest comes from `wait`.
pub fn start(launch: Launch) -> Result<Running, Error> {
    check(&launch)?;
    let stdio = choose_stdio(
        launch.kind,
        [
            io::stdin().is_terminal(),
            io::stdout().is_terminal(),
            io::stderr().is_terminal(),
        ],
        hostcall::open_file::are_one(io::stdout().as_fd(), io::stderr().as_fd()),
    );
    // From before the command can run: a signal in between must reach it, not end hostd.
    let signals = SignalPipe::install(&relay::SIGNALS)
        .map_err(|error| Error::system("take over signals", error))?;
    let (ours, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .map_err(|error| Error::system("make the console line", error))?;
    for end in [&ours, &theirs] {
        let _ = setsockopt(end, sockopt::SndBuf, &LINE_BUFFER);
    }
    let (report, report_writer) =
        pipe2(OFlag::O_CLOEXEC).map_err(|error| Error::system("make a pipe", error))?;
    let on_terminal = stdio.contains(&Stdio::Terminal);
    let mut env = launch.env;
    if on_terminal {
        let terminals = terminals_own(std::env::vars_os());
        let named = |name: &OsString| env.iter().any(|(other, _)| other == name);
        let missing: Vec<_> = terminals
            .into_iter()
            .filter(|(name, _)| !named(name))
            .collect();
        env.extend(missing);
    }
    let (sources, targets): (Vec<PathBuf>, Vec<PathBuf>) = launch.files.into_iter().unzip();
    let texts = launch.texts.into_iter();
    let texts = texts.map(|(path, text)| (path.into(), text.to_owned()));
    let links = launch.links.into_iter();
    let links = links.map(|(target, path)| (target.into(), path.into()));
    let mut log = None;
    let mut log_writer = None;
    let mut lines = Vec::new();
    let machine = match launch.attach {
        Attach::Socket(socket) => Machine::Local {
            socket: absolute(&socket)?.into(),
        },
        Attach::Device { region, doorbell } => {
            let (reader, writer) =
                pipe2(OFlag::O_CLOEXEC).map_err(|error| Error::system("make a pipe", error))?;
            link::set_nonblocking(reader.as_fd())
                .map_err(|error| Error::system("make a pipe", error))?;
            log = Some(reader);
            log_writer = Some(writer);
            let machine = Machine::Uml {
                kernel: uml::kernel()?.into(),
                modules: uml::modules(),
                mem_mib: launch.mem_mib,
                region: region.as_raw_fd(),
                doorbell: doorbell.as_raw_fd(),
            };
            lines.extend([region, doorbell]);
            machine
        }
    };
    let plan = Plan {
        parent: std::process::id() as i32,
        root: launch
            .root
            .map(|root| absolute(&root))
            .transpose()?
            .map(Into::into),
        files: sources
            .iter()
            .map(|path| absolute(path).map(Into::into))
            .collect::<Result<_, _>>()?,
        task: Task {
            command: launch.command,
            env,
            prefix: launch.prefix.into(),
            hostfs: launch.hostfs,
            files: targets.into_iter().map(Into::into).collect(),
            links: links.collect(),
            texts: texts.collect(),
            stdio,
            nosuid: !nix::unistd::geteuid().is_root(),
            winsize: on_terminal
                .then(|| sys::window_size(io::stdin().as_fd()))
                .flatten(),
        },
        machine,
        link: theirs.as_raw_fd(),
        report: report_writer.as_raw_fd(),
    };
    let helper = helper::spawn(&plan, log_writer)
        .map_err(|error| Error::system("start the guest's helper", error))?;
    drop((theirs, report_writer, lines));
    let link =
        FrameLink::new(ours).map_err(|error| Error::system("make the console line", error))?;
    Ok(Running {
        helper,
        link: Some(link),
        report,
        log,
        stdio,
        signals: Some(signals),
        grace: launch.grace,
    })
}

impl Running {
    /// Carries the guest's console until its command has ended and all of its output is written; then
    /// nothing of the guest is left.
    ///
    /// # Errors
    /// The guest could not be made, died, or broke the protocol. Nothing of it is left then either.
    pub fn wait(mut self) -> Result<Status, Error> {
        let (Some(link), Some(signals)) = (self.link.take(), self.signals.take()) else {
            return Err(Error::Invalid("the guest was already waited for".into()));
        };
        let mut relay = Relay::new(link, signals, self.log.take(), self.stdio, self.grace);
        let result = relay.run();
        let gone = matches!(result, Ok(End::Gone));
        self.end(gone);
        match result? {
            End::Status(status) => Ok(status),
            End::Gone => Err(self.cause(relay.log())),
        }
    }

    /// What the helper and the guest's first process told before they ended.
    fn cause(&self, log: Vec<u8>) -> Error {
        let mut text = Vec::new();
        let mut chunk = [0u8; 1024];
        let _ = link::set_nonblocking(self.report.as_fd());
        while let Ok(count @ 1..) = nix::unistd::read(&self.report, &mut chunk) {
            text.extend_from_slice(&chunk[..count]);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let Some(line) = text.lines().next() else {
            return Error::Died {
                cause: "its processes were killed".into(),
                log,
            };
        };
        if log.is_empty() && !line.starts_with("the guest's") {
            Error::Setup(line.into())
        } else {
            Error::Died {
                cause: line.into(),
                log,
            }
        }
    }

    /// Ends the guest and waits until it is gone. One that is going by itself gets a moment to tell why.
    fn end(&mut self, going: bool) {
        let pid = Pid::from_raw(self.helper.id() as i32);
        let start = Instant::now();
        let mut asked = false;
        loop {
            match self.helper.try_wait() {
                Ok(None) => {}
                _ => return,
            }
            if !asked && (!going || start.elapsed() > Duration::from_millis(300)) {
                let _ = kill(pid, Signal::SIGTERM);
                asked = true;
            }
            if start.elapsed() > END_GRACE {
                let _ = self.helper.kill();
                let _ = self.helper.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// Which streams go how. A terminal only when standard input *and* output are terminals: with output alone,
/// `x | tool` would hang in a terminal that never gets x's end of file. `one`: both outputs are one open file.
fn choose_stdio(kind: Kind, terminal: [bool; 3], one: bool) -> [Stdio; 3] {
    let apart = |is_terminal: bool| match kind {
        // The user's terminal is never lent to a guest: with it in hand, one can type into it (TIOCSTI).
        Kind::Local if !is_terminal => Stdio::Inherit,
        _ => Stdio::Pipe,
    };
    if terminal[0] && terminal[1] {
        let error = if terminal[2] {
            Stdio::Terminal
        } else {
            apart(false)
        };
        [Stdio::Terminal, Stdio::Terminal, error]
    } else {
        match terminal.map(apart) {
            [input, Stdio::Pipe, _] if one => [input, Stdio::Pipe, Stdio::AsOutput],
            streams => streams,
        }
    }
}

/// The variables by which programs know what a terminal shows: its kind, and the characters and language of whoever sits there,
/// locale(7). Not all that begin so: people hand other things on by such names, for ssh(1) lets them pass.
const TERMINALS_OWN: [&str; 15] = [
    "TERM",
    "LANG",
    "LC_ALL",
    "LC_ADDRESS",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_IDENTIFICATION",
    "LC_MEASUREMENT",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NAME",
    "LC_NUMERIC",
    "LC_PAPER",
    "LC_TELEPHONE",
    "LC_TIME",
];

fn terminals_own(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let is_own = |name: &OsString| TERMINALS_OWN.iter().any(|own| name == own);
    let mut own: Vec<_> = all.filter(|(name, _)| is_own(name)).collect();
    if !own.iter().any(|(name, _)| name == "TERM") {
        own.push(("TERM".into(), "vt100".into()));
    }
    own
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|_| Error::Invalid(format!("{}: not a path", path.display())))
}

/// Where the guest has what it cannot be without, or what its processes look for as they start.
const GUESTS_OWN: [&str; 4] = ["/dev", "/proc", "/run/hostcall", "/sys"];

/// Whether host files can appear at `prefix`.
fn place_for_host_files(prefix: &Path) -> Result<(), String> {
    if mounts::below(prefix)?.as_os_str().is_empty() {
        return Err("the root of the guest cannot be its place for host files; use a directory such as /host".into());
    }
    let mut own = GUESTS_OWN.iter().map(Path::new);
    match own.find(|own| prefix.starts_with(own) || own.starts_with(prefix)) {
        Some(own) => Err(format!(
            "{} cannot be the place for host files, for the guest needs {} of its own; use a directory such as /host",
            prefix.display(),
            own.display()
        )),
        None => Ok(()),
    }
}

fn check(launch: &Launch) -> Result<(), Error> {
    let invalid = |text: String| Err(Error::Invalid(text));
    match (launch.kind, &launch.attach) {
        (Kind::Local, Attach::Socket(_)) => {}
        (Kind::Uml, Attach::Device { .. }) => {
            uml::kernel()?;
            if !uml::MEMORY.contains(&launch.mem_mib) {
                let (least, most) = (uml::MEMORY.start(), uml::MEMORY.end());
                return invalid(format!(
                    "--mem {}: a guest needs between {least} and {most} MiB",
                    launch.mem_mib
                ));
            }
        }
        _ => return invalid("a local guest attaches by a socket, a UML guest by a device".into()),
    }
    if let Some(root) = launch.root.as_deref().filter(|root| !root.is_dir()) {
        return invalid(format!("--root {}: not a directory", root.display()));
    }
    place_for_host_files(&launch.prefix).map_err(Error::Invalid)?;
    for (_, target) in &launch.files {
        mounts::below(target).map_err(Error::Invalid)?;
    }
    for (source, _) in &launch.files {
        if !source.is_file() {
            let what = match source.exists() {
                true => "is no file; only files are copied",
                false => "no such file; name one of this host",
            };
            return invalid(format!("{}: {what}", source.display()));
        }
    }
    let nul = |text: &OsString| text.as_bytes().contains(&0);
    let bad_name =
        |name: &OsString| name.is_empty() || name.as_bytes().contains(&b'=') || nul(name);
    if launch.command.iter().any(nul)
        || launch
            .env
            .iter()
            .any(|(name, value)| bad_name(name) || nul(value))
    {
        return invalid(
            "a word of the command or its environment has a NUL, or a variable no proper name"
                .into(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_only_when_input_and_output_are() {
        use Stdio::{Inherit, Pipe, Terminal};
        let cases = [
            ([true, true, true], [Terminal; 3], [Terminal; 3]),
            (
                [true, true, false],
                [Terminal, Terminal, Inherit],
                [Terminal, Terminal, Pipe],
            ),
            ([false, true, true], [Inherit, Pipe, Pipe], [Pipe; 3]),
            ([true, false, true], [Pipe, Inherit, Pipe], [Pipe; 3]),
            ([false, false, false], [Inherit; 3], [Pipe; 3]),
        ];
        for (terminals, local, uml) in cases {
            let choose = |kind| choose_stdio(kind, terminals, false);
            assert_eq!(choose(Kind::Local), local, "{terminals:?}");
            assert_eq!(choose(Kind::Uml), uml, "{terminals:?}");
        }
    }

    #[test]
    fn a_terminal_brings_its_kind_and_language() {
        let own = |all: &[(&str, &str)]| {
            let all = all.iter().map(|(name, value)| (name.into(), value.into()));
            let mut own = terminals_own(all);
            own.sort();
            own.into_iter()
                .map(|(name, value)| format!("{}={}", name.display(), value.display()))
                .collect::<Vec<_>>()
        };
        assert_eq!(own(&[("HOME", "/x"), ("LC_SECRET", "y")]), ["TERM=vt100"]);
        assert_eq!(
            own(&[("TERM", "xterm"), ("LC_ALL", "C.UTF-8"), ("LANG", "C")]),
            ["LANG=C", "LC_ALL=C.UTF-8", "TERM=xterm"]
        );
    }

    #[test]
    fn outputs_that_are_one_stay_one() {
        use Stdio::{AsOutput, Inherit, Pipe, Terminal};
        let cases = [
            ([true; 3], [Terminal; 3], [Terminal; 3]),
            (
                [false, true, true],
                [Inherit, Pipe, AsOutput],
                [Pipe, Pipe, AsOutput],
            ),
            ([false; 3], [Inherit; 3], [Pipe, Pipe, AsOutput]),
        ];
        for (terminals, local, uml) in cases {
            let choose = |kind| choose_stdio(kind, terminals, true);
            assert_eq!(choose(Kind::Local), local, "{terminals:?}");
            assert_eq!(choose(Kind::Uml), uml, "{terminals:?}");
        }
    }

    #[test]
    fn host_files_cover_nothing_that_the_guest_lives_from() {
        let place = |prefix: &str| place_for_host_files(Path::new(prefix));
        for prefix in ["/host", "/mnt/host", "/run/host", "/tmp", "/device"] {
            assert_eq!(place(prefix), Ok(()), "{prefix}");
        }
        for prefix in [
            "/dev",
            "/dev/host",
            "/proc/",
            "/run",
            "/run/hostcall/bin",
            "/sys//x",
        ] {
            let refused = place(prefix).unwrap_err();
            assert!(refused.contains(" of its own; use "), "{refused}");
        }
        assert!(place("/").is_err() && place("host").is_err() && place("/a/../b").is_err());
    }

    #[test]
    fn escape_sequences_do_not_pass() {
        let error = Error::Died {
            cause: "x\u{1b}[2Jy".into(),
            log: b"a\x1b]0;t\x07\n".to_vec(),
        };
        let text = error.to_string();
        assert!(
            !text.contains('\u{1b}') && !text.contains('\u{7}'),
            "{text}"
        );
    }
}
