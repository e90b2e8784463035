//! What is known about the user-mode-linux kernel: where it is installed, and its command line.

use super::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

const KERNELS: [&str; 2] = ["/usr/bin/linux.uml", "/usr/local/bin/linux.uml"];
const MODULES: &str = "/usr/lib/uml/modules";
/// Modules that a guest loads at boot, in this order.
const WANTED: [&str; 2] = ["kernel/fs/overlayfs/overlay.ko", "kernel/fs/fuse/fuse.ko"];

/// Smallest and largest memory of a guest, MiB: below, the kernel does not come up; above, its address
/// space has no place for it.
pub const MEMORY: std::ops::RangeInclusive<u64> = 48..=65536;

/// The installed kernel.
///
/// # Errors
/// [`Error::NoUml`].
pub fn kernel() -> Result<PathBuf, Error> {
    KERNELS
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
        .ok_or(Error::NoUml)
}

/// The installed modules that a guest wants: kernel release and file.
pub fn modules() -> Vec<(OsString, OsString)> {
    let releases = fs::read_dir(MODULES).into_iter().flatten().flatten();
    releases
        .flat_map(|release| {
            WANTED
                .map(|wanted| (release.file_name(), release.path().join(wanted)))
                .into_iter()
        })
        .filter(|(_, file)| file.is_file())
        .map(|(release, file)| (release, file.into_os_string()))
        .collect()
}

/// How the guest's init is started from the staged root.
pub enum InitProgram {
    /// It needs no loader.
    Static,
    /// Through the dynamic loader, staged as `/ld.so`, with its libraries in `/lib`.
    Loaded,
}

/// The kernel's arguments. Descriptors are numbers of the kernel's process.
pub fn arguments(
    mem_mib: u64,
    stage: &Path,
    init: &InitProgram,
    region: i32,
    doorbell: i32,
    console: i32,
) -> Vec<String> {
    let mut arguments = vec![
        format!("mem={mem_mib}M"),
        "uml_dir=/tmp".into(),
        "umid=guest".into(),
        "rootfstype=hostfs".into(),
        format!("rootflags={}", stage.display()),
        "ro".into(),
        "con0=null,fd:1".into(),
        "con=null".into(),
        "ssl=null".into(),
        format!("ssl0=fd:{doorbell}"),
        format!("ssl1=fd:{console}"),
        // By /proc/self: the kernel opens it itself, and in its pid namespace hostd's /proc does not exist.
        format!("iomem=mmapper,/proc/self/fd/{region}"),
        // These time RAID checksums and the delay loop, for a second of a boot that wants neither.
        "initcall_blacklist=raid6_select_algo,calibrate_xor_blocks".into(),
        "lpj=30000000".into(),
        "panic=-1".into(),
    ];
    match init {
        InitProgram::Static => arguments.extend(["init=/init", "--"].map(String::from)),
        InitProgram::Loaded => {
            arguments
                .extend(["init=/ld.so", "--", "--library-path", "/lib", "/init"].map(String::from));
        }
    }
    arguments.extend(["guest-init", "uml"].map(String::from));
    arguments
}
