//! Mounting and unmounting; each failure names the cure.

use crate::background::Ready;
use crate::fuse::{Adapter, InTurn};
use crate::host::{session, Host, HostFs, Settings};
use crate::keeper::Keeper;
use crate::options::{Options, Users};
use crate::turns::Turns;
use fuser::{Config, MountOption, Notifier, Session, SessionACL};
use hostcall::attach::AttachError;
use hostcall::owned::Owned;
use hostcall::say::complain;
use nix::mount::{umount2, MntFlags};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::statfs::statfs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Somebody has mounted something over the host's files, or unmounted it.
const MOUNTED: Signal = Signal::SIGUSR1;

/// How often a mount looks whether its host lives and somebody reads.
const LOOK: Duration = Duration::from_millis(500);

/// Mounts and serves until the mount is gone.
///
/// # Errors
/// What went wrong and what to do about it.
pub fn run(options: &Options, ready: &mut Ready) -> Result<(), String> {
    let mountpoint = prepare(&options.mountpoint)?;
    check_device()?;
    let client = attach(options)?;
    let settings = Settings {
        cache: options.cache,
        handles: options.handles,
        watches: options.watches,
        prefix: (options.follow_on_host && mountpoint != Path::new("/"))
            .then(|| mountpoint.as_os_str().as_bytes().to_owned()),
    };
    let fs = HostFs::new(client, settings)
        .map(Arc::new)
        .map_err(|errno| format!("the root of the host's exports cannot be opened: {errno}"))?;
    // Before any thread starts, so that only the one that waits for them sees them.
    let signals = signals();
    signals
        .thread_set_mask()
        .map_err(|errno| format!("blocking signals: {errno}"))?;
    let keeper = Keeper::start().map_err(|error| format!("starting a thread: {error}"))?;
    let many = fs.has_callers();
    let adapter = Adapter::new(fs.clone(), options.cache, keeper, many);
    let kernel = adapter.notifier();
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    let turns = Turns::new(processors);
    let adapter = InTurn::new(adapter, turns.clone());
    let session = Session::new(adapter, &mountpoint, &config(options, many))
        .map_err(|error| explain(&mountpoint, &error))?;
    let _ = kernel.set(session.notifier());
    let (followed, notifier) = (fs.clone(), session.notifier());
    std::thread::Builder::new()
        .name("follow".to_owned())
        .spawn(move || followed.follow(&notifier))
        .map_err(|error| format!("starting a thread: {error}"))?;
    let (seen, notifier) = (fs.clone(), session.notifier());
    std::thread::Builder::new()
        .name("exports".to_owned())
        .spawn(move || seen.watch_exports(&notifier))
        .map_err(|error| format!("starting a thread: {error}"))?;
    if options.cache.writes_back() {
        let (settled, notifier) = (fs.clone(), session.notifier());
        std::thread::Builder::new()
            .name("settle".to_owned())
            .spawn(move || settled.settle(&notifier))
            .map_err(|error| format!("starting a thread: {error}"))?;
    }
    // Waits where the guest has no use for it.
    std::thread::Builder::new()
        .name("resident".to_owned())
        .spawn(hostcall::attach::resident::reside)
        .map_err(|error| format!("starting a thread: {error}"))?;
    ready.tell();
    let lost = Arc::new(AtomicBool::new(false));
    let watch = Watch {
        mountpoint: mountpoint.clone(),
        fs,
        lost: lost.clone(),
        turns,
        notifier: options.cache.writes_back().then(|| session.notifier()),
    };
    std::thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || watch.run(&signals))
        .map_err(|error| format!("starting a thread: {error}"))?;
    let served = serve(session);
    while lost.load(Ordering::Acquire) {
        // The watch has said why and ends the process.
        std::thread::park();
    }
    served.map_err(|error| {
        let _ = unmount(&mountpoint);
        format!("{}: {error}", mountpoint.display())
    })
}

/// Serves until the mount is gone, and leaves its place alone: `fuser` takes an ended mount for one that is still there, and
/// would unmount what lies at the mountpoint, which may be another's already.
fn serve<F: fuser::Filesystem>(session: Session<F>) -> io::Result<()> {
    let mut session = session.spawn()?;
    let nothing = std::thread::Builder::new().spawn(|| Ok(()))?;
    let serving = std::mem::replace(&mut session.guard, nothing);
    std::mem::forget(session);
    let panicked = |_| Err(io::Error::other("a thread that served panicked"));
    serving.join().unwrap_or_else(panicked)
}

/// Those that end the mount, and the one that tells of others.
fn signals() -> SigSet {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, MOUNTED] {
        signals.add(signal);
    }
    signals
}

fn config(options: &Options, many: bool) -> Config {
    let mut config = Config::default();
    config.mount_options = options.mount.clone();
    config
        .mount_options
        .push(MountOption::FSName(options.name.clone()));
    config
        .mount_options
        // As the kernel's option: the crate drops its own where it mounts without fusermount3.
        .push(MountOption::CUSTOM("subtype=hostfs".to_owned()));
    if many {
        // A name that the kernel has found for one user must open nothing for another, so it checks each of them by itself.
        config.mount_options.push(MountOption::DefaultPermissions);
    }
    let root = nix::unistd::geteuid().is_root();
    config.acl = match options.users {
        Users::All => SessionACL::All,
        Users::Usual if root => SessionACL::All,
        Users::Root => SessionACL::RootAndOwner,
        Users::Owner | Users::Usual => SessionACL::Owner,
    };
    config.n_threads = Some(options.threads);
    config.clone_fd = true;
    config
}

/// Finds the mountpoint usable: a directory that holds no mount of ours. A mount whose server is gone is taken away.
fn prepare(mountpoint: &Path) -> Result<PathBuf, String> {
    let shown = mountpoint.display();
    // The kernel may have the directory's metadata still, but statfs(2) asks whoever serves the mount.
    let served = statfs(mountpoint).map_err(io::Error::from);
    match served.and_then(|_| mountpoint.metadata()) {
        Ok(data) if data.is_dir() => {}
        Ok(_) => {
            return Err(format!(
                "{shown} is not a directory; make one: mkdir DIRECTORY"
            ))
        }
        Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => {
            unmount(mountpoint).map_err(|error| {
                format!("{shown} holds a mount whose server is gone, and it cannot be unmounted ({error}): fusermount3 -uz {shown}")
            })?;
            let what = format_args!("unmounted {shown}, whose server was gone");
            complain("hostfs", what);
            return prepare(mountpoint);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(format!("{shown} does not exist; make it: mkdir -p {shown}"))
        }
        Err(error) => return Err(format!("{shown}: {error}")),
    }
    let real = mountpoint
        .canonicalize()
        .map_err(|error| format!("{shown}: {error}"))?;
    if real.join(".hostcall/status").exists() {
        return Err(format!(
            "{shown} has hostfs mounted already; unmount it first: umount {shown}"
        ));
    }
    Ok(real)
}

fn check_device() -> Result<(), String> {
    let open = |path: &str| {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
    };
    let Err(error) = open("/dev/fuse") else {
        return Ok(());
    };
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let module = known
        .lines()
        .any(|line| line.trim_end().ends_with("\tfuse"));
    Err(match error.raw_os_error() {
        Some(libc::ENOENT) if module => {
            "there is no /dev/fuse: mknod -m 666 /dev/fuse c 10 229".to_owned()
        }
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => {
            "the kernel has no FUSE: modprobe fuse (or insmod fuse.ko)".to_owned()
        }
        Some(libc::EACCES | libc::EPERM) => {
            format!("/dev/fuse cannot be opened ({error}): run as root, or chmod 666 /dev/fuse")
        }
        _ => format!("/dev/fuse: {error}"),
    })
}

fn attach(options: &Options) -> Result<Owned, String> {
    if let Some(path) = &options.attach {
        std::env::set_var("HOSTCALL_ATTACH", path);
    }
    session::attach().map_err(|error| match (&options.attach, error) {
        (Some(path), AttachError::Named(errno)) => format!(
            "nothing to attach to at {} ({errno}): name the socket or device of a running hostd",
            path.display()
        ),
        (_, error) => error.to_string(),
    })
}

/// Says in words what a failed mount needs.
fn explain(mountpoint: &Path, error: &io::Error) -> String {
    let (shown, text) = (mountpoint.display(), error.to_string());
    let text = text.trim();
    if text.contains("user_allow_other") {
        return "only root may let others use the mount: add `user_allow_other` to /etc/fuse.conf, or mount without allow_other".to_owned();
    }
    if error.kind() == io::ErrorKind::NotFound {
        return format!(
            "mounting on {shown} takes root or the program fusermount3: apt-get install fuse3"
        );
    }
    if text.contains("EBUSY") {
        return format!(
            "{shown} is busy: something is mounted there, or being mounted; see `findmnt {shown}`"
        );
    }
    if text.contains("EPERM") || error.kind() == io::ErrorKind::PermissionDenied {
        return format!("mounting on {shown} is not permitted ({text}); run as root, or in a user namespace of your own: unshare -rm");
    }
    format!("mounting on {shown}: {text}")
}

/// Takes the mount away, also while it is in use: those users get ENOTCONN.
fn unmount(mountpoint: &Path) -> io::Result<()> {
    let Err(errno) = umount2(mountpoint, MntFlags::MNT_DETACH) else {
        return Ok(());
    };
    let helper = Command::new("fusermount3")
        .args(["-u", "-z", "--"])
        .arg(mountpoint)
        .stderr(std::process::Stdio::null())
        .status();
    match helper {
        Ok(status) if status.success() => Ok(()),
        _ => Err(errno.into()),
    }
}

/// Ends the mount when it is told to, or when the host is gone.
struct Watch<H> {
    mountpoint: PathBuf,
    fs: Arc<HostFs<H>>,
    /// Whether the host is gone, which is no good end.
    lost: Arc<AtomicBool>,
    /// Whose turn it is to read.
    turns: Arc<Turns>,
    /// The way to the guest kernel, if it keeps what is to be written.
    notifier: Option<Notifier>,
}

impl<H: Host> Watch<H> {
    fn run(&self, signals: &SigSet) {
        let told = SignalFd::new(signals);
        loop {
            if let Ok(told) = &told {
                match wait(told, LOOK) {
                    None => {}
                    Some(MOUNTED) => self.fs.announce_mounts(),
                    Some(_) => self.end(),
                }
            } else {
                std::thread::sleep(LOOK);
            }
            self.turns.look();
            if !self.fs.alive() {
                self.lost.store(true, Ordering::Release);
                let at = self.mountpoint.display();
                complain(
                    "hostfs",
                    format_args!("the host is gone; {at} is unmounted"),
                );
                let _ = unmount(&self.mountpoint);
                std::process::exit(1);
            }
        }
    }

    /// Unmounts: at once if nobody uses the mount; else lazily, after what is still to be written was written.
    fn end(&self) -> ! {
        if umount2(&self.mountpoint, MntFlags::UMOUNT_NOFOLLOW).is_err() {
            if let Some(notifier) = &self.notifier {
                self.fs.write_back(notifier);
            }
            let _ = unmount(&self.mountpoint);
        }
        std::process::exit(0)
    }
}

/// Waits for a signal, at most so long.
fn wait(told: &SignalFd, limit: Duration) -> Option<Signal> {
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    use std::os::fd::AsFd;
    let mut fds = [PollFd::new(told.as_fd(), PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    let signalled = matches!(poll(&mut fds, limit), Ok(1));
    let signal = signalled.then(|| told.read_signal()).transpose();
    Signal::try_from(signal.ok()???.ssi_signo as i32).ok()
}
