//! `hostd guest-init`: the processes of a guest that are hostd's own program.
//!
//! `hostd guest-init helper FD` stands outside the guest (see the helper); `hostd guest-init uml` is the
//! first process of a user-mode-linux guest, below.

use super::agent;
use super::helper;
use super::jail::LOWER;
use super::layers::{open_root, Layers};
use super::link::FrameLink;
use super::mounts::{make_dir, own_dir, own_dirs, put_file, table, tmpfs};
use super::plan::{Context, Task};
use super::setup;
use super::spawn::Inner;
use super::sys;
use super::terminal::set_raw;
use hostcall::say::complain;
use nix::fcntl::{open, OFlag};
use nix::mount::{mount, umount2, MntFlags, MsFlags};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, pivot_root};
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;

/// The doorbell line and the frame line, as the kernel's arguments `ssl0` and `ssl1` make them.
const DOORBELL: &str = "/dev/ttyS0";
const CONSOLE: &str = "/dev/ttyS1";
const REGION: &str = "/dev/mmapper";

/// The whole of `hostd guest-init`; call it first thing in main, before any thread starts.
///
/// `reside` is called once, in a thread of its own, in a guest with its own kernel: it is to be the guest's resident as
/// long as no other process is. The local guest has no need of one.
pub fn main(reside: fn()) -> ! {
    let arguments: Vec<_> = std::env::args_os().skip(2).collect();
    match arguments
        .iter()
        .map(|word| word.to_str().unwrap_or(""))
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["helper", plan] => helper::main(plan.parse().unwrap_or(-1)),
        ["uml", ..] if std::process::id() == 1 => uml(reside),
        _ => {
            let what = "guest-init is hostd's own part inside a guest; use: hostd run -- COMMAND";
            complain("hostd", what);
            std::process::exit(2)
        }
    }
}

fn uml(reside: fn()) -> ! {
    if let Err(error) = boot(reside) {
        // The boot log, which hostd shows when the guest fails.
        complain("guest-init", error);
    }
    sys::power_off();
    // A first process that returns is a kernel panic: also an end.
    std::process::exit(1)
}

fn boot(reside: fn()) -> Result<(), String> {
    mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::empty(),
        None::<&str>,
    )
    .context("mount /proc")?;
    if !Path::new("/dev/null").exists() {
        mount(
            Some("dev"),
            "/dev",
            Some("devtmpfs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .context("mount /dev")?;
    }
    let task: Task = serde_json::from_slice(&fs::read("/task.json").context("read the task")?)
        .context("read the task")?;
    let doorbell = raw_line(DOORBELL)?;
    let console = raw_line(CONSOLE)?;
    for name in [DOORBELL, REGION] {
        fs::set_permissions(name, fs::Permissions::from_mode(0o666))
            .context(format_args!("chmod {name}"))?;
    }
    load_modules();
    nix::unistd::sethostname("guest").context("set the host name")?;
    let _ = sys::raise_loopback();
    switch_root(&task)?;
    setup::environment(&task);
    spare_registers();
    let link = FrameLink::new(console).context("the frame line")?;
    let result = agent::run(&task, link, Inner::None, move || {
        std::thread::spawn(reside);
    });
    // Held to the end: a line that nobody has open loses its raw mode and what it received.
    drop(doorbell);
    result
}

fn raw_line(name: &str) -> Result<OwnedFd, String> {
    let line = open(
        name,
        OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK,
        Mode::empty(),
    )
    .context(format_args!("open {name}"))?;
    set_raw(line.as_fd()).context(format_args!("set {name} raw"))?;
    Ok(line)
}

/// Loads what was staged for this kernel; a guest without a module does without what it gives.
fn load_modules() {
    let Ok(system) = nix::sys::utsname::uname() else {
        return;
    };
    for name in ["overlay.ko", "fuse.ko"] {
        let path = Path::new("/modules").join(system.release()).join(name);
        let loaded = File::open(&path).context("open").and_then(|file| {
            nix::kmod::finit_module(file, c"", nix::kmod::ModuleInitFlags::empty()).context("load")
        });
        if let Err(error) = loaded {
            complain("guest-init", format_args!("{}: {error}", path.display()));
        }
    }
    if Path::new("/dev/fuse").exists() {
        let _ = fs::set_permissions("/dev/fuse", fs::Permissions::from_mode(0o666));
    }
}

/// Puts the guest's root together and makes it the root.
fn switch_root(task: &Task) -> Result<(), String> {
    let root = Path::new("/root");
    show_files(task, root)?;
    mount_kernels_own(root)?;
    let files: Vec<File> = (0..task.files.len())
        .map(|number| {
            let path = Path::new("/files").join(number.to_string());
            File::open(&path).context(path.display())
        })
        .collect::<Result<_, _>>()?;
    chdir(root).context("enter the guest's root")?;
    pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("leave the first root")?;
    chdir("/").context("chdir /")?;
    make_dir(Path::new("/run/hostcall"), 0o755)?;
    for (file, target) in files.into_iter().zip(&task.files) {
        let mode = file
            .metadata()
            .map_or(0o444, |data| data.permissions().mode());
        put_file(Path::new(target), file, mode & 0o555)?;
    }
    setup::texts_and_links(task)?;
    make_dir(Path::new(&task.prefix), 0o755)
}

/// Shows the files that the guest's root is made of, under a layer that the guest can write to.
fn show_files(task: &Task, root: &Path) -> Result<(), String> {
    let lower = Path::new("/lower");
    mount(
        Some("hostfs"),
        lower,
        Some("hostfs"),
        MsFlags::MS_RDONLY,
        Some(LOWER),
    )
    .context("mount the host's files")?;
    tmpfs(Path::new("/rw"), 0o700, MsFlags::empty())?;
    for name in ["upper", "work"] {
        make_dir(&Path::new("/rw").join(name), 0o755)?;
    }
    let flags = if task.nosuid {
        MsFlags::MS_NOSUID
    } else {
        MsFlags::empty()
    };
    let options = "lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work";
    if mount(Some("overlay"), root, Some("overlay"), flags, Some(options)).is_err() {
        // No overlay.ko: the guest's root is readable and only its own directories are writable.
        tmpfs(root, 0o755, MsFlags::empty())?;
        let base = open_root(lower)?;
        Layers::new(
            &table()?,
            &super::mounts::NOT_FROM_HOST,
            "/rw/layers".into(),
        )?
        .show(base.as_fd(), lower, root)?;
    }
    own_dirs(root)
}

/// Mounts the file systems that are the kernel's own, and moves the first root's devices.
fn mount_kernels_own(root: &Path) -> Result<(), String> {
    for name in ["proc", "sys", "dev"] {
        own_dir(&root.join(name))?;
    }
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
    mount(
        Some("proc"),
        &root.join("proc"),
        Some("proc"),
        plain,
        None::<&str>,
    )
    .context("mount /proc")?;
    mount(
        Some("sysfs"),
        &root.join("sys"),
        Some("sysfs"),
        plain,
        None::<&str>,
    )
    .context("mount /sys")?;
    let dev = root.join("dev");
    mount(
        Some("/dev"),
        &dev,
        None::<&str>,
        MsFlags::MS_MOVE,
        None::<&str>,
    )
    .context("move /dev")?;
    let pts = dev.join("pts");
    make_dir(&pts, 0o755)?;
    let options = "newinstance,ptmxmode=0666,mode=620,gid=5";
    mount(
        Some("devpts"),
        &pts,
        Some("devpts"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        Some(options),
    )
    .context("mount /dev/pts")?;
    tmpfs(&dev.join("shm"), 0o1777, MsFlags::MS_NODEV)?;
    for (name, target) in setup::DEV_LINKS {
        let _ = symlink(target, dev.join(name));
    }
    for name in ["null", "zero", "full", "random", "urandom", "tty", "ptmx"] {
        let _ = fs::set_permissions(dev.join(name), fs::Permissions::from_mode(0o666));
    }
    Ok(())
}

/// Keeps the guest's libc from the registers of AVX-512. UML (6.1) neither saves nor restores them around a signal handler,
/// so what a handler copies or compares by them changes what the program that it interrupts is copying or comparing.
/// `HOSTCALL_KEEP` has the preload library tell the programs of it that are started with another environment.
fn spare_registers() {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512f") {
        const NAME: &str = "GLIBC_TUNABLES";
        // glibc's manual, "Hardware Capability Tunables"; names that a glibc does not know mean nothing to it.
        const SPARED: &str = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512CD,-AVX512DQ";
        if std::env::var_os(NAME).is_none() {
            std::env::set_var(NAME, SPARED);
            let others = std::env::var("HOSTCALL_KEEP").unwrap_or_default();
            std::env::set_var("HOSTCALL_KEEP", format!("{NAME}:{others}"));
        }
    }
}
