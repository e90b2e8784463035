//! The jail that the user-mode-linux kernel runs in.
//!
//! The guest's root can run native code in the kernel's process (by a module, or by UML's own hostfs), so
//! that process is as hostile as the guest. It sees a small read-only root, the guest's root files read-only,
//! and its three lines; it has no capability, no way to gain one, and no socket.

use super::layers::open_root;
use super::libraries;
use super::mounts::{
    bind_read_only, descriptor_path, make_dir, make_file, make_private, put_file, tmpfs, tmpfs_of,
    NOT_FROM_HOST, VAR_TMP,
};
use super::plan::{Context, Plan, Task};
use super::setup::open_sources;
use super::sys::{self, Side};
use super::uml::{self, InitProgram};
use hostcall::say::complain;
use nix::mount::{mount, umount2, MntFlags, MsFlags};
use nix::sched::{sched_getcpu, sched_setaffinity, CpuSet};
use nix::sys::signal::Signal;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{chdir, pivot_root, Pid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the jail's root is put together; covered only in this mount namespace.
const WORK: &str = "/tmp";
/// The loader that every amd64 program names, Debian's kernel among them.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const LIBRARY_DIRS: [&str; 4] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
];
/// What the kernel's image takes of its memory file beside the guest's memory, MiB, generously.
const KERNEL_MIB: u64 = 64;
/// The guest's first root inside the jail.
pub const STAGE: &str = "/stage";
/// The files that the guest's real root is made of, inside the jail.
pub const LOWER: &str = "/root";

/// What connects the guest with hostd.
#[derive(Debug)]
pub struct Lines {
    /// The frame line of the agent.
    pub console: OwnedFd,
    /// The shared region.
    pub region: OwnedFd,
    /// The doorbell line.
    pub doorbell: OwnedFd,
}

/// Makes the jail around this process, the first of its pid namespace, and runs the kernel to its end.
///
/// # Errors
/// One line; also when the kernel ends, for whatever reason.
pub fn run(
    plan: &Plan,
    kernel: &OsString,
    modules: &[(OsString, OsString)],
    mem_mib: u64,
    lines: Lines,
) -> Result<(), String> {
    let init = enter(plan, kernel, modules, mem_mib)?;
    confine()?;
    match sys::clone_into(0).context("start the guest's kernel")? {
        Side::Child => {
            let error = execute(mem_mib, &init, &lines);
            complain("hostd", error);
            std::process::exit(1)
        }
        Side::Parent(pid) => {
            drop(lines);
            Err(format!("the guest's kernel {}", wait_for(pid)))
        }
    }
}

/// Reaps until the kernel itself has ended; its helpers end with this namespace.
fn wait_for(pid: Pid) -> String {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(ended, code)) if ended == pid => {
                return format!("ended with code {code}")
            }
            Ok(WaitStatus::Signaled(ended, signal, _)) if ended == pid => {
                return format!("was killed by {signal}")
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return format!("is lost: {error}"),
        }
    }
}

fn enter(
    plan: &Plan,
    kernel: &OsString,
    modules: &[(OsString, OsString)],
    mem_mib: u64,
) -> Result<InitProgram, String> {
    make_private()?;
    // Everything on the host is opened before /tmp is covered: it may lie there.
    let own_root = plan.root.as_ref().map(Path::new);
    let base = open_root(own_root.unwrap_or(Path::new("/")))?;
    let files = open_sources(&plan.files)?;
    let kernel = File::open(kernel).context(Path::new(kernel).display())?;
    let own_program = File::open("/proc/self/exe").context("open hostd's own program")?;
    let module_files = open_sources(
        &modules
            .iter()
            .map(|(_, file)| file.clone())
            .collect::<Vec<_>>(),
    )?;
    let own_libraries = libraries::mapped();
    let mut libraries = Vec::new();
    for path in &own_libraries {
        libraries.push((path.clone(), File::open(path).context(path.display())?));
    }
    let libc = library("libc.so.6", &own_libraries)?;
    let libc = File::open(&libc).context(libc.display())?;
    let loader = File::open(LOADER).context(LOADER)?;

    let jail = PathBuf::from(WORK);
    tmpfs(&jail, 0o755, MsFlags::empty())?;
    put_file(&jail.join("linux.uml"), kernel, 0o555)?;
    put_file(&jail.join("lib/libc.so.6"), libc, 0o555)?;
    put_file(&jail.join(&LOADER[1..]), loader, 0o555)?;

    let stage = jail.join(&STAGE[1..]);
    for name in ["proc", "dev", "rw", "lower", "root"] {
        make_dir(&stage.join(name), 0o755)?;
    }
    put_file(&stage.join("init"), own_program, 0o555)?;
    let mut init = InitProgram::Static;
    for (path, file) in libraries {
        let name = path.file_name().unwrap_or_default().to_owned();
        if libraries::is_linker(&path) {
            init = InitProgram::Loaded;
            put_file(&stage.join("ld.so"), file, 0o555)?;
        } else {
            put_file(&stage.join("lib").join(name), file, 0o555)?;
        }
    }
    for ((release, path), file) in modules.iter().zip(module_files) {
        let name = Path::new(path).file_name().unwrap_or_default();
        put_file(&stage.join("modules").join(release).join(name), file, 0o444)?;
    }
    for (number, file) in files.into_iter().enumerate() {
        let mode = file.metadata().map_or(0, |data| data.permissions().mode());
        put_file(
            &stage.join("files").join(number.to_string()),
            file,
            0o444 | (mode & 0o111),
        )?;
    }
    put_file(
        &stage.join("task.json"),
        task_text(&plan.task)?.as_slice(),
        0o444,
    )?;

    show_root(&jail, &base)?;
    make_devices(&jail, mem_mib)?;
    let proc = jail.join("proc");
    make_dir(&proc, 0o555)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
    mount(Some("proc"), &proc, Some("proc"), flags, None::<&str>)
        .context("mount the jail's /proc")?;
    let remount = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    mount(None::<&str>, &jail, None::<&str>, remount, None::<&str>)
        .context("make the jail read-only")?;

    // No namespace may be made inside: in one of its own a process has every capability again. The switch
    // is this user namespace's own.
    let _ = fs::write("/proc/sys/user/max_user_namespaces", "0");
    chdir(&jail).context("enter the jail")?;
    pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("leave the host's root")?;
    chdir("/").context("chdir /")?;
    Ok(init)
}

/// Shows the files that the guest's real root is made of.
fn show_root(jail: &Path, base: &OwnedFd) -> Result<(), String> {
    let lower = jail.join(&LOWER[1..]);
    make_dir(&lower, 0o755)?;
    bind_read_only(&descriptor_path(base), &lower)?;
    for name in NOT_FROM_HOST.into_iter().chain([VAR_TMP]) {
        // Covered, not only skipped by the guest: control sockets of the host must not be in the jail at all.
        let at = lower.join(name);
        if fs::symlink_metadata(&at).is_ok_and(|data| data.is_dir()) {
            tmpfs(&at, 0o755, MsFlags::MS_RDONLY)?;
        }
    }
    Ok(())
}

/// Makes what of `/dev` the kernel uses, and where it can write.
fn make_devices(jail: &Path, mem_mib: u64) -> Result<(), String> {
    let dev = jail.join("dev");
    make_dir(&dev, 0o755)?;
    for name in ["null", "zero", "random", "urandom"] {
        make_file(&dev.join(name))?;
        bind_read_only(&Path::new("/dev").join(name), &dev.join(name))?;
    }
    // The guest's memory: an unlinked file that the kernel maps executable. Native code in the kernel's
    // process could write more files there, so the guest's memory and the kernel's own bound it.
    tmpfs_of(
        mem_mib + KERNEL_MIB,
        &dev.join("shm"),
        0o700,
        MsFlags::empty(),
    )?;
    tmpfs_of(1, &jail.join("tmp"), 0o700, MsFlags::MS_NOEXEC)
}

/// The task as the guest reads it.
fn task_text(task: &Task) -> Result<Vec<u8>, String> {
    serde_json::to_vec(task).context("write the task")
}

fn library(name: &str, known: &[PathBuf]) -> Result<PathBuf, String> {
    let known = known
        .iter()
        .filter(|path| path.file_name().is_some_and(|file| file == name))
        .cloned();
    known
        .chain(LIBRARY_DIRS.iter().map(|dir| Path::new(dir).join(name)))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("{name} not found: apt-get install libc6"))
}

/// Gives up, for good, what the kernel's process does not need.
fn confine() -> Result<(), String> {
    sys::drop_capabilities().context("drop capabilities")?;
    // Dropping may have cleared it (prctl(2)).
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("PR_SET_PDEATHSIG")?;
    nix::sys::prctl::set_no_new_privs().context("no_new_privs")
}

/// System calls that lead out of the jail and that the kernel can do without.
fn forbidden() -> Result<BpfProgram, String> {
    let calls = [
        // A path socket on the read-only root could still be connected to.
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_setns,
        libc::SYS_unshare,
        libc::SYS_fsopen,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_mount_setattr,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_open_by_handle_at,
    ];
    let rules: BTreeMap<i64, Vec<_>> = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let arch = std::env::consts::ARCH.try_into().context("seccomp")?;
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        arch,
    );
    filter.context("seccomp")?.try_into().context("seccomp")
}

/// Ties the kernel and all its processes to the processor that this one was started on, which fork(2) chose as the
/// idlest.
///
/// The guest has one virtual processor, so never more than one of them runs; but each of its system calls hands over
/// from a process to the kernel and back, and across processors that costs three times what it does on one.
fn stay_on_one_processor() -> nix::Result<()> {
    let mut own = CpuSet::new();
    own.set(sched_getcpu()?)?;
    sched_setaffinity(Pid::from_raw(0), &own)
}

fn execute(mem_mib: u64, init: &InitProgram, lines: &Lines) -> String {
    let prepared = || -> Result<(), String> {
        for fd in [&lines.region, &lines.doorbell, &lines.console] {
            sys::keep_over_exec(fd.as_fd().as_raw_fd()).context("keep a line")?;
        }
        sys::default_signals();
        stay_on_one_processor().context("sched_setaffinity")?;
        seccompiler::apply_filter(&forbidden()?).context("seccomp")
    };
    if let Err(error) = prepared() {
        return error;
    }
    let (region, doorbell, console) = (
        lines.region.as_raw_fd(),
        lines.doorbell.as_raw_fd(),
        lines.console.as_raw_fd(),
    );
    let words = uml::arguments(mem_mib, Path::new(STAGE), init, region, doorbell, console);
    let words = std::iter::once("linux.uml".to_owned())
        .chain(words)
        .filter_map(|word| CString::new(word).ok());
    let words: Vec<CString> = words.collect();
    let environment = [
        c"HOME=/tmp",
        c"TMPDIR=/dev/shm",
        c"LD_LIBRARY_PATH=/lib",
        c"PATH=/nonexistent",
    ];
    match nix::unistd::execve(c"/linux.uml", &words, &environment) {
        Err(error) => format!("cannot run the guest's kernel: {error}"),
        Ok(never) => match never {},
    }
}
