//! `hostd serve`: opens the doors of configured guests and serves until a signal.
#![allow(unsafe_code)]

use crate::config::{Attach, Config, DeviceAttach, GuestConfig, HostUser};
use crate::server::guest::{Door, Outside, DEVICE_LANES};
use crate::server::{io, Opening, Server};
use crate::shadow::sandbox::Policy;
use hostcall::commons::CommonsPage;
use hostcall::region::{self, Region};
use hostcall::shm::{sealed_memfd, Mapping};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// An error as one line that names the cure.
pub type Failure = String;

/// What a guest of this configuration may see and use.
pub fn policy(name: &str, config: &GuestConfig) -> Result<Policy, Failure> {
    let (user, callers) = config
        .rights()
        .map_err(|error| format!("guest {name}: {error}"))?;
    Ok(Policy {
        user,
        callers,
        exports: config.exports.clone(),
        limits: config.limits.clone(),
    })
}

/// Opens a listening socket for guest processes of the same kernel.
///
/// Only `user` (and root) may connect: whoever can has the rights of the guest's shadows.
pub fn socket_door(path: &Path, user: &HostUser) -> Result<Door, Failure> {
    let at = |error: std::io::Error| format!("cannot listen on {}: {error}", path.display());
    if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
        let mode = if nix::unistd::geteuid().is_root() {
            0o755
        } else {
            0o700
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(parent)
            .map_err(at)?;
    }
    let own = crate::config::runtime_dir();
    if path.parent() == Some(&own) {
        crate::config::check_runtime_dir(&own)?;
    }
    if UnixStream::connect(path).is_ok() || seqpacket_answers(path) {
        return Err(format!(
            "another hostd listens on {} already; stop it, or give this guest another `attach`",
            path.display()
        ));
    }
    // Left behind by a hostd that was killed: nobody answers.
    let _ = std::fs::remove_file(path);
    let listener = listen(path).map_err(at)?;
    give_to(path, user).map_err(at)?;
    listener.set_nonblocking(true).map_err(at)?;
    let commons = CommonsPage::create().map_err(|errno| at(io(errno)))?;
    Ok(Door::Socket {
        listener,
        path: path.to_owned(),
        commons,
    })
}

fn give_to(path: &Path, user: &HostUser) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    if nix::unistd::geteuid().as_raw() != user.uid {
        std::os::unix::fs::lchown(path, Some(user.uid), None)?;
    }
    Ok(())
}

fn seqpacket_answers(path: &Path) -> bool {
    use nix::sys::socket::{connect, socket, AddressFamily, SockFlag, SockType, UnixAddr};
    let probe = || {
        let socket = socket(
            AddressFamily::Unix,
            SockType::SeqPacket,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        connect(socket.as_raw_fd(), &UnixAddr::new(path)?)
    };
    probe().is_ok()
}

fn listen(path: &Path) -> std::io::Result<UnixListener> {
    use nix::sys::socket::{
        bind, listen, socket, AddressFamily, Backlog, SockFlag, SockType, UnixAddr,
    };
    let socket = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&socket, Backlog::new(1024)?)?;
    Ok(UnixListener::from(socket))
}

/// Makes a guest's region; `line` is the host's end of its doorbell line.
pub fn device_door(lanes: u32, line: OwnedFd) -> Result<Door, Failure> {
    set_nonblocking(&line)
        .map_err(|error| format!("cannot use the guest's doorbell line: {error}"))?;
    region_door(lanes, Some(line), None)
}

fn region_door(
    lanes: u32,
    line: Option<OwnedFd>,
    outside: Option<Outside>,
) -> Result<Door, Failure> {
    let make = || {
        let size = region::size(lanes);
        let memfd = sealed_memfd(c"hostcall-guest", size).map_err(io)?;
        let mapping = Mapping::new(memfd.as_fd(), size).map_err(io)?;
        let region = Region::create(mapping, lanes, hostcall::clock::Clock::measure());
        Ok((region, memfd))
    };
    let (region, memfd) = make()
        .map_err(|error: std::io::Error| format!("cannot make the guest's region: {error}"))?;
    if let Some(Outside { link, .. }) = &outside {
        // The path by which a machine monitor opens and maps the sealed memfd.
        let target = format!("/proc/{}/fd/{}", std::process::id(), memfd.as_raw_fd());
        std::os::unix::fs::symlink(&target, link)
            .map_err(|error| format!("cannot link the region to {}: {error}", link.display()))?;
    }
    Ok(Door::Device {
        region,
        memfd,
        line,
        outside,
        served: vec![None; lanes as usize],
        rung: 0,
    })
}

/// Makes a region and waits (later, in the server's loop) for the line of a guest that somebody else boots.
fn outside_door(
    name: &str,
    device: &DeviceAttach,
    lanes: u32,
    user: &HostUser,
) -> Result<Door, Failure> {
    let at = |error: std::io::Error| {
        format!(
            "guest {name}: cannot listen on {}: {error}",
            device.doorbell.display()
        )
    };
    for path in [&device.doorbell, &device.region] {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(at)?;
        }
    }
    if UnixStream::connect(&device.doorbell).is_ok() {
        return Err(format!(
            "another hostd listens on {} already; stop it, or give this guest another `attach`",
            device.doorbell.display()
        ));
    }
    // Left behind by a hostd that was killed. Anything but a link at the region's place is somebody's file.
    let _ = std::fs::remove_file(&device.doorbell);
    if device.region.is_symlink() {
        let _ = std::fs::remove_file(&device.region);
    }
    let listener = UnixListener::bind(&device.doorbell).map_err(at)?;
    give_to(&device.doorbell, user).map_err(at)?;
    listener.set_nonblocking(true).map_err(at)?;
    region_door(
        lanes,
        None,
        Some(Outside {
            listener,
            doorbell: device.doorbell.clone(),
            link: device.region.clone(),
        }),
    )
}

/// Has reads and writes return instead of waiting.
pub(crate) fn set_nonblocking(fd: &OwnedFd) -> std::io::Result<()> {
    use nix::fcntl::{fcntl, FcntlArg, OFlag};
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

fn open(name: &str, config: &GuestConfig, user: &HostUser) -> Result<Door, Failure> {
    match &config.attach {
        Attach::Local(path) => socket_door(path, user),
        Attach::Device(device) => outside_door(
            name,
            device,
            config.limits.lanes.unwrap_or(DEVICE_LANES),
            user,
        ),
    }
}

/// Serves all guests of a configuration until SIGINT, SIGTERM or SIGHUP.
pub fn serve(config: &Config, program: PathBuf) -> Result<(), Failure> {
    if config.guests.is_empty() {
        return Err("the configuration names no guest; add one under \"guests\"".to_owned());
    }
    let mut openings = Vec::new();
    for (name, config) in &config.guests {
        let policy = policy(name, config)?;
        let door = open(name, config, &policy.user)?;
        match &config.attach {
            Attach::Local(path) => log::info!("guest {name} attaches at {}", path.display()),
            Attach::Device(device) => log::info!(
                "guest {name} maps {} and rings {}",
                device.region.display(),
                device.doorbell.display()
            ),
        }
        openings.push(Opening {
            name: name.clone(),
            config: config.clone(),
            policy,
            door,
        });
    }
    let mut signals = SigSet::empty();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .for_each(|signal| signals.add(signal));
    signals.thread_block().map_err(|error| error.to_string())?;
    let stop =
        SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map_err(|error| error.to_string())?;
    let stop = stop
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| error.to_string())?;
    let server =
        Server::new(openings, program, stop).map_err(|error| format!("cannot start: {error}"))?;
    server.run().map_err(|error| error.to_string())
}
