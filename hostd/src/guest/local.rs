//! The local guest: namespaces of this kernel, with a root made of private layers over the host's files.

use super::agent;
use super::layers::{open_root, Layers};
use super::link::FrameLink;
use super::mounts::{
    below, bind_read_only, descriptor_path, make_dir, make_file, make_private, own_dirs, put_file,
    table, tmpfs, NOT_FROM_HOST,
};
use super::plan::{Context, Plan};
use super::setup;
use super::spawn::Inner;
use super::sys;
use nix::fcntl::{open, OFlag};
use nix::mount::{mount, umount2, MntFlags, MsFlags};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, pivot_root};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;

/// Where the guest's root is put together; the host's own /tmp is covered only in this namespace.
const WORK: &str = "/tmp";
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Files of /proc by which root's user id alone, without any capability, changes the host.
const PROC_READ_ONLY: [&str; 11] = [
    "sys",
    "sysrq-trigger",
    "irq",
    "bus",
    "fs",
    "acpi",
    "scsi",
    "asound",
    "driver",
    "tty",
    "mtrr",
];
/// Files of /proc that show the host's memory or secrets.
const PROC_HIDDEN: [&str; 5] = [
    "kcore",
    "keys",
    "timer_list",
    "sched_debug",
    "latency_stats",
];

/// Makes the guest around this process, the first of its pid namespace, and runs the task.
///
/// # Errors
/// One line.
pub fn run(plan: &Plan, socket: &OsStr, link: FrameLink) -> Result<(), String> {
    nix::unistd::sethostname("guest").context("set the host name")?;
    let _ = sys::raise_loopback();
    let sources = setup::open_sources(&plan.files)?;
    enter_root(plan, socket)?;
    for (source, target) in sources.into_iter().zip(&plan.task.files) {
        put_source(source, Path::new(target))?;
    }
    setup::texts_and_links(&plan.task)?;
    make_dir(Path::new(&plan.task.prefix), 0o755)?;
    setup::environment(&plan.task);
    agent::run(&plan.task, link, Inner::Locked, || {})
}

fn put_source(source: File, target: &Path) -> Result<(), String> {
    let mode = source
        .metadata()
        .map_or(0, |data| data.permissions().mode());
    put_file(target, source, 0o444 | (mode & 0o111))
}

fn enter_root(plan: &Plan, socket: &OsStr) -> Result<(), String> {
    make_private()?;
    // Everything that lies on the host is opened before /tmp is covered: it may lie there.
    let path = match &plan.root {
        Some(root) => Path::new(root)
            .canonicalize()
            .context(Path::new(root).display())?,
        None => "/".into(),
    };
    let base = open_root(&path)?;
    let socket_name = Path::new(socket);
    let socket = open(socket_name, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).context(
        format_args!("open hostd's socket {}", socket_name.display()),
    )?;
    let mounts = table()?;

    let work = Path::new(WORK);
    tmpfs(work, 0o755, MsFlags::empty())?;
    let root = work.join("root");
    tmpfs(&root, 0o755, MsFlags::empty())?;
    let mut layers = Layers::new(&mounts, &NOT_FROM_HOST, work.join("layers"))?;
    layers.show(std::os::fd::AsFd::as_fd(&base), &path, &root)?;
    own_dirs(&root)?;
    let run = root.join("run/hostcall");
    make_dir(&run, 0o755)?;
    make_file(&run.join("guest.sock"))?;
    bind_read_only(&descriptor_path(&socket), &run.join("guest.sock"))?;
    // The mount keeps it; a name on the host would be left behind when hostd is killed.
    let _ = std::fs::remove_file(socket_name);
    let _ = socket_name.parent().map(std::fs::remove_dir);
    devices(&root.join("dev"))?;
    kernel_views(&root)?;
    below(Path::new(&plan.task.prefix))?;

    chdir(&root).context("enter the guest's root")?;
    pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("leave the host's root")?;
    chdir("/").context("chdir /")
}

fn devices(dev: &Path) -> Result<(), String> {
    tmpfs(dev, 0o755, MsFlags::empty())?;
    for name in DEVICES {
        make_file(&dev.join(name))?;
        // Read-only does not hinder I/O on a device, but keeps root's user id from changing the host's node.
        bind_read_only(&Path::new("/dev").join(name), &dev.join(name))?;
    }
    if Path::new("/dev/fuse").exists() {
        make_file(&dev.join("fuse"))?;
        bind_read_only(Path::new("/dev/fuse"), &dev.join("fuse"))?;
    }
    let pts = dev.join("pts");
    make_dir(&pts, 0o755)?;
    let attempt = |options: &str| {
        mount(
            Some("devpts"),
            &pts,
            Some("devpts"),
            MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
            Some(options),
        )
    };
    // Group 5 is tty; an ordinary user's namespace has no such group.
    attempt("newinstance,ptmxmode=0666,mode=620,gid=5")
        .or_else(|_| attempt("newinstance,ptmxmode=0666,mode=620"))
        .context("mount the guest's terminals")?;
    for (name, target) in setup::DEV_LINKS {
        symlink(target, dev.join(name)).context(format_args!("make /dev/{name}"))?;
    }
    symlink("pts/ptmx", dev.join("ptmx")).context("make /dev/ptmx")?;
    tmpfs(&dev.join("shm"), 0o1777, MsFlags::MS_NODEV)
}

/// /proc and /sys of the guest's own namespaces, with what would reach the host closed.
fn kernel_views(root: &Path) -> Result<(), String> {
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let proc = root.join("proc");
    make_dir(&proc, 0o555)?;
    mount(Some("proc"), &proc, Some("proc"), plain, None::<&str>)
        .context("mount the guest's /proc")?;
    for name in PROC_READ_ONLY {
        let at = proc.join(name);
        if at.exists() {
            bind_read_only(&at, &at)?;
        }
    }
    for name in PROC_HIDDEN {
        let at = proc.join(name);
        if at.exists() {
            bind_read_only(Path::new("/dev/null"), &at)?;
        }
    }
    let sys = root.join("sys");
    make_dir(&sys, 0o555)?;
    // A host that hides parts of its own /sys (a container) lets nobody mount another: then it is empty.
    let _ = mount(
        Some("sysfs"),
        &sys,
        Some("sysfs"),
        plain | MsFlags::MS_RDONLY,
        None::<&str>,
    );
    Ok(())
}
