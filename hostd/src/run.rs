//! `hostd run`: boots a guest, serves it, runs a command in it and ends with the command's status.

use crate::config::{Export, GuestConfig};
use crate::guest::{self, libraries, Kind, Launch, Status};
use crate::serve::{device_door, policy, socket_door, Failure};
use crate::server::guest::{Door, DEVICE_LANES};
use crate::server::{Opening, Server};
use crate::shadow::sandbox::Policy;
use nix::sys::socket::{socketpair, AddressFamily, SockFlag, SockType};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to run and where.
#[derive(Clone, Debug)]
pub struct Run {
    /// Kind of guest.
    pub kind: Kind,
    /// Prefix of host files in the guest.
    pub prefix: PathBuf,
    /// Whether they are mounted there for every program, not only for those under the preload.
    pub mount: bool,
    /// Root of the guest; the host's own when absent.
    pub root: Option<PathBuf>,
    /// Memory, MiB.
    pub mem_mib: u64,
    /// What the guest may see of the host and use.
    pub config: GuestConfig,
    /// Host files and where copies of them are put in the guest.
    pub copies: Vec<(PathBuf, PathBuf)>,
    /// The shell for a command that is empty: the guest's own when absent.
    pub shell: Option<OsString>,
    /// How long the command may take to end after SIGTERM.
    pub grace: Duration,
    /// Command and arguments; empty for a shell.
    pub command: Vec<OsString>,
}

/// A part of ours that a guest needs: name of the file, where packages put it below their prefix, where it lies in the
/// guest.
struct Part {
    name: &'static str,
    installed: &'static str,
    guest: &'static str,
}

const LIBRARY: Part = Part {
    name: "libhostcall_preload.so",
    installed: "lib/hostcall",
    guest: "/run/hostcall/lib/libhostcall_preload.so",
};
const HOSTFS: Part = Part {
    name: "hostfs",
    installed: "bin",
    guest: "/run/hostcall/bin/hostfs",
};

/// Where a guest with a root of its own has the shared objects that hostfs runs with.
const OWN_LIBRARIES: &str = "/run/hostcall/lib/own";

/// What runs host programs. A guest without it is as good otherwise.
const SHELL: Part = Part {
    name: "hrun",
    installed: "bin",
    guest: "/run/hostcall/bin/hrun",
};
/// The shell whose commands run in the guest or on the host. A guest without it is as good otherwise.
const DOSH: Part = Part {
    name: "dosh",
    installed: "bin",
    guest: "/run/hostcall/bin/dosh",
};
/// What goes with it.
const DOSH_TEXTS: [(&str, &str); 1] = [(
    "/run/hostcall/share/man/man1/dosh.1",
    include_str!("../../man/dosh.1"),
)];
/// The other names of what runs host programs.
const SHELL_LINKS: [&str; 3] = ["hcd", "hpwd", "hpath"];
/// What goes with it: manual pages where man(1) looks for those of programs in the directory beside, and completion in shells
/// on terminals.
const SHELL_TEXTS: [(&str, &str); 6] = [
    (
        "/run/hostcall/share/man/man1/hrun.1",
        include_str!("../../man/hrun.1"),
    ),
    (
        "/run/hostcall/share/man/man1/hcd.1",
        include_str!("../../man/hcd.1"),
    ),
    (
        "/run/hostcall/share/man/man1/hpwd.1",
        include_str!("../../man/hpwd.1"),
    ),
    (
        "/run/hostcall/share/man/man1/hpath.1",
        include_str!("../../man/hpath.1"),
    ),
    (
        "/root/.bashrc",
        "command -v hrun > /dev/null && . <(hrun --completion bash)\n",
    ),
    (
        "/root/.zshrc",
        "command -v hrun > /dev/null && . <(hrun --completion zsh)\n",
    ),
];

impl Part {
    /// The file beside this program or where packages put it.
    fn find(&self, program: &Path) -> Result<PathBuf, Failure> {
        let name = self.name;
        let beside = program.parent().map(|directory| directory.join(name));
        let installed = program
            .parent()
            .and_then(Path::parent)
            .map(|prefix| prefix.join(self.installed).join(name));
        let mut places: Vec<PathBuf> = beside.into_iter().chain(installed).collect();
        places.dedup();
        let found = places.iter().find(|path| path.is_file()).cloned();
        found.ok_or_else(|| {
            let places: Vec<String> = places
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            format!(
                "{name} is not there (looked for {}); build it: cargo build --release --workspace",
                places.join(" and ")
            )
        })
    }

    /// Where the file comes from and goes to.
    fn copy(&self, from: PathBuf) -> (PathBuf, PathBuf) {
        (from, PathBuf::from(self.guest))
    }
}

/// Boots, serves, runs; the guest is gone when this returns.
pub fn run(run: Run, program: PathBuf) -> Result<Status, Failure> {
    crate::config::exports_of(&run.config.exports).map_err(|fault| format!("--export: {fault}"))?;
    let library = LIBRARY.find(&program)?;
    let hostfs = HOSTFS.find(&program);
    if let (Err(error), true) = (&hostfs, run.mount) {
        let prefix = run.prefix.display();
        log::warn!(
            "host files are not mounted, only programs under the preload see them at {prefix}: {error}"
        );
    }
    let hostfs = hostfs.ok();
    let shells = [SHELL, DOSH].map(|part| part.find(&program).ok());
    let policy = policy("run", &run.config)?;
    let directory = crate::config::runtime_dir();
    let mut cleanup = None;
    let (door, attach) = match run.kind {
        Kind::Local => {
            let (door, path, private) = local_door(&directory, &policy)?;
            cleanup = Some(private);
            (door, guest::Attach::Socket(path))
        }
        Kind::Uml => {
            let lanes = run.config.limits.lanes.unwrap_or(DEVICE_LANES);
            own_kernels_door(lanes)?
        }
    };
    let (stop, stopped) =
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|error| error.to_string())?;
    let opening = Opening {
        name: "run".to_owned(),
        config: run.config.clone(),
        policy,
        door,
    };
    let server = Server::new(vec![opening], program, stop)
        .map_err(|error| format!("cannot serve the guest: {error}"))?;
    let serving = std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || server.run());
    let serving = serving.map_err(|error| error.to_string())?;
    let status = boot(run, attach, library, hostfs, shells);
    drop::<OwnedFd>(stopped);
    let served = serving.join();
    if let Some(private) = cleanup {
        let _ = std::fs::remove_dir(private);
    }
    match served {
        Ok(Ok(())) => status,
        Ok(Err(error)) => Err(format!("serving the guest failed: {error}")),
        Err(_) => Err("serving the guest failed".to_owned()),
    }
}

/// The socket of a local guest, its path, and the directory that is made for it and goes with the guest. Any user of the guest may
/// connect, so on the host nobody may even reach it: the guest gets it by a mount.
fn local_door(directory: &Path, policy: &Policy) -> Result<(Door, PathBuf, PathBuf), Failure> {
    let cannot_make = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("cannot make {path}: {error}")
    };
    let private = directory.join(format!("{}.run", std::process::id()));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)
        .map_err(cannot_make(directory))?;
    crate::config::check_runtime_dir(directory)?;
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&private)
        .map_err(cannot_make(&private))?;
    let path = private.join("guest.sock");
    let door = socket_door(&path, &policy.user)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))
        .map_err(|error| error.to_string())?;
    Ok((door, path, private))
}

/// The region and the doorbell line of a guest with its own kernel.
fn own_kernels_door(lanes: u32) -> Result<(Door, guest::Attach), Failure> {
    let (line, doorbell) = socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::SOCK_CLOEXEC,
    )
    .map_err(|error| format!("cannot make the doorbell line: {error}"))?;
    let door = device_door(lanes, line)?;
    let Door::Device { memfd, .. } = &door else {
        return Err("no region".to_owned());
    };
    let region = memfd.try_clone().map_err(|error| error.to_string())?;
    Ok((door, guest::Attach::Device { region, doorbell }))
}

/// Whether somebody is there to type.
pub fn on_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Settings of the preload library that the guest takes over from whoever starts it.
const HANDED_ON: [&str; 5] = [
    "HOSTCALL_EXACT_FDS",
    "HOSTCALL_REPORT",
    "HOSTCALL_TRACE",
    "HOSTCALL_BYPASS",
    "HOSTCALL_KEEP",
];

fn boot(
    run: Run,
    attach: guest::Attach,
    library: PathBuf,
    hostfs: Option<PathBuf>,
    [shell, dosh]: [Option<PathBuf>; 2],
) -> Result<Status, Failure> {
    let variable = |name: &str, value: &Path| (OsString::from(name), value.as_os_str().to_owned());
    let mut env = vec![
        variable("LD_PRELOAD", Path::new(LIBRARY.guest)),
        variable("HOSTCALL_PREFIX", &run.prefix),
    ];
    let handed = HANDED_ON.iter().filter_map(|name| {
        let value = std::env::var_os(name)?;
        Some((OsString::from(name), value))
    });
    env.extend(handed);
    let link = |name: &&str| {
        (
            PathBuf::from("hrun"),
            Path::new(SHELL.guest).with_file_name(name),
        )
    };
    let links = SHELL_LINKS.iter().filter(|_| shell.is_some()).map(link);
    let texts = SHELL_TEXTS.iter().filter(|_| shell.is_some());
    let texts = texts.chain(DOSH_TEXTS.iter().filter(|_| dosh.is_some()));
    // What was built for this system runs in a guest that has its files.
    let own = dosh.is_some() && run.root.is_none() && on_terminal();
    let own = own.then(|| OsString::from(DOSH.guest));
    let command = match run.shell.or(own) {
        Some(opened) if run.command.is_empty() => {
            env.push((OsString::from("SHELL"), opened.clone()));
            vec![opened]
        }
        _ => run.command,
    };
    let (mounter, own_libraries) = match run.mount && hostfs.is_some() {
        true => mounter(run.root.is_some()),
        false => Default::default(),
    };
    let launch = Launch {
        texts: texts
            .map(|(path, text)| (PathBuf::from(path), *text))
            .collect(),
        links: links.collect(),
        kind: run.kind,
        root: run.root,
        mem_mib: run.mem_mib,
        prefix: run.prefix,
        hostfs: mounter,
        command,
        env,
        files: std::iter::once(LIBRARY.copy(library))
            .chain(hostfs.map(|program| HOSTFS.copy(program)))
            .chain(shell.map(|program| SHELL.copy(program)))
            .chain(dosh.map(|program| DOSH.copy(program)))
            .chain(own_libraries)
            .chain(run.copies)
            .collect(),
        attach,
        grace: run.grace,
    };
    guest::start(launch)
        .and_then(guest::Running::wait)
        .map_err(|error| error.to_string())
}

/// The words that start hostfs in a guest, and the files that it needs there: a root of the guest's own may have another libc,
/// or none.
fn mounter(own_root: bool) -> (Vec<OsString>, Vec<(PathBuf, PathBuf)>) {
    let program = OsString::from(HOSTFS.guest);
    if !own_root {
        return (vec![program], Vec::new());
    }
    let place = |from: PathBuf| {
        let to = Path::new(OWN_LIBRARIES).join(from.file_name()?);
        Some((from, to))
    };
    let files: Vec<_> = libraries::mapped().into_iter().filter_map(place).collect();
    let mut linker = files.iter().map(|(_, to)| to);
    let words = match linker.find(|to| libraries::is_linker(to)) {
        Some(linker) => vec![
            linker.into(),
            OsString::from("--library-path"),
            OsString::from(OWN_LIBRARIES),
            program,
        ],
        None => vec![program],
    };
    (words, files)
}

/// Parses `PATH[:ro|:rw]`.
pub fn export(text: &str) -> Result<Export, String> {
    let (path, mode) = match text.rsplit_once(':') {
        Some((path, "ro")) => (path, crate::config::Access::Ro),
        Some((path, "rw")) => (path, crate::config::Access::Rw),
        _ => (text, crate::config::Access::Rw),
    };
    if !path.starts_with('/') {
        return Err(format!(
            "{path:?} is not an absolute path; write /PATH, /PATH:ro or /PATH:rw"
        ));
    }
    // A mistyped path or mode would otherwise boot a guest whose every host call fails.
    let path = PathBuf::from(path);
    match std::fs::metadata(&path) {
        Ok(_) => Ok(Export { path, mode }),
        Err(error) => Err(format!(
            "{}: {error}; write an existing /PATH, /PATH:ro or /PATH:rw",
            path.display()
        )),
    }
}

/// Checks the directory that `--root` names, before anything is started for it.
pub fn root(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.is_dir() {
        true => Ok(path),
        false => Err(format!("{text:?} is not a directory of this host")),
    }
}

/// Parses `FILE:GUEST-PATH`.
pub fn copy(text: &str) -> Result<(PathBuf, PathBuf), String> {
    match text.rsplit_once(':') {
        Some((from, to)) if !from.is_empty() && to.starts_with('/') => {
            Ok((PathBuf::from(from), PathBuf::from(to)))
        }
        _ => Err(format!(
            "{text:?} names no place in the guest; write FILE:/PATH/IN/GUEST"
        )),
    }
}

/// Parses a size such as `256M` or `2G` into MiB.
pub fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    );
    let unit = match unit {
        "" | "M" | "MiB" => Some(1),
        "G" | "GiB" => Some(1024),
        _ => None,
    };
    let size = digits
        .parse::<u64>()
        .ok()
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit));
    match size {
        Some(size) if (32..=1 << 20).contains(&size) => Ok(size),
        Some(_) => Err("give a size from 32M to 1024G".to_owned()),
        None => Err(format!("{text:?} is not a size; write 256M or 2G")),
    }
}
